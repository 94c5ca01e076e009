//! A comparison as text: 80 columns, what came out first, then every figure.

use std::fmt;

use super::super::comparison::{Compared, Named, interval, level, name, observed};
use super::super::humane::{clean, clip, counted, date};
use super::page::{Mood, Page, Style, WIDTH};
use super::table::Table;
use crate::verdict::compare::Finding;

/// How many figures are named in the headline.
const MOST_SENTENCES: usize = 12;
/// How many runs are listed.
const MOST_RUNS: usize = 10;

/// Writes a comparison as text.
///
/// # Errors
///
/// Only those of `out`.
pub fn comparison(compared: &Compared<'_>, style: Style, out: &mut dyn fmt::Write) -> fmt::Result {
    let page = &mut Page::new(out, style);
    headline(compared, page)?;
    page.gap()?;
    for base in compared.bases.iter().take(MOST_RUNS) {
        page.paragraph("base      ", &run(base))?;
    }
    if let Some(more) = compared.bases.len().checked_sub(MOST_RUNS + 1) {
        page.paragraph("          ", &format!("and {}", counted(more as u64 + 1, "more run")))?;
    }
    page.paragraph("new       ", &run(&compared.new))?;
    page.paragraph("target    ", &compared.new.run.plan.target.to_string())?;
    figures(compared, page)?;
    if compared.notes.is_empty() {
        return Ok(());
    }
    page.heading("NOTES")?;
    compared.notes.iter().try_for_each(|note| page.paragraph("  - ", note))
}

fn run(named: &Named<'_>) -> String {
    format!("{} ({})", clip(&clean(named.file), WIDTH), date(named.run.started_unix_ms))
}

fn headline(compared: &Compared<'_>, page: &mut Page<'_>) -> fmt::Result {
    let word = compared.headline();
    let mood = match compared.comparison.finding() {
        Finding::Worse => Mood::Bad,
        Finding::Undecided => Mood::Open,
        Finding::Same | Finding::Better => Mood::Good,
    };
    page.rule()?;
    let plan = clip(&clean(&compared.new.run.plan.name), WIDTH - word.len() - 2);
    page.marked(0, (word, mood), &format!("  {plan}"))?;
    page.rule()?;
    let (reason, sentences) = compared.reasons();
    page.paragraph("", &reason)?;
    for sentence in sentences.iter().take(MOST_SENTENCES) {
        page.paragraph("  - ", sentence)?;
    }
    match sentences.len().checked_sub(MOST_SENTENCES + 1) {
        Some(more) => page.paragraph("  - ", &format!("and {}", counted(more as u64 + 1, "more figure"))),
        None => Ok(()),
    }
}

fn figures(compared: &Compared<'_>, page: &mut Page<'_>) -> fmt::Result {
    for row in &compared.comparison.rows {
        let old = if compared.bases.len() > 1 { "base (median)" } else { "base" };
        let mut table = Table::new(10, &["figure", old, "new", "change", "90 % interval"]);
        for change in &row.changes {
            let levels = [change.indicator.to_string(), level(change.base), level(change.new)];
            table.row(&[&levels[..], &[observed(change), interval(change)]].concat());
        }
        page.heading(&name(row))?;
        for (place, line) in table.lines().iter().enumerate() {
            match place.checked_sub(1).map(|place| row.changes[place].finding) {
                None => page.line(10, line)?,
                Some(Finding::Better) => page.marked(2, ("better", Mood::Good), &format!("  {line}"))?,
                Some(Finding::Same) => page.marked(2, ("same  ", Mood::Good), &format!("  {line}"))?,
                Some(Finding::Undecided) => page.marked(2, ("open  ", Mood::Open), &format!("  {line}"))?,
                Some(Finding::Worse) => page.marked(2, ("WORSE ", Mood::Bad), &format!("  {line}"))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::humane::columns;
    use super::super::super::{SavedRun, comparison_markdown, fixtures};
    use super::*;
    use crate::verdict::compare::{INDICATORS, Tolerance};

    fn compared(runs: &[SavedRun], show: impl Fn(&Compared<'_>) -> String) -> String {
        let files: Vec<String> = (1..=runs.len()).map(|n| format!("run{n}.json")).collect();
        let named: Vec<Named<'_>> = files.iter().zip(runs).map(|(file, run)| Named { file, run }).collect();
        show(&Compared::new(&named, &INDICATORS, Tolerance::default()).unwrap())
    }

    fn text(compared: &Compared<'_>) -> String {
        let mut page = String::new();
        comparison(compared, Style::default(), &mut page).unwrap();
        page
    }

    fn markdown(compared: &Compared<'_>) -> String {
        let mut page = String::new();
        comparison_markdown(compared, &mut page).unwrap();
        page
    }

    fn worse() -> [SavedRun; 2] {
        [fixtures::two_minutes("a", 2, None), fixtures::two_minutes("b", 3, Some(20))]
    }

    #[test]
    fn an_operation_that_became_slower_and_fails_more() {
        insta::assert_snapshot!(compared(&worse(), text));
        insta::assert_snapshot!(compared(&worse(), markdown));
        insta::assert_snapshot!(compared(&worse(), |compared| compared.to_json().unwrap()));
    }

    #[test]
    fn several_base_runs_and_a_new_one_that_is_as_they_are() {
        let runs = ["a", "b", "c", "d", "e", "f"].map(|id| fixtures::two_minutes(id, 2, Some(500)));
        insta::assert_snapshot!(compared(&runs, text));
    }

    #[test]
    fn runs_too_short_to_decide_anything() {
        insta::assert_snapshot!(compared(&[fixtures::ok(), SavedRun { run_id: "b".into(), ..fixtures::ok() }], text));
    }

    #[test]
    fn nothing_is_wider_than_eighty_columns_and_no_name_moves_the_cursor() {
        let hostile = |id: &str| {
            let mut run = fixtures::hostile();
            run.run_id = id.to_owned();
            run.ending = crate::report::Ending::Completed;
            run
        };
        let pairs = [[hostile("a"), hostile("b")], worse()];
        for page in pairs.iter().map(|runs| compared(runs, text)) {
            let wide = page.lines().find(|line| columns(line) > WIDTH);
            assert_eq!(wide, None, "{page}");
        }
        for page in pairs.iter().flat_map(|runs| [compared(runs, text), compared(runs, markdown)]) {
            assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
        }
        assert!(!compared(&pairs[0], markdown).contains("<script>"));
    }

    #[test]
    fn an_operation_that_is_no_longer_called_is_not_passed_over() {
        let mut runs = worse();
        let plan = runs[1].plan.clone();
        // Every call is of the first operation.
        runs[1] = fixtures::run(plan, 120, |n, due| fixtures::Told {
            flow: 0,
            operation: 0,
            fate: fixtures::answer(due, 90, 12_000 + n % 7, crate::outcome::Outcome::Ok),
            said: None,
        });
        let page = compared(&runs, text);
        assert!(page.starts_with(&"─".repeat(WIDTH)) && page.contains("NOT DECIDED"), "{page}");
        assert!(page.contains("p95 of verify_payment: - (-); one of the runs saw too little of it"), "{page}");
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_every_reason() {
        let runs = [fixtures::failed(), fixtures::ok(), fixtures::ok(), fixtures::flows()];
        let files = ["a.json", "b.json", "c.json", "d.json"];
        let named: Vec<Named<'_>> = files.iter().zip(&runs).map(|(file, run)| Named { file, run }).collect();
        let refused = Compared::new(&named, &INDICATORS, Tolerance::default()).unwrap_err();
        insta::assert_snapshot!(refused);
        let alone = Compared::new(&named[..1], &INDICATORS, Tolerance::default()).unwrap_err();
        assert!(alone.to_string().contains("it takes two at least"));
    }
}
