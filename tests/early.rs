//! Runs that end before their schedule: because all is decided, or because a promise is surely broken.
//!
//! Nothing is decided before fifteen seconds, so these tests take that long; they run side by side.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use common::{Load, Loaded, Server, finish_line};
use mcpace::report::Ending;
use mcpace::verdict::{Standing, Verdict};

/// The report of the saved run, and the verdict in it, are those of the run itself.
#[track_caller]
fn assert_judged_again(loaded: &Loaded) {
    let again = finish_line(&format!("report {}", loaded.file().display()));
    assert_eq!(again.code, loaded.ended.code, "{}", again.err);
    assert_eq!(again.out, loaded.ended.out);
}

fn seconds(loaded: &Loaded) -> f64 {
    loaded.run.summary.until.since(mcpace::time::Moment::ZERO).as_secs_f64()
}

#[test]
fn a_run_ends_when_all_is_decided_and_is_judged_again_with_the_same_answer() {
    let server = Server::start("");
    let flags = "--mixed --rate 200 --duration 2m --judge confident --until-decided";
    let loaded = Load::on(&server.url, flags).promising("error_rate < 5%").promising("dropped < 5%").run();
    loaded.exited(0).says("each objective is decided (--until-decided)");
    assert!(matches!(loaded.run.ending, Ending::Rule(_)) && seconds(&loaded) < 60.0, "{}", loaded.ended.out);
    let looks = loaded.run.looks.as_ref().expect("its looks");
    assert!(looks.stopped.expect("one that stopped it").look.pass.expect("an error of PASS") < 0.01);
    assert_judged_again(&loaded);
}

#[test]
fn a_run_is_aborted_when_a_promise_is_surely_broken() {
    let server = Server::start("--http-error-share 30%");
    let flags = "--rate 200 --duration 2m --judge confident --abort-on-fail";
    let loaded = Load::on(&server.url, flags).promising("error_rate < 10%").promising("error_rate < 60%").run();
    loaded.exited(1).says("error_rate < 10% is surely missed (--abort-on-fail)");
    assert!(seconds(&loaded) < 60.0);
    let judgement = loaded.run.judge(&[]).expect("its own promises");
    // PASS was not looked for, so the other promise is open; FAIL says it all.
    assert_eq!(judgement.verdict(), Verdict::Fail);
    assert_eq!(judgement.findings[1].standing, Standing::Undecided);
    assert_judged_again(&loaded);
}

#[test]
fn a_largest_time_that_is_exceeded_aborts_a_run_at_once() {
    let server = Server::start("--response-time 3s");
    let flags = "--rate 50 --duration 2m --judge confident --abort-on-fail";
    let loaded = Load::on(&server.url, flags).promising("max < 2s").run();
    loaded.exited(1).says("max < 2s is missed (--abort-on-fail)");
    assert!(seconds(&loaded) < 14.0, "{}", loaded.ended.out);
    assert_judged_again(&loaded);
}
