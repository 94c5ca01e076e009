//! What a server may answer to a call, and what the driver makes of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::scripted::{Scripted, Step, events, events_head, http, id_of, run};
use super::{Connector, Driver, Limits, McpDriver};
use crate::mcp::{Negotiated, Revision, Target};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{Call, OperationId, Reply, Ties};

pub(super) const ID: u64 = 4711;
pub(super) const OK: &str = r#"{"jsonrpc":"2.0","id":4711,"result":{"content":[],"isError":false}}"#;
const RESULT: &str = r#"{"content":[],"isError":false}"#;
pub(super) const JSON: &str = "application/json";

/// A clock that moves by a nanosecond with every look, and by more when told to.
#[derive(Clone, Default)]
pub(super) struct Ticking(Rc<Cell<u64>>);

impl Clock for Ticking {
    fn now(&self) -> Moment {
        self.0.set(self.0.get() + 1);
        Moment::from_nanos(self.0.get())
    }
}

impl Ticking {
    pub(super) fn pass(&self, time: Duration) {
        self.0.set(self.0.get() + time.as_nanos() as u64);
    }
}

pub(super) fn limits() -> Limits {
    Limits { timeout: Duration::from_secs(20), max_reply_bytes: 100_000, ..Limits::default() }
}

pub(super) fn impatient() -> Limits {
    Limits { timeout: Duration::from_millis(200), ..limits() }
}

pub(super) fn session() -> Negotiated {
    Negotiated {
        revision: Some(Revision::NEWEST_WITH_HANDSHAKE),
        session: Some("s-1".to_owned()),
        ..Negotiated::default()
    }
}

pub(super) fn driver_to(target: &Target, negotiated: &Negotiated, limits: Limits) -> (McpDriver<Ticking>, Ticking) {
    let clock = Ticking::default();
    let connector = Connector::new(target.clone());
    (McpDriver::new(connector, negotiated, &["create_payment".to_owned()], limits, clock.clone()), clock)
}

pub(super) fn call(id: u64) -> Call {
    let arguments = r#"{"amount":10.50}"#.to_owned();
    Call { operation: OperationId(0), id, arguments, ties: Ties::default(), avoid: None, trace: None }
}

pub(super) fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

async fn reply(steps: Vec<Step>, negotiated: &Negotiated, limits: Limits) -> Reply {
    let server = Scripted::always(steps).await;
    driver_to(&server.target, negotiated, limits).0.call(&call(ID)).await
}

/// The outcome and the group of the answer to one call.
fn judged(steps: Vec<Step>, negotiated: &Negotiated, limits: Limits) -> (Outcome, String) {
    let reply = run(reply(steps, negotiated, limits));
    if reply.outcome == Outcome::Ok {
        assert_eq!(reply.result.raw(), RESULT.as_bytes());
    } else {
        assert!(reply.result.raw().is_empty());
    }
    (reply.outcome, reply.failure.map(|failure| failure.group).unwrap_or_default())
}

#[test]
fn every_servers_way_to_answer_well_is_ok() {
    let dialects = [
        http("200 OK", JSON, OK),
        http("200 OK", "Application/JSON; charset=utf-8", OK),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{OK}", OK.len()).into_bytes(),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{OK}", OK.len()).into_bytes(),
        format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &OK[..5], OK.len() - 5, &OK[5..]).into_bytes(),
        // TypeScript: a place to resume from first, the id last.
        events(&format!("id: 6ffe\ndata: \n\nevent: message\nid: 3be6\ndata: {{\"result\":{RESULT},\"jsonrpc\":\"2.0\",\"id\":{ID}}}\n\n")),
        // Python: CRLF, and comments while it works.
        events(&format!(": ping - 2026\r\n\r\nevent: message\r\ndata: {OK}\r\n\r\n")),
        // Rust: data first, no kind.
        events(&format!("data: \nid: 0/1\nretry: 3000\n\ndata: {OK}\nid: 1/1\n\n")),
        // The server's own requests and notifications in between, one of them under our id.
        events(&format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{ID},\"method\":\"sampling/createMessage\",\"params\":{{}}}}\n\n\
            data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}}\n\nevent: ping\ndata: now\n\ndata: {OK}\n\n")),
    ];
    for dialect in dialects {
        let text = String::from_utf8_lossy(&dialect).into_owned();
        assert_eq!(judged(vec![send(&dialect)], &session(), limits()), (Outcome::Ok, String::new()), "{text}");
        assert_eq!(judged(vec![Step::Dribble(dialect)], &session(), limits()).0, Outcome::Ok, "byte by byte: {text}");
    }
}

/// Each answer, alone, ends a call with this outcome and group.
fn check(table: Vec<(Vec<u8>, Outcome, &str)>) {
    for (answer, outcome, group) in table {
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(judged(vec![send(answer)], &Negotiated::default(), limits()), (outcome, group.to_owned()), "{text}");
    }
}

#[test]
fn errors_of_tool_and_protocol_have_their_outcomes_and_groups() {
    let error = |code: i64, text: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{{"code":{code},"message":"{text}"}}}}"#)
    };
    let result = |result: &str| http("200 OK", JSON, &format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{result}}}"#));
    let unknown_tool = error(-32602, "Tool nope not found");
    check(vec![
        (
            result(r#"{"content":[{"type":"text","text":"payment 17 refused"}],"isError":true}"#),
            Outcome::ToolError,
            "payment <n> refused",
        ),
        (result(r#"{"isError":true}"#), Outcome::ToolError, "an error without a text"),
        (
            result(r#"{"resultType":"input_required"}"#),
            Outcome::InputRequired,
            "the server wants input before it answers",
        ),
        (result(r#"{"resultType":"task"}"#), Outcome::InvalidReply, "an unknown resultType"),
        (result("[]"), Outcome::InvalidReply, "a result that is no object"),
        (http("200 OK", JSON, &unknown_tool), Outcome::RpcError, "-32602 Tool nope not found"),
        (events(&format!("data: {unknown_tool}\n\n")), Outcome::RpcError, "-32602 Tool nope not found"),
        (http("404 Not Found", JSON, &error(-32601, "foo/bar")), Outcome::RpcError, "-32601 foo/bar"),
        (
            http("500 Oops", JSON, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"Internal"}}"#),
            Outcome::RpcError,
            "-32603 Internal",
        ),
    ]);
}

#[test]
fn statuses_of_failure_have_their_outcomes_and_groups() {
    let limited = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 49\r\n\r\n{\"error\":\"Rate limit exceeded\",\"retry_after\":3600}";
    check(vec![
        (http("401 Unauthorized", JSON, r#"{"error":"Authentication required"}"#), Outcome::AuthError, "HTTP 401"),
        (
            http("403 Forbidden", JSON, r#"{"jsonrpc":"2.0","id":4711,"error":{"code":-32000,"message":"no"}}"#),
            Outcome::AuthError,
            "HTTP 403",
        ),
        (
            http("403 Forbidden", "text/plain", "Host header is not allowed"),
            Outcome::AuthError,
            "HTTP 403: a guard of the Host header",
        ),
        (
            http("421 Misdirected Request", "text/plain", "Invalid Host header"),
            Outcome::HttpError,
            "HTTP 421: a guard of the Host header",
        ),
        (limited.into(), Outcome::HttpError, "HTTP 429"),
        (http("503 Service Unavailable", "text/html", "<html>busy</html>"), Outcome::HttpError, "HTTP 503"),
        (
            http("500 Internal Server Error", JSON, r#"{"error":"Internal server error"}"#),
            Outcome::HttpError,
            "HTTP 500",
        ),
        (http("502 Bad Gateway", "text/plain", ""), Outcome::HttpError, "HTTP 502"),
        (http("404 Not Found", "text/plain", "no"), Outcome::HttpError, "HTTP 404"),
        (
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /mcp/?token=x\r\ncontent-length: 0\r\n\r\n".to_vec(),
            Outcome::HttpError,
            "HTTP 307 to /mcp/: give that URL",
        ),
        (b"HTTP/1.1 500 Oops\r\ncontent-type: text/event-stream\r\n\r\n".to_vec(), Outcome::HttpError, "HTTP 500"),
    ]);
}

#[test]
fn what_is_no_answer_has_its_outcome_and_group() {
    check(vec![
        (http("200 OK", "text/html", "<html>"), Outcome::InvalidReply, "text/html in place of an answer"),
        (http("200 OK", JSON, r#"{"hello":"world"}"#), Outcome::InvalidReply, "no \"jsonrpc\": \"2.0\""),
        (http("200 OK", JSON, &OK.replace("4711", "4712")), Outcome::InvalidReply, "the id of another request"),
        (http("200 OK", JSON, &format!("[{OK}]")), Outcome::InvalidReply, "a JSON array in place of a message"),
        (
            http("200 OK", JSON, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
            Outcome::InvalidReply,
            "a message of the server's own in place of an answer",
        ),
        (http("202 Accepted", JSON, ""), Outcome::InvalidReply, "HTTP 202 without an answer"),
        (http("200 OK", JSON, ""), Outcome::InvalidReply, "HTTP 200 without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\"a\xff\"x".to_vec(), Outcome::InvalidReply, "not UTF-8"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b".to_vec(),
            Outcome::InvalidReply,
            "content encoding gzip, which was not offered",
        ),
        (events("data: <html>\n\n"), Outcome::InvalidReply, "not JSON"),
        (events("id: 1\ndata: \n\n"), Outcome::Disconnected, "the stream of events ended without an answer"),
        (b"-ERR unknown command\r\n".to_vec(), Outcome::InvalidReply, "not HTTP: invalid HTTP version parsed"),
    ]);
}

#[test]
fn a_lost_session_is_told_from_a_missing_page_by_the_session_that_was_sent() {
    let bare = http("404 Not Found", "text/plain", "Not Found: Session not found");
    let rpc =
        http("404 Not Found", JSON, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"x"}}"#);
    let everything =
        http("400 Bad Request", JSON, r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session ID"}}"#);
    for (answer, without) in [(bare, Outcome::HttpError), (rpc, Outcome::RpcError), (everything, Outcome::RpcError)] {
        assert_eq!(judged(vec![send(&answer)], &session(), limits()).0, Outcome::SessionLost);
        assert_eq!(judged(vec![send(&answer)], &Negotiated::default(), limits()).0, without);
    }
}

#[test]
fn an_http_failure_shows_its_body_and_when_to_come_back() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 31\r\n\r\n{\"error\":\"Rate limit exceeded\"}";
    let failure = run(reply(vec![send(answer)], &session(), limits())).failure.unwrap();
    assert_eq!(failure.example, "HTTP 429 Too Many Requests, Retry-After: 3600: {\"error\":\"Rate limit exceeded\"}");
}

#[test]
fn what_is_too_large_or_endless_stops_at_the_bound() {
    let forever = |head: &str, bytes: &str| vec![send(head), Step::Forever(bytes.into())];
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let comment = ": x\n\n".repeat(1000);
    for (steps, group) in [
        (forever("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", "[[[["), "larger than 100000 bytes"),
        (forever("HTTP/1.1 200 OK\r\ncontent-length: 2000000000\r\n\r\n", "    "), "larger than 100000 bytes"),
        (forever(std::str::from_utf8(&events_head()).unwrap(), &chunk), "larger than 100000 bytes"),
        (
            forever(std::str::from_utf8(&events_head()).unwrap(), &format!("{:x}\r\n{comment}\r\n", comment.len())),
            "larger than 100000 bytes",
        ),
    ] {
        assert_eq!(judged(steps, &session(), limits()), (Outcome::InvalidReply, group.to_owned()));
    }
    let head = "HTTP/1.1 500 Oops\r\n\r\n";
    assert_eq!(judged(forever(head, "x"), &session(), limits()), (Outcome::HttpError, "HTTP 500".to_owned()));
}

#[test]
fn a_timeout_says_how_far_the_answer_had_come() {
    let priming = "12\r\nid: 1\ndata: \n\n: x\n\r\n";
    for (steps, outcome) in [
        (vec![Step::Hang], Outcome::TimeoutNoByte),
        (vec![send(events_head()), Step::Hang], Outcome::TimeoutHeadersOnly),
        (vec![send(events_head()), send(priming), Step::Hang], Outcome::TimeoutHeadersOnly),
        (vec![send(events_head()), send("8\r\ndata: {x\r\n"), Step::Hang], Outcome::TimeoutTruncated),
        (
            vec![
                send(events_head()),
                send("f\r\ndata: {\"jsonrpc\r\n"),
                send("1a\r\n\":\"2.0\",\"method\":\"note\"}\n\n\r\n"),
                Step::Hang,
            ],
            Outcome::TimeoutHeadersOnly,
        ),
        (vec![send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"), Step::Hang], Outcome::TimeoutTruncated),
    ] {
        let text = format!("{steps:?}");
        assert_eq!(judged(steps, &session(), impatient()).0, outcome, "{text}");
    }
}

#[test]
fn a_connection_that_breaks_is_disconnected_and_says_where() {
    for (steps, group) in [
        (vec![Step::Close], "closed before any answer"),
        (vec![Step::Reset], "reset before any answer"),
        (vec![send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"), Step::Close], "closed within the answer"),
        (vec![send(events_head()), Step::Close], "closed within the answer"),
    ] {
        assert_eq!(judged(steps, &session(), limits()), (Outcome::Disconnected, group.to_owned()));
    }
}

#[test]
fn a_break_on_a_reused_connection_says_so_and_is_not_retried() {
    run(async {
        for (step, group) in [(Step::Close, "closed"), (Step::Reset, "reset")] {
            let server = Scripted::start(move |n, request| {
                let ok = OK.replace("4711", &id_of(request).to_string());
                if n == 0 { vec![Step::Send(http("200 OK", JSON, &ok))] } else { vec![step.clone()] }
            })
            .await;
            let (driver, _) = driver_to(&server.target, &session(), limits());
            assert_eq!(driver.call(&call(ID)).await.outcome, Outcome::Ok);
            let second = driver.call(&call(ID + 1)).await;
            assert_eq!(second.outcome, Outcome::Disconnected);
            let group = format!("{group} on a reused connection before any answer");
            assert_eq!(second.failure.unwrap().group, group);
            let seen = server.seen();
            assert_eq!((seen.requests.len(), seen.connections), (2, 1));
        }
    });
}

async fn echo_server(events_instead: bool) -> Scripted {
    Scripted::start(move |_, request| {
        let ok = OK.replace("4711", &id_of(request).to_string());
        vec![Step::Send(if events_instead { events(&format!("data: {ok}\n\n")) } else { http("200 OK", JSON, &ok) })]
    })
    .await
}

#[test]
fn a_connection_is_used_again_until_it_has_been_idle_for_too_long() {
    for events_instead in [false, true] {
        run(async {
            let server = echo_server(events_instead).await;
            let (driver, clock) = driver_to(&server.target, &session(), limits());
            for id in 0..20 {
                assert_eq!(driver.call(&call(ID + id)).await.outcome, Outcome::Ok);
            }
            assert_eq!((driver.connections(), server.seen().connections), (1, 1));
            clock.pass(Duration::from_millis(3_900));
            driver.tidy();
            assert_eq!(driver.call(&call(ID)).await.outcome, Outcome::Ok);
            assert_eq!(server.seen().connections, 1);
            clock.pass(Duration::from_secs(4));
            assert_eq!(driver.call(&call(ID)).await.outcome, Outcome::Ok);
            driver.tidy();
            assert_eq!((driver.connections(), server.seen().connections), (1, 2));
            clock.pass(Duration::from_secs(4));
            driver.tidy();
            assert_eq!(driver.connections(), 0);
        });
    }
}

#[test]
fn a_stream_that_stays_open_after_the_answer_delays_nothing_and_is_given_up() {
    run(async {
        let message = format!("data: {OK}\n\n");
        let chunk = format!("{:x}\r\n{message}\r\n", message.len());
        let server = Scripted::always(vec![send(events_head()), send(chunk), Step::Hang]).await;
        let (driver, clock) = driver_to(&server.target, &session(), limits());
        assert_eq!(driver.call(&call(ID)).await.outcome, Outcome::Ok);
        assert_eq!(driver.connections(), 1);
        assert_eq!(driver.call(&call(ID)).await.outcome, Outcome::Ok);
        assert_eq!((driver.connections(), server.seen().connections), (2, 2));
        clock.pass(Duration::from_millis(101));
        driver.tidy();
        assert_eq!(driver.connections(), 0);
    });
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
    run(async {
        let server = Scripted::start(|_, request| {
            let ok = OK.replace("4711", &id_of(request).to_string());
            vec![Step::Send(http("200 OK", JSON, &ok)), Step::Close]
        })
        .await;
        let (driver, _) = driver_to(&server.target, &session(), limits());
        for id in 0..5 {
            assert_eq!(driver.call(&call(ID + id)).await.outcome, Outcome::Ok);
            // The end of the stream is seen as soon as the runtime has looked at its sockets.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(server.seen().connections, 5);
    });
}

#[test]
fn however_many_connections_the_server_closed_meanwhile_none_of_them_is_used() {
    const MANY: usize = 150;
    run(async {
        let server = Scripted::start(|number, request| {
            let ok = Step::Send(http("200 OK", JSON, &OK.replace("4711", &id_of(request).to_string())));
            // All at once, and closed once all were answered.
            if number < MANY { vec![Step::Until(MANY), ok, Step::Until(MANY + 1), Step::Close] } else { vec![ok] }
        })
        .await;
        let driver = Rc::new(driver_to(&server.target, &session(), limits()).0);
        let called = |id| {
            let driver = Rc::clone(&driver);
            tokio::task::spawn_local(async move { driver.call(&call(ID + id)).await.outcome })
        };
        let calls: Vec<_> = (0..MANY as u64).map(called).collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Outcome::Ok);
        }
        assert_eq!(driver.connections(), MANY);
        server.seen().requests.push("the last".to_owned());
        for _ in 0..MANY {
            tokio::task::yield_now().await;
        }
        for id in 0..10 {
            assert_eq!(called(id).await.unwrap(), Outcome::Ok);
        }
        // The first of these calls closed some and opened another; the others are not in the way.
        assert_eq!(driver.connections(), MANY - 64 + 1);
    });
}

#[test]
fn a_connection_that_is_to_be_avoided_is_left_to_others_and_makes_room_only_at_the_bound() {
    run(async {
        let avoiding = |avoid| Call { avoid, ..call(ID) };
        for (max_idle, open) in [(10, 2), (1, 1)] {
            let server = echo_server(false).await;
            let (driver, _) = driver_to(&server.target, &session(), Limits { max_idle, ..limits() });
            let first = driver.call(&call(ID)).await.connection;
            let other = driver.call(&avoiding(first)).await.connection;
            assert!(first.is_some() && other.is_some() && other != first, "{first:?} {other:?}");
            let again = driver.call(&avoiding(other)).await.connection;
            assert_eq!(again == first, open == 2, "an idle one is used where there is one");
            assert_ne!(again, other);
            assert_eq!(driver.connections(), open);
            assert_eq!(driver.call(&call(ID)).await.connection, again, "the one used last");
        }
    });
}

#[test]
fn a_request_is_one_write_with_the_agreed_headers_and_nothing_else() {
    run(async {
        let server = echo_server(false).await;
        let (driver, _) = driver_to(&server.target, &session(), limits());
        let reply = driver.call(&call(ID)).await;
        let (bare, _) = driver_to(&server.target, &Negotiated::default(), limits());
        bare.call(&call(ID)).await;
        let seen = server.seen();
        assert!(!seen.requests[1].contains("mcp-"));
        let expected = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\nuser-agent: mcpace/{}\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\nmcp-protocol-version: 2025-11-25\r\nmcp-session-id: s-1\r\n\
             content-length: 113\r\n\r\n{{\"jsonrpc\":\"2.0\",\"id\":4711,\"method\":\"tools/call\",\
             \"params\":{{\"name\":\"create_payment\",\"arguments\":{{\"amount\":10.50}}}}}}",
            server.target.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        assert_eq!(seen.requests[0], expected);
        assert_eq!(seen.pieces, [1, 1]);
        let (sent, received) = driver.bytes();
        assert_eq!(sent as usize, seen.requests[0].len());
        assert_eq!(received as usize, http("200 OK", JSON, OK).len());
        let (sent, first_byte) = (reply.stamps.sent.unwrap(), reply.stamps.first_byte.unwrap());
        assert!(sent < first_byte && first_byte <= reply.stamps.done, "{:?}", reply.stamps);
    });
}

#[test]
fn nobody_listening_is_unreachable() {
    run(async {
        let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let target = format!("http://127.0.0.1:{port}").parse().unwrap();
        let (driver, _) = driver_to(&target, &session(), limits());
        let reply = driver.call(&call(ID)).await;
        assert_eq!((reply.outcome, reply.stamps.sent), (Outcome::Unreachable, None));
        assert_eq!(reply.failure.unwrap().group, "connection refused");
        assert_eq!(driver.connections(), 0);
    });
}
