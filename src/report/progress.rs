//! How a run is going, in one line of a terminal.
//!
//! Rates and p95 are those of the last few seconds by the timeline's cells, so that the line moves with the run; the second
//! that is under way is left out. A cell counts what has ended of what was due in it: an answer that is still to come is
//! missing from the rate, which is what a reader of an overloaded server's line should see.

use std::time::Duration;

use super::humane::{count, percent, quantile, rate};
use crate::measure::{Cell, Phase, Quantile, Scope, Sparse, Summary, nearest_rank};
use crate::time::{Moment, humane_duration};
use crate::verdict::Verdict;
use crate::verdict::search::{Probe, Purpose};

/// How far back the line looks.
const RECENT: Duration = Duration::from_secs(5);

/// When the run will end, as far as that is known: with whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// How long the schedule is.
    pub duration: Option<Duration>,
    /// How many arrivals it has.
    pub total: Option<u64>,
}

impl Goal {
    /// How far a run is that has lasted `elapsed` and has `scheduled` so many arrivals.
    pub(super) fn reached(self, elapsed: Duration, scheduled: u64) -> String {
        match (self.duration, self.total) {
            (Some(duration), _) => format!("{} of {}", humane_duration(elapsed), humane_duration(duration)),
            (None, Some(total)) => {
                format!("{}  {} of {} arrivals", humane_duration(elapsed), count(scheduled), count(total))
            }
            (None, None) => humane_duration(elapsed),
        }
    }
}

/// The run so far in at most `width` columns: the time, what came of what was due in the last seconds, and the levels of
/// the moment. What finds no room is left out, from the end on.
pub fn line(summary: &Summary, now: Moment, goal: Goal, width: usize) -> String {
    let total = summary.tally(Scope::Total, None);
    let scheduled = summary.accounting().scheduled;
    let elapsed = now.since(Moment::ZERO);
    let mut parts = vec![goal.reached(elapsed, scheduled)];
    if let Some(recent) = Recent::of(&total.timeline, now) {
        parts.push(format!("{} due  {} ok", rate(recent.intended), rate(recent.ok)));
        parts.extend(recent.p95.map(|p95| format!("p95 {}", quantile(p95))));
    }
    parts.push(format!("{} failed", count(total.bad())));
    parts.push(format!("{} in flight", count(summary.gauges.in_flight)));
    parts.push(format!("{} waiting", count(summary.gauges.waiting)));
    fitting(&parts, width)
}

/// One line about a probe that was made: what was tried, and what came of it.
pub fn trial(number: u64, probe: Probe, verdict: Option<Verdict>, summary: &Summary) -> String {
    let measured = summary.tally(Scope::Total, Some(Phase::Measure));
    let p95 =
        measured.quantile(0.95).map_or_else(|| "nothing ended".to_owned(), |p95| format!("p95 {}", quantile(p95)));
    let what = if probe.purpose == Purpose::Hold { "hold" } else { "probe" };
    let verdict = verdict.map_or_else(|| "broken off".to_owned(), |verdict| verdict.to_string());
    let (rate, duration) = (rate(probe.rate.get()), humane_duration(probe.duration));
    let not_ok = measured.error_rate().map_or_else(String::new, |share| format!("   {} not ok", percent(share)));
    format!("{what} {number:>2}   {rate:>9} for {duration}   {verdict:<12}   {p95}{not_ok}")
}

/// As many parts as fit, with room between them. Every part is made of characters of one column.
fn fitting(parts: &[String], width: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let gap = if line.is_empty() { "" } else { "   " };
        if line.chars().count() + gap.len() + part.chars().count() > width {
            break;
        }
        line.push_str(gap);
        line.push_str(part);
    }
    line
}

/// The last few seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recent {
    /// Arrivals per second that were due.
    pub(super) intended: f64,
    /// Arrivals per second that were answered ok.
    pub(super) ok: f64,
    /// The p95 of what came to an end.
    pub(super) p95: Option<Quantile>,
}

impl Recent {
    /// The cells that ended in the last seconds before `now`; `None` where none has ended yet.
    pub(super) fn of(timeline: &crate::measure::Timeline, now: Moment) -> Option<Self> {
        let width = timeline.width();
        let ended = |cell: &&Cell| timeline.start_of(cell).after(width) <= now;
        let recent = |cell: &&Cell| now.since(timeline.start_of(cell)) < RECENT.max(width) + width;
        let cells: Vec<&Cell> = timeline.cells().rev().skip_while(|cell| !ended(cell)).take_while(recent).collect();
        let first = cells.last()?;
        let last = timeline.start_of(cells[0]).after(width);
        let seconds = last.since(timeline.start_of(first)).as_secs_f64();
        let sum = |number: fn(&Cell) -> u64| cells.iter().map(|cell| number(cell)).sum::<u64>() as f64 / seconds;
        Some(Self {
            intended: sum(|cell| u64::from(cell.scheduled)),
            ok: sum(|cell| u64::from(cell.ok)),
            p95: p95(&cells),
        })
    }
}

/// By nearest rank over complete replies and then those without.
pub(super) fn p95(cells: &[&Cell]) -> Option<Quantile> {
    let mut replies = Sparse::default();
    for cell in cells {
        replies.merge(&cell.response);
    }
    let without: u64 = cells
        .iter()
        .map(|cell| [cell.incomplete, cell.dropped, cell.abandoned].map(u64::from).iter().sum::<u64>())
        .sum();
    let ended = replies.len() + without;
    let rank = nearest_rank(0.95, ended);
    let reached = replies.buckets().scan(0, |seen, (end, number)| {
        *seen += number;
        Some((end, *seen))
    });
    let found = { reached }.find(|(_, seen)| *seen >= rank);
    (ended > 0).then(|| found.map_or(Quantile::Unbounded, |(end, _)| Quantile::Finite(end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures;
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    const FIFTEEN: Goal = Goal { duration: Some(Duration::from_secs(15)), total: None };

    #[test]
    fn a_line_says_how_far_how_fast_and_what_is_under_way() {
        let mut summary = fixtures::ok().summary;
        (summary.gauges.in_flight, summary.gauges.waiting) = (12, 1300);
        let text = line(&summary, at(12_340), FIFTEEN, 120);
        insta::assert_snapshot!(text, @"12.3 s of 15.0 s   100/s due  100/s ok   p95 15.7 ms   0 failed   12 in flight   1 300 waiting");
    }

    #[test]
    fn a_run_that_ends_by_a_count_says_how_many_have_been_due() {
        let goal = Goal { duration: None, total: Some(2000) };
        assert!(
            line(&fixtures::ok().summary, at(12_340), goal, 60).starts_with("12.3 s  1 500 of 2 000 arrivals   100/s")
        );
    }

    #[test]
    fn calls_without_a_reply_and_failures_show() {
        let text = line(&fixtures::failed().summary, at(22_000), Goal::default(), 200);
        assert!(text.contains("failed") && !text.contains(" 0 failed"), "{text}");
        let summary = fixtures::run(fixtures::plan(""), 3, |_, _| fixtures::Told {
            flow: 0,
            operation: 0,
            fate: crate::measure::Fate::Dropped,
            said: None,
        });
        let text = line(&summary.summary, at(3000), Goal::default(), 200);
        assert!(text.contains("100/s due  0/s ok   p95 no reply   300 failed"), "{text}");
    }

    #[test]
    fn before_the_first_second_is_over_there_are_no_rates() {
        let text = line(&Summary::default(), at(400), FIFTEEN, 120);
        assert_eq!(text, "400 ms of 15.0 s   0 failed   0 in flight   0 waiting");
    }

    #[test]
    fn a_probe_is_one_line() {
        let rate = crate::time::Rate::per_second(171.5).unwrap();
        let probe = Probe { purpose: Purpose::Narrow, rate, duration: Duration::from_secs(15) };
        let text = trial(7, probe, Some(Verdict::Pass), &fixtures::ok().summary);
        insta::assert_snapshot!(text, @"probe  7     171.5/s for 15.0 s   PASS           p95 14.9 ms   0 % not ok");
        let hold = Probe { purpose: Purpose::Hold, ..probe };
        let text = trial(12, hold, None, &Summary::default());
        insta::assert_snapshot!(text, @"hold 12     171.5/s for 15.0 s   broken off     nothing ended");
    }

    proptest! {
        #[test]
        fn a_line_is_never_wider_than_its_terminal(width in 0_usize..130, now in 0_u64..30_000) {
            let summary = fixtures::small().summary;
            prop_assert!(line(&summary, at(now), FIFTEEN, width).chars().count() <= width);
        }
    }
}
