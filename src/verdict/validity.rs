//! Whether the measurement is to be trusted: notes for the reader, and doubts, which make a run INVALID.
//!
//! Only the generator's own failings are doubts: pacing lag, want of a processor, uneven sending, local resources, lost or
//! unsent arrivals. Waiting for room (dispatch lag) is the server's doing, or that of the in-flight limit, and never
//! invalidates.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{down, figure, health};
use crate::measure::{Phase, Scope, Summary, Tally};
use crate::outcome::Outcome;

/// The part of the tightest time bound that the p99 of pacing lag may take.
const LAG_SHARE: f64 = 0.05;
/// No pacing lag below this is held against the generator.
const LEAST_LAG: Duration = Duration::from_millis(1);
/// The time bound that is assumed where no objective has one: pacing lag may take 50 ms.
const ASSUMED_BOUND: Duration = Duration::from_secs(1);

/// What a remark is about: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// No arrival came to an end after warm-up.
    NoSamples,
    /// The generator started calls late.
    PacingLag,
    /// The generator had no processor when it wanted one.
    Starved,
    /// The generator sent in bunches, or more evenly than it should.
    Dispersion,
    /// The generator ran out of ports, file descriptors or memory.
    LocalResources,
    /// The places of all arrivals do not add up to the arrivals.
    Accounting,
    /// Samples are missing from the histograms.
    LostSamples,
    /// Arrivals were due that no lane took.
    NotPickedUp,
    /// The summary was taken while calls were on their way.
    Unfinished,
    /// Warm-up found its own end, or did not.
    Warmup,
    /// Something grew or fell over the run.
    Drift,
    /// The target went down and did not come back.
    Down,
    /// Calls took the place of others.
    Substituted,
    /// Calls used an idempotency key again.
    Probes,
    /// The machine on which generator or target ran.
    Host,
}

/// Something that the reader should know, with its figure and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// What it is about.
    pub subject: Subject,
    /// What was seen, in figures.
    pub figure: String,
    /// What can be done about it.
    pub remedy: String,
}

impl Remark {
    /// A remark of these words: neither begins with a capital nor ends with a full stop.
    pub fn new(subject: Subject, figure: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { subject, figure: figure.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.figure, self.remedy)
    }
}

/// How much pacing lag the p99 may have, where `tightest` is the tightest time bound of any objective: 5 % of it, at
/// least 1 ms; 50 ms where no objective bounds a time.
pub fn pacing_limit(tightest: Option<Duration>) -> Duration {
    tightest.unwrap_or(ASSUMED_BOUND).mul_f64(LAG_SHARE).max(LEAST_LAG)
}

/// What makes a run INVALID. `measured` is all that was due after warm-up.
pub(super) fn doubts(summary: &Summary, measured: &Tally, tightest: Option<Duration>) -> Vec<Remark> {
    [
        no_samples(summary, measured),
        late(measured, tightest),
        health::starved(summary, tightest),
        health::uneven(summary, tightest),
        out_of_resources(measured),
        unbalanced(summary),
        lost_samples(measured),
        not_picked_up(summary),
        not_ended(summary),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the reader should know.
pub(super) fn notes(summary: &Summary, measured: &Tally, tightest: Option<Duration>) -> Vec<Remark> {
    let under_way = summary.gauges.in_flight + summary.gauges.waiting;
    let unfinished = (under_way > 0 && summary.due.is_none()).then(|| {
        let figure = format!("{under_way} arrivals were waiting or in flight when this was taken");
        Remark::new(Subject::Unfinished, figure, "they are not judged; the figures of the finished run may be worse")
    });
    let cut = summary.due.filter(|_| measured.abandoned > 0).map(|_| {
        let calls = if measured.abandoned == 1 { "call was" } else { "calls were" };
        let figure = format!("{} {calls} unanswered when the run ended", measured.abandoned);
        Remark::new(Subject::Unfinished, figure, "whether they would have ended well is not known")
    });
    let substituted = (measured.substituted > 0).then(|| {
        let share = figure::share(measured.substituted as f64 / measured.ended().max(1) as f64);
        let figure =
            format!("{} calls ({share}) took the place of others that had no captured value", measured.substituted);
        Remark::new(Subject::Substituted, figure, "a longer warm-up gives the captures time to fill")
    });
    let again = summary.truth.probed();
    let probes = (again > 0).then(|| {
        let figure = format!("{again} of the calls used an idempotency key again, in the place of fresh ones");
        Remark::new(Subject::Probes, figure, "an error that was wanted from such a call counts as ok")
    });
    let warmup = summary.tally(Scope::Total, Some(Phase::Warmup)).outcomes.get(Outcome::NoLocalResource);
    let resources = (warmup > 0).then(|| {
        let figure = format!("{warmup} calls of the warm-up found no local port, descriptor or memory");
        Remark::new(Subject::LocalResources, figure, "lower --concurrent or raise the limits of this host")
    });
    // Where it is a doubt already it is no note too.
    let hungry = health::hungry(summary, tightest).filter(|_| health::starved(summary, tightest).is_none());
    let some = [
        down::remark(summary, measured),
        unfinished,
        cut,
        substituted,
        probes,
        resources,
        hungry,
        health::stolen(summary),
    ];
    some.into_iter().flatten().chain(health::scarce(summary)).collect()
}

/// In a run that has ended nothing waits and nothing is in flight.
fn not_ended(summary: &Summary) -> Option<Remark> {
    let under_way = summary.gauges.in_flight + summary.gauges.waiting;
    let figure = format!("{under_way} arrivals were still waiting or in flight when the run had ended");
    let remedy = "this is a fault of mcpace: report it with the saved run";
    (under_way > 0 && summary.due.is_some()).then(|| Remark::new(Subject::Accounting, figure, remedy))
}

fn no_samples(summary: &Summary, measured: &Tally) -> Option<Remark> {
    let remedy = if summary.tally(Scope::Total, Some(Phase::Warmup)).is_idle() {
        "run longer, or at a higher rate"
    } else {
        "the whole run was warm-up; give a shorter --warmup or a longer --duration"
    };
    (measured.ended() == 0).then(|| Remark::new(Subject::NoSamples, "no call ended after warm-up", remedy))
}

fn late(measured: &Tally, tightest: Option<Duration>) -> Option<Remark> {
    let limit = pacing_limit(tightest);
    let lag = measured.pacing_lag.value_at_quantile(0.99).filter(|lag| *lag > limit)?;
    let (lag, limit) = (figure::time(lag), figure::time(limit));
    let figure = match tightest.map(figure::time) {
        Some(bound) => {
            if pacing_limit(tightest) > LEAST_LAG {
                format!("the generator's pacing lag p99 was {lag}, above {limit} (5% of the bound {bound})")
            } else {
                format!("the generator's pacing lag p99 was {lag}, above {limit}, the least that is allowed")
            }
        }
        None => format!("the generator's pacing lag p99 was {lag}, above {limit}"),
    };
    Some(Remark::new(Subject::PacingLag, figure, "lower --rate, add --lanes, or use a host with a free core"))
}

/// One such call is enough: it says that the generator was at its limits.
fn out_of_resources(measured: &Tally) -> Option<Remark> {
    let count = measured.outcomes.get(Outcome::NoLocalResource);
    let figure = format!("{count} calls found no local port, descriptor or memory");
    let remedy = "lower --concurrent or raise the limits of this host";
    (count > 0).then(|| Remark::new(Subject::LocalResources, figure, remedy))
}

fn unbalanced(summary: &Summary) -> Option<Remark> {
    let accounting = summary.accounting();
    (!accounting.balanced()).then(|| {
        let (scheduled, accounted) = (accounting.scheduled, accounting.accounted());
        let figure = format!("{scheduled} arrivals were picked up, but {accounted} are accounted for");
        Remark::new(
            Subject::Accounting,
            figure,
            "the counts cannot be trusted; please report this as a fault of mcpace",
        )
    })
}

/// Each arrival picked up has a pacing lag, and each one that ended a response time or none for a reason.
fn lost_samples(measured: &Tally) -> Option<Remark> {
    let lags = measured.scheduled.abs_diff(measured.pacing_lag.len());
    let times = measured.ended().abs_diff(measured.response_time.len() + measured.without_reply());
    let figure = format!("{} samples are missing from the histograms", lags + times);
    let remedy = "this is a fault of mcpace: report it with the saved run";
    (lags + times > 0).then(|| Remark::new(Subject::LostSamples, figure, remedy))
}

fn not_picked_up(summary: &Summary) -> Option<Remark> {
    let (due, scheduled) = (summary.due?, summary.accounting().scheduled);
    let missing = due.checked_sub(scheduled).filter(|missing| *missing > 0)?;
    let figure = format!("{missing} of {due} arrivals were due but not picked up");
    Some(Remark::new(Subject::NotPickedUp, figure, "lower --rate, add --lanes, or use a host with a free core"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Gauges, Recorder, Sample, Shape};
    use crate::time::Moment;

    const WARMUP: Moment = Moment::from_nanos(1_000_000_000);

    /// A hundred arrivals from `begin` on that are picked up `lag` late and end at once.
    fn run(begin: Moment, lag: Duration, outcome: Outcome) -> Summary {
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, WARMUP);
        for sequence in 0..100 {
            let intended = begin.after(Duration::from_millis(sequence));
            let picked_up = intended.after(lag);
            let fate = Fate::Answered { sent: Some(picked_up), first_byte: None, done: picked_up, outcome };
            let (flow, operation, substituted) = (0, 0, false);
            recorder.picked_up(flow, operation, intended, picked_up);
            recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up, fate }, None);
        }
        let mut summary = Summary::new(WARMUP);
        summary.absorb(&recorder);
        summary.due = Some(100);
        summary
    }

    fn doubted(summary: &Summary, tightest: Option<Duration>) -> Vec<Subject> {
        let measured = summary.tally(Scope::Total, Some(Phase::Measure));
        doubts(summary, &measured, tightest).into_iter().map(|doubt| doubt.subject).collect()
    }

    #[test]
    fn pacing_lag_may_take_five_percent_of_the_tightest_bound_and_always_a_millisecond() {
        assert_eq!(pacing_limit(Some(Duration::from_millis(100))), Duration::from_millis(5));
        assert_eq!(pacing_limit(Some(Duration::from_millis(2))), Duration::from_millis(1));
        assert_eq!(pacing_limit(None), Duration::from_millis(50));
        let stalled = run(WARMUP, Duration::from_millis(6), Outcome::Ok);
        assert_eq!(doubted(&stalled, Some(Duration::from_millis(100))), [Subject::PacingLag]);
        assert_eq!(doubted(&stalled, Some(Duration::from_millis(130))), []);
    }

    #[test]
    fn one_late_arrival_in_fifty_is_enough() {
        let mut summary = run(WARMUP, Duration::ZERO, Outcome::Ok);
        let mut late = run(WARMUP, Duration::from_millis(80), Outcome::Ok);
        for _ in 0..48 {
            summary.merge(&run(WARMUP, Duration::ZERO, Outcome::Ok));
        }
        late.due = Some(100);
        summary.merge(&late);
        assert_eq!(doubted(&summary, None), [Subject::PacingLag]);
    }

    #[test]
    fn what_is_left_behind_at_the_end_is_a_doubt_even_where_the_account_balances() {
        let mut summary = run(WARMUP, Duration::ZERO, Outcome::Ok);
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, WARMUP);
        recorder.picked_up(0, 0, WARMUP, WARMUP);
        summary.absorb(&recorder);
        (summary.due, summary.gauges.waiting) = (Some(101), 1);
        assert!(summary.accounting().balanced());
        assert_eq!(doubted(&summary, None), [Subject::Accounting]);
        summary.due = None;
        assert_eq!(doubted(&summary, None), []);
    }

    #[test]
    fn a_stalled_generator_is_told_its_figure_and_the_way_out() {
        let stalled = run(WARMUP, Duration::from_millis(80), Outcome::Ok);
        let measured = stalled.tally(Scope::Total, None);
        let doubts = doubts(&stalled, &measured, Some(Duration::from_millis(100)));
        insta::assert_snapshot!(doubts[0], @"the generator's pacing lag p99 was 80ms, above 5ms (5% of the bound 100ms): lower --rate, add --lanes, or use a host with a free core");
    }

    #[test]
    fn a_run_that_is_all_warm_up_has_no_samples_and_says_why() {
        let summary = run(Moment::ZERO, Duration::ZERO, Outcome::Ok);
        let measured = summary.tally(Scope::Total, Some(Phase::Measure));
        let doubts = doubts(&summary, &measured, None);
        assert_eq!(doubts.len(), 1);
        assert!(doubts[0].remedy.contains("--warmup"), "{}", doubts[0]);
    }

    #[test]
    fn want_of_local_resources_is_a_doubt_and_in_warm_up_a_note() {
        let measured = run(WARMUP, Duration::ZERO, Outcome::NoLocalResource);
        assert_eq!(doubted(&measured, None), [Subject::LocalResources]);
        let mut early = run(Moment::ZERO, Duration::ZERO, Outcome::NoLocalResource);
        early.merge(&run(WARMUP, Duration::ZERO, Outcome::Ok));
        assert_eq!(doubted(&early, None), []);
        assert_eq!(notes(&early, &Tally::default(), None)[0].subject, Subject::LocalResources);
    }

    #[test]
    fn a_lost_arrival_and_one_never_picked_up_are_doubts() {
        let mut summary = run(WARMUP, Duration::ZERO, Outcome::Ok);
        summary.due = Some(103);
        assert_eq!(doubted(&summary, None), [Subject::NotPickedUp]);
        summary.gauges = Gauges { in_flight: 1, ..Gauges::default() };
        assert_eq!(doubted(&summary, None), [Subject::Accounting, Subject::NotPickedUp, Subject::Accounting]);
        summary.due = None;
        assert_eq!(notes(&summary, &Tally::default(), None)[0].subject, Subject::Unfinished);
    }
}
