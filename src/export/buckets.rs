//! The bounds of the exporter's buckets: a fixed ladder, and every bound that an objective names.
//!
//! Lanes count these buckets exactly, on nanoseconds; so the share of replies within an objective's bound is a count on
//! `/metrics` too, and no interpolation.

use std::time::Duration;

use crate::measure::Bounds;
use crate::verdict::{Bound, Objective};

/// Bounds for response and service times, in microseconds: about three a decade from half a millisecond to a minute.
const TIMES: [u64; 19] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 250_000, 500_000, 750_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Bounds for pacing lag, in microseconds: from what a good timer reaches to what no run survives.
const LAGS: [u64; 13] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// The bounds that lanes must count for the exporter: its ladders, and among those of response and service time every
/// time that an objective names.
pub fn bounds<'a>(objectives: impl IntoIterator<Item = &'a Objective>) -> Bounds {
    let ladder = |micros: &[u64]| micros.iter().copied().map(Duration::from_micros).collect::<Vec<_>>();
    let mut times = ladder(&TIMES);
    times.extend(objectives.into_iter().filter_map(|objective| match objective.bound() {
        Bound::Time(bound) => Some(bound),
        Bound::Share(_) | Bound::Rate(_) => None,
    }));
    times.sort_unstable();
    times.dedup();
    Bounds { response_time: times.clone(), service_time: times, pacing_lag: ladder(&LAGS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_hold_every_objectives_own_once_and_ascend() {
        let texts = ["p95 < 150ms", "p99 < 137ms", "mean < 137ms", "error_rate < 1%", "rate >= 5/s"];
        let objectives = texts.map(|text| text.parse::<Objective>().unwrap());
        let bounds = bounds(&objectives);
        assert_eq!(bounds.response_time.len(), TIMES.len() + 1);
        assert!([150, 137].map(Duration::from_millis).iter().all(|bound| bounds.response_time.contains(bound)));
        for list in [&bounds.response_time, &bounds.service_time, &bounds.pacing_lag] {
            assert!(list.is_sorted_by(|left, right| left < right), "{list:?}");
        }
        assert_eq!(bounds.response_time, bounds.service_time);
    }
}
