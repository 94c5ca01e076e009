//! The figures of a report: counts, rates and distributions of one stretch of series.

use std::time::Duration;

use crate::measure::{Histogram, Phase, Quantile, Scope, Summary, Tally};
use crate::time::Moment;

/// What a [`Distribution`] is measured by.
pub const MEASURES: [&str; 8] = ["min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
const QUANTILES: [f64; 6] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0];

/// Counts and rates of a whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overall {
    /// Arrivals picked up.
    pub scheduled: u64,
    /// Calls answered ok.
    pub succeeded: u64,
    /// Calls that ended otherwise.
    pub failed: u64,
    /// Arrivals never sent, for want of room.
    pub dropped: u64,
    /// Arrivals unanswered when the run ended.
    pub abandoned: u64,
    /// Calls whose operation took the place of another.
    pub substituted: u64,
    /// Arrivals that came to an end without a complete reply: some of those that failed, all dropped and abandoned.
    pub without_reply: u64,
    /// The share (0 to 1) of the arrivals that came to an end that is ok; `None` where none came to an end.
    pub success_rate: Option<f64>,
    /// How long the schedule ran after warm-up.
    pub duration: Duration,
    /// From then until the last call ended.
    pub drain: Duration,
    /// Arrivals per second that the profile intends, or that were picked up where nothing is known of its intentions.
    pub intended_rate: f64,
    /// Ok answers per second of `duration`.
    pub achieved_rate: f64,
    /// How long warm-up was.
    pub warmup: Duration,
    /// Arrivals picked up in it: kept apart from all other figures.
    pub warmup_scheduled: u64,
}

impl Overall {
    /// The figures of `summary`, whose measured phase is `measured`.
    pub(super) fn new(summary: &Summary, measured: &Tally) -> Self {
        let duration = summary.measured_duration(Scope::Total);
        let expected: f64 = measured.timeline.cells().map(|cell| cell.expected).sum();
        let intended = if expected > 0.0 { expected } else { measured.scheduled as f64 };
        Self {
            scheduled: measured.scheduled,
            succeeded: measured.ok(),
            failed: measured.answered() - measured.ok(),
            dropped: measured.dropped,
            abandoned: measured.abandoned,
            substituted: measured.substituted,
            without_reply: measured.without_reply(),
            success_rate: measured.error_rate().map(|_| measured.ok() as f64 / measured.ended() as f64),
            duration,
            drain: summary.last_done.unwrap_or_default().since(summary.until),
            intended_rate: per_second(intended, duration),
            achieved_rate: per_second(measured.came_by(summary.until) as f64, duration),
            warmup: summary.warmup.since(Moment::ZERO),
            warmup_scheduled: summary.tally(Scope::Total, Some(Phase::Warmup)).scheduled,
        }
    }
}

/// So many in so long; none in no time.
fn per_second(count: f64, duration: Duration) -> f64 {
    if duration.is_zero() { 0.0 } else { count / duration.as_secs_f64() }
}

/// How times are spread, in the order of [`MEASURES`]; `None` where there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution(pub [Option<Quantile>; MEASURES.len()]);

impl Distribution {
    fn of(histogram: &Histogram) -> Self {
        let quantiles = QUANTILES.map(|quantile| histogram.value_at_quantile(quantile));
        let [p50, p90, p95, p99, p999, _] = quantiles;
        let times = [histogram.min(), histogram.mean(), p50, p90, p95, p99, p999, histogram.max()];
        Self(times.map(|time| time.map(Quantile::Finite)))
    }

    /// Response times over all arrivals: those without a complete reply are above every bound, and count with the time
    /// until they were given up for the mean.
    fn of_all(tally: &Tally) -> Self {
        let [p50, p90, p95, p99, p999, max] = QUANTILES.map(|quantile| tally.quantile(quantile));
        let min = tally.response_time.min().map(Quantile::Finite);
        Self([min, tally.mean_of_all_calls().map(Quantile::Finite), p50, p90, p95, p99, p999, max])
    }
}

/// How long things took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From due to done, over all arrivals.
    pub response: Distribution,
    /// From sent to done, of complete replies.
    pub service: Distribution,
    /// From due to sent, of all that was sent.
    pub dispatch_lag: Distribution,
    /// From due to picked up, of all arrivals.
    pub pacing_lag: Distribution,
    /// The longest response time of a complete reply.
    pub longest_reply: Option<Duration>,
}

impl Times {
    pub(super) fn new(tally: &Tally) -> Self {
        Self {
            response: Distribution::of_all(tally),
            service: Distribution::of(&tally.service_time),
            dispatch_lag: Distribution::of(&tally.dispatch_lag),
            pacing_lag: Distribution::of(&tally.pacing_lag),
            longest_reply: tally.response_time.max(),
        }
    }
}

/// An operation or a flow in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name in the plan.
    pub name: String,
    /// Arrivals picked up.
    pub scheduled: u64,
    /// Arrivals that came to an end that is not ok.
    pub bad: u64,
    /// Ok answers per second.
    pub achieved_rate: f64,
    /// Response times over all its arrivals.
    pub response: Distribution,
}

impl Row {
    pub(super) fn new(name: &str, tally: &Tally, duration: Duration, end: Moment) -> Self {
        Self {
            name: name.to_owned(),
            scheduled: tally.scheduled,
            bad: tally.bad(),
            achieved_rate: per_second(tally.came_by(end) as f64, duration),
            response: Distribution::of_all(tally),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    fn overall(run: &crate::report::SavedRun) -> Overall {
        Overall::new(&run.summary, &run.summary.tally(Scope::Total, Some(Phase::Measure)))
    }

    #[test]
    fn every_arrival_after_warm_up_is_counted_once() {
        for (name, run) in fixtures::all() {
            let seen = overall(&run);
            assert_eq!(seen.scheduled, seen.succeeded + seen.failed + seen.dropped + seen.abandoned, "{name}");
        }
    }

    #[test]
    fn rates_are_over_the_schedule_and_the_drain_is_told_apart() {
        let seen = overall(&fixtures::failed());
        assert!((seen.intended_rate - 100.0).abs() < 0.01, "{seen:?}");
        assert!(seen.achieved_rate < 90.0, "{seen:?}");
        assert_eq!((seen.duration, seen.warmup_scheduled), (Duration::from_secs(20), 200));
    }

    #[test]
    fn a_run_of_no_time_has_no_rate_and_no_figures() {
        let seen = overall(&fixtures::empty());
        assert_eq!((seen.achieved_rate.to_bits(), seen.success_rate), (0.0_f64.to_bits(), None));
        assert_eq!(Times::new(&Tally::default()).response, Distribution::default());
    }
}
