//! What failures said: a bounded list of groups, each with a count and its first example.

use serde::{Deserialize, Serialize};

use super::Phase;
use super::bounded::at_most;
use crate::outcome::Outcome;
use crate::time::Moment;

/// The group of failures that found no room for a group of their own.
const OTHER: &str = "other";
/// More groups than the runs of a hundred lanes have together, in a text.
const MOST_READ: usize = 100_000;

/// A failure in words, as the driver or the workload put it.
#[derive(Clone, Copy, Debug)]
pub struct FailureText<'a> {
    /// Failures of one outcome with the same group are counted together.
    pub group: &'a str,
    /// What was really said.
    pub example: &'a str,
}

/// Failures that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// When they were due.
    pub phase: Phase,
    /// Index of the operation in the plan.
    pub operation: u16,
    /// How the calls ended.
    pub outcome: Outcome,
    /// What they have in common.
    pub group: String,
    /// How many there were.
    pub count: u64,
    /// When the example was due: the first.
    pub first: Moment,
    /// What was really said.
    pub example: String,
}

/// Groups of failures, in the order of phase, operation, outcome and group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Failures {
    #[serde(deserialize_with = "at_most::<MOST_READ, _, _>")]
    groups: Vec<FailureGroup>,
}

/// What failures must share to be one group.
type Key<'a> = (Phase, u16, Outcome, &'a str);

impl FailureGroup {
    fn key(&self) -> Key<'_> {
        (self.phase, self.operation, self.outcome, &self.group)
    }
}

impl Failures {
    /// The groups.
    pub fn groups(&self) -> &[FailureGroup] {
        &self.groups
    }

    /// Counts one failure due at `first`. Where there are `limit` groups already and none is this one's, it is counted
    /// as `other` (there can be as many of these as there are phases, operations and outcomes).
    pub(super) fn record(&mut self, key: Key<'_>, first: Moment, example: &str, limit: usize) {
        self.count(key, 1, first, example, limit);
    }

    /// Adds all groups of `other`, at most `limit` of them under their own name.
    pub(super) fn merge(&mut self, other: &Self, limit: usize) {
        for group in &other.groups {
            self.count(group.key(), group.count, group.first, &group.example, limit);
        }
    }

    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }

    fn count(&mut self, key: Key<'_>, count: u64, first: Moment, example: &str, limit: usize) {
        let place = match self.groups.binary_search_by(|group| group.key().cmp(&key)) {
            Ok(place) => place,
            Err(_) if self.groups.len() >= limit && key.3 != OTHER => {
                return self.count((key.0, key.1, key.2, OTHER), count, first, example, limit);
            }
            Err(place) => {
                let (phase, operation, outcome, group) = key;
                let (group, example) = (group.to_owned(), example.to_owned());
                self.groups.insert(place, FailureGroup { phase, operation, outcome, group, count, first, example });
                return;
            }
        };
        let group = &mut self.groups[place];
        group.count = group.count.saturating_add(count);
        if (first, example) < (group.first, group.example.as_str()) {
            (group.first, group.example) = (first, example.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn failures_alike_are_one_group_with_the_first_example() {
        let mut failures = Failures::default();
        let key = (Phase::Measure, 0, Outcome::HttpError, "500");
        failures.record(key, at(7), "later", 64);
        failures.record(key, at(3), "earlier", 64);
        let [group] = failures.groups() else { panic!("one group") };
        assert_eq!((group.count, group.first, group.example.as_str()), (2, at(3), "earlier"));
    }

    #[test]
    fn what_finds_no_room_is_counted_as_other() {
        let mut failures = Failures::default();
        for n in 0..100 {
            failures.record((Phase::Measure, 0, Outcome::ToolError, &format!("text {n}")), at(n), "x", 64);
        }
        assert_eq!(failures.groups().len(), 65);
        let other = failures.groups().iter().find(|group| group.group == "other").unwrap();
        assert_eq!((other.count, other.first), (36, at(64)));
        assert_eq!(failures.groups().iter().map(|group| group.count).sum::<u64>(), 100);
    }
}
