//! A shell's jobs: stopped by Ctrl-Z, let go on in the foreground or in the background.
//!
//! The view touches the terminal in the foreground only: in the background, setting it would stop the run. Before the
//! process stops, the terminal is given back; the view takes it anew when it may.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};

use super::tty::{self, Place};

/// These end a process that does not ask for them: Ctrl-\\, and what `kill` and `timeout` can send.
const ENDS: [Signal; 4] = [Signal::QUIT, Signal::ALARM, Signal::USR1, Signal::USR2];

/// Within this time of its signal a process has stopped, or will not stop.
const STOPS_WITHIN: Duration = Duration::from_millis(100);

/// Whether this process may set its terminal. A terminal that is not this session's is no matter of jobs.
pub(super) fn in_foreground() -> bool {
    tcgetpgrp(io::stderr()).map_or(true, |group| group == getpgrp())
}

/// Listens for what a shell does with its jobs, and for what ends the program at once, on a thread of its own.
///
/// # Errors
/// Where the operating system gives no thread or no signal handler.
pub(super) fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut stops, mut goes_on) = {
        let _inside = runtime.enter();
        let of = |signal: Signal| SignalKind::from_raw(signal.as_raw());
        for end in ENDS {
            let mut ends = signal(of(end))?;
            drop(runtime.spawn(async move {
                ends.recv().await;
                tty::give_back(Place::Over);
                // As it would have ended without a view, for whoever waits for it.
                drop(signal_hook::low_level::emulate_default_handler(end.as_raw()));
            }));
        }
        (signal(of(Signal::TSTP))?, signal(of(Signal::CONT))?)
    };
    let work = async move {
        loop {
            tokio::select! {
                _ = stops.recv() => {
                    tty::give_back(Place::Stopping);
                    // This one stops a process as Ctrl-Z does without a handler: not where no shell could let it go on.
                    let _ = kill_process(getpid(), Signal::TTIN);
                    drop(tokio::time::timeout(STOPS_WITHIN, goes_on.recv()).await);
                    tty::free();
                }
                _ = goes_on.recv() => tty::free(),
            }
        }
    };
    thread::Builder::new().name("jobs".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(())
}
