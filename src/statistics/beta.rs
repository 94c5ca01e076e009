//! The binomial distribution's tails, for whole and for fractional counts: the regularised incomplete beta function.
//!
//! By its continued fraction (DLMF 8.17.22, evaluated as Lentz does), whose factor in front is taken from Loader's
//! saddle-point form of the binomial density ("Fast and accurate computation of binomial probabilities", 2000): written
//! with logarithms of gamma functions it would lose six digits at the counts of a day.

use std::f64::consts::TAU;

/// A fraction of so many steps has converged, at any count of a run; the loop ends here in any case.
const MOST_STEPS: u32 = 1_000_000;

/// The probability that of `calls` calls at most `hits` are bad, where each is bad with probability `share`: exact for
/// whole numbers, and the usual continuation (by the beta distribution) for fractions, which effective counts are.
/// `hits` and `calls` are not negative, `share` is from 0 to 1.
pub fn at_most(hits: f64, calls: f64, share: f64) -> f64 {
    if hits >= calls || share <= 0.0 {
        return 1.0;
    }
    if share >= 1.0 {
        return 0.0;
    }
    1.0 - regularised(hits + 1.0, calls - hits, share)
}

/// The probability that of `calls` calls at least `hits` are bad: the other tail of [`at_most`], to full precision.
pub(super) fn at_least(hits: f64, calls: f64, share: f64) -> f64 {
    if hits <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    if share <= 0.0 || hits > calls {
        return 0.0;
    }
    regularised(hits, calls - hits + 1.0, share)
}

/// `I_x(a, b)`, for positive a and b and x within 0 and 1: to nine digits, and to seven at ten thousand million calls.
pub(super) fn regularised(a: f64, b: f64, x: f64) -> f64 {
    // Where the fraction converges fast; elsewhere by symmetry.
    if x < (a + 1.0) / (a + b + 2.0) { tail(a, b, x, 1.0 - x) } else { 1.0 - tail(b, a, 1.0 - x, x) }
}

/// `I_x(a, b)` for x up to about the mean; `rest` is 1 − x.
pub(super) fn tail(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    (front(a, b, x, rest) / a * fraction(a, b, x)).clamp(0.0, 1.0)
}

/// x^a (1 − x)^b ÷ B(a, b).
fn front(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    let all = a + b;
    let exponent = correction(all) - correction(a) - correction(b) - deviance(a, all * x) - deviance(b, all * rest);
    (a * b / (TAU * all)).sqrt() * exponent.exp()
}

/// What Stirling's formula leaves out of ln Γ(z + 1).
fn correction(z: f64) -> f64 {
    if z < 15.0 {
        return correction(z + 1.0) + (z + 0.5) * (1.0 / z).ln_1p() - 1.0;
    }
    let square = z * z;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / z
}

/// seen · ln(seen ÷ expected) + expected − seen, without loss where both are nearly the same.
fn deviance(seen: f64, expected: f64) -> f64 {
    let off = (seen - expected) / expected;
    if off.abs() < 0.5 {
        expected * ((1.0 + off) * off.ln_1p() - off)
    } else {
        seen * (seen / expected).ln() + expected - seen
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let some = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut ratio = 1.0;
    let mut inverse = 1.0 / some(1.0 - (a + b) * x / (a + 1.0));
    let mut value = inverse;
    for step in 1..MOST_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for term in [even, odd] {
            inverse = 1.0 / some(1.0 + term * inverse);
            ratio = some(1.0 + term / ratio);
            value *= ratio * inverse;
        }
        if (value - before).abs() <= 1e-14 * value.abs() {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by adding up the terms, each from the one before.
    fn added_up(hits: u64, calls: u64, share: f64) -> f64 {
        let mut term = (calls as f64 * (-share).ln_1p()).exp();
        let mut sum = term;
        for k in 1..=hits {
            term *= (calls - k + 1) as f64 / k as f64 * share / (1.0 - share);
            sum += term;
        }
        sum
    }

    proptest! {
        #[test]
        fn the_tail_is_the_sum_of_its_terms(calls in 1_u64..400, part in 0.0..1.0_f64, share in 0.001..0.8_f64) {
            let hits = (part * calls as f64) as u64;
            let (seen, exact) = (at_most(hits as f64, calls as f64, share), added_up(hits, calls, share).min(1.0));
            prop_assert!((seen - exact).abs() < 1e-11, "{seen} {exact}");
            let both = seen + at_least(hits as f64 + 1.0, calls as f64, share);
            prop_assert!((both - 1.0).abs() < 1e-12);
        }

        #[test]
        fn more_hits_are_likelier_and_a_larger_share_makes_few_less_likely(
            hits in 0.0..50.0_f64, more in 0.0..9.0_f64, share in 0.0..0.9_f64, rise in 0.0..0.1_f64,
        ) {
            let base = at_most(hits, 60.0, share);
            prop_assert!(at_most(hits + more, 60.0, share) >= base - 1e-12);
            prop_assert!(at_most(hits, 60.0, share + rise) <= base + 1e-12);
        }
    }

    #[test]
    fn rare_failures_among_very_many_calls_follow_poisson() {
        // The two differ by a share of about the expected number over the calls.
        for calls in [1e6, 1e8, 1e10] {
            for (hits, expected) in [(0.0, 3.0), (10.0, 17.0), (17.0, 25.5)] {
                let mut term = f64::exp(-expected);
                let mut sum = term;
                for k in 1..=hits as u64 {
                    term *= expected / k as f64;
                    sum += term;
                }
                let seen = at_most(hits, calls, expected / calls);
                assert!((seen / sum - 1.0).abs() < 100.0 / calls + 2e-7, "{calls} {hits}: {seen} {sum}");
            }
        }
    }

    #[test]
    fn known_values_of_the_incomplete_beta_function_are_met() {
        // From mpmath with forty digits; those of half a thousand million and more from SciPy 1.17, to eight.
        for (a, b, x, known) in TABLE {
            let seen = regularised(a, b, x);
            assert!(
                (seen / known - 1.0).abs() < if a < 1e8 { 1e-10 } else { 1e-8 },
                "I_{x}({a}, {b}) = {seen}, not {known}"
            );
        }
    }

    const TABLE: [(f64, f64, f64, f64); 10] = [
        (0.5, 0.5, 0.3, 0.369_010_119_565_545_36),
        (2.5, 7.25, 0.1, 0.108_415_785_830_984_49),
        (10.0, 99_999_991.0, 1e-7, 0.542_070_291_783_65),
        (10.0, 99_999_991.0, 2e-7, 0.995_004_590_890_66),
        (5e8, 9.5e9, 0.05, 0.500_005_491_418_156_6),
        (5e8, 9.5e9, 0.050_004, 0.966_768_876_279_479_8),
        (1e5, 3e5, 0.2489, 0.053_959_286_342_531_4),
        (30.0, 0.5, 0.9, 0.012_282_448_499_852_763),
        (1.0, 1e9, 1e-9, 0.632_120_559_012_497_4),
        (750.3, 14_250.9, 0.0512, 0.749_073_721_324_180_7),
    ];
}
