//! `mcpace run`: from flags to a plan, a run, a report and an exit code.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::exit::{Exit, Failure};
use super::flags::RunArgs;
use super::limits;
use super::log::LogArgs;
use super::signals::Signals;
use crate::driver::{self, Connector, Limits, McpDriver};
use crate::engine::{self, Ended, Setup, Stop};
use crate::mcp::{Negotiated, check_tools};
use crate::measure::Bounds;
use crate::plan::Plan;
use crate::verdict::judge;
use crate::workload::RunIdentity;

/// Drives a target; ends with a report and a verdict.
pub(super) fn run(args: RunArgs, _log: &LogArgs) -> Result<Exit, Failure> {
    let (mut plan, from) = args.plan(u64::from(rand::random::<u32>()))?;
    plan.run.concurrent = limits::make_room(plan.run.concurrent, from).map_err(|why| Failure::usage(anyhow!(why)))?;
    let stop = Stop::new();
    let signals = Signals::listen(stop.clone()).context("failed to listen for signals").map_err(Failure::usage)?;
    let identity = RunIdentity { run_id: uuid::Uuid::new_v4().to_string(), started_unix_ms: engine::unix_millis() };
    let session = Session::open(&plan)?;
    let setup = Setup { identity, bounds: Bounds::default(), stop };
    let tools: Vec<String> = plan.operations.iter().map(|operation| operation.tool.clone()).collect();
    let limits = Limits {
        timeout: plan.run.timeout,
        max_reply_bytes: plan.run.max_reply_bytes as usize,
        max_idle: plan.run.concurrent.get() as usize,
        ..Limits::default()
    };
    let make = |clock| McpDriver::new(session.connector.clone(), &session.negotiated, &tools, limits, clock);
    let ended = engine::run(&plan, &setup, make, |_, _| ControlFlow::Continue(()));
    let Ended { summary, .. } = ended.context("failed to start the lanes").map_err(Failure::usage)?;
    session.close();
    let (flows, operations) = (plan.flow_names(), plan.operation_names());
    let resolved = plan.objectives.iter().map(|o| o.clone().resolve(&flows, &operations));
    let resolved: Vec<_> = resolved.collect::<Result<_, _>>().map_err(Failure::usage)?;
    let judgement = judge(&summary, &resolved);
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{}\n{judgement:#?}\n{:?}", judgement.verdict(), summary.accounting()));
    Ok(signals.first().unwrap_or_else(|| judgement.verdict().into()))
}

/// What was agreed with the target before the first call.
struct Session {
    runtime: tokio::runtime::Runtime,
    connector: Connector,
    negotiated: Negotiated,
}

/// How long the target has to answer before the run, and to close the session after it.
const PATIENCE: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(2);

impl Session {
    fn open(plan: &Plan) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start").map_err(Failure::usage)?;
        let connector = Connector::new(plan.target.clone());
        let negotiated = runtime
            .block_on(driver::negotiate(&connector, plan.protocol, plan.run.timeout.min(PATIENCE)))
            .context("failed to begin")
            .map_err(|why| Failure::new(Exit::Target, why))?;
        for warning in &negotiated.warnings {
            tracing::warn!("{warning}");
        }
        check_tools(&negotiated, plan.operations.iter().map(|operation| &*operation.tool))
            .map_err(|why| Failure::new(Exit::Target, why))?;
        Ok(Self { runtime, connector, negotiated })
    }

    fn close(&self) {
        self.runtime.block_on(driver::close_session(&self.connector, &self.negotiated, FAREWELL));
    }
}
