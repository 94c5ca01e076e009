//! How much of each promise about time is the generator's own: the lag budget.

use std::time::Duration;

use super::SavedRun;
use crate::measure::Phase;
use crate::verdict::{Bound, Judgement, Objective};

/// An objective that bounds a time, and how much of the bound the generator used up itself.
#[derive(Clone, Debug, PartialEq)]
pub struct LagShare {
    /// The promise.
    pub objective: Objective,
    /// Its bound.
    pub bound: Duration,
    /// The p99 of the pacing lag of what it is about, after warm-up.
    pub lag: Duration,
}

impl LagShare {
    /// The lag as a share of the bound.
    pub fn share(&self) -> f64 {
        self.lag.as_secs_f64() / self.bound.as_secs_f64()
    }
}

/// One for each objective that bounds a time and of which something was picked up.
pub(super) fn lag_budget(saved: &SavedRun, judgement: &Judgement) -> Vec<LagShare> {
    let (flows, operations) = (saved.plan.flow_names(), saved.plan.operation_names());
    let share = |objective: &Objective| {
        let Bound::Time(bound) = objective.bound() else { return None };
        let scope = objective.clone().resolve(&flows, &operations).ok()?.scope;
        let lag = saved.summary.tally(scope, Some(Phase::Measure)).pacing_lag.value_at_quantile(0.99)?;
        Some(LagShare { objective: objective.clone(), bound, lag })
    };
    judgement.findings.iter().filter_map(|finding| share(&finding.objective)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn each_bound_of_a_time_has_its_share_and_others_have_none() {
        let run = fixtures::ok();
        let budget = lag_budget(&run, &run.judge(&[]).unwrap());
        assert_eq!(budget.len(), 1);
        assert_eq!(budget[0].objective.to_string(), "p95(create_payment) < 150ms");
        assert!((budget[0].share() - 60e-6 / 0.150).abs() < 1e-5, "{:?}", budget[0]);
        let empty = fixtures::empty();
        assert_eq!(lag_budget(&empty, &empty.judge(&[]).unwrap()), []);
    }
}
