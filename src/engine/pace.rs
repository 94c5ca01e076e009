//! Waiting for a moment, exactly: one absolute timer per lane.

use std::io;
use std::time::Duration;

use crate::time::{Clock, Moment};

use super::clock::MonotonicClock;

/// Above this many arrivals a second and lane, waking for each costs more than it gives.
pub(super) const EXACT_UP_TO: f64 = 5000.0;
/// The least time between two wake-ups of an economical lane, nanoseconds.
pub(super) const QUANTUM: u64 = 250_000;

/// How late a lane's timer wakes on this machine, so many times, sorted: what a lane that does nothing else would see.
///
/// # Errors
/// Operating-system errors while a timer is made.
pub fn lateness(wake_ups: usize) -> io::Result<Vec<Duration>> {
    /// From one wake-up to the next: long enough that the thread falls asleep.
    const APART: Duration = Duration::from_micros(500);
    // A thread of its own: the timer's slack is the thread's, and this one's stays what it was.
    let measured = std::thread::Builder::new().name("lateness".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock)?;
            let mut late = Vec::with_capacity(wake_ups);
            for _ in 0..wake_ups {
                let due = clock.now().after(APART);
                timer.until(due).await?;
                late.push(clock.now().since(due));
            }
            late.sort_unstable();
            Ok(late)
        })
    })?;
    measured.join().unwrap_or_else(|_| Err(io::Error::other("the thread that measures it panicked")))
}

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;

#[cfg(not(target_os = "linux"))]
pub(super) use portable::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{Moment, MonotonicClock};
    use crate::time::Clock;

    /// A timerfd in the lane's own event loop. It is never read: arming it anew clears it.
    pub(in crate::engine) struct Timer {
        clock: MonotonicClock,
        timer: AsyncFd<OwnedFd>,
    }

    impl Timer {
        /// A timer in the current runtime.
        #[expect(deprecated, reason = "the successor is unsafe; an OwnedFd that never leaves this type is as safe")]
        pub(in crate::engine) fn new(clock: MonotonicClock) -> io::Result<Self> {
            // Without slack the kernel wakes this thread when asked, not up to 50 µs later.
            let _unsupported_is_fine = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            Ok(Self { clock, timer: AsyncFd::with_interest(timer, Interest::READABLE)? })
        }

        /// Waits until `moment`, at once if that has passed. May be dropped and called again.
        pub(in crate::engine) async fn until(&mut self, moment: Moment) -> io::Result<()> {
            if self.clock.now() >= moment {
                return Ok(());
            }
            let nanos = self.clock.machine_time(moment);
            let value = Timespec {
                tv_sec: (nanos / 1_000_000_000).cast_signed(),
                tv_nsec: (nanos % 1_000_000_000).cast_signed(),
            };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
            while self.clock.now() < moment {
                self.timer.readable().await?.clear_ready();
            }
            Ok(())
        }
    }
}

/// Where there is no timerfd: the runtime's timer, a millisecond coarse, up to shortly before; then giving way to other
/// tasks until it is time. Costs more CPU, is as exact.
#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use std::io;
    use std::time::Duration;

    use super::{Moment, MonotonicClock};
    use crate::time::Clock;

    const COARSE: Duration = Duration::from_millis(2);

    pub(in crate::engine) struct Timer {
        clock: MonotonicClock,
    }

    impl Timer {
        #[expect(clippy::unnecessary_wraps, reason = "the Linux timer can fail here")]
        pub(in crate::engine) fn new(clock: MonotonicClock) -> io::Result<Self> {
            Ok(Self { clock })
        }

        pub(in crate::engine) async fn until(&mut self, moment: Moment) -> io::Result<()> {
            let ahead = moment.since(self.clock.now()).saturating_sub(COARSE);
            if !ahead.is_zero() {
                let rest: std::future::Pending<()> = std::future::pending();
                let _elapsed = tokio::time::timeout(ahead, rest).await;
            }
            while self.clock.now() < moment {
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn no_timer_fires_early_and_the_past_is_not_waited_for() {
        in_a_runtime(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            let mut other = portable::Timer::new(clock).unwrap();
            timer.until(Moment::ZERO).await.unwrap();
            for _ in 0..5 {
                let due = clock.now().after(Duration::from_millis(3));
                timer.until(due).await.unwrap();
                assert!(clock.now() >= due);
                let due = clock.now().after(Duration::from_millis(3));
                other.until(due).await.unwrap();
                assert!(clock.now() >= due);
            }
        });
    }

    #[test]
    fn lateness_is_measured_as_often_as_asked_and_sorted() {
        let late = lateness(7).unwrap();
        assert_eq!((late.len(), late.is_sorted()), (7, true));
        assert!(late[6] > Duration::ZERO);
    }

    #[test]
    fn a_wait_given_up_does_not_end_the_next_one_early() {
        in_a_runtime(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            let soon = clock.now().after(Duration::from_millis(1));
            tokio::select! {
                biased;
                _ = timer.until(soon) => panic!("a millisecond is not over at once"),
                () = std::future::ready(()) => {}
            }
            let later = clock.now().after(Duration::from_millis(5));
            timer.until(later).await.unwrap();
            assert!(clock.now() >= later);
        });
    }
}
