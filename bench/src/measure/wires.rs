//! The cost of a call over SSE, TLS and HTTP/2. The encrypted server is slower than the raw one: compare generators only.

use crate::bench::Bench;
use crate::table::Figure;
use crate::tools::{Load, Tool, Wire};

const PART: &str = "wires";

pub(crate) fn measure(bench: &mut Bench) {
    let rates: &[u32] = bench.options.pick(&[5000], &[1000, 5000, 10_000]);
    let watch = bench.watch();
    // What a quick run measures elsewhere, or can do without, is left out of it.
    let wires = bench.options.pick(&Wire::ALL[1..], &Wire::ALL);
    let paced = bench
        .there(bench.options.pick(&[Tool::Auto, Tool::Oha][..], &[Tool::Auto, Tool::Oha, Tool::Hey]).iter().copied());
    let fast = bench.there(bench.options.pick(&[][..], &[Tool::Auto, Tool::Oha, Tool::H2load]).iter().copied());
    for _ in 0..bench.options.repeats() {
        for &wire in wires {
            for &rate in rates {
                let case = format!("{}, {rate}/s", wire.name());
                for &tool in &paced {
                    let load = Load { wire, ..Load::at(rate, watch.span()) };
                    if let Some(seen) = bench.once(PART, &case, tool, &load, watch) {
                        super::cost::add(bench, PART, &case, tool, &seen);
                    }
                }
            }
            let case = format!("{}, saturated", wire.name());
            for &tool in &fast {
                let load = Load { wire, ..Load::saturated(watch.span()) };
                if let Some(seen) = bench.once(PART, &case, tool, &load, watch) {
                    bench.add(Figure::new(PART, &case, "CPU per call", "µs"), tool, seen.cost.cpu_per_call());
                    bench.add(Figure::new(PART, &case, "calls", "1/s"), tool, seen.cost.rate());
                }
            }
        }
    }
}
