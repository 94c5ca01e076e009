//! Files and servers that mean no good, against the real binary in a process that cannot have much memory.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::fs;

use common::scripted::{Scripted, respond_result, shake_hands};
use common::{Ended, Load, finish, mcpace_after};
use serde_json::{Value, json};

/// As much memory as the program may have, in kilobytes of addresses: less than these files would take, and a run as
/// large as one may be takes.
const MEMORY: &str = "ulimit -v 600000";

/// A saved run of a few calls, all of them well.
fn saved() -> Value {
    let server = Scripted::start(|request, stream| {
        shake_hands(stream, request) || respond_result(stream, request, &json!({"content": []}))
    });
    let loaded = Load::on(&server.url(), "--tool work --rate 100 --total 5").run();
    loaded.exited(0);
    serde_json::to_value(&loaded.run).expect("a run")
}

/// What `mcpace report` makes of this text of a saved run.
fn reported(run: &Value, place: &str, filling: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let mut run = run.clone();
    *run.pointer_mut(place).expect("a place") = "filling".into();
    run["format"] = "mcpace-run".into();
    run["version"] = 1.into();
    fs::write(&path, run.to_string().replace("\"filling\"", filling)).expect("a file");
    let mut command = mcpace_after(MEMORY);
    command.arg("report").arg(path);
    finish(command)
}

/// Items that are small in a text and large in memory: hundreds of megabytes of them.
const MANY: usize = 4_000_000;

/// A list of so many.
fn list(item: &str, count: usize) -> String {
    format!("[{}{item}]", format!("{item},").repeat(count - 1))
}

#[test]
fn a_saved_run_made_by_hand_is_refused_before_it_takes_memory() {
    let mut run = saved();
    run["summary"]["truth"] = json!({"violations": [{"kind": "lost_write", "calls": 1, "evidence": []}]});
    run["summary"]["series"][0]["measure"]["response_time"]["buckets"] = "".into();
    for (place, filling, what) in [
        ("/summary/truth/violations/0/evidence", list("{}", MANY), "longer than 20 items"),
        (
            "/summary/truth/violations",
            list("{\"kind\":\"lost_write\",\"calls\":1,\"evidence\":[]}", 400_000),
            "longer than",
        ),
        ("/summary/series", list(r#"{"flow":0,"operation":0,"warmup":{},"measure":{}}"#, 400_000), "longer than 512"),
        ("/summary/series/0/measure/timeline/cells", list("{}", MANY), "longer than 3600 items"),
        ("/summary/series/0/measure/response_time/buckets", format!("\"{}\"", "A".repeat(20 << 20)), "buckets"),
        ("/summary/failures", list("{}", MANY), "damaged"),
        ("/summary/ends", list("0", MANY), "longer than 65535 items"),
        ("/server/warnings", list("\"\"", MANY), "its server is longer than 1048576 bytes"),
        ("/plan/flows", list("{}", MANY), "its plan is longer than 4194304 bytes"),
        ("/plan/operations/0/arguments", format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20)), "recursion limit"),
        ("/host", "[".repeat(10 << 20), "expected value"),
    ] {
        let ended = reported(&run, place, &filling);
        assert_eq!(ended.code, Some(2), "{place}: {}", ended.err);
        assert!(ended.err.contains(what), "{place}: {}", ended.err);
    }
}

#[test]
fn a_saved_run_as_large_as_one_may_be_is_read_within_bounds() {
    let run = saved();
    let full = |count: usize| {
        let mut series = run["summary"]["series"][0].clone();
        series["warmup"] = series["measure"].clone();
        let each = (0..count).map(|flow| {
            series["flow"] = flow.into();
            series.to_string()
        });
        format!("[{}]", each.collect::<Vec<_>>().join(","))
    };
    let mut run = run.clone();
    let flow = run["plan"]["flows"][0].clone();
    let flows = (0..512).map(|n| {
        let mut flow = flow.clone();
        flow["name"] = format!("flow {n}").into();
        flow
    });
    run["plan"]["flows"] = flows.collect();
    let ended = reported(&run, "/summary/series", &full(512));
    assert!(ended.out.contains("OVERALL"), "{:?}{}", ended.code, ended.err);
}
