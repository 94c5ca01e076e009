//! What a run's timeline says of an objective: counts of successive stretches of time, as statistics wants them.
//!
//! A quantile is judged by the share of calls above its bound: `p95 < 150ms` says that fewer than 5 % take longer. How
//! many did is known to a thousandth from the histogram; how they were spread over the run is known from the timeline,
//! whose buckets are wider. What falls into the bound's own bucket is shared out over the cells as it stands in the
//! whole, and counts as independent within them.
//!
//! The same cells are in a run that goes on and in one that was saved, so both get the same answers, by any objective.

use std::time::Duration;

use super::indicator::Indicator;
use super::objective::{Bound, Objective};
use crate::measure::{Cell, Tally, Timeline};
use crate::statistics::{Count, Mean, Share, Times};
use crate::time::Moment;

/// Which part of a run counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Only cells that end by then, where it is said.
    pub until: Option<Moment>,
    /// What arrivals count as that were due and have not ended.
    pub open: Open,
    /// Whether the run was cut off, so that what was abandoned may yet have ended well: then it counts as open.
    pub cut_off: bool,
}

impl Part {
    /// What may speak against a promise, and for it: what was cut off may have ended well, and may have ended badly.
    pub(super) fn each_way(self, tally: &Tally) -> [Self; 2] {
        let is_open = |cell: &Cell| ended(cell, self) < u64::from(cell.scheduled);
        let uncertain = self.cut_off && tally.timeline.cells().any(is_open);
        if uncertain { [Open::Good, Open::Bad].map(|open| Self { open, ..self }) } else { [self; 2] }
    }
}

/// What an arrival counts as that has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// As nothing.
    #[default]
    Unknown,
    /// As one that will end well, and at once: so that only those speak against a promise that have.
    Good,
    /// As one that will never end well: so that only those speak for a promise that have.
    Bad,
}

/// What decides an objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Evidence {
    /// A share of calls, and the limit of it.
    Share(Share, f64),
    /// A mean of times in seconds, and the limit of it.
    Mean(Mean, f64),
}

impl Evidence {
    /// What `tally` says of `objective`. `None` where it is decided by what was observed alone, or nothing was.
    pub(super) fn of(objective: &Objective, tally: &Tally, part: Part) -> Option<Self> {
        match (objective.indicator(), objective.bound()) {
            (_, Bound::Share(limit)) if limit <= 0.0 || limit >= 1.0 => None,
            (Indicator::ErrorRate, Bound::Share(limit)) => {
                let counts = counts(tally, part, |cell| (cell.bad() - cut(cell, part)) as f64);
                Some(Self::Share(Share::of(&counts, 0.0)?, limit))
            }
            (Indicator::Dropped, Bound::Share(limit)) => {
                let counts = counts(tally, part, |cell| f64::from(cell.dropped));
                Some(Self::Share(Share::of(&counts, 0.0)?, limit))
            }
            (Indicator::Mean, Bound::Time(limit)) => Some(Self::Mean(mean(tally, part)?, limit.as_secs_f64())),
            (indicator, Bound::Time(limit)) => {
                let quantile = indicator.quantile().filter(|quantile| *quantile < 1.0)?;
                Some(Self::Share(above(tally, limit, part)?, 1.0 - quantile))
            }
            (_, Bound::Share(_) | Bound::Rate(_)) => None,
        }
    }

    pub(super) fn is_below(&self, error: f64) -> bool {
        match self {
            Self::Share(share, limit) => share.is_below(*limit, error),
            Self::Mean(mean, limit) => mean.is_below(*limit, error),
        }
    }

    pub(super) fn is_above(&self, error: f64) -> bool {
        match self {
            Self::Share(share, limit) => share.is_above(*limit, error),
            Self::Mean(mean, limit) => mean.is_above(*limit, error),
        }
    }

    pub(super) fn effective(&self) -> f64 {
        match self {
            Self::Share(share, _) => share.effective(),
            Self::Mean(mean, _) => mean.effective(),
        }
    }

    pub(super) const fn calls(&self) -> f64 {
        match self {
            Self::Share(share, _) => share.calls,
            Self::Mean(mean, _) => mean.calls,
        }
    }

    pub(super) fn is_scarce(&self) -> bool {
        match self {
            Self::Share(share, _) => share.is_scarce(),
            Self::Mean(mean, _) => mean.is_scarce(),
        }
    }

    pub(super) fn assumes_independence(&self) -> bool {
        matches!(self, Self::Share(share, _) if share.assumes_independence())
    }
}

fn cells(timeline: &Timeline, part: Part) -> impl Iterator<Item = &Cell> {
    let width = timeline.width();
    timeline
        .cells()
        .take_while(move |cell| part.until.is_none_or(|until| timeline.start_of(cell).after(width) <= until))
}

/// Arrivals that were cut off with the run.
fn cut(cell: &Cell, part: Part) -> u64 {
    if part.cut_off { u64::from(cell.abandoned) } else { 0 }
}

/// Arrivals that came to an end of their own.
fn ended(cell: &Cell, part: Part) -> u64 {
    cell.ended() - cut(cell, part)
}

/// Arrivals that are waiting or in flight, as far as they count, and how many of them as bad.
fn open(cell: &Cell, part: Part) -> (f64, f64) {
    let open = u64::from(cell.scheduled).saturating_sub(ended(cell, part)) as f64;
    match part.open {
        Open::Unknown => (0.0, 0.0),
        Open::Good => (open, 0.0),
        Open::Bad => (open, open),
    }
}

fn counts(tally: &Tally, part: Part, bad: impl Fn(&Cell) -> f64) -> Vec<Count> {
    let count = |cell: &Cell| {
        let (open, bad_open) = open(cell, part);
        Count { calls: ended(cell, part) as f64 + open, bad: bad(cell) + bad_open }
    };
    cells(&tally.timeline, part).map(count).collect()
}

/// The share of the arrivals that took longer than `limit`, or got no complete reply.
pub(super) fn above(tally: &Tally, limit: Duration, part: Part) -> Option<Share> {
    let split: Vec<(u64, u64)> = tally.timeline.cells().map(|cell| cell.response.above(limit)).collect();
    let (surely, around) = split.iter().fold((0, 0), |(above, around), cell| (above + cell.0, around + cell.1));
    let exactly = tally.response_time.len() - tally.response_time.count_at_or_below(limit);
    // How much of the bound's own bucket is above it.
    let over = (exactly as f64 - surely as f64) / (around as f64).max(1.0);
    let over = over.clamp(0.0, 1.0);
    let without_reply =
        |cell: &Cell| [cell.incomplete, cell.dropped, cell.abandoned].map(f64::from).iter().sum::<f64>();
    let mut unseen = 0.0;
    let counts: Vec<Count> = cells(&tally.timeline, part)
        .zip(&split)
        .map(|(cell, (above, around))| {
            let around = *around as f64;
            unseen += around * over * (1.0 - over);
            let (open, bad_open) = open(cell, part);
            let bad = *above as f64 + over * around + without_reply(cell) - cut(cell, part) as f64 + bad_open;
            Count { calls: ended(cell, part) as f64 + open, bad }
        })
        .collect();
    Share::of(&counts, unseen)
}

/// The time of a call that never ends, in seconds: far above every bound.
const ENDLESS: f64 = 1e12;

/// The mean over all calls that ended.
fn mean(tally: &Tally, part: Part) -> Option<Mean> {
    let times: Vec<Times> = cells(&tally.timeline, part)
        .map(|cell| {
            let (open, endless) = open(cell, part);
            Times { calls: cell.answered() as f64 + open, sum: cell.time as f64 * 1e-9 + endless * ENDLESS }
        })
        .collect();
    let average = tally.mean_of_all_calls()?.as_secs_f64();
    let replies = tally.response_time.len() as f64;
    let given_up = tally.answered() as f64 - replies;
    let off = |time: Duration, count: f64| {
        if count > 0.0 { (time.as_secs_f64() / count - average).powi(2) * count } else { 0.0 }
    };
    let squares = tally.response_time.variance() * replies
        + off(tally.response_time.sum(), replies)
        + off(tally.given_up, given_up);
    Mean::of(&times, squares / (replies + given_up))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Fate, Recorder, Sample, Scope, Shape, Summary};
    use crate::outcome::Outcome;

    const MS: u64 = 1_000_000;

    /// A hundred arrivals a second for twenty seconds; the `n`-th ends as `fate` says.
    fn tally(fate: impl Fn(u64, Moment) -> Fate) -> Tally {
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
        for sequence in 0..2000 {
            let intended = Moment::from_nanos(sequence * 10 * MS);
            recorder.picked_up(0, 0, intended, intended);
            let (flow, operation, substituted, fate) = (0, 0, false, fate(sequence, intended));
            let sample = Sample { flow, operation, sequence, substituted, intended, picked_up: intended, fate };
            recorder.record(&sample, None);
        }
        let mut summary = Summary::default();
        summary.absorb(&recorder);
        summary.tally(Scope::Total, None)
    }

    fn answered(intended: Moment, micros: u64, outcome: Outcome) -> Fate {
        let done = intended.after(Duration::from_micros(micros));
        Fate::Answered { sent: Some(intended), first_byte: None, done, outcome }
    }

    fn of(objective: &str, tally: &Tally) -> Option<Evidence> {
        Evidence::of(&objective.parse().unwrap(), tally, Part::default())
    }

    #[test]
    fn a_bound_anywhere_has_the_share_that_the_histogram_knows() {
        let tally = tally(|n, intended| answered(intended, 1000 + n * 7919 % 1000, Outcome::Ok));
        for micros in [900, 1000, 1234, 1500, 1999, 2100] {
            let limit = Duration::from_micros(micros);
            let seen = above(&tally, limit, Part::default()).unwrap();
            assert!((seen.observed() - tally.share_above(limit).unwrap()).abs() < 1e-9, "{micros}");
            // Every call for itself: nothing in the bound's own bucket may look like a burst or hide one.
            assert!((seen.effective() - 2000.0).abs() < 1e-9, "{micros} {}", seen.effective());
        }
    }

    #[test]
    fn calls_without_a_reply_are_above_every_bound_and_bad() {
        let tally = tally(|n, intended| match n % 10 {
            0 => Fate::Dropped,
            1 => answered(intended, 5000, Outcome::TimeoutNoByte),
            2 => answered(intended, 5000, Outcome::ToolError),
            _ => answered(intended, 1000, Outcome::Ok),
        });
        let observed = |objective| match of(objective, &tally) {
            Some(Evidence::Share(share, _)) => share.observed(),
            other => panic!("{other:?}"),
        };
        let shares = ["p90 < 1h", "p90 < 2ms", "error_rate < 1%", "dropped < 1%"].map(observed);
        for (seen, wanted) in shares.iter().zip([0.2, 0.3, 0.3, 0.1]) {
            assert!((seen - wanted).abs() < 1e-12, "{shares:?}");
        }
        let Some(Evidence::Mean(mean, _)) = of("mean < 1s", &tally) else { panic!("no mean") };
        assert!((mean.observed - tally.mean_of_all_calls().unwrap().as_secs_f64()).abs() < 1e-8, "{mean:?}");
        assert!((mean.effective() - 1800.0).abs() < 1e-6);
    }

    #[test]
    fn what_was_cut_off_with_the_run_speaks_neither_for_nor_against() {
        // Nearly all are still on their way when the run is interrupted; one in ten has failed at once.
        let tally = tally(|n, intended| match n % 10 {
            0 => answered(intended, 1000, Outcome::HttpError),
            _ => Fate::Abandoned,
        });
        let seen = |part: Part| {
            ["error_rate < 50%", "p50 < 1s"].map(|objective| {
                match Evidence::of(&objective.parse().unwrap(), &tally, part) {
                    Some(Evidence::Share(share, _)) => (share.observed() * 100.0).round() as u32,
                    other => panic!("{other:?}"),
                }
            })
        };
        assert_eq!(seen(Part::default()), [100, 90]);
        let [against, in_favour] = Part { cut_off: true, ..Part::default() }.each_way(&tally);
        assert_eq!((seen(against), seen(in_favour)), ([10, 0], [100, 90]));
        assert_eq!(Part::default().each_way(&tally), [Part::default(); 2]);
    }

    #[test]
    fn what_is_decided_by_what_was_observed_has_no_evidence() {
        let tally = tally(|_, intended| answered(intended, 1000, Outcome::Ok));
        for plain in ["max < 1s", "rate >= 1/s", "dropped <= 0%", "error_rate <= 100%"] {
            assert_eq!(of(plain, &tally), None, "{plain}");
        }
        assert_eq!(of("p95 < 1s", &Tally::default()), None);
    }

    #[test]
    fn only_what_was_due_by_then_counts_and_what_is_open_counts_as_it_is_told() {
        let mut tally = tally(|_, intended| answered(intended, 1000, Outcome::Ok));
        tally.timeline.at(Moment::from_nanos(5_000 * MS)).scheduled += 7;
        let until = Some(Moment::from_nanos(10_500 * MS));
        for (open, calls, bad) in [(Open::Unknown, 1000.0, 0.0), (Open::Good, 1007.0, 0.0), (Open::Bad, 1007.0, 7.0)] {
            let part = Part { until, open, ..Part::default() };
            let seen = above(&tally, Duration::from_millis(2), part).unwrap();
            assert!((seen.calls - calls).abs() < 1e-9 && (seen.bad - bad).abs() < 1e-9, "{seen:?}");
            let mean = mean(&tally, part).unwrap();
            assert!((mean.calls - calls).abs() < 1e-9, "{mean:?}");
            assert_eq!(mean.observed > 1e6, bad > 0.0, "{mean:?}");
        }
    }
}
