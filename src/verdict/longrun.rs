//! How much a sum over stretches of a run varies when neighbouring stretches go together, where nothing is known of how much it
//! would vary if they did not: for slopes. (Counts have a spread of their own: `statistics::Dependence`.)
//!
//! The long-run variance with Bartlett weights (Newey and West, *Econometrica* 55, 1987); how many neighbours count follows
//! from the series itself: Andrews' rule with a first-order autoregression (*Econometrica* 59, 1991). The degrees of
//! freedom are those of the spectral estimate with the same weights (Priestley, *Spectral Analysis and Time Series*, 1981).

/// No more than this part of the cells count as neighbours.
const MOST_NEIGHBOURS: f64 = 0.25;

/// The variance of a sum, and how well it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct LongRun {
    /// Of the sum over all cells.
    pub(super) variance: f64,
    /// Degrees of freedom of that variance.
    pub(super) freedom: f64,
}

/// The variance of the sum of `residuals`, one for each cell in the order of time, which add up to nothing.
pub(super) fn of_sum(residuals: &[f64]) -> LongRun {
    let cells = residuals.len() as f64;
    let product = |lag: usize| -> f64 {
        residuals.iter().zip(residuals.iter().skip(lag)).map(|(left, right)| left * right).sum()
    };
    let own = product(0);
    if residuals.len() < 2 || own <= 0.0 {
        return LongRun { variance: own, freedom: (cells - 1.0).max(0.0) };
    }
    let near = nearness(product(1) / own, cells);
    let width = neighbours(near, cells);
    let mut variance = own;
    for lag in 1..residuals.len() {
        let weight = 1.0 - lag as f64 / width;
        if weight <= 0.0 {
            break;
        }
        variance += 2.0 * weight * product(lag);
    }
    // A slow process reaches further than the neighbours that count: then the autoregression alone says more.
    let variance = variance.max(own * (1.0 + near) / (1.0 - near));
    // That of a mean known only from the same cells.
    let variance = variance * cells / (cells - 1.0);
    LongRun { variance, freedom: (cells - 1.0).min(1.5 * cells / width) }
}

/// The correlation of two neighbours, from the one seen in `cells` cells, which falls short by (1 + 4 × it) / cells (Kendall,
/// *Biometrika* 41, 1954). Neighbours that go against each other count as independent.
fn nearness(seen: f64, cells: f64) -> f64 {
    let whole = if cells > 8.0 { (cells * seen + 1.0) / (cells - 4.0) } else { seen };
    whole.clamp(0.0, 0.97)
}

/// How many cells on either side count, itself included; `near` is the correlation of two neighbours.
fn neighbours(near: f64, cells: f64) -> f64 {
    let alpha = 4.0 * near * near / ((1.0 - near) * (1.0 + near)).powi(2);
    (1.1447 * (alpha * cells).cbrt()).clamp(1.0, (cells * MOST_NEIGHBOURS).max(1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn mean_variance(carried: f64) -> f64 {
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        let mut total = 0.0;
        for _ in 0..200 {
            let mut value = 0.0;
            let mut series: Vec<f64> = (0..400)
                .map(|_| {
                    // Uniform with variance 1.
                    value = carried * value + (dice.random::<f64>() - 0.5) * 12.0_f64.sqrt();
                    value
                })
                .collect();
            let mean = series.iter().sum::<f64>() / 400.0;
            for value in &mut series {
                *value -= mean;
            }
            total += of_sum(&series).variance / 400.0;
        }
        total / 200.0
    }

    #[test]
    fn independent_cells_have_the_plain_variance_and_dependent_ones_more() {
        assert!((mean_variance(0.0) - 1.0).abs() < 0.08, "{}", mean_variance(0.0));
        // The long-run variance of this process is 1/(1 − 0.5)² = 4; the estimate is known to fall a little short.
        assert!((3.2..4.2).contains(&mean_variance(0.5)), "{}", mean_variance(0.5));
    }

    #[test]
    fn nothing_and_a_single_cell_say_nothing() {
        assert_eq!(of_sum(&[]), LongRun::default());
        assert_eq!(of_sum(&[0.0]), LongRun::default());
        assert_eq!(of_sum(&[0.0, 0.0, 0.0]), LongRun { variance: 0.0, freedom: 2.0 });
    }
}
