//! The one place where the generator's time enters.

use crate::time::{Clock, Moment};

/// The machine's monotonic clock, counted from the run's beginning.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    /// The beginning, in nanoseconds of the machine's own count.
    origin: u64,
}

impl MonotonicClock {
    /// A clock whose [`Moment::ZERO`] is `lead` from now; until then it stands at zero.
    pub fn starting_in(lead: std::time::Duration) -> Self {
        Self { origin: machine_nanos() + lead.as_nanos() as u64 }
    }

    /// `moment` in nanoseconds of the machine's own count: what an absolute timer wants.
    pub const fn machine_time(&self, moment: Moment) -> u64 {
        self.origin.saturating_add(moment.as_nanos())
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Moment {
        Moment::from_nanos(machine_nanos().saturating_sub(self.origin))
    }

    fn at_wall(&self, stamp: u64) -> Moment {
        /// Longer ago nothing is that was just received, unless the machine stood still: somebody set the clock.
        const LONGEST: u64 = 10_000_000_000;
        let (wall, now) = (unix_nanos(), self.now());
        match wall.checked_sub(stamp) {
            Some(ago @ ..=LONGEST) => Moment::from_nanos(now.as_nanos().saturating_sub(ago)),
            _ => now,
        }
    }
}

/// What the machine's clocks say at once, in nanoseconds of their own counts: to be compared with an earlier reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Since 1970; jumps where somebody sets it.
    pub(super) wall: u64,
    /// The clock of the run, which stands still while the machine sleeps.
    pub(super) monotonic: u64,
    /// One that does not, where there is one.
    pub(super) boot: Option<u64>,
}

impl Reading {
    /// The present.
    pub(super) fn now() -> Self {
        Self { wall: unix_nanos(), monotonic: machine_nanos(), boot: boot_nanos() }
    }
}

/// Milliseconds since 1970 by the wall clock: for timestamps in calls and reports, never for measuring.
pub fn unix_millis() -> u64 {
    unix_nanos() / 1_000_000
}

#[expect(clippy::disallowed_methods, reason = "the generator's time enters here")]
fn unix_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// `CLOCK_MONOTONIC`, the clock that timerfd counts by.
#[cfg(target_os = "linux")]
fn machine_nanos() -> u64 {
    nanos_of(rustix::time::ClockId::Monotonic)
}

/// `CLOCK_BOOTTIME`: the same, and the time that the machine slept.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such clock")]
fn boot_nanos() -> Option<u64> {
    Some(nanos_of(rustix::time::ClockId::Boottime))
}

#[cfg(not(target_os = "linux"))]
fn boot_nanos() -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn nanos_of(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The standard library's monotonic clock, counted from its first use.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "the generator's time enters here")]
fn machine_nanos() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static FIRST: OnceLock<Instant> = OnceLock::new();
    // A second ahead, so that an origin before the first use is never needed.
    1_000_000_000 + FIRST.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_stands_at_zero_before_the_beginning_and_never_runs_back() {
        let clock = MonotonicClock::starting_in(Duration::from_hours(1));
        assert_eq!(clock.now(), Moment::ZERO);
        let clock = MonotonicClock::starting_in(Duration::ZERO);
        let mut last = clock.now();
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
        assert!(last > Moment::ZERO);
    }
}
