//! Which arrivals of a schedule are ours: every n-th one.

use std::num::NonZeroU32;

/// One part of a schedule that several machines or lanes share: the arrivals whose sequence leaves the remainder `index`
/// when divided by `count`.
///
/// Every shard walks the same seeded schedule, so that the shards `0..count` together are exactly the whole without
/// anybody who coordinates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part this is, from 0; at `count` or above it takes nothing.
    pub index: u32,
    /// How many parts there are.
    pub count: NonZeroU32,
}

impl Shard {
    /// The whole schedule as one part.
    pub const WHOLE: Self = Self { index: 0, count: NonZeroU32::MIN };

    /// Whether the arrival with this sequence belongs to this part.
    pub fn takes(self, sequence: u64) -> bool {
        sequence % u64::from(self.count.get()) == u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_takes_everything() {
        assert!([0, 1, 2, 3, u64::MAX].into_iter().all(|sequence| Shard::WHOLE.takes(sequence)));
    }

    #[test]
    fn three_shards_take_turns() {
        let count = NonZeroU32::new(3).unwrap();
        let taken = |index| (0..7).filter(|sequence| Shard { index, count }.takes(*sequence)).collect::<Vec<_>>();
        assert_eq!([taken(0), taken(1), taken(2), taken(3)], [vec![0, 3, 6], vec![1, 4], vec![2, 5], vec![]]);
    }
}
