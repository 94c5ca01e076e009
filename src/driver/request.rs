//! What is sent: the head that requests share, written once, and what is each one's own.

use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use http_body_util::Full;

use super::credentials::Credentials;
use crate::mcp::headers::{METHOD, NAME, header_value};
use crate::mcp::{CallTemplate, Negotiated, Target};

/// The session that a request belongs to, and that an answer to `initialize` opens.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The head that requests to a target share.
#[derive(Clone)]
pub(super) struct Head(Rc<Shared>);

#[derive(Clone)]
struct Shared {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// As HTTP/1.1 has it, up to what is each request's own; and with whose headers in it.
    written: OnceCell<(Option<Arc<Credentials>>, Vec<u8>)>,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    head: Head,
    /// Headers of its own.
    own: Vec<(HeaderName, HeaderValue)>,
    body: Body<'a>,
}

/// What a request says.
#[derive(Clone, Debug)]
enum Body<'a> {
    Whole(Bytes),
    /// A call with this id and these arguments, to be written where it is sent.
    Call(&'a CallTemplate, u64, &'a str),
}

impl Body<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Call(template, id, arguments) => template.length(*id, arguments),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(body) => out.extend_from_slice(body),
            Self::Call(template, id, arguments) => template.write(*id, arguments, out),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole(body) => body,
            call @ Self::Call(..) => {
                let mut body = Vec::with_capacity(call.length());
                call.write(&mut body);
                body.into()
            }
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is written has secrets in it.
        write!(f, "{} {} {:?}", self.0.method, self.0.uri, self.0.headers)
    }
}

impl Head {
    /// The head of messages that are posted to `target`, after `negotiated`.
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
        let uri = path.map_or_else(Uri::default, Uri::from);
        Self(Rc::new(Shared { method: Method::POST, uri, headers, written: OnceCell::new() }))
    }

    /// The same, changed.
    fn changed(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared { written: OnceCell::new(), ..(*self.0).clone() };
        change(&mut shared);
        Self(Rc::new(shared))
    }

    /// The same head in the session `id`; `None` where that cannot stand in a header.
    pub(super) fn in_session(&self, id: &str) -> Option<Self> {
        let id = HeaderValue::from_str(id).ok()?;
        Some(self.changed(|head| drop(head.headers.insert(SESSION, id))))
    }

    /// Whether its requests name a session.
    pub(super) fn is_in_session(&self) -> bool {
        self.0.headers.contains_key(SESSION)
    }

    /// The head of requests of this method, by which revision 2026-07-28 wants every one to be known; `name` is that of
    /// the tool, prompt or resource it is about.
    pub(super) fn naming(&self, method: &str, name: Option<&str>) -> Self {
        self.changed(|head| {
            head.headers.insert(METHOD, header_value(method));
            if let Some(name) = name {
                head.headers.insert(NAME, header_value(name));
            }
        })
    }

    /// The same head with more headers.
    pub(super) fn with<'a>(&self, headers: impl Iterator<Item = (&'a HeaderName, HeaderValue)>) -> Self {
        self.changed(|head| {
            for (name, value) in headers {
                head.headers.insert(name, value);
            }
        })
    }

    /// A request that posts a message.
    pub(super) fn post(&self, body: Bytes) -> Request<'static> {
        Request { head: self.clone(), own: Vec::new(), body: Body::Whole(body) }
    }

    /// A request that posts a call.
    pub(super) fn call<'a>(&self, template: &'a CallTemplate, id: u64, arguments: &'a str) -> Request<'a> {
        Request { head: self.clone(), own: Vec::new(), body: Body::Call(template, id, arguments) }
    }

    /// A request without a body that takes `accept` for an answer.
    pub(super) fn bare(&self, method: Method, accept: &'static str) -> Request<'static> {
        let head = self.changed(|head| {
            head.method = method;
            head.headers.remove(CONTENT_TYPE);
            head.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        });
        head.post(Bytes::new())
    }

    /// Writes it with these credentials: the same as before, as a rule.
    fn write(&self, credentials: Option<&Arc<Credentials>>, out: &mut Vec<u8>) {
        let (whose, written) = self.0.written.get_or_init(|| (credentials.cloned(), self.0.written(credentials)));
        let is_same = match (whose, credentials) {
            (None, None) => true,
            (Some(whose), Some(credentials)) => Arc::ptr_eq(whose, credentials),
            _ => false,
        };
        if is_same {
            out.extend_from_slice(written);
        } else {
            out.extend_from_slice(&self.0.written(credentials));
        }
    }
}

impl Shared {
    fn written(&self, credentials: Option<&Arc<Credentials>>) -> Vec<u8> {
        let mut headers = self.headers.clone();
        if let Some(credentials) = credentials {
            credentials.put_on(&mut headers);
        }
        let path = self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut out = format!("{} {path} HTTP/1.1\r\n", self.method).into_bytes();
        for (name, value) in &headers {
            write_header(name, value, &mut out);
        }
        out
    }
}

fn write_header(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Request<'_> {
    /// Gives it one more header, or another value of it.
    pub(super) fn put(&mut self, name: HeaderName, value: HeaderValue) {
        if self.head.0.headers.contains_key(&name) {
            self.head = self.head.changed(|head| drop(head.headers.insert(name, value)));
            return;
        }
        self.own.retain(|(known, _)| *known != name);
        self.own.push((name, value));
    }

    /// Writes it as HTTP/1.1 wants it, with credentials that go before all else.
    pub(super) fn write(&self, credentials: Option<&Arc<Credentials>>, out: &mut Vec<u8>) {
        self.head.write(credentials, out);
        for (name, value) in &self.own {
            if !credentials.is_some_and(|credentials| credentials.have(name)) {
                write_header(name, value, out);
            }
        }
        if self.head.0.method == Method::POST {
            out.extend_from_slice(CONTENT_LENGTH.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(itoa::Buffer::new().format(self.body.length()).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.body.write(out);
    }

    /// The same for HTTP/2, whose machine writes it by itself.
    pub(super) fn into_http2(self, credentials: Option<&Arc<Credentials>>) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.into_bytes()));
        *request.method_mut() = self.head.0.method.clone();
        request.uri_mut().clone_from(&self.head.0.uri);
        request.headers_mut().clone_from(&self.head.0.headers);
        for (name, value) in self.own {
            request.headers_mut().insert(name, value);
        }
        if let Some(credentials) = credentials {
            credentials.put_on(request.headers_mut());
        }
        request
    }
}
