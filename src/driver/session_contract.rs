//! What a server may do with sessions and streams, and what the driver makes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::contract::{Ticking, call, limits};
use super::scripted::{Scripted, Step, events, events_head, http, id_of, run};
use super::{Connector, Driver, Limits, McpDriver, Sessions};
use crate::mcp::{Negotiated, Revision};
use crate::measure::SideKind;
use crate::outcome::Outcome;
use crate::time::Clock;

const JSON: &str = "application/json";

fn ok(request: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[],"isError":false}}}}"#, id_of(request))
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn session_of(request: &str) -> Option<&str> {
    header(request, "mcp-session-id")
}

fn is(request: &str, method: &str) -> bool {
    request.contains(&format!("\"method\":\"{method}\""))
}

fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

fn accepted() -> Vec<Step> {
    send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
}

/// How many requests there were that `wanted` picks.
fn count(server: &Scripted, wanted: impl Fn(&str) -> bool) -> usize {
    server.seen().requests.iter().filter(|request| wanted(request)).count()
}

/// What a stateful server does; `tell` answers what is in a session that it knows.
struct Stateful {
    opened: Mutex<u32>,
    open: Mutex<Vec<String>>,
}

impl Stateful {
    fn new(open: &[&str]) -> Arc<Self> {
        Arc::new(Self { opened: Mutex::new(0), open: Mutex::new(open.iter().map(ToString::to_string).collect()) })
    }

    fn answer(&self, request: &str, tell: impl Fn(&str) -> Vec<Step>) -> Vec<Step> {
        let mut open = self.open.lock().unwrap();
        if is(request, "initialize") {
            let mut opened = self.opened.lock().unwrap();
            *opened += 1;
            let id = format!("new-{opened}");
            open.push(id.clone());
            let body = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
            let length = body.len();
            return send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\nmcp-session-id: {id}\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
        }
        let Some(place) = session_of(request).and_then(|id| open.iter().position(|known| known == id)) else {
            return send(http("404 Not Found", "text/plain", "Session not found"));
        };
        if request.starts_with("DELETE") {
            open.remove(place);
            return send(http("202 Accepted", JSON, ""));
        }
        drop(open);
        if request.starts_with("POST") && !is(request, "tools/call") {
            return accepted();
        }
        tell(request)
    }

    fn open(&self) -> Vec<String> {
        self.open.lock().unwrap().clone()
    }
}

async fn stateful(state: &Arc<Stateful>, tell: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Scripted {
    let state = Arc::clone(state);
    Scripted::start(move |_, request| state.answer(request, &tell)).await
}

fn in_json(request: &str) -> Vec<Step> {
    send(http("200 OK", JSON, &ok(request)))
}

fn driver_in(server: &Scripted, sessions: Sessions, limits: Limits) -> (McpDriver<Ticking>, Ticking) {
    let negotiated = Negotiated { revision: Some(Revision::V2025_11_25), ..Negotiated::default() };
    let (connector, clock) = (Connector::new(server.target.clone()), Ticking::default());
    let tools = ["create_payment".to_owned()];
    (McpDriver::new(connector, &negotiated, &tools, limits, clock.clone()).in_sessions(sessions), clock)
}

fn pool(ids: &[&str]) -> Sessions {
    Sessions::Pool(ids.iter().map(ToString::to_string).collect())
}

fn made(driver: &McpDriver<Ticking>) -> BTreeMap<(SideKind, Outcome), usize> {
    let mut made = BTreeMap::new();
    for side in driver.take_side_calls() {
        *made.entry((side.kind, side.outcome)).or_default() += 1;
    }
    made
}

#[test]
fn calls_take_the_sessions_of_the_pool_in_turn() {
    run(async {
        let state = Stateful::new(&["a", "b", "c"]);
        let server = stateful(&state, in_json).await;
        let (driver, _) = driver_in(&server, pool(&["a", "b", "c"]), limits());
        for id in 0..6 {
            assert_eq!(driver.call(&call(4711 + id)).await.outcome, Outcome::Ok);
        }
        let seen: Vec<_> = server.seen().requests.iter().map(|r| session_of(r).unwrap().to_owned()).collect();
        assert_eq!(seen, ["a", "b", "c", "a", "b", "c"]);
        driver.close().await;
        assert_eq!((state.open().len(), made(&driver).len()), (3, 0), "whoever opened them closes them");
    });
}

#[test]
fn a_session_that_many_calls_lost_is_opened_once_and_calls_meanwhile_wait_for_it() {
    run(async {
        let state = Stateful::new(&[]);
        let server = stateful(&state, in_json).await;
        let (driver, _) = driver_in(&server, pool(&["gone"]), limits());
        let lost: [_; 3] = [4711, 4712, 4713].map(call);
        let (a, b, c) = tokio::join!(driver.call(&lost[0]), driver.call(&lost[1]), driver.call(&lost[2]));
        assert_eq!([a.outcome, b.outcome, c.outcome], [Outcome::SessionLost; 3], "and none is made again");
        let later = driver.call(&call(4714)).await;
        assert_eq!((later.outcome, driver.call(&call(4715)).await.outcome), (Outcome::Ok, Outcome::Ok));
        assert_eq!(count(&server, |request| is(request, "initialize")), 1);
        assert_eq!(count(&server, |request| is(request, "notifications/initialized")), 1);
        assert_eq!(count(&server, |request| is(request, "tools/call")), 5);
        driver.close().await;
        assert_eq!(state.open(), [""; 0], "the new one was the driver's own");
        let expected = [((SideKind::Initialize, Outcome::Ok), 1), ((SideKind::Delete, Outcome::Ok), 1)];
        assert_eq!(made(&driver), BTreeMap::from(expected));
    });
}

#[test]
fn each_servers_way_to_say_that_a_session_is_lost_opens_a_new_one() {
    let rpc = |code: i64| format!(r#"{{"jsonrpc":"2.0","id":"server-error","error":{{"code":{code},"message":"x"}}}}"#);
    for lost in [
        http("404 Not Found", "text/plain", "Session not found"),
        http("404 Not Found", JSON, &rpc(-32600)),
        http("400 Bad Request", JSON, &rpc(-32000)),
    ] {
        run(async {
            let state = Stateful::new(&["new-0"]);
            let server = stateful(&state, move |request| match session_of(request) {
                Some("new-0") => send(&lost),
                _ => in_json(request),
            })
            .await;
            let (driver, _) = driver_in(&server, pool(&["new-0"]), limits());
            assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::SessionLost);
            assert_eq!(driver.call(&call(4712)).await.outcome, Outcome::Ok);
            assert_eq!(count(&server, |request| is(request, "initialize")), 1);
        });
    }
}

#[test]
fn where_a_session_cannot_be_opened_again_calls_fail_and_it_is_tried_once_a_second() {
    run(async {
        let server = Scripted::start(|_, request| {
            let is_opening = is(request, "initialize");
            let (status, body) =
                if is_opening { ("503 Service Unavailable", "full") } else { ("404 Not Found", "gone") };
            send(http(status, "text/plain", body))
        })
        .await;
        let (driver, clock) = driver_in(&server, pool(&["gone"]), limits());
        assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::SessionLost);
        let reply = driver.call(&call(4712)).await;
        assert_eq!((reply.outcome, reply.stamps.sent), (Outcome::SessionLost, None));
        assert_eq!(reply.failure.unwrap().group, "lost, and no new session: HTTP 503");
        assert_eq!(count(&server, |request| is(request, "initialize")), 1);
        for second in 2..5 {
            clock.pass(Duration::from_secs(1));
            assert_eq!(driver.call(&call(4711 + second)).await.outcome, Outcome::SessionLost);
            assert_eq!(count(&server, |request| is(request, "initialize")) as u64, second);
        }
        assert_eq!(count(&server, |request| is(request, "tools/call")), 1);
    });
}

#[test]
fn a_call_in_a_session_of_its_own_opens_it_and_closes_it() {
    run(async {
        let state = Stateful::new(&[]);
        let server = stateful(&state, in_json).await;
        let (driver, _) = driver_in(&server, Sessions::PerCall, limits());
        for id in 0..3 {
            let reply = driver.call(&call(4711 + id)).await;
            assert_eq!(reply.outcome, Outcome::Ok);
        }
        driver.close().await;
        assert_eq!((state.open(), *state.opened.lock().unwrap()), (vec![], 3));
        let expected = [((SideKind::Initialize, Outcome::Ok), 3), ((SideKind::Delete, Outcome::Ok), 3)];
        assert_eq!(made(&driver), BTreeMap::from(expected));
    });
}

#[test]
fn calls_that_are_given_up_leave_no_session_behind() {
    run(async {
        let state = Stateful::new(&[]);
        let server = stateful(&state, |_| vec![Step::Hang]).await;
        let impatient = Limits { timeout: Duration::from_millis(100), ..limits() };
        let (driver, _) = driver_in(&server, Sessions::PerCall, impatient);
        assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::TimeoutNoByte);
        // This one is dropped before its session is open, that one after.
        for turns in [3, 200] {
            let given_up = call(4712);
            let mut given_up = Box::pin(driver.call(&given_up));
            for _ in 0..turns {
                tokio::select! { biased; _ = &mut given_up => {}, () = tokio::task::yield_now() => {} }
            }
        }
        driver.close().await;
        assert_eq!(state.open(), [""; 0]);
        assert!(*state.opened.lock().unwrap() >= 1);
    });
}

#[test]
fn what_a_server_asks_on_a_stream_is_answered_while_the_stream_goes_on() {
    run(async {
        let server = Scripted::start(|_, request| {
            if !is(request, "tools/call") {
                return accepted();
            }
            let questions = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n\
                 data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}\n\n\
                 data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"elicitation/create\",\"params\":{}}\n\n";
            send(events(&format!("{questions}data: {}\n\n", ok(request))))
        })
        .await;
        let (driver, _) = driver_in(&server, pool(&["s"]), limits());
        assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::Ok);
        driver.close().await;
        let seen = server.seen();
        let bodies: Vec<_> = seen.requests[1..].iter().map(|r| r.split_once("\r\n\r\n").unwrap().1).collect();
        assert!(bodies.contains(&r#"{"jsonrpc":"2.0","id":0,"result":{}}"#), "{bodies:?}");
        assert!(bodies.iter().any(|body| body.contains(r#""id":"q","error":{"code":-32601"#)), "{bodies:?}");
        assert!(seen.requests.iter().all(|request| session_of(request) == Some("s")));
        assert_eq!((bodies.len(), made(&driver)[&(SideKind::Answer, Outcome::Ok)]), (2, 2));
    });
}

#[test]
fn a_server_that_asks_without_end_gets_no_more_answers() {
    run(async {
        let server = Scripted::start(|_, request| {
            if !is(request, "tools/call") {
                return accepted();
            }
            let questions = "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}\n\n".repeat(101);
            send(events(&format!("{questions}data: {}\n\n", ok(request))))
        })
        .await;
        let (driver, _) = driver_in(&server, pool(&["s"]), limits());
        let reply = driver.call(&call(4711)).await;
        assert_eq!(reply.outcome, Outcome::InvalidReply);
        assert_eq!(reply.failure.unwrap().group, "more than 100 requests of the server's own before an answer");
    });
}

/// The first part of an answer in events, and then `end`.
fn cut_stream(first: &str, end: Step) -> Vec<Step> {
    let chunk = format!("{:x}\r\n{first}\r\n", first.len());
    vec![Step::Send(events_head()), Step::Send(chunk.into_bytes()), end]
}

#[test]
fn a_stream_that_ends_before_its_answer_is_resumed_where_it_ended_as_often_as_it_takes() {
    for end in [Step::Send(b"0\r\n\r\n".to_vec()), Step::Close, Step::Reset] {
        run(async {
            let server = Scripted::start(move |_, request| match header(request, "last-event-id") {
                None => cut_stream("id: 1\nretry: 10\ndata: \n\n", end.clone()),
                Some("1") => cut_stream("id: 2\ndata: \n\n", end.clone()),
                Some("2") => {
                    let answer = r#"{"jsonrpc":"2.0","id":4711,"result":{"content":[],"isError":false}}"#;
                    send(events(&format!("id: 3\ndata: {answer}\n\n")))
                }
                Some(_) => vec![Step::Close],
            })
            .await;
            let (driver, _) = driver_in(&server, pool(&["s"]), limits());
            let reply = driver.call(&call(4711)).await;
            assert_eq!((reply.outcome, reply.failure), (Outcome::Ok, None));
            assert!(reply.stamps.sent.unwrap() < reply.stamps.done);
            let seen = server.seen();
            assert_eq!(seen.requests.len(), 3);
            assert!(seen.requests[1..].iter().all(|r| r.starts_with("GET /mcp") && session_of(r) == Some("s")));
            assert_eq!(made(&driver).values().sum::<usize>(), 2);
        });
    }
}

#[test]
fn a_stream_that_cannot_be_resumed_ends_as_it_did() {
    run(async {
        let server = Scripted::start(|_, request| {
            if request.starts_with("GET") {
                return send(http("405 Method Not Allowed", "text/plain", ""));
            }
            send(events("id: 1\nretry: 10\ndata: \n\n"))
        })
        .await;
        let (driver, _) = driver_in(&server, pool(&["s"]), limits());
        let reply = driver.call(&call(4711)).await;
        assert_eq!(reply.outcome, Outcome::Disconnected);
        assert_eq!(reply.failure.unwrap().group, "the stream of events ended without an answer");
        assert_eq!(made(&driver), BTreeMap::from([((SideKind::Resume, Outcome::HttpError), 1)]));
    });
}

#[test]
fn a_stream_is_resumed_no_longer_than_the_call_may_take_and_then_cancelled() {
    run(async {
        let server = Scripted::start(|_, request| match request {
            _ if request.starts_with("GET") => vec![Step::Send(events_head()), Step::Hang],
            _ if is(request, "tools/call") => send(events("id: 1\nretry: 10\ndata: \n\n")),
            _ => accepted(),
        })
        .await;
        let impatient = Limits { timeout: Duration::from_millis(200), ..limits() };
        let (driver, _) = driver_in(&server, pool(&["s"]), impatient);
        assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::TimeoutHeadersOnly);
        driver.close().await;
        assert_eq!(count(&server, |request| is(request, "notifications/cancelled")), 1);
    });
}

#[test]
fn a_call_in_a_session_that_times_out_is_cancelled_and_one_without_is_only_dropped() {
    for (sessions, cancelled) in [(pool(&["s"]), 1), (Sessions::Without, 0)] {
        run(async {
            let server =
                Scripted::start(|_, request| if is(request, "tools/call") { vec![Step::Hang] } else { accepted() })
                    .await;
            let impatient = Limits { timeout: Duration::from_millis(100), ..limits() };
            let (driver, clock) = driver_in(&server, sessions.clone(), impatient);
            let before = clock.now();
            assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::TimeoutNoByte);
            assert!(clock.now() > before);
            driver.close().await;
            assert_eq!(count(&server, |request| is(request, "notifications/cancelled")), cancelled);
            assert_eq!(count(&server, |request| request.contains(r#""requestId":4711"#)), cancelled);
            assert_eq!(made(&driver).get(&(SideKind::Cancel, Outcome::Ok)).copied().unwrap_or(0), cancelled);
        });
    }
}

#[test]
fn whichever_way_a_server_takes_the_end_of_a_session_is_fine_and_a_failure_is_counted() {
    for (status, body, outcome) in [
        ("200 OK", "", Outcome::Ok),
        ("202 Accepted", "", Outcome::Ok),
        ("204 No Content", "", Outcome::Ok),
        ("404 Not Found", "Session not found", Outcome::Ok),
        ("405 Method Not Allowed", "", Outcome::Ok),
        (
            "400 Bad Request",
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session ID"}}"#,
            Outcome::Ok,
        ),
        ("500 Oops", "", Outcome::HttpError),
        ("401 Unauthorized", "", Outcome::AuthError),
    ] {
        run(async {
            let state = Stateful::new(&[]);
            let server = Scripted::start(move |_, request| {
                let is_end = request.starts_with("DELETE");
                if is_end { send(http(status, JSON, body)) } else { state.answer(request, in_json) }
            })
            .await;
            let (driver, _) = driver_in(&server, Sessions::PerCall, limits());
            assert_eq!(driver.call(&call(4711)).await.outcome, Outcome::Ok);
            driver.close().await;
            assert_eq!(made(&driver).get(&(SideKind::Delete, outcome)), Some(&1), "{status}");
            assert_eq!(count(&server, |request| request.starts_with("DELETE")), 1, "{status}");
        });
    }
}

#[test]
fn a_session_is_asked_for_once_more_where_an_idle_connection_broke_and_a_call_is_not() {
    run(async {
        let state = Stateful::new(&[]);
        let server = Scripted::start(move |n, request| match (n, is(request, "initialize")) {
            // The first session: initialize, initialized, call, DELETE. The second begins on a connection of the first.
            (4, true) => vec![Step::Close],
            _ => state.answer(request, in_json),
        })
        .await;
        let (driver, _) = driver_in(&server, Sessions::PerCall, Limits { max_idle: 1, ..limits() });
        for id in 0..2 {
            assert_eq!(driver.call(&call(4711 + id)).await.outcome, Outcome::Ok);
            while count(&server, |request| request.starts_with("DELETE")) <= id as usize {
                tokio::task::yield_now().await;
            }
            driver.tidy();
        }
        assert_eq!(count(&server, |request| is(request, "initialize")), 3);
        assert_eq!(count(&server, |request| is(request, "tools/call")), 2);
    });
}
