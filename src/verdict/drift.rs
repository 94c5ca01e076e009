//! Whether response times, errors or a level of the target grow or fall over a run: a slope, said where it is sure and
//! matters.
//!
//! The run is cut into some twenty stretches; through their values goes a line by least squares, whose error allows for
//! neighbours that go together (Newey and West, *Econometrica* 55, 1987). A slope is told where it is no chance finding,
//! shared out over everything that is looked at (Bonferroni), and where the change that it makes from the beginning to the
//! end of the run is large enough to matter. Where the load itself changes there is nothing to be told.

use std::fmt;
use std::time::Duration;

use super::longrun;
use super::validity::{Remark, Subject};
use crate::measure::{Cell, Phase, Resource, Scope, Stretch, Summary, Timeline, Usage};
use crate::statistics::{t_quantile, t_tail};
use crate::time::{Moment, humane_duration};

/// A shorter run says nothing about slopes.
const SHORTEST: Duration = Duration::from_mins(1);
/// In how many stretches a run is cut.
const STRETCHES: usize = 20;
/// How uneven the load may be: its largest stretch over its mean.
const UNEVEN: f64 = 1.1;
/// The chance that a run without any slope is told to have one, over everything that is looked at.
const MISTAKE: f64 = 0.05;
/// How many things are looked at.
const LOOKED_AT: f64 = 4.0;
/// A change over the run matters from this part of the level on.
const MATTERS: f64 = 0.1;
/// A change of the error rate matters from this share of all arrivals on.
const ERRORS_MATTER: f64 = 0.001;
const HOUR: f64 = 3600.0;

/// What may drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drifting {
    /// The median response time, in seconds.
    P50,
    /// The response time that 95 % of all arrivals keep to, in seconds.
    P95,
    /// The share of the arrivals that did not end ok.
    ErrorRate,
    /// The memory of the target's process, in bytes.
    Memory,
}

/// A slope that is sure and matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Of what.
    pub what: Drifting,
    /// By how much it grows in an hour; negative where it falls.
    pub per_hour: f64,
    /// The two-sided 90 % interval of that.
    pub interval: (f64, f64),
    /// How long the part of the run is that shows it.
    pub over: Duration,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a run of minutes nobody knows what it would do in an hour.
        let (unit, part) = if self.over < Duration::from_mins(20) { ("minute", 1.0 / 60.0) } else { ("hour", 1.0) };
        let name = match self.what {
            Drifting::P50 => "p50",
            Drifting::P95 => "p95",
            Drifting::ErrorRate => "the error rate",
            Drifting::Memory => "the target's memory",
        };
        let (grows, sign) = if self.per_hour > 0.0 { ("grows", 1.0) } else { ("falls", -1.0) };
        let amount = |per_hour: f64| self.what.amount(per_hour * part * sign);
        let (low, high) = if sign > 0.0 { self.interval } else { (self.interval.1, self.interval.0) };
        write!(f, "{name} {grows} by {} {unit} ({} to {})", an(&amount(self.per_hour), unit), amount(low), amount(high))
    }
}

fn an(amount: &str, unit: &str) -> String {
    format!("{amount} {}", if unit == "hour" { "an" } else { "a" })
}

impl Drift {
    /// The slope as a note, and what it may mean.
    pub fn remark(&self) -> Remark {
        let remedy = if self.per_hour > 0.0 {
            "the figures are those of a run of this length; look for what the target gathers (memory, connections, rows), \
             and run longer to see where it ends"
        } else {
            "the target was perhaps still warming up; give a longer --warmup, or --warmup auto"
        };
        Remark::new(Subject::Drift, self.to_string(), remedy)
    }
}

impl Drifting {
    fn amount(self, value: f64) -> String {
        let size = value.abs();
        let text = match self {
            Self::P50 | Self::P95 => humane_duration(Duration::from_secs_f64(size.min(1e9))),
            Self::ErrorRate => format!("{} points", super::figure::number(size * 100.0)),
            Self::Memory if size >= 1e9 => format!("{} GB", super::figure::number(size / 1e9)),
            Self::Memory if size >= 1e6 => format!("{} MB", super::figure::number(size / 1e6)),
            Self::Memory => format!("{} KB", super::figure::number(size / 1e3)),
        };
        if value < 0.0 { format!("-{text}") } else { text }
    }
}

/// Every slope after warm-up that is sure and matters: of response times, errors and, where somebody looked, the memory of
/// the target's process.
pub fn drifts(summary: &Summary) -> Vec<Drift> {
    let mut drifts = of_timeline(&summary.tally(Scope::Total, Some(Phase::Measure)).timeline);
    drifts.extend(of_memory(&summary.usage, summary.warmup));
    drifts
}

fn of_memory(usage: &Timeline<Usage>, from: Moment) -> Option<Drift> {
    let looks: Vec<(f64, f64)> = usage
        .cells()
        .filter(|cell| usage.start_of(*cell) >= from)
        .filter_map(|cell| Some((usage.start_of(cell).as_secs_f64(), Resource::Memory.of(cell).mean()?)))
        .collect();
    if looks.len() < 2 * STRETCHES || usage.width() * (looks.len() as u32) < SHORTEST {
        return None;
    }
    let mean = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / part.len() as f64;
    let points: Vec<(f64, f64)> = (0..STRETCHES)
        .map(|place| stretch(&looks, place))
        .map(|part| (mean(part, |look| look.0), mean(part, |look| look.1)))
        .collect();
    drift(Drifting::Memory, &points)
}

/// One of the stretches of a run.
fn stretch<T>(whole: &[T], place: usize) -> &[T] {
    &whole[place * whole.len() / STRETCHES..(place + 1) * whole.len() / STRETCHES]
}

fn of_timeline(timeline: &Timeline) -> Vec<Drift> {
    let width = timeline.width();
    let cells: Vec<&Cell> = timeline.cells().filter(|cell| cell.scheduled > 0).collect();
    if cells.len() < 2 * STRETCHES || width * (cells.len() as u32) < SHORTEST {
        return Vec::new();
    }
    let stretches: Vec<(f64, Cell)> = (0..STRETCHES)
        .map(|place| {
            let part = stretch(&cells, place);
            let mut whole = Cell::default();
            for cell in part {
                whole.merge(cell);
            }
            let middle = part.iter().map(|cell| cell.index as f64 + 0.5).sum::<f64>() / part.len() as f64;
            // As if all were of one length, which they are but for one cell.
            whole.expected /= part.len() as f64;
            (middle * width.as_secs_f64(), whole)
        })
        .collect();
    let mean = stretches.iter().map(|(_, cell)| cell.expected).sum::<f64>() / STRETCHES as f64;
    // The last one may be of a second that the schedule did not fill.
    let even = |cell: &Cell| cell.expected <= mean * UNEVEN && cell.expected * UNEVEN >= mean;
    if !stretches[..STRETCHES - 1].iter().all(|(_, cell)| even(cell)) {
        return Vec::new();
    }
    let points = |value: &dyn Fn(&Cell) -> Option<f64>| -> Option<Vec<(f64, f64)>> {
        stretches.iter().map(|(at, cell)| Some((*at, value(cell)?))).collect()
    };
    let time = |quantile: f64| points(&move |cell| cell.quantile(quantile).map(|nanos| nanos / 1e9));
    let errors = points(&|cell| Some(cell.bad() as f64 / (u64::from(cell.ok) + cell.bad()).max(1) as f64));
    let looked_at = [(Drifting::P50, time(0.5)), (Drifting::P95, time(0.95)), (Drifting::ErrorRate, errors)];
    looked_at.into_iter().filter_map(|(what, points)| drift(what, &points?)).collect()
}

/// The slope through `points`, each a number of seconds into the run and a value, where it is sure and matters.
pub fn drift(what: Drifting, points: &[(f64, f64)]) -> Option<Drift> {
    let count = points.len() as f64;
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
    let (middle, level) = (mean(&|point| point.0), mean(&|point| point.1));
    let spread: f64 = points.iter().map(|(at, _)| (at - middle).powi(2)).sum();
    let slope = points.iter().map(|(at, value)| (at - middle) * (value - level)).sum::<f64>() / spread;
    let parts: Vec<f64> =
        points.iter().map(|(at, value)| (at - middle) * (value - level - slope * (at - middle))).collect();
    let sum = longrun::of_sum(&parts);
    let (error, freedom) = (sum.variance.sqrt() / spread, (sum.freedom - 1.0).max(1.0));
    let seconds = points.last()?.0 - points.first()?.0;
    let least = if what == Drifting::ErrorRate { ERRORS_MATTER } else { level.abs() * MATTERS };
    let chance = 2.0 * t_tail(slope.abs() / error, freedom);
    if !(chance < MISTAKE / LOOKED_AT && (slope * seconds).abs() > least) {
        return None;
    }
    let half = t_quantile(0.05, freedom) * error;
    Some(Drift {
        what,
        per_hour: slope * HOUR,
        interval: ((slope - half) * HOUR, (slope + half) * HOUR),
        over: Duration::from_secs_f64(seconds),
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::measure::Level;

    /// Seconds of forty calls that take from 5 to 15 ms, `slower(second)` times as long, and `frozen` of the seconds held up
    /// by up to half a second.
    fn run(seconds: u64, frozen: f64, dice: &mut ChaCha8Rng, slower: impl Fn(f64) -> f64) -> Timeline {
        let mut timeline: Timeline = Timeline::default();
        for second in 0..seconds {
            let stall = if dice.random::<f64>() < frozen { 0.5 } else { 0.0 };
            let cell = timeline.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.scheduled, cell.ok, cell.expected) = (40, 40, 40.0);
            for _ in 0..40 {
                let held = (stall - dice.random::<f64>()).max(0.0);
                let own = (0.005 + 0.01 * dice.random::<f64>()) * slower(second as f64);
                cell.response.record(Duration::from_secs_f64(own + held));
            }
        }
        timeline
    }

    #[test]
    fn runs_without_a_slope_are_not_told_to_have_one() {
        let mut dice = ChaCha8Rng::seed_from_u64(11);
        for frozen in [0.0, 0.02, 0.2] {
            let told = (0..200).filter(|_| !of_timeline(&run(120, frozen, &mut dice, |_| 1.0)).is_empty()).count();
            assert!(told <= 10, "{frozen}: {told} of 200");
        }
    }

    #[test]
    fn times_that_wander_and_come_back_are_not_told_to_drift() {
        let mut dice = ChaCha8Rng::seed_from_u64(12);
        let told = (0..200).filter(|_| {
            let mut at = 0.0;
            let walk: Vec<f64> = (0..600)
                .map(|_| {
                    at = 0.9 * at + 0.05 * (dice.random::<f64>() - 0.5) * 12.0_f64.sqrt();
                    f64::exp(at)
                })
                .collect();
            !of_timeline(&run(600, 0.0, &mut dice, |second| walk[second as usize])).is_empty()
        });
        let told = told.count();
        assert!(told <= 10, "{told} of 200");
    }

    #[test]
    fn a_true_slope_is_found_and_its_interval_holds_it() {
        let mut dice = ChaCha8Rng::seed_from_u64(13);
        let mut held = 0;
        for _ in 0..100 {
            let told = of_timeline(&run(600, 0.0, &mut dice, |second| 1.0 + 0.3 * second / 600.0));
            let p95 = told.iter().find(|drift| drift.what == Drifting::P95).expect("it is found");
            // p95 is 14.5 ms at first: 30 % in ten minutes, six times as much in an hour.
            let truth = 0.0145 * 0.3 * 6.0;
            held += u32::from(p95.interval.0 <= truth && truth <= p95.interval.1);
        }
        assert!(held >= 80, "{held}");
    }

    #[test]
    fn short_runs_and_uneven_loads_say_nothing() {
        let mut dice = ChaCha8Rng::seed_from_u64(14);
        assert_eq!(of_timeline(&run(50, 0.0, &mut dice, |second| 1.0 + second)), []);
        let mut ramp = run(300, 0.0, &mut dice, |second| 1.0 + second / 300.0);
        assert_ne!(of_timeline(&ramp), []);
        for second in 0..300 {
            ramp.at(Moment::from_nanos(second * 1_000_000_000)).expected = 20.0 + second as f64;
        }
        assert_eq!(of_timeline(&ramp), []);
    }

    #[test]
    fn errors_that_become_more_are_told() {
        let mut dice = ChaCha8Rng::seed_from_u64(15);
        let mut timeline = run(600, 0.0, &mut dice, |_| 1.0);
        for second in 0..600 {
            let cell = timeline.at(Moment::from_nanos(second * 1_000_000_000));
            let bad = u32::from(dice.random::<f64>() < second as f64 / 600.0);
            (cell.ok, cell.failed) = (40 - bad, bad);
        }
        let told = of_timeline(&timeline);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].to_string().starts_with("the error rate grows by 0.2"), "{}", told[0]);
    }

    #[test]
    fn memory_that_leaks_is_told_and_memory_that_comes_and_goes_is_not() {
        let mut dice = ChaCha8Rng::seed_from_u64(16);
        let mut looks = |of: &dyn Fn(u64) -> f64| {
            let mut usage = Timeline::<Usage>::default();
            for second in 0..600 {
                let memory = (of(second) * (1.0 + 0.02 * dice.random::<f64>())) as u64;
                usage.at(Moment::from_nanos(second * 1_000_000_000)).memory = Level::of(memory);
            }
            of_memory(&usage, Moment::from_nanos(30_000_000_000))
        };
        let leak = looks(&|second| 100e6 + 1e5 * second as f64).expect("60 MB in ten minutes");
        // Looks read 1 % more than there is, on average.
        assert!((leak.per_hour / 363.6e6 - 1.0).abs() < 0.01, "{leak:?}");
        assert!(leak.interval.0 < leak.per_hour && leak.per_hour < leak.interval.1, "{leak:?}");
        assert!(leak.to_string().starts_with("the target's memory grows by 6."), "{leak}");
        assert_eq!(looks(&|second| 100e6 + 1e6 * (second % 50) as f64), None);
    }

    #[test]
    fn a_slope_is_said_with_its_interval_for_the_time_that_it_was_seen_in() {
        let drift = |what, per_hour: f64, minutes| Drift {
            what,
            per_hour,
            interval: (per_hour - per_hour.abs() / 4.0, per_hour + per_hour.abs() / 4.0),
            over: Duration::from_mins(minutes),
        };
        let said = [
            drift(Drifting::P95, 0.0008, 120),
            drift(Drifting::P50, -0.006, 10),
            drift(Drifting::ErrorRate, 0.004, 60),
            drift(Drifting::Memory, 48e6, 600),
        ];
        insta::assert_snapshot!(said.map(|drift| drift.to_string()).join("\n"), @r"
        p95 grows by 800 µs an hour (600 µs to 1.00 ms)
        p50 falls by 100 µs a minute (75.0 µs to 125 µs)
        the error rate grows by 0.4 points an hour (0.3 points to 0.5 points)
        the target's memory grows by 48 MB an hour (36 MB to 60 MB)
        ");
    }
}
