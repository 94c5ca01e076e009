//! One request and its answer: heads, bodies of either kind, and what they say.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use tokio::time::timeout;

use super::connection::{Body, Connection, Response};
use super::http1::Broken;
use super::request::Request;
use super::response::Noted;
use crate::mcp::{Body as Said, Decoder, EXAMPLE_CHARS, Event, GROUP_CHARS, Gist, RpcError, cut, group_of, read_reply};
use crate::time::{Clock, Moment};
use crate::workload::{Failure, ToolResult};

/// How much of an answer that is no JSON-RPC is read.
const MOST_OF_OTHER: usize = 64 * 1024;
/// How long a failure whose words come as a stream of events is waited for: they follow at once, or never.
const WAIT_FOR_WORDS: Duration = Duration::from_millis(200);
/// How many requests a server may make before it answers ours.
const MOST_REQUESTS: u32 = 100;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Noted,
    pub(super) content: Content,
    /// When the message was complete.
    pub(super) done: Moment,
    /// What becomes of the connection.
    pub(super) after: After,
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Content {
    /// A JSON-RPC result, and what that says if it is a tool's.
    Result(ToolResult, Gist),
    /// A JSON-RPC error: its code, and it in words.
    Error(i64, Failure),
    /// Something that pretends to be an answer.
    Invalid(Failure),
    /// A stream of events that ended without an answer.
    Nothing,
    /// The beginning of something that is no JSON-RPC and, with this status, need not be.
    Other(Bytes),
}

/// What becomes of a connection after an answer.
#[derive(Debug)]
pub(super) enum After {
    /// The answer was read to its end.
    Reuse,
    /// The message is complete, and the end of the stream is yet to come.
    Drain(Body),
    /// There is too much left of it.
    Close,
}

/// What becomes known while an answer is read, and remains known where the reading is broken off.
#[derive(Default)]
pub(super) struct Listener<'a> {
    /// Whether the first byte of the message has come.
    pub(super) has_begun: bool,
    /// The last event that a stream named: from there it can be resumed.
    pub(super) place: Option<Bytes>,
    /// How long the server wants to be left alone before that, in milliseconds.
    pub(super) retry: Option<u64>,
    /// Is told each message of the server's own, and says whether that was a request.
    pub(super) own: Option<&'a dyn Fn(&Bytes) -> bool>,
    /// The whole message of an error, for whoever wants to know more of it than words.
    pub(super) error: Bytes,
    /// Requests of the server's so far.
    pub(super) requests: u32,
}

/// How an answer's body is to be read.
enum Kind {
    /// A success in JSON, or without a media type.
    Json,
    /// A success as a stream of events.
    Events,
    /// A page, or whatever comes with a status that is no success.
    Other,
    /// A stream of events about a failure: few write any, and it may never end.
    EventsOfFailure,
    /// Compressed, although that was not offered.
    Encoded(String),
}

impl Kind {
    fn of(head: &Response) -> Self {
        let encoding = head.headers.get(&CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Self::Encoded(encoding.into_owned());
        }
        let media_type = media_type(&head.headers);
        let is_events = media_type.eq_ignore_ascii_case("text/event-stream");
        let is_json = media_type.is_empty() || media_type.eq_ignore_ascii_case("application/json");
        match head.status.is_success() {
            true if is_json => Self::Json,
            true if is_events => Self::Events,
            false if is_events => Self::EventsOfFailure,
            _ => Self::Other,
        }
    }
}

/// The media type of a body without its parameters; empty where there is none.
pub(super) fn media_type(headers: &Noted) -> &str {
    let value = headers.get(&CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Sends `request` and reads the answer to the message `id`, at most `most` bytes of it. What the `listener` learns is
/// there also for whoever loses patience meanwhile.
pub(super) async fn exchange<C: Clock + 'static>(
    connection: &mut Connection<C>,
    request: Request<'_>,
    id: u64,
    most: usize,
    listener: &mut Listener<'_>,
) -> Result<Answer, Broken> {
    let (head, mut body) = connection.send(request).await?;
    let (content, done, after) = match Kind::of(&head) {
        Kind::Json => {
            let (bytes, after) = read_body(connection, &mut body, most, &mut listener.has_begun).await?;
            let done = connection.arrived();
            let content = match after {
                After::Reuse if bytes.is_empty() => Content::Other(bytes),
                After::Reuse => listener.said(bytes, id),
                // Cut at the bound, or before where all answers together were too large.
                _ if bytes.len() < most => Content::Invalid(too_much_at_once()),
                _ => Content::Invalid(too_large(most)),
            };
            (content, done, after)
        }
        // Boxed, as it is larger than the others, whose calls should not pay for it.
        Kind::Events => Box::pin(read_events(connection, body, id, most, listener)).await?,
        Kind::Other => {
            let (bytes, after) =
                read_body(connection, &mut body, most.min(MOST_OF_OTHER), &mut listener.has_begun).await?;
            let done = connection.arrived();
            let content = match read_reply(&bytes, id) {
                Ok(Some(Said::Error(error))) if !head.status.is_success() => listener.error(&bytes, &error),
                _ => Content::Other(bytes.clone()),
            };
            (content, done, after)
        }
        Kind::EventsOfFailure => {
            let arrived = connection.arrived();
            let events = read_events(connection, body, id, most.min(MOST_OF_OTHER), listener);
            match Box::pin(timeout(WAIT_FOR_WORDS, events)).await {
                Ok(Ok((error @ Content::Error(..), done, _))) => (error, done, After::Close),
                _ => (Content::Other(Bytes::new()), arrived, After::Close),
            }
        }
        Kind::Encoded(encoding) => {
            let group = cut(&format!("content encoding {encoding}, which was not offered"), GROUP_CHARS);
            let invalid = Content::Invalid(Failure { example: group.clone(), group });
            let content = if head.status.is_success() { invalid } else { Content::Other(Bytes::new()) };
            (content, connection.arrived(), After::Close)
        }
    };
    Ok(Answer { status: head.status, headers: head.headers, content, done, after })
}

/// Reads a body to its end, without a copy where it comes in one piece; or, where it is larger than `most`, only that far.
async fn read_body<C: Clock + 'static>(
    connection: &mut Connection<C>,
    body: &mut Body,
    most: usize,
    has_begun: &mut bool,
) -> Result<(Bytes, After), Broken> {
    let mut whole = BytesMut::new();
    let turns = connection.turns();
    let mut turn = turns.begin();
    while let Some(chunk) = connection.chunk(body).await {
        let chunk = chunk?;
        *has_begun |= !chunk.is_empty();
        if whole.len() + chunk.len() > most {
            whole.extend_from_slice(&chunk[..most - whole.len()]);
            return Ok((connection.clean(whole.freeze()), After::Close));
        }
        if whole.is_empty() && connection.is_at_end(body) {
            return Ok((connection.clean(chunk), After::Reuse));
        }
        whole.extend_from_slice(&chunk);
        if turn.read(chunk.len()).await.is_err() {
            return Ok((whole.freeze(), After::Close));
        }
    }
    Ok((connection.clean(whole.freeze()), After::Reuse))
}

/// Reads events up to the answer; what the server asks or tells meanwhile is the listener's.
pub(super) async fn read_events<C: Clock + 'static>(
    connection: &mut Connection<C>,
    mut body: Body,
    id: u64,
    most: usize,
    listener: &mut Listener<'_>,
) -> Result<(Content, Moment, After), Broken> {
    let mut decoder = Decoder::new(most);
    let mut allowance = most.saturating_mul(2);
    let turns = connection.turns();
    let mut turn = turns.begin();
    while let Some(chunk) = connection.chunk(&mut body).await {
        let chunk = chunk?;
        let arrived = connection.arrived();
        // Each event is bounded; so is what a stream may say in all before it comes to the point.
        let size = chunk.len();
        let Some(left) = allowance.checked_sub(size) else {
            return Ok((Content::Invalid(too_large(most)), arrived, After::Close));
        };
        allowance = left;
        decoder.push(chunk);
        loop {
            let event = match decoder.next_event() {
                Ok(Some(event)) => Event { data: connection.clean(event.data), ..event },
                Ok(None) => break,
                Err(_) => return Ok((Content::Invalid(too_large(most)), arrived, After::Close)),
            };
            if let Some(content) = listener.hear(&event, id) {
                return Ok((content, arrived, After::Drain(body)));
            }
        }
        // What the server says of its own accord is no beginning of the answer once it is complete.
        listener.has_begun = decoder.is_within_data();
        if turn.read(size).await.is_err() {
            return Ok((Content::Invalid(too_much_at_once()), arrived, After::Close));
        }
    }
    Ok((Content::Nothing, connection.now(), After::Reuse))
}

impl Listener<'_> {
    /// What a message answers to the request `id`; the message where it is the server's own. A result keeps it.
    fn answer_to(&mut self, message: Bytes, id: u64) -> Result<Content, Bytes> {
        let (gist, parts) = match read_reply(&message, id) {
            Ok(None) => return Err(message),
            Ok(Some(Said::Result(result))) => (result.gist, result.into_parts()),
            Ok(Some(Said::Error(error))) => return Ok(self.error(&message, &error)),
            Err(malformed) => return Ok(invalid(malformed.to_string(), &message)),
        };
        Ok(Content::Result(ToolResult::within(message, parts), gist))
    }

    fn said(&mut self, message: Bytes, id: u64) -> Content {
        self.answer_to(message, id).unwrap_or_else(|message| {
            invalid("a message of the server's own in place of an answer".to_owned(), &message)
        })
    }

    fn error(&mut self, message: &Bytes, error: &RpcError<'_>) -> Content {
        self.error.clone_from(message);
        Content::Error(error.code, rpc_failure(error))
    }

    /// What an event answers to the request `id`; `None` where it does not.
    fn hear(&mut self, event: &Event, id: u64) -> Option<Content> {
        if let Some(place) = &event.id {
            self.place = (!place.is_empty()).then(|| place.clone());
        }
        self.retry = event.retry.or(self.retry);
        if !event.is_message() {
            return None;
        }
        let message = match self.answer_to(event.data.clone(), id) {
            Ok(answer) => return Some(answer),
            Err(message) => message,
        };
        if self.own.is_some_and(|own| own(&message)) {
            self.requests += 1;
            if self.requests > MOST_REQUESTS {
                let group = format!("more than {MOST_REQUESTS} requests of the server's own before an answer");
                return Some(invalid(group, &message));
            }
        }
        None
    }
}

/// What pretends to be an answer.
fn invalid(group: String, message: &[u8]) -> Content {
    Content::Invalid(Failure { group, example: snippet(message) })
}

fn rpc_failure(error: &RpcError<'_>) -> Failure {
    let text = error.message.trim();
    let data = error.data.map(|data| format!(" {}", data.get())).unwrap_or_default();
    Failure {
        group: cut(format!("{} {}", error.code, group_of(text)).trim_end(), GROUP_CHARS),
        example: cut(&format!("{} {text}{data}", error.code), EXAMPLE_CHARS),
    }
}

fn too_much_at_once() -> Failure {
    let group = "too large to be read beside all other answers".to_owned();
    Failure { example: group.clone(), group }
}

fn too_large(most: usize) -> Failure {
    let group = format!("larger than {most} bytes");
    Failure { example: group.clone(), group }
}

/// The beginning of a body, as an example.
pub(super) fn snippet(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(4 * EXAMPLE_CHARS)];
    cut(String::from_utf8_lossy(beginning).trim(), EXAMPLE_CHARS)
}
