//! How long the target stood still: calls were in flight, and none of them ended.
//!
//! Found from one snapshot to the next, so that a freeze of a second is seen also by who scrapes every fifteen.

use std::time::Duration;

use crate::time::Moment;

/// Where fewer arrivals were due, silence is no news: even at random times one in twenty thousand such stretches has none.
const ENOUGH: f64 = 10.0;

/// What is known of standing still up to one snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stillness {
    now: Moment,
    in_flight: u64,
    answered: u64,
    /// For how long nothing has been answered, as far as that is not in `frozen` yet.
    quiet: Duration,
    /// How many arrivals were due in it.
    due: f64,
    /// How long the target stood still so far.
    pub(super) frozen: Duration,
}

impl Stillness {
    /// What is known with a later snapshot, at which `rate` arrivals a second were due, `in_flight` calls were in flight and
    /// `answered` had been answered.
    pub(super) fn then(self, now: Moment, rate: f64, in_flight: u64, answered: u64) -> Self {
        // Before the first answer of all nobody can tell a freeze from a slow target.
        let is_quiet = self.answered > 0 && answered == self.answered && in_flight > 0 && self.in_flight > 0;
        let next = Self { now, in_flight, answered, frozen: self.frozen, ..Self::default() };
        if !is_quiet {
            return next;
        }
        let passed = now.since(self.now);
        let (quiet, due) = (self.quiet + passed, self.due + rate * passed.as_secs_f64());
        if due < ENOUGH {
            return Self { quiet, due, ..next };
        }
        Self { frozen: self.frozen + quiet, ..next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Snapshots half a second apart, each with what was in flight and answered.
    fn frozen(rate: f64, seen: &[(u64, u64)]) -> f64 {
        let mut stillness = Stillness::default();
        for (place, (in_flight, answered)) in (1..).zip(seen) {
            let now = Moment::from_nanos(place * 500_000_000);
            stillness = stillness.then(now, rate, *in_flight, *answered);
        }
        stillness.frozen.as_secs_f64()
    }

    #[test]
    fn a_target_that_answers_nobody_while_calls_wait_stands_still() {
        let seen = [(5, 40), (9, 90), (60, 90), (110, 90), (8, 240), (5, 290)];
        assert!((frozen(100.0, &seen) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn silence_is_no_freeze_where_nobody_asked_or_few_did_or_nothing_was_ever_answered() {
        assert!(frozen(100.0, &[(5, 40), (0, 90), (0, 90), (0, 90), (9, 90)]).abs() < 1e-9);
        assert!(frozen(2.0, &[(5, 40), (1, 90), (1, 90), (1, 91), (1, 92)]).abs() < 1e-9);
        assert!(frozen(100.0, &[(50, 0), (100, 0), (150, 0)]).abs() < 1e-9);
    }

    #[test]
    fn at_a_low_rate_a_freeze_counts_once_it_is_long_enough() {
        let mut seen = vec![(1, 5); 12];
        assert!((frozen(2.0, &seen) - 5.0).abs() < 1e-9);
        seen.push((1, 6));
        assert!((frozen(2.0, &seen) - 5.0).abs() < 1e-9);
    }
}
