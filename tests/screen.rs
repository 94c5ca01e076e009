//! The live view of the real binary on a terminal of its own: what it shows, its keys, and that the terminal is given back
//! however the program ends.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Server, eventually};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

/// What a program writes to a terminal, as its screen and as bytes.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

/// A program on a terminal.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
    /// How the terminal is set before the program begins.
    modes: String,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts a shell's script, in which `"$0" "$@"` is the binary with its arguments.
    fn start(script: &str, arguments: &str) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).expect("there is a terminal");
        let modes = format!("{:?}", pair.master.get_termios());
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_mcpace")]);
        command.args(arguments.split_whitespace());
        command.env("TERM", "xterm-256color");
        for name in ["API_BASE_URL", "LOAD_TEST_TOTAL", "LOAD_TEST_CONCURRENT", "LOAD_TEST_TIMEOUT", "NO_COLOR"] {
            command.env_remove(name);
        }
        let child = pair.slave.spawn_command(command).expect("there is a terminal");
        let mut reader = pair.master.try_clone_reader().expect("there is a terminal");
        let keys = pair.master.take_writer().expect("there is a terminal");
        let seen = Arc::new(Mutex::new(Seen { screen: vt100::Parser::new(24, 80, 0), bytes: Vec::new() }));
        let filled = Arc::clone(&seen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Some(read) = reader.read(&mut bytes).ok().filter(|read| *read > 0) {
                let mut seen = filled.lock().expect("nobody panicked with it");
                seen.screen.process(&bytes[..read]);
                seen.bytes.extend_from_slice(&bytes[..read]);
            }
        });
        Self { master: pair.master, keys, child, seen, modes }
    }

    /// A run of an hour against `server`, which is seen to go on.
    fn under_way(server: &Server, flags: &str) -> Self {
        let line = format!("run {} --rate 50 --duration 1h --metrics off --seed 1 {flags}", server.url);
        let terminal = Self::start("exec \"$0\" \"$@\"", &line);
        terminal.wait_for("measuring");
        terminal
    }

    fn screen(&self) -> String {
        self.seen.lock().expect("nobody panicked with it").screen.screen().contents()
    }

    fn is_taken(&self) -> bool {
        self.seen.lock().expect("nobody panicked with it").screen.screen().alternate_screen()
    }

    fn wait_for(&self, part: &str) {
        assert!(eventually(|| self.screen().contains(part)), "no `{part}` in:\n{}", self.screen());
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("there is a terminal");
        self.keys.flush().expect("there is a terminal");
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.seen.lock().expect("nobody panicked with it").screen.screen_mut().set_size(rows, columns);
        self.master.resize(size(columns, rows)).expect("there is a terminal");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.process_id().expect("there is a terminal").cast_signed())
            .expect("there is a terminal");
        kill_process(pid, signal).expect("there is a terminal");
    }

    /// The exit code and all that was written, with the terminal as it was before.
    fn end(self) -> (u32, String) {
        let (status, all) = self.ended();
        (status.exit_code(), all)
    }

    /// How it ended, and all that was written, with the terminal as it was before.
    fn ended(mut self) -> (ExitStatus, String) {
        let mut code = None;
        let ended = eventually(|| {
            code = self.child.try_wait().expect("there is a terminal");
            code.is_some()
        });
        assert!(ended, "it goes on:\n{}", self.screen());
        assert!(eventually(|| !self.is_taken()), "{}", self.screen());
        assert!(
            !self.seen.lock().expect("nobody panicked with it").screen.screen().hide_cursor(),
            "the cursor is gone"
        );
        assert_eq!(format!("{:?}", self.master.get_termios()), self.modes);
        let seen = self.seen.lock().expect("nobody panicked with it");
        (code.expect("there is a terminal"), String::from_utf8_lossy(&seen.bytes).into_owned())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

#[test]
fn a_run_is_seen_explained_resized_and_ended_by_a_key_with_its_report() {
    let server = Server::start("");
    let mut terminal = Terminal::under_way(&server, "");
    terminal.wait_for("intended");
    terminal.wait_for("create_payment");
    assert!(terminal.is_taken());
    assert!(terminal.screen().contains("error_rate < 10%"), "{}", terminal.screen());
    terminal.press("?");
    terminal.wait_for("freeze and unfreeze this view");
    terminal.press("?");
    terminal.wait_for("OBJECTIVE");
    terminal.resize(120, 40);
    // A chart is wider than the terminal was before.
    terminal.wait_for("lanes ran");
    terminal.resize(40, 12);
    terminal.wait_for("no room: charts");
    terminal.resize(30, 5);
    terminal.wait_for("40 x 10 show more");
    terminal.press("q");
    let (code, all) = terminal.end();
    assert_eq!(code, 130);
    assert!(all.contains("SIGINT") && all.contains("OBJECTIVES"), "{all}");
    // The report is on the terminal that was there before, below the view's end.
    let view_ended = all.rfind("\u{1b}[?1049l").expect("there is a terminal");
    assert!(all.rfind("OBJECTIVES").expect("there is a terminal") > view_ended);
    assert_eq!(all.matches("\u{1b}[?1049h").count(), 1);
}

#[test]
fn a_frozen_view_stands_still_until_it_is_let_go() {
    let server = Server::start("");
    let mut terminal = Terminal::under_way(&server, "");
    terminal.press("p");
    terminal.wait_for("FROZEN");
    let still = terminal.screen();
    terminal.resize(81, 24);
    let first_line = |screen: &str| screen.lines().next().map(|line| line.replace(' ', ""));
    // It is drawn anew, and the same.
    assert!(
        eventually(|| terminal.screen().contains("FROZEN") && first_line(&terminal.screen()) == first_line(&still))
    );
    terminal.press("p");
    assert!(eventually(
        || !terminal.screen().contains("FROZEN") && first_line(&terminal.screen()) != first_line(&still)
    ));
    terminal.press("\u{3}");
    assert_eq!(terminal.end().0, 130);
}

#[test]
fn a_second_interrupt_or_key_ends_at_once_and_gives_the_terminal_back() {
    // What is in flight is never answered: draining takes its five seconds.
    let server = Server::start("--response-time 1h");
    for (first, second) in [("q", "q"), ("\u{3}", "\u{3}"), ("q", "\u{3}")] {
        let mut terminal = Terminal::under_way(&server, "--timeout 2h");
        terminal.press(first);
        terminal.wait_for("ENDING");
        terminal.press(second);
        let (code, all) = terminal.end();
        assert_eq!(code, 130);
        assert!(!all.contains("OBJECTIVES"), "{first:?} {second:?}: {all}");
    }
}

#[test]
fn a_termination_gives_the_terminal_back_before_the_report() {
    let server = Server::start("");
    let terminal = Terminal::under_way(&server, "");
    terminal.signal(Signal::TERM);
    let (code, all) = terminal.end();
    assert_eq!(code, 143);
    assert!(
        all.rfind("SIGTERM").expect("there is a terminal") > all.rfind("\u{1b}[?1049l").expect("there is a terminal"),
        "{all}"
    );
}

#[test]
fn a_signal_that_ends_a_program_ends_it_and_gives_the_terminal_back_first() {
    let server = Server::start("");
    let line = format!("run {} --rate 50 --duration 1h --metrics off --seed 1", server.url);
    for signal in [Signal::QUIT, Signal::ALARM, Signal::USR1, Signal::USR2] {
        let mut terminal = Terminal::start("ulimit -c 0; exec \"$0\" \"$@\"", &line);
        terminal.wait_for("measuring");
        if signal == Signal::QUIT {
            terminal.press("\u{1c}");
        } else {
            terminal.signal(signal);
        }
        let (status, all) = terminal.ended();
        assert!(status.signal().is_some() && !all.contains("OBJECTIVES"), "{signal:?}: {status:?} {all}");
    }
}

#[test]
fn a_run_that_is_stopped_gives_the_terminal_to_its_shell_and_takes_it_again() {
    let server = Server::start("");
    let line = format!("run {} --rate 50 --duration 1h --metrics off --seed 1", server.url);
    let script = "set -m; \"$0\" \"$@\"; echo \"stopped with $?\"; read word; fg; echo \"over with $?\"";
    let mut terminal = Terminal::start(script, &line);
    terminal.wait_for("measuring");
    terminal.press("\u{1a}");
    terminal.wait_for("stopped with");
    assert!(!terminal.is_taken());
    terminal.press("go\n");
    terminal.wait_for("OBJECTIVE");
    assert!(eventually(|| terminal.is_taken()));
    terminal.press("q");
    let (_, all) = terminal.end();
    assert!(all.contains("over with 130"), "{all}");
}

#[test]
fn where_no_shell_could_let_it_go_on_a_run_does_not_stop() {
    let server = Server::start("");
    let mut terminal = Terminal::under_way(&server, "");
    terminal.press("\u{1a}");
    let left_and_taken = || {
        let seen = terminal.seen.lock().expect("nobody panicked with it");
        seen.bytes.windows(8).filter(|bytes| **bytes == *b"\x1b[?1049h").count() == 2
    };
    assert!(eventually(left_and_taken));
    terminal.wait_for("OBJECTIVE");
    terminal.press("q");
    assert_eq!(terminal.end().0, 130);
}

#[test]
fn without_a_view_there_is_a_line_and_in_quiet_nothing() {
    let server = Server::start("");
    for (flags, before, shown) in [
        ("--no-tui", "exec \"$0\" \"$@\"", true),
        ("", "TERM=dumb; exec \"$0\" \"$@\"", true),
        ("-q", "exec \"$0\" \"$@\"", false),
        ("", "exec \"$0\" \"$@\" 2>/dev/null", false),
    ] {
        let line = format!("run {} --rate 50 --duration 2s --metrics off --objective p50<60s {flags}", server.url);
        let (code, all) = Terminal::start(before, &line).end();
        assert_eq!(code, 0, "{all}");
        assert!(!all.contains("\u{1b}[?1049h"), "{flags}: {all}");
        assert_eq!(all.contains("\u{1b}[K"), shown, "{flags}: {all}");
    }
}

#[test]
fn the_view_is_on_stderr_and_has_no_colours_where_they_are_not_wanted() {
    let server = Server::start("");
    for (before, flags, coloured) in [
        ("exec \"$0\" \"$@\" | cat > /dev/null", "", true),
        ("exec \"$0\" \"$@\"", "--no-color", false),
        ("NO_COLOR=1 exec \"$0\" \"$@\"", "", false),
    ] {
        let line = format!("run {} --rate 50 --duration 2s --metrics off --objective p50<60s {flags}", server.url);
        let (_, all) = Terminal::start(before, &line).end();
        let begin = all.find("\u{1b}[?1049h").unwrap_or_else(|| panic!("{before}: {all}"));
        let view = &all[begin..all.rfind("\u{1b}[?1049l").expect("there is a terminal")];
        assert!(view.contains("measuring"), "{view}");
        let green = view.contains("\u{1b}[38;5;2m") || view.contains("\u{1b}[32m") || view.contains(";5;2;");
        assert_eq!(green, coloured, "{before} {flags}: {view:?}");
    }
}
