//! `mcpace compare`: a saved run against earlier ones, with an exit code for CI.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::exit::{Exit, Failure};
use super::log::LogArgs;
use super::{files, results};
use crate::plan::parse_share;
use crate::report::{Compared, Named, Saved, Style, comparison_markdown, comparison_text};
use crate::verdict::Indicator;
use crate::verdict::compare::{COMPARABLE, Finding, INDICATORS, Tolerance};

/// Flags of `mcpace compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Runs that were saved with --out: one base run or more, and the new one last.
    #[arg(value_name = "RUN.json", required = true, num_args = 2.., verbatim_doc_comment)]
    runs: Vec<PathBuf>,
    /// How much longer times and how much lower rates do not matter, as a part of what they were.
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = parse_tolerance)]
    tolerance: f64,
    /// By how much of all calls more may fail, such as 0.1% for one in a thousand; more counts where it is also more than
    /// --tolerance of what it was.
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = parse_tolerance)]
    error_tolerance: f64,
    /// What is compared, repeatable: p50, p90, p95, p99, p99.9, error_rate, rate [default: p50, p95, p99, error_rate, rate].
    #[arg(long = "indicator", value_name = "NAME", value_parser = parse_indicator)]
    #[expect(clippy::doc_markdown, reason = "this is a help text, shown as it stands")]
    indicators: Vec<Indicator>,
    /// Write the comparison as Markdown, for the summary of a CI job; - is stdout, in place of the text.
    #[arg(long, value_name = "FILE|-")]
    markdown: Option<PathBuf>,
    /// Write the comparison as JSON; - is stdout, in place of the text.
    #[arg(long, value_name = "FILE|-", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

/// A part of something that is more than nothing and less than all of it.
fn parse_tolerance(text: &str) -> Result<f64, String> {
    parse_share(text)?.partial_cmp(&0.0).filter(|order| order.is_gt()).ok_or_else(|| {
        format!(
            "`{text}` leaves no room: two runs are never the same to the last digit, give more than 0%, for example 5%"
        )
    })?;
    parse_share(text).and_then(|share| {
        if share < 1.0 { Ok(share) } else { Err(format!("`{text}` lets everything pass: give less than 100%")) }
    })
}

fn parse_indicator(text: &str) -> Result<Indicator, String> {
    COMPARABLE
        .into_iter()
        .find(|indicator| indicator.name() == text)
        .ok_or_else(|| format!("`{text}` cannot be compared: give {}", COMPARABLE.map(Indicator::name).join(", ")))
}

/// Compares the last run with those before it.
pub(super) fn compare(args: &CompareArgs, log: &LogArgs) -> Result<Exit, Failure> {
    let usage = |why: String| Failure::usage(anyhow!("failed to {why}"));
    let stdout = Path::new("-");
    if [&args.markdown, &args.json].iter().all(|path| path.as_deref() == Some(stdout)) {
        return Err(usage("write two results to stdout: give a file for --markdown or --json".to_owned()));
    }
    let mut saved = Vec::new();
    for path in &args.runs {
        match files::read(path).map_err(|why| usage(why.to_string()))? {
            Saved::Run(run) => saved.push((path.display().to_string(), *run)),
            Saved::Capacity(_) => {
                return Err(usage(format!("compare {}: it is a search for a rate, give saved runs", path.display())));
            }
        }
    }
    let named: Vec<Named<'_>> = saved.iter().map(|(file, run)| Named { file, run }).collect();
    let mut asked = args.indicators.clone();
    let mut known = Vec::new();
    asked.retain(|indicator| {
        !known.contains(indicator) && {
            known.push(*indicator);
            true
        }
    });
    let indicators = if asked.is_empty() { &INDICATORS[..] } else { &asked };
    let tolerance = Tolerance { relative: args.tolerance, errors: args.error_tolerance };
    let compared = Compared::new(&named, indicators, tolerance).map_err(|why| usage(why.to_string()))?;
    let written = write(&compared, args, log);
    let exit = match compared.comparison.finding() {
        Finding::Worse => Exit::Fail,
        Finding::Undecided => Exit::Inconclusive,
        Finding::Same | Finding::Better => Exit::Pass,
    };
    written.map(|()| exit)
}

/// The text on stdout, unless another form is asked for there, and files.
fn write(compared: &Compared<'_>, args: &CompareArgs, log: &LogArgs) -> Result<(), Failure> {
    let unwritten = |why: String| Failure::new(Exit::Unwritten, anyhow!(why));
    let mut markdown = String::new();
    comparison_markdown(compared, &mut markdown).map_err(|why| unwritten(why.to_string()))?;
    let json = compared.to_json().map_err(|why| unwritten(why.to_string()))?;
    let mut said = false;
    let mut failed = None;
    for (path, text) in [(&args.markdown, &markdown), (&args.json, &json)] {
        match path.as_deref() {
            None => {}
            Some(path) if results::is_stdout(path) => {
                said = true;
                results::write(text.as_bytes())?;
            }
            // The report on stdout comes first, whatever becomes of a file.
            Some(path) => failed = files::write_result(text, path).err().or(failed),
        }
    }
    if !said {
        let mut text = String::new();
        let style = Style { colour: log.colours(&std::io::stdout()) };
        comparison_text(compared, style, &mut text).map_err(|why| unwritten(why.to_string()))?;
        results::write(text.as_bytes())?;
    }
    failed.map_or(Ok(()), |why| Err(unwritten(format!("failed to {why}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_more_than_nothing_and_less_than_everything() {
        assert_eq!((parse_tolerance("5%"), parse_tolerance("0.1")), (Ok(0.05), Ok(0.1)));
        assert!(parse_tolerance("0%").unwrap_err().contains("leaves no room"));
        assert!(parse_tolerance("100%").unwrap_err().contains("lets everything pass"));
        assert!(parse_tolerance("much").unwrap_err().contains("not a share"));
        assert_eq!(parse_indicator("p99.9"), Ok(Indicator::P999));
        assert!(parse_indicator("mean").unwrap_err().contains("cannot be compared: give p50"));
    }
}
