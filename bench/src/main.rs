//! The benchmark: mcpace and its peers, in turn, against a server that knows the truth. What it measures, how, and what
//! the figures mean is told in BENCHMARKS.md.

mod bench;
mod clock;
mod figures;
mod generator;
mod goals;
mod machine;
mod measure;
mod options;
mod report;
mod server;
mod table;
mod tools;
mod yardstick;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bench::Bench;
use clap::{Parser, ValueEnum};
use machine::Machine;
use options::{Options, PAYMENT, Part};
use report::Report;
use serde_json::{Value, json};
use server::Server;
use table::Table;
use tools::{Place, install};

/// No quick run takes longer.
const QUICK: Duration = Duration::from_secs(115);

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(code) => code,
        Err(why) => {
            bench::say(&format!("failed to {why}"));
            ExitCode::from(2)
        }
    }
}

/// Measures what is wanted. The exit code is 1 where a measurement of mcpace came to nothing.
fn run(options: Options) -> Result<ExitCode, String> {
    let target = target()?;
    let peers = target.join("peers");
    if options.install_peers {
        install::install(&peers)?;
    }
    let folder = tempfile::tempdir().map_err(|why| format!("make a folder: {why}"))?;
    let server = Server::start(folder.path()).map_err(|why| format!("start the server: {why}"))?;
    let mut programs = install::found(&peers);
    programs
        .retain(|name, _| !options.no_peers && (options.peers.is_empty() || options.peers.iter().any(|p| p == name)));
    for name in options.peers.iter().filter(|name| !programs.contains_key(name.as_str())) {
        bench::say(&format!("{name} is not there, and is not measured"));
    }
    programs.insert("mcpace", own(&options)?);
    let place = Place {
        folder: folder.path().to_owned(),
        plain: server.plain,
        encrypted: server.encrypted,
        authority: server.authority.clone(),
        programs,
        operation: options.operation.clone(),
    };
    tools::write_files(&place).map_err(|why| format!("write what peers send: {why}"))?;
    let machine = Machine::look(!options.no_realtime);
    for thread in server.threads {
        machine.place_server(thread);
    }
    machine.place_runner();
    let until = options.quick.then(|| clock::monotonic() + QUICK);
    let mut bench = Bench { machine, server, place, options, table: Table::default(), failures: 0, until };
    measure(&mut bench)?;
    Ok(if bench.failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The folder that this program was built in: `target`, two levels above.
fn target() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|why| format!("find this program: {why}"))?;
    let target = own.parent().and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| "find the folder that this program was built in".to_owned())
}

/// The mcpace that is measured.
fn own(options: &Options) -> Result<PathBuf, String> {
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("mcpace"));
    let file = options.mcpace.clone().or_else(beside).unwrap_or_default();
    let way_out = "build it with `cargo build --release`, or give --mcpace FILE";
    fs::canonicalize(&file).map_err(|why| format!("find mcpace at `{}`: {why}: {way_out}", file.display()))
}

/// Measures part by part; what a part gave is written before the next one begins.
fn measure(bench: &mut Bench) -> Result<(), String> {
    let (sentence, head) = head(bench);
    let written = |why| format!("write the figures: {why}");
    let file = bench.options.json.clone();
    let mut report = Report::begin(io::stdout(), file.as_deref(), &sentence, &head).map_err(written)?;
    let mut outcome = Ok(());
    for &part in Part::value_variants() {
        if !bench.options.wants(part) {
            continue;
        }
        let measured = measure_part(bench, part);
        report.add(&bench.table, part.name()).map_err(written)?;
        if let Err(why) = measured {
            outcome = Err(format!("measure {}: {why}", part.name()));
            break;
        }
    }
    // They are about calls as large as those of the peers.
    if bench.place.operation == PAYMENT {
        report.conclude(&bench.table).map_err(written)?;
    }
    outcome
}

fn measure_part(bench: &mut Bench, part: Part) -> io::Result<()> {
    match part {
        Part::Agreement => measure::agreement::measure(bench),
        Part::Cost => measure::cost::measure(bench),
        Part::Highest => measure::highest::measure(bench),
        Part::Exactness => measure::exactness::measure(bench)?,
        Part::Truth => measure::truth::measure(bench),
        Part::Memory => measure::memory::measure(bench),
        Part::Start => measure::start::measure(bench),
        Part::Starved => measure::starved::measure(bench),
        Part::Wires => measure::wires::measure(bench),
        Part::Lanes => measure::lanes::measure(bench),
        Part::Slow => measure::slow::measure(bench),
    }
    Ok(())
}

/// What is said of the whole run: a sentence, and a line of JSON.
fn head(bench: &Bench) -> (String, Value) {
    let tools: Vec<&str> = bench.place.programs.keys().copied().collect();
    let sentence = format!(
        "{}; {} repeats, windows of {:?}; {} against {}",
        bench.machine.sentence(),
        bench.options.repeats(),
        bench.options.window(),
        bench.place.operation,
        tools.join(", ")
    );
    let line = json!({
        "cores": bench.machine.cores, "pinned": bench.machine.is_pinned, "realtime": bench.machine.is_realtime,
        "quick": bench.options.quick, "repeats": bench.options.repeats(), "tools": tools,
        "window_seconds": bench.options.window().as_secs_f64(), "operation": bench.place.operation,
    });
    (sentence, line)
}
