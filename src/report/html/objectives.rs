//! The objectives of a page: each with what was seen, its interval, how much of its allowance was used, and what is missing.

use super::super::humane::clip;
use super::super::markup::{Markup, tag};
use super::super::{Report, words};
use super::NAME;
use super::chart::rect;
use crate::verdict::{Finding, Standing};

const fn standing(finding: &Finding) -> (&'static str, &'static str) {
    match finding.standing {
        Standing::Met => ("met", "✓ met"),
        Standing::Missed => ("missed", "✗ missed"),
        Standing::Undecided => ("open", "? open"),
    }
}

/// The section; nothing where nothing was promised.
pub(super) fn objectives(report: &Report<'_>, main: &mut Markup) {
    let findings = &report.judgement.findings;
    if findings.is_empty() {
        return;
    }
    main.block(tag("section"), |section| {
        section.said(tag("h2"), "Objectives");
        section.block(tag("div").class("scroll"), |div| {
            div.block(tag("table").class("objectives"), |table| {
                table.block(tag("thead"), |head| {
                    head.element(tag("tr"), |row| {
                        for name in ["", "objective", "observed", "90 % interval", "of allowance used"] {
                            row.said(tag("th").with("scope", "col"), name);
                        }
                    });
                });
                table.block(tag("tbody"), |body| findings.iter().for_each(|finding| row(finding, body)));
            });
        });
        for text in [words::assumption(report), words::looks(report)].iter().flatten() {
            section.said(tag("p").class("soft"), text);
        }
    });
}

fn row(finding: &Finding, body: &mut Markup) {
    let (class, mark) = standing(finding);
    body.block(tag("tr"), |row| {
        row.said(tag("td").class(class), mark);
        row.element(tag("td"), |cell| {
            cell.text(&clip(&finding.objective.to_string(), NAME));
            if let Some(missing) = &finding.missing {
                cell.said(tag("span").class("soft"), &format!("missing: {missing}"));
            }
        });
        row.element(tag("td"), |cell| {
            cell.said(tag("span").class("label"), "observed");
            cell.text(&words::observed(finding));
        });
        row.element(tag("td"), |cell| {
            cell.said(tag("span").class("label"), "90 % interval");
            let interval = finding.sureness.as_ref().and_then(|sureness| sureness.interval);
            cell.text(&interval.map_or_else(|| words::NOTHING.to_owned(), |interval| words::ends(&interval)));
            if let Some(sureness) = &finding.sureness {
                cell.said(tag("span").class("soft"), &words::rests_on(sureness));
            }
        });
        row.element(tag("td").class("used"), |cell| {
            cell.said(tag("span").class("label"), "of allowance used");
            if let Some(left) = finding.budget_left {
                meter(1.0 - left, class, cell);
            }
            cell.text(&words::used(finding));
        });
    });
}

/// How much of an allowance was used, as a bar that ends at all of it.
fn meter(used: f64, class: &'static str, cell: &mut Markup) {
    let width = 84.0;
    let svg = tag("svg").class("meter").with("viewBox", "0 0 84 8").with("aria-hidden", "true");
    cell.element(svg, |svg| {
        svg.void(rect((0.0, 0.0), (width, 8.0)).class("track").with("rx", 3));
        svg.void(rect((0.0, 0.0), (width * used.clamp(0.0, 1.0), 8.0)).class(class).with("rx", 3));
    });
}
