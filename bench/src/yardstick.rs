//! What the machine itself allows: a thread that does nothing but wait for an absolute timer, as late as it wakes, and what that
//! costs.

use std::io;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock::{monotonic, thread_cpu};

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A timer's wake-ups.
#[derive(Clone, Debug)]
pub(crate) struct Wakes {
    /// How late each was, ascending, in nanoseconds.
    pub(crate) lags: Vec<f64>,
    /// Microseconds of processor time that each took of its thread.
    pub(crate) cpu: f64,
}

/// One wake-up every `period`, for `span`, on a thread that `prepare` was called on.
pub(crate) fn wakes(period: Duration, span: Duration, prepare: impl FnOnce() + Send) -> io::Result<Wakes> {
    let wait = || -> io::Result<Wakes> {
        prepare();
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let start = monotonic() + period;
        let mut lags = Vec::new();
        let before = thread_cpu();
        for due in (0..).map(|n| start + period * n).take_while(|due| *due < start + span) {
            let value = Timespec { tv_sec: due.as_secs().cast_signed(), tv_nsec: i64::from(due.subsec_nanos()) };
            let once = Itimerspec { it_interval: ZERO, it_value: value };
            timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &once)?;
            rustix::io::read(&timer, &mut [0; 8])?;
            lags.push(monotonic().saturating_sub(due).as_nanos() as f64);
        }
        let cpu = thread_cpu().saturating_sub(before).as_secs_f64() * 1e6 / lags.len().max(1) as f64;
        lags.sort_by(f64::total_cmp);
        Ok(Wakes { lags, cpu })
    };
    std::thread::scope(|scope| scope.spawn(wait).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}
