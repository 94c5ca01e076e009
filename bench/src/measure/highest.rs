//! The highest rate that one core holds on schedule, all answers right.

use crate::bench::{Bench, Seen};
use crate::generator::Watch;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "highest";
const CASE: &str = "one core";
/// A rate is held where the pacing lag stays below this at p99, in microseconds, and so much of it is reached.
const LATE: f64 = 1000.0;
const REACHED: f64 = 0.99;
/// A machine with neighbours stalls now and then: a rate is not held where it is not so often in a row.
const TRIES: u32 = 3;
/// No generator goes further.
const MOST: u32 = 300_000;

pub(crate) fn measure(bench: &mut Bench) {
    let step = bench.options.pick(20_000, 10_000);
    let watch = Watch { window: bench.options.window().min(std::time::Duration::from_secs(1)), ..bench.watch() };
    let tries = bench.options.pick(1, TRIES);
    let tools = bench.options.pick(&[Tool::Auto][..], &[Tool::Auto, Tool::Oha]);
    let tools = bench.there(tools.iter().copied());
    for _ in 0..bench.options.repeats() {
        for &tool in &tools {
            let (mut highest, mut at_highest) = (0, None);
            for rate in (1..).map(|n| n * step).take_while(|rate| *rate <= MOST) {
                let Some(seen) = try_rate(bench, tool, rate, watch, tries) else { break };
                (highest, at_highest) = (rate, Some(seen));
            }
            bench.add(Figure::new(PART, CASE, "highest rate held", "1/s"), tool, f64::from(highest));
            if highest == 0 {
                bench.table.note(PART, CASE, tool.name(), &format!("held no rate, not even {step}/s"));
            }
            let Some(seen) = at_highest else { continue };
            bench.add(Figure::new(PART, CASE, "CPU per call there", "µs"), tool, seen.cost.cpu_per_call());
            if let Some(own) = seen.said.own {
                bench.add(Figure::new(PART, CASE, "pacing lag p99 there", "µs"), tool, own.lag[1]);
            }
        }
    }
}

/// The first try that holds the rate.
fn try_rate(bench: &mut Bench, tool: Tool, rate: u32, watch: Watch, tries: u32) -> Option<Seen> {
    for _ in 0..tries {
        let seen = bench.once(PART, &format!("{rate}/s"), tool, &Load::at(rate, watch.span()), watch)?;
        if is_held(&seen, rate) {
            return Some(seen);
        }
    }
    None
}

/// Of others than mcpace it is only known whether the rate was reached.
fn is_held(seen: &Seen, rate: u32) -> bool {
    let is_on_time = seen.said.own.as_ref().is_none_or(|own| own.lag[1] < LATE && own.due == seen.said.calls);
    seen.cost.rate() >= REACHED * f64::from(rate) && is_on_time && (seen.said.failed == 0 || seen.said.own.is_none())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generator::Cost;
    use crate::tools::{Own, Said};

    #[test]
    fn a_rate_is_held_where_it_is_reached_in_time_and_every_answer_is_right() {
        let second = Duration::from_secs(1);
        let cost = Cost { calls: 10_000, elapsed: second, cpu: second, peak: (0.0, 0.0), all_calls: 13_000 };
        let own = Own { due: 13_000, lag: [10.0, 900.0], doubt: None };
        let held = Seen { cost, said: Said { calls: 13_000, own: Some(own), ..Said::default() } };
        assert!(is_held(&held, 10_000) && is_held(&held, 10_101) && !is_held(&held, 10_102));
        let with = |change: &dyn Fn(&mut Seen)| {
            let mut seen = held.clone();
            change(&mut seen);
            is_held(&seen, 10_000)
        };
        assert!(!with(&|seen| seen.said.failed = 1));
        assert!(!with(&|seen| seen.said.calls = 12_999));
        assert!(!with(&|seen| seen.said.own = Some(Own { due: 13_000, lag: [10.0, 1000.0], doubt: None })));
        assert!(with(&|seen| seen.said.own = None));
    }
}
