//! A run that is changed while it goes on: through a socket that one user may open, at moments that all lanes keep.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use common::{Ended, Load, Loaded, Running, Server, eventually, finish, get, mcpace, metric, metrics_address, words};
use mcpace::measure::EventKind;
use mcpace::report::Ending;
use tempfile::TempDir;

/// A run that listens, and where.
struct Controlled {
    running: Running,
    folder: TempDir,
    place: TempDir,
}

impl Controlled {
    fn start(server: &Server, flags: &str) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let socket = place.path().join("run.sock");
        let flags = format!("--control {} {flags}", socket.display());
        let (running, folder) = Load::on(&server.url, &flags).start();
        let listens = || socket.exists() && ctl(&socket, "status").code == Some(0);
        assert!(eventually(listens), "it listens, and has begun");
        Self { running, folder, place }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("run.sock")
    }

    #[track_caller]
    fn told(&self, command: &str, said: &str) {
        let ended = ctl(&self.socket(), command);
        assert!(ended.code == Some(0) && ended.out.contains(said), "{command}: {}{}", ended.out, ended.err);
    }

    #[track_caller]
    fn refused(&self, command: &str, why: &str) {
        ctl(&self.socket(), command).assert_refused(2, &[why]);
    }

    fn end(self) -> Loaded {
        let Self { running, folder, .. } = self;
        Loaded::of(running.end(), folder)
    }
}

fn ctl(socket: &Path, command: &str) -> Ended {
    let mut told = mcpace();
    told.arg("ctl").arg("--socket").arg(socket).args(words(command));
    finish(told)
}

/// What a client hears that sends these bytes and nothing more.
fn heard(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    stream.write_all(bytes).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("it is still there");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn rate_and_phase_are_changed_for_all_lanes_at_once_and_everybody_sees_it() {
    let server = Server::start("");
    let flags = "--rate 40 --arrivals constant --duration 1h --lanes 3 --concurrent 30 --metrics 127.0.0.1:0 -v";
    let mut run = Controlled::start(&server, flags);
    let address = metrics_address(&mut run.running);
    let page = || get(address, "/metrics").expect("a page");
    let changes = |act: &str| metric(&page(), "mcpace_changes_total", &[&format!("act=\"{act}\"")]);
    let intended = || metric(&page(), "mcpace_intended_rate", &[]);
    let paused = || metric(&page(), "mcpace_run_state", &["state=\"paused\""]) > 0.5;
    let is = |rate: f64| (intended() - rate).abs() < 1e-9;
    assert!(eventually(|| is(40.0)) && !paused());
    assert!(["rate", "pause", "resume", "stop"].iter().all(|act| changes(act).abs() < 1e-9));

    run.told("rate 300/s", "goes on at 300/s from");
    assert!(eventually(|| is(300.0)));
    run.refused("resume", "not paused");
    run.told("pause", "is paused from");
    run.refused("pause", "that is paused");
    run.refused("rate 5", "resume it first");
    assert!(eventually(|| paused() && is(0.0)));
    run.told("status", "state paused since");
    run.told("resume", "is resumed from");
    assert!(eventually(|| !paused() && is(300.0)));
    assert!(eventually(|| changes("resume") > 0.5));
    let counted = ["rate", "pause", "resume", "stop"].map(|act| changes(act) as u64);
    assert_eq!(counted, [1, 1, 1, 0]);
    run.told("status", "rate 300/s");
    run.told("stop", "ends from");

    let loaded = run.end();
    assert_eq!(loaded.ended.code, Some(0), "{}{}", loaded.ended.err, loaded.ended.out);
    assert_eq!(loaded.run.ending, Ending::Asked);
    let summary = &loaded.run.summary;
    let events = summary.events.kept();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::RateSet, EventKind::Paused, EventKind::Resumed, EventKind::StopAsked]);
    assert!((events[0].figure - 300.0).abs() < 1e-9, "{events:?}");
    assert_eq!(events[1].until, events[2].at, "a pause lasts until the schedule goes on");
    assert_eq!(summary.until, events[3].at);
    // Even arrivals: their number is the area under the rate, and the timeline expects it.
    let at = |place: usize| events[place].at.as_secs_f64();
    let area = 40.0 * at(0) + 300.0 * (at(1) - at(0) + at(3) - at(2));
    let sent = summary.due.expect("a run that ended") as f64;
    assert!((sent - area).abs() <= 1.0, "{sent} for {area}");
    let expected: f64 = loaded.measured().timeline.cells().map(|cell| cell.expected).sum();
    assert!((expected - area).abs() < 0.01, "{expected} for {area}");
    assert!(loaded.ended.out.contains("the rate was set to 300/s by hand"), "{}", loaded.ended.out);
    assert!(loaded.ended.out.contains("ended early by hand"), "{}", loaded.ended.out);
    let file = loaded.file().display().to_string();
    let mut compare = mcpace();
    compare.args(["compare", &file, &file]);
    finish(compare).assert_refused(2, &["its load was changed by hand (3 times)", "it was ended by hand"]);
}

#[test]
fn the_socket_is_for_one_user_and_one_run_and_clients_cannot_disturb_it() {
    let server = Server::start("");
    let run = Controlled::start(&server, "--rate 20 --duration 1h");
    let socket = run.socket();
    let kind = std::fs::metadata(&socket).expect("it is there");
    assert!(kind.file_type().is_socket());
    assert_eq!(kind.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(run.place.path()).expect("a folder").count(), 1, "nothing else is left there");
    for (bytes, why) in [
        (&b"rate 0\n"[..], "0"),
        (b"rate -5/s\n", "-5/s"),
        (b"rate 1e300\n", "1e300"),
        (b"halt\n", "\"halt\" is no command: give rate R, pause, resume, stop or status"),
        (b"\n", "\"\" is no command"),
        (b"", "not a whole line"),
        // What was cut off may have been another command.
        (b"stop", "not a whole line"),
        (b"\xff\xfe\n", "the command is not UTF-8"),
    ] {
        let answer = heard(&socket, bytes);
        assert!(answer.starts_with("error ") && answer.contains(why), "{answer}");
    }
    assert_eq!(heard(&socket, &b"x".repeat(200)), "error the command is too long\n");
    // Clients that say nothing are let go, and others get their turn.
    let silent: Vec<UnixStream> = (0..3).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    assert!(eventually(|| ctl(&socket, "status").code == Some(0)));
    drop(silent);
    let (another, _folder) = Load::on(&server.url, &format!("--rate 20 --control {}", socket.display())).start();
    another.end().assert_refused(2, &["another run listens there"]);
    run.told("stop", "ends");
    let loaded = run.end();
    assert!(loaded.run.ending == Ending::Asked, "{}", loaded.ended.err);
}

#[test]
fn a_pause_that_nothing_ends_lasts_until_the_run_does_and_is_saved_on_its_way() {
    let server = Server::start("");
    let run = Controlled::start(&server, "--rate 50 --total 100000 --checkpoint 1s");
    let out = run.folder.path().join("run.json");
    run.told("pause", "is paused from");
    run.told("status", "end open");
    let pause = || {
        let saved = common::read_run(&out);
        saved.summary.events.of(EventKind::Paused).next().map(mcpace::measure::Event::lasted)
    };
    assert!(eventually(|| out.exists() && pause().is_some_and(|lasted| !lasted.is_zero())));
    run.running.signal(rustix::process::Signal::INT);
    let loaded = run.end();
    let summary = &loaded.run.summary;
    let pauses: Vec<_> = summary.events.of(EventKind::Paused).collect();
    assert!(pauses.len() == 1 && pauses[0].until == summary.until, "{pauses:?} {:?}", summary.until);
    assert!(loaded.ended.out.contains(", for ") && loaded.ended.out.contains("paused by hand"), "{}", loaded.ended.out);
}

#[test]
fn a_socket_that_nobody_could_connect_to_is_refused_and_what_a_crash_left_is_no_hindrance() {
    let server = Server::start("");
    let place = tempfile::tempdir().expect("a folder");
    let long = place.path().join("x".repeat(100));
    let (refused, _folder) = Load::on(&server.url, &format!("--total 20 --control {}", long.display())).start();
    refused.end().assert_refused(2, &["a socket's path there at most", "give --control a shorter path"]);
    assert_eq!(std::fs::read_dir(place.path()).expect("a folder").count(), 0);
    // The folder of a run with this id, which the shell has and the run gets.
    let socket = place.path().join("s.sock");
    let left = format!("mkdir -m 700 {0}/.mcpace-$$; touch {0}/.mcpace-$$/s", place.path().display());
    let mut command = common::mcpace_after(&left);
    command.args(words(&format!("run {} --total 20 --rate 200 --metrics off --judge observed", server.url)));
    command.args(["--objective", "p50<60s", "--control"]).arg(&socket);
    let ended = finish(command);
    assert_eq!(ended.code, Some(0), "{}{}", ended.err, ended.out);
    assert_eq!(std::fs::read_dir(place.path()).expect("a folder").count(), 0);
}

#[test]
fn a_socket_that_a_dead_run_left_is_replaced_and_nothing_else_is() {
    let server = Server::start("");
    let place = tempfile::tempdir().expect("a folder");
    let socket = place.path().join("run.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    ctl(&socket, "status").assert_refused(5, &["failed to reach a run at", "start one with --control"]);
    let loaded = Load::on(&server.url, &format!("--total 20 --control {}", socket.display())).run();
    assert_eq!((loaded.run.ending, socket.exists()), (Ending::Completed, false), "{}", loaded.ended.err);
    std::fs::write(&socket, "precious").expect("a file");
    let (refused, _folder) = Load::on(&server.url, &format!("--total 20 --control {}", socket.display())).start();
    refused.end().assert_refused(2, &["something else than a socket"]);
    assert_eq!(std::fs::read_to_string(&socket).expect("it is still there"), "precious");
}

#[test]
fn a_run_that_nobody_changes_ends_when_it_would_have_ended() {
    let server = Server::start("");
    let run = Controlled::start(&server, "--rate 50 --duration 3s --arrivals constant --lanes 2");
    run.told("status", "changes 0");
    let loaded = run.end();
    assert_eq!(loaded.run.ending, Ending::Completed, "{}", loaded.ended.err);
    assert_eq!((loaded.run.summary.due, loaded.run.summary.until.as_nanos()), (Some(150), 3_000_000_000));
}

#[test]
fn without_a_socket_a_run_is_sought_where_one_listens_that_was_given_no_path() {
    let place = tempfile::tempdir().expect("a folder");
    let mut command = mcpace();
    command.args(["ctl", "pause"]).env("XDG_RUNTIME_DIR", place.path());
    let sought = place.path().join("mcpace.sock").display().to_string();
    finish(command).assert_refused(5, &[&sought]);
    let mut wrong = mcpace();
    wrong.args(["ctl", "rate", "0"]);
    finish(wrong).assert_refused(2, &["rate"]);
}
