//! What the end-to-end tests share: the real binary and its endings, its bundled server, and a page of metrics.
//!
//! Nothing here sleeps for a fixed time: tests wait for lines, for ends of streams and for conditions, each with a deadline
//! far above what the slowest machine needs. Every child process is ended when its guard is dropped, also by a panic.

pub(crate) mod scripted;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use mcpace::measure::{Phase, Scope, Tally};
use mcpace::outcome::Outcome;
use mcpace::report::SavedRun;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_mins(2);
/// A promise about time that any machine keeps, so that no pacing lag below 3 s makes a run INVALID.
pub(crate) const GENEROUS: &str = "p50 < 60s";
const POLL: Duration = Duration::from_millis(10);

/// The binary under test, with nothing of the surroundings in its environment.
pub(crate) fn mcpace() -> Command {
    bare(Command::new(env!("CARGO_BIN_EXE_mcpace")))
}

/// The binary under test, started by a shell that first does `before`.
pub(crate) fn mcpace_after(before: &str) -> Command {
    in_a_shell(&format!("{before}; exec \"$0\" \"$@\""))
}

/// A shell's script, in which `"$0" "$@"` is the binary under test with its arguments.
pub(crate) fn in_a_shell(script: &str) -> Command {
    let mut command = bare(Command::new("sh"));
    command.args(["-c", script, env!("CARGO_BIN_EXE_mcpace")]);
    command
}

fn bare(mut command: Command) -> Command {
    for name in ["API_BASE_URL", "LOAD_TEST_TOTAL", "LOAD_TEST_CONCURRENT", "LOAD_TEST_TIMEOUT", "NO_COLOR"] {
        command.env_remove(name);
    }
    command
}

/// The words of a line, as arguments.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Whether `condition` comes true before the deadline.
#[expect(clippy::disallowed_methods, reason = "a deadline of the test's own, not a measurement")]
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > DEADLINE {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// A port that was free just now and that no outgoing connection takes.
pub(crate) fn free_port() -> u16 {
    let first = 20_000 + (std::process::id() % 1000) as u16 * 10;
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// Lines of a stream, read by a thread of their own so that whoever writes them never waits.
pub(crate) struct Lines {
    lines: Receiver<String>,
    seen: String,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (tell, lines) = channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if tell.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { lines, seen: String::new() }
    }

    /// The next line that holds `part`.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(why) => panic!("no line with `{part}` ({why}) after:\n{}", self.seen),
            }
        }
    }

    /// All lines from the first to the last, once the stream has ended.
    pub(crate) fn rest(&mut self) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => self.seen.push_str(&line),
                Err(RecvTimeoutError::Disconnected) => return std::mem::take(&mut self.seen),
                Err(RecvTimeoutError::Timeout) => panic!("a stream did not end after:\n{}", self.seen),
            }
        }
    }
}

/// A run of the binary that may still go on.
pub(crate) struct Running {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

/// How a run of the binary ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Starts a command with its output read and nothing to read itself.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let err = Lines::of(child.stderr.take().expect("a pipe"));
        Self { child, out, err }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is still there");
    }

    /// Waits for the end of the output and of the program.
    pub(crate) fn end(mut self) -> Ended {
        let (out, err) = (self.out.rest(), self.err.rest());
        Ended { code: self.child.wait().expect("its end").code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs the binary to its end.
pub(crate) fn finish(command: Command) -> Ended {
    let ended = Running::start(command).end();
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    ended
}

/// Runs the binary with the words of `line` to its end.
pub(crate) fn finish_line(line: &str) -> Ended {
    let mut command = mcpace();
    command.args(words(line));
    finish(command)
}

impl Ended {
    /// Asserts the exit code and that stderr says each of `parts`.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.err, self.out);
        for part in parts {
            assert!(words(&self.err).join(" ").contains(part), "`{part}` is not in:\n{}", self.err);
        }
        assert!(self.out.is_empty(), "{}", self.out);
    }
}

/// A load on a target with the run saved.
pub(crate) struct Load {
    command: Command,
    folder: TempDir,
}

/// A load that has ended: how, and the run it saved.
pub(crate) struct Loaded {
    pub(crate) ended: Ended,
    pub(crate) run: SavedRun,
    folder: TempDir,
}

impl Load {
    /// `mcpace run URL` with the words of `flags`, without metrics unless the flags name them.
    pub(crate) fn on(url: &str, flags: &str) -> Self {
        Self::flags(&format!("{url} {flags}"))
    }

    /// `mcpace run` with the words of `flags`, without metrics unless the flags name them, and judged by what was observed
    /// unless the flags say otherwise: a second of load decides little with confidence.
    pub(crate) fn flags(flags: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = mcpace();
        command.arg("run").args(words(flags)).arg("--out").arg(folder.path().join("run.json"));
        if !flags.contains("--metrics") {
            command.args(["--metrics", "off"]);
        }
        if !flags.contains("--judge") {
            command.args(["--judge", "observed"]);
        }
        Self { command, folder }
    }

    /// Adds arguments that hold blanks.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Trusts the authority in this file and no other.
    pub(crate) fn trusting(mut self, authority: &Path) -> Self {
        self.command.env("SSL_CERT_FILE", authority);
        self
    }

    /// Adds a promise beside the generous one.
    pub(crate) fn promising(self, objective: &str) -> Self {
        self.with(&["--objective", objective])
    }

    /// Starts it.
    pub(crate) fn start(self) -> (Running, TempDir) {
        let Self { command, folder } = self.promising(GENEROUS);
        (Running::start(command), folder)
    }

    /// Runs it to its end and reads what it saved; asserts that the counts add up.
    #[track_caller]
    pub(crate) fn run(self) -> Loaded {
        let Self { command, folder } = self.promising(GENEROUS);
        Loaded::of(finish(command), folder)
    }
}

impl Loaded {
    /// What an ended run left in its folder; asserts that the counts add up.
    #[track_caller]
    pub(crate) fn of(ended: Ended, folder: TempDir) -> Self {
        let path = folder.path().join("run.json");
        assert!(path.exists(), "no run was saved: {}{}", ended.err, ended.out);
        let run = read_run(&path);
        assert_adds_up(&run);
        Self { ended, run, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("run.json")
    }

    /// Everything after warm-up.
    pub(crate) fn measured(&self) -> Tally {
        self.run.summary.tally(Scope::Total, Some(Phase::Measure))
    }

    /// How many calls after warm-up ended so.
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.measured().outcomes.get(outcome)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.ended.code, Some(code), "{}\n{}", self.ended.err, self.ended.out);
        self
    }

    /// Asserts that the report says this, wherever its lines break.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> &Self {
        assert!(words(&self.ended.out).join(" ").contains(part), "`{part}` is not in:\n{}", self.ended.out);
        self
    }

    /// Asserts that all calls were well.
    #[track_caller]
    pub(crate) fn all_ok(&self, calls: u64) -> &Self {
        let measured = self.measured();
        assert_eq!((measured.scheduled, measured.ok()), (calls, calls), "{}", self.ended.out);
        self
    }
}

/// Reads a saved run.
pub(crate) fn read_run(path: &Path) -> SavedRun {
    SavedRun::from_json(&std::fs::read(path).expect("a saved run")).expect("a readable run")
}

/// Every arrival that was due is in exactly one place, and every failure in exactly one group.
#[track_caller]
pub(crate) fn assert_adds_up(run: &SavedRun) {
    let summary = &run.summary;
    let accounting = summary.accounting();
    let ended = accounting.answered + accounting.dropped + accounting.abandoned;
    assert_eq!(accounting.scheduled, ended, "{accounting:?}");
    assert_eq!((accounting.waiting, accounting.in_flight), (0, 0));
    assert_eq!(summary.due, Some(accounting.scheduled), "arrivals due and scheduled");
    let all = summary.tally(Scope::Total, None);
    for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Ok) {
        let groups = summary.failures.groups().iter().filter(|group| group.outcome == outcome);
        assert_eq!(groups.map(|group| group.count).sum::<u64>(), all.outcomes.get(outcome), "groups of {outcome}");
    }
}

/// The bundled server, which lives as long as this value.
pub(crate) struct Server {
    child: Child,
    _lifeline: ChildStdin,
    pub(crate) url: String,
}

impl Server {
    /// `mcpace serve` on a free port with the words of `flags`.
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_with(0, &words(flags))
    }

    /// `mcpace serve` on `port` with these flags.
    pub(crate) fn start_with(port: u16, flags: &[&str]) -> Self {
        let mut command = mcpace();
        command.args(["serve", "--exit-with-stdin", "--port", &port.to_string()]).args(flags);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the server starts");
        let lifeline = child.stdin.take().expect("a pipe");
        let line = Lines::of(child.stdout.take().expect("a pipe")).wait_for("listening on");
        let url = line.split_whitespace().last().expect("an address").to_owned();
        Self { child, _lifeline: lifeline, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a GET of `path` answers, head included; nothing where nobody listens.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// The sum of all values of `metric` whose labels hold every one of `labels`.
pub(crate) fn metric(page: &str, metric: &str, labels: &[&str]) -> f64 {
    page.lines()
        .filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Where a run started with `--metrics 127.0.0.1:0 -v` serves its metrics.
pub(crate) fn metrics_address(running: &mut Running) -> SocketAddr {
    let line = running.err.wait_for("metrics are served at");
    let place = line.trim().rsplit("http://").next().and_then(|url| url.strip_suffix("/metrics"));
    place.and_then(|address| address.parse().ok()).expect("an address")
}
