//! Two sections of the text report: the generator's own part in the figures, and what the target's process used.

use std::fmt;

use super::super::humane::percent;
use super::super::{LagShare, Report, words};
use super::page::Page;
use super::table::Table;
use crate::measure::Resource;
use crate::time::humane_duration;

/// How much of each promise about time is the generator's own, and how the generator fared.
pub(super) fn generator(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let facts = words::generator(report);
    if report.lag_budget.is_empty() && facts.is_empty() {
        return Ok(());
    }
    page.heading("THE GENERATOR'S OWN PART")?;
    if !report.lag_budget.is_empty() {
        let mut table = Table::new(2, &["objective", "pacing lag p99", "of its bound"]);
        for share in &report.lag_budget {
            let LagShare { objective, lag, .. } = share;
            table.row(&[objective.to_string(), humane_duration(*lag), percent(share.share())]);
        }
        table.lines().iter().try_for_each(|line| page.line(2, line))?;
    }
    facts.iter().try_for_each(|(label, text)| page.paragraph(&format!("  {label:<12}"), text))
}

/// What the target's process used, where somebody looked.
pub(super) fn target(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    if report.saved.summary.usage.is_empty() {
        return Ok(());
    }
    page.heading("THE TARGET'S PROCESS")?;
    let mut table = Table::new(2, &["", "min", "mean", "max", "last", "an hour"]);
    for resource in Resource::ALL {
        table.row(&[&[words::resource(resource).to_owned()], words::trend(report, resource).as_slice()].concat());
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))?;
    words::missed_looks(report).map_or(Ok(()), |text| page.paragraph("  ", &text))
}
