//! The page of a search: the rate that is held, how the target does at each rate, and what limits it.

use std::fmt;
use std::time::Duration;

use super::super::humane::{clean, clip, count, counted, date, percent, quantile, rate};
use super::super::{CapacityReport, Point, Report};
use super::page::{Mood, Page, WIDTH};
use super::table::Table;
use super::{Text, mood, sections};
use crate::measure::Quantile;
use crate::time::{Rate, humane_duration};
use crate::verdict::search::{Purpose, Why};

/// How long the longest bar of the curve is.
const BAR: f64 = 14.0;

impl Text {
    /// Writes the report of a search.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    pub fn write_capacity(&self, report: &CapacityReport<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let page = &mut Page::new(out, self.style);
        headline(report, page)?;
        limit(report, page)?;
        setting(report, page)?;
        curve(&report.curve, page)?;
        confirmed(report, page)?;
        notes(report, page)?;
        search(report, page)
    }
}

fn per_second(value: Rate) -> String {
    rate(value.get())
}

/// The answer.
fn headline(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let progress = &report.progress;
    let (word, sentence) = match progress.held {
        Some(held) => {
            let objectives = counted(report.saved.plan.objectives.len() as u64, "objective");
            let sentence = match report.saved.short_of() {
                None => format!("The target holds {} and keeps {objectives}.", per_second(held)),
                Some(promised) => format!(
                    "The target holds {} and keeps the other objectives, but {} were promised.",
                    per_second(held),
                    per_second(promised)
                ),
            };
            (per_second(held), sentence)
        }
        None if progress.next.is_some() => {
            let passed = progress.passed.map_or_else(String::new, |passed| {
                format!(" {} passed a probe, but no hold confirmed it.", per_second(passed))
            });
            ("UNFINISHED".to_owned(), format!("The search is not at its end: no rate was held yet.{passed}"))
        }
        None => ("NO RATE".to_owned(), "No rate was held.".to_owned()),
    };
    let mood = if progress.held.is_none() && progress.next.is_some() { Mood::Open } else { mood(report.verdict) };
    page.rule()?;
    let name = clip(&clean(&report.saved.plan.name), WIDTH - word.chars().count() - 2);
    page.marked(0, (&word, mood), &format!("  {name}"))?;
    page.rule()?;
    page.paragraph("", &sentence)?;
    match &report.saved.signal {
        Some(signal) => page.paragraph("", &format!("{signal} broke the search off: this is what is known.")),
        None => Ok(()),
    }
}

/// What is known of the limit.
fn limit(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let Some(limit) = report.progress.limit else {
        let to = report.saved.search.to;
        let sentence = match report.progress.held {
            Some(held) if held >= to => {
                format!("No limit was met: {} is the highest rate asked for (--to).", per_second(to))
            }
            _ => "No limit was met yet.".to_owned(),
        };
        return page.paragraph("", &sentence);
    };
    let at = per_second(limit.rate);
    let why = match limit.why {
        Why::Missed => format!("{at} was not held:"),
        Why::Undecided => format!("{at} was not decided; a longer --probe-at-most could:"),
        Why::Generator => format!(
            "{at} is more than this generator can drive, which says nothing about the target; add --lanes, or use a host with \
             a free core:"
        ),
        Why::Noise => format!(
            "{at} could not be measured, though higher rates could: something else keeps this host busy; try again when it is \
             quiet:"
        ),
    };
    page.paragraph("", &why)?;
    report.limit.iter().try_for_each(|sentence| page.paragraph("  - ", sentence))
}

/// What was driven, and how it was searched.
fn setting(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let (saved, search) = (report.saved, &report.saved.search);
    page.gap()?;
    page.paragraph("target    ", &saved.plan.target.to_string())?;
    let to = if search.to < Rate::FASTEST_LOAD { format!(" to {}", per_second(search.to)) } else { String::new() };
    let arrivals = saved.plan.flows[0].arrivals;
    let range = format!("from {}{to}, to within {}, {arrivals}", per_second(search.from), percent(search.resolution));
    page.paragraph("search    ", &range)?;
    let lengths = format!(
        "{} each, up to {} where that decides nothing, after {} of warm-up; holds {}",
        humane_duration(search.probe),
        humane_duration(search.longest),
        humane_duration(saved.plan.run.warmup.at_most(Duration::ZERO)),
        humane_duration(search.hold)
    );
    page.paragraph("probes    ", &lengths)
}

/// The target at each rate.
fn curve(points: &[Point], page: &mut Page<'_>) -> fmt::Result {
    if points.is_empty() {
        return Ok(());
    }
    let mut table =
        Table::new(2, &["rate", "p50", "p95", "p99", "not ok", "verdict", "p95, each step x 2"]).left(&[5, 6]);
    let shortest = points.iter().filter_map(|point| millis(point.response[1])).fold(f64::MAX, f64::min);
    for point in points {
        let name = match point.probe.purpose {
            Purpose::Hold => format!("{} held", per_second(point.probe.rate)),
            Purpose::Climb | Purpose::Narrow => per_second(point.probe.rate),
        };
        let times = point.response.map(|time| time.map_or_else(|| "-".to_owned(), quantile));
        let not_ok = point.not_ok.map_or_else(|| "-".to_owned(), percent);
        let verdict = point.verdict.map_or_else(|| "broken off".to_owned(), |verdict| verdict.to_string());
        let [p50, p95, p99] = times;
        table.row(&[name, p50, p95, p99, not_ok, verdict, bar(point.response[1], shortest)]);
    }
    page.heading("CURVE")?;
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

fn millis(time: Option<Quantile>) -> Option<f64> {
    match time? {
        Quantile::Finite(time) => Some(time.as_secs_f64() * 1e3),
        Quantile::Unbounded => None,
    }
}

/// A bar that is one longer for each time that `time` is twice as long as the shortest.
fn bar(time: Option<Quantile>, shortest: f64) -> String {
    let length = match millis(time) {
        Some(time) => 1.0 + (time / shortest).log2().max(0.0),
        None if time.is_some() => BAR,
        None => 0.0,
    };
    "━".repeat(length.min(BAR).round() as usize)
}

/// The hold that is the answer's ground.
fn confirmed(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let Some((run, judgement)) = &report.confirmed else { return Ok(()) };
    let hold = Report::new(run, judgement);
    page.heading("THE HOLD")?;
    let overall = &hold.overall;
    let sentence = format!(
        "{} for {}: {} scheduled, {} ok ({}).",
        rate(overall.intended_rate),
        humane_duration(overall.duration),
        counted(overall.scheduled, "arrival"),
        count(overall.succeeded),
        rate(overall.achieved_rate),
    );
    page.paragraph("  ", &sentence)?;
    sections::objectives(&hold, page)?;
    sections::times(&hold, page)?;
    sections::failures(&hold, page)
}

/// What the reader should know.
fn notes(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let mut notes = Vec::new();
    if let Some((run, judgement)) = &report.confirmed {
        notes.extend(judgement.notes.iter().map(ToString::to_string));
        notes.extend(run.server.warnings.iter().map(|warning| clip(&clean(warning), 2 * WIDTH)));
    }
    if let Some(first) = report.unrecovered.first() {
        notes.push(format!(
            "before {}, first at {}, the target was not itself again after {}: what it still had to do may have made them worse; \
             give a longer --cool-down",
            counted(report.unrecovered.len() as u64, "probe"),
            per_second(first.rate),
            humane_duration(report.saved.cool_down)
        ));
    }
    if notes.is_empty() {
        return Ok(());
    }
    page.heading("NOTES")?;
    notes.iter().try_for_each(|text| page.paragraph("  - ", text))
}

/// What it took, and how to see it again.
fn search(report: &CapacityReport<'_>, page: &mut Page<'_>) -> fmt::Result {
    let saved = report.saved;
    page.heading("SEARCH")?;
    let took = format!(
        "{} in {}: {}, and {} between the probes",
        counted(saved.probes.len() as u64, "probe"),
        humane_duration(saved.took),
        counted(report.calls, "call"),
        count(report.calls_between)
    );
    page.paragraph("  took      ", &took)?;
    page.paragraph(
        "  seed      ",
        &format!("{0} (--seed {0}; each probe has its own, which follows from it)", saved.plan.seed),
    )?;
    page.paragraph("  started   ", &format!("{} by {}", date(saved.started_unix_ms), saved.program))?;
    let again = match report.file {
        Some(file) => format!("mcpace report {file}"),
        None => "with --out FILE.json a search is kept, with the run of each probe".to_owned(),
    };
    page.paragraph("  again     ", &again)
}

#[cfg(test)]
mod tests {
    use super::super::super::humane::columns;
    use super::super::super::{SavedCapacity, fixtures};
    use super::*;
    use crate::verdict::Verdict;

    fn text(search: &SavedCapacity) -> String {
        let mut page = String::new();
        let report = CapacityReport::new(search).unwrap().saved_in("capacity.json");
        Text::default().write_capacity(&report, &mut page).unwrap();
        let wide = page.lines().find(|line| columns(line) > WIDTH);
        assert_eq!(wide, None);
        page
    }

    #[test]
    fn a_search_that_found_a_rate() {
        insta::assert_snapshot!(text(&fixtures::capacity()));
    }

    #[test]
    fn a_search_that_was_broken_off() {
        let mut search = fixtures::capacity();
        search.probes.truncate(6);
        search.probes[5].verdict = None;
        search.probes[4].cool_down.recovered = false;
        search.signal = Some("SIGINT".to_owned());
        insta::assert_snapshot!(text(&search));
    }

    #[test]
    fn each_way_to_end_without_a_rate_or_a_limit_is_told() {
        let mut none = fixtures::capacity();
        none.probes.truncate(1);
        for (verdict, words) in
            [(Verdict::Fail, "20/s was not held"), (Verdict::Invalid, "more than this generator can drive")]
        {
            none.probes[0].verdict = Some(verdict);
            let twice = if verdict == Verdict::Invalid { 3 } else { 1 };
            let probes = std::iter::repeat_n(none.probes[0].clone(), twice).collect();
            let page = text(&SavedCapacity { probes, ..none.clone() });
            assert!(page.contains("NO RATE") && page.contains(words), "{page}");
        }
        let mut promised = fixtures::capacity();
        promised.plan.objectives.push("rate >= 200/s".parse().unwrap());
        assert!(text(&promised).contains("but 200/s were promised"));
        let mut all = fixtures::capacity();
        (all.search.to, all.probes[1].probe.purpose) = (all.probes[1].probe.rate, Purpose::Hold);
        all.probes.truncate(2);
        all.probes[0].probe.rate = all.search.to;
        assert!(text(&all).contains("No limit was met: 40/s is the highest rate asked for"));
    }

    #[test]
    fn words_of_others_do_no_harm_on_the_page() {
        let mut search = fixtures::capacity();
        search.plan = fixtures::hostile().plan;
        search.signal = Some("\u{1b}[2J".repeat(100));
        let page = text(&search);
        assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{page:?}");
    }
}
