//! Every metric in one table: its name, help, unit, kind, labels, and how it is read from a run.
//!
//! The `/metrics` page, its reference page and the checks of dashboards and rules are all made from [`METRICS`]; so nothing
//! can be declared that is never counted, and nothing shown that does not exist.

use super::definition::{Definition, Kind};
use super::reading::{CHANGES, Identity, RunState, labels, pacing_by_flow};
use crate::measure::Resource;
use crate::outcome::{Outcome, Probe, Violation};
use crate::verdict::{Bound, Verdict};

const FLOW: &str = "flow";
const OPERATION: &str = "operation";
const PHASE: &str = "phase";
const SERIES: &[&str] = &[FLOW, OPERATION, PHASE];

/// Every metric of a run. (What the process itself uses is in [`super::PROCESS_METRICS`].)
pub static METRICS: &[Definition] = &[
    Definition {
        name: "mcpace_run_info",
        kind: Kind::Gauge,
        unit: "",
        labels: &["run_id", "name", "version", "seed"],
        help: "Always 1; its labels say which run this is.",
        read: |view, out| {
            let Identity { run_id, name, seed, .. } = view.identity;
            let texts = [run_id, name].map(|text| labels(std::slice::from_ref(text)).concat());
            out.number(&[&texts[0], &texts[1], env!("CARGO_PKG_VERSION"), &seed.to_string()], 1.0);
        },
    },
    Definition {
        name: "mcpace_run_state",
        kind: Kind::Gauge,
        unit: "",
        labels: &["state"],
        help: "1 for how far the run has come (starting, warmup, measure, paused, draining or ended), 0 for the other states.",
        read: |view, out| {
            for state in RunState::ALL {
                out.number(&[state.name()], f64::from(u8::from(state == view.reading.state)));
            }
        },
    },
    Definition {
        name: "mcpace_run_state_begin_timestamp_seconds",
        kind: Kind::Gauge,
        unit: "seconds since 1970",
        labels: &["state"],
        help: "When the run came to a state; absent for those it has not come to.",
        read: |view, out| {
            for (state, begin) in RunState::ALL.iter().zip(view.reading.begins) {
                if let Some(begin) = begin {
                    out.number(&[state.name()], begin);
                }
            }
        },
    },
    Definition {
        name: "mcpace_changes_total",
        kind: Kind::Counter,
        unit: "changes",
        labels: &["act"],
        help: "Changes of the run's load that were made by hand, by mcpace ctl: rate, pause, resume or stop.",
        read: |view, out| {
            for ((act, _), changes) in CHANGES.iter().zip(view.reading.changes) {
                out.number(&[act], changes as f64);
            }
        },
    },
    Definition {
        name: "mcpace_run_planned_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "How long arrivals are due at most, warm-up included, by what the plan intends.",
        read: |view, out| out.number(&[], view.identity.planned.as_secs_f64()),
    },
    Definition {
        name: "mcpace_run_verdict",
        kind: Kind::Gauge,
        unit: "",
        labels: &["verdict"],
        help: "1 for the verdict as things stand (pass, fail, inconclusive or invalid), 0 for the others.",
        read: |view, out| {
            for verdict in Verdict::ALL {
                let so_far = view.reading.verdict == Some(verdict);
                out.number(&[&verdict.to_string().to_lowercase()], f64::from(u8::from(so_far)));
            }
        },
    },
    Definition {
        name: "mcpace_snapshot_timestamp_seconds",
        kind: Kind::Gauge,
        unit: "seconds since 1970",
        labels: &[],
        help: "When the generator last published its counts. While a run goes on it is never more than a second or two ago.",
        read: |view, out| out.number(&[], view.reading.published),
    },
    Definition {
        name: "mcpace_generator_doubts",
        kind: Kind::Gauge,
        unit: "doubts",
        labels: &[],
        help: "Reasons, as things stand, for which the run would be INVALID; 0 is a healthy generator.",
        read: |view, out| out.number(&[], view.reading.doubts as f64),
    },
    Definition {
        name: "mcpace_pacing_lag_limit_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "Pacing lag whose p99 is above this makes the run INVALID: a part of the tightest time that is promised.",
        read: |view, out| out.number(&[], view.reading.lag_limit.as_secs_f64()),
    },
    Definition {
        name: "mcpace_generator_busy_ratio",
        kind: Kind::Gauge,
        unit: "ratio",
        labels: &[],
        help: "The share of the last second in which lanes ran; near 1 they have nothing left. Absent where the kernel does not say.",
        read: |view, out| out.known(view.reading.health.ran_share()),
    },
    Definition {
        name: "mcpace_generator_wait_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        help: "How long a lane that wanted a processor waited for it on average, in the last second; absent where the kernel \
               does not say.",
        read: |view, out| out.known(view.reading.health.wait_per_turn().map(|wait| wait.as_secs_f64())),
    },
    Definition {
        name: "mcpace_host_busy_ratio",
        kind: Kind::Gauge,
        unit: "ratio",
        labels: &[],
        help: "The share of the generator's machine's processor time that was used in the last second, for whatever; absent where the kernel \
               does not say.",
        read: |view, out| out.known(view.reading.health.busy_share()),
    },
    Definition {
        name: "mcpace_host_sockets",
        kind: Kind::Gauge,
        unit: "sockets",
        labels: &[],
        help: "TCP sockets of the generator's machine, those that wait after their end included; absent where the kernel does not say.",
        read: |view, out| out.level(&view.reading.health.sockets, 1.0),
    },
    Definition {
        name: "mcpace_host_ports",
        kind: Kind::Gauge,
        unit: "ports",
        labels: &[],
        help: "Local ports that the generator's machine has for connections to one address; absent where the kernel does not say.",
        read: |view, out| out.level(&view.reading.health.ports, 1.0),
    },
    Definition {
        name: "mcpace_host_stolen_ratio",
        kind: Kind::Gauge,
        unit: "ratio",
        labels: &[],
        help: "The share of the generator's machine's processor time that other virtual machines took in the last second; \
               absent where the kernel does not say.",
        read: |view, out| out.known(view.reading.health.stolen_share()),
    },
    Definition {
        name: "mcpace_target_processors_used",
        kind: Kind::Gauge,
        unit: "processors",
        labels: &[],
        help: "Processors that the target's process used in the last second, with --server-pid or --server-metrics. Like the \
               three that follow it is absent where that cannot be seen.",
        read: |view, out| out.level(Resource::Processor.of(&view.reading.usage), 1e-3),
    },
    Definition {
        name: "mcpace_target_memory_bytes",
        kind: Kind::Gauge,
        unit: "bytes",
        labels: &[],
        help: "Memory that the target's process uses.",
        read: |view, out| out.level(Resource::Memory.of(&view.reading.usage), 1.0),
    },
    Definition {
        name: "mcpace_target_open_fds",
        kind: Kind::Gauge,
        unit: "descriptors",
        labels: &[],
        help: "File descriptors that the target's process has open.",
        read: |view, out| out.level(Resource::Descriptors.of(&view.reading.usage), 1.0),
    },
    Definition {
        name: "mcpace_target_threads",
        kind: Kind::Gauge,
        unit: "threads",
        labels: &[],
        help: "Threads of the target's process.",
        read: |view, out| out.level(Resource::Threads.of(&view.reading.usage), 1.0),
    },
    Definition {
        name: "mcpace_target_frozen_seconds_total",
        kind: Kind::Counter,
        unit: "seconds",
        labels: &[],
        help: "Time in which calls were in flight and none ended but by its timeout, although at least ten arrivals were due: the target, or \
               the way to it, stood still.",
        read: |view, out| out.number(&[], view.reading.stillness.frozen.as_secs_f64()),
    },
    Definition {
        name: "mcpace_intended_rate",
        kind: Kind::Gauge,
        unit: "arrivals per second",
        labels: &[FLOW],
        help: "Arrivals per second that the flow's profile intends at present.",
        read: |view, out| {
            for (flow, rate) in view.reading.intended.iter().enumerate() {
                out.number(&[&view.flow(flow as u16)], *rate);
            }
        },
    },
    Definition {
        name: "mcpace_arrivals_scheduled_total",
        kind: Kind::Counter,
        unit: "arrivals",
        labels: SERIES,
        help: "Arrivals that were due and picked up.",
        read: |view, out| out.per_series(view, |counts| counts.scheduled),
    },
    Definition {
        name: "mcpace_arrivals_sent_total",
        kind: Kind::Counter,
        unit: "arrivals",
        labels: SERIES,
        help: "Arrivals of which a byte was sent, counted when their call has ended.",
        read: |view, out| out.per_series(view, |counts| counts.sent),
    },
    Definition {
        name: "mcpace_arrivals_dropped_total",
        kind: Kind::Counter,
        unit: "arrivals",
        labels: SERIES,
        help: "Arrivals never sent, for want of room in flight.",
        read: |view, out| out.per_series(view, |counts| counts.dropped),
    },
    Definition {
        name: "mcpace_arrivals_abandoned_total",
        kind: Kind::Counter,
        unit: "arrivals",
        labels: SERIES,
        help: "Arrivals unanswered when the run ended.",
        read: |view, out| out.per_series(view, |counts| counts.abandoned),
    },
    Definition {
        name: "mcpace_arrivals_substituted_total",
        kind: Kind::Counter,
        unit: "arrivals",
        labels: SERIES,
        help: "Arrivals that called this operation in place of another that had no captured value to use yet.",
        read: |view, out| out.per_series(view, |counts| counts.substituted),
    },
    Definition {
        name: "mcpace_calls_total",
        kind: Kind::Counter,
        unit: "calls",
        labels: &[FLOW, OPERATION, "outcome", PHASE],
        help: "Calls that ended, by how.",
        read: |view, out| {
            for series in &view.reading.series {
                let (flow, operation) = (view.flow(series.flow), view.operation(series.operation));
                for outcome in Outcome::ALL {
                    let count = series.counts.outcomes[outcome.index()];
                    out.number(&[&flow, &operation, outcome.name(), series.phase.name()], count as f64);
                }
            }
        },
    },
    Definition {
        name: "mcpace_side_calls_total",
        kind: Kind::Counter,
        unit: "calls",
        labels: &["kind", "outcome"],
        help: "Calls that are not arrivals, by what for (initialize, delete, resume, cancel, answer) and by how they ended.",
        read: |view, out| {
            for side in &view.reading.side_calls {
                for outcome in Outcome::ALL {
                    out.number(&[side.kind.name(), outcome.name()], side.outcomes[outcome.index()] as f64);
                }
            }
        },
    },
    Definition {
        name: "mcpace_side_call_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &["kind"],
        help: "How long calls that are not arrivals took, from begun to ended, failed ones included.",
        read: |view, out| {
            for side in &view.reading.side_calls {
                out.times(&[side.kind.name()], &view.identity.bounds.service_time, &side.times);
            }
        },
    },
    Definition {
        name: "mcpace_violations_total",
        kind: Kind::Counter,
        unit: "calls",
        labels: &["kind"],
        help: "Calls whose answers broke a promise about money, by which: lost_write, stale_read, wrong_amount, \
               wrong_payment, double_charge, altered_accepted or balance_off.",
        read: |view, out| {
            for (violation, calls) in Violation::ALL.iter().zip(view.reading.truth.violations) {
                out.number(&[violation.name()], calls as f64);
            }
        },
    },
    Definition {
        name: "mcpace_probes_total",
        kind: Kind::Counter,
        unit: "calls",
        labels: &["kind"],
        help: "Calls that used an idempotency key again and have ended, by how: parallel, later, after_timeout or altered.",
        read: |view, out| {
            for (probe, calls) in Probe::ALL.iter().zip(view.reading.truth.probes) {
                out.number(&[probe.name()], calls as f64);
            }
        },
    },
    Definition {
        name: "mcpace_unresolved_calls_total",
        kind: Kind::Counter,
        unit: "calls",
        labels: &[OPERATION],
        help: "Calls of an operation with an idempotency key that ended without saying whether they happened.",
        read: |view, out| {
            for (operation, calls) in &view.reading.truth.unresolved {
                out.number(&[&view.operation(*operation)], *calls as f64);
            }
        },
    },
    Definition {
        name: "mcpace_response_time_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: SERIES,
        help: "Time from when an arrival was due to its complete reply, free of coordinated omission. One without a \
               complete reply (timed out, disconnected, unreachable, dropped, abandoned) counts in the bucket +Inf; the \
               time until it was given up is in the sum, where a call was made.",
        read: |view, out| {
            out.times_per_series(view, &view.identity.bounds.response_time, |counts| &counts.response_time);
        },
    },
    Definition {
        name: "mcpace_service_time_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: SERIES,
        help: "Time from the first byte sent to the complete reply, of calls with a complete reply: what the server took.",
        read: |view, out| {
            out.times_per_series(view, &view.identity.bounds.service_time, |counts| &counts.service_time);
        },
    },
    Definition {
        name: "mcpace_pacing_lag_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &[FLOW, PHASE],
        help: "Time from when an arrival was due to when the generator picked it up: the generator's own error.",
        read: |view, out| {
            for (flow, phase, lag) in pacing_by_flow(view.reading) {
                out.times(&[&view.flow(flow), phase.name()], &view.identity.bounds.pacing_lag, &lag);
            }
        },
    },
    Definition {
        name: "mcpace_calls_in_flight",
        kind: Kind::Gauge,
        unit: "calls",
        labels: &[],
        help: "Calls sent and unanswered at present.",
        read: |view, out| out.number(&[], view.reading.gauges.in_flight as f64),
    },
    Definition {
        name: "mcpace_calls_in_flight_limit",
        kind: Kind::Gauge,
        unit: "calls",
        labels: &[],
        help: "Calls that may be in flight: arrivals that find no room wait.",
        read: |view, out| out.number(&[], f64::from(view.identity.concurrent)),
    },
    Definition {
        name: "mcpace_arrivals_waiting",
        kind: Kind::Gauge,
        unit: "arrivals",
        labels: &[],
        help: "Arrivals that are due and found no room in flight yet.",
        read: |view, out| out.number(&[], view.reading.gauges.waiting as f64),
    },
    Definition {
        name: "mcpace_connections_open",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &[],
        help: "Connections to the target open at present.",
        read: |view, out| out.number(&[], view.reading.gauges.connections as f64),
    },
    Definition {
        name: "mcpace_sent_bytes_total",
        kind: Kind::Counter,
        unit: "bytes",
        labels: &[],
        help: "Bytes sent to the target.",
        read: |view, out| out.number(&[], view.reading.gauges.bytes_sent as f64),
    },
    Definition {
        name: "mcpace_received_bytes_total",
        kind: Kind::Counter,
        unit: "bytes",
        labels: &[],
        help: "Bytes received from the target.",
        read: |view, out| out.number(&[], view.reading.gauges.bytes_received as f64),
    },
    Definition {
        name: "mcpace_objective_bound_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &["objective", "indicator", FLOW, OPERATION],
        help: "The response time that the objective allows. Of flow and operation the one that it is about is named, as for the two that \
               follow.",
        read: |view, out| {
            for objective in &view.reading.objectives {
                if let Bound::Time(bound) = objective.bound {
                    out.number(&objective.labels(), bound.as_secs_f64());
                }
            }
        },
    },
    Definition {
        name: "mcpace_objective_bound_ratio",
        kind: Kind::Gauge,
        unit: "ratio",
        labels: &["objective", "indicator", FLOW, OPERATION],
        help: "The share of arrivals that the objective allows.",
        read: |view, out| {
            for objective in &view.reading.objectives {
                if let Bound::Share(bound) = objective.bound {
                    out.number(&objective.labels(), bound);
                }
            }
        },
    },
    Definition {
        name: "mcpace_objective_bound_rate",
        kind: Kind::Gauge,
        unit: "arrivals per second",
        labels: &["objective", "indicator", FLOW, OPERATION],
        help: "The rate that the objective asks for.",
        read: |view, out| {
            for objective in &view.reading.objectives {
                if let Bound::Rate(bound) = objective.bound {
                    out.number(&objective.labels(), bound.get());
                }
            }
        },
    },
    Definition {
        name: "mcpace_objective_met",
        kind: Kind::Gauge,
        unit: "",
        labels: &["objective"],
        help: "1 where the objective is met as things stand, 0 where it is missed; absent while that is undecided.",
        read: |view, out| {
            for objective in &view.reading.objectives {
                if let Some(met) = objective.met {
                    out.number(&[&objective.text], f64::from(u8::from(met)));
                }
            }
        },
    },
    Definition {
        name: "mcpace_objective_budget_left_ratio",
        kind: Kind::Gauge,
        unit: "ratio",
        labels: &["objective"],
        help: "How much of what the objective allows is left: 1 all of it, 0 nothing, below 0 too much was used, -1 at \
               least twice as much as allowed.",
        read: |view, out| {
            for objective in &view.reading.objectives {
                if let Some(left) = objective.budget_left {
                    out.number(&[&objective.text], left);
                }
            }
        },
    },
];
