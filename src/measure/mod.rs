//! HOW LONG: from samples to a summary.
//!
//! A [`Recorder`] turns each [`Sample`] into counts, off any clock and any lock; a [`Summary`] adds recorders, and other
//! summaries, in any order. Both are made of one [`Tally`] per series (a flow and an operation) and [`Phase`]. Nothing
//! here knows a plan: flows and operations are numbers.

mod bounded;
mod cell;
mod event;
mod failures;
mod health;
mod histogram;
mod histogram_log;
mod level;
mod probes;
mod recorder;
mod replies;
mod sample;
mod side;
#[cfg(test)]
mod simulation;
mod slowest;
mod sparse;
mod spread;
mod summary;
mod tally;
mod timeline;
mod truth;
mod usage;
mod warmup;

pub use cell::{Cell, Ten};
pub use event::{Event, EventKind, Events, MOST_OF_A_KIND};
pub use failures::{FailureGroup, FailureText, Failures};
pub use health::Health;
pub use histogram::{Histogram, Precision, nearest_rank};
pub use histogram_log::IntervalLog;
pub use level::Level;
pub use probes::{Probes, Unresolved};
pub use recorder::{Bounds, Gauges, Recorder, Shape};
pub use replies::{Replies, Unanswered};
pub use sample::{Fate, Sample};
pub use side::{SideCall, SideCalls, SideKind, SideTally};
pub use slowest::{MOST_SLOWEST, SlowCall, Slowest};
pub use sparse::Sparse;
pub use spread::{Spread, Window};
pub use summary::{Accounting, MAX_SERIES, Scope, Series, Summary};
pub use tally::{BucketCounts, Outcomes, Quantile, Tally};
pub use timeline::{MAX_CELLS, Stretch, Timeline};
pub use truth::{AGES, EVIDENCE_KEPT, Evidence, Reads, ReadsByAge, Truth, Violations};
pub use usage::{Resource, Trend, Usage};
pub use warmup::WarmupEnd;

use serde::{Deserialize, Serialize};

/// A part of the run, by the intended time of its arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The leading part, which is kept apart and not judged.
    Warmup,
    /// All that was due after it.
    Measure,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 2] = [Self::Warmup, Self::Measure];

    /// The name in metrics, saved runs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Measure => "measure",
        }
    }
}
