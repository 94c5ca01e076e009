//! The report as sections of tables and sentences, for formats that lay them out themselves: pages and Markdown.

use super::humane::{clean, clip, count, counted, date, percent, quantile, rate};
use super::words::{self, NOTHING};
use super::{Assessment, Distribution, FailureKind, LagShare, MEASURES, Report, Row, payments, slowest};
use crate::measure::{Resource, SideKind};
use crate::time::{Moment, format_duration, humane_duration};
use crate::verdict::Subject;

/// How much of a name, of an example and of a sentence is shown.
const NAME: usize = 60;
const EXAMPLE: usize = 300;
const SENTENCE: usize = 800;
/// How many kinds of one failure are shown.
const MOST_KINDS: usize = 5;
/// How many flows and operations a plan's table has at most.
const MOST_ROWS: usize = 40;

/// A part of the report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    /// Its heading.
    pub(super) title: &'static str,
    /// What is in it, in order; at least one.
    pub(super) blocks: Vec<Block>,
}

/// A piece of a section. Texts are as servers and files said them, shortened: formats make them harmless.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Block {
    /// A table.
    Table(Grid),
    /// A sentence or more.
    Words(String),
    /// Sentences that stand beside each other.
    List(Vec<String>),
}

/// A table: a head, and rows of as many cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    /// The head's cells; all empty for a table of names and values.
    pub(super) head: Vec<&'static str>,
    /// The columns that are figures, and stand on the right.
    pub(super) figures: Vec<bool>,
    /// The rows.
    pub(super) rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table whose first `words` columns are words and all others figures.
    fn new(words: usize, head: &[&'static str]) -> Self {
        let figures = (0..head.len()).map(|place| place >= words).collect();
        Self { head: head.to_vec(), figures, rows: Vec::new() }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| clip(&clean(&cell), EXAMPLE)).to_vec());
    }

    /// A table of names and values.
    fn facts(facts: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut grid = Self::new(2, &["", ""]);
        facts.into_iter().for_each(|(name, value)| grid.row([name.to_owned(), value]));
        grid
    }

    fn into_block(self) -> Option<Block> {
        (!self.rows.is_empty()).then_some(Block::Table(self))
    }
}

/// All sections that have something in them, objectives and headline apart.
pub(super) fn sections(report: &Report<'_>) -> Vec<Section> {
    let flows = if report.flows.len() > 1 { rows("flow", &report.flows) } else { Vec::new() };
    let sections = [
        ("Overall", overall(report)),
        ("Times", times(report)),
        ("By flow", flows),
        ("By operation", rows("operation", &report.operations)),
        ("Slowest calls, by response time", slowest(report)),
        ("Errors", failures(report)),
        ("Payments truth", truth(report)),
        ("Slopes", slopes(report)),
        ("Notes and hints", notes(report)),
        ("The generator's own part", generator(report)),
        ("The target's process", target(report)),
        ("Calls that are not arrivals", side_calls(report)),
        ("Assessment, over all calls, failures included", assessment(report)),
        ("Plan", plan(report)),
        ("Run", run(report)),
    ];
    let some = sections.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    some.map(|(title, blocks)| Section { title, blocks }).collect()
}

fn words(text: &str) -> Block {
    Block::Words(clip(&clean(text), SENTENCE))
}

fn list(texts: impl IntoIterator<Item = String>) -> Vec<Block> {
    let texts: Vec<String> = texts.into_iter().map(|text| clip(&clean(&text), SENTENCE)).collect();
    if texts.is_empty() { Vec::new() } else { vec![Block::List(texts)] }
}

fn overall(report: &Report<'_>) -> Vec<Block> {
    let overall = &report.overall;
    let mut counts = Grid::new(1, &["arrivals", "count", "share"]);
    for (name, number) in words::counts(overall) {
        let share = match (name, overall.scheduled) {
            ("scheduled", _) | (_, 0) => String::new(),
            (_, scheduled) => percent(number as f64 / scheduled as f64),
        };
        counts.row([name.to_owned(), count(number), share]);
    }
    [counts, Grid::facts(words::rates(overall))].into_iter().filter_map(Grid::into_block).collect()
}

fn cell(distribution: &Distribution, measure: &str) -> String {
    let place = MEASURES.iter().position(|known| *known == measure);
    place.and_then(|place| distribution.0[place]).map_or_else(|| NOTHING.to_owned(), quantile)
}

fn times(report: &Report<'_>) -> Vec<Block> {
    if report.measured.ended() == 0 {
        return Vec::new();
    }
    let times = &report.times;
    let mut grid = Grid::new(1, &["", "response time", "service time", "dispatch lag", "pacing lag"]);
    for measure in MEASURES {
        let [response, service, dispatch, pacing] =
            [&times.response, &times.service, &times.dispatch_lag, &times.pacing_lag].map(|of| cell(of, measure));
        grid.row([measure.to_owned(), response, service, dispatch, pacing]);
    }
    let words = [Some(words(words::TIMES)), words::no_reply(report).map(|text| words(&text))];
    grid.into_block().into_iter().chain(words.into_iter().flatten()).collect()
}

fn rows(kind: &'static str, rows: &[Row]) -> Vec<Block> {
    let mut grid = Grid::new(1, &[kind, "arrivals", "not ok", "ok rate", "p50", "p95", "p99"]);
    for row in rows {
        let [p50, p95, p99] = ["p50", "p95", "p99"].map(|measure| cell(&row.response, measure));
        let name = clip(&clean(&row.name), NAME);
        grid.row([name, count(row.scheduled), count(row.bad), rate(row.achieved_rate), p50, p95, p99]);
    }
    grid.into_block().into_iter().collect()
}

fn slowest(report: &Report<'_>) -> Vec<Block> {
    let rows = slowest::rows(report);
    let traced = rows.iter().any(|row| row.trace.is_some());
    let head = if traced { [&slowest::HEAD[..], &["trace"]].concat() } else { slowest::HEAD.to_vec() };
    let mut grid = Grid::new(1, &head);
    for place in slowest::HEAD.len() - 1..head.len() {
        grid.figures[place] = false;
    }
    for row in rows {
        let trace = row.trace.map(|trace| trace.to_string()).unwrap_or_default();
        grid.rows.push(row.cells.into_iter().chain(traced.then_some(trace)).collect());
    }
    let words = traced.then(|| words(slowest::TRACED));
    grid.into_block().into_iter().chain(words).collect()
}

fn failures(report: &Report<'_>) -> Vec<Block> {
    let mut grid = Grid::new(1, &["outcome", "count", "share", "whose fault", "what was said"]);
    (grid.figures[3], grid.figures[4]) = (false, false);
    for row in &report.failures {
        let outcome = row.end.to_string();
        grid.row([outcome, count(row.count), percent(row.share), words::fault(row.end), String::new()]);
        for kind in row.kinds.iter().take(MOST_KINDS) {
            grid.row([String::new(), count(kind.count), String::new(), String::new(), said(kind, report)]);
        }
        let more: Vec<u64> = row.kinds.iter().skip(MOST_KINDS).map(|kind| kind.count).collect();
        if !more.is_empty() {
            let calls = more.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
            let kinds = format!("and {}", counted(more.len() as u64, "more kind"));
            grid.row([String::new(), count(calls), String::new(), String::new(), kinds]);
        }
    }
    grid.into_block().into_iter().collect()
}

/// What failures of a kind have in common, and what the first one really said.
fn said(kind: &FailureKind, report: &Report<'_>) -> String {
    let (group, example) = (clean(&kind.group), clean(&kind.example));
    let names: Vec<_> = kind.operations.iter().map(|name| clip(&clean(name), NAME)).collect();
    let names = if names.len() < report.operations.len() { format!(" ({})", names.join(", ")) } else { String::new() };
    let group = clip(&group, EXAMPLE / 2);
    if example == group {
        return format!("{group}{names}");
    }
    let first = humane_duration(kind.first.since(Moment::ZERO));
    format!("{group}{names}; {first} into the run: {}", clip(&example, EXAMPLE))
}

fn truth(report: &Report<'_>) -> Vec<Block> {
    let truth = &report.saved.summary.truth;
    if truth.is_idle() {
        return Vec::new();
    }
    let mut reads = Grid::new(1, &payments::READS);
    for row in payments::reads(truth) {
        reads.row(row);
    }
    let mut probes = Grid::new(1, &payments::PROBES);
    for row in payments::probes(truth) {
        probes.row(row);
    }
    let mut blocks: Vec<Block> = [reads, probes].into_iter().filter_map(Grid::into_block).collect();
    blocks.extend(payments::balances(truth).map(|text| words(&text)));
    for row in truth.unresolved() {
        blocks.extend(payments::unresolved(row, report).iter().map(|text| words(text)));
    }
    if truth.violations().is_empty() {
        blocks.push(words(payments::NONE));
        return blocks;
    }
    let mut grid = Grid::new(1, &["broken promise", "calls", "the first one"]);
    grid.figures[2] = false;
    for violations in truth.violations() {
        let kind = format!("{}: {}", violations.kind.name(), payments::meaning(violations.kind));
        let first = violations.evidence.first().map(|first| {
            let [sent, expected, said] =
                [&first.sent, &first.expected, &first.said].map(|text| clip(&clean(text), EXAMPLE / 3));
            let when = payments::when(first, report);
            format!("{when}: sent {sent}; expected {expected}; answered {said}")
        });
        grid.rows.push(vec![kind, count(violations.calls), first.unwrap_or_default()]);
    }
    blocks.extend(grid.into_block());
    blocks
}

fn slopes(report: &Report<'_>) -> Vec<Block> {
    let drifts = report.judgement.notes.iter().filter(|note| note.subject == Subject::Drift);
    list(drifts.map(ToString::to_string))
}

fn notes(report: &Report<'_>) -> Vec<Block> {
    let hints = report.hints.iter().map(|hint| hint.text.clone());
    let notes = report.judgement.notes.iter().filter(|note| note.subject != Subject::Drift).map(ToString::to_string);
    list(hints.chain(notes).chain(report.saved.server.warnings.iter().cloned()))
}

fn generator(report: &Report<'_>) -> Vec<Block> {
    let mut budget = Grid::new(1, &["objective", "pacing lag p99", "of its bound"]);
    for share in &report.lag_budget {
        let LagShare { objective, lag, .. } = share;
        budget.row([objective.to_string(), humane_duration(*lag), percent(share.share())]);
    }
    [budget, Grid::facts(words::generator(report))].into_iter().filter_map(Grid::into_block).collect()
}

fn target(report: &Report<'_>) -> Vec<Block> {
    let summary = &report.saved.summary;
    if summary.usage.is_empty() {
        return Vec::new();
    }
    let mut grid = Grid::new(1, &["", "min", "mean", "max", "last", "an hour"]);
    for resource in Resource::ALL {
        let [min, mean, max, last, hour] = words::trend(report, resource);
        grid.row([words::resource(resource).to_owned(), min, mean, max, last, hour]);
    }
    let missed = words::missed_looks(report).map(|text| words(&text));
    grid.into_block().into_iter().chain(missed).collect()
}

fn side_calls(report: &Report<'_>) -> Vec<Block> {
    let mut grid = Grid::new(1, &["call", "count", "failed", "p50", "p99"]);
    for kind in SideKind::ALL {
        let Some(tally) = report.saved.summary.side_calls.get(kind) else { continue };
        let at = |quantile| tally.time.value_at_quantile(quantile).map_or_else(|| NOTHING.to_owned(), humane_duration);
        grid.row([kind.name().to_owned(), count(tally.outcomes.total()), count(tally.failed()), at(0.5), at(0.99)]);
    }
    grid.into_block().into_iter().collect()
}

fn assessment(report: &Report<'_>) -> Vec<Block> {
    let Some(Assessment { success, success_rate, speed, mean }) = report.assessment else { return Vec::new() };
    let mut grid = Grid::new(4, &["", "", "", ""]);
    let rate = format!("{} ended ok", percent(success_rate));
    grid.row(["success".to_owned(), success.to_string(), rate, "from 95 % excellent, from 90 % good".to_owned()]);
    if let (Some(speed), Some(mean)) = (speed, mean) {
        let mean = format!("{} on average", humane_duration(mean));
        grid.row(["speed".to_owned(), speed.to_string(), mean, "below 200 ms excellent, to 500 ms good".to_owned()]);
    }
    grid.into_block().into_iter().collect()
}

fn plan(report: &Report<'_>) -> Vec<Block> {
    let plan = &report.saved.plan;
    let mut flows = Grid::new(3, &["flow", "load", "operations by weight"]);
    for flow in plan.flows.iter().take(MOST_ROWS) {
        let mix: Vec<String> =
            flow.mix.iter().map(|(name, weight)| format!("{} {weight}", clip(&clean(name), NAME))).collect();
        flows.row([clip(&clean(&flow.name), NAME), words::load(flow), mix.join(", ")]);
    }
    let run = &plan.run;
    let facts = [
        ("protocol", format!("{}, sessions {}", plan.protocol, plan.sessions)),
        ("in flight", format!("{} at most", count(u64::from(run.concurrent.get())))),
        ("timeout", format_duration(run.timeout)),
        ("warm-up", run.warmup.to_string()),
        ("lanes", run.lanes.to_string()),
    ];
    [flows, Grid::facts(facts)].into_iter().filter_map(Grid::into_block).collect()
}

fn run(report: &Report<'_>) -> Vec<Block> {
    let saved = report.saved;
    let facts = [
        ("target", words::target(saved)),
        ("id", saved.run_id.clone()),
        ("seed", format!("{0} (--seed {0} repeats schedule and calls)", saved.plan.seed)),
        ("started", format!("{} by {}", date(saved.started_unix_ms), saved.program)),
        ("host", words::host(saved)),
        ("accounts", words::accounts(&report.accounting)),
        ("again", words::again(report)),
    ];
    Grid::facts(facts).into_block().into_iter().collect()
}
