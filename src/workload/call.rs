//! What passes between workload, engine and driver: a call to make, and the reply that came.

use std::rc::Rc;
use std::time::Duration;

use super::capture::Record;
use super::sent::Span;
use super::stake::Stake;
use crate::json::ToolResult;
use crate::outcome::Outcome;
use crate::time::Moment;
use crate::trace::TraceContext;

/// An operation's place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u16);

/// The operation that an arrival calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The operation, by its place in the plan.
    pub operation: OperationId,
    /// Whether it took the place of another for want of a captured value.
    pub substituted: bool,
}

/// A connection of a driver: unique in it, never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One call to make: which operation, under which id, with which arguments.
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation, by its place in the plan.
    pub operation: OperationId,
    /// The JSON-RPC id: unique in the run, from [`FIRST_CALL_ID`] up.
    pub id: u64,
    /// The arguments as a JSON object, ready for the wire.
    pub arguments: String,
    /// What the reply will be held against.
    pub ties: Ties,
    /// The connection that the call should not be made on; `None` where any will do.
    pub avoid: Option<ConnectionId>,
    /// What it tells whoever traces it; `None` where it tells nothing.
    pub trace: Option<TraceContext>,
}

/// What ties a call to earlier ones and to its own arguments: nothing for a driver to look at.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// The record that the arguments were made with.
    pub(super) record: Option<Rc<Record>>,
    /// Where values that somebody wants to know later stand in the arguments.
    pub(super) spans: Vec<Span>,
    /// The key and the account that it has to do with, where these are looked at.
    pub(super) stake: Option<Box<Stake>>,
}

/// Ids below this one belong to calls that are not arrivals (handshake, tools/list, session closing).
pub const FIRST_CALL_ID: u64 = 1000;

/// The instants of a call that only the driver can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// The first byte of the request went out.
    pub sent: Option<Moment>,
    /// The first byte of the answer came in.
    pub first_byte: Option<Moment>,
    /// The reply's message was complete, or the call was given up.
    pub done: Moment,
    /// So long after that the server wants to be asked again, where it refused the call and said so (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// How a call ended, as far as the protocol can tell; the workload then checks the answer's meaning.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub stamps: Stamps,
    /// The `result` member, where `outcome` is [`Outcome::Ok`].
    pub result: ToolResult,
    /// What to group a failure by and show of it; `None` where `outcome` is [`Outcome::Ok`].
    pub failure: Option<Box<Failure>>,
    /// The connection that it came by; `None` where there was none, or the driver has none to name.
    pub connection: Option<ConnectionId>,
}

/// A failed call in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Failures of one outcome with the same group are counted together: a status, a code, a text with its numbers and
    /// ids taken out. At most 120 characters, never a secret.
    pub group: String,
    /// What was really said, at most 300 characters.
    pub example: String,
}
