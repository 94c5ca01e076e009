//! What happened to a run, or was done to it, beside its calls: few, each with its moment.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounded::at_most;
use crate::time::Moment;

/// At most so many events of one kind are kept, the earliest; the rest is counted.
pub const MOST_OF_A_KIND: usize = 100;
/// More than all kinds together have.
const MOST_EVENTS: usize = 32 * MOST_OF_A_KIND;

/// What an event is about: a closed set. [`Event::figure`] is what it says here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The wall clock was set while the run went on: by so many seconds, forward or (negative) back.
    ClockStepped,
    /// The machine slept. The run's own clock stood still meanwhile: for so many seconds.
    Suspended,
    /// This process did not run while time went on: it was stopped, or its machine paused. No figure.
    StoodStill,
    /// No call got a complete reply: so many ended without.
    TargetDown,
    /// The run could not be saved on its way: so many times.
    CheckpointFailed,
    /// The interval log could not be written: so many times. What it lacks is in the next interval that it has.
    LogFailed,
    /// Nobody can read the metrics. No figure.
    MetricsLost,
    /// The rate was set by hand from here on: to so many arrivals a second.
    RateSet,
    /// Nothing was due, because somebody wanted it so. No figure.
    Paused,
    /// The schedule went on after a pause. No figure.
    Resumed,
    /// Somebody asked the schedule to end here. No figure.
    StopAsked,
    /// One of a kind that a later version of this program knows.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// Every kind, in order.
    pub const ALL: [Self; 12] = [
        Self::ClockStepped,
        Self::Suspended,
        Self::StoodStill,
        Self::TargetDown,
        Self::CheckpointFailed,
        Self::LogFailed,
        Self::MetricsLost,
        Self::RateSet,
        Self::Paused,
        Self::Resumed,
        Self::StopAsked,
        Self::Other,
    ];

    /// Whether it is a change of the load that somebody made by hand.
    pub const fn is_by_hand(self) -> bool {
        matches!(self, Self::RateSet | Self::Paused | Self::Resumed | Self::StopAsked)
    }

    /// The name in saved runs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClockStepped => "clock_stepped",
            Self::Suspended => "suspended",
            Self::StoodStill => "stood_still",
            Self::TargetDown => "target_down",
            Self::CheckpointFailed => "checkpoint_failed",
            Self::LogFailed => "log_failed",
            Self::MetricsLost => "metrics_lost",
            Self::RateSet => "rate_set",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::StopAsked => "stop_asked",
            Self::Other => "other",
        }
    }
}

/// Something that happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it began, or took effect.
    pub at: Moment,
    /// When it was over, or until when it is known to have gone on; `at` where it took no time.
    pub until: Moment,
    /// What it is about.
    pub kind: EventKind,
    /// How much, in the unit that the kind names; zero where it names none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub figure: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(figure: &f64) -> bool {
    *figure == 0.0
}

impl Event {
    /// An event that takes no time.
    pub const fn at(at: Moment, kind: EventKind, figure: f64) -> Self {
        Self { at, until: at, kind, figure }
    }

    /// How long it lasted.
    pub const fn lasted(&self) -> Duration {
        self.until.since(self.at)
    }

    fn is_possible(&self) -> bool {
        self.figure.is_finite() && self.at <= self.until
    }

    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let key = |event: &Self| (event.at, event.kind, event.until);
        key(self).cmp(&key(other)).then(self.figure.total_cmp(&other.figure))
    }
}

/// The events of a kind that were too many to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LeftOut {
    count: u64,
    /// When the last of them began.
    last: Moment,
}

impl LeftOut {
    fn add(&mut self, count: u64, last: Moment) {
        self.count = self.count.saturating_add(count);
        self.last = self.last.max(last);
    }
}

/// The events of a run, in the order of their moments. Bounded by kind, so that many of one leave room for the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Events {
    kept: Vec<Event>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    left_out: BTreeMap<EventKind, LeftOut>,
}

impl Events {
    /// Those that are kept, in the order of their moments.
    pub fn kept(&self) -> &[Event] {
        &self.kept
    }

    /// Those of one kind.
    pub fn of(&self, kind: EventKind) -> impl Iterator<Item = &Event> {
        self.kept.iter().filter(move |event| event.kind == kind)
    }

    /// How many there were of one kind, kept or not.
    pub fn number_of(&self, kind: EventKind) -> u64 {
        self.of(kind).count() as u64 + self.left_out.get(&kind).map_or(0, |left| left.count)
    }

    /// How many of each kind were too many to keep.
    pub fn left_out(&self) -> impl Iterator<Item = (EventKind, u64)> {
        self.left_out.iter().map(|(kind, left)| (*kind, left.count))
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Notes an event. One that goes on is noted again and again, always with the same beginning: the last word counts.
    pub fn note(&mut self, event: Event) {
        let known = self.kept.iter_mut().find(|known| (known.kind, known.at) == (event.kind, event.at));
        if let Some(known) = known {
            *known = event;
        } else if self.left_out.get(&event.kind).is_none_or(|left| left.last != event.at) {
            self.kept.push(event);
            self.keep_in_bounds();
        }
    }

    /// Adds other events: of another shard, or of another stretch of the same run.
    pub fn merge(&mut self, other: &Self) {
        self.kept.extend_from_slice(&other.kept);
        for (kind, left) in &other.left_out {
            self.left_out.entry(*kind).or_default().add(left.count, left.last);
        }
        self.keep_in_bounds();
    }

    fn keep_in_bounds(&mut self) {
        self.kept.sort_by(Event::order);
        let left_out = &mut self.left_out;
        let mut seen = BTreeMap::<EventKind, usize>::new();
        self.kept.retain(|event| {
            let seen = seen.entry(event.kind).or_default();
            *seen += 1;
            if *seen > MOST_OF_A_KIND {
                left_out.entry(event.kind).or_default().add(1, event.at);
            }
            *seen <= MOST_OF_A_KIND
        });
    }
}

/// Events as they are written, before they are checked.
#[derive(Deserialize)]
struct Saved {
    #[serde(default, deserialize_with = "at_most::<MOST_EVENTS, _, _>")]
    kept: Vec<Event>,
    #[serde(default)]
    left_out: BTreeMap<EventKind, LeftOut>,
}

/// Why saved events are not those of a run.
#[derive(Debug, thiserror::Error)]
#[error("read events: each must end after it began, with a figure that is a number")]
struct Unreadable;

impl TryFrom<Saved> for Events {
    type Error = Unreadable;

    fn try_from(Saved { kept, left_out }: Saved) -> Result<Self, Unreadable> {
        if !kept.iter().all(Event::is_possible) {
            return Err(Unreadable);
        }
        let mut events = Self { kept, left_out };
        events.keep_in_bounds();
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_nanos(second * 1_000_000_000)
    }

    fn of(seconds: &[(u64, usize)]) -> Events {
        let mut events = Events::default();
        for (second, kind) in seconds {
            events.merge(&Events {
                kept: vec![Event::at(at(*second), EventKind::ALL[*kind], *second as f64)],
                ..Events::default()
            });
        }
        events
    }

    #[test]
    fn one_that_goes_on_is_one_event_that_grows() {
        let mut events = Events::default();
        for second in 7..12 {
            let (kind, figure) = (EventKind::TargetDown, second as f64);
            events.note(Event { at: at(6), until: at(second), kind, figure });
        }
        events.note(Event::at(at(3), EventKind::ClockStepped, -1.5));
        let seen: Vec<_> = events.kept().iter().map(|event| (event.kind, event.lasted(), event.figure)).collect();
        let down = (EventKind::TargetDown, Duration::from_secs(5), 11.0);
        assert_eq!(seen, [(EventKind::ClockStepped, Duration::ZERO, -1.5), down]);
    }

    #[test]
    fn many_of_a_kind_leave_room_for_others_and_are_counted() {
        let mut events = Events::default();
        for second in 0..1000 {
            // Each goes on for a while, and is one all the same.
            for until in 0..3 {
                let (at, until) = (at(second), at(second + until));
                events.note(Event { at, until, kind: EventKind::TargetDown, figure: 1.0 });
            }
        }
        events.note(Event::at(at(2000), EventKind::Suspended, 60.0));
        assert_eq!(events.of(EventKind::TargetDown).count(), MOST_OF_A_KIND);
        assert_eq!(events.of(EventKind::Suspended).count(), 1);
        assert_eq!(events.left_out().collect::<Vec<_>>(), [(EventKind::TargetDown, 900)]);
        let numbers =
            [EventKind::TargetDown, EventKind::Suspended, EventKind::Paused].map(|kind| events.number_of(kind));
        assert_eq!(numbers, [1000, 1, 0]);
    }

    #[test]
    fn events_are_written_by_name_and_those_of_a_later_program_are_others() {
        let mut events = Events::default();
        for kind in EventKind::ALL {
            events.note(Event::at(at(1), kind, 2.5));
        }
        let text = serde_json::to_string(&events).unwrap();
        assert!(
            text.starts_with(
                r#"{"kept":[{"at":1000000000,"until":1000000000,"kind":"clock_stepped","figure":2.5},{"at""#
            ),
            "{text}"
        );
        assert!(EventKind::ALL.iter().all(|kind| text.contains(&format!(r#""kind":"{}""#, kind.name()))), "{text}");
        assert_eq!(serde_json::from_str::<Events>(&text).unwrap(), events);
        let later = serde_json::from_str::<Events>(&text.replace("suspended", "abducted")).unwrap();
        assert_eq!(later.of(EventKind::Other).count(), 2);
        for wrong in [r#"{"kept":[{"at":2,"until":1,"kind":"other"}]}"#, r#"{"kept":[{"at":2,"until":"x"}]}"#] {
            assert!(serde_json::from_str::<Events>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative(
            a in prop::collection::vec((0..99_u64, 0..2_usize), 0..150),
            b in prop::collection::vec((0..99_u64, 0..8_usize), 0..150),
            c in prop::collection::vec((0..99_u64, 0..2_usize), 0..150),
        ) {
            let (a, b, c) = (of(&a), of(&b), of(&c));
            let merged = |left: &Events, right: &Events| { let mut sum = left.clone(); sum.merge(right); sum };
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        }
    }
}
