//! What a run survives: a kill, a full disk, a target that goes and comes back, a server that never answers.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{
    Load, Loaded, Running, Server, eventually, finish, finish_line, free_port, mcpace_after, read_run, words,
};
use mcpace::measure::{Event, EventKind, Scope};
use mcpace::outcome::Outcome;
use mcpace::report::{Ending, SavedRun};
use mcpace::time::Moment;
use rustix::process::Signal;

/// Numbers that look like chance and are always the same.
fn chance(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// How many arrivals a killed run had sent when it was last seen alive, and what it left behind.
#[expect(clippy::disallowed_methods, reason = "the moment of a kill, and nothing that is measured")]
fn killed(server: &Server, after: Duration) -> (f64, tempfile::TempDir) {
    let flags = "--rate 200 --duration 1h --checkpoint 1s --metrics 127.0.0.1:0 -v";
    let (mut running, folder) = Load::on(&server.url, flags).start();
    let address = common::metrics_address(&mut running);
    let path = folder.path().join("run.json");
    assert!(eventually(|| path.exists()), "the first checkpoint comes at once");
    let begun = Instant::now();
    let mut sent = 0.0;
    assert!(eventually(|| {
        let page = common::get(address, "/metrics");
        sent = page.map_or(sent, |page| common::metric(&page, "mcpace_arrivals_sent_total", &[]));
        begun.elapsed() >= after
    }));
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    (sent, folder)
}

#[test]
fn a_kill_leaves_a_run_that_is_at_most_a_checkpoint_short() {
    let server = Server::start("--response-time 5ms");
    let times: u64 = std::env::var("MCPACE_KILLS").ok().and_then(|times| times.parse().ok()).unwrap_or(3);
    for seed in 0..times {
        let after = Duration::from_millis(500 + chance(seed) % 3000);
        let (sent, folder) = killed(&server, after);
        let path = folder.path().join("run.json");
        let run = read_run(&path);
        let Ending::CutOff { at } = run.ending else { panic!("{:?}", run.ending) };
        let accounting = run.summary.accounting();
        assert!(accounting.balanced() && run.summary.due.is_none(), "{accounting:?}");
        // A checkpoint is due each second, and begun by the next half second at which somebody looks. Twice that is for a
        // machine that has other things to do.
        let missing = sent - accounting.scheduled as f64;
        assert!(missing <= 2.0 * 1.5 * 200.0, "{missing} of {sent} arrivals are missing after {after:?}");
        let told = finish_line(&format!("report {} --judge observed --objective p50<60s", path.display()));
        assert_eq!(told.code, Some(if accounting.answered > 0 { 0 } else { 3 }), "{}{}", told.err, told.out);
        assert!(told.out.contains("The run was cut off") && told.out.contains("OBJECTIVES"), "{}", told.out);
        assert!(at > Moment::ZERO && run.plan.flows[0].load.duration() == Duration::from_hours(1));
    }
}

/// The events of one kind.
fn events(run: &SavedRun, kind: EventKind) -> Vec<Event> {
    run.summary.events.of(kind).copied().collect()
}

/// A run under a limit on the size of files, in a shell that first does `before`.
fn limited(before: &str, url: &str, folder: &Path, flags: &str) -> Command {
    let mut command = mcpace_after(before);
    command.args(words(&format!("run {url} --metrics off --judge observed --objective p50<60s {flags}")));
    command.arg("--out").arg(folder.join("run.json"));
    command
}

#[test]
fn a_full_disk_costs_checkpoints_and_neither_the_run_nor_its_report() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    // Half a kilobyte is less than any run takes.
    let flags = "--rate 50 --duration 4s --checkpoint 1s";
    let ended = finish(limited("ulimit -f 1", &server.url, folder.path(), flags));
    assert_eq!(ended.code, Some(6), "{}{}", ended.err, ended.out);
    assert!(words(&ended.err).join(" ").contains("the run goes on, and this is tried again"), "{}", ended.err);
    assert!(
        ended.out.contains("OVERALL") && ended.out.contains("the run could not be saved on its way"),
        "{}",
        ended.out
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "no torn file is left");
}

#[test]
fn a_disk_that_has_room_again_gets_the_whole_run_with_what_happened() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("there");
    std::fs::create_dir(&out).expect("a folder");
    let flags = format!("--rate 50 --duration 1h --checkpoint 1s --metrics off -v {} --out", server.url);
    let mut command = common::mcpace();
    command.arg("run").args(words(&flags)).arg(out.join("run.json"));
    let mut running = Running::start(command);
    assert!(eventually(|| out.join("run.json").exists()));
    let away = folder.path().join("away");
    std::fs::rename(&out, &away).expect("a folder is moved away");
    running.err.wait_for("the run goes on");
    running.err.wait_for("the run goes on");
    std::fs::rename(&away, &out).expect("and back");
    running.err.wait_for("could be saved again");
    running.signal(Signal::INT);
    assert_eq!(running.end().code, Some(130));
    let run = read_run(&out.join("run.json"));
    common::assert_adds_up(&run);
    let failed = events(&run, EventKind::CheckpointFailed);
    assert!(failed.len() == 1 && failed[0].figure >= 2.0 && failed[0].lasted() >= Duration::from_secs(1), "{failed:?}");
}

#[test]
fn an_interval_log_has_every_call_even_if_the_disk_was_full_for_a_while() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("times.hlog");
    let flags = format!("--mixed --rate 200 --duration 3s --hlog {}", log.display());
    let loaded = Load::on(&server.url, &flags).run();
    let text = std::fs::read_to_string(&log).expect("a log");
    let count = |tag: &str| text.lines().filter(|line| line.starts_with(&format!("Tag={tag},"))).count();
    assert!(text.starts_with("#[Histogram log format version 1.2]\n"), "{text}");
    for name in ["create_payment", "verify_payment", "get_wallet_balance"] {
        let times = [count(&format!("{name}:response_time")), count(&format!("{name}:service_time"))];
        assert!(times[0] >= 2 && times[0] == times[1], "{times:?}: {text}");
    }
    assert!(loaded.measured().ok() > 0);
    let full = Load::on(&server.url, "--rate 100 --duration 3s --hlog /dev/full").run();
    // What could not be written at last is a result that is missing.
    full.exited(6).says("the interval log could not be written");
    assert!(full.ended.err.contains("failed to write the result to `/dev/full`"), "{}", full.ended.err);
    let failed = events(&full.run, EventKind::LogFailed);
    assert!(failed.len() == 1 && failed[0].figure >= 2.0, "{failed:?}");
    finish_line(&format!("run {} --hlog /nowhere/times.hlog", server.url))
        .assert_refused(2, &["/nowhere/times.hlog", "make its folder first"]);
    // A run that never begins costs the log of the one before nothing.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    finish_line(&format!("run {nobody} --hlog {}", log.display())).assert_refused(5, &[]);
    assert_eq!(std::fs::read_to_string(&log).expect("a log"), text);
    finish_line(&format!("run {} --checkpoint 5s", server.url)).assert_refused(2, &["--out"]);
}

/// How many descriptors a process has open, and the processor time that it has used, in ticks.
fn uses(process: u32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    (descriptors, ticks(11) + ticks(12))
}

#[test]
fn a_target_that_goes_and_comes_back_is_an_event_and_its_calls_are_well_again() {
    let port = free_port();
    let server = Server::start_with(port, &[]);
    let flags = "--rate 100 --duration 1h --metrics 127.0.0.1:0 -v --sessions pool:2";
    let (mut running, folder) = Load::on(&server.url, flags).start();
    let address = common::metrics_address(&mut running);
    let calls = |outcome: &str| {
        let labels = [outcome];
        common::get(address, "/metrics").map_or(0.0, |page| common::metric(&page, "mcpace_calls_total", &labels))
    };
    assert!(eventually(|| calls("outcome=\"ok\"") >= 50.0));
    let before = uses(running.pid());
    drop(server);
    assert!(eventually(|| calls("outcome=\"unreachable\"") + calls("outcome=\"session_lost\"") >= 250.0));
    let down = uses(running.pid());
    let server = Server::start_with(port, &[]);
    let well = calls("outcome=\"ok\"");
    assert!(eventually(|| calls("outcome=\"ok\"") >= well + 100.0), "{}", calls("outcome=\"ok\""));
    let after = uses(running.pid());
    running.signal(Signal::INT);
    let loaded = Loaded::of(running.end(), folder);
    loaded.exited(130).says("no complete reply came");
    let events = events(&loaded.run, EventKind::TargetDown);
    assert!(
        events.len() == 1 && events[0].figure >= 100.0 && events[0].lasted() >= Duration::from_secs(1),
        "{events:?}"
    );
    let all = loaded.run.summary.tally(Scope::Total, None);
    let without = Outcome::ALL.into_iter().filter(|outcome| !outcome.is_complete_reply());
    let without: u64 = without.map(|outcome| all.outcomes.get(outcome)).sum();
    assert_eq!(events[0].figure as u64, without, "every call without a reply was one of them");
    assert!(after.0 <= before.0 + 20 && down.0 <= before.0 + 20, "descriptors: {before:?}, {down:?}, {after:?}");
    // A loop that knocks without end would have used a processor for the two and a half seconds.
    assert!(down.1 - before.1 < 200, "ticks: {before:?}, {down:?}");
    drop(server);
}

#[test]
fn a_termination_ends_within_a_containers_ten_seconds_whatever_the_server_does() {
    // It opens sessions, and then neither answers calls nor closes anything.
    let server = Server::start("--sessions stateful --response-time 1h");
    let flags = "--rate 100 --duration 1h --timeout 2h --concurrent 20 --sessions pool:3 --metrics 127.0.0.1:0 -v";
    let (mut running, folder) = Load::on(&server.url, flags).start();
    let address = common::metrics_address(&mut running);
    let waiting = || {
        common::get(address, "/metrics")
            .is_some_and(|page| common::metric(&page, "mcpace_arrivals_waiting", &[]) >= 5.0)
    };
    assert!(eventually(waiting));
    // A process that is stopped accepts connections and does nothing with them.
    let frozen = rustix::process::Pid::from_raw(server.pid().cast_signed()).expect("a process");
    rustix::process::kill_process(frozen, Signal::STOP).expect("it is there");
    let took = ends_within(running);
    assert!(took.1 < Duration::from_secs(10), "{:?}", took.1);
    let loaded = Loaded::of(took.0, folder);
    loaded.exited(143).says("SIGTERM");
    let all = loaded.run.summary.tally(Scope::Total, None);
    assert_eq!((all.abandoned, all.outcomes.get(Outcome::Ok)), (20, 0));
}

#[expect(clippy::disallowed_methods, reason = "a bound that the program promises")]
fn ends_within(running: Running) -> (common::Ended, Duration) {
    let told = Instant::now();
    running.signal(Signal::TERM);
    let ended = running.end();
    (ended, told.elapsed())
}

#[test]
fn a_process_that_is_stopped_for_a_while_says_so() {
    let server = Server::start("");
    let (running, folder) = Load::on(&server.url, "--rate 20 --duration 1h --checkpoint 1s -v").start();
    let path = folder.path().join("run.json");
    assert!(eventually(|| path.exists()));
    running.signal(Signal::STOP);
    wait(Duration::from_millis(3600));
    running.signal(Signal::CONT);
    running.signal(Signal::INT);
    let loaded = Loaded::of(running.end(), folder);
    let still = events(&loaded.run, EventKind::StoodStill);
    assert!(still.len() == 1 && still[0].lasted() >= Duration::from_secs(3), "{still:?}");
    loaded.says("the generator did not run");
}

/// Lets time pass: what is tested is that it did.
#[expect(clippy::disallowed_methods, reason = "a span of the test's own")]
fn wait(span: Duration) {
    let begun = Instant::now();
    assert!(eventually(|| begun.elapsed() >= span));
}
