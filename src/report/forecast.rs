//! What a run will take, before anything is sent: the schedule's first starts, room in flight, ports and descriptors, and
//! whether it is long enough to decide what was promised.

use std::time::Duration;

use super::humane::{count, counted, rate};
use crate::arrival::{Arrivals, FlowId, Shard};
use crate::measure::Scope;
use crate::plan::{Flow, Plan};
use crate::time::{Moment, Rate, humane_duration};
use crate::verdict::{Bound, Enough, Judging, Looked, Objective, pacing_limit};

/// How many of a flow's first starts are told.
const FIRST: usize = 3;
/// How long a port is not free again after its connection was closed from this side: what Linux has built in.
const TIME_WAIT: Duration = Duration::from_mins(1);

/// What there is to run with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// File descriptors that the run may need.
    pub descriptors_needed: u64,
    /// Those that this process may open; `None` where that is not known.
    pub descriptors: Option<u64>,
    /// Local ports for connections to one address; `None` where that is not known.
    pub ports: Option<u64>,
    /// How late a lane's timer woke on this machine, sorted; empty where it was not measured.
    pub lateness: Vec<Duration>,
}

/// A flow's part of the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Its name in the plan.
    pub flow: String,
    /// Arrivals expected.
    pub arrivals: f64,
    /// The highest rate.
    pub peak: Rate,
    /// The first intended starts: those of this very seed.
    pub first: Vec<Moment>,
}

/// Calls in flight where an objective that bounds a time is just kept.
#[derive(Clone, Debug, PartialEq)]
pub struct InFlight {
    /// The promise.
    pub objective: Objective,
    /// The highest rate of what it is about.
    pub peak: f64,
    /// By Little's law the rate times the bound; no more than there are arrivals.
    pub calls: f64,
}

/// Whether an objective can be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The promise.
    pub objective: Objective,
    /// Calls expected that it is about, after warm-up.
    pub expected: f64,
    /// Calls that it takes; `None` where it is judged as observed.
    pub enough: Option<Enough>,
}

/// What a run will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What there is.
    pub resources: Resources,
    /// By flow.
    pub schedule: Vec<Schedule>,
    /// By objective that bounds a time.
    pub in_flight: Vec<InFlight>,
    /// By objective.
    pub decisions: Vec<Decision>,
}

impl<'a> Forecast<'a> {
    /// Looks ahead at `plan` with what there is.
    pub fn new(plan: &'a Plan, resources: Resources) -> Self {
        let flow = |(place, flow): (usize, &Flow)| {
            let arrivals =
                Arrivals::new(FlowId(place as u16), flow.arrivals, &flow.load, plan.seed, Shard::WHOLE, flow.total);
            Schedule {
                flow: flow.name.clone(),
                arrivals: flow.load.expected_between(Moment::ZERO, end(flow)),
                peak: flow.load.peak(),
                first: arrivals.take(FIRST).map(|arrival| arrival.intended).collect(),
            }
        };
        let in_flight = |objective: &Objective| {
            let Bound::Time(bound) = objective.bound() else { return None };
            let scope = scope(plan, objective);
            let peak = peak(plan, scope);
            let calls = (peak * bound.as_secs_f64()).min(expected(plan, scope, Moment::ZERO));
            Some(InFlight { objective: objective.clone(), peak, calls })
        };
        // Looks before the end take their part of the error that PASS may make.
        let looks = plan.looks();
        let error = Looked::error_at_the_end(looks.as_ref());
        let decision = |objective: &Objective| Decision {
            objective: objective.clone(),
            expected: expected(plan, scope(plan, objective), plan.latest_warmup()),
            enough: Enough::to_decide(objective, error).filter(|_| plan.judging == Judging::Confident),
        };
        Self {
            plan,
            resources,
            schedule: plan.flows.iter().enumerate().map(flow).collect(),
            in_flight: plan.objectives.iter().filter_map(in_flight).collect(),
            decisions: plan.objectives.iter().map(decision).collect(),
        }
    }

    /// What speaks against the run as it is planned, each with the way out.
    pub fn warnings(&self) -> Vec<String> {
        let late = self.late();
        let in_flight = self.in_flight.iter().filter_map(|each| self.no_room(each));
        let decisions = self.decisions.iter().filter_map(Decision::too_few);
        late.into_iter().chain(in_flight).chain(self.scarce()).chain(decisions).chain(self.no_looks()).collect()
    }

    /// A wake-up of the timer's, by quantile.
    pub fn lateness(&self, quantile: f64) -> Option<Duration> {
        let late = &self.resources.lateness;
        late.get(crate::measure::nearest_rank(quantile, late.len() as u64).saturating_sub(1) as usize).copied()
    }

    /// Connections that may be open at once; with HTTP/2 calls share them.
    pub fn connections(&self) -> Option<u64> {
        (!self.plan.connection.http2).then(|| u64::from(self.plan.run.concurrent.get()))
    }

    /// Local ports that may be taken at once: one for each connection; with one for each call also those of the last
    /// minute, which are not free yet where they were closed from this side. Sockets of the file system take none.
    pub fn ports_needed(&self) -> Option<u64> {
        let one_each = self.connections()?;
        let closed = peak(self.plan, Scope::Total) * TIME_WAIT.as_secs_f64();
        let arrivals: f64 = self.schedule.iter().map(|schedule| schedule.arrivals).sum();
        Some(if self.plan.connection.per_call { one_each.max(closed.min(arrivals) as u64) } else { one_each })
    }

    /// The timer alone takes more than pacing lag may be.
    fn late(&self) -> Option<String> {
        let bounds = self.plan.objectives.iter().filter_map(|objective| match objective.bound() {
            Bound::Time(bound) => Some(bound),
            Bound::Share(_) | Bound::Rate(_) => None,
        });
        let (limit, late) = (pacing_limit(bounds.min()), self.lateness(0.95)?);
        (late > limit).then(|| {
            format!(
                "this machine's timer is {} late at p95, and pacing lag may be {}: the run will perhaps be INVALID; leave it a \
                 core of its own",
                humane_duration(late),
                humane_duration(limit)
            )
        })
    }

    fn no_looks(&self) -> Option<String> {
        let looks = self.plan.looks().filter(|looks| looks.planned.early.is_empty())?;
        let least = humane_duration(Looked::shortest());
        Some(format!(
            "{} measured are too few to look at before the end: --until-decided and --abort-on-fail take {least}",
            humane_duration(Duration::from_secs_f64(looks.planned.last.at))
        ))
    }

    fn no_room(&self, InFlight { objective, calls, .. }: &InFlight) -> Option<String> {
        let concurrent = self.plan.run.concurrent;
        (*calls > f64::from(concurrent.get())).then(|| {
            let calls = count(calls.ceil() as u64);
            format!(
                "at the limit of {objective} {calls} calls are in flight, more than --concurrent {concurrent}: calls will wait \
                 for room though the target keeps its promise; give at least --concurrent {}",
                calls.replace(' ', "")
            )
        })
    }

    fn scarce(&self) -> Vec<String> {
        let Resources { descriptors_needed, descriptors, ports, .. } = self.resources;
        let mut told = Vec::new();
        if let Some(there) = descriptors.filter(|there| *there < descriptors_needed) {
            told.push(format!(
                "{} file descriptors may be needed, and {} may be open: raise `ulimit -n`, or lower --concurrent",
                count(descriptors_needed),
                count(there)
            ));
        }
        if let (Some(needed), Some(there)) = (self.ports_needed(), ports)
            && needed > there
        {
            told.push(format!(
                "{} local ports may be needed, and there are {} for one address: {}",
                count(needed),
                count(there),
                if self.plan.connection.per_call {
                    "lower the rate, or leave out --connect-per-call"
                } else {
                    "lower --concurrent, or widen net.ipv4.ip_local_port_range"
                }
            ));
        }
        told
    }
}

impl Decision {
    /// Whether the run is long enough, where it takes a number of calls.
    pub fn suffices(&self) -> Option<bool> {
        self.enough.map(|enough| self.expected >= enough.with_none_bad as f64)
    }

    fn too_few(&self) -> Option<String> {
        let enough = self.enough.filter(|_| self.suffices() == Some(false))?;
        let expected = self.expected.round() as u64;
        let (calls, are) = (counted(expected, "call"), if expected == 1 { "is" } else { "are" });
        Some(format!(
            "{} cannot be met with confidence: {calls} {are} expected, and even with none bad it takes {}; run longer, or faster",
            self.objective,
            count(enough.with_none_bad)
        ))
    }
}

/// Where a flow's schedule ends: with its load, or where its count of arrivals is expected to be reached.
fn end(flow: &Flow) -> Moment {
    let by_load = Moment::ZERO.after(flow.load.duration());
    flow.total.and_then(|total| flow.load.moment_of(total as f64)).unwrap_or(by_load).min(by_load)
}

/// What an objective is about. A plan's objectives have been checked: each has a scope in it.
fn scope(plan: &Plan, objective: &Objective) -> Scope {
    let resolved = objective.clone().resolve(&plan.flow_names(), &plan.operation_names());
    resolved.map_or(Scope::Total, |resolved| resolved.scope)
}

/// The share of a flow's arrivals that is in `scope`, where it is the flow at `place`.
fn share(plan: &Plan, place: usize, scope: Scope) -> f64 {
    let flow = &plan.flows[place];
    match scope {
        Scope::Total => 1.0,
        Scope::Flow(wanted) => f64::from(u8::from(usize::from(wanted) == place)),
        Scope::Operation(wanted) | Scope::Series { operation: wanted, .. } => {
            let name = plan.operations.get(usize::from(wanted)).map(|operation| &operation.name);
            let all: f64 = flow.mix.iter().map(|(_, weight)| weight).sum();
            let of = flow.mix.iter().filter(|(called, _)| Some(called) == name).map(|(_, weight)| weight).sum::<f64>();
            if all > 0.0 { of / all } else { 0.0 }
        }
    }
}

/// Arrivals expected in `scope` from `from` on.
fn expected(plan: &Plan, scope: Scope, from: Moment) -> f64 {
    let flows = plan.flows.iter().enumerate();
    flows.map(|(place, flow)| flow.load.expected_between(from, end(flow)) * share(plan, place, scope)).sum()
}

/// The highest rate in `scope`: rates are highest where a segment begins or ends.
fn peak(plan: &Plan, scope: Scope) -> f64 {
    let mut moments = vec![Moment::ZERO];
    for flow in &plan.flows {
        let mut edge = Moment::ZERO;
        for segment in flow.load.segments() {
            edge = edge.after(segment.duration);
            moments.extend([Moment::from_nanos(edge.as_nanos().saturating_sub(1)), edge]);
        }
    }
    let at = |moment: &Moment| -> f64 {
        let flows = plan.flows.iter().enumerate();
        flows.map(|(place, flow)| flow.load.rate_at(*moment).get() * share(plan, place, scope)).sum()
    };
    moments.iter().map(at).fold(0.0, f64::max)
}

/// A rate as it is shown.
pub(super) fn shown(per_second: f64) -> String {
    rate(per_second)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::plan;
    use super::*;

    fn resources() -> Resources {
        let lateness = (1..=50).map(Duration::from_micros).collect();
        Resources { descriptors_needed: 10_032, descriptors: Some(20_000), ports: Some(28_232), lateness }
    }

    #[test]
    fn a_forecast_names_the_very_schedule_and_follows_littles_law() {
        let plan = plan(
            r#"
            target = { url = "http://pay.example.com:8000" }
            run = { warmup = "10s", concurrent = 100 }
            [[flow]]
            name = "writers"
            operations = { create_payment = 1, verify_payment = 3 }
            load = "ramp to 400/s over 10s, 400/s for 10s"
            objectives = ["p95 < 500ms"]
            [[flow]]
            name = "readers"
            operations = { verify_payment = 1 }
            load = "100/s for 20s"
            arrivals = "constant"
            objectives = ["error_rate(verify_payment) < 0.1%"]
            "#,
        );
        let forecast = Forecast::new(&plan, resources());
        let writers = &forecast.schedule[0];
        assert!((writers.arrivals - 6000.0).abs() < 1e-6, "{writers:?}");
        let whole = Arrivals::new(FlowId(0), plan.flows[0].arrivals, &plan.flows[0].load, 42, Shard::WHOLE, None);
        assert_eq!(writers.first, whole.take(3).map(|arrival| arrival.intended).collect::<Vec<_>>());
        assert_eq!(forecast.schedule[1].first[0], Moment::from_nanos(5_000_000));
        // 400/s for half a second.
        assert!((forecast.in_flight[0].calls - 200.0).abs() < 1e-3, "{:?}", forecast.in_flight);
        // Three quarters of 400/s, and 100/s, for the ten seconds after warm-up.
        let verified = forecast.decisions.iter().find(|each| each.objective.to_string().contains("verify")).unwrap();
        assert!((verified.expected - 4000.0).abs() < 1e-6 && verified.suffices() == Some(true), "{verified:?}");
        let warnings = forecast.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("200 calls are in flight, more than --concurrent 100"), "{}", warnings[0]);
    }

    #[test]
    fn whatever_speaks_against_a_run_is_told_with_the_way_out() {
        let plan = plan(
            r#"
            target = { url = "http://pay.example.com:8000", connect_per_call = true }
            objectives = ["p95 < 20ms", "error_rate < 0.001%", "max < 1s"]
            [[flow]]
            operations = { create_payment = 1 }
            load = "1000/s for 60s"
            "#,
        );
        let late = vec![Duration::from_millis(2); 50];
        let scarce = Resources { descriptors: Some(1024), ports: Some(28_232), lateness: late, ..resources() };
        let warnings = Forecast::new(&plan, scarce).warnings();
        for (warning, part) in warnings.iter().zip([
            "timer is 2.00 ms late at p95",
            "10 032 file descriptors may be needed, and 1 024 may be open",
            "60 000 local ports may be needed, and there are 28 232",
            "error_rate < 0.001% cannot be met with confidence: 60 000 calls are expected, and even with none bad it takes 299 572",
        ]) {
            assert!(warning.contains(part), "{warning}");
        }
        assert_eq!(warnings.len(), 4, "{warnings:?}");
    }

    #[test]
    fn no_more_calls_are_in_flight_than_there_are_arrivals() {
        let plan = plan(
            "target = { url = \"http://localhost:8000\" }\nobjectives = [\"p50 < 60s\"]\n[[flow]]\ntotal = 200\nrate = \"500/s\"",
        );
        let forecast = Forecast::new(&plan, resources());
        assert!((forecast.in_flight[0].calls - 200.0).abs() < 1e-3, "{:?}", forecast.in_flight);
        assert_eq!(forecast.warnings(), Vec::<String>::new());
    }

    #[test]
    fn a_run_that_is_judged_as_observed_is_never_too_short() {
        let mut plan = plan("target = { url = \"http://localhost:8000\" }\nobjectives = [\"error_rate < 0.1%\"]");
        assert_eq!(Forecast::new(&plan, resources()).warnings().len(), 1);
        plan.judging = Judging::Observed;
        let forecast = Forecast::new(&plan, resources());
        assert_eq!((forecast.decisions[0].suffices(), forecast.warnings()), (None, Vec::new()));
    }

    #[test]
    fn quantiles_of_lateness_are_of_what_was_measured() {
        let plan = plan("target = { url = \"http://localhost:8000\" }");
        let forecast = Forecast::new(&plan, resources());
        assert_eq!(
            (forecast.lateness(0.5), forecast.lateness(1.0)),
            (Some(Duration::from_micros(25)), Some(Duration::from_micros(50)))
        );
        assert_eq!(Forecast::new(&plan, Resources::default()).lateness(0.5), None);
    }
}
