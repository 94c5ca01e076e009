//! Saved runs and searches on disk: written whole or not at all, and read within bounds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::report::{Saved, SavedCapacity, SavedRun, SavedRunError};

/// A longer file is no saved run: one of days at full rate takes a few megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Why a saved run could not be written or read. Messages are fragments that follow "failed to ".
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It could not be written.
    #[error("write the run to `{}`: {source}: {}", .path.display(), way_out_of_writing(.source))]
    Write {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The same of a result that is no run.
    #[error("write the result to `{}`: {source}: {}", .path.display(), way_out_of_writing(.source))]
    WriteResult {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It could not be opened or read.
    #[error("read the run `{}`: {source}: {}", .path.display(), way_out_of_reading(.source))]
    Read {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It was read, but is no run.
    #[error("read the run `{}`: {source}", .path.display())]
    NoRun {
        /// The path that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        source: SavedRunError,
    },
}

impl FileError {
    /// A run that the disk does not take in time.
    pub(super) fn too_slow(path: &Path) -> Self {
        Self::Write { path: path.to_owned(), source: io::ErrorKind::TimedOut.into() }
    }

    /// A result that is no run, and that could not be written because of `source`.
    pub(super) fn of_result(path: &Path, source: io::Error) -> Self {
        Self::WriteResult { path: path.to_owned(), source }
    }
}

/// Whether what is written to `path` takes the place of what is there: so it is with files, and not with pipes.
pub(super) fn is_replaced(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |found| found.is_file()) && !is_of_a_process(path)
}

/// The one name of a file that has several: `run.json`, `./run.json` and a link to it. It need not be there yet.
pub(super) fn place_of(path: &Path) -> PathBuf {
    let there = fs::canonicalize(path);
    let beside = || Some(fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?));
    there.ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

fn way_out_of_writing(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "make its folder first, or give another path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "give a path that you may write to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, or give a path on another disk",
        io::ErrorKind::IsADirectory => "it is a folder, give the path of a file in it",
        _ => "give another path",
    }
}

fn way_out_of_reading(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "give the path of a file that `mcpace run --out` wrote",
        io::ErrorKind::PermissionDenied => "give a path that you may read",
        io::ErrorKind::IsADirectory => "it is a folder, give the path of a file in it",
        _ => "give another path",
    }
}

/// Whether a run can be saved at `path`, found out before it begins; nothing that is there changes.
///
/// # Errors
///
/// Where the path cannot be written.
pub(super) fn probe(path: &Path) -> Result<(), FileError> {
    tried(path).map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// The same of a result that is no run.
///
/// # Errors
///
/// Where the path cannot be written.
pub(super) fn probe_result(path: &Path) -> Result<(), FileError> {
    tried(path).map_err(|source| FileError::WriteResult { path: path.to_owned(), source })
}

fn tried(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        // A pipe without a reader yet would wait here; it is tried when there is something to write.
        Ok(found) if !found.is_file() => Ok(()),
        Ok(_) => fs::canonicalize(path).and_then(|path| probe_beside(&path)),
        Err(_) => probe_beside(path),
    }
}

fn probe_beside(path: &Path) -> io::Result<()> {
    let draft = draft_of(path)?;
    File::create(&draft)?;
    fs::remove_file(&draft)
}

/// Writes `run` to `path`. A regular file appears or changes at once, with all of the run in it: what was there before
/// stays until then, also where this fails. What is no regular file (a pipe, a terminal) is written to directly.
///
/// # Errors
///
/// Where the path cannot be written; nothing is left behind then.
pub(super) fn write(run: &SavedRun, path: &Path) -> Result<(), FileError> {
    write_whole(|to| run.write_json(to), path)
}

/// Writes a search as [`write()`] does a run.
///
/// # Errors
///
/// Those of [`write()`].
pub(super) fn write_search(search: &SavedCapacity, path: &Path) -> Result<(), FileError> {
    write_whole(|to| search.write_json(to), path)
}

/// Writes what `write` says, piece by piece: the text of a long run never is in memory as a whole.
fn write_whole(write: impl FnOnce(&mut dyn Write) -> serde_json::Result<()>, path: &Path) -> Result<(), FileError> {
    place(|to| write(to).map_err(io::Error::from), path)
        .map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Writes a text to `path`; over what is there only where that is `wanted`.
///
/// # Errors
///
/// Where the path cannot be written, or something is there.
pub(super) fn write_text(text: &str, path: &Path, wanted: bool) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!wanted);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.flush()
    });
    written.map_err(|source| FileError::Write { path: path.to_owned(), source })
}

/// Writes a result that is no run, the same way.
///
/// # Errors
///
/// Where the path cannot be written; nothing is left behind then.
pub(super) fn write_result(text: &str, path: &Path) -> Result<(), FileError> {
    place(|to| to.write_all(text.as_bytes()), path)
        .map_err(|source| FileError::WriteResult { path: path.to_owned(), source })
}

fn place(write: impl FnOnce(&mut dyn Write) -> io::Result<()>, path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() || is_of_a_process(path) => write_through(path, write),
        // Through a link, so that the link stays one.
        Ok(_) => write_beside(&fs::canonicalize(path)?, write),
        Err(_) => write_beside(path, write),
    }
}

/// Whether the path stands for an open file of a process, such as `/dev/stdout`, which must not be replaced.
fn is_of_a_process(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

fn write_through(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    buffered(OpenOptions::new().append(true).open(path)?, write).map(drop)
}

fn buffered(file: File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    write(&mut buffer)?;
    buffer.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Writes a file beside `path`, and lets it take that name when it is safely on the disk.
fn write_beside(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let draft = draft_of(path)?;
    let written = write_durably(&draft, write).and_then(|()| {
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(&draft, old.permissions())?;
        }
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // The first error is the one to tell; a draft that was never made cannot be removed.
        fs::remove_file(&draft).ok();
    }
    written?;
    // The new name is on the disk when the folder is. Not every file system lets a folder be synchronised.
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

/// A name in the same folder that nobody else uses.
fn draft_of(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    Ok(folder_of(path).join(format!(".{name}.{}.part", std::process::id())))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_durably(draft: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    buffered(File::create(draft)?, write)?.sync_all()
}

/// Reads the run or the search saved in `path`.
///
/// # Errors
///
/// Where there is no such file, it may not be read, or holds neither.
pub(super) fn read(path: &Path) -> Result<Saved, FileError> {
    let text = read_bounded(path, MOST_BYTES).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    Saved::from_json(&text).map_err(|source| FileError::NoRun { path: path.to_owned(), source })
}

/// Reads a file that has at most `most` bytes.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn same(left: &Saved, right: &SavedRun) -> bool {
        matches!(left, Saved::Run(run) if run.to_json().unwrap() == right.to_json().unwrap())
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        write(&fixtures::ok(), &path).unwrap();
        write(&fixtures::small(), &path).unwrap();
        assert!(same(&read(&path).unwrap(), &fixtures::small()));
        assert_eq!(names(folder.path()), ["run.json"]);
    }

    #[test]
    fn a_search_is_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capacity.json");
        write_search(&fixtures::capacity(), &path).unwrap();
        assert!(matches!(read(&path), Ok(Saved::Capacity(search)) if search.probes.len() > 5));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("run.json"), folder.path().join("latest.json"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&fixtures::small(), &link).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(same(&read(&path).unwrap(), &fixtures::small()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_written_to_and_not_replaced() {
        write(&fixtures::small(), Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_with_the_way_out() {
        let error = write(&fixtures::small(), Path::new("/dev/full")).unwrap_err().to_string();
        assert!(error.starts_with("write the run to `/dev/full`") && error.contains("free some space"), "{error}");
    }

    #[test]
    fn a_probe_leaves_nothing_changes_nothing_and_finds_what_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        probe(&path).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        fs::write(&path, "old").unwrap();
        probe(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["run.json"]);
        assert!(probe(&folder.path().join("no/run.json")).is_err());
        assert!(probe(folder.path()).is_err());
    }

    #[test]
    fn a_path_that_cannot_be_written_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write(&fixtures::small(), &folder.path().join("no/run.json")).unwrap_err().to_string();
        assert!(missing.contains("no/run.json") && missing.contains("make its folder first"), "{missing}");
        let error = write(&fixtures::small(), folder.path()).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_path_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let told = || read(&path).unwrap_err().to_string();
        assert!(told().contains("run.json") && told().contains("--out"), "{}", told());
        fs::write(&path, "").unwrap();
        assert!(told().contains("it is empty"), "{}", told());
        fs::write(&path, "{\"format\":\"mcpace-run\",\"version\":9}").unwrap();
        assert!(told().contains("version 9"), "{}", told());
        assert!(read(folder.path()).unwrap_err().to_string().contains("folder"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_one_place_by_whatever_name_and_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("run.json"), folder.path().join("latest.json"));
        assert_eq!(place_of(&folder.path().join("./run.json")), place_of(&path));
        assert_ne!(place_of(&link), place_of(&path));
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(place_of(&link), place_of(&path));
        assert_eq!(place_of(Path::new("run.json")), place_of(&std::env::current_dir().unwrap().join("run.json")));
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert!(read_bounded(&path, 4).is_err());
    }
}
