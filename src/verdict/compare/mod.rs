//! BETTER OR WORSE? One run against one or more earlier ones, as a pure function.
//!
//! For each operation, and for all of them together: quantiles of response time and the achieved rate as ratios, the error
//! rate as a difference, each with its interval. *Worse* is what is both larger than the tolerance as observed and no
//! chance finding, where chance is shared out over everything that was looked at (Holm, *Scandinavian Journal of
//! Statistics* 6, 1979). *Same* is where a change for the worse by more than the tolerance is excluded. Anything else is
//! not decided.

mod effect;
mod holm;
mod quantiles;
mod rates;
mod sampled;
mod shares;
#[cfg(test)]
mod simulation;
mod spread;

use serde::Serialize;

pub use effect::Effect;

use crate::measure::{Quantile, Scope, Summary};
use crate::statistics::normal_quantile;
use crate::verdict::{Indicator, Unit};
use effect::MISTAKE;
use quantiles::Pair;
use sampled::Sampled;

/// What is looked at where nobody says otherwise.
pub const INDICATORS: [Indicator; 5] =
    [Indicator::P50, Indicator::P95, Indicator::P99, Indicator::ErrorRate, Indicator::Rate];
/// What can be looked at: means and maxima have no interval that stands up.
pub const COMPARABLE: [Indicator; 7] = [
    Indicator::P50,
    Indicator::P90,
    Indicator::P95,
    Indicator::P99,
    Indicator::P999,
    Indicator::ErrorRate,
    Indicator::Rate,
];

/// How large a change matters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Of times, rates and error rates: a part (above 0, below 1) of what it was.
    pub relative: f64,
    /// Of error rates: a share of all arrivals. An error rate is worse only where it rose by more than this and by more
    /// than `relative` of what it was.
    pub errors: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { relative: 0.05, errors: 0.001 }
    }
}

/// What is compared: its name, and where it is in each run, the new one last. The name of all together is `None`.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The operation's name.
    pub name: Option<String>,
    /// The operation's place in each run's summary.
    pub scopes: Vec<Scope>,
}

/// How an indicator stands against earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Better by more than the tolerance, and not by chance.
    Better,
    /// No worse by more than the tolerance.
    Same,
    /// It could be worse by more than the tolerance, or not.
    Undecided,
    /// Worse by more than the tolerance, and not by chance.
    Worse,
}

/// What an indicator was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A response time.
    Time(Quantile),
    /// A share of all arrivals, 0 to 1.
    Share(f64),
    /// Ok answers a second.
    Rate(f64),
}

/// What it would take to decide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Runs so many times as long, if the change is the observed one.
    LongerRuns(f64),
    /// More base runs.
    BaseRuns,
    /// It cannot be told: one of the runs saw next to nothing.
    Calls,
}

/// An indicator in the base runs and in the new one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which.
    pub indicator: Indicator,
    /// In the base runs: the median of their values where there are several.
    pub base: Option<Level>,
    /// In the new run.
    pub new: Option<Level>,
    /// By how much it changed; `None` where one of the runs saw nothing, or neither has such a time.
    pub effect: Option<Effect>,
    /// The change, in the scale of the effect, beyond which it would be worse.
    pub limit: f64,
    /// How it stands.
    pub finding: Finding,
    /// What is missing, where it is not decided.
    pub missing: Option<Missing>,
}

/// The changes of one operation, or of all together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The operation; `None` for all together.
    pub operation: Option<String>,
    /// One for each indicator.
    pub changes: Vec<Change>,
}

/// Everything that can be said about a run against earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How many earlier ones.
    pub base_runs: usize,
    /// How large a change matters.
    pub tolerance: Tolerance,
    /// By operation, and all together.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The worst of all findings.
    pub fn finding(&self) -> Finding {
        self.changes().map(|change| change.finding).filter(|finding| *finding > Finding::Better).max().unwrap_or_else(
            || {
                if self.changes().next().is_some() { Finding::Same } else { Finding::Undecided }
            },
        )
    }

    /// Every change.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.rows.iter().flat_map(|row| &row.changes)
    }
}

/// Compares the last of `runs`, at least two, with those before it.
pub fn compare(runs: &[&Summary], subjects: &[Subject], indicators: &[Indicator], tolerance: Tolerance) -> Comparison {
    let row = |subject: &Subject| {
        let sampled: Vec<Sampled> =
            runs.iter().zip(&subject.scopes).map(|(summary, scope)| Sampled::new(summary, *scope)).collect();
        Row { operation: subject.name.clone(), changes: changes(&sampled, indicators, tolerance) }
    };
    let mut rows: Vec<Row> = subjects.iter().map(row).collect();
    decide(&mut rows, runs.len() - 1);
    Comparison { base_runs: runs.len() - 1, tolerance, rows }
}

/// Every indicator of one subject, not yet decided.
fn changes(runs: &[Sampled], indicators: &[Indicator], tolerance: Tolerance) -> Vec<Change> {
    let Some((new, bases)) = runs.split_last() else { return Vec::new() };
    let change = |indicator: &Indicator| {
        let levels: Vec<Level> = bases.iter().filter_map(|base| level(base, *indicator)).collect();
        let base = median(levels);
        let worse = match base {
            Some(Level::Share(share)) => tolerance.errors.max(tolerance.relative * share),
            Some(Level::Rate(_)) => (1.0 - tolerance.relative).ln(),
            _ => tolerance.relative.ln_1p(),
        };
        let effect = effect(bases, new, *indicator);
        let (limit, finding) = (worse, Finding::Undecided);
        Change { indicator: *indicator, base, new: level(new, *indicator), effect, limit, finding, missing: None }
    };
    indicators.iter().map(change).collect()
}

fn effect(bases: &[Sampled], new: &Sampled, indicator: Indicator) -> Option<Effect> {
    if let [base] = bases {
        return match indicator.quantile() {
            Some(quantile) => Pair { base, new, quantile }.effect(),
            None if indicator.unit() == Unit::Share => shares::effect(base, new),
            None => rates::effect(base, new),
        };
    }
    let all = || bases.iter().chain([new]);
    let bad: u64 = all().map(|run| run.tally.bad()).sum();
    // One error more than there were, so that none at all is not taken for certain.
    let share = (bad + 1) as f64 / (all().map(Sampled::ended).sum::<f64>() + 2.0);
    let value = |run: &Sampled| match indicator.quantile() {
        Some(quantile) => spread::of_quantile(run, quantile),
        None if indicator.unit() == Unit::Share => spread::of_errors(run, share),
        None => spread::of_rate(run),
    };
    let values: Option<Vec<_>> = bases.iter().map(value).collect();
    Some(spread::effect(&values?, value(new)?))
}

fn level(run: &Sampled, indicator: Indicator) -> Option<Level> {
    match indicator.quantile() {
        Some(quantile) => run.tally.quantile(quantile).map(Level::Time),
        None if indicator.unit() == Unit::Share => run.tally.error_rate().map(Level::Share),
        None => run.achieved_rate().map(Level::Rate),
    }
}

/// The middle one; the lower of two.
fn median(mut levels: Vec<Level>) -> Option<Level> {
    let order = |level: &Level| match level {
        Level::Time(Quantile::Finite(time)) => time.as_secs_f64(),
        Level::Time(Quantile::Unbounded) => f64::INFINITY,
        Level::Share(value) | Level::Rate(value) => *value,
    };
    levels.sort_by(|left, right| order(left).total_cmp(&order(right)));
    let middle = levels.len().checked_sub(1)? / 2;
    levels.get(middle).copied()
}

/// Decides every change, with chance shared out over all of them: once for what is worse, once for what is better.
fn decide(rows: &mut [Row], base_runs: usize) {
    let chances = |worse: bool| -> Vec<f64> {
        let changes = rows.iter().flat_map(|row| &row.changes);
        let chance = |change: &Change| change.effect.map_or(1.0, |effect| change.toward(worse).chance(&effect));
        changes.map(chance).collect()
    };
    let (worse, better) = (holm::adjusted(&chances(true)), holm::adjusted(&chances(false)));
    let all = rows.iter_mut().flat_map(|row| &mut row.changes);
    for ((change, worse), better) in all.zip(worse).zip(better) {
        change.finding = change.found(worse, better);
        if change.finding == Finding::Undecided {
            change.missing = Some(change.lacks(base_runs, worse));
        }
    }
}

/// Which way a change goes, as seen on its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Way {
    const fn chance(self, effect: &Effect) -> f64 {
        match self {
            Self::Up => effect.by_chance_up,
            Self::Down => effect.by_chance_down,
        }
    }
}

impl Change {
    /// For times and errors more is worse, for the achieved rate less.
    const fn toward(&self, worse: bool) -> Way {
        if matches!(self.indicator.unit(), Unit::Rate) == worse { Way::Down } else { Way::Up }
    }

    fn found(&self, worse: f64, better: f64) -> Finding {
        let Some(effect) = self.effect else {
            // Where neither has such a time there is nothing that could be longer; the error rate says more.
            let none = Some(Level::Time(Quantile::Unbounded));
            return if self.base == none && self.new == none { Finding::Same } else { Finding::Undecided };
        };
        let (beyond, excluded) = match self.toward(true) {
            Way::Up => (effect.estimate > self.limit, effect.high < self.limit),
            Way::Down => (effect.estimate < self.limit, effect.low > self.limit),
        };
        let gain = match self.toward(true) {
            Way::Up => effect.estimate < -self.limit,
            Way::Down => effect.estimate > -self.limit,
        };
        match (beyond && worse < MISTAKE, gain && better < MISTAKE, excluded) {
            (true, ..) => Finding::Worse,
            (_, true, _) => Finding::Better,
            (.., true) => Finding::Same,
            _ => Finding::Undecided,
        }
    }

    /// How much more it takes to decide, if the change is the observed one.
    fn lacks(&self, base_runs: usize, worse: f64) -> Missing {
        let Some(effect) = self.effect else { return Missing::Calls };
        if base_runs > 1 {
            return Missing::BaseRuns;
        }
        let (above, below) = (effect.high - effect.estimate, effect.estimate - effect.low);
        let (toward_worse, limit, estimate) = match self.toward(true) {
            Way::Up => (above, self.limit, effect.estimate),
            Way::Down => (below, -self.limit, -effect.estimate),
        };
        let ratio = if estimate < limit {
            toward_worse / (limit - estimate)
        } else {
            // What is left of chance must shrink to what all that was looked at leaves.
            let (has, wants) = (worse.clamp(1e-6, 0.4999), MISTAKE);
            normal_quantile(wants) / normal_quantile(has)
        };
        if ratio.is_finite() { Missing::LongerRuns((ratio * ratio).max(1.1)) } else { Missing::Calls }
    }
}

impl Sampled {
    /// Ok answers a second while the schedule ran, as they were.
    fn achieved_rate(&self) -> Option<f64> {
        let seconds = self.duration.as_secs_f64();
        (seconds > 0.0).then(|| self.tally.came_by(self.end) as f64 / seconds)
    }
}
