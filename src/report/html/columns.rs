//! The run in as many columns as a chart has room for.

use crate::measure::{Cell, Scope, Stretch, Summary};

/// What a chart shows of one stretch of time.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// When it begins, in seconds.
    pub(super) start: f64,
    /// How long its arrivals were due in it, in seconds.
    pub(super) due_for: f64,
    /// How long answers came in it, in seconds.
    pub(super) came_for: f64,
    /// What was due in it.
    pub(super) cell: Cell,
}

/// The whole run in columns of equal width.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// How long each lasts, in seconds.
    pub(super) width: f64,
    /// How long the time axis is, in seconds.
    pub(super) end: f64,
    /// One after the other, those in which nothing happened included.
    pub(super) all: Vec<Column>,
}

impl Columns {
    /// At most `most` columns of all that was due and came, warm-up included.
    pub(super) fn of(summary: &Summary, most: usize) -> Self {
        let timeline = summary.tally(Scope::Total, None).timeline;
        let base = timeline.width().as_secs_f64();
        let cells = timeline.cells();
        let count = cells.clone().next_back().map_or(0, |cell| cell.index + 1);
        let fold = count.div_ceil(most as u64).max(1);
        let width = base * fold as f64;
        let until = summary.until.as_secs_f64();
        let last_done = summary.last_done.unwrap_or_default().as_secs_f64();
        let last = count.div_ceil(fold) as f64 * width;
        let end = until.max(last_done).min(last).max(f64::MIN_POSITIVE);
        let mut all: Vec<Column> = (0..count.div_ceil(fold))
            .map(|place| {
                let start = place as f64 * width;
                let within = |end: f64| (end - start).clamp(0.0, width);
                Column { start, due_for: within(until), came_for: within(end), cell: Cell::default() }
            })
            .collect();
        for cell in cells {
            all[(cell.index / fold) as usize].cell.merge(cell);
        }
        Self { width, end, all }
    }
}

impl Column {
    /// Its middle, in seconds.
    pub(super) fn middle(&self) -> f64 {
        self.start + self.came_for.max(self.due_for) / 2.0
    }

    /// Arrivals per second that the profile intends; `None` at the end, where the time is too short to say.
    pub(super) fn intended(&self) -> Option<f64> {
        let due = if self.cell.expected > 0.0 { self.cell.expected } else { f64::from(self.cell.scheduled) };
        per_second(due, self.due_for)
    }

    /// Ok answers per second that came in it.
    pub(super) fn achieved(&self) -> Option<f64> {
        per_second(f64::from(self.cell.came), self.came_for)
    }

    /// Response time that this share of what was due in it kept to, in seconds.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        self.cell.quantile(quantile).map(|nanos| nanos / 1e9)
    }

    /// Whether its p99 falls among arrivals without a complete reply.
    pub(super) fn is_unanswered(&self) -> bool {
        self.cell.ended() > 0 && self.cell.quantile(0.99).is_none()
    }

    /// How many arrivals ended badly in each way, per second, in the order of [`BAD`].
    pub(super) fn bad(&self) -> [f64; 4] {
        let Cell { failed, incomplete, dropped, abandoned, .. } = self.cell;
        [failed, incomplete, dropped, abandoned].map(|count| per_second(f64::from(count), self.due_for).unwrap_or(0.0))
    }
}

/// The ways to end badly that a timeline tells apart.
pub(super) const BAD: [&str; 4] = ["a complete reply, not ok", "no complete reply", "dropped", "abandoned"];

/// A rate over less than a twentieth of a second says nothing.
fn per_second(count: f64, seconds: f64) -> Option<f64> {
    (seconds >= 0.05).then(|| count / seconds)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures;
    use super::*;

    #[test]
    fn all_that_was_due_is_in_some_column_however_few_there_are() {
        for (name, run) in fixtures::all() {
            let scheduled = run.summary.tally(Scope::Total, None).scheduled;
            for most in [1, 3, 7, 360] {
                let columns = Columns::of(&run.summary, most);
                assert!(columns.all.len() <= most, "{name}");
                let sum: u64 = columns.all.iter().map(|column| u64::from(column.cell.scheduled)).sum();
                assert_eq!(sum, scheduled, "{name}");
            }
        }
    }

    #[test]
    fn rates_are_those_of_the_run_also_where_columns_are_folded() {
        for most in [3, 360] {
            let columns = Columns::of(&fixtures::ok().summary, most);
            let intended: Vec<f64> = columns.all.iter().filter_map(Column::intended).collect();
            assert!(intended.iter().all(|rate| (rate - 100.0).abs() < 1e-6), "{intended:?}");
        }
    }
}
