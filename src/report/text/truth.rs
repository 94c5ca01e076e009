//! Whether the payments were true: reads by the age of the write, keys used again, what is not resolved, and each kind of
//! broken promise with its first evidence.

use std::fmt;

use super::super::Report;
use super::super::humane::{clean, clip, count, counted, percent};
use super::page::{Mood, Page};
use super::table::Table;
use crate::measure::{AGES, Evidence, Reads, Scope, Truth, Unresolved, Violations};
use crate::outcome::{Probe, Violation};
use crate::time::{Moment, format_duration, humane_duration};

/// How much of what was sent and said is shown.
const SHOWN: usize = 160;

/// The section; nothing where nothing was looked at.
pub(super) fn truth(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let truth = &report.saved.summary.truth;
    if truth.is_idle() {
        return Ok(());
    }
    page.heading("PAYMENTS TRUTH")?;
    reads(truth, page)?;
    probes(truth, page)?;
    if truth.balances > 0 {
        let balances = count(truth.balances);
        page.paragraph("  ", &format!("Balances held against the payments that were made: {balances}."))?;
    }
    truth.unresolved().iter().try_for_each(|row| unresolved(row, report, page))?;
    if truth.violations().is_empty() {
        return page.paragraph("  ", "No answer broke a promise about money.");
    }
    truth.violations().iter().try_for_each(|violations| violated(violations, report, page))
}

/// Reads of acknowledged writes by age, the connection of the write and others apart.
fn reads(truth: &Truth, page: &mut Page<'_>) -> fmt::Result {
    if truth.reads().reads == 0 {
        return Ok(());
    }
    let mut table = Table::new(2, &["age of the write", "same connection", "wrong", "another one", "wrong"]);
    for place in 0..=AGES.len() {
        let mut same = truth.same_connection[place];
        // A driver that names no connections reads over the only one there is, as far as anybody knows.
        let unknown = truth.unknown_connection[place];
        same.reads = same.reads.saturating_add(unknown.reads);
        same.violations = same.violations.saturating_add(unknown.violations);
        let other = truth.other_connection[place];
        if same.reads.saturating_add(other.reads) == 0 {
            continue;
        }
        let age = match (AGES.get(place), place.checked_sub(1)) {
            (Some(bound), _) => format!("below {}", format_duration(*bound)),
            (None, last) => format!("from {} up", format_duration(AGES[last.unwrap_or_default()])),
        };
        let cells = |reads: Reads| [count(reads.reads), count(reads.violations)];
        table.row(&[&[age][..], &cells(same), &cells(other)].concat());
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

/// Keys that were used again, by how.
fn probes(truth: &Truth, page: &mut Page<'_>) -> fmt::Result {
    if truth.probed() == 0 {
        return Ok(());
    }
    let mut table = Table::new(2, &["key used again", "calls", "promise kept", "broken", "unclear"]);
    for (probe, probes) in Probe::ALL.into_iter().zip(truth.probes) {
        if probes.ended() > 0 {
            let counts = [probes.ended(), probes.kept, probes.broken, probes.unclear].map(count);
            table.row(&[&[how(probe).to_owned()][..], &counts].concat());
        }
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

const fn how(probe: Probe) -> &'static str {
    match probe {
        Probe::Parallel => "in parallel",
        Probe::Later => "later",
        Probe::AfterTimeout => "after no answer",
        Probe::Altered => "with another body",
    }
}

/// Between which bounds the error rate of an operation lies, as some of its calls ended without saying what they did.
fn unresolved(row: &Unresolved, report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let summary = &report.saved.summary;
    let tally = summary.tally(Scope::Operation(row.operation), None);
    let ended = tally.ended();
    if ended == 0 {
        return Ok(());
    }
    // Those in flight at the end may have happened as well.
    let open = row.calls.saturating_add(tally.abandoned);
    let errors = ended.saturating_sub(tally.ok());
    let least = errors.saturating_sub(open).saturating_add(row.not_happened);
    let most = errors.saturating_sub(row.happened);
    let share = |count: u64| percent(count as f64 / ended as f64);
    let name = name_of(row.operation, report);
    let calls = counted(open, "call");
    let text = format!(
        "{name}: {calls} ended without saying whether they happened, so that its error rate is from {} to {}.",
        share(least),
        share(most)
    );
    page.paragraph("  ", &text)?;
    let Unresolved { happened, not_happened, done, .. } = *row;
    if happened.saturating_add(not_happened).saturating_add(done) == 0 {
        return Ok(());
    }
    let unknown = row.unknown().saturating_add(tally.abandoned);
    let text = format!(
        "Sent again under their keys: {} had happened; {} had not; {} done by now, by either call; {} unknown.",
        count(happened),
        count(not_happened),
        count(done),
        count(unknown)
    );
    page.paragraph("      ", &text)
}

fn name_of(operation: u16, report: &Report<'_>) -> String {
    let operation = report.saved.plan.operations.get(usize::from(operation));
    operation.map(|operation| clip(&clean(&operation.name), 24)).unwrap_or_default()
}

fn violated(violations: &Violations, report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let Violations { kind, calls, evidence } = violations;
    let text = format!("  {}: {}", counted(*calls, "call"), meaning(*kind));
    page.marked(2, (kind.name(), Mood::Bad), &text)?;
    let Some(first) = evidence.first() else { return Ok(()) };
    let name = name_of(first.operation, report);
    let when = humane_duration(first.intended.since(Moment::ZERO));
    page.paragraph("      first     ", &format!("{name}, {when} into the run{}", circumstances(first)))?;
    for (label, text) in [("sent", &first.sent), ("expected", &first.expected), ("answered", &first.said)] {
        page.paragraph(&format!("      {label:<10}"), &clip(&clean(text), SHOWN))?;
    }
    Ok(())
}

fn circumstances(evidence: &Evidence) -> String {
    let age = evidence.age.map(|age| format!(", {} after the acknowledgement", humane_duration(age)));
    let connection = evidence.elsewhere.map(|elsewhere| {
        if elsewhere { ", over another connection than the first" } else { ", over the same connection as the first" }
    });
    format!("{}{}", age.unwrap_or_default(), connection.unwrap_or_default())
}

const fn meaning(kind: Violation) -> &'static str {
    match kind {
        Violation::LostWrite => "acknowledged, and not found later",
        Violation::StaleRead => "acknowledged, and not found yet",
        Violation::WrongAmount => "another amount or currency",
        Violation::WrongPayment => "the answer for something else",
        Violation::DoubleCharge => "two payments under one key",
        Violation::AlteredAccepted => "another body under a used key, and no error",
        Violation::BalanceOff => "a balance that no order of the writes explains",
    }
}
