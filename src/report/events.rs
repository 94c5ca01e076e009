//! What happened during a run, with its instant: warm-up's end, the schedule's end, stretches without an ok answer.

use crate::measure::{Cell, Phase, Scope, Summary, Timeline};
use crate::time::{Moment, humane_duration};

use super::humane::counted;
use super::{Ending, SavedRun};

/// A stretch without an ok answer is told where at least so many arrivals were due in it.
const FEWEST_DUE: f64 = 5.0;
/// No more stretches without an answer are told.
const MOST_SILENCES: usize = 12;

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
    /// Calls were due, and no ok answer came.
    Silence,
}

/// All events of a run, in the order of their instants.
pub(super) fn events(saved: &SavedRun) -> Vec<Event> {
    let summary = &saved.summary;
    let mut events: Vec<Event> = [warmup(summary), schedule(saved)].into_iter().flatten().collect();
    events.extend(silences(&summary.tally(Scope::Total, None).timeline));
    events.sort_by_key(|event| event.at);
    events
}

fn warmup(summary: &Summary) -> Option<Event> {
    let (at, long) = (summary.warmup, humane_duration(summary.warmup.since(Moment::ZERO)));
    let warm = !summary.tally(Scope::Total, Some(Phase::Warmup)).is_idle();
    let what = format!("warm-up ended after {long}");
    (at > Moment::ZERO && warm).then_some(Event { kind: EventKind::WarmupEnd, at, until: None, what })
}

fn schedule(saved: &SavedRun) -> Option<Event> {
    let at = saved.summary.until;
    let how = match &saved.ending {
        Ending::Completed | Ending::LostLanes { .. } => "the schedule ended",
        Ending::Signal(_) => "a signal ended the schedule",
        Ending::Rule(_) => "a rule ended the schedule",
    };
    let what = format!("{how} after {}", humane_duration(at.since(Moment::ZERO)));
    (at > Moment::ZERO).then_some(Event { kind: EventKind::ScheduleEnd, at, until: None, what })
}

/// Whole cells in which arrivals were due and not one ok answer came, whatever it was an answer to.
fn silences(timeline: &Timeline) -> Vec<Event> {
    let silent = |cell: &Cell| cell.came == 0 && cell.scheduled > 0;
    let mut found: Vec<(u64, u64, u64)> = Vec::new();
    for cell in timeline.cells().iter().filter(|cell| silent(cell)) {
        let due = u64::from(cell.scheduled);
        match found.last_mut().filter(|(_, last, _)| last + 1 == cell.index) {
            Some((_, last, sum)) => (*last, *sum) = (cell.index, *sum + due),
            None => found.push((cell.index, cell.index, due)),
        }
    }
    found.retain(|(.., due)| *due as f64 >= FEWEST_DUE);
    // The longest ones; of those as long the earliest.
    found.sort_by_key(|(first, last, _)| std::cmp::Reverse(last - first));
    found.truncate(MOST_SILENCES);
    let width = timeline.width();
    let moment = |index: u64| Moment::from_secs_f64(index as f64 * width.as_secs_f64());
    let event = |(first, last, due): (u64, u64, u64)| {
        let (at, until) = (moment(first), moment(last + 1));
        let long = humane_duration(until.since(at));
        let what = format!("no ok answer came for {long}, while {} were due", counted(due, "arrival"));
        Event { kind: EventKind::Silence, at, until: Some(until), what }
    };
    found.into_iter().map(event).collect()
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
    fn warm_up_and_the_schedule_end_once() {
        assert_eq!(kinds(&fixtures::ok()), [(EventKind::ScheduleEnd, 15)]);
        assert_eq!(kinds(&fixtures::failed()), [(EventKind::WarmupEnd, 2), (EventKind::ScheduleEnd, 22)]);
        assert_eq!(kinds(&fixtures::empty()), []);
    }

    #[test]
    fn seconds_without_an_answer_are_one_silence() {
        // From 3 s to 6 s every call waits until 6 s.
        let run = fixtures::run(fixtures::plan("target = { url = \"http://localhost\" }"), 10, |n, intended| {
            let wait = if (300..600).contains(&n) { (600 - n) * 10_000 } else { 0 };
            Told { flow: 0, operation: 0, fate: answer(intended, 50, wait + 1_000, Outcome::Ok), said: None }
        });
        let found = events(&run);
        assert_eq!(found[0].what, "no ok answer came for 3.00 s, while 300 arrivals were due");
        assert_eq!(found[0].until, Some(Moment::from_nanos(6_000_000_000)));
        assert_eq!(kinds(&run), [(EventKind::Silence, 3), (EventKind::ScheduleEnd, 10)]);
    }
}
