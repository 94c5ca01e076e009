//! What a server may want of a client in a conversation, in each era, and what the client does about it.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::scripted::{Scripted, Step, events, events_head, http, id_of, run};
use super::{Client, ClientError, Connector, Manner, PreflightError};
use crate::mcp::{Protocol, Revision};

const JSON: &str = "application/json";
const PATIENCE: Duration = Duration::from_secs(10);
const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#;
const INTRODUCED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#;
const NONE: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

fn rpc(request: &str, member: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},{member}}}"#, id_of(request))
}

fn result(request: &str, result: &str) -> Vec<Step> {
    send(http("200 OK", JSON, &rpc(request, &format!(r#""result":{result}"#))))
}

/// A server of 2026-07-28 with these tools; what is no question about itself is answered by `others`.
async fn modern(tools: Value, others: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |n, request| match method(request).as_str() {
        "server/discover" => result(request, DISCOVERED),
        "tools/list" => result(request, &json!({ "resultType": "complete", "tools": tools }).to_string()),
        _ => others(n, request),
    })
    .await
}

/// The same of 2025-11-25, with a session.
async fn with_session(others: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |n, request| match method(request).as_str() {
        "server/discover" => send(http("400 Bad Request", "text/plain", "Session ID is required")),
        "initialize" => {
            let answer = http("200 OK", JSON, &rpc(request, &format!(r#""result":{INTRODUCED}"#)));
            send(String::from_utf8(answer).unwrap().replacen("\r\n", "\r\nmcp-session-id: s-1\r\n", 1))
        }
        "notifications/initialized" => send(NONE),
        "tools/list" => result(request, r#"{"tools":[]}"#),
        _ => others(n, request),
    })
    .await
}

fn body(request: &str) -> Value {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(body).unwrap_or_default()
}

fn method(request: &str) -> String {
    body(request)["method"].as_str().unwrap_or_default().to_owned()
}

/// Says yes to every elicitation, and refuses everything else.
fn agreeable() -> Manner {
    let answers = |method: &str, params: &Value| {
        let accepted = json!({ "action": "accept", "content": { "echo": params["message"] } });
        (method == "elicitation/create").then_some(accepted)
    };
    Manner { capabilities: json!({ "elicitation": {} }), answers: Some(Rc::new(answers)), ..Manner::plain(PATIENCE) }
}

async fn open(server: &Scripted, protocol: Protocol) -> Result<Client, PreflightError> {
    Client::open(&Connector::new(server.target.clone()), protocol, agreeable()).await
}

#[test]
fn a_modern_request_says_in_headers_what_it_says_in_its_body() {
    run(async {
        let tools = json!([
            { "name": "pay", "inputSchema": { "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" },
                "priority": { "type": "integer", "x-mcp-header": "Priority" },
                "note": { "type": "string", "x-mcp-header": "Note" } } } },
            { "name": "bad", "inputSchema": { "properties": { "a": { "type": "number", "x-mcp-header": "A" } } } },
        ]);
        let server = modern(tools, |_, request| result(request, r#"{"content":[]}"#)).await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        let negotiated = client.negotiated();
        assert_eq!(negotiated.revision, Some(Revision::V2026_07_28));
        assert!(negotiated.tool("pay").is_some() && negotiated.tool("bad").is_none());
        let why = "the tool `bad` cannot be used: its x-mcp-header `A` marks something else than a string, \
                   an integer or a boolean";
        assert_eq!(negotiated.warnings, [why]);

        let arguments = json!({ "region": "Zürich", "priority": 5, "note": null });
        client.request("tools/call", json!({ "name": "pay", "arguments": arguments })).await.unwrap();
        client.request("resources/read", json!({ "uri": "file:///a b" })).await.unwrap();
        client.request("prompts/get", json!({ "name": " p" })).await.unwrap();
        client.request("prompts/list", Value::Null).await.unwrap();
        client.close().await;
        let seen = server.seen();
        assert_eq!(seen.requests.len(), 6);
        for (request, method, name) in [
            (0, "server/discover", None),
            (1, "tools/list", None),
            (2, "tools/call", Some("pay")),
            (3, "resources/read", Some("file:///a b")),
            (4, "prompts/get", Some("=?base64?IHA=?=")),
            (5, "prompts/list", None),
        ] {
            let request = &seen.requests[request];
            assert!(request.contains("\r\nmcp-protocol-version: 2026-07-28\r\n"), "{request}");
            assert!(request.contains(&format!("\r\nmcp-method: {method}\r\n")), "{request}");
            let named = name.map(|name| format!("\r\nmcp-name: {name}\r\n"));
            assert_eq!(request.contains("\r\nmcp-name: "), named.is_some(), "{request}");
            assert!(request.contains(&named.unwrap_or_default()), "{request}");
            assert!(request.starts_with("POST ") && !request.contains("mcp-session-id"), "{request}");
            let meta = &body(request)["params"]["_meta"];
            assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
            assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({ "elicitation": {} }));
            assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "mcpace");
        }
        assert!(
            seen.requests[2].contains("\r\nmcp-param-region: =?base64?WsO8cmljaA==?=\r\nmcp-param-priority: 5\r\n")
        );
        assert!(!seen.requests[2].contains("mcp-param-note"));
    });
}

#[test]
fn input_that_is_required_is_given_with_the_state_as_it_came_and_a_new_id() {
    let state = "{\"a\": 1.0,  \"b\":\"\\u00e9\"}";
    run(async move {
        let wanted = |key: &str, state: Option<&str>| {
            let asked = json!({ "method": "elicitation/create", "params": { "message": key } });
            let mut wanted = json!({ "resultType": "input_required", "inputRequests": { key: asked } });
            if let Some(state) = state {
                wanted["requestState"] = state.into();
            }
            wanted.to_string()
        };
        let server = modern(json!([]), move |_, request| {
            let params = &body(request)["params"];
            if params["inputResponses"].get("second").is_some() {
                result(request, r#"{"resultType":"complete","content":[]}"#)
            } else if params["inputResponses"].get("first").is_some() {
                result(request, &wanted("second", None))
            } else {
                result(request, &wanted("first", Some(state)))
            }
        })
        .await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        let params = json!({ "name": "t", "arguments": { "x": 1 } });
        assert_eq!(client.request("tools/call", params).await.unwrap()["content"], json!([]));
        let calls: Vec<Value> = server.seen().requests[2..].iter().map(|request| body(request)).collect();
        assert_eq!(calls.len(), 3);
        let accepted = |text: &str| json!({ text: { "action": "accept", "content": { "echo": text } } });
        for (call, responses, state) in
            [(0, Value::Null, Value::Null), (1, accepted("first"), state.into()), (2, accepted("second"), Value::Null)]
        {
            let params = &calls[call]["params"];
            assert_eq!((&params["inputResponses"], &params["requestState"]), (&responses, &state));
            assert_eq!(params["arguments"], json!({ "x": 1 }));
        }
        assert!(calls[0]["id"] != calls[1]["id"] && calls[1]["id"] != calls[2]["id"]);
    });
}

#[test]
fn input_that_nobody_gives_or_that_is_never_enough_ends_the_request() {
    run(async {
        let server = modern(json!([]), |_, request| match body(request)["params"]["name"].as_str() {
            Some("state") if body(request)["params"]["requestState"] == "s" => result(request, "{}"),
            Some("state") => result(request, r#"{"resultType":"input_required","requestState":"s"}"#),
            Some("never") => result(request, r#"{"resultType":"input_required","inputRequests":{}}"#),
            Some("odd") => result(request, r#"{"resultType":"task"}"#),
            _ => result(request, r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}"#),
        })
        .await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        let call = |name: &str| client.request("tools/call", json!({ "name": name }));
        assert_eq!(call("state").await, Ok(json!({})));
        assert_eq!(call("roots").await, Err(ClientError::InputRequired("roots/list".to_owned())));
        let before = server.seen().requests.len();
        assert_eq!(call("never").await, Err(ClientError::InputRequired("tools/call".to_owned())));
        assert_eq!(server.seen().requests.len() - before, 10);
        assert!(call("odd").await.unwrap_err().to_string().contains("unknown resultType"));
    });
}

#[test]
fn a_request_that_is_refused_for_its_version_is_made_once_more_and_other_errors_are_given() {
    run(async {
        let refused = |request: &str| {
            let error = r#""error":{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}"#;
            send(http("400 Bad Request", JSON, &rpc(request, error)))
        };
        let server = modern(json!([]), move |_, request| match method(request).as_str() {
            "once" if id_of(request) % 2 == 1 => refused(request),
            "always" => refused(request),
            "unknown" => {
                send(http("404 Not Found", JSON, &rpc(request, r#""error":{"code":-32601,"message":"no","data":[1]}"#)))
            }
            "gone" => send(http("404 Not Found", "text/plain", "nobody here")),
            _ => result(request, "{}"),
        })
        .await;
        let client = open(&server, Protocol::Revision(Revision::V2026_07_28)).await.unwrap();
        assert_eq!(client.request("once", Value::Null).await, Ok(json!({})));
        let code = |error| if let Err(ClientError::Rpc { code, .. }) = error { Some(code) } else { None };
        assert_eq!(code(client.request("always", Value::Null).await), Some(-32022));
        assert_eq!(
            client.request("unknown", Value::Null).await,
            Err(ClientError::Rpc { code: -32601, message: "no".to_owned(), data: Some(json!([1])) })
        );
        let gone = client.request("gone", Value::Null).await.unwrap_err().to_string();
        assert!(gone.contains("HTTP 404 Not Found: nobody here"), "{gone}");
    });
}

#[test]
fn what_a_server_asks_on_the_stream_of_an_answer_is_answered_within_the_session() {
    run(async {
        let server = with_session(|_, request| {
            if method(request) != "tools/call" {
                return send(NONE);
            }
            let asked = "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\",\"params\":{\"message\":\"m\"}}\n\n\
                         data: {\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}\n\n\
                         data: {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"roots/list\"}\n\n\
                         data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n";
            let answer = format!("data: {}\n\n", rpc(request, r#""result":{"content":[]}"#));
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
            // The server answers when it has been answered itself, three times.
            vec![Step::Send(events_head()), Step::Send(chunk(asked)), Step::Until(8), Step::Send(chunk(&answer))]
        })
        .await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        client.request("tools/call", json!({ "name": "t" })).await.unwrap();
        client.close().await;
        let seen = server.seen();
        let said = |n: usize| {
            assert!(seen.requests[n].contains("mcp-session-id: s-1\r\n"));
            body(&seen.requests[n])
        };
        let accepted = json!({ "action": "accept", "content": { "echo": "m" } });
        assert_eq!(said(5), json!({ "jsonrpc": "2.0", "id": 0, "result": accepted }));
        assert_eq!(said(6), json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
        assert_eq!((&said(7)["id"], &said(7)["error"]["code"]), (&json!(2), &json!(-32601)));
        assert!(seen.requests[8].starts_with("DELETE ") && seen.requests.len() == 9);
        assert!(!seen.requests.iter().skip(1).any(|request| request.contains("mcp-method")));
    });
}

#[test]
fn a_stream_that_ends_early_is_gone_on_with_from_its_last_event() {
    run(async {
        let server = with_session(|n, request| {
            if request.starts_with("GET ") && n == 5 {
                return send(events("id: 8\nretry: 1\ndata: \n\n"));
            }
            if request.starts_with("GET ") {
                // The call had the id 4: the probe was 1, the handshake 2, the list 3.
                let answer = "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"content\":[]}}\n\n";
                return send(events(answer));
            }
            send(events("id: 7\nretry: 1\ndata: \n\n"))
        })
        .await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        assert_eq!(client.request("tools/call", json!({ "name": "t" })).await, Ok(json!({ "content": [] })));
        let seen = server.seen();
        for (n, place) in [(5, "7"), (6, "8")] {
            assert!(seen.requests[n].starts_with("GET /mcp "), "{}", seen.requests[n]);
            assert!(seen.requests[n].contains("accept: text/event-stream\r\n"));
            assert!(seen.requests[n].contains("mcp-session-id: s-1\r\n"));
            assert!(seen.requests[n].contains(&format!("last-event-id: {place}\r\n")));
        }
    });
    run(async {
        let server = modern(json!([]), |_, _| send(events("id: 7\nretry: 1\ndata: \n\n"))).await;
        let client = open(&server, Protocol::Auto).await.unwrap();
        let lost = client.request("tools/call", json!({ "name": "t" })).await.unwrap_err().to_string();
        assert!(lost.contains("ended without an answer"), "{lost}");
        assert_eq!(server.seen().requests.len(), 3, "a modern stream is not gone on with");
    });
}

#[test]
fn a_server_may_ask_on_a_stream_of_its_own_while_a_call_waits() {
    run(async {
        let server = with_session(|_, request| {
            if request.starts_with("GET ") {
                let asked = "id: 3\nretry: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"elicitation/create\",\"params\":{\"message\":\"m\"}}\n\n";
                let is_first = !request.contains("last-event-id");
                return if is_first { send(events(asked)) } else { vec![Step::Hang] };
            }
            if method(request) == "tools/call" {
                let answer = http("200 OK", JSON, &rpc(request, r#""result":{}"#));
                // A call, a stream, the answer to what is asked on it, and the stream once more.
                return vec![Step::Until(7), Step::Send(answer)];
            }
            send(NONE)
        })
        .await;
        let client = open(&server, Protocol::Revision(Revision::V2025_11_25)).await.unwrap();
        let call = Box::pin(client.request("tools/call", json!({ "name": "t" })));
        let called = client.listening(call).await;
        assert_eq!(called, Ok(json!({})));
        let seen = server.seen();
        assert!(seen.requests[3].starts_with("GET /mcp "), "the call came first:\n{}", seen.requests[3]);
        let answered = seen.requests.iter().find(|request| request.contains("\"result\"")).unwrap();
        assert_eq!(body(answered)["result"]["content"]["echo"], "m");
        assert!(seen.requests.iter().any(|request| request.contains("last-event-id: 3\r\n")));
    });
}
