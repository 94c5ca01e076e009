//! How much calls that share their fate count for: the spread of a sum over dependent calls, from stretches of time.
//!
//! A second's sum, less what the run's average would have made of it, is that second's *residual*. Were all calls
//! independent, the residuals' spread would be known from the calls alone; what is more than that comes from calls that
//! were bad together, within a second or across neighbouring ones. The ratio of the two is the design effect (Kish 1965),
//! and calls ÷ design effect is how many independent calls would say as much: the effective number.
//!
//! Across seconds the spread is that of Newey and West's kind, a sum of autocovariances. How far they reach is measured:
//! they are taken in pairs, up to the first pair that is not positive (Geyer's initial positive sequence, 1992), and none
//! is taken for larger than the part of a second's spread that independence does not explain, because only that part can
//! be shared. Negative ones are left out: a stall that comes like clockwork gets no credit for its regularity.
//!
//! The spread itself is an estimate, the worse the fewer independent stretches there were and the fewer bursts made it:
//! its degrees of freedom, after Satterthwaite (1946), are `freedom`. What independence explains needs no estimate; but how much
//! it explains is seen in the same few bursts, so it is credited once, where his rule would square it.

/// With fewer effective calls than this, nothing is decided unless nothing bad was seen.
pub const FEWEST: f64 = 30.0;

/// A burst counts for two thirds of a degree of freedom, where bursts of one size would make two of it: few bursts of
/// various sizes understate how various they are.
const FREEDOM_OF_A_BURST: f64 = 2.0 / 3.0;

/// Covariances are looked for over at most this many times the root of the number of stretches.
const REACH: f64 = 10.0;

/// What the residuals of a run say of its calls' dependence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dependence {
    /// The variance of the sum of all residuals.
    pub variance: f64,
    /// By how much that is larger than it would be of independent calls: at least 1.
    pub design_effect: f64,
    /// Degrees of freedom of `variance`: at least 1, infinite where the calls look independent.
    pub freedom: f64,
    /// The skewness of the sum of all residuals.
    pub skewness: f64,
}

impl Dependence {
    /// Of `residuals`, one for each stretch of time, in order, which add up to nothing; their sum would have the variance
    /// `independent` if all calls were independent. `hidden` is variance of each for itself that the residuals do not show.
    pub fn of(residuals: &[f64], independent: f64, hidden: f64) -> Self {
        let count = residuals.len() as f64;
        let power = |n: i32| residuals.iter().map(|residual| residual.powi(n)).sum::<f64>();
        let squares = power(2);
        let within = (squares + hidden) * count / (count - 1.0).max(1.0);
        let together = (within - independent).max(0.0);
        let floor = within.max(independent);
        let variance = floor + if together > 0.0 { 2.0 * shared(residuals, together) } else { 0.0 };
        if squares <= 0.0 || floor <= 0.0 || variance <= independent {
            return Self { variance, design_effect: 1.0, freedom: f64::INFINITY, skewness: 0.0 };
        }
        let bursts = FREEDOM_OF_A_BURST * bursts(residuals, (variance / floor).round() as usize);
        let stretches = (count - 1.0) * floor / variance;
        // What independence explains is not an estimate: only the rest has few degrees of freedom.
        let unexplained = (variance - independent) / variance;
        Self {
            variance,
            design_effect: if independent > 0.0 { variance / independent } else { 1.0 },
            freedom: bursts.min(stretches).max(1.0) / unexplained,
            skewness: power(3) / squares.powf(1.5),
        }
    }
}

/// How many bursts made the spread, where each lasts for `long` stretches: their number over their kurtosis less one, as
/// each of n equal bursts in N places makes that about N ÷ n.
fn bursts(residuals: &[f64], long: usize) -> f64 {
    let sums = residuals.chunks(long.max(1)).map(|burst| burst.iter().sum::<f64>());
    let (count, squares, fourths) = sums.fold((0.0, 0.0, 0.0), |(count, squares, fourths), sum| {
        let square = sum * sum;
        (count + 1.0, squares + square, fourths + square * square)
    });
    let kurtosis: f64 = count * fourths / (squares * squares);
    if kurtosis > 1.0 { count / (kurtosis - 1.0) } else { count }
}

/// The sum of the autocovariances, by pairs up to the first that is not positive; none counts for more than `most`.
fn shared(residuals: &[f64], most: f64) -> f64 {
    let count = residuals.len();
    let reach = (count / 2).min((REACH * (count as f64).sqrt()) as usize);
    let covariance =
        |lag: usize| products(&residuals[..count - lag], &residuals[lag..]) * count as f64 / (count - lag) as f64;
    let pairs = (1..reach).step_by(2).map(|lag| covariance(lag) + covariance(lag + 1));
    pairs.take_while(|pair| *pair > 0.0).map(|pair| pair.min(2.0 * most)).sum()
}

/// The sum of the products of two equally long lists: four sums at once, none of which waits for another.
fn products(left: &[f64], right: &[f64]) -> f64 {
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<4>(), right.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (left, right) in left.iter().zip(right) {
        for (place, sum) in sums.iter_mut().enumerate() {
            *sum += left[place] * right[place];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residuals_no_wider_than_independence_makes_them_have_no_design_effect() {
        let residuals: Vec<f64> = (0..100).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let seen = Dependence::of(&residuals, 120.0, 0.0);
        assert_eq!((seen.design_effect.to_bits(), seen.variance.to_bits()), (1.0_f64.to_bits(), 120.0_f64.to_bits()));
        assert!(seen.freedom.is_infinite());
        // What happens within a stretch, beyond what the residuals show, counts too.
        let hidden = Dependence::of(&residuals, 120.0, 100.0);
        assert!((hidden.variance - 200.0 * 100.0 / 99.0).abs() < 1e-9, "{hidden:?}");
    }

    #[test]
    fn what_lasts_over_several_seconds_counts_once() {
        // Ten bursts: one second each, or five seconds each of a fifth.
        let burst = |long: usize, height: f64| -> Vec<f64> {
            let raw: Vec<f64> = (0..500).map(|n| if n % 50 < long { height } else { 0.0 }).collect();
            let mean = raw.iter().sum::<f64>() / 500.0;
            raw.iter().map(|value| value - mean).collect()
        };
        let short = Dependence::of(&burst(1, 100.0), 1000.0, 0.0);
        let long = Dependence::of(&burst(5, 20.0), 1000.0, 0.0);
        // A burst of five equal seconds has the spread of a burst in one, to within what the gaps take.
        assert!((long.variance / short.variance - 1.0).abs() < 0.2, "{short:?} {long:?}");
        assert!(short.freedom < 10.0 && long.freedom < 15.0, "ten bursts are few: {short:?} {long:?}");
        assert!(short.skewness > 0.0);
    }

    #[test]
    fn one_stretch_or_none_is_taken_as_independent() {
        for residuals in [&[][..], &[0.0]] {
            let seen = Dependence::of(residuals, 9.0, 0.0);
            assert!((seen.variance - 9.0).abs() < 1e-12 && seen.freedom.is_infinite(), "{seen:?}");
        }
    }
}
