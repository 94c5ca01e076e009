//! The flags that say how a run is judged, and whether it ends as soon as that is decided.

use clap::Args;

use super::flags::told;
use crate::plan::Draft;
use crate::verdict::Judging;

/// The flag that says how a run is judged.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Verdict")]
pub(super) struct JudgingArgs {
    /// How to judge: with 95 % confidence, or by the plain observed value [default: confident].
    #[arg(long, value_name = "confident|observed", value_parser = told::<Judging>)]
    judge: Option<Judging>,
}

/// Flags that end a run as soon as it is decided.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Verdict")]
pub(super) struct EarlyEndArgs {
    /// End as soon as each objective is met or missed; --duration says when at the latest.
    #[arg(long)]
    until_decided: bool,
    /// End as soon as an objective is surely missed.
    #[arg(long)]
    abort_on_fail: bool,
}

impl JudgingArgs {
    /// What they say.
    pub(super) fn draft(&self) -> Draft {
        Draft { judging: self.judge, ..Draft::default() }
    }
}

impl EarlyEndArgs {
    /// What they say, over what is said already.
    pub(super) fn over(&self, draft: Draft) -> Draft {
        Draft {
            until_decided: self.until_decided.then_some(true).or(draft.until_decided),
            abort_on_fail: self.abort_on_fail.then_some(true).or(draft.abort_on_fail),
            ..draft
        }
    }
}
