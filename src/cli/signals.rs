//! Signals: the first one ends the run with a report, the second one ends the program at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::Exit;
use super::screen;
use crate::engine::Stop;

/// Listens for SIGINT, SIGTERM and SIGHUP from its making on.
#[derive(Debug)]
pub(super) struct Signals {
    seen: watch::Receiver<Option<Exit>>,
    /// What stops the run that goes on.
    stop: Arc<Mutex<Stop>>,
}

impl Signals {
    /// Listens on a thread of its own. The first signal stops the run by `stop`, where there is one yet.
    ///
    /// # Errors
    /// Where the operating system gives no thread or no signal handler.
    pub(super) fn listen(stop: Stop) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate, mut hang_up) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
        };
        let mut too_long = {
            let _inside = runtime.enter();
            signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?
        };
        let (tell, seen) = watch::channel(None);
        let current = Arc::new(Mutex::new(stop));
        let stop = Arc::clone(&current);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let exit = tokio::select! {
                        _ = interrupt.recv() => Exit::Interrupted,
                        _ = terminate.recv() => Exit::Terminated,
                        // A terminal that is closed is as much as a request to end.
                        _ = hang_up.recv() => Exit::Terminated,
                        // A file has reached the limit of its size. It would end the program; so its writer sees an error.
                        _ = too_long.recv() => continue,
                    };
                    if tell.send_replace(Some(exit)).is_some() {
                        screen::leave();
                        std::process::exit(i32::from(exit as u8));
                    }
                    stop.lock().unwrap_or_else(PoisonError::into_inner).now();
                }
            });
        })?;
        Ok(Self { seen, stop: current })
    }

    /// A run of several is to begin: gives what stops it, and stops it at once where there was a signal already.
    pub(super) fn next_stop(&self) -> Stop {
        let next = Stop::new();
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = next.clone();
        if self.first().is_some() {
            next.now();
        }
        next
    }

    /// Waits for the first signal.
    pub(super) async fn arrival(&self) -> Exit {
        let mut seen = self.seen.clone();
        // The listening thread lives as long as the process.
        match seen.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            _ => std::future::pending().await,
        }
    }

    /// Says on any thread whether there was one.
    pub(super) fn told(&self) -> impl Fn() -> bool + Send + 'static {
        let seen = self.seen.clone();
        move || seen.borrow().is_some()
    }

    /// The first signal, if there was one: a second ends the program.
    pub(super) fn first(&self) -> Option<Exit> {
        *self.seen.borrow()
    }
}
