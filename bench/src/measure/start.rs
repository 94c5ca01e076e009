//! How soon the first call comes after the last request of the preflight, by the server's stamps.

use std::time::Duration;

use crate::bench::Bench;
use crate::generator::Watch;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "start";
const CASE: &str = "1000/s";
/// A start is short: it is made more often than other things.
const TIMES: u32 = 5;

pub(crate) fn measure(bench: &mut Bench) {
    let short = Duration::from_millis(100);
    let watch = Watch { warm_up: Duration::ZERO, window: short, rest: short * 2 };
    for _ in 0..bench.options.repeats() * TIMES {
        if bench.once(PART, CASE, Tool::Auto, &Load::at(1000, watch.span()), watch).is_none() {
            continue;
        }
        let first = bench.server.shared.stamps().iter().map(|stamp| stamp.at).min();
        let asked = bench.server.shared.asked_last();
        match first.and_then(|first| first.checked_sub(asked)) {
            Some(nanos) => {
                bench.add(Figure::new(PART, CASE, "preflight to first call", "ms"), Tool::Auto, nanos as f64 / 1e6);
            }
            None => bench.trouble(PART, CASE, Tool::Auto, "asked on after its first call"),
        }
    }
}
