//! Saved runs on disk: written whole or not at all, and read with a bound.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::report::{SavedRun, SavedRunError};

/// A longer file is no saved run: a soak of days stays far below this.
const LONGEST: u64 = 256 << 20;

/// Why a saved run was not written or read. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// Not written.
    #[error("write {path}: {why}; give --out a file in a folder that exists, may be written and has room")]
    Write {
        /// The file as it was named.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Not written, for what is in it.
    #[error("write {path}: {why}")]
    Unwritable {
        /// The file as it was named.
        path: PathBuf,
        /// What is in the way.
        why: serde_json::Error,
    },
    /// Not read.
    #[error("read {path}: {why}; give a file that `mcpace run --out` wrote")]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Read, and no saved run.
    #[error("read {path}: {why}")]
    NoRun {
        /// The file as it was named.
        path: PathBuf,
        /// What it is instead.
        why: SavedRunError,
    },
}

/// Whether `path` can be written, found out before the run; nothing of it is changed.
pub(super) fn probe(path: &Path) -> Result<(), FileError> {
    let tried = if is_special(path) {
        File::options().write(true).open(path).map(drop)
    } else if path.is_dir() {
        Err(io::Error::from(io::ErrorKind::IsADirectory))
    } else {
        let beside = beside(path);
        File::create(&beside).and_then(|_| fs::remove_file(&beside))
    };
    tried.map_err(|why| FileError::Write { path: path.to_owned(), why })
}

/// Writes a run: beside its place first and then, once all of it is on the disk, in its place. What is there already and
/// is no regular file (a pipe, a terminal) is written directly.
pub(super) fn write(saved: &SavedRun, path: &Path) -> Result<(), FileError> {
    let text = saved.to_json().map_err(|why| FileError::Unwritable { path: path.to_owned(), why })?;
    let written = if is_special(path) {
        File::options().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()))
    } else {
        let beside = beside(path);
        let whole = write_whole(&beside, text.as_bytes()).and_then(|()| fs::rename(&beside, path));
        if whole.is_err() {
            // The half-written file helps nobody; that it could not be removed matters less than why it is half.
            drop(fs::remove_file(&beside));
        }
        whole
    };
    written.map_err(|why| FileError::Write { path: path.to_owned(), why })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Reads a saved run.
pub(super) fn read(path: &Path) -> Result<SavedRun, FileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    let too_long = || io::Error::other(format!("it is longer than {} MiB", LONGEST >> 20));
    read.and_then(|length| if length as u64 > LONGEST { Err(too_long()) } else { Ok(()) })
        .map_err(|why| FileError::Read { path: path.to_owned(), why })?;
    SavedRun::from_json(&bytes).map_err(|why| FileError::NoRun { path: path.to_owned(), why })
}

fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| !facts.is_file() && !facts.is_dir())
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        probe(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(&path, "old").unwrap();
        probe(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn what_cannot_be_written_is_known_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let told = probe(&folder.path().join("none/run.json")).unwrap_err().to_string();
        assert!(told.starts_with("write ") && told.contains("none/run.json: No such file"), "{told}");
        assert!(probe(folder.path()).is_err());
        probe(Path::new("/dev/null")).unwrap();
    }

    #[test]
    fn a_file_that_is_no_run_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("run.json: No such file"), "{told}");
        fs::write(&path, "{}").unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("it is no saved run of mcpace"), "{told}");
    }
}
