//! Waiting for a moment, exactly: one absolute timer per lane.

use std::io;
use std::time::Duration;

use crate::time::{Clock, Moment};

use super::clock::MonotonicClock;
use crate::driver::Whom;

/// Above this many arrivals a second and lane, waking for each costs more than it gives.
pub(super) const EXACT_UP_TO: f64 = 5000.0;
/// A punctual lane that slept is awake at least so long before an arrival is due, and makes its call ready meanwhile: long enough for a
/// core that has just woken up. Elsewhere than on Linux it is not.
pub(super) const READY: Duration = Duration::from_micros(7);
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

/// Whoever a wait is for.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no lane sleeps there: nothing is stamped"))]
pub(super) trait Lookout {
    /// Whether the lane may sleep, as far as is known now.
    fn may_nap(&self) -> bool;
    /// Has calls look whether they were answered, for as long as there is time before `until`; says whether all of these were, as
    /// far as it is known who waits.
    fn look(&self, whom: Whom, until: Moment) -> bool;
    /// Has what the event loop told of be handled.
    fn turn(&self);
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
/// So long a lane goes on to sleep without a look at its event loop, where timeouts and what nobody waits for are told of: as late as
/// this and a nap, these may be.
#[cfg(target_os = "linux")]
const GLANCE: Duration = Duration::from_millis(2);

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;

#[cfg(not(target_os = "linux"))]
pub(super) use super::portable::Timer;

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

    use super::super::lead::Lead;
    use super::{GLANCE, Lookout, Moment, MonotonicClock, ROOM, Whom, hold};
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
        /// When the event loop is looked at next, at the latest.
        glance: Moment,
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
                glance: Moment::ZERO,
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

        /// Waits until `moment`; where that has passed, the event loop is looked at all the same, so that who is always late hears
        /// of answers too. May be dropped and called again.
        pub(in crate::engine) async fn until(&mut self, moment: Moment) -> io::Result<()> {
            if self.clock.now() >= moment {
                tokio::task::yield_now().await;
                return Ok(());
            }
            let wake = self.wake_for(moment);
            let mut end = moment;
            let mut has_given_way = false;
            if self.clock.now() < wake {
                end = moment.before(self.ready);
                let once =
                    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: self.machine_time(wake) };
                timerfd_settime(self.alarm.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
                while self.clock.now() < wake {
                    self.alarm.readable().await?.clear_ready();
                    has_given_way = true;
                }
                // Late may also be what was handled in between.
                self.lead.learn(self.clock.now().since(wake), Lead::STEP);
            } else {
                self.forgo(moment);
            }
            // The moment may have come between two of these looks at the clock.
            while self.clock.now() < end || !has_given_way {
                tokio::task::yield_now().await;
                has_given_way = true;
            }
            Ok(())
        }

        /// Has what has come be handled; then, if nothing of that needs the lane awake, sleeps until `moment`, which must be near:
        /// nothing else on this thread is done meanwhile. Takes one wake-up where [`Self::until`] takes one for the replies as
        /// well. The event loop is looked at where a call is still unanswered that was so before the sleep before, and now and then.
        pub(in crate::engine) async fn nap(&mut self, moment: Moment, lookout: &impl Lookout) -> io::Result<()> {
            let has_looked = std::mem::take(&mut self.has_looked);
            let is_due = self.clock.now() >= self.glance;
            if is_due || !(has_looked || lookout.look(Whom::Older, moment.before(ROOM))) {
                self.glance(lookout).await;
            }
            if !lookout.may_nap() {
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
            self.look_until(moment.before(ready), lookout).await;
            // Who makes ready for more has the rest of the time for that.
            if ready.is_zero() {
                hold(self.clock, moment);
            }
            Ok(())
        }

        /// Handles what has come as long as there is time for it before `moment`.
        async fn look_until(&mut self, moment: Moment, lookout: &impl Lookout) {
            let until = moment.before(ROOM);
            let mut has_asked = false;
            while self.clock.now() < until {
                if std::mem::replace(&mut has_asked, true) {
                    self.glance(lookout).await;
                    self.has_looked = true;
                } else {
                    self.has_looked = lookout.look(Whom::All, until);
                }
            }
        }

        /// Looks at the event loop, and has whatever it tells of be handled.
        async fn glance(&mut self, lookout: &impl Lookout) {
            tokio::task::yield_now().await;
            lookout.turn();
            // Only now: whoever gives this wait up before has not looked.
            self.glance = self.clock.now().after(GLANCE);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::sync::Notify;

    use super::super::portable;
    use super::super::tasks::Tasks;
    use super::*;

    /// Who never looks, and may sleep or not.
    struct Idle(bool);

    impl Lookout for Idle {
        fn may_nap(&self) -> bool {
            self.0
        }

        fn look(&self, _: Whom, _: Moment) -> bool {
            true
        }

        fn turn(&self) {}
    }

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
    fn who_is_always_late_hears_from_the_event_loop() {
        in_a_runtime(async {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let (mut timer, mut other) = (Timer::new(clock).unwrap(), portable::Timer::new(clock).unwrap());
            let (tasks, told) = (Tasks::new(), Rc::new(Cell::new(0)));
            let _entered = tasks.enter();
            let heard = Rc::clone(&told);
            tokio::task::spawn_local(async move {
                loop {
                    tokio::task::yield_now().await;
                    heard.update(|told| told + 1);
                }
            });
            tasks.turn();
            for late in 1..=3 {
                timer.until(Moment::ZERO).await.unwrap();
                tasks.turn();
                other.until(Moment::ZERO).await.unwrap();
                tasks.turn();
                assert_eq!(told.get(), 2 * late);
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
                    0 => timer.nap(due, &Idle(true)).await,
                    1 => timer.nap(due, &Idle(false)).await,
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
                let waited = if naps { timer.nap(due, &Idle(true)).await } else { timer.until(due).await };
                waited.unwrap();
                let left = due.since(clock.now());
                assert!(!left.is_zero() && left <= ready + ROOM, "{left:?}");
                // There is no time to sleep in.
                let due = clock.now().after(Duration::from_millis(3));
                let waited = if naps { timer.nap(due, &Idle(true)).await } else { timer.until(due).await };
                waited.unwrap();
                assert!(clock.now() >= due);
            }
        });
    }

    /// Who runs tasks, and may sleep unless one of them forbids it.
    struct Busy {
        tasks: Tasks,
        may_nap: Rc<Cell<bool>>,
        looks: Cell<u64>,
        all_answered: Cell<bool>,
    }

    impl Lookout for Busy {
        fn may_nap(&self) -> bool {
            self.may_nap.get()
        }

        fn look(&self, _: Whom, _: Moment) -> bool {
            self.looks.update(|looks| looks + 1);
            self.tasks.turn();
            self.all_answered.get()
        }

        fn turn(&self) {
            self.tasks.turn();
        }
    }

    #[test]
    fn what_begins_as_the_lane_turns_in_keeps_it_awake() {
        let (may_nap, news) = (Rc::new(Cell::new(true)), Rc::new(Notify::new()));
        let busy = Busy {
            tasks: Tasks::new(),
            may_nap: Rc::clone(&may_nap),
            looks: Cell::new(0),
            all_answered: Cell::new(true),
        };
        let heard = Rc::clone(&news);
        in_a_runtime(async move {
            let _entered = busy.tasks.enter();
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            tokio::task::spawn_local(async move {
                may_nap.set(false);
                // Something that takes longer than the lane needs to turn in.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                news.notify_one();
            });
            tokio::select! {
                biased;
                _ = timer.nap(clock.now().after(Duration::from_secs(3)), &busy) => panic!("it slept"),
                () = busy.tasks.run() => {}
                () = heard.notified() => {}
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lane_that_sleeps_looks_once_for_each_sleep_and_at_its_event_loop_every_two_milliseconds() {
        let busy = Busy {
            tasks: Tasks::new(),
            may_nap: Rc::new(Cell::new(true)),
            looks: Cell::new(0),
            all_answered: Cell::new(true),
        };
        in_a_runtime(async {
            let _entered = busy.tasks.enter();
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut timer = Timer::new(clock).unwrap();
            let glances = Rc::new(Cell::new(0_u64));
            let seen = Rc::clone(&glances);
            tokio::task::spawn_local(async move {
                loop {
                    tokio::task::yield_now().await;
                    seen.update(|seen| seen + 1);
                }
            });
            busy.turn();
            let begun = clock.now();
            for naps in 1..=100 {
                // Not punctual: it wakes late, and has no time to look before the moment.
                timer.nap(clock.now().after(Duration::from_micros(200)), &busy).await.unwrap();
                assert_eq!(glances.get() + busy.looks.get(), naps);
                let most = clock.now().since(begun).as_millis() as u64 / 2 + 1;
                assert!(glances.get() <= most, "{} of {most}", glances.get());
            }
            assert!(glances.get() >= 5);
            // Somebody is not answered who should be.
            busy.all_answered.set(false);
            let before = glances.get();
            for _ in 0..10 {
                timer.nap(clock.now().after(Duration::from_micros(200)), &busy).await.unwrap();
            }
            assert_eq!(glances.get(), before + 10);
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
