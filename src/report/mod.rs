//! SAY SO: a run and its judgement, written for readers.
//!
//! A [`Report`] holds every figure that a reader is shown, computed once, so that all formats say the same. A [`Format`]
//! writes one; to add a format is to add a file with one implementation here, and a row to the contract test. What
//! outlives the process is a [`SavedRun`]; what is shown while the run goes on is a [`progress::line`] or a [`view::Model`].

mod assessment;
mod capacity;
mod comparable;
mod comparison;
mod curve;
#[cfg(test)]
mod day;
mod events;
mod failures;
mod figures;
#[cfg(test)]
pub(crate) mod fixtures;
mod forecast;
mod generator;
pub mod happened;
mod hints;
#[cfg(test)]
mod hints_tests;
mod html;
mod humane;
mod junit;
mod markdown;
mod markup;
mod outline;
mod payments;
pub mod progress;
mod saved;
mod slowest;
mod text;
pub mod view;
mod words;

use std::fmt;

pub use assessment::{Assessment, Grade};
pub use capacity::{Made, Saved, SavedCapacity};
pub use comparable::{Differences, differences, unfit};
pub use comparison::{Compared, Named, NotComparable, markdown as comparison_markdown};
pub use curve::{CapacityReport, Point};
pub use events::{Event, EventKind};
pub use failures::{End, FailureKind, FailureRow};
pub use figures::{Distribution, MEASURES, Overall, Row, Times};
pub use forecast::{Forecast, Resources};
pub use generator::LagShare;
pub use hints::{Hint, Topic};
pub use html::Html;
pub use humane::{clean, rate as humane_rate};
pub use junit::Junit;
pub use markdown::Markdown;
pub use saved::{Ending, Host, SavedRun, SavedRunError, Server};
pub use text::{Style, Text, comparison as comparison_text, write_forecast};

use crate::measure::{Accounting, Phase, Scope, Tally};
use crate::verdict::Judgement;

/// A way to write a report down.
pub trait Format {
    /// Writes the whole report.
    ///
    /// # Errors
    ///
    /// Only those of `out`.
    fn write(&self, report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// All that is shown of a run. Figures are about the arrivals due after warm-up, unless they say otherwise.
#[derive(Debug)]
pub struct Report<'a> {
    /// The run.
    pub saved: &'a SavedRun,
    /// What is to be thought of it.
    pub judgement: &'a Judgement,
    /// The file that the run is saved in, if it is.
    pub file: Option<&'a str>,
    /// Counts and rates.
    pub overall: Overall,
    /// How long things took.
    pub times: Times,
    /// The same by operation, in the plan's order.
    pub operations: Vec<Row>,
    /// The same by flow, in the plan's order.
    pub flows: Vec<Row>,
    /// What did not end ok, most frequent first.
    pub failures: Vec<FailureRow>,
    /// The run in the words of the old script; `None` where no call ended.
    pub assessment: Option<Assessment>,
    /// How much of each bound of a time is the generator's own.
    pub lag_budget: Vec<LagShare>,
    /// What the figures smell of.
    pub hints: Vec<Hint>,
    /// What happened, in the order of its instants.
    pub events: Vec<Event>,
    /// Where every arrival of the whole run is, warm-up included.
    pub accounting: Accounting,
    /// What all figures are about, together.
    pub measured: Tally,
}

impl<'a> Report<'a> {
    /// Computes what is shown.
    pub fn new(saved: &'a SavedRun, judgement: &'a Judgement) -> Self {
        let summary = &saved.summary;
        let measured = summary.tally(Scope::Total, Some(Phase::Measure));
        let row = |name: &str, scope| {
            let (duration, end) = (summary.measured_duration(scope), summary.end_of(scope));
            Row::new(name, &summary.tally(scope, Some(Phase::Measure)), duration, end)
        };
        let operations = summary.operations().into_iter().filter_map(|place| {
            let operation = saved.plan.operations.get(usize::from(place))?;
            Some(row(&operation.name, Scope::Operation(place)))
        });
        let flows = summary.flows().into_iter().filter_map(|place| {
            let flow = saved.plan.flows.get(usize::from(place))?;
            Some(row(&flow.name, Scope::Flow(place)))
        });
        let mut report = Self {
            saved,
            judgement,
            file: None,
            overall: Overall::new(summary, &measured),
            times: Times::new(&measured),
            operations: operations.collect(),
            flows: flows.collect(),
            failures: failures::rows(saved, &measured),
            assessment: Assessment::new(&measured),
            lag_budget: generator::lag_budget(saved, judgement),
            hints: Vec::new(),
            events: events::events(saved),
            accounting: summary.accounting(),
            measured,
        };
        report.hints = hints::hints(&report);
        report
    }

    /// The same report, which knows that the run is saved in `file`.
    #[must_use]
    pub const fn saved_in(mut self, file: &'a str) -> Self {
        self.file = Some(file);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every format: what follows is true of each.
    fn formats() -> Vec<Box<dyn Format>> {
        vec![
            Box::new(Text::default()),
            Box::new(Text::new(Style { colour: true })),
            Box::new(Html),
            Box::new(Markdown),
            Box::new(Junit),
        ]
    }

    fn written(format: &dyn Format, run: &SavedRun) -> String {
        let judgement = run.judge(&[]).unwrap();
        let mut page = String::new();
        format.write(&Report::new(run, &judgement), &mut page).unwrap();
        page
    }

    #[test]
    fn every_format_names_the_verdict_the_run_and_every_objective_of_every_run() {
        for (name, run) in fixtures::all() {
            let judgement = run.judge(&[]).unwrap();
            for format in formats() {
                let page = written(&*format, &run);
                assert!(page.contains(&judgement.verdict().to_string()), "{name}: {page}");
                assert!(page.contains(&run.run_id), "{name}: {page}");
                assert!(page.contains(&run.plan.seed.to_string()), "{name}: {page}");
                assert_eq!(page, written(&*format, &run), "{name}: the same run is the same page");
            }
        }
    }

    #[test]
    fn no_format_lets_a_servers_words_move_the_cursor() {
        for format in formats() {
            let page = written(&*format, &fixtures::hostile());
            let plain = page.replace("\u{1b}[0m", "");
            let plain = ["31", "32", "33", "35"]
                .iter()
                .fold(plain, |page, colour| page.replace(&format!("\u{1b}[1;{colour}m"), ""));
            let odd = plain.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}'));
            assert_eq!(odd, None, "{plain:?}");
        }
    }

    #[test]
    fn a_writer_that_fails_is_an_error_and_no_panic() {
        struct Full(usize);
        impl fmt::Write for Full {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
                Ok(())
            }
        }
        let run = fixtures::failed();
        let judgement = run.judge(&[]).unwrap();
        for format in formats() {
            for room in [0, 10, 1000] {
                assert!(format.write(&Report::new(&run, &judgement), &mut Full(room)).is_err());
            }
        }
    }
}
