//! The terminal behind stderr: whose it is at the moment, and how it is given back whatever happens.
//!
//! A process has one terminal, and its end can come on any thread: so what is known of it is one for all. Nothing here
//! waits long for a terminal that takes no more bytes.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::jobs;

/// Who has the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Whoever had it before; the view may take it.
    Free,
    /// The view.
    Shown,
    /// Whoever had it before, while this process is about to stop.
    Stopping,
    /// Whoever had it before, for good.
    Over,
}

static PLACE: Mutex<Place> = Mutex::new(Place::Free);
/// How the terminal was before the view took it.
static MODES: OnceLock<Termios> = OnceLock::new();
/// What is to be written when the view is gone, while it is there.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

/// The size of a terminal that does not tell its own, and the largest that is drawn on.
const SIZE: (u16, u16) = (80, 24);
const LARGEST: (u16, u16) = (500, 200);
/// How often, and after which time again, the terminal is tried to be had back from a thread that writes to it.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);
/// At most so many bytes of the log are kept while the view is there.
const MOST_HELD: usize = 64 << 10;

/// The log of the time in which the view is there.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// How many lines found no room.
    more: u64,
}

/// Takes the terminal, where it may be had and is not had yet: gives whether it was taken just now, so that all has to be
/// drawn.
///
/// # Errors
/// Where it is no terminal that lets itself be set.
pub(super) fn take() -> io::Result<bool> {
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    if *place == Place::Shown && !jobs::in_foreground() {
        // A shell has taken it, which has set it as it likes.
        *place = Place::Free;
    }
    if *place != Place::Free || !jobs::in_foreground() {
        return Ok(false);
    }
    let modes = tcgetattr(io::stderr())?;
    let mut keys = MODES.get_or_init(|| modes).clone();
    // Keys come one by one and unseen. Those that make signals go on doing so: Ctrl-C works whatever this program does.
    keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    keys.input_modes -= InputModes::IXON;
    tcsetattr(io::stderr(), OptionalActions::Now, &keys)?;
    *place = Place::Shown;
    HELD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    execute!(io::stderr(), EnterAlternateScreen, Hide, Clear(ClearType::All))?;
    Ok(true)
}

/// Sends `bytes`, where the view has the terminal.
pub(super) fn send(bytes: &[u8]) {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    if *place == Place::Shown {
        // A terminal that is gone is no reason to end the run.
        drop(io::stderr().write_all(bytes));
    }
}

/// Who has it.
pub(super) fn place() -> Place {
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was drawn may be gone: the view takes the terminal anew, unless it is over.
pub(super) fn free() {
    let mut place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    if *place != Place::Over {
        *place = Place::Free;
    }
}

/// Gives the terminal back as it was, and says what was held back meanwhile.
pub(super) fn give_back(next: Place) {
    let was = soon().map(|mut place| {
        let was = *place;
        if was != Place::Over {
            *place = next;
        }
        if was == Place::Shown && jobs::in_foreground() {
            restore_modes();
            drop(execute!(io::stderr(), Show, LeaveAlternateScreen));
        }
        was
    });
    if was.is_none() && jobs::in_foreground() {
        // It takes no more bytes. Its modes can be set all the same.
        restore_modes();
    }
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    if was.is_some() && !held.bytes.is_empty() {
        drop(io::stderr().write_all(&held.bytes));
    }
    if was.is_some() && held.more > 0 {
        drop(writeln!(io::stderr(), "… and {} more lines", held.more));
    }
}

/// The terminal, unless another thread keeps it for long.
fn soon() -> Option<MutexGuard<'static, Place>> {
    for _ in 0..TRIES {
        match PLACE.try_lock() {
            Ok(place) => return Some(place),
            Err(TryLockError::Poisoned(place)) => return Some(place.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
    None
}

fn restore_modes() {
    if let Some(modes) = MODES.get() {
        let _ = tcsetattr(io::stderr(), OptionalActions::Now, modes);
        // Keys that were meant for the view are not for whoever comes next.
        let _ = tcflush(io::stderr(), QueueSelector::IFlush);
    }
}

/// Columns and rows.
pub(super) fn size() -> (u16, u16) {
    let size = tcgetwinsize(io::stderr()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let (columns, rows) = if size.0 == 0 || size.1 == 0 { SIZE } else { size };
    (columns.min(LARGEST.0), rows.min(LARGEST.1))
}

/// Stderr for a log: while the view is there, what is written waits until it is gone.
#[derive(Debug)]
pub(in super::super) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Never held while a terminal is written to: whoever logs does not wait for one that is slow because of the view.
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            None => {
                drop(held);
                io::stderr().write_all(bytes)?;
            }
            Some(held) if held.bytes.len() + bytes.len() <= MOST_HELD => held.bytes.extend_from_slice(bytes),
            Some(held) => held.more += 1,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
