//! Whether comparisons keep their promises: thousands of pairs of runs with a known truth.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::measure::Tally;
use crate::outcome::Outcome;
use crate::time::Moment;

/// Equally likely times of an unhindered server: lognormal around 10 ms.
const ATOMS: usize = 2048;

struct World {
    times: Vec<f64>,
    slots: Vec<usize>,
    representatives: Vec<Duration>,
}

/// What disturbs the server.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Independent,
    /// Freezes of half a second, on average once in `every` seconds.
    RandomFreezes {
        every: f64,
    },
    /// The same, on the dot, with a phase of its own for each run.
    PeriodicFreezes {
        every: f64,
    },
    /// Response times that wander slowly: an autoregression of the seconds' logarithms.
    Wandering {
        carried: f64,
        spread: f64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Truth {
    kind: Kind,
    seconds: u64,
    rate: f64,
    /// All times are so many times as long.
    slower: f64,
    /// The share of the calls that fails.
    errors: f64,
    /// How much the logarithm of times differs from run to run.
    between: f64,
}

impl Truth {
    const fn of(kind: Kind, seconds: u64, rate: f64) -> Self {
        Self { kind, seconds, rate, slower: 1.0, errors: 0.0, between: 0.0 }
    }
}

impl World {
    fn new() -> Self {
        let normal = normal_quantile;
        let times: Vec<f64> =
            (0..ATOMS).map(|atom| 0.010 * (0.5 * normal((atom as f64 + 0.5) / ATOMS as f64)).exp()).collect();
        // Eighths of an octave, coarser than the timeline's own buckets are never asked for.
        let slot = |time: f64| ((time / 1e-4).log2() * 16.0).floor().max(0.0) as usize;
        let slots: Vec<usize> = times.iter().map(|time| slot(*time)).collect();
        let most = slots.iter().max().unwrap() + 1;
        let representatives = (0..most).map(|slot| Duration::from_secs_f64(1e-4 * ((slot as f64 + 0.5) / 16.0).exp2()));
        Self { times, slots, representatives: representatives.collect() }
    }

    /// A run with this truth.
    fn run(&self, truth: Truth, dice: &mut ChaCha8Rng) -> Sampled {
        let mut tally = Tally::default();
        let slower = truth.slower * (truth.between * normal(dice)).exp();
        let freezes = freezes(truth, dice);
        let mut counts = vec![0_u32; ATOMS];
        let mut wander = normal(dice);
        for second in 0..truth.seconds {
            let due = poisson(truth.rate, dice);
            let mut cell_counts = vec![0_u32; self.representatives.len()];
            if let Kind::Wandering { carried, .. } = truth.kind {
                wander = carried * wander + (1.0 - carried * carried).sqrt() * normal(dice);
            }
            let cell = tally.timeline.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.scheduled, cell.came, cell.expected) = (due, due, truth.rate);
            let frozen = freezes.iter().any(|from| *from < (second + 1) as f64 && from + 0.5 > second as f64);
            for _ in 0..due {
                if truth.errors > 0.0 && dice.random::<f64>() < truth.errors {
                    cell.dropped += 1;
                    tally.dropped += 1;
                    continue;
                }
                cell.ok += 1;
                let atom = dice.next_u32() as usize % ATOMS;
                let at = second as f64 + if frozen { dice.random::<f64>() } else { 0.0 };
                let held = freezes
                    .iter()
                    .filter(|from| frozen && **from <= at && at < **from + 0.5)
                    .map(|from| from + 0.5 - at)
                    .next();
                let own = self.times[atom] * slower;
                match (held, truth.kind) {
                    (None, Kind::Wandering { spread, .. }) => {
                        let time = Duration::from_secs_f64(own * (spread * wander).exp());
                        cell.response.record(time);
                        tally.response_time.record(time);
                    }
                    (None, _) => {
                        counts[atom] += 1;
                        cell_counts[self.slots[atom]] += 1;
                    }
                    (Some(held), _) => {
                        let time = Duration::from_secs_f64(own + held);
                        cell.response.record(time);
                        tally.response_time.record(time);
                    }
                }
            }
            for (slot, count) in cell_counts.into_iter().enumerate() {
                cell.response.record_n(self.representatives[slot].mul_f64(slower), count);
            }
        }
        for (atom, count) in counts.into_iter().enumerate() {
            tally.response_time.record_n(Duration::from_secs_f64(self.times[atom] * slower), count);
        }
        tally.outcomes.count_n(Outcome::Ok, tally.response_time.len());
        let length = Duration::from_secs(truth.seconds);
        Sampled::of(tally, Moment::ZERO.after(length), length)
    }
}

fn normal(dice: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - dice.random::<f64>(), dice.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// By the normal approximation, which is near enough from a hundred on.
fn poisson(mean: f64, dice: &mut ChaCha8Rng) -> u32 {
    (mean + mean.sqrt() * normal(dice)).round().max(0.0) as u32
}

fn freezes(truth: Truth, dice: &mut ChaCha8Rng) -> Vec<f64> {
    let end = truth.seconds as f64;
    let mut from = Vec::new();
    match truth.kind {
        Kind::RandomFreezes { every } => {
            let mut at = 0.0;
            loop {
                at -= every * (1.0 - dice.random::<f64>()).ln();
                if at > end {
                    return from;
                }
                from.push(at);
                at += 0.5;
            }
        }
        Kind::PeriodicFreezes { every } => {
            let mut at = every * dice.random::<f64>();
            while at < end {
                from.push(at);
                at += every;
            }
            from
        }
        Kind::Independent | Kind::Wandering { .. } => from,
    }
}

/// How the runs of one operation compare.
fn compared(runs: &[Sampled], indicators: &[Indicator]) -> Comparison {
    let mut rows = vec![Row { operation: None, changes: changes(runs, indicators, Tolerance::default()) }];
    decide(&mut rows, runs.len() - 1);
    Comparison { base_runs: runs.len() - 1, tolerance: Tolerance::default(), rows }
}

/// The share of `pairs` comparisons that ended in each finding, `Worse` last.
fn findings(world: &World, base: Truth, new: Truth, bases: usize, pairs: u64, seed: u64) -> [f64; 4] {
    let mut counts = [0_u64; 4];
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..pairs {
        let mut runs: Vec<Sampled> = (0..bases).map(|_| world.run(base, &mut dice)).collect();
        runs.push(world.run(new, &mut dice));
        counts[compared(&runs, &INDICATORS).finding() as usize] += 1;
    }
    counts.map(|count| count as f64 / pairs as f64)
}

/// What disturbs a server, each with a length and a rate. Seeds and bands were fixed before the
/// first run.
const KINDS: [(Kind, u64, f64); 5] = [
    (Kind::Independent, 60, 100.0),
    (Kind::RandomFreezes { every: 20.0 }, 60, 100.0),
    (Kind::RandomFreezes { every: 60.0 }, 60, 100.0),
    (Kind::PeriodicFreezes { every: 31.0 }, 60, 100.0),
    (Kind::Wandering { carried: 0.5, spread: 0.1 }, 60, 100.0),
];
/// Beyond this share of alarms in `PAIRS` comparisons it is not chance that there were so many: 5 % and three times its
/// standard error.
const PAIRS: u64 = 200;
const ALARMS: f64 = 0.05 + 3.0 * 0.0155;

#[test]
fn equal_truths_alarm_in_at_most_one_comparison_of_twenty() {
    let world = World::new();
    for (kind, seconds, rate) in KINDS {
        let truth = Truth { errors: 0.002, ..Truth::of(kind, seconds, rate) };
        let [.., worse] = findings(&world, truth, truth, 1, PAIRS, 20_261);
        assert!(worse <= ALARMS, "{kind:?}: {worse}");
    }
}

#[test]
fn equal_truths_alarm_no_more_where_runs_differ_by_themselves_and_several_base_runs_show_it() {
    let world = World::new();
    let truth = Truth { between: 0.05, ..Truth::of(Kind::Independent, 30, 100.0) };
    let [.., worse] = findings(&world, truth, truth, 5, 100, 20_262);
    assert!(worse <= 0.05 + 3.0 * 0.0218, "{worse}");
    // What one base run cannot know.
    let [.., worse] = findings(&world, truth, truth, 1, 100, 20_262);
    assert!(worse > 0.15, "{worse}");
}

#[test]
fn ten_percent_on_p95_are_found_in_nine_comparisons_of_ten_from_six_thousand_calls_on() {
    let world = World::new();
    let base = Truth::of(Kind::Independent, 60, 100.0);
    let slower = Truth { slower: 1.1, ..base };
    let mut dice = ChaCha8Rng::seed_from_u64(20_263);
    let found = (0..PAIRS).filter(|_| {
        let runs = [world.run(base, &mut dice), world.run(slower, &mut dice)];
        let compared = compared(&runs, &INDICATORS);
        compared.changes().any(|change| change.indicator == Indicator::P95 && change.finding == Finding::Worse)
    });
    let found = found.count() as f64 / PAIRS as f64;
    assert!(found >= 0.9, "{found}");
}

#[test]
fn a_rise_of_errors_is_found_and_equal_error_rates_are_left_alone() {
    let world = World::new();
    for (old, fresh, found) in [(0.0, 0.005, true), (0.001, 0.01, true), (0.01, 0.01, false), (0.0, 0.0, false)] {
        let base = Truth { errors: old, ..Truth::of(Kind::Independent, 60, 100.0) };
        let mut dice = ChaCha8Rng::seed_from_u64(20_264);
        let alarms = (0..50).filter(|_| {
            let runs = [world.run(base, &mut dice), world.run(Truth { errors: fresh, ..base }, &mut dice)];
            compared(&runs, &[Indicator::ErrorRate]).finding() == Finding::Worse
        });
        let alarms = alarms.count();
        assert!(if found { alarms >= 45 } else { alarms <= 6 }, "{old} {fresh}: {alarms}");
    }
}

/// Intervals hold the truth as often as they say, also where there is a change.
#[test]
fn intervals_hold_the_true_change_in_nine_runs_of_ten() {
    let world = World::new();
    for (kind, seconds, rate) in KINDS {
        let base = Truth::of(kind, seconds, rate);
        let mut dice = ChaCha8Rng::seed_from_u64(20_265);
        let mut held = 0;
        for _ in 0..PAIRS {
            let runs = [world.run(base, &mut dice), world.run(Truth { slower: 1.2, ..base }, &mut dice)];
            let effect = compared(&runs, &[Indicator::P50]).rows[0].changes[0].effect.unwrap();
            held += u64::from(effect.low <= 1.2_f64.ln() && 1.2_f64.ln() <= effect.high);
        }
        let held = held as f64 / PAIRS as f64;
        // 90 %, less three standard errors; more is right where calls hang together.
        assert!(held >= 0.9 - 3.0 * 0.0212, "{kind:?}: {held}");
    }
}
