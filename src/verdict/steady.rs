//! When a run has come to a steady state, so that warm-up can end.
//!
//! The marginal standard error rule (MSER: White, *Simulation* 69, 1997): of the seconds so far, leave out as many leading
//! ones as make the mean of the rest surest. While a run warms up that is as many as may be left out, half; once the least
//! uncertain beginning lies clearly before that, the state has been steady for as long as it was not, and warm-up may end
//! (used so, look by look, in `AutoSimOA`: Hoad, Robinson and Davies, *Journal of the Operational Research Society* 61, 2010).
//! Looked at are the logarithms of p50 and p95, second by second, and the errors. Everything looked at stays in warm-up, so
//! that nothing judged had a say in where judging begins.

use std::time::Duration;

use crate::measure::{Cell, Phase, Scope, Summary, Timeline};
use crate::time::Moment;

/// Fewer seconds say nothing.
const FEWEST: usize = 12;
/// How many standard errors a slope may be from none.
const MOST_SLOPE: f64 = 1.5;
/// How many looks in a row must agree: a single one may be luck.
const AGREEING: u32 = 3;
/// A second is looked at so long after its end: most of its calls have been answered by then.
const LAG: u64 = 1;
/// A warm-up that ends, ends so many seconds later: in a moment that no lane has reached.
const NOTICE: u64 = 2;
const SECOND: u64 = 1_000_000_000;

/// Looks at a run once a second until it is steady.
#[derive(Clone, Debug, Default)]
pub struct Steadiness {
    /// The latest second that was looked at.
    looked: u64,
    /// How many seconds there were to be looked at then.
    ended: usize,
    /// How many looks in a row found it steady.
    agreeing: u32,
}

impl Steadiness {
    /// Looks at a run that has come as far as `now`, where a new second is there to look at. Says when warm-up may end,
    /// once the run has been steady for as long as it was not.
    pub fn look(&mut self, summary: &Summary, now: Moment) -> Option<Moment> {
        let whole = (now.as_nanos() / SECOND).checked_sub(LAG)?;
        if whole <= self.looked {
            return None;
        }
        self.looked = whole;
        let together = summary.tally(Scope::Total, Some(Phase::Warmup)).timeline;
        let ended = ended_seconds(&together, whole).len();
        if std::mem::replace(&mut self.ended, ended) == ended {
            return None;
        }
        let steady = steady_from(&together, whole);
        self.agreeing = if steady.is_some() { self.agreeing + 1 } else { 0 };
        (self.agreeing >= AGREEING).then(|| Moment::from_nanos((now.as_nanos() / SECOND + NOTICE) * SECOND))
    }
}

/// From which of the first `whole` seconds on the timeline is steady, as far as all that was due in them has come to an end;
/// `None` where it is not yet.
fn steady_from(timeline: &Timeline, whole: u64) -> Option<usize> {
    let cells = ended_seconds(timeline, whole);
    if cells.len() < FEWEST {
        return None;
    }
    let errors = |cell: &Cell| cell.bad() as f64 / f64::from(cell.scheduled);
    let series: [Vec<f64>; 3] = [
        cells.iter().filter_map(|cell| cell.quantile(0.5)).map(f64::ln).collect(),
        cells.iter().filter_map(|cell| cell.quantile(0.95)).map(f64::ln).collect(),
        cells.iter().map(|cell| errors(cell)).collect(),
    ];
    let mut latest = 0;
    for values in series.iter().filter(|values| values.len() >= FEWEST) {
        let from = surest(values);
        // In the last quarter of what may be left out, the least uncertain beginning may still be on its way.
        if from * 8 > values.len() * 3 || !is_level(&values[from..]) {
            return None;
        }
        latest = latest.max(from);
    }
    Some(latest)
}

/// The first seconds of which all that was due has come to an end.
fn ended_seconds(timeline: &Timeline, whole: u64) -> Vec<&Cell> {
    let seconds = timeline.cells().filter(|cell| cell.index < whole && cell.scheduled > 0);
    let ended = |cell: &&Cell| cell.ended() >= u64::from(cell.scheduled);
    let of_one_second = timeline.width() == Duration::from_secs(1);
    seconds.filter(|_| of_one_second).take_while(ended).collect()
}

/// Whether a line through the values neither rises nor falls for sure: the rule alone takes a slow fall under noise for
/// steady, and half of a jump.
fn is_level(values: &[f64]) -> bool {
    let count = values.len() as f64;
    let (middle, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let spread = count * (count * count - 1.0) / 12.0;
    let place = |place: usize| place as f64 - middle;
    let slope = values.iter().enumerate().map(|(at, value)| place(at) * (value - mean)).sum::<f64>() / spread;
    let rest: f64 = values.iter().enumerate().map(|(at, value)| (value - mean - slope * place(at)).powi(2)).sum();
    slope.abs() <= MOST_SLOPE * (rest / (count - 2.0) / spread).sqrt() + f64::EPSILON
}

/// How many leading values to leave out, at most half, for the smallest standard error of the mean of the rest.
fn surest(values: &[f64]) -> usize {
    let error = |from: usize| {
        let rest = &values[from..];
        let count = rest.len() as f64;
        let mean = rest.iter().sum::<f64>() / count;
        rest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count * count)
    };
    let mut best = (0, f64::INFINITY);
    for from in 0..=values.len() / 2 {
        let error = error(from);
        // What is less by rounding alone is not less.
        if error < best.1 - f64::EPSILON {
            best = (from, error);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Seconds of a hundred calls; `level` says how long they take around, in milliseconds, and `noise` how much that varies
    /// from second to second.
    fn run(seconds: u64, noise: f64, dice: &mut ChaCha8Rng, level: impl Fn(f64) -> f64) -> Timeline {
        let mut timeline: Timeline = Timeline::default();
        for second in 0..seconds {
            let shared = noise * (dice.random::<f64>() - 0.5) * 12.0_f64.sqrt();
            let cell = timeline.at(Moment::from_nanos(second * SECOND));
            (cell.scheduled, cell.ok) = (100, 100);
            for n in 0..100 {
                let own = 0.5 + f64::from(n) / 100.0;
                cell.response.record(Duration::from_secs_f64(level(second as f64) / 1e3 * own * shared.exp()));
            }
        }
        timeline
    }

    /// The second at which warm-up would end, of at most `most`.
    fn ends(timeline: &Timeline, most: u64) -> u64 {
        let mut agreeing = 0;
        for whole in 1..most {
            agreeing = if steady_from(timeline, whole).is_some() { agreeing + 1 } else { 0 };
            if agreeing >= AGREEING {
                return whole + LAG + NOTICE;
            }
        }
        most
    }

    #[test]
    fn a_run_that_is_steady_from_the_beginning_warms_up_for_some_fifteen_seconds() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut ends: Vec<u64> = (0..100).map(|_| ends(&run(60, 0.05, &mut dice, |_| 10.0), 60)).collect();
        ends.sort_unstable();
        assert!(ends[50] <= 20 && ends[90] <= 30, "{ends:?}");
        assert_eq!(ends[0], FEWEST as u64 + u64::from(AGREEING) - 1 + LAG + NOTICE);
    }

    #[test]
    fn where_times_fall_slowly_warm_up_ends_when_little_of_it_is_left() {
        let mut dice = ChaCha8Rng::seed_from_u64(2);
        for fading in [3.0, 8.0, 20.0] {
            let level = |second: f64| 10.0 * (1.0 + 2.0 * (-second / fading).exp());
            let left = |_| level(ends(&run(200, 0.05, &mut dice, level), 200) as f64) / 10.0 - 1.0;
            let mut left: Vec<f64> = (0..50).map(left).collect();
            left.sort_by(f64::total_cmp);
            // Of 200 % at the beginning, less than the noise of a second in nearly all runs.
            assert!(left[45] < 0.06, "{fading}: {left:?}");
        }
    }

    #[test]
    fn a_jump_is_waited_for_and_what_keeps_growing_is_never_steady() {
        let mut dice = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..20 {
            let jump = ends(&run(100, 0.02, &mut dice, |second| if second < 9.0 { 50.0 } else { 10.0 }), 100);
            assert!((18..=60).contains(&jump), "{jump}");
            let growing = ends(&run(60, 0.02, &mut dice, |second| 10.0 * (1.0 + second / 10.0)), 60);
            assert_eq!(growing, 60);
        }
    }

    #[test]
    fn freezes_that_come_now_and_then_are_steady_too() {
        let mut dice = ChaCha8Rng::seed_from_u64(4);
        let frozen = |second: f64| if second % 5.0 < 1.0 { 200.0 } else { 10.0 };
        let mut ends: Vec<u64> = (0..30).map(|_| ends(&run(100, 0.05, &mut dice, frozen), 100)).collect();
        ends.sort_unstable();
        assert!(ends[27] <= 40, "{ends:?}");
    }

    #[test]
    fn seconds_with_calls_under_way_are_not_looked_at() {
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let mut timeline = run(30, 0.0, &mut dice, |_| 10.0);
        assert_eq!(steady_from(&timeline, 30), Some(0));
        // With a call of the eleventh second under way, ten seconds are left, which are too few.
        timeline.at(Moment::from_nanos(10 * SECOND)).scheduled += 1;
        assert_eq!(steady_from(&timeline, 30), None);
        timeline.at(Moment::from_nanos(10 * SECOND)).ok += 1;
        timeline.at(Moment::from_nanos(20 * SECOND)).scheduled += 1;
        assert_eq!(steady_from(&timeline, 30), Some(0));
        assert_eq!(steady_from(&timeline, 20), Some(0));
        assert_eq!(steady_from(&timeline, FEWEST as u64 - 1), None);
    }
}
