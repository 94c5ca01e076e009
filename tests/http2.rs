//! HTTP/2 end to end: calls side by side on one connection, and what is said where it is not spoken.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::scripted::{Scripted, respond_result, shake_hands};
use common::{Load, Server, finish_line};
use mcpace::outcome::Outcome;
use serde_json::json;

/// The URL of something that passes all on to a server, and how many connections came there.
fn counting_way_to(server: &Server) -> (String, Arc<AtomicU64>) {
    let address = server.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for outside in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let Ok(inside) = TcpStream::connect(&address) else { return };
            for stream in [&outside, &inside] {
                drop(stream.set_nodelay(true));
            }
            for (mut from, mut to) in [(outside.try_clone(), inside.try_clone()), (Ok(inside), Ok(outside))]
                .into_iter()
                .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
            {
                thread::spawn(move || {
                    drop(copy(&mut from, &mut to));
                    to.shutdown(Shutdown::Both)
                });
            }
        }
    });
    (url, count)
}

#[test]
fn calls_share_connections_by_prior_knowledge_and_all_are_well() {
    let server = Server::start("--response-time 50ms");
    let (url, connections) = counting_way_to(&server);
    // Some 20 calls are in flight at a time, and each would need a connection of its own without streams.
    let loaded = Load::on(&url, "--http2 --mixed --sessions none --rate 400 --total 600").run();
    loaded.exited(0).all_ok(600);
    assert!(connections.load(Ordering::SeqCst) <= 8, "{connections:?} connections");
}

#[test]
fn a_server_of_http_1_is_told_from_one_of_http_2_before_the_run() {
    let server = Scripted::start(|request, stream| {
        shake_hands(stream, request) || respond_result(stream, request, &json!({"content": []}))
    });
    let ended = finish_line(&format!("run {} --http2 --metrics off", server.url()));
    ended.assert_refused(5, &["does not speak HTTP/2 here", "leave out --http2"]);
}

#[test]
fn a_call_that_times_out_gives_up_its_stream_and_no_other() {
    let server = Server::start("--freeze 400ms/1s");
    let (url, connections) = counting_way_to(&server);
    let loaded = Load::on(&url, "--http2 --timeout 100ms --rate 200 --total 400").run();
    let (late, ok) = (loaded.count(Outcome::TimeoutNoByte), loaded.count(Outcome::Ok));
    assert!(late > 20 && ok > 20 && late + ok == 400, "{late} late, {ok} ok\n{}", loaded.ended.out);
    assert!(connections.load(Ordering::SeqCst) <= 8, "{connections:?} connections");
}
