//! How the program ends: signals, files that cannot be written, few descriptors, and a demo that leaves nothing behind.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use common::{
    Load, Loaded, Running, Server, assert_adds_up, eventually, finish, finish_line, free_port, in_a_shell, mcpace,
    mcpace_after, read_run, words,
};
use mcpace::outcome::Outcome;
use mcpace::report::Ending;
use rustix::process::{Pid, Signal, kill_process_group};

/// A load of an hour at a slow server, of which some calls have been answered and others are under way.
fn under_way(server: &Server) -> (Running, tempfile::TempDir) {
    let flags = "--rate 100 --duration 1h --metrics 127.0.0.1:0 -v";
    let (mut running, folder) = Load::on(&server.url, flags).start();
    let address = common::metrics_address(&mut running);
    let is_under_way = || {
        common::get(address, "/metrics").is_some_and(|page| {
            common::metric(&page, "mcpace_arrivals_sent_total", &[]) >= 20.0
                && common::metric(&page, "mcpace_calls_in_flight", &[]) >= 1.0
        })
    };
    assert!(eventually(is_under_way));
    (running, folder)
}

#[test]
fn an_interrupt_ends_the_run_with_a_report() {
    let server = Server::start("--response-time 200ms");
    let (running, folder) = under_way(&server);
    running.signal(Signal::INT);
    let loaded = Loaded::of(running.end(), folder);
    loaded.exited(130).says("SIGINT");
    assert_eq!(loaded.run.ending, Ending::Signal("SIGINT".to_owned()));
    // What was in flight had time to be answered.
    assert_eq!(loaded.measured().abandoned, 0, "{}", loaded.ended.out);
    assert!(loaded.count(Outcome::Ok) >= 20);
    assert!(!loaded.ended.err.contains("panicked"));
}

#[test]
fn what_waits_at_a_termination_is_dropped_and_what_is_never_answered_is_abandoned() {
    let server = Server::start("--response-time 1h");
    let (running, folder) = under_way_with_room(&server, 15);
    running.signal(Signal::TERM);
    let loaded = Loaded::of(running.end(), folder);
    loaded.exited(143).says("SIGTERM");
    let measured = loaded.measured();
    assert_eq!((measured.ok(), measured.abandoned), (0, 15), "{}", loaded.ended.out);
    assert!(measured.dropped >= 5, "{}", loaded.ended.out);
    loaded.says(&format!("0 answered + {} dropped + 15 abandoned", measured.dropped));
}

/// As many calls in flight as there is room for, and more arrivals waiting.
fn under_way_with_room(server: &Server, room: u32) -> (Running, tempfile::TempDir) {
    let flags = format!("--rate 100 --duration 1h --timeout 2h --concurrent {room} --metrics 127.0.0.1:0 -v");
    let (mut running, folder) = Load::on(&server.url, &flags).start();
    let address = common::metrics_address(&mut running);
    let waiting = || {
        common::get(address, "/metrics")
            .is_some_and(|page| common::metric(&page, "mcpace_arrivals_waiting", &[]) >= 5.0)
    };
    assert!(eventually(waiting));
    (running, folder)
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Server::start("--response-time 1h");
    let (running, folder) = under_way_with_room(&server, 15);
    // Two signals at once may count as one: one more every few milliseconds, for less than the five seconds after which
    // the first alone would have ended the run.
    let mut sent = 0;
    assert!(eventually(|| {
        sent += 1;
        running.signal(Signal::INT);
        is_dead(running.pid()) || sent > 300
    }));
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(sent < 300 && ended.out.is_empty(), "it waited for the drain: {}", ended.out);
    // What was saved on its way is there.
    assert!(matches!(read_run(&folder.path().join("run.json")).ending, Ending::CutOff { .. }));
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed()).expect("a process")
}

/// The parent and the state of a process, where there is one.
fn stat(id: u32) -> Option<(u32, char)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn is_dead(id: u32) -> bool {
    stat(id).is_none_or(|(_, state)| state == 'Z')
}

/// The processes that `parent` started.
fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("a Linux").flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(of, state)| of == parent && state != 'Z')).collect()
}

#[test]
fn a_file_that_cannot_be_written_is_known_before_anything_is_sent() {
    let url = format!("http://127.0.0.1:{}", free_port());
    for out in ["/nowhere/run.json", "/proc/run.json", "/"] {
        let ended = finish_line(&format!("run {url} --total 5 --metrics off --out {out}"));
        ended.assert_refused(2, &["failed to write the run to", out]);
    }
}

#[test]
fn a_full_disk_costs_the_file_and_not_the_report() {
    let server = Server::start("");
    let mut command = mcpace();
    command.args(words(&format!("run {} --total 20 --rate 200 --metrics off --out /dev/full", server.url)));
    let ended = finish(command);
    assert_eq!(ended.code, Some(6), "{}{}", ended.err, ended.out);
    assert!(
        ended.err.contains("failed to write the run to `/dev/full`") && ended.err.contains("No space left"),
        "{}",
        ended.err
    );
    assert!(ended.out.contains("OVERALL") && !ended.out.contains("/dev/full"), "{}", ended.out);
}

#[test]
fn a_report_that_cannot_be_printed_is_told_and_one_that_nobody_reads_is_not() {
    let server = Server::start("");
    for (to, code, told) in [(">/dev/full", 6, "failed to write the result to stdout"), ("| :", 0, "")] {
        let mut command = in_a_shell(&format!("{{ \"$0\" \"$@\"; echo code $? >&2; }} {to}"));
        command.args(words(&format!("run {} --total 20 --rate 200 --metrics off --judge observed", server.url)));
        let ended = finish(command);
        assert!(ended.err.contains(&format!("code {code}")) && ended.err.contains(told), "{to}: {}", ended.err);
    }
}

#[test]
fn an_old_result_survives_until_the_new_one_is_whole() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run.json");
    std::fs::write(&out, "old").expect("a file");
    let url = format!("http://127.0.0.1:{}", free_port());
    finish_line(&format!("run {url} --total 5 --metrics off --out {}", out.display())).assert_refused(5, &["reach"]);
    assert_eq!(std::fs::read_to_string(&out).expect("a file"), "old");
    let line = format!("run {} --total 5 --metrics off --out {}", server.url, out.display());
    let ended = finish_line(&line);
    assert!(!ended.out.is_empty(), "{}", ended.err);
    assert_adds_up(&read_run(&out));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
}

#[test]
fn too_few_descriptors_are_told_before_the_run_or_lower_a_limit_that_nobody_chose() {
    let server = Server::start("--response-time 200ms");
    let url = &server.url;
    let limited = |limit: &str, flags: &str| {
        let mut command = mcpace_after(&format!("ulimit -n {limit}"));
        command.args(words(&format!("run {url} --total 60 --rate 200 --metrics off --objective p95<60s {flags}")));
        finish(command)
    };
    limited("20", "").assert_refused(2, &["only 20 are allowed", "raise `ulimit -n`"]);
    limited("50", "--concurrent 100")
        .assert_refused(2, &["--concurrent 100 needs", "only 50 are", "or give --concurrent"]);
    // Every place in flight that is left is taken, and no call finds none.
    let lowered = limited("50", "");
    assert_eq!(lowered.code, Some(0), "{}{}", lowered.err, lowered.out);
    assert!(lowered.err.contains("calls in flight instead of 10000"), "{}", lowered.err);
    assert!(lowered.out.contains("waited for room") && !lowered.out.contains("no_local_resource"), "{}", lowered.out);
    // A soft limit is raised as far as the hard one goes.
    let raised = limited("200; ulimit -Sn 20", "--concurrent 100");
    assert_eq!(raised.code, Some(0), "{}{}", raised.err, raised.out);
}

#[test]
fn a_demo_ends_with_a_report_and_leaves_no_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run.json");
    let mut running = Running::start({
        let mut command = mcpace();
        command.args(words("demo --duration 4s --rate 1000 --metrics off --out")).arg(&out);
        command
    });
    let mut servers = Vec::new();
    assert!(eventually(|| {
        servers = children(running.pid());
        !servers.is_empty()
    }));
    running.out.wait_for("OVERALL");
    let ended = running.end();
    // What comes of it is the machine's, which others may keep busy; that the exit code is that of the headline is not.
    let told = [("PASS", 0), ("FAIL", 1), ("INVALID", 3), ("INCONCLUSIVE", 4)];
    let (_, code) = told.into_iter().find(|(word, _)| ended.out.contains(&format!("\n{word}  "))).expect("a headline");
    assert_eq!(ended.code, Some(code), "{}{}", ended.err, ended.out);
    assert!(servers.iter().all(|server| is_dead(*server)), "{servers:?}");
    let run = read_run(&out);
    assert_adds_up(&run);
    assert_eq!(run.plan.flows[0].mix.len(), 3);
}

#[test]
fn a_demo_that_is_killed_leaves_no_server() {
    let running = Running::start({
        let mut command = mcpace();
        command.args(words("demo --duration 1h --rate 10 --metrics off"));
        command
    });
    let mut servers = Vec::new();
    assert!(eventually(|| {
        servers = children(running.pid()).into_iter().filter(|server| is_serving(*server)).collect();
        !servers.is_empty()
    }));
    running.signal(Signal::KILL);
    // Its standard error is the server's too, and ends when both have ended.
    assert_eq!(running.end().code, None);
    assert!(eventually(|| servers.iter().all(|server| is_dead(*server))), "{servers:?}");
}

fn is_serving(id: u32) -> bool {
    std::fs::read(Path::new("/proc").join(id.to_string()).join("cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"serve"))
}

#[test]
fn an_interrupt_from_the_terminal_ends_a_demo_without_errors_of_its_server() {
    // A terminal's interrupt goes to the whole group of processes.
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run.json");
    let mut command = mcpace();
    command.args(words("demo --duration 1h --rate 300 --metrics 127.0.0.1:0 -v --out")).arg(&out).process_group(0);
    let mut running = Running::start(command);
    let address = common::metrics_address(&mut running);
    let sent = || {
        common::get(address, "/metrics").map_or(0.0, |page| common::metric(&page, "mcpace_arrivals_sent_total", &[]))
    };
    assert!(eventually(|| sent() >= 50.0));
    kill_process_group(pid(running.pid()), Signal::INT).expect("it is there");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}{}", ended.err, ended.out);
    let run = read_run(&out);
    assert_adds_up(&run);
    let all = run.summary.tally(mcpace::measure::Scope::Total, None);
    // What was due and not yet sent is dropped; what was sent is answered, and well.
    assert_eq!((all.ok(), all.abandoned), (all.answered(), 0), "{}", ended.out);
}

#[test]
fn a_server_ends_with_its_standard_input() {
    let mut command = mcpace();
    command.args(["serve", "--port", "0", "--exit-with-stdin"]).stdin(Stdio::null());
    let ended = finish(command);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let taken = Server::start("");
    let port = taken.url.trim_end_matches("/mcp").rsplit(':').next().expect("a port");
    finish_line(&format!("serve --port {port}")).assert_refused(2, &["the port is taken", "--port 0"]);
    finish_line("serve --error-share 60% --reset-share 60%").assert_refused(2, &["120.0%"]);
    finish_line("serve --sessions stateful --replies json").assert_refused(2, &["--replies sse"]);
}

#[test]
fn help_version_and_completions_end_well_even_when_nobody_reads_them() {
    for line in ["--help", "run --help", "--version", "completions bash"] {
        assert_eq!(finish_line(line).code, Some(0), "{line}");
        let mut command = in_a_shell("{ \"$0\" \"$@\"; echo code $? >&2; } >/dev/full");
        command.args(words(line));
        let ended = finish(command);
        assert!(ended.err.contains("code 0") || ended.err.contains("code 6"), "{line}: {}", ended.err);
    }
}
