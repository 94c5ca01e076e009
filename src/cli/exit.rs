//! How the program ends: its exit codes, and the errors that end it early.

use std::io::Write;
use std::process::{ExitCode, Termination};

use crate::verdict::Verdict;

/// Every ending of the program; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every objective is met.
    Pass = 0,
    /// At least one objective is missed.
    Fail = 1,
    /// Flags or plan cannot be meant.
    Usage = 2,
    /// The measurement cannot be trusted.
    Invalid = 3,
    /// Neither met nor missed.
    Inconclusive = 4,
    /// The target could not be reached at the start, does not speak the protocol, or has no such tool.
    Target = 5,
    /// The run ended, but a result file could not be written.
    Unwritten = 6,
    /// Interrupted (SIGINT).
    Interrupted = 130,
    /// Terminated (SIGTERM).
    Terminated = 143,
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Invalid => Self::Invalid,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// An error that ends the program, with its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    why: anyhow::Error,
}

impl Failure {
    /// Ends the program with `exit` because of `why`.
    pub(super) fn new(exit: Exit, why: impl Into<anyhow::Error>) -> Self {
        Self { exit, why: why.into() }
    }

    /// Flags or plan that cannot be meant.
    pub(super) fn usage(why: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, why)
    }

    /// Says on stderr what went wrong.
    pub(super) fn tell(&self) -> Exit {
        // With stderr gone, the exit code says it alone.
        drop(writeln!(std::io::stderr(), "mcpace: {self}"));
        self.exit
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.why)
    }
}

/// What clap has to say: help and version on stdout, faults on stderr.
pub(super) fn clap(told: &clap::Error) -> Exit {
    drop(told.print());
    if told.use_stderr() { Exit::Usage } else { Exit::Pass }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_code() {
        let codes =
            [Verdict::Pass, Verdict::Fail, Verdict::Invalid, Verdict::Inconclusive].map(|v| Exit::from(v) as u8);
        assert_eq!(codes, [0, 1, 3, 4]);
    }
}
