//! What is agreed with the target before the first call, and taken back after the last.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;

use super::exit::{Exit, Failure};
use super::signals::Signals;
use crate::driver::{self, Connector};
use crate::mcp::{Negotiated, check_tools};
use crate::plan::Plan;
use crate::report::Server;

/// How long the target has to answer before the run: as long as a call, but within these. A short timeout of calls is no
/// reason to give up on a handshake, and nobody wants to wait for half a minute to learn of a wrong port.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// How long it has to close the session after the run.
const FAREWELL: Duration = Duration::from_secs(2);

/// An agreement with the target.
pub(super) struct Session {
    runtime: Runtime,
    pub(super) connector: Connector,
    pub(super) negotiated: Negotiated,
}

impl Session {
    /// Shakes hands with the plan's target and looks whether it has the plan's tools. Calls none of them.
    pub(super) fn open(plan: &Plan, signals: &Signals) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start an event loop").map_err(Failure::usage)?;
        let connector = Connector::new(plan.target.clone());
        let patience = plan.run.timeout.clamp(LEAST_PATIENCE, MOST_PATIENCE);
        let negotiated = runtime.block_on(async {
            tokio::select! {
                agreed = driver::negotiate(&connector, plan.protocol, patience) => {
                    agreed.map_err(|why| failed(Exit::Target, &why))
                }
                exit = signals.arrival() => Err(Failure::new(exit, anyhow!("stopped before anything was sent"))),
            }
        })?;
        let revision = negotiated.revision.map_or_else(|| "JSON-RPC".to_owned(), |revision| format!("MCP {revision}"));
        let session = if negotiated.session.is_some() { "in a session" } else { "without a session" };
        tracing::info!("{} speaks {revision} {session}", plan.target);
        for warning in &negotiated.warnings {
            tracing::warn!("{warning}");
        }
        let session = Self { runtime, connector, negotiated };
        let tools = plan.operations.iter().map(|operation| &*operation.tool);
        if let Err(why) = check_tools(&session.negotiated, tools) {
            session.close();
            return Err(failed(Exit::Target, &why));
        }
        Ok(session)
    }

    /// What a report says of the target.
    pub(super) fn server(&self) -> Server {
        Server {
            revision: self.negotiated.revision.map(|revision| revision.to_string()),
            name: self.negotiated.server_name.clone(),
            warnings: self.negotiated.warnings.clone(),
        }
    }

    /// Takes back what was opened at the target.
    pub(super) fn close(&self) {
        self.runtime.block_on(driver::close_session(&self.connector, &self.negotiated, FAREWELL));
    }
}

/// The errors of drivers are fragments that follow "failed to".
fn failed(exit: Exit, why: &dyn std::error::Error) -> Failure {
    Failure::new(exit, anyhow!("failed to {why}"))
}
