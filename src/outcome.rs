//! How a call ended, and whose fault that was.
//!
//! The set is closed: it is a metric label, a column of the report and the key of every count. A failed call is one of
//! these values, never an `Err`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an answered or failed call ended. Dropped and abandoned are fates of an arrival, not outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// The reply was complete, well formed and met every expectation.
    Ok,
    /// The tool answered with `isError: true`.
    ToolError,
    /// The server answered with a JSON-RPC error.
    RpcError,
    /// The server answered with an HTTP status that is not a success, and no JSON-RPC error.
    HttpError,
    /// The server answered 401 or 403.
    AuthError,
    /// An expectation, a schema or an invariant did not hold; where it is one about money, a [`Violation`] says which.
    WrongAnswer,
    /// The reply was not JSON, not JSON-RPC, too large, had another id or an unknown result type.
    InvalidReply,
    /// Not one byte of an answer within the timeout.
    TimeoutNoByte,
    /// The head of an answer, but not its body, within the timeout.
    TimeoutHeadersOnly,
    /// The answer began but did not end within the timeout.
    TimeoutTruncated,
    /// The connection ended or broke before the answer was complete.
    Disconnected,
    /// No connection: refused, no such host, TLS failed, or none within the timeout.
    Unreachable,
    /// The server no longer knows the session.
    SessionLost,
    /// The server wants something from a person before it answers.
    InputRequired,
    /// The generator ran out of ports, file descriptors or memory.
    NoLocalResource,
}

/// Whose doing an outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody's: all went well.
    Nobody,
    /// The target's, or that of the network between.
    Target,
    /// That of the request as configured: credentials, tool, arguments.
    Request,
    /// The generator's own.
    Generator,
}

impl Outcome {
    /// Every outcome, in the order in which reports list them where counts are equal.
    pub const ALL: [Self; 15] = [
        Self::Ok,
        Self::ToolError,
        Self::RpcError,
        Self::HttpError,
        Self::AuthError,
        Self::WrongAnswer,
        Self::InvalidReply,
        Self::TimeoutNoByte,
        Self::TimeoutHeadersOnly,
        Self::TimeoutTruncated,
        Self::Disconnected,
        Self::Unreachable,
        Self::SessionLost,
        Self::InputRequired,
        Self::NoLocalResource,
    ];
    /// How many outcomes there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Outcome::ALL`]: an array index.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics, saved runs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::HttpError => "http_error",
            Self::AuthError => "auth_error",
            Self::WrongAnswer => "wrong_answer",
            Self::InvalidReply => "invalid_reply",
            Self::TimeoutNoByte => "timeout_no_byte",
            Self::TimeoutHeadersOnly => "timeout_headers_only",
            Self::TimeoutTruncated => "timeout_truncated",
            Self::Disconnected => "disconnected",
            Self::Unreachable => "unreachable",
            Self::SessionLost => "session_lost",
            Self::InputRequired => "input_required",
            Self::NoLocalResource => "no_local_resource",
        }
    }

    /// Whose doing it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Ok => Fault::Nobody,
            Self::AuthError | Self::InputRequired => Fault::Request,
            Self::NoLocalResource => Fault::Generator,
            _ => Fault::Target,
        }
    }

    /// Whether it was given up at its timeout.
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::TimeoutNoByte | Self::TimeoutHeadersOnly | Self::TimeoutTruncated)
    }

    /// Whether a complete reply came, so that its response time is known. Without one, the response time counts as above
    /// every bound.
    pub const fn is_complete_reply(self) -> bool {
        !matches!(
            self,
            Self::TimeoutNoByte
                | Self::TimeoutHeadersOnly
                | Self::TimeoutTruncated
                | Self::Disconnected
                | Self::Unreachable
                | Self::NoLocalResource
        )
    }
}

/// In which way an answer that was well formed broke a promise about money. The set is closed: a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Violation {
    /// An acknowledged write was not found, and was not found again later.
    LostWrite,
    /// An acknowledged write was not found, but was later, or was very young.
    StaleRead,
    /// Another amount or currency than was sent or acknowledged.
    WrongAmount,
    /// The answer for another payment or customer than was asked about.
    WrongPayment,
    /// Two payments under one idempotency key.
    DoubleCharge,
    /// Another body under a key that was used, and no error.
    AlteredAccepted,
    /// A balance that no order of the writes explains.
    BalanceOff,
}

impl Violation {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::LostWrite,
        Self::StaleRead,
        Self::WrongAmount,
        Self::WrongPayment,
        Self::DoubleCharge,
        Self::AlteredAccepted,
        Self::BalanceOff,
    ];
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Violation::ALL`]: an array index.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics, saved runs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LostWrite => "lost_write",
            Self::StaleRead => "stale_read",
            Self::WrongAmount => "wrong_amount",
            Self::WrongPayment => "wrong_payment",
            Self::DoubleCharge => "double_charge",
            Self::AlteredAccepted => "altered_accepted",
            Self::BalanceOff => "balance_off",
        }
    }
}

/// How a call was sent again under an idempotency key that was used already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Probe {
    /// While the first call was in flight.
    Parallel,
    /// After the first call was acknowledged.
    Later,
    /// After the first call ended in a way that says nothing about its effect.
    AfterTimeout,
    /// After the first call was acknowledged, with another body.
    Altered,
}

impl Probe {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Parallel, Self::Later, Self::AfterTimeout, Self::Altered];
    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in [`Probe::ALL`]: an array index.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in metrics, saved runs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Later => "later",
            Self::AfterTimeout => "after_timeout",
            Self::Altered => "altered",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nobody => "nobody",
            Self::Target => "target",
            Self::Request => "request",
            Self::Generator => "generator",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_place_in_the_list_and_no_name_is_used_twice() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), place);
            assert_eq!(Outcome::ALL.iter().filter(|o| o.name() == outcome.name()).count(), 1);
            let json = serde_json::to_string(&outcome).expect("an outcome is a string");
            assert_eq!(json, format!("\"{}\"", outcome.name()));
        }
    }

    #[test]
    fn violations_and_probes_are_numbered_by_their_place_and_written_by_their_names() {
        for (place, violation) in Violation::ALL.into_iter().enumerate() {
            assert_eq!(violation.index(), place);
            assert_eq!(serde_json::to_string(&violation).expect("text"), format!("\"{violation}\""));
        }
        for (place, probe) in Probe::ALL.into_iter().enumerate() {
            assert_eq!(probe.index(), place);
            assert_eq!(serde_json::to_string(&probe).expect("text"), format!("\"{probe}\""));
        }
    }

    #[test]
    fn only_ok_is_nobodys_fault() {
        assert_eq!(Outcome::Ok.fault(), Fault::Nobody);
        assert!(Outcome::ALL[1..].iter().all(|o| o.fault() != Fault::Nobody));
        assert_eq!(Outcome::NoLocalResource.fault(), Fault::Generator);
    }
}
