//! What happens to a run from outside, found out on the collector's thread: a clock that is set, a machine that sleeps, a
//! process that is stopped, a target that answers nobody.
//!
//! Everything is a function of figures that the collector reads; nothing here looks at a clock.

use std::time::Duration;

use super::clock::Reading;
use crate::measure::{Event, EventKind, Recorder};
use crate::time::Moment;

/// How far clocks may come apart between two looks: less is their correction, bit by bit, by whoever keeps them right.
const TOLERANCE: i128 = 100_000_000;
/// The collector looks twice a second. One that did not for so long did not run.
const LONGEST_GAP: Duration = Duration::from_secs(3);
/// A target is down when so many calls in a row ended without a complete reply, and that took so long.
const CALLS_WITHOUT: u64 = 5;
const LEAST_DOWN: Duration = Duration::from_secs(1);

/// Compares the machine's clocks at each look with those at the last one.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    last: Option<(Moment, Reading)>,
}

impl Clocks {
    /// What happened since the last look.
    pub(super) fn look(&mut self, now: Moment, reading: Reading) -> Vec<Event> {
        let Some((then, before)) = self.last.replace((now, reading)) else { return Vec::new() };
        let passed = |after: u64, before: u64| i128::from(after) - i128::from(before);
        let ran = passed(reading.monotonic, before.monotonic);
        // The clock that goes on while the machine sleeps; where there is none, nothing is known of sleep.
        let real = reading.boot.zip(before.boot).map_or(ran, |(after, before)| passed(after, before));
        let (slept, stepped) = (real - ran, passed(reading.wall, before.wall) - real);
        let mut events = Vec::new();
        if slept > TOLERANCE {
            events.push(Event::at(then, EventKind::Suspended, slept as f64 / 1e9));
        }
        if stepped.abs() > TOLERANCE {
            events.push(Event::at(then, EventKind::ClockStepped, stepped as f64 / 1e9));
        }
        if now.since(then) > LONGEST_GAP {
            events.push(Event { at: then, until: now, kind: EventKind::StoodStill, figure: 0.0 });
        }
        events
    }
}

/// Watches whether the target answers at all.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Calls with a complete reply since the last look, and those without.
    complete: u64,
    without: u64,
    /// Since when no complete reply came, and how many calls ended without one.
    down: Option<(Moment, u64)>,
    looked: Moment,
}

impl Answers {
    /// Counts what a lane handed over.
    pub(super) fn count(&mut self, recorder: &Recorder) {
        for (_, _, _, tally) in recorder.tallies() {
            let outcomes = tally.outcomes.occurred();
            for (outcome, count) in outcomes {
                *if outcome.is_complete_reply() { &mut self.complete } else { &mut self.without } += count;
            }
        }
    }

    /// Whether the target is down. Told again at each look, with the same beginning.
    pub(super) fn look(&mut self, now: Moment) -> Option<Event> {
        let (complete, without) = (std::mem::take(&mut self.complete), std::mem::take(&mut self.without));
        let since = std::mem::replace(&mut self.looked, now);
        if complete > 0 {
            // What was told at the last look is the last word: it was over at some time since.
            self.down = None;
            return None;
        }
        if without > 0 {
            self.down.get_or_insert((since, 0)).1 += without;
        }
        self.down.and_then(|(at, calls)| told(at, now, calls))
    }
}

fn told(at: Moment, until: Moment, calls: u64) -> Option<Event> {
    let down = calls >= CALLS_WITHOUT && until.since(at) >= LEAST_DOWN;
    down.then_some(Event { at, until, kind: EventKind::TargetDown, figure: calls as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Sample, Shape};
    use crate::outcome::Outcome;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * MS)
    }

    /// Looks half a second apart, with what the three clocks gained beyond that.
    fn looks(gains: &[(i64, i64, i64)], gap: u64) -> Vec<Event> {
        let (mut clocks, mut events) = (Clocks::default(), Vec::new());
        let mut reading = Reading { wall: 1_000_000 * MS, monotonic: 5_000 * MS, boot: Some(9_000 * MS) };
        for (look, (wall, monotonic, boot)) in gains.iter().enumerate() {
            let after = |clock: u64, gain: &i64| {
                clock + gap * MS - MS * gain.unsigned_abs() * u64::from(*gain < 0)
                    + MS * gain.unsigned_abs() * u64::from(*gain > 0)
            };
            reading = Reading {
                wall: after(reading.wall, wall),
                monotonic: after(reading.monotonic, monotonic),
                boot: reading.boot.map(|clock| after(clock, boot)),
            };
            events.extend(clocks.look(at(look as u64 * gap), reading));
        }
        events
    }

    #[test]
    fn a_wall_clock_that_is_set_is_told_by_how_much_and_one_that_drifts_is_not() {
        assert_eq!(looks(&[(0, 0, 0), (40, 0, 0), (-60, 0, 0), (90, 0, 0)], 500), []);
        let set = looks(&[(0, 0, 0), (3_600_000, 0, 0), (0, 0, 0), (-250, 0, 0)], 500);
        let seen: Vec<_> = set.iter().map(|event| (event.at, event.kind, event.figure)).collect();
        assert_eq!(seen, [(at(0), EventKind::ClockStepped, 3600.0), (at(1000), EventKind::ClockStepped, -0.25)]);
    }

    #[test]
    fn a_machine_that_sleeps_is_no_step_of_its_clock() {
        // Asleep for a minute: the wall clock and that of the boot go on, the monotonic one does not.
        let slept = looks(&[(0, 0, 0), (60_000, 0, 60_000)], 500);
        let seen: Vec<_> = slept.iter().map(|event| (event.kind, event.figure)).collect();
        assert_eq!(seen, [(EventKind::Suspended, 60.0)]);
        // And set by two seconds when it woke.
        let both = looks(&[(0, 0, 0), (62_000, 0, 60_000)], 500);
        assert_eq!(both.iter().map(|event| event.figure).collect::<Vec<_>>(), [60.0, 2.0]);
    }

    #[test]
    fn a_process_that_did_not_run_says_for_how_long() {
        assert_eq!(looks(&[(0, 0, 0), (0, 0, 0)], 2_900), []);
        let still = Event { at: at(0), until: at(7_000), kind: EventKind::StoodStill, figure: 0.0 };
        assert_eq!(looks(&[(0, 0, 0), (0, 0, 0)], 7_000), [still]);
    }

    /// What is told when at each look, half a second apart, so many calls ended so.
    fn told(looks: &[(u64, Outcome)]) -> Vec<Option<Event>> {
        let mut answers = Answers::default();
        let mut look = |(place, (calls, outcome)): (usize, &(u64, Outcome))| {
            let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
            for sequence in 0..*calls {
                let (intended, picked_up) = (at(1), at(1));
                let fate = Fate::Answered { sent: None, first_byte: None, done: at(2), outcome: *outcome };
                let sample = Sample { flow: 0, operation: 0, sequence, substituted: false, intended, picked_up, fate };
                recorder.record(&sample, None);
            }
            answers.count(&recorder);
            answers.look(at(500 * (place as u64 + 1)))
        };
        looks.iter().enumerate().map(&mut look).collect()
    }

    #[test]
    fn a_target_that_answers_nobody_is_down_until_it_answers_somebody() {
        use Outcome::{Ok, ToolError, Unreachable};
        let seen = told(&[(50, Ok), (50, Unreachable), (50, Unreachable), (0, Ok), (50, Unreachable), (9, ToolError)]);
        let down =
            |until, calls| Some(Event { at: at(500), until: at(until), kind: EventKind::TargetDown, figure: calls });
        assert_eq!(seen, [None, None, down(1500, 100.0), down(2000, 100.0), down(2500, 150.0), None]);
    }

    #[test]
    fn some_failed_calls_among_answers_and_a_few_alone_are_no_target_that_is_down() {
        use Outcome::{Disconnected, Ok, TimeoutNoByte};
        assert_eq!(told(&[(50, Ok), (50, Disconnected), (1, Ok), (50, TimeoutNoByte), (50, Ok)]), [None; 5]);
        assert_eq!(told(&[(1, TimeoutNoByte), (0, Ok), (0, Ok), (1, TimeoutNoByte), (0, Ok), (1, Ok)]), [None; 6]);
    }
}
