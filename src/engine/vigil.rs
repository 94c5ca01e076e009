//! What happens to a run from outside, found out on the collector's thread: a clock that is set, a machine that sleeps, a
//! process that is stopped, a target that answers nobody.
//!
//! Everything is a function of figures that the collector reads; nothing here looks at a clock.

use std::time::Duration;

use super::clock::Reading;
use crate::measure::{Event, EventKind, Replies, Unanswered};
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
///
/// Lanes tell what they saw twice a second, each for itself. A target is down from the last complete reply of all, or from
/// the first call due after it that got none, to the next complete reply; all calls that ended in between count.
#[derive(Debug, Default)]
pub(super) struct Answers {
    lanes: Vec<Lane>,
    /// The last complete reply.
    last: Option<Moment>,
    /// What was told since the last look.
    news: News,
    down: Option<Down>,
    /// What is over, while lanes that did not know it yet may have more of it.
    over: Option<Event>,
}

/// What one lane saw.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// What ended since its last complete reply without one.
    since: Unanswered,
    /// The part of that which it told last.
    lately: Unanswered,
    /// Whether it told of a complete reply since the last look.
    has_replies: bool,
    /// Whether it is still to tell of the end of what is over.
    is_late: bool,
}

#[derive(Debug, Default)]
struct News {
    /// The first complete reply and the last.
    complete: Option<(Moment, Moment)>,
    /// Calls that ended without one.
    without: u64,
    /// Those of lanes that had a complete reply after them.
    closed: u64,
    /// Those of late lanes.
    late: u64,
}

/// No complete reply comes.
#[derive(Debug)]
struct Down {
    at: Moment,
    /// Calls that ended without one in stretches in which none came to anybody.
    calls: u64,
    is_told: bool,
}

impl Answers {
    /// Counts what a lane tells.
    pub(super) fn count(&mut self, lane: u32, replies: &Replies) {
        let Replies { complete, before, after } = *replies;
        if self.lanes.len() <= lane as usize {
            self.lanes.resize(lane as usize + 1, Lane::default());
        }
        let (lane, news) = (&mut self.lanes[lane as usize], &mut self.news);
        news.without += before.calls + after.calls;
        news.late += if lane.is_late { before.calls } else { 0 };
        lane.since.add(before);
        lane.lately = before;
        let Some((first, last)) = complete else { return };
        if !lane.is_late && !lane.has_replies {
            news.closed += lane.since.calls;
        }
        *lane = Lane { since: after, lately: after, has_replies: true, is_late: false };
        let known = news.complete.unwrap_or((first, last));
        news.complete = Some((known.0.min(first), known.1.max(last)));
    }

    /// Whether the target is down, or was. Told again at each look, with the same beginning.
    pub(super) fn look(&mut self, now: Moment) -> Vec<Event> {
        let news = std::mem::take(&mut self.news);
        let more = self.over.take().filter(|_| news.late > 0);
        let mut events: Vec<Event> =
            more.map(|over| Event { figure: over.figure + news.late as f64, ..over }).into_iter().collect();
        match news.complete {
            Some((first, last)) => {
                events.extend(self.end(first, news.closed));
                self.last = self.last.max(Some(last));
            }
            None if news.without > 0 || self.down.is_some() => events.extend(self.go_on(now, news.without)),
            None => {}
        }
        self.lanes.iter_mut().for_each(|lane| lane.has_replies = false);
        events
    }

    /// A complete reply came at `first`: what there was of a target that is down is over.
    fn end(&mut self, first: Moment, closed: u64) -> Option<Event> {
        let silent = || self.lanes.iter().filter(|lane| !lane.has_replies).map(|lane| lane.since.calls);
        let calls = closed + silent().sum::<u64>();
        self.over = self.down.take().and_then(|down| told(&down, first, calls));
        for lane in self.lanes.iter_mut().filter(|lane| !lane.has_replies) {
            lane.is_late = self.over.is_some();
            // What a lane alone had no reply to is no matter of the target.
            lane.since = if lane.is_late { Unanswered::default() } else { lane.lately };
        }
        self.over
    }

    fn go_on(&mut self, now: Moment, without: u64) -> Option<Event> {
        let mut all = Unanswered::default();
        for lane in &mut self.lanes {
            all.add(lane.since);
            lane.is_late = false;
        }
        let begun = self.last.max(all.due).unwrap_or(now);
        let down = self.down.get_or_insert(Down { at: begun, calls: 0, is_told: false });
        if !down.is_told {
            down.at = begun;
        }
        down.calls += without;
        let event = told(down, now, all.calls);
        down.is_told |= event.is_some();
        event
    }
}

fn told(down: &Down, until: Moment, calls: u64) -> Option<Event> {
    let is_down = down.calls >= CALLS_WITHOUT && until.since(down.at) >= LEAST_DOWN;
    is_down.then_some(Event { at: down.at, until, kind: EventKind::TargetDown, figure: calls as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Recorder, Sample, Shape};
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

    /// What a lane tells: so many calls, the first due and the last done then, ended so.
    type Told = (u32, u64, (u64, u64), Outcome);

    /// What is said at looks half a second apart, from half a second on, before each of which this is told. The calls of
    /// one lane are in one recorder.
    fn said(looks: &[&[Told]]) -> Vec<Vec<Event>> {
        let mut answers = Answers::default();
        let mut look = |(place, told): (usize, &&[Told])| {
            for lane in 0..2 {
                let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
                for (_, calls, (due, done), outcome) in told.iter().filter(|told| told.0 == lane) {
                    for call in 0..*calls {
                        let after = |ms: u64| at(ms).after(Duration::from_nanos(call));
                        let fate = Fate::Answered { sent: None, first_byte: None, done: at(*done), outcome: *outcome };
                        let (intended, picked_up) = (after(*due), after(*due));
                        recorder.record(
                            &Sample {
                                flow: 0,
                                operation: 0,
                                sequence: call,
                                substituted: false,
                                intended,
                                picked_up,
                                fate,
                            },
                            None,
                        );
                    }
                }
                answers.count(lane, recorder.replies());
            }
            answers.look(at(500 * (place as u64 + 1)))
        };
        looks.iter().enumerate().map(&mut look).collect()
    }

    fn down(from: u64, until: u64, calls: f64) -> Event {
        Event { at: at(from), until: at(until), kind: EventKind::TargetDown, figure: calls }
    }

    #[test]
    fn a_target_that_answers_nobody_is_down_from_its_last_reply_to_its_next_and_every_call_counts() {
        use Outcome::{Ok, ToolError, Unreachable};
        let seen = said(&[
            &[(0, 44, (0, 440), Ok), (0, 6, (450, 499), Unreachable)],
            &[(0, 50, (500, 999), Unreachable)],
            &[(0, 50, (1000, 1499), Unreachable)],
            &[],
            &[(0, 9, (2000, 2090), Unreachable), (0, 1, (2091, 2100), ToolError), (0, 3, (2110, 2140), Unreachable)],
            &[(0, 50, (2500, 2999), Ok)],
        ]);
        let (first, second) = (down(450, 1500, 106.0), down(450, 2000, 106.0));
        assert_eq!(seen, [vec![], vec![], vec![first], vec![second], vec![down(450, 2100, 115.0)], vec![]]);
    }

    #[test]
    fn a_target_that_hangs_is_down_from_its_last_reply_and_not_from_the_first_timeout() {
        use Outcome::{Ok, TimeoutNoByte};
        let nothing: &[Told] = &[];
        let mut looks = vec![&[(0, 5, (100, 300), Ok)][..]];
        looks.extend([nothing; 9]);
        looks.push(&[(0, 20, (290, 5290), TimeoutNoByte)]);
        let seen = said(&looks);
        assert!(seen[..10].iter().all(Vec::is_empty));
        assert_eq!(seen[10], [down(300, 5500, 20.0)]);
    }

    #[test]
    fn a_lane_that_hears_later_than_another_adds_its_calls() {
        use Outcome::{Ok, Unreachable};
        let seen = said(&[
            &[(0, 1, (0, 100), Ok), (1, 1, (0, 90), Ok), (1, 2, (110, 490), Unreachable)],
            &[(0, 4, (500, 990), Unreachable), (1, 4, (500, 990), Unreachable)],
            &[(0, 4, (1000, 1490), Unreachable), (1, 4, (1000, 1490), Unreachable)],
            &[(0, 2, (1500, 1600), Unreachable), (0, 1, (1600, 1610), Ok), (1, 1, (1500, 1590), Unreachable)],
            &[(1, 3, (1600, 1605), Unreachable), (1, 1, (1610, 1620), Ok), (0, 9, (2000, 2100), Unreachable)],
        ]);
        let over = down(110, 1610, 21.0);
        assert_eq!(seen[2..], [vec![down(110, 1500, 18.0)], vec![over], vec![Event { figure: 24.0, ..over }]]);
    }

    #[test]
    fn some_failed_calls_among_answers_and_a_few_alone_are_no_target_that_is_down() {
        use Outcome::{Disconnected, Ok, TimeoutNoByte};
        let among: &[Told] = &[(0, 50, (0, 100), Disconnected), (0, 1, (0, 200), Ok), (1, 50, (0, 300), Disconnected)];
        assert!(said(&[among; 6]).iter().all(Vec::is_empty));
        let (few, nothing): (&[Told], &[Told]) = (&[(0, 2, (0, 400), TimeoutNoByte)], &[]);
        assert!(said(&[few, nothing, nothing, few, nothing]).iter().all(Vec::is_empty));
        // What failed among answers does not make a silence one.
        assert!(said(&[among, nothing, nothing, nothing, few]).iter().all(Vec::is_empty));
    }
}
