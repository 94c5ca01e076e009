//! What became known of a lane's arrivals and is yet to be counted.
//!
//! Counting touches some forty places in memory. One arrival at a time, between two sleeps, the processor's caches have lost most of
//! them each time; so a lane writes down what it learns, and counts some calls' worth of it at once. Whoever reads the recorder has
//! it counted first.

use crate::measure::{FailureText, Recorder, Sample, Truth};
use crate::time::Moment;

/// Notes are counted when a call ends and there are so many: those of about ten calls. More would keep the lane from its next
/// arrival for longer than it may be late.
const ENOUGH: usize = 32;
/// So many are counted whatever happens: nobody ends where the server does not answer.
const MOST: usize = 4 * ENOUGH;

/// A recorder, and what it has not counted yet.
pub(super) struct Notes {
    noted: Vec<Note>,
    recorder: Box<Recorder>,
}

/// What is written down.
#[derive(Clone, Copy)]
enum Note {
    /// A lane took an arrival before it was due.
    Scheduled(Series, Moment),
    /// When it was picked up then.
    Released(Series, Moment, Moment),
    /// A lane took an arrival at the second moment that was due at the first.
    PickedUp(Series, Moment, Moment),
    /// An arrival came to an end that needs no words.
    Ended(Sample),
}

/// A flow and an operation.
type Series = (u16, u16);

impl Notes {
    pub(super) fn of(recorder: Box<Recorder>) -> Self {
        Self { noted: Vec::with_capacity(MOST), recorder }
    }

    /// See [`Recorder::scheduled`].
    pub(super) fn scheduled(&mut self, series: Series, intended: Moment) {
        self.note(Note::Scheduled(series, intended));
    }

    /// See [`Recorder::released`].
    pub(super) fn released(&mut self, series: Series, intended: Moment, picked_up: Moment) {
        self.note(Note::Released(series, intended, picked_up));
    }

    /// See [`Recorder::picked_up`].
    pub(super) fn picked_up(&mut self, series: Series, intended: Moment, picked_up: Moment) {
        self.note(Note::PickedUp(series, intended, picked_up));
    }

    /// See [`Recorder::record`].
    pub(super) fn ended(&mut self, sample: &Sample, failure: Option<FailureText<'_>>) {
        if failure.is_some() {
            self.recorder().record(sample, failure);
            return;
        }
        self.note(Note::Ended(*sample));
        if self.noted.len() >= ENOUGH {
            self.count();
        }
    }

    /// The recorder, with everything counted.
    pub(super) fn recorder(&mut self) -> &mut Recorder {
        self.count();
        &mut self.recorder
    }

    /// What is known of the answers' truth, which is counted at once.
    pub(super) fn truth(&mut self) -> &mut Truth {
        &mut self.recorder.truth
    }

    /// Goes on with another recorder; gives the one before, with everything counted.
    pub(super) fn replace(&mut self, other: Box<Recorder>) -> Box<Recorder> {
        self.count();
        std::mem::replace(&mut self.recorder, other)
    }

    fn note(&mut self, note: Note) {
        if self.noted.len() >= MOST {
            self.count();
        }
        self.noted.push(note);
    }

    fn count(&mut self) {
        let recorder = &mut *self.recorder;
        for note in self.noted.drain(..) {
            match note {
                Note::Scheduled((flow, operation), intended) => recorder.scheduled(flow, operation, intended),
                Note::Released((flow, operation), intended, at) => recorder.released(flow, operation, intended, at),
                Note::PickedUp((flow, operation), intended, at) => recorder.picked_up(flow, operation, intended, at),
                Note::Ended(sample) => recorder.record(&sample, None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Phase, Shape};
    use crate::outcome::Outcome;

    const SERIES: Series = (0, 0);

    fn notes() -> Notes {
        let shape = Shape { flows: 1, operations: 1, ..Shape::default() };
        Notes::of(Box::new(Recorder::new(&shape, Moment::ZERO)))
    }

    fn ended(intended: Moment, outcome: Outcome) -> Sample {
        let fate = Fate::Answered { sent: Some(intended), first_byte: None, done: intended, outcome };
        Sample { flow: 0, operation: 0, sequence: 0, substituted: false, intended, picked_up: intended, fate }
    }

    /// Arrivals and calls that the recorder has counted.
    fn counted(recorder: &Recorder) -> (u64, u64, u64) {
        let mut tallies = recorder.tallies().filter(|(.., phase, _)| *phase == Phase::Measure);
        tallies.next().map_or((0, 0, 0), |(.., tally)| (tally.scheduled, tally.pacing_lag.len(), tally.answered()))
    }

    #[test]
    fn notes_are_counted_some_calls_at_once_and_whenever_somebody_reads() {
        let mut notes = notes();
        for n in 0..ENOUGH as u64 / 2 - 1 {
            let due = Moment::from_nanos(n + 1);
            notes.picked_up(SERIES, due, due);
            notes.ended(&ended(due, Outcome::Ok), None);
        }
        assert_eq!(counted(&notes.recorder), (0, 0, 0));
        notes.scheduled(SERIES, Moment::from_nanos(99));
        notes.ended(&ended(Moment::from_nanos(99), Outcome::Ok), None);
        let calls = ENOUGH as u64 / 2;
        assert_eq!(counted(&notes.recorder), (calls, calls - 1, calls), "there are enough");
        notes.released(SERIES, Moment::from_nanos(99), Moment::from_nanos(100));
        assert_eq!(counted(&notes.recorder), (calls, calls - 1, calls));
        assert_eq!(counted(notes.recorder()), (calls, calls, calls));
    }

    #[test]
    fn nothing_is_lost_where_the_recorder_changes_nor_where_nothing_ends() {
        let mut notes = notes();
        for n in 0..=MOST as u64 {
            notes.picked_up(SERIES, Moment::from_nanos(n), Moment::from_nanos(n));
        }
        assert_eq!(counted(&notes.recorder).0, MOST as u64, "there are too many");
        let next = Box::new(Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO));
        assert_eq!(counted(&notes.replace(next)).0, MOST as u64 + 1);
        assert_eq!(counted(notes.recorder()), (0, 0, 0));
    }

    #[test]
    fn what_needs_words_is_counted_at_once_and_after_what_came_before() {
        let mut notes = notes();
        let due = Moment::from_nanos(5);
        notes.picked_up(SERIES, due, due);
        let failure = FailureText { group: "no", example: "no!", retry_after: None };
        notes.ended(&ended(due, Outcome::Unreachable), Some(failure));
        assert_eq!(counted(&notes.recorder), (1, 1, 1));
        assert_eq!(notes.recorder.failures().groups().len(), 1);
    }
}
