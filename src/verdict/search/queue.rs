//! One queue with a fixed service time under Poisson arrivals (M/D/1): what theory says of it, and a target that is one.

use std::time::Duration;

use super::{CoolDown, Probe, is_itself_again};
use crate::arrival::{Arrivals, FlowId, Process, Profile, Shard};
use crate::measure::{Fate, Quantile, Recorder, Sample, Shape, Summary};
use crate::outcome::Outcome;
use crate::time::Moment;

/// The probability that a call waits at most `wait` before it is served: Erlang's formula of 1909,
/// `(1 − ρ) Σ_{k ≤ wait/D} (λ(kD − wait))^k / k! · e^{−λ(kD − wait)}`, as in Iversen, "Teletraffic Engineering and Network
/// Planning" (2015), section 10.4.4. Terms alternate, so that it is good for waits of up to some twenty services.
pub(super) fn waits_at_most(wait: f64, rate: f64, service: f64) -> f64 {
    let mut sum = 0.0;
    for k in 0..=(wait / service).floor() as u32 {
        let exponent = rate * (f64::from(k) * service - wait);
        let mut term = (-exponent).exp();
        for factor in 1..=k {
            term *= exponent / f64::from(factor);
        }
        sum += term;
    }
    (1.0 - rate * service) * sum
}

/// The rate at which just the share `late` of the calls has a response time above `bound`.
pub(super) fn capacity(bound: f64, late: f64, service: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0 / service);
    for _ in 0..60 {
        let rate = f64::midpoint(low, high);
        if 1.0 - waits_at_most(bound - service, rate, service) < late { low = rate } else { high = rate }
    }
    low
}

/// A target that is such a queue. Its time goes on from probe to probe, and so does its backlog.
pub(super) struct Queue {
    service: Duration,
    timeout: Duration,
    now: Moment,
    free: Moment,
}

/// How long every probe's warm-up is.
pub(super) const WARMUP: Duration = Duration::from_secs(2);

impl Queue {
    pub(super) fn new(service: Duration, timeout: Duration) -> Self {
        Self { service, timeout, now: Moment::ZERO, free: Moment::ZERO }
    }

    /// When a call that comes at `at` is done.
    fn serve(&mut self, at: Moment) -> Moment {
        self.free = self.free.max(at).after(self.service);
        self.free
    }

    /// Makes a probe of it, as the generator would.
    pub(super) fn probed(&mut self, probe: &Probe, seed: u64) -> Summary {
        let end = Moment::ZERO.after(WARMUP + probe.duration);
        let began = self.now;
        let load = Profile::flat(probe.rate, end.since(Moment::ZERO));
        let mut recorder =
            Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO.after(WARMUP));
        let mut last = end;
        let mut due = 0;
        for arrival in Arrivals::new(FlowId(0), Process::Poisson, &load, seed, Shard::WHOLE, None) {
            let intended = arrival.intended;
            let answered = self.serve(began.after(intended.since(Moment::ZERO)));
            let answered = Moment::ZERO.after(answered.since(began));
            let given_up = intended.after(self.timeout);
            let outcome = if answered > given_up { Outcome::TimeoutNoByte } else { Outcome::Ok };
            let done = answered.min(given_up);
            let (flow, operation, sequence, substituted) = (0, 0, arrival.sequence, false);
            let fate = Fate::Answered { sent: Some(intended), first_byte: None, done, outcome };
            recorder.picked_up(flow, operation, intended, intended);
            recorder
                .record(&Sample { flow, operation, sequence, substituted, intended, picked_up: intended, fate }, None);
            last = last.max(done);
            due += 1;
        }
        self.now = began.after(last.since(Moment::ZERO));
        let mut summary = Summary::new(Moment::ZERO.after(WARMUP));
        summary.absorb(&recorder);
        for second in 0..end.since(Moment::ZERO).as_secs() {
            summary.expect(0, 0, Moment::from_nanos(second * 1_000_000_000), probe.rate.get());
        }
        (summary.until, summary.ends, summary.due) = (end, vec![end], Some(due));
        summary
    }

    /// Lets it cool down, as the generator would: five calls a second until they are answered as before.
    pub(super) fn cooled_down(&mut self) -> CoolDown {
        let began = self.now;
        let mut calls = 0;
        loop {
            let mut times: Vec<Duration> = (0..5_u32)
                .map(|place| {
                    let at = self.now.after(Duration::from_millis(200) * place);
                    self.serve(at).since(at)
                })
                .collect();
            times.sort();
            self.now = self.now.after(Duration::from_secs(1));
            calls += 5;
            let last = Quantile::Finite(times[2]);
            if is_itself_again(Quantile::Finite(self.service), last) {
                let took = self.now.since(began);
                return CoolDown { took, calls, last: Some(last), recovered: true };
            }
        }
    }
}

#[test]
fn theory_and_simulation_agree_on_how_long_calls_wait() {
    // λD = 1/2: P(wait = 0) = 1 − ρ, and P(W ≤ D) = (1 − ρ) e^ρ.
    assert!((waits_at_most(0.0, 0.5, 1.0) - 0.5).abs() < 1e-12);
    assert!((waits_at_most(0.999_999_999, 0.5, 1.0) - 0.5 * 0.5_f64.exp()).abs() < 1e-8);
    let service = Duration::from_millis(5);
    for (rate, bound) in [(100.0, 0.012), (130.0, 0.020), (160.0, 0.040)] {
        let duration = Duration::from_mins(50);
        let rate_of = crate::time::Rate::per_second(rate).unwrap();
        let probe = Probe { purpose: super::Purpose::Hold, rate: rate_of, duration };
        let summary = Queue::new(service, Duration::from_secs(30)).probed(&probe, 11);
        let tally = summary.tally(crate::measure::Scope::Total, Some(crate::measure::Phase::Measure));
        let seen = tally.share_above(Duration::from_secs_f64(bound)).unwrap();
        let truth = 1.0 - waits_at_most(bound - 0.005, rate, 0.005);
        assert!((seen / truth - 1.0).abs() < 0.1, "at {rate}/s above {bound}: {seen}, truth {truth}");
        assert!((capacity(bound, truth, 0.005) / rate - 1.0).abs() < 1e-9);
    }
}
