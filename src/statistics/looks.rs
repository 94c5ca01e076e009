//! When a run may be judged before its end, and how much error each look may spend.
//!
//! Whoever looks again and again, and stops where the figures please, is wrong more often than 5 %. So the looks are
//! planned before the run, in geometric steps back from its end, and share the error: one half is for the end, and the
//! other is spread evenly over the early looks. That the sum is 5 % is the union bound of Bonferroni, so it holds
//! whatever the figures of two looks have in common, as spending functions do (Lan and `DeMets` 1983).
//!
//! PASS is looked for in the last sixteenfold of the run only: with nothing bad seen it rests on independence, and a
//! target that stalls now and then is the likelier not to have stalled yet, the earlier one looks.

use serde::{Deserialize, Serialize};

/// From one look to the next.
const STEP: f64 = 1.5;
/// Nothing is decided earlier than after so many seconds.
const FIRST: f64 = 15.0;
/// PASS is not looked for before this part of the run.
const FIRST_PASS: f64 = 1.0 / 16.0;

/// What may be spent at one look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// When, in seconds since measuring began.
    pub at: f64,
    /// The error of PASS; `None` where PASS is not looked for.
    pub pass: Option<f64>,
    /// The error of FAIL.
    pub fail: f64,
}

/// All looks at a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looks {
    /// Those before the end, in order.
    pub early: Vec<Look>,
    /// That at the end.
    pub last: Look,
}

impl Looks {
    /// For a run that is measured for `seconds` at most, with an error of `error` in all. `passes` says whether the run
    /// ends early for PASS too.
    pub fn planned(seconds: f64, passes: bool, error: f64) -> Self {
        let back = std::iter::successors(Some(seconds / STEP), |at| Some(at / STEP));
        let mut times: Vec<f64> = back.take_while(|at| *at >= FIRST).collect();
        times.reverse();
        let for_pass = |at: f64| passes && at >= seconds * FIRST_PASS;
        let share = |looks: usize| if looks > 0 { error / 2.0 / looks as f64 } else { 0.0 };
        let rest = |looks: usize| if looks > 0 { error / 2.0 } else { error };
        let (passing, failing) = (times.iter().filter(|at| for_pass(**at)).count(), times.len());
        let look = |at: f64| Look { at, pass: for_pass(at).then(|| share(passing)), fail: share(failing) };
        let last = Look { at: seconds, pass: Some(rest(passing)), fail: rest(failing) };
        Self { early: times.into_iter().map(look).collect(), last }
    }

    /// How long a run is measured at least, in seconds, for one look before its end.
    pub const fn shortest() -> f64 {
        FIRST * STEP
    }

    /// The early look that is due `seconds` after measuring began: the latest not after that.
    pub fn due(&self, seconds: f64) -> Option<usize> {
        self.early.iter().rposition(|look| look.at <= seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_looks_never_spend_more_than_there_is(seconds in 0.1..1e6_f64, passes in any::<bool>()) {
            let looks = Looks::planned(seconds, passes, 0.05);
            let all = || looks.early.iter().chain([&looks.last]);
            let fail: f64 = all().map(|look| look.fail).sum();
            let pass: f64 = all().filter_map(|look| look.pass).sum();
            prop_assert!((fail - 0.05).abs() < 1e-12 && (pass - 0.05).abs() < 1e-12);
            prop_assert!(all().is_sorted_by(|left, right| left.at < right.at));
            prop_assert!(looks.early.iter().all(|look| look.at >= 15.0 && (passes || look.pass.is_none())));
        }
    }

    #[test]
    fn a_short_run_is_looked_at_once_and_a_long_one_in_steps() {
        assert_eq!(
            Looks::planned(20.0, true, 0.05),
            Looks { early: Vec::new(), last: Look { at: 20.0, pass: Some(0.05), fail: 0.05 } }
        );
        let looks = Looks::planned(300.0, true, 0.05);
        let times: Vec<i64> = looks.early.iter().map(|look| look.at.round() as i64).collect();
        assert_eq!(times, [18, 26, 40, 59, 89, 133, 200]);
        assert_eq!(looks.early.iter().filter(|look| look.pass.is_some()).count(), 6);
        assert_eq!((looks.due(10.0), looks.due(40.0), looks.due(1e9)), (None, Some(2), Some(6)));
        assert!(Looks::planned(300.0, false, 0.05).last.pass == Some(0.05));
    }
}
