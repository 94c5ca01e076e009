//! Student's t distribution, as far as tests and intervals need it.
//!
//! By the regularised incomplete beta function, whose continued fraction converges within some dozen steps (Press et al.,
//! *Numerical Recipes*, 3rd edition, section 6.4; Lanczos' approximation of the gamma function, section 6.1).

/// More degrees of freedom than this are the normal distribution, to all digits that matter.
const MOST_FREEDOM: f64 = 1e6;

/// The chance that Student's t with `freedom` degrees (at least 1 is assumed) exceeds `t`.
pub(super) fn upper_tail(t: f64, freedom: f64) -> f64 {
    let freedom = freedom.clamp(1.0, MOST_FREEDOM);
    if t.is_nan() {
        return 0.5;
    }
    let half = 0.5 * beta(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    if t > 0.0 { half } else { 1.0 - half }
}

/// The value that Student's t with `freedom` degrees exceeds with the chance `tail` (above 0, below 1).
pub(super) fn exceeded_by(tail: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (-1e6, 1e6);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if upper_tail(middle, freedom) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete beta function of `x` (0 to 1).
fn beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges fast on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz' method.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut upper = 1.0;
    let mut lower = 1.0 / safe(1.0 - (a + b) * x / (a + 1.0));
    let mut product = lower;
    for step in 1..1000 {
        let n = f64::from(step);
        let even = n * (b - n) * x / ((a + 2.0 * n - 1.0) * (a + 2.0 * n));
        let odd = -(a + n) * (a + b + n) * x / ((a + 2.0 * n) * (a + 2.0 * n + 1.0));
        let before = product;
        for term in [even, odd] {
            lower = 1.0 / safe(1.0 + term * lower);
            upper = safe(1.0 + term / upper);
            product *= lower * upper;
        }
        if (product / before - 1.0).abs() < 1e-13 {
            break;
        }
    }
    product
}

fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.120_865_097_386_617_9e-2,
        -0.539_523_938_495_3e-5,
    ];
    let series: f64 = COEFFICIENTS.iter().zip(1..).map(|(coefficient, n)| coefficient / (x + f64::from(n))).sum();
    let near = x + 5.5;
    (x + 0.5) * near.ln() - near + (2.506_628_274_631_000_5 * (1.000_000_000_190_015 + series) / x).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_and_quantiles_are_those_of_the_tables() {
        for (tail, freedom, t) in [
            (0.05, 1.0, 6.3138),
            (0.05, 4.0, 2.1318),
            (0.01, 4.0, 3.7469),
            (0.025, 10.0, 2.2281),
            (0.05, 30.0, 1.6973),
            (0.05, 1e9, 1.6449),
            (0.005, 1e9, 2.5758),
            (0.5, 7.0, 0.0),
        ] {
            assert!((exceeded_by(tail, freedom) - t).abs() < 2e-4, "{tail} {freedom}: {}", exceeded_by(tail, freedom));
            assert!((upper_tail(t, freedom) - tail).abs() < 1e-5, "{t} {freedom}: {}", upper_tail(t, freedom));
            assert!((upper_tail(-t, freedom) + tail - 1.0).abs() < 1e-5);
        }
        assert_eq!((upper_tail(f64::INFINITY, 3.0), upper_tail(f64::NEG_INFINITY, 3.0)), (0.0, 1.0));
    }
}
