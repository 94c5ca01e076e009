//! The flags of `mcpace run` that say how hard it looks for broken promises about money.

use clap::Args;

use super::flags::told;
use crate::plan::{TruthDraft, parse_share};
use crate::workload::Direction;

/// Flags about the truth of answers.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Truth")]
pub(super) struct TruthArgs {
    /// The share of reads of acknowledged writes that goes over another connection than the write [default: 50%].
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    read_elsewhere: Option<f64>,
    /// The share of results that is held to the output schema of their tool, where it has one [default: 10%].
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    check_output: Option<f64>,
    /// The share of calls with an idempotency key that sends one again: in parallel, later, after a timeout, or with
    /// another body. A server that ignores keys charges twice then [default: 0%].
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    probe_idempotency: Option<f64>,
    /// Draw customers from a pool and check balances against what was paid: each payment moves its customer's balance up or
    /// down.
    #[arg(long, value_name = "up|down", value_parser = told::<Direction>)]
    wallets: Option<Direction>,
}

impl TruthArgs {
    /// What they say.
    pub(super) const fn draft(&self) -> TruthDraft {
        TruthDraft {
            read_elsewhere: self.read_elsewhere,
            check_output: self.check_output,
            probe_idempotency: self.probe_idempotency,
            wallets: self.wallets,
        }
    }
}
