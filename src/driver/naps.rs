//! Whether replies may be looked at later than they come, so that a lane may sleep until its next arrival.
//!
//! Only where the system stamps what it receives, and where each reply comes in one piece: a stamp is that of the last bytes
//! of a read, and pieces that were read together would all have the last one's. What the server says in pieces may also be
//! waiting for us: a window to open, a question to be answered.

use std::cell::Cell;

/// So many replies in a row must have come in one piece, at first; twice as many each time that did not last, up to a bound.
const ENOUGH: u32 = 64;
const MOST: u32 = 1 << 20;
/// One of so many waits is awake all the same: pieces that come while a lane sleeps are one when it wakes.
const AWAKE: u32 = 32;
/// So many waits it counts that one was slept through, itself included: the next may end before the event loop was looked at.
const REMEMBERED: u32 = 2;

/// What is known of the replies to one driver, and who waits for more than a reply.
#[derive(Debug)]
pub(super) struct Naps {
    /// Those who stay awake.
    awake: Cell<usize>,
    /// Replies in one piece since the last that was not.
    whole: Cell<u32>,
    /// How many there must be.
    enough: Cell<u32>,
    /// Whether the server has asked something on its way to an answer: then it may wait for us at any time.
    is_asked: Cell<bool>,
    /// Waits since the last that was awake.
    waits: Cell<u32>,
    /// For how many waits it counts yet that one may have been slept through.
    slept: Cell<u32>,
}

impl Default for Naps {
    fn default() -> Self {
        let (awake, whole, waits) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let slept = Cell::new(0);
        Self { awake, whole, enough: Cell::new(ENOUGH), is_asked: Cell::new(false), waits, slept }
    }
}

impl Naps {
    /// Keeps the lane awake while the guard lives: somebody waits for a connection, a session or an errand, of which each step would
    /// otherwise be as late as the next arrival.
    pub(super) fn stay_awake(&self) -> Awake<'_> {
        self.keep_awake(true);
        Awake(self)
    }

    /// Somebody more keeps the lane awake, or one less: who cannot hold a guard.
    pub(super) fn keep_awake(&self, more: bool) {
        self.awake.update(|awake| if more { awake + 1 } else { awake - 1 });
    }

    /// Notes that a reply came in so many reads so far, the last of them stamped or not.
    pub(super) fn reply(&self, reads: u32, are_stamped: bool) {
        match (reads, are_stamped) {
            (0, _) => {}
            (1, true) => self.whole.set(self.whole.get().saturating_add(1)),
            _ => self.wake(),
        }
    }

    /// Notes something that sleep makes late: a reply in pieces, a connection that broke.
    pub(super) fn wake(&self) {
        if self.whole.replace(0) >= self.enough.get() {
            self.enough.set(self.enough.get().saturating_mul(2).min(MOST));
        }
    }

    /// Notes that the server has asked something of its own.
    pub(super) fn asked(&self) {
        self.is_asked.set(true);
    }

    /// Whether sleep makes nothing late, as far as is known now.
    pub(super) fn are_harmless(&self) -> bool {
        self.awake.get() == 0 && !self.is_asked.get() && self.whole.get() >= self.enough.get()
    }

    /// Notes that the lane begins to wait, and says whether it may sleep through that if nothing else forbids it (`may`): as a rule,
    /// where that is harmless. To be asked for each wait.
    pub(super) fn begin(&self, may: bool) -> bool {
        let is_harmless = may && self.are_harmless();
        if is_harmless {
            self.waits.set((self.waits.get() + 1) % AWAKE);
        }
        let sleeps = is_harmless && self.waits.get() != 0;
        self.slept.update(|slept| if sleeps { REMEMBERED } else { slept.saturating_sub(1) });
        sleeps
    }

    /// Whether one of the last waits may have been slept through: then the event loop may not have told yet of all that has come.
    pub(super) fn have_slept(&self) -> bool {
        self.slept.get() > 0
    }
}

/// While it lives, no wait is slept through.
#[must_use]
pub(super) struct Awake<'a>(&'a Naps);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.keep_awake(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(replies: &[(u32, bool)]) -> Naps {
        let naps = Naps::default();
        for (reads, are_stamped) in replies {
            naps.reply(*reads, *are_stamped);
        }
        naps
    }

    #[test]
    fn a_lane_sleeps_only_where_replies_come_whole_and_stamped() {
        let whole = vec![(1, true); ENOUGH as usize];
        assert!(after(&whole).are_harmless());
        assert!(!after(&whole[1..]).are_harmless(), "too few are known");
        assert!(!after(&[&whole[..], &[(2, true)]].concat()).are_harmless(), "one came in pieces");
        assert!(!after(&[&whole[..], &[(1, false)]].concat()).are_harmless(), "one has no stamp");
        assert!(after(&[&whole[..], &[(0, false)]].concat()).are_harmless(), "nothing says nothing");
    }

    #[test]
    fn nobody_sleeps_while_somebody_is_kept_awake() {
        let naps = after(&vec![(1, true); ENOUGH as usize]);
        let (one, other) = (naps.stay_awake(), naps.stay_awake());
        drop(one);
        assert!(!naps.are_harmless());
        drop(other);
        assert!(naps.are_harmless());
    }

    #[test]
    fn one_wait_of_many_is_awake() {
        let naps = after(&vec![(1, true); ENOUGH as usize]);
        let awake = (0..10 * AWAKE).filter(|_| !naps.begin(true)).count();
        assert_eq!(awake, 10);
    }

    #[test]
    fn a_wait_was_slept_through_whatever_becomes_known_after_it() {
        let naps = after(&vec![(1, true); ENOUGH as usize]);
        assert!(!naps.have_slept());
        assert!(naps.begin(true) && naps.have_slept());
        assert!(!naps.begin(false) && naps.have_slept());
        assert!(!naps.begin(false) && !naps.have_slept());
        assert!(naps.begin(true) && naps.have_slept());
        naps.wake();
        assert!(naps.have_slept(), "what is known now was not known then");
        assert!(!naps.begin(true) && naps.have_slept());
        assert!(!naps.begin(true) && !naps.have_slept());
    }

    #[test]
    fn what_comes_in_pieces_now_and_then_ends_sleep_for_longer_each_time_and_questions_end_it_for_good() {
        let naps = after(&vec![(1, true); ENOUGH as usize]);
        for enough in [2, 4, 8].map(|times| times * ENOUGH) {
            naps.reply(2, true);
            naps.reply(3, true);
            (1..enough).for_each(|_| naps.reply(1, true));
            assert!(!naps.are_harmless());
            naps.reply(1, true);
            assert!(naps.are_harmless());
        }
        naps.asked();
        assert!(!naps.are_harmless() && !naps.begin(true));
    }
}
