//! The same plan at another rate: what a search for the highest rate tries.

use std::time::Duration;

use super::{Draft, Flow, Load, Plan, Run};
use crate::arrival::Profile;
use crate::time::Rate;
use crate::verdict::{Bound, Judging, Objective};

impl Draft {
    /// The same with every flow at its highest rate for all of `duration`: how a rate goes up and down, and when it ends, is
    /// for the search to say. Of the flows' rates only their proportion counts.
    #[must_use]
    pub fn flat(mut self, duration: Duration) -> Self {
        for flow in &mut self.flows {
            let rate = flow.load.profile.as_ref().map(Profile::peak).or(flow.load.rate);
            flow.load = Load { rate, duration: Some(duration), ..Load::default() };
        }
        self
    }
}

impl Plan {
    /// The same at `rate`, which the flows share in the proportion of their highest rates, for `duration` after warm-up. A
    /// promised rate becomes the one that is asked for: to be held is to sustain it. It ends early only where it is surely not.
    #[must_use]
    pub fn at_rate(&self, rate: Rate, duration: Duration, seed: u64) -> Self {
        let long = self.run.warmup.at_most(Duration::ZERO) + duration;
        let shares = self.shares();
        let flat = |(flow, share): (&Flow, f64)| {
            let rate = Rate::per_second(rate.get() * share).unwrap_or(Rate::ZERO);
            Flow { load: Profile::flat(rate, long), total: None, ..flow.clone() }
        };
        let objectives = self.objectives.iter().map(|objective| {
            let sustained = floored(rate.get() * self.part_of(objective));
            objective.clone().reaching(sustained.unwrap_or(Rate::SLOWEST_LOAD))
        });
        let abort_on_fail = self.judging == Judging::Confident;
        Self {
            seed,
            run: Run { until_decided: false, abort_on_fail, ..self.run },
            flows: self.flows.iter().zip(shares).map(flat).collect(),
            objectives: objectives.collect(),
            ..self.clone()
        }
    }

    /// The rate of all flows together at which every promised rate is reached; `None` where none is promised.
    pub fn promised_rate(&self) -> Option<Rate> {
        let needed = self.objectives.iter().filter_map(|objective| match objective.bound() {
            Bound::Rate(rate) => Rate::per_second(rate.get() / self.part_of(objective)),
            Bound::Time(_) | Bound::Share(_) => None,
        });
        needed.reduce(Rate::max)
    }

    /// What part of all arrivals each flow has.
    fn shares(&self) -> Vec<f64> {
        let peaks: Vec<f64> = self.flows.iter().map(|flow| flow.load.peak().get()).collect();
        let all: f64 = peaks.iter().sum();
        peaks.into_iter().map(|peak| peak / all).collect()
    }

    /// What part of all arrivals an objective is about.
    fn part_of(&self, objective: &Objective) -> f64 {
        let Some(scope) = objective.scope() else { return 1.0 };
        let part = |flow: &Flow| {
            let all: f64 = flow.mix.iter().map(|(_, weight)| weight).sum();
            flow.mix.iter().filter(|(name, _)| name == scope).map(|(_, weight)| weight / all).sum::<f64>()
        };
        let names_an_operation = self.operations.iter().any(|operation| operation.name == scope);
        let is_named = |flow: &Flow| f64::from(u8::from(flow.name == scope));
        let of_flow = |flow| if names_an_operation { part(flow) } else { is_named(flow) };
        let parts = self.flows.iter().zip(self.shares()).map(|(flow, share)| share * of_flow(flow));
        parts.sum()
    }
}

/// A rate cut to four digits, so that it reads well and asks for nothing that was not intended.
fn floored(rate: f64) -> Option<Rate> {
    let scale = 10_f64.powf(3.0 - rate.log10().floor());
    Rate::per_second((rate * (1.0 + 1e-12) * scale).floor() / scale)
}

#[cfg(test)]
mod tests {
    use super::super::{Faults, read_file};
    use super::*;

    fn rate(per_second: f64) -> Rate {
        Rate::per_second(per_second).unwrap()
    }

    fn plan(toml: &str) -> Plan {
        let (draft, faults) = read_file(toml);
        draft.flat(Duration::from_secs(7)).check(1, faults).unwrap()
    }

    const TWO: &str = r#"
        target = { url = "http://localhost:8000" }
        run = { warmup = "2s" }
        objectives = ["p95 < 150ms", "rate(verify_payment) >= 30/s"]
        [[flow]]
        name = "writes"
        operations = { create_payment = 1, verify_payment = 3 }
        load = "ramp from 0/s to 300/s over 1m, 100/s for 1h"
        total = 5
        objectives = ["rate >= 100/s"]
        [[flow]]
        name = "reads"
        operations = { get_wallet_balance = 1 }
        load = "100/s for 5s"
    "#;

    #[test]
    fn flows_keep_their_proportion_and_promised_rates_become_what_is_asked_for() {
        let probe = plan(TWO).at_rate(rate(1000.0), Duration::from_secs(10), 9);
        let loads: Vec<_> = probe.flows.iter().map(|flow| flow.load.to_string()).collect();
        assert_eq!(loads, ["750/s for 12s", "250/s for 12s"]);
        assert_eq!(
            (probe.seed, probe.flows[0].total, probe.scheduled_duration()),
            (9, None, Some(Duration::from_secs(12)))
        );
        let objectives: Vec<_> = probe.objectives.iter().map(ToString::to_string).collect();
        assert_eq!(objectives, ["p95 < 150ms", "rate(verify_payment) >= 562.5/s", "rate(writes) >= 750/s"]);
        assert_eq!((probe.run.until_decided, probe.run.abort_on_fail), (false, true));
        let again = probe.at_rate(rate(100.0), Duration::from_secs(1), 9);
        assert_eq!(again.flows[1].load.to_string(), "25/s for 3s");
    }

    #[test]
    fn the_promised_rate_is_that_at_which_every_scope_has_its_own() {
        // Verifies are 9/16 of all arrivals, writes 12/16.
        assert_eq!(plan(TWO).promised_rate(), Some(rate(100.0 / 0.75)));
        assert_eq!(plan("target = { url = \"http://localhost:8000\" }").promised_rate(), None);
    }

    #[test]
    fn counts_and_profiles_do_not_end_a_search() {
        let flat = Draft::default().flat(Duration::from_secs(1)).check(1, Faults::default()).unwrap();
        assert_eq!(flat.at_rate(rate(3.0), Duration::from_secs(2), 1).flows[0].load.to_string(), "3/s for 2s");
    }

    #[test]
    fn a_rate_is_cut_and_never_raised() {
        for (exact, cut) in [(171.3, 171.3), (56.666_666, 56.66), (1234.56, 1234.0), (0.1, 0.1), (12_345.0, 12_340.0)] {
            assert_eq!(floored(exact), Some(rate(cut)), "{exact}");
        }
    }
}
