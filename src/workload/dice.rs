//! Draws beside those that make a call: seeded like them, but from a stream of their own, so that no generated field moves.

use crate::trace::mixed;

/// The draws that belong to one arrival: which record is read, over what, and whether the arrival is a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of an arrival: a function of seed, flow and sequence.
    pub(super) const fn new(seed: u64, flow: u16, sequence: u64) -> Self {
        let start = mixed(seed ^ 0x7472_7574_685f_6f66);
        Self(mixed(start ^ mixed(((flow as u64) << 48) ^ sequence)))
    }

    /// The dice that say whether a result is held to its tool's output schema: others than [`Self::new`]'s, so that neither
    /// moves the other.
    pub(super) const fn of_output(seed: u64, flow: u16, sequence: u64) -> Self {
        Self::new(seed ^ 0x6f75_7470_7574_5f6f, flow, sequence)
    }

    /// The dice that say whether an arrival is a probe: apart from the others, so that these throw the same without probes.
    pub(super) const fn of_probes(seed: u64, flow: u16, sequence: u64) -> Self {
        Self::new(mixed(seed ^ 0x7072_6f62_6573), flow, sequence)
    }

    /// The next word, by `SplitMix64`.
    const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// From 0 (inclusive) to 1 (exclusive).
    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in this share (0 to 1) of all tosses.
    pub(super) fn toss(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A place below `count`, which is above zero; each is as likely.
    pub(super) const fn below(&mut self, count: usize) -> usize {
        ((self.word() as u128 * count as u128) >> 64) as usize
    }

    /// A place below `count`, which is above zero; each order of magnitude is as likely.
    pub(super) fn log_uniform(&mut self, count: usize) -> usize {
        let place = (count as f64).powf(self.unit()) as usize;
        place.clamp(1, count) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_arrival_throws_the_same_and_another_does_not() {
        let words = |seed, flow, sequence| {
            let mut dice = Dice::new(seed, flow, sequence);
            [dice.word(), dice.word()]
        };
        assert_eq!(words(1, 2, 3), words(1, 2, 3));
        for other in [words(2, 2, 3), words(1, 3, 3), words(1, 2, 4)] {
            assert_ne!(words(1, 2, 3), other);
        }
    }

    #[test]
    fn tosses_keep_their_share_and_places_are_alike() {
        let (mut heads, mut places) = (0_u32, [0_u32; 4]);
        for sequence in 0..40_000 {
            let mut dice = Dice::new(9, 0, sequence);
            heads += u32::from(dice.toss(0.25));
            places[dice.below(4)] += 1;
        }
        // Five standard deviations of a binomial count.
        let bound = 5.0 * (40_000.0_f64 * 0.25 * 0.75).sqrt();
        for count in [heads, places[0], places[1], places[2], places[3]] {
            assert!((f64::from(count) - 10_000.0).abs() < bound, "{heads} {places:?}");
        }
        let mut dice = Dice::new(1, 0, 0);
        assert!(!dice.toss(0.0) && dice.toss(1.0) && dice.below(1) == 0 && dice.log_uniform(1) == 0);
    }
}
