//! Whether a rate was sustained: intended on the whole, and answered ok in every ten seconds.
//!
//! `rate >= R` asks for two things: the rate that the profile intends, over the measured part of the run, is at least R;
//! in every window at most 1 % of the arrivals due in it ended otherwise than ok; and when the schedule has ended, at most
//! 1 % are still to be answered, or a target at half the rate would sustain any. A plain count, without statistics.

use std::time::Duration;

use serde::Serialize;

use crate::measure::{Cell, Tally, Ten, Timeline};
use crate::time::Moment;

/// How long a window is, also in runs so long that the timeline's cells are wider.
const WINDOW: Duration = Duration::from_secs(10);

/// The share of a window's arrivals that may end otherwise than ok.
pub const ALLOWED: f64 = 0.01;

/// Some seconds of a run, by the intended time of the arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// When it began.
    pub start: Moment,
    /// How many arrivals were due in it.
    pub scheduled: u64,
    /// How many were answered ok.
    pub ok: u64,
    /// How many came to an end that is not ok. In a run that goes on, the rest is on its way.
    pub bad: u64,
}

impl Window {
    /// The share (0 to 1) of the arrivals that ended otherwise than ok.
    pub fn bad_share(&self) -> f64 {
        self.bad as f64 / self.scheduled.max(1) as f64
    }
}

/// How a rate was kept up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sustained {
    /// Arrivals per second that the profile intends, over the measured part.
    pub intended: f64,
    /// Answers per second that were ok and came while the schedule was run.
    pub achieved: f64,
    /// The share (0 to 1) of the arrivals whose ok answers came only after the schedule's end.
    pub late: f64,
    /// The window with the largest share of arrivals that ended otherwise than ok.
    pub worst: Window,
}

/// The part of a run that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// How long its schedule ran after warm-up.
    pub(super) duration: Duration,
    /// When its schedule ended; `None` while the run goes on, when nothing is late yet.
    pub(super) end: Option<Moment>,
}

impl Sustained {
    /// How `tally` kept up its rate over `stretch`; `None` where nothing was intended or scheduled.
    pub(super) fn of(tally: &Tally, stretch: Stretch) -> Option<Self> {
        let expected: f64 = tally.timeline.cells().map(|cell| cell.expected).sum();
        let worst = windows(&tally.timeline)
            .into_iter()
            .filter(|window| window.scheduled > 0)
            .max_by(|left, right| left.bad_share().total_cmp(&right.bad_share()))?;
        if stretch.duration.is_zero() || expected <= 0.0 {
            return None;
        }
        let seconds = stretch.duration.as_secs_f64();
        let came = stretch.end.map_or(tally.ok(), |end| tally.came_by(end));
        let late = tally.ok().saturating_sub(came) as f64 / tally.ended().max(1) as f64;
        Some(Self { intended: expected / seconds, achieved: came as f64 / seconds, late, worst })
    }

    /// Whether enough arrivals were ok in every window, and in time.
    pub fn was_kept_up(&self) -> bool {
        self.worst.bad_share() <= ALLOWED && self.late <= ALLOWED
    }
}

/// The timeline in windows of ten seconds, from its first cell on; a last partial window joins the one before.
fn windows(timeline: &Timeline) -> Vec<Window> {
    // Behind the last arrival there are cells in which late answers came.
    let due = |cell: &&Cell| cell.scheduled > 0 || cell.expected > 0.0;
    let last = timeline.cells().rfind(due);
    let (Some(first), Some(last)) = (timeline.cells().next(), last) else { return Vec::new() };
    let width = timeline.width().as_secs();
    let grain = if width <= WINDOW.as_secs() { width } else { Ten::seconds(width) };
    let (first, end) = (first.index * width / grain, (last.index + 1) * width / grain);
    let grains_per_window = (WINDOW.as_secs() / grain).max(1);
    let whole = ((end - first) / grains_per_window).max(1);
    let mut windows: Vec<(u64, Window)> = Vec::new();
    for (place, part) in timeline.cells().flat_map(|cell| parts(cell, width, grain)) {
        let number = ((place - first) / grains_per_window).min(whole - 1);
        if windows.last().is_none_or(|(last, _)| *last != number) {
            let start = Moment::ZERO.after(Duration::from_secs(place.saturating_mul(grain)));
            windows.push((number, Window { start, scheduled: 0, ok: 0, bad: 0 }));
        }
        if let Some((_, window)) = windows.last_mut() {
            window.scheduled += part.scheduled;
            window.ok += part.ok;
            window.bad += part.bad;
        }
    }
    windows.into_iter().map(|(_, window)| window).collect()
}

/// A cell in parts of `grain` seconds, each with its place in the run. One that does not know its parts is whole.
fn parts(cell: &Cell, width: u64, grain: u64) -> Vec<(u64, Window)> {
    let begin = cell.index * width / grain;
    let part = |place: u64, scheduled: u32, ok: u64, bad: u64| {
        // A call that took the place of another operation ends in a series in which it was perhaps not scheduled.
        let scheduled = u64::from(scheduled).max(ok + bad);
        (begin + place, Window { start: Moment::ZERO, scheduled, ok, bad })
    };
    if width == grain || cell.tens.is_empty() {
        return vec![part(0, cell.scheduled, u64::from(cell.ok), cell.bad())];
    }
    let tens = cell.tens.iter().zip(0..width / grain);
    let mut parts: Vec<_> =
        tens.map(|(ten, place)| part(place, ten.scheduled, u64::from(ten.ok), u64::from(ten.bad))).collect();
    // What was counted in the wide cell at once, of which nobody knows the ten seconds, goes with the first: it is not lost.
    let sum = |count: fn(&Window) -> u64| parts.iter().map(|(_, part)| count(part)).sum::<u64>();
    let known = (sum(|part| part.scheduled), sum(|part| part.ok), sum(|part| part.bad));
    let first = &mut parts[0].1;
    first.scheduled += u64::from(cell.scheduled).saturating_sub(known.0);
    first.ok += u64::from(cell.ok).saturating_sub(known.1);
    first.bad += cell.bad().saturating_sub(known.2);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Recorder, Sample, Scope, Shape, Summary};
    use crate::outcome::Outcome;

    /// One arrival a millisecond; in second `n` as many are dropped as `dropped(n)` says.
    fn run(seconds: u64, dropped: impl Fn(u64) -> u32) -> Tally {
        let mut tally = Tally::default();
        for second in 0..seconds {
            let cell = tally.timeline.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.expected, cell.scheduled, cell.dropped) = (1000.0, 1000, dropped(second));
            (cell.ok, cell.came) = (1000 - dropped(second), 1000 - dropped(second));
        }
        tally
    }

    fn finished(seconds: u64) -> Stretch {
        Stretch { duration: Duration::from_secs(seconds), end: Some(Moment::from_nanos(seconds * 1_000_000_000)) }
    }

    fn starts(seconds: u64) -> Vec<u64> {
        windows(&run(seconds, |_| 0).timeline).iter().map(|window| window.start.as_nanos() / 1_000_000_000).collect()
    }

    #[test]
    fn a_last_partial_window_joins_the_one_before_and_a_short_run_is_one() {
        assert_eq!(starts(0), [0; 0]);
        assert_eq!(starts(4), [0]);
        assert_eq!(starts(19), [0]);
        assert_eq!(starts(30), [0, 10, 20]);
        assert_eq!(starts(39), [0, 10, 20]);
    }

    #[test]
    fn one_bad_window_is_enough_and_one_percent_is_still_kept_up() {
        let good = Sustained::of(&run(60, |_| 10), finished(60)).unwrap();
        assert!(good.was_kept_up());
        assert!((good.intended - 1000.0).abs() < 1e-9);
        let bad = Sustained::of(&run(60, |second| if second == 34 { 101 } else { 0 }), finished(60)).unwrap();
        assert!(!bad.was_kept_up());
        assert_eq!((bad.worst.start, bad.worst.bad), (Moment::from_nanos(30_000_000_000), 101));
    }

    #[test]
    fn ten_bad_seconds_are_found_in_a_run_of_a_day() {
        let (mut day, mut new) = (Tally::default(), Timeline::<Cell>::default());
        for second in 0..86_400 {
            new.clear();
            let cell = new.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.expected, cell.scheduled) = (1000.0, 1000);
            cell.dropped = if second / 10 == 4321 { 20 } else { 1 };
            cell.ok = 1000 - cell.dropped;
            day.timeline.merge(&new);
        }
        assert_eq!(day.timeline.width(), Duration::from_secs(100));
        let seen = Sustained::of(&day, Stretch { end: None, ..finished(86_400) }).unwrap();
        let start = Moment::from_nanos(43_210_000_000_000);
        assert_eq!(seen.worst, Window { start, scheduled: 10_000, ok: 9_800, bad: 200 });
        assert!(!seen.was_kept_up());
    }

    #[test]
    fn a_target_at_half_the_rate_does_not_sustain_it_though_it_answers_everything_in_the_end() {
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
        let mut summary = Summary::new(Moment::ZERO);
        for n in 0..1000 {
            let (intended, done) = (at(n * 10), at(n * 20 + 1));
            let (sent, outcome) = (Some(intended), Outcome::Ok);
            let fate = Fate::Answered { sent, first_byte: None, done, outcome };
            recorder.picked_up(0, 0, intended, intended);
            let (flow, operation, sequence, substituted, picked_up) = (0, 0, n, false, intended);
            let sample = Sample { flow, operation, sequence, substituted, intended, picked_up, fate };
            recorder.record(&sample, None);
            summary.expect(0, 0, intended, 1.0);
        }
        summary.absorb(&recorder);
        let behind = summary.tally(Scope::Total, None);
        let seen = Sustained::of(&behind, finished(10)).unwrap();
        // The cell in which the schedule ends belongs to it.
        assert!((seen.achieved - 55.0).abs() < 1e-9 && (seen.late - 0.45).abs() < 1e-9, "{seen:?}");
        assert!(!seen.was_kept_up());
        assert_eq!(seen.worst.bad, 0);
    }

    #[test]
    fn what_is_on_its_way_is_not_yet_bad() {
        let mut tally = run(5, |_| 0);
        tally.timeline.at(Moment::from_nanos(4_000_000_000)).ok = 0;
        let going_on = Stretch { end: None, ..finished(5) };
        assert!(Sustained::of(&tally, going_on).unwrap().was_kept_up());
    }

    #[test]
    fn nothing_intended_is_nothing_to_judge() {
        assert_eq!(Sustained::of(&Tally::default(), finished(5)), None);
        assert_eq!(Sustained::of(&run(5, |_| 0), finished(0)), None);
    }
}
