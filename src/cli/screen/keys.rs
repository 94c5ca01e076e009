//! The keys of the view, read from the terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// End the run; the second time the program.
    Quit,
    /// Freeze the view, or let it go on.
    Freeze,
    /// Show the keys and the words, or the run.
    Help,
}

/// Where keys come from.
pub(super) struct Keys(Option<File>);

impl Keys {
    /// The terminal that is stdin, or the one of this session. There may be none: then there are no keys.
    pub(super) fn open() -> Self {
        let stdin = io::stdin();
        let file = if stdin.is_terminal() {
            rustix::io::dup(&stdin).map(File::from).map_err(io::Error::from)
        } else {
            File::open("/dev/tty")
        };
        Self(file.ok())
    }

    /// The keys that are pressed next; none, where none is for the time `at_most`.
    pub(super) fn wait(&mut self, at_most: Duration) -> Vec<Key> {
        let Some(file) = &mut self.0 else {
            thread::sleep(at_most);
            return Vec::new();
        };
        let timeout = Timespec::try_from(at_most).ok();
        let mut ready = [PollFd::new(file, PollFlags::IN)];
        if !poll(&mut ready, timeout.as_ref()).is_ok_and(|ready| ready > 0) {
            return Vec::new();
        }
        let mut bytes = [0; 256];
        match file.read(&mut bytes) {
            Ok(read) if read > 0 => keys(&bytes[..read]),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => Vec::new(),
            // The terminal is gone.
            _ => {
                self.0 = None;
                Vec::new()
            }
        }
    }
}

/// What was pressed. An escape begins the sequence of another key, which ends with what was read.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let plain = bytes.iter().take_while(|byte| **byte != 0x1b);
    let key = |byte: &u8| match byte {
        b'q' | b'Q' => Some(Key::Quit),
        b'p' | b'P' => Some(Key::Freeze),
        b'?' | b'h' => Some(Key::Help),
        _ => None,
    };
    plain.filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_keys_mean_something_and_no_sequence_of_another_key_does() {
        assert_eq!(keys(b"qp?x"), [Key::Quit, Key::Freeze, Key::Help]);
        for sequence in ["\u{1b}[A", "\u{1b}Oq", "\u{1b}[?1;2q", "\u{1b}"] {
            assert_eq!(keys(sequence.as_bytes()), [], "{sequence:?}");
        }
    }
}
