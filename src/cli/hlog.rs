//! `--hlog`: the file of an interval log, written as the run goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::clerk::Clerk;
use super::exit::Failure;
use super::files::FileError;
use super::run::PROGRAM;
use super::trouble::Trouble;
use crate::engine::unix_millis;
use crate::measure::{Event, EventKind, IntervalLog, Summary};
use crate::plan::Plan;
use crate::time::Moment;

/// An interval lasts a second; in a run that is longer than this, ten.
const LONG: Duration = Duration::from_hours(1);

/// Has an interval log written. What could not be written is part of the next interval, so that nothing is lost.
pub(super) struct Log {
    intervals: IntervalLog,
    file: Arc<Mutex<LogFile>>,
    path: PathBuf,
    interval: Duration,
    next: Moment,
    /// When the last was begun.
    begun: Moment,
    clerk: Clerk<io::Result<()>>,
    trouble: Trouble,
}

impl Log {
    /// Opens the file at `path`. What is there stays until the run begins.
    pub(super) fn open(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        let named = |source| Failure::usage(anyhow::anyhow!("failed to {}", FileError::of_result(path, source)));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(named)?;
        let long = plan.scheduled_duration().is_none_or(|scheduled| scheduled > LONG);
        let interval = Duration::from_secs(if long { 10 } else { 1 });
        Ok(Self {
            intervals: IntervalLog::new(&plan.operation_names()),
            file: Arc::new(Mutex::new(LogFile { file, begun: false, whole: 0 })),
            path: path.to_owned(),
            interval,
            next: Moment::ZERO.after(interval),
            begun: Moment::ZERO,
            clerk: Clerk::start("interval-log").map_err(named)?,
            trouble: Trouble::of(EventKind::LogFailed),
        })
    }

    /// The run begins, and with it the file anew. Where that fails, it is tried again with the first interval.
    pub(super) fn begin(&self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).begin());
    }

    /// Has an interval written, where one is over.
    pub(super) fn look(&mut self, summary: &Summary, now: Moment, note: &mut dyn FnMut(Event)) {
        if let Some(written) = self.clerk.take() {
            self.written(&written, now, note);
        }
        if now >= self.next && self.clerk.is_free() {
            self.next = now.after(self.interval);
            self.write(summary, now);
        }
    }

    /// Has the last interval written, and waits for it, at most for `patience` where there is one.
    ///
    /// # Errors
    /// Where the log lacks something for good.
    pub(super) fn end(
        &mut self,
        summary: &mut Summary,
        now: Moment,
        patience: Option<Duration>,
    ) -> Result<(), FileError> {
        if let Some(written) = self.clerk.wait(patience) {
            self.written(&written, now, &mut |event| summary.events.note(event));
        }
        let is_given = self.clerk.is_free();
        self.write(summary, now);
        let written = self.clerk.wait(patience).filter(|_| is_given);
        let written = written.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
        self.written(&written, now, &mut |event| summary.events.note(event));
        written.map_err(|source| FileError::of_result(&self.path, source))
    }

    fn write(&mut self, summary: &Summary, now: Moment) {
        if !self.clerk.is_free() {
            return;
        }
        self.begun = now;
        let began = unix_millis().saturating_sub(now.as_nanos() / 1_000_000);
        let text = self.intervals.interval(summary, now, || (PROGRAM.to_owned(), began));
        let file = Arc::clone(&self.file);
        self.clerk.give(move || file.lock().unwrap_or_else(PoisonError::into_inner).append(text.as_bytes()));
    }

    fn written(&mut self, written: &io::Result<()>, now: Moment, note: &mut dyn FnMut(Event)) {
        match written {
            Ok(()) => {
                self.intervals.was_written();
                if self.trouble.is_over() {
                    tracing::info!("the interval log could be written again");
                }
            }
            Err(why) => {
                let path = self.path.display();
                tracing::warn!(
                    "failed to write the interval log to `{path}`: {why}; the run goes on, and this is tried again"
                );
                note(self.trouble.failed(self.begun, now));
            }
        }
    }
}

/// A file that grows by whole pieces.
struct LogFile {
    file: File,
    /// Whether what was there before is gone.
    begun: bool,
    /// So many bytes are whole.
    whole: u64,
}

impl LogFile {
    /// Makes it empty, where it is a file and this is the first time.
    fn begin(&mut self) -> io::Result<()> {
        if !self.begun && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.begun = true;
        Ok(())
    }

    /// Adds a piece, or nothing.
    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.begin()?;
        let written = self.file.write_all(piece);
        if written.is_ok() {
            self.whole += piece.len() as u64;
        } else {
            // What is no regular file keeps its torn piece; readers pass over lines that are none.
            drop(self.file.set_len(self.whole).and_then(|()| self.file.seek(SeekFrom::Start(self.whole))));
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    fn at(second: u64) -> Moment {
        Moment::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn the_log_of_a_former_run_is_there_until_another_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times.hlog");
        std::fs::write(&path, "precious\n".repeat(1000)).unwrap();
        let mut run = fixtures::small();
        let mut log = Log::open(&path, &run.plan).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("precious"));
        log.begin();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        log.end(&mut run.summary, at(60), None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with('#') && !text.contains("precious"), "{text}");
    }

    #[test]
    fn a_log_that_lacks_something_for_good_says_so_and_one_that_made_up_for_it_does_not() {
        let mut run = fixtures::small();
        let mut log = Log::open(Path::new("/dev/full"), &run.plan).unwrap();
        log.begin();
        let why = log.end(&mut run.summary, at(60), None).unwrap_err().to_string();
        assert!(why.starts_with("write the result to `/dev/full`") && why.contains("free some space"), "{why}");
        assert_eq!(run.summary.events.of(EventKind::LogFailed).count(), 1);
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(&folder.path().join("times.hlog"), &run.plan).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut log.file.lock().unwrap().file, full);
        log.look(&run.summary, at(20), &mut |_| {});
        assert!(log.clerk.wait(None).is_some_and(|written| written.is_err()));
        log.file.lock().unwrap().file = good;
        log.end(&mut run.summary, at(60), None).unwrap();
    }
}
