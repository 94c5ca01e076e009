//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use mcpace::time::parse_duration;

use crate::tools::install::PEERS;

/// The operation that is as large as what the peers send.
pub(crate) const PAYMENT: &str = "create_payment";

/// Measures mcpace and its peers side by side on this machine: see BENCHMARKS.md.
#[derive(Clone, Debug, Parser)]
#[command(name = "mcpace-bench", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Options {
    /// Short windows, one repeat and few cases: under two minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// These parts alone
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    pub(crate) only: Vec<Part>,
    /// How often each measurement is made [default: 3, quick: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeats: Option<u32>,
    /// How long each generator is looked at [default: 3s, quick: 600ms]
    #[arg(long, value_name = "D", value_parser = window)]
    pub(crate) window: Option<Duration>,
    /// Write each figure as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The release build of mcpace [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) mcpace: Option<PathBuf>,
    /// What mcpace calls: `create_payment` is as large as what the peers send
    #[arg(long, value_name = "NAME", default_value = PAYMENT, value_parser = [PAYMENT, "get_wallet_balance"])]
    pub(crate) operation: String,
    /// Measure these peers alone, of those that are there
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", value_parser = PEERS, conflicts_with = "no_peers")]
    pub(crate) peers: Vec<String>,
    /// Measure mcpace alone
    #[arg(long)]
    pub(crate) no_peers: bool,
    /// Install oha by cargo into target/peers, and wrk, hey, ab and h2load by apt-get, before anything else
    #[arg(long)]
    pub(crate) install_peers: bool,
    /// Plain scheduling, even where real-time priority is allowed: on a machine that others work on
    #[arg(long)]
    pub(crate) no_realtime: bool,
}

/// Less than this has next to no calls in it.
const LEAST_WINDOW: Duration = Duration::from_millis(50);

fn window(text: &str) -> Result<Duration, String> {
    let window = parse_duration(text).map_err(|why| why.to_string())?;
    if window < LEAST_WINDOW { Err(format!("at least {LEAST_WINDOW:?} are needed")) } else { Ok(window) }
}

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// Whether server and mcpace count the same calls
    Agreement,
    /// CPU per call at held rates and at saturation
    Cost,
    /// The highest rate that is held on schedule
    Highest,
    /// How far arrivals are from their grid, and how irregular Poisson arrivals are
    Exactness,
    /// Response times under freezes against the analytic answer
    Truth,
    /// Peak memory by connections and by calls
    Memory,
    /// From the end of the preflight to the first call
    Start,
    /// Whether mcpace says so when it does not get the processor that it needs
    Starved,
    /// CPU per call over SSE, TLS and HTTP/2
    Wires,
    /// CPU per call on one lane and on two, over two cores
    Lanes,
    /// CPU per call and exactness where the server takes its time to answer
    Slow,
}

impl Part {
    /// The name that its figures have.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Cost => "cost",
            Self::Highest => "highest",
            Self::Exactness => "exactness",
            Self::Truth => "truth",
            Self::Memory => "memory",
            Self::Start => "start",
            Self::Starved => "starved",
            Self::Wires => "wires",
            Self::Lanes => "lanes",
            Self::Slow => "slow",
        }
    }
}

impl Options {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.quick { 1 } else { 3 })
    }

    pub(crate) fn window(&self) -> Duration {
        self.window.unwrap_or(Duration::from_millis(if self.quick { 600 } else { 3000 }))
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 200 } else { 1000 })
    }

    /// One value for a quick run and another for a whole one.
    pub(crate) fn pick<T>(&self, quick: T, whole: T) -> T {
        if self.quick { quick } else { whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_chosen_by_name_and_a_quick_run_is_made_once() {
        let quick = Options::try_parse_from(["bench", "--quick", "--only", "cost,truth", "--window", "200ms"]).unwrap();
        assert!(quick.wants(Part::Cost) && quick.wants(Part::Truth) && !quick.wants(Part::Memory));
        assert_eq!((quick.repeats(), quick.window()), (1, Duration::from_millis(200)));
        let whole = Options::try_parse_from(["bench"]).unwrap();
        assert!(whole.wants(Part::Memory) && whole.repeats() == 3);
        assert!(Options::try_parse_from(["bench", "--only", "speed"]).is_err());
        assert!(Options::try_parse_from(["bench", "--repeats", "0"]).is_err());
        assert!(Options::try_parse_from(["bench", "--window", "0s"]).is_err());
        assert!(Options::try_parse_from(["bench", "--peers", "oh"]).is_err());
    }

    #[test]
    fn a_part_is_called_as_its_figures_are() {
        for part in Part::value_variants() {
            assert_eq!(part.to_possible_value().unwrap().get_name(), part.name());
        }
    }
}
