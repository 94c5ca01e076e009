//! Whether the payments were true, in rows and sentences that all formats share.

use super::Report;
use super::humane::{clean, clip, count, counted, percent};
use crate::measure::{AGES, Evidence, Reads, Scope, Truth, Unresolved};
use crate::outcome::{Probe, Violation};
use crate::time::{Moment, format_duration, humane_duration};

/// The heads of the table of [`reads()`].
pub(super) const READS: [&str; 5] = ["age of the write", "same connection", "wrong", "another one", "wrong"];
/// The heads of the table of [`probes()`].
pub(super) const PROBES: [&str; 5] = ["key used again", "calls", "promise kept", "broken", "unclear"];
/// What is said where nothing was wrong.
pub(super) const NONE: &str = "No answer broke a promise about money.";

/// Reads of acknowledged writes by age, the connection of the write and others apart.
pub(super) fn reads(truth: &Truth) -> Vec<[String; 5]> {
    let row = |place: usize| {
        let mut same = truth.same_connection[place];
        // A driver that names no connections reads over the only one there is, as far as anybody knows.
        let unknown = truth.unknown_connection[place];
        same.reads = same.reads.saturating_add(unknown.reads);
        same.violations = same.violations.saturating_add(unknown.violations);
        let other = truth.other_connection[place];
        if same.reads.saturating_add(other.reads) == 0 {
            return None;
        }
        let age = match (AGES.get(place), place.checked_sub(1)) {
            (Some(bound), _) => format!("below {}", format_duration(*bound)),
            (None, last) => format!("from {} up", format_duration(AGES[last.unwrap_or_default()])),
        };
        let cells = |reads: Reads| [count(reads.reads), count(reads.violations)];
        let ([reads, wrong], [others, wrong_too]) = (cells(same), cells(other));
        Some([age, reads, wrong, others, wrong_too])
    };
    (0..=AGES.len()).filter_map(row).collect()
}

/// Keys that were used again, by how.
pub(super) fn probes(truth: &Truth) -> Vec<[String; 5]> {
    let some = Probe::ALL.into_iter().zip(truth.probes).filter(|(_, probes)| probes.ended() > 0);
    some.map(|(probe, probes)| {
        let [ended, kept, broken, unclear] = [probes.ended(), probes.kept, probes.broken, probes.unclear].map(count);
        [how(probe).to_owned(), ended, kept, broken, unclear]
    })
    .collect()
}

const fn how(probe: Probe) -> &'static str {
    match probe {
        Probe::Parallel => "in parallel",
        Probe::Later => "later",
        Probe::AfterTimeout => "after no answer",
        Probe::Altered => "with another body",
    }
}

/// How many balances were looked at, where any were.
pub(super) fn balances(truth: &Truth) -> Option<String> {
    let balances = truth.balances;
    (balances > 0).then(|| format!("Balances held against the payments that were made: {}.", count(balances)))
}

/// Between which bounds the error rate of an operation lies, as some of its calls ended without saying what they did; and
/// what became of those that were sent again.
pub(super) fn unresolved(row: &Unresolved, report: &Report<'_>) -> Vec<String> {
    let tally = report.saved.summary.tally(Scope::Operation(row.operation), None);
    let ended = tally.ended();
    if ended == 0 {
        return Vec::new();
    }
    // Those in flight at the end may have happened as well.
    let open = row.calls.saturating_add(tally.abandoned);
    let errors = ended.saturating_sub(tally.ok());
    let least = errors.saturating_sub(open).saturating_add(row.not_happened);
    let most = errors.saturating_sub(row.happened);
    let share = |count: u64| percent(count as f64 / ended as f64);
    let name = name_of(row.operation, report);
    let calls = counted(open, "call");
    let mut texts = vec![format!(
        "{name}: {calls} ended without saying whether they happened, so that its error rate is from {} to {}.",
        share(least),
        share(most)
    )];
    let Unresolved { happened, not_happened, done, .. } = *row;
    if happened.saturating_add(not_happened).saturating_add(done) > 0 {
        let unknown = row.unknown().saturating_add(tally.abandoned);
        texts.push(format!(
            "Sent again under their keys: {} had happened; {} had not; {} done by now, by either call; {} unknown.",
            count(happened),
            count(not_happened),
            count(done),
            count(unknown)
        ));
    }
    texts
}

fn name_of(operation: u16, report: &Report<'_>) -> String {
    let operation = report.saved.plan.operations.get(usize::from(operation));
    operation.map(|operation| clip(&clean(&operation.name), 24)).unwrap_or_default()
}

/// Of which operation an evidence is, when it was due, and in which circumstances.
pub(super) fn when(evidence: &Evidence, report: &Report<'_>) -> String {
    let name = name_of(evidence.operation, report);
    let when = humane_duration(evidence.intended.since(Moment::ZERO));
    let age = evidence.age.map(|age| format!(", {} after the acknowledgement", humane_duration(age)));
    let connection = evidence.elsewhere.map(|elsewhere| {
        if elsewhere { ", over another connection than the first" } else { ", over the same connection as the first" }
    });
    format!("{name}, {when} into the run{}{}", age.unwrap_or_default(), connection.unwrap_or_default())
}

/// What it means that such a promise was broken.
pub(super) const fn meaning(kind: Violation) -> &'static str {
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
