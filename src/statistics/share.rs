//! A part of many calls: how many were bad, of how many, and what that says of the part that *is* bad.
//!
//! Clopper and Pearson's exact bounds (1934) for an effective number of calls, as Korn and Graubard use them for samples
//! that come in clusters (1998): calls ÷ design effect, less what an uncertain design effect costs, (z ÷ t)².
//!
//! That few calls were bad proves that few are only where they were not few *events*, and few bad calls cannot show how they
//! hang together: a run that happened to see little of what makes calls bad together saw little of how it does. So the
//! bound from above counts one pair of calls more that was bad together than there was; a design effect is 1 and twice the
//! pairs ÷ the bad calls. One more than was seen is what Laplace's rule of succession expects, before anything is known.

use super::beta::{at_least, at_most};
use super::dependence::{Dependence, FEWEST};
use super::quantiles::{normal_quantile, t_quantile};

/// The smallest share that is told from none.
const SMALLEST: f64 = 1e-18;
/// So many pairs more than were seen are taken to be bad together, where few bad calls speak for a promise.
const UNSEEN_PAIRS: f64 = 1.0;
/// With fewer stretches of time, their spread says too little of dependence.
const FEWEST_STRETCHES: usize = 10;

/// The calls of one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// How many came to an end.
    pub calls: f64,
    /// How many of them were bad; a fraction where that is known in part only.
    pub bad: f64,
}

/// A part of many calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many there were.
    pub calls: f64,
    /// How many of them were bad.
    pub bad: f64,
    /// How they hang together.
    pub dependence: Dependence,
    /// The share of bad calls in the first half of the stretches, and in the second.
    halves: [f64; 2],
    /// Whether the stretches could not tell dependence.
    untold: bool,
    /// Whether the calls are known to be independent, whatever they show.
    known: bool,
}

impl Share {
    /// Of the counts of successive stretches of time. `unseen` is the variance of the sum of the bad calls that the counts
    /// do not show, because in them a part of the calls is shared out evenly. `None` where there are no calls.
    pub fn of(counts: &[Count], unseen: f64) -> Option<Self> {
        let counts: Vec<Count> = counts.iter().copied().filter(|count| count.calls > 0.0).collect();
        let (calls, bad) = sum(&counts);
        if calls <= 0.0 {
            return None;
        }
        let share = (bad / calls).clamp(0.0, 1.0);
        let residuals: Vec<f64> = counts.iter().map(|count| count.bad - share * count.calls).collect();
        let independent = calls * share * (1.0 - share);
        let halves = counts.split_at(counts.len().div_ceil(2));
        let of = |half| match sum(half) {
            (calls, bad) if calls > 0.0 => bad / calls,
            _ => 0.0,
        };
        Some(Self {
            calls,
            bad,
            dependence: Dependence::of(&residuals, independent, unseen),
            halves: [of(halves.0), of(halves.1)],
            untold: counts.len() < FEWEST_STRETCHES || 2.0 * unseen > independent,
            known: false,
        })
    }

    /// So many bad calls of so many, each for itself.
    pub fn independent(bad: u64, calls: u64) -> Option<Self> {
        let share = Self::of(&[Count { calls: calls as f64, bad: bad as f64 }], 0.0)?;
        Some(Self { known: true, ..share })
    }

    /// The part that was bad, 0 to 1.
    pub fn observed(&self) -> f64 {
        (self.bad / self.calls).clamp(0.0, 1.0)
    }

    /// How many independent calls would say as much.
    pub fn effective(&self) -> f64 {
        self.calls / self.dependence.design_effect
    }

    /// Whether the calls are taken as independent without their counts showing it: where none or all were bad, in a few
    /// seconds, or where the counts are too coarse.
    pub fn assumes_independence(&self) -> bool {
        self.is_uniform() || self.untold
    }

    /// Whether there are too few independent calls to decide anything by a bound.
    pub fn is_scarce(&self) -> bool {
        !self.is_uniform() && self.effective() < FEWEST
    }

    fn is_uniform(&self) -> bool {
        self.bad <= 0.0 || self.bad >= self.calls
    }

    /// The design effect that a bound from above builds on.
    fn feared(&self) -> f64 {
        let unseen = if self.known || self.bad <= 0.0 { 0.0 } else { 2.0 * UNSEEN_PAIRS / self.bad.max(1.0) };
        self.dependence.design_effect + unseen
    }

    /// The bad calls, and the calls, that a bound with this error may build on, where calls have this design effect.
    fn sized(&self, error: f64, design_effect: f64) -> (f64, f64) {
        let freedom = self.dependence.freedom;
        let certain = if freedom.is_finite() {
            let ratio = normal_quantile(error) / t_quantile(error, freedom);
            ratio * ratio
        } else {
            1.0
        };
        let calls = self.calls / design_effect * certain;
        (calls * self.observed(), calls)
    }

    /// The share that the truth exceeds with probability `error` (0 to 0.5) at most.
    pub fn upper(&self, error: f64) -> f64 {
        if self.bad >= self.calls {
            return 1.0;
        }
        let (bad, calls) = self.sized(error, self.feared());
        solve(|share| at_most(bad, calls, share) > error)
    }

    /// The share that the truth is below with probability `error` (0 to 0.5) at most.
    pub fn lower(&self, error: f64) -> f64 {
        if self.bad <= 0.0 {
            return 0.0;
        }
        let (bad, calls) = self.sized(error, self.dependence.design_effect);
        solve(|share| at_least(bad, calls, share) < error)
    }

    /// Whether the truth is below `limit`, with this error.
    pub fn is_below(&self, limit: f64, error: f64) -> bool {
        if self.is_scarce() || self.observed() >= limit {
            return false;
        }
        let (bad, calls) = self.sized(error, self.feared());
        at_most(bad, calls, limit) <= error
    }

    /// Whether the truth is above `limit`, with this error.
    ///
    /// Where there are too few independent calls for a bound, by Markov's inequality alone, in the form of an e-value
    /// (Vovk and Wang 2021): a share that is `limit` on average is twenty times that in one run of twenty at most; and both
    /// halves of a run are only where what makes calls bad together lasts less long than a half.
    pub fn is_above(&self, limit: f64, error: f64) -> bool {
        if self.observed() <= limit {
            return false;
        }
        if self.is_scarce() {
            let evidence = f64::midpoint(self.observed() / limit, self.halves[0] * self.halves[1] / (limit * limit));
            return evidence >= 1.0 / error;
        }
        let (bad, calls) = self.sized(error, self.dependence.design_effect);
        at_least(bad, calls, limit) <= error
    }
}

fn sum(counts: &[Count]) -> (f64, f64) {
    counts.iter().fold((0.0, 0.0), |(calls, bad), count| (calls + count.calls, bad + count.bad))
}

/// The share up to which `holds` is true, by bisection in its logarithm: bounds of one in a thousand million are as
/// precise as those of one in ten.
fn solve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (SMALLEST.ln(), 0.0_f64);
    while high - low > 1e-12 * low.abs().max(1.0) {
        let middle = low.midpoint(high);
        *(if holds(middle.exp()) { &mut low } else { &mut high }) = middle;
    }
    low.midpoint(high).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(bad: u64, calls: u64) -> Share {
        Share::independent(bad, calls).unwrap()
    }

    #[test]
    fn the_exact_bounds_are_those_of_the_tables() {
        // R: binom.test(x, n)$conf.int of two-sided 95 %.
        for (bad, calls, low, high) in [
            (10, 100, 0.049_004_689, 0.176_222_598),
            (1, 20, 0.001_265_089, 0.248_732_763),
            (0, 50, 0.0, 0.071_121_736),
            (50, 50, 0.928_878_264, 1.0),
        ] {
            let seen = share(bad, calls);
            assert!((seen.lower(0.025) - low).abs() < 1e-8, "{bad}/{calls}: {}", seen.lower(0.025));
            assert!((seen.upper(0.025) - high).abs() < 1e-8, "{bad}/{calls}: {}", seen.upper(0.025));
        }
    }

    #[test]
    fn among_very_many_calls_the_bounds_are_those_of_poisson() {
        // Exact Poisson bounds for ten events, 95 % two-sided: 4.795389 and 18.390356 (Garwood 1936).
        for calls in [100_000_000, 10_000_000_000] {
            let seen = share(10, calls);
            assert!((seen.lower(0.025) * calls as f64 - 4.795_389).abs() < 1e-5);
            assert!((seen.upper(0.025) * calls as f64 - 18.390_356).abs() < 1e-5);
        }
        assert!((share(0, 1_000_000_000).upper(0.05) * 1e9 - 2.995_732).abs() < 1e-5, "the rule of three");
    }

    proptest! {
        #[test]
        fn a_bound_and_its_test_say_the_same(
            calls in 1..200_u32, stretches in prop::collection::vec((any::<bool>(), 0.0..1.0_f64), 1..90),
            known in any::<bool>(), error in 0.001..0.3_f64,
        ) {
            let of = |(hit, part): &(bool, f64)| if *hit { (part * f64::from(calls)).round() } else { 0.0 };
            let counts = stretches.iter().map(|stretch| Count { calls: f64::from(calls), bad: of(stretch) });
            let seen = Share { known, ..Share::of(&counts.collect::<Vec<_>>(), 0.0).unwrap() };
            let (low, high) = (seen.lower(error), seen.upper(error));
            prop_assert!(low <= seen.observed() && seen.observed() <= high, "{low} {seen:?} {high}");
            prop_assert!(!seen.is_below(high * 0.999_99, error));
            prop_assert!(seen.is_scarce() || high * 1.000_01 >= 1.0 || seen.is_below(high * 1.000_01, error));
            if !seen.is_scarce() {
                // A share below the smallest that is looked for is none.
                prop_assert!(low <= 2.0 * SMALLEST || seen.is_above(low * 0.999_99, error));
                prop_assert!(!seen.is_above(low * 1.000_01, error));
            }
        }
    }

    #[test]
    fn few_bad_calls_count_as_if_one_more_pair_were_bad_together() {
        // One in each of some seconds of a hundred calls.
        let seen = |bad: u32| {
            let count = |second| Count { calls: 100.0, bad: f64::from(u32::from(second < bad)) };
            Share::of(&(0..100).map(count).collect::<Vec<_>>(), 0.0).unwrap()
        };
        for (bad, feared) in [(0, 1.0), (1, 3.0), (2, 2.0), (10, 1.2)] {
            assert!((seen(bad).feared() - feared).abs() < 1e-3, "{bad}: {:?}", seen(bad));
            assert!((seen(bad).effective() - 10_000.0).abs() < 2.0, "what was seen is said as it is");
            assert!((seen(bad).lower(0.05) - share(u64::from(bad), 10_000).lower(0.05)).abs() < 1e-7);
        }
        // With none, nothing is known; with one, three times as many calls are needed as were it known to be alone.
        assert!((seen(0).upper(0.05) - share(0, 10_000).upper(0.05)).abs() < 1e-9);
        assert!(seen(1).upper(0.05) > 2.0 * share(1, 10_000).upper(0.05));
        assert!((share(10, 10_000).feared() - 1.0).abs() < 1e-9, "known to be independent");
    }

    #[test]
    fn calls_that_were_bad_together_count_for_less() {
        // Sixty seconds of a hundred calls with 120 bad ones: two in each second, or all in four.
        let counts = |bad: &dyn Fn(u32) -> f64| -> Vec<Count> {
            (0..60).map(|second| Count { calls: 100.0, bad: bad(second) }).collect()
        };
        let each = Share::of(&counts(&|_| 2.0), 0.0).unwrap();
        let bursts = Share::of(&counts(&|second| if second % 15 == 7 { 30.0 } else { 0.0 }), 0.0).unwrap();
        assert!((each.observed() - bursts.observed()).abs() < 1e-12);
        assert!((each.effective() - 6000.0).abs() < 1e-9 && bursts.effective() < 250.0, "{}", bursts.effective());
        assert!(each.is_below(0.03, 0.05) && !bursts.is_below(0.03, 0.05));
        assert!(bursts.upper(0.05) > 0.05 && bursts.lower(0.05) < 0.008);
    }

    #[test]
    fn with_few_effective_calls_only_what_needs_no_bound_is_decided() {
        // One stall of three seconds in fifteen.
        let stall = |bad: &[u32], height: f64| -> Share {
            let count = |second| Count { calls: 100.0, bad: if bad.contains(&second) { height } else { 0.0 } };
            Share::of(&(0..15).map(count).collect::<Vec<_>>(), 0.0).unwrap()
        };
        let once = stall(&[4, 5, 6], 100.0);
        assert!(once.is_scarce() && !once.is_below(0.9, 0.05) && !once.is_above(0.05, 0.05));
        // 20 % where 0.5 % is allowed is too much for any average of 0.5 %.
        assert!(once.is_above(0.004, 0.05));
        // Thirteen of fifteen seconds bad, in both halves.
        let nearly_all = stall(&(2..15).collect::<Vec<_>>(), 100.0);
        assert!(nearly_all.is_scarce() && nearly_all.is_above(0.05, 0.05) && !nearly_all.is_above(0.5, 0.05));
    }

    #[test]
    fn nothing_bad_and_nothing_good_are_taken_as_independent() {
        assert!(share(0, 300_000).is_below(1e-5, 0.05) && !share(0, 299_000).is_below(1e-5, 0.05));
        assert!(share(0, 300_000).assumes_independence());
        assert!(share(9, 9).is_above(0.5, 0.05) && !share(3, 3).is_above(0.5, 0.05));
        assert_eq!(Share::of(&[], 0.0), None);
    }
}
