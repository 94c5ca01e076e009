//! How many calls it takes to decide an objective: for looking ahead, before anything was seen.
//!
//! Calls are taken to be independent of each other; in a run in which they are not it takes more.

use super::indicator::Indicator;
use super::objective::{Bound, Objective};
use crate::statistics::{calls_to_pass, calls_without_bad};

/// Nine times in ten a target that is twice as good as promised passes.
const POWER: f64 = 0.9;

/// How many calls decide an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// With none of them bad: the smallest n with (1 − allowance)ⁿ no more than the error.
    pub with_none_bad: u64,
    /// With half of what is allowed bad, nine times in ten: by the exact binomial test.
    pub with_half_bad: u64,
}

impl Enough {
    /// For `objective`, where PASS may err with the probability `error`; `None` where it is judged as observed (`rate`, `max`), is about a mean, or allows nothing.
    pub fn to_decide(objective: &Objective, error: f64) -> Option<Self> {
        let allowed = allowance(objective).filter(|allowed| *allowed > 0.0 && *allowed < 1.0)?;
        let with_none_bad = calls_without_bad(allowed, error).ceil() as u64;
        let half = calls_to_pass(allowed, allowed / 2.0, error, POWER)?;
        Some(Self { with_none_bad, with_half_bad: half as u64 })
    }
}

/// The share of the calls that may be bad, or slower than the bound.
fn allowance(objective: &Objective) -> Option<f64> {
    match (objective.bound(), objective.indicator()) {
        (Bound::Share(share), Indicator::ErrorRate | Indicator::Dropped) => Some(share),
        (Bound::Time(_), indicator) => indicator.quantile().map(|quantile| 1.0 - quantile),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::ERROR;

    fn enough(objective: &str) -> Option<(u64, u64)> {
        let enough = Enough::to_decide(&objective.parse().unwrap(), ERROR);
        enough.map(|enough| (enough.with_none_bad, enough.with_half_bad))
    }

    #[test]
    fn a_stricter_promise_takes_more_calls() {
        // 10 000 a second: 30 s without a failure, 255 s with half of what is allowed.
        let (none, half) = enough("error_rate < 0.001%").unwrap();
        assert!(none == 299_572 && (2_540_000..2_560_000).contains(&half), "{none} {half}");
        assert_eq!(enough("error_rate < 10%").map(|n| n.0), Some(29));
        assert_eq!(enough("p95 < 150ms").map(|n| n.0), Some(59));
        assert_eq!(enough("p99.9 < 150ms").map(|n| n.0), Some(2995));
    }

    #[test]
    fn looks_before_the_end_leave_less_error_and_take_more_calls() {
        let half = Enough::to_decide(&"error_rate < 0.1%".parse().unwrap(), ERROR / 2.0).unwrap();
        assert_eq!(half.with_none_bad, 3688);
    }

    #[test]
    fn what_is_judged_as_observed_takes_no_number() {
        for objective in ["rate >= 5/s", "max < 1s", "mean < 1s", "dropped <= 0%", "error_rate <= 100%"] {
            assert_eq!(enough(objective), None, "{objective}");
        }
    }
}
