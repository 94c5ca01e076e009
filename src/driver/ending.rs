//! What an answer, or the lack of one, means for a call: its outcome, and the failure in words.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};

use super::exchange::{Answer, Content, media_type, snippet};
use super::http1::Broken;
use super::response::Noted;
use super::tls::{causes, is_local};
use super::wire::NOT_HTTP2;
use crate::mcp::{EXAMPLE_CHARS, GROUP_CHARS, Gist, ToolAnswer, cut, group_of};
use crate::outcome::Outcome;
use crate::time::Moment;
use crate::workload::{Failure, ToolResult};

/// The code by which some servers say that they do not know a session.
const NO_SUCH_SESSION: i64 = -32000;

/// How a call ended, but for when: the outcome, the result, and the failure if it is one.
pub(super) type Ending = (Outcome, ToolResult, Option<Failure>);

/// A call without a result.
pub(super) fn failed(outcome: Outcome, failure: Failure) -> Ending {
    (outcome, ToolResult::default(), Some(failure))
}

/// What an answer means for a call.
pub(super) fn judge(answer: Answer, has_session: bool) -> Ending {
    let status = answer.status;
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return failed(Outcome::AuthError, http_failure(&answer));
    }
    if has_session && is_session_lost(&answer) {
        return failed(Outcome::SessionLost, http_failure(&answer));
    }
    match answer.content {
        Content::Error(_, failure) => failed(Outcome::RpcError, failure),
        _ if !status.is_success() => failed(Outcome::HttpError, http_failure(&answer)),
        Content::Result(result, gist) => judge_tool(result, gist),
        Content::Invalid(failure) => failed(Outcome::InvalidReply, failure),
        Content::Nothing => {
            let group = "the stream of events ended without an answer".to_owned();
            failed(Outcome::Disconnected, Failure { example: group.clone(), group })
        }
        Content::Other(body) if body.is_empty() => {
            let group = format!("HTTP {} without an answer", status.as_u16());
            failed(Outcome::InvalidReply, Failure { example: group.clone(), group })
        }
        Content::Other(body) => {
            let group = cut(&format!("{} in place of an answer", media_type(&answer.headers)), GROUP_CHARS);
            failed(Outcome::InvalidReply, Failure { group, example: snippet(&body) })
        }
    }
}

/// Whether an answer to a request in a session says that the server does not know the session.
pub(super) fn is_session_lost(answer: &Answer) -> bool {
    let is_code = matches!(answer.content, Content::Error(NO_SUCH_SESSION, _));
    answer.status == StatusCode::NOT_FOUND || (answer.status == StatusCode::BAD_REQUEST && is_code)
}

fn judge_tool(result: ToolResult, gist: Gist) -> Ending {
    match gist.of_tool(result.raw()) {
        Ok(ToolAnswer::Done) => (Outcome::Ok, result, None),
        Ok(ToolAnswer::IsError(text)) => {
            let group = if text.trim().is_empty() { "an error without a text".to_owned() } else { group_of(&text) };
            failed(Outcome::ToolError, Failure { group, example: cut(text.trim(), EXAMPLE_CHARS) })
        }
        Ok(ToolAnswer::InputRequired) => {
            let group = "the server wants input before it answers".to_owned();
            failed(Outcome::InputRequired, Failure { group, example: snippet(result.raw()) })
        }
        Err(malformed) => {
            failed(Outcome::InvalidReply, Failure { group: malformed.to_string(), example: snippet(result.raw()) })
        }
    }
}

/// How long a server that refuses a call wants to be left alone, where it says so in seconds; at most for a year.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    const YEAR: u64 = 366 * 24 * 60 * 60;
    let said = answer.headers.get(&RETRY_AFTER).filter(|_| !answer.status.is_success())?;
    let seconds: u64 = said.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(YEAR)))
}

/// A status in words: where a redirect leads, when to come back, how the body begins.
pub(super) fn http_failure(answer: &Answer) -> Failure {
    let text =
        |headers: &Noted, name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let status = answer.status;
    let mut group = format!("HTTP {}", status.as_u16());
    let mut example = format!("{group} {}", status.canonical_reason().unwrap_or_default()).trim_end().to_owned();
    if let Some(location) = text(&answer.headers, &LOCATION).filter(|_| status.is_redirection()) {
        // A query may hold what nobody should read in a report.
        let path = location.split(['?', '#']).next().unwrap_or_default();
        let _ = write!(group, " to {path}: give that URL");
    }
    if let Some(seconds) = text(&answer.headers, &RETRY_AFTER) {
        let _ = write!(example, ", Retry-After: {seconds}");
    }
    let words = match &answer.content {
        Content::Error(_, failure) => failure.example.clone(),
        Content::Other(body) => snippet(body),
        _ => String::new(),
    };
    if !words.is_empty() {
        let _ = write!(example, ": {words}");
    }
    let is_host_guard = status == StatusCode::MISDIRECTED_REQUEST
        || (status == StatusCode::FORBIDDEN && example.to_ascii_lowercase().contains("host"));
    if is_host_guard {
        group.push_str(": a guard of the Host header");
    }
    Failure { group: cut(&group, GROUP_CHARS), example: cut(&example, EXAMPLE_CHARS) }
}

/// What it means that a connection broke under a call.
pub(super) fn broken(error: &Broken, is_reused: bool, (sent, first_byte): (Option<Moment>, Option<Moment>)) -> Ending {
    if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>()) {
        return super::multiplex::broken(error, first_byte);
    }
    let io = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let example = cut(&format!("{error}: {innermost}"), EXAMPLE_CHARS);
    let is_tls = causes(error).any(<dyn Error>::is::<rustls::Error>);
    let is_garbled = io().any(|e| matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
    if io().any(is_local) {
        return failed(Outcome::NoLocalResource, Failure { group: group_of(&innermost), example });
    }
    let is_parse = match error {
        Broken::Garbled(_) => true,
        Broken::Http2(error) => error.is_parse(),
        Broken::Io(_) | Broken::Closed => false,
    };
    if is_parse || (is_garbled && !is_tls) {
        let group = if innermost == NOT_HTTP2 { innermost } else { group_of(&format!("not HTTP: {innermost}")) };
        return failed(Outcome::InvalidReply, Failure { group, example });
    }
    let is_reset = io().any(|e| {
        matches!(
            e.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
        )
    });
    let what = if is_reset { "reset" } else { "closed" };
    let group = match (sent, first_byte) {
        (_, Some(_)) => format!("{what} within the answer"),
        (_, None) if is_reused => format!("{what} on a reused connection before any answer"),
        (Some(_), None) => format!("{what} before any answer"),
        (None, None) => format!("{what} before the request was sent"),
    };
    failed(Outcome::Disconnected, Failure { group, example })
}
