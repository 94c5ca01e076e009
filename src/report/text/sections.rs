//! The sections of the text report, each from the figures of a [`Report`] to lines of a page.

use std::fmt;

use super::super::humane::{clean, clip, count, counted, date, percent, quantile, rate};
use super::super::words::{self, NOTHING};
use super::super::{Assessment, Distribution, FailureKind, MEASURES, Report, Row};
use super::page::{Mood, Page, WIDTH};
use super::table::Table;
use crate::measure::SideKind;
use crate::time::humane_duration;
use crate::verdict::Standing;

/// How many flows are described, and kinds of one failure shown.
const MOST_FLOWS: usize = 6;
const MOST_KINDS: usize = 3;
/// How much of an example is shown: two lines or three.
const EXAMPLE_COLUMNS: usize = 180;

/// What was driven, and how.
pub(super) fn setting(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let saved = report.saved;
    page.gap()?;
    page.paragraph("target    ", &words::target(saved))?;
    let several = saved.plan.flows.len() > 1;
    for (place, flow) in saved.plan.flows.iter().take(MOST_FLOWS).enumerate() {
        let label = if place == 0 { "load      " } else { "          " };
        let name = if several { format!("{}: ", clip(&clean(&flow.name), 24)) } else { String::new() };
        page.paragraph(label, &format!("{name}{}", words::load(flow)))?;
    }
    match saved.plan.flows.len().saturating_sub(MOST_FLOWS) {
        0 => Ok(()),
        more => page.paragraph("          ", &format!("and {}", counted(more as u64, "more flow"))),
    }
}

/// Each objective, what was seen of it, and how it stands.
pub(super) fn objectives(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let findings = &report.judgement.findings;
    if findings.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(10, &["objective", "observed", "of allowance used"]);
    for finding in findings {
        table.row(&[finding.objective.to_string(), words::observed(finding), words::used(finding)]);
    }
    page.heading("OBJECTIVES")?;
    let lines = table.lines();
    page.line(10, &lines[0])?;
    for (line, finding) in lines[1..].iter().zip(findings) {
        let mark = match finding.standing {
            Standing::Met => ("met   ", Mood::Good),
            Standing::Missed => ("MISSED", Mood::Bad),
            Standing::Undecided => ("open  ", Mood::Open),
        };
        page.marked(2, mark, &format!("  {line}"))?;
        if let Some(sureness) = &finding.sureness {
            page.paragraph("            ", &words::sure(sureness))?;
        }
    }
    let below = [words::assumption(report), words::looks(report)];
    below.iter().flatten().try_for_each(|text| page.paragraph("  ", text))
}

/// Counts on the left, rates and durations on the right.
pub(super) fn overall(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let overall = &report.overall;
    let mut counts = Table::new(2, &["scheduled", &count(overall.scheduled), ""]);
    for (name, number) in words::counts(overall).into_iter().skip(1) {
        let share =
            if overall.scheduled > 0 { percent(number as f64 / overall.scheduled as f64) } else { String::new() };
        counts.row(&[name.to_owned(), count(number), share]);
    }
    let [(first, success), others @ ..] = words::rates(overall);
    let mut rates = Table::new(0, &[first, &success]).left(&[1]);
    for (name, value) in others {
        rates.row(&[name.to_owned(), value]);
    }
    page.heading("OVERALL")?;
    for (left, right) in counts.lines().iter().zip(rates.lines()) {
        page.line(2, &format!("{left}      {right}"))?;
    }
    Ok(())
}

/// Response time beside service time, and the two lags.
pub(super) fn times(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let times = &report.times;
    if report.measured.ended() == 0 {
        return Ok(());
    }
    let columns = [&times.response, &times.service, &times.dispatch_lag, &times.pacing_lag];
    let mut table = Table::new(2, &["", "response time", "service time", "dispatch lag", "pacing lag"]);
    table.row(&["", "due to done", "sent to done", "due to sent", "due to taken"].map(str::to_owned));
    for (place, measure) in MEASURES.iter().enumerate() {
        let cells = columns.iter().map(|column| cell(column, place));
        table.row(&std::iter::once((*measure).to_owned()).chain(cells).collect::<Vec<_>>());
    }
    page.heading("TIMES")?;
    for line in table.lines() {
        page.line(2, &line)?;
    }
    page.paragraph("  ", words::TIMES)?;
    words::no_reply(report).map_or(Ok(()), |text| page.paragraph("  ", &text))
}

fn cell(distribution: &Distribution, place: usize) -> String {
    distribution.0[place].map_or_else(|| NOTHING.to_owned(), quantile)
}

/// A table of operations or flows.
pub(super) fn rows(heading: &str, kind: &str, rows: &[Row], page: &mut Page<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(2, &[kind, "arrivals", "not ok", "ok rate", "p50", "p95", "p99"]);
    for row in rows {
        let at =
            |measure| MEASURES.iter().position(|m| *m == measure).map_or_else(String::new, |p| cell(&row.response, p));
        let (bad, achieved) = (count(row.bad), rate(row.achieved_rate));
        let counts = [row.name.clone(), count(row.scheduled), bad, achieved];
        table.row(&[counts.as_slice(), &["p50", "p95", "p99"].map(at)].concat());
    }
    page.heading(heading)?;
    for line in table.lines() {
        page.line(2, &line)?;
    }
    Ok(())
}

/// What was called beside the arrivals, where anything was.
pub(super) fn side_calls(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let side_calls = &report.saved.summary.side_calls;
    let mut table = Table::new(2, &["call", "count", "failed", "p50", "p99"]);
    let mut some = false;
    for kind in SideKind::ALL {
        let Some(tally) = side_calls.get(kind) else { continue };
        some = true;
        let at = |quantile| tally.time.value_at_quantile(quantile).map_or_else(|| NOTHING.to_owned(), humane_duration);
        let counts = [count(tally.outcomes.total()), count(tally.failed())];
        table.row(&[&[kind.name().to_owned()], &counts[..], &[0.5, 0.99].map(at)].concat());
    }
    if !some {
        return Ok(());
    }
    page.heading("CALLS THAT ARE NOT ARRIVALS")?;
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

/// What did not end ok, with what the server said.
pub(super) fn failures(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    if report.failures.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(2, &["outcome", "count", "share", "whose fault"]).left(&[3]);
    for row in &report.failures {
        table.row(&[row.end.to_string(), count(row.count), percent(row.share), words::fault(row.end)]);
    }
    let lines = table.lines();
    page.heading("ERRORS")?;
    page.line(2, &lines[0])?;
    for (line, row) in lines[1..].iter().zip(&report.failures) {
        page.line(2, line)?;
        for kind in row.kinds.iter().take(MOST_KINDS) {
            said(kind, report.operations.len(), page)?;
        }
        let (more, calls) = row
            .kinds
            .iter()
            .skip(MOST_KINDS)
            .fold((0, 0_u64), |(n, sum), kind| (n + 1, sum.saturating_add(kind.count)));
        if more > 0 {
            page.paragraph("      ", &format!("and {} ({})", counted(more, "more kind"), counted(calls, "call")))?;
        }
    }
    Ok(())
}

/// What they have in common, the operations where it is not all of them, and an example where it says more.
fn said(kind: &FailureKind, operations: usize, page: &mut Page<'_>) -> fmt::Result {
    let (group, example) = (clean(&kind.group), clean(&kind.example));
    let names: Vec<_> = kind.operations.iter().map(|name| clip(&clean(name), 24)).collect();
    let names = if names.len() < operations { format!(" ({})", names.join(", ")) } else { String::new() };
    page.paragraph("      ", &format!("{} x {group}{names}", count(kind.count)))?;
    if example == group {
        return Ok(());
    }
    let first = humane_duration(kind.first.since(crate::time::Moment::ZERO));
    page.paragraph("        ", &format!("{first} into the run: {}", clip(&example, EXAMPLE_COLUMNS)))
}

/// The run by the old script's scale.
pub(super) fn assessment(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let Some(Assessment { success, success_rate, speed, mean }) = report.assessment else { return Ok(()) };
    page.heading("ASSESSMENT, over all calls, failures included")?;
    let rate = format!("{} ended ok", percent(success_rate));
    let grades = ["success", &success.to_string(), &rate, "from 95 % excellent, from 90 % good"];
    let mut table = Table::new(2, &grades).left(&[1, 2, 3]);
    if let (Some(speed), Some(mean)) = (speed, mean) {
        let mean = format!("{} on average", humane_duration(mean));
        table.row(&["speed".to_owned(), speed.to_string(), mean, "below 200 ms excellent, to 500 ms good".to_owned()]);
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

/// What the reader should know, and guesses at causes.
pub(super) fn notes(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let warnings = report.saved.server.warnings.iter().map(|warning| clip(&clean(warning), 2 * WIDTH));
    let notes = report.judgement.notes.iter().map(ToString::to_string);
    let hints = report.hints.iter().map(|hint| hint.text.clone());
    let all: Vec<String> = hints.chain(notes).chain(warnings).collect();
    if all.is_empty() {
        return Ok(());
    }
    page.heading("NOTES AND HINTS")?;
    all.iter().try_for_each(|text| page.paragraph("  - ", text))
}

/// Where every arrival went, what it takes to repeat the run, and how to see it again.
pub(super) fn run(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let saved = report.saved;
    page.heading("RUN")?;
    page.paragraph("  id        ", &saved.run_id)?;
    let seed = format!("{0} (--seed {0} repeats schedule and calls)", saved.plan.seed);
    page.paragraph("  seed      ", &seed)?;
    page.paragraph("  started   ", &format!("{} by {}", date(saved.started_unix_ms), saved.program))?;
    page.paragraph("  host      ", &words::host(saved))?;
    page.paragraph("  accounts  ", &words::accounts(&report.accounting))?;
    page.paragraph("  again     ", &words::again(report))
}
