//! Prometheus rules for what a plan promises: how fast each objective's budget burns, and alerts on that.
//!
//! An objective allows some share of arrivals to be bad. Its *burn rate* is the share that was bad in a window, divided by
//! the share that is allowed: at 1 the run ends with nothing left, at 6 the allowance of an hour is gone in ten minutes. An
//! alert wants it high in a long window, so that it matters, and in a short one, so that it still goes on. The method, and
//! the figures of [`tiers()`], are those of the multi-window alerts in Google's *Site Reliability Workbook*, chapter 5, with
//! the length of the run in place of thirty days.

mod alerts;
mod burn;
#[cfg(test)]
mod tests;
mod tiers;
mod yaml;

use std::time::Duration;

use super::reading::labels;
use crate::verdict::{Indicator, Resolved};
use burn::{Selector, burn};
use tiers::{Severity, Tier, tiers};
use yaml::{Alert, Record, Rules};

/// Where each alert has a section of its own.
const RUNBOOK: &str = "docs/runbook.md";
/// Of burn rates, by objective and window.
const BURN: &str = "objective:mcpace_burn:rate";

/// What rules are made from.
#[derive(Clone, Debug)]
pub struct Promised<'a> {
    /// What runs call themselves that the objectives are about; `None` for every run.
    pub name: Option<&'a str>,
    /// The promises.
    pub objectives: &'a [Resolved],
    /// The names of the plan's flows, by their place in it.
    pub flows: &'a [String],
    /// The names of the plan's operations, by their place in it.
    pub operations: &'a [String],
    /// How long the part of the run is that is judged.
    pub length: Duration,
    /// How often Prometheus scrapes.
    pub scrape_interval: Duration,
}

/// A file of Prometheus rules, in YAML.
pub fn rules(promised: &Promised<'_>) -> String {
    let mut rules = Rules::new(&format!(
        "Rules for runs of {}, of which {} are judged, scraped every {}. Written by `mcpace rules`: change the plan, not \
         this file.",
        promised.name.map_or_else(|| "any plan".to_owned(), |name| serde_json::Value::from(name).to_string()),
        yaml::duration(promised.length),
        yaml::duration(promised.scrape_interval)
    ));
    let texts: Vec<String> = promised.objectives.iter().map(|each| each.objective.to_string()).collect();
    rules.group("mcpace objectives");
    for (resolved, text) in promised.objectives.iter().zip(labels(&texts)) {
        of_objective(&mut rules, promised, resolved, &text);
    }
    rules.group("mcpace");
    alerts::of_any_run(&mut rules, promised.scrape_interval);
    rules.text()
}

/// The burn rate of an objective in every window, and the alerts on it.
fn of_objective(rules: &mut Rules, promised: &Promised<'_>, resolved: &Resolved, text: &str) {
    let selector = Selector::of(resolved.scope, &labels(promised.flows), &labels(promised.operations));
    let of_run = promised.name.map(|name| labels(&[name.to_owned()]).concat());
    let budget = burn::allowed(&resolved.objective);
    let tiers = tiers(promised.length, promised.scrape_interval, budget);
    let mut windows: Vec<Duration> = tiers.iter().flat_map(|tier| [tier.long, tier.short]).collect();
    windows.sort_unstable();
    windows.dedup();
    rules.comment(text);
    for window in windows {
        let expression = burn(&resolved.objective, &selector, window);
        let expression = match &of_run {
            Some(name) => {
                format!("({expression})\nand on (job, instance) mcpace_run_info{{name={}}}", yaml::quoted(name))
            }
            None => expression,
        };
        let labels = [("objective", text.to_owned()), ("window", yaml::duration(window))];
        rules.record(&Record { name: BURN, expression, labels: &labels });
    }
    for tier in &tiers {
        rules.alert(&alert(resolved.objective.indicator(), text, tier, promised));
    }
}

fn alert(indicator: Indicator, text: &str, tier: &Tier, promised: &Promised<'_>) -> Alert {
    let Tier { speed, severity, long, short, factor } = tier;
    let burns = |window: &Duration| {
        let (objective, window) = (yaml::quoted(text), yaml::quoted(&yaml::duration(*window)));
        format!("{BURN}{{objective={objective}, window={window}}} > {factor}")
    };
    let (name, what) = match indicator {
        Indicator::Rate => ("McpaceRateNotAchieved", "arrivals that were not answered ok"),
        Indicator::Mean => ("McpaceObjectiveBurning", "the time"),
        _ => ("McpaceObjectiveBurning", "arrivals"),
    };
    let urgency = match severity {
        Severity::Critical => "The run will fail if this goes on.",
        Severity::Warning => "If this goes on, the run ends with nothing left of it.",
    };
    Alert {
        name,
        expression: format!("{}\nand ignoring (window) {}", burns(long), burns(short)),
        wait: promised.scrape_interval * 2,
        severity: severity.name(),
        about: "target",
        // The series has this label already; here it tells the rules apart, for whoever lists them.
        labels: vec![("objective", yaml::untemplated(text)), ("speed", (*speed).to_owned())],
        summary: "{{ $labels.objective }} is being missed".to_owned(),
        description: format!(
            "In the last {} {what} used {{{{ $value | humanize }}}} times what {{{{ $labels.objective }}}} allows for, and \
             still do in the last {}. {urgency}",
            yaml::duration(*long),
            yaml::duration(*short),
        ),
    }
}
