//! `--hlog`: the file of an interval log, written as the run goes on.

use std::fs::File;
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
    /// Begins the file at `path` anew.
    pub(super) fn open(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        let named = |source| Failure::usage(anyhow::anyhow!("failed to {}", FileError::of_result(path, source)));
        let file = File::create(path).map_err(named)?;
        let long = plan.scheduled_duration().is_none_or(|scheduled| scheduled > LONG);
        let interval = Duration::from_secs(if long { 10 } else { 1 });
        Ok(Self {
            intervals: IntervalLog::new(&plan.operation_names()),
            file: Arc::new(Mutex::new(LogFile { file, whole: 0 })),
            path: path.to_owned(),
            interval,
            next: Moment::ZERO.after(interval),
            begun: Moment::ZERO,
            clerk: Clerk::start("interval-log").map_err(named)?,
            trouble: Trouble::of(EventKind::LogFailed),
        })
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
    pub(super) fn end(&mut self, summary: &mut Summary, now: Moment, patience: Option<Duration>) {
        for last in [false, true] {
            if last {
                self.write(summary, now);
            }
            if let Some(written) = self.clerk.wait(patience) {
                self.written(&written, now, &mut |event| summary.events.note(event));
            }
        }
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
    /// So many bytes are whole.
    whole: u64,
}

impl LogFile {
    /// Adds a piece, or nothing.
    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
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
