//! All that a run measured, in a form that can be added, saved and looked at from every side.
//!
//! Merging is associative and commutative, with the empty summary as its neutral element; so shards, lanes and seconds
//! may be added in any order. A summary knows no plan: flows and operations are their places in it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Phase;
use super::bounded::at_most;
use super::event::Events;
use super::failures::Failures;
use super::health::Health;
use super::recorder::{Bounds, Gauges, Recorder};
use super::side::{SideCall, SideCalls};
use super::slowest::Slowest;
use super::tally::Tally;
use super::timeline::Timeline;
use super::truth::Truth;
use super::usage::Usage;
use crate::time::Moment;

/// At most this many groups of failures from recorders; merging adds groups as they are.
const FAILURE_GROUPS: usize = 256;

/// At most so many pairs of a flow and an operation. One that measured takes half a megabyte, as its histograms are there
/// in full however little they hold.
pub const MAX_SERIES: usize = 512;

/// More flows than a plan has, in a text.
const MOST_FLOWS: usize = u16::MAX as usize;

/// What one flow did with one operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Index of the flow in the plan.
    pub flow: u16,
    /// Index of the operation in the plan.
    pub operation: u16,
    /// What was due during warm-up.
    pub warmup: Tally,
    /// What was due after it.
    pub measure: Tally,
}

impl Series {
    /// What was due in `phase`.
    pub const fn tally(&self, phase: Phase) -> &Tally {
        match phase {
            Phase::Warmup => &self.warmup,
            Phase::Measure => &self.measure,
        }
    }

    const fn tally_mut(&mut self, phase: Phase) -> &mut Tally {
        match phase {
            Phase::Warmup => &mut self.warmup,
            Phase::Measure => &mut self.measure,
        }
    }
}

/// Which series a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of them.
    Total,
    /// Those of a flow.
    Flow(u16),
    /// Those of an operation.
    Operation(u16),
    /// One alone.
    Series {
        /// Index of the flow in the plan.
        flow: u16,
        /// Index of the operation in the plan.
        operation: u16,
    },
}

impl Scope {
    const fn holds(self, of: &Series) -> bool {
        match self {
            Self::Total => true,
            Self::Flow(flow) => of.flow == flow,
            Self::Operation(operation) => of.operation == operation,
            Self::Series { flow, operation } => of.flow == flow && of.operation == operation,
        }
    }
}

/// Where every arrival is: `scheduled = answered + dropped + abandoned + waiting + in flight`. `scheduled` is counted
/// apart from the rest, so that the equation fails where an arrival is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounting {
    /// Picked up by a lane.
    pub scheduled: u64,
    /// Ended, well or badly.
    pub answered: u64,
    /// Never sent, for want of room.
    pub dropped: u64,
    /// Unanswered when the run ended.
    pub abandoned: u64,
    /// Due, no room yet.
    pub waiting: u64,
    /// Sent and unanswered.
    pub in_flight: u64,
}

impl Accounting {
    /// All arrivals whose place is known.
    pub const fn accounted(&self) -> u64 {
        let ended = self.answered + self.dropped + self.abandoned;
        ended.saturating_add(self.waiting).saturating_add(self.in_flight)
    }

    /// Whether every arrival picked up has exactly one place.
    pub const fn balanced(&self) -> bool {
        self.scheduled == self.accounted()
    }
}

/// All that a run measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// When warm-up ended.
    pub warmup: Moment,
    /// How far the schedule was run: its end, or where it was broken off. Set by the engine.
    pub until: Moment,
    /// Where each flow's own schedule ends, by the flow's place in the plan; `until` where nothing is said. Set by the
    /// engine.
    #[serde(deserialize_with = "at_most::<MOST_FLOWS, _, _>")]
    pub ends: Vec<Moment>,
    /// How many arrivals were due until then; `None` while the run goes on. Set by the engine.
    pub due: Option<u64>,
    /// The levels of all lanes when they last reported, added up. Set by the engine after it has absorbed.
    pub gauges: Gauges,
    /// The earliest intended start.
    pub first_intended: Option<Moment>,
    /// The latest end of a call.
    pub last_done: Option<Moment>,
    /// In the order of flow and operation.
    #[serde(deserialize_with = "checked")]
    series: Vec<Series>,
    /// What failures said.
    pub failures: Failures,
    /// Calls that are no arrivals: sessions opened, kept up and closed.
    pub side_calls: SideCalls,
    /// Whether answers were true.
    #[serde(skip_serializing_if = "Truth::is_idle", deserialize_with = "possible")]
    pub truth: Truth,
    /// The slowest calls after warm-up, by name.
    #[serde(skip_serializing_if = "Slowest::is_empty")]
    pub slowest: Slowest,
    /// What happened to the run, or was done to it.
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub events: Events,
    /// How the generator fared, by the time at which it was looked at.
    #[serde(skip_serializing_if = "Timeline::is_empty")]
    pub health: Timeline<Health>,
    /// What the target's process used, where somebody looked.
    #[serde(skip_serializing_if = "Timeline::is_empty")]
    pub usage: Timeline<Usage>,
}

impl Summary {
    /// An empty summary of a run whose arrivals due before `warmup` are warm-up.
    pub fn new(warmup: Moment) -> Self {
        Self { warmup, ..Self::default() }
    }

    /// Adds what a recorder counted; its gauges are left to the caller, who knows all lanes.
    pub fn absorb(&mut self, recorder: &Recorder) {
        self.warmup = self.warmup.max(recorder.warmup());
        for (flow, operation, phase, tally) in recorder.tallies() {
            self.series_mut(flow, operation).tally_mut(phase).keep(tally);
        }
        self.failures.merge(recorder.failures(), FAILURE_GROUPS);
        self.side_calls.merge(recorder.side_calls());
        self.truth.merge(&recorder.truth);
        self.slowest.merge(recorder.slowest());
        self.health.merge(recorder.health());
        self.health.settle(recorder.health());
        self.span(recorder.first_intended(), recorder.last_done());
    }

    /// Adds what another summary holds: another shard of the same plan, or another stretch of the same run.
    pub fn merge(&mut self, other: &Self) {
        self.warmup = self.warmup.max(other.warmup);
        self.until = self.until.max(other.until);
        self.ends.resize(self.ends.len().max(other.ends.len()), Moment::ZERO);
        for (ours, theirs) in self.ends.iter_mut().zip(&other.ends) {
            *ours = (*ours).max(*theirs);
        }
        self.due = [self.due, other.due].into_iter().flatten().reduce(u64::saturating_add);
        self.gauges += other.gauges;
        for series in &other.series {
            let ours = self.series_mut(series.flow, series.operation);
            ours.warmup.merge(&series.warmup);
            ours.measure.merge(&series.measure);
        }
        self.failures.merge(&other.failures, usize::MAX);
        self.side_calls.merge(&other.side_calls);
        self.truth.merge(&other.truth);
        self.slowest.merge(&other.slowest);
        self.events.merge(&other.events);
        self.health.merge(&other.health);
        self.usage.merge(&other.usage);
        self.span(other.first_intended, other.last_done);
    }

    /// Counts a call that is no arrival and that no lane made; `bounds` are those of the run.
    pub fn note_side_call(&mut self, call: &SideCall, bounds: &Bounds) {
        let nanos = |bound: &Duration| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let bounds: Vec<u64> = bounds.service_time.iter().map(nanos).collect();
        self.side_calls.record(call, &bounds);
    }

    /// Notes how many `arrivals` of a series the profile intends, as a mean, around the instant `at`. The engine says so
    /// at least once a second of the run; the amounts of a phase and series together are what was intended in it.
    pub fn expect(&mut self, flow: u16, operation: u16, at: Moment, arrivals: f64) {
        let phase = if at < self.warmup { Phase::Warmup } else { Phase::Measure };
        self.series_mut(flow, operation).tally_mut(phase).timeline.at(at).expected += arrivals;
    }

    /// Everything by flow and operation, in that order.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// The flows of which something is known, ascending.
    pub fn flows(&self) -> Vec<u16> {
        let mut flows: Vec<u16> = self.series.iter().map(|series| series.flow).collect();
        flows.dedup();
        flows
    }

    /// The operations of which something is known, ascending.
    pub fn operations(&self) -> Vec<u16> {
        let mut operations: Vec<u16> = self.series.iter().map(|series| series.operation).collect();
        operations.sort_unstable();
        operations.dedup();
        operations
    }

    /// What the series in `scope` did together in `phase`; in both phases where that is `None`.
    pub fn tally(&self, scope: Scope, phase: Option<Phase>) -> Tally {
        let mut together = Tally::default();
        for series in self.series.iter().filter(|series| scope.holds(series)) {
            for wanted in Phase::ALL.into_iter().filter(|each| phase.is_none_or(|phase| phase == *each)) {
                together.merge(series.tally(wanted));
            }
        }
        together
    }

    /// Where every arrival of the whole run is, warm-up included.
    pub fn accounting(&self) -> Accounting {
        let mut accounting =
            Accounting { waiting: self.gauges.waiting, in_flight: self.gauges.in_flight, ..Accounting::default() };
        for tally in self.series.iter().flat_map(|series| [&series.warmup, &series.measure]) {
            accounting.scheduled += tally.scheduled;
            accounting.answered += tally.answered();
            accounting.dropped += tally.dropped;
            accounting.abandoned += tally.abandoned;
        }
        accounting
    }

    /// How far the schedule of what is in `scope` was run.
    pub fn end_of(&self, scope: Scope) -> Moment {
        let flows = self.series.iter().filter(|series| scope.holds(series)).map(|series| usize::from(series.flow));
        let ends = flows.map(|flow| self.ends.get(flow).copied().unwrap_or(self.until));
        ends.max().unwrap_or(self.until).min(self.until)
    }

    /// How long the schedule of what is in `scope` ran after warm-up.
    pub fn measured_duration(&self, scope: Scope) -> Duration {
        self.end_of(scope).since(self.warmup)
    }

    fn series_mut(&mut self, flow: u16, operation: u16) -> &mut Series {
        let found = self.series.binary_search_by_key(&(flow, operation), |series| (series.flow, series.operation));
        let place = found.unwrap_or_else(|place| {
            self.series.insert(place, Series { flow, operation, ..Series::default() });
            place
        });
        &mut self.series[place]
    }

    fn span(&mut self, first: Option<Moment>, last: Option<Moment>) {
        self.first_intended = [self.first_intended, first].into_iter().flatten().min();
        self.last_done = self.last_done.max(last);
    }
}

/// Why saved series are not a summary's.
#[derive(Debug, thiserror::Error)]
#[error("read a summary: its series must ascend by flow and operation, and count less than 2^48 of anything")]
struct Unreadable;

fn checked<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Series>, D::Error> {
    let series: Vec<Series> = at_most::<MAX_SERIES, _, _>(deserializer)?;
    let ascend = series.is_sorted_by(|left, right| (left.flow, left.operation) < (right.flow, right.operation));
    let possible = series.iter().all(|series| series.warmup.is_possible() && series.measure.is_possible());
    if ascend && possible { Ok(series) } else { Err(serde::de::Error::custom(Unreadable)) }
}

fn possible<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Truth, D::Error> {
    let truth = Truth::deserialize(deserializer)?;
    if truth.is_possible() { Ok(truth) } else { Err(serde::de::Error::custom(Unreadable)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{FailureText, Fate, Sample, Shape};
    use super::*;
    use crate::outcome::Outcome;

    const WARMUP: Moment = Moment::from_nanos(2_000_000_000);

    fn recorded(arrivals: &[(u16, u64, u8)]) -> Recorder {
        let mut recorder = Recorder::new(&Shape { flows: 2, operations: 2, slowest: 3, ..Shape::default() }, WARMUP);
        for (series, ms, how) in arrivals {
            let intended = Moment::from_nanos(ms * 1_000_000);
            let (flow, operation) = (series / 2, series % 2);
            let done = intended.after(Duration::from_micros(ms % 977 + u64::from(*how)));
            let fate = match usize::from(*how) {
                15 => Fate::Dropped,
                16 => Fate::Abandoned,
                n => Fate::Answered { sent: Some(intended), first_byte: None, done, outcome: Outcome::ALL[n] },
            };
            let sample = Sample { flow, operation, sequence: 0, substituted: false, intended, picked_up: done, fate };
            recorder.picked_up(flow, operation, intended, done);
            recorder.record(
                &sample,
                Some(FailureText { group: ["a", "b"][usize::from(*how % 2)], example: "e", retry_after: None }),
            );
        }
        recorder
    }

    fn summary(arrivals: &[(u16, u64, u8)]) -> Summary {
        let mut summary = Summary::default();
        summary.absorb(&recorded(arrivals));
        summary.expect(0, 0, WARMUP, arrivals.len() as f64);
        summary.until = Moment::from_nanos(arrivals.len() as u64);
        summary.due = (!arrivals.is_empty()).then_some(arrivals.len() as u64);
        summary
    }

    fn arrivals() -> impl Strategy<Value = Vec<(u16, u64, u8)>> {
        prop::collection::vec((0..4_u16, 0..9_000_u64, 0..17_u8), 0..25)
    }

    fn merged(left: &Summary, right: &Summary) -> Summary {
        let mut sum = left.clone();
        sum.merge(right);
        sum
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn merging_is_associative_and_commutative_and_the_same_as_recording_all(
            a in arrivals(), b in arrivals(), c in arrivals(),
        ) {
            let (x, y, z) = (summary(&a), summary(&b), summary(&c));
            prop_assert_eq!(merged(&x, &y), merged(&y, &x));
            prop_assert_eq!(merged(&merged(&x, &y), &z), merged(&x, &merged(&y, &z)));
            let whole = recorded(&[a, b, c].concat());
            let mut once = Summary::default();
            once.absorb(&whole);
            let all = merged(&merged(&x, &y), &z);
            prop_assert_eq!(&all.failures, &once.failures);
            prop_assert_eq!(all.accounting(), once.accounting());
            prop_assert_eq!(
                all.tally(Scope::Total, None).response_time,
                once.tally(Scope::Total, None).response_time
            );
        }

        #[test]
        fn what_was_saved_is_read_again(a in arrivals()) {
            let summary = merged(&summary(&a), &Summary::new(WARMUP));
            let mut read: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
            // The exact buckets are the exporter's and not saved.
            for (read, saved) in read.series.iter_mut().zip(&summary.series) {
                for phase in Phase::ALL {
                    let (read, saved) = (read.tally_mut(phase), saved.tally(phase));
                    read.response_buckets = saved.response_buckets.clone();
                    read.service_buckets = saved.service_buckets.clone();
                    read.pacing_buckets = saved.pacing_buckets.clone();
                }
            }
            prop_assert_eq!(read, summary);
        }
    }

    #[test]
    fn series_in_disorder_and_impossible_counts_are_refused() {
        let series = |flow: u16, dropped: u64| {
            let measure = Tally { dropped, ..Tally::default() };
            Series { flow, measure, ..Series::default() }
        };
        let read = |series: Vec<Series>| {
            let text = serde_json::to_string(&Summary { series, ..Summary::default() }).unwrap();
            serde_json::from_str::<Summary>(&text)
        };
        assert!(read(vec![series(0, 1), series(1, 1)]).is_ok());
        assert!(read(vec![series(1, 1), series(0, 1)]).is_err());
        assert!(read(vec![series(0, u64::MAX)]).unwrap_err().to_string().contains("2^48"));
    }

    #[test]
    fn every_scope_and_phase_adds_up() {
        let summary = summary(&[(0, 1, 0), (1, 3000, 0), (2, 3000, 1), (3, 4000, 15), (3, 5000, 16)]);
        let ended = |scope, phase| summary.tally(scope, phase).ended();
        assert_eq!((ended(Scope::Total, None), ended(Scope::Total, Some(Phase::Measure))), (5, 4));
        assert_eq!((ended(Scope::Flow(0), None), ended(Scope::Flow(1), None)), (2, 3));
        assert_eq!((ended(Scope::Operation(0), None), ended(Scope::Operation(1), None)), (2, 3));
        assert_eq!(ended(Scope::Series { flow: 1, operation: 1 }, Some(Phase::Warmup)), 0);
        assert_eq!((summary.flows(), summary.operations()), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn an_arrival_that_is_lost_unbalances_the_account() {
        let mut recorder = recorded(&[(0, 1, 0), (0, 2, 15)]);
        recorder.picked_up(0, 0, WARMUP, WARMUP);
        let mut summary = Summary::default();
        summary.absorb(&recorder);
        assert!(!summary.accounting().balanced());
        summary.gauges.in_flight = 1;
        assert_eq!((summary.accounting().balanced(), summary.accounting().scheduled), (true, 3));
    }
}
