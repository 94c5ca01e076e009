//! `mcpace rules`: what it prints for a plan, and what it refuses.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::path::PathBuf;

use common::{Ended, finish, mcpace};

fn rules(plan: &str, flags: &[&str]) -> Ended {
    let mut command = mcpace();
    command.arg("rules").arg(plan).args(flags);
    finish(command)
}

fn in_repository(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn the_bundled_rules_are_those_of_the_payments_targets() {
    let plan = in_repository("prometheus/payments.toml");
    let ended = rules(&plan.display().to_string(), &[]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for objective in mcpace::verdict::payments_objectives() {
        assert!(ended.out.contains(&format!("\n      # {objective}\n")), "{objective} is not in the plan");
    }
    let bundled = in_repository("prometheus/alerts.yml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&bundled, &ended.out).expect("it can be written");
    }
    let text = std::fs::read_to_string(bundled).expect("it is there");
    assert!(text == ended.out, "prometheus/alerts.yml is stale: UPDATE_DOCS=1 cargo test --test rules writes it again");
}

#[test]
fn a_named_plan_is_about_its_own_runs_and_windows_grow_with_run_and_scrape_interval() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let text = "name = \"night\"\n[run]\nwarmup = \"10m\"\n[[flow]]\noperations = { create_payment = 1 }\n\
        load = \"10/s for 250m\"\nobjectives = [\"p99 < 2s\"]\n";
    std::fs::write(&plan, text).expect("a file");
    let plan = plan.display().to_string();
    let ended = rules(&plan, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // Of 250 minutes ten are warm-up; a tenth of the rest is 24.
    for part in ["runs of \"night\"", "{name=\"night\"}", "p99(main) < 2s", "flow=\"main\"", "[24m]", "le=~\"2|2.0\""] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let coarse = rules(&plan, &["--scrape-interval", "5m"]).out;
    assert!(coarse.contains("[1h]") && !coarse.contains("[24m]"), "{coarse}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_way_out() {
    rules("nowhere.toml", &[]).assert_refused(2, &["failed to read the plan nowhere.toml"]);
    let plan = in_repository("prometheus/payments.toml").display().to_string();
    rules(&plan, &["--scrape-interval", "100ms"]).assert_refused(2, &["100ms", "whole seconds, from 1s to 1h"]);
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "objectives = [\"p95(crate_payment) < 1s\"]\n").expect("a file");
    rules(&wrong.display().to_string(), &[]).assert_refused(2, &["did you mean \"create_payment\"?"]);
}
