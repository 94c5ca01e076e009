//! Peak resident memory: by the number of connections, and early against late in a long run.

use std::time::Duration;

use crate::bench::{Bench, REST};
use crate::generator::Watch;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "memory";
/// Answers take so long that each connection has one call a second.
const DELAY: Duration = Duration::from_secs(1);
/// Below what mcpace can do on a core.
const LONG_RATE: u32 = 30_000;

pub(crate) fn measure(bench: &mut Bench) {
    let tools = bench.there([Tool::Auto, Tool::Oha]);
    for _ in 0..bench.options.repeats() {
        for connections in [64, 500, 5000] {
            for &tool in &tools {
                by_connections(bench, tool, connections);
            }
        }
    }
    // Once: it takes minutes, and memory is no matter of chance.
    by_calls(bench, Tool::Auto);
}

fn by_connections(bench: &mut Bench, tool: Tool, connections: u32) {
    let case = format!("{connections} connections");
    let watch = Watch { warm_up: DELAY, window: Duration::from_millis(500), rest: REST };
    let load = Load { connections, is_bound: true, ..Load::at(connections, watch.span()) };
    let before = bench.server.shared.connections();
    bench.server.shared.answer_after(DELAY);
    let seen = bench.once(PART, &case, tool, &load, watch);
    bench.server.shared.answer_after(Duration::ZERO);
    if let Some(seen) = seen {
        let opened = bench.server.shared.connections() - before;
        bench.add(Figure::new(PART, &case, "peak memory", "MiB"), tool, seen.cost.peak.1);
        bench.add(Figure::new(PART, &case, "connections opened", "in all"), tool, opened as f64);
    }
}

fn by_calls(bench: &mut Bench, tool: Tool) {
    let calls: u32 = bench.options.pick(120_000, 10_000_000);
    let case = format!("{calls} calls");
    let span = Duration::from_secs(u64::from(calls.div_ceil(LONG_RATE)));
    let watch = Watch { warm_up: span / 10, window: span * 9 / 10, rest: REST };
    // What calls in flight take is told above. How many there are is the server's doing, who stops now and then as machines do.
    let load = Load { is_bound: true, ..Load::at(LONG_RATE, watch.span()) };
    if let Some(seen) = bench.once(PART, &case, tool, &load, watch) {
        let (early, late) = seen.cost.peak;
        bench.add(Figure::new(PART, &case, "peak after a tenth", "MiB"), tool, early);
        bench.add(Figure::new(PART, &case, "peak at the end", "MiB"), tool, late);
        bench.add(Figure::new(PART, &case, "calls made", "in all"), tool, seen.cost.all_calls as f64);
    }
}
