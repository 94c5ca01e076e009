//! Whose fault it is: a starved generator is INVALID, a saturated server is FAIL; what is seen of the target's process; and
//! what a run would take, told before anything is sent.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::time::Duration;

use common::scripted::{Scripted, respond, respond_result, shake_hands};
use common::{Load, Running, Server, finish, finish_line, free_port, get, mcpace, metric, metrics_address, words};
use mcpace::measure::{Resource, Window};
use mcpace::time::Moment;
use serde_json::json;

#[test]
fn a_saturated_server_with_little_room_in_flight_fails_and_is_not_invalid() {
    let server = Server::start("--response-time 50ms");
    // Four places, fifty milliseconds: eighty calls a second, of three hundred that are due.
    let flags = "--rate 300 --duration 3s --concurrent 4 --timeout 1s";
    let loaded = Load::on(&server.url, flags).promising("error_rate < 1%").run();
    loaded.exited(1).says("error_rate < 1%").says("waited");
    let lag = loaded.measured().pacing_lag.value_at_quantile(0.5).expect("a lag");
    assert!(lag < Duration::from_secs(1) && loaded.measured().dropped > 100, "{lag:?}");
}

/// A server that also tells what its process uses, until it is told to stop.
fn with_metrics(page: &'static str) -> Scripted {
    Scripted::start(move |request, stream| {
        if request.path == "/metrics" {
            return respond(stream, "200 OK", "content-type: text/plain\r\n", page);
        }
        shake_hands(stream, request) || respond_result(stream, request, &json!({"content": []}))
    })
}

#[cfg(target_os = "linux")]
#[test]
fn the_servers_process_is_seen_in_report_saved_run_and_metrics_and_may_vanish() {
    let server = Server::start("");
    // Its own process looked at, as one that does not vanish.
    let flags = format!("--rate 100 --duration 4s --server-pid {} --metrics 127.0.0.1:0 --linger 20s -v", server.pid());
    let (mut running, folder) = Load::on(&server.url, &flags).start();
    let address = metrics_address(&mut running);
    assert!(common::eventually(|| {
        let page = get(address, "/metrics").unwrap_or_default();
        metric(&page, "mcpace_target_memory_bytes", &[]) > 1e6 && metric(&page, "mcpace_target_threads", &[]) >= 1.0
    }));
    assert!(common::eventually(|| {
        let page = get(address, "/metrics").unwrap_or_default();
        metric(&page, "mcpace_run_state", &["ended"]) > 0.0
    }));
    let loaded = common::Loaded::of(running.end(), folder);
    loaded.exited(0).says("THE TARGET'S PROCESS").says("memory").says("THE GENERATOR'S OWN PART");
    let usage = &loaded.run.summary.usage;
    for resource in Resource::ALL {
        let trend = usage.trend(resource, Moment::ZERO).unwrap_or_else(|| panic!("{resource:?} was not seen"));
        assert!(trend.level.max() > Some(0) || resource == Resource::Processor, "{resource:?}: {trend:?}");
    }
    let health = loaded.run.summary.health.together(Moment::ZERO);
    assert!(health.turns > 100 && health.ran > 0 && health.ticks > 0, "{health:?}");
    assert!(health.sent.dispersion(Window::Fine).is_some(), "{health:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_vanishes_is_data_and_one_that_never_was_is_refused() {
    let server = Server::start("");
    let mut sleeper = std::process::Command::new("sleep").arg("100").spawn().expect("it starts");
    let flags = format!("--rate 50 --duration 5s --server-pid {} -v", sleeper.id());
    let (mut running, folder) = Load::on(&server.url, &flags).start();
    running.err.wait_for("begins");
    assert!(sleeper.kill().is_ok() && sleeper.wait().is_ok());
    let loaded = common::Loaded::of(running.end(), folder);
    loaded.exited(0).says("saw nothing: the process was gone");
    assert!(loaded.run.summary.usage.cells().map(|cell| cell.missed).sum::<u64>() >= 2);
    let gone = finish_line(&format!("run {} --total 5 --metrics off --server-pid 4294967295", server.url));
    gone.assert_refused(2, &["process 4294967295 of --server-pid", "--server-metrics"]);
}

#[test]
fn a_page_of_metrics_is_read_and_a_wrong_one_is_refused_before_anything_is_sent() {
    let server = with_metrics("process_cpu_seconds_total 3\nprocess_resident_memory_bytes 5000000\ngo_threads 12\n");
    let url = server.url();
    let loaded = Load::on(&url, &format!("--tool work --rate 50 --duration 4s --server-metrics {url}/metrics")).run();
    loaded.exited(0).says("4.77 MiB");
    let usage = &loaded.run.summary.usage;
    let seen = |resource| usage.trend(resource, Moment::ZERO).map(|trend| trend.level.max().unwrap());
    assert_eq!((seen(Resource::Memory), seen(Resource::Threads)), (Some(5_000_000), Some(12)));
    assert_eq!((seen(Resource::Processor), seen(Resource::Descriptors)), (Some(0), None));
    let empty = with_metrics("up 1\n");
    let run = |metrics: &str| finish_line(&format!("run {url} --tool work --metrics off --server-metrics {metrics}"));
    run(&format!("{}/metrics", empty.url())).assert_refused(2, &["no process_cpu_seconds_total", "--server-pid"]);
    let nobody = format!("http://127.0.0.1:{}/metrics", free_port());
    run(&nobody).assert_refused(5, &[&nobody, "--server-metrics"]);
    run("https://127.0.0.1/metrics").assert_refused(2, &["http only"]);
}

#[test]
fn a_dry_run_tells_what_a_run_would_take_and_calls_no_tool() {
    let server = Server::start("");
    let line = "--rate 200 --duration 10s --seed 7 --metrics off --concurrent 10 --dry-run";
    let mut command = mcpace();
    command.args(["run", &server.url]).args(words(line)).args(["--objective", "p95 < 150ms"]);
    let dry = finish(command);
    assert_eq!((dry.code, dry.err.as_str()), (Some(0), ""), "{}", dry.out);
    let said = words(&dry.out).join(" ");
    for part in ["No tool was called", "2 000 200/s", "p95 < 150ms 200/s 30 10", "59", "42 needed", "late at p50"] {
        assert!(said.contains(part), "`{part}` is not in:\n{}", dry.out);
    }
    assert!(said.contains("30 calls are in flight, more than --concurrent 10"), "{}", dry.out);
    assert!(dry.out.lines().all(|line| line.chars().count() <= 80), "{}", dry.out);
    // The first intended start is the one that a run with this seed has.
    let loaded = Load::on(&server.url, "--rate 200 --total 1 --seed 7").run();
    let first = loaded.run.summary.first_intended.expect("an arrival").since(Moment::ZERO);
    assert!(dry.out.contains(&mcpace::time::humane_duration(first)), "{first:?} {}", dry.out);
}

#[test]
fn a_dry_run_on_nobody_still_tells_and_ends_as_a_run_would() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let dry = finish_line(&format!("run {url} --total 100 --metrics off --dry-run"));
    assert_eq!(dry.code, Some(5), "{}", dry.err);
    assert!(dry.out.contains("not found") && dry.err.contains("refused"), "{}{}", dry.out, dry.err);
}

#[test]
fn what_speaks_against_a_run_is_told_before_it_and_else_nothing() {
    let server = Server::start("");
    let run = |flags: &str, objective: &str| {
        let mut command = mcpace();
        command.args(["run", &server.url, "--metrics", "off"]).args(words(flags)).args(["--objective", objective]);
        Running::start(command).end().err
    };
    assert_eq!(run("--total 100 --rate 500", "error_rate < 10%"), "");
    let told = run("--total 100 --rate 500", "error_rate < 0.1%");
    assert!(told.contains("WARN") && told.contains("even with none bad it takes 2 995"), "{told}");
    assert_eq!(run("--total 100 --rate 500 -q", "error_rate < 0.1%"), "");
}
