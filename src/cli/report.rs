//! `mcpace report`: saved runs and searches, rendered and judged again.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::exit::{Exit, Failure};
use super::flags::told;
use super::log::LogArgs;
use super::pages::PageArgs;
use super::{files, results};
use crate::report::Saved;
use crate::verdict::{Judging, Objective, Verdict};

fn led_by_its_own(path: &Path) -> Failure {
    Failure::usage(anyhow!(
        "`{}` is a search, which was led by its own objectives: search again with others, or report it without --objective and --judge",
        path.display()
    ))
}

fn no_pages(path: &Path, pages: &PageArgs) -> Failure {
    let (path, flag) = (path.display(), pages.given().unwrap_or_default());
    Failure::usage(anyhow!("`{path}` is a search, and {flag} is for runs: report it without {flag}"))
}

/// Flags of `mcpace report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Runs, or searches of mcpace capacity, that were saved with --out.
    #[arg(value_name = "RUN.json", required = true)]
    runs: Vec<PathBuf>,
    /// Judge by this promise instead of the run's own, repeatable.
    #[arg(long = "objective", value_name = "O", value_parser = told::<Objective>)]
    objectives: Vec<Objective>,
    /// How to judge: with 95 % confidence, or by the plain observed value [default: as the run was].
    #[arg(long, value_name = "confident|observed", value_parser = told::<Judging>)]
    judge: Option<Judging>,
    #[command(flatten)]
    pages: PageArgs,
}

/// Prints each run's report; the exit code is that of the worst verdict.
pub(super) fn report(args: &ReportArgs, log: &LogArgs) -> Result<Exit, Failure> {
    if let (Some(flag), [_, _, ..]) = (args.pages.given(), &args.runs[..]) {
        return Err(Failure::usage(anyhow!("{flag} is for one run: report each with a file of its own")));
    }
    args.pages.probe([])?;
    for path in &args.runs {
        args.pages.spare(path)?;
    }
    let mut worst = Verdict::Pass;
    for path in &args.runs {
        let saved = files::read(path).map_err(|why| Failure::usage(anyhow!("failed to {why}")))?;
        worst = worst.max(match saved {
            Saved::Run(run) => results::print(&run, (&args.objectives, args.judge), Some(path), &args.pages, log)?,
            Saved::Capacity(_) if args.pages.given().is_some() => return Err(no_pages(path, &args.pages)),
            Saved::Capacity(search) if args.objectives.is_empty() && args.judge.is_none() => {
                results::print_search(&search, Some(path), log)?
            }
            Saved::Capacity(_) => return Err(led_by_its_own(path)),
        });
    }
    Ok(worst.into())
}
