//! A run against earlier ones, ready to be shown: what may be compared, by how much it changed, and in which words.

use std::fmt;

use serde::Serialize;

use super::SavedRun;
use super::comparable::{differences, unfit};
use super::humane::{clean, clip, counted, percent, quantile, rate};
use super::markdown::escaped;
use crate::measure::{Phase, Quantile, Scope};
use crate::verdict::compare::{Change, Comparison, Finding, Level, Missing, Row, Subject, Tolerance, compare};
use crate::verdict::{Indicator, Unit};

/// With fewer base runs their spread says little.
const ENOUGH_RUNS: usize = 5;
/// How much of a name is shown.
const NAME: usize = 40;

/// A saved run and the file that it is in.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The file, as it was given.
    pub file: &'a str,
    /// What is in it.
    pub run: &'a SavedRun,
}

/// Why runs cannot be compared: every reason at once. A fragment that follows "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare these runs:\n  - {}", .0.join("\n  - "))]
pub struct NotComparable(pub Vec<String>);

/// Everything that is shown of a comparison.
#[derive(Clone, Debug)]
pub struct Compared<'a> {
    /// The earlier runs.
    pub bases: Vec<Named<'a>>,
    /// The one held against them.
    pub new: Named<'a>,
    /// What came out.
    pub comparison: Comparison,
    /// What the reader should know.
    pub notes: Vec<String>,
}

impl<'a> Compared<'a> {
    /// Compares the last of `runs` with those before it.
    ///
    /// # Errors
    ///
    /// Where there are fewer than two, one of them is no measure, or more than the target differs.
    pub fn new(runs: &[Named<'a>], indicators: &[Indicator], tolerance: Tolerance) -> Result<Self, NotComparable> {
        let Some((new, bases)) = runs.split_last().filter(|(_, bases)| !bases.is_empty()) else {
            return Err(NotComparable(vec!["it takes two at least: BASE.json NEW.json".to_owned()]));
        };
        let mut refusals = Vec::new();
        for run in runs {
            refusals.extend(unfit(run.run).into_iter().map(|why| format!("{}: {why}", run.file)));
        }
        for (place, base) in bases.iter().enumerate() {
            if let Some(twin) = bases[..place].iter().find(|other| other.run.run_id == base.run.run_id) {
                let (one, two) = (twin.file, base.file);
                refusals.push(format!("{one} and {two} are the same run: each base run counts once"));
            }
        }
        let mut notes = of_base_runs(bases.len());
        for base in bases {
            let found = differences(base.run, new.run);
            refusals.extend(found.refusals.into_iter().map(|why| format!("{} and {}: {why}", base.file, new.file)));
            notes.extend(found.notes.into_iter().map(|note| format!("{}: {note}.", base.file)));
        }
        if !refusals.is_empty() {
            return Err(NotComparable(refusals));
        }
        let summaries: Vec<_> = runs.iter().map(|named| &named.run.summary).collect();
        let comparison = compare(&summaries, &subjects(runs), indicators, tolerance);
        Ok(Self { bases: bases.to_vec(), new: *new, comparison, notes })
    }

    /// The headline.
    pub fn headline(&self) -> &'static str {
        match self.comparison.finding() {
            Finding::Worse => "REGRESSION",
            Finding::Undecided => "NOT DECIDED",
            Finding::Same | Finding::Better => "NO REGRESSION",
        }
    }

    /// What the headline rests on, and a sentence for each figure that it is about.
    pub(super) fn reasons(&self) -> (String, Vec<String>) {
        let all = self.comparison.changes().count() as u64;
        let beyond = self.beyond();
        let of = |finding: Finding| {
            let rows = self.comparison.rows.iter();
            let each = rows.flat_map(|row| row.changes.iter().map(move |change| (row, change)));
            each.filter(move |(_, change)| change.finding == finding)
        };
        let (worse, open) = (of(Finding::Worse).count(), of(Finding::Undecided).count());
        let is = |count: usize| if count == 1 { "is" } else { "are" };
        let figures = counted(all, "figure");
        if worse > 0 {
            let sentences = of(Finding::Worse).map(|(row, change)| sentence(row, change)).collect();
            return (format!("{worse} of {figures} {} worse {beyond}, and not by chance:", is(worse)), sentences);
        }
        if open > 0 {
            let sentences = of(Finding::Undecided).map(|(row, change)| lacking(row, change)).collect();
            return (format!("{open} of {figures} could be worse {beyond}, or not:"), sentences);
        }
        (format!("None of {figures} is worse {beyond}."), Vec::new())
    }

    fn beyond(&self) -> String {
        let Tolerance { relative, errors } = self.comparison.tolerance;
        let has_errors = self.comparison.changes().any(|change| change.indicator.unit() == Unit::Share);
        let points =
            if has_errors { format!(" (error rates: by more than {})", points(errors)) } else { String::new() };
        format!("by more than {}{points}", percent(relative))
    }
}

/// Every operation by its name, and all of them together where there are several.
fn subjects(runs: &[Named<'_>]) -> Vec<Subject> {
    let Some(new) = runs.last() else { return Vec::new() };
    let place = |run: &SavedRun, name: &str| {
        let place = run.plan.operations.iter().position(|operation| operation.name == name);
        Scope::Operation(place.map_or(u16::MAX, |place| place as u16))
    };
    let of_operation = |name: &str| -> Vec<Scope> { runs.iter().map(|named| place(named.run, name)).collect() };
    // One that a run stopped calling is not to be passed over.
    let occurs = |scopes: &[Scope]| {
        runs.iter().zip(scopes).any(|(named, scope)| named.run.summary.tally(*scope, Some(Phase::Measure)).ended() > 0)
    };
    let operations = new.run.plan.operations.iter();
    let mut subjects: Vec<Subject> = operations
        .map(|operation| Subject { name: Some(operation.name.clone()), scopes: of_operation(&operation.name) })
        .filter(|subject| occurs(&subject.scopes))
        .collect();
    if subjects.len() > 1 {
        subjects.push(Subject { name: None, scopes: vec![Scope::Total; runs.len()] });
    }
    subjects
}

fn of_base_runs(count: usize) -> Vec<String> {
    match count {
        1 => vec![
            "With one base run it is not known how much runs differ by themselves, on another day or after a restart: what is \
             found is a difference between these two runs. Give five base runs or more, and their spread is used."
                .to_owned(),
        ],
        few if few < ENOUGH_RUNS => {
            vec![format!("With {few} base runs their spread is little known, so that little can be decided: give five or more.")]
        }
        _ => Vec::new(),
    }
}

pub(super) fn name(row: &Row) -> String {
    row.operation.as_deref().map_or_else(|| "all operations".to_owned(), |name| clip(&clean(name), NAME))
}

pub(super) fn level(level: Option<Level>) -> String {
    match level {
        None => "nothing".to_owned(),
        Some(Level::Time(time)) => quantile(time),
        Some(Level::Share(share)) => percent(share),
        Some(Level::Rate(per_second)) => rate(per_second),
    }
}

/// A change as shown: `+4.5 %`, for shares `+0.3 pp`.
pub(super) fn amount(indicator: Indicator, change: f64) -> String {
    if indicator.unit() == Unit::Share {
        return signed(change * 100.0, "pp");
    }
    match change.exp_m1() {
        factor if factor >= 9.995 => format!("x {}", short(factor + 1.0)),
        part => signed(part * 100.0, "%"),
    }
}

/// A share of all arrivals as percentage points.
fn points(share: f64) -> String {
    format!("{} pp", short(share * 100.0))
}

fn signed(value: f64, unit: &str) -> String {
    let text = short(value.abs());
    match value {
        _ if text == "0" => format!("0 {unit}"),
        value if value < 0.0 => format!("-{text} {unit}"),
        _ => format!("+{text} {unit}"),
    }
}

/// Two digits behind the point below ten, one below a hundred.
fn short(value: f64) -> String {
    let decimals = match value {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The two-sided 90 % interval.
pub(super) fn interval(change: &Change) -> String {
    let Some(effect) = change.effect else { return "-".to_owned() };
    let at = |end: f64| amount(change.indicator, end);
    match (effect.low.is_finite(), effect.high.is_finite()) {
        (true, true) => format!("{} to {}", at(effect.low), at(effect.high)),
        (true, false) => format!("from {}", at(effect.low)),
        (false, true) => format!("up to {}", at(effect.high)),
        (false, false) => "anything".to_owned(),
    }
}

pub(super) fn observed(change: &Change) -> String {
    match change.effect {
        Some(effect) if effect.estimate.is_finite() => amount(change.indicator, effect.estimate),
        _ => "-".to_owned(),
    }
}

fn sentence(row: &Row, change: &Change) -> String {
    let (indicator, old, new) = (change.indicator, level(change.base), level(change.new));
    let (name, change, interval) = (name(row), observed(change), interval(change));
    format!("{indicator} of {name}: from {old} to {new} ({change}; 90 % interval {interval})")
}

fn lacking(row: &Row, change: &Change) -> String {
    let missing = match change.missing {
        Some(Missing::LongerRuns(times)) if times > 100.0 => "runs more than 100 times as long would tell".to_owned(),
        Some(Missing::LongerRuns(times)) if times > 9.5 => format!("runs about {times:.0} times as long would tell"),
        Some(Missing::LongerRuns(times)) => {
            format!("runs about {} times as long would tell", short((times * 10.0).ceil() / 10.0))
        }
        Some(Missing::BaseRuns) => "more base runs would tell".to_owned(),
        Some(Missing::Calls) | None => "one of the runs saw too little of it".to_owned(),
    };
    format!("{} of {}: {} ({}); {missing}", change.indicator, name(row), observed(change), interval(change))
}

/// The comparison as JSON.
#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u32,
    headline: &'static str,
    tolerance: Tolerance,
    base: Vec<WrittenRun<'a>>,
    new: WrittenRun<'a>,
    changes: Vec<WrittenChange<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct WrittenRun<'a> {
    file: &'a str,
    run_id: &'a str,
    started_unix_ms: u64,
}

impl<'a> WrittenRun<'a> {
    fn of(named: &Named<'a>) -> Self {
        Self { file: named.file, run_id: &named.run.run_id, started_unix_ms: named.run.started_unix_ms }
    }
}

/// A change; an end of the interval that is not known is null.
#[derive(Serialize)]
struct WrittenChange<'a> {
    operation: Option<&'a str>,
    indicator: Indicator,
    finding: Finding,
    /// `seconds`, `share` (of all arrivals) or `per_second`.
    unit: &'static str,
    /// The median of the base runs; null where the quantile falls among arrivals without a complete reply.
    base: Option<f64>,
    new: Option<f64>,
    /// `ratio` of new to base, or `difference` of shares.
    scale: &'static str,
    change: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    limit: f64,
    chance_of_a_rise: Option<f64>,
    chance_of_a_fall: Option<f64>,
    missing: Option<Missing>,
}

impl Compared<'_> {
    /// The comparison as a JSON text of one line and a line feed.
    ///
    /// # Errors
    ///
    /// None that is known: everything in it can be said in JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let rows = self.comparison.rows.iter();
        let changes = rows.flat_map(|row| row.changes.iter().map(move |change| written_change(row, change)));
        let whole = Written {
            format: "mcpace-comparison",
            version: 1,
            headline: self.headline(),
            tolerance: self.comparison.tolerance,
            base: self.bases.iter().map(WrittenRun::of).collect(),
            new: WrittenRun::of(&self.new),
            changes: changes.collect(),
            notes: &self.notes,
        };
        serde_json::to_string(&whole).map(|text| text + "\n")
    }
}

fn written_change<'a>(row: &'a Row, change: &Change) -> WrittenChange<'a> {
    let ratio = change.indicator.unit() != Unit::Share;
    let scaled = |value: f64| if ratio { value.exp() } else { value };
    let end = |value: f64| Some(scaled(value)).filter(|_| value.is_finite());
    WrittenChange {
        operation: row.operation.as_deref(),
        indicator: change.indicator,
        finding: change.finding,
        unit: match change.indicator.unit() {
            Unit::Time => "seconds",
            Unit::Share => "share",
            Unit::Rate => "per_second",
        },
        base: change.base.and_then(number),
        new: change.new.and_then(number),
        scale: if ratio { "ratio" } else { "difference" },
        change: change.effect.and_then(|effect| end(effect.estimate)),
        low: change.effect.and_then(|effect| end(effect.low)),
        high: change.effect.and_then(|effect| end(effect.high)),
        limit: scaled(change.limit),
        chance_of_a_rise: change.effect.map(|effect| effect.by_chance_up),
        chance_of_a_fall: change.effect.map(|effect| effect.by_chance_down),
        missing: change.missing,
    }
}

fn number(level: Level) -> Option<f64> {
    match level {
        Level::Time(Quantile::Finite(time)) => Some(time.as_secs_f64()),
        Level::Time(Quantile::Unbounded) => None,
        Level::Share(number) | Level::Rate(number) => Some(number),
    }
}

/// The comparison as Markdown, for the summary of a CI job.
///
/// # Errors
///
/// Only those of `out`.
pub fn markdown(compared: &Compared<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let (reason, sentences) = compared.reasons();
    writeln!(out, "## {}: {}\n", compared.headline(), escaped(&compared.new.run.plan.name))?;
    writeln!(out, "{}\n", escaped(&reason))?;
    for sentence in &sentences {
        writeln!(out, "- {}", escaped(sentence))?;
    }
    if !sentences.is_empty() {
        writeln!(out)?;
    }
    writeln!(out, "| | operation | figure | base | new | change | 90 % interval |")?;
    writeln!(out, "|---|---|---|---:|---:|---:|---:|")?;
    for row in &compared.comparison.rows {
        for change in &row.changes {
            let mark = match change.finding {
                Finding::Worse => "**worse**",
                Finding::Undecided => "not decided",
                Finding::Same => "same",
                Finding::Better => "better",
            };
            let cells = [name(row), change.indicator.to_string(), level(change.base), level(change.new)];
            let cells = cells.into_iter().chain([observed(change), interval(change)]);
            let cells: Vec<String> = cells.map(|cell| escaped(&cell)).collect();
            writeln!(out, "| {mark} | {} |", cells.join(" | "))?;
        }
    }
    writeln!(out)?;
    let bases: Vec<String> = compared.bases.iter().map(|base| escaped(base.file)).collect();
    writeln!(out, "Base: {}. New: {}.", bases.join(", "), escaped(compared.new.file))?;
    for note in &compared.notes {
        writeln!(out, "\n> {}", escaped(note))?;
    }
    Ok(())
}
