//! What is agreed with the target before the first call, and taken back after the last.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::connection;
use super::exit::{Exit, Failure};
use super::keeping::HURRY;
use super::pool::Pool;
use super::signals::Signals;
use crate::driver::{self, Connector};
use crate::mcp::{Negotiated, check_tools};
use crate::measure::SideCall;
use crate::plan::Plan;
use crate::report::Server;
use crate::secret::Scrub;

/// How long the target has to answer before the run: as long as a call, but within these. A short timeout of calls is no
/// reason to give up on a handshake, and nobody wants to wait for half a minute to learn of a wrong port.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// How long it has to close the session after the run.
const FAREWELL: Duration = Duration::from_secs(2);
/// The same of all sessions that were opened for it, unless somebody wants the program to end.
const LONG_FAREWELL: Duration = Duration::from_secs(5);

/// An agreement with the target.
pub(super) struct Session {
    runtime: Runtime,
    pub(super) connector: Connector,
    pub(super) negotiated: Negotiated,
    pub(super) pool: Pool,
    /// The plan, with what the target says of its tools.
    pub(super) plan: Plan,
}

impl Session {
    /// Shakes hands with the plan's target, looks whether it has the plan's tools, and opens the sessions that the plan asks
    /// for. Calls no tool.
    pub(super) fn open(plan: &Plan, signals: &Signals) -> Result<Self, Failure> {
        let mut session = Self::reach(plan, signals)?;
        if let Err(why) = session.complete() {
            session.leave();
            return Err(why);
        }
        session.open_pool(plan, patience(plan), signals)?;
        Ok(session)
    }

    /// Shakes hands with the plan's target, and asks for its tools.
    pub(super) fn reach(plan: &Plan, signals: &Signals) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to start an event loop").map_err(Failure::usage)?;
        let connector = connection::connector(&plan.target, &plan.connection)?;
        let mut negotiated = runtime.block_on(LocalSet::new().run_until(async {
            let mut agreement = pin!(driver::negotiate(&connector, plan.protocol, patience(plan)));
            tokio::select! {
                agreed = &mut agreement => agreed.map_err(|why| failed(Exit::Target, &connector.scrub().text(&why.to_string()))),
                exit = signals.arrival() => {
                    // A session that is being opened now would stay open.
                    if let Ok(Ok(negotiated)) = timeout(FAREWELL, agreement).await {
                        driver::close_session(&connector, &negotiated, FAREWELL).await;
                    }
                    Err(stopped(exit))
                }
            }
        }))?;
        remark(&mut negotiated, plan, connector.scrub());
        let revision = negotiated.revision.map_or_else(|| "JSON-RPC".to_owned(), |revision| format!("MCP {revision}"));
        let session = if negotiated.session.is_some() { "in a session" } else { "without a session" };
        tracing::info!("{} speaks {revision} {session}", plan.target);
        for warning in &negotiated.warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self { runtime, connector, negotiated, pool: Pool::default(), plan: plan.clone() })
    }

    /// Takes back the handshake, where nothing came of it but what was said.
    pub(super) fn leave(&self) {
        let Self { runtime, connector, negotiated, .. } = self;
        runtime.block_on(LocalSet::new().run_until(driver::close_session(connector, negotiated, FAREWELL)));
    }

    /// Looks whether the target has the plan's tools, and takes over what it says of them.
    fn complete(&mut self) -> Result<(), Failure> {
        let Self { connector, negotiated, plan, .. } = self;
        let tools = plan.operations.iter().map(|operation| &*operation.tool);
        check_tools(negotiated, tools)
            .map_err(|why| failed(Exit::Target, &connector.scrub().text(&why.to_string())))?;
        let (plan, warnings) = plan
            .complete(negotiated)
            .map_err(|faults| Failure::usage(anyhow!(connector.scrub().text(&faults.to_string()))))?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        negotiated.warnings.extend(warnings);
        self.plan = plan;
        Ok(())
    }

    /// What was found at the target, in a few words.
    pub(super) fn found(&self) -> String {
        let Server { revision, name, .. } = self.server();
        let protocol = revision.map_or_else(|| "no handshake".to_owned(), |revision| format!("MCP {revision}"));
        name.map_or_else(|| protocol.clone(), |name| format!("{name}, {protocol}"))
    }

    /// Opens the sessions that the plan asks for.
    fn open_pool(&mut self, plan: &Plan, patience: Duration, signals: &Signals) -> Result<(), Failure> {
        let known = self.negotiated.warnings.len();
        let stop = async {
            signals.arrival().await;
        };
        let opening = Pool::open(plan, &self.connector, &mut self.negotiated, patience, stop);
        self.pool = self.runtime.block_on(opening);
        for warning in &self.negotiated.warnings[known..] {
            tracing::warn!("{warning}");
        }
        signals.first().map_or(Ok(()), |exit| {
            self.close(signals);
            Err(stopped(exit))
        })
    }

    /// What a report says of the target.
    pub(super) fn server(&self) -> Server {
        Server {
            revision: self.negotiated.revision.map(|revision| revision.to_string()),
            name: self.negotiated.server_name.clone(),
            warnings: self.negotiated.warnings.clone(),
        }
    }

    /// Takes back what was opened at the target; says which calls that took. After a signal there is little time for that.
    pub(super) fn close(&self, signals: &Signals) -> Vec<SideCall> {
        let patience = if signals.first().is_some() { HURRY } else { LONG_FAREWELL };
        let closing = self.pool.close(&self.connector, &self.negotiated, patience);
        self.runtime.block_on(LocalSet::new().run_until(closing))
    }
}

/// How long the target has for each answer before the run.
fn patience(plan: &Plan) -> Duration {
    plan.run.timeout.clamp(LEAST_PATIENCE, MOST_PATIENCE)
}

fn stopped(exit: Exit) -> Failure {
    Failure::new(exit, anyhow!("stopped before anything was sent"))
}

/// Adds what the way to the target gives cause to say, and takes out what nobody shall read.
fn remark(negotiated: &mut Negotiated, plan: &Plan, scrub: &Scrub) {
    for said in negotiated.warnings.iter_mut().chain(&mut negotiated.server_name) {
        *said = scrub.text(said);
    }
    if plan.connection.insecure {
        let warning = "--insecure: nobody knows who answered, as no certificate was checked";
        negotiated.warnings.push(warning.to_owned());
    }
}

/// The errors of drivers are fragments that follow "failed to".
fn failed(exit: Exit, why: &str) -> Failure {
    Failure::new(exit, anyhow!("failed to {why}"))
}
