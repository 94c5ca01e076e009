//! The main job, on the bundled payments server: outcomes, counts, schedules and truthful times.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::time::Duration;

use common::{Load, Loaded, Server, eventually, free_port, get, metric, metrics_address};
use mcpace::measure::{Phase, Quantile, Scope};
use mcpace::outcome::Outcome;
use mcpace::server::fault::{Fault, Faults, Share};
use mcpace::verdict::Standing;

fn share(text: &str) -> Share {
    text.parse().expect("a share")
}

/// How the first `calls` calls end at a server with these faults and the seed 0.
fn fated(faults: &Faults, calls: u64, wanted: Option<Fault>) -> u64 {
    (0..calls).filter(|number| faults.fate(0, *number).fault == wanted).count() as u64
}

#[test]
fn each_fault_of_the_server_is_counted_under_its_own_outcome() {
    const CALLS: u64 = 60;
    let quarter = share("25%");
    for (flag, fault, outcome, faults) in [
        ("error", Fault::ToolError, Outcome::ToolError, Faults { errors: quarter, ..Faults::default() }),
        ("http-error", Fault::HttpError, Outcome::HttpError, Faults { http_errors: quarter, ..Faults::default() }),
        ("reset", Fault::Reset, Outcome::Disconnected, Faults { resets: quarter, ..Faults::default() }),
        ("malformed", Fault::Malformed, Outcome::InvalidReply, Faults { malformed: quarter, ..Faults::default() }),
        ("wrong", Fault::Wrong, Outcome::WrongAnswer, Faults { wrong: quarter, ..Faults::default() }),
    ] {
        let server = Server::start(&format!("--{flag}-share 25%"));
        let load = Load::on(&server.url, "--rate 200 --total 60 --arrivals constant");
        let loaded = load.promising("error_rate(create_payment) < 60%").run();
        loaded.exited(0);
        let bad = fated(&faults, CALLS, Some(fault));
        assert!(bad > 5, "{bad}");
        assert_eq!((loaded.count(outcome), loaded.count(Outcome::Ok)), (bad, CALLS - bad), "{}", loaded.ended.out);
        loaded.says(outcome.name());
    }
}

#[test]
fn all_faults_together_are_kept_apart_and_a_promise_about_errors_fails_the_run() {
    const CALLS: u64 = 200;
    let server = Server::start(
        "--error-share 5% --http-error-share 6% --reset-share 7% --malformed-share 8% --wrong-share 9% --replies sse",
    );
    let faults = Faults {
        errors: share("5%"),
        http_errors: share("6%"),
        resets: share("7%"),
        malformed: share("8%"),
        wrong: share("9%"),
        ..Faults::default()
    };
    let loaded = Load::on(&server.url, "--mixed --rate 200 --total 200").promising("error_rate < 5%").run();
    loaded.exited(1);
    for (fault, outcome) in [
        (None, Outcome::Ok),
        (Some(Fault::ToolError), Outcome::ToolError),
        (Some(Fault::HttpError), Outcome::HttpError),
        (Some(Fault::Reset), Outcome::Disconnected),
        (Some(Fault::Malformed), Outcome::InvalidReply),
        (Some(Fault::Wrong), Outcome::WrongAnswer),
    ] {
        assert_eq!(loaded.count(outcome), fated(&faults, CALLS, fault), "{outcome}: {}", loaded.ended.out);
    }
    assert!(loaded.ended.out.starts_with('─') && loaded.ended.out.contains("FAIL"), "{}", loaded.ended.out);
}

#[test]
fn every_revision_is_spoken_with_json_and_events_and_with_and_without_sessions() {
    for flags in ["", "--replies sse", "--sessions stateful"] {
        let server = Server::start(flags);
        for (protocol, spoken) in [
            ("auto", Some("2026-07-28")),
            ("2026-07-28", Some("2026-07-28")),
            ("2025-11-25", Some("2025-11-25")),
            ("2025-06-18", Some("2025-06-18")),
            ("2025-03-26", Some("2025-03-26")),
            ("plain", None),
        ] {
            if protocol == "plain" && flags.contains("stateful") {
                continue;
            }
            let flags = format!("--mixed --rate 200 --total 40 --protocol {protocol}");
            let loaded = Load::on(&server.url, &flags).promising("error_rate < 0.1%").run();
            loaded.exited(0).all_ok(40);
            assert_eq!(loaded.run.server.revision.as_deref(), spoken);
        }
    }
}

#[test]
fn verify_asks_for_payments_that_the_server_really_made() {
    let server = Server::start("");
    let loaded = Load::on(&server.url, "--mix create_payment=1,verify_payment=3 --rate 200 --total 150 --seed 3").run();
    loaded.exited(0).all_ok(150);
    let operations = loaded.run.plan.operation_names();
    let of = |name: &str| {
        let place = operations.iter().position(|known| known == name).expect("an operation");
        loaded.run.summary.tally(Scope::Operation(place as u16), None)
    };
    assert!(of("verify_payment").ok() > 60, "{}", loaded.ended.out);
    assert_eq!(of("verify_payment").substituted, 0);
    // Nothing but these expectations stands between an id that was made up and `ok`: the server knows no such payment.
    let invented = Load::on(&server.url, "--tool verify_payment --rate 100 --total 5")
        .with(&["--args", r#"{"payment_id":"pay_that_nobody_made"}"#])
        .run();
    assert_eq!(invented.count(Outcome::ToolError), 5, "{}", invented.ended.out);
}

#[test]
fn a_verify_before_any_payment_is_a_create_and_counted_as_substituted() {
    let server = Server::start("--response-time 300ms");
    let loaded = Load::on(&server.url, "--tool verify_payment --rate 20 --total 20 --arrivals constant").run();
    loaded.exited(0).all_ok(20);
    // In the first 300 ms no payment is known, on any machine.
    assert!(loaded.measured().substituted >= 6, "{}", loaded.ended.out);
    loaded.says("took the place of others");
}

fn at(loaded: &Loaded, quantile: f64) -> Duration {
    match loaded.measured().quantile(quantile) {
        Some(Quantile::Finite(time)) => time,
        other => panic!("{other:?}: {}", loaded.ended.out),
    }
}

#[test]
fn a_freeze_shows_whole_in_the_response_times() {
    // Over whole periods a fifth of the arrivals falls into a freeze, and waits for up to 400 ms: p95 is 300, p99 380.
    let server = Server::start("--freeze 400ms/2s");
    let tool = "--tool get_wallet_balance --args {\"customer_id\":\"c\",\"currency\":\"EUR\"}";
    let loaded = Load::on(&server.url, &format!("{tool} --rate 100 --duration 4s --arrivals constant")).run();
    loaded.exited(0).all_ok(400);
    let (p95, p99) = (at(&loaded, 0.95), at(&loaded, 0.99));
    assert!(p95 >= Duration::from_millis(285) && p99 >= Duration::from_millis(365), "{p95:?} {p99:?}");
    loaded.says("service time");
}

#[test]
fn with_little_room_the_wait_is_dispatch_lag_and_the_response_times_stay_truthful() {
    let server = Server::start("--freeze 400ms/2s");
    let loaded = Load::on(&server.url, "--rate 100 --duration 4s --arrivals constant --concurrent 2").run();
    loaded.exited(0).all_ok(400);
    let measured = loaded.measured();
    let lag = measured.dispatch_lag.value_at_quantile(0.95).expect("lags");
    // All but the two calls of each freeze that were on their way waited for room and were served at once afterwards.
    assert!(lag >= Duration::from_millis(270), "{lag:?}");
    assert!(at(&loaded, 0.95) >= Duration::from_millis(285), "{}", loaded.ended.out);
    loaded.says("waited for room");
}

#[test]
fn arrivals_that_find_no_room_in_time_are_dropped_and_count_against_the_run() {
    let server = Server::start("--response-time 10s");
    let flags = "--rate 50 --duration 1s --arrivals constant --concurrent 3 --timeout 1s";
    let loaded = Load::on(&server.url, flags).promising("error_rate < 1%").promising("dropped < 1%").run();
    loaded.exited(1);
    let measured = loaded.measured();
    assert_eq!((measured.scheduled, measured.ok()), (50, 0));
    assert!(measured.dropped >= 30, "{}", loaded.ended.out);
    assert!(loaded.count(Outcome::TimeoutNoByte) >= 3, "{}", loaded.ended.out);
}

#[test]
fn hundreds_of_slow_calls_are_in_flight_at_once_and_all_end_well() {
    let server = Server::start("--response-time 2s");
    let load = Load::on(&server.url, "--rate 200 --duration 2s --arrivals constant --metrics 127.0.0.1:0 -v");
    let (mut running, folder) = load.start();
    let address = metrics_address(&mut running);
    let mut most = 0.0_f64;
    // Until it ends, and its metrics with it.
    assert!(eventually(|| {
        let page = get(address, "/metrics");
        most = most.max(page.as_deref().map_or(0.0, |page| metric(page, "mcpace_calls_in_flight", &[])));
        page.is_none()
    }));
    let loaded = Loaded::of(running.end(), folder);
    loaded.exited(0).all_ok(400);
    assert!(most >= 200.0, "{most}");
    assert!(loaded.measured().service_time.min() >= Some(Duration::from_millis(1999)));
}

#[test]
fn the_same_seed_makes_the_same_schedule_and_the_same_operations() {
    let server = Server::start("");
    let seen = |seed: u32| {
        let flags = format!("--mix create_payment=1,get_wallet_balance=2 --rate 200 --duration 1s --seed {seed}");
        let loaded = Load::on(&server.url, &flags).run();
        let summary = &loaded.run.summary;
        let counts: Vec<_> =
            summary.series().iter().map(|series| (series.operation, series.measure.scheduled)).collect();
        (summary.first_intended, counts, loaded.run.run_id)
    };
    let (one, again, other) = (seen(7), seen(7), seen(8));
    assert_eq!((one.0, &one.1), (again.0, &again.1));
    assert_ne!((one.0, &one.1), (other.0, &other.1));
    assert_ne!(one.2, again.2, "each run has an id of its own");
}

#[test]
fn idempotency_keys_of_a_rerun_are_fresh() {
    // The server answers a known key with another body by an error, and one with the same body by the old payment.
    let server = Server::start("");
    for _ in 0..2 {
        let load = Load::on(&server.url, "--rate 200 --total 50 --seed 7").promising("error_rate < 0.1%");
        load.run().exited(0).all_ok(50);
    }
}

#[test]
fn a_constant_rate_and_a_token_bucket_keep_their_counts() {
    let server = Server::start("--response-time 20ms");
    let loaded = Load::on(&server.url, "--rate 100 --duration 1s --arrivals constant").run();
    loaded.exited(0).all_ok(100);
    assert_eq!(loaded.run.summary.first_intended.expect("a first").as_nanos(), 5_000_000);

    // Ten arrive together each second; where one is served at a time, the last of them waits for nine.
    let flags = "--rate 10 --duration 2s --arrivals token-bucket --burst 10 --concurrent 1";
    let loaded = Load::on(&server.url, flags).run();
    loaded.exited(0).all_ok(20);
    assert_eq!(loaded.run.summary.first_intended.expect("a first").as_nanos(), 0);
    assert!(loaded.measured().dispatch_lag.max() >= Some(Duration::from_millis(179)), "{}", loaded.ended.out);
}

#[test]
fn a_load_of_steps_and_ramps_is_followed() {
    let server = Server::start("");
    let load = Load::on(&server.url, "--arrivals constant");
    let loaded = load.with(&["--load", "50/s for 1s, ramp to 150/s over 1s, 150/s for 1s"]).run();
    loaded.exited(0).all_ok(300);
    let timeline = loaded.measured().timeline;
    let seconds: Vec<_> = timeline.cells().map(|cell| cell.scheduled).collect();
    assert_eq!(seconds, [50, 100, 150]);
}

#[test]
fn warm_up_is_kept_apart_and_not_judged() {
    let server = Server::start("");
    let loaded = Load::on(&server.url, "--rate 100 --duration 2s --warmup 1s --arrivals constant").run();
    loaded.exited(0).all_ok(100);
    assert_eq!(loaded.run.summary.tally(Scope::Total, Some(Phase::Warmup)).scheduled, 100);
    // All of the run is judged, but for what was warm-up.
    loaded.says("scheduled 100");
    loaded.says("accounts 200 scheduled");
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_seen_in_the_outcomes_and_nothing_is_lost() {
    let port = free_port();
    let server = Server::start_with(port, &[]);
    let load = Load::on(&server.url, "--rate 100 --duration 8s --metrics 127.0.0.1:0 -v");
    let (mut running, folder) = load.promising("error_rate < 1%").start();
    let address = metrics_address(&mut running);
    let calls =
        |labels: &[&str]| get(address, "/metrics").map_or(0.0, |page| metric(&page, "mcpace_calls_total", labels));
    let ok = r#"outcome="ok""#;
    let refused = r#"outcome="unreachable""#;
    assert!(eventually(|| calls(&[ok]) >= 20.0));
    drop(server);
    assert!(eventually(|| calls(&[refused]) >= 20.0));
    let before = calls(&[ok]);
    let _server = Server::start_with(port, &[]);
    let loaded = Loaded::of(running.end(), folder);
    loaded.exited(1);
    assert!(loaded.count(Outcome::Ok) as f64 >= before + 20.0, "{before}: {}", loaded.ended.out);
    assert!(loaded.count(Outcome::Unreachable) >= 20);
    let expected = [Outcome::Ok, Outcome::Unreachable, Outcome::Disconnected].map(|outcome| loaded.count(outcome));
    assert_eq!(expected.iter().sum::<u64>(), loaded.measured().answered(), "{}", loaded.ended.out);
    loaded.says("Connections were refused");
}

#[test]
fn lanes_share_one_schedule_and_one_room() {
    let server = Server::start("--response-time 20ms");
    let run = |lanes: u32| {
        let flags = format!("--mixed --rate 200 --total 151 --concurrent 30 --seed 5 --lanes {lanes}");
        let loaded = Load::on(&server.url, &flags).run();
        loaded.exited(0).all_ok(151);
        loaded.run.summary.first_intended
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_plan_file_drives_several_flows_with_promises_of_their_own() {
    let server = Server::start("--response-time 30ms");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let text = r#"
        name = "two flows"
        [[flow]]
        name = "payers"
        operations = { create_payment = 1 }
        load = "60/s for 1s"
        arrivals = "constant"
        objectives = ["error_rate < 0.1%", "p95 < 60s"]
        [[flow]]
        name = "lookers"
        operations = { look = 3, get_wallet_balance = 1 }
        rate = "100/s"
        total = 80
        objectives = ["rate >= 1000/s"]
        [[operation]]
        name = "look"
        tool = "verify_payment"
        arguments = { payment_id = { captured = "payment_id" } }
        expect = { "/status" = "completed" }
    "#;
    std::fs::write(&plan, text).expect("a file");
    let loaded = Load::on(&server.url, "").with(&["--plan", plan.to_str().expect("a path of letters")]).run();
    loaded.exited(1).all_ok(140).says("two flows").says("rate(lookers) >= 1000/s");
    let summary = &loaded.run.summary;
    assert_eq!([0, 1].map(|flow| summary.tally(Scope::Flow(flow), None).ok()), [60, 80]);
    let judgement = loaded.run.judge(&[]).expect("its own promises");
    let standings: Vec<_> = judgement.findings.iter().map(|finding| finding.standing).collect();
    assert_eq!(standings, [Standing::Met, Standing::Met, Standing::Met, Standing::Missed], "{}", loaded.ended.out);
}
