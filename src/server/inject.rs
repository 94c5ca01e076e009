//! Where a tool call meets its fate: between HTTP and MCP.
//!
//! This layer exists only when faults of calls were asked for. It delays, answers itself what must not reach MCP, and
//! passes the other faults on to the tools in the request's extensions.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::alarm::Alarm;
use super::clock::Clock;
use super::fault::{Fate, Fault, Faults};
use super::ledger::Visit;
use super::slip::Slips;
use super::socket::Cut;
use super::switch::Switch;
use super::{Replies, Settings};

/// As much of a body as MCP's own layer accepts.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// What a malformed reply says: the beginning of a message that never becomes JSON.
const MALFORMED: &str = r#"{"jsonrpc":"2.0","id":"#;

/// What a call carries on to the tools: how it goes wrong there, and who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Befallen {
    pub(super) fault: Option<Fault>,
    slips: Slips,
    connection: u64,
    clock: Clock,
}

impl Befallen {
    /// The visit to the ledger that is paid now.
    pub(super) fn visit(&self) -> Visit {
        Visit { now: self.clock.elapsed(), connection: self.connection, slips: self.slips }
    }
}

/// The faults of calls, and the count of the calls so far.
#[derive(Debug)]
pub(super) struct Injector {
    faults: Faults,
    switch: Switch,
    seed: u64,
    replies: Replies,
    clock: Clock,
    alarm: Option<Alarm>,
    calls: AtomicU64,
    /// When the queue has served all that came so far, where there is one.
    free: Mutex<Duration>,
}

impl Injector {
    pub(super) fn new(settings: &Settings, clock: Clock) -> Self {
        let Settings { faults, seed, replies, .. } = *settings;
        let (switch, alarm) = (settings.switch.clone(), faults.delay_calls().then(|| Alarm::start(clock)));
        Self { faults, switch, seed, replies, clock, alarm, calls: AtomicU64::new(0), free: Mutex::new(Duration::ZERO) }
    }

    /// The fate of a call that came at `arrived`, once it has waited as long as that says.
    async fn fate(&self, arrived: Duration) -> Fate {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.switch.is_on() {
            return Fate::default();
        }
        let fate = self.faults.fate(self.seed, number);
        if let Some(alarm) = &self.alarm {
            alarm.wait_until(self.served(arrived) + fate.delay).await;
        }
        fate
    }

    /// When a call that came at `arrived` has been served; it keeps its place in the queue also where its client goes away.
    fn served(&self, arrived: Duration) -> Duration {
        let Some(service) = self.faults.service_time else { return arrived };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = service.done(arrived, *free);
        *free
    }

    fn malformed(&self) -> Response {
        match self.replies {
            Replies::Json => ([(header::CONTENT_TYPE, "application/json")], MALFORMED).into_response(),
            Replies::Sse => {
                ([(header::CONTENT_TYPE, "text/event-stream")], format!("data: {MALFORMED}\n\n")).into_response()
            }
        }
    }
}

/// The one member of a message that says whether it is a call.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    method: Cow<'a, str>,
}

/// Lets a tool call meet its fate; everything else passes untouched.
pub(super) async fn inject(
    State(injector): State<Arc<Injector>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let arrived = injector.clock.elapsed();
    let is_call = serde_json::from_slice::<Envelope>(&body).is_ok_and(|envelope| envelope.method == "tools/call");
    let (mut other_id, mut lost_reply) = (false, false);
    if is_call {
        let fate = injector.fate(arrived).await;
        match fate.fault {
            Some(Fault::HttpError) => {
                return (StatusCode::INTERNAL_SERVER_ERROR, "failure on purpose").into_response();
            }
            Some(Fault::Reset) => {
                cut.reset();
                return StatusCode::OK.into_response();
            }
            Some(Fault::Malformed) => return injector.malformed(),
            Some(Fault::OtherId) => other_id = true,
            Some(Fault::LostReply) => lost_reply = true,
            Some(Fault::ToolError | Fault::Wrong) | None => {}
        }
        let (fault, slips) = (fate.fault, fate.slips);
        let befallen = Befallen { fault, slips, connection: cut.connection(), clock: injector.clock };
        head.extensions.insert(befallen);
    }
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    match (other_id, lost_reply) {
        (true, _) => with_other_id(response).await,
        (_, true) => {
            // A stream is read to its end before: it ends with the reply, and so the call is done.
            drop(to_bytes(response.into_body(), LARGEST_BODY).await);
            cut.reset();
            StatusCode::OK.into_response()
        }
        _ => response,
    }
}

/// The same response, with another id in each reply. A stream is read to its end before, as it ends with the reply.
async fn with_other_id(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let text = String::from_utf8_lossy(&body);
    let lines: Vec<_> = text.lines().map(|line| renamed(line).unwrap_or_else(|| line.to_owned())).collect();
    let body = lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" };
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(head, Body::from(body))
}

/// A line that holds a message with an id, as a body of JSON or the data of an event, with the next id in it.
fn renamed(line: &str) -> Option<String> {
    let (field, json) = match line.strip_prefix("data:") {
        Some(data) => ("data: ", data),
        None => ("", line),
    };
    let mut message: Value = serde_json::from_str(json).ok()?;
    let id = message.get_mut("id")?;
    *id = match id.as_u64() {
        Some(number) => Value::from(number.wrapping_add(1)),
        None => Value::from("of another request"),
    };
    Some(format!("{field}{message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_the_next_id_and_other_lines_are_left_alone() {
        let renamed = |line| renamed(line).unwrap_or_default();
        assert_eq!(renamed(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#), r#"{"jsonrpc":"2.0","id":8,"result":{}}"#);
        assert_eq!(renamed(r#"data: {"id":7}"#), r#"data: {"id":8}"#);
        assert_eq!(renamed(r#"{"id":"seven"}"#), r#"{"id":"of another request"}"#);
        assert_eq!([renamed("id: 7"), renamed("data:"), renamed(r#"{"method":"x"}"#)], ["", "", ""]);
    }
}
