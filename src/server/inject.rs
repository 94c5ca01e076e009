//! Where a tool call meets its fate: between HTTP and MCP.
//!
//! This layer exists only when faults of calls were asked for. It delays, answers itself what must not reach MCP, and
//! passes the other faults on to the tools in the request's extensions.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Replies;
use super::alarm::Alarm;
use super::clock::Clock;
use super::fault::{Fault, Faults, ResponseTime};
use super::socket::Cut;

/// As much of a body as MCP's own layer accepts.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// What a malformed reply says: the beginning of a message that never becomes JSON.
const MALFORMED: &str = r#"{"jsonrpc":"2.0","id":"#;

/// The faults of calls, and the count of the calls so far.
#[derive(Debug)]
pub(super) struct Injector {
    faults: Faults,
    seed: u64,
    replies: Replies,
    clock: Clock,
    alarm: Option<Alarm>,
    calls: AtomicU64,
}

impl Injector {
    pub(super) fn new(faults: Faults, seed: u64, replies: Replies, clock: Clock) -> Self {
        let alarm = (faults.response_time != ResponseTime::None).then(|| Alarm::start(clock));
        Self { faults, seed, replies, clock, alarm, calls: AtomicU64::new(0) }
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
    if is_call {
        let fate = injector.faults.fate(injector.seed, injector.calls.fetch_add(1, Ordering::Relaxed));
        if let Some(alarm) = &injector.alarm {
            alarm.wait_until(arrived + fate.delay).await;
        }
        match fate.fault {
            Some(Fault::HttpError) => {
                return (StatusCode::INTERNAL_SERVER_ERROR, "failure on purpose").into_response();
            }
            Some(Fault::Reset) => {
                cut.reset();
                return StatusCode::OK.into_response();
            }
            Some(Fault::Malformed) => return injector.malformed(),
            Some(fault @ (Fault::ToolError | Fault::Wrong)) => {
                head.extensions.insert(fault);
            }
            None => {}
        }
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}
