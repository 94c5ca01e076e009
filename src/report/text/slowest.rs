//! A section of the text report: the slowest calls by name.

use std::fmt;

use super::super::humane::counted;
use super::super::{Report, slowest};
use super::page::Page;
use super::table::Table;

/// At most so many.
const MOST: usize = 5;

/// The slowest calls, with their traces where they told any.
pub(super) fn slowest(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let rows = slowest::rows(report);
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(2, &slowest::HEAD);
    for row in rows.iter().take(MOST) {
        table.row(&row.cells);
    }
    page.heading("SLOWEST CALLS, by response time")?;
    let lines = table.lines();
    page.line(2, &lines[0])?;
    for (line, row) in lines[1..].iter().zip(&rows) {
        page.line(2, line)?;
        row.trace.map_or(Ok(()), |trace| page.line(6, &format!("trace {trace}")))?;
    }
    match rows.len().saturating_sub(MOST) as u64 {
        0 => Ok(()),
        more => {
            page.paragraph("  ", &format!("and {}, which the saved run and the page have", counted(more, "more call")))
        }
    }
}
