//! What a server may answer before the first call, over http and https, and what is agreed on or refused.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::scripted::{Scripted, Step, events, events_head, http, id_of, read_request, run};
use super::wire::NOT_HTTP2;
use super::{Connector, Options, PreflightError, close_session, negotiate};
use crate::mcp::{Negotiated, Protocol, Revision, Tool};

const JSON: &str = "application/json";
const PATIENCE: Duration = Duration::from_secs(10);

fn result(request: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id_of(request))
}

fn send(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Send(bytes.as_ref().to_vec())]
}

async fn preflight(server: &Scripted, protocol: Protocol) -> Result<Negotiated, PreflightError> {
    negotiate(&Connector::new(server.target.clone()), protocol, PATIENCE).await
}

fn named(names: &[&str]) -> Vec<Tool> {
    names.iter().map(|name| Tool::named(*name)).collect()
}

#[test]
fn a_server_with_sessions_and_pages_is_agreed_with_and_its_session_closed() {
    run(async {
        let server = Scripted::start(|_, request| {
            let introduction = r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"pay"}}"#;
            let second = r#"{"tools":[{"name":"c"}]}"#;
            if request.contains("\"initialize\"") {
                let body = format!("data: \nid: 0\n\ndata: {}\n\n", result(request, introduction));
                let answer = String::from_utf8(events(&body)).unwrap();
                send(answer.replacen("\r\n", "\r\nMcp-Session-Id: s-1\r\n", 1))
            } else if request.contains("initialized") {
                send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            } else if request.contains("\"cursor\":\"2\"") {
                send(http("200 OK", JSON, &result(request, second)))
            } else if request.contains("tools/list") {
                let first = r#"{"tools":[{"name":"a"},{"name":"b"}],"nextCursor":"2"}"#;
                send(http("200 OK", JSON, &result(request, first)))
            } else {
                send("HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            }
        })
        .await;
        let negotiated = preflight(&server, Protocol::Auto).await.unwrap();
        let expected = Negotiated {
            revision: Some(Revision::V2025_11_25),
            session: Some("s-1".to_owned()),
            server_name: Some("pay".to_owned()),
            tools: Some(named(&["a", "b", "c"])),
            warnings: vec![],
        };
        assert_eq!(negotiated, expected);
        close_session(&Connector::new(server.target.clone()), &negotiated, PATIENCE).await;
        let seen = server.seen();
        assert_eq!(seen.requests.len(), 6);
        assert!(seen.requests[0].contains("server/discover") && !seen.requests[1].contains("mcp-"));
        for request in &seen.requests[2..] {
            assert!(
                request.contains("mcp-session-id: s-1\r\n") && request.contains("mcp-protocol-version: 2025-11-25\r\n")
            );
        }
        assert!(seen.requests[5].starts_with("DELETE /mcp HTTP/1.1\r\n"));
        assert!(!seen.requests.iter().any(|request| request.contains("tools/call")));
    });
}

#[test]
fn the_dialect_of_an_invented_version_is_gone_along_with() {
    run(async {
        let server = Scripted::start(|_, request| {
            let answer = if request.contains("\"initialize\"") {
                result(request, r#"{"protocolVersion":"2024.1","capabilities":{"tools":true,"resources":false}}"#)
            } else if request.contains("initialized") {
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}"#.to_owned()
            } else {
                result(request, r#"{"tools":[{"name":"create_payment"}]}"#)
            };
            send(http("200 OK", JSON, &answer))
        })
        .await;
        let negotiated = preflight(&server, Protocol::Auto).await.unwrap();
        assert_eq!(negotiated.tools, Some(named(&["create_payment"])));
        assert_eq!((negotiated.warnings.len(), negotiated.session), (1, None));
        assert!(server.seen().requests[1..].iter().all(|request| !request.contains("mcp-")));
    });
}

#[test]
fn a_server_without_a_handshake_is_spoken_to_plainly() {
    run(async {
        let server = Scripted::start(|_, request| {
            if request.contains("tools/list") {
                return send(http("200 OK", JSON, &result(request, r#"{"tools":[{"name":"t"}]}"#)));
            }
            send(http("400 Bad Request", "text/plain", "unknown method"))
        })
        .await;
        let negotiated = preflight(&server, Protocol::Auto).await.unwrap();
        assert_eq!((negotiated.revision, &negotiated.tools), (None, &Some(named(&["t"]))));
        assert_eq!(negotiated.warnings.len(), 1);
        let error = preflight(&server, Protocol::Revision(Revision::NEWEST_WITH_HANDSHAKE)).await.unwrap_err();
        assert!(matches!(error, PreflightError::NotMcp { .. }), "{error}");
        let before = server.seen().requests.len();
        assert_eq!(preflight(&server, Protocol::Plain).await, Ok(Negotiated::default()));
        assert_eq!(server.seen().requests.len(), before);
    });
    run(async {
        let unknown = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no such method"}}"#;
        let server = Scripted::always(send(http("404 Not Found", JSON, unknown))).await;
        let negotiated = preflight(&server, Protocol::Auto).await.unwrap();
        assert_eq!((negotiated.revision, negotiated.tools, negotiated.warnings.len()), (None, None, 2));
    });
}

#[test]
fn what_cannot_be_agreed_with_is_named_with_the_way_out() {
    let rpc_error = |code: i64| format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"m"}}}}"#);
    let garbage = vec![Step::Send(b"SSH-2.0-OpenSSH\r\n".to_vec()), Step::Close];
    for (steps, start, end) in [
        (send(http("200 OK", "text/html", "<html>")), "speak MCP with", "are port and path right?"),
        (send(http("404 Not Found", "text/plain", "")), "speak MCP with", "most servers have it at /mcp"),
        (send(http("405 Method Not Allowed", "text/plain", "")), "speak MCP with", "most servers have it at /mcp"),
        (send(http("401 Unauthorized", JSON, "{}")), "be let in at", "--bearer-token-file FILE or --header NAME=@FILE"),
        (send(http("403 Forbidden", "text/plain", "Host not allowed")), "be let in at", "often localhost"),
        (send(http("421 Misdirected Request", "text/plain", "Invalid Host header")), "be let in at", "often localhost"),
        (
            send(http("503 Busy", JSON, &rpc_error(-32603))),
            "open a session at",
            "refused to answer server/discover: -32603 m",
        ),
        (send(http("400 Bad Request", JSON, &rpc_error(-32022))), "open a session at", "-32022 m"),
        (
            send("HTTP/1.1 307 Go\r\nlocation: /mcp/\r\ncontent-length: 0\r\n\r\n"),
            "speak MCP with",
            "HTTP 307 to /mcp/: give that URL",
        ),
        (garbage, "speak MCP with", "does it want https?"),
        (vec![Step::Close], "get an answer from", "look at the server's log"),
    ] {
        let error = run(async { preflight(&Scripted::always(steps.clone()).await, Protocol::Auto).await }).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(start) && text.ends_with(end), "{text}");
        assert!(text.contains("http://127.0.0.1:"), "{text}");
    }
}

#[test]
fn the_old_transport_is_recognised() {
    run(async {
        let server = Scripted::start(|_, request| {
            if request.starts_with("POST") {
                return send(http("404 Not Found", "text/html", "Cannot POST /sse"));
            }
            let event = "event: endpoint\ndata: /message?sessionId=1\n\n";
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            vec![Step::Send(events_head()), Step::Send(chunk.into_bytes()), Step::Hang]
        })
        .await;
        let error = preflight(&server, Protocol::Auto).await.unwrap_err();
        assert!(error.to_string().contains("old HTTP+SSE transport"), "{error}");
    });
}

#[test]
fn a_server_that_is_silent_or_never_ends_does_not_hold_the_preflight_up() {
    run(async {
        let patience = Duration::from_millis(200);
        let silent = Scripted::always(vec![Step::Hang]).await;
        let error = negotiate(&Connector::new(silent.target.clone()), Protocol::Auto, patience).await.unwrap_err();
        assert!(matches!(error, PreflightError::Silent { .. }), "{error}");
        let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
        let endless = vec![Step::Send(endless.into()), Step::Forever(vec![b' '; 65536])];
        let error = preflight(&Scripted::always(endless).await, Protocol::Auto).await.unwrap_err();
        assert!(error.to_string().contains("larger than 8388608 bytes"), "{error}");
    });
}

/// An https server under a certificate of its own for `localhost`; its port, and who vouches for it.
async fn https_server() -> (u16, RootCertStore) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            while let Some((request, _)) = read_request(&mut stream).await {
                let answer = result(&request, r#"{"protocolVersion":"2025-06-18","tools":[{"name":"t"}]}"#);
                stream.write_all(&http("200 OK", JSON, &answer)).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    (port, roots)
}

#[test]
fn https_is_spoken_with_servers_that_are_vouched_for_and_no_others() {
    run(async {
        let (port, roots) = https_server().await;
        let target = format!("https://localhost:{port}").parse().unwrap();
        let negotiated = negotiate(&Connector::with_roots(target, roots), Protocol::Auto, PATIENCE).await.unwrap();
        assert_eq!((negotiated.revision, negotiated.tools), (Some(Revision::V2025_06_18), Some(named(&["t"]))));
        let target = format!("https://localhost:{port}").parse().unwrap();
        let stranger = Connector::with_roots(target, RootCertStore::empty());
        let error = negotiate(&stranger, Protocol::Auto, PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("TLS: invalid peer certificate: UnknownIssuer"), "{error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        });
        let error = negotiate(&Connector::with_roots(target, RootCertStore::empty()), Protocol::Auto, PATIENCE).await;
        assert!(error.unwrap_err().to_string().contains("does not speak TLS"));
    });
}

/// Answers `server/discover` so, with a session that nobody asked for, and everything else as a server of 2025-11-25.
async fn probed(probe: &'static str) -> Scripted {
    Scripted::start(move |_, request| {
        let with_session = |answer: Vec<u8>, session: &str| {
            let session = format!("\r\nmcp-session-id: {session}\r\n");
            send(String::from_utf8(answer).unwrap().replacen("\r\n", &session, 1))
        };
        if request.contains("server/discover") {
            let body =
                r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Missing session ID"}}"#;
            return with_session(http(probe, JSON, body), "stray");
        }
        if request.contains("\"initialize\"") {
            let introduction = result(request, r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#);
            return with_session(http("200 OK", JSON, &introduction), "ours");
        }
        send(http("200 OK", JSON, &result(request, r#"{"tools":[]}"#)))
    })
    .await
}

fn deleted(server: &Scripted) -> Vec<String> {
    let seen = server.seen();
    let deletes = seen.requests.iter().filter(|request| request.starts_with("DELETE "));
    let session =
        |request: &String| request.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).map(str::to_owned);
    deletes.filter_map(session).collect()
}

#[test]
fn a_session_that_the_probe_left_behind_is_closed_and_the_one_agreed_on_is_not() {
    run(async {
        let server = probed("400 Bad Request").await;
        let negotiated = preflight(&server, Protocol::Auto).await.unwrap();
        assert_eq!((negotiated.revision, negotiated.session.as_deref()), (Some(Revision::V2025_11_25), Some("ours")));
        assert_eq!(deleted(&server), ["stray"]);
    });
    run(async {
        let server = probed("400 Bad Request").await;
        let error = preflight(&server, Protocol::Revision(Revision::V2026_07_28)).await.unwrap_err().to_string();
        assert!(error.starts_with("open a session at http://"), "{error}");
        assert!(
            error.ends_with("it speaks 2025-11-25 and not 2026-07-28: leave --protocol out to go along with it"),
            "{error}"
        );
        assert_eq!(deleted(&server), ["stray", "ours"]);
    });
    run(async {
        let server = probed("400 Bad Request").await;
        let error = preflight(&server, Protocol::Revision(Revision::V2025_06_18)).await.unwrap_err().to_string();
        assert!(error.contains("it speaks 2025-11-25 and not 2025-06-18"), "{error}");
        assert_eq!(deleted(&server), ["ours"]);
        assert!(!server.seen().requests.iter().any(|request| request.contains("server/discover")));
    });
}

#[test]
fn a_server_that_is_not_well_is_not_taken_for_one_of_an_older_revision() {
    for (steps, why) in [
        (send(http("503 Busy", "text/plain", "later")), "HTTP 503"),
        (send(http("502 Bad Gateway", JSON, r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1}}"#)), "-1"),
        (send(http("429 Too Many Requests", JSON, r#"{"error":"Rate limit exceeded"}"#)), "HTTP 429"),
        (send(http("500 Oops", "text/plain", "trace")), "HTTP 500"),
        (vec![Step::Close], "closed before any answer"),
        (vec![Step::Reset], "reset"),
    ] {
        run(async {
            let server = Scripted::always(steps.clone()).await;
            let error = preflight(&server, Protocol::Auto).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert_eq!(server.seen().requests.len(), 1, "{error}");
        });
    }
    run(async {
        let server = probed("500 Internal Server Error").await;
        assert_eq!(preflight(&server, Protocol::Auto).await.unwrap().session.as_deref(), Some("ours"));
    });
}

#[test]
fn where_http_2_is_taken_for_granted_and_nothing_comes_the_likely_reason_is_told() {
    let old = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
    for (steps, how) in [
        (vec![Step::Reset], "reset before any answer: most likely "),
        // What the server left unread makes this a reset too, as often as not.
        (vec![Step::Close], ""),
        (vec![Step::Hang], "no byte of an answer within 300ms"),
        (vec![Step::Send(old.into()), Step::Close], ""),
    ] {
        let refused = run(async {
            let server = Scripted::always(steps).await;
            let options = Options { http2: true, ..Options::default() };
            let connector = Connector::with(server.target.clone(), options).unwrap();
            negotiate(&connector, Protocol::Auto, Duration::from_millis(300)).await.unwrap_err()
        });
        let PreflightError::NotMcp { what, .. } = &refused else { panic!("{refused}") };
        assert!(what.starts_with(how) && what.contains(NOT_HTTP2), "{what}");
    }
    // Without it, a reset is a reset.
    let refused = run(async {
        let server = Scripted::always(vec![Step::Reset]).await;
        preflight(&server, Protocol::Auto).await.unwrap_err()
    });
    assert!(matches!(&refused, PreflightError::Disconnected { what, .. } if what == "reset before any answer"));
}
