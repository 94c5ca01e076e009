//! Targets that are simulated second by second: how many calls each second has, and how many of them are bad.
//!
//! Seeds and bands of the simulations are fixed in the code; nothing in the methods knows which kind it is given.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Exp, Poisson, StandardNormal, Uniform};

use super::{Count, Times};

/// What makes calls bad, or slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Each call for itself.
    Independent,
    /// The target stands still now and then, each time for so many seconds.
    Freezes(f64),
    /// The same, for so many seconds on average.
    VariousFreezes(f64),
    /// The same for so many seconds, like clockwork.
    PeriodicFreezes(f64),
    /// The share of bad calls rises ninefold in the course of the run, steadily.
    Drift,
}

pub(crate) struct Simulator {
    random: ChaCha8Rng,
    rate: f64,
}

impl Simulator {
    pub(crate) fn new(seed: u64, rate: f64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), rate }
    }

    /// A run of so many seconds in which the share `bad` of all calls is bad in the long run.
    pub(crate) fn counts(&mut self, kind: Kind, seconds: usize, bad: f64) -> Vec<Count> {
        let shares = self.shares(kind, seconds, bad);
        shares.into_iter().map(|share| self.count(share)).collect()
    }

    fn count(&mut self, share: f64) -> Count {
        let calls = Poisson::new(self.rate).unwrap().sample(&mut self.random);
        let bad = match share {
            none if none <= 0.0 => 0.0,
            all if all >= 1.0 => calls,
            share => Binomial::new(calls as u64, share).unwrap().sample(&mut self.random) as f64,
        };
        Count { calls, bad }
    }

    /// The part of each second in which calls are bad.
    fn shares(&mut self, kind: Kind, seconds: usize, bad: f64) -> Vec<f64> {
        match kind {
            Kind::Independent => vec![bad; seconds],
            Kind::Drift => {
                let place = |second: usize| (second as f64 + 0.5) / seconds as f64;
                (0..seconds).map(|second| bad * (0.2 + 1.6 * place(second))).collect()
            }
            _ => {
                let mut shares = vec![0.0; seconds];
                for (begin, end) in self.freezes(kind, seconds as f64, bad) {
                    over_seconds(begin, end, seconds, |second, from, to| shares[second] += to - from);
                }
                shares
            }
        }
    }

    /// The times of a run in which calls take 10 ms, give or take 5, and wait for the end of a freeze that they fall into; and the
    /// truth of their mean in seconds.
    pub(crate) fn times(&mut self, kind: Kind, seconds: usize, bad: f64) -> (Vec<Times>, f64) {
        const USUAL: f64 = 0.010;
        const SPREAD: f64 = 0.005;
        let mut waits = vec![0.0; seconds];
        for (begin, end) in self.freezes(kind, seconds as f64, bad) {
            over_seconds(begin, end, seconds, |second, from, to| {
                waits[second] += ((end - from).powi(2) - (end - to).powi(2)) / 2.0;
            });
        }
        let calls = Poisson::new(self.rate).unwrap();
        let times = waits.into_iter().map(|wait| {
            let calls: f64 = calls.sample(&mut self.random);
            let noise: f64 = StandardNormal.sample(&mut self.random);
            Times { calls, sum: calls * (USUAL + wait) + noise * SPREAD * calls.sqrt() }
        });
        let times = times.collect();
        // Half a freeze on average, weighted by how likely it is to be met.
        let waited = match kind {
            Kind::Freezes(long) | Kind::PeriodicFreezes(long) => bad * long / 2.0,
            Kind::VariousFreezes(mean) => bad * mean,
            Kind::Independent | Kind::Drift => 0.0,
        };
        (times, USUAL + waited)
    }

    /// When the target stands still, so that it does so for the share `bad` of the time.
    fn freezes(&mut self, kind: Kind, seconds: f64, bad: f64) -> Vec<(f64, f64)> {
        let (Kind::Freezes(mean) | Kind::VariousFreezes(mean) | Kind::PeriodicFreezes(mean)) = kind else {
            return Vec::new();
        };
        let between = mean * (1.0 - bad) / bad;
        let gap = Exp::new(1.0 / between).unwrap();
        let various = Exp::new(1.0 / mean).unwrap();
        let period = mean + between;
        // Long before the run, so that it begins anywhere.
        let phase = Uniform::new(0.0, period).unwrap().sample(&mut self.random);
        let mut at = -20.0 * period - phase;
        let mut found = Vec::new();
        while at < seconds {
            at += if matches!(kind, Kind::PeriodicFreezes(_)) { between } else { gap.sample(&mut self.random) };
            let long = if matches!(kind, Kind::VariousFreezes(_)) { various.sample(&mut self.random) } else { mean };
            found.push((at, at + long));
            at += long;
        }
        found
    }
}

/// Tells `part` of each second that the stretch from `begin` to `end` touches.
fn over_seconds(begin: f64, end: f64, seconds: usize, mut part: impl FnMut(usize, f64, f64)) {
    let (begin, end) = (begin.max(0.0), end.min(seconds as f64));
    let mut from = begin;
    while from < end {
        let second = from as usize;
        let to = end.min(second as f64 + 1.0);
        part(second, from, to);
        from = to;
    }
}

/// The same counts in cells of ten seconds, as the timeline of a long run has them.
pub(crate) fn folded(counts: &[Count]) -> Vec<Count> {
    let add = |sum: Count, next: &Count| Count { calls: sum.calls + next.calls, bad: sum.bad + next.bad };
    counts.chunks(10).map(|ten| ten.iter().fold(Count::default(), add)).collect()
}
