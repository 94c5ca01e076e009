//! The command line: flags in, an exit code out.

mod capacity;
mod clerk;
mod compare;
mod conformance;
mod connection;
#[cfg(feature = "server")]
mod demo;
mod environment;
mod exit;
mod eyes;
mod files;
mod flags;
mod forecast;
mod hlog;
mod init;
mod judging;
mod keeping;
mod limits;
mod log;
mod looking;
mod pages;
mod pool;
mod report;
mod results;
mod rules;
mod run;
#[cfg(feature = "server")]
mod serve;
mod session;
mod signals;
mod trickle;
mod trouble;
mod truth;
mod watch;
#[cfg(feature = "server")]
mod webhook;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Open-loop load generator for MCP servers, with a verdict.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive a target, and end with a report and a verdict.
    Run(Box<flags::RunArgs>),
    /// Write a plan to begin with, from the target's own tools where one is given.
    Init(Box<init::InitArgs>),
    /// Find the highest rate that keeps the objectives, and hold it to confirm it.
    Capacity(Box<capacity::CapacityArgs>),
    /// The same against the bundled payments server, started for the occasion.
    #[cfg(feature = "server")]
    Demo(demo::DemoArgs),
    /// The bundled reference MCP payments server, with faults on request.
    #[cfg(feature = "server")]
    Serve(Box<serve::ServeArgs>),
    /// Render a saved run again and judge it again, also against other objectives.
    Report(report::ReportArgs),
    /// Hold a saved run against earlier ones: is it worse?
    Compare(compare::CompareArgs),
    /// Print Prometheus rules for what a plan promises: burn rates and alerts.
    Rules(rules::RulesArgs),
    /// Print the alerts that an Alertmanager sends, a line each.
    #[cfg(feature = "server")]
    #[command(hide = true)]
    Webhook(webhook::WebhookArgs),
    /// Talk to a server of the conformance suite of MCP, which starts this program to examine it.
    #[command(hide = true)]
    ConformanceClient(conformance::ConformanceArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const EXIT_CODES: &str = "\
Exit codes: 0 PASS · 1 FAIL · 2 bad flags or plan · 3 INVALID · 4 INCONCLUSIVE · 5 target not reached, no MCP, no such \
tool · 6 a result file could not be written · 130, 143 interrupted, terminated";

/// Runs the program: parses the command line, does what it says, and gives the exit code.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return exit::clap(&told),
    };
    log::start(&cli.log);
    let ended = match cli.command {
        Command::Run(args) => run::run(&args, &cli.log),
        Command::Init(args) => init::init(&args),
        Command::Capacity(args) => capacity::capacity(&args, &cli.log),
        #[cfg(feature = "server")]
        Command::Demo(args) => demo::demo(&args, &cli.log),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::serve_payments(&args),
        Command::Report(args) => report::report(&args, &cli.log),
        Command::Compare(args) => compare::compare(&args, &cli.log),
        Command::Rules(args) => rules::rules(&args),
        #[cfg(feature = "server")]
        Command::Webhook(args) => webhook::webhook(&args),
        Command::ConformanceClient(args) => conformance::conformance(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut <Cli as clap::CommandFactory>::command(), "mcpace", &mut script);
            results::write(&script).map(|()| Exit::Pass)
        }
    };
    ended.unwrap_or_else(|failure| failure.tell())
}
