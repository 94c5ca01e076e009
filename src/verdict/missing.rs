//! What an undecided objective still needs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::evidence::Evidence;
use super::figure;
use crate::statistics::{FEWEST, calls_to_fail, calls_to_pass, calls_without_bad, normal_quantile};
use crate::time::humane_duration;

/// The chance that a run of the size that is named decides, where the figures stay as they are.
const POWER: f64 = 0.9;
/// Nobody runs for longer than a year.
const LONGEST: f64 = 366.0 * 86_400.0;

/// What it takes to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// No call of it has ended.
    Anything,
    /// Calls, of which none is bad.
    NoneBad,
    /// Calls like those that were seen; then it is met in nine runs of ten.
    Pass,
    /// Calls like those that were seen; then it is missed in nine runs of ten.
    Fail,
    /// A longer run: what was bad was bad together, so that many calls say as little as a few.
    Stretches,
    /// A target that is up to the end of the run.
    Up,
    /// Something else than calls: what was seen is too near to the limit.
    Distance,
}

/// What is missing for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Missing {
    /// What it takes.
    pub need: Need,
    /// How many calls more, where that can be said.
    pub calls: Option<u64>,
    /// How long that takes at the rate of the run.
    pub time: Option<Duration>,
}

impl Missing {
    /// For an objective of which nothing was seen.
    pub(super) const NOTHING: Self = Self { need: Need::Anything, calls: None, time: None };

    /// For an objective of which, from some moment on, nothing good was seen.
    pub(super) const UP: Self = Self { need: Need::Up, calls: None, time: None };

    /// What `evidence` lacks, where PASS is given and FAIL found with these errors, and `rate` calls end in a second.
    pub(super) fn of(evidence: &Evidence, (pass, fail): (f64, f64), rate: f64) -> Self {
        let (need, wanted) = wanted(evidence, pass, fail);
        let per_effective = evidence.calls() / evidence.effective();
        let least = if need == Need::NoneBad { 0.0 } else { FEWEST };
        let more = |effective: f64| (effective.max(least) * per_effective - evidence.calls()).max(1.0).ceil();
        let Some(more) = wanted.map(more).filter(|more| rate <= 0.0 || more / rate < LONGEST) else {
            return Self { need: Need::Distance, calls: None, time: None };
        };
        // Few calls are just few.
        let together = evidence.is_scarce() && evidence.calls() >= FEWEST;
        let need = if together { Need::Stretches } else { need };
        let time = (rate > 0.0).then(|| Duration::from_secs_f64((more / rate).ceil()));
        Self { need, calls: Some(more as u64), time }
    }
}

/// The effective calls that it takes in all.
fn wanted(evidence: &Evidence, pass: f64, fail: f64) -> (Need, Option<f64>) {
    match evidence {
        Evidence::Share(share, limit) if share.bad <= 0.0 => (Need::NoneBad, Some(calls_without_bad(*limit, pass))),
        Evidence::Share(share, limit) if share.observed() < *limit => {
            (Need::Pass, calls_to_pass(*limit, share.observed(), pass, POWER))
        }
        Evidence::Share(share, limit) => (Need::Fail, calls_to_fail(*limit, share.observed(), fail, POWER)),
        Evidence::Mean(mean, limit) => {
            let (need, error) = if mean.observed < *limit { (Need::Pass, pass) } else { (Need::Fail, fail) };
            let far = normal_quantile(1.0 - error) + normal_quantile(POWER);
            let errors_away = (limit - mean.observed).abs() / mean.standard_error();
            let times = (far / errors_away).powi(2);
            (need, Some(times * mean.effective()).filter(|calls| calls.is_finite()))
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(calls) = self.calls else {
            return f.write_str(match self.need {
                Need::Up => "a target that is up to the end: it failed in the midst of the run, once, and more calls to it as it is would say no more",
                Need::Anything => "calls of it that end after warm-up: run longer, or give it more weight",
                _ => "distance: what was seen is so near to the limit that no run of sensible length would decide",
            });
        };
        let s = if calls == 1 { "" } else { "s" };
        write!(f, "{} more call{s}", figure::grouped(calls))?;
        if let Some(time) = self.time {
            write!(f, " ({} at this rate)", humane_duration(time))?;
        }
        f.write_str(match self.need {
            Need::NoneBad => ", none of them bad",
            Need::Pass => " would show that it is met, in nine runs of ten, if the figures stay as they are",
            Need::Fail => " would show that it is missed, in nine runs of ten, if the figures stay as they are",
            Need::Stretches => " at least: calls were bad together, so that many say as little as a few",
            Need::Anything | Need::Up | Need::Distance => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{Count, ERROR, Share};

    fn missing(bad: u64, calls: u64, limit: f64, rate: f64) -> Missing {
        let share = Share::independent(bad, calls).unwrap();
        Missing::of(&Evidence::Share(share, limit), (ERROR, ERROR), rate)
    }

    #[test]
    fn one_failure_in_a_hundred_thousand_at_ten_thousand_a_second() {
        // 30 s without a failure in all, of which ten are over.
        let none = missing(0, 100_000, 1e-5, 10_000.0);
        assert_eq!((none.need, none.time), (Need::NoneBad, Some(Duration::from_secs(20))));
        assert!((199_000..200_000).contains(&none.calls.unwrap()), "{none:?}");
        // 255 s in all at half of what is allowed.
        let half = missing(1, 200_000, 1e-5, 10_000.0);
        assert_eq!((half.need, half.time), (Need::Pass, Some(Duration::from_secs(235))));
    }

    #[test]
    fn each_need_has_its_words() {
        let stall = |n| Count { calls: 100.0, bad: if n < 2 { 100.0 } else { 0.0 } };
        let stall = Share::of(&(0..20).map(stall).collect::<Vec<_>>(), 0.0).unwrap();
        let all = [
            Missing::NOTHING,
            Missing::UP,
            missing(0, 100_000, 1e-5, 10_000.0),
            missing(3, 400, 0.02, 100.0),
            missing(9, 400, 0.015, 100.0),
            missing(5, 500, 0.01, 100.0),
            missing(1, 12, 0.01, 0.0),
            Missing::of(&Evidence::Share(stall, 0.2), (ERROR, ERROR), 100.0),
        ];
        insta::assert_snapshot!(all.map(|missing| missing.to_string()).join("\n"), @r"
        calls of it that end after warm-up: run longer, or give it more weight
        a target that is up to the end: it failed in the midst of the run, once, and more calls to it as it is would say no more
        199 572 more calls (20.0 s at this rate), none of them bad
        319 more calls (4.00 s at this rate) would show that it is met, in nine runs of ten, if the figures stay as they are
        2 379 more calls (24.0 s at this rate) would show that it is missed, in nine runs of ten, if the figures stay as they are
        distance: what was seen is so near to the limit that no run of sensible length would decide
        70 more calls would show that it is missed, in nine runs of ten, if the figures stay as they are
        21 172 more calls (3 m 32 s at this rate) at least: calls were bad together, so that many say as little as a few
        ");
    }
}
