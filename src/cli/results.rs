//! Results on stdout.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::anyhow;

use super::exit::{Exit, Failure};
use super::log::LogArgs;
use crate::report::{Format, Report, SavedRun, Style, Text};
use crate::verdict::{Judging, Objective, Verdict};

/// Judges a run, by `objectives` where there are any, the way that is asked for or else its own, and prints the report.
pub(super) fn print(
    saved: &SavedRun,
    objectives: &[Objective],
    judging: Option<Judging>,
    file: Option<&Path>,
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
    let mut page = String::new();
    let format = Text::new(Style { colour: log.colours(&std::io::stdout()) });
    format.write(&report, &mut page).map_err(|why| Failure::new(Exit::Unwritten, why))?;
    write(page.as_bytes()).map(|()| judgement.verdict())
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
