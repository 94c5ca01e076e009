//! How evenly arrivals came: their index of dispersion in short windows, of the schedule and of what was really sent.
//!
//! The index is the variance of the counts in windows, divided by their mean: 0 for a metronome, 1 for a Poisson process.
//! The variance is taken within each second, so that a rate that changes over the run is not taken for unevenness.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const SECOND: u64 = 1_000_000_000;
/// How many windows of each kind a second has.
const FINE: usize = 100;
const COARSE: usize = 10;
const FINE_NANOS: u64 = SECOND / FINE as u64;

/// How long a window is. The shortest is more than twenty-five times as long as what an economical lane wakes for at once (360 µs):
/// counts in windows of a few wake-ups would show the clock's grain and not the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// 10 ms.
    Fine,
    /// 100 ms.
    Coarse,
}

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 2] = [Self::Fine, Self::Coarse];

    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Fine => Duration::from_millis(10),
            Self::Coarse => Duration::from_millis(100),
        }
    }

    const fn in_a_second(self) -> f64 {
        match self {
            Self::Fine => FINE as f64,
            Self::Coarse => COARSE as f64,
        }
    }
}

/// Seconds of arrivals, added up. The sums of squares are integers, so that adding is exact in any order; they stand
/// still at their largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64, u64)", into = "(u64, u64, u64, u64)")]
pub struct Spread {
    /// Seconds of lanes in which something was due.
    seconds: u64,
    arrivals: u64,
    /// The sum over seconds of n Σc² − (Σc)², c being the counts in its n windows: n² times the variance of a window.
    fine: u64,
    coarse: u64,
}

impl Spread {
    /// One second with these counts in its fine windows.
    fn of(counts: &[u32; FINE]) -> Self {
        let unevenness = |counts: &mut dyn Iterator<Item = u64>, windows: usize| {
            let (sum, squares) = counts.fold((0_u64, 0_u64), |(sum, squares), count| {
                (sum.saturating_add(count), squares.saturating_add(count.saturating_mul(count)))
            });
            (windows as u64).saturating_mul(squares).saturating_sub(sum.saturating_mul(sum))
        };
        let fine = unevenness(&mut counts.iter().map(|count| u64::from(*count)), FINE);
        let tens = counts.chunks_exact(FINE / COARSE).map(|ten| ten.iter().map(|count| u64::from(*count)).sum());
        let coarse = unevenness(&mut { tens }, COARSE);
        Self { seconds: 1, arrivals: counts.iter().map(|count| u64::from(*count)).sum(), fine, coarse }
    }

    /// Whether nothing was due.
    pub const fn is_empty(&self) -> bool {
        self.arrivals == 0
    }

    /// How many arrivals there were.
    pub const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// How many seconds of lanes there were.
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// The mean count in a window, and the variance of the counts within a second; `None` without arrivals.
    pub fn counts(&self, window: Window) -> Option<(f64, f64)> {
        let (windows, seconds) = (window.in_a_second(), self.seconds as f64);
        let sum = match window {
            Window::Fine => self.fine,
            Window::Coarse => self.coarse,
        };
        let mean = self.arrivals as f64 / (windows * seconds);
        (!self.is_empty()).then(|| (mean, sum as f64 / (windows * (windows - 1.0) * seconds)))
    }

    /// The index of dispersion of the counts in windows of this length; `None` without arrivals.
    pub fn dispersion(&self, window: Window) -> Option<f64> {
        self.counts(window).map(|(mean, variance)| variance / mean)
    }

    /// Adds other seconds.
    pub fn merge(&mut self, other: &Self) {
        self.seconds = self.seconds.saturating_add(other.seconds);
        self.arrivals = self.arrivals.saturating_add(other.arrivals);
        self.fine = self.fine.saturating_add(other.fine);
        self.coarse = self.coarse.saturating_add(other.coarse);
    }
}

impl From<Spread> for (u64, u64, u64, u64) {
    fn from(Spread { seconds, arrivals, fine, coarse }: Spread) -> Self {
        (seconds, arrivals, fine, coarse)
    }
}

impl From<(u64, u64, u64, u64)> for Spread {
    fn from((seconds, arrivals, fine, coarse): (u64, u64, u64, u64)) -> Self {
        if seconds == 0 { Self::default() } else { Self { seconds, arrivals, fine, coarse } }
    }
}

/// The second that a lane is in: counts in its windows. Costs the lane a few instructions an arrival.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    begin: u64,
    counts: [u32; FINE],
}

impl Default for Windows {
    fn default() -> Self {
        Self { begin: 0, counts: [0; FINE] }
    }
}

impl Windows {
    /// Counts an arrival at `nanos`, not before the one counted last. Where that begins another second, gives the one that
    /// is over with its beginning, if anything was in it.
    pub(super) fn count(&mut self, nanos: u64) -> Option<(u64, Spread)> {
        let into = nanos.wrapping_sub(self.begin);
        if into < SECOND {
            self.counts[(into / FINE_NANOS) as usize] += 1;
            return None;
        }
        let over = (self.begin, Spread::of(&self.counts));
        *self = Self { begin: nanos / SECOND * SECOND, ..Self::default() };
        self.counts[(nanos % SECOND / FINE_NANOS) as usize] = 1;
        (!over.1.is_empty()).then_some(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole seconds of arrivals at these nanoseconds, which ascend.
    fn spread(arrivals: impl IntoIterator<Item = u64>) -> Spread {
        let (mut windows, mut sum) = (Windows::default(), Spread::default());
        for nanos in arrivals {
            if let Some((_, second)) = windows.count(nanos) {
                sum.merge(&second);
            }
        }
        sum
    }

    #[test]
    fn a_metronome_has_no_dispersion_whatever_its_rate_does_from_second_to_second() {
        let steady = (0..20_001).map(|n| n * 1_000_000 + 500_000);
        assert_eq!(spread(steady).counts(Window::Fine), Some((10.0, 0.0)));
        let faster_and_faster = (0..10_u64).flat_map(|second| {
            let rate = 1000 * (second + 1);
            (0..rate).map(move |n| second * SECOND + (2 * n + 1) * SECOND / (2 * rate))
        });
        for window in Window::ALL {
            assert_eq!(spread(faster_and_faster.clone()).dispersion(window), Some(0.0), "{window:?}");
        }
    }

    #[test]
    fn bunches_have_the_dispersion_of_their_size() {
        // Twenty together every 50 ms: in windows of 10 ms 20 0 0 0 0, in windows of 100 ms always 40.
        let bunches = spread((0..10_001).map(|n| n / 20 * 50_000_000));
        let (mean, variance) = bunches.counts(Window::Fine).unwrap();
        assert!((mean - 4.0).abs() < 1e-9 && (variance - 64.0 * 100.0 / 99.0).abs() < 1e-9, "{mean} {variance}");
        assert_eq!(bunches.dispersion(Window::Coarse), Some(0.0));
        assert_eq!((bunches.seconds(), bunches.arrivals()), (25, 10_000));
    }

    #[test]
    fn a_poisson_process_has_dispersion_one() {
        use crate::arrival::{Arrivals, FlowId, Process, Profile, Shard};
        let profile: Profile = "500/s for 100s, ramp to 50/s over 100s".parse().unwrap();
        let arrivals = Arrivals::new(FlowId(0), Process::Poisson, &profile, 4, Shard::WHOLE, None);
        let spread = spread(arrivals.map(|arrival| arrival.intended.as_nanos()));
        for window in Window::ALL {
            let seen = spread.dispersion(window).unwrap();
            assert!((seen - 1.0).abs() < 0.1, "{window:?}: {seen}");
        }
    }

    #[test]
    fn seconds_without_arrivals_count_for_nothing() {
        assert_eq!(spread([5, 7 * SECOND + 1, 9 * SECOND]).seconds(), 2);
        assert_eq!(spread([]).dispersion(Window::Fine), None);
    }
}
