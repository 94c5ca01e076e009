//! From a slow call in the report to the server's trace of it.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::collections::HashSet;
use std::net::TcpStream;

use common::scripted::{Request, Scripted, respond_result, shake_hands};
use common::{Load, finish_line};
use mcpace::measure::SlowCall;
use serde_json::json;

/// The traces that the server was told, in the order of the calls' ids, and the calls that the run kept.
fn traced(flags: &str) -> (Vec<String>, Vec<SlowCall>, String) {
    let server = Scripted::start(|request: &Request, stream: &mut TcpStream| match request.rpc() {
        "tools/call" => respond_result(stream, request, &json!({"content": []})),
        _ => shake_hands(stream, request),
    });
    let flags = format!("--tool work --rate 200 --total 40 --lanes 2 {flags}");
    let loaded = Load::on(&server.url(), &flags).run();
    assert_eq!(loaded.ended.code, Some(0), "{}{}", loaded.ended.err, loaded.ended.out);
    let mut calls = server.requests("tools/call");
    calls.sort_by_key(|request| request.body["id"].as_u64());
    let told = calls.iter().map(|request| request.header("traceparent").to_owned()).collect();
    (told, loaded.run.summary.slowest.calls(), loaded.ended.out)
}

#[test]
fn every_call_tells_a_trace_of_its_own_and_the_slowest_are_kept_with_theirs() {
    let (told, slowest, report) = traced("--trace --slowest 7");
    assert_eq!(told.len(), 40);
    for header in &told {
        let parts: Vec<&str> = header.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{header}");
        assert!((parts[0], parts[3]) == ("00", "01") && parts[1][..16] == told[0][3..19], "{header}");
    }
    assert_eq!(told.iter().map(|header| &header[3..35]).collect::<HashSet<_>>().len(), 40);
    assert_eq!(told.iter().map(|header| &header[36..52]).collect::<HashSet<_>>().len(), 40);
    assert_eq!(slowest.len(), 7);
    assert!(slowest.is_sorted_by_key(|call| std::cmp::Reverse(call.response_time())));
    for call in &slowest {
        let trace = call.trace.expect("a trace").to_string();
        // One flow: ids count its arrivals.
        assert_eq!(told[call.sequence as usize][3..35], trace);
    }
    let first = slowest[0].trace.expect("a trace").to_string();
    assert!(report.contains("SLOWEST CALLS") && report.contains(&format!("trace {first}")), "{report}");
}

#[test]
fn without_the_flag_nothing_is_told_and_the_slowest_calls_are_kept_all_the_same() {
    let (told, slowest, report) = traced("");
    assert!(told.len() == 40 && told.iter().all(String::is_empty), "{told:?}");
    assert!(slowest.len() == 20 && slowest.iter().all(|call| call.trace.is_none()));
    assert!(report.contains("and 15 more calls") && !report.contains("trace "), "{report}");
    let (_, none, report) = traced("--slowest 0");
    assert!(none.is_empty() && !report.contains("SLOWEST"), "{report}");
}

#[test]
fn two_ways_to_say_a_trace_are_refused() {
    finish_line("run http://localhost:1 --trace --header traceparent=x").assert_refused(2, &["give one of the two"]);
    finish_line("run http://localhost:1 --slowest 1001").assert_refused(2, &["--slowest"]);
}
