//! Sessions at the bundled server: however a run uses them and however it ends, the server holds none of ours afterwards.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::net::SocketAddr;

use common::{Load, Loaded, Server, eventually, finish_line, free_port, get, metric, metrics_address, words};
use mcpace::measure::SideKind;
use mcpace::outcome::Outcome;
use rustix::process::Signal;

/// The bundled server would be spoken to in a revision without sessions.
const LEGACY: &str = "--protocol 2025-11-25";
const STATEFUL: &str = "--sessions stateful --replies sse";

/// How many sessions the server holds.
fn sessions(server: &Server) -> u64 {
    let host = server.url.split('/').nth(2).expect("a host");
    let health = get(host.parse::<SocketAddr>().expect("an address"), "/health").expect("a healthy server");
    let body = health.split_once("\r\n\r\n").expect("a body").1;
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    body["sessions"].as_u64().expect("a number of sessions")
}

#[track_caller]
fn assert_none_left(server: &Server) {
    assert!(eventually(|| sessions(server) == 0), "{} sessions are left", sessions(server));
}

/// How many calls of a kind there were, and how many of them failed.
fn side(loaded: &Loaded, kind: SideKind) -> (u64, u64) {
    loaded.run.summary.side_calls.get(kind).map_or((0, 0), |tally| (tally.outcomes.total(), tally.failed()))
}

#[test]
fn a_pool_is_opened_before_the_run_and_closed_after_it() {
    let server = Server::start(STATEFUL);
    for (flags, opened) in [("", 8), ("--sessions pool:5 --lanes 2", 5), ("--concurrent 3", 3)] {
        let loaded = Load::on(&server.url, &format!("--mixed --rate 400 --total 200 {LEGACY} {flags}")).run();
        loaded.exited(0).all_ok(200).says("CALLS THAT ARE NOT ARRIVALS");
        // The session of the first handshake is closed as soon as the others are open.
        assert_eq!(
            (side(&loaded, SideKind::Initialize), side(&loaded, SideKind::Delete)),
            ((opened, 0), (opened + 1, 0))
        );
        assert_none_left(&server);
    }
}

#[test]
fn a_session_per_call_is_opened_and_closed_for_each() {
    let server = Server::start(STATEFUL);
    let loaded = Load::on(&server.url, &format!("--sessions per-call --rate 200 --total 100 {LEGACY}")).run();
    loaded.exited(0).all_ok(100);
    assert_eq!((side(&loaded, SideKind::Initialize), side(&loaded, SideKind::Delete)), ((100, 0), (101, 0)));
    assert_none_left(&server);
}

#[test]
fn calls_that_time_out_are_cancelled_and_leave_no_session() {
    let server = Server::start(&format!("{STATEFUL} --response-time 2s"));
    for sessions in ["per-call", "pool:2"] {
        let flags = format!("--sessions {sessions} --rate 100 --total 30 --timeout 300ms {LEGACY}");
        let loaded = Load::on(&server.url, &flags).run();
        let timeouts = loaded.count(Outcome::TimeoutNoByte) + loaded.count(Outcome::TimeoutHeadersOnly);
        assert_eq!(timeouts, 30, "{}", loaded.ended.out);
        assert!(side(&loaded, SideKind::Cancel).0 > 0, "{}", loaded.ended.out);
        assert_none_left(&server);
    }
}

#[test]
fn calls_without_sessions_are_refused_by_a_server_that_wants_them_and_open_none() {
    let server = Server::start(STATEFUL);
    let loaded = Load::on(&server.url, &format!("--sessions none --rate 200 --total 20 {LEGACY}")).run();
    assert_eq!(loaded.count(Outcome::Ok), 0, "{}", loaded.ended.out);
    assert_none_left(&server);
}

#[test]
fn a_run_that_is_stopped_leaves_no_session() {
    let server = Server::start(&format!("{STATEFUL} --response-time 20s"));
    for sessions in ["per-call", "pool:4"] {
        let flags = format!("--sessions {sessions} --rate 50 --duration 1h --metrics 127.0.0.1:0 -v {LEGACY}");
        let (mut running, folder) = Load::on(&server.url, &flags).start();
        let address = metrics_address(&mut running);
        let under_way =
            || get(address, "/metrics").is_some_and(|page| metric(&page, "mcpace_calls_in_flight", &[]) > 9.0);
        assert!(eventually(under_way));
        assert!(self::sessions(&server) > 0);
        running.signal(Signal::INT);
        let loaded = Loaded::of(running.end(), folder);
        loaded.exited(130);
        assert!(loaded.measured().abandoned > 0, "{}", loaded.ended.out);
        assert_none_left(&server);
    }
}

#[test]
fn sessions_that_a_restarted_server_has_lost_are_opened_again_and_no_call_is_made_twice() {
    let flags = words(STATEFUL);
    let port = free_port();
    let server = Server::start_with(port, &flags);
    let load = &format!("--sessions pool:2 --rate 100 --duration 1h --metrics 127.0.0.1:0 -v {LEGACY}");
    let (mut running, folder) = Load::on(&server.url, load).start();
    let address = metrics_address(&mut running);
    let counted =
        |labels: &[&str]| get(address, "/metrics").map_or(0.0, |page| metric(&page, "mcpace_calls_total", labels));
    assert!(eventually(|| counted(&["outcome=\"ok\""]) > 20.0));
    drop(server);
    assert!(eventually(|| counted(&["outcome=\"unreachable\""]) > 0.0));
    let server = Server::start_with(port, &flags);
    let before = counted(&["outcome=\"ok\""]);
    assert!(eventually(|| counted(&["outcome=\"ok\""]) > before + 100.0));
    running.signal(Signal::INT);
    let loaded = Loaded::of(running.end(), folder);
    assert!(loaded.count(Outcome::SessionLost) >= 1, "{}", loaded.ended.out);
    // Two were opened before the run, and each of them again.
    let (opened, failed) = side(&loaded, SideKind::Initialize);
    assert_eq!(opened - failed, 4, "{}", loaded.ended.out);
    assert_none_left(&server);
}

#[test]
fn the_newest_revision_has_no_sessions_wherever_it_is_spoken_and_wishes_for_them_are_noted() {
    let server = Server::start(STATEFUL);
    let loaded = Load::on(&server.url, "--mixed --rate 200 --total 40 --sessions pool:4").run();
    loaded.exited(0).all_ok(40).says("--sessions pool:4: MCP 2026-07-28 has none");
    assert_eq!((side(&loaded, SideKind::Initialize), side(&loaded, SideKind::Delete)), ((0, 0), (0, 0)));
    assert_eq!(sessions(&server), 0);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_session() {
    let server = Server::start(STATEFUL);
    let ended = finish_line(&format!("run {} --tool nope --metrics off {LEGACY}", server.url));
    ended.assert_refused(5, &["find the tool `nope`"]);
    assert_none_left(&server);
}

#[test]
fn a_server_without_sessions_has_none_and_wishes_for_them_are_noted() {
    let server = Server::start("");
    let loaded = Load::on(&server.url, "--rate 200 --total 20").run();
    loaded.exited(0).all_ok(20);
    assert_eq!(side(&loaded, SideKind::Initialize), (0, 0));
    assert!(!loaded.ended.out.contains("NOT ARRIVALS"), "{}", loaded.ended.out);
    let loaded = Load::on(&server.url, &format!("--rate 200 --total 20 --sessions per-call {LEGACY}")).run();
    loaded.exited(0).all_ok(20).says("--sessions per-call: the server opened no session");
    finish_line("run --sessions pool:0").assert_refused(2, &["`pool:0`", "give pool:8"]);
}
