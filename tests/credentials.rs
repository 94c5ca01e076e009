//! The way to the target end to end: credentials that arrive and are seen nowhere else, connections per call, sockets.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::fs;
use std::net::TcpStream;

use common::scripted::{Request, Scripted, respond, respond_result, shake_hands};
use common::{Load, Server, finish_line, get, metrics_address};
use mcpace::outcome::Outcome;
use serde_json::json;

/// No run of letters of a secret as long as this may be found anywhere.
const TELLTALE: usize = 8;

/// Fails where `text` holds a piece of `secret`.
#[track_caller]
fn assert_clean(place: &str, text: &str, secret: &str) {
    for at in 0..=secret.len() - TELLTALE {
        let piece = &secret[at..at + TELLTALE];
        assert!(!text.contains(piece), "`{piece}` is in {place}:\n{text}");
    }
}

const TOKEN: &str = "tok/Zq7Lm2Xv9+Rt4Kp8Wn3";
const API_KEY: &str = "key-Hb5Jd1Fs6Gy0Qa";
const IN_QUERY: &str = "query-Uw3Ze8Ci5Vo";

/// Answers everything well.
fn reply(request: &Request, stream: &mut TcpStream) -> bool {
    shake_hands(stream, request) || respond_result(stream, request, &json!({"content": []}))
}

/// Answers each call in another way that repeats what was sent, at times far into a text.
fn echo(request: &Request, stream: &mut TcpStream) -> bool {
    if request.rpc() != "tools/call" {
        return reply(request, stream);
    }
    let id = &request.body["id"];
    let said = format!("{} {} at {}", request.header("authorization"), request.header("x-api-key"), request.path);
    let far = format!("{}{said}", "far ".repeat(72));
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let mut answer =
        |status: &str, kind: &str, body: &str| respond(stream, status, &format!("content-type: {kind}\r\n"), body);
    let json = "application/json";
    match id.as_u64().unwrap_or_default() % 7 {
        0 => answer("401 Unauthorized", "text/plain", &format!("who is {said}?")),
        1 => answer("500 Oh", "text/plain", &far),
        2 => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": far, "data": said}});
            answer("200 OK", json, &error.to_string().replace('/', "\\/"))
        }
        3 => {
            let result = json!({"content": text(&said), "isError": true});
            answer("200 OK", json, &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
        }
        4 => {
            let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": said}});
            answer("200 OK", "text/event-stream", &format!("data: {error}\n\n"))
        }
        5 => answer("200 OK", &format!("text/x-{}", request.header("x-api-key")), &said),
        _ => {
            let result = json!({"content": text(&said), "structuredContent": {"payment_id": said, "status": said}});
            answer("200 OK", json, &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
        }
    }
}

#[test]
fn a_secret_reaches_the_server_and_no_place_that_anybody_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let (token, key) = (folder.path().join("token"), folder.path().join("key"));
    fs::write(&token, format!("{TOKEN}\n")).expect("a file");
    fs::write(&key, API_KEY).expect("a file");
    let server = Scripted::start(echo);
    let url = format!("{}/mcp?key={IN_QUERY}", server.url());
    let plan = folder.path().join("plan.toml");
    let target = format!("[target]\nurl = \"{url}\"\nbearer_token_file = \"{}\"", token.display());
    let expect =
        "[[operation]]\nname = \"work\"\nexpect = { \"/status\" = \"paid\" }\n[[flow]]\noperations = { work = 1 }";
    fs::write(&plan, format!("{target}\n{expect}\n")).expect("a file");
    let flags = format!(
        "--plan {} --header X-Api-Key=@{} --header X-Tenant=acme --rate 100 --total 140 -vv --metrics 127.0.0.1:0 --linger 60s",
        plan.display(),
        key.display()
    );
    let (mut running, out) = Load::flags(&flags).start();
    let address = metrics_address(&mut running);
    let command_line = fs::read_to_string(format!("/proc/{}/cmdline", running.pid())).expect("a command line");
    running.out.wait_for("target");
    let page = get(address, "/metrics").expect("metrics");
    let ended = running.end();
    let saved = fs::read_to_string(out.path().join("run.json")).expect("a saved run");

    let calls = server.requests("tools/call");
    assert_eq!(calls.len(), 140);
    for call in calls.iter().chain(&server.requests("initialize")) {
        assert_eq!(call.header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!((call.header("x-api-key"), call.header("x-tenant")), (API_KEY, "acme"));
        assert!(call.path.ends_with(IN_QUERY), "{}", call.path);
    }
    for (place, text) in [
        ("the report", &ended.out),
        ("the log", &ended.err),
        ("the metrics", &page),
        ("the command line", &command_line),
        ("the saved run", &saved),
    ] {
        for secret in [TOKEN, API_KEY, IN_QUERY] {
            assert_clean(place, text, secret);
        }
    }
    assert!(ended.out.contains("***") && saved.contains("***") && !saved.contains("acme"), "{}", ended.out);
    for outcome in [Outcome::AuthError, Outcome::HttpError, Outcome::RpcError, Outcome::ToolError, Outcome::WrongAnswer]
    {
        assert!(ended.out.contains(outcome.name()), "{outcome} is not in:\n{}", ended.out);
    }
}

#[test]
fn a_refusal_before_the_run_repeats_no_secret_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).expect("a file");
    let server = Scripted::start(|request, stream| {
        respond(stream, "401 Unauthorized", "", &format!("no {}", request.header("authorization")))
    });
    let line = format!("run {} --metrics off -vv --bearer-token-file {}", server.url(), token.display());
    let ended = finish_line(&line);
    ended.assert_refused(5, &["failed to be let in", "no ***", "--bearer-token-file"]);
    assert_clean("the log", &ended.err, TOKEN);
}

#[test]
fn credentials_on_the_command_line_and_what_cannot_be_read_are_refused_before_anything_is_sent() {
    let server = Scripted::start(reply);
    let url = server.url();
    for (flags, parts) in [
        ("--header Authorization=Bearer-tok-12345", ["Authorization=@FILE", "process list"]),
        ("--header X-Session-Token=tok-12345", ["X-Session-Token=env:VAR", "process list"]),
        ("--header tok-12345", ["no name of a header", "NAME=VALUE"]),
        ("--header Mcp-Session-Id=tok-12345", ["belongs to the protocol", "leave it out"]),
        ("--header X-A=env:MCPACE_NO_SUCH_VARIABLE", ["MCPACE_NO_SUCH_VARIABLE", "export it"]),
        ("--bearer-token-file /no/such/file", ["bearer token", "/no/such/file"]),
        ("--ca-cert /etc/hosts", ["--ca-cert is about https", "https://"]),
    ] {
        let ended = finish_line(&format!("run {url} --metrics off {flags}"));
        ended.assert_refused(2, &parts);
        assert!(!ended.err.contains("tok-12345"), "{}", ended.err);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_host_header_of_ones_own_is_sent_in_place_of_the_usual() {
    let server = Scripted::start(reply);
    Load::on(&server.url(), "--header Host=pay.example.com --tool work --rate 100 --total 5").run().exited(0).all_ok(5);
    assert!(server.requests("tools/call").iter().all(|call| call.header("host") == "pay.example.com"));
}

#[test]
fn each_call_has_a_connection_of_its_own_where_that_is_asked_for() {
    let server = Scripted::start(reply);
    let kept = Load::on(&server.url(), "--tool work --concurrent 1 --rate 200 --total 50").run();
    kept.exited(0).all_ok(50);
    let before = server.connections();
    assert!(before < 20, "{before} connections");
    Load::on(&server.url(), "--connect-per-call --tool work --concurrent 1 --rate 200 --total 50")
        .run()
        .exited(0)
        .all_ok(50);
    assert!(server.connections() >= before + 50, "{} connections", server.connections() - before);
}

#[test]
fn a_server_at_a_unix_socket_is_reached_and_one_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("mcp.sock");
    let server = Server::start("");
    let address = server.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let plain = TcpStream::connect(&address).expect("the server");
            let (mut from, mut to) = (stream.try_clone().expect("a stream"), plain.try_clone().expect("a stream"));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                to.shutdown(std::net::Shutdown::Write)
            });
            let (mut from, mut to) = (plain, stream);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    let url = format!("unix:{}", socket.display());
    let loaded = Load::on(&url, "--mixed --rate 100 --total 50").run();
    loaded.exited(0).all_ok(50).says(&format!("{url}:/mcp"));
    let ended = finish_line(&format!("run unix:{}/none.sock --metrics off", folder.path().display()));
    ended.assert_refused(5, &["none.sock:/mcp", "no such socket"]);
}
