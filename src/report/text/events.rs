//! A section of the text report: what happened to the run, by its moment.

use std::fmt;

use super::super::{Report, happened};
use super::page::Page;

/// What happened to the run, or was done to it.
pub(super) fn events(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let events = &report.saved.summary.events;
    if events.is_empty() {
        return Ok(());
    }
    page.heading("EVENTS, by time into the run")?;
    happened::lines(events).iter().try_for_each(|line| page.paragraph("  - ", line))
}
