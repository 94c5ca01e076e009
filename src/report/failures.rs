//! What did not end ok, by how it ended, most frequent first, with what was said.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::SavedRun;
use crate::measure::{Phase, Tally};
use crate::outcome::{Fault, Outcome};
use crate::time::Moment;

/// How an arrival ended that did not end ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The call ended so.
    Failed(Outcome),
    /// Never sent, for want of room.
    Dropped,
    /// Unanswered when the run ended.
    Abandoned,
}

impl End {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed(outcome) => outcome.name(),
            Self::Dropped => "dropped",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whose doing it is; `None` where that cannot be said: a slow server and a low limit drop alike.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Failed(outcome) => Some(outcome.fault()),
            Self::Dropped | Self::Abandoned => None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All arrivals that ended in the same bad way.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureRow {
    /// Which way.
    pub end: End,
    /// How many.
    pub count: u64,
    /// Their share (0 to 1) of all arrivals that came to an end.
    pub share: f64,
    /// What was said, most frequent first; of dropped and abandoned arrivals nothing.
    pub kinds: Vec<FailureKind>,
}

/// Failures that said the same, but for numbers and ids. Both texts are the server's: hostile input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureKind {
    /// What they have in common.
    pub group: String,
    /// How many.
    pub count: u64,
    /// What the first one really said.
    pub example: String,
    /// When that was due.
    pub first: Moment,
    /// The longest that the server wanted to be left alone, where it said so.
    pub retry_after: Option<Duration>,
    /// The operations that it happened to, in the plan's order.
    pub operations: Vec<String>,
}

/// The rows of a run whose measured phase is `measured`.
pub(super) fn rows(saved: &SavedRun, measured: &Tally) -> Vec<FailureRow> {
    let row = |(end, count)| {
        let share = count as f64 / measured.ended() as f64;
        FailureRow { end, count, share, kinds: kinds(saved, end) }
    };
    ends(measured).into_iter().map(row).collect()
}

/// In which bad ways arrivals ended, and how many, most frequent first.
pub(super) fn ends(measured: &Tally) -> Vec<(End, u64)> {
    let failed = measured.outcomes.occurred().filter(|(outcome, _)| *outcome != Outcome::Ok);
    let failed = failed.map(|(outcome, count)| (End::Failed(outcome), count));
    let unsent = [(End::Dropped, measured.dropped), (End::Abandoned, measured.abandoned)];
    let mut ends: Vec<(End, u64)> = failed.chain(unsent).filter(|(_, count)| *count > 0).collect();
    // Stable: where counts are equal the order is that of the outcomes.
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ends
}

fn kinds(saved: &SavedRun, end: End) -> Vec<FailureKind> {
    let End::Failed(wanted) = end else { return Vec::new() };
    let mut kinds: BTreeMap<&str, FailureKind> = BTreeMap::new();
    let groups = saved.summary.failures.groups().iter();
    for group in groups.filter(|group| group.phase == Phase::Measure && group.outcome == wanted) {
        let kind = kinds.entry(&group.group).or_insert_with(|| FailureKind {
            group: group.group.clone(),
            count: 0,
            example: group.example.clone(),
            first: group.first,
            retry_after: None,
            operations: Vec::new(),
        });
        kind.count = kind.count.saturating_add(group.count);
        kind.retry_after = kind.retry_after.max(group.retry_after);
        if group.first < kind.first {
            (kind.first, kind.example) = (group.first, group.example.clone());
        }
        kind.operations.extend(saved.plan.operations.get(usize::from(group.operation)).map(|o| o.name.clone()));
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Scope;
    use crate::report::fixtures;

    #[test]
    fn failures_are_in_order_of_their_number_and_add_up_to_all_that_is_bad() {
        for (name, run) in fixtures::all() {
            let measured = run.summary.tally(Scope::Total, Some(Phase::Measure));
            let rows = rows(&run, &measured);
            assert!(rows.is_sorted_by(|left, right| left.count >= right.count), "{name}");
            assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), measured.bad(), "{name}");
        }
    }

    #[test]
    fn the_same_text_of_two_operations_is_one_kind_with_the_first_example() {
        let run = fixtures::failed();
        let measured = run.summary.tally(Scope::Total, Some(Phase::Measure));
        let rows = rows(&run, &measured);
        let errors = rows.iter().find(|row| row.end == End::Failed(Outcome::ToolError)).unwrap();
        assert_eq!(errors.kinds.len(), 1);
        assert_eq!(errors.kinds[0].operations, ["create_payment", "get_wallet_balance"]);
        assert_eq!((errors.kinds[0].count, errors.count), (errors.count, errors.kinds[0].count));
        let dropped = rows.iter().find(|row| row.end == End::Dropped).unwrap();
        assert_eq!((dropped.kinds.len(), dropped.end.fault()), (0, None));
    }
}
