//! Before a run: what it will take on this machine, as a page of its own or as warnings.

use super::exit::Failure;
use super::log::LogArgs;
use super::session::Session;
use super::signals::Signals;
use super::{Exit, limits, results};
use crate::engine;
use crate::plan::Plan;
use crate::report::{Forecast, Resources, Style, write_forecast};

/// How often the timer is tried: enough for a p95 that one odd wake-up does not make, in a fortieth of a second.
const WAKE_UPS: usize = 50;

/// Looks ahead at a run on this machine.
pub(super) fn look_ahead(plan: &Plan) -> Forecast<'_> {
    let lateness = engine::lateness(WAKE_UPS).unwrap_or_else(|why| {
        tracing::warn!("failed to try this machine's timer: {why}");
        Vec::new()
    });
    let resources = Resources {
        descriptors_needed: limits::needed(plan.run.concurrent),
        descriptors: limits::allowed(),
        ports: engine::local_ports(),
        lateness,
    };
    Forecast::new(plan, resources)
}

/// Says what speaks against the run, and with -v how it looks.
pub(super) fn warn(forecast: &Forecast<'_>) {
    for schedule in &forecast.schedule {
        let (flow, first) = (&schedule.flow, schedule.first.first().map(|at| at.as_secs_f64()));
        tracing::info!(
            "flow {flow}: {:.0} arrivals are expected, the first {first:?} s after the beginning",
            schedule.arrivals
        );
    }
    if let (Some(p50), Some(p99)) = (forecast.lateness(0.5), forecast.lateness(0.99)) {
        tracing::info!("this machine's timer is {p50:?} late at p50, {p99:?} at p99");
    }
    for warning in forecast.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Prints the forecast; closes what was opened at the target. Where that could not be reached, the page says so, and the
/// exit code is that of a run.
pub(super) fn dry_run(
    forecast: &Forecast<'_>,
    (session, signals): (Result<Session, Failure>, &Signals),
    log: &LogArgs,
) -> Result<Exit, Failure> {
    let found = session.as_ref().map_or_else(|_| "not found".to_owned(), Session::found);
    let mut page = String::new();
    let style = Style { colour: log.colours(&std::io::stdout()) };
    write_forecast(forecast, &found, style, &mut page).map_err(|why| Failure::new(Exit::Unwritten, why))?;
    results::write(page.as_bytes())?;
    session.map(|session| {
        session.close(signals);
        Exit::Pass
    })
}
