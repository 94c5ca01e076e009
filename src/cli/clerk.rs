//! A thread that does one thing at a time for somebody who must not wait: writing files, which a slow disk can hold up.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// How much less than the lanes such a thread wants a processor.
const NICENESS: i32 = 10;

/// Whoever does the writing.
#[derive(Debug)]
pub(super) struct Clerk<T> {
    give: Sender<Job<T>>,
    done: Receiver<T>,
    is_busy: bool,
}

impl<T: Send + 'static> Clerk<T> {
    /// A thread of this name, which ends with this value, when it is done with what it does.
    ///
    /// # Errors
    /// Where the operating system gives no thread.
    pub(super) fn start(name: &str) -> std::io::Result<Self> {
        let (give, jobs) = channel::<Job<T>>();
        let (tell, done) = channel();
        let work = move || {
            // Of this thread alone, on Linux. Where it cannot be had, the system shares out as it does.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::setpriority_process(None, NICENESS);
            while let Ok(job) = jobs.recv() {
                if tell.send(job()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { give, done, is_busy: false })
    }

    /// What came of the last job, told once; nothing while it is being done.
    pub(super) fn take(&mut self) -> Option<T> {
        let done = self.done.try_recv().ok()?;
        self.is_busy = false;
        Some(done)
    }

    /// Whether a job would be begun at once.
    pub(super) const fn is_free(&self) -> bool {
        !self.is_busy
    }

    /// Gives it something to do, where it is free.
    pub(super) fn give(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        if self.is_free() {
            // Were the thread gone, the job would never be done, and so is told when somebody waits for it.
            self.is_busy = self.give.send(Box::new(job)).is_ok();
        }
    }

    /// Waits until it is free, at most for `patience` where there is one: then says what came of the last job. `None` where
    /// it had nothing to do, or took too long.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> Option<T> {
        if self.is_free() {
            return None;
        }
        let done = match patience {
            Some(patience) => self.done.recv_timeout(patience),
            None => self.done.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        self.is_busy = done.is_err();
        done.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn one_job_at_a_time_and_nobody_waits_who_does_not_want_to() {
        let mut clerk = Clerk::start("clerk").unwrap();
        let (go, wait) = channel::<()>();
        clerk.give(move || wait.recv().map_or(0, |()| 1));
        clerk.give(|| 2);
        assert_eq!((clerk.is_free(), clerk.take(), clerk.wait(Some(Duration::ZERO))), (false, None, None));
        go.send(()).unwrap();
        assert_eq!((clerk.wait(None), clerk.is_free(), clerk.take()), (Some(1), true, None));
        clerk.give(|| 3);
        assert_eq!((clerk.wait(None), clerk.wait(None)), (Some(3), None));
    }

    #[test]
    fn a_job_that_panics_leaves_nobody_waiting() {
        let mut clerk = Clerk::<u8>::start("clerk").unwrap();
        clerk.give(|| panic!("a fault of the test's own"));
        assert_eq!((clerk.wait(None), clerk.is_free()), (None, false));
    }
}
