//! One request and its answer: heads, bodies of either kind, and what they say.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::connection::Connection;
use crate::mcp::headers::{METHOD, NAME, header_value};
use crate::mcp::{
    Body, Decoder, EXAMPLE_CHARS, Event, GROUP_CHARS, Gist, Negotiated, RpcError, Target, cut, group_of, read_reply,
};
use crate::time::{Clock, Moment};
use crate::workload::Failure;

/// The session that a request belongs to, and that an answer to `initialize` opens.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// How much of an answer that is no JSON-RPC is read.
const MOST_OF_OTHER: usize = 64 * 1024;
/// How long a failure whose words come as a stream of events is waited for: they follow at once, or never.
const WAIT_FOR_WORDS: Duration = Duration::from_millis(200);
/// How many requests a server may make before it answers ours.
const MOST_REQUESTS: u32 = 100;

/// The head that all requests to a target share.
#[derive(Clone, Debug)]
pub(super) struct Head {
    uri: Uri,
    headers: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
    /// When the message was complete.
    pub(super) done: Moment,
    /// What becomes of the connection.
    pub(super) after: After,
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Content {
    /// The raw JSON of a JSON-RPC result, and what that says if it is a tool's.
    Result(Bytes, Gist),
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
    Drain(Incoming),
    /// There is too much left of it.
    Close,
}

impl Head {
    /// The head of requests to `target`, after `negotiated`.
    pub(super) fn new(target: &Target, negotiated: &Negotiated) -> Self {
        let mut headers = HeaderMap::new();
        let mut put = |name, value: &str| {
            // What does not fit into a header cannot have come in one, or been parsed out of a URL.
            let value = HeaderValue::from_str(value).ok();
            value.and_then(|value| headers.insert(name, value))
        };
        put(HOST, target.authority());
        put(USER_AGENT, concat!("mcpace/", env!("CARGO_PKG_VERSION")));
        put(ACCEPT, "application/json, text/event-stream");
        put(CONTENT_TYPE, "application/json");
        if let Some(version) = negotiated.version_header() {
            put(PROTOCOL_VERSION, version);
        }
        if let Some(session) = &negotiated.session {
            put(SESSION, session);
        }
        let path = target.uri().path_and_query().cloned();
        Self { uri: path.map_or_else(Uri::default, Uri::from), headers }
    }

    /// The same head in the session `id`; `None` where that cannot stand in a header.
    pub(super) fn in_session(&self, id: &str) -> Option<Self> {
        let mut head = self.clone();
        head.headers.insert(SESSION, HeaderValue::from_str(id).ok()?);
        Some(head)
    }

    /// Whether its requests name a session.
    pub(super) fn is_in_session(&self) -> bool {
        self.headers.contains_key(SESSION)
    }

    /// The head of requests of this method, by which revision 2026-07-28 wants every one to be known; `name` is that of
    /// the tool, prompt or resource it is about.
    pub(super) fn naming(&self, method: &str, name: Option<&str>) -> Self {
        let mut head = self.clone();
        head.headers.insert(METHOD, header_value(method));
        if let Some(name) = name {
            head.headers.insert(NAME, header_value(name));
        }
        head
    }

    /// The same head with more headers.
    pub(super) fn with<'a>(mut self, headers: impl Iterator<Item = (&'a HeaderName, HeaderValue)>) -> Self {
        for (name, value) in headers {
            self.headers.insert(name, value);
        }
        self
    }

    /// A request that posts a message.
    pub(super) fn post(&self, body: Bytes) -> Request<Full<Bytes>> {
        self.request(Method::POST, Full::new(body))
    }

    /// A request without a body that takes `accept` for an answer.
    pub(super) fn bare(&self, method: Method, accept: &'static str) -> Request<Full<Bytes>> {
        let mut request = self.request(method, Full::default());
        request.headers_mut().remove(CONTENT_TYPE);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        request
    }

    fn request(&self, method: Method, body: Full<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.headers);
        request
    }
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
    fn of(head: &Parts) -> Self {
        let encoding = head.headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
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
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Sends `request` and reads the answer to the message `id`, at most `most` bytes of it. What the `listener` learns is
/// there also for whoever loses patience meanwhile.
pub(super) async fn exchange<C: Clock + 'static>(
    connection: &mut Connection<C>,
    request: Request<Full<Bytes>>,
    id: u64,
    most: usize,
    listener: &mut Listener<'_>,
) -> Result<Answer, hyper::Error> {
    let (head, mut body) = connection.send(request).await?.into_parts();
    let (content, done, after) = match Kind::of(&head) {
        Kind::Json => {
            let (bytes, after) = read_body(connection, &mut body, most, &mut listener.has_begun).await?;
            let done = connection.arrived();
            let content = match after {
                After::Reuse if bytes.is_empty() => Content::Other(bytes.clone()),
                After::Reuse => said(&bytes, id),
                // Cut at the bound, or before where all answers together were too large.
                _ if bytes.len() < most => Content::Invalid(too_much_at_once()),
                _ => Content::Invalid(too_large(most)),
            };
            listener.note(Some(&content), &bytes);
            (content, done, after)
        }
        Kind::Events => read_events(connection, body, id, most, listener).await?,
        Kind::Other => {
            let (bytes, after) =
                read_body(connection, &mut body, most.min(MOST_OF_OTHER), &mut listener.has_begun).await?;
            let done = connection.arrived();
            let content = match said(&bytes, id) {
                error @ Content::Error(..) if !head.status.is_success() => error,
                _ => Content::Other(bytes.clone()),
            };
            listener.note(Some(&content), &bytes);
            (content, done, after)
        }
        Kind::EventsOfFailure => {
            let arrived = connection.arrived();
            let events = read_events(connection, body, id, most.min(MOST_OF_OTHER), listener);
            match timeout(WAIT_FOR_WORDS, events).await {
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
    body: &mut Incoming,
    most: usize,
    has_begun: &mut bool,
) -> Result<(Bytes, After), hyper::Error> {
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
        if whole.is_empty() && body.is_end_stream() {
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
    mut body: Incoming,
    id: u64,
    most: usize,
    listener: &mut Listener<'_>,
) -> Result<(Content, Moment, After), hyper::Error> {
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
    fn note(&mut self, answer: Option<&Content>, message: &Bytes) {
        if let Some(Content::Error(..)) = answer {
            self.error.clone_from(message);
        }
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
        let answer = answer_to(&event.data, id);
        self.note(answer.as_ref(), &event.data);
        if answer.is_none() && self.own.is_some_and(|own| own(&event.data)) {
            self.requests += 1;
            if self.requests > MOST_REQUESTS {
                let group = format!("more than {MOST_REQUESTS} requests of the server's own before an answer");
                return Some(Content::Invalid(Failure { group, example: snippet(&event.data) }));
            }
        }
        answer
    }
}

/// What a message answers to the request `id`; `None` where it is the server's own.
fn answer_to(message: &Bytes, id: u64) -> Option<Content> {
    Some(match read_reply(message, id) {
        Ok(None) => return None,
        Ok(Some(Body::Result(result, gist))) => Content::Result(message.slice_ref(result.as_bytes()), gist),
        Ok(Some(Body::Error(error))) => Content::Error(error.code, rpc_failure(&error)),
        Err(malformed) => Content::Invalid(Failure { group: malformed.to_string(), example: snippet(message) }),
    })
}

fn said(message: &Bytes, id: u64) -> Content {
    answer_to(message, id).unwrap_or_else(|| {
        let group = "a message of the server's own in place of an answer".to_owned();
        Content::Invalid(Failure { group, example: snippet(message) })
    })
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
