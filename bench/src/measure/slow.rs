//! What a call costs, and how exactly it arrives, where answers take their time: many calls are in flight at once then, and
//! none is answered while its generator still looks at it.

use std::time::Duration;

use crate::bench::Bench;
use crate::figures::grid::{errors, quantile};
use crate::measure::exactness::{ERROR, in_window};
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "slow";
/// Peers have so many connections for each that is needed in the mean.
const ROOM: u32 = 2;

pub(crate) fn measure(bench: &mut Bench) {
    let rates: &[u32] = bench.options.pick(&[10_000], &[1000, 10_000]);
    let delays = bench.options.pick(&[1][..], &[1, 50]).iter().copied().map(Duration::from_millis);
    let cases: Vec<_> = delays.flat_map(|delay| rates.iter().map(move |&rate| (delay, rate))).collect();
    let tools = bench.there([Tool::Exact, Tool::Economical, Tool::Oha]);
    for _ in 0..bench.options.repeats() {
        for &(delay, rate) in &cases {
            for &tool in &tools {
                answered_after(bench, delay, rate, tool);
            }
        }
    }
}

fn answered_after(bench: &mut Bench, delay: Duration, rate: u32, tool: Tool) {
    let case = format!("answered after {delay:?}, {rate}/s");
    let watch = bench.watch();
    let load = Load::at(rate, watch.span());
    let load = Load { connections: load.connections.max(in_flight(delay, rate) * ROOM), ..load };
    bench.server.shared.answer_after(delay);
    let seen = bench.once(PART, &case, tool, &load, watch);
    bench.server.shared.answer_after(Duration::ZERO);
    let Some(seen) = seen else { return };
    super::cost::add(bench, PART, &case, tool, &seen);
    let period = Duration::from_secs(1) / rate;
    let errors = errors(&in_window(bench.arrivals(tool), watch), period.as_nanos() as f64);
    if errors.is_empty() {
        bench.trouble(PART, &case, tool, "made no call while it was looked at");
    } else {
        bench.add(Figure::new(PART, &case, ERROR, "µs"), tool, quantile(&errors, 0.99) / 1e3);
    }
}

/// How many calls are in flight in the mean: Little's law.
fn in_flight(delay: Duration, rate: u32) -> u32 {
    (delay.as_secs_f64() * f64::from(rate)).ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_flight_are_the_rate_times_their_time() {
        assert_eq!(in_flight(Duration::from_millis(50), 10_000), 500);
        assert_eq!(in_flight(Duration::from_millis(1), 1500), 2, "a part of a call is one");
        assert_eq!(in_flight(Duration::ZERO, 1000), 0);
    }
}
