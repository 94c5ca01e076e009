//! A level that was looked at now and then, such as memory in use: how it was spread over a stretch of time.

use serde::{Deserialize, Serialize};

/// Looks at a level, added up. Adding is associative and commutative; counts stand still at their largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64, u64)", into = "(u64, u64, u64, u64)")]
pub struct Level {
    looks: u64,
    sum: u64,
    min: u64,
    max: u64,
}

impl Level {
    /// One look.
    pub const fn of(value: u64) -> Self {
        Self { looks: 1, sum: value, min: value, max: value }
    }

    /// Whether nobody ever looked, or could see.
    pub const fn is_unknown(&self) -> bool {
        self.looks == 0
    }

    /// The lowest that was seen.
    pub fn min(&self) -> Option<u64> {
        (self.looks > 0).then_some(self.min)
    }

    /// The highest that was seen.
    pub fn max(&self) -> Option<u64> {
        (self.looks > 0).then_some(self.max)
    }

    /// The mean over all looks.
    pub fn mean(&self) -> Option<f64> {
        (self.looks > 0).then(|| self.sum as f64 / self.looks as f64)
    }

    /// Adds the looks of another.
    pub fn merge(&mut self, other: &Self) {
        if other.is_unknown() {
            return;
        }
        if self.is_unknown() {
            *self = *other;
            return;
        }
        self.looks = self.looks.saturating_add(other.looks);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

impl From<Level> for (u64, u64, u64, u64) {
    fn from(Level { looks, sum, min, max }: Level) -> Self {
        (looks, sum, min, max)
    }
}

impl From<(u64, u64, u64, u64)> for Level {
    /// Whatever a text says: a level without looks is none, and its bounds are in order.
    fn from((looks, sum, min, max): (u64, u64, u64, u64)) -> Self {
        if looks == 0 { Self::default() } else { Self { looks, sum, min: min.min(max), max } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_added_in_any_order_and_none_says_nothing() {
        let of = |values: &[u64]| {
            let mut level = Level::default();
            for value in values {
                level.merge(&Level::of(*value));
            }
            level
        };
        let mut sum = of(&[7, 3]);
        sum.merge(&of(&[]));
        sum.merge(&of(&[5]));
        assert_eq!(sum, of(&[5, 7, 3]));
        assert_eq!((sum.min(), sum.max(), sum.mean()), (Some(3), Some(7), Some(5.0)));
        assert_eq!((of(&[]).min(), of(&[]).max(), of(&[]).mean()), (None, None, None));
        assert_eq!(of(&[u64::MAX, u64::MAX]).max(), Some(u64::MAX));
    }

    #[test]
    fn a_saved_level_is_read_again_and_a_strange_one_made_harmless() {
        let read = |text: &str| serde_json::from_str::<Level>(text).unwrap();
        assert_eq!(serde_json::to_string(&Level::of(9)).unwrap(), "[1,9,9,9]");
        assert_eq!(read("[1,9,9,9]"), Level::of(9));
        assert_eq!(read("[0,9,9,9]"), Level::default());
        assert_eq!((read("[2,9,8,1]").min(), read("[2,9,8,1]").max()), (Some(1), Some(1)));
    }
}
