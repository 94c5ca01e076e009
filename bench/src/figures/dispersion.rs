//! Whether arrivals are as irregular as a Poisson process: the variance of their counts over the mean, which is 1 there.

/// An index of dispersion, and how far chance alone takes it from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dispersion {
    pub(crate) index: f64,
    /// Of a Poisson process seen in as many windows: (n - 1) times the index is about chi-squared with n - 1 degrees of
    /// freedom, so its standard error is the root of 2 / (n - 1).
    pub(crate) error: f64,
}

impl Dispersion {
    /// How many standard errors it is away from 1.
    pub(crate) fn deviation(self) -> f64 {
        (self.index - 1.0) / self.error
    }
}

/// The dispersion of counts in whole windows of `window` nanoseconds; `None` of less than two windows, or of no arrival.
pub(crate) fn dispersion(stamps: &[u64], window: u64) -> Option<Dispersion> {
    let (first, last) = (*stamps.iter().min()?, *stamps.iter().max()?);
    let windows = ((last - first) / window) as usize;
    let mut counts = vec![0_u32; windows];
    for stamp in stamps {
        if let Some(count) = counts.get_mut(((stamp - first) / window) as usize) {
            *count += 1;
        }
    }
    let n = windows as f64;
    let mean = counts.iter().map(|count| f64::from(*count)).sum::<f64>() / n;
    let squares: f64 = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum();
    (windows >= 2 && mean > 0.0)
        .then(|| Dispersion { index: squares / (n - 1.0) / mean, error: (2.0 / (n - 1.0)).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_no_dispersion_and_bursts_have_much() {
        let grid: Vec<u64> = (0..10_001).map(|n| n * 100).collect();
        assert!(dispersion(&grid, 1000).unwrap().index.abs() < 1e-9);
        // Ten at once in every tenth window of ten: the counts are 100 or 0.
        let bursts: Vec<u64> = (0..10_001).map(|n| n / 100 * 10_000).collect();
        let index = dispersion(&bursts, 1000).unwrap().index;
        assert!((index - 90.0).abs() < 2.0, "{index}");
    }

    #[test]
    fn gaps_of_an_exponential_distribution_are_within_chance_of_one() {
        // A linear congruential generator will do here; the gaps' mean is 1000.
        let mut state = 42_u64;
        let mut at = 0.0;
        let stamps: Vec<u64> = (0..50_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let uniform = ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
                at -= 1000.0 * uniform.ln();
                at as u64
            })
            .collect();
        let dispersion = dispersion(&stamps, 10_000).unwrap();
        assert!(dispersion.deviation().abs() < 3.0, "{dispersion:?}");
        assert!((dispersion.error - 0.02).abs() < 0.001, "{dispersion:?}");
    }

    #[test]
    fn too_few_arrivals_say_nothing() {
        assert!(dispersion(&[], 10).is_none() && dispersion(&[5, 6], 10).is_none());
    }
}
