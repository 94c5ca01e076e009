//! A target that went down in the midst of a run and did not come back.

use std::time::Duration;

use super::validity::{Remark, Subject};
use crate::measure::{Summary, Tally, Timeline};
use crate::time::{Moment, humane_duration};

/// Fewer arrivals that end badly one after the other may be chance.
const FEWEST: u64 = 30;
/// In a shorter time a target may be starting anew.
const SHORTEST: Duration = Duration::from_secs(5);

/// From when on nothing ended well, up to the end, of a target that had been up before.
pub(super) fn since(timeline: &Timeline) -> Option<Moment> {
    let ended = || timeline.cells().filter(|cell| cell.ended() > 0);
    let (mut bad, mut from) = (0, None);
    for cell in ended().rev().take_while(|cell| cell.ok == 0) {
        bad += cell.bad();
        from = Some(timeline.start_of(cell));
    }
    let (from, until) = (from?, timeline.start_of(ended().next_back()?).after(timeline.width()));
    let was_up = ended().next().is_some_and(|cell| timeline.start_of(cell) < from);
    (was_up && bad >= FEWEST && until.since(from) >= SHORTEST).then_some(from)
}

/// The same for the reader, of all arrivals after warm-up.
pub(super) fn remark(summary: &Summary, measured: &Tally) -> Option<Remark> {
    let from = since(&measured.timeline).filter(|from| summary.due.is_some() && *from < summary.until)?;
    let figure = format!(
        "from {} on, to the end {} later, nothing ended well",
        humane_duration(from.since(Moment::ZERO)),
        humane_duration(summary.until.since(from))
    );
    Some(Remark::new(Subject::Down, figure, "the target went down and did not come back; its log may say why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since_second(counts: impl Iterator<Item = (u32, u32)>) -> Option<u64> {
        let mut timeline = Timeline::default();
        for (second, (ok, failed)) in counts.enumerate() {
            let cell: &mut crate::measure::Cell = timeline.at(Moment::from_nanos(second as u64 * 1_000_000_000));
            (cell.scheduled, cell.ok, cell.failed) = (ok + failed, ok, failed);
        }
        since(&timeline).map(|from| from.as_nanos() / 1_000_000_000)
    }

    #[test]
    fn a_target_that_fails_to_the_end_is_down_from_then_on() {
        let dead = |from: usize, seconds: usize| (0..seconds).map(move |n| if n < from { (10, 1) } else { (0, 10) });
        assert_eq!(since_second(dead(10, 20)), Some(10));
        assert_eq!(since_second(dead(10, 20).chain([(0, 0)])), Some(10));
        assert_eq!(since_second(dead(10, 20).chain([(1, 9)])), None, "it came back");
        assert_eq!(since_second(dead(0, 20)), None, "it never was up");
        assert_eq!(since_second(dead(16, 20)), None, "too short to tell");
        assert_eq!(since_second((0..20).map(|n| if n < 10 { (1, 0) } else { (0, 1) })), None, "too few");
    }
}
