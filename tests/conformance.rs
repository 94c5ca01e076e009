//! The client that the conformance suite of MCP examines, as far as a scripted server can show it.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::net::TcpStream;

use common::scripted::{Request, Scripted, respond, respond_json, respond_result, shake_hands};
use common::{Ended, finish, mcpace};
use serde_json::{Value, json};

/// Has the client do a scenario at `server`, with more variables of the suite's.
fn examine(server: &Scripted, scenario: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = mcpace();
    command.args(["conformance-client", &server.url()]).env("MCP_CONFORMANCE_SCENARIO", scenario);
    command.envs(variables.iter().copied());
    finish(command)
}

/// A server of 2026-07-28 with these tools; `calls` answers their calls.
fn modern(tools: Value, calls: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request, stream| match request.rpc() {
        "server/discover" => {
            let discovered = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}});
            respond_result(stream, request, &discovered)
        }
        "tools/list" => respond_result(stream, request, &json!({ "resultType": "complete", "tools": tools })),
        _ => calls(request, stream),
    })
}

fn events(stream: &mut TcpStream, events: &str) -> bool {
    respond(stream, "200 OK", "content-type: text/event-stream\r\n", events)
}

#[test]
fn the_calls_of_the_context_are_made_with_their_headers_and_their_results_are_printed() {
    let schema = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    let server = modern(json!([{ "name": "pay", "inputSchema": schema }]), |request, stream| {
        respond_result(stream, request, &json!({ "content": [], "n": request.body["params"]["arguments"]["n"] }))
    });
    let context = r#"{"name":"http-custom-headers","toolCalls":[
        {"name":"pay","arguments":{"region":"Zürich","n":1}},{"name":"pay","arguments":{"region":null,"n":2}}]}"#;
    let ended = examine(&server, "http-custom-headers", &[("MCP_CONFORMANCE_CONTEXT", context)]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, "{\"content\":[],\"n\":1}\n{\"content\":[],\"n\":2}\n");
    let headers: Vec<_> =
        server.requests("tools/call").iter().map(|call| call.header("mcp-param-region").to_owned()).collect();
    assert_eq!(headers, ["=?base64?WsO8cmljaA==?=", ""]);
}

#[test]
fn a_state_is_given_back_as_it_came_while_other_conversations_go_on() {
    const STATE: &str = "{\"n\": 1.0,  \"é\":\"\\u00e9\"}";
    let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
    let server = modern(json!([tool("asks"), tool("answers")]), |request, stream| {
        let params = &request.body["params"];
        let confirm = json!({ "method": "elicitation/create", "params": { "requestedSchema": { "properties": {
            "sure": { "type": "boolean" }, "name": { "type": "string", "default": "N" }, "age": { "type": "integer" },
        } } } });
        if params["name"] == "asks" && params["requestState"].is_null() {
            let wanted =
                json!({ "resultType": "input_required", "requestState": STATE, "inputRequests": { "q": confirm } });
            return respond_result(stream, request, &wanted);
        }
        respond_result(stream, request, &json!({ "resultType": "complete", "content": [] }))
    });
    let version = [("MCP_CONFORMANCE_PROTOCOL_VERSION", "2026-07-28")];
    let ended = examine(&server, "sep-2322-client-request-state", &version);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 2), "{}", ended.err);
    let calls = server.requests("tools/call");
    let of =
        |name: &str| -> Vec<&Request> { calls.iter().filter(|call| call.body["params"]["name"] == name).collect() };
    let [first, second] = of("asks")[..] else { panic!("{calls:?}") };
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!(second.body["params"]["requestState"], STATE);
    let accepted = json!({ "action": "accept", "content": { "sure": true, "name": "N" } });
    assert_eq!(second.body["params"]["inputResponses"], json!({ "q": accepted }));
    let [other] = of("answers")[..] else { panic!("{calls:?}") };
    assert!(other.body["params"].get("requestState").is_none() && other.body["params"].get("inputResponses").is_none());
}

#[test]
fn a_server_with_a_handshake_may_ask_on_its_own_stream_and_break_off_its_answer() {
    let server = Scripted::start(|request, stream| {
        if shake_hands(stream, request) {
            return true;
        }
        let asked = json!({ "jsonrpc": "2.0", "id": 0, "method": "elicitation/create", "params": { "requestedSchema": {
            "properties": { "age": { "type": "integer", "default": 30 } } } } });
        match (request.method.as_str(), request.header("last-event-id")) {
            // The call had the id 4: the probe was 1, the handshake 2, the list 3.
            ("GET", "7") => events(stream, "data: {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"content\":[]}}\n\n"),
            ("GET", "") => events(stream, &format!("retry: 60000\ndata: {asked}\n\n")),
            _ if request.rpc() == "tools/call" => events(stream, "id: 7\nretry: 1\ndata: \n\n"),
            _ => respond(stream, "202 Accepted", "", ""),
        }
    });
    let ended = examine(&server, "sse-retry", &[]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "{\"content\":[]}\n"), "{}", ended.err);
    assert_eq!(server.requests("tools/call").len(), 1, "a call is never made twice");
    let unnamed = server.requests("");
    let answer = unnamed.iter().find(|request| request.body["id"] == 0).expect("an answer to what was asked");
    assert_eq!(answer.body["result"], json!({ "action": "accept", "content": { "age": 30 } }));
}

#[test]
fn a_tool_that_fails_and_a_server_that_is_none_end_with_an_error() {
    let server = modern(json!([]), |request, stream| {
        respond_result(stream, request, &json!({ "isError": true, "content": [{ "type": "text", "text": "no sum" }] }))
    });
    examine(&server, "tools_call", &[]).assert_refused(5, &["failed to call a tool", "no sum"]);
    let server = Scripted::start(|_, stream| respond_json(stream, "503 Service Unavailable", &json!({})));
    examine(&server, "initialize", &[]).assert_refused(5, &["failed to", "503"]);
}

#[test]
fn what_the_suite_says_is_read_before_anything_is_sent() {
    let server = modern(json!([]), |_, _| false);
    let version = |version| vec![("MCP_CONFORMANCE_PROTOCOL_VERSION", version)];
    for (scenario, variables, why) in [
        ("", vec![], "MCP_CONFORMANCE_SCENARIO names no scenario: let the conformance suite start this program"),
        ("auth/x", vec![], "MCP_CONFORMANCE_SCENARIO=auth/x is no scenario that this client can be examined in"),
        (
            "initialize",
            version("2024-11-05"),
            "MCP_CONFORMANCE_PROTOCOL_VERSION: protocol `2024-11-05` is not known here",
        ),
        ("initialize", vec![("MCP_CONFORMANCE_CONTEXT", "{")], "MCP_CONFORMANCE_CONTEXT cannot be read"),
    ] {
        examine(&server, scenario, &variables).assert_refused(2, &[why]);
    }
    let mut nowhere = mcpace();
    nowhere.args(["conformance-client", "ftp://x"]).env("MCP_CONFORMANCE_SCENARIO", "initialize");
    finish(nowhere).assert_refused(2, &["only http:// and https:// are spoken here"]);
    assert_eq!(server.connections(), 0);
}
