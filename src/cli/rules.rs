//! `mcpace rules`: a plan's objectives as rules of Prometheus.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::exit::{Exit, Failure};
use super::{results, run};
use crate::export::{self, Promised};
use crate::plan;
use crate::time::{Moment, parse_duration};

/// How often the bundled Prometheus scrapes.
const SCRAPE_INTERVAL: &str = "5s";

/// Flags of `mcpace rules`.
#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    /// The plan. One with a name gives rules about runs of that name, one without about every run.
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    /// How often Prometheus scrapes: no window is shorter than it takes.
    #[arg(long, value_name = "D", default_value = SCRAPE_INTERVAL, value_parser = parse_interval)]
    scrape_interval: Duration,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|why| format!("failed to {why}"))?;
    let sensible = Duration::from_secs(1)..=Duration::from_hours(1);
    if interval.subsec_nanos() == 0 && sensible.contains(&interval) {
        Ok(interval)
    } else {
        Err("give whole seconds, from 1s to 1h".to_owned())
    }
}

/// Prints the rules of a plan.
pub(super) fn rules(args: &RulesArgs) -> Result<Exit, Failure> {
    let at = args.plan.display().to_string();
    let text = std::fs::read_to_string(&args.plan).with_context(|| format!("failed to read the plan {at}"));
    let (draft, faults) = plan::read_file(&text.map_err(Failure::usage)?);
    let name = draft.name.clone();
    let plan = draft.check(0, faults).map_err(|faults| Failure::usage(anyhow::Error::new(faults).context(at)))?;
    let page = export::rules(&Promised {
        name: name.as_deref(),
        objectives: &run::resolved(&plan)?,
        flows: &plan.flow_names(),
        operations: &plan.operation_names(),
        length: plan.longest().saturating_sub(plan.latest_warmup().since(Moment::ZERO)),
        scrape_interval: args.scrape_interval,
    });
    results::write(page.as_bytes()).map(|()| Exit::Pass)
}
