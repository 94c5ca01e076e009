//! Waiting for a moment, exactly: one absolute timer per lane.

use std::io;
use std::time::Duration;

use crate::time::{Clock, Moment};

use super::clock::MonotonicClock;

/// Above this many arrivals a second and lane, waking for each costs more than it gives.
pub(super) const EXACT_UP_TO: f64 = 5000.0;
/// A punctual lane that slept is awake at least so long before an arrival is due, and makes its call ready meanwhile: long enough for a
/// core that has just woken up. Elsewhere than on Linux it is not.
pub(super) const READY: Duration = Duration::from_micros(10);
/// An economical lane wakes for all arrivals at once that are due within so much of the first of them.
pub(super) const QUANTUM: Duration = Duration::from_micros(360);

/// How late a lane's timer wakes on this machine, so many times, sorted: what a lane that does nothing else would see. Exact
/// pacing makes up for as much as nine of ten of them are late.
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

/// Waits for `moment`, which must be very near, awake: nothing else on this thread is done meanwhile.
pub(super) fn hold(clock: MonotonicClock, moment: Moment) {
    while clock.now() < moment {
        std::hint::spin_loop();
    }
}

/// Looking at what has come takes no longer, as a rule.
#[cfg(target_os = "linux")]
const ROOM: Duration = Duration::from_micros(10);

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;

#[cfg(not(target_os = "linux"))]
pub(super) use portable::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::{Lead, Moment, MonotonicClock, ROOM, hold};
    use crate::time::Clock;

    /// A timerfd in the lane's own event loop. It is never read: arming it anew clears it.
    pub(in crate::engine) struct Timer {
        clock: MonotonicClock,
        alarm: AsyncFd<OwnedFd>,
        lead: Lead,
        is_punctual: bool,
        /// So long before its moment a wait is over that was slept through.
        ready: Duration,
        /// Whether what came during the last sleep was handled before it was over.
        has_looked: bool,
    }

    impl Timer {
        /// A timer in the current runtime.
        #[expect(deprecated, reason = "the successor is unsafe; an OwnedFd that never leaves this type is as safe")]
        pub(in crate::engine) fn new(clock: MonotonicClock) -> io::Result<Self> {
            // Without slack the kernel wakes this thread when asked, not up to 50 µs later.
            let _unsupported_is_fine = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            let alarm = AsyncFd::with_interest(timer, Interest::READABLE)?;
            Ok(Self {
                clock,
                alarm,
                lead: Lead::default(),
                is_punctual: false,
                ready: Duration::ZERO,
                has_looked: false,
            })
        }

        /// Sets itself to be on time to the microsecond from now on, or not.
        pub(in crate::engine) const fn be_punctual(&mut self, is_punctual: bool) {
            self.is_punctual = is_punctual;
        }

        /// Has waits that are slept through end so long before their moments from now on, where it is punctual.
        pub(in crate::engine) const fn be_ready(&mut self, ready: Duration) {
            self.ready = ready;
        }

        /// Waits until `moment`, at once if that has passed. May be dropped and called again.
        pub(in crate::engine) async fn until(&mut self, moment: Moment) -> io::Result<()> {
            if self.clock.now() >= moment {
                return Ok(());
            }
            let wake = self.wake_for(moment);
            let mut end = moment;
            if self.clock.now() < wake {
                end = moment.before(self.ready);
                let once =
                    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: self.machine_time(wake) };
                timerfd_settime(self.alarm.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
                while self.clock.now() < wake {
                    self.alarm.readable().await?.clear_ready();
                }
                // Late may also be what was handled in between.
                self.lead.learn(self.clock.now().since(wake), Lead::STEP);
            } else {
                self.forgo(moment);
            }
            while self.clock.now() < end {
                tokio::task::yield_now().await;
            }
            Ok(())
        }

        /// Lets the calls begin that were just started, and what has come be handled; then, if nothing of that needs the lane awake,
        /// sleeps until `moment`, which must be near: nothing else on this thread is done meanwhile. Takes one wake-up where
        /// [`Self::until`] takes one for the replies as well.
        pub(in crate::engine) async fn nap(&mut self, moment: Moment, may_still: impl Fn() -> bool) -> io::Result<()> {
            // What was started begins while this gives way once; what has come since is looked at after that, and handled while it
            // gives way again. What comes then is handled after the sleep.
            tokio::task::yield_now().await;
            if !std::mem::take(&mut self.has_looked) {
                tokio::task::yield_now().await;
            }
            if !may_still() {
                return self.until(moment).await;
            }
            let wake = self.wake_for(moment);
            let slept = self.clock.now() < wake;
            if slept {
                let until = self.machine_time(wake);
                while self.clock.now() < wake {
                    // A signal wakes early.
                    let _ = rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &until);
                }
                self.lead.learn(self.clock.now().since(wake), Lead::UP);
            } else {
                self.forgo(moment);
            }
            let ready = if slept { self.ready } else { Duration::ZERO };
            self.look_until(moment.before(ready)).await;
            // Who makes ready for more has the rest of the time for that.
            if ready.is_zero() {
                hold(self.clock, moment);
            }
            Ok(())
        }

        /// Handles what has come as long as there is time for it before `moment`.
        async fn look_until(&mut self, moment: Moment) {
            let mut looks = 0;
            while moment.since(self.clock.now()) > ROOM {
                tokio::task::yield_now().await;
                looks += 1;
            }
            // The first time it is looked at, the second time handled.
            self.has_looked = looks > 1;
        }

        /// There is no time to sleep before `moment`. Where that is because the lead is so long, it becomes shorter.
        fn forgo(&mut self, moment: Moment) {
            if self.clock.now() < moment.before(self.ready) {
                self.lead.forget();
            }
        }

        /// When to wake for `moment`.
        const fn wake_for(&self, moment: Moment) -> Moment {
            if self.is_punctual { self.lead.before(moment.before(self.ready)) } else { moment }
        }

        fn machine_time(&self, moment: Moment) -> Timespec {
            let nanos = self.clock.machine_time(moment);
            Timespec { tv_sec: (nanos / 1_000_000_000).cast_signed(), tv_nsec: (nanos % 1_000_000_000).cast_signed() }
        }
    }
}

/// How late this machine usually wakes a sleeper: so much earlier it is asked to, and waits out the rest awake.
///
/// Follows a quantile of what was seen, by steps up and down (stochastic approximation: H. Robbins, S. Monro, 1951): where those up are
/// nine times those down, nine of ten wake-ups are on time.
#[cfg(any(test, target_os = "linux"))]
#[derive(Clone, Copy, Debug, Default)]
struct Lead(u64);

#[cfg(any(test, target_os = "linux"))]
impl Lead {
    /// No more than this many nanoseconds: what is later than that is no habit of the machine's, and waiting awake costs CPU time.
    const MOST: u64 = 100_000;
    /// By so many at a time down.
    const STEP: u64 = 250;
    /// By so many at a time up, where nothing but sleep made it late.
    const UP: u64 = 9 * Self::STEP;

    /// Learns how late a sleeper was. With `up` of one step it follows the median, which is what matters where some were late for another
    /// reason.
    fn learn(&mut self, late: Duration, up: u64) {
        if late.as_nanos() as u64 > self.0 {
            self.0 = (self.0 + up).min(Self::MOST);
        } else {
            self.forget();
        }
    }

    /// Becomes shorter by a step, as where there was no time to sleep because it is so long.
    const fn forget(&mut self) {
        self.0 = self.0.saturating_sub(Self::STEP);
    }

    const fn before(self, moment: Moment) -> Moment {
        moment.before(Duration::from_nanos(self.0))
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

        /// It always is.
        #[cfg(not(target_os = "linux"))]
        #[expect(clippy::unused_self, reason = "the Linux timer is told")]
        pub(in crate::engine) const fn be_punctual(&mut self, _: bool) {}

        /// It waits awake for the last of it anyhow.
        #[cfg(not(target_os = "linux"))]
        #[expect(clippy::unused_self, reason = "the Linux timer is told")]
        pub(in crate::engine) const fn be_ready(&mut self, _: Duration) {}

        /// There is no shorter way to sleep here.
        #[cfg(not(target_os = "linux"))]
        pub(in crate::engine) async fn nap(&mut self, moment: Moment, _: impl Fn() -> bool) -> io::Result<()> {
            self.until(moment).await
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
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::Notify;
    use tokio::task::LocalSet;

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
    fn a_punctual_timer_is_not_early_however_it_sleeps() {
        in_a_runtime(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            timer.be_punctual(true);
            for round in 0..200_u64 {
                let due = clock.now().after(Duration::from_micros(200));
                let waited = match round % 3 {
                    0 => timer.nap(due, || true).await,
                    1 => timer.nap(due, || false).await,
                    _ => timer.until(due).await,
                };
                waited.unwrap();
                assert!(clock.now() >= due);
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_makes_ready_is_woken_early_by_as_much_but_only_from_sleep() {
        in_a_runtime(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let ready = Duration::from_secs(30);
            let mut timer = Timer::new(clock).unwrap();
            timer.be_punctual(true);
            timer.be_ready(ready);
            for naps in [true, false] {
                let due = clock.now().after(ready).after(Duration::from_millis(3));
                let waited = if naps { timer.nap(due, || true).await } else { timer.until(due).await };
                waited.unwrap();
                let left = due.since(clock.now());
                assert!(!left.is_zero() && left <= ready + ROOM, "{left:?}");
                // There is no time to sleep in.
                let due = clock.now().after(Duration::from_millis(3));
                let waited = if naps { timer.nap(due, || true).await } else { timer.until(due).await };
                waited.unwrap();
                assert!(clock.now() >= due);
            }
        });
    }

    #[test]
    fn a_call_that_begins_as_the_lane_turns_in_keeps_it_awake() {
        let (is_asleep, news) = (Rc::new(Cell::new(true)), Rc::new(Notify::new()));
        let (may_sleep, heard) = (Rc::clone(&is_asleep), Rc::clone(&news));
        in_a_runtime(LocalSet::new().run_until(async move {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            tokio::task::spawn_local(async move {
                is_asleep.set(false);
                // Something that takes longer than the lane needs to turn in.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                news.notify_one();
            });
            tokio::select! {
                biased;
                _ = timer.nap(clock.now().after(Duration::from_secs(3)), || may_sleep.get()) => panic!("it slept"),
                () = heard.notified() => {}
            }
        }));
    }

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
