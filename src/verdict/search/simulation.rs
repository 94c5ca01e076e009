//! Proof that a search lands: on a queue whose capacity is known, within 5 % of it, whatever the objective.

use std::time::Duration;

use super::queue::{Queue, capacity};
use super::{Probe, Progress, Purpose, Search, Trial, seed_of};
use crate::time::Rate;
use crate::verdict::{Objective, Resolved, Terms, Verdict, judge};

const SERVICE: Duration = Duration::from_millis(5);

fn search() -> Search {
    Search {
        from: Rate::per_second(10.0).unwrap(),
        to: Rate::FASTEST_LOAD,
        resolution: 0.01,
        probe: Duration::from_mins(1),
        longest: Duration::from_mins(8),
        hold: Duration::from_mins(8),
    }
}

/// What is promised of a probe: a rate is whatever the probe asks for.
fn promised(objectives: &[&str], probe: &Probe) -> Vec<Resolved> {
    let read = |text: &&str| text.replace("RATE", &probe.rate.to_string()).parse::<Objective>().unwrap();
    objectives.iter().map(|text| read(text).resolve(&[], &[]).unwrap()).collect()
}

/// With confidence, as searches judge.
fn terms() -> Terms {
    Terms::default().at_a_glance()
}

/// Searches a fresh queue, with a cool-down between the probes.
fn searched(seed: u64, timeout: Duration, objectives: &[&str]) -> (Vec<Trial>, Progress) {
    let (mut queue, mut trials) = (Queue::new(SERVICE, timeout), Vec::new());
    loop {
        let progress = search().after(&trials);
        let Some(probe) = progress.next else { return (trials, progress) };
        assert!(queue.cooled_down().recovered);
        let summary = queue.probed(&probe, seed_of(seed, trials.len() as u64));
        trials.push(Trial { probe, verdict: judge(&summary, &promised(objectives, &probe), &terms()).verdict() });
    }
}

/// Asserts that each of `seeds` searches lands within 5 % of `truth` and named a rate that it held.
#[track_caller]
fn lands(seeds: u64, truth: f64, timeout: Duration, objectives: &[&str]) {
    let mut found = Vec::new();
    for seed in 0..seeds {
        let (trials, end) = searched(seed, timeout, objectives);
        let held = end.held.expect("a rate is held");
        let passed = |trial: &&Trial| trial.probe.purpose == Purpose::Hold && trial.verdict == Verdict::Pass;
        assert_eq!(trials.iter().rfind(passed).map(|hold| hold.probe.rate), Some(held));
        found.push(held.get() / truth);
    }
    let (low, high) = found.iter().fold((f64::MAX, 0.0_f64), |(low, high), each| (low.min(*each), high.max(*each)));
    assert!(low > 0.95 && high < 1.05, "{objectives:?}: {low} to {high} of {truth}");
}

const PATIENT: Duration = Duration::from_secs(30);

#[test]
fn a_bound_on_p95_is_found_within_five_percent() {
    lands(10, capacity(0.020, 0.05, 0.005), PATIENT, &["p95 < 20ms"]);
    lands(10, capacity(0.012, 0.05, 0.005), PATIENT, &["p95 < 12ms"]);
}

#[test]
fn a_bound_on_errors_is_found_within_five_percent() {
    lands(10, capacity(0.020, 0.05, 0.005), Duration::from_millis(20), &["error_rate < 5%"]);
}

#[test]
fn where_nothing_but_the_rate_is_promised_the_queue_itself_is_the_limit() {
    lands(10, 200.0, PATIENT, &["rate >= RATE"]);
}

#[test]
fn of_several_objectives_the_tightest_is_the_limit() {
    let tightest = capacity(0.015, 0.1, 0.005);
    assert!(tightest < capacity(0.050, 0.01, 0.005));
    lands(10, tightest, Duration::from_millis(50), &["error_rate < 1%", "p90 < 15ms", "rate >= RATE"]);
}

#[test]
fn without_a_cool_down_the_backlog_of_one_probe_poisons_the_next() {
    let at = |rate| Probe {
        purpose: Purpose::Narrow,
        rate: Rate::per_second(rate).unwrap(),
        duration: Duration::from_secs(20),
    };
    let verdict = |cool| {
        let mut queue = Queue::new(SERVICE, Duration::from_millis(100));
        queue.probed(&at(1000.0), 1);
        if cool {
            assert!(queue.cooled_down().took > Duration::from_mins(1));
        }
        let objectives = promised(&["error_rate < 5%"], &at(100.0));
        judge(&queue.probed(&at(100.0), 2), &objectives, &terms()).verdict()
    };
    assert_eq!((verdict(false), verdict(true)), (Verdict::Fail, Verdict::Pass));
}
