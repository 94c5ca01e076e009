//! A forecast as text: what a dry run prints.

use std::fmt;

use super::super::Forecast;
use super::super::forecast::shown;
use super::super::humane::count;
use super::page::{Page, Style};
use super::table::Table;
use crate::time::{Moment, humane_duration};

const UNKNOWN: &str = "not known";

/// Writes `forecast`; `target` says what was found there.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_forecast(forecast: &Forecast<'_>, target: &str, style: Style, out: &mut dyn fmt::Write) -> fmt::Result {
    let page = &mut Page::new(out, style);
    page.rule()?;
    page.paragraph("DRY RUN  ", &forecast.plan.name)?;
    page.rule()?;
    page.paragraph("", "No tool was called.")?;
    page.gap()?;
    page.paragraph("target    ", &format!("{} ({target})", forecast.plan.target))?;
    page.paragraph("seed      ", &format!("{0} (--seed {0} gives this very schedule)", forecast.plan.seed))?;
    schedule(forecast, page)?;
    in_flight(forecast, page)?;
    decisions(forecast, page)?;
    resources(forecast, page)?;
    let warnings = forecast.warnings();
    if warnings.is_empty() {
        page.gap()?;
        return page.paragraph("", "Nothing speaks against this run.");
    }
    page.heading("WHAT SPEAKS AGAINST IT")?;
    warnings.iter().try_for_each(|warning| page.paragraph("  - ", warning))
}

fn schedule(forecast: &Forecast<'_>, page: &mut Page<'_>) -> fmt::Result {
    page.heading("SCHEDULE")?;
    let mut table = Table::new(2, &["flow", "arrivals", "peak rate", "first due after the beginning"]).left(&[3]);
    for flow in &forecast.schedule {
        let first: Vec<String> = flow.first.iter().map(|at| humane_duration(at.since(Moment::ZERO))).collect();
        let arrivals = count(flow.arrivals.round() as u64);
        table.row(&[flow.flow.clone(), arrivals, shown(flow.peak.get()), first.join(", ")]);
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

fn in_flight(forecast: &Forecast<'_>, page: &mut Page<'_>) -> fmt::Result {
    if forecast.in_flight.is_empty() {
        return Ok(());
    }
    page.heading("IN FLIGHT, where every call takes as long as is promised")?;
    let mut table = Table::new(2, &["objective", "peak rate", "calls", "--concurrent"]);
    for each in &forecast.in_flight {
        let concurrent = count(u64::from(forecast.plan.run.concurrent.get()));
        table.row(&[each.objective.to_string(), shown(each.peak), count(each.calls.ceil() as u64), concurrent]);
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))
}

fn decisions(forecast: &Forecast<'_>, page: &mut Page<'_>) -> fmt::Result {
    page.heading("CALLS IT TAKES TO DECIDE")?;
    let head = ["objective", "expected", "none bad", "half of allowance", "enough"];
    let mut table = Table::new(2, &head).left(&[4]);
    for each in &forecast.decisions {
        let [none, half] = each.enough.map_or_else(
            || ["-".to_owned(), "-".to_owned()],
            |enough| [count(enough.with_none_bad), count(enough.with_half_bad)],
        );
        let enough = match (each.suffices(), each.enough) {
            (None, _) => "as observed",
            (Some(false), _) => "no",
            (Some(true), Some(enough)) if each.expected < enough.with_half_bad as f64 => "if good",
            (Some(true), _) => "yes",
        };
        let expected = count(each.expected.round() as u64);
        table.row(&[each.objective.to_string(), expected, none, half, enough.to_owned()]);
    }
    table.lines().iter().try_for_each(|line| page.line(2, line))?;
    page.paragraph(
        "  ",
        "So many calls after warm-up decide with 95 % confidence where calls are independent: with none of them bad, and \
         nine times in ten with half of what is allowed.",
    )
}

fn resources(forecast: &Forecast<'_>, page: &mut Page<'_>) -> fmt::Result {
    page.heading("THIS MACHINE")?;
    let there = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), count);
    let needed = forecast
        .connections()
        .map_or_else(|| "few, as calls share them".to_owned(), |most| format!("at most {}", count(most)));
    page.paragraph("  connections  ", &needed)?;
    let resources = &forecast.resources;
    let descriptors =
        format!("{} needed, {} allowed", count(resources.descriptors_needed), there(resources.descriptors));
    page.paragraph("  descriptors  ", &descriptors)?;
    let ports = forecast.ports_needed().map_or_else(|| "few".to_owned(), |most| format!("at most {}", count(most)));
    page.paragraph("  ports        ", &format!("{ports} needed, {} there", there(resources.ports)))?;
    let late = |quantile| forecast.lateness(quantile).map(humane_duration);
    let timer = match (late(0.5), late(0.99)) {
        (Some(p50), Some(p99)) => {
            format!("{p50} late at p50, {p99} at p99, of {} wake-ups", resources.lateness.len())
        }
        _ => UNKNOWN.to_owned(),
    };
    page.paragraph("  timer        ", &timer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::humane::columns;
    use super::super::super::{Resources, fixtures};
    use super::*;

    fn text(run: &super::super::super::SavedRun) -> String {
        let lateness = (1..=50).map(|n| Duration::from_micros(10 * n)).collect();
        let resources =
            Resources { descriptors_needed: 10_032, descriptors: Some(20_000), ports: Some(28_232), lateness };
        let mut page = String::new();
        write_forecast(&Forecast::new(&run.plan, resources), "payments, MCP 2025-11-25", Style::default(), &mut page)
            .unwrap();
        page
    }

    #[test]
    fn a_dry_run_of_two_flows() {
        insta::assert_snapshot!(text(&fixtures::flows()));
    }

    #[test]
    fn a_dry_run_is_never_wider_than_eighty_columns() {
        for (name, run) in fixtures::all() {
            let wide = text(&run).lines().find(|line| columns(line) > super::super::page::WIDTH).map(str::to_owned);
            assert_eq!(wide, None, "{name}");
        }
    }
}
