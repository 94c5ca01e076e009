//! What one series did in one phase: counts, histograms and a timeline, and the figures that follow from them.
//!
//! Figures are over *all* arrivals that came to an end. One without a complete reply (timed out, disconnected,
//! unreachable, dropped, abandoned) has a response time above every bound: a quantile that falls among these is
//! [`Quantile::Unbounded`], so that a server cannot look fast by not answering.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::{Histogram, Precision, duration_of, nearest_rank};
use super::timeline::Timeline;
use crate::outcome::Outcome;
use crate::time::Moment;

/// More than any run can count of anything; so few that adding thousands of them cannot overflow.
const MOST: u64 = 1 << 48;

/// A count for each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes([u64; Outcome::COUNT]);

impl Outcomes {
    /// How many calls ended so.
    pub const fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome.index()]
    }

    /// All calls that ended.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every outcome that occurred with its count, in the order of [`Outcome::ALL`].
    pub fn occurred(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self.get(outcome))).filter(|(_, count)| *count > 0)
    }

    pub(super) const fn count(&mut self, outcome: Outcome) {
        self.0[outcome.index()] += 1;
    }

    /// Counts `times` calls that ended so.
    #[cfg(test)]
    pub(crate) const fn count_n(&mut self, outcome: Outcome, times: u64) {
        self.0[outcome.index()] += times;
    }

    pub(super) fn are_possible(&self) -> bool {
        self.0.iter().all(|count| *count <= MOST)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours += theirs;
        }
    }
}

impl Serialize for Outcomes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.occurred())
    }
}

impl<'de> Deserialize<'de> for Outcomes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = std::collections::BTreeMap::<Outcome, u64>::deserialize(deserializer)?;
        let mut outcomes = Self::default();
        for (outcome, count) in counts {
            outcomes.0[outcome.index()] = count;
        }
        Ok(outcomes)
    }
}

/// A quantile of response time over all arrivals that came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// That share of the arrivals got its complete reply within this time.
    Finite(Duration),
    /// The quantile falls among arrivals without a complete reply.
    Unbounded,
}

/// Exact counts of one kind of time, for buckets whose bounds the [`super::Shape`] names: in each place, the times above
/// the bound before and up to this bound (inclusive); one more place for those above the last bound. Empty where nothing
/// was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketCounts(Vec<u64>);

impl BucketCounts {
    /// The counts, one more than there are bounds, or none at all.
    pub fn counts(&self) -> &[u64] {
        &self.0
    }

    /// Counts a time, in nanoseconds, between bounds in nanoseconds and ascending.
    pub(super) fn record(&mut self, bounds: &[u64], nanos: u64) {
        if self.0.len() <= bounds.len() {
            self.0.resize(bounds.len() + 1, 0);
        }
        self.0[bounds.partition_point(|bound| *bound < nanos)] += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            *ours += theirs;
        }
    }
}

/// What one series did in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Arrivals that a lane picked up: counted then, apart from what became of them.
    pub scheduled: u64,
    /// Calls that ended, by how.
    pub outcomes: Outcomes,
    /// Arrivals never sent, for want of room.
    pub dropped: u64,
    /// Arrivals unanswered when the run ended.
    pub abandoned: u64,
    /// Calls whose operation took the place of another that had no captured value yet.
    pub substituted: u64,
    /// The time, from due to given up, of all calls that ended without a complete reply.
    pub given_up: Duration,
    /// Response times of complete replies.
    pub response_time: Histogram,
    /// Service times of complete replies.
    pub service_time: Histogram,
    /// Pacing lag of every arrival picked up.
    pub pacing_lag: Histogram,
    /// Dispatch lag of every call of which a byte was sent.
    pub dispatch_lag: Histogram,
    /// Exact counts of response times; not saved.
    #[serde(skip)]
    pub response_buckets: BucketCounts,
    /// Exact counts of service times; not saved.
    #[serde(skip)]
    pub service_buckets: BucketCounts,
    /// Exact counts of pacing lag; not saved.
    #[serde(skip)]
    pub pacing_buckets: BucketCounts,
    /// The same counts by time.
    pub timeline: Timeline,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            scheduled: 0,
            outcomes: Outcomes::default(),
            dropped: 0,
            abandoned: 0,
            substituted: 0,
            given_up: Duration::ZERO,
            response_time: Histogram::new(Precision::Fine),
            service_time: Histogram::new(Precision::Fine),
            pacing_lag: Histogram::new(Precision::Coarse),
            dispatch_lag: Histogram::new(Precision::Coarse),
            response_buckets: BucketCounts::default(),
            service_buckets: BucketCounts::default(),
            pacing_buckets: BucketCounts::default(),
            timeline: Timeline::default(),
        }
    }
}

impl Tally {
    /// Calls that ended, well or badly.
    pub fn answered(&self) -> u64 {
        self.outcomes.total()
    }

    /// Calls that ended well.
    pub const fn ok(&self) -> u64 {
        self.outcomes.get(Outcome::Ok)
    }

    /// Arrivals that came to an end: answered, dropped or abandoned.
    pub fn ended(&self) -> u64 {
        self.answered() + self.dropped + self.abandoned
    }

    /// Arrivals that came to an end that is not ok.
    pub fn bad(&self) -> u64 {
        self.ended() - self.ok()
    }

    /// Arrivals that came to an end without a complete reply.
    pub fn without_reply(&self) -> u64 {
        let incomplete = self.outcomes.occurred().filter(|(outcome, _)| !outcome.is_complete_reply());
        incomplete.map(|(_, count)| count).sum::<u64>() + self.dropped + self.abandoned
    }

    /// Whether nothing was scheduled and nothing ended.
    pub fn is_idle(&self) -> bool {
        self.scheduled == 0 && self.ended() == 0
    }

    /// The share (0 to 1) of the arrivals that came to an end that is not ok. `None` where none came to an end.
    pub fn error_rate(&self) -> Option<f64> {
        self.share(self.bad())
    }

    /// The share (0 to 1) that was dropped.
    pub fn drop_rate(&self) -> Option<f64> {
        self.share(self.dropped)
    }

    /// The response time that a share `quantile` (0 to 1) of all arrivals kept to, by nearest rank over complete replies
    /// and then those without; 1 is the largest. `None` where no arrival came to an end.
    pub fn quantile(&self, quantile: f64) -> Option<Quantile> {
        let ended = self.response_time.len() + self.without_reply();
        let rank = nearest_rank(quantile, ended);
        (ended > 0).then(|| self.response_time.value_at_rank(rank).map_or(Quantile::Unbounded, Quantile::Finite))
    }

    /// The share (0 to 1) of all arrivals without a complete reply within `limit`.
    pub fn share_above(&self, limit: Duration) -> Option<f64> {
        let ended = self.response_time.len() + self.without_reply();
        (ended > 0).then(|| (ended - self.response_time.count_at_or_below(limit)) as f64 / ended as f64)
    }

    /// The mean response time over all calls that ended, failures included; one without a complete reply counts with the
    /// time until it was given up. Dropped and abandoned arrivals have no such time. `None` where no call ended.
    pub fn mean_of_all_calls(&self) -> Option<Duration> {
        let calls = u128::from(self.answered());
        let time = self.response_time.sum().saturating_add(self.given_up);
        (calls > 0).then(|| duration_of(time.as_nanos() / calls))
    }

    /// How many ok answers came while the schedule ran up to `end`: by then, give or take a cell of the timeline, and the
    /// time that an answer takes at the least. A server that falls behind its arrivals answers the rest later.
    pub fn came_by(&self, end: Moment) -> u64 {
        let limit = end.after(self.response_time.min().unwrap_or_default());
        let cells = self.timeline.cells().filter(|cell| self.timeline.start_of(cell) <= limit);
        cells.map(|cell| u64::from(cell.came)).sum()
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.outcomes.merge(&other.outcomes);
        self.dropped += other.dropped;
        self.abandoned += other.abandoned;
        self.substituted += other.substituted;
        self.given_up = self.given_up.saturating_add(other.given_up);
        self.response_time.merge(&other.response_time);
        self.service_time.merge(&other.service_time);
        self.pacing_lag.merge(&other.pacing_lag);
        self.dispatch_lag.merge(&other.dispatch_lag);
        self.response_buckets.merge(&other.response_buckets);
        self.service_buckets.merge(&other.service_buckets);
        self.pacing_buckets.merge(&other.pacing_buckets);
        self.timeline.merge(&other.timeline);
    }

    /// Adds all that `other` counted to what is kept for long.
    pub(super) fn keep(&mut self, other: &Self) {
        self.merge(other);
        self.timeline.settle(&other.timeline);
    }

    /// Whether no count is larger than any run can reach, so that adding a few thousand of them cannot overflow.
    pub(super) fn is_possible(&self) -> bool {
        let counts = [self.scheduled, self.dropped, self.abandoned, self.substituted];
        self.outcomes.are_possible() && counts.into_iter().all(|count| count <= MOST)
    }

    /// Forgets everything but keeps the memory.
    pub(super) fn clear(&mut self) {
        (self.scheduled, self.dropped, self.abandoned, self.substituted) = (0, 0, 0, 0);
        self.outcomes = Outcomes::default();
        self.given_up = Duration::ZERO;
        for histogram in [&mut self.response_time, &mut self.service_time, &mut self.pacing_lag, &mut self.dispatch_lag]
        {
            histogram.clear();
        }
        for buckets in [&mut self.response_buckets, &mut self.service_buckets, &mut self.pacing_buckets] {
            buckets.0.fill(0);
        }
        self.timeline.clear();
    }

    fn share(&self, count: u64) -> Option<f64> {
        let ended = self.ended();
        (ended > 0).then(|| count as f64 / ended as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(ok: u64, timeouts: u64) -> Tally {
        let mut tally = Tally::default();
        for n in 1..=ok {
            tally.outcomes.count(Outcome::Ok);
            tally.response_time.record(Duration::from_millis(n));
        }
        for _ in 0..timeouts {
            tally.outcomes.count(Outcome::TimeoutNoByte);
            tally.given_up += Duration::from_secs(1);
        }
        tally
    }

    #[test]
    fn a_call_without_a_complete_reply_counts_as_above_every_bound() {
        let tally = replies(95, 5);
        assert!(matches!(tally.quantile(0.95), Some(Quantile::Finite(time)) if time == Duration::from_millis(95)));
        assert_eq!(tally.quantile(0.96), Some(Quantile::Unbounded));
        assert_eq!(tally.share_above(Duration::from_millis(95)), Some(0.05));
        assert!(Quantile::Finite(Duration::MAX) < Quantile::Unbounded);
    }

    #[test]
    fn dropped_and_abandoned_arrivals_are_errors_above_every_bound() {
        let mut tally = replies(90, 0);
        (tally.dropped, tally.abandoned) = (7, 3);
        assert_eq!((tally.quantile(0.9), tally.quantile(0.91)), (tally.quantile(0.9), Some(Quantile::Unbounded)));
        assert_eq!((tally.error_rate(), tally.drop_rate()), (Some(0.1), Some(0.07)));
    }

    #[test]
    fn the_mean_over_all_calls_counts_the_time_until_a_call_was_given_up() {
        assert_eq!(replies(1, 1).mean_of_all_calls(), Some(Duration::from_micros(500_500)));
    }

    #[test]
    fn nothing_has_no_figures() {
        let nothing = Tally::default();
        assert_eq!((nothing.quantile(0.5), nothing.error_rate(), nothing.mean_of_all_calls()), (None, None, None));
        assert!(nothing.is_idle());
    }

    #[test]
    fn a_time_at_a_bound_is_within_it() {
        let mut buckets = BucketCounts::default();
        for nanos in [99, 100, 101, 200, 201] {
            buckets.record(&[100, 200], nanos);
        }
        assert_eq!(buckets.counts(), [2, 2, 1]);
    }

    #[test]
    fn outcomes_are_written_by_name_and_an_unknown_name_is_an_error() {
        let tally = replies(2, 1);
        let text = serde_json::to_string(&tally.outcomes).unwrap();
        assert_eq!(text, r#"{"ok":2,"timeout_no_byte":1}"#);
        assert_eq!(serde_json::from_str::<Outcomes>(&text).unwrap(), tally.outcomes);
        assert!(serde_json::from_str::<Outcomes>(r#"{"fine":2}"#).is_err());
    }
}
