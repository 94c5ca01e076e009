//! The alerts that every run has, whatever it promises.

use std::time::Duration;

use super::yaml::{self, Alert, Rules};

/// A rate or an increase is looked at over this many scrapes.
const WINDOW: u32 = 12;
/// What must not happen at all is remembered for this many scrapes.
const MEMORY: u32 = 60;
/// After this many intervals without a new count the generator is silent.
const SILENCE: u32 = 3;

/// Writes the alerts that are about any run.
pub(super) fn of_any_run(rules: &mut Rules, scrape_interval: Duration) {
    rules.comment(
        "What the run itself says of its objectives as a whole; it knows the confidence, which no window does.",
    );
    rules.alert(&missed(scrape_interval));
    rules.comment("Whatever is promised: no arrival should be lost for want of room, and no answer be untrue.");
    rules.alert(&dropped(scrape_interval));
    rules.alert(&untrue(scrape_interval));
    rules.comment(
        "About the generator: while one of these fires, what is said of the target means nothing (prometheus/alertmanager.yml).",
    );
    rules.alert(&silent(scrape_interval));
    rules.alert(&unhealthy(scrape_interval));
}

fn missed(scrape_interval: Duration) -> Alert {
    Alert {
        name: "McpaceObjectiveMissed",
        expression: "mcpace_objective_met == 0".to_owned(),
        wait: scrape_interval * 6,
        severity: "critical",
        about: "target",
        labels: Vec::new(),
        summary: "{{ $labels.objective }} is missed".to_owned(),
        description: "The run as a whole, so far, does not keep {{ $labels.objective }}.".to_owned(),
    }
}

fn dropped(scrape_interval: Duration) -> Alert {
    let window = yaml::duration(scrape_interval * WINDOW);
    Alert {
        name: "McpaceArrivalsDropped",
        expression: format!(
            "sum by (job, instance, flow, operation) (increase(mcpace_arrivals_dropped_total{{phase=\"measure\"}}[{window}]))\n> 0"
        ),
        wait: scrape_interval * 2,
        severity: "warning",
        about: "target",
        labels: Vec::new(),
        summary: "arrivals of {{ $labels.operation }} are dropped".to_owned(),
        description: format!(
            "In the last {window} about {{{{ $value | humanize }}}} arrivals of {{{{ $labels.operation }}}} (flow \
             {{{{ $labels.flow }}}}) found no room in flight in time and were never sent. They count as errors."
        ),
    }
}

fn untrue(scrape_interval: Duration) -> Alert {
    let window = yaml::duration(scrape_interval * MEMORY);
    Alert {
        name: "McpacePromiseBroken",
        expression: format!("sum by (job, instance, kind) (increase(mcpace_violations_total[{window}]))\n> 0"),
        wait: scrape_interval * 2,
        severity: "critical",
        about: "target",
        labels: Vec::new(),
        summary: "a promise about money is broken: {{ $labels.kind }}".to_owned(),
        description: format!(
            "Calls answered against a promise about money ({{{{ $labels.kind }}}}) in the last {window}: about \
             {{{{ $value | humanize }}}}. The report has the evidence."
        ),
    }
}

fn silent(scrape_interval: Duration) -> Alert {
    let (patience, memory) = ((scrape_interval * SILENCE).as_secs(), yaml::duration(scrape_interval * MEMORY));
    Alert {
        name: "McpaceGeneratorSilent",
        expression: format!(
            "(up == 0 and on (job, instance) last_over_time(mcpace_run_state{{state=\"ended\"}}[{memory}]) == 0)\n\
             or\n\
             (time() - mcpace_snapshot_timestamp_seconds > {patience} and on (job, instance) mcpace_run_state{{state=\"ended\"}} == 0)"
        ),
        wait: scrape_interval * 3,
        severity: "critical",
        about: "generator",
        labels: Vec::new(),
        summary: "the load generator {{ $labels.instance }} is silent".to_owned(),
        description: "Nothing is known of the run any more: it was killed, hangs or cannot be reached. Alerts on its \
                      target mean nothing until it is back."
            .to_owned(),
    }
}

fn unhealthy(scrape_interval: Duration) -> Alert {
    Alert {
        name: "McpaceGeneratorUnhealthy",
        expression:
            "mcpace_generator_doubts > 0\nand on (job, instance) mcpace_run_state{state=~\"measure|paused\"} == 1"
                .to_owned(),
        wait: scrape_interval * 6,
        severity: "warning",
        about: "generator",
        labels: Vec::new(),
        summary: "{{ $value }} doubts about the load generator {{ $labels.instance }}".to_owned(),
        description: "As things stand the run is INVALID: what it measures is not to be trusted.".to_owned(),
    }
}
