//! Whether response times are those that users would have had: the server freezes on a known schedule, so the answer is known.

use std::time::Duration;

use mcpace::workload::FIRST_CALL_ID;

use crate::bench::Bench;
use crate::clock::wall;
use crate::figures::grid::{origin, quantile};
use crate::figures::truth::{Arrivals, quantiles};
use crate::generator::Watch;
use crate::server::shared::Freezing;
use crate::table::Figure;
use crate::tools::{Load, RATED_PEERS, Tool};

const PART: &str = "truth";
const RATE: u32 = 1000;
const WHICH: [f64; 3] = [0.95, 0.99, 0.999];
const NAMES: [&str; 3] = ["p95", "p99", "p99.9"];

pub(crate) fn measure(bench: &mut Bench) {
    // A tenth of the time either way.
    let (every, length) = (Duration::from_secs(5), Duration::from_millis(500));
    let second = Duration::from_secs(1);
    let window = bench.options.pick(3, 18) * second;
    let watch = Watch { warm_up: second, window, rest: second };
    let peers = bench.options.pick(&RATED_PEERS[..1], &RATED_PEERS).iter().copied();
    let tools = bench.there([Tool::Auto, Tool::OhaCorrected].into_iter().chain(peers));
    // Over as many connections as others have, and over as many as a freeze makes it open.
    let bounds = bench.options.pick(&[true][..], &[true, false]);
    for _ in 0..bench.options.repeats() {
        for &tool in &tools {
            for &is_bound in bounds.iter().filter(|is_bound| **is_bound || tool == Tool::Auto) {
                let load = Load { is_bound, ..Load::at(RATE, watch.span()) };
                let over = if is_bound { "64 connections" } else { "any connections" };
                let case = format!("{} ms every {} s, {over}", length.as_millis(), every.as_secs());
                under_freezes(bench, &case, tool, &load, watch, (every, length));
            }
        }
    }
}

fn under_freezes(
    bench: &mut Bench,
    case: &str,
    tool: Tool,
    load: &Load,
    watch: Watch,
    (every, length): (Duration, Duration),
) {
    let (every, length) = (every.as_nanos() as u64, length.as_nanos() as u64);
    // Generators start in less than a second: the first freeze is some two seconds into the run.
    bench.server.shared.freeze(Some(Freezing { first: wall() + every / 2, every, length }));
    let seen = bench.once(PART, case, tool, load, watch);
    bench.server.shared.freeze(None);
    if let Some(seen) = seen {
        compare(bench, case, tool, watch.span(), seen.said.response);
    }
}

/// Compares what a tool reports with what must have been; and tells, of mcpace, what its server's answers took from when
/// their calls were due: what is beyond the analytic answer there is the server's own time to catch up.
fn compare(bench: &mut Bench, case: &str, tool: Tool, span: Duration, reported: [Option<f64>; 3]) {
    let period = 1e9 / f64::from(RATE);
    let Some(origin) = origin(&bench.arrivals(tool), period) else { return };
    let count = (span.as_nanos() as f64 / period) as u64;
    let freezes = bench.server.shared.frozen().clone();
    let known = quantiles(Arrivals { origin, period, count }, &freezes, WHICH);
    let answered = (tool.program() == "mcpace").then(|| answered(bench, origin, period));
    for (place, name) in NAMES.into_iter().enumerate() {
        let known = known[place] / 1e6;
        let Some(reported) = reported[place] else {
            bench.table.note(PART, case, tool.name(), &format!("gave no {name}"));
            continue;
        };
        bench.add(Figure::new(PART, case, &format!("{name}, as reported"), "ms"), tool, reported);
        bench.add(Figure::new(PART, case, &format!("{name}, true"), "ms"), tool, known);
        if let Some(answered) = &answered {
            let answered = quantile(answered, WHICH[place]) / 1e6;
            if answered.is_finite() {
                bench.add(Figure::new(PART, case, &format!("{name}, as answered"), "ms"), tool, answered);
            } else {
                bench.table.note(PART, case, tool.name(), &format!("{name} is among calls that were not answered"));
            }
            if answered.is_finite() && answered > 0.0 {
                let figure = Figure::new(PART, case, &format!("{name}, error by the server's record"), "%");
                bench.add(figure, tool, (reported / answered - 1.0) * 100.0);
            }
        }
        if known > 0.0 {
            let error = (reported / known - 1.0) * 100.0;
            bench.add(Figure::new(PART, case, &format!("{name}, error"), "%"), tool, error);
        }
    }
}

/// From when each call was due to when its answer had been written, ascending, in nanoseconds; those that were not answered
/// are last.
fn answered(bench: &Bench, origin: f64, period: f64) -> Vec<f64> {
    let stamps = bench.server.shared.stamps();
    let mut times: Vec<f64> = stamps
        .iter()
        .map(|stamp| {
            let answered = if stamp.answered == 0 { f64::INFINITY } else { stamp.answered as f64 };
            answered - origin - (stamp.id.saturating_sub(FIRST_CALL_ID)) as f64 * period
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}
