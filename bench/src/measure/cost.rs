//! What a call costs: user and system time of the generator at held rates, and as fast as it can.

use crate::bench::{Bench, Seen};
use crate::table::Figure;
use crate::tools::{FAST_PEERS, Load, Own, RATED_PEERS, Tool};

const PART: &str = "cost";
/// The figure that it is about.
pub(crate) const CPU: &str = "CPU per call";

pub(crate) fn measure(bench: &mut Bench) {
    let rates: &[u32] = bench.options.pick(&[1000, 10_000], &[1000, 5000, 10_000, 20_000]);
    let watch = bench.watch();
    let peers = bench.options.pick(&RATED_PEERS[..1], &RATED_PEERS).iter().copied();
    let paced = bench.there([Tool::Exact, Tool::Economical].into_iter().chain(peers));
    let fast = bench.there([Tool::Auto].into_iter().chain(FAST_PEERS));
    for _ in 0..bench.options.repeats() {
        for &rate in rates {
            for &tool in &paced {
                let case = format!("{rate}/s");
                if let Some(seen) = bench.once(PART, &case, tool, &Load::at(rate, watch.span()), watch) {
                    add(bench, PART, &case, tool, &seen);
                }
            }
        }
        for &tool in &fast {
            if let Some(seen) = bench.once(PART, "saturated", tool, &Load::saturated(watch.span()), watch) {
                add(bench, PART, "saturated", tool, &seen);
            }
        }
    }
}

/// Adds what every cost has.
pub(super) fn add(bench: &mut Bench, part: &'static str, case: &str, tool: Tool, seen: &Seen) {
    bench.add(Figure::new(part, case, CPU, "µs"), tool, seen.cost.cpu_per_call());
    bench.add(Figure::new(part, case, "calls", "1/s"), tool, seen.cost.rate());
    bench.add(Figure::new(part, case, "peak memory", "MiB"), tool, seen.cost.peak.1);
    if let Some(own) = &seen.said.own
        && case != "saturated"
    {
        bench.add(Figure::new(part, case, "pacing lag p99", "µs"), tool, own.lag[1]);
        note_doubt(bench, part, case, tool, own);
    }
}

/// Says where a run's own word is not to be relied on.
pub(super) fn note_doubt(bench: &mut Bench, part: &'static str, case: &str, tool: Tool, own: &Own) {
    if let Some(doubt) = &own.doubt {
        bench.table.note(part, case, tool.name(), &format!("doubts its run: {doubt}"));
    }
}
