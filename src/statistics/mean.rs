//! A mean over many calls, from the sums of successive stretches of time.
//!
//! The mean's error is a ratio's: a second's sum of times, less what its calls would have taken at the run's mean. Few long
//! stalls make it skew, so Student's quantiles go through Hall's transformation (1992), which takes the skewness out.

use super::dependence::{Dependence, FEWEST};
use super::quantiles::t_quantile;

/// The calls of one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// How many there were.
    pub calls: f64,
    /// Their times together.
    pub sum: f64,
}

/// A mean over many calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Over how many.
    pub calls: f64,
    /// What they took on average.
    pub observed: f64,
    /// How they hang together.
    pub dependence: Dependence,
}

impl Mean {
    /// Of the sums of successive stretches of time, where one call's time has the variance `spread`. `None` where there
    /// are no calls.
    pub fn of(times: &[Times], spread: f64) -> Option<Self> {
        let times: Vec<Times> = times.iter().copied().filter(|times| times.calls > 0.0).collect();
        let (calls, sum) = times.iter().fold((0.0, 0.0), |(calls, sum), each| (calls + each.calls, sum + each.sum));
        if calls <= 0.0 {
            return None;
        }
        let observed = sum / calls;
        let residuals: Vec<f64> = times.iter().map(|each| each.sum - observed * each.calls).collect();
        Some(Self { calls, observed, dependence: Dependence::of(&residuals, calls * spread, 0.0) })
    }

    /// How many independent calls would say as much.
    pub fn effective(&self) -> f64 {
        self.calls / self.dependence.design_effect
    }

    /// Whether there are too few independent calls to decide anything.
    pub fn is_scarce(&self) -> bool {
        self.effective() < FEWEST
    }

    /// The mean's standard error.
    pub fn standard_error(&self) -> f64 {
        self.dependence.variance.sqrt() / self.calls
    }

    /// The mean that the truth exceeds with probability `error` (0 to 0.5) at most.
    pub fn upper(&self, error: f64) -> f64 {
        self.observed - self.standard_error() * self.unskewed(-t_quantile(error, self.dependence.freedom))
    }

    /// The mean that the truth is below with probability `error` (0 to 0.5) at most.
    pub fn lower(&self, error: f64) -> f64 {
        self.observed - self.standard_error() * self.unskewed(t_quantile(error, self.dependence.freedom))
    }

    /// The studentised figure whose transformation is `t`.
    fn unskewed(&self, t: f64) -> f64 {
        let skew = self.dependence.skewness;
        if skew.abs() < 1e-6 { t } else { 3.0 / skew * ((1.0 + skew * (t - skew / 6.0)).cbrt() - 1.0) }
    }

    /// Whether the truth is below `limit`, with this error.
    pub fn is_below(&self, limit: f64, error: f64) -> bool {
        !self.is_scarce() && self.observed < limit && self.upper(error) < limit
    }

    /// Whether the truth is above `limit`, with this error.
    pub fn is_above(&self, limit: f64, error: f64) -> bool {
        !self.is_scarce() && self.observed > limit && self.lower(error) > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_calls_have_the_usual_interval() {
        // A hundred stretches of a hundred calls whose sums are as spread as those of calls with standard deviation 2.
        let times: Vec<Times> =
            (0..100).map(|n| Times { calls: 100.0, sum: 1000.0 + if n % 2 == 0 { 19.0 } else { -19.0 } }).collect();
        let mean = Mean::of(&times, 4.0).unwrap();
        assert!((mean.observed - 10.0).abs() < 1e-12 && (mean.effective() - 10_000.0).abs() < 1e-9);
        assert!((mean.standard_error() - 0.02).abs() < 1e-12);
        assert!((mean.upper(0.05) - 10.0 - 1.644_854 * 0.02).abs() < 1e-6);
        assert!((mean.lower(0.05) - 10.0 + 1.644_854 * 0.02).abs() < 1e-6);
        assert!(mean.is_below(10.04, 0.05) && !mean.is_below(10.03, 0.05) && mean.is_above(9.96, 0.05));
    }

    #[test]
    fn a_few_long_stalls_leave_more_room_above_than_below() {
        let times: Vec<Times> =
            (0..60).map(|n| Times { calls: 100.0, sum: if n % 9 == 4 { 40.0 } else { 1.0 } }).collect();
        let mean = Mean::of(&times, 0.02).unwrap();
        let (below, above) = (mean.observed - mean.lower(0.05), mean.upper(0.05) - mean.observed);
        assert!(above > 1.2 * below, "{below} {above}");
        assert!(mean.lower(0.05) > 0.0);
    }

    #[test]
    fn a_constant_time_is_known_exactly_and_nothing_has_no_mean() {
        let times = [Times { calls: 50.0, sum: 100.0 }; 10];
        let mean = Mean::of(&times, 0.0).unwrap();
        assert!((mean.upper(0.05) - 2.0).abs() < 1e-12 && mean.is_below(2.01, 0.05));
        assert_eq!(Mean::of(&[Times::default()], 1.0), None);
    }
}
