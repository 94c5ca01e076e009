//! `mcpace init`: writes a plan to begin with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::connection::ConnectionArgs;
use super::environment;
use super::exit::{Exit, Failure};
use super::session::Session;
use super::signals::Signals;
use super::{files, results};
use crate::engine::Stop;
use crate::mcp::Protocol;
use crate::plan::{Draft, Faults, starter};

/// Flags of `mcpace init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The target, which is asked for its tools; none is called. Without one the plan is for payments [env: API_BASE_URL].
    #[arg(value_name = "URL")]
    target: Option<String>,
    /// Where the plan is written, if not to stdout. A lone argument that ends in .toml is meant so.
    #[arg(value_name = "FILE", conflicts_with = "out")]
    file: Option<PathBuf>,
    /// Where the plan is written, as a flag.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there already.
    #[arg(long)]
    force: bool,
    /// The MCP revision [default: auto].
    #[arg(long, value_name = "P")]
    protocol: Option<Protocol>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl InitArgs {
    /// The target and the file.
    fn places(&self) -> (Option<String>, Option<PathBuf>) {
        let file = self.out.clone().or_else(|| self.file.clone());
        match &self.target {
            Some(lone) if file.is_none() && is_plan(lone) => (None, Some(PathBuf::from(lone))),
            target => (target.clone(), file),
        }
    }
}

/// Whether an argument names a file rather than a target.
fn is_plan(argument: &str) -> bool {
    !argument.contains("://") && Path::new(argument).extension() == Some(OsStr::new("toml"))
}

/// Writes a plan from what the target lists, or one for payments.
pub(super) fn init(args: &InitArgs) -> Result<Exit, Failure> {
    let (target, file) = args.places();
    if let Some(path) = file.as_deref().filter(|path| !args.force && path.exists()) {
        return Err(Failure::usage(anyhow!(
            "failed to write {}: it is there already: give another path, or --force to write over it",
            path.display()
        )));
    }
    let (environment, _) =
        environment::read(|name| std::env::var(name).ok()).map_err(|why| Failure::usage(anyhow!(why)))?;
    let url = target.or(environment.url);
    let is_asked = url.is_some();
    let draft = Draft { url, connection: args.connection.draft(), protocol: args.protocol, ..Draft::default() };
    let plan = draft.check(0, Faults::default()).map_err(Failure::usage)?;
    let text = if is_asked {
        let signals = Signals::listen(Stop::new()).context("failed to listen for signals").map_err(Failure::usage)?;
        let session = Session::reach(&plan, &signals)?;
        session.leave();
        starter(&plan, Some(&session.negotiated))
    } else {
        starter(&plan, None)
    };
    match file {
        None => results::write(text.as_bytes())?,
        Some(path) => files::write_text(&text, &path, args.force)
            .map_err(|why| Failure::new(Exit::Unwritten, anyhow!("failed to {why}")))?,
    }
    Ok(Exit::Pass)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        init: InitArgs,
    }

    #[test]
    fn a_target_and_a_file_are_told_apart() {
        let places = |line: &str| Only::try_parse_from(line.split_whitespace()).unwrap().init.places();
        let (url, file) = (Some("http://h:1/x.toml".to_owned()), Some(PathBuf::from("plan.toml")));
        assert_eq!(places("init"), (None, None));
        assert_eq!(places("init plan.toml"), (None, file.clone()));
        assert_eq!(places("init http://h:1/x.toml"), (url.clone(), None));
        assert_eq!(places("init http://h:1/x.toml plan.toml"), (url.clone(), file.clone()));
        assert_eq!(places("init http://h:1/x.toml --out plan.toml"), (url, file));
        assert!(Only::try_parse_from(["init", "http://h", "a.toml", "--out", "b.toml"]).is_err());
    }
}
