//! Whether the payments were true: reads by the age of the write, keys used again, what is not resolved, and each kind of
//! broken promise with its first evidence.

use std::fmt;

use super::super::humane::{clean, clip, counted};
use super::super::{Report, payments};
use super::page::{Mood, Page};
use super::table::Table;
use crate::measure::Violations;

/// How much of what was sent and said is shown.
const SHOWN: usize = 160;

/// The section; nothing where nothing was looked at.
pub(super) fn truth(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let truth = &report.saved.summary.truth;
    if truth.is_idle() {
        return Ok(());
    }
    page.heading("PAYMENTS TRUTH")?;
    for (head, rows) in [(payments::READS, payments::reads(truth)), (payments::PROBES, payments::probes(truth))] {
        if rows.is_empty() {
            continue;
        }
        let mut table = Table::new(2, &head);
        for row in &rows {
            table.row(row);
        }
        table.lines().iter().try_for_each(|line| page.line(2, line))?;
    }
    payments::balances(truth).map_or(Ok(()), |text| page.paragraph("  ", &text))?;
    for row in truth.unresolved() {
        for (label, text) in ["  ", "      "].into_iter().zip(payments::unresolved(row, report)) {
            page.paragraph(label, &text)?;
        }
    }
    if truth.violations().is_empty() {
        return page.paragraph("  ", payments::NONE);
    }
    truth.violations().iter().try_for_each(|violations| violated(violations, report, page))
}

fn violated(violations: &Violations, report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let Violations { kind, calls, evidence } = violations;
    let text = format!("  {}: {}", counted(*calls, "call"), payments::meaning(*kind));
    page.marked(2, (kind.name(), Mood::Bad), &text)?;
    let Some(first) = evidence.first() else { return Ok(()) };
    page.paragraph("      first     ", &payments::when(first, report))?;
    for (label, text) in [("sent", &first.sent), ("expected", &first.expected), ("answered", &first.said)] {
        page.paragraph(&format!("      {label:<10}"), &clip(&clean(text), SHOWN))?;
    }
    Ok(())
}
