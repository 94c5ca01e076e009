//! `mcpace capacity`: the highest rate that keeps the objectives, searched with one agreement with the target.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;

use super::exit::{Exit, Failure};
use super::flags::CommonArgs;
use super::keeping::Keeping;
use super::log::LogArgs;
use super::looking::Looking;
use super::session::Session;
use super::signals::Signals;
use super::trickle::Trickle;
use super::watch::{self, Watch};
use super::{files, limits, results, run};
use crate::engine::{self, MonotonicClock, Setup, Sightings, Stop};
use crate::export::{self, Exporter};
use crate::plan::{Plan, Warmup, parse_share};
use crate::report::progress::trial;
use crate::report::{Made, SavedCapacity, SavedRun};
use crate::time::{Clock, Moment, Rate, format_duration, parse_duration};
use crate::verdict::Verdict;
use crate::verdict::search::{CoolDown, Probe, Search, seed_of};

/// Flags of `mcpace capacity`.
#[derive(Clone, Debug, Args)]
pub(super) struct CapacityArgs {
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// Flags that bound the search.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Search")]
struct SearchArgs {
    /// The lowest rate of interest, and the first that is tried; from there on rates double.
    #[arg(long, value_name = "R", value_parser = Rate::parse_load, default_value = "10/s")]
    from: Rate,
    /// The highest rate of interest [default: none; the generator's own limit ends the climb].
    #[arg(long, value_name = "R", value_parser = Rate::parse_load)]
    to: Option<Rate>,
    /// How close the highest rate that is held and the lowest that is not shall come.
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "3%")]
    resolution: f64,
    /// How long each rate is tried, beside --warmup [default of that: 2s].
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "15s")]
    probe: Duration,
    /// How long a probe may become that decides nothing [default: four times --probe].
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    probe_at_most: Option<Duration>,
    /// How long the rate that was found is held to confirm it [default: four times --probe].
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    hold: Option<Duration>,
    /// How long the target has at most, after each probe, to be itself again.
    #[arg(long, value_name = "D", value_parser = parse_duration, default_value = "30s")]
    cool_down: Duration,
}

/// Warm-up where nobody says how long: caches, connections and captured values fill, and a queue finds its length.
const WARMUP: Duration = Duration::from_secs(2);
/// How fine or coarse a search may be.
const RESOLUTIONS: std::ops::RangeInclusive<f64> = 0.001..=0.5;

impl SearchArgs {
    /// The bounds, if they can be meant.
    fn search(&self) -> Result<Search, String> {
        let to = self.to.unwrap_or(Rate::FASTEST_LOAD);
        let four_times = self.probe.saturating_mul(4);
        let (longest, hold) = (self.probe_at_most.unwrap_or(four_times), self.hold.unwrap_or(four_times));
        let [probe, at_most, confirmation] = [self.probe, longest, hold].map(format_duration);
        if to < self.from {
            return Err(format!("--to {to} is below --from {}: give the lower one to --from", self.from));
        }
        if !RESOLUTIONS.contains(&self.resolution) {
            return Err(format!("--resolution {}% cannot be searched: give 0.1% to 50%", self.resolution * 100.0));
        }
        if self.probe < Duration::from_secs(1) {
            return Err(format!("a --probe of {probe} decides nothing: give at least 1s"));
        }
        if longest < self.probe {
            return Err(format!("--probe-at-most {at_most} is shorter than --probe {probe}: give at least as much"));
        }
        if hold < self.probe {
            return Err(format!(
                "a --hold of {confirmation} confirms nothing that --probe {probe} did not: give at least as much"
            ));
        }
        Ok(Search { from: self.from, to, resolution: self.resolution, probe: self.probe, longest, hold })
    }
}

/// Searches for the highest rate that keeps the objectives; ends with a report and a verdict.
pub(super) fn capacity(args: &CapacityArgs, log: &LogArgs) -> Result<Exit, Failure> {
    let usage = |why: String| Failure::usage(anyhow!(why));
    let search = args.search.search().map_err(usage)?;
    let random_seed = u64::from(rand::random::<u32>());
    let mut endless = false;
    let (mut plan, from) = args.common.plan_of(random_seed, |mut draft| {
        let warmup = *draft.warmup.get_or_insert(Warmup::For(WARMUP));
        // Said below, before anything else that may be wrong with it.
        endless = warmup == Warmup::Auto;
        let warmup = if endless { *draft.warmup.insert(Warmup::For(WARMUP)) } else { warmup };
        draft.flat(warmup.at_most(Duration::ZERO).saturating_add(search.probe))
    })?;
    if endless {
        return Err(usage(
            "a search cannot wait for the end of a warm-up: give --warmup a length, such as 2s".to_owned(),
        ));
    }
    if let Some(promised) = plan.promised_rate().filter(|promised| *promised > search.to) {
        return Err(usage(format!("--to {} is below the promised {promised}: nothing could keep it", search.to)));
    }
    plan.run.concurrent = limits::make_room(plan.run.concurrent, from).map_err(usage)?;
    args.common.out.as_deref().map_or(Ok(()), run::probe)?;
    run::warn(&plan);
    run::resolved(&plan)?;
    let signals = Signals::listen(Stop::new()).context("failed to listen for signals").map_err(Failure::usage)?;
    let exporter = watch::export(args.common.metrics.as_deref(), || {
        watch::identity_of(&plan, &run::fresh_identity(), &export::bounds(&plan.objectives))
    })?;
    let session = Session::open(&plan, &signals)?;
    let saved = SavedCapacity {
        program: run::PROGRAM.to_owned(),
        started_unix_ms: engine::unix_millis(),
        plan: session.plan.clone(),
        search,
        cool_down: args.search.cool_down,
        at_rest: None,
        took: Duration::ZERO,
        signal: None,
        probes: Vec::new(),
    };
    let clock = MonotonicClock::starting_in(Duration::ZERO);
    let out = args.common.out.as_deref();
    let mut hunt = Hunt { saved, session, signals, exporter, clock, log, out, unwritten: None };
    let hunted = hunt.all();
    hunt.session.close(&hunt.signals);
    hunted?;
    hunt.end(args.common.linger)
}

/// A search that goes on.
struct Hunt<'a> {
    saved: SavedCapacity,
    session: Session,
    signals: Signals,
    exporter: Option<Exporter>,
    clock: MonotonicClock,
    log: &'a LogArgs,
    out: Option<&'a Path>,
    /// Why the file could not be written the last time.
    unwritten: Option<files::FileError>,
}

impl Hunt<'_> {
    /// Makes one probe after the other until the search or somebody's patience is at its end.
    fn all(&mut self) -> Result<(), Failure> {
        let trickle = Trickle::of(&self.saved, self.clock);
        let mut before = trickle.at_rest(&self.session, &self.signals)?;
        self.saved.at_rest = before.last;
        while let Some(probe) = self.saved.progress().next {
            let number = self.saved.probes.len() as u64;
            if number > 0 {
                before = trickle.cool_down(number, self.saved.at_rest, &self.session, &self.signals)?;
            }
            if self.signals.first().is_some() {
                break;
            }
            self.probe(probe, before)?;
        }
        self.saved.signal = self.signals.first().map(|exit| run::signal_name(exit).to_owned());
        self.checkpoint();
        Ok(())
    }

    /// Makes a probe and keeps it, also where it was broken off.
    fn probe(&mut self, probe: Probe, cool_down: CoolDown) -> Result<(), Failure> {
        let number = self.saved.probes.len() as u64;
        let plan = self.saved.plan.at_rate(probe.rate, probe.duration, seed_of(self.saved.plan.seed, number));
        let saved = self.carry_out(&plan, number == 0)?;
        let judgement = saved.judge(&[]).map_err(|why| Failure::usage(anyhow!("failed to {why}")))?;
        let verdict = self.signals.first().is_none().then(|| judgement.verdict());
        let made = Made::new(probe, verdict, cool_down, &saved);
        self.saved.probes.push(made.map_err(|why| Failure::new(Exit::Unwritten, why))?);
        self.tell(number, probe, verdict, &saved);
        self.checkpoint();
        Ok(())
    }

    /// Drives the target by `plan` and shows it to whoever watches.
    fn carry_out(&self, plan: &Plan, is_first: bool) -> Result<SavedRun, Failure> {
        let objectives = run::resolved(plan)?;
        let (identity, bounds) = (run::fresh_identity(), export::bounds(&plan.objectives));
        if let Some(exporter) = &self.exporter {
            exporter.renew(watch::identity_of(plan, &identity, &bounds));
        }
        let watch = Watch::of(plan, &objectives, self.exporter.as_ref(), self.log.shows_progress());
        // What it took to open the sessions is told with the first probe.
        let side_calls = if is_first { self.session.pool.side_calls.clone() } else { Vec::new() };
        let (sightings, events) = (Sightings::default(), Sightings::default());
        let (stop, warmup) = (self.signals.next_stop(), plan.latest_warmup().into());
        let setup = Setup { identity, bounds, side_calls, sightings, events, stop, steering: None, warmup };
        let mut looking = Looking::new(plan, &objectives);
        let ended = run::drive(plan, &setup, &self.session, &watch, &mut looking, &mut Keeping::default())?;
        watch.end(&ended.summary);
        Ok(run::saved_run(plan, &setup.identity, &self.session, ended, &self.signals, looking))
    }

    /// One line on stderr for a probe that was made.
    fn tell(&self, number: u64, probe: Probe, verdict: Option<Verdict>, saved: &SavedRun) {
        if self.log.is_told() {
            drop(writeln!(std::io::stderr(), "{}", trial(number + 1, probe, verdict, &saved.summary)));
        }
    }

    /// Saves what is known so far. A disk that is full now may not be at the end; only then does it count.
    fn checkpoint(&mut self) {
        self.saved.took = self.clock.now().since(Moment::ZERO);
        let Some(path) = self.out else { return };
        self.unwritten = files::write_search(&self.saved, path).err();
        if let Some(why) = &self.unwritten {
            tracing::warn!("failed to {why}");
        }
    }

    /// Prints the report; a file that could not be written changes the exit code.
    fn end(self, linger: Option<Duration>) -> Result<Exit, Failure> {
        let file = self.out.filter(|_| self.unwritten.is_none());
        let verdict = results::print_search(&self.saved, file, self.log)?;
        let stopped = self.signals.first();
        watch::linger(self.exporter.as_ref(), linger, || self.signals.first().is_some());
        match self.unwritten {
            Some(why) => Err(Failure::new(Exit::Unwritten, anyhow!("failed to {why}"))),
            None => Ok(stopped.unwrap_or_else(|| verdict.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        capacity: CapacityArgs,
    }

    fn search(flags: &str) -> Result<Search, String> {
        let words = std::iter::once("mcpace").chain(flags.split_whitespace());
        let args = Only::try_parse_from(words).map_err(|why| why.to_string())?;
        args.capacity.search.search()
    }

    #[test]
    fn a_search_is_bounded_by_its_flags_and_what_is_not_said_follows() {
        let rate = |per_second| Rate::per_second(per_second).unwrap();
        let found = search("--from 5/s --to 300/s --probe 10s --resolution 2%").unwrap();
        assert_eq!((found.from, found.to), (rate(5.0), rate(300.0)));
        let seconds = [found.probe, found.longest, found.hold].map(|duration| duration.as_secs());
        assert_eq!((seconds, found.resolution.to_bits()), ([10, 40, 40], 0.02_f64.to_bits()));
        assert_eq!(search("").unwrap().to, Rate::FASTEST_LOAD);
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_the_way_out() {
        for (flags, said) in [
            ("--from 20/s --to 10/s", "--to 10/s is below --from 20/s"),
            ("--resolution 0.01%", "give 0.1% to 50%"),
            ("--resolution 60%", "give 0.1% to 50%"),
            ("--probe 500ms", "at least 1s"),
            ("--probe 10s --probe-at-most 5s", "shorter than --probe 10s"),
            ("--probe 10s --hold 5s", "confirms nothing"),
            ("--rate 5", "--rate"),
            ("--total 5", "--total"),
            ("--from 0", "--from"),
        ] {
            let told = search(flags).unwrap_err();
            assert!(told.contains(said), "{flags}: {told}");
        }
    }
}
