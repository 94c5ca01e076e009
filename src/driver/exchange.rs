//! One request and its answer: heads, bodies of either kind, and what they say.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};

use super::connection::Connection;
use crate::mcp::{Body, Decoder, EXAMPLE_CHARS, GROUP_CHARS, Negotiated, RpcError, Target, cut, group_of, read_reply};
use crate::time::{Clock, Moment};
use crate::workload::Failure;

/// The session that a request belongs to, and that an answer to `initialize` opens.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// How much of an answer that is no JSON-RPC is read.
const MOST_OF_OTHER: usize = 64 * 1024;

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
    /// The raw JSON of a JSON-RPC result.
    Result(Bytes),
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

/// How an answer's body is to be read.
enum Kind {
    /// A success in JSON, or without a media type.
    Json,
    /// A success as a stream of events.
    Events,
    /// A page, or whatever comes with a status that is no success.
    Other,
    /// A stream of events about a failure: it may never end, and nobody writes any.
    EndlessOther,
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
            false if is_events => Self::EndlessOther,
            _ => Self::Other,
        }
    }
}

/// The media type of a body without its parameters; empty where there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Sends `request` and reads the answer to the message `id`, at most `most` bytes of it. `has_begun` becomes true with the
/// first byte of the message; it is there for whoever loses patience meanwhile.
pub(super) async fn exchange<C: Clock + 'static>(
    connection: &mut Connection<C>,
    request: Request<Full<Bytes>>,
    id: u64,
    most: usize,
    has_begun: &mut bool,
) -> Result<Answer, hyper::Error> {
    let (head, mut body) = connection.send(request).await?.into_parts();
    let (content, done, after) = match Kind::of(&head) {
        Kind::Json => {
            let (bytes, after) = read_body(connection, &mut body, most, has_begun).await?;
            let done = connection.now();
            let content = match after {
                After::Reuse if bytes.is_empty() => Content::Other(bytes),
                After::Reuse => said(&bytes, id),
                _ => Content::Invalid(too_large(most)),
            };
            (content, done, after)
        }
        Kind::Events => read_events(connection, body, id, most, has_begun).await?,
        Kind::Other => {
            let (bytes, after) = read_body(connection, &mut body, most.min(MOST_OF_OTHER), has_begun).await?;
            let done = connection.now();
            let content = match said(&bytes, id) {
                error @ Content::Error(..) if !head.status.is_success() => error,
                _ => Content::Other(bytes),
            };
            (content, done, after)
        }
        Kind::EndlessOther => (Content::Other(Bytes::new()), connection.now(), After::Close),
        Kind::Encoded(encoding) => {
            let group = cut(&format!("content encoding {encoding}, which was not offered"), GROUP_CHARS);
            let invalid = Content::Invalid(Failure { example: group.clone(), group });
            let content = if head.status.is_success() { invalid } else { Content::Other(Bytes::new()) };
            (content, connection.now(), After::Close)
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
    while let Some(chunk) = connection.chunk(body).await {
        let chunk = chunk?;
        *has_begun |= !chunk.is_empty();
        if whole.len() + chunk.len() > most {
            whole.extend_from_slice(&chunk[..most - whole.len()]);
            return Ok((whole.freeze(), After::Close));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok((chunk, After::Reuse));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok((whole.freeze(), After::Reuse))
}

/// Reads events up to the answer; what the server asks or tells meanwhile is passed over.
async fn read_events<C: Clock + 'static>(
    connection: &mut Connection<C>,
    mut body: Incoming,
    id: u64,
    most: usize,
    has_begun: &mut bool,
) -> Result<(Content, Moment, After), hyper::Error> {
    let mut decoder = Decoder::new(most);
    let mut allowance = most.saturating_mul(2);
    while let Some(chunk) = connection.chunk(&mut body).await {
        let chunk = chunk?;
        let arrived = connection.now();
        // Each event is bounded; so is what a stream may say in all before it comes to the point.
        let Some(left) = allowance.checked_sub(chunk.len()) else {
            return Ok((Content::Invalid(too_large(most)), arrived, After::Close));
        };
        allowance = left;
        decoder.push(chunk);
        loop {
            let event = match decoder.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => return Ok((Content::Invalid(too_large(most)), arrived, After::Close)),
            };
            if !event.is_message() {
                continue;
            }
            if let Some(content) = answer_to(&event.data, id) {
                return Ok((content, arrived, After::Drain(body)));
            }
        }
        *has_begun |= decoder.is_within_data();
    }
    Ok((Content::Nothing, connection.now(), After::Reuse))
}

/// What a message answers to the request `id`; `None` where it is the server's own.
fn answer_to(message: &Bytes, id: u64) -> Option<Content> {
    Some(match read_reply(message, id) {
        Ok(None) => return None,
        Ok(Some(Body::Result(result))) => Content::Result(message.slice_ref(result.as_bytes())),
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

fn too_large(most: usize) -> Failure {
    let group = format!("larger than {most} bytes");
    Failure { example: group.clone(), group }
}

/// The beginning of a body, as an example.
pub(super) fn snippet(body: &[u8]) -> String {
    let beginning = &body[..body.len().min(4 * EXAMPLE_CHARS)];
    cut(String::from_utf8_lossy(beginning).trim(), EXAMPLE_CHARS)
}
