//! What happened during a run, with its instant: warm-up's end, the schedule's end, stalls.

use std::time::Duration;

use super::happened::{span, what};
use super::humane::quantile;
use super::{Ending, SavedRun};
use crate::measure::{self, Cell, Phase, Quantile, Scope, Summary, Tally};
use crate::time::{Moment, humane_duration};

/// A stall is told where at least so many arrivals were due in it.
const FEWEST_DUE: u64 = 5;
/// Response times stall where what is due in a tenth of a second takes this long, and so many times the run's median.
const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_millis(50);
const TIMES_MEDIAN: f64 = 20.0;
/// In a stretch of more than a second that alone may be chance, or how things are: as many calls are slow there too, and
/// so many times the run's share of them.
const FEWEST_SLOW: f64 = 10.0;
const TIMES_SHARE: f64 = 2.0;
/// No more stalls are told.
const MOST_STALLS: usize = 100;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it was.
    pub kind: EventKind,
    /// When it was, or when it began.
    pub at: Moment,
    /// When it was over, where it lasted.
    pub until: Option<Moment>,
    /// What happened, in a few words.
    pub what: String,
}

impl Event {
    /// When it was, counted from the run's beginning, and for how long.
    pub fn when(&self) -> String {
        span(self.at, self.until)
    }
}

/// The kinds of events: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// From here on everything is judged.
    WarmupEnd,
    /// From here on nothing was due any more.
    ScheduleEnd,
    /// Calls were due, and took far longer than usual, or got no ok answer.
    Stall,
    /// Nothing was due, because somebody wanted it so.
    Pause,
    /// Something else that was noted while the run went on.
    Noted,
}

/// All events of a run, in the order of their instants.
pub(super) fn events(saved: &SavedRun) -> Vec<Event> {
    let summary = &saved.summary;
    let mut events: Vec<Event> = [warmup(summary), schedule(saved)].into_iter().flatten().collect();
    events.extend(stalls(&summary.tally(Scope::Total, None)));
    events.extend(summary.events.kept().iter().map(noted));
    events.sort_by_key(|event| event.at);
    events
}

fn noted(event: &measure::Event) -> Event {
    let until = Some(event.until).filter(|_| !event.lasted().is_zero());
    let kind = if event.kind == measure::EventKind::Paused { EventKind::Pause } else { EventKind::Noted };
    Event { kind, at: event.at, until, what: what(event) }
}

fn warmup(summary: &Summary) -> Option<Event> {
    let at = summary.warmup;
    let warm = !summary.tally(Scope::Total, Some(Phase::Warmup)).is_idle();
    (at > Moment::ZERO && warm).then_some(Event {
        kind: EventKind::WarmupEnd,
        at,
        until: None,
        what: "warm-up ended".to_owned(),
    })
}

fn schedule(saved: &SavedRun) -> Option<Event> {
    let at = saved.summary.until;
    let how = match &saved.ending {
        Ending::Completed | Ending::LostLanes { .. } => "the schedule ended",
        Ending::Signal(_) => "a signal ended the schedule",
        Ending::Rule(_) => "a rule ended the schedule",
        Ending::Asked => "the schedule was ended by hand",
        Ending::CutOff { .. } => "what came later is lost",
    };
    let what = how.to_owned();
    (at > Moment::ZERO).then_some(Event { kind: EventKind::ScheduleEnd, at, until: None, what })
}

/// Neighbouring cells in which response times stood out, or not one ok answer came, whatever it was an answer to.
fn stalls(tally: &Tally) -> Vec<Event> {
    let median = match tally.quantile(0.5) {
        Some(Quantile::Finite(median)) => median,
        Some(Quantile::Unbounded) | None => return Vec::new(),
    };
    let limit = LONG.max(median.mul_f64(TIMES_MEDIAN));
    let timeline = &tally.timeline;
    let (level, name) = level(timeline.width());
    let usual = tally.share_above(limit).unwrap_or(0.0);
    let stands_out = |cell: &Cell, longest: f64| {
        let slow = cell.ended().saturating_sub(cell.response.count_at_or_below(limit)) as f64;
        longest >= limit.as_nanos() as f64
            && (timeline.width() <= SECOND || slow >= FEWEST_SLOW && slow >= TIMES_SHARE * usual * cell.ended() as f64)
    };
    let mut found: Vec<Stall> = Vec::new();
    for cell in timeline.cells().filter(|cell| cell.scheduled > 0) {
        let longest = (cell.ended() > 0).then(|| cell.quantile(level).unwrap_or(f64::INFINITY));
        if cell.came > 0 && longest.is_none_or(|longest| !stands_out(cell, longest)) {
            continue;
        }
        let (longest, due) = (longest.unwrap_or(0.0), u64::from(cell.scheduled));
        match found.last_mut().filter(|stall| stall.last + 1 == cell.index) {
            Some(stall) => {
                *stall =
                    Stall { last: cell.index, longest: stall.longest.max(longest), due: stall.due + due, ..*stall };
            }
            None => found.push(Stall { first: cell.index, last: cell.index, longest, due }),
        }
    }
    found.retain(|stall| stall.due >= FEWEST_DUE);
    // The longest ones; of those as long the earliest.
    found.sort_by_key(|stall| std::cmp::Reverse(stall.last - stall.first));
    found.truncate(MOST_STALLS);
    let width = timeline.width().as_secs_f64();
    let moment = |index: u64| Moment::from_secs_f64(index as f64 * width);
    let event = |stall: Stall| {
        let (at, until) = (moment(stall.first), moment(stall.last + 1));
        let longest = if stall.longest.is_finite() {
            Quantile::Finite(Duration::from_nanos(stall.longest as u64))
        } else {
            Quantile::Unbounded
        };
        let what = format!(
            "a stall within {}: {name} up to {}, of a run whose median is {}",
            humane_duration(until.since(at)),
            quantile(longest),
            humane_duration(median)
        );
        Event { kind: EventKind::Stall, at, until: Some(until), what }
    };
    found.into_iter().map(event).collect()
}

/// The quantile that a tenth of a second takes a stretch of this width beyond a limit, and its name.
fn level(width: Duration) -> (f64, &'static str) {
    match width.as_secs() {
        0..=9 => (0.9, "p90"),
        10..=99 => (0.99, "p99"),
        _ => (0.999, "p99.9"),
    }
}

/// Cells from the first to the last, the highest of their quantiles in nanoseconds, and how many arrivals were due in them.
#[derive(Clone, Copy)]
struct Stall {
    first: u64,
    last: u64,
    longest: f64,
    due: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::report::fixtures::{self, Told, answer};

    fn kinds(run: &SavedRun) -> Vec<(EventKind, u64)> {
        events(run).iter().map(|event| (event.kind, event.at.as_nanos() / 1_000_000_000)).collect()
    }

    #[test]
    fn warm_up_and_the_schedule_end_once_and_what_was_noted_is_between() {
        assert_eq!(kinds(&fixtures::ok()), [(EventKind::ScheduleEnd, 15)]);
        let failed =
            [(EventKind::WarmupEnd, 2), (EventKind::Noted, 4), (EventKind::Noted, 9), (EventKind::ScheduleEnd, 22)];
        assert_eq!(kinds(&fixtures::failed()), failed);
        assert_eq!(kinds(&fixtures::empty()), []);
    }

    #[test]
    fn seconds_in_which_calls_wait_are_one_stall() {
        // From 3 s to 6 s every call waits until 6 s.
        let run = fixtures::run(fixtures::plan("target = { url = \"http://localhost\" }"), 10, |n, intended| {
            let wait = if (300..600).contains(&n) { (600 - n) * 10_000 } else { 0 };
            Told { flow: 0, operation: 0, fate: answer(intended, 50, wait + 1_000, Outcome::Ok), said: None }
        });
        let found = events(&run);
        assert_eq!(found[0].what, "a stall within 3.00 s: p90 up to 2.90 s, of a run whose median is 1.05 ms");
        assert_eq!(found[0].until, Some(Moment::from_nanos(6_000_000_000)));
        assert_eq!(kinds(&run), [(EventKind::Stall, 3), (EventKind::ScheduleEnd, 10)]);
    }

    #[test]
    fn half_a_second_in_which_calls_wait_is_found_among_ten_and_what_is_usual_is_none() {
        // A hundred a second for 700 s; one call of fifty takes a second; from 500 s on all of half a second wait.
        let plan = fixtures::plan("target = { url = \"http://localhost\" }");
        let run = |stall: u64| {
            fixtures::run(plan.clone(), 700, |n, intended| {
                let wait = if (50_000..50_000 + stall).contains(&n) { 1_500_000 } else { 0 };
                let usual = if n % 50 == 7 { 1_000_000 } else { 1_000 };
                Told { flow: 0, operation: 0, fate: answer(intended, 50, wait + usual, Outcome::Ok), said: None }
            })
        };
        assert_eq!(kinds(&run(0)), [(EventKind::ScheduleEnd, 700)]);
        let found = events(&run(50));
        assert_eq!(found[0].what, "a stall within 10.0 s: p99 up to 1.59 s, of a run whose median is 1.05 ms");
        assert_eq!(found[0].at, Moment::from_nanos(500_000_000_000));
    }
}
