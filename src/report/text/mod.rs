//! The report as text: 80 columns, the verdict first, then what it rests on.

mod capacity;
mod comparison;
mod events;
mod forecast;
mod health;
mod page;
mod sections;
mod slowest;
mod table;
mod truth;

use std::fmt;

pub use comparison::comparison;
pub use forecast::write_forecast;
pub use page::Style;

use super::humane::{clean, clip};
use super::{Format, Report, words};
use crate::verdict::Verdict;
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
        slowest::slowest(report, page)?;
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
    let words::Headline { lead, reasons, rest } = words::headline(report, WIDTH - 8);
    page.paragraph("", &lead)?;
    for reason in &reasons {
        page.paragraph("  - ", &reason.sentence)?;
        if let Some(missing) = &reason.missing {
            page.paragraph("    missing: ", missing)?;
        }
    }
    rest.map_or(Ok(()), |text| page.paragraph("", &text))?;
    words::ending(&report.saved.ending).map_or(Ok(()), |text| page.paragraph("", &text))
}

#[cfg(test)]
mod tests {
    use super::super::humane::columns;
    use super::super::{Ending, SavedRun, fixtures};
    use super::*;
    use crate::outcome::Outcome;
    use crate::time::Moment;

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
    fn the_slowest_calls_of_a_traced_run_name_their_traces() {
        let plan = fixtures::plan(
            "target = { url = \"http://localhost\" }\n[run]\ntrace = true\nslowest = 3\nwarmup = \"1s\"",
        );
        let run = fixtures::run(plan, 3, |n, due| fixtures::Told {
            flow: 0,
            operation: 0,
            fate: fixtures::answer(due, 100, if n % 100 == 77 { 90_000 + n } else { 5_000 }, Outcome::Ok),
            said: None,
        });
        let text = text(&run);
        let section = text.split_once("SLOWEST CALLS").unwrap().1.split("\n\n").next().unwrap();
        insta::assert_snapshot!(section);
        let read = SavedRun::from_json(run.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(read.summary.slowest, run.summary.slowest);
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
