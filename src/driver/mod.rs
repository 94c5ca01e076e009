//! TO WHOM: the code that speaks a protocol's client side.
//!
//! A driver is made once per lane and lives on that lane's thread: it need not be `Send`, and shares nothing.

mod connection;
#[cfg(test)]
mod contract;
mod ending;
mod exchange;
mod mcp;
mod pool;
mod preflight;
#[cfg(test)]
mod preflight_contract;
mod resolve;
#[cfg(test)]
mod scripted;
mod tls;

pub use mcp::{Limits, McpDriver};
pub use preflight::{PreflightError, close_session, negotiate};
pub use tls::Connector;

use crate::workload::{Call, Reply};

/// Whoever can make a call and say how it ended.
pub trait Driver {
    /// Makes the call and waits for its end, at most for the timeout that the driver was made with. A failed call is a
    /// [`Reply`] with another outcome than ok, never an error. Dropping the future gives the call up.
    fn call(&self, call: &Call) -> impl Future<Output = Reply>;

    /// Gives up connections that have been idle for too long; called about twice a second.
    fn tidy(&self);

    /// Connections open at present: those in use and those kept for the next call.
    fn connections(&self) -> usize;

    /// Bytes sent and received so far.
    fn bytes(&self) -> (u64, u64);
}
