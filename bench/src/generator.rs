//! A generator as a child of the runner: what it cost while it was looked at, and what it said in the end.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::clock::monotonic;
use crate::machine::Machine;

/// A generator that takes so much longer than it was asked for is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// From the first call; connections are open then, and buffers have grown.
    pub(crate) warm_up: Duration,
    /// How long to look after that.
    pub(crate) window: Duration,
    /// How long it goes on after that.
    pub(crate) rest: Duration,
}

impl Watch {
    /// How long the generator has to generate.
    pub(crate) fn span(self) -> Duration {
        self.warm_up + self.window + self.rest
    }
}

/// What was seen of a generator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Calls that the server received in the window.
    pub(crate) calls: u64,
    /// How long the window really was.
    pub(crate) elapsed: Duration,
    /// User and system time of all its threads in the window.
    pub(crate) cpu: Duration,
    /// The most resident memory up to the window's beginning, and up to its end, MiB.
    pub(crate) peak: (f64, f64),
    /// Calls that the server received from beginning to end.
    pub(crate) all_calls: u64,
}

impl Cost {
    /// Microseconds of a processor for each call.
    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls.max(1) as f64
    }

    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// A child that does not outlive the wish for it.
struct Running(Child);

impl Running {
    /// Its exit code, if it has ended; -1 where a signal ended it.
    fn code(&mut self) -> Result<Option<i32>, String> {
        let status = self.0.try_wait().map_err(|why| format!("cannot be waited for: {why}"))?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _it_has_ended = self.0.kill();
        let _nothing_to_do_about_it = self.0.wait();
    }
}

/// A command line, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) words: Vec<String>,
    /// Exit codes after which there are figures.
    pub(crate) fine: &'static [i32],
}

/// Runs a generator to its end, and looks at it meanwhile. It is killed `grace` after it should have ended. Its output goes to
/// `output`; `calls` tells how many calls the server has received.
///
/// # Errors
/// It does not start, calls nobody, ends before it was looked at, fails, or does not end in time: a sentence says which.
pub(crate) fn run(
    machine: &Machine,
    invocation: &Invocation,
    output: &Path,
    (watch, grace): (Watch, Duration),
    calls: impl Fn() -> u64,
) -> Result<Cost, String> {
    let mut all = machine.prefix();
    all.extend_from_slice(&invocation.words);
    let errors = output.with_extension("stderr");
    let begun = monotonic();
    let before = calls();
    let mut running = Running(start(&all, output, &errors).map_err(|why| format!("did not start: {why}"))?);
    let said = || fs::read_to_string(&errors).unwrap_or_default().lines().last().unwrap_or_default().to_owned();
    let ended_early = || format!("ended before it was looked at: {}", said());
    let deadline = begun + watch.span() + grace;
    while calls() == before {
        if running.code()?.is_some() {
            return Err(ended_early());
        }
        if monotonic() > deadline {
            return Err("called nobody in time and was killed".to_owned());
        }
        sleep(LOOK);
    }
    sleep(watch.warm_up);
    let first = Look::at(&running.0, &calls).map_err(|_| ended_early())?;
    sleep(watch.window);
    let last = Look::at(&running.0, &calls).map_err(|_| ended_early())?;
    loop {
        match running.code()? {
            Some(code) if invocation.fine.contains(&code) => break,
            Some(code) => return Err(format!("failed with exit code {code}: {}", said())),
            None if monotonic() > deadline => {
                return Err(format!("did not end {grace:.0?} after its time and was killed"));
            }
            None => sleep(LOOK),
        }
    }
    Ok(Cost {
        calls: last.calls - first.calls,
        elapsed: last.at.saturating_sub(first.at),
        cpu: last.cpu.saturating_sub(first.cpu),
        peak: (first.peak, last.peak),
        all_calls: calls() - before,
    })
}

fn start(words: &[String], output: &Path, errors: &Path) -> io::Result<Child> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command.stdout(File::create(output)?).stderr(File::create(errors)?).spawn()
}

struct Look {
    at: Duration,
    calls: u64,
    cpu: Duration,
    peak: f64,
}

impl Look {
    fn at(child: &Child, calls: impl Fn() -> u64) -> io::Result<Self> {
        let (at, calls) = (monotonic(), calls());
        Ok(Self { at, calls, cpu: cpu(child)?, peak: peak(child)? })
    }
}

/// The processor time of a whole process, threads that are gone included, to the scheduler's nanosecond.
fn cpu(child: &Child) -> io::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(child.id().cast_signed()))?;
    Ok(clock_gettime(clock)?.into())
}

/// `VmHWM`, MiB.
fn peak(child: &Child) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| io::Error::other("a process without memory"))
}
