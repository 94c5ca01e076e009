//! What failures said: a bounded list of groups, each with a count and its first example.

use std::time::Duration;

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
    /// How long the server wanted to be left alone, where it said so.
    pub retry_after: Option<Duration>,
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
    /// The longest that the server wanted to be left alone (`Retry-After`), where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
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

/// What else is known of failures of one group.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// When the first was due.
    pub(super) first: Moment,
    /// What it said.
    pub(super) example: &'a str,
    /// The longest that the server wanted to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl FailureGroup {
    fn key(&self) -> Key<'_> {
        (self.phase, self.operation, self.outcome, &self.group)
    }

    fn seen(&self) -> Seen<'_> {
        Seen { first: self.first, example: &self.example, retry_after: self.retry_after }
    }
}

impl Failures {
    /// The groups.
    pub fn groups(&self) -> &[FailureGroup] {
        &self.groups
    }

    /// Counts one failure. Where there are `limit` groups already and none is this one's, it is counted
    /// as `other` (there can be as many of these as there are phases, operations and outcomes).
    pub(super) fn record(&mut self, key: Key<'_>, seen: Seen<'_>, limit: usize) {
        self.count(key, 1, seen, limit);
    }

    /// Adds all groups of `other`, at most `limit` of them under their own name.
    pub(super) fn merge(&mut self, other: &Self, limit: usize) {
        for group in &other.groups {
            self.count(group.key(), group.count, group.seen(), limit);
        }
    }

    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }

    fn count(&mut self, key: Key<'_>, count: u64, seen: Seen<'_>, limit: usize) {
        let place = match self.groups.binary_search_by(|group| group.key().cmp(&key)) {
            Ok(place) => place,
            Err(_) if self.groups.len() >= limit && key.3 != OTHER => {
                return self.count((key.0, key.1, key.2, OTHER), count, seen, limit);
            }
            Err(place) => {
                let (phase, operation, outcome, group) = key;
                let (group, example) = (group.to_owned(), seen.example.to_owned());
                let Seen { first, retry_after, .. } = seen;
                let fresh = FailureGroup { phase, operation, outcome, group, count, first, example, retry_after };
                self.groups.insert(place, fresh);
                return;
            }
        };
        let group = &mut self.groups[place];
        group.count = group.count.saturating_add(count);
        group.retry_after = group.retry_after.max(seen.retry_after);
        if (seen.first, seen.example) < (group.first, group.example.as_str()) {
            (group.first, group.example) = (seen.first, seen.example.to_owned());
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
        let seen = |second, example, wait: Option<u64>| Seen {
            first: at(second),
            example,
            retry_after: wait.map(Duration::from_secs),
        };
        failures.record(key, seen(7, "later", Some(2)), 64);
        failures.record(key, seen(3, "earlier", Some(5)), 64);
        failures.record(key, seen(9, "last", None), 64);
        let [group] = failures.groups() else { panic!("one group") };
        assert_eq!((group.count, group.first, group.example.as_str()), (3, at(3), "earlier"));
        assert_eq!(group.retry_after, Some(Duration::from_secs(5)), "the longest");
    }

    #[test]
    fn what_finds_no_room_is_counted_as_other() {
        let mut failures = Failures::default();
        for n in 0..100 {
            let seen = Seen { first: at(n), example: "x", retry_after: None };
            failures.record((Phase::Measure, 0, Outcome::ToolError, &format!("text {n}")), seen, 64);
        }
        assert_eq!(failures.groups().len(), 65);
        let other = failures.groups().iter().find(|group| group.group == "other").unwrap();
        assert_eq!((other.count, other.first), (36, at(64)));
        assert_eq!(failures.groups().iter().map(|group| group.count).sum::<u64>(), 100);
    }
}
