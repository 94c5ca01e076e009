//! Servers that are odd, wrong or hostile: a JSON-RPC dialect that must work, and all that is no MCP server.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use common::scripted::{Request, Scripted, pour, respond, respond_json, respond_result, shake_hands};
use common::{GENEROUS, Load, Loaded, finish, finish_line, free_port, mcpace_after, words};
use mcpace::outcome::Outcome;
use serde_json::{Value, json};

/// JSON-RPC over POST as a web framework's payments server speaks it: no revision of the specification, data only in
/// `_meta`, amounts as strings, and its own ideas of errors.
fn dialect(payments: &Mutex<u64>, request: &Request, stream: &mut TcpStream) -> bool {
    let error = |code: i64, message: &str| json!({"jsonrpc": "2.0", "id": request.body["id"], "error": {"code": code, "message": message}});
    if request.path != "/mcp" {
        return respond(stream, "307 Temporary Redirect", "location: /mcp\r\n", "");
    }
    if request.method != "POST" {
        return respond_json(stream, "405 Method Not Allowed", &json!({"detail": "Method Not Allowed"}));
    }
    if !request.header("accept-encoding").is_empty() {
        return respond(stream, "200 OK", "content-type: application/json\r\ncontent-encoding: gzip\r\n", "\u{1f}");
    }
    if !request.body.is_object() {
        return respond_json(stream, "500 Internal Server Error", &error(-32603, "Internal error"));
    }
    match request.rpc() {
        "initialize" => respond_result(
            stream,
            request,
            &json!({"protocolVersion": "2024.1", "capabilities": {"tools": true, "resources": false},
                "serverInfo": {"name": "payments", "version": "1.0"}}),
        ),
        "tools/list" => {
            let tool = |name| json!({"name": name, "description": name, "inputSchema": {"type": "object"}});
            let tools = ["create_payment", "verify_payment", "get_wallet_balance"].map(tool);
            respond_result(stream, request, &json!({ "tools": tools }))
        }
        "tools/call" => match called(payments, &request.body["params"]) {
            Some(result) => respond_result(stream, request, &result),
            None => respond_json(stream, "200 OK", &error(-32601, "Tool not found")),
        },
        method if method.starts_with("notifications/") => {
            respond_json(stream, "200 OK", &error(-32600, "Invalid Request"))
        }
        _ => respond_json(stream, "200 OK", &error(-32601, "Method not found")),
    }
}

/// The result of a tool of the dialect.
fn called(payments: &Mutex<u64>, params: &Value) -> Option<Value> {
    let arguments = &params["arguments"];
    let (text, meta) = match params["name"].as_str()? {
        "create_payment" if arguments["amount"].is_number() => {
            let mut payments = payments.lock().expect("no panic");
            *payments += 1;
            let id = format!("pay_{payments}");
            let amount = format!("{:.2}", arguments["amount"].as_f64()?);
            let currency = &arguments["currency"];
            let meta = json!({"payment_id": id, "amount": amount, "currency": currency, "status": "pending"});
            (format!("Payment created successfully with ID: {id}"), meta)
        }
        "verify_payment" => {
            let id = arguments["payment_id"].as_str()?;
            (format!("Payment {id} is completed"), json!({"payment_id": id, "status": "completed"}))
        }
        "get_wallet_balance" => {
            let meta = json!({"balance": "1234.50", "currency": arguments["currency"]});
            ("Balance: 1234.50".to_owned(), meta)
        }
        "create_payment" => {
            return Some(json!({"content": [{"type": "text", "text": "amount is missing"}], "isError": true}));
        }
        _ => return None,
    };
    Some(json!({"content": [{"type": "text", "text": text}], "isError": false, "_meta": meta}))
}

#[test]
fn the_dialect_of_the_old_scripts_server_works_with_a_warning() {
    let payments = Mutex::new(0);
    let server = Scripted::start(move |request, stream| dialect(&payments, request, stream));
    let loaded = Load::on(&server.url(), "--mixed --rate 100 --total 120").promising("error_rate < 0.1%").run();
    loaded.exited(0).all_ok(120);
    assert!(loaded.ended.err.contains("2024.1"), "{}", loaded.ended.err);
    assert_eq!(loaded.run.server.warnings.len(), 1, "{:?}", loaded.run.server.warnings);
    loaded.says("2024.1");

    // As many calls came as the run says; each verified an id that a create had answered; all ids are different.
    let calls = server.requests("tools/call");
    assert_eq!(calls.len(), 120);
    let argument = |call: &Request, name: &str| call.body["params"]["arguments"][name].clone();
    let verified: Vec<_> = calls.iter().filter(|call| call.body["params"]["name"] == "verify_payment").collect();
    assert!(verified.len() > 10);
    assert!(verified.iter().all(|call| argument(call, "payment_id").as_str().is_some_and(|id| id.starts_with("pay_"))));
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| call.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 120);
    assert!(calls.iter().all(|call| call.header("accept") == "application/json, text/event-stream"));
    assert!(calls.iter().all(|call| call.header("mcp-protocol-version").is_empty()));

    let created: Vec<_> = calls.iter().filter(|call| call.body["params"]["name"] == "create_payment").collect();
    let keys: std::collections::BTreeSet<_> =
        created.iter().map(|call| argument(call, "idempotency_key").to_string()).collect();
    assert_eq!(keys.len(), created.len());
    for call in created {
        let amount = argument(call, "amount").as_f64().expect("a number");
        assert!((10.0..=1000.0).contains(&amount) && (amount * 100.0 - (amount * 100.0).round()).abs() < 1e-6);
        assert_eq!(argument(call, "metadata")["load_test_id"], json!(loaded.run.run_id));
    }
}

#[test]
fn the_dialect_needs_no_handshake_and_its_errors_are_told_apart() {
    let payments = Mutex::new(0);
    let server = Scripted::start(move |request, stream| dialect(&payments, request, stream));
    let plain = Load::on(&server.url(), "--mixed --rate 100 --total 30 --protocol plain").run();
    plain.exited(0).all_ok(30);
    assert!(server.requests("initialize").is_empty() && server.requests("tools/list").is_empty());

    let tool_error = Load::on(&server.url(), "--tool create_payment --args {} --rate 100 --total 5").run();
    assert_eq!(tool_error.count(Outcome::ToolError), 5, "{}", tool_error.ended.out);
    tool_error.says("amount is missing");

    let rpc_error = Load::on(&server.url(), "--tool nothing --rate 100 --total 5 --protocol plain").run();
    assert_eq!(rpc_error.count(Outcome::RpcError), 5, "{}", rpc_error.ended.out);
    rpc_error.says("-32601");
}

#[test]
fn refusals_of_a_web_framework_are_kept_apart_by_status() {
    for (status, headers, error, outcome) in [
        ("401 Unauthorized", "", "Authentication required", Outcome::AuthError),
        ("429 Too Many Requests", "retry-after: 3600\r\n", "Rate limit exceeded", Outcome::HttpError),
    ] {
        let server = Scripted::start(move |request, stream| {
            if shake_hands(stream, request) {
                return true;
            }
            let body = json!({"error": error, "retry_after": 3600}).to_string();
            respond(stream, status, &format!("content-type: application/json\r\n{headers}"), &body)
        });
        let loaded = Load::on(&server.url(), "--tool work --rate 100 --total 10").promising("error_rate < 10%").run();
        loaded.exited(1);
        assert_eq!(loaded.count(outcome), 10, "{}", loaded.ended.out);
        let waits: Vec<_> = loaded.run.summary.failures.groups().iter().map(|failure| failure.retry_after).collect();
        let wait = (!headers.is_empty()).then_some(std::time::Duration::from_hours(1));
        assert!(!waits.is_empty() && waits.iter().all(|told| *told == wait), "{waits:?}");
        let group = format!("HTTP {}", &status[..3]);
        assert!(loaded.run.summary.failures.groups().iter().all(|failure| failure.group.starts_with(&group)));
        loaded.says(error);
    }
}

#[test]
fn a_connection_that_the_server_closes_when_idle_costs_no_call() {
    // Each connection serves three requests and is then closed, as a server at its limit does.
    let counts = Mutex::new(std::collections::BTreeMap::new());
    let server = Scripted::start(move |request, stream| {
        let peer = stream.peer_addr().expect("an address");
        let mut counts = counts.lock().expect("no panic");
        let count = counts.entry(peer).or_insert(0);
        *count += 1;
        let last = *count == 3;
        drop(counts);
        if !shake_hands(stream, request) {
            let body = json!({"jsonrpc": "2.0", "id": request.body["id"], "result": {"content": []}}).to_string();
            let close = if last { "connection: close\r\n" } else { "" };
            respond(stream, "200 OK", &format!("content-type: application/json\r\n{close}"), &body);
        }
        !last
    });
    let loaded = Load::on(&server.url(), "--tool work --rate 100 --total 60").promising("error_rate < 0.1%").run();
    loaded.exited(0).all_ok(60);
    assert!(server.connections() >= 20, "{}", server.connections());
}

/// What the run says at its start of a server that answers everything so.
#[track_caller]
fn refused(answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static, parts: &[&str]) {
    let server = Scripted::start(answer);
    let ended = finish_line(&format!("run {}/mcp --total 10 --timeout 1s --metrics off", server.url()));
    ended.assert_refused(5, parts);
    assert!(server.requests("tools/call").is_empty(), "something was called");
}

#[test]
fn a_web_page_is_no_mcp_server() {
    let page = "<html><body>It works!</body></html>";
    refused(
        move |_, stream| respond(stream, "200 OK", "content-type: text/html; charset=utf-8\r\n", page),
        &["failed to speak MCP with http://127.0.0.1:", "web page", "are port and path right?"],
    );
}

#[test]
fn a_path_where_nothing_is_gets_a_hint() {
    refused(|_, stream| respond(stream, "404 Not Found", "", "Not Found"), &["nothing at this path", "404"]);
}

#[test]
fn a_redirect_names_the_place_to_go() {
    refused(
        |_, stream| respond(stream, "307 Temporary Redirect", "location: http://127.0.0.1:1/there?key=s3cret\r\n", ""),
        &["it redirects: HTTP 307 to http://127.0.0.1:1/there", "give that URL"],
    );
}

#[test]
fn missing_credentials_are_named() {
    let body = json!({"error": "Authentication required"});
    refused(
        move |_, stream| respond_json(stream, "401 Unauthorized", &body),
        &["failed to be let in", "Authentication required", "credentials"],
    );
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    refused(
        |_, stream| {
            // Until the other side hangs up.
            drop(stream.read(&mut [0; 1]));
            false
        },
        &["failed to get an answer", "within 1s", "right port"],
    );
}

#[test]
fn endless_events_or_two_gigabytes_in_place_of_a_handshake_are_not_read() {
    let events = "content-type: text/event-stream\r\n";
    let json = "content-type: application/json\r\ncontent-length: 2147483648\r\n";
    for (head, piece) in [(events, ": still here\n".repeat(1000)), (json, " ".repeat(1 << 16))] {
        let server = Scripted::start(move |_, stream| pour(stream, head, piece.as_bytes(), 2 << 30));
        let mut command = mcpace_after("ulimit -v 1000000");
        command.args(["run", &server.url(), "--total", "10", "--metrics", "off"]);
        finish(command).assert_refused(5, &["failed to speak MCP with http://127.0.0.1:", "larger than 8388608 bytes"]);
    }
}

#[test]
fn what_does_not_speak_http_is_no_mcp_server() {
    refused(|_, stream| stream.write_all(b"220 mail.example ESMTP\r\n").is_err(), &["is it the right port?"]);
}

#[test]
fn a_port_where_nobody_listens_is_named_with_the_way_out() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let ended = finish_line(&format!("run {url} --total 10 --metrics off"));
    ended.assert_refused(5, &[&format!("failed to reach {url}/mcp: connection refused"), "is the server up"]);
}

#[test]
fn a_host_without_an_address_is_named() {
    let ended = finish_line("run http://nowhere.invalid:8000 --total 10 --metrics off");
    ended.assert_refused(5, &["http://nowhere.invalid:8000/mcp"]);
}

#[test]
fn a_tool_that_the_server_does_not_have_is_refused_with_those_it_has() {
    let server = Scripted::start(|request, stream| shake_hands(stream, request));
    let ended = finish_line(&format!("run {} --tool wrok --total 10 --metrics off", server.url()));
    ended.assert_refused(5, &["failed to find the tool `wrok`", "work"]);
    assert!(server.requests("tools/call").is_empty());
}

/// A run with replies of at most 64 KiB against a server that answers calls so, in a process that cannot have the
/// memory for what the server would send.
fn flooded(answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static, flags: &str) -> Loaded {
    let server = Scripted::start(move |request, stream| shake_hands(stream, request) || answer(request, stream));
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let flow = "[[flow]]\noperations = { work = 1 }\nrate = \"50/s\"\ntotal = 10\n";
    let text = format!("[run]\nmax_reply_bytes = 65536\n{flow}[[operation]]\nname = \"work\"\n");
    std::fs::write(&plan, text).expect("a file");
    let mut command = mcpace_after("ulimit -v 1000000");
    command.args(["run", &server.url(), "--metrics", "off"]).args(words(flags));
    command.args(["--objective", "error_rate < 10%", "--objective", GENEROUS]);
    command.arg("--plan").arg(plan).arg("--out").arg(folder.path().join("run.json"));
    let loaded = Loaded::of(finish(command), folder);
    assert_eq!(server.requests("tools/call").len() as u64, loaded.measured().answered());
    loaded
}

#[test]
fn replies_of_two_gigabytes_are_invalid_and_do_not_fill_the_memory() {
    let head = "content-type: application/json\r\ncontent-length: 2147483648\r\n";
    let spaces = vec![b' '; 1 << 16];
    let loaded = flooded(move |_, stream| pour(stream, head, &spaces, 2 << 30), "");
    assert_eq!(loaded.exited(1).count(Outcome::InvalidReply), 10, "{}", loaded.ended.out);
    loaded.says("larger than 65536 bytes");
}

#[test]
fn endless_events_are_invalid_and_do_not_fill_the_memory() {
    let head = "content-type: text/event-stream\r\n";
    for events in [": still here\n".to_owned(), "data: more and more\n".to_owned(), "data: {}\n\n".to_owned()] {
        let events = events.repeat(1000);
        let loaded = flooded(move |_, stream| pour(stream, head, events.as_bytes(), u64::MAX), "");
        assert_eq!(loaded.exited(1).count(Outcome::InvalidReply), 10, "{}", loaded.ended.out);
    }
}

#[test]
fn streams_that_stall_time_out_and_say_how_far_they_came() {
    for (said, outcome) in [
        ("", Outcome::TimeoutNoByte),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: wait\n\n", Outcome::TimeoutHeadersOnly),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"jsonrpc\":",
            Outcome::TimeoutTruncated,
        ),
    ] {
        let stall = move |_: &Request, stream: &mut TcpStream| {
            drop(stream.write_all(said.as_bytes()));
            drop(stream.read(&mut [0; 1]));
            false
        };
        let loaded = flooded(stall, "--timeout 500ms");
        assert_eq!(loaded.exited(1).count(outcome), 10, "{outcome}: {}", loaded.ended.out);
        loaded.says("--timeout 500ms");
    }
}

type Answer = fn(&Request, &mut TcpStream) -> bool;

#[test]
fn a_stream_that_ends_without_an_answer_is_a_disconnect_and_another_id_is_invalid() {
    let cases: [(Answer, Outcome); 3] = [
        (
            |_, stream| respond(stream, "200 OK", "content-type: text/event-stream\r\n", ": bye\n\n"),
            Outcome::Disconnected,
        ),
        (
            |_, stream| {
                let other = json!({"jsonrpc": "2.0", "id": 999_999_999, "result": {"content": []}});
                respond_json(stream, "200 OK", &other)
            },
            Outcome::InvalidReply,
        ),
        (|_, stream| respond_json(stream, "200 OK", &json!({"hello": "world"})), Outcome::InvalidReply),
    ];
    for (answer, outcome) in cases {
        assert_eq!(flooded(answer, "").count(outcome), 10, "{outcome}");
    }
}

#[test]
fn a_server_that_accepts_and_says_nothing_makes_calls_time_out_not_hang() {
    // The kernel accepts; nobody ever reads. Without a handshake this is seen only by the calls.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let loaded =
        Load::on(&url, "--protocol plain --rate 50 --total 5 --timeout 300ms").promising("error_rate < 1%").run();
    assert_eq!(loaded.exited(1).count(Outcome::TimeoutNoByte), 5, "{}", loaded.ended.out);
}
