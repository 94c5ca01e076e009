//! Servers that are simulated call by call without a clock: the tally of a run, for proofs about whole runs.
//!
//! Times are lognormal around 10 ms with sigma 0.5 (p95 at 2.3 times p50), as so many equally likely ones that no
//! interval is as narrow as two of them are apart.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::measure::Tally;
use crate::outcome::Outcome;
use crate::statistics::normal_quantile;
use crate::time::Moment;

/// So many bits of chance choose a time.
const BITS: u32 = 13;
/// How long a freeze lasts, in seconds.
const FREEZE: f64 = 0.5;

/// What disturbs the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Independent,
    /// Freezes at random, on average once in so many seconds.
    RandomFreezes {
        every: f64,
    },
    /// The same, on the dot, with a phase of its own for each run.
    PeriodicFreezes {
        every: f64,
    },
    /// Times that wander: an autoregression of the seconds' logarithms.
    Wandering {
        carried: f64,
        spread: f64,
    },
    /// Times that grow by a half in the course of the run, steadily.
    Drift,
}

/// What is true of a server, and how it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    pub(super) kind: Kind,
    pub(super) seconds: u64,
    pub(super) rate: f64,
    /// All times are so many times as long.
    pub(super) slower: f64,
    /// The share of the calls that fails.
    pub(super) errors: f64,
    /// How much the logarithm of times differs from run to run.
    pub(super) between: f64,
}

impl Truth {
    pub(super) const fn of(kind: Kind, seconds: u64, rate: f64) -> Self {
        Self { kind, seconds, rate, slower: 1.0, errors: 0.0, between: 0.0 }
    }

    /// By how much times are longer in this second.
    fn drifted(&self, second: u64) -> f64 {
        if self.kind == Kind::Drift { 1.0 + 0.5 * (second as f64 + 0.5) / self.seconds as f64 } else { 1.0 }
    }
}

/// A world of such servers.
pub(super) struct World {
    /// In seconds.
    times: Vec<f64>,
    dice: ChaCha8Rng,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let count = 1 << BITS;
        let times = (0..count).map(|n| 0.010 * (0.5 * normal_quantile((f64::from(n) + 0.5) / f64::from(count))).exp());
        Self { times: times.collect(), dice: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A run with this truth.
    pub(super) fn run(&mut self, truth: Truth) -> Tally {
        let mut tally = Tally::default();
        let slower = truth.slower * (truth.between * normal(&mut self.dice)).exp();
        let freezes = self.freezes(truth);
        // How often each time occurred as it is.
        let mut counts = vec![0_u32; self.times.len()];
        let mut wander = normal(&mut self.dice);
        for second in 0..truth.seconds {
            let due = poisson(truth.rate, &mut self.dice);
            let mut factor = slower * truth.drifted(second);
            if let Kind::Wandering { carried, spread } = truth.kind {
                wander = carried * wander + (1.0 - carried * carried).sqrt() * normal(&mut self.dice);
                factor *= (spread * wander).exp();
            }
            let steady = factor.to_bits() == slower.to_bits();
            let cell = tally.timeline.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.scheduled, cell.came, cell.expected) = (due, due, truth.rate);
            let begin = second as f64;
            let frozen = freezes.iter().copied().find(|from| *from < begin + 1.0 && from + FREEZE > begin);
            for _ in 0..due {
                if truth.errors > 0.0 && self.dice.random::<f64>() < truth.errors {
                    cell.dropped += 1;
                    tally.dropped += 1;
                    continue;
                }
                cell.ok += 1;
                let place = (self.dice.next_u32() >> (32 - BITS)) as usize;
                let own = self.times[place] * factor;
                let held = frozen.map_or(0.0, |from| {
                    let into = begin + self.dice.random::<f64>() - from;
                    if (0.0..FREEZE).contains(&into) { FREEZE - into } else { 0.0 }
                });
                let time = seconds(own + held);
                cell.response.record(time);
                if steady && held <= 0.0 {
                    counts[place] += 1;
                } else {
                    tally.response_time.record(time);
                }
            }
        }
        for (time, count) in self.times.iter().zip(counts) {
            if count > 0 {
                tally.response_time.record_n(seconds(time * slower), count);
            }
        }
        tally.outcomes.count_n(Outcome::Ok, tally.response_time.len());
        tally
    }

    /// The time that the share `quantile` of all calls keeps to in the long run, of a drift in this run. Of kinds alone
    /// that do not wander.
    pub(super) fn quantile(&self, truth: Truth, quantile: f64) -> Duration {
        let frozen = match truth.kind {
            Kind::RandomFreezes { every } | Kind::PeriodicFreezes { every } => FREEZE / every,
            _ => 0.0,
        };
        let factors: Vec<f64> = match truth.kind {
            Kind::Drift => (0..truth.seconds).map(|second| truth.slower * truth.drifted(second)).collect(),
            _ => vec![truth.slower],
        };
        let share_above = |limit: f64| {
            let of = |factor: &f64| {
                let longer = self.times.len() - self.times.partition_point(|time| time * factor <= limit);
                let held = |time: &f64| (1.0 - (limit - time * factor) / FREEZE).clamp(0.0, 1.0);
                let held = if frozen > 0.0 { self.times.iter().map(held).sum() } else { 0.0 };
                ((1.0 - frozen) * longer as f64 + frozen * held) / self.times.len() as f64
            };
            factors.iter().map(of).sum::<f64>() / factors.len() as f64
        };
        let (mut low, mut high) = (0.0, 10.0);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            *(if share_above(middle) > 1.0 - quantile { &mut low } else { &mut high }) = middle;
        }
        seconds(high)
    }

    /// When the freezes of a run begin.
    fn freezes(&mut self, truth: Truth) -> Vec<f64> {
        let (every, random) = match truth.kind {
            Kind::RandomFreezes { every } => (every, true),
            Kind::PeriodicFreezes { every } => (every, false),
            _ => return Vec::new(),
        };
        // Long before the run, so that it begins anywhere.
        let mut at = -every * (20.0 + self.dice.random::<f64>());
        let mut begins = Vec::new();
        while at < truth.seconds as f64 {
            begins.push(at);
            let chance = if random { -(1.0 - self.dice.random::<f64>()).ln() } else { 1.0 };
            at += FREEZE + (every - FREEZE) * chance;
        }
        begins.retain(|from| from + FREEZE > 0.0);
        begins
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_nanos((seconds * 1e9) as u64)
}

fn normal(dice: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - dice.random::<f64>(), dice.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// By the normal approximation, which is near enough from twenty on.
fn poisson(mean: f64, dice: &mut ChaCha8Rng) -> u32 {
    (mean + mean.sqrt() * normal(dice)).round().max(0.0) as u32
}
