//! What one run saw of one operation, in the form that two runs are held against each other in.

use std::cell::OnceCell;
use std::time::Duration;

use crate::measure::{Cell, Phase, Quantile, Scope, Summary, Tally};
use crate::statistics::Dependence;
use crate::time::Moment;

/// One run's arrivals of one scope, after warm-up.
pub(super) struct Sampled {
    /// Everything that was counted of them.
    pub(super) tally: Tally,
    /// When the schedule of the scope ended.
    pub(super) end: Moment,
    /// How long it ran after warm-up.
    pub(super) duration: Duration,
    /// Ends of the fine buckets in nanoseconds, with how many complete replies came within.
    within: Vec<(f64, u64)>,
    /// Ends of the timeline's buckets, ascending, and the variance of how many arrivals were above each.
    borders: Vec<(f64, OnceCell<Border>)>,
}

/// Arrivals above one border of the timeline's buckets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Border {
    /// How many there were.
    pub(super) above: f64,
    /// How much that number varies.
    pub(super) varies: Spread,
}

/// The variance of a number, and how well it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    pub(super) variance: f64,
    /// Degrees of freedom of that, by Satterthwaite's rule; infinite where it follows from the number itself.
    pub(super) freedom: f64,
}

impl Spread {
    /// That of a sum of two numbers that have nothing to do with each other.
    pub(super) fn and(self, other: Self) -> Self {
        let variance = self.variance + other.variance;
        let part = |of: Self| of.variance.powi(2) / of.freedom.max(1.0);
        let parts = part(self) + part(other);
        Self { variance, freedom: if parts > 0.0 { variance * variance / parts } else { f64::INFINITY } }
    }
}

/// How many arrivals of a cell came to an end.
fn ended(cell: &Cell) -> f64 {
    let without: u64 = [cell.incomplete, cell.dropped, cell.abandoned].into_iter().map(u64::from).sum();
    (cell.response.len() + without) as f64
}

impl Sampled {
    pub(super) fn new(summary: &Summary, scope: Scope) -> Self {
        let tally = summary.tally(scope, Some(Phase::Measure));
        Self::of(tally, summary.end_of(scope), summary.measured_duration(scope))
    }

    pub(super) fn of(tally: Tally, end: Moment, duration: Duration) -> Self {
        let mut sum = 0;
        let within = tally.response_time.buckets().map(|(end, count)| {
            sum += count;
            (end.as_nanos() as f64, sum)
        });
        let within = within.collect();
        let mut borders: Vec<u128> =
            tally.timeline.cells().flat_map(|cell| cell.response.buckets()).map(|(end, _)| end.as_nanos()).collect();
        borders.sort_unstable();
        borders.dedup();
        let borders = borders.into_iter().map(|border| (border as f64, OnceCell::new())).collect();
        Self { tally, end, duration, within, borders }
    }

    /// How many arrivals came to an end.
    pub(super) fn ended(&self) -> f64 {
        self.tally.ended() as f64
    }

    /// How many took longer than `nanos`, those without a complete reply included.
    pub(super) fn above(&self, nanos: f64) -> f64 {
        let place = self.within.partition_point(|(end, _)| *end <= nanos);
        let within = place.checked_sub(1).map_or(0, |place| self.within[place].1);
        self.ended() - within as f64
    }

    /// The quantile, in nanoseconds; infinite where it falls among arrivals without a complete reply.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        Some(match self.tally.quantile(quantile)? {
            Quantile::Finite(time) => time.as_nanos() as f64,
            Quantile::Unbounded => f64::INFINITY,
        })
    }

    /// The smallest and the largest time of a complete reply.
    pub(super) fn extremes(&self) -> Option<(f64, f64)> {
        Some((self.within.first()?.0, self.within.last()?.0))
    }

    /// The timeline's borders on both sides of `nanos`: cells count by eighths of an octave, the whole run far finer.
    pub(super) fn borders(&self, nanos: f64) -> [Border; 2] {
        let place = self.borders.partition_point(|(end, _)| *end <= nanos);
        let below = place.checked_sub(1).map_or_else(|| self.border(None), |place| self.border(Some(place)));
        [below, self.border(Some(place.min(self.borders.len().saturating_sub(1))))]
    }

    fn border(&self, place: Option<usize>) -> Border {
        let Some((border, known)) = place.and_then(|place| self.borders.get(place)) else {
            return Border { above: self.ended(), varies: Spread::default() };
        };
        *known.get_or_init(|| {
            let limit = Duration::from_nanos(*border as u64);
            self.varies(|cell| ended(cell) - cell.response.count_at_or_below(limit) as f64, ended, binomial)
        })
    }

    /// How many arrivals did not end ok, and how much that varies.
    pub(super) fn bad(&self) -> Border {
        self.varies(|cell| cell.bad() as f64, ended, binomial)
    }

    /// How many ok answers came while the schedule ran, of how many scheduled arrivals, and how much the first varies.
    pub(super) fn came(&self) -> (Border, f64) {
        let limit = self.end.after(self.tally.response_time.min().unwrap_or_default());
        let in_time = |cell: &Cell| self.tally.timeline.start_of(cell) <= limit;
        let came = |cell: &Cell| if in_time(cell) { f64::from(cell.came) } else { 0.0 };
        // A call that took the place of another operation ends where it was perhaps not scheduled.
        let due = |cell: &Cell| f64::from(cell.scheduled).max(ended(cell));
        let scheduled = self.tally.timeline.cells().map(due).sum();
        (Border { above: self.tally.came_by(self.end) as f64, ..self.varies(came, due, |_, _| 1.0) }, scheduled)
    }

    /// How much the sum of `part` varies, where each cell has its share of `whole`; were all arrivals independent, a share of
    /// so many would vary as `independent` says.
    fn varies(
        &self,
        part: impl Fn(&Cell) -> f64,
        whole: impl Fn(&Cell) -> f64,
        independent: impl Fn(f64, f64) -> f64,
    ) -> Border {
        let cells = self.tally.timeline.cells().map(|cell| (part(cell), whole(cell)));
        let cells: Vec<(f64, f64)> = cells.filter(|(_, all)| *all > 0.0).collect();
        let (above, all) = cells.iter().fold((0.0, 0.0), |(above, all), cell| (above + cell.0, all + cell.1));
        let share = if all > 0.0 { above / all } else { 0.0 };
        let residuals: Vec<f64> = cells.iter().map(|(part, whole)| part - share * whole).collect();
        let Dependence { variance, freedom, .. } = Dependence::of(&residuals, independent(share, all), 0.0);
        Border { above, varies: Spread { variance, freedom } }
    }
}

/// The variance of how many of `all` independent arrivals are among a share of them.
fn binomial(share: f64, all: f64) -> f64 {
    all * share * (1.0 - share)
}
