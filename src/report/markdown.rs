//! The report as Markdown, for the summary of a CI step: short enough to be read, and well below what a step may write.

use std::fmt;

use super::humane::{clean, clip, date};
use super::outline::{Block, Grid, Section, sections};
use super::{Format, Report, happened, words};
use crate::verdict::{Finding, Standing, Verdict};

/// How much of any text is shown.
const LONGEST: usize = 400;
/// How much of an objective is shown.
const NAME: usize = 60;
/// The sections that most readers want; the others fold away.
const OPEN: [&str; 5] = ["Times", "By flow", "By operation", "Errors", "Notes and hints"];

/// The report as Markdown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

impl Format for Markdown {
    fn write(&self, report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let (saved, verdict) = (report.saved, report.judgement.verdict());
        let sign = match verdict {
            Verdict::Pass => "✅",
            Verdict::Fail => "❌",
            Verdict::Inconclusive => "❔",
            Verdict::Invalid => "⚠️",
        };
        writeln!(out, "## {sign} {verdict}: {}\n", escaped(&saved.plan.name))?;
        headline(report, out)?;
        let load: Vec<String> = saved.plan.flows.iter().take(6).map(|flow| escaped(&words::load(flow))).collect();
        writeln!(out, "{} · {}\n", escaped(&words::target(saved)), load.join(" · "))?;
        objectives(report, out)?;
        events(report, out)?;
        let (open, folded): (Vec<Section>, Vec<Section>) =
            sections(report).into_iter().partition(|section| OPEN.contains(&section.title));
        for section in &open {
            writeln!(out, "### {}\n", section.title)?;
            section.blocks.iter().try_for_each(|one| block(one, out))?;
        }
        writeln!(out, "<details><summary>Everything else</summary>\n")?;
        for section in &folded {
            writeln!(out, "### {}\n", section.title)?;
            section.blocks.iter().try_for_each(|one| block(one, out))?;
        }
        writeln!(out, "</details>\n")?;
        let when = date(saved.started_unix_ms);
        writeln!(out, "Run {}, {when}, {}.", escaped(&saved.run_id), escaped(&saved.program))
    }
}

fn headline(report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let headline = words::headline(report, NAME);
    writeln!(out, "{}\n", escaped(&headline.lead))?;
    for reason in &headline.reasons {
        writeln!(out, "- {}", escaped(&reason.sentence))?;
        if let Some(missing) = &reason.missing {
            writeln!(out, "  missing: {}", escaped(missing))?;
        }
    }
    if !headline.reasons.is_empty() {
        writeln!(out)?;
    }
    for text in headline.rest.into_iter().chain(words::ending(&report.saved.ending)) {
        writeln!(out, "{}\n", escaped(&text))?;
    }
    Ok(())
}

fn objectives(report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    if report.judgement.findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "| | objective | observed | 90 % interval | of allowance used |")?;
    writeln!(out, "|---|---|---:|---:|---:|")?;
    for finding in &report.judgement.findings {
        let interval = finding.sureness.as_ref().and_then(|sureness| sureness.interval);
        let interval = interval.map_or_else(|| words::NOTHING.to_owned(), |interval| words::ends(&interval));
        let objective = clip(&clean(&finding.objective.to_string()), NAME);
        let cells = [objective, words::observed(finding), interval, words::used(finding)].map(|cell| escaped(&cell));
        writeln!(out, "| {} | {} |", mark(finding), cells.join(" | "))?;
    }
    writeln!(out)?;
    let below = [words::assumption(report), words::looks(report)];
    below.iter().flatten().try_for_each(|text| writeln!(out, "{}\n", escaped(text)))
}

/// What happened to the run, or was done to it.
fn events(report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    let lines = happened::lines(&report.saved.summary.events);
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "### Events, by time into the run\n")?;
    block(&Block::List(lines), out)
}

const fn mark(finding: &Finding) -> &'static str {
    match finding.standing {
        Standing::Met => "met",
        Standing::Missed => "**missed**",
        Standing::Undecided => "open",
    }
}

fn block(block: &Block, out: &mut dyn fmt::Write) -> fmt::Result {
    match block {
        Block::Words(text) => writeln!(out, "{}\n", escaped(text)),
        Block::List(texts) => {
            texts.iter().try_for_each(|text| writeln!(out, "- {}", escaped(text)))?;
            writeln!(out)
        }
        Block::Table(grid) => table(grid, out),
    }
}

fn table(grid: &Grid, out: &mut dyn fmt::Write) -> fmt::Result {
    writeln!(out, "| {} |", grid.head.join(" | "))?;
    let rule: Vec<&str> = grid.figures.iter().map(|figures| if *figures { "---:" } else { "---" }).collect();
    writeln!(out, "|{}|", rule.join("|"))?;
    for row in &grid.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

/// A text in one line of Markdown in which nothing is markup: no emphasis, code, table, HTML, link, list, heading or formula,
/// and nobody is mentioned.
pub(super) fn escaped(text: &str) -> String {
    let text = clip(&clean(text), LONGEST);
    let mut safe = String::with_capacity(text.len());
    // A list or a heading begins with these, and so does one after a number.
    let begins = text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let first = text.len() - begins;
    for (place, c) in text.char_indices() {
        let alone = text[place + c.len_utf8()..].chars().next().is_none_or(|next| matches!(next, ' ' | '-' | '='));
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // No backslash keeps it from being a formula.
            '$' => safe.push_str("&#36;"),
            '@' => safe.push_str("@<!-- -->"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            '-' | '+' | '=' | '.' | ')' if place == first && alone => {
                safe.push('\\');
                safe.push(c);
            }
            ':' if text[place..].starts_with("://") => safe.push_str("\\:"),
            '.' if text[..place].ends_with(['w', 'W']) => safe.push_str("\\."),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{SavedRun, fixtures};
    use super::*;

    fn page(run: &SavedRun) -> String {
        let judgement = run.judge(&[]).unwrap();
        let mut page = String::new();
        Markdown.write(&Report::new(run, &judgement).saved_in("run.json"), &mut page).unwrap();
        page
    }

    #[test]
    fn a_summary_of_a_run_in_which_much_goes_wrong() {
        insta::assert_snapshot!(page(&fixtures::failed()));
    }

    #[test]
    fn a_summary_of_a_run_in_which_all_goes_well() {
        insta::assert_snapshot!(page(&fixtures::ok()));
    }

    #[test]
    fn a_summary_of_a_run_against_a_hostile_server() {
        insta::assert_snapshot!(page(&fixtures::hostile()));
    }

    #[test]
    fn a_summary_is_far_below_what_a_step_may_write() {
        for (name, run) in fixtures::all() {
            assert!(page(&run).len() < 64 << 10, "{name}");
        }
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        for (name, run) in fixtures::all() {
            let mut width = None;
            for line in page(&run).lines() {
                let cells = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
                if let (Some(before), Some(now)) = (width, cells) {
                    assert_eq!(before, now, "{name}: {line}");
                }
                width = cells;
            }
        }
    }

    #[test]
    fn what_a_text_could_be_is_taken_from_it() {
        for (text, shown) in [
            ("# big", "\\# big"),
            ("- item", "\\- item"),
            ("12. item", "12\\. item"),
            ("1.5 ms", "1.5 ms"),
            ("---", "\\---"),
            ("-0.9 %", "-0.9 %"),
            ("p95 - 1.5", "p95 - 1.5"),
            ("http://x.example www.x.example", "http\\://x.example www\\.x.example"),
            ("@team $x$", "@<!-- -->team &#36;x&#36;"),
            ("<b>|`x`\n\u{1b}[1m![y](z)", "&lt;b&gt;\\|\\`x\\` !\\[y\\](z)"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_one_line_without_markup(text in any::<String>()) {
            let safe = escaped(&text).replace("@<!-- -->", "@");
            prop_assert!(!safe.contains(['\n', '\r', '<', '>', '$']), "{}", safe);
            let mut before = ' ';
            for c in safe.chars() {
                // Either escaped itself, or a backslash that is.
                prop_assert!(!matches!(c, '|' | '`' | '*' | '_' | '[' | ']') || before == '\\', "{}", safe);
                before = if before == '\\' && c == '\\' { ' ' } else { c };
            }
        }
    }
}
