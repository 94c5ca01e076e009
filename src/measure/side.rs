//! Calls that are no arrivals: opening, keeping up and closing sessions, counted apart from what the schedule asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::{Histogram, Precision};
use super::tally::{BucketCounts, Outcomes};
use crate::outcome::Outcome;

/// What such a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideKind {
    /// To open a session: `initialize` and the notification that follows it.
    Initialize,
    /// To close a session.
    Delete,
    /// To go on reading a stream that ended before its answer.
    Resume,
    /// To tell the server that a call was given up.
    Cancel,
    /// To answer, or refuse, what the server asked on a stream.
    Answer,
}

impl SideKind {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Self; 5] = [Self::Initialize, Self::Delete, Self::Resume, Self::Cancel, Self::Answer];

    /// The name in metrics, saved runs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Delete => "delete",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Answer => "answer",
        }
    }
}

/// A call that was no arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideCall {
    /// What it was for.
    pub kind: SideKind,
    /// How it ended.
    pub outcome: Outcome,
    /// From when it was begun, the wait for a connection included, to its end.
    pub took: Duration,
}

/// What is known of one kind of side calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SideTally {
    /// How they ended.
    pub outcomes: Outcomes,
    /// How long they took, failed ones included.
    pub time: Histogram,
    /// Exact counts of the same, between the bounds of service times; not saved.
    #[serde(skip)]
    pub buckets: BucketCounts,
}

impl Default for SideTally {
    fn default() -> Self {
        Self {
            outcomes: Outcomes::default(),
            time: Histogram::new(Precision::Coarse),
            buckets: BucketCounts::default(),
        }
    }
}

impl SideTally {
    /// How many did not end ok.
    pub fn failed(&self) -> u64 {
        self.outcomes.total() - self.outcomes.get(Outcome::Ok)
    }
}

/// Side calls by kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SideCalls(#[serde(deserialize_with = "checked")] BTreeMap<SideKind, SideTally>);

impl SideCalls {
    /// What is known of a kind; `None` where there was no such call.
    pub fn get(&self, kind: SideKind) -> Option<&SideTally> {
        self.0.get(&kind).filter(|tally| tally.outcomes.total() > 0)
    }

    /// Counts one.
    pub(super) fn record(&mut self, call: &SideCall, bounds: &[u64]) {
        let nanos = u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX);
        let tally = self.0.entry(call.kind).or_default();
        tally.outcomes.count(call.outcome);
        tally.time.record_nanos(nanos);
        tally.buckets.record(bounds, nanos);
    }

    /// Adds what others counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (kind, theirs) in other.0.iter().filter(|(_, theirs)| theirs.outcomes.total() > 0) {
            let ours = self.0.entry(*kind).or_default();
            ours.outcomes.merge(&theirs.outcomes);
            ours.time.merge(&theirs.time);
            ours.buckets.merge(&theirs.buckets);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Why saved counts cannot be.
#[derive(Debug, thiserror::Error)]
#[error("read the calls that are not arrivals: they count more than 2^48 of something")]
struct Unreadable;

fn checked<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<SideKind, SideTally>, D::Error> {
    let tallies = BTreeMap::<SideKind, SideTally>::deserialize(deserializer)?;
    let possible = tallies.values().all(|tally| tally.outcomes.are_possible());
    if possible { Ok(tallies) } else { Err(serde::de::Error::custom(Unreadable)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(kind: SideKind, outcome: Outcome, ms: u64) -> SideCall {
        SideCall { kind, outcome, took: Duration::from_millis(ms) }
    }

    #[test]
    fn side_calls_are_counted_by_kind_and_outcome_and_added() {
        let (mut one, mut two) = (SideCalls::default(), SideCalls::default());
        one.record(&call(SideKind::Delete, Outcome::Ok, 5), &[5_000_000, 10_000_000]);
        one.record(&call(SideKind::Delete, Outcome::HttpError, 20), &[5_000_000, 10_000_000]);
        two.record(&call(SideKind::Delete, Outcome::Ok, 6), &[5_000_000, 10_000_000]);
        one.merge(&two);
        let tally = one.get(SideKind::Delete).unwrap();
        assert_eq!((tally.outcomes.total(), tally.failed(), tally.time.len()), (3, 1, 3));
        assert_eq!(tally.buckets.counts(), [1, 1, 1]);
        assert_eq!(one.get(SideKind::Initialize), None);
        one.clear();
        assert_eq!(one, SideCalls::default());
    }

    #[test]
    fn what_was_saved_is_read_again_and_impossible_counts_are_not() {
        let mut calls = SideCalls::default();
        calls.record(&call(SideKind::Resume, Outcome::Ok, 1), &[]);
        let text = serde_json::to_string(&calls).unwrap();
        assert!(text.starts_with(r#"{"resume":{"outcomes":{"ok":1}"#), "{text}");
        let read: SideCalls = serde_json::from_str(&text).unwrap();
        assert_eq!(read.get(SideKind::Resume).unwrap().time, calls.get(SideKind::Resume).unwrap().time);
        let impossible = text.replace("\"ok\":1", "\"ok\":999999999999999");
        assert!(serde_json::from_str::<SideCalls>(&impossible).is_err());
    }

    #[test]
    fn a_name_is_that_of_saved_runs() {
        for kind in SideKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
        }
    }
}
