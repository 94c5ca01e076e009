//! Whether a quantile of response time changed by a factor, from one run to one other.
//!
//! Were the new times `factor` times the old ones, the same share of both would be above the quantile of both together.
//! Whether it is, is a comparison of two shares (a median test, as Mood's, at any quantile and factor); the factors that
//! are not refused are the interval (Hodges and Lehmann's inversion). The variance of the shares is that of both runs
//! together, so that a freeze that only one of them had is not taken for a rule; the degrees of freedom are at most the
//! number of independent events above the quantile.

use super::effect::Effect;
use super::sampled::Sampled;
use crate::statistics::t_tail;

/// Two runs, and the share of their arrivals that may be above the quantile.
pub(super) struct Pair<'a> {
    pub(super) base: &'a Sampled,
    pub(super) new: &'a Sampled,
    pub(super) quantile: f64,
}

/// No change by a larger factor than e to this is looked for.
const MOST_CHANGE: f64 = 12.0;
/// Halvings until a time or a factor is known to five digits and more.
const HALVINGS: u32 = 40;

impl Pair<'_> {
    /// The change on a logarithmic scale; `None` where one of the runs saw nothing, or both have no such quantile.
    pub(super) fn effect(&self) -> Option<Effect> {
        let (base, new) = (self.base.quantile(self.quantile)?, self.new.quantile(self.quantile)?);
        if base.is_infinite() && new.is_infinite() {
            return None;
        }
        let estimate = (new / base.max(1.0)).max(f64::MIN_POSITIVE).ln();
        Some(Effect::inverted(estimate, MOST_CHANGE, &|change| self.tail(change)))
    }

    /// The chance to see new times as long as these, or longer, if they were e to `change` times the old ones.
    fn tail(&self, change: f64) -> f64 {
        let factor = change.exp();
        let (base, new) = (self.base.ended(), self.new.ended());
        let all = base + new;
        let wanted = (1.0 - self.quantile) * all;
        let above = |time: f64| (self.base.above(time / factor), self.new.above(time));
        let Some(time) = self.common(factor, |time| above(time).0 + above(time).1 <= wanted) else { return 0.5 };
        let (old_above, new_above) = above(time);
        let share = (old_above + new_above) / all;
        if share <= 0.0 || share >= 1.0 {
            return 0.5;
        }
        let (variance, freedom) = self.variance(time, factor, share);
        let deviation = (variance / all * (1.0 / base + 1.0 / new)).sqrt();
        let events = (share.min(1.0 - share) * all).powi(2) / variance;
        t_tail((new_above / new - old_above / base) / deviation, freedom.min(events))
    }

    /// The smallest time for which `enough` holds, of those that occurred; infinite where it holds for none.
    fn common(&self, factor: f64, enough: impl Fn(f64) -> bool) -> Option<f64> {
        let scaled = self.base.extremes().map(|(least, most)| (least * factor, most * factor));
        let (least, most) = match (scaled, self.new.extremes()) {
            (Some(old), Some(new)) => (old.0.min(new.0), old.1.max(new.1)),
            (one, other) => one.or(other)?,
        };
        // A little beyond the largest, where rounding cannot matter.
        let (mut low, mut high) = ((least.max(1.0) * 0.999).ln(), (most.max(1.0) * 1.001).ln());
        if !enough(high.exp()) {
            return Some(f64::INFINITY);
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if enough(middle.exp()) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high.exp())
    }

    /// The variance of how many of both runs' arrivals are above `time`, a share of `share`, and how well it is known: at
    /// least that of independent calls, more by the factor that the timelines show at the borders beside it.
    fn variance(&self, time: f64, factor: f64, share: f64) -> (f64, f64) {
        let all = self.base.ended() + self.new.ended();
        let independent = all * share * (1.0 - share);
        let (old, new) = (self.base.borders(time / factor), self.new.borders(time));
        let mut worst = (1.0, f64::INFINITY);
        for (old, new) in old.iter().zip(&new) {
            let part = (old.above + new.above) / all;
            let alone = all * part * (1.0 - part);
            let together = old.varies.and(new.varies);
            let grows = together.variance / alone;
            if alone >= 1.0 && grows > worst.0 {
                worst = (grows, together.freedom);
            }
        }
        (independent * worst.0, worst.1)
    }
}
