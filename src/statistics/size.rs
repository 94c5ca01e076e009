//! How many calls it takes to decide: for independent calls; times the design effect for others.

use super::beta::{at_least, at_most};

/// More bad calls than this are waited for by nobody: the share is too near its limit.
const MOST: f64 = 16_777_216.0;

/// How many calls without a bad one show that fewer than a share `limit` (0 to 1, ends excluded) are bad.
pub fn calls_without_bad(limit: f64, error: f64) -> f64 {
    error.ln() / (-limit).ln_1p()
}

/// How many calls show, with probability `power`, that fewer than a share `limit` are bad, where in truth `share` are.
/// `None` where `share` is not below the limit or too near to it.
pub fn calls_to_pass(limit: f64, share: f64, error: f64, power: f64) -> Option<f64> {
    if share >= limit || limit <= 0.0 || limit >= 1.0 {
        return None;
    }
    // With at most `bad` bad calls, so many are needed.
    let needed = |bad: f64| least(bad + 1.0, |calls| at_most(bad, calls, limit) <= error);
    fewest(|bad| at_most(bad, needed(bad), share) >= power).map(needed)
}

/// How many calls show, with probability `power`, that more than a share `limit` are bad, where in truth `share` are.
/// `None` where `share` is not above the limit or too near to it.
pub fn calls_to_fail(limit: f64, share: f64, error: f64, power: f64) -> Option<f64> {
    if share <= limit || limit <= 0.0 || limit >= 1.0 {
        return None;
    }
    // With at least `bad` bad calls, there may be so many calls.
    let allowed = |bad: f64| least(bad, |calls| at_least(bad, calls, limit) > error) - 1.0;
    let enough = |bad: f64| at_least(bad, allowed(bad), share) >= power;
    fewest(|bad| enough(bad + 1.0)).map(|bad| allowed(bad + 1.0))
}

/// The smallest whole number from 0 on for which `holds`, where it holds for all larger ones.
fn fewest(holds: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = (-1.0, 0.0);
    while !holds(high) {
        (low, high) = (high, high * 2.0 + 1.0);
        if high > MOST {
            return None;
        }
    }
    while high - low > 1.0 {
        let middle = f64::midpoint(low, high).floor();
        *(if holds(middle) { &mut high } else { &mut low }) = middle;
    }
    Some(high)
}

/// The least number of calls from `from` on for which `holds`, where it holds for all larger ones.
fn least(from: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (from, from.max(1.0) * 2.0);
    while !holds(high) && high < 1e18 {
        (low, high) = (high, high * 2.0);
    }
    while high - low > (high * 1e-12).max(1e-6) {
        let middle = low.midpoint(high);
        *(if holds(middle) { &mut high } else { &mut low }) = middle;
    }
    high.ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{ERROR, Share};

    #[test]
    fn one_failure_in_a_hundred_thousand_takes_thirty_seconds_at_ten_thousand_a_second() {
        assert!((calls_without_bad(1e-5, ERROR) / 10_000.0 - 30.0).abs() < 0.1);
        let half = calls_to_pass(1e-5, 0.5e-5, ERROR, 0.9).unwrap() / 10_000.0;
        assert!((half - 255.0).abs() < 1.0, "{half}");
    }

    #[test]
    fn so_many_calls_are_just_enough() {
        let calls = calls_without_bad(0.001, ERROR).ceil() as u64;
        assert!(Share::independent(0, calls).unwrap().is_below(0.001, ERROR));
        assert!(!Share::independent(0, calls - 1).unwrap().is_below(0.001, ERROR));
        // At the number of bad calls that a share of 0.4 % has in nine runs of ten.
        let calls = calls_to_pass(0.01, 0.004, ERROR, 0.9).unwrap();
        let bad = (0..100).map(f64::from).find(|bad| at_most(*bad, calls, 0.004) >= 0.9).unwrap();
        assert!(Share::independent(bad as u64, calls as u64).unwrap().is_below(0.01, ERROR));
        let calls = calls_to_fail(0.01, 0.03, ERROR, 0.9).unwrap();
        let bad = (0..100).map(f64::from).rfind(|bad| at_least(*bad, calls, 0.03) >= 0.9).unwrap();
        assert!(Share::independent(bad as u64, calls as u64).unwrap().is_above(0.01, ERROR));
    }

    #[test]
    fn what_is_at_the_limit_or_on_the_wrong_side_is_never_decided() {
        for share in [0.01, 0.02, 0.009_999_99] {
            assert_eq!(calls_to_pass(0.01, share, ERROR, 0.9), None);
        }
        assert_eq!(calls_to_fail(0.01, 0.01, ERROR, 0.9), None);
        assert_eq!(calls_to_fail(0.01, 0.002, ERROR, 0.9), None);
        assert!(calls_to_pass(0.01, 0.0099, ERROR, 0.9).unwrap() > calls_to_pass(0.01, 0.005, ERROR, 0.9).unwrap());
    }
}
