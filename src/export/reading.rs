//! What a run looked like when it last published: the few numbers of a summary that `/metrics` shows.
//!
//! A summary holds histograms and a timeline of megabytes; a [`Reading`] copies its counts only, so that publishing
//! costs the caller microseconds and rendering is left to the exporter's own thread.

use std::collections::BTreeSet;
use std::time::Duration;

use super::stillness::Stillness;
use crate::measure::{
    Bounds, BucketCounts, EventKind, Gauges, Health, Phase, SideKind, SideTally, Summary, Tally, Truth, Usage,
};
use crate::outcome::{Outcome, Probe, Violation};
use crate::time::{Moment, Rate};
use crate::verdict::{Bound, Finding, Judgement, Standing, Verdict, pacing_limit};

/// No label value is longer, in characters.
const LONGEST_LABEL: usize = 120;

/// What can be changed by hand, by the names of `mcpace ctl`, and what a run notes of it.
pub(super) const CHANGES: [(&str, EventKind); 4] = [
    ("rate", EventKind::RateSet),
    ("pause", EventKind::Paused),
    ("resume", EventKind::Resumed),
    ("stop", EventKind::StopAsked),
];

/// Who is running what: it never changes during a run.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The run's own id.
    pub run_id: String,
    /// What the plan calls itself; may be empty.
    pub name: String,
    /// The seed of schedule and operations.
    pub seed: u64,
    /// The names of the plan's flows, by their place in it.
    pub flows: Vec<String>,
    /// The names of the plan's operations, by their place in it.
    pub operations: Vec<String>,
    /// Which flow (first) calls which operation (second). Their counters are there from the beginning, at zero, so that
    /// no increase is missed.
    pub series: Vec<(u16, u16)>,
    /// Operations with an idempotency key.
    pub keyed: Vec<u16>,
    /// The bounds of the buckets that lanes count.
    pub bounds: Bounds,
    /// How long arrivals are due at most, warm-up included.
    pub planned: Duration,
    /// Calls in flight at most.
    pub concurrent: u32,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// Nothing was scheduled yet: connecting, asking for tools.
    #[default]
    Starting,
    /// In the leading part that is not judged.
    Warmup,
    /// In the part that is judged.
    Measure,
    /// Nothing is due, because somebody wanted it so.
    Paused,
    /// The schedule has ended; replies are still awaited.
    Draining,
    /// All is counted: these are the final values.
    Ended,
}

impl RunState {
    /// Every state, in order.
    pub const ALL: [Self; 6] = [Self::Starting, Self::Warmup, Self::Measure, Self::Paused, Self::Draining, Self::Ended];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Warmup => "warmup",
            Self::Measure => "measure",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

/// What the exporter is given to show, about twice a second.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// When this is so.
    pub now: Moment,
    /// How far the run has come.
    pub state: RunState,
    /// Everything counted so far. Counts must never be lower than in the snapshot before.
    pub summary: &'a Summary,
    /// What the profile of each flow intends at present, by the flow's place in the plan.
    pub intended: &'a [Rate],
    /// How its objectives stand, and what speaks against the generator.
    pub judgement: &'a Judgement,
}

/// How an objective stands at present.
#[derive(Clone, Debug)]
pub(super) struct ObjectiveState {
    /// The objective as its user wrote it, with its scope, as a label value.
    pub(super) text: String,
    /// What it is about, as label values: its indicator, its flow and its operation, of which one is empty or both are.
    indicator: &'static str,
    flow: String,
    operation: String,
    pub(super) bound: Bound,
    /// Whether it is met; `None` while that is undecided.
    pub(super) met: Option<bool>,
    /// As in [`crate::verdict::Finding::budget_left`].
    pub(super) budget_left: Option<f64>,
}

impl ObjectiveState {
    fn of(finding: &Finding, text: String, identity: &Identity) -> Self {
        let objective = &finding.objective;
        let scope = objective.scope().unwrap_or_default();
        let named =
            |names: &[String]| names.iter().position(|name| name == scope).map(|place| labels(names)[place].clone());
        let operation = named(&identity.operations);
        let flow = if operation.is_some() { None } else { named(&identity.flows) };
        Self {
            text,
            indicator: objective.indicator().name(),
            flow: flow.unwrap_or_default(),
            operation: operation.unwrap_or_default(),
            bound: objective.bound(),
            met: match finding.standing {
                Standing::Met => Some(true),
                Standing::Missed => Some(false),
                Standing::Undecided => None,
            },
            budget_left: finding.budget_left,
        }
    }

    /// The objective, its indicator, its flow and its operation.
    pub(super) fn labels(&self) -> [&str; 4] {
        [&self.text, self.indicator, &self.flow, &self.operation]
    }
}

/// The numbers of one snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Counted up with each snapshot; zero before the first.
    pub(super) generation: u64,
    /// When it was published, in seconds since 1970.
    pub(super) published: f64,
    pub(super) state: RunState,
    /// When each state was come to, in seconds since 1970.
    pub(super) begins: [Option<f64>; RunState::ALL.len()],
    pub(super) verdict: Option<Verdict>,
    /// By flow, operation and phase.
    pub(super) series: Vec<SeriesCounts>,
    /// By flow.
    pub(super) intended: Vec<f64>,
    pub(super) gauges: Gauges,
    /// Every kind, in order.
    pub(super) side_calls: Vec<SideCounts>,
    pub(super) truth: TruthCounts,
    pub(super) objectives: Vec<ObjectiveState>,
    pub(super) doubts: usize,
    /// How much pacing lag the p99 may have.
    pub(super) lag_limit: Duration,
    pub(super) stillness: Stillness,
    /// By [`CHANGES`].
    pub(super) changes: [u64; CHANGES.len()],
    /// How the generator fared in the last stretch in which its lanes were looked at.
    pub(super) health: Health,
    /// What the target's process used in the last stretch in which somebody looked.
    pub(super) usage: Usage,
}

/// Whether answers were true, in numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct TruthCounts {
    /// By [`Violation::index`].
    pub(super) violations: [u64; Violation::COUNT],
    /// By [`Probe::index`].
    pub(super) probes: [u64; Probe::COUNT],
    /// By operation.
    pub(super) unresolved: Vec<(u16, u64)>,
}

impl TruthCounts {
    fn of(truth: &Truth, identity: &Identity) -> Self {
        let counted = |operation| truth.unresolved().iter().find(|row| row.operation == operation);
        let unresolved = |operation: &u16| (*operation, counted(*operation).map_or(0, |row| row.calls));
        Self {
            violations: Violation::ALL.map(|violation| truth.calls(violation)),
            probes: truth.probes.map(|probes| probes.ended()),
            unresolved: identity.keyed.iter().map(unresolved).collect(),
        }
    }
}

/// The counts of one flow, operation and phase.
#[derive(Clone, Debug)]
pub(super) struct SeriesCounts {
    pub(super) flow: u16,
    pub(super) operation: u16,
    pub(super) phase: Phase,
    pub(super) counts: Counts,
}

/// The counts of one kind of calls that are no arrivals.
#[derive(Clone, Debug)]
pub(super) struct SideCounts {
    pub(super) kind: SideKind,
    /// By [`Outcome::index`].
    pub(super) outcomes: [u64; Outcome::COUNT],
    pub(super) times: Times,
}

/// What a tally counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) scheduled: u64,
    pub(super) sent: u64,
    pub(super) dropped: u64,
    pub(super) abandoned: u64,
    pub(super) substituted: u64,
    /// By [`Outcome::index`].
    pub(super) outcomes: [u64; Outcome::COUNT],
    pub(super) response_time: Times,
    pub(super) service_time: Times,
    pub(super) pacing_lag: Times,
}

/// A histogram in the making: a count for each bound, one for all above the last, and the sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) buckets: Vec<u64>,
    pub(super) sum: Duration,
}

impl Times {
    /// `beyond` more are counted above the last of `bounds` bounds.
    fn new(counted: &BucketCounts, bounds: usize, beyond: u64, sum: Duration) -> Self {
        let mut buckets = counted.counts().to_vec();
        buckets.resize(bounds + 1, 0);
        buckets[bounds] += beyond;
        Self { buckets, sum }
    }

    /// Adds what another histogram with the same bounds holds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(ours, theirs)| *ours += theirs);
        self.sum = self.sum.saturating_add(other.sum);
    }
}

impl Counts {
    fn of(tally: &Tally, identity: &Identity) -> Self {
        let bounds = &identity.bounds;
        let waited = tally.response_time.sum().saturating_add(tally.given_up);
        let times = |counted, bounds: &[Duration], sum| Times::new(counted, bounds.len(), 0, sum);
        Self {
            scheduled: tally.scheduled,
            sent: tally.dispatch_lag.len(),
            dropped: tally.dropped,
            abandoned: tally.abandoned,
            substituted: tally.substituted,
            outcomes: Outcome::ALL.map(|outcome| tally.outcomes.get(outcome)),
            // One without a complete reply is above every bound.
            response_time: Times::new(
                &tally.response_buckets,
                bounds.response_time.len(),
                tally.without_reply(),
                waited,
            ),
            service_time: times(&tally.service_buckets, &bounds.service_time, tally.service_time.sum()),
            pacing_lag: times(&tally.pacing_buckets, &bounds.pacing_lag, tally.pacing_lag.sum()),
        }
    }
}

impl Reading {
    /// What is shown before the first snapshot: every series of the plan, at zero.
    pub(super) fn before(identity: &Identity, published: f64) -> Self {
        let nothing = Summary::default();
        let (series, side_calls) = (series_of(&nothing, identity), side_calls_of(&nothing, identity));
        let truth = TruthCounts::of(&nothing.truth, identity);
        let begins = [Some(published), None, None, None, None, None];
        Self { published, begins, series, side_calls, truth, ..Self::default() }
    }

    /// Copies the counts of a snapshot that follows on `last`, published at `published` seconds since 1970.
    pub(super) fn of(snapshot: &Snapshot<'_>, identity: &Identity, last: &Self, published: f64) -> Self {
        let Snapshot { now, state, summary, judgement, .. } = *snapshot;
        let findings = &judgement.findings;
        let texts: Vec<_> = findings.iter().map(|finding| finding.objective.to_string()).collect();
        let objectives: Vec<_> =
            findings.iter().zip(labels(&texts)).map(|(of, text)| ObjectiveState::of(of, text, identity)).collect();
        let tightest = objectives.iter().filter_map(|objective| match objective.bound {
            Bound::Time(bound) => Some(bound),
            Bound::Share(_) | Bound::Rate(_) => None,
        });
        let mut begins = last.begins;
        begins[state as usize].get_or_insert(published);
        let intended: Vec<f64> = snapshot.intended.iter().map(|rate| rate.get()).collect();
        let series = series_of(summary, identity);
        let stillness = last.stillness.then(now, intended.iter().sum(), summary.gauges.in_flight, answered(&series));
        Self {
            generation: last.generation + 1,
            published,
            state,
            begins,
            verdict: Some(judgement.verdict()),
            lag_limit: pacing_limit(tightest.min()),
            stillness,
            series,
            intended,
            gauges: summary.gauges,
            side_calls: side_calls_of(summary, identity),
            objectives,
            truth: TruthCounts::of(&summary.truth, identity),
            doubts: judgement.doubts.len(),
            changes: CHANGES.map(|(_, kind)| summary.events.number_of(kind)),
            health: summary.health.cells().rfind(|cell| cell.ticks > 0).copied().unwrap_or_default(),
            usage: summary.usage.cells().next_back().copied().unwrap_or_default(),
        }
    }
}

/// Calls that ended otherwise than by their timeout: the target still answers somebody.
fn answered(series: &[SeriesCounts]) -> u64 {
    let ended = |outcomes: &[u64; Outcome::COUNT]| {
        let answered = Outcome::ALL.iter().filter(|outcome| !outcome.is_timeout());
        answered.map(|outcome| outcomes[outcome.index()]).sum::<u64>()
    };
    series.iter().map(|series| ended(&series.counts.outcomes)).sum()
}

/// Calls that are no arrivals, of every kind.
fn side_calls_of(summary: &Summary, identity: &Identity) -> Vec<SideCounts> {
    let bounds = identity.bounds.service_time.len();
    let of = |kind| {
        let nothing = SideTally::default();
        let tally = summary.side_calls.get(kind).unwrap_or(&nothing);
        let times = Times::new(&tally.buckets, bounds, 0, tally.time.sum());
        SideCounts { kind, outcomes: Outcome::ALL.map(|outcome| tally.outcomes.get(outcome)), times }
    };
    SideKind::ALL.into_iter().map(of).collect()
}

/// Every series that the plan or the summary knows, in the phases that the run has.
fn series_of(summary: &Summary, identity: &Identity) -> Vec<SeriesCounts> {
    let counted = summary.series().iter().map(|series| (series.flow, series.operation));
    let all: BTreeSet<_> = identity.series.iter().copied().chain(counted).collect();
    let nothing = Tally::default();
    let mut series = Vec::with_capacity(all.len() * Phase::ALL.len());
    for (flow, operation) in all {
        let found = summary.series().iter().find(|series| (series.flow, series.operation) == (flow, operation));
        for phase in Phase::ALL {
            let tally = found.map_or(&nothing, |series| series.tally(phase));
            series.push(SeriesCounts { flow, operation, phase, counts: Counts::of(tally, identity) });
        }
    }
    series
}

/// Names as label values: none longer than [`LONGEST_LABEL`], and no two alike, because a scrape with the same series
/// twice is refused as a whole.
pub(super) fn labels(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let cut = |name: &str, limit: usize| name.chars().take(limit).collect::<String>();
    names
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let mut label = cut(name, LONGEST_LABEL);
            if seen.contains(&label) {
                let mark = format!(" #{place}");
                label = cut(name, LONGEST_LABEL - mark.len()) + &mark;
            }
            seen.insert(label.clone());
            label
        })
        .collect()
}

/// The pacing lag of each flow and phase: the generator owes it to the arrivals of a flow, whatever they call.
pub(super) fn pacing_by_flow(reading: &Reading) -> Vec<(u16, Phase, Times)> {
    let mut flows: Vec<(u16, Phase, Times)> = Vec::new();
    for series in &reading.series {
        let lag = &series.counts.pacing_lag;
        match flows.iter_mut().find(|(flow, phase, _)| (*flow, *phase) == (series.flow, series.phase)) {
            Some((_, _, together)) => together.merge(lag),
            None => flows.push((series.flow, series.phase, lag.clone())),
        }
    }
    flows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_no_two_are_alike() {
        let long = "é".repeat(500);
        let names = ["a", "a", &long, &long, ""].map(str::to_owned);
        let labels = labels(&names);
        assert_eq!(labels[..2], ["a", "a #1"]);
        assert_eq!(labels[2], "é".repeat(LONGEST_LABEL));
        assert_eq!(labels[3], "é".repeat(LONGEST_LABEL - 3) + " #3");
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn what_got_no_complete_reply_is_above_every_bound() {
        let mut tally = Tally { dropped: 2, abandoned: 3, given_up: Duration::from_secs(4), ..Tally::default() };
        tally.response_time.record(Duration::from_secs(1));
        let bounds = Bounds { response_time: vec![Duration::from_millis(5)], ..Bounds::default() };
        let counts = Counts::of(&tally, &Identity { bounds, ..Identity::default() });
        assert_eq!((counts.response_time.buckets, counts.response_time.sum), (vec![0, 5], Duration::from_secs(5)));
        assert_eq!(counts.service_time.buckets, [0]);
    }
}
