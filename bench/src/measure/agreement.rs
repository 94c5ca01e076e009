//! Before anything is believed: the server saw each call that mcpace tells of, once, on each wire.

use std::time::Duration;

use mcpace::workload::FIRST_CALL_ID;

use crate::bench::Bench;
use crate::generator::Watch;
use crate::table::Figure;
use crate::tools::{Load, Tool, Wire};

const PART: &str = "agreement";
const RATE: u32 = 500;

pub(crate) fn measure(bench: &mut Bench) {
    for wire in Wire::ALL {
        let watch = Watch { warm_up: Duration::from_millis(100), ..bench.watch() };
        let load = Load { wire, ..Load::at(RATE, watch.span()) };
        let Some(seen) = bench.once(PART, wire.name(), Tool::Auto, &load, watch) else { continue };
        let due = seen.said.own.as_ref().map_or(0, |own| own.due);
        let mut ids: Vec<u64> = bench.server.shared.stamps().iter().map(|stamp| stamp.id).collect();
        ids.sort_unstable();
        if seen.said.failed > 0 {
            bench.trouble(PART, wire.name(), Tool::Auto, &format!("found {} answers wrong", seen.said.failed));
        }
        if !ids.iter().copied().eq(FIRST_CALL_ID..FIRST_CALL_ID + due) {
            let why =
                format!("had {due} calls due, and the server saw {} ids that are not theirs, each once", ids.len());
            bench.trouble(PART, wire.name(), Tool::Auto, &why);
        }
        bench.add(
            Figure::new(PART, wire.name(), "calls seen", "of those due"),
            Tool::Auto,
            ids.len() as f64 / due as f64,
        );
        let length = bench.server.shared.body_length() as f64;
        bench.add(Figure::new(PART, wire.name(), "body of a call", "bytes"), Tool::Auto, length);
    }
}
