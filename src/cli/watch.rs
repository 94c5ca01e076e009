//! A run as it goes on: published at /metrics, and on a terminal as a view of all of it or as one line.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;

use super::exit::Failure;
use super::screen::{self, Screen};
use crate::engine::Steering;
use crate::export::{Exporter, Identity, RunState, Snapshot};
use crate::measure::{Bounds, Summary};
use crate::plan::Plan;
use crate::report::progress::{self, Goal};
use crate::report::view::Model;
use crate::time::{Moment, Rate};
use crate::verdict::{self, Judgement, Resolved, Subject, Terms};
use crate::workload::RunIdentity;

/// Where metrics are served unless it is said otherwise.
const METRICS: &str = "127.0.0.1:9464";
/// The width of a terminal that does not tell its own.
const WIDTH: u16 = 80;

/// Shows a run to whoever watches.
pub(super) struct Watch<'a> {
    plan: &'a Plan,
    objectives: &'a [Resolved],
    exporter: Option<&'a Exporter>,
    progress: bool,
    screen: Option<Screen>,
    steering: Option<Steering>,
}

/// Binds the metrics port. A taken one is a warning where nobody asked for it.
pub(super) fn export(asked: Option<&str>, identity: impl FnOnce() -> Identity) -> Result<Option<Exporter>, Failure> {
    let address = asked.unwrap_or(METRICS);
    let bound = (address != "off").then(|| Exporter::bind(address, identity()));
    let exporter = match bound.transpose() {
        Ok(exporter) => exporter,
        Err(why) if asked.is_none() => {
            tracing::warn!("failed to {why}: the run goes on without metrics");
            None
        }
        Err(why) => return Err(Failure::usage(anyhow!("failed to {why}"))),
    };
    if let Some(exporter) = &exporter {
        tracing::info!("metrics are served at http://{}/metrics", exporter.local_addr());
    }
    Ok(exporter)
}

/// Stays until the final values were scraped, as `--linger` says.
pub(super) fn linger(exporter: Option<&Exporter>, at_most: Option<Duration>, cut: impl Fn() -> bool) {
    let scraped = exporter.is_none_or(|exporter| exporter.linger(at_most, cut));
    if !scraped && at_most.is_some() {
        tracing::warn!("nobody scraped the final metrics");
    }
}

impl<'a> Watch<'a> {
    /// Shows a run at `exporter`, and as a line on a terminal where there shall be `progress`.
    pub(super) fn of(
        plan: &'a Plan,
        objectives: &'a [Resolved],
        exporter: Option<&'a Exporter>,
        progress: bool,
    ) -> Self {
        Self { plan, objectives, exporter, progress, screen: None, steering: None }
    }

    /// Shows it in a view of the whole terminal, where there is one, and then in no line.
    pub(super) fn on(self, screen: Option<Screen>) -> Self {
        Self { progress: self.progress && screen.is_none(), screen, ..self }
    }

    /// The same of a run whose load may be changed.
    pub(super) fn steered(mut self, steering: Option<Steering>) -> Self {
        self.steering = steering;
        self
    }

    /// Shows how the run stands.
    pub(super) fn show(&self, summary: &Summary, now: Moment) {
        let is_paused = self.is_paused_at(now);
        let state = match state(summary, now) {
            RunState::Warmup | RunState::Measure if is_paused => RunState::Paused,
            other => other,
        };
        let judgement = self.judge(summary, false);
        self.publish(summary, now, state, &judgement);
        if let Some(screen) = &self.screen {
            screen.show(Model::of(self.plan, summary, &judgement, now).paused(is_paused));
        }
        tracing::debug!(at = ?now.since(Moment::ZERO), accounts = ?summary.accounting(), levels = ?summary.gauges);
        if self.progress {
            let total = self.plan.flows.iter().map(|flow| flow.total).sum();
            let goal = Goal { duration: self.plan.scheduled_duration(), total };
            let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
            let width = if width == 0 { WIDTH } else { width.max(20) };
            let line = progress::line(summary, now, goal, usize::from(width) - 1);
            // Back to the line's beginning, the new line, and whatever is left of the old one erased.
            drop(write!(std::io::stderr(), "\r{line}\x1b[K"));
        }
    }

    /// Whether metrics were served and are not any more.
    pub(super) fn has_lost_metrics(&self) -> bool {
        self.exporter.is_some_and(|exporter| !exporter.is_serving())
    }

    /// Shows the final values.
    pub(super) fn end(&self, summary: &Summary) {
        if self.progress {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
        if self.screen.is_some() {
            screen::leave();
        }
        self.publish(summary, summary.until, RunState::Ended, &self.judge(summary, true));
    }

    /// How the run stands, where anybody wants to know.
    fn judge(&self, summary: &Summary, ended: bool) -> Judgement {
        if self.exporter.is_none() && self.screen.is_none() {
            return Judgement::default();
        }
        let mut judgement = verdict::judge(summary, self.objectives, &Terms::of(self.plan.judging).at_a_glance());
        if !ended {
            // There may be none yet: that is nobody's fault.
            judgement.doubts.retain(|doubt| doubt.subject != Subject::NoSamples);
        }
        judgement
    }

    fn is_paused_at(&self, now: Moment) -> bool {
        self.steering.as_ref().is_some_and(|steering| steering.is_paused_at(now))
    }

    /// What each flow intends.
    fn rates_at(&self, now: Moment) -> Vec<Rate> {
        match &self.steering {
            Some(steering) => steering.rates_at(now),
            None => self.plan.flows.iter().map(|flow| flow.load.rate_at(now)).collect(),
        }
    }

    fn publish(&self, summary: &Summary, now: Moment, state: RunState, judgement: &Judgement) {
        if let Some(exporter) = &self.exporter {
            let ended = state == RunState::Ended;
            let intended = if ended { vec![Rate::ZERO; self.plan.flows.len()] } else { self.rates_at(now) };
            exporter.publish(&Snapshot { now, state, summary, intended: &intended, judgement });
        }
    }
}

fn state(summary: &Summary, now: Moment) -> RunState {
    if now < summary.warmup {
        RunState::Warmup
    } else if summary.until < now {
        RunState::Draining
    } else {
        RunState::Measure
    }
}

/// What `/metrics` says of the run itself.
pub(super) fn identity_of(plan: &Plan, identity: &RunIdentity, bounds: &Bounds) -> Identity {
    let place = |name: &str| plan.operations.iter().position(|operation| operation.name == name);
    let series = plan
        .flows
        .iter()
        .enumerate()
        .flat_map(|(flow, of)| of.mix.iter().filter_map(move |(name, _)| Some((flow as u16, place(name)? as u16))));
    Identity {
        run_id: identity.run_id.clone(),
        name: plan.name.clone(),
        seed: plan.seed,
        flows: plan.flow_names(),
        operations: plan.operation_names(),
        series: series.collect(),
        keyed: (0..).zip(&plan.operations).filter(|(_, o)| o.idempotency.is_some()).map(|(place, _)| place).collect(),
        bounds: bounds.clone(),
        planned: plan.longest(),
        concurrent: plan.run.concurrent.get(),
    }
}
