//! `mcpace run`: from flags to a plan, a run, a report and an exit code.

use std::path::Path;
use std::thread;

use anyhow::{Context, anyhow};

use super::control::{self, Control};
use super::exit::{Exit, Failure};
use super::eyes::Eyes;
use super::flags::RunArgs;
use super::keeping::{HURRY, Keeping};
use super::log::LogArgs;
use super::looking::Looking;
use super::screen::Screen;
use super::session::Session;
use super::signals::Signals;
use super::watch::{self, Watch};
use super::{files, forecast, limits, results};
use crate::driver::{Limits, McpDriver};
use crate::engine::{self, Ended, Setup, Sightings, Steering, Stop};
use crate::export;
use crate::measure::{Event, EventKind, Summary};
use crate::plan::{Plan, Warmup};
use crate::report::{Ending, Host, SavedRun};
use crate::verdict::{Resolved, Steadiness};
use crate::workload::RunIdentity;

/// This program, with its version.
pub(super) const PROGRAM: &str = concat!("mcpace ", env!("CARGO_PKG_VERSION"));

/// Drives a target; ends with a report and a verdict.
pub(super) fn run(args: &RunArgs, log: &LogArgs) -> Result<Exit, Failure> {
    let (mut plan, from) = args.plan(u64::from(rand::random::<u32>()))?;
    plan.run.concurrent = limits::make_room(plan.run.concurrent, from).map_err(|why| Failure::usage(anyhow!(why)))?;
    args.common.out.as_deref().map_or(Ok(()), probe)?;
    let out = args.common.out.as_deref().map(|path| ("--out", path));
    let log_file = args.keeping.hlog().map(|path| ("--hlog", path));
    args.pages.probe(out.into_iter().chain(log_file).chain(args.control.path().map(|path| ("--control", path))))?;
    warn(&plan);
    let objectives = resolved(&plan)?;
    let eyes = args.server().map(Eyes::open).transpose()?;
    let forecast = forecast::look_ahead(&plan);
    let stop = Stop::new();
    let signals = Signals::listen(stop.clone()).context("failed to listen for signals").map_err(Failure::usage)?;
    if args.dry_run {
        return forecast::dry_run(&forecast, (Session::open(&plan, &signals), &signals), log);
    }
    forecast::warn(&forecast);
    let identity = fresh_identity();
    let bounds = export::bounds(&plan.objectives);
    let exporter = watch::export(args.common.metrics.as_deref(), || watch::identity_of(&plan, &identity, &bounds))?;
    let events = Sightings::default();
    let steering = Steering::new(&plan);
    let control = Control::open(&args.control, &identity.run_id, &steering, events.clone())?;
    let steering = control.is_some().then_some(steering);
    let watch = Watch::of(&plan, &objectives, exporter.as_ref(), log.shows_progress()).steered(steering.clone());
    let mut keeping = Keeping::open(&args.keeping, args.common.out.as_deref(), &plan, events.clone())?;
    let session = Session::open(&plan, &signals)?;
    let view = log.shows_view().then(|| Screen::open(log.colours(&std::io::stderr()), signals.told())).flatten();
    let watch = watch.on(view);
    keeping.begin(frame(&session.plan, &identity, &session));
    tracing::info!("run {} begins, seed {}", identity.run_id, plan.seed);
    let sightings = Sightings::default();
    // Looks until this function ends.
    let _watching = eyes.map(|eyes| eyes.watch(sightings.clone())).transpose()?;
    let setup = Setup {
        identity,
        bounds,
        side_calls: session.pool.side_calls.clone(),
        sightings,
        events,
        stop,
        steering,
        warmup: plan.latest_warmup().into(),
    };
    let mut looking = Looking::new(&plan, &objectives);
    let ended = drive(&session.plan, &setup, &session, &watch, &mut looking, &mut keeping);
    drop(control);
    let closing = session.close(&signals);
    let mut ended = ended?;
    if let Some(steering) = &setup.steering {
        control::complete(steering, &mut ended.summary);
    }
    for call in &closing {
        ended.summary.note_side_call(call, &setup.bounds);
    }
    let hurry = || signals.first().map(|_| HURRY);
    let over = ended.summary.last_done.max(Some(ended.summary.until)).unwrap_or_default();
    let logged = keeping.settle(&mut ended.summary, over, hurry());
    watch.end(&ended.summary);
    let saved = saved_run(&session.plan, &setup.identity, &session, ended, &signals, looking);
    let written = keeping.save(&saved, hurry());
    let exit = finish(&saved, args, (written, logged), log);
    // Whoever stopped the run early does not want to wait now; a signal from here on cuts the waiting short.
    let stopped = signals.first();
    watch::linger(exporter.as_ref(), args.common.linger, || signals.first().is_some());
    exit.map(|exit| stopped.unwrap_or(exit))
}

/// Says what the plan may do to the target's books.
pub(super) fn warn(plan: &Plan) {
    if plan.truth.probe_idempotency > 0.0 {
        tracing::warn!("idempotency keys will be used again: a server that ignores them will charge twice");
    }
}

/// A run of its own, also where all else is the same.
pub(super) fn fresh_identity() -> RunIdentity {
    RunIdentity { run_id: uuid::Uuid::new_v4().to_string(), started_unix_ms: engine::unix_millis() }
}

/// The plan's objectives, with what they are about.
pub(super) fn resolved(plan: &Plan) -> Result<Vec<Resolved>, Failure> {
    let (flows, operations) = (plan.flow_names(), plan.operation_names());
    let each = plan.objectives.iter().map(|objective| objective.clone().resolve(&flows, &operations));
    each.collect::<Result<_, _>>().map_err(Failure::usage)
}

/// Carries out a plan in an agreement with its target, and looks whether it may end early.
pub(super) fn drive(
    plan: &Plan,
    setup: &Setup,
    session: &Session,
    watch: &Watch<'_>,
    looking: &mut Looking<'_>,
    keeping: &mut Keeping,
) -> Result<Ended, Failure> {
    let tools: Vec<String> = plan.operations.iter().map(|operation| operation.tool.clone()).collect();
    let limits = Limits {
        timeout: plan.run.timeout,
        connect_timeout: plan.connection.connect_timeout,
        per_call: plan.connection.per_call,
        max_reply_bytes: plan.run.max_reply_bytes as usize,
        max_idle: plan.run.concurrent.get().div_ceil(plan.run.lanes.get()) as usize,
        ..Limits::default()
    };
    let make = |lane, clock| {
        let driver = McpDriver::new(session.connector.clone(), &session.negotiated, &tools, limits, clock);
        driver.in_sessions(session.pool.of_lane(lane, plan.run.lanes.get()))
    };
    let mut steadiness = (plan.run.warmup == Warmup::Auto).then(Steadiness::default);
    let mut lost = None;
    let ended = engine::run(plan, setup, make, |summary, now| {
        watch.show(summary, now);
        if watch.has_lost_metrics() {
            let at = *lost.get_or_insert(now);
            setup.events.note(Event { at, until: now, kind: EventKind::MetricsLost, figure: 0.0 });
        }
        keeping.look(summary, now, || looking.so_far());
        let unsteady = steadiness.as_mut().filter(|_| now < summary.warmup);
        if let Some(end) = unsteady.and_then(|steadiness| steadiness.look(summary, now)) {
            setup.warmup.bring_forward(end);
        }
        looking.look(summary, now)
    });
    ended.context("failed to start the lanes").map_err(|why| Failure::new(Exit::Invalid, why))
}

/// All that is to be kept of a run that ended.
pub(super) fn saved_run(
    plan: &Plan,
    identity: &RunIdentity,
    session: &Session,
    ended: Ended,
    signals: &Signals,
    looking: Looking<'_>,
) -> SavedRun {
    let (looks, rule) = looking.end();
    for why in &ended.lost_lanes {
        tracing::error!("a lane was lost: {why}");
    }
    let lost = ended.lost_lanes.len() as u32;
    let ending = match signals.first() {
        _ if lost > 0 => Ending::LostLanes { lost, of: plan.run.lanes.get() },
        Some(exit) => Ending::Signal(signal_name(exit).to_owned()),
        None if rule.is_none() && ended.summary.events.of(EventKind::StopAsked).next().is_some() => Ending::Asked,
        None => rule.map_or(Ending::Completed, Ending::Rule),
    };
    SavedRun { ending, looks, summary: ended.summary, ..frame(plan, identity, session) }
}

/// All that is to be kept of a run but what is measured.
fn frame(plan: &Plan, identity: &RunIdentity, session: &Session) -> SavedRun {
    SavedRun {
        program: PROGRAM.to_owned(),
        run_id: identity.run_id.clone(),
        started_unix_ms: identity.started_unix_ms,
        plan: plan.clone(),
        host: host(),
        server: session.server(),
        ending: Ending::Completed,
        looks: None,
        summary: Summary::default(),
    }
}

/// The signal that ends the program so.
pub(super) fn signal_name(exit: Exit) -> &'static str {
    if exit == Exit::Terminated { "SIGTERM" } else { "SIGINT" }
}

fn host() -> Host {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Host {
        name: (!name.is_empty()).then_some(name),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpus: thread::available_parallelism().map_or(0, |cpus| cpus.get() as u32),
    }
}

/// Whether the run can be saved where it shall be: better known now than after hours.
pub(super) fn probe(path: &Path) -> Result<(), Failure> {
    files::probe(path).map_err(|why| Failure::usage(anyhow!("failed to {why}")))
}

/// Prints the report of a run that was `written` or not, and so its interval log. A file that cannot be written changes the
/// exit code, never the report.
fn finish(
    saved: &SavedRun,
    args: &RunArgs,
    (written, logged): (Option<Result<(), files::FileError>>, Result<(), files::FileError>),
    log: &LogArgs,
) -> Result<Exit, Failure> {
    let out = args.common.out.as_deref();
    let file = out.filter(|_| matches!(written, Some(Ok(()))));
    let verdict = results::print(saved, (&[], None), file, &args.pages, log);
    let failed = written.and_then(Result::err).into_iter().chain(logged.err()).map(|why| format!("failed to {why}"));
    let failed: Vec<String> = failed.collect();
    match verdict {
        verdict if failed.is_empty() => verdict.map(Exit::from),
        Err(other) => Err(Failure::new(Exit::Unwritten, anyhow!("{}; {other}", failed.join("; ")))),
        Ok(_) => Err(Failure::new(Exit::Unwritten, anyhow!(failed.join("; ")))),
    }
}
