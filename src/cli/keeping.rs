//! What is written while a run goes on, so that it is there whatever happens: the run itself, every now and then, and an
//! interval log. By threads of their own; the collector only copies what it has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::clerk::Clerk;
use super::exit::Failure;
use super::files::{self, FileError};
use super::hlog::Log;
use super::trouble::Trouble;
use crate::engine::Sightings;
use crate::measure::{Event, EventKind, Summary};
use crate::plan::Plan;
use crate::report::{Ending, SavedRun};
use crate::time::{Moment, parse_duration};
use crate::verdict::Looked;

/// How often a run is saved unless it is said otherwise.
const EVERY: Duration = Duration::from_mins(1);
/// No run is saved more often.
const LEAST: Duration = Duration::from_secs(1);
/// A run that is younger is as good as begun anew.
const YOUNG: Duration = Duration::from_secs(5);
/// How long a file may take to be written once somebody wants the program to end.
pub(super) const HURRY: Duration = Duration::from_millis(1500);

/// Flags about what is written while a run goes on.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct KeepingArgs {
    /// How often the run is saved to --out while it goes on, so that a kill loses no more; the first time at once, and more
    /// often while it is young: 5s later, and each time that it is twice as old [default: 1m].
    #[arg(long, value_name = "D", value_parser = parse_checkpoint, requires = "out", help_heading = "Results")]
    checkpoint: Option<Duration>,
    /// Write response and service times of each operation as the run goes on, as an HdrHistogram interval log.
    #[arg(long, value_name = "FILE", value_parser = parse_log, help_heading = "Results")]
    hlog: Option<PathBuf>,
}

impl KeepingArgs {
    /// Where the interval log is written, if it is.
    pub(super) fn hlog(&self) -> Option<&Path> {
        self.hlog.as_deref()
    }
}

fn parse_log(path: &str) -> Result<PathBuf, String> {
    if path == "-" {
        return Err(
            "an interval log is written as the run goes on, and stdout is for its report: give a path".to_owned()
        );
    }
    Ok(path.into())
}

fn parse_checkpoint(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text).map_err(|why| why.to_string())?;
    if every < LEAST { Err("a run is saved once a second at most: give at least 1s".to_owned()) } else { Ok(every) }
}

/// What is written of a run while it goes on; by default nothing.
#[derive(Default)]
pub(super) struct Keeping {
    checkpoints: Option<Checkpoints>,
    log: Option<Log>,
    events: Sightings<Event>,
}

impl Keeping {
    /// What the flags ask for, of a run that is saved in `out` at last. Opens what is written to.
    pub(super) fn open(
        args: &KeepingArgs,
        out: Option<&Path>,
        plan: &Plan,
        events: Sightings<Event>,
    ) -> Result<Self, Failure> {
        let every = args.checkpoint.unwrap_or(EVERY);
        let checkpoints = out.map(|out| Checkpoints::to(out, every)).transpose()?;
        let log = args.hlog.as_deref().map(|path| Log::open(path, plan)).transpose()?;
        Ok(Self { checkpoints, log, events })
    }

    /// From now on there is something to keep: `run`, all but its summary.
    pub(super) fn begin(&mut self, run: SavedRun) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.run = Some(run);
        }
        self.log.iter().for_each(Log::begin);
    }

    /// Looks at the run at `now`, and has written what is due to be.
    pub(super) fn look(&mut self, summary: &Summary, now: Moment, looks: impl FnOnce() -> Option<Looked>) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.look(summary, now, looks, &mut |event| self.events.note(event));
        }
        if let Some(log) = &mut self.log {
            log.look(summary, now, &mut |event| self.events.note(event));
        }
    }

    /// The run is over, and its summary final but for what is added here: waits for what is being written, at most for
    /// `patience` each where there is one, and has the rest of the interval log written.
    ///
    /// # Errors
    /// Where the interval log lacks something for good.
    pub(super) fn settle(
        &mut self,
        summary: &mut Summary,
        now: Moment,
        patience: Option<Duration>,
    ) -> Result<(), FileError> {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.settle(now, patience, &mut |event| summary.events.note(event));
        }
        self.log.as_mut().map_or(Ok(()), |log| log.end(summary, now, patience))
    }

    /// Saves the run that has ended, where somebody wants that.
    pub(super) fn save(&mut self, run: &SavedRun, patience: Option<Duration>) -> Option<Result<(), FileError>> {
        self.checkpoints.as_mut().map(|checkpoints| checkpoints.save(run, patience))
    }
}

/// Saves a run on its way, always over what was saved before.
struct Checkpoints {
    run: Option<SavedRun>,
    path: PathBuf,
    every: Duration,
    /// When the next is due; never where a file cannot be replaced, such as a pipe.
    next: Moment,
    /// When the last was begun.
    begun: Moment,
    clerk: Clerk<Result<(), FileError>>,
    trouble: Trouble,
}

impl Checkpoints {
    fn to(path: &Path, every: Duration) -> Result<Self, Failure> {
        let clerk = Clerk::start("results");
        let clerk =
            clerk.map_err(|why| Failure::usage(anyhow!("failed to start a thread that saves the run: {why}")))?;
        let next = if files::is_replaced(path) { Moment::ZERO } else { Moment::FAR };
        let trouble = Trouble::of(EventKind::CheckpointFailed);
        Ok(Self { run: None, path: path.to_owned(), every, next, begun: Moment::ZERO, clerk, trouble })
    }

    fn look(
        &mut self,
        summary: &Summary,
        now: Moment,
        looks: impl FnOnce() -> Option<Looked>,
        note: &mut dyn FnMut(Event),
    ) {
        if let Some(saved) = self.clerk.take() {
            self.saved(saved, now, note);
        }
        // One that is late waits for the disk, and is newer for it.
        let Some(run) = self.run.as_ref().filter(|_| now >= self.next && self.clerk.is_free()) else { return };
        // Of a young run a kill would lose most; and the memory that saving takes is taken early.
        let age = now.since(Moment::ZERO).max(YOUNG);
        (self.begun, self.next) = (now, now.after(self.every.min(age)));
        let (ending, summary) = (Ending::CutOff { at: now }, summary.clone());
        let run = SavedRun { ending, summary, looks: looks(), ..run.clone() };
        let path = self.path.clone();
        self.clerk.give(move || files::write(&run, &path));
    }

    fn saved(&mut self, saved: Result<(), FileError>, now: Moment, note: &mut dyn FnMut(Event)) {
        match saved {
            Ok(()) if self.trouble.is_over() => tracing::info!("the run could be saved again"),
            Ok(()) => tracing::debug!("the run was saved on its way"),
            Err(why) => {
                tracing::warn!("failed to {why}; the run goes on, and this is tried again");
                note(self.trouble.failed(self.begun, now));
            }
        }
    }

    fn settle(&mut self, now: Moment, patience: Option<Duration>, note: &mut dyn FnMut(Event)) {
        if let Some(saved) = self.clerk.wait(patience) {
            self.saved(saved, now, note);
        }
    }

    fn save(&mut self, run: &SavedRun, patience: Option<Duration>) -> Result<(), FileError> {
        let (run, path) = (run.clone(), self.path.clone());
        self.clerk.give(move || files::write(&run, &path));
        self.clerk.wait(patience).unwrap_or_else(|| Err(FileError::too_slow(&self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    fn keeping(path: &Path, every: &str) -> Keeping {
        let args = KeepingArgs { checkpoint: Some(parse_checkpoint(every).unwrap()), hlog: None };
        let run = fixtures::small();
        let mut keeping = Keeping::open(&args, Some(path), &run.plan, Sightings::default()).unwrap();
        keeping.begin(run);
        keeping
    }

    fn at(second: u64) -> Moment {
        half(2 * second)
    }

    /// So many half seconds into the run.
    fn half(halves: u64) -> Moment {
        Moment::from_nanos(halves * 500_000_000)
    }

    fn ending(path: &Path) -> Ending {
        match files::read(path) {
            Ok(crate::report::Saved::Run(run)) => run.ending,
            other => panic!("{other:?}"),
        }
    }

    /// Looks `halves` of a second into the run, and waits for what is written.
    fn look(keeping: &mut Keeping, halves: u64) -> Vec<Event> {
        let mut summary = fixtures::small().summary;
        keeping.look(&summary, half(halves), || None);
        keeping.settle(&mut summary, half(halves), None).unwrap();
        summary.events.kept().to_vec()
    }

    #[test]
    fn the_first_is_written_at_once_and_the_others_when_it_is_twice_as_old_and_when_they_are_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let mut keeping = keeping(&path, "10s");
        // In half seconds: the first look comes when there is something to look at.
        let looks =
            [(1, 1), (10, 1), (11, 11), (21, 11), (22, 22), (41, 22), (42, 42), (61, 42), (66, 66), (85, 66), (86, 86)];
        for (looked, saved) in looks {
            look(&mut keeping, looked);
            assert_eq!(ending(&path), Ending::CutOff { at: half(saved) });
        }
        assert!(keeping.save(&fixtures::small(), None).unwrap().is_ok());
        assert_eq!(ending(&path), Ending::Completed);
    }

    #[test]
    fn what_cannot_be_written_is_one_event_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there/run.json");
        let mut keeping = keeping(&path, "1s");
        look(&mut keeping, 6);
        let failed = look(&mut keeping, 10);
        let event = Event { at: at(3), until: at(5), kind: EventKind::CheckpointFailed, figure: 2.0 };
        assert_eq!(failed, [event]);
        std::fs::create_dir(folder.path().join("there")).unwrap();
        assert_eq!(look(&mut keeping, 14), []);
        assert_eq!(ending(&path), Ending::CutOff { at: at(7) });
    }

    #[test]
    fn what_is_no_file_gets_the_whole_run_once() {
        let mut keeping = keeping(Path::new("/dev/full"), "1s");
        assert_eq!(look(&mut keeping, 6), []);
        assert!(keeping.save(&fixtures::small(), None).unwrap().is_err());
        assert!(Keeping::default().save(&fixtures::small(), None).is_none());
    }

    #[test]
    fn a_run_is_saved_once_a_second_at_most() {
        assert!(parse_checkpoint("999ms").unwrap_err().contains("at least 1s"));
        assert!(parse_log("-").unwrap_err().contains("give a path") && parse_log("a").is_ok());
        assert!(parse_checkpoint("soon").unwrap_err().contains("`soon`"));
    }
}
