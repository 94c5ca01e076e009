//! How many arrivals the plan intends, second by second: what the summary's rates are held against.

use crate::arrival::Profile;
use crate::measure::{Summary, WarmupEnd};
use crate::plan::{Flow, Plan};
use crate::time::Moment;

const SECOND: u64 = 1_000_000_000;

/// The plan's intentions, filled into a summary as time goes on.
pub(super) struct Expected {
    flows: Vec<Intended>,
    warmup: WarmupEnd,
    filled: Moment,
}

struct Intended {
    flow: Flow,
    end: Moment,
    /// Operations with their shares.
    shares: Vec<(u16, f64)>,
}

impl Expected {
    pub(super) fn new(plan: &Plan, warmup: WarmupEnd) -> Self {
        let flows = plan.flows.iter().map(|flow| {
            let weights: f64 = flow.mix.iter().map(|(_, weight)| weight).sum();
            let place = |name: &str| plan.operations.iter().position(|o| o.name == name);
            let share = |(name, weight): &(String, f64)| Some((place(name)? as u16, weight / weights));
            let shares = flow.mix.iter().filter_map(share).collect();
            Intended { end: end_of(&flow.load, flow.total), flow: flow.clone(), shares }
        });
        Self { flows: flows.collect(), warmup, filled: Moment::ZERO }
    }

    /// Goes on under other profiles, one for each flow. What was filled in must be the same under them.
    pub(super) fn adopt(&mut self, loads: &[Profile]) {
        for (intended, load) in self.flows.iter_mut().zip(loads) {
            intended.flow.load.clone_from(load);
            intended.end = end_of(load, intended.flow.total);
        }
    }

    /// When each flow's schedule ends.
    pub(super) fn ends(&self) -> Vec<Moment> {
        self.flows.iter().map(|intended| intended.end).collect()
    }

    /// When the schedule ends: at the end of its load, or where the counted number of arrivals is expected to be reached.
    pub(super) fn end(&self) -> Moment {
        self.flows.iter().map(|intended| intended.end).max().unwrap_or_default()
    }

    /// Fills in what is left up to `until`: to the instant, so that a look at the summary in the middle of a second, or one
    /// that is never followed by another, finds all that was intended by then.
    pub(super) fn fill(&mut self, summary: &mut Summary, until: Moment) {
        while self.filled < until {
            let second = Moment::from_nanos((self.filled.as_nanos() / SECOND + 1) * SECOND);
            // A second in which warm-up ends is two pieces.
            let warmup = self.warmup.moment();
            let phase = if self.filled < warmup { warmup } else { Moment::FAR };
            let end = second.min(phase).min(until);
            for (flow, intended) in self.flows.iter().enumerate() {
                let arrivals = intended.flow.load.expected_between(self.filled, end.min(intended.end));
                for (operation, share) in intended.shares.iter().filter(|_| arrivals > 0.0) {
                    summary.expect(flow as u16, *operation, self.filled, arrivals * share);
                }
            }
            self.filled = end;
        }
    }
}

/// At the end of the load, or where the counted number of arrivals is expected to be reached.
pub(super) fn end_of(load: &Profile, total: Option<u64>) -> Moment {
    let by_load = Moment::ZERO.after(load.duration());
    total.and_then(|total| load.moment_of(total as f64)).unwrap_or(by_load).min(by_load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Phase, Scope};
    use crate::plan::{Draft, Faults, FlowDraft, Load, Warmup};

    #[test]
    fn what_is_expected_adds_up_to_the_load_on_both_sides_of_the_warm_up() {
        let load =
            Load { profile: Some("ramp to 100/s over 4s, 100/s for 2500ms".parse().unwrap()), ..Load::default() };
        let mix = vec![("create_payment".into(), 3.0), ("get_wallet_balance".into(), 1.0)];
        let flow = FlowDraft { mix, load, ..FlowDraft::default() };
        let warmup = Some(Warmup::For(std::time::Duration::from_millis(4500)));
        let plan = Draft { flows: vec![flow], warmup, ..Draft::default() }.check(1, Faults::default()).unwrap();
        let mut summary = Summary::new(Moment::from_nanos(4_500_000_000));
        let mut expected = Expected::new(&plan, Moment::from_nanos(4_500_000_000).into());
        expected.fill(&mut summary, Moment::from_nanos(3_700_000_000));
        // A ramp's area so far, to the instant.
        let so_far = 100.0 / 4.0 * 3.7 * 3.7 / 2.0;
        assert!(
            (summary.tally(Scope::Total, None).timeline.cells().map(|c| c.expected).sum::<f64>() - so_far).abs() < 1e-6
        );
        expected.fill(&mut summary, Moment::from_nanos(6_500_000_000));
        let total =
            |scope, phase| summary.tally(scope, Some(phase)).timeline.cells().map(|cell| cell.expected).sum::<f64>();
        assert!((total(Scope::Total, Phase::Warmup) - 250.0).abs() < 1e-6);
        assert!((total(Scope::Total, Phase::Measure) - 200.0).abs() < 1e-6);
        assert!((total(Scope::Operation(1), Phase::Measure) - 50.0).abs() < 1e-6);
    }
}
