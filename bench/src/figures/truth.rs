//! What response times must have been: the schedule of the arrivals and the server's freezes are known, so they follow.

use super::grid::quantile;

/// A time in which the server did nothing, nanoseconds of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freeze {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// Arrivals at even distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrivals {
    /// When the first was due, nanoseconds of the wall clock.
    pub(crate) origin: f64,
    /// From each to the next, nanoseconds.
    pub(crate) period: f64,
    pub(crate) count: u64,
}

/// The response time of every arrival, ascending, in nanoseconds: one that falls into a freeze takes what is left of it, any
/// other next to nothing.
pub(crate) fn response_times(arrivals: Arrivals, freezes: &[Freeze]) -> Vec<f64> {
    let time = |place: u64| {
        let due = arrivals.origin + arrivals.period * place as f64;
        let inside = freezes.iter().find(|freeze| (freeze.from as f64..freeze.until as f64).contains(&due));
        inside.map_or(0.0, |freeze| freeze.until as f64 - due)
    };
    let mut times: Vec<f64> = (0..arrivals.count).map(time).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Quantiles of what must have been, in the order asked for.
pub(crate) fn quantiles<const N: usize>(arrivals: Arrivals, freezes: &[Freeze], which: [f64; N]) -> [f64; N] {
    let times = response_times(arrivals, freezes);
    which.map(|which| quantile(&times, which))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn every_five_seconds() -> Vec<Freeze> {
        let freeze = |n: u64| Freeze { from: (5 * n + 2) * SECOND, until: (5 * n + 2) * SECOND + SECOND / 2 };
        (0..4).map(freeze).collect()
    }

    #[test]
    fn half_a_second_in_every_five_makes_the_quantiles_that_are_known_of_it() {
        let arrivals = Arrivals { origin: 0.0, period: 1e6, count: 20_000 };
        let [p50, p95, p99, p999] = quantiles(arrivals, &every_five_seconds(), [0.5, 0.95, 0.99, 0.999]);
        assert_eq!(p50, 0.0);
        for (seen, known) in [(p95, 250e6), (p99, 450e6), (p999, 495e6)] {
            assert!((seen - known).abs() <= 1e6, "{seen} {known}");
        }
    }

    /// A server with one queue, call by call: what comes while it stands still is answered when that ends.
    #[test]
    fn the_answer_is_that_of_a_simulated_server() {
        let freezes = every_five_seconds();
        let arrivals = Arrivals { origin: 137_000.0, period: 733_333.0, count: 25_000 };
        let mut free_at = 0.0_f64;
        let mut simulated = Vec::new();
        for place in 0..arrivals.count {
            let due = arrivals.origin + arrivals.period * place as f64;
            let mut begun = due.max(free_at);
            for freeze in &freezes {
                if begun >= freeze.from as f64 && begun < freeze.until as f64 {
                    begun = freeze.until as f64;
                }
            }
            free_at = begun + 1.0;
            simulated.push(free_at - due);
        }
        simulated.sort_by(f64::total_cmp);
        let which = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0];
        for (analytic, which) in quantiles(arrivals, &freezes, which).into_iter().zip(which) {
            let simulated = quantile(&simulated, which);
            // A backlog of 700 calls at a nanosecond each is the most that the simulated server is behind.
            assert!((simulated - analytic).abs() < 1000.0, "{which}: {simulated} {analytic}");
        }
    }

    #[test]
    fn a_freeze_ends_with_its_last_nanosecond() {
        let freeze = [Freeze { from: 10, until: 20 }];
        let arrivals = Arrivals { origin: 9.0, period: 1.0, count: 12 };
        let expected = [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        assert_eq!(response_times(arrivals, &freeze), expected);
    }
}
