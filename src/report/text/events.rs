//! A section of the text report: what happened to the run, by its moment.

use std::fmt;

use super::super::{Report, happened};
use super::page::Page;
use crate::measure::Event;

/// At most so many lines.
const MOST: usize = 20;

/// What happened to the run, or was done to it.
pub(super) fn events(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let events = &report.saved.summary.events;
    if events.is_empty() {
        return Ok(());
    }
    page.heading("EVENTS, by time into the run")?;
    let line = |event: &Event| format!("{}: {}", happened::when(event), happened::what(event));
    events.kept().iter().take(MOST).try_for_each(|event| page.paragraph("  - ", &line(event)))?;
    if let Some(more) = events.kept().len().checked_sub(MOST).filter(|more| *more > 0) {
        page.paragraph("  - ", &format!("and {more} more, which the saved run has"))?;
    }
    events.left_out().try_for_each(|(kind, number)| page.paragraph("  - ", &happened::more(kind, number)))
}
