//! A run at which one looks before its end: when, on which terms, and what the look that stopped it saw.
//!
//! A look sees what was due until two seconds before it, so that nearly all of that has ended. What has not is counted
//! against either decision: as bad where a promise would be met, as good where it would be missed. The look that stops a run
//! is saved with it, and the run awaits what it has sent; a later judgement sees the same part of the run with the same
//! errors, and what has ended in the meantime confirms it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::evidence::{Open, Part};
use super::indicator::Indicator;
use super::judge::{Standing, judge};
use super::objective::Resolved;
use super::terms::{Judging, Terms};
use crate::measure::Summary;
use crate::statistics::{ERROR, Look, Looks};
use crate::time::Moment;

/// A look leaves so much out: answers take a while, and lanes report twice a second.
const SETTLING: Duration = Duration::from_secs(2);

/// The looks at a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Those that were planned before it began.
    pub planned: Looks,
    /// The one that stopped it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// The look that stopped a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stopped {
    /// What it could spend.
    pub look: Look,
    /// It saw the arrivals that were due until then.
    pub until: Moment,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// The places of the objectives that are surely missed.
    pub missed: Vec<usize>,
    /// Whether each is surely met or surely missed.
    pub all: bool,
}

impl Looked {
    /// Looks at a run that is measured for `at_most`; for PASS too where `passes` says so.
    pub fn planned(at_most: Duration, passes: bool) -> Self {
        Self { planned: Looks::planned(at_most.as_secs_f64(), passes, ERROR), stopped: None }
    }

    /// The error that PASS may make at the end of a run, where looks before it take their part.
    pub fn error_at_the_end(looks: Option<&Self>) -> f64 {
        looks.and_then(|looks| looks.planned.last.pass).unwrap_or(ERROR)
    }

    /// How long a run is measured at least for one look before its end.
    pub fn shortest() -> Duration {
        Duration::from_secs_f64(Looks::shortest())
    }

    /// On which terms the run that has ended is judged.
    pub fn terms(&self, judging: Judging) -> Terms {
        match self.stopped {
            None => Terms::of(judging).at(&self.planned.last),
            Some(Stopped { look, until }) => {
                let part = Part { until: Some(until), ..Part::default() };
                Terms { part, ..Terms::of(judging).at(&look) }
            }
        }
    }

    /// The look that is due at `now`, where `seen` looks were made before.
    pub fn due(&self, summary: &Summary, now: Moment, seen: usize) -> Option<usize> {
        let due = self.planned.due(now.since(summary.warmup).as_secs_f64())?;
        (due >= seen).then_some(due)
    }

    /// Looks at a run that goes on, at `now`; what the look saw, and what it found.
    pub fn look(&self, number: usize, summary: &Summary, now: Moment, objectives: &[Resolved]) -> (Stopped, Decided) {
        let look = self.planned.early[number];
        let until = Moment::from_nanos(now.as_nanos().saturating_sub(SETTLING.as_nanos() as u64));
        let standings = |open| {
            let part = Part { until: Some(until), open, ..Part::default() };
            let terms = Terms { part, ..Terms::default().at(&look).at_a_glance() };
            judge(summary, objectives, &terms).findings.into_iter().map(|finding| finding.standing)
        };
        // What is open may yet end well, and may yet end badly. A rate that was not kept up so far may be in the end.
        let final_ = |place: usize| objectives[place].objective.indicator() != Indicator::Rate;
        let missed: Vec<usize> = standings(Open::Good)
            .enumerate()
            .filter_map(|(place, standing)| (standing == Standing::Missed && final_(place)).then_some(place))
            .collect();
        let all = standings(Open::Bad)
            .enumerate()
            .all(|(place, standing)| standing == Standing::Met || missed.contains(&place));
        (Stopped { look, until }, Decided { missed, all })
    }
}
