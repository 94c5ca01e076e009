//! The flags of `mcpace run` that say which calls can be followed into the server.

use clap::Args;

use crate::plan::MOST_SLOWEST;

/// Flags about single calls.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Results")]
pub(super) struct FollowingArgs {
    /// Send a W3C traceparent header with each call, sampled, and name the traces of the slowest calls.
    #[arg(long)]
    pub(super) trace: bool,
    /// How many of the slowest calls are kept by name [default: 20].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MOST_SLOWEST)))]
    pub(super) slowest: Option<u32>,
}
