//! The run second by second. Cells of arrivals go by *intended* time: such a cell is about what was due in it.
//!
//! Cells are one second wide, and when there would be more than [`MOST_SECONDS`], ten at a time are folded into one; so are
//! they again whenever there would be more than [`MAX_CELLS`]. What was folded is what wider cells would have counted, so
//! the order of merging does not matter.
//!
//! Seconds are folded early so that memory stands still early: ten minutes in seconds take as much of it as an hour and
//! more in tens of seconds does. For the same reason cells settle (see [`Timeline::settle`]) once the run has left them behind: they
//! take less, and copies of the timeline, such as those that are saved as the run goes on, share them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::bounded::at_most;
use super::cell::Cell;
use crate::time::Moment;

/// At most this many cells of one second: ten minutes.
const MOST_SECONDS: usize = 600;

/// The last cells, to which calls are added all the time.
const LIVELY: usize = 2;

/// At most this many cells.
pub const MAX_CELLS: usize = 3600;

const SECOND: u64 = 1_000_000_000;

/// What a timeline is made of: something that knows its place and can be added to its neighbours.
pub trait Stretch: Clone + Default {
    /// Which stretch: it begins this many widths after the run began.
    fn index(&self) -> u64;
    /// The same at another place.
    #[must_use]
    fn moved_to(self, index: u64) -> Self;
    /// Adds all that `other` counted, whatever its place.
    fn merge(&mut self, other: &Self);
    /// Forgets everything but keeps the memory.
    fn reset(&mut self);
    /// Takes as little memory as it can: not much is added any more.
    fn settle(&mut self) {}
    /// Gets ready to be part of a stretch of `into` seconds, having been one of `width`.
    fn widen(&mut self, _width: u64, _into: u64) {}
    /// Whether it can be what a run counted.
    fn is_possible(&self) -> bool;
}

/// Cells in ascending order of time; stretches in which nothing was due have none.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Saved<C>", bound(deserialize = "C: Stretch + Deserialize<'de>"))]
pub struct Timeline<C = Cell> {
    /// Width of a cell in seconds: a power of ten.
    width: u64,
    /// Those that have settled. Copies share them, until something is added after all. None without lively ones behind them.
    settled: Vec<Arc<C>>,
    /// All that come after these.
    lively: Vec<C>,
    /// Cells of before [`Timeline::clear`], kept for their memory.
    spare: Vec<C>,
}

/// Where a cell is.
#[derive(Clone, Copy)]
enum Place {
    Settled(usize),
    Lively(usize),
}

impl<C: Stretch + PartialEq> PartialEq for Timeline<C> {
    fn eq(&self, other: &Self) -> bool {
        self.width == other.width && self.cells().eq(other.cells())
    }
}

impl<C: Stretch + Serialize> Serialize for Timeline<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut saved = serializer.serialize_struct("Timeline", 2)?;
        saved.serialize_field("width", &self.width)?;
        saved.serialize_field("cells", &Cells(self))?;
        saved.end()
    }
}

/// The cells of a timeline as they are written.
struct Cells<'a, C>(&'a Timeline<C>);

impl<C: Stretch + Serialize> Serialize for Cells<'_, C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.cells())
    }
}

impl<C> Default for Timeline<C> {
    fn default() -> Self {
        Self { width: 1, settled: Vec::new(), lively: Vec::new(), spare: Vec::new() }
    }
}

impl<C: Stretch> Timeline<C> {
    /// How long a cell lasts.
    pub const fn width(&self) -> Duration {
        Duration::from_secs(self.width)
    }

    /// The cells, in ascending order of time.
    pub fn cells(&self) -> impl DoubleEndedIterator<Item = &C> + Clone {
        self.settled.iter().map(|cell| &**cell).chain(&self.lively)
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.lively.is_empty()
    }

    /// When a cell of this timeline begins.
    pub fn start_of(&self, cell: &C) -> Moment {
        Moment::from_nanos(cell.index().saturating_mul(self.width).saturating_mul(SECOND))
    }

    /// The cell of `moment` (of an arrival: when it was due), made where there is none yet.
    pub fn at(&mut self, moment: Moment) -> &mut C {
        let width = self.width * SECOND;
        // Nearly every arrival belongs to the last cell: one multiplication instead of a division and a search.
        let latest = self.lively.last().is_some_and(|cell| {
            let begins = cell.index().saturating_mul(width);
            moment.as_nanos().checked_sub(begins).is_some_and(|into| into < width)
        });
        let latest = latest.then(|| Place::Lively(self.lively.len() - 1));
        let place = latest.unwrap_or_else(|| self.place_of(moment.as_nanos() / width));
        self.cell(place)
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() && self.width <= other.width {
            // The commonest of all: what was counted apart is put together to look at it.
            self.width = other.width;
            self.settled.clone_from(&other.settled);
            self.lively.clone_from(&other.lively);
            return;
        }
        while self.width < other.width {
            self.fold();
        }
        for cell in other.cells() {
            let place = self.place_of(cell.index() * other.width / self.width);
            if self.width == other.width {
                self.cell(place).merge(cell);
            } else {
                let mut cell = cell.clone();
                cell.widen(other.width, self.width);
                self.cell(place).merge(&cell);
            }
        }
    }

    /// Lets all cells but the last two ([`LIVELY`]) settle, once `merged` was merged into it. What is thrown away soon need not.
    pub(super) fn settle(&mut self, merged: &Self) {
        for cell in merged.cells() {
            let index = cell.index() * merged.width / self.width;
            if let Ok(place) = self.settled.binary_search_by_key(&index, |cell| cell.index())
                // No copy has what was just added to it.
                && let Some(cell) = Arc::get_mut(&mut self.settled[place])
            {
                cell.settle();
            }
        }
        self.settle_what_is_over();
    }

    /// The same where nothing was merged into what had settled.
    pub(crate) fn settle_what_is_over(&mut self) {
        let over = self.lively.len().saturating_sub(LIVELY);
        self.settled.extend(self.lively.drain(..over).map(|mut cell| {
            cell.settle();
            Arc::new(cell)
        }));
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.width = 1;
        self.settled.clear();
        for mut cell in self.lively.drain(..) {
            cell.reset();
            self.spare.push(cell);
        }
    }

    /// The cell at a place; one that copies have as well is this timeline's own from now on.
    fn cell(&mut self, place: Place) -> &mut C {
        match place {
            Place::Settled(place) => Arc::make_mut(&mut self.settled[place]),
            Place::Lively(place) => &mut self.lively[place],
        }
    }

    /// The place of the cell with this index, made where there is none; folds first where there would be too many.
    fn place_of(&mut self, mut index: u64) -> Place {
        loop {
            let is_settled = self.settled.last().is_some_and(|last| index <= last.index());
            let found = if is_settled {
                self.settled
                    .binary_search_by_key(&index, |cell| cell.index())
                    .map(Place::Settled)
                    .map_err(Place::Settled)
            } else {
                self.lively.binary_search_by_key(&index, Stretch::index).map(Place::Lively).map_err(Place::Lively)
            };
            match found {
                Ok(place) => return place,
                Err(place) if self.settled.len() + self.lively.len() < most(self.width) => {
                    let fresh = self.spare.pop().unwrap_or_default().moved_to(index);
                    match place {
                        Place::Settled(place) => self.settled.insert(place, Arc::new(fresh)),
                        Place::Lively(place) => self.lively.insert(place, fresh),
                    }
                    return place;
                }
                Err(_) => {
                    self.fold();
                    index /= 10;
                }
            }
        }
    }

    /// Makes cells ten times as wide.
    fn fold(&mut self) {
        let width = self.width;
        self.width *= 10;
        let settled = std::mem::take(&mut self.settled).into_iter().map(Arc::unwrap_or_clone);
        let mut folded: Vec<C> = Vec::with_capacity((settled.len() + self.lively.len()) / 10 + 1);
        for mut cell in settled.chain(std::mem::take(&mut self.lively)) {
            let index = cell.index() / 10;
            cell.widen(width, self.width);
            match folded.last_mut().filter(|last| last.index() == index) {
                Some(last) => last.merge(&cell),
                None => folded.push(cell.moved_to(index)),
            }
        }
        self.lively = folded;
    }
}

/// How many cells of this width there may be.
const fn most(width: u64) -> usize {
    if width == 1 { MOST_SECONDS } else { MAX_CELLS }
}

/// A timeline as it is written, before it is checked.
#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
struct Saved<C> {
    width: u64,
    #[serde(deserialize_with = "at_most::<MAX_CELLS, _, _>")]
    cells: Vec<C>,
}

/// Why saved cells are not a timeline.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("read a timeline with cells of {0} s: a power of ten up to a million is known")]
    Width(u64),
    #[error("read a timeline: its cells must ascend, and hold what a run can count")]
    Disorder,
}

impl<C: Stretch> TryFrom<Saved<C>> for Timeline<C> {
    type Error = Unreadable;

    fn try_from(Saved { width, cells }: Saved<C>) -> Result<Self, Unreadable> {
        if !(0..=6).any(|power| width == 10_u64.pow(power)) {
            return Err(Unreadable::Width(width));
        }
        let ascend = cells.is_sorted_by(|left, right| left.index() < right.index());
        let possible =
            cells.iter().all(|cell| cell.is_possible() && cell.index() <= Moment::FAR.as_nanos() / SECOND / width);
        if !ascend || !possible {
            return Err(Unreadable::Disorder);
        }
        let mut timeline = Self { width, lively: cells, ..Self::default() };
        while timeline.lively.len() > most(timeline.width) {
            timeline.fold();
        }
        Ok(timeline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cell::Ten;
    use super::*;

    /// Seconds as they come in a run: each in a timeline of its own, which is then added.
    fn of(seconds: &[u64]) -> Timeline {
        let mut timeline = Timeline::<Cell>::default();
        let mut new = Timeline::<Cell>::default();
        for second in seconds {
            new.clear();
            let cell = new.at(Moment::from_nanos(second * SECOND + 5));
            cell.ok += 1;
            cell.scheduled += 1;
            cell.expected += 0.5;
            cell.time += *second % 7;
            cell.response.record(Duration::from_millis(*second % 7));
            timeline.merge(&new);
        }
        timeline
    }

    #[test]
    fn an_arrival_is_counted_in_the_second_in_which_it_was_due() {
        let timeline = of(&[3, 0, 3, 2]);
        let counts: Vec<_> = timeline.cells().map(|cell| (cell.index, cell.ok)).collect();
        assert_eq!(counts, [(0, 1), (2, 1), (3, 2)]);
        assert_eq!(timeline.start_of(timeline.cells().nth(2).unwrap()), Moment::from_nanos(3 * SECOND));
    }

    #[test]
    fn a_long_run_is_folded_to_ten_seconds_and_a_very_long_one_to_a_hundred() {
        assert_eq!(of(&(0..600).collect::<Vec<_>>()).width(), Duration::from_secs(1));
        let hours: Vec<u64> = (0..3600 * 3).collect();
        let timeline = of(&hours);
        assert_eq!((timeline.width(), timeline.cells().count()), (Duration::from_secs(10), 1080));
        assert!(timeline.cells().all(|cell| cell.ok == 10 && (cell.expected - 5.0).abs() < 1e-9));
        let days: Vec<u64> = (0..3600 * 24).step_by(10).collect();
        assert_eq!(of(&days).width(), Duration::from_secs(100));
    }

    #[test]
    fn ten_bad_seconds_can_be_found_in_days_however_wide_the_cells_are() {
        for (days, width) in [(1, 100), (5, 1000)] {
            let mut timeline = Timeline::<Cell>::default();
            let mut new = Timeline::<Cell>::default();
            for second in 0..days * 86_400 {
                new.clear();
                let cell = new.at(Moment::from_nanos(second * SECOND));
                cell.scheduled = 16_000;
                cell.failed = if second / 10 == 6_543 { 700 } else { 3 };
                cell.ok = 16_000 - cell.failed;
                timeline.merge(&new);
            }
            assert_eq!(timeline.width().as_secs(), width);
            let wide = timeline.cells().find(|cell| cell.index == 65_430 / width).unwrap();
            let worst = Ten { scheduled: 160_000, ok: 153_000, bad: 7_000 };
            assert_eq!(wide.tens[(65_430 % width / 10) as usize], worst);
            let others = timeline.cells().flat_map(|cell| &cell.tens).filter(|ten| **ten != worst);
            assert!(others.copied().all(|ten| ten == Ten { scheduled: 160_000, ok: 159_970, bad: 30 }));
            assert!(timeline.cells().all(|cell| cell.tens.len() as u64 == width / 10));
        }
    }

    #[test]
    fn a_cleared_timeline_reuses_its_cells() {
        let mut timeline = of(&[1, 2, 3]);
        timeline.clear();
        assert!(timeline.is_empty());
        assert_eq!(*timeline.at(Moment::from_nanos(9 * SECOND)), Cell { index: 9, ..Cell::default() });
        assert_eq!(timeline.spare.len(), 2);
    }

    /// Which cells are settled, once seconds were kept one after the other.
    fn settled(timeline: &mut Timeline, kept: &[u64]) -> Vec<bool> {
        for second in kept {
            let new = of(&[*second]);
            timeline.merge(&new);
            timeline.settle(&new);
        }
        timeline.cells().map(|cell| cell.response.is_settled()).collect()
    }

    #[test]
    fn all_but_the_last_cells_settle_also_where_something_was_added_later_or_between_or_folded() {
        let mut timeline = Timeline::default();
        assert_eq!(settled(&mut timeline, &[0, 1, 2, 3, 1]), [true, true, false, false]);
        // Seconds in which nothing was answered.
        for second in 4..7 {
            timeline.at(Moment::from_nanos(second * SECOND)).expected += 1.0;
        }
        assert_eq!(settled(&mut timeline, &[6]), [true, true, true, true, false, false, false]);
        // The first of a second only: nothing of before was touched.
        assert_eq!(
            settled(&mut timeline, &[7, 8, 9]),
            [true, true, true, true, false, false, true, true, false, false]
        );
        // Between seconds that are settled, and several at once.
        assert_eq!(settled(&mut Timeline::default(), &[0, 1, 5, 6, 7, 3]), [true, true, true, true, false, false]);
        let mut once = of(&[0, 4]);
        let several = of(&[1, 2, 3, 4, 5]);
        once.merge(&several);
        once.settle(&several);
        let settled_of = |kept: &Timeline| kept.cells().map(|c| c.response.is_settled()).collect::<Vec<_>>();
        assert_eq!(settled_of(&once), [true, true, true, true, false, false]);
        let late = settled(&mut timeline, &(10..=600).collect::<Vec<_>>());
        assert_eq!((late.len(), late.iter().filter(|is_settled| !**is_settled).count()), (61, 2));
    }

    #[test]
    fn more_seconds_than_a_run_keeps_are_folded_as_they_are_read() {
        for (seconds, width, cells) in [(600, 1, 600), (601, 10, 61), (3600, 10, 360)] {
            let saved: Vec<_> = (0..seconds).map(|second| format!(r#"{{"index":{second},"ok":2}}"#)).collect();
            let text = format!(r#"{{"width":1,"cells":[{}]}}"#, saved.join(","));
            let timeline: Timeline = serde_json::from_str(&text).unwrap();
            assert_eq!((timeline.width().as_secs(), timeline.cells().count()), (width, cells));
            assert!(timeline.cells().map(|cell| cell.index).eq(0..cells as u64));
            assert_eq!(timeline.cells().map(|cell| cell.ok).sum::<u32>(), 2 * seconds);
        }
    }

    #[test]
    fn copies_share_what_has_settled_and_keep_it_as_it_was_when_something_is_added_after_all() {
        let mut timeline = Timeline::default();
        assert_eq!(settled(&mut timeline, &[0, 1, 2, 3, 4]), [true, true, true, false, false]);
        let (copy, mut together) = (timeline.clone(), Timeline::default());
        together.merge(&copy);
        let late = of(&[1]);
        timeline.merge(&late);
        timeline.settle(&late);
        let owners = |timeline: &Timeline| timeline.settled.iter().map(Arc::strong_count).collect::<Vec<_>>();
        assert_eq!((owners(&timeline), owners(&copy)), (vec![3, 1, 3], vec![3, 2, 3]));
        let ok = |timeline: &Timeline| timeline.cells().map(|cell| cell.ok).collect::<Vec<_>>();
        assert_eq!((ok(&timeline), ok(&copy), ok(&together)), (vec![1, 2, 1, 1, 1], vec![1; 5], vec![1; 5]));
        assert!(timeline.settled.iter().all(|cell| cell.response.is_settled()));
    }

    #[test]
    fn a_wrong_width_disorder_and_a_far_cell_are_refused() {
        for wrong in [
            r#"{"width":7,"cells":[]}"#,
            r#"{"width":1,"cells":[{"index":2},{"index":1}]}"#,
            r#"{"width":1,"cells":[{"index":1,"expected":-1}]}"#,
            r#"{"width":1,"cells":[{"index":18446744073709551615}]}"#,
        ] {
            assert!(serde_json::from_str::<Timeline<Cell>>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn merging_is_counting_everything_in_one_whatever_was_folded(
            left in prop::collection::vec(0..40_000_u64, 0..20), dense in 0..6_000_u64,
            right in prop::collection::vec(0..40_000_u64, 0..20),
        ) {
            let right: Vec<u64> = right.into_iter().chain(0..dense).collect();
            let (mut one, mut two) = (of(&left), of(&right));
            let whole = of(&[left.clone(), right.clone()].concat());
            one.merge(&of(&right));
            two.merge(&of(&left));
            prop_assert_eq!(&one, &whole);
            prop_assert_eq!(&two, &whole);
            let text = serde_json::to_string(&whole).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timeline<Cell>>(&text).unwrap(), whole);
        }

        #[test]
        fn what_is_kept_says_what_was_merged_and_has_settled_but_for_its_end(
            seconds in prop::collection::vec(prop::collection::vec(0..900_u64, 1..4), 1..40), dense in 0..700_u64,
        ) {
            let (mut kept, mut plain) = (Timeline::<Cell>::default(), Timeline::<Cell>::default());
            for new in (0..dense).map(|second| vec![second]).chain(seconds) {
                let new = of(&new);
                kept.merge(&new);
                kept.settle(&new);
                plain.merge(&new);
            }
            prop_assert_eq!(serde_json::to_string(&kept).unwrap(), serde_json::to_string(&plain).unwrap());
            let past = kept.cells().count().saturating_sub(LIVELY);
            prop_assert!(kept.cells().take(past).all(|cell| cell.response.is_settled()));
        }
    }
}
