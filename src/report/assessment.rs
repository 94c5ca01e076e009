//! The run in plain words, by the old script's scale, and over all calls: failures count here too.

use std::fmt;
use std::time::Duration;

use crate::measure::Tally;

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Nothing to complain of.
    Excellent,
    /// Good enough for most.
    Good,
    /// Below what users put up with.
    Poor,
}

/// What a run amounts to for a reader without objectives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// How many arrivals ended ok: excellent from 95 % on, good from 90 % on.
    pub success: Grade,
    /// The share (0 to 1) that did.
    pub success_rate: f64,
    /// How fast the calls ended on average: excellent below 200 ms, good up to 500 ms. `None` where no call ended.
    pub speed: Option<Grade>,
    /// The mean response time over all calls that ended.
    pub mean: Option<Duration>,
}

impl Assessment {
    /// `None` where no arrival came to an end.
    pub(super) fn new(tally: &Tally) -> Option<Self> {
        let success_rate = tally.ok() as f64 / (tally.ended() > 0).then_some(tally.ended())? as f64;
        let mean = tally.mean_of_all_calls();
        Some(Self { success: success(success_rate), success_rate, speed: mean.map(speed), mean })
    }
}

fn success(rate: f64) -> Grade {
    match rate {
        _ if rate >= 0.95 => Grade::Excellent,
        _ if rate >= 0.90 => Grade::Good,
        _ => Grade::Poor,
    }
}

fn speed(mean: Duration) -> Grade {
    match mean.as_nanos() {
        ..200_000_000 => Grade::Excellent,
        200_000_000..=500_000_000 => Grade::Good,
        _ => Grade::Poor,
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Excellent => "excellent",
            Self::Good => "good",
            Self::Poor => "poor",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Grade::{Excellent, Good, Poor};
    use super::*;

    #[test]
    fn the_scale_has_the_old_limits() {
        let graded = [1.0, 0.95, 0.9499, 0.9, 0.8999, 0.0].map(success);
        assert_eq!(graded, [Excellent, Excellent, Good, Good, Poor, Poor]);
        let graded = [0, 199, 200, 500, 501].map(|ms| speed(Duration::from_millis(ms)));
        assert_eq!(graded, [Excellent, Excellent, Good, Good, Poor]);
    }

    #[test]
    fn nothing_is_not_assessed_and_dropped_arrivals_spoil_success() {
        assert_eq!(Assessment::new(&Tally::default()), None);
        let dropped = Tally { scheduled: 3, dropped: 3, ..Tally::default() };
        let assessed = Assessment::new(&dropped).unwrap();
        assert_eq!((assessed.success, assessed.speed), (Grade::Poor, None));
    }
}
