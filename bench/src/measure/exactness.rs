//! How exactly calls arrive: their distance from the grid of constant arrivals, and the irregularity of Poisson arrivals.

use std::io;
use std::time::Duration;

use crate::bench::{Bench, REST};
use crate::figures::dispersion::dispersion;
use crate::figures::grid::{errors, quantile};
use crate::generator::Watch;
use crate::measure::cost::note_doubt;
use crate::table::Figure;
use crate::tools::{Load, RATED_PEERS, Tool};
use crate::yardstick;

const PART: &str = "exactness";
/// The figure that it is about.
pub(crate) const ERROR: &str = "arrival error p99";
const BARE: &str = "bare timer";
/// Counts are compared over windows of 10 and of 100 mean distances.
const POISSON_RATE: u32 = 1000;
const WINDOWS: [(u64, &str); 2] = [(10, "10 ms windows"), (100, "100 ms windows")];

pub(crate) fn measure(bench: &mut Bench) -> io::Result<()> {
    let peers = bench.options.pick(&RATED_PEERS[..1], &RATED_PEERS).iter().copied();
    let tools = bench.there([Tool::Exact, Tool::Economical].into_iter().chain(peers));
    let watch = Watch { window: bench.options.window() * 2, ..bench.watch() };
    let rates: &[u32] = bench.options.pick(&[1000, 10_000], &[1000, 10_000, 20_000]);
    for repeat in 0..bench.options.repeats() {
        for &rate in rates {
            let case = format!("{rate}/s");
            let period = Duration::from_secs(1) / rate;
            for &tool in &tools {
                let Some(seen) = bench.once(PART, &case, tool, &Load::at(rate, watch.span()), watch) else { continue };
                let arrivals = in_window(bench.arrivals(tool), watch);
                let errors = errors(&arrivals, period.as_nanos() as f64);
                if errors.is_empty() {
                    bench.trouble(PART, &case, tool, "made no call while it was looked at");
                    continue;
                }
                add(bench, &case, tool.name(), &errors);
                if let Some(own) = seen.said.own {
                    bench.add(Figure::new(PART, &case, "pacing lag p99, as it says", "µs"), tool, own.lag[1]);
                    note_doubt(bench, PART, &case, tool, &own);
                }
            }
            let machine = bench.machine.clone();
            let wakes = yardstick::wakes(period, watch.window, || machine.place_yardstick())?;
            add(bench, &case, BARE, &wakes.lags);
            bench.table.add(Figure::new(PART, &case, "CPU per wake-up", "µs"), BARE, wakes.cpu);
        }
        irregularity(bench, u64::from(repeat) + 1);
    }
    Ok(())
}

fn add(bench: &mut Bench, case: &str, tool: &str, errors: &[f64]) {
    for (which, name) in [(0.5, "arrival error p50"), (0.99, ERROR)] {
        bench.table.add(Figure::new(PART, case, name, "µs"), tool, quantile(errors, which) / 1e3);
    }
}

/// Arrivals without those of the warm-up and of the end.
pub(super) fn in_window(arrivals: Vec<(u64, u64)>, watch: Watch) -> Vec<(u64, u64)> {
    let Some(first) = arrivals.iter().map(|(_, at)| *at).min() else { return arrivals };
    let from = first + watch.warm_up.as_nanos() as u64;
    let until = from + watch.window.as_nanos() as u64;
    arrivals.into_iter().filter(|(_, at)| (from..until).contains(at)).collect()
}

/// The index of dispersion of counts of Poisson arrivals, as they reached the server.
fn irregularity(bench: &mut Bench, seed: u64) {
    let window = bench.options.pick(Duration::from_secs(2), Duration::from_secs(20));
    let watch = Watch { warm_up: Duration::from_millis(100), window, rest: REST };
    let load = Load { is_poisson: true, seed, ..Load::at(POISSON_RATE, watch.span()) };
    let case = format!("{POISSON_RATE}/s poisson");
    if bench.once(PART, &case, Tool::Exact, &load, watch).is_none() {
        return;
    }
    let stamps: Vec<u64> = in_window(bench.arrivals(Tool::Exact), watch).into_iter().map(|(_, at)| at).collect();
    for (milliseconds, name) in WINDOWS {
        let Some(dispersion) = dispersion(&stamps, milliseconds * 1_000_000) else { continue };
        let case = format!("{case}, {name}");
        bench.add(Figure::new(PART, &case, "dispersion", "variance ÷ mean"), Tool::Exact, dispersion.index);
        let deviation = Figure::new(PART, &case, "dispersion − 1", "standard errors");
        bench.add(deviation, Tool::Exact, dispersion.deviation());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_and_end_are_left_out() {
        let nanos = Duration::from_nanos;
        let watch = Watch { warm_up: nanos(10), window: nanos(20), rest: nanos(5) };
        let arrivals: Vec<(u64, u64)> = (0..8).map(|n| (n, 100 + n * 5)).collect();
        assert_eq!(in_window(arrivals, watch), [(2, 110), (3, 115), (4, 120), (5, 125)]);
        assert!(in_window(Vec::new(), watch).is_empty());
    }
}
