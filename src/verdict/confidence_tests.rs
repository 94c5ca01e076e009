//! Verdicts with confidence over whole summaries, made as a run makes them.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use super::{
    Interval, Judgement, Judging, Looked, Need, Objective, Observed, Resolved, Standing, Stopped, Terms, Verdict, judge,
};
use crate::measure::{Fate, Quantile, Recorder, Sample, Shape, Summary};
use crate::outcome::Outcome;
use crate::time::Moment;

const MS: u64 = 1_000_000;

/// A run at 100/s for so many seconds, whose `n`-th arrival ends as `fate` says; `None` is in flight.
fn run(seconds: u64, mut fate: impl FnMut(u64) -> Option<(u64, Outcome)>) -> Summary {
    let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
    let mut summary = Summary::new(Moment::ZERO);
    for sequence in 0..seconds * 100 {
        let intended = Moment::from_nanos(sequence * 10 * MS);
        recorder.picked_up(0, 0, intended, intended);
        summary.expect(0, 0, intended, 1.0);
        let Some((micros, outcome)) = fate(sequence) else {
            summary.gauges.in_flight += 1;
            continue;
        };
        let done = intended.after(Duration::from_micros(micros));
        let fate = Fate::Answered { sent: Some(intended), first_byte: None, done, outcome };
        let (flow, operation, substituted) = (0, 0, false);
        recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up: intended, fate }, None);
    }
    let gauges = summary.gauges;
    summary.absorb(&recorder);
    (summary.gauges, summary.until) = (gauges, Moment::from_nanos(seconds * 1000 * MS));
    summary
}

fn resolved(objectives: &[&str]) -> Vec<Resolved> {
    let resolve = |text: &&str| text.parse::<Objective>().unwrap().resolve(&[], &["pay".to_owned()]).unwrap();
    objectives.iter().map(resolve).collect()
}

fn judged(summary: &Summary, objectives: &[&str]) -> Judgement {
    judge(summary, &resolved(objectives), &Terms::default())
}

fn standings(judgement: &Judgement) -> Vec<Standing> {
    judgement.findings.iter().map(|finding| finding.standing).collect()
}

/// Twenty seconds in which one call in a hundred fails and one in twenty takes 200 ms instead of 20.
fn mixed() -> Summary {
    run(20, |n| match n % 100 {
        7 => Some((20_000, Outcome::ToolError)),
        n if n % 20 == 3 => Some((200_000, Outcome::Ok)),
        _ => Some((20_000, Outcome::Ok)),
    })
}

#[test]
fn what_is_far_from_its_limit_is_decided_and_what_is_near_is_open() {
    use Standing::{Met, Missed, Undecided};
    for (objective, standing) in [
        ("p50 < 21ms", Met),
        ("p90 < 150ms", Met),
        ("p95 < 150ms", Undecided),
        ("p99 < 150ms", Missed),
        ("p99 < 250ms", Met),
        ("p99.9 < 250ms", Undecided),
        ("max < 250ms", Met),
        ("max < 150ms", Missed),
        ("mean < 40ms", Met),
        ("mean < 29ms", Undecided),
        ("mean < 20ms", Missed),
        ("error_rate < 4%", Met),
        ("error_rate < 1%", Undecided),
        ("error_rate < 0.1%", Missed),
        ("dropped < 0.2%", Met),
        ("dropped < 0.1%", Undecided),
        ("dropped <= 0%", Met),
        ("rate >= 100/s", Met),
    ] {
        let finding = &judged(&mixed(), &[objective]).findings[0];
        assert_eq!(finding.standing, standing, "{}", finding.sentence);
        assert_eq!(finding.missing.is_some(), standing == Undecided, "{objective}");
    }
}

#[test]
fn the_old_way_is_the_plain_figure() {
    let terms = Terms::of(Judging::Observed);
    let judgement = judge(&mixed(), &resolved(&["error_rate < 1.1%", "p95 < 150ms", "error_rate < 1%"]), &terms);
    assert_eq!(standings(&judgement), [Standing::Met, Standing::Met, Standing::Missed]);
    assert!(judgement.findings.iter().all(|finding| finding.sureness.is_none() && finding.missing.is_none()));
}

#[test]
fn many_objectives_raise_no_more_alarms_than_one() {
    // Twenty failures where 12.6 are allowed come about in one run of thirty.
    let (near, far) = ("error_rate < 0.63%", "error_rate < 0.3%");
    assert_eq!(judged(&mixed(), &[near]).verdict(), Verdict::Fail);
    let open = ["error_rate < 0.95%", "error_rate < 0.98%"];
    assert_eq!(judged(&mixed(), &[near, open[0], open[1]]).verdict(), Verdict::Inconclusive);
    // One that is missed beyond doubt does not count against the others.
    let three = judged(&mixed(), &[near, open[0], far]);
    assert_eq!(standings(&three), [Standing::Undecided, Standing::Undecided, Standing::Missed]);
    assert_eq!(standings(&judged(&mixed(), &[near, far])), [Standing::Missed, Standing::Missed]);
}

#[test]
fn calls_that_were_slow_together_prove_less() {
    // 5.5 % of the calls take 200 ms: one call in eighteen, or two seconds and a bit of forty.
    let each = run(40, |n| Some((if n % 18 == 5 { 200_000 } else { 20_000 }, Outcome::Ok)));
    let stall = run(40, |n| Some((if (1700..1922).contains(&n) { 200_000 } else { 20_000 }, Outcome::Ok)));
    for objective in ["p90 < 150ms", "p99 < 150ms"] {
        assert_ne!(judged(&each, &[objective]).findings[0].standing, Standing::Undecided, "{objective}");
        let finding = &judged(&stall, &[objective]).findings[0];
        assert_eq!(finding.standing, Standing::Undecided, "{objective}");
        let sureness = finding.sureness.unwrap();
        assert!(sureness.effective < 30.0 && sureness.calls == 4000, "{sureness:?}");
        assert_eq!(finding.missing.unwrap().need, Need::Stretches);
    }
}

#[test]
fn intervals_of_quantiles_hold_the_truth_as_often_as_they_say() {
    let mut random = ChaCha8Rng::seed_from_u64(20_261_125);
    let times = LogNormal::new(3.0_f64, 0.5).unwrap();
    let truth = (3.0_f64 + 0.5 * 1.644_853_6).exp();
    let mut held = 0;
    for _ in 0..400 {
        let summary = run(30, |_| Some(((times.sample(&mut random) * 1000.0) as u64, Outcome::Ok)));
        let interval = judged(&summary, &["p95 < 1ms"]).findings[0].sureness.unwrap().interval;
        let Some(Interval { low: Observed::Time(Quantile::Finite(low)), high: Observed::Time(Quantile::Finite(high)) }) =
            interval
        else {
            panic!("{interval:?}")
        };
        held += u32::from(low.as_secs_f64() * 1e3 <= truth && truth <= high.as_secs_f64() * 1e3);
    }
    // Of 400 at 90 %, 360 are expected, with a standard error of 6; a little more is a little too wide.
    assert!((342..=384).contains(&held), "{held}");
}

#[test]
fn an_interval_and_its_verdict_say_the_same() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..40 {
        let seconds = random.random_range(16..60);
        let summary = run(seconds, |_| Some((10_000 + random.next_u64() % 90_000, Outcome::Ok)));
        for bound in [93, 94, 95, 96, 97] {
            let finding = &judged(&summary, &[&format!("p95 < {bound}ms")]).findings[0];
            let Some(Interval { low: Observed::Time(low), high: Observed::Time(high) }) =
                finding.sureness.unwrap().interval
            else {
                panic!("{finding:?}")
            };
            let bound = Quantile::Finite(Duration::from_millis(bound));
            match finding.standing {
                Standing::Met => assert!(high <= bound, "{}", finding.sentence),
                Standing::Missed => assert!(low >= bound, "{}", finding.sentence),
                Standing::Undecided => assert!(low <= bound && bound <= high, "{}", finding.sentence),
            }
        }
    }
}

/// A look at what is under way, `seconds` after its beginning.
fn look(looked: &Looked, summary: &Summary, seconds: u64, objectives: &[&str]) -> (Stopped, Vec<usize>, bool) {
    let now = Moment::from_nanos(seconds * 1000 * MS);
    let number = looked.due(summary, now, 0).expect("a look is due");
    let (stopped, decided) = looked.look(number, summary, now, &resolved(objectives));
    (stopped, decided.missed, decided.all)
}

#[test]
fn a_look_decides_what_is_clear_and_a_later_judgement_confirms_it() {
    let mut looked = Looked::planned(Duration::from_mins(1), true);
    let objectives = ["p50 < 150ms", "error_rate < 50%", "error_rate < 1%", "max < 1s", "rate >= 100/s"];
    let failing = run(30, |n| Some((20_000, if n % 5 == 0 { Outcome::HttpError } else { Outcome::Ok })));
    assert_eq!(looked.due(&failing, Moment::from_nanos(15_000 * MS), 0), None);
    let (stopped, missed, all) = look(&looked, &failing, 30, &objectives);
    // The rate is not kept up so far; in the end it may be.
    assert_eq!((missed, all), (vec![2], false));
    let (_, _, all) = look(&looked, &failing, 30, &objectives[..4]);
    assert!(all);
    looked.stopped = Some(stopped);
    let later = judge(&failing, &resolved(&objectives), &looked.terms(Judging::Confident));
    let (met, missed) = (Standing::Met, Standing::Missed);
    assert_eq!(standings(&later), [met, met, missed, met, missed]);
    assert_eq!(later.findings[0].sureness.unwrap().calls, 2800, "two seconds are left out");
}

#[test]
fn what_has_not_ended_counts_against_either_decision() {
    let looked = Looked::planned(Duration::from_mins(1), true);
    // A tenth of the calls still waits for an answer, from the fifth second on.
    let pending = run(30, |n| (n < 500 || n % 10 != 0).then_some((20_000, Outcome::Ok)));
    let (_, missed, all) = look(&looked, &pending, 30, &["error_rate < 5%"]);
    assert_eq!((missed, all), (vec![], false));
    let (_, missed, all) = look(&looked, &pending, 30, &["error_rate < 40%"]);
    assert_eq!((missed, all), (vec![], true));
    // The last two seconds are not looked at.
    let busy = run(30, |n| (n < 2800).then_some((20_000, Outcome::Ok)));
    assert!(look(&looked, &busy, 30, &["error_rate < 5%"]).2);
}

#[test]
fn quick_failures_of_a_slow_target_are_not_taken_for_all_there_is() {
    let looked = Looked::planned(Duration::from_mins(1), true);
    // Three calls in a hundred fail at once, the others take twenty seconds.
    let calls = |seconds: u64| {
        move |n: u64| match n % 33 {
            0 => Some((1000, Outcome::HttpError)),
            _ if n + 2000 < seconds * 100 => Some((20_000_000, Outcome::Ok)),
            _ => None,
        }
    };
    for seconds in [18, 21, 30] {
        for objective in ["error_rate < 10%", "p50 < 1m", "mean < 1m"] {
            let (_, missed, all) = look(&looked, &run(seconds, calls(seconds)), 30, &[objective]);
            assert_eq!((missed, all), (vec![], false), "{objective} after {seconds} s");
        }
    }
    // What has failed is too much whatever becomes of the rest.
    let (_, missed, _) = look(&looked, &run(30, calls(30)), 30, &["error_rate < 1%"]);
    assert_eq!(missed, [0]);
}

#[test]
fn an_early_look_is_stricter_than_the_end() {
    let looked = Looked::planned(Duration::from_mins(1), true);
    // 42 failures of 2800 where 56 are allowed.
    let near = run(30, |n| Some((20_000, if n % 66 == 5 { Outcome::HttpError } else { Outcome::Ok })));
    let once = |limit: &str| judge(&near, &resolved(&[limit]), &Terms::default()).findings[0].standing;
    let early = |limit: &str| look(&looked, &near, 30, &[limit]).2;
    assert_eq!((once("error_rate < 2.1%"), early("error_rate < 2.1%")), (Standing::Met, false));
    assert_eq!((once("error_rate < 2.6%"), early("error_rate < 2.6%")), (Standing::Met, true));
    // With FAIL alone, PASS is not looked for.
    let failing = Looked::planned(Duration::from_mins(1), false);
    assert!(!look(&failing, &near, 30, &["error_rate < 50%"]).2);
}
