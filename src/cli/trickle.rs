//! A few calls at a low rate, to see whether the target is itself again after a probe.

use std::time::Duration;

use super::exit::Failure;
use super::keeping::Keeping;
use super::looking::Looking;
use super::run;
use super::session::Session;
use super::signals::Signals;
use super::watch::Watch;
use crate::arrival::Process;
use crate::engine::{MonotonicClock, Setup, Sightings};
use crate::measure::{Bounds, Quantile, Scope};
use crate::plan::{Plan, Warmup};
use crate::report::SavedCapacity;
use crate::time::{Clock, Rate};
use crate::verdict::search::{CoolDown, is_itself_again, seed_of};

/// How many calls tell how the target is.
const CALLS: f64 = 5.0;
/// How many come in a second, where not even the lowest rate of the search is lower.
const RATE: f64 = 10.0;

/// What it takes to see how the target is.
pub(super) struct Trickle {
    plan: Plan,
    at_most: Duration,
    clock: MonotonicClock,
}

impl Trickle {
    /// The trickle of a search: its calls, one after the other.
    pub(super) fn of(saved: &SavedCapacity, clock: MonotonicClock) -> Self {
        let rate = Rate::per_second(saved.search.from.get().min(RATE)).unwrap_or(saved.search.from);
        let mut plan = saved.plan.clone();
        plan.run.warmup = Warmup::default();
        // Nobody asked for more of it than the probes make.
        plan.truth.probe_idempotency = 0.0;
        plan.run.timeout = plan.run.timeout.min(saved.cool_down.max(Duration::from_secs(1)));
        plan.flows.iter_mut().for_each(|flow| flow.arrivals = Process::Constant);
        let mut plan = plan.at_rate(rate, Duration::from_secs_f64(CALLS / rate.get()), saved.plan.seed);
        plan.run.abort_on_fail = false;
        Self { plan, at_most: saved.cool_down, clock }
    }

    /// How the target is before anything was asked of it. The first calls, which find everything cold, do not count.
    pub(super) fn at_rest(&self, session: &Session, signals: &Signals) -> Result<CoolDown, Failure> {
        let cold = self.calls(0, session, signals)?;
        let rest = self.calls(1, session, signals)?;
        Ok(CoolDown { calls: cold.calls + rest.calls, took: cold.took + rest.took, ..rest })
    }

    /// Waits until the target is as it was `at_rest`, as long as it may; `number` is that of the probe to come.
    pub(super) fn cool_down(
        &self,
        number: u64,
        at_rest: Option<Quantile>,
        session: &Session,
        signals: &Signals,
    ) -> Result<CoolDown, Failure> {
        let began = self.clock.now();
        let mut cool_down = CoolDown { took: Duration::ZERO, calls: 0, last: None, recovered: false };
        let mut round = 0;
        while !cool_down.recovered && cool_down.took < self.at_most && signals.first().is_none() {
            let seen = self.calls(number << 16 | round, session, signals)?;
            cool_down.last = seen.last;
            cool_down.calls += seen.calls;
            cool_down.recovered = at_rest.zip(seen.last).is_none_or(|(before, seen)| is_itself_again(before, seen));
            cool_down.took = self.clock.now().since(began);
            round += 1;
        }
        Ok(cool_down)
    }

    /// Makes the calls, and says what their median response time is.
    fn calls(&self, number: u64, session: &Session, signals: &Signals) -> Result<CoolDown, Failure> {
        let plan = Plan { seed: seed_of(!self.plan.seed, number), ..self.plan.clone() };
        let began = self.clock.now();
        let setup = Setup {
            steering: None,
            identity: run::fresh_identity(),
            bounds: Bounds::default(),
            side_calls: Vec::new(),
            sightings: Sightings::default(),
            events: Sightings::default(),
            stop: signals.next_stop(),
            warmup: plan.latest_warmup().into(),
        };
        let (watch, mut looking) = (Watch::of(&plan, &[], None, false), Looking::new(&plan, &[]));
        let ended = run::drive(&plan, &setup, session, &watch, &mut looking, &mut Keeping::default())?;
        let tally = ended.summary.tally(Scope::Total, None);
        Ok(CoolDown {
            took: self.clock.now().since(began),
            calls: tally.scheduled,
            last: tally.quantile(0.5),
            recovered: true,
        })
    }
}
