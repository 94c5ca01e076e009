//! Several base runs: how much an indicator differs from run to run is seen, and the new run is held against that.
//!
//! A random-effects view: each run has a true value of its own around a common one. The new run is one more draw, so that
//! its distance from the mean of `k` base runs varies by (1 + 1/k) times the spread of single runs, which the base runs
//! show with k − 1 degrees of freedom (the prediction interval of Whitmore, *The American Statistician* 40, 1986). The spread
//! is never taken for smaller than what each run alone shows of its own uncertainty.

use super::effect::Effect;
use super::rates::Achieved;
use super::sampled::Sampled;
use crate::statistics::t_tail;

/// No change beyond this is looked for, on the scale of the indicator.
const MOST_CHANGE: f64 = 12.0;

/// Histograms tell times apart to a thousandth; the variance of such a rounding.
const FINENESS: f64 = 1e-6 / 12.0;

/// The value of an indicator in one run, and the variance that the run itself shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value {
    pub(super) at: f64,
    pub(super) variance: f64,
}

/// The change from the base runs, at least two, to the new one.
pub(super) fn effect(bases: &[Value], new: Value) -> Effect {
    let runs = bases.len() as f64;
    let mean = bases.iter().map(|value| value.at).sum::<f64>() / runs;
    let within = bases.iter().map(|value| value.variance).sum::<f64>() / runs;
    let seen = bases.iter().map(|value| (value.at - mean).powi(2)).sum::<f64>() / (runs - 1.0);
    let variance = seen.max(within) * (1.0 + 1.0 / runs) + (new.variance - within).max(0.0);
    let estimate = new.at - mean;
    let tail = |change: f64| t_tail((estimate - change) / variance.sqrt(), runs - 1.0);
    Effect::inverted(estimate, MOST_CHANGE, &tail)
}

/// A quantile of one run on a logarithmic scale, its variance by the ranks around it (Woodruff, *Journal of the American
/// Statistical Association* 47, 1952); `None` where there is no such time.
pub(super) fn of_quantile(run: &Sampled, quantile: f64) -> Option<Value> {
    let at = run.quantile(quantile).filter(|time| time.is_finite())?.max(1.0).ln();
    let all = run.ended();
    let alone = |share: f64| all * share * (1.0 - share);
    let grows = run.borders(at.exp()).iter().fold(1.0_f64, |worst, border| {
        let alone = alone(border.above / all);
        if alone >= 1.0 { worst.max(border.varies.variance / alone) } else { worst }
    });
    let deviation = (alone(1.0 - quantile) * grows).sqrt() / all;
    let near = |quantile: f64| run.quantile(quantile.clamp(0.0, 1.0)).filter(|time| time.is_finite());
    let (below, above) =
        (near(quantile - deviation)?.max(1.0).ln(), near(quantile + deviation).map_or(f64::NAN, f64::ln));
    let half = if above.is_nan() { at - below } else { (above - below) / 2.0 };
    Some(Value { at, variance: (half * half).max(FINENESS) })
}

/// The error rate of one run; the variance is that of all runs together, `share` being their common one.
pub(super) fn of_errors(run: &Sampled, share: f64) -> Option<Value> {
    let size = run.ended();
    let own = run.bad().varies.variance / (size * size);
    Some(Value { at: run.tally.error_rate()?, variance: own.max(share * (1.0 - share) / size) })
}

/// The achieved rate of one run on a logarithmic scale.
pub(super) fn of_rate(run: &Sampled) -> Option<Value> {
    Achieved::of(run).map(|achieved| Value { at: achieved.ln, variance: achieved.varies.variance })
}
