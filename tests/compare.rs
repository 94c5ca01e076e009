//! `mcpace compare` on runs of the real binary: a server that became slower, one that did not, and what is not comparable.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::path::{Path, PathBuf};

use common::{Ended, Load, Server, finish, finish_line, mcpace};

const LOAD: &str = "--mix create_payment=1,get_wallet_balance=1 --rate 200 --duration 5s --arrivals constant --seed 7";

/// Five seconds at 200/s against a server with these flags, saved in `folder` under this name.
fn saved(folder: &Path, name: &str, server: &str, load: &str) -> PathBuf {
    let server = Server::start(server);
    let loaded = Load::on(&server.url, load).run();
    loaded.exited(0);
    let file = folder.join(name);
    std::fs::copy(loaded.file(), &file).expect("it was saved");
    file
}

fn compare(files: &[&Path], flags: &[&str]) -> Ended {
    let mut command = mcpace();
    command.arg("compare").args(files).args(flags);
    finish(command)
}

#[test]
fn a_server_that_became_slower_is_a_regression_and_its_operation_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let base = saved(folder.path(), "base.json", "--response-time lognormal(5ms,0.2)", LOAD);
    let slow = saved(folder.path(), "slow.json", "--response-time lognormal(15ms,0.2)", LOAD);
    let page = folder.path().join("summary.md");
    let ended = compare(&[&base, &slow], &["--markdown", &page.display().to_string()]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("REGRESSION"), "{}", ended.out);
    assert!(ended.out.contains("p50 of create_payment: from"), "{}", ended.out);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("| **worse** | create\\_payment | p50 |"), "{page}");
    // The other way round it is better, and nothing is worse.
    let ended = compare(&[&slow, &base], &["--indicator", "p50", "--json", "-"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(json["headline"], "NO REGRESSION");
    assert_eq!(
        (&json["changes"][0]["operation"], &json["changes"][0]["finding"]),
        (&"create_payment".into(), &"better".into())
    );
    let ratio = json["changes"][0]["change"].as_f64().unwrap();
    assert!((0.2..0.8).contains(&ratio), "{ratio}");
}

#[test]
fn a_run_of_the_same_server_achieves_the_same_rate_and_is_not_compared_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let [run, again] = ["run.json", "again.json"].map(|name| saved(folder.path(), name, "", LOAD));
    compare(&[&run, &run], &[]).assert_refused(2, &["this is the same run twice: give the new one last"]);
    let ended = compare(&[&run, &again], &["--indicator", "rate", "--indicator", "rate", "--markdown", "-"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert!(ended.out.starts_with("## NO REGRESSION"), "{}", ended.out);
}

#[test]
fn what_is_not_comparable_is_refused_with_every_reason() {
    let folder = tempfile::tempdir().unwrap();
    let base = saved(folder.path(), "base.json", "", "--rate 200 --total 100 --timeout 20s");
    let other = saved(folder.path(), "other.json", "", "--rate 100 --total 100 --tool get_wallet_balance");
    let ended = compare(&[&base, &other], &[]);
    ended.assert_refused(
        2,
        &[
            "failed to compare these runs:",
            "only the base run calls create_payment",
            "the load of flow main is",
            "the timeout is 20s, and 30s",
        ],
    );
    compare(&[&base, &base, &other], &[]).assert_refused(2, &["are the same run: each base run counts once"]);
    compare(&[&base], &[]).assert_refused(2, &["2"]);
    compare(&[&base, Path::new("/nowhere.json")], &[]).assert_refused(2, &["/nowhere.json"]);
    compare(&[&base, &base], &["--tolerance", "0%"]).assert_refused(2, &["leaves no room"]);
    compare(&[&base, &base], &["--indicator", "mean"]).assert_refused(2, &["cannot be compared"]);
    compare(&[&base, &base], &["--json", "-", "--markdown", "-"]).assert_refused(2, &["two results to stdout"]);
    let again = saved(folder.path(), "again.json", "", "--rate 200 --total 100 --timeout 20s");
    let full = compare(&[&base, &again], &["--json", "/dev/full"]);
    assert_eq!(full.code, Some(6), "{}{}", full.out, full.err);
    assert!(full.out.contains("figure"), "{}", full.out);
    assert_eq!(finish_line("compare --help").code, Some(0));
}
