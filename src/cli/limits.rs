//! What the operating system lets this process open, against what the plan may need.

use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::flags::ConcurrentFrom;

/// Descriptors beside one per call in flight: files, timers, event loops, the exporter's clients.
const BESIDE: u64 = 32;

/// How many files may be needed for so many calls in flight.
pub(super) fn needed(concurrent: NonZeroU32) -> u64 {
    u64::from(concurrent.get()) + BESIDE
}

/// How many files may be open; `None` for any number.
pub(super) fn allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the soft limit of open files to what the in-flight limit may need, and gives the limit that can be had.
///
/// # Errors
/// Where a limit that the user chose cannot be had: the message names both numbers and the way out.
pub(super) fn make_room(concurrent: NonZeroU32, from: ConcurrentFrom) -> Result<NonZeroU32, String> {
    let wanted = needed(concurrent);
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return Ok(concurrent);
    }
    let reachable = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum });
    let had = if raised.is_ok() { reachable } else { soft };
    fit(concurrent, from, had)
}

fn fit(concurrent: NonZeroU32, from: ConcurrentFrom, files: u64) -> Result<NonZeroU32, String> {
    let fits = u32::try_from(files.saturating_sub(BESIDE)).unwrap_or(u32::MAX).min(concurrent.get());
    match (NonZeroU32::new(fits), from) {
        (Some(fits), _) if fits == concurrent => Ok(concurrent),
        (Some(fits), ConcurrentFrom::Default) => {
            tracing::warn!(
                "only {files} files may be open: at most {fits} calls in flight instead of {concurrent}; raise `ulimit -n` \
                 or give --concurrent {fits}"
            );
            Ok(fits)
        }
        (fits, _) => {
            let needed = needed(concurrent);
            let less = fits.map_or_else(String::new, |fits| format!(", or give --concurrent {fits}"));
            Err(format!(
                "--concurrent {concurrent} needs {needed} open files, but only {files} are allowed: raise `ulimit -n`{less}"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_lowered_and_a_choice_is_not() {
        let thousand = NonZeroU32::new(1000).unwrap();
        assert_eq!(fit(thousand, ConcurrentFrom::User, 5000), Ok(thousand));
        assert_eq!(fit(thousand, ConcurrentFrom::Default, 256).unwrap().get(), 224);
        let told = fit(thousand, ConcurrentFrom::User, 256).unwrap_err();
        assert_eq!(
            told,
            "--concurrent 1000 needs 1032 open files, but only 256 are allowed: raise `ulimit -n`, or give --concurrent 224"
        );
        assert!(fit(thousand, ConcurrentFrom::Default, 32).is_err());
    }
}
