//! A lane's own counts: where each sample goes, without a lock, a clock or (after a series' first record) an allocation.
//!
//! A lane holds two recorders and swaps them; whoever got the filled one adds it to a [`super::Summary`], clears it and
//! gives it back.

use std::ops::AddAssign;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Phase;
use super::failures::{FailureText, Failures, Seen};
use super::health::Health;
use super::replies::Replies;
use super::sample::{Fate, Sample};
use super::side::{SideCall, SideCalls};
use super::slowest::{SlowCall, Slowest};
use super::spread::Windows;
use super::tally::Tally;
use super::timeline::Timeline;
use super::truth::Truth;
use super::warmup::WarmupEnd;
use crate::outcome::Outcome;
use crate::time::Moment;
use crate::trace::Traces;

/// At most this many groups of failures between two swaps.
const FAILURE_GROUPS: usize = 64;

/// How much there is to count.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// How many flows the plan has.
    pub flows: u16,
    /// How many operations the plan has.
    pub operations: u16,
    /// The exporter's buckets.
    pub bounds: Bounds,
    /// How many of the slowest calls are kept.
    pub slowest: usize,
    /// The traces that calls tell, where they tell any.
    pub traces: Option<Traces>,
}

/// Upper bounds (inclusive) of the buckets that are counted exactly, each list ascending.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// For response times.
    pub response_time: Vec<Duration>,
    /// For service times.
    pub service_time: Vec<Duration>,
    /// For pacing lag.
    pub pacing_lag: Vec<Duration>,
}

/// Levels of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gauges {
    /// Calls sent and unanswered.
    pub in_flight: u64,
    /// Arrivals due that found no room yet.
    pub waiting: u64,
    /// Connections open.
    pub connections: u64,
    /// Bytes sent so far.
    pub bytes_sent: u64,
    /// Bytes received so far.
    pub bytes_received: u64,
}

impl AddAssign for Gauges {
    fn add_assign(&mut self, other: Self) {
        self.in_flight = self.in_flight.saturating_add(other.in_flight);
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.connections = self.connections.saturating_add(other.connections);
        self.bytes_sent = self.bytes_sent.saturating_add(other.bytes_sent);
        self.bytes_received = self.bytes_received.saturating_add(other.bytes_received);
    }
}

/// Counts of one lane since it was last cleared.
#[derive(Debug)]
pub struct Recorder {
    operations: usize,
    warmup: WarmupEnd,
    response_bounds: Vec<u64>,
    service_bounds: Vec<u64>,
    pacing_bounds: Vec<u64>,
    /// By flow, operation and phase; boxed, so that a series that is not used costs one pointer.
    tallies: Vec<Option<Box<Tally>>>,
    failures: Failures,
    side_calls: SideCalls,
    first_intended: Option<Moment>,
    last_done: Option<Moment>,
    replies: Replies,
    /// The second that the schedule is in, and the one that picking up is in: they go from recorder to recorder.
    windows: [Windows; 2],
    health: Timeline<Health>,
    slowest: Slowest,
    traces: Option<Traces>,
    /// Whether answers were true.
    pub truth: Truth,
    /// The lane's levels when it gave this recorder away.
    pub gauges: Gauges,
}

impl Recorder {
    /// An empty recorder for a run whose arrivals due before `warmup` are warm-up.
    pub fn new(shape: &Shape, warmup: impl Into<WarmupEnd>) -> Self {
        let nanos = |bounds: &[Duration]| bounds.iter().copied().map(nanos_of).collect();
        let series = usize::from(shape.flows) * usize::from(shape.operations);
        Self {
            operations: usize::from(shape.operations),
            warmup: warmup.into(),
            response_bounds: nanos(&shape.bounds.response_time),
            service_bounds: nanos(&shape.bounds.service_time),
            pacing_bounds: nanos(&shape.bounds.pacing_lag),
            tallies: std::iter::repeat_with(|| None).take(series * Phase::ALL.len()).collect(),
            failures: Failures::default(),
            side_calls: SideCalls::default(),
            first_intended: None,
            last_done: None,
            replies: Replies::default(),
            windows: Default::default(),
            health: Timeline::default(),
            slowest: Slowest::of(shape.slowest),
            traces: shape.traces,
            truth: Truth::default(),
            gauges: Gauges::default(),
        }
    }

    /// Counts an arrival that the lane takes at `picked_up`: before its fate is known and apart from
    /// [`Recorder::record`], so that one that is lost on the way is missed. `operation` must be the one that its sample
    /// will name.
    pub fn picked_up(&mut self, flow: u16, operation: u16, intended: Moment, picked_up: Moment) {
        self.scheduled(flow, operation, intended);
        self.released(flow, operation, intended, picked_up);
    }

    /// Counts an arrival as [`Recorder::picked_up`] does, all but when that was: [`Recorder::released`] will say so.
    pub fn scheduled(&mut self, flow: u16, operation: u16, intended: Moment) {
        let place = self.place(flow, operation, intended);
        let tally = self.tallies[place].get_or_insert_default();
        tally.scheduled += 1;
        let cell = tally.timeline.at(intended);
        cell.scheduled = cell.scheduled.saturating_add(1);
        if self.first_intended.is_none_or(|first| intended < first) {
            self.first_intended = Some(intended);
        }
        let [due, _] = &mut self.windows;
        if let Some((begin, over)) = due.count(intended.as_nanos()) {
            self.health.at(Moment::from_nanos(begin)).intended.merge(&over);
        }
    }

    /// Notes when an arrival that was counted as scheduled was picked up.
    pub fn released(&mut self, flow: u16, operation: u16, intended: Moment, picked_up: Moment) {
        let lag = nanos_between(intended, picked_up);
        let place = self.place(flow, operation, intended);
        let tally = self.tallies[place].get_or_insert_default();
        tally.pacing_lag.record_nanos(lag);
        tally.pacing_buckets.record(&self.pacing_bounds, lag);
        let [_, taken] = &mut self.windows;
        if let Some((begin, over)) = taken.count(picked_up.as_nanos()) {
            self.health.at(Moment::from_nanos(begin)).sent.merge(&over);
        }
    }

    /// Goes on with the second that another recorder of the same lane had begun.
    pub fn go_on_from(&mut self, other: &mut Self) {
        self.windows = std::mem::take(&mut other.windows);
    }

    /// Counts what became of an arrival; `failure` says why where its outcome is not ok.
    ///
    /// # Panics
    ///
    /// Where the sample names a flow or an operation that the shape has not.
    pub fn record(&mut self, sample: &Sample, failure: Option<FailureText<'_>>) {
        let place = self.place(sample.flow, sample.operation, sample.intended);
        let tally = self.tallies[place].get_or_insert_default();
        tally.substituted += u64::from(sample.substituted);
        let cell = tally.timeline.at(sample.intended);
        match sample.fate {
            Fate::Dropped => {
                tally.dropped += 1;
                cell.dropped = cell.dropped.saturating_add(1);
            }
            Fate::Abandoned => {
                tally.abandoned += 1;
                cell.abandoned = cell.abandoned.saturating_add(1);
            }
            Fate::Answered { done, outcome, .. } => {
                tally.outcomes.count(outcome);
                let response = sample.response_time().map_or(0, nanos_of);
                cell.time = cell.time.saturating_add(response);
                if let Some(lag) = sample.dispatch_lag() {
                    tally.dispatch_lag.record_nanos(nanos_of(lag));
                }
                if outcome.is_complete_reply() {
                    let count = if outcome == Outcome::Ok { &mut cell.ok } else { &mut cell.failed };
                    *count = count.saturating_add(1);
                    cell.response.record_nanos(response);
                    tally.response_time.record_nanos(response);
                    tally.response_buckets.record(&self.response_bounds, response);
                    if let Some(service) = sample.service_time().map(nanos_of) {
                        tally.service_time.record_nanos(service);
                        tally.service_buckets.record(&self.service_bounds, service);
                    }
                } else {
                    cell.incomplete = cell.incomplete.saturating_add(1);
                    tally.given_up = tally.given_up.saturating_add(Duration::from_nanos(response));
                }
                if outcome == Outcome::Ok {
                    let cell = tally.timeline.at(done);
                    cell.came = cell.came.saturating_add(1);
                }
                self.last_done = self.last_done.max(Some(done));
                self.replies.count(sample.intended, done, outcome.is_complete_reply());
                self.look_closer(sample);
                if let Some(FailureText { group, example, retry_after }) = failure.filter(|_| outcome != Outcome::Ok) {
                    let key = (self.phase(sample.intended), sample.operation, outcome, group);
                    let seen = Seen { first: sample.intended, example, retry_after };
                    self.failures.record(key, seen, FAILURE_GROUPS);
                }
            }
        }
    }

    /// Keeps a call by name, where it is one of the slowest after warm-up.
    fn look_closer(&mut self, sample: &Sample) {
        let Sample { flow, operation, sequence, intended, .. } = *sample;
        let Fate::Answered { sent, done, outcome, .. } = sample.fate else { return };
        if self.slowest.takes(done.since(intended)) && self.phase(intended) == Phase::Measure {
            let trace = self.traces.map(|traces| traces.of(flow, sequence).trace);
            self.slowest.keep(SlowCall { flow, operation, sequence, intended, sent, done, outcome, trace });
        }
    }

    /// Counts as many arrivals as one, all picked up when due, sent at once and ended after `response`.
    #[cfg(test)]
    pub(crate) fn record_in_bulk(
        &mut self,
        (flow, operation): (u16, u16),
        intended: Moment,
        response: Duration,
        outcome: Outcome,
        times: u32,
    ) {
        let place = self.place(flow, operation, intended);
        let tally = self.tallies[place].get_or_insert_default();
        tally.scheduled += u64::from(times);
        tally.pacing_lag.record_n(Duration::ZERO, times);
        tally.dispatch_lag.record_n(Duration::ZERO, times);
        tally.outcomes.count_n(outcome, u64::from(times));
        let cell = tally.timeline.at(intended);
        cell.scheduled += times;
        if outcome.is_complete_reply() {
            *if outcome == Outcome::Ok { &mut cell.ok } else { &mut cell.failed } += times;
            cell.response.record_n(response, times);
            tally.response_time.record_n(response, times);
            tally.service_time.record_n(response, times);
            cell.came += times;
        } else {
            cell.incomplete += times;
            tally.given_up += response * times;
        }
    }

    /// Counts a call that is no arrival.
    pub fn record_side_call(&mut self, call: &SideCall) {
        self.side_calls.record(call, &self.service_bounds);
    }

    /// Forgets everything but the memory of the series in use. What warm-up used is given back once it is over.
    pub fn clear(&mut self) {
        for (place, slot) in self.tallies.iter_mut().enumerate() {
            let warmup = place % Phase::ALL.len() == Phase::Warmup as usize;
            match slot {
                Some(tally) if warmup && tally.is_idle() => *slot = None,
                Some(tally) => tally.clear(),
                None => {}
            }
        }
        self.failures.clear();
        self.side_calls.clear();
        self.truth.clear();
        self.health.clear();
        self.slowest.clear();
        (self.first_intended, self.last_done) = (None, None);
        self.replies = Replies::default();
    }

    /// When warm-up ends, as far as is known.
    pub fn warmup(&self) -> Moment {
        self.warmup.moment()
    }

    /// What was counted, by flow, operation and phase.
    pub fn tallies(&self) -> impl Iterator<Item = (u16, u16, Phase, &Tally)> {
        let counted = self.tallies.iter().enumerate().filter_map(|(place, slot)| Some((place, slot.as_deref()?)));
        counted.filter(|(_, tally)| !tally.is_idle()).map(|(place, tally)| {
            let (series, phase) = (place / Phase::ALL.len(), Phase::ALL[place % Phase::ALL.len()]);
            ((series / self.operations) as u16, (series % self.operations) as u16, phase, tally)
        })
    }

    /// What failures said.
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// The calls that are no arrivals.
    pub const fn side_calls(&self) -> &SideCalls {
        &self.side_calls
    }

    /// How evenly the lane sent.
    pub const fn health(&self) -> &Timeline<Health> {
        &self.health
    }

    /// The slowest calls after warm-up.
    pub const fn slowest(&self) -> &Slowest {
        &self.slowest
    }

    /// The earliest intended start picked up.
    pub const fn first_intended(&self) -> Option<Moment> {
        self.first_intended
    }

    /// The latest end of a call.
    pub const fn last_done(&self) -> Option<Moment> {
        self.last_done
    }

    /// When complete replies came.
    pub const fn replies(&self) -> &Replies {
        &self.replies
    }

    fn phase(&self, intended: Moment) -> Phase {
        if intended < self.warmup.moment() { Phase::Warmup } else { Phase::Measure }
    }

    fn place(&self, flow: u16, operation: u16, intended: Moment) -> usize {
        let series = usize::from(flow) * self.operations + usize::from(operation);
        series * Phase::ALL.len() + self.phase(intended) as usize
    }
}

/// The lane's arithmetic is in whole nanoseconds: a `Duration` would divide and multiply at every step.
fn nanos_between(from: Moment, to: Moment) -> u64 {
    to.as_nanos().saturating_sub(from.as_nanos())
}

fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * MS)
    }

    fn shape() -> Shape {
        let bounds = Bounds { response_time: vec![Duration::from_millis(10)], ..Bounds::default() };
        Shape { flows: 2, operations: 3, bounds, slowest: 2, traces: Some(Traces::of_run("run")) }
    }

    fn sample(intended: u64, sent: u64, done: u64, outcome: Outcome) -> Sample {
        let fate = Fate::Answered { sent: Some(at(sent)), first_byte: None, done: at(done), outcome };
        let (intended, picked_up) = (at(intended), at(intended));
        Sample { flow: 1, operation: 2, sequence: 0, substituted: false, intended, picked_up, fate }
    }

    #[test]
    fn a_sample_is_counted_in_its_series_and_in_the_phase_in_which_it_was_due() {
        let mut recorder = Recorder::new(&shape(), at(1000));
        recorder.record(&sample(999, 1200, 1300, Outcome::Ok), None);
        recorder.record(&sample(1000, 1001, 1011, Outcome::Ok), None);
        let seen: Vec<_> = recorder.tallies().map(|(flow, op, phase, tally)| (flow, op, phase, tally.ok())).collect();
        assert_eq!(seen, [(1, 2, Phase::Warmup, 1), (1, 2, Phase::Measure, 1)]);
        let (_, _, _, measured) = recorder.tallies().nth(1).unwrap();
        assert_eq!(measured.response_time.max(), Some(Duration::from_millis(11)));
        assert_eq!(measured.service_time.max(), Some(Duration::from_millis(10)));
        assert_eq!(measured.dispatch_lag.max(), Some(Duration::from_millis(1)));
        assert_eq!(measured.response_buckets.counts(), [0, 1]);
    }

    #[test]
    fn the_slowest_calls_after_warm_up_are_kept_with_their_traces_until_the_recorder_is_cleared() {
        let mut recorder = Recorder::new(&shape(), at(1000));
        for (intended, done) in [(900, 9000), (1000, 1005), (1001, 1003), (1002, 1012)] {
            let sequence = intended;
            recorder.record(&Sample { sequence, ..sample(intended, intended + 1, done, Outcome::ToolError) }, None);
        }
        recorder.record(&Sample { fate: Fate::Dropped, ..sample(1003, 0, 0, Outcome::Ok) }, None);
        let calls = recorder.slowest().calls();
        let named: Vec<_> =
            calls.iter().map(|call| (call.sequence, call.response_time(), call.service_time())).collect();
        let ms = Duration::from_millis;
        assert_eq!(named, [(1002, ms(10), Some(ms(9))), (1000, ms(5), Some(ms(4)))]);
        assert_eq!(calls[0].trace, Some(Traces::of_run("run").of(1, 1002).trace));
        recorder.clear();
        assert!(recorder.slowest().is_empty());
    }

    #[test]
    fn a_timeout_has_no_response_time_but_the_time_until_it_was_given_up() {
        let mut recorder = Recorder::new(&shape(), Moment::ZERO);
        let text = FailureText { group: "no byte", example: "no byte within 30 s", retry_after: None };
        recorder.record(&sample(5, 6, 30_005, Outcome::TimeoutNoByte), Some(text));
        let (_, _, _, tally) = recorder.tallies().next().unwrap();
        assert_eq!((tally.response_time.len(), tally.service_time.len(), tally.dispatch_lag.len()), (0, 0, 1));
        assert_eq!((tally.given_up, tally.timeline.cells().next().unwrap().incomplete), (Duration::from_secs(30), 1));
        assert_eq!(recorder.failures().groups()[0].group, "no byte");
    }

    #[test]
    fn an_arrival_is_counted_when_picked_up_and_again_at_its_end() {
        let mut recorder = Recorder::new(&shape(), Moment::ZERO);
        recorder.picked_up(0, 0, at(5), at(7));
        let (_, _, _, tally) = recorder.tallies().next().unwrap();
        assert_eq!((tally.scheduled, tally.ended(), tally.pacing_lag.max()), (1, 0, Some(Duration::from_millis(2))));
        assert_eq!((recorder.first_intended(), recorder.last_done()), (Some(at(5)), None));
    }

    #[test]
    fn seconds_of_arrivals_go_on_from_recorder_to_recorder() {
        let (mut first, mut second) = (Recorder::new(&shape(), at(0)), Recorder::new(&shape(), at(0)));
        for ms in 0..700 {
            first.picked_up(0, 0, at(ms), at(ms + 400));
        }
        second.go_on_from(&mut first);
        for ms in 700..1601 {
            second.picked_up(0, 0, at(ms), at(ms + 400));
        }
        let counts = |recorder: &Recorder| -> Vec<(u64, u64, u64)> {
            let cells = recorder.health().cells();
            cells.map(|cell| (cell.index, cell.intended.arrivals(), cell.sent.arrivals())).collect()
        };
        assert_eq!(counts(&first), [(0, 0, 600)]);
        assert_eq!(counts(&second), [(0, 1000, 0), (1, 0, 1000)]);
        second.clear();
        assert_eq!(counts(&second), []);
    }

    #[test]
    fn a_cleared_recorder_counts_anew_and_gives_the_memory_of_warm_up_back() {
        let mut recorder = Recorder::new(&shape(), at(1000));
        recorder.record(&sample(1, 2, 3, Outcome::Ok), None);
        recorder.clear();
        assert_eq!(recorder.tallies().count(), 0);
        assert!(recorder.tallies.iter().any(Option::is_some));
        recorder.clear();
        assert!(recorder.tallies.iter().all(Option::is_none));
        recorder.record(&sample(2000, 2001, 2002, Outcome::Ok), None);
        assert_eq!(recorder.tallies().map(|(_, _, _, tally)| tally.ok()).sum::<u64>(), 1);
    }
}
