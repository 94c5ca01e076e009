//! The report as text: 80 columns, the verdict first, then what it rests on.

mod capacity;
mod comparison;
mod events;
mod forecast;
mod health;
mod page;
mod sections;
mod table;
mod truth;

use std::fmt;

pub use comparison::comparison;
pub use forecast::write_forecast;
pub use page::Style;

use super::humane::{clean, clip, counted};
use super::{Ending, Format, Report};
use crate::time::{Moment, humane_duration};
use crate::verdict::{Finding, Standing, Verdict};
use page::{Mood, Page, WIDTH};

/// The text report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text {
    style: Style,
}

impl Text {
    /// The text report in this style.
    pub const fn new(style: Style) -> Self {
        Self { style }
    }
}

impl Format for Text {
    fn write(&self, report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let page = &mut Page::new(out, self.style);
        headline(report, page)?;
        sections::setting(report, page)?;
        sections::objectives(report, page)?;
        sections::overall(report, page)?;
        sections::times(report, page)?;
        health::generator(report, page)?;
        if report.flows.len() > 1 {
            sections::rows("BY FLOW", "flow", &report.flows, page)?;
        }
        sections::rows("BY OPERATION", "operation", &report.operations, page)?;
        health::target(report, page)?;
        events::events(report, page)?;
        sections::side_calls(report, page)?;
        sections::failures(report, page)?;
        truth::truth(report, page)?;
        sections::assessment(report, page)?;
        sections::notes(report, page)?;
        sections::run(report, page)
    }
}

const fn mood(verdict: Verdict) -> Mood {
    match verdict {
        Verdict::Pass => Mood::Good,
        Verdict::Fail => Mood::Bad,
        Verdict::Inconclusive => Mood::Open,
        Verdict::Invalid => Mood::Void,
    }
}

/// The verdict, and why it is that one.
fn headline(report: &Report<'_>, page: &mut Page<'_>) -> fmt::Result {
    let verdict = report.judgement.verdict();
    let word = verdict.to_string();
    page.rule()?;
    let name = clip(&clean(&report.saved.plan.name), WIDTH - word.len() - 2);
    page.marked(0, (&word, mood(verdict)), &format!("  {name}"))?;
    page.rule()?;
    let findings = &report.judgement.findings;
    let standing = |standing| findings.iter().filter(move |finding| finding.standing == standing);
    match verdict {
        Verdict::Invalid => {
            page.paragraph("", "The measurement is not to be trusted:")?;
            for doubt in &report.judgement.doubts {
                page.paragraph("  - ", &doubt.to_string())?;
            }
            page.paragraph("", "What follows says little about the target.")?;
        }
        Verdict::Fail => reasons("missed", standing(Standing::Missed), findings.len(), page)?,
        Verdict::Inconclusive if findings.is_empty() => {
            page.paragraph("", "Nothing was promised, so nothing can be kept: give an --objective.")?;
        }
        Verdict::Inconclusive => {
            reasons("neither met nor missed", standing(Standing::Undecided), findings.len(), page)?;
        }
        Verdict::Pass if findings.len() == 1 => page.paragraph("", "The objective is met.")?,
        Verdict::Pass => page.paragraph("", &format!("All {} objectives are met.", findings.len()))?,
    }
    ending(&report.saved.ending, page)
}

fn reasons<'a>(
    what: &str,
    findings: impl Iterator<Item = &'a Finding> + Clone,
    all: usize,
    page: &mut Page<'_>,
) -> fmt::Result {
    let some = findings.clone().count();
    let objectives = counted(all as u64, "objective");
    let is = if some == 1 { "is" } else { "are" };
    page.paragraph("", &format!("{some} of {objectives} {is} {what}:"))?;
    for finding in findings {
        page.paragraph("  - ", &shortened(finding))?;
        if let Some(missing) = &finding.missing {
            page.paragraph("    missing: ", &missing.to_string())?;
        }
    }
    Ok(())
}

/// A finding's sentence; that of a very long name keeps its end, which holds the figure.
fn shortened(finding: &Finding) -> String {
    let objective = finding.objective.to_string();
    match finding.sentence.strip_prefix(&objective) {
        Some(rest) => format!("{}{rest}", clip(&clean(&objective), WIDTH - 8)),
        None => finding.sentence.clone(),
    }
}

fn ending(ending: &Ending, page: &mut Page<'_>) -> fmt::Result {
    let why = match ending {
        Ending::Completed => return Ok(()),
        Ending::Signal(signal) => format!("{signal} stopped the run: the figures are of what was due until then."),
        Ending::Rule(rule) => format!("A rule stopped the run early: {rule}."),
        Ending::CutOff { at } => {
            let reached = humane_duration(at.since(Moment::ZERO));
            format!("The run was cut off: this was saved {reached} into it, and what came after it is lost.")
        }
        Ending::LostLanes { lost, of } => {
            format!("{lost} of the generator's {of} lanes broke down: what they had to send was not sent.")
        }
    };
    page.paragraph("", &why)
}

#[cfg(test)]
mod tests {
    use super::super::humane::columns;
    use super::super::{SavedRun, fixtures};
    use super::*;

    fn text(run: &SavedRun) -> String {
        let judgement = run.judge(&[]).unwrap();
        let mut page = String::new();
        Text::default().write(&Report::new(run, &judgement).saved_in("run.json"), &mut page).unwrap();
        page
    }

    #[test]
    fn a_run_in_which_all_goes_well() {
        insta::assert_snapshot!(text(&fixtures::ok()));
    }

    #[test]
    fn a_run_in_which_much_goes_wrong() {
        insta::assert_snapshot!(text(&fixtures::failed()));
    }

    #[test]
    fn a_run_in_which_nothing_was_due() {
        insta::assert_snapshot!(text(&fixtures::empty()));
    }

    #[test]
    fn a_run_against_a_hostile_server() {
        insta::assert_snapshot!(text(&fixtures::hostile()));
    }

    #[test]
    fn a_run_of_two_flows() {
        insta::assert_snapshot!(text(&fixtures::flows()));
    }

    #[test]
    fn a_run_in_which_promises_about_money_are_broken() {
        insta::assert_snapshot!(text(&fixtures::untrue()));
    }

    #[test]
    fn nothing_is_wider_than_eighty_columns() {
        for (name, run) in fixtures::all() {
            let wide = text(&run).lines().find(|line| columns(line) > WIDTH).map(str::to_owned);
            assert_eq!(wide, None, "{name}");
        }
    }

    #[test]
    fn colour_is_for_marks_alone_and_changes_no_word() {
        let run = fixtures::failed();
        let judgement = run.judge(&[]).unwrap();
        let mut coloured = String::new();
        let style = Style { colour: true };
        Text::new(style).write(&Report::new(&run, &judgement).saved_in("run.json"), &mut coloured).unwrap();
        assert!(coloured.contains("\u{1b}[1;31mFAIL\u{1b}[0m"));
        assert!(!text(&run).contains('\u{1b}'));
        let words: String = coloured.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |p| p.1)).collect();
        assert_eq!(words.len(), text(&run).len());
    }

    #[test]
    fn each_ending_but_the_usual_one_is_told() {
        for (ending, words) in [
            (Ending::Signal("SIGTERM".into()), "SIGTERM stopped the run"),
            (Ending::Rule("p95 < 1s can no longer be met".into()), "p95 < 1s can no longer be met"),
            (Ending::CutOff { at: Moment::from_nanos(90_000_000_000) }, "was cut off: this was saved 1 m 30 s into it"),
            (Ending::LostLanes { lost: 1, of: 2 }, "1 of the generator's 2 lanes"),
        ] {
            assert!(text(&SavedRun { ending, ..fixtures::ok() }).contains(words));
        }
    }

    #[test]
    fn a_run_without_objectives_and_one_with_an_idle_one_are_inconclusive_and_say_what_is_missing() {
        let mut run = fixtures::ok();
        run.plan.objectives.clear();
        assert!(text(&run).contains("give an --objective"));
        let mut idle = fixtures::flows();
        idle.plan.objectives = vec!["p95(get_wallet_balance) < 25ms".parse().unwrap()];
        assert!(
            text(&idle).contains("INCONCLUSIVE") && text(&idle).contains("missing: calls of it that end after warm-up")
        );
    }
}
