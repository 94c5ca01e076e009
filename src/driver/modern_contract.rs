//! Calls of revision 2026-07-28 as they are on the wire, and what its servers answer.

use std::time::Duration;

use serde_json::{Value, json};

use super::scripted::{Scripted, Step, events, http, run};
use super::{Connector, Driver, Limits, McpDriver};
use crate::mcp::{Negotiated, Revision, Tool};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::trace::Traces;
use crate::workload::{Call, OperationId, Reply, Ties};

const ID: u64 = 4711;
const JSON: &str = "application/json";
const OK: &str = r#"{"jsonrpc":"2.0","id":4711,"result":{"resultType":"complete","content":[],"isError":false}}"#;

/// A clock that stands still: these tests are about bytes.
#[derive(Clone, Copy)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment::ZERO
    }
}

fn negotiated() -> Negotiated {
    let schema = json!({ "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "amount": { "type": "integer", "x-mcp-header": "Amount" } } });
    let marked = Tool { input_schema: schema, ..Tool::named("marked") };
    Negotiated {
        revision: Some(Revision::V2026_07_28),
        tools: Some(vec![Tool::named("pay now"), marked]),
        ..Negotiated::default()
    }
}

fn driver_to(server: &Scripted, timeout: Duration) -> McpDriver<Still> {
    let tools = ["pay now".to_owned(), "marked".to_owned()];
    let limits = Limits { timeout, max_reply_bytes: 100_000, ..Limits::default() };
    McpDriver::new(Connector::new(server.target.clone()), &negotiated(), &tools, limits, Still)
}

fn call(operation: u16, arguments: &str) -> Call {
    let operation = OperationId(operation);
    Call { operation, id: ID, arguments: arguments.to_owned(), ties: Ties::default(), avoid: None, trace: None }
}

fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

async fn reply(steps: Vec<Step>) -> Reply {
    let server = Scripted::always(steps).await;
    driver_to(&server, Duration::from_secs(20)).call(&call(0, "{}")).await
}

#[test]
fn a_call_says_all_about_itself_in_one_write() {
    run(async {
        let server = Scripted::always(send(http("200 OK", JSON, OK))).await;
        let driver = driver_to(&server, Duration::from_secs(20));
        assert_eq!(driver.call(&call(0, r#"{"region":"eu"}"#)).await.outcome, Outcome::Ok);
        driver.call(&call(1, r#"{"amount":5.0,"region":"Zürich"}"#)).await;
        driver.call(&call(1, r#"{"region":null}"#)).await;
        let seen = server.seen();
        assert_eq!(seen.pieces, [1, 1, 1]);
        let (head, body) = seen.requests[0].split_once("\r\n\r\n").unwrap();
        let expected = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\nuser-agent: mcpace/{}\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n\
             mcp-name: pay now\r\ncontent-length: {}",
            server.target.authority(),
            env!("CARGO_PKG_VERSION"),
            body.len(),
        );
        assert_eq!(head, expected);
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "mcpace", "version": env!("CARGO_PKG_VERSION") },
        });
        let params = json!({ "_meta": meta, "name": "pay now", "arguments": { "region": "eu" } });
        let message = json!({ "jsonrpc": "2.0", "id": ID, "method": "tools/call", "params": params });
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), message);
        let marked = "mcp-name: marked\r\nmcp-param-region: =?base64?WsO8cmljaA==?=\r\nmcp-param-amount: 5\r\n";
        assert!(seen.requests[1].contains(marked), "{}", seen.requests[1]);
        assert!(!seen.requests[2].contains("mcp-param"), "{}", seen.requests[2]);
    });
}

#[test]
fn a_call_that_has_a_trace_tells_it_in_a_header_and_another_tells_none() {
    run(async {
        let server = Scripted::always(send(http("200 OK", JSON, OK))).await;
        let driver = driver_to(&server, Duration::from_secs(20));
        let context = Traces::of_run("run").of(0, 7);
        driver.call(&Call { trace: Some(context), ..call(0, "{}") }).await;
        driver.call(&call(0, "{}")).await;
        let seen = server.seen();
        let header = String::from_utf8(context.header().to_vec()).unwrap();
        assert!(seen.requests[0].contains(&format!("\r\ntraceparent: {header}\r\n")), "{}", seen.requests[0]);
        assert!(!seen.requests[1].contains("traceparent"), "{}", seen.requests[1]);
    });
}

#[test]
fn errors_of_the_protocol_are_its_errors_whatever_their_status_and_no_session_is_ever_lost() {
    let error = |code: i64| format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{{"code":{code},"message":"m"}}}}"#);
    let failed_events = |status: &str, code| {
        let answer = String::from_utf8(events(&format!("data: {}\n\n", error(code)))).unwrap();
        answer.replacen("200 OK", status, 1).into_bytes()
    };
    let endless = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/event-stream\r\n\r\n: nothing\n\n".as_bytes();
    for (answer, outcome, group) in [
        (http("400 Bad Request", JSON, &error(-32020)), Outcome::RpcError, "-32020 m"),
        (http("400 Bad Request", JSON, &error(-32021)), Outcome::RpcError, "-32021 m"),
        (http("400 Bad Request", JSON, &error(-32022)), Outcome::RpcError, "-32022 m"),
        (http("400 Bad Request", JSON, &error(-32000)), Outcome::RpcError, "-32000 m"),
        (http("404 Not Found", JSON, &error(-32601)), Outcome::RpcError, "-32601 m"),
        (http("404 Not Found", "text/plain", "gone"), Outcome::HttpError, "HTTP 404"),
        (failed_events("400 Bad Request", -32602), Outcome::RpcError, "-32602 m"),
        (endless.to_vec(), Outcome::HttpError, "HTTP 400"),
        (http("401 Unauthorized", JSON, &error(-32020)), Outcome::AuthError, "HTTP 401"),
    ] {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let reply = run(reply(send(&answer)));
        assert_eq!((reply.outcome, &*reply.failure.unwrap().group), (outcome, group), "{text}");
    }
}

#[test]
fn a_result_is_complete_or_wants_input_or_is_none() {
    for (result, outcome) in [
        (r#"{"content":[]}"#, Outcome::Ok),
        (r#"{"content":[],"resultType":"complete","ttlMs":0,"structuredContent":[1]}"#, Outcome::Ok),
        (r#"{"resultType":"complete","isError":true}"#, Outcome::ToolError),
        (r#"{"resultType":"input_required","requestState":"s"}"#, Outcome::InputRequired),
        (r#"{"resultType":"task","task":{}}"#, Outcome::InvalidReply),
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{result}}}"#);
        for answer in [http("200 OK", JSON, &message), events(&format!("data: {message}\n\n"))] {
            assert_eq!(run(reply(send(answer))).outcome, outcome, "{result}");
        }
    }
}

#[test]
fn a_call_that_takes_too_long_is_cancelled_by_closing_its_stream_and_nothing_else() {
    run(async {
        let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: 1\nretry: 1\ndata: \n\n";
        let server = Scripted::always(vec![Step::Send(begun.into()), Step::Hang]).await;
        let driver = driver_to(&server, Duration::from_millis(200));
        assert_eq!(driver.call(&call(0, "{}")).await.outcome, Outcome::TimeoutHeadersOnly);
        assert_eq!(driver.connections(), 0);
        assert_eq!(server.seen().requests.len(), 1);
    });
    // A stream that breaks is a lost request: there is nothing to go on with it from.
    run(async {
        let server = Scripted::always(send(events("id: 1\nretry: 1\ndata: \n\n"))).await;
        let driver = driver_to(&server, Duration::from_secs(20));
        assert_eq!(driver.call(&call(0, "{}")).await.outcome, Outcome::Disconnected);
        assert_eq!(server.seen().requests.len(), 1);
    });
}
