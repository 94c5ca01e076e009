//! Signals: the first one ends the run with a report, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use crate::engine::Stop;

/// Listens for SIGINT and SIGTERM from its making on.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    /// The exit code of the first signal, 0 before it.
    first: Arc<AtomicU8>,
}

impl Signals {
    /// Listens on a thread of its own. The first signal stops the run by `stop`, where there is one yet.
    ///
    /// # Errors
    /// Where the operating system gives no thread or no signal handler.
    pub(super) fn listen(stop: Stop) -> std::io::Result<Self> {
        let signals = Self { first: Arc::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let first = Arc::clone(&signals.first);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let exit = tokio::select! {
                        _ = interrupt.recv() => Exit::Interrupted,
                        _ = terminate.recv() => Exit::Terminated,
                    };
                    if first.swap(exit as u8, Ordering::SeqCst) != 0 {
                        std::process::exit(i32::from(exit as u8));
                    }
                    stop.now();
                }
            });
        })?;
        Ok(signals)
    }

    /// The signal that ended the run, if one did.
    pub(super) fn first(&self) -> Option<Exit> {
        match self.first.load(Ordering::SeqCst) {
            0 => None,
            code if code == Exit::Terminated as u8 => Some(Exit::Terminated),
            _ => Some(Exit::Interrupted),
        }
    }
}
