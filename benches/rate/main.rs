//! What a call costs the generator, how exactly it keeps time and how far it goes: the release binary against a minimal
//! server, on one machine.
//!
//! `cargo bench --bench rate` takes under two minutes, `cargo bench --bench rate -- --quick` about twenty seconds. Absolute
//! times belong to the machine: compare only what one run prints, and exactness only with that of the bare timer beside it.
//! Where the system allows it, server and generator get a core each and real-time priority. `RATE_ONLY=cost,highest` runs
//! these parts alone (cost, exactness, highest, memory), `MCPACE=FILE` another binary.

mod generator;
mod server;
mod yardstick;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use generator::{Job, Seen, can, run};
use server::Server;

/// A rate is held where pacing lag stays below this at p99, in microseconds, and so much of it is reached.
const LATE: f64 = 1000.0;
const REACHED: f64 = 0.99;
/// A machine with neighbours stalls now and then: a rate is not held where it is not so often in a row.
const TRIES: u32 = 3;

fn main() -> io::Result<()> {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let only: Option<String> = std::env::var("RATE_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only.split(',').any(|one| one == part));
    let server = Server::start()?;
    privilege(server.thread, 0);
    let bench = Bench { url: format!("http://{}/mcp", server.address), server, is_quick };
    let mut out = io::stdout().lock();
    if wanted("cost") {
        bench.cost(&mut out)?;
    }
    if wanted("exactness") {
        bench.exactness(&mut out)?;
    }
    if wanted("highest") {
        bench.highest(&mut out)?;
    }
    if wanted("memory") {
        bench.memory(&mut out)?;
    }
    Ok(())
}

/// Gives a thread a core and, where that is allowed, priority.
fn privilege(thread: rustix::thread::Pid, core: u32) {
    let thread = thread.as_raw_nonzero().to_string();
    let _as_good_as_it_gets = can(&["taskset", "-cp", &core.to_string(), &thread]);
    let _as_good_as_it_gets = can(&["chrt", "-f", "-p", "40", &thread]);
}

struct Bench {
    url: String,
    server: Server,
    is_quick: bool,
}

impl Bench {
    fn run(&self, job: Job<'_>) -> io::Result<Seen> {
        run(&self.url, job, || self.server.calls(), || drop(self.server.take_stamps()))
    }

    fn window(&self) -> Duration {
        Duration::from_millis(if self.is_quick { 800 } else { 3000 })
    }

    fn cost(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "CPU per call, user + system, µs; pacing lag, µs")?;
        writeln!(
            out,
            "{:>10} {:>12} {:>10} {:>8} {:>10} {:>10}",
            "rate/s", "pacing", "reached/s", "CPU", "lag p50", "lag p99"
        )?;
        let rates: &[u32] = if self.is_quick { &[1000, 10_000] } else { &[1000, 5000, 10_000, 20_000] };
        for &rate in rates {
            for pacing in ["exact", "economical"] {
                let job = Job { rate, pacing, concurrent: None, window: self.window() };
                self.row(out, &rate.to_string(), job)?;
            }
        }
        let job = Job { rate: 300_000, pacing: "economical", concurrent: Some(64), window: Duration::from_secs(1) };
        self.row(out, "saturated", job)
    }

    fn row(&self, out: &mut impl Write, name: &str, job: Job<'_>) -> io::Result<()> {
        let seen = self.run(job)?;
        let reached = seen.calls as f64 / job.window.as_secs_f64();
        let (cpu, p50, p99) = (seen.cpu_per_call(), seen.lag(0.5), seen.lag(0.99));
        writeln!(out, "{name:>10} {:>12} {reached:>10.0} {cpu:>8.1} {p50:>10.1} {p99:>10.1}", job.pacing)?;
        out.flush()
    }

    /// How far arrivals at the server are from the grid that 1000 calls a second make.
    fn exactness(&self, out: &mut impl Write) -> io::Result<()> {
        drop(self.server.take_stamps());
        let seen = self.run(Job { rate: 1000, pacing: "exact", concurrent: None, window: self.window() })?;
        let errors = off_grid(&self.server.take_stamps(), Duration::from_millis(1));
        let at = |quantile: f64| errors[((errors.len() - 1) as f64 * quantile) as usize] * 1e6;
        let bare = yardstick::lags(Duration::from_millis(1), self.window(), || privilege(rustix::thread::gettid(), 1))?;
        let bare_at = |quantile: f64| bare[((bare.len() - 1) as f64 * quantile) as usize].as_secs_f64() * 1e6;
        writeln!(
            out,
            "\n1000/s constant, exact: pacing lag p50 {:.1} µs, p99 {:.1} µs",
            seen.lag(0.5),
            seen.lag(0.99)
        )?;
        writeln!(out, "a bare timer on the same core: p50 {:.1} µs, p99 {:.1} µs", bare_at(0.5), bare_at(0.99))?;
        writeln!(out, "arrivals at the server against the earliest grid: p50 {:.1} µs, p99 {:.1} µs", at(0.5), at(0.99))
    }

    /// The highest rate that is held on schedule by one lane.
    fn highest(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nrates held by one lane: pacing lag p99 below 1 ms, at least 99 % reached, all answers right")?;
        let step = if self.is_quick { 20_000 } else { 10_000 };
        for rate in (1..).map(|n| n * step) {
            let mut is_held = false;
            for _ in 0..TRIES {
                is_held = self.is_held(out, rate)?;
                if is_held {
                    break;
                }
            }
            if !is_held {
                break;
            }
        }
        Ok(())
    }

    fn is_held(&self, out: &mut impl Write, rate: u32) -> io::Result<bool> {
        let job = Job { rate, pacing: "auto", concurrent: None, window: Duration::from_secs(1) };
        let seen = self.run(job)?;
        let reached = seen.calls as f64 / job.window.as_secs_f64();
        let (ok, due) = seen.ok_of_due();
        let is_held = reached >= REACHED * f64::from(rate) && seen.lag(0.99) < LATE && ok == due;
        let verdict = if is_held { "held" } else { "not held" };
        let (lag, cpu) = (seen.lag(0.99), seen.cpu_per_call());
        writeln!(
            out,
            "{rate:>10} {verdict:>9}: {reached:.0}/s, lag p99 {lag:.1} µs, {cpu:.1} µs a call, {ok} of {due} ok"
        )?;
        out.flush()?;
        Ok(is_held)
    }

    /// Resident memory with 100 and with 5000 calls in flight.
    fn memory(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "\npeak resident memory, MiB, early and late in a run; most calls in flight that it allowed for"
        )?;
        for (rate, delay) in [(1000, Duration::from_millis(100)), (5000, Duration::from_secs(1))] {
            self.server.answer_after(delay);
            let window = if self.is_quick { Duration::from_secs(2) } else { Duration::from_secs(8) };
            let seen = self.run(Job { rate, pacing: "auto", concurrent: None, window });
            self.server.answer_after(Duration::ZERO);
            let seen = seen?;
            let mib = |kib: u64| kib as f64 / 1024.0;
            let (early, late) = seen.peak_kib;
            let in_flight = f64::from(rate) * delay.as_secs_f64();
            let (ok, due) = seen.ok_of_due();
            let (early, late) = (mib(early), mib(late));
            writeln!(out, "{in_flight:>6.0} in flight: {early:.1} early, {late:.1} late; {ok} of {due} ok")?;
            out.flush()?;
        }
        Ok(())
    }
}

/// How late each stamp is against the grid of `period`, placed so that the earliest is on time; ascending, in seconds.
fn off_grid(stamps: &[(u64, Instant)], period: Duration) -> Vec<f64> {
    let Some((_, origin)) = stamps.iter().min_by_key(|(place, _)| *place) else { return vec![0.0] };
    let mut errors: Vec<f64> = Vec::with_capacity(stamps.len());
    let first = stamps.iter().map(|(place, _)| *place).min().unwrap_or_default();
    for (place, stamp) in stamps {
        let ideal = period.as_secs_f64() * (place - first) as f64;
        errors.push(stamp.saturating_duration_since(*origin).as_secs_f64() - ideal);
    }
    errors.sort_by(f64::total_cmp);
    let earliest = errors[0];
    errors.iter().map(|error| error - earliest).collect()
}
