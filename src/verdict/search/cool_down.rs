//! Between two probes: whether the target is itself again, so that one probe's backlog does not poison the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::Quantile;
use crate::time::serde_duration;

/// What no target is blamed for: this much more than before is noise.
const NOISE: Duration = Duration::from_millis(1);

/// What was done between two probes: a trickle of calls, again and again until the target had recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    /// How long it took.
    #[serde(with = "serde_duration")]
    pub took: Duration,
    /// The calls that it took, which are in no probe's figures.
    pub calls: u64,
    /// The median response time of the last few; `None` where none was made.
    pub last: Option<Quantile>,
    /// Whether the target was itself again at the end of it.
    pub recovered: bool,
}

/// Whether a trickle of calls with the median response time `seen` comes from a target that has recovered, where it was
/// `before` when nothing had been asked of it yet: at most twice as long and a millisecond. Where calls got no reply even then,
/// nothing more can be expected.
pub fn is_itself_again(before: Quantile, seen: Quantile) -> bool {
    match before {
        Quantile::Finite(before) => seen <= Quantile::Finite(before.saturating_mul(2) + NOISE),
        Quantile::Unbounded => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_itself_again_when_it_answers_about_as_fast_as_before() {
        let ms = |ms| Quantile::Finite(Duration::from_millis(ms));
        assert!(is_itself_again(ms(5), ms(4)) && is_itself_again(ms(5), ms(11)));
        assert!(!is_itself_again(ms(5), ms(12)) && !is_itself_again(ms(5), Quantile::Unbounded));
        assert!(is_itself_again(ms(0), ms(1)) && !is_itself_again(ms(0), ms(2)));
        assert!(is_itself_again(Quantile::Unbounded, Quantile::Unbounded));
    }
}
