//! The search for the highest rate, through the real binary: on targets whose limit is known, and however it ends.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::path::Path;

use common::scripted::{Scripted, shake_hands};
use common::{Ended, Running, Server, eventually, finish, get, mcpace, metric, metrics_address, words};
use mcpace::measure::SideKind;
use mcpace::report::SavedCapacity;
use mcpace::time::Rate;
use mcpace::verdict::Verdict;
use mcpace::verdict::search::Purpose;
use rustix::process::Signal;
use tempfile::TempDir;

/// `mcpace capacity URL` with the words of `flags`, and the file that it saves to.
fn searching(url: &str, flags: &str) -> (std::process::Command, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = mcpace();
    command.args(["capacity", url, "--metrics", "off", "--out"]).arg(folder.path().join("capacity.json"));
    command.args(words(flags));
    (command, folder)
}

fn read(folder: &TempDir) -> SavedCapacity {
    let text = std::fs::read(folder.path().join("capacity.json")).expect("a saved search");
    SavedCapacity::from_json(&text).expect("a readable search")
}

#[track_caller]
fn searched(url: &str, flags: &str, code: i32) -> (Ended, SavedCapacity, TempDir) {
    let (command, folder) = searching(url, flags);
    let ended = finish(command);
    assert_eq!(ended.code, Some(code), "{}\n{}", ended.err, ended.out);
    let saved = read(&folder);
    (ended, saved, folder)
}

fn reported(file: &Path, flags: &[&str]) -> Ended {
    let mut command = mcpace();
    command.arg("report").arg(file).args(flags);
    finish(command)
}

fn per_second(rate: f64) -> Rate {
    Rate::per_second(rate).expect("a rate")
}

const SHORT: &str = "--probe 2s --hold 2s --warmup 500ms --arrivals constant";

/// A queue of 50 ms a call can do 20/s. Above, calls wait ever longer until they time out, and go on waiting in the queue.
#[test]
fn a_queue_is_never_said_to_hold_more_than_it_can_serve_and_its_backlog_poisons_no_probe() {
    let server = Server::start("--service-time 50ms");
    let flags = format!("{SHORT} --from 8/s --resolution 45% --timeout 300ms --seed 7");
    let (ended, saved, folder) = searched(&server.url, &flags, 0);
    let held = saved.progress().held.expect("a rate is held");
    assert!(held >= per_second(8.0) && held <= per_second(20.0), "{}", ended.out);
    assert!(ended.out.contains(&format!("The target holds {}/s", held.get())), "{}", ended.out);
    let confirms = |made: &mcpace::report::Made| {
        made.probe.purpose == Purpose::Hold && made.probe.rate == held && made.verdict == Some(Verdict::Pass)
    };
    assert!(saved.probes.iter().any(confirms));
    let overload = saved.probes.iter().position(|made| made.probe.rate == per_second(32.0)).expect("one above");
    assert_eq!(saved.probes[overload].verdict, Some(Verdict::Fail));
    let after = saved.probes[overload + 1].cool_down;
    assert!(after.recovered && after.calls > 5, "a second of backlog takes more than one look: {after:?}");
    let seeds: Vec<u64> = saved.probes.iter().map(|made| made.run().expect("a run").plan.seed).collect();
    assert!(seeds.windows(2).all(|two| two[0] != two[1]), "{seeds:?}");
    let again = reported(&folder.path().join("capacity.json"), &[]);
    assert_eq!((again.code, &again.out), (Some(0), &ended.out));
}

#[test]
fn where_not_even_the_lowest_rate_is_held_the_search_fails_at_once() {
    let server = Server::start("--error-share 100%");
    let (ended, saved, _folder) = searched(&server.url, "--from 50/s --probe 1s --warmup 0s", 1);
    assert_eq!((saved.probes.len(), saved.progress().held), (1, None));
    assert!(ended.out.contains("NO RATE") && ended.out.contains("50/s was not held"), "{}", ended.out);
}

#[test]
fn one_agreement_serves_all_probes_and_the_highest_rate_asked_for_is_no_limit() {
    let server = Server::start("--sessions stateful");
    let flags = "--from 20/s --to 40/s --probe 1s --hold 2s --warmup 0s --mixed --protocol 2025-11-25 \
        --sessions pool:3";
    let (ended, saved, _folder) = searched(&server.url, flags, 0);
    let tried: Vec<_> = saved.probes.iter().map(|made| (made.probe.purpose, made.probe.rate.get())).collect();
    // A generator that was held up may have had to try a rate twice.
    let (last, before) = (tried.last(), tried.first());
    assert_eq!((last, before), (Some(&(Purpose::Hold, 40.0)), Some(&(Purpose::Climb, 20.0))));
    assert!(ended.out.contains("40/s is the highest rate asked for"), "{}", ended.out);
    let opened = |made: &mcpace::report::Made| {
        let side_calls = made.run().expect("a run").summary.side_calls;
        side_calls.get(SideKind::Initialize).map_or(0, |tally| tally.outcomes.total())
    };
    let opened: Vec<u64> = saved.probes.iter().map(opened).collect();
    assert!(opened[0] >= 3 && opened[1..].iter().all(|count| *count == 0), "{opened:?}");
}

#[test]
fn a_probe_asks_to_sustain_its_own_rate_and_the_promised_one_counts_at_the_end() {
    let server = Server::start("--service-time 5ms");
    let (mut command, folder) = searching(&server.url, &format!("{SHORT} --from 50/s --resolution 50%"));
    command.args(["--objective", "p50 < 60s", "--objective", "rate >= 1000/s"]);
    let ended = finish(command);
    let saved = read(&folder);
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.err, ended.out);
    for made in &saved.probes {
        let asked = made.run().expect("a run").plan.objectives[1].to_string();
        assert_eq!(asked, format!("rate >= {}", made.probe.rate));
    }
    // A machine that is busy with something else may answer late at any rate: then none is held.
    let said = if saved.progress().held.is_some() { "but 1 000/s were promised" } else { "NO RATE" };
    assert!(words(&ended.out).join(" ").contains(said), "{}", ended.out);
}

#[test]
fn metrics_are_those_of_the_probe_under_way() {
    let server = Server::start("");
    let mut command = mcpace();
    command.args(["capacity", &server.url, "--metrics", "127.0.0.1:0", "-v"]);
    command.args(words("--from 20/s --to 80/s --probe 1s --hold 1s --warmup 0s"));
    let mut running = Running::start(command);
    let address = metrics_address(&mut running);
    let mut runs: Vec<String> = Vec::new();
    let seen = eventually(|| {
        let Some(page) = get(address, "/metrics") else { return true };
        let run_id = |line: &str| Some(line.split_once("run_id=\"")?.1.split('"').next()?.to_owned());
        let ids: Vec<String> = page.lines().filter_map(run_id).collect();
        assert_eq!(ids.len(), 1, "one run at a time: {ids:?}");
        let calls = metric(&page, "mcpace_arrivals_scheduled_total", &[]);
        assert!(calls < 110.0, "no probe makes more than some 80 calls, but {calls} were counted");
        if runs.last() != ids.last() {
            runs.extend(ids);
        }
        false
    });
    assert!(seen && runs.len() >= 3, "{runs:?}");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn an_interrupt_ends_in_what_is_known_and_a_kill_loses_one_probe_at_most() {
    let server = Server::start("");
    for signal in [Signal::INT, Signal::KILL] {
        let (command, folder) = searching(&server.url, "--from 10/s --probe 1s --warmup 0s --hold 1m");
        let mut running = Running::start(command);
        running.err.wait_for("probe  3");
        running.signal(signal);
        let ended = running.end();
        let saved = read(&folder);
        let made = saved.trials().len();
        assert!(made >= 2 && saved.probes.len() <= made + 1, "{made}");
        let again = reported(&folder.path().join("capacity.json"), &[]);
        assert_eq!(again.code, Some(4), "{}{}", again.err, again.out);
        assert!(again.out.contains("UNFINISHED"), "{}", again.out);
        if signal == Signal::INT {
            assert_eq!((ended.code, &ended.out), (Some(130), &again.out));
            assert!(ended.out.contains("SIGINT broke the search off"), "{}", ended.out);
        }
    }
}

#[test]
fn what_cannot_be_searched_is_refused_and_nothing_is_sent() {
    let server = Scripted::start(|request, stream| shake_hands(stream, request));
    let refused = |arguments: &[&str], parts: &[&str]| {
        let mut command = mcpace();
        command.args(["capacity", &server.url(), "--metrics", "off"]).args(arguments);
        finish(command).assert_refused(2, parts);
    };
    refused(&["--from", "10/s", "--to", "5/s"], &["--to 5/s is below --from 10/s"]);
    refused(&["--to", "50/s", "--objective", "rate >= 60/s"], &["--to 50/s is below the promised 60/s"]);
    refused(&["--probe", "5s", "--hold", "2s"], &["--hold of 2s", "--probe 5s"]);
    refused(&["--rate", "5"], &["--rate"]);
    refused(&["--objective", "p95(refund) < 1s"], &["refund", "create_payment"]);
    refused(&["--out", "/nowhere/x.json"], &["/nowhere/x.json", "make its folder first"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_search_is_not_judged_by_other_objectives_afterwards() {
    let server = Server::start("");
    let (_, _, folder) = searched(&server.url, "--from 20/s --to 20/s --probe 1s --hold 1s --warmup 0s -q", 0);
    let file = folder.path().join("capacity.json");
    reported(&file, &["--objective", "p95 < 1s"]).assert_refused(2, &["is a search", "without --objective"]);
}
