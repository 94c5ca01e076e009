//! The log on stderr: what it says of what the program does, never of what it found.

use std::io::IsTerminal;

use clap::{ArgAction, Args};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::screen;

/// How much is said, and in which colours.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Say more on stderr: -v what is done, -vv each detail.
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    verbose: u8,
    /// Say nothing on stderr but errors, and show no progress.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Show a run's progress as one line, not as a live view of the whole terminal.
    #[arg(long, global = true)]
    no_tui: bool,
    /// No colours (as does the variable NO_COLOR).
    #[arg(long, global = true)]
    no_color: bool,
}

impl LogArgs {
    /// Whether progress may be shown on stderr: on a terminal that shows nothing else.
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && self.verbose == 0 && std::io::stderr().is_terminal()
    }

    /// Whether that may be a view of the whole terminal.
    pub(super) fn shows_view(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|kind| kind.is_empty() || kind == "dumb");
        self.shows_progress() && !self.no_tui && !dumb
    }

    /// Whether what was done may be told on stderr.
    pub(super) const fn is_told(&self) -> bool {
        !self.quiet
    }

    /// Whether what is written to `stream` may be coloured.
    pub(super) fn colours(&self, stream: &impl IsTerminal) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        !self.no_color && !refused && stream.is_terminal()
    }
}

/// Starts the log.
pub(super) fn start(args: &LogArgs) {
    let level = match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    // What libraries say of each call would slow the program down and tell nobody anything.
    let filter = Targets::new().with_target("mcpace", level).with_default(level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| screen::Log)
        .with_ansi(args.colours(&std::io::stderr()))
        .with_target(false)
        .without_time();
    tracing_subscriber::registry().with(lines).with(filter).init();
}
