//! Proof by simulation: a generator that fails is INVALID whatever was promised, and a target that fails never is.

use std::time::Duration;

use super::{Judgement, Objective, Subject, Terms, Verdict, judge};
use crate::arrival::{Arrivals, FlowId, Process, Profile, Shard};
use crate::measure::{Fate, Health, Recorder, Sample, Shape, Summary, Timeline};
use crate::outcome::Outcome;
use crate::time::Moment;

const MS: u64 = 1_000_000;

/// When a lane takes an arrival, and how a server that takes `service` for a call answers it with `concurrent` in flight.
struct World {
    takes: fn(Moment) -> Moment,
    service: Duration,
    concurrent: usize,
}

/// Thirty seconds of 500 arrivals a second, simulated.
fn run(process: Process, world: &World) -> Summary {
    let profile: Profile = "500/s for 30s".parse().unwrap();
    let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
    let mut room = vec![Moment::ZERO; world.concurrent];
    let mut summary = Summary::default();
    let mut taken = Moment::ZERO;
    for arrival in Arrivals::new(FlowId(0), process, &profile, 11, Shard::WHOLE, None) {
        let (intended, sequence) = (arrival.intended, arrival.sequence);
        taken = taken.max((world.takes)(intended));
        let picked_up = taken;
        recorder.picked_up(0, 0, intended, picked_up);
        let place = (0..room.len()).min_by_key(|place| room[*place]).unwrap();
        let sent = picked_up.max(room[place]);
        let done = sent.after(world.service);
        // Nobody waits for room longer than a second.
        let fate = if sent.since(picked_up) > Duration::from_secs(1) {
            Fate::Dropped
        } else {
            room[place] = done;
            Fate::Answered { sent: Some(sent), first_byte: None, done, outcome: Outcome::Ok }
        };
        let (flow, operation, substituted) = (0, 0, false);
        recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up, fate }, None);
        summary.expect(0, 0, intended, 1.0);
        summary.due = Some(sequence + 1);
    }
    summary.absorb(&recorder);
    summary.until = Moment::from_nanos(30_000 * MS);
    summary
}

fn judged(summary: &Summary, objectives: &[&str]) -> Judgement {
    let resolved = objectives.iter().map(|text| text.parse::<Objective>().unwrap().resolve(&[], &[]).unwrap());
    judge(summary, &resolved.collect::<Vec<_>>(), &Terms::default())
}

fn subjects(judgement: &Judgement) -> Vec<Subject> {
    judgement.doubts.iter().map(|doubt| doubt.subject).collect()
}

/// At once, but for the wake-up.
fn prompt(intended: Moment) -> Moment {
    intended.after(Duration::from_micros(60))
}

/// The lane stands still for 200 ms every 2 s.
fn stalled(intended: Moment) -> Moment {
    let into = intended.as_nanos() % (2000 * MS);
    prompt(if into < 200 * MS { intended.after(Duration::from_nanos(200 * MS - into)) } else { intended })
}

/// The lane wakes every 20 ms only.
fn in_bunches(intended: Moment) -> Moment {
    Moment::from_nanos(intended.as_nanos().div_ceil(20 * MS) * 20 * MS)
}

const PROCESSES: [Process; 2] = [Process::Constant, Process::Poisson];
const QUICK: World = World { takes: prompt, service: Duration::from_millis(2), concurrent: 1000 };

#[test]
fn a_stalled_generator_is_invalid_and_neither_fails_nor_passes() {
    for process in PROCESSES {
        let summary = run(process, &World { takes: stalled, ..QUICK });
        // The first would be missed, the second kept.
        for objectives in [["p95 < 20ms"], ["p50 < 1s"], ["error_rate < 1%"], ["rate >= 490/s"]] {
            let judgement = judged(&summary, &objectives);
            assert_eq!(judgement.verdict(), Verdict::Invalid, "{process} {objectives:?}");
            assert!(subjects(&judgement).contains(&Subject::PacingLag), "{:?}", judgement.doubts);
        }
    }
}

#[test]
fn a_run_without_samples_is_invalid() {
    for objectives in [&["p95 < 20ms"][..], &["error_rate < 1%", "rate >= 1/s"], &[]] {
        let mut nothing = Summary::default();
        nothing.due = Some(0);
        let judgement = judged(&nothing, objectives);
        assert_eq!((judgement.verdict(), subjects(&judgement)), (Verdict::Invalid, vec![Subject::NoSamples]));
    }
}

#[test]
fn a_saturated_server_with_little_room_in_flight_fails_and_is_never_invalid() {
    for process in PROCESSES {
        for concurrent in [1, 4, 40] {
            // It can answer four fifths of what is due.
            let service = Duration::from_secs_f64(concurrent as f64 / 400.0);
            let summary = run(process, &World { service, concurrent, ..QUICK });
            for objectives in [["p95 < 20ms"], ["p99 < 1ms"], ["error_rate < 1%"], ["rate >= 500/s"]] {
                let judgement = judged(&summary, &objectives);
                assert_eq!(judgement.doubts, [], "{process} {concurrent} {objectives:?}");
                assert_eq!(judgement.verdict(), Verdict::Fail, "{process} {concurrent} {objectives:?}");
            }
        }
    }
}

/// A run of the Poisson process that was sent as another world would have.
fn sent_as(process: Process, takes: fn(Moment) -> Moment) -> Summary {
    let mut summary = run(Process::Poisson, &QUICK);
    let intended = summary.health.together(Moment::ZERO).intended;
    let sent = run(process, &World { takes, ..QUICK }).health.together(Moment::ZERO).sent;
    summary.health = Timeline::default();
    *summary.health.at(Moment::ZERO) = Health { intended, sent, ..Health::default() };
    summary
}

#[test]
fn arrivals_that_were_sent_in_bunches_or_too_evenly_are_another_load() {
    let even = judged(&run(Process::Poisson, &QUICK), &["p95 < 150ms"]);
    assert_eq!((even.verdict(), even.doubts.len()), (Verdict::Pass, 0));
    let bunches = judged(&sent_as(Process::Poisson, in_bunches), &["p95 < 150ms"]);
    assert_eq!(subjects(&bunches), [Subject::Dispersion]);
    insta::assert_snapshot!(bunches.doubts[0], @"arrivals were sent in bunches: the index of dispersion in windows of 10ms was 6.094, that of the schedule 0.9949: lower --rate, add --lanes, or use a host with a free core");
    let metronome = judged(&sent_as(Process::Constant, prompt), &["p95 < 150ms"]);
    assert_eq!(subjects(&metronome), [Subject::Dispersion]);
    assert!(metronome.doubts[0].figure.contains("more evenly than asked"), "{}", metronome.doubts[0]);
}

#[test]
fn what_is_moved_by_less_than_pacing_lag_may_be_does_not_matter() {
    // 20 ms at most, where 25 ms are the limit: windows of 100 ms are looked at, and hold all bunches whole.
    let lenient = judged(&run(Process::Constant, &World { takes: in_bunches, ..QUICK }), &["p95 < 500ms"]);
    assert_eq!((lenient.verdict(), lenient.doubts.len()), (Verdict::Pass, 0));
    // Where half a second of pacing lag is allowed, that judges alone.
    let summary = sent_as(Process::Poisson, in_bunches);
    assert_eq!(judged(&summary, &["p95 < 10s"]).verdict(), Verdict::Pass);
}
