//! Whether comparisons keep their promises: thousands of pairs of runs with a known truth.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::measure::Tally;
use crate::outcome::Outcome;
use crate::time::Moment;

/// Equally likely times of an unhindered server: lognormal around 10 ms.
const ATOMS: usize = 2000;

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
    RandomFreezes { every: f64 },
    /// The same, on the dot, with a phase of its own for each run.
    PeriodicFreezes { every: f64 },
    /// Response times that wander slowly: an autoregression of the seconds' logarithms.
    Wandering { carried: f64, spread: f64 },
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
        let normal = |p: f64| student::exceeded_by(1.0 - p, f64::INFINITY);
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
                let atom = dice.random_range(0..ATOMS);
                let at = second as f64 + if frozen { dice.random::<f64>() } else { 0.0 };
                let held = freezes.iter().filter(|from| frozen && **from <= at && at < **from + 0.5).map(|from| from + 0.5 - at).next();
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

#[test]
fn explore() {
    let world = World::new();
    for kind in [
        Kind::Independent,
        Kind::RandomFreezes { every: 20.0 },
        Kind::RandomFreezes { every: 60.0 },
        Kind::PeriodicFreezes { every: 31.0 },
        Kind::Wandering { carried: 0.8, spread: 0.1 },
    ] {
        for (seconds, rate) in [(15, 200.0), (60, 100.0), (60, 500.0), (300, 100.0)] {
            let base = Truth::of(kind, seconds, rate);
            let same = findings(&world, base, base, 1, 200, 1);
            let slower = findings(&world, base, Truth { slower: 1.1, ..base }, 1, 200, 2);
            println!("{kind:?} {seconds}s {rate}/s  A/A {same:?}  A/B {slower:?}");
        }
    }
}
