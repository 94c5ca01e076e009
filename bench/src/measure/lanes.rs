//! Whether a second lane makes calls dearer, as a lock or a shared cache line would.

use crate::bench::Bench;
use crate::machine::Placing;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "lanes";

pub(crate) fn measure(bench: &mut Bench) {
    if !bench.machine.is_pinned {
        bench.table.note(
            PART,
            "two cores",
            Tool::TwoLanes.name(),
            "was left out: there is one core, or no choice of it",
        );
        return;
    }
    let rates: &[u32] = bench.options.pick(&[20_000], &[20_000, 40_000]);
    let watch = bench.watch();
    bench.machine.placing = Placing::Anywhere;
    for _ in 0..bench.options.repeats() {
        for &rate in rates {
            let case = format!("{rate}/s economical");
            for tool in [Tool::OneLane, Tool::TwoLanes] {
                let Some(seen) = bench.once(PART, &case, tool, &Load::at(rate, watch.span()), watch) else { continue };
                bench.add(Figure::new(PART, &case, "CPU per call", "µs"), tool, seen.cost.cpu_per_call());
                bench.add(Figure::new(PART, &case, "calls", "1/s"), tool, seen.cost.rate());
                let Some(own) = seen.said.own else { continue };
                bench.add(Figure::new(PART, &case, "pacing lag p99", "µs"), tool, own.lag[1]);
                if let Some(doubt) = own.doubt {
                    bench.table.note(PART, &case, tool.name(), &format!("doubts its run: {doubt}"));
                }
            }
        }
    }
    bench.machine.placing = Placing::Apart;
}
