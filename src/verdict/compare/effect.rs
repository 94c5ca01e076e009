//! How much an indicator changed, and what can be said for sure about it.

use serde::Serialize;

/// The chance that is left for a mistake, on each side: intervals are two-sided of 90 %, verdicts one-sided of 95 %.
pub(super) const MISTAKE: f64 = 0.05;

/// A change with its interval, on the scale of its indicator: a logarithm of a ratio, or a difference of shares. More is
/// always more: of time, of errors, of answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The observed change.
    pub estimate: f64,
    /// The lower end of the two-sided 90 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The chance of as large a rise, or a larger one, if nothing had changed.
    pub by_chance_up: f64,
    /// The same of a fall.
    pub by_chance_down: f64,
}

/// Halvings until the end of an interval is known to five digits.
const HALVINGS: u32 = 34;

impl Effect {
    /// From `tail`, the chance to see as much or more if the true change were the given one, which rises with it. No
    /// change beyond `most` either way is looked for: an interval that reaches it has no end there.
    pub(super) fn inverted(estimate: f64, most: f64, tail: &dyn Fn(f64) -> f64) -> Self {
        let unchanged = tail(0.0);
        let end = |level: f64| {
            let (mut low, mut high) = (-most, most);
            if tail(low) >= level {
                return f64::NEG_INFINITY;
            }
            if tail(high) <= level {
                return f64::INFINITY;
            }
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                if tail(middle) < level {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            f64::midpoint(low, high)
        };
        let (low, high) = (end(MISTAKE), end(1.0 - MISTAKE));
        Self {
            estimate,
            low: low.min(estimate),
            high: high.max(estimate),
            by_chance_up: unchanged,
            by_chance_down: 1.0 - unchanged,
        }
    }
}
