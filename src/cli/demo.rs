//! `mcpace demo`: the main job, on the bundled server, which lives exactly as long as the demo.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::exit::{Exit, Failure};
use super::flags::RunArgs;
use super::log::LogArgs;
use super::pages::PageArgs;
use super::run;
use crate::time::{Rate, parse_duration};

/// Flags of `mcpace demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Arrivals per second.
    #[arg(long, value_name = "R", value_parser = Rate::parse_load, default_value = "1000/s")]
    rate: Rate,
    /// How long.
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "15s")]
    duration: Duration,
    /// Same seed, same schedule [default: random].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Save the run, to be rendered and judged again.
    #[arg(long, value_name = "FILE.json")]
    out: Option<std::path::PathBuf>,
    /// Where /metrics is served [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR|off")]
    metrics: Option<String>,
    #[command(flatten)]
    pages: PageArgs,
}

/// What fifteen seconds can decide, whatever machine they run on.
const OBJECTIVES: [&str; 3] = ["p95 < 150ms", "error_rate < 0.1%", "dropped < 0.1%"];

/// Starts the bundled server on a free port, drives it, and leaves nothing behind.
pub(super) fn demo(args: &DemoArgs, log: &LogArgs) -> Result<Exit, Failure> {
    let server = Server::start().map_err(|why| Failure::new(Exit::Target, why))?;
    let objectives = OBJECTIVES.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(Failure::usage)?;
    let mut run =
        RunArgs::against(server.url.clone()).with_load(args.rate, args.duration, args.seed).with_objectives(objectives);
    (run.common.out, run.common.metrics) = (args.out.clone(), args.metrics.clone());
    run.pages = args.pages.clone();
    run::run(&run, log)
}

/// The bundled server as a child process. It ends when its standard input closes, and that closes with this process,
/// however it ends.
struct Server {
    child: Child,
    url: String,
    _lifeline: ChildStdin,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find this program's own file")?;
        let mut child = Command::new(program)
            .args(["serve", "--port", "0", "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // In a group of its own: a terminal's interrupt is for the run, whose last calls still want answers.
            .process_group(0)
            .spawn()
            .context("failed to start the bundled server")?;
        let (Some(lifeline), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("failed to reach the bundled server: it has no standard streams");
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("failed to read the bundled server's address")?;
        let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) else {
            bail!("the bundled server said `{}` instead of its address", line.trim());
        };
        Ok(Self { url: url.to_owned(), child, _lifeline: lifeline })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is not left behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
