//! The live view on the terminal behind stderr.
//!
//! A thread of its own draws what was shown last, at most four times a second, and reads the keys. Whoever shows something
//! leaves it in a slot and goes on: a terminal that is slow, or takes no more bytes at all, holds up nobody. The slot's lock
//! is between the observer and the view; no lane knows it.

mod jobs;
mod keys;
mod tty;

use std::io::{self, Write};
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::process::{Signal, getpid, kill_process};

pub(super) use tty::Log;

use crate::engine::MonotonicClock;
use crate::report::view::{self, Colours, Model, Wanted};
use crate::time::Clock;
use keys::{Key, Keys};
use tty::Place;

/// The time from one drawing to the next.
const BEAT: Duration = Duration::from_millis(250);

/// The view. When it is dropped the terminal is as it was before.
#[derive(Debug)]
pub(super) struct Screen {
    latest: Arc<Mutex<Option<Box<Model>>>>,
}

impl Screen {
    /// Gets ready; the terminal is taken when there is something to show. `is_ending` says whether the run was told to end.
    /// `None` where this process may not have the terminal.
    pub(super) fn open(colours: bool, is_ending: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        if !jobs::in_foreground() {
            return None;
        }
        let latest = Arc::default();
        let drawer = Drawer {
            latest: Arc::clone(&latest),
            shown: None,
            newest: None,
            wanted: Wanted::default(),
            colours: Colours(colours),
            before: Buffer::default(),
        };
        let thread = thread::Builder::new().name("view".to_owned());
        // Without a thread or a handler the run goes on unseen.
        jobs::listen().and_then(|()| thread.spawn(move || drawer.work(is_ending))).ok()?;
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            leave();
            before(what);
        }));
        Some(Self { latest })
    }

    /// Shows a run as it is, in place of what it was.
    pub(super) fn show(&self, model: Model) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(model));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Ends the view, if there is one, and gives the terminal back: from any thread, at any time, as often as one likes.
pub(super) fn leave() {
    tty::give_back(Place::Over);
}

/// What draws.
struct Drawer {
    latest: Arc<Mutex<Option<Box<Model>>>>,
    shown: Option<Box<Model>>,
    /// What came while the view was frozen.
    newest: Option<Box<Model>>,
    wanted: Wanted,
    colours: Colours,
    /// What the terminal shows.
    before: Buffer,
}

impl Drawer {
    fn work(mut self, is_ending: impl Fn() -> bool) {
        let clock = MonotonicClock::starting_in(Duration::ZERO);
        let mut keys = Keys::open();
        let mut next = clock.now();
        loop {
            let wait = next.since(clock.now());
            match tty::place() {
                Place::Over => return,
                _ if wait.is_zero() => {
                    next = clock.now().after(BEAT);
                    self.wanted.ending = is_ending();
                    if self.draw().is_err() {
                        return leave();
                    }
                }
                Place::Shown => keys.wait(wait).into_iter().for_each(|key| self.press(key)),
                // In the background keys are somebody else's.
                Place::Free | Place::Stopping => thread::sleep(wait),
            }
        }
    }

    fn press(&mut self, key: Key) {
        match key {
            // As by Ctrl-C: the first ends the run, the second the program.
            Key::Quit => drop(kill_process(getpid(), Signal::INT)),
            Key::Freeze => self.wanted.frozen = !self.wanted.frozen,
            Key::Help => self.wanted.help = !self.wanted.help,
        }
    }

    /// Sends the cells that changed.
    fn draw(&mut self) -> io::Result<()> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.newest = latest.or_else(|| self.newest.take());
        if self.shown.is_none() || !self.wanted.frozen {
            self.shown = self.newest.take().or_else(|| self.shown.take());
        }
        let Some(model) = &self.shown else { return Ok(()) };
        let (width, height) = tty::size();
        let area = Rect::new(0, 0, width, height);
        let taken = tty::take()?;
        let mut backend = CrosstermBackend::new(Frame::default());
        if taken || self.before.area != area {
            backend.clear()?;
            self.before = Buffer::empty(area);
        }
        let mut now = Buffer::empty(area);
        view::draw(model, self.wanted, self.colours, &mut now);
        backend.draw(self.before.diff(&now).into_iter())?;
        Write::flush(&mut backend)?;
        self.before = now;
        Ok(())
    }
}

/// Bytes on their way to the terminal, which gets them all at once.
#[derive(Default)]
struct Frame(Vec<u8>);

impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        tty::send(&self.0);
        self.0.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    use super::*;
    use crate::report::fixtures;
    use crate::time::Moment;

    #[test]
    #[ignore = "it panics, and is started by the test below on a terminal of its own"]
    fn shows_a_run_and_panics() {
        let run = fixtures::ok();
        let judgement = run.judge(&[]).unwrap();
        let screen = Screen::open(true, || false).unwrap();
        screen.show(Model::of(&run.plan, &run.summary, &judgement, Moment::from_nanos(9_000_000_000)));
        while tty::place() != Place::Shown {
            thread::sleep(BEAT / 10);
        }
        writeln!(Log, "what was logged meanwhile").unwrap();
        // Nothing but the hook gives the terminal back.
        std::mem::forget(screen);
        panic!("as a test wants it");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
        let modes = format!("{:?}", pair.master.get_termios());
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--nocapture", "--exact", "cli::screen::tests::shows_a_run_and_panics"]);
        let mut child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        drop(pair.slave);
        let mut seen = Vec::new();
        let mut bytes = [0; 4096];
        // A terminal whose last program has ended is an error on Linux.
        while let Some(read) = reader.read(&mut bytes).ok().filter(|read| *read > 0) {
            seen.extend_from_slice(&bytes[..read]);
        }
        child.wait().unwrap();
        let seen = String::from_utf8_lossy(&seen);
        let place = |part: &str| seen.find(part).unwrap_or_else(|| panic!("no {part:?} in {seen}"));
        assert!(place("\u{1b}[?1049h") < place("\u{1b}[?1049l"));
        assert!(place("\u{1b}[?1049l") < place("what was logged meanwhile"));
        assert!(place("\u{1b}[?1049l") < place("as a test wants it"));
        assert_eq!(format!("{:?}", pair.master.get_termios()), modes);
    }
}
