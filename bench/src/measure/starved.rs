//! Whether mcpace says so when it is starved: its core is shared with threads that never sleep.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::bench::Bench;
use crate::generator::Watch;
use crate::machine::Placing;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "starved";
/// So much that it needs more of its core than the others leave it.
const RATE: u32 = 50_000;
const BUSY: usize = 3;

pub(crate) fn measure(bench: &mut Bench) {
    if !bench.machine.is_pinned {
        bench.table.note(PART, "one core", Tool::Auto.name(), "was left out: it cannot be put on a core with others");
        return;
    }
    // With real-time priority one of them would have the core for itself, for good.
    bench.machine.placing = Placing::Plain;
    let case = format!("{RATE}/s, core shared with {BUSY}");
    // What comes late is called all the same: the longer the run, the longer it takes to end.
    let watch = Watch { window: bench.options.window().min(Duration::from_secs(1)), ..bench.watch() };
    for _ in 0..bench.options.repeats() {
        let is_over = AtomicBool::new(false);
        let machine = bench.machine.clone();
        let seen = std::thread::scope(|scope| {
            for _ in 0..BUSY {
                scope.spawn(|| {
                    machine.place_yardstick();
                    while !is_over.load(Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let seen = bench.once(PART, &case, Tool::Auto, &Load::at(RATE, watch.span()), watch);
            is_over.store(true, Relaxed);
            seen
        });
        let Some(own) = seen.and_then(|seen| seen.said.own) else { continue };
        bench.add(Figure::new(PART, &case, "pacing lag p99", "µs"), Tool::Auto, own.lag[1]);
        bench.add(Figure::new(PART, &case, "runs called INVALID", "of 1"), Tool::Auto, f64::from(own.doubt.is_some()));
        match own.doubt {
            Some(doubt) => {
                bench.table.note(PART, &case, Tool::Auto.name(), &format!("doubts itself, as it should: {doubt}"));
            }
            None => bench.trouble(PART, &case, Tool::Auto, "was starved, and did not doubt itself"),
        }
    }
    bench.machine.placing = Placing::Apart;
}
