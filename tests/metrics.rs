//! `/metrics` and `/healthz` of a run: alive while it goes on, and in the end equal to what the run saved.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use common::{Load, Loaded, Server, eventually, get, metric, metrics_address};
use mcpace::measure::{Phase, Scope, Tally};
use mcpace::outcome::Outcome;

/// Asserts that the page's counters of one phase are those of a tally.
#[track_caller]
fn assert_same(page: &str, phase: Phase, labels: &[&str], tally: &Tally) {
    let phase = format!("phase=\"{}\"", phase.name());
    let labels = [labels, &[&phase]].concat();
    let counted = |name: &str| metric(page, name, &labels) as u64;
    assert_eq!(counted("mcpace_arrivals_scheduled_total"), tally.scheduled, "{labels:?}");
    assert_eq!(counted("mcpace_arrivals_dropped_total"), tally.dropped, "{labels:?}");
    assert_eq!(counted("mcpace_arrivals_abandoned_total"), tally.abandoned, "{labels:?}");
    assert_eq!(counted("mcpace_arrivals_substituted_total"), tally.substituted, "{labels:?}");
    assert_eq!(counted("mcpace_arrivals_sent_total"), tally.dispatch_lag.len(), "{labels:?}");
    // One without a reply is above every bound, and so among the others.
    assert_eq!(counted("mcpace_response_time_seconds_count"), tally.ended(), "{labels:?}");
    assert_eq!(counted("mcpace_service_time_seconds_count"), tally.service_time.len(), "{labels:?}");
    for outcome in Outcome::ALL {
        let label = format!("outcome=\"{outcome}\"");
        let labels = [&labels[..], &[&label]].concat();
        assert_eq!(metric(page, "mcpace_calls_total", &labels) as u64, tally.outcomes.get(outcome), "{labels:?}");
    }
}

/// The last page that could be read before the run's end, the run, and whether calls were counted while it went on.
fn last_page(load: Load) -> (String, Loaded, bool) {
    let (mut running, folder) = load.start();
    let address = metrics_address(&mut running);
    let health = get(address, "/healthz").expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let (mut last, mut seen_running) = (String::new(), false);
    assert!(eventually(|| {
        let Some(page) = get(address, "/metrics") else { return true };
        seen_running |= metric(&page, "mcpace_run_state", &["state=\"measure\""]) > 0.0
            && metric(&page, "mcpace_calls_total", &["outcome=\"ok\"", "phase=\"measure\""]) > 0.0;
        last = page;
        false
    }));
    (last, Loaded::of(running.end(), folder), seen_running)
}

#[test]
fn the_final_counters_are_those_of_the_saved_run() {
    let server = Server::start("--error-share 10% --http-error-share 10% --reset-share 5% --response-time 20ms");
    let flags = "--mixed --rate 100 --duration 5s --warmup 1s --metrics 127.0.0.1:0 --linger 100s -v";
    let (page, loaded, seen_running) = last_page(Load::on(&server.url, flags));
    assert!(seen_running, "nothing was counted while the run went on");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("text/plain; version=0.0.4"), "{page}");
    assert!(metric(&page, "mcpace_run_state", &["state=\"ended\""]) > 0.0, "the final values were not read");
    let summary = &loaded.run.summary;
    for phase in Phase::ALL {
        assert_same(&page, phase, &[], &summary.tally(Scope::Total, Some(phase)));
        for (place, name) in loaded.run.plan.operation_names().iter().enumerate() {
            let label = format!("operation=\"{name}\"");
            assert_same(&page, phase, &[&label], &summary.tally(Scope::Operation(place as u16), Some(phase)));
        }
    }
    assert!(loaded.measured().ok() > 100 && loaded.count(Outcome::ToolError) > 5, "{}", loaded.ended.out);
    for gauge in ["mcpace_calls_in_flight", "mcpace_arrivals_waiting", "mcpace_intended_rate"] {
        assert!(metric(&page, gauge, &[]).abs() < f64::EPSILON, "{gauge}");
    }
    assert!(page.contains(&format!("run_id=\"{}\"", loaded.run.run_id)));
    assert!(!page.contains("127.0.0.1"), "a URL in a label");
}

#[test]
fn buckets_hold_every_bound_that_is_promised_and_objectives_say_whether_they_are_kept() {
    let server = Server::start("--response-time 30ms --error-share 50%");
    let flags = "--rate 100 --duration 1s --arrivals constant --metrics 127.0.0.1:0 --linger 100s -v";
    let load = Load::on(&server.url, flags).promising("p95 < 61s").promising("p50 < 29ms");
    let (page, loaded, _) = last_page(load.promising("error_rate < 1%"));
    loaded.says("error_rate < 1%");
    let bucket = |bound: &str| metric(&page, "mcpace_response_time_seconds_bucket", &[bound, "phase=\"measure\""]);
    // Nothing was faster than the server's own 30 ms, and nothing slower than a minute.
    assert!(page.contains("le=\"0.029\"") && bucket("le=\"0.029\"").abs() < f64::EPSILON);
    assert!((bucket("le=\"61\"") - 100.0).abs() < f64::EPSILON, "{page}");
    let met = |objective: &str| metric(&page, "mcpace_objective_met", &[&format!("objective=\"{objective}\"")]) > 0.5;
    let kept = loaded.run.plan.objectives.iter().map(|objective| met(&objective.to_string())).collect::<Vec<_>>();
    assert_eq!(kept, [true, false, false, true], "{page}");
}

#[test]
fn nobody_who_scrapes_is_not_waited_for_longer_than_said() {
    let server = Server::start("");
    let load = Load::on(&server.url, "--rate 200 --total 20 --metrics 127.0.0.1:0 --linger 100ms");
    let loaded = load.run();
    loaded.exited(0).all_ok(20);
    assert!(loaded.ended.err.contains("nobody scraped the final metrics"), "{}", loaded.ended.err);
}

#[test]
fn other_paths_and_methods_are_refused_and_the_run_goes_on() {
    let server = Server::start("");
    let (mut running, folder) =
        Load::on(&server.url, "--rate 100 --duration 1s --metrics 127.0.0.1:0 --linger 100s -v").start();
    let address = metrics_address(&mut running);
    assert!(get(address, "/nothing").expect("an answer").starts_with("HTTP/1.1 404"));
    assert!(eventually(|| get(address, "/metrics").is_none()));
    Loaded::of(running.end(), folder).exited(0);
}
