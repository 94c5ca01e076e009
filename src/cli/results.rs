//! Results on stdout.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::anyhow;

use super::exit::{Exit, Failure};
use super::log::LogArgs;
use super::pages::PageArgs;
use crate::report::{CapacityReport, Report, SavedCapacity, SavedRun, Style, Text};
use crate::verdict::{Judging, Objective, Verdict};

/// Judges a run, by `objectives` where there are any, the way that is asked for or else its own, and prints the report; also
/// in the other forms that are asked for.
pub(super) fn print(
    saved: &SavedRun,
    (objectives, judging): (&[Objective], Option<Judging>),
    file: Option<&Path>,
    pages: &PageArgs,
    log: &LogArgs,
) -> Result<Verdict, Failure> {
    let judging = judging.unwrap_or(saved.plan.judging);
    let judgement = saved.judge_by(objectives, judging).map_err(|why| Failure::usage(anyhow!("failed to {why}")))?;
    let file = file.map(|path| path.display().to_string());
    let report = Report::new(saved, &judgement);
    let report = match &file {
        Some(file) => report.saved_in(file),
        None => report,
    };
    pages.write(&report, &text(log)).map(|()| judgement.verdict())
}

/// Prints the report of a search.
pub(super) fn print_search(saved: &SavedCapacity, file: Option<&Path>, log: &LogArgs) -> Result<Verdict, Failure> {
    let file = file.map(|path| path.display().to_string());
    let report = CapacityReport::new(saved).map_err(|why| Failure::usage(anyhow!("failed to read a probe: {why}")))?;
    let report = match &file {
        Some(file) => report.saved_in(file),
        None => report,
    };
    let mut page = String::new();
    text(log).write_capacity(&report, &mut page).map_err(|why| Failure::new(Exit::Unwritten, why))?;
    write(page.as_bytes()).map(|()| report.verdict)
}

fn text(log: &LogArgs) -> Text {
    Text::new(Style { colour: log.colours(&std::io::stdout()) })
}

/// Whether a path stands for stdout.
pub(super) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a result to stdout.
pub(super) fn write(result: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(result).and_then(|()| out.flush()) {
        // Whoever read it has seen enough.
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(why) => Err(Failure::new(Exit::Unwritten, anyhow!("failed to write the result to stdout: {why}"))),
        Ok(()) => Ok(()),
    }
}
