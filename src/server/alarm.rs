//! Waits that end within a fraction of a millisecond of their time: the runtime's own timer is one to two late.
//!
//! A thread sleeps until the next wait is over and rings. It costs two switches of threads per wait, so it exists only
//! where a response time was asked for.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::clock::Clock;

/// When to ring, and for whom.
type Wait = (Duration, oneshot::Sender<()>);

/// An alarm clock for any number of waiters. Its thread ends with it.
#[derive(Debug)]
pub(super) struct Alarm {
    waits: Sender<Wait>,
}

impl Alarm {
    pub(super) fn start(clock: Clock) -> Self {
        let (waits, asked) = channel();
        thread::spawn(move || ring(clock, &asked));
        Self { waits }
    }

    /// Waits until `moment` since the server began, never less.
    pub(super) async fn wait_until(&self, moment: Duration) {
        let (bell, rung) = oneshot::channel();
        if self.waits.send((moment, bell)).is_ok() {
            let _ = rung.await;
        }
    }
}

fn ring(clock: Clock, asked: &Receiver<Wait>) {
    // Two waits for one moment differ in their number.
    let mut waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>> = BTreeMap::new();
    for number in 0_u64.. {
        let now = clock.elapsed();
        while let Some(first) = waiting.first_entry()
            && first.key().0 <= now
        {
            // A client that went away waits no more.
            let _ = first.remove().send(());
        }
        let next = match waiting.first_key_value() {
            Some(((moment, _), _)) => asked.recv_timeout(moment.saturating_sub(now)),
            None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok((moment, bell)) => drop(waiting.insert((moment, number), bell)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_wait_ends_too_early_and_a_long_one_holds_up_no_other() {
        let clock = Clock::start();
        let alarm = Alarm::start(clock);
        let wait = async |millis| {
            let moment = Duration::from_millis(millis);
            alarm.wait_until(moment).await;
            assert!(clock.elapsed() >= moment);
        };
        tokio::select! {
            () = wait(3_600_000) => panic!("an hour has not passed"),
            ((), (), ()) = async { tokio::join!(wait(20), wait(10), wait(0)) } => {}
        }
    }
}
