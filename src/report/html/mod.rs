//! The report as a page: one file that needs nothing else, for screens, phones and paper.
//!
//! It has no script and asks for nothing: its policy allows its own style sheet, by its hash, and that alone. Charts are
//! inline SVG. Whatever a server or a file said goes through [`Markup`].

mod chart;
mod columns;
mod objectives;
mod percentiles;
mod timeline;

use std::fmt;

use super::humane::{clip, count, counted, date, percent, quantile, rate};
use super::markup::{Markup, tag};
use super::outline::{Block, Grid, Section, sections};
use super::{Distribution, Format, MEASURES, Report, words};
use crate::time::humane_duration;
use crate::verdict::Verdict;

const STYLE: &str = include_str!("style.css");
/// Nothing may be loaded, run or sent; only the style sheet with this hash counts.
const POLICY: &str = "default-src 'none'; style-src 'sha256-rLsLwcDLjsYhAwz9sf5Af8Oejgor6SJC+3E3yRC9/Cw='; base-uri 'none'; form-action 'none'";
/// How much of a name stands in the heading.
const NAME: usize = 160;
/// The plan is shown up to here.
const LONGEST_PLAN: usize = 64 << 10;

/// The report as HTML.
#[derive(Clone, Copy, Debug, Default)]
pub struct Html;

impl Format for Html {
    fn write(&self, report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let mut page = Markup::default();
        page.constant("<!DOCTYPE html>\n");
        page.block(tag("html").with("lang", "en"), |html| {
            head(report, html);
            html.block(tag("body"), |body| {
                body.block(tag("main"), |main| content(report, main));
            });
        });
        out.write_str(page.as_str())
    }
}

fn head(report: &Report<'_>, html: &mut Markup) {
    html.block(tag("head"), |head| {
        head.void(tag("meta").with("charset", "utf-8"));
        head.void(tag("meta").with("http-equiv", "Content-Security-Policy").with("content", POLICY));
        head.void(tag("meta").with("name", "viewport").with("content", "width=device-width, initial-scale=1"));
        head.void(tag("meta").with("name", "referrer").with("content", "no-referrer"));
        let title = format!("{}: {}", report.judgement.verdict(), clip(&report.saved.plan.name, NAME));
        head.said(tag("title"), &title);
        head.block(tag("style"), |style| style.constant(STYLE));
    });
}

fn content(report: &Report<'_>, main: &mut Markup) {
    top(report, main);
    tiles(report, main);
    objectives::objectives(report, main);
    timeline::timeline(report, main);
    percentiles::percentiles(report, main);
    main.said(tag("h2"), "Figures");
    for Section { title, blocks } in sections(report) {
        let pair = matches!(blocks[..], [Block::Table(_), Block::Table(_)]) && title == "Overall";
        main.block(if pair { tag("section").class("pair") } else { tag("section") }, |section| {
            section.said(tag("h2"), title);
            section.block(tag("div"), |div| blocks.iter().for_each(|one| block(one, div)));
            if title == "Plan" {
                whole_plan(report, section);
            }
        });
    }
    main.block(tag("footer"), |footer| {
        footer.text(&format!("Written by {}. This page loads nothing and runs nothing.", report.saved.program));
    });
}

const fn class(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Pass => ("top pass", "✓"),
        Verdict::Fail => ("top fail", "✗"),
        Verdict::Inconclusive => ("top inconclusive", "?"),
        Verdict::Invalid => ("top invalid", "!"),
    }
}

/// The verdict and its reasons, and what was driven.
fn top(report: &Report<'_>, main: &mut Markup) {
    let (saved, verdict) = (report.saved, report.judgement.verdict());
    let (class, sign) = class(verdict);
    main.block(tag("header").class(class), |top| {
        top.block(tag("div").class("verdict"), |line| {
            line.said(tag("p").class("badge"), &format!("{sign} {verdict}"));
            line.said(tag("h1"), &clip(&saved.plan.name, NAME));
        });
        let headline = words::headline(report, NAME);
        top.said(tag("p"), &headline.lead);
        if !headline.reasons.is_empty() {
            top.block(tag("ul"), |list| {
                for reason in &headline.reasons {
                    list.block(tag("li"), |item| {
                        item.text(&clip(&reason.sentence, 10 * NAME));
                        if let Some(missing) = &reason.missing {
                            item.said(tag("p").class("soft"), &format!("Missing: {missing}."));
                        }
                    });
                }
            });
        }
        for text in headline.rest.into_iter().chain(words::ending(&saved.ending)) {
            top.said(tag("p"), &clip(&text, 10 * NAME));
        }
        let flows = saved.plan.flows.len();
        let load = match &saved.plan.flows[..] {
            [only] => words::load(only),
            _ => counted(flows as u64, "flow"),
        };
        let setting = format!("{} · {load} · {}", words::target(saved), date(saved.started_unix_ms));
        top.said(tag("p").class("sub"), &setting);
    });
}

/// The figures that most readers come for.
fn tiles(report: &Report<'_>, main: &mut Markup) {
    let overall = &report.overall;
    let at = |measure: &str| {
        let place = MEASURES.iter().position(|known| *known == measure).unwrap_or_default();
        let show = |of: &Distribution| of.0[place].map_or_else(|| words::NOTHING.to_owned(), quantile);
        (show(&report.times.response), format!("service time {}", show(&report.times.service)))
    };
    let bad = overall.failed + overall.dropped + overall.abandoned;
    let success = overall.success_rate.map_or_else(|| words::NOTHING.to_owned(), percent);
    let intended = format!("of {} intended", rate(overall.intended_rate));
    let ended = format!("{} not ok, of {}", count(bad), counted(overall.scheduled, "arrival"));
    let warmup = if overall.warmup.is_zero() { "no warm-up" } else { "after warm-up" };
    let [(p50, p50_of), (p95, p95_of), (p99, p99_of)] = ["p50", "p95", "p99"].map(at);
    main.block(tag("dl").class("tiles"), |tiles| {
        for (name, value, of) in [
            ("achieved rate", rate(overall.achieved_rate), intended),
            ("ended ok", success, ended),
            ("response time p50", p50, p50_of),
            ("response time p95", p95, p95_of),
            ("response time p99", p99, p99_of),
            ("duration", humane_duration(overall.duration), warmup.to_owned()),
        ] {
            tiles.block(tag("div"), |tile| {
                tile.said(tag("dt"), name);
                tile.said(tag("dd"), &value);
                tile.said(tag("dd").class("of"), &of);
            });
        }
    });
}

fn block(block: &Block, section: &mut Markup) {
    match block {
        Block::Words(text) => section.block(tag("p").class("soft"), |p| p.text(text)),
        Block::List(texts) => section.block(tag("ul"), |list| {
            for text in texts {
                list.block(tag("li"), |item| item.text(text));
            }
        }),
        Block::Table(grid) => section.block(tag("div").class("scroll"), |div| table(grid, div)),
    }
}

fn table(grid: &Grid, div: &mut Markup) {
    let headless = grid.head.iter().all(|cell| cell.is_empty());
    let kind = if headless { tag("table").class("facts") } else { tag("table") };
    let cell = |name: &'static str, place: usize| {
        let figures = grid.figures.get(place).copied().unwrap_or_default();
        tag(name).class(if figures { "n" } else { "w" })
    };
    div.block(kind, |table| {
        if !headless {
            table.block(tag("thead"), |head| {
                head.element(tag("tr"), |row| {
                    for (place, text) in grid.head.iter().enumerate() {
                        row.said(cell("th", place).with("scope", "col"), text);
                    }
                });
            });
        }
        table.block(tag("tbody"), |body| {
            for cells in &grid.rows {
                body.block(tag("tr"), |row| {
                    cells.iter().enumerate().for_each(|(place, text)| row.said(cell("td", place), text));
                });
            }
        });
    });
}

/// The plan to the last field, for who wants it.
fn whole_plan(report: &Report<'_>, section: &mut Markup) {
    let Ok(mut text) = serde_json::to_string_pretty(&report.saved.plan) else { return };
    if text.len() > LONGEST_PLAN {
        let end = (0..=LONGEST_PLAN).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push_str("\n… the rest is in the saved run");
    }
    section.block(tag("details"), |details| {
        details.said(tag("summary"), "The whole plan, as it is saved");
        details.element(tag("pre"), |pre| pre.lines(&text));
    });
}

#[cfg(test)]
mod tests;
