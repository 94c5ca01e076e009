//! The command line: what it takes, what it refuses before anything is sent, and what it prints again.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::time::Duration;

use common::scripted::{Scripted, respond_json, shake_hands};
use common::{Ended, Load, Loaded, Server, finish, finish_line, free_port, mcpace, words};
use mcpace::outcome::Outcome;
use mcpace::verdict::Objective;
use serde_json::json;

#[test]
fn the_old_command_lines_do_what_they_did() {
    let server = Server::start("");
    let base = server.url.trim_end_matches("/mcp");
    for (line, calls, operations, concurrent) in [
        ("--total 300 --concurrent 100 --rate 300", 300, 1, 100),
        ("--mixed --total 150 --concurrent 50 --rate 300", 150, 3, 50),
        ("--timeout 60 --total 20", 20, 1, 10_000),
        ("--quick", 100, 1, 10),
    ] {
        let loaded = Load::flags(&format!("--url {base} {line}")).run();
        loaded.exited(0).all_ok(calls);
        let plan = &loaded.run.plan;
        assert_eq!((plan.flows[0].mix.len(), plan.run.concurrent.get()), (operations, concurrent), "{line}");
        assert_eq!(plan.target.to_string(), server.url);
        if line.contains("--timeout") {
            assert_eq!(plan.run.timeout, Duration::from_mins(1));
        }
        if line == "--quick" {
            assert_eq!(plan.flows[0].load.peak().get().to_bits(), 50.0_f64.to_bits());
        }
    }
}

#[test]
fn flags_beat_the_environment_and_that_beats_the_plan_file_and_that_the_defaults() {
    let server = Server::start("");
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let file = "[target]\nurl = \"http://127.0.0.1:9\"\n[run]\nconcurrent = 5\ntimeout = \"5s\"\nwarmup = \"10ms\"\n\
        [[flow]]\ntotal = 7\nrate = \"150/s\"\n";
    std::fs::write(&plan, file).expect("a file");
    let run = |flags: &str, variables: &[(&str, &str)]| {
        let out = folder.path().join("run.json");
        let mut command = mcpace();
        command.args(["run", "--metrics", "off", "--judge", "observed", "--objective", common::GENEROUS, "--out"]);
        command.arg(&out);
        command.args(words(flags)).envs(variables.iter().copied());
        let ended = finish(command);
        assert_eq!(ended.code, Some(0), "{flags} {variables:?}: {}{}", ended.err, ended.out);
        common::read_run(&out)
    };
    let plan_flag = format!("--plan {}", plan.display());
    let all = [
        ("API_BASE_URL", &*server.url),
        ("LOAD_TEST_TOTAL", "11"),
        ("LOAD_TEST_CONCURRENT", "6"),
        ("LOAD_TEST_TIMEOUT", "6"),
    ];
    let seen = |run: &mcpace::report::SavedRun| {
        (run.plan.flows[0].total, run.plan.run.concurrent.get(), run.plan.run.timeout.as_secs())
    };
    assert_eq!(seen(&run("", &all)), (Some(11), 6, 6), "the environment alone");
    assert_eq!(seen(&run(&plan_flag, &all)), (Some(11), 6, 6), "over the plan");
    assert_eq!(seen(&run(&plan_flag, &all[..1])), (Some(7), 5, 5), "the plan alone");
    let flags = format!("{plan_flag} --total 13 --concurrent 8 --timeout 8");
    assert_eq!(seen(&run(&flags, &all)), (Some(13), 8, 8), "flags over everything");
    let elsewhere = format!("{plan_flag} --url {}", server.url);
    assert_eq!(seen(&run(&elsewhere, &[("API_BASE_URL", "http://127.0.0.1:9")])), (Some(7), 5, 5));
    assert_eq!(seen(&run("--quick", &all)), (Some(100), 10, 6), "what is quick beats the environment");
    assert_eq!(seen(&run("--quick --total 3", &all)), (Some(3), 10, 6), "and flags beat what is quick");
    assert_eq!(seen(&run(&plan_flag, &[all[0], ("LOAD_TEST_TOTAL", "")])), (Some(7), 5, 5), "empty says nothing");
}

#[test]
fn variables_that_cannot_be_meant_are_named() {
    for (name, value) in [
        ("LOAD_TEST_TOTAL", "many"),
        ("LOAD_TEST_TOTAL", "0"),
        ("LOAD_TEST_CONCURRENT", "0"),
        ("LOAD_TEST_TIMEOUT", "x"),
    ] {
        let mut command = mcpace();
        command.args(["run", "--metrics", "off"]).env(name, value);
        finish(command).assert_refused(2, &[name]);
    }
}

#[test]
fn all_five_faults_of_a_plan_are_named_and_nothing_is_sent() {
    let server = Scripted::start(|request, stream| shake_hands(stream, request));
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("five.toml");
    let text = format!(
        "[target]\nurl = \"{}\"\n[run]\ntimeout = \"soon\"\n[[flow]]\noperations = {{ create_paymnt = 1 }}\nrate = \"0/s\"\n\
         arrivals = \"poison\"\nobjectives = [\"p95 < 150\"]\n",
        server.url()
    );
    std::fs::write(&plan, text).expect("a file");
    let mut command = mcpace();
    command.args(["run", "--metrics", "off", "--plan"]).arg(&plan);
    let ended = finish(command);
    ended.assert_refused(2, &["five.toml", "5 faults", "soon", "create_paymnt", "0/s", "poison", "p95 < 150"]);
    assert_eq!(ended.err.lines().filter(|line| line.trim_start().starts_with("- ")).count(), 5, "{}", ended.err);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_plan_that_is_not_there_or_is_no_toml_is_refused() {
    finish_line("run --plan /nowhere/plan.toml").assert_refused(2, &["failed to read the plan /nowhere/plan.toml"]);
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    std::fs::write(&plan, "[target\n").expect("a file");
    finish_line(&format!("run --plan {}", plan.display())).assert_refused(2, &["plan.toml", "line 1"]);
}

#[test]
fn flags_that_cannot_be_meant_are_refused_with_the_way_out_and_nothing_is_sent() {
    let server = Scripted::start(|request, stream| shake_hands(stream, request));
    for (flags, parts) in [
        ("--rate 0", &["--rate", "0.001/s"][..]),
        ("--rate fast", &["--rate", "fast"]),
        ("--total 0", &["--total", "0"]),
        ("--concurrent 0", &["--concurrent", "0"]),
        ("--duration 0s", &["0s", "1ms"]),
        ("--timeout 0", &["timeout", "1ms"]),
        ("--duration 1s --warmup 1s", &["warm-up"]),
        ("--judge sure", &["sure", "confident or observed"]),
        ("--until-decided", &["--until-decided", "--duration"]),
        ("--abort-on-fail", &["--abort-on-fail", "--duration"]),
        ("--abort-on-fail --duration 9s --judge observed", &["--abort-on-fail", "--judge observed"]),
        ("--tool work --args [1]", &["--args", "not a JSON object"]),
        ("--tool work --args {", &["--args is not JSON"]),
        ("--args {}", &["--tool"]),
        ("--protocol 2027-01-01", &["--protocol", "2027-01-01", "2026-07-28"]),
        ("--burst 5", &["--arrivals token-bucket"]),
        ("--objective p95", &["--objective", "p95"]),
        ("--mix verify_paymnt=1", &["verify_paymnt", "verify_payment"]),
        ("--rat 5", &["--rat", "--rate"]),
    ] {
        let ended = finish_line(&format!("run {} --metrics off {flags}", server.url()));
        ended.assert_refused(2, parts);
    }
    let both = ["run", &server.url(), "--load", "10/s for 1s", "--rate", "5"];
    finish_with(&both).assert_refused(2, &["--load", "--rate"]);
    let scope = finish_with(&["run", &server.url(), "--metrics", "off", "--objective", "p95(refund) < 1s"]);
    scope.assert_refused(2, &["refund", "create_payment"]);
    for url in ["ftp://127.0.0.1", "not a url", "http://"] {
        finish_with(&["run", url, "--metrics", "off"]).assert_refused(2, &[url]);
    }
    assert_eq!(server.connections(), 0);
}

fn finish_with(arguments: &[&str]) -> Ended {
    let mut command = mcpace();
    command.args(arguments);
    finish(command)
}

#[test]
fn a_metrics_port_that_is_taken_is_an_error_where_it_was_asked_for() {
    let server = Scripted::start(|request, stream| shake_hands(stream, request));
    let taken = server.url().trim_start_matches("http://").to_owned();
    let ended = finish_line(&format!("run {} --tool work --total 5 --metrics {taken}", server.url()));
    ended.assert_refused(2, &[&taken, "the port is taken", "--metrics off"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_metrics_port_that_is_taken_is_a_warning_where_nobody_asked() {
    // Whoever holds the default port, there is somebody.
    let _held = std::net::TcpListener::bind("127.0.0.1:9464");
    let server = Server::start("");
    let ended =
        finish_with(&["run", &server.url, "--total", "5", "--judge", "observed", "--objective", common::GENEROUS]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.err, ended.out);
    assert!(ended.err.contains("WARN") && ended.err.contains("without metrics"), "{}", ended.err);
}

#[test]
fn nothing_that_is_piped_holds_escape_codes() {
    let server = Server::start("");
    for (flag, variable) in [("", ""), ("--no-color", ""), ("", "1")] {
        let mut command = mcpace();
        command.args(words(&format!("run {} --total 5 --metrics off {flag}", server.url))).env("NO_COLOR", variable);
        let ended = finish(command);
        assert!(ended.out.contains("OVERALL"), "{}{}", ended.err, ended.out);
        assert!(!ended.out.contains('\x1b') && !ended.err.contains('\x1b'), "{}{}", ended.err, ended.out);
    }
}

#[test]
fn quiet_says_nothing_beside_the_report_and_verbose_says_more() {
    let server = Server::start("");
    let run =
        |flag: &str| finish_line(&format!("run {} --total 50 --rate 500 --metrics 127.0.0.1:0 {flag}", server.url)).err;
    assert_eq!(run("-q"), "");
    assert_eq!(run(""), "");
    assert!(run("-v").contains("INFO"));
}

#[test]
fn report_prints_what_the_run_printed_and_judges_it_by_other_promises() {
    let server = Server::start("--error-share 20% --response-time 30ms");
    let loaded = Load::on(&server.url, "--mixed --rate 200 --total 100").promising("error_rate < 50%").run();
    loaded.exited(0);
    let file = loaded.file();
    let file = file.to_str().expect("a path of letters");
    let again = finish_with(&["report", file]);
    assert_eq!(again.code, Some(0));
    assert_eq!(again.out, loaded.ended.out);
    for (objective, code) in
        [("error_rate < 1%", 1), ("p95 < 25ms", 1), ("p50 < 60s", 0), ("rate >= 1000/s", 1), ("p99.9 < 1ms", 1)]
    {
        let judged = finish_with(&["report", file, "--objective", objective]);
        let objective: Objective = objective.parse().expect("an objective");
        // Where the generator was late, a tight promise cannot be judged; it is not kept in any case.
        let late = code == 1 && judged.code == Some(3) && judged.out.contains("INVALID");
        assert!(judged.code == Some(code) || late, "{objective}: {:?} {}", judged.code, judged.out);
        assert!(judged.out.contains(&objective.to_string()) && !judged.out.contains("error_rate < 50%"));
    }
    finish_with(&["report", file, "--objective", "p95(refund) < 1s"]).assert_refused(2, &["refund"]);
}

#[test]
fn report_ends_with_the_worst_of_several_runs() {
    let good = Server::start("");
    let bad = Server::start("--http-error-share 100%");
    let run = |server: &Server| Load::on(&server.url, "--rate 200 --total 20").promising("error_rate < 10%").run();
    let (good, bad) = (run(&good), run(&bad));
    assert_eq!(bad.exited(1).count(Outcome::HttpError), 20);
    let path = |loaded: &Loaded| loaded.file().display().to_string();
    let both = finish_with(&["report", &path(&bad), &path(&good)]);
    assert_eq!(both.code, Some(1), "{}", both.err);
    assert_eq!(both.out.matches("OVERALL").count(), 2);
}

#[test]
fn files_that_are_no_saved_run_are_refused_with_the_reason() {
    let server = Server::start("");
    let loaded = Load::on(&server.url, "--rate 200 --total 10").run();
    let whole = std::fs::read_to_string(loaded.file()).expect("a saved run");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.json");
    for (text, reason) in [
        (String::new(), "it is empty"),
        (whole[..whole.len() / 2].to_owned(), "it breaks off"),
        ("<html>".to_owned(), "it is not JSON"),
        ("{}".to_owned(), "no saved run of mcpace"),
        (whole.replacen("\"version\":1", "\"version\":99", 1), "a newer mcpace"),
        (whole.replacen("\"flows\":[", "\"flows\":7,\"x\":[", 1), "damaged"),
        (whole.replacen("\"scheduled\":10", "\"scheduled\":18446744073709551615", 1), "damaged"),
        (whole.replacen("HIST", "TSIH", 1), "damaged"),
    ] {
        assert_ne!(text, whole, "{reason}");
        std::fs::write(&path, text).expect("a file");
        let ended = finish_with(&["report", path.to_str().expect("a path of letters")]);
        ended.assert_refused(2, &["failed to read the run", "damaged.json", reason]);
    }
    finish_line("report /nowhere/run.json").assert_refused(2, &["/nowhere/run.json", "No such file", "--out"]);
    finish_line("report").assert_refused(2, &["RUN.json"]);
}

#[test]
fn secrets_in_a_url_are_shown_nowhere() {
    let server = Scripted::start(|request, stream| {
        shake_hands(stream, request)
            || respond_json(stream, "500 Internal Server Error", &json!({"jsonrpc": "2.0", "id": 1}))
    });
    let address = server.url().trim_start_matches("http://").to_owned();
    let url = format!("http://user:hunter2@{address}/mcp");
    for flags in ["--tool work --total 5 --rate 100 -vv", "--tool none --total 5"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = mcpace();
        command.args(["run", &url, "--metrics", "off", "--out"]).arg(folder.path().join("run.json")).args(words(flags));
        let ended = finish(command);
        let saved = std::fs::read_to_string(folder.path().join("run.json")).unwrap_or_default();
        assert!(!format!("{}{}{saved}", ended.out, ended.err).contains("hunter2"), "{}{}", ended.out, ended.err);
    }
    let nobody = format!("http://user:hunter2@127.0.0.1:{}/mcp", free_port());
    let ended = finish_with(&["run", &nobody, "--metrics", "off"]);
    assert!(ended.code != Some(0) && !ended.err.contains("hunter2"), "{}", ended.err);
}
