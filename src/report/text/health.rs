//! Two sections of the text report: the generator's own part in the figures, and what the target's process used.

use std::fmt;

use super::super::humane::{count, percent};
use super::super::words::{self, NOTHING};
use super::super::{LagShare, Report};
use super::page::Page;
use super::table::Table;
use crate::measure::{Resource, Window};
use crate::time::humane_duration;

/// How much of each promise about time is the generator's own, and how the generator fared.
pub(super) fn generator(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let health = report.saved.summary.health.together(report.saved.summary.warmup);
    let facts = facts(&health);
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
    facts.iter().try_for_each(|(label, text)| page.paragraph(label, text))
}

fn facts(health: &crate::measure::Health) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let (Some(ran), Some(waited), Some(wait)) = (health.ran_share(), health.waited_share(), health.wait_per_turn()) {
        let text = format!(
            "lanes ran {} of the time and waited {} for a processor, {} each time on average",
            percent(ran),
            percent(waited),
            humane_duration(wait)
        );
        facts.push(("  processor   ", text));
    }
    if let Some(stolen) = health.stolen_share().filter(|share| *share > 0.0) {
        facts
            .push(("  stolen      ", format!("{} of this machine's time, by other virtual machines", percent(stolen))));
    }
    let dispersions = (health.intended.dispersion(Window::Fine), health.sent.dispersion(Window::Fine));
    if let (Some(intended), Some(sent)) = dispersions {
        let length = humane_duration(Window::Fine.length());
        let text = format!("index {sent:.2} as sent, {intended:.2} as scheduled, in windows of {length}");
        facts.push(("  dispersion  ", text));
    }
    if let (Some(most), Some(allowed)) = (health.descriptors.max(), health.most_descriptors.min()) {
        facts.push(("  descriptors ", format!("{} at most, of {} that may be open", count(most), count(allowed))));
    }
    facts
}

/// What the target's process used, where somebody looked.
pub(super) fn target(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let summary = &report.saved.summary;
    if summary.usage.is_empty() {
        return Ok(());
    }
    page.heading("THE TARGET'S PROCESS")?;
    let mut table = Table::new(2, &["", "min", "mean", "max", "last", "an hour"]);
    for resource in Resource::ALL {
        let trend = summary.usage.trend(resource, summary.warmup);
        let cells = trend.map_or_else(
            || [NOTHING; 5].map(str::to_owned),
            |trend| {
                let level = trend.level;
                let show = |value: f64| words::amount(resource, value);
                let hour = trend.per_hour.map_or_else(
                    || NOTHING.to_owned(),
                    |growth| format!("{}{}", if growth < 0.0 { "-" } else { "+" }, show(growth.abs())),
                );
                let [min, max] = [level.min(), level.max()].map(|value| show(value.unwrap_or_default() as f64));
                [min, show(level.mean().unwrap_or_default()), max, show(trend.last), hour]
            },
        );
        table.row(&[&[words::resource(resource).to_owned()], cells.as_slice()].concat());
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))?;
    words::missed_looks(report).map_or(Ok(()), |text| page.paragraph("  ", &text))
}
