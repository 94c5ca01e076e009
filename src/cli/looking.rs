//! Whether a run may end before its schedule does: the looks that `--until-decided` and `--abort-on-fail` take.

use std::ops::ControlFlow;

use crate::measure::{Phase, Summary};
use crate::plan::Plan;
use crate::time::Moment;
use crate::verdict::{Bound, Indicator, Looked, Resolved};

/// Looks at a run now and then, and remembers what ended it.
pub(super) struct Looking<'a> {
    plan: &'a Plan,
    objectives: &'a [Resolved],
    looks: Option<Looked>,
    /// How many of them are over.
    seen: usize,
    /// Why the run was ended.
    why: Option<String>,
}

impl<'a> Looking<'a> {
    /// As `plan` says; for most plans that is never.
    pub(super) fn new(plan: &'a Plan, objectives: &'a [Resolved]) -> Self {
        Self { plan, objectives, looks: plan.looks(), seen: 0, why: None }
    }

    /// Whether the run goes on, seen at `now`.
    pub(super) fn look(&mut self, summary: &Summary, now: Moment) -> ControlFlow<()> {
        if self.why.is_none() {
            self.why = self.beyond_all_help(summary).or_else(|| self.decided(summary, now));
        }
        if self.why.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The looks so far.
    pub(super) fn so_far(&self) -> Option<Looked> {
        self.looks.clone()
    }

    /// The looks, and why the run was ended.
    pub(super) fn end(self) -> (Option<Looked>, Option<String>) {
        (self.looks, self.why)
    }

    /// A largest time that is too large can only become larger: that takes no statistics.
    fn beyond_all_help(&self, summary: &Summary) -> Option<String> {
        let broken = |each: &&Resolved| match (each.objective.indicator(), each.objective.bound()) {
            (Indicator::Max, Bound::Time(bound)) => {
                let within = |largest| each.objective.comparison().holds(&largest, &bound);
                let largest = summary.tally(each.scope, Some(Phase::Measure)).response_time.max();
                largest.is_some_and(|largest| !within(largest))
            }
            _ => false,
        };
        let found = self.objectives.iter().filter(|_| self.plan.run.abort_on_fail).find(broken)?;
        Some(format!("{} is missed (--abort-on-fail)", found.objective))
    }

    fn decided(&mut self, summary: &Summary, now: Moment) -> Option<String> {
        let looks = self.looks.as_mut()?;
        let number = looks.due(summary, now, self.seen)?;
        self.seen = number + 1;
        let (stopped, decided) = looks.look(number, summary, now, self.objectives);
        tracing::debug!("look {number} at {:?} found {decided:?}", now.since(Moment::ZERO));
        let run = &self.plan.run;
        let by_hand = summary.events.kept().iter().any(|event| event.kind.is_by_hand());
        let why = match decided.missed.first() {
            Some(place) if run.abort_on_fail => {
                format!("{} is surely missed (--abort-on-fail)", self.objectives[*place].objective)
            }
            // What was seen so far is all there is only where the load is even.
            _ if run.until_decided && decided.all && !by_hand => {
                "each objective is decided (--until-decided)".to_owned()
            }
            _ => return None,
        };
        looks.stopped = Some(stopped);
        Some(why)
    }
}
