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
    let (span, every, length) = bench.options.pick((5, 5000, 500), (20, 5000, 500));
    let (every, length) = (Duration::from_millis(every), Duration::from_millis(length));
    let case = format!("{} ms every {} s", length.as_millis(), every.as_secs());
    let peers = RATED_PEERS.into_iter().filter(|tool| bench.options.pick(*tool == Tool::Oha, true));
    let tools: Vec<Tool> = [Tool::Auto, Tool::OhaCorrected].into_iter().chain(peers).collect();
    let tools = bench.there(tools);
    let second = Duration::from_secs(1);
    let watch = Watch { warm_up: second, window: second * (span - 2), rest: second };
    for _ in 0..bench.options.repeats() {
        for &tool in &tools {
            // Starting takes a generator less than a second: the first freeze is half a period into the run, or sooner.
            let first = wall() + every.as_nanos() as u64 / 2;
            let (every, length) = (every.as_nanos() as u64, length.as_nanos() as u64);
            bench.server.shared.freeze(Some(Freezing { first, every, length }));
            let seen = bench.once(PART, &case, tool, &Load::at(RATE, watch.span()), watch);
            bench.server.shared.freeze(None);
            if let Some(seen) = seen {
                compare(bench, &case, tool, watch.span(), seen.said.response);
            }
        }
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
        let Some(reported) = reported[place] else { continue };
        bench.add(Figure::new(PART, case, &format!("{name}, as reported"), "ms"), tool, reported);
        bench.add(Figure::new(PART, case, &format!("{name}, true"), "ms"), tool, known);
        if let Some(answered) = &answered {
            let figure = Figure::new(PART, case, &format!("{name}, as answered"), "ms");
            bench.add(figure, tool, quantile(answered, WHICH[place]) / 1e6);
        }
        if known > 0.0 {
            let error = (reported / known - 1.0) * 100.0;
            bench.add(Figure::new(PART, case, &format!("{name}, error"), "%"), tool, error);
        }
    }
}

/// From when each call was due to when its answer had been written, ascending, in nanoseconds.
fn answered(bench: &Bench, origin: f64, period: f64) -> Vec<f64> {
    let stamps = bench.server.shared.stamps();
    let mut times: Vec<f64> = stamps
        .iter()
        .map(|stamp| stamp.answered as f64 - origin - (stamp.id.saturating_sub(FIRST_CALL_ID)) as f64 * period)
        .collect();
    times.sort_by(f64::total_cmp);
    times
}
