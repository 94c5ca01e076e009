//! What a live view shows of a run, copied out of its summary: few figures, so that whoever draws them holds up nobody.

use std::time::Duration;

use super::super::humane::clean;
use super::super::progress::{Goal, Recent, p95};
use super::super::{End, failures, happened, words};
use crate::measure::{Cell, Histogram, Phase, Quantile, Scope, Summary, Tally, Timeline};
use crate::plan::Plan;
use crate::time::Moment;
use crate::verdict::{Bound, Judgement, Standing, Verdict, pacing_limit};

/// At most so many operations are told apart: the most called ones.
const MOST_OPERATIONS: usize = 20;
/// At most so many points make a line of a chart.
const MOST_POINTS: usize = 120;
/// At most so many events are kept: the latest.
const MOST_EVENTS: usize = 20;
/// The quantiles of a row.
pub(super) const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
/// A column of the distribution is so much wider, in time, than the one before.
const STEP: f64 = 1.25;

/// A run at one moment, as far as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub(super) name: String,
    pub(super) elapsed: Duration,
    pub(super) goal: Goal,
    pub(super) stage: Stage,
    pub(super) verdict: Verdict,
    /// Why nothing can be concluded from the run, where that is so.
    pub(super) doubt: Option<String>,
    pub(super) recent: Option<Recent>,
    pub(super) scheduled: u64,
    pub(super) in_flight: u64,
    pub(super) waiting: u64,
    pub(super) dropped: u64,
    pub(super) generator: Generator,
    /// The run from its beginning, ascending.
    pub(super) points: Vec<Point>,
    /// How many complete replies had a response time up to each bound, ascending and without gaps.
    pub(super) spread: Vec<(Duration, u64)>,
    pub(super) total: Row,
    pub(super) operations: Vec<Row>,
    /// Operations that have no row.
    pub(super) more_operations: usize,
    pub(super) promises: Vec<Promise>,
    pub(super) errors: Vec<Failed>,
    /// The latest last.
    pub(super) events: Vec<(String, String)>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What is due is not judged.
    Warmup,
    /// What is due is judged.
    Measure,
    /// Nothing is due, because somebody wanted it so.
    Paused,
    /// Nothing more is due; what was due comes to its end.
    Draining,
}

/// How the generator fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Generator {
    /// The p99 of pacing lag.
    pub(super) lag: Option<Duration>,
    /// What it may be.
    pub(super) limit: Duration,
    /// The share of the time in which lanes ran.
    pub(super) ran: Option<f64>,
    /// The share of the time in which they had no processor when they wanted one.
    pub(super) waited: Option<f64>,
}

/// A stretch of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Where its middle is, in seconds since the run began.
    pub(super) at: f64,
    /// Arrivals per second that the profile intends.
    pub(super) intended: f64,
    /// Ok answers per second that came.
    pub(super) achieved: f64,
    /// The share (0 to 1) of what was due and came to an end that is not ok.
    pub(super) bad: f64,
    /// The p95 of response times; `None` where nothing came to an end.
    pub(super) p95: Option<Quantile>,
}

/// The figures of an operation, or of all.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) ended: u64,
    pub(super) bad: u64,
    pub(super) response: [Option<Quantile>; QUANTILES.len()],
    pub(super) service: [Option<Quantile>; QUANTILES.len()],
}

/// An objective and how it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Promise {
    pub(super) objective: String,
    pub(super) observed: String,
    pub(super) standing: Standing,
    /// How much of what it allows is left; see [`crate::verdict::Finding::budget_left`].
    pub(super) left: Option<f64>,
}

/// Arrivals that ended in the same bad way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failed {
    pub(super) end: End,
    pub(super) count: u64,
    /// Their share (0 to 1) of all that came to an end.
    pub(super) share: f64,
}

impl Model {
    /// What is shown of a run of `plan` at `now`, and of the judgement on it so far. While there is nothing but warm-up, the
    /// figures are those of warm-up.
    pub fn of(plan: &Plan, summary: &Summary, judgement: &Judgement, now: Moment) -> Self {
        let all = summary.tally(Scope::Total, None);
        let measured = summary.tally(Scope::Total, Some(Phase::Measure));
        let phase = if measured.is_idle() { Phase::Warmup } else { Phase::Measure };
        let shown = if phase == Phase::Measure { measured } else { summary.tally(Scope::Total, Some(phase)) };
        let (operations, more_operations) = operations(plan, summary, phase);
        let stage = match now {
            now if now < summary.warmup => Stage::Warmup,
            now if summary.until < now => Stage::Draining,
            _ => Stage::Measure,
        };
        let total = plan.flows.iter().map(|flow| flow.total).sum();
        Self {
            name: clean(&plan.name),
            elapsed: now.since(Moment::ZERO),
            goal: Goal { duration: plan.scheduled_duration(), total },
            stage,
            verdict: judgement.verdict(),
            doubt: judgement.doubts.first().map(|doubt| clean(&doubt.figure)),
            recent: Recent::of(&all.timeline, now),
            scheduled: all.scheduled,
            in_flight: summary.gauges.in_flight,
            waiting: summary.gauges.waiting,
            dropped: all.dropped,
            generator: generator(judgement, summary, &shown),
            points: points(&all.timeline, now),
            spread: spread(&shown.response_time),
            total: Row::of("all".to_owned(), &shown),
            operations,
            more_operations,
            promises: judgement.findings.iter().map(Promise::of).collect(),
            errors: errors(&shown),
            events: events(summary, now),
        }
    }

    /// The same of a run that is paused or not; once nothing more is due, that is no pause.
    #[must_use]
    pub fn paused(mut self, is_paused: bool) -> Self {
        if is_paused && self.stage != Stage::Draining {
            self.stage = Stage::Paused;
        }
        self
    }
}

impl Row {
    fn of(name: String, tally: &Tally) -> Self {
        let service = |(_, quantile)| tally.service_time.value_at_quantile(quantile).map(Quantile::Finite);
        Self {
            name,
            ended: tally.ended(),
            bad: tally.bad(),
            response: QUANTILES.map(|(_, quantile)| tally.quantile(quantile)),
            service: QUANTILES.map(service),
        }
    }
}

impl Promise {
    fn of(finding: &crate::verdict::Finding) -> Self {
        Self {
            objective: clean(&finding.objective.to_string()),
            observed: words::observed(finding),
            standing: finding.standing,
            left: finding.budget_left,
        }
    }
}

/// The most called operations, in the plan's order, and how many are left out.
fn operations(plan: &Plan, summary: &Summary, phase: Phase) -> (Vec<Row>, usize) {
    let called = |operation: &u16| {
        let series = summary.series().iter().filter(|series| series.operation == *operation);
        series.map(|series| series.tally(phase).scheduled).sum::<u64>()
    };
    let mut places = summary.operations();
    let all = places.len();
    places.sort_by_key(|place| std::cmp::Reverse(called(place)));
    places.truncate(MOST_OPERATIONS);
    places.sort_unstable();
    let row = |place: &u16| {
        let name = clean(&plan.operations.get(usize::from(*place))?.name);
        Some(Row::of(name, &summary.tally(Scope::Operation(*place), Some(phase))))
    };
    let rows: Vec<Row> = places.iter().filter_map(row).collect();
    let more = all - rows.len();
    (rows, more)
}

fn generator(judgement: &Judgement, summary: &Summary, shown: &Tally) -> Generator {
    let bounds = judgement.findings.iter().filter_map(|finding| match finding.objective.bound() {
        Bound::Time(bound) => Some(bound),
        _ => None,
    });
    let health = summary.health.together(Moment::ZERO);
    Generator {
        lag: shown.pacing_lag.value_at_quantile(0.99),
        limit: pacing_limit(bounds.min()),
        ran: health.ran_share(),
        waited: health.waited_share(),
    }
}

/// The whole run in at most [`MOST_POINTS`] stretches as wide as each other, without the one that is under way.
fn points(timeline: &Timeline, now: Moment) -> Vec<Point> {
    let width = timeline.width();
    let cells: Vec<&Cell> = timeline.cells().collect();
    let ended = cells.partition_point(|cell| timeline.start_of(cell).after(width) <= now);
    let cells = &cells[..ended];
    let Some(last) = cells.last() else { return Vec::new() };
    let group = (last.index / MOST_POINTS as u64) + 1;
    let seconds = width.as_secs_f64() * group as f64;
    // A last group that is not full would show a rate that falls.
    let full = (last.index + 1) / group;
    let point = |place: u64| {
        let from = cells.partition_point(|cell| cell.index < place * group);
        let until = cells.partition_point(|cell| cell.index < (place + 1) * group);
        let cells = &cells[from..until];
        let ended: u64 = cells.iter().map(|cell| cell.ended()).sum();
        let bad: u64 = cells.iter().map(|cell| cell.bad()).sum();
        Point {
            at: (place as f64 + 0.5) * seconds,
            intended: cells.iter().map(|cell| cell.expected).sum::<f64>() / seconds,
            achieved: cells.iter().map(|cell| f64::from(cell.came)).sum::<f64>() / seconds,
            bad: if ended == 0 { 0.0 } else { bad as f64 / ended as f64 },
            p95: p95(cells),
        }
    };
    (0..full).map(point).collect()
}

/// Columns of a distribution over a logarithmic axis, from the shortest time to the longest.
fn spread(times: &Histogram) -> Vec<(Duration, u64)> {
    let Some(shortest) = times.min() else { return Vec::new() };
    let mut bound = shortest.max(Duration::from_nanos(1)).as_secs_f64();
    let mut columns = vec![(shortest, 0)];
    for (end, number) in times.buckets() {
        while end > columns[columns.len() - 1].0 {
            bound *= STEP;
            columns.push((Duration::try_from_secs_f64(bound).unwrap_or(Duration::MAX), 0));
        }
        let last = columns.len() - 1;
        columns[last].1 += number;
    }
    columns
}

/// What did not end ok, most frequent first.
fn errors(shown: &Tally) -> Vec<Failed> {
    let ended = shown.ended() as f64;
    let ends = failures::ends(shown).into_iter();
    ends.map(|(end, count)| Failed { end, count, share: count as f64 / ended }).collect()
}

/// The latest of what happened, each with when it was.
fn events(summary: &Summary, now: Moment) -> Vec<(String, String)> {
    let warm = Some(summary.warmup).filter(|end| *end > Moment::ZERO && *end <= now);
    let warm = warm.map(|at| (at, (crate::time::humane_duration(at.since(Moment::ZERO)), "warm-up ended".to_owned())));
    let noted = summary.events.kept().iter();
    let noted = noted.map(|event| (event.at, (happened::when(event), happened::what(event))));
    let mut events: Vec<_> = noted.chain(warm).collect();
    events.sort_by_key(|(at, _)| *at);
    let skipped = events.len().saturating_sub(MOST_EVENTS);
    events.into_iter().skip(skipped).map(|(_, event)| event).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures;
    use super::*;

    fn seen(run: &super::super::super::SavedRun, ms: u64) -> Model {
        Model::of(&run.plan, &run.summary, &run.judge(&[]).unwrap(), Moment::from_nanos(ms * 1_000_000))
    }

    #[test]
    fn points_are_whole_stretches_and_hold_rates() {
        let model = seen(&fixtures::ok(), 12_340);
        assert_eq!(model.points.len(), 12);
        assert!(model.points.iter().all(|point| (point.intended - 100.0).abs() < 1e-9 && point.bad == 0.0));
        // An answer that takes a while comes in the next second.
        let came: f64 = model.points.iter().map(|point| point.achieved).sum();
        assert!((1190.0..=1200.0).contains(&came), "{came}");
        assert_eq!((model.points[0].at, model.points[11].at), (0.5, 11.5));
    }

    #[test]
    fn a_long_run_has_as_many_points_as_a_chart_is_wide_and_none_that_is_not_full() {
        let mut timeline = Timeline::<Cell>::default();
        for second in 0..500 {
            let cell = timeline.at(Moment::from_nanos(second * 1_000_000_000));
            (cell.expected, cell.came, cell.ok) = (7.0, 6, 6);
        }
        let points = points(&timeline, Moment::from_nanos(499_900_000_000));
        // 499 whole seconds, five to a point.
        assert_eq!(points.len(), 99);
        assert!(points.iter().all(|point| (point.intended, point.achieved) == (7.0, 6.0)), "{points:?}");
    }

    #[test]
    fn a_distribution_counts_every_reply_once_in_ascending_columns() {
        let run = fixtures::failed();
        let model = seen(&run, 22_000);
        let measured = run.summary.tally(Scope::Total, Some(Phase::Measure));
        assert_eq!(model.spread.iter().map(|(_, number)| number).sum::<u64>(), measured.response_time.len());
        assert!(model.spread.is_sorted_by(|left, right| left.0 < right.0), "{:?}", model.spread);
        assert!(model.spread.len() < 60, "{}", model.spread.len());
    }

    #[test]
    fn errors_are_those_of_the_report_and_events_are_in_their_order() {
        let model = seen(&fixtures::failed(), 22_000);
        let counts: Vec<u64> = model.errors.iter().map(|failed| failed.count).collect();
        assert!(counts.is_sorted_by(|left, right| left >= right) && counts.iter().sum::<u64>() == model.total.bad);
        let when: Vec<&str> = model.events.iter().map(|(when, _)| when.as_str()).collect();
        assert_eq!(when, ["2.00 s", "4.20 s", "9.50 s, for 1.50 s"]);
    }

    #[test]
    fn a_run_is_paused_while_it_is_and_not_when_its_schedule_is_over() {
        let stage = |ms, is_paused| seen(&fixtures::ok(), ms).paused(is_paused).stage;
        assert_eq!((stage(5_000, false), stage(5_000, true)), (Stage::Measure, Stage::Paused));
        assert_eq!(stage(999_000, true), Stage::Draining);
    }

    #[test]
    fn while_there_is_nothing_but_warm_up_its_figures_are_shown() {
        let plan = fixtures::plan("target = { url = \"http://localhost\" }\nrun = { warmup = \"5s\" }");
        let run = fixtures::run(plan, 3, |_, intended| fixtures::Told {
            flow: 0,
            operation: 0,
            fate: fixtures::answer(intended, 50, 9_000, crate::outcome::Outcome::Ok),
            said: None,
        });
        let model = seen(&run, 2_900);
        assert_eq!((model.stage, model.total.ended, model.events.len()), (Stage::Warmup, 300, 0));
    }
}
