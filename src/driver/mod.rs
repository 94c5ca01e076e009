//! TO WHOM: the code that speaks a protocol's client side.
//!
//! A driver is made once per lane and lives on that lane's thread: it need not be `Send`, and shares nothing.

mod client;
#[cfg(test)]
mod client_contract;
mod connection;
mod connections;
#[cfg(test)]
mod contract;
mod credentials;
mod ending;
mod errands;
mod exchange;
mod framing;
#[cfg(test)]
mod hostile_contract;
mod http1;
#[cfg(all(test, target_os = "linux"))]
mod look_contract;
mod mcp;
#[cfg(test)]
mod modern_contract;
mod multiplex;
mod naps;
mod opening;
mod pool;
mod preflight;
#[cfg(test)]
mod preflight_contract;
mod prepared;
mod readers;
mod request;
mod resolve;
mod response;
mod resume;
#[cfg(test)]
mod scripted;
mod session;
#[cfg(test)]
mod session_contract;
mod session_pool;
mod sessions;
mod stamped;
mod stream;
mod talk;
mod tls;
mod trust;
mod turn;
mod wire;

pub use client::{Client, ClientError};
pub use credentials::{BadHeader, Credentials};
pub use mcp::{Limits, McpDriver};
pub use opening::{Opened, close_sessions, open_sessions};
pub use preflight::{PreflightError, close_session, negotiate};
pub use sessions::Sessions;
pub use talk::{Answers, Manner};
pub use tls::{Connector, Options};
pub use trust::{BadPem, Identity, Pem, Trust};

use crate::measure::SideCall;
use crate::workload::{Call, Reply};

/// Which calls are to look whether they were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// All.
    All,
    /// But for those that have begun since the wait before this: hardly one of them was answered.
    Older,
}

/// Whoever can make a call and say how it ended.
pub trait Driver {
    /// Makes the call and waits for its end, at most for the timeout that the driver was made with. A failed call is a
    /// [`Reply`] with another outcome than ok, never an error. Dropping the future gives the call up.
    fn call(&self, call: &Call) -> impl Future<Output = Reply>;

    /// Takes back what it opened at the target, within a few seconds; called once, when its calls have ended. Those that
    /// were given up before are so for good.
    fn close(&self) -> impl Future<Output = ()> {
        async {}
    }

    /// The calls that were no arrivals, since this was last asked.
    fn take_side_calls(&self) -> Vec<SideCall> {
        Vec::new()
    }

    /// Notes that the lane begins to wait, and says whether it may sleep through that, for two milliseconds at most, if nothing else
    /// forbids it (`may`), and look at replies afterwards. Told before each wait between two arrivals.
    fn begin_wait(&self, _may: bool) -> bool {
        false
    }

    /// Whether it still may, now that the calls have begun that were just started.
    fn may_nap(&self) -> bool {
        false
    }

    /// Has calls look whether they were answered, before the event loop tells of it, and says whether all of these were: as far as
    /// it is known who waits. `turn` runs the tasks that were woken, and says whether there is time for more.
    fn look(&self, _: Whom, turn: &dyn Fn() -> bool) -> bool {
        turn();
        false
    }

    /// Gives up connections that have been idle for too long; called about twice a second.
    fn tidy(&self);

    /// Connections open at present: those in use and those kept for the next call.
    fn connections(&self) -> usize;

    /// Bytes sent and received so far.
    fn bytes(&self) -> (u64, u64);
}
