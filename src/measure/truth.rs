//! Whether answers were true: reads of acknowledged writes by age, broken promises by kind, and the evidence, bounded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounded::at_most;
use super::probes::{Probes, Unresolved};
use super::summary::MAX_SERIES;
use crate::outcome::{Probe, Violation};
use crate::time::Moment;

/// The first so many pieces of evidence of each kind are kept.
pub const EVIDENCE_KEPT: usize = 20;
/// The ages of writes below which reads are counted together; the last place is for older ones.
pub const AGES: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
];
/// There are no more kinds of violations.
const MOST_KINDS: usize = Violation::ALL.len();
/// More than any run can count.
const MOST: u64 = 1 << 48;

/// Reads of acknowledged writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reads {
    /// How many there were.
    pub reads: u64,
    /// How many of them were answered wrongly.
    pub violations: u64,
}

/// Reads by the age of the write, the youngest first; the bounds are [`AGES`].
pub type ReadsByAge = [Reads; AGES.len() + 1];

/// What was seen of a broken promise.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// When the call was due.
    pub intended: Moment,
    /// Index of the flow in the plan.
    pub flow: u16,
    /// Place in the flow's schedule.
    pub sequence: u64,
    /// Index of the operation in the plan.
    pub operation: u16,
    /// The arguments that were sent, cut.
    pub sent: String,
    /// What should have been answered.
    pub expected: String,
    /// What was answered, cut.
    pub said: String,
    /// How old the acknowledged write was.
    pub age: Option<Duration>,
    /// Whether the call went over another connection than the write.
    pub elsewhere: Option<bool>,
}

/// Broken promises of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violations {
    /// Which kind.
    pub kind: Violation,
    /// How many calls broke it.
    pub calls: u64,
    /// The first of them, in the order of when they were due.
    #[serde(deserialize_with = "at_most::<EVIDENCE_KEPT, _, _>")]
    pub evidence: Vec<Evidence>,
}

/// Whether answers were true. Warm-up is not kept apart: money is lost then as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Truth {
    /// Reads over the connection of the write.
    pub same_connection: ReadsByAge,
    /// Reads over another connection.
    pub other_connection: ReadsByAge,
    /// Reads of which the connections are not known.
    pub unknown_connection: ReadsByAge,
    /// Calls that used a key again, by [`Probe::index`].
    pub probes: [Probes; Probe::COUNT],
    /// Balances that were held against what is known of their accounts.
    pub balances: u64,
    /// In the order of operations, those that have any.
    #[serde(deserialize_with = "at_most::<MAX_SERIES, _, _>")]
    unresolved: Vec<Unresolved>,
    /// In the order of [`Violation::ALL`], those that occurred.
    #[serde(deserialize_with = "at_most::<MOST_KINDS, _, _>")]
    violations: Vec<Violations>,
}

impl Truth {
    /// Counts a read of a write of this age.
    pub fn read(&mut self, age: Duration, elsewhere: Option<bool>, violated: bool) {
        let table = match elsewhere {
            Some(false) => &mut self.same_connection,
            Some(true) => &mut self.other_connection,
            None => &mut self.unknown_connection,
        };
        let row = &mut table[AGES.partition_point(|bound| *bound <= age)];
        row.reads += 1;
        row.violations += u64::from(violated);
    }

    /// Counts `calls` that broke a promise, of which the evidence is about the first.
    pub fn violated(&mut self, kind: Violation, calls: u64, evidence: Evidence) {
        let violations = self.of(kind);
        violations.calls = violations.calls.saturating_add(calls);
        violations.add(evidence);
    }

    /// What is known of the calls of an operation that ended without saying whether they happened; changed by its caller.
    pub fn unresolved_of(&mut self, operation: u16) -> &mut Unresolved {
        let place = match self.unresolved.binary_search_by_key(&operation, |row| row.operation) {
            Ok(place) => place,
            Err(place) => {
                self.unresolved.insert(place, Unresolved { operation, ..Unresolved::default() });
                place
            }
        };
        &mut self.unresolved[place]
    }

    /// Calls that ended without saying whether they happened, by operation.
    pub fn unresolved(&self) -> &[Unresolved] {
        &self.unresolved
    }

    /// How many calls used a key again.
    pub fn probed(&self) -> u64 {
        self.probes.iter().map(Probes::ended).fold(0, u64::saturating_add)
    }

    /// The kinds that occurred, in the order of [`Violation::ALL`].
    pub fn violations(&self) -> &[Violations] {
        &self.violations
    }

    /// How many calls broke a promise of this kind.
    pub fn calls(&self, kind: Violation) -> u64 {
        self.violations.iter().find(|violations| violations.kind == kind).map_or(0, |violations| violations.calls)
    }

    /// All reads of acknowledged writes.
    pub fn reads(&self) -> Reads {
        let mut all = Reads::default();
        for row in self.tables().into_iter().flatten() {
            all.add(row);
        }
        all
    }

    /// Whether nothing was looked at.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    /// Adds all that `other` saw.
    pub fn merge(&mut self, other: &Self) {
        let ours = [&mut self.same_connection, &mut self.other_connection, &mut self.unknown_connection];
        for (ours, theirs) in ours.into_iter().zip(other.tables()) {
            ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.add(theirs));
        }
        self.probes.iter_mut().zip(&other.probes).for_each(|(ours, theirs)| ours.add(theirs));
        self.balances = self.balances.saturating_add(other.balances);
        for theirs in &other.unresolved {
            self.unresolved_of(theirs.operation).add(theirs);
        }
        for theirs in &other.violations {
            let ours = self.of(theirs.kind);
            ours.calls = ours.calls.saturating_add(theirs.calls);
            for evidence in &theirs.evidence {
                ours.add(evidence.clone());
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether no count is larger than any run can reach, and kinds and operations are in their order, each once.
    pub(super) fn is_possible(&self) -> bool {
        let kinds_ascend = self.violations.is_sorted_by(|left, right| left.kind < right.kind);
        if !kinds_ascend || !self.unresolved.is_sorted_by(|left, right| left.operation < right.operation) {
            return false;
        }
        let reads = self.tables().into_iter().flatten().flat_map(|row| [row.reads, row.violations]);
        let probes = self.probes.iter().flat_map(|probes| [probes.kept, probes.broken, probes.unclear]);
        let unresolved = self.unresolved.iter().flat_map(Unresolved::counts);
        let violations = self.violations.iter().map(|violations| violations.calls);
        reads.chain(probes).chain(unresolved).chain(violations).chain([self.balances]).all(|count| count <= MOST)
    }

    const fn tables(&self) -> [&ReadsByAge; 3] {
        [&self.same_connection, &self.other_connection, &self.unknown_connection]
    }

    fn of(&mut self, kind: Violation) -> &mut Violations {
        let place = match self.violations.binary_search_by_key(&kind, |violations| violations.kind) {
            Ok(place) => place,
            Err(place) => {
                self.violations.insert(place, Violations { kind, calls: 0, evidence: Vec::new() });
                place
            }
        };
        &mut self.violations[place]
    }
}

impl Reads {
    const fn add(&mut self, other: &Self) {
        self.reads = self.reads.saturating_add(other.reads);
        self.violations = self.violations.saturating_add(other.violations);
    }
}

impl Violations {
    /// Adds evidence in the order of when its call was due, and lets the last go where there is too much.
    fn add(&mut self, evidence: Evidence) {
        let place = self.evidence.partition_point(|other| *other <= evidence);
        if place < EVIDENCE_KEPT {
            self.evidence.insert(place, evidence);
            self.evidence.truncate(EVIDENCE_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(at: u64) -> Evidence {
        Evidence { intended: Moment::from_nanos(at), ..Evidence::default() }
    }

    #[test]
    fn a_read_is_counted_by_the_age_of_its_write_and_by_its_connection() {
        let mut truth = Truth::default();
        truth.read(Duration::from_micros(9_999), Some(false), false);
        truth.read(Duration::from_millis(10), Some(true), true);
        truth.read(Duration::from_hours(1), None, false);
        assert_eq!(truth.same_connection[0], Reads { reads: 1, violations: 0 });
        assert_eq!(truth.other_connection[1], Reads { reads: 1, violations: 1 });
        assert_eq!(truth.unknown_connection[5], Reads { reads: 1, violations: 0 });
        assert_eq!(truth.reads(), Reads { reads: 3, violations: 1 });
    }

    #[test]
    fn of_much_evidence_the_first_is_kept() {
        let mut truth = Truth::default();
        for at in (0..100).rev() {
            truth.violated(Violation::LostWrite, 2, seen(at));
        }
        let [violations] = truth.violations() else { panic!("one kind") };
        assert_eq!((violations.calls, truth.calls(Violation::LostWrite)), (200, 200));
        let kept: Vec<_> = violations.evidence.iter().map(|evidence| evidence.intended.as_nanos()).collect();
        assert_eq!(kept, (0..EVIDENCE_KEPT as u64).collect::<Vec<_>>());
    }

    fn told(events: &[(u8, u64)]) -> Truth {
        let mut truth = Truth::default();
        for (what, at) in events {
            truth.probes[*at as usize % Probe::COUNT].kept += 1;
            truth.balances += at % 3;
            truth.unresolved_of((*at % 4) as u16).calls += u64::from(*what);
            match usize::from(*what) {
                kind if kind < Violation::COUNT => truth.violated(Violation::ALL[kind], 1, seen(*at)),
                other => truth.read(Duration::from_nanos(*at), Some(other.is_multiple_of(2)), other > 8),
            }
        }
        truth
    }

    proptest! {
        #[test]
        fn merging_is_seeing_everything_in_one_whatever_the_order(
            left in prop::collection::vec((0_u8..10, 0_u64..100), 0..60),
            right in prop::collection::vec((0_u8..10, 0_u64..100), 0..60),
        ) {
            let (mut one, mut two) = (told(&left), told(&right));
            one.merge(&told(&right));
            two.merge(&told(&left));
            let whole = told(&[left, right].concat());
            prop_assert_eq!(&one, &whole);
            prop_assert_eq!(&two, &whole);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), whole);
        }
    }
}
