//! The highest rate that one core holds on schedule, all answers right.

use std::time::Duration;

use crate::bench::{Bench, Seen};
use crate::generator::Watch;
use crate::table::Figure;
use crate::tools::{Load, Tool};

const PART: &str = "highest";
/// The figure that it is about.
pub(crate) const HELD: &str = "highest rate held";
/// Who is measured with what: peers send the same 426 bytes always, so they are compared with the payment alone.
const CASES: [(Tool, &str); 3] =
    [(Tool::Auto, "create_payment"), (Tool::Oha, "create_payment"), (Tool::Auto, "get_wallet_balance")];
/// A rate is held where the pacing lag stays below this at p99, in microseconds, and so much of it is reached.
const LATE: f64 = 1000.0;
const REACHED: f64 = 0.99;
/// A machine with neighbours stalls now and then: a rate is not held where it is not so often in a row.
const TRIES: u32 = 3;
/// That far from a rate, twice, is no matter of chance.
const FAR: f64 = 0.9;
/// No generator goes further.
const MOST: u32 = 300_000;
/// The first rate; it doubles for as long as it is held.
const FIRST: u32 = 10_000;

pub(crate) fn measure(bench: &mut Bench) {
    let step = bench.options.pick(10_000, 5000);
    let watch = Watch { window: bench.options.window().min(Duration::from_secs(1)), ..bench.watch() };
    let tries = bench.options.pick(1, TRIES);
    let there = bench.there(CASES.map(|(tool, _)| tool));
    let cases: Vec<_> = CASES.into_iter().filter(|(tool, _)| there.contains(tool)).collect();
    for _ in 0..bench.options.repeats() {
        for &(tool, operation) in &cases {
            let case = format!("one core, {operation}");
            let mut at_highest = None;
            let highest = search(step, |rate| {
                let load = Load { operation: Some(operation), ..Load::at(rate, watch.span()) };
                let seen = try_rate(bench, tool, &load, watch, tries);
                let is_held = seen.is_some();
                // The highest that is held is the last.
                at_highest = seen.or(at_highest.take());
                is_held
            });
            bench.add(Figure::new(PART, &case, HELD, "1/s"), tool, f64::from(highest));
            if highest == 0 {
                bench.table.note(PART, &case, tool.name(), &format!("held no rate, not even {step}/s"));
            }
            let Some(seen) = at_highest else { continue };
            bench.add(Figure::new(PART, &case, "CPU per call there", "µs"), tool, seen.cost.cpu_per_call());
            if let Some(own) = seen.said.own {
                bench.add(Figure::new(PART, &case, "pacing lag p99 there", "µs"), tool, own.lag[1]);
            }
        }
    }
}

/// The highest multiple of `step` that is held, 0 of none: doubles a rate until it is not held, then halves the gap.
fn search(step: u32, mut is_held: impl FnMut(u32) -> bool) -> u32 {
    let (mut held, mut rate) = (0, FIRST);
    while rate <= MOST && is_held(rate) {
        (held, rate) = (rate, rate * 2);
    }
    let mut beyond = rate.min(MOST + step);
    while beyond - held > step {
        let middle = held + (beyond - held) / step / 2 * step;
        *(if is_held(middle) { &mut held } else { &mut beyond }) = middle;
    }
    held
}

/// The first try that holds the rate.
fn try_rate(bench: &mut Bench, tool: Tool, load: &Load, watch: Watch, tries: u32) -> Option<Seen> {
    let rate = load.rate?;
    let case = format!("{rate}/s, {}", load.operation.unwrap_or_default());
    let mut far = 0;
    for _ in 0..tries {
        let seen = bench.once(PART, &case, tool, load, watch)?;
        if is_held(&seen, rate) {
            return Some(seen);
        }
        far += u32::from(seen.cost.rate() < FAR * f64::from(rate));
        if far > 1 {
            break;
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
    use super::*;
    use crate::generator::Cost;
    use crate::tools::{Own, Said};

    #[test]
    fn the_search_ends_at_the_last_step_that_is_held_and_takes_few_tries() {
        for limit in [0, 4999, 5000, 12_000, 64_999, 65_000, 80_000, 159_999, 299_999, 300_000, 900_000] {
            let mut tried = Vec::new();
            let highest = search(5000, |rate| {
                tried.push(rate);
                rate <= limit
            });
            assert_eq!(highest, (limit / 5000 * 5000).min(MOST), "{limit}: {tried:?}");
            assert!(tried.len() <= 12, "{limit}: {tried:?}");
            assert_eq!(tried.iter().rfind(|rate| **rate <= limit).copied().unwrap_or(0), highest, "{tried:?}");
        }
    }

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
