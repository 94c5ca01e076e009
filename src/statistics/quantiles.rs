//! Quantiles of the normal distribution and of Student's t, which stands for it where a spread is itself an estimate.

use super::beta::tail;

/// Beyond so many degrees of freedom t is the normal distribution, to nine digits.
const MOST_FREEDOM: f64 = 1e9;

/// The value that a standard normal figure stays below with `probability` (0 to 1, ends excluded).
///
/// Acklam's rational approximation, whose relative error is below 1.2e-9.
pub fn normal_quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    const OUTER: f64 = 0.024_25;
    let outer = |share: f64| {
        let q = (-2.0 * share.ln()).sqrt();
        horner(&C, q) / horner(&D, q)
    };
    if probability < OUTER {
        outer(probability)
    } else if probability > 1.0 - OUTER {
        -outer(1.0 - probability)
    } else {
        let q = probability - 0.5;
        q * horner(&A, q * q) / horner(&B, q * q)
    }
}

/// A polynomial, its highest power first.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The probability that a figure with Student's distribution of `freedom` degrees (positive, also fractions and infinite)
/// is above `t`.
pub fn t_tail(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return 0.5;
    }
    // Beyond this the normal distribution, to all digits that matter.
    let freedom = freedom.min(MOST_FREEDOM);
    let beyond = if t.is_infinite() { 0.0 } else { beyond(t.abs(), freedom) };
    if t > 0.0 { beyond } else { 1.0 - beyond }
}

/// P(T > t) for t not below 0: I(freedom ÷ (freedom + t²); freedom ÷ 2, ½) ÷ 2, which falls as t grows.
fn beyond(t: f64, freedom: f64) -> f64 {
    let (square, rest) = (t * t / (freedom + t * t), freedom / (freedom + t * t));
    let (a, b) = (freedom / 2.0, 0.5);
    let both = if rest <= a / (a + b) { tail(a, b, rest, square) } else { 1.0 - tail(b, a, square, rest) };
    both / 2.0
}

/// The value above which a figure with Student's distribution of `freedom` degrees (positive, also fractions) is with
/// probability `error` (0 to 0.5, ends excluded).
pub fn t_quantile(error: f64, freedom: f64) -> f64 {
    if freedom >= MOST_FREEDOM {
        return -normal_quantile(error);
    }
    let above = |t: f64| beyond(t, freedom);
    let mut low = -normal_quantile(error) * 0.999;
    let mut high = low + 1.0;
    while above(high) > error && high < 1e12 {
        (low, high) = (high, high * 2.0);
    }
    while (high - low) > 1e-10 * high {
        let middle = low.midpoint(high);
        *(if above(middle) > error { &mut low } else { &mut high }) = middle;
    }
    low.midpoint(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles_are_met() {
        for (probability, known) in [(0.95, 1.644_853_626_951), (0.975, 1.959_963_984_540), (0.001, -3.090_232_306_168)]
        {
            assert!((normal_quantile(probability) - known).abs() < 1e-8, "{probability}");
        }
        // From any table of Student's t, to its digits.
        for (error, freedom, known) in [
            (0.05, 1.0, 6.3138),
            (0.025, 2.0, 4.3027),
            (0.05, 4.0, 2.1318),
            (0.025, 29.0, 2.0452),
            (0.005, 9.0, 3.2498),
        ] {
            assert!((t_quantile(error, freedom) - known).abs() < 5e-5, "{error} {freedom}");
        }
    }

    #[test]
    fn a_tail_is_the_inverse_of_a_quantile_on_both_sides() {
        for (error, freedom) in [(0.05, 1.0), (0.3, 2.5), (0.01, 40.0), (1e-6, 1e7), (0.05, f64::INFINITY)] {
            let t = t_quantile(error, freedom);
            assert!((t_tail(t, freedom) / error - 1.0).abs() < 1e-5, "{error} {freedom}");
            assert!((t_tail(-t, freedom) - (1.0 - error)).abs() < 1e-6, "{error} {freedom}");
        }
        assert_eq!((t_tail(f64::INFINITY, 3.0), t_tail(f64::NEG_INFINITY, 3.0)), (0.0, 1.0));
        assert!((t_tail(0.0, 7.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn student_becomes_normal_and_fractions_of_freedom_lie_between() {
        for freedom in [1e6, 1e8, 1e10] {
            assert!((t_quantile(0.05, freedom) - 1.644_854).abs() < 3e-6, "{freedom}");
        }
        let between = t_quantile(0.05, 2.5);
        assert!(t_quantile(0.05, 3.0) < between && between < t_quantile(0.05, 2.0));
        assert!(t_quantile(0.05, 0.5) > 6.4);
    }
}
