//! The real binary, run against a server for some seconds, and what that costs it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use mcpace::measure::{Phase, Scope, Summary};
use serde::Deserialize;

/// How long a run goes on before it is looked at: connections are open, buffers have grown.
const SETTLING: Duration = Duration::from_millis(700);
/// How long it goes on afterwards.
const REST: Duration = Duration::from_millis(300);

/// What to run.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) rate: u32,
    pub(crate) pacing: &'a str,
    pub(crate) concurrent: Option<u32>,
    /// How long to look.
    pub(crate) window: Duration,
}

/// What was seen.
pub(crate) struct Seen {
    /// Calls that the server received while it was looked at.
    pub(crate) calls: u64,
    /// User and system time of the generator meanwhile.
    pub(crate) cpu: Duration,
    /// Highest resident memory up to the beginning and up to the end of the window, KiB.
    pub(crate) peak_kib: (u64, u64),
    /// Of the whole run.
    pub(crate) summary: Summary,
}

#[derive(Deserialize)]
struct Saved {
    summary: Summary,
}

impl Seen {
    /// A quantile of the pacing lag, in microseconds.
    pub(crate) fn lag(&self, quantile: f64) -> f64 {
        let tally = self.summary.tally(Scope::Total, Some(Phase::Measure));
        tally.pacing_lag.value_at_quantile(quantile).unwrap_or_default().as_secs_f64() * 1e6
    }

    /// Calls that were answered well, and all that were due.
    pub(crate) fn ok_of_due(&self) -> (u64, u64) {
        let tally = self.summary.tally(Scope::Total, None);
        (tally.outcomes.get(mcpace::outcome::Outcome::Ok), self.summary.due.unwrap_or_default())
    }

    /// CPU time per call, in microseconds.
    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls.max(1) as f64
    }
}

/// Runs the generator against `url`; `calls` tells how many the server has received. `at_ease` is called in the middle.
pub(crate) fn run(url: &str, job: Job<'_>, calls: impl Fn() -> u64, mut at_ease: impl FnMut()) -> io::Result<Seen> {
    let out: PathBuf = std::env::temp_dir().join(format!("mcpace-rate-{}.json", std::process::id()));
    let mut child = start(url, job, &out)?;
    let before = calls();
    while calls() == before && child.try_wait()?.is_none() {
        sleep(Duration::from_millis(5));
    }
    sleep(SETTLING);
    let (first_calls, first_cpu, first_peak) = (calls(), cpu(&child)?, peak(&child)?);
    sleep(job.window / 2);
    at_ease();
    sleep(job.window / 2);
    let (last_calls, last_cpu, last_peak) = (calls(), cpu(&child)?, peak(&child)?);
    child.wait()?;
    let saved: Saved = serde_json::from_slice(&fs::read(&out)?)?;
    fs::remove_file(&out)?;
    Ok(Seen {
        calls: last_calls - first_calls,
        cpu: last_cpu.saturating_sub(first_cpu),
        peak_kib: (first_peak, last_peak),
        summary: saved.summary,
    })
}

fn start(url: &str, job: Job<'_>, out: &std::path::Path) -> io::Result<Child> {
    let duration = SETTLING + job.window + REST;
    let mut command = prefixed();
    command.args([
        "run",
        url,
        "--mix",
        "get_wallet_balance=1",
        "--arrivals",
        "constant",
        "--metrics",
        "off",
        "--seed",
        "1",
    ]);
    command.args(["--rate", &job.rate.to_string(), "--duration", &format!("{}ms", duration.as_millis())]);
    command.args(["--pacing", job.pacing]).arg("--out").arg(out);
    if let Some(concurrent) = job.concurrent {
        command.args(["--concurrent", &concurrent.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// The binary, on the last core and with priority where the system allows that.
fn prefixed() -> Command {
    let binary = std::env::var("MCPACE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mcpace").to_owned());
    let mut words: Vec<String> = Vec::new();
    if can(&["chrt", "-f", "40", "true"]) {
        words.extend(["chrt", "-f", "40"].map(str::to_owned));
    }
    if can(&["taskset", "-c", "1", "true"]) {
        words.extend(["taskset", "-c", "1"].map(str::to_owned));
    }
    words.push(binary);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Whether a command ends well.
pub(crate) fn can(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// CPU time of all threads, in the scheduler's own nanoseconds.
fn cpu(child: &Child) -> io::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += line.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// `VmHWM`, KiB.
fn peak(child: &Child) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0))
}
