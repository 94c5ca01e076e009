//! What a server that means no good may do on the wire, and that each of it ends in an outcome, in time and within bounds.

use std::task::Poll;

use super::contract::{ID, JSON, OK, call, driver_to, impatient, limits, send, session};
use super::scripted::{Scripted, Step, events, events_head, http, id_of, run};
use super::turn::PART;
use super::{Connector, Credentials, Driver, Limits, McpDriver, Options};
use crate::mcp::{EXAMPLE_CHARS, GROUP_CHARS, Negotiated};
use crate::outcome::Outcome;
use crate::secret::Secret;
use crate::workload::Reply;

/// What fits into the buffers of a connection, at either end, beyond what was read.
const BUFFERS: usize = 16 << 20;

/// The end of one call to a server that answers so; and that the server got rid of no more than `most` bytes.
fn ended(steps: Vec<Step>, limits: Limits, most: usize) -> (Outcome, String) {
    let text = format!("{steps:?}").chars().take(300).collect::<String>();
    let (reply, poured) = run(async {
        let server = Scripted::always(steps).await;
        let reply = driver_to(&server.target, &session(), limits).0.call(&call(ID)).await;
        let poured = server.seen().poured;
        (reply, poured)
    });
    assert!(poured <= most + BUFFERS, "{poured} bytes poured: {text}");
    let Reply { outcome, failure, result, .. } = reply;
    assert_eq!(result.raw().is_empty(), outcome != Outcome::Ok, "{text}");
    let (group, example) = failure.map(|failure| (failure.group, failure.example)).unwrap_or_default();
    assert!(group.chars().count() <= GROUP_CHARS && example.chars().count() <= EXAMPLE_CHARS, "{text}");
    (outcome, group)
}

/// Each answer ends a call with this outcome and group.
fn check(table: Vec<(Vec<Step>, Outcome, &str)>) {
    for (steps, outcome, group) in table {
        let text = format!("{steps:?}").chars().take(300).collect::<String>();
        assert_eq!(ended(steps, limits(), 200_000), (outcome, group.to_owned()), "{text}");
    }
}

fn in_chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn chunked(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_bytes()
}

#[test]
fn no_redirect_is_followed_wherever_it_leads() {
    run(async {
        let other = Scripted::always(vec![send(http("200 OK", JSON, OK))]).await;
        let elsewhere = other.target.to_string();
        for (status, location, group) in [
            ("307 Temporary Redirect", "/mcp/", "HTTP 307 to /mcp/: give that URL"),
            ("308 Permanent Redirect", "/mcp", "HTTP 308 to /mcp: give that URL"),
            ("302 Found", elsewhere.as_str(), "give that URL"),
            ("307 Temporary Redirect", "//evil.example/\u{e9}?x=1", "HTTP 307 to //evil.example/"),
        ] {
            let head = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            let server = Scripted::always(vec![send(head)]).await;
            let reply = driver_to(&server.target, &session(), limits()).0.call(&call(ID)).await;
            let said = reply.failure.unwrap().group;
            assert!(reply.outcome == Outcome::HttpError && said.contains(group), "{said}");
            assert_eq!(server.seen().requests.len(), 1);
        }
        assert_eq!(other.seen().connections, 0, "a payment went elsewhere");
    });
}

#[test]
fn upgrades_and_announcements_are_no_answers() {
    let again = "HTTP/1.1 100 Continue\r\n\r\n";
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let ok = String::from_utf8(http("200 OK", JSON, OK)).unwrap();
    check(vec![
        (vec![send(again.repeat(100)), send(&ok)], Outcome::Ok, ""),
        (vec![send("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), send(&ok)], Outcome::Ok, ""),
        (vec![send(upgrade), Step::Forever(b"\x81\x05hello".to_vec())], Outcome::HttpError, "HTTP 101"),
        (vec![Step::Forever(again.into())], Outcome::InvalidReply, "not HTTP: no end of the head of an answer"),
        (
            vec![Step::Forever(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec())],
            Outcome::InvalidReply,
            "not HTTP: no end of the head of an answer",
        ),
    ]);
}

#[test]
fn heads_without_end_and_of_odd_kinds_are_refused() {
    let line = format!("x-a: {}\r\n", "a".repeat(1000));
    let long = "b".repeat(60_000);
    check(vec![
        (
            vec![send("HTTP/1.1 200 OK\r\n"), Step::Forever(line.into())],
            Outcome::InvalidReply,
            "not HTTP: message head is too large",
        ),
        (
            vec![send("HTTP/1.1 200 OK\r\nx-a: "), Step::Forever(vec![b'a'; 1000])],
            Outcome::InvalidReply,
            "not HTTP: message head is too large",
        ),
        (
            vec![send("HTTP/1.1 200 "), Step::Forever(vec![b'a'; 1000])],
            Outcome::InvalidReply,
            "not HTTP: message head is too large",
        ),
        (vec![Step::Forever(vec![0; 1000])], Outcome::InvalidReply, "not HTTP: invalid HTTP version parsed"),
        (
            vec![send(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200)))],
            Outcome::InvalidReply,
            "not HTTP: message head is too large",
        ),
        (vec![send("HTTP/1.1 999 What\r\ncontent-length: 0\r\n\r\n")], Outcome::HttpError, "HTTP 999"),
        (vec![send("HTTP/1.1 99 No\r\n\r\n")], Outcome::InvalidReply, "not HTTP: invalid HTTP status-code parsed"),
    ]);
    for head in [format!("retry-after: {long}"), format!("location: {long}"), format!("content-type: {long}")] {
        for status in ["200 OK", "307 Temporary Redirect", "503 Busy"] {
            let answer = format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: 1\r\n\r\nx");
            assert_ne!(ended(vec![send(answer)], limits(), 0).0, Outcome::Ok);
        }
    }
}

#[test]
fn lengths_that_lie_are_found_out() {
    let of = |length: &str, body: &str| {
        send(format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\r\n{body}"))
    };
    check(vec![
        (vec![of("500", OK), Step::Close], Outcome::Disconnected, "closed within the answer"),
        (vec![of("20", OK)], Outcome::InvalidReply, "not JSON"),
        (vec![of("0", OK)], Outcome::InvalidReply, "HTTP 200 without an answer"),
        (vec![of("-1", OK)], Outcome::InvalidReply, "not HTTP: invalid content-length parsed"),
        (vec![of("1, 2", OK)], Outcome::InvalidReply, "not HTTP: invalid content-length parsed"),
        (vec![of("99999999999999999999999", OK)], Outcome::InvalidReply, "not HTTP: invalid content-length parsed"),
        (
            vec![of("18446744073709551615", ""), Step::Close],
            Outcome::InvalidReply,
            "not HTTP: invalid content-length parsed",
        ),
    ]);
}

#[test]
fn an_answer_to_a_request_that_was_not_read_is_heard() {
    let refusal = "HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbig!";
    let reply = run(async {
        // The server reads the head, answers and goes away, while megabytes are on their way.
        let server = Scripted::deaf(refusal.into()).await;
        let mut large = call(ID);
        large.arguments = format!("{{\"text\":\"{}\"}}", "x".repeat(BUFFERS));
        driver_to(&server.target, &session(), limits()).0.call(&large).await
    });
    assert_eq!((reply.outcome, reply.failure.unwrap().group.as_str()), (Outcome::HttpError, "HTTP 413"));
}

#[test]
fn what_is_wrong_behind_an_answer_does_not_take_it_back() {
    let whole = in_chunk(&format!("data: {OK}\n\n"));
    let head = String::from_utf8(events_head()).unwrap();
    check(vec![(vec![send(format!("{head}{whole}zz\r\n"))], Outcome::Ok, "")]);
}

#[test]
fn chunks_that_are_none_and_trailers_are_read_or_refused() {
    let length = OK.len();
    let whole = format!("{length:x}\r\n{OK}\r\n0\r\n");
    check(vec![
        (vec![send(chunked(&format!("{whole}x-sum: 1\r\nx-b: 2\r\n\r\n")))], Outcome::Ok, ""),
        (vec![send(chunked(&format!("{length:x};ext=\"a\"\r\n{OK}\r\n0\r\n\r\n")))], Outcome::Ok, ""),
        (vec![send(chunked(&format!("zz\r\n{OK}")))], Outcome::InvalidReply, "not HTTP: invalid chunk size: no digit"),
        (
            vec![send(chunked(&format!("fffffffffffffffff\r\n{OK}")))],
            Outcome::InvalidReply,
            "not HTTP: invalid chunk size: too large",
        ),
        (
            vec![send(chunked(&format!("{length:x}\r\n{OK}xx0\r\n\r\n")))],
            Outcome::InvalidReply,
            "not HTTP: invalid end of a chunk",
        ),
        (vec![send(chunked(&whole[..40])), Step::Close], Outcome::Disconnected, "closed within the answer"),
        (
            vec![send(chunked("")), Step::Forever(b"1;aaaaaaaa".to_vec())],
            Outcome::InvalidReply,
            "not HTTP: too much beside the chunks of a body",
        ),
        (
            vec![send(chunked(&whole)), Step::Forever(b"x-a: b\r\n".to_vec())],
            Outcome::InvalidReply,
            "not HTTP: too many trailers",
        ),
        (
            vec![send(chunked("")), Step::Forever(b"1\r\n \r\n".to_vec())],
            Outcome::InvalidReply,
            "larger than 100000 bytes",
        ),
        (vec![send(chunked("0\r\n\r\n"))], Outcome::InvalidReply, "HTTP 200 without an answer"),
    ]);
}

#[test]
fn http_1_0_and_bodies_that_end_with_the_connection_are_understood() {
    check(vec![
        (vec![send(format!("HTTP/1.0 200 OK\r\ncontent-type: {JSON}\r\n\r\n{OK}")), Step::Close], Outcome::Ok, ""),
        (vec![send(format!("HTTP/1.1 200 OK\r\n\r\n{OK}")), Step::Close], Outcome::Ok, ""),
        (
            vec![send(format!("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {OK}\n\n")), Step::Hang],
            Outcome::Ok,
            "",
        ),
        (vec![send(http("200 OK", "text/plain", OK))], Outcome::InvalidReply, "text/plain in place of an answer"),
        (
            vec![send(http("200 OK", "application/jsonx", OK))],
            Outcome::InvalidReply,
            "application/jsonx in place of an answer",
        ),
        (vec![send(events("data: \u{1}\u{0}\n\n"))], Outcome::InvalidReply, "not JSON"),
        (vec![send([&events_head()[..], b"9\r\ndata: \xff\n\n\r\n"].concat())], Outcome::InvalidReply, "not UTF-8"),
        (
            vec![send(events(&format!("data: {}\n\n", OK.replace("4711", "4712"))))],
            Outcome::InvalidReply,
            "the id of another request",
        ),
    ]);
}

#[test]
fn a_million_levels_and_a_line_without_end_stop_at_their_bounds() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let deep = OK.replace("[]", &deep);
    let large = Limits { max_reply_bytes: 8 << 20, ..limits() };
    for answer in [http("200 OK", JSON, &deep), events(&format!("data: {deep}\n\n"))] {
        let group = "JSON nested more than 128 deep".to_owned();
        assert_eq!(ended(vec![send(answer)], large, 0), (Outcome::InvalidReply, group));
    }
    for (head, line) in [
        (events_head(), "1000\r\n".to_owned() + &"x".repeat(0x1000) + "\r\n"),
        (events_head(), format!("1006\r\ndata: {}\r\n", "x".repeat(0x1000))),
        (http("200 OK", JSON, "").strip_suffix(b"content-length: 0\r\n\r\n").unwrap().to_vec(), "[".repeat(4096)),
    ] {
        let head = if line.starts_with('[') { [&head[..], b"\r\n"].concat() } else { head };
        let group = format!("larger than {} bytes", 8 << 20);
        let steps = vec![send(head), Step::Forever(line.into())];
        assert_eq!(ended(steps, large, 16 << 20), (Outcome::InvalidReply, group));
    }
}

#[test]
fn a_slow_drip_ends_with_the_timeout_and_says_how_far_it_came() {
    let large = Limits { max_reply_bytes: 8 << 20, ..impatient() };
    let json = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: 100000000\r\n\r\n");
    for (head, drip, outcome) in [
        (Vec::new(), "HTTP/1.1 100 Continue\r\n\r\n", Outcome::TimeoutHeadersOnly),
        (events_head(), &in_chunk(": x\n\n"), Outcome::TimeoutHeadersOnly),
        (events_head(), &in_chunk("data: {}x"), Outcome::TimeoutTruncated),
        (json.into_bytes(), " ", Outcome::TimeoutTruncated),
    ] {
        let steps = vec![Step::Send(head), Step::Drip(drip.into())];
        assert_eq!(ended(steps, large, 16 << 20).0, outcome, "{drip}");
    }
    // Where the time is over in the midst of what the server says of its own accord, it may look like the answer's beginning.
    let own = in_chunk("data: {\"jsonrpc\":\"2.0\",\"method\":\"notify\"}\n\n");
    let (said, group) = ended(vec![send(events_head()), Step::Drip(own.into())], large, 16 << 20);
    assert!(matches!(said, Outcome::TimeoutHeadersOnly | Outcome::TimeoutTruncated), "{said} {group}");
}

#[test]
fn a_second_answer_is_never_taken_for_that_to_the_next_request() {
    run(async {
        // Two answers to each request, the second under the id of the next.
        let server = Scripted::start(|_, request| {
            let answer = |id: u64| http("200 OK", JSON, &OK.replace("4711", &id.to_string()));
            let id = id_of(request);
            vec![Step::Send([answer(id), answer(id + 1)].concat())]
        })
        .await;
        let (driver, _) = driver_to(&server.target, &session(), limits());
        for id in 0..5 {
            assert_eq!(driver.call(&call(ID + id)).await.outcome, Outcome::Ok);
        }
        let seen = server.seen();
        assert_eq!((seen.connections, seen.requests.len()), (5, 5), "a connection with too much on it was used again");
    });
    run(async {
        // Two answers in one stream of events: the first counts, and nobody waits for the second.
        let server = Scripted::start(|_, request| {
            let ok = OK.replace("4711", &id_of(request).to_string());
            vec![Step::Send(events(&format!("data: {ok}\n\ndata: {ok}\n\n")))]
        })
        .await;
        let (driver, _) = driver_to(&server.target, &session(), limits());
        for id in 0..5 {
            assert_eq!(driver.call(&call(ID + id)).await.outcome, Outcome::Ok);
        }
        assert_eq!(server.seen().connections, 1);
    });
}

#[test]
fn a_secret_that_comes_back_byte_by_byte_or_in_pieces_is_found() {
    const TOKEN: &str = "tok-Zq7Lm2Xv9";
    let said = format!("who is {TOKEN}?");
    let error = format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{{"code":-32000,"message":"{said}"}}}}"#);
    let in_pieces: Vec<String> = error.chars().map(|letter| in_chunk(&letter.to_string())).collect();
    let in_pieces = in_pieces.concat();
    let in_lines = format!("data: {}\ndata: {}\n\n", &error[..10], &error[10..]);
    for steps in [
        vec![Step::Dribble(http("401 Unauthorized", "text/plain", &said))],
        vec![Step::Dribble(events(&format!("data: {error}\n\n")))],
        vec![send(chunked(&in_pieces)), send("0\r\n\r\n")],
        vec![send(events(&in_lines))],
        vec![
            send(http("307 Moved", "text/plain", "").strip_suffix(b"\r\n").unwrap()),
            send(format!("location: /{TOKEN}/\r\n\r\n")),
        ],
        vec![send(format!("HTTP/1.1 200 OK\r\ncontent-encoding: {TOKEN}\r\n\r\n"))],
    ] {
        let text = format!("{steps:?}");
        let reply = run(async {
            let server = Scripted::always(steps).await;
            let secret = ("authorization".to_owned(), Secret::from(format!("Bearer {TOKEN}")));
            let credentials = Credentials::new(&[], &[secret], &[]).unwrap();
            let options = Options { credentials, ..Options::default() };
            let connector = Connector::with(server.target.clone(), options).unwrap();
            let tools = ["create_payment".to_owned()];
            let clock = super::contract::Ticking::default();
            McpDriver::new(connector, &Negotiated::default(), &tools, limits(), clock).call(&call(ID)).await
        });
        let failure = reply.failure.unwrap();
        let shown = format!("{} {}", failure.group, failure.example);
        assert!(shown.contains("***") && !shown.contains("Zq7Lm"), "{shown} of {text}");
    }
}

/// The most bytes that one call to a server which pours this reads between two turns of its lane.
fn most_in_a_turn(head: Vec<u8>, poured: &[u8]) -> u64 {
    let steps = vec![Step::Send(head), Step::Forever(poured.to_vec())];
    run(async {
        let server = Scripted::always(steps).await;
        let (driver, _) = driver_to(&server.target, &session(), Limits { max_reply_bytes: 8 << 20, ..limits() });
        let (mut most, mut before) = (0, 0);
        let call = call(ID);
        let mut answered = std::pin::pin!(driver.call(&call));
        loop {
            // Whatever else the lane has to do is done each time that the call is not ready.
            let is_over = std::future::poll_fn(|cx| Poll::Ready(answered.as_mut().poll(cx).is_ready())).await;
            let read = driver.bytes().1;
            most = most.max(read - before);
            before = read;
            if is_over {
                assert!(read > 100_000, "{read} bytes are no flood");
                return most;
            }
            tokio::task::yield_now().await;
        }
    })
}

#[test]
fn however_fast_a_server_pours_a_lane_has_its_turn_after_every_part() {
    let piece = |text: &str, count: usize| text.repeat(count).into_bytes();
    for (head, poured) in [
        (Vec::new(), piece("HTTP/1.1 100 Continue\r\n\r\n", 2000)),
        (chunked(""), piece("1\r\n \r\n", 10_000)),
        (chunked(""), in_chunk(&" ".repeat(1 << 16)).into_bytes()),
        (events_head(), in_chunk(&": still here\n\n".repeat(4000)).into_bytes()),
        (
            events_head(),
            in_chunk(&"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n".repeat(1000)).into_bytes(),
        ),
        (events_head(), in_chunk(&"\n".repeat(1 << 16)).into_bytes()),
        (events_head(), in_chunk(&"x".repeat(1 << 16)).into_bytes()),
    ] {
        let text = String::from_utf8_lossy(&poured[..40]).into_owned();
        let most = most_in_a_turn(head, &poured);
        // What is looked at in one go, what is read ahead of that, and once more for the head.
        assert!(most <= 4 * PART as u64, "{most} bytes in one turn of {text:?}");
    }
}
