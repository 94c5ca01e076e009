//! The server as its clients see it: over real connections, in every mode, with every fault.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

pub(super) const REVISIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
pub(super) const MODES: [(Sessions, Replies); 3] =
    [(Sessions::Stateless, Replies::Json), (Sessions::Stateless, Replies::Sse), (Sessions::Stateful, Replies::Sse)];

/// A server of its own for one test.
pub(super) struct Served {
    pub(super) listening: Listening,
    end: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), ServerError>>,
}

pub(super) async fn served(settings: Settings) -> Served {
    let (ready, listening) = oneshot::channel();
    let (end, ending) = oneshot::channel::<()>();
    let ended = tokio::spawn(async move {
        let settings = Settings { port: 0, ..settings };
        serve(settings, |listening| ready.send(listening).unwrap(), async { drop(ending.await) }).await
    });
    Served { listening: listening.await.unwrap(), end, ended }
}

fn with_faults(faults: Faults) -> Settings {
    Settings { faults, ..Settings::default() }
}

/// One connection of an MCP client, and what it has to send along.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    revision: &'static str,
    session: Option<String>,
}

#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, address, revision: REVISIONS[0], session: None }
    }

    /// Connects and shakes hands as MCP demands.
    pub(super) async fn initialized(address: SocketAddr, revision: &'static str) -> Self {
        let mut client = Self { revision, ..Self::connect(address).await };
        let answer = client
            .post(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}))
            .await
            .unwrap();
        assert_eq!(answer.message()["result"]["protocolVersion"], revision);
        client.session = answer.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let noted = client.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await.unwrap();
        assert_eq!(noted.status, StatusCode::ACCEPTED);
        client
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> hyper::Result<Answer> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", self.revision)
            .header("mcp-method", text(&body["method"]))
            .header("mcp-name", text(&body["params"]["name"]));
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::from(body.to_string())).unwrap()).await?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }

    pub(super) async fn post(&mut self, message: &Value) -> hyper::Result<Answer> {
        self.send(Method::POST, "/mcp", message).await
    }

    pub(super) async fn request(&mut self, method: &str, params: Value) -> Value {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).await.unwrap().message()
    }

    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }
}

impl Answer {
    fn kind(&self) -> &str {
        self.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap())
    }

    /// The message in a JSON body, or the one in a stream of events.
    fn message(&self) -> Value {
        let text = std::str::from_utf8(&self.body).unwrap();
        let json = if self.kind().starts_with("text/event-stream") {
            let mut data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
            data.rfind(|data| !data.is_empty()).unwrap()
        } else {
            text
        };
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {} {text:?}", self.status))
    }
}

pub(super) fn an_order(key: &str) -> Value {
    json!({"amount": 12.34, "currency": "EUR", "method": "card", "customer_id": "ann", "idempotency_key": key,
        "description": "a thing", "metadata": {"test_run": true}})
}

pub(super) fn refusal(message: &Value) -> &str {
    assert_eq!(message["result"]["isError"], true, "{message}");
    message["result"]["content"][0]["text"].as_str().unwrap()
}

/// What a verify tells of a payment that was made like this.
pub(super) fn told(made: &Value) -> Value {
    let mut payment = made["result"]["structuredContent"].clone();
    payment.as_object_mut().unwrap().remove("replayed");
    payment
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_revision_is_served_in_every_mode() {
    for (sessions, replies) in MODES {
        let server = served(Settings { sessions, replies, ..Settings::default() }).await;
        for revision in REVISIONS {
            let mut client = Client::initialized(server.listening.address, revision).await;
            assert_eq!(client.session.is_some(), sessions == Sessions::Stateful);
            let made = client.call("create_payment", an_order(revision)).await;
            let payment = &told(&made);
            assert_eq!(made["id"], 7);
            let found = client.call("verify_payment", json!({"payment_id": payment["payment_id"]})).await;
            assert_eq!(found["result"]["structuredContent"], *payment, "{made} {found}");
            assert_eq!((&payment["amount"], &payment["status"]), (&json!(12.34), &json!("completed")));
            let listed = client.post(&json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"})).await.unwrap();
            let kind = if replies == Replies::Json { "application/json" } else { "text/event-stream" };
            assert_eq!(listed.kind(), kind);
            if client.session.is_some() {
                let ended = client.send(Method::DELETE, "/mcp", &Value::Null).await.unwrap();
                assert!(ended.status.is_success(), "{}", ended.status);
                let gone = client.post(&json!({"jsonrpc": "2.0", "id": 10, "method": "ping"})).await.unwrap();
                assert_eq!(gone.status, StatusCode::NOT_FOUND);
            }
        }
    }
}

#[tokio::test]
async fn the_newest_revision_needs_no_handshake_and_gets_no_session() {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    for (sessions, replies) in MODES {
        let server = served(Settings { sessions, replies, ..Settings::default() }).await;
        let mut client = Client { revision: "2026-07-28", ..Client::connect(server.listening.address).await };
        let discovered = client.request("server/discover", json!({"_meta": meta})).await;
        let versions = discovered["result"]["supportedVersions"].as_array().cloned().unwrap_or_default();
        assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
        let params = json!({"name": "create_payment", "arguments": an_order("k"), "_meta": meta});
        let call = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/call", "params": params});
        let made = client.post(&call).await.unwrap();
        assert!(made.headers.get("mcp-session-id").is_none());
        assert_eq!(made.message()["result"]["structuredContent"]["amount"], 12.34, "{}", made.message());
    }
}

#[tokio::test]
async fn three_tools_are_listed_with_flat_schemas_of_arguments_and_answers() {
    let server = served(Settings::default()).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let listed = client.request("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["create_payment", "get_wallet_balance", "verify_payment"]);
    let create = &tools[0]["inputSchema"];
    assert_eq!(create["required"], json!(["amount", "currency", "method", "customer_id"]));
    assert_eq!(create["properties"]["currency"]["enum"], json!(["USD", "EUR", "GBP", "INR", "JPY"]));
    assert_eq!(create["properties"]["method"]["enum"], json!(["card", "bank_transfer", "wallet", "upi"]));
    assert_eq!(tools[1]["outputSchema"]["properties"]["balance"]["type"], "number");
    assert!(tools.iter().all(|tool| tool["outputSchema"]["type"] == "object"));
    assert!(!listed.to_string().contains("$ref"), "{listed}");
}

#[tokio::test]
async fn a_key_used_twice_pays_once_and_another_body_is_refused() {
    let server = served(Settings::default()).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let wallet = json!({"customer_id": "ann", "currency": "EUR"});
    let balance = |message: &Value| message["result"]["structuredContent"]["balance"].as_f64().unwrap();
    let before = balance(&client.call("get_wallet_balance", wallet.clone()).await);
    let first = client.call("create_payment", an_order("k")).await;
    let second = client.call("create_payment", an_order("k")).await;
    let mut replayed = first["result"]["structuredContent"].clone();
    assert_eq!(replayed["replayed"].take(), false);
    replayed["replayed"] = json!(true);
    assert_eq!(second["result"]["structuredContent"], replayed);
    let mut other = an_order("k");
    other["amount"] = json!(99);
    assert!(refusal(&client.call("create_payment", other).await).contains("idempotency_key k"));
    let after = balance(&client.call("get_wallet_balance", wallet).await);
    assert!((after - before - 12.34).abs() < 1e-6, "{before} {after}");
}

#[tokio::test]
async fn what_makes_no_sense_is_an_error_of_the_tool_and_an_unknown_tool_one_of_the_protocol() {
    let server = served(Settings::default()).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let wrong =
        [("amount", json!(-1)), ("amount", json!("12")), ("currency", json!("XAU")), ("customer_id", json!(""))];
    for (member, value) in wrong {
        let mut order = an_order("k");
        order[member] = value;
        assert!(!refusal(&client.call("create_payment", order).await).is_empty());
    }
    assert!(refusal(&client.call("verify_payment", json!({"payment_id": "pay_0"})).await).contains("pay_0"));
    assert_eq!(client.call("refund_payment", json!({})).await["error"]["code"], -32602);
    assert_eq!(client.request("no/such", json!({})).await["error"]["code"], -32601);
}

#[tokio::test]
async fn health_is_json_and_other_paths_are_not_found() {
    let server = served(Settings::default()).await;
    let mut client = Client::connect(server.listening.address).await;
    let health = client.send(Method::GET, "/health", &Value::Null).await.unwrap();
    assert_eq!((health.status, health.message()), (StatusCode::OK, json!({"status": "ok", "sessions": 0})));
    assert_eq!(client.send(Method::GET, "/", &Value::Null).await.unwrap().status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn health_tells_how_many_sessions_are_open() {
    let settings = Settings { sessions: Sessions::Stateful, replies: Replies::Sse, ..Settings::default() };
    let server = served(settings).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(Client::initialized(server.listening.address, REVISIONS[0]).await);
    }
    let mut counts = Vec::new();
    for mut client in clients {
        counts.push(client.send(Method::GET, "/health", &Value::Null).await.unwrap().message()["sessions"].take());
        assert!(client.send(Method::DELETE, "/mcp", &Value::Null).await.unwrap().status.is_success());
    }
    let mut client = Client::connect(server.listening.address).await;
    counts.push(client.send(Method::GET, "/health", &Value::Null).await.unwrap().message()["sessions"].take());
    assert_eq!(counts, [2, 1, 0]);
}

#[tokio::test]
async fn foreign_host_names_are_refused_until_allowed() {
    for (allowed_hosts, status) in [
        (AllowedHosts::Loopback, StatusCode::FORBIDDEN),
        (AllowedHosts::Also(vec!["pay.example".to_owned()]), StatusCode::OK),
        (AllowedHosts::Any, StatusCode::OK),
    ] {
        let server = served(Settings { allowed_hosts, ..Settings::default() }).await;
        let mut client = Client::connect(server.listening.address).await;
        let request = Request::post("/mcp")
            .header("host", "pay.example")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(Full::from(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
            .unwrap();
        assert_eq!(client.sender.send_request(request).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn each_fault_is_seen_on_the_wire_by_calls_alone() {
    let all: fault::Share = "100%".parse().unwrap();
    for replies in [Replies::Json, Replies::Sse] {
        let client = async |faults: Faults| {
            let server = served(Settings { replies, ..with_faults(faults) }).await;
            let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
            assert!(client.request("tools/list", json!({})).await["result"]["tools"].is_array());
            (client, server)
        };
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
            "params": {"name": "create_payment", "arguments": an_order("k")}});

        let (mut errors, _server) = client(Faults { errors: all, ..Faults::default() }).await;
        assert_eq!(refusal(&errors.post(&call).await.unwrap().message()), "the bank did not answer");

        let (mut http_errors, _server) = client(Faults { http_errors: all, ..Faults::default() }).await;
        assert_eq!(http_errors.post(&call).await.unwrap().status, StatusCode::INTERNAL_SERVER_ERROR);

        let (mut malformed, _server) = client(Faults { malformed: all, ..Faults::default() }).await;
        let answer = malformed.post(&call).await.unwrap();
        let text = std::str::from_utf8(&answer.body).unwrap().trim_start_matches("data:").trim();
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!text.is_empty() && serde_json::from_str::<Value>(text).is_err(), "{text}");

        let (mut resets, _server) = client(Faults { resets: all, ..Faults::default() }).await;
        assert!(resets.post(&call).await.is_err());

        let (mut wrong, _server) = client(Faults { wrong: all, ..Faults::default() }).await;
        let result = wrong.post(&call).await.unwrap().message()["result"].clone();
        assert_eq!((&result["isError"], &result["structuredContent"]["currency"]), (&json!(false), &json!("EUR")));
        assert!(!result.to_string().contains("payment_id"), "{result}");
        let wallet = json!({"customer_id": "ann", "currency": "EUR"});
        let balance = wrong.call("get_wallet_balance", wallet.clone()).await;
        assert_eq!(balance["result"]["structuredContent"], wallet);
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_not_an_end() {
    let server = served(with_faults(Faults { resets: "100%".parse().unwrap(), ..Faults::default() })).await;
    let mut stream = TcpStream::connect(server.listening.address).await.unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"verify_payment"}}"#;
    let request = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 64]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_added_response_time_is_waited_out() {
    let time = Duration::from_millis(120);
    let faults = Faults { response_time: fault::ResponseTime::Fixed(time), ..Faults::default() };
    let server = served(with_faults(faults)).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let asked = server.listening.began.elapsed();
    client.call("create_payment", an_order("k")).await;
    assert!(server.listening.began.elapsed() >= asked + time);
}

#[tokio::test]
async fn one_queue_serves_the_calls_of_all_connections_one_after_the_other() {
    let faults = Faults { service_time: Some("30ms".parse().unwrap()), ..Faults::default() };
    let server = served(with_faults(faults)).await;
    let address = server.listening.address;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::initialized(address, REVISIONS[0]).await);
    }
    let began = server.listening.began;
    let asked = began.elapsed();
    let mut calls = tokio::task::JoinSet::new();
    for (place, mut client) in clients.into_iter().enumerate() {
        calls.spawn(async move {
            client.call("create_payment", an_order(&place.to_string())).await;
            began.elapsed()
        });
    }
    let mut answered = calls.join_all().await;
    answered.sort();
    for (place, answered) in answered.into_iter().enumerate() {
        assert!(answered >= asked + Duration::from_millis(30) * (place as u32 + 1), "{place}: {answered:?}");
    }
}

#[tokio::test]
async fn a_switch_turns_faults_off_and_on_between_calls() {
    let all = "100%".parse().unwrap();
    let faults = Faults { service_time: Some("1h".parse().unwrap()), ..Faults::default() };
    let server = served(Settings { switch: Switch::off(), ..with_faults(faults) }).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let paid = |answer: Value| answer["result"]["structuredContent"]["payment_id"].is_string();
    assert!(paid(client.call("create_payment", an_order("a")).await), "off, nobody waits in the queue");

    let switch = Switch::default();
    let faults = Faults { http_errors: all, ..Faults::default() };
    let server = served(Settings { switch: switch.clone(), ..with_faults(faults) }).await;
    let mut client = Client::initialized(server.listening.address, REVISIONS[0]).await;
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "create_payment", "arguments": an_order("b")}});
    assert_eq!(client.post(&call).await.unwrap().status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!switch.turn());
    assert!(paid(client.post(&call).await.unwrap().message()));
    assert!(switch.turn());
    assert_eq!(client.post(&call).await.unwrap().status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn while_frozen_no_answer_leaves_on_any_connection() {
    let freeze = fault::Freeze::new(Duration::from_millis(300), Duration::from_millis(400)).unwrap();
    let server = served(with_faults(Faults { freeze: Some(freeze), ..Faults::default() })).await;
    let began = server.listening.began;
    let mut calls = Client::connect(server.listening.address).await;
    let mut probes = Client::connect(server.listening.address).await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let mut held = 0;
    while held < 3 {
        let asked = began.elapsed();
        let (call, health) = tokio::join!(calls.post(&ping), probes.send(Method::GET, "/health", &Value::Null));
        let answered = began.elapsed();
        assert!(call.unwrap().status.is_success() && health.unwrap().status.is_success());
        if let Some(thaw) = freeze.thaw_after(asked) {
            assert!(answered >= thaw, "asked at {asked:?}, answered at {answered:?}, frozen until {thaw:?}");
            held += 1;
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_said_with_the_way_out() {
    let server = served(Settings::default()).await;
    let settings = Settings { port: server.listening.address.port(), ..Settings::default() };
    let error = serve(settings, |_| panic!("two servers on one port"), std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("taken; give another --port"), "{error}");
}

#[tokio::test]
async fn sessions_and_json_replies_exclude_each_other() {
    let settings = Settings { port: 0, sessions: Sessions::Stateful, ..Settings::default() };
    let error = serve(settings, |_| (), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, ServerError::JsonWithSessions));
}

#[tokio::test]
async fn a_server_that_ends_still_answers_what_is_in_flight() {
    let server = served(Settings::default()).await;
    let mut stream = TcpStream::connect(server.listening.address).await.unwrap();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
        accept: application/json, text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: from here on the request is in flight.
    let mut seen = [0; 256];
    let length = stream.read(&mut seen).await.unwrap();
    assert!(seen[..length].starts_with(b"HTTP/1.1 100 "));
    server.end.send(()).unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 ") && rest.contains(r#""id":1"#), "{rest}");
    server.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.listening.address).await.is_err());
}
