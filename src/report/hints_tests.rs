//! Which runs give which hints, and which give none.

use std::time::Duration;

use super::fixtures::{self, Told, answer, plan};
use super::hints::Topic;
use super::{Report, SavedRun};
use crate::measure::Fate;
use crate::outcome::Outcome;
use crate::time::Moment;

fn topics(run: &SavedRun) -> Vec<Topic> {
    let judgement = run.judge(&[]).unwrap();
    Report::new(run, &judgement).hints.iter().map(|hint| hint.topic).collect()
}

fn tell(tell: impl Fn(u64, Moment) -> (Fate, Option<(&'static str, &'static str)>)) -> SavedRun {
    let plan = plan("objectives = [\"p95 < 100ms\"]\n[target]\nurl = \"http://pay.example.com\"");
    fixtures::run(plan, 5, |n, intended| {
        let (fate, said) = tell(n, intended);
        Told { flow: 0, operation: 0, fate, said }
    })
}

/// Half of the calls fail so.
fn failing(outcome: Outcome, group: &'static str) -> SavedRun {
    tell(|n, intended| match n % 2 {
        0 => (answer(intended, 100, 5_000, outcome), Some((group, group))),
        _ => (answer(intended, 100, 5_000, Outcome::Ok), None),
    })
}

/// Every call is ok and takes so many microseconds after such a lag.
fn taking(lag: impl Fn(u64) -> u64, service: impl Fn(u64) -> u64) -> SavedRun {
    tell(|n, intended| (answer(intended, lag(n), service(n), Outcome::Ok), None))
}

#[test]
fn a_healthy_run_and_an_empty_one_give_no_hint() {
    assert_eq!(topics(&fixtures::ok()), []);
    assert_eq!(topics(&fixtures::empty()), []);
    // Its slow operation is not taken for stalls of the fast one.
    assert_eq!(topics(&fixtures::flows()), [Topic::Slow]);
}

#[test]
fn each_failure_gives_its_hint_and_no_other() {
    use Outcome::{AuthError, Disconnected, HttpError, InvalidReply, RpcError, SessionLost, ToolError, Unreachable};
    for (outcome, group, topic) in [
        (Unreachable, "connection refused", Some(Topic::Unreachable)),
        (Unreachable, "TLS: invalid peer certificate", Some(Topic::Unreachable)),
        (Unreachable, "no such host", Some(Topic::Unreachable)),
        (Unreachable, "no connection within 30s", Some(Topic::Unreachable)),
        (AuthError, "HTTP 403: a guard of the Host header", Some(Topic::HostGuard)),
        (HttpError, "HTTP 421: a guard of the Host header", Some(Topic::HostGuard)),
        (AuthError, "HTTP 401", Some(Topic::Credentials)),
        (HttpError, "HTTP 404", Some(Topic::WrongUrl)),
        (InvalidReply, "text/html in place of an answer", Some(Topic::WrongUrl)),
        (HttpError, "HTTP 429", Some(Topic::RateLimit)),
        (HttpError, "HTTP 429 Too Many Requests, Retry-After: 90", Some(Topic::RateLimit)),
        (HttpError, "HTTP 503", Some(Topic::Overloaded)),
        (HttpError, "HTTP 504", Some(Topic::Overloaded)),
        (RpcError, "-32603 Too many open sessions", Some(Topic::SessionCap)),
        (SessionLost, "HTTP 404", Some(Topic::SessionLost)),
        (Disconnected, "reset on a reused connection before any answer", Some(Topic::KeepAlive)),
        (Outcome::TimeoutNoByte, "no byte within 30s", Some(Topic::Timeout)),
        (Outcome::TimeoutTruncated, "no end within 30s", Some(Topic::Timeout)),
        (HttpError, "HTTP 500", None),
        (Disconnected, "reset within the answer", None),
        (ToolError, "insufficient funds", None),
        (RpcError, "-32603 boom", None),
        (InvalidReply, "not JSON", None),
        (Outcome::WrongAnswer, "no payment_id", None),
        (Outcome::InputRequired, "wants input", None),
    ] {
        assert_eq!(topics(&failing(outcome, group)), Vec::from_iter(topic), "{outcome} {group}");
    }
}

fn text_of(run: &SavedRun, topic: Topic) -> String {
    let judgement = run.judge(&[]).unwrap();
    let hints = Report::new(run, &judgement).hints;
    hints.into_iter().find(|hint| hint.topic == topic).unwrap().text
}

#[test]
fn how_long_the_server_wants_to_be_left_alone_is_said_where_it_said_so() {
    let told = failing(Outcome::HttpError, "HTTP 429 Too Many Requests, Retry-After: 7");
    assert!(text_of(&told, Topic::RateLimit).contains("(HTTP 429) and wants to be left alone for up to 7s"));
    let untold = failing(Outcome::HttpError, "HTTP 503");
    assert!(!text_of(&untold, Topic::Overloaded).contains("left alone"));
    // It survives the saved run.
    let read = SavedRun::from_json(told.to_json().unwrap().as_bytes()).unwrap();
    let groups = read.summary.failures.groups();
    assert!(groups.iter().all(|group| group.retry_after == Some(Duration::from_secs(7))));
}

#[test]
fn http_2_that_nobody_agreed_on_is_doubted_where_no_call_was_answered() {
    let breaking = |http2: bool, ok: bool| {
        let group = "reset before any answer";
        let mut run = if ok {
            failing(Outcome::Disconnected, group)
        } else {
            tell(|_, intended| (answer(intended, 1, 1, Outcome::Disconnected), Some((group, group))))
        };
        run.plan.connection.http2 = http2;
        topics(&run)
    };
    assert_eq!(breaking(true, false), [Topic::Http2]);
    assert_eq!(breaking(true, true), []);
    assert_eq!(breaking(false, false), []);
}

#[test]
fn a_timeout_without_a_byte_makes_one_think_of_proxies_that_hold_streams_back() {
    let silent = failing(Outcome::TimeoutNoByte, "no byte within 30s");
    assert!(text_of(&silent, Topic::Timeout).contains("proxy_buffering off"));
    let begun = failing(Outcome::TimeoutHeadersOnly, "the head within 30s");
    assert!(!text_of(&begun, Topic::Timeout).contains("proxy"));
}

#[test]
fn a_tool_that_refuses_everything_is_perhaps_asked_the_wrong_way() {
    let refusing = tell(|_, intended| (answer(intended, 1, 1, Outcome::ToolError), Some(("bad amount", "bad amount"))));
    assert_eq!(topics(&refusing), [Topic::Arguments]);
}

#[test]
fn a_plateau_above_forty_milliseconds_smells_of_nagle_and_a_broad_hill_does_not() {
    assert_eq!(topics(&taking(|_| 100, |n| if n % 3 == 0 { 41_000 + n % 5 * 500 } else { 4_000 })), [Topic::Nagle]);
    assert_eq!(topics(&taking(|_| 100, |n| 30_000 + n * 7919 % 30_000)), []);
    assert_eq!(topics(&taking(|_| 100, |n| if n % 20 == 0 { 41_000 } else { 4_000 })), []);
    assert_eq!(topics(&taking(|_| 100, |_| 36_000)), []);
}

#[test]
fn stalls_slowness_and_want_of_room_are_told_apart() {
    assert_eq!(topics(&taking(|_| 100, |n| if n % 50 == 0 { 80_000 } else { 2_000 })), [Topic::Stalls]);
    assert_eq!(topics(&taking(|_| 100, |_| 120_000)), [Topic::Slow]);
    assert_eq!(topics(&taking(|n| n * 400, |_| 60_000)), [Topic::NoRoom]);
    let dropping = tell(|n, intended| match n % 2 {
        0 => (Fate::Dropped, None),
        _ => (answer(intended, 100, 5_000, Outcome::Ok), None),
    });
    assert_eq!(topics(&dropping), [Topic::NoRoom]);
}

#[test]
fn a_target_on_the_generators_own_host_is_noted() {
    for (url, own) in [
        ("http://localhost:8000", true),
        ("http://127.0.0.1:8000", true),
        ("http://[::1]:8000", true),
        ("http://bench-1:8000", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.7", false),
    ] {
        let mut run = fixtures::ok();
        run.plan.target = url.parse().unwrap();
        assert_eq!(topics(&run), if own { vec![Topic::SameHost] } else { vec![] }, "{url}");
    }
}
