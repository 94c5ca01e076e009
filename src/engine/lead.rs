//! How much earlier a lane asks to be woken, so that it is on time.

use std::time::Duration;

use crate::time::Moment;

/// How late this machine usually wakes a sleeper: so much earlier it is asked to, and waits out the rest awake.
///
/// Follows a quantile of what was seen, by steps up and down (stochastic approximation: H. Robbins, S. Monro, 1951): where those up are
/// nine times those down, nine of ten wake-ups are on time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lead(u64);

impl Lead {
    /// No more than this many nanoseconds: what is later than that is no habit of the machine's, and waiting awake costs CPU time.
    const MOST: u64 = 100_000;
    /// By so many at a time down.
    pub(super) const STEP: u64 = 250;
    /// By so many at a time up, where nothing but sleep made it late.
    pub(super) const UP: u64 = 9 * Self::STEP;

    /// Learns how late a sleeper was. With `up` of one step it follows the median, which is what matters where some were late for another
    /// reason.
    pub(super) fn learn(&mut self, late: Duration, up: u64) {
        if late.as_nanos() as u64 > self.0 {
            self.0 = (self.0 + up).min(Self::MOST);
        } else {
            self.forget();
        }
    }

    /// Becomes shorter by a step, as where there was no time to sleep because it is so long.
    pub(super) const fn forget(&mut self) {
        self.0 = self.0.saturating_sub(Self::STEP);
    }

    pub(super) const fn before(self, moment: Moment) -> Moment {
        moment.before(Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_is_a_quantile_of_what_was_late_and_bounded() {
        let mut lead = Lead::default();
        // Late by 10 to 29 µs, in an order that mixes them.
        for n in 0..2_000_u64 {
            lead.learn(Duration::from_micros(10 + n * 7 % 20), Lead::UP);
        }
        assert!((25_000..=31_500).contains(&lead.0), "{lead:?}");
        for n in 0..2_000_u64 {
            lead.learn(Duration::from_micros(10 + n * 7 % 20), Lead::STEP);
        }
        assert!((18_000..=22_000).contains(&lead.0), "the median: {lead:?}");
        assert_eq!(lead.before(Moment::from_nanos(100_000)).as_nanos(), 100_000 - lead.0);
        assert_eq!(lead.before(Moment::ZERO), Moment::ZERO);
        for _ in 0..1000 {
            lead.learn(Duration::from_millis(5), Lead::UP);
        }
        assert_eq!(lead.0, Lead::MOST);
        for _ in 0..1000 {
            lead.learn(Duration::ZERO, Lead::UP);
        }
        assert_eq!(lead.0, 0);
    }
}
