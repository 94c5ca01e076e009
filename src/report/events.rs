//! What happened during a run, with its instant: warm-up's end, the schedule's end, stalls.

use std::time::Duration;

use super::happened::what;
use super::humane::quantile;
use super::{Ending, SavedRun};
use crate::measure::{self, Phase, Quantile, Scope, Summary, Tally};
use crate::time::{Moment, humane_duration};

/// A stall is told where at least so many arrivals were due in it.
const FEWEST_DUE: u64 = 5;
/// Response times stall where a tenth of what is due in a stretch takes this long, and so many times the run's median.
const LONG: Duration = Duration::from_millis(50);
const TIMES_MEDIAN: f64 = 20.0;
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

/// The kinds of events: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// From here on everything is judged.
    WarmupEnd,
    /// From here on nothing was due any more.
    ScheduleEnd,
    /// Calls were due, and took far longer than usual, or got no ok answer.
    Stall,
    /// It was noted while the run went on.
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
    Event { kind: EventKind::Noted, at: event.at, until, what: what(event) }
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
    let limit = LONG.max(median.mul_f64(TIMES_MEDIAN)).as_nanos() as f64;
    let timeline = &tally.timeline;
    let mut found: Vec<Stall> = Vec::new();
    for cell in timeline.cells().iter().filter(|cell| cell.scheduled > 0) {
        let p90 = (cell.ended() > 0).then(|| cell.quantile(0.9).unwrap_or(f64::INFINITY));
        if cell.came > 0 && p90.is_none_or(|p90| p90 < limit) {
            continue;
        }
        let (p90, due) = (p90.unwrap_or(0.0), u64::from(cell.scheduled));
        match found.last_mut().filter(|stall| stall.last + 1 == cell.index) {
            Some(stall) => *stall = Stall { last: cell.index, p90: stall.p90.max(p90), due: stall.due + due, ..*stall },
            None => found.push(Stall { first: cell.index, last: cell.index, p90, due }),
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
        let p90 = if stall.p90.is_finite() {
            Quantile::Finite(Duration::from_nanos(stall.p90 as u64))
        } else {
            Quantile::Unbounded
        };
        let what = format!(
            "a stall within {}: p90 up to {}, of a run whose median is {}",
            humane_duration(until.since(at)),
            quantile(p90),
            humane_duration(median)
        );
        Event { kind: EventKind::Stall, at, until: Some(until), what }
    };
    found.into_iter().map(event).collect()
}

/// Cells from the first to the last, the highest of their p90 in nanoseconds, and how many arrivals were due in them.
#[derive(Clone, Copy)]
struct Stall {
    first: u64,
    last: u64,
    p90: f64,
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
}
