//! Requests at leisure, each on a connection of its own: the whole of a server's manners, and no thought of speed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::Connection;
use super::ending::broken;
use super::exchange::{Answer, Content, Listener, exchange, media_type, read_events};
use super::http1::Broken;
use super::preflight::PreflightError;
use super::request::{Head, Request};
use super::tls::Connector;
use super::wire::{NOT_HTTP2, Shared};
use crate::mcp::{Body, Said, answer, read_asked, read_reply, refuse};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};

/// Answers what a server asks of its client: gets the method and the parameters, and gives the result; `None` refuses.
pub type Answers = dyn Fn(&str, &Value) -> Option<Value>;

const EVENTS: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 8 << 20;
/// The most requests of a server's that wait to be answered.
const MOST_ASKED: usize = 100;
/// How often one answer's stream is gone on with.
const MOST_RESUMES: usize = 10;
/// How long a server that does not say so wants to be left alone before its stream is gone on with.
const RETRY: Duration = Duration::from_secs(1);
/// How long it is waited for at most, whatever the server says.
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// Answers nobody's request: what comes on a stream that nobody asked for anything on.
const NOBODY: u64 = 0;

/// Time does not matter here.
#[derive(Debug)]
pub(super) struct Timeless;

impl Clock for Timeless {
    fn now(&self) -> Moment {
        Moment::ZERO
    }
}

/// How a client behaves in a conversation.
#[derive(Clone)]
pub struct Manner {
    /// How long to wait for a connection, and how long for an answer.
    pub patience: Duration,
    /// What the server is told that the client can do: an object, `{}` for nothing.
    pub capabilities: Value,
    /// How it answers what the server asks; `None` refuses everything but a ping.
    pub answers: Option<Rc<Answers>>,
}

/// Talks to one target.
pub(super) struct Talk {
    connector: Connector,
    pub(super) manner: Manner,
    shared: Rc<Shared<Timeless>>,
    ids: Cell<u64>,
}

/// An answer, with the whole message where that is an error.
pub(super) struct Heard {
    pub(super) answer: Answer,
    error: Bytes,
    id: u64,
}

/// Where the server's requests go while a stream is read.
struct Asking(RefCell<Option<mpsc::Sender<Bytes>>>);

impl Asking {
    fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (ask, asked) = mpsc::channel(MOST_ASKED);
        (Self(RefCell::new(Some(ask))), asked)
    }

    /// Takes a message of the server's own; whether it was a request.
    fn take(&self, message: &Bytes) -> bool {
        let is_request = read_asked(message).is_some_and(|asked| asked.id.is_some());
        if is_request && let Some(ask) = &*self.0.borrow() {
            let _ = ask.try_send(message.clone());
        }
        is_request
    }

    /// Waits for the end of `reading`: then nothing more is asked.
    async fn until<T>(&self, reading: impl Future<Output = T>) -> T {
        let read = reading.await;
        self.0.take();
        read
    }
}

impl Manner {
    /// The manner of a client that can do nothing and refuses everything.
    pub fn plain(patience: Duration) -> Self {
        Self { patience, capabilities: Value::Object(serde_json::Map::new()), answers: None }
    }
}

impl Heard {
    /// What it says, as far as JSON-RPC goes.
    pub(super) fn said(&self) -> Said<'_> {
        match &self.answer.content {
            Content::Result(result, _) => std::str::from_utf8(result.raw()).map_or(Said::Other, Said::Result),
            Content::Error(..) => match read_reply(&self.error, self.id) {
                Ok(Some(Body::Error(error))) => Said::Error(error),
                _ => Said::Other,
            },
            _ => Said::Other,
        }
    }
}

impl Talk {
    pub(super) fn new(connector: &Connector, manner: Manner) -> Self {
        Self { connector: connector.clone(), manner, shared: Shared::new(Timeless), ids: Cell::new(1) }
    }

    /// A target and its address in words.
    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn url(&self) -> String {
        self.connector.target().to_string()
    }

    /// An id that no request had yet.
    pub(super) fn new_id(&self) -> u64 {
        self.ids.replace(self.ids.get() + 1)
    }

    /// Posts the request `id` and reads the answer to it, and meanwhile answers the server's own requests. A stream that
    /// ends before the answer is gone on with if it `may_resume`.
    pub(super) async fn post(
        &self,
        head: &Head,
        body: Bytes,
        id: u64,
        may_resume: bool,
    ) -> Result<Heard, PreflightError> {
        let (asking, asked) = Asking::new();
        let own = |message: &Bytes| asking.take(message);
        let mut listener = Listener { own: Some(&own), ..Listener::default() };
        let whole = async {
            let (mut connection, mut request) = (self.connect().await?, head.post(body));
            let mut resumes = 0;
            loop {
                let answer = exchange(&mut connection, request, id, MOST_BYTES, &mut listener).await;
                let is_whole = answer.as_ref().is_ok_and(|answer| !matches!(answer.content, Content::Nothing));
                let place = listener.place.take().filter(|_| may_resume && !is_whole && resumes < MOST_RESUMES);
                let Some(place) = place else {
                    return answer.map_err(|error| self.broken(&error, connection.stamps()));
                };
                resumes += 1;
                pause(listener.retry).await;
                connection = self.connect().await?;
                request = stream(head, Some(&place));
            }
        };
        let whole = asking.until(timeout(self.manner.patience, whole));
        let (answer, ()) = tokio::join!(whole, self.answer_all(head, asked));
        let answer = answer.map_err(|_| self.silent())??;
        Ok(Heard { answer, error: listener.error, id })
    }

    /// Posts a message that has no answer of its own. Servers take it with 202, 200 or 204, some with an error: whatever
    /// it is makes no difference.
    pub(super) async fn tell(&self, head: &Head, body: Bytes) {
        self.send(head.post(body)).await;
    }

    /// Closes the session that `head` names.
    pub(super) async fn delete(&self, head: &Head) {
        self.send(head.bare(Method::DELETE, "application/json, text/event-stream")).await;
    }

    /// Keeps the stream open that servers of revisions with a handshake make their requests on, and answers these; goes
    /// on with it where the server ends it, and returns where it offers none. `open` is told each time that it is open.
    pub(super) async fn listen(&self, head: &Head, open: impl Fn()) {
        let mut place = None;
        loop {
            let (asking, asked) = Asking::new();
            let own = |message: &Bytes| asking.take(message);
            let mut listener = Listener { own: Some(&own), ..Listener::default() };
            let Ok(mut connection) = self.connect().await else { return };
            let Ok((answer, body)) = connection.send(stream(head, place.as_ref())).await else { return };
            if !answer.status.is_success() || !media_type(&answer.headers).eq_ignore_ascii_case(EVENTS) {
                return;
            }
            open();
            let events = read_events(&mut connection, body, NOBODY, MOST_BYTES, &mut listener);
            let (read, ()) = tokio::join!(asking.until(events), self.answer_all(head, asked));
            if read.is_err() && listener.place.is_none() {
                return;
            }
            place = listener.place.take().or(place);
            pause(listener.retry).await;
        }
    }

    /// Answers what is asked for as long as anybody may ask.
    async fn answer_all(&self, head: &Head, mut asked: mpsc::Receiver<Bytes>) {
        while let Some(message) = asked.recv().await {
            let Some((asked, id)) = read_asked(&message).and_then(|asked| asked.id.map(|id| (asked.clone(), id)))
            else {
                continue;
            };
            let params = asked.params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
            let result = self.manner.answers.as_ref().and_then(|answers| answers(&asked.method, &params));
            let body = match result {
                Some(result) => answer(id, &result.to_string()),
                None => refuse(id, &asked.method),
            };
            self.tell(head, body).await;
        }
    }

    async fn send(&self, request: Request<'_>) {
        let _ = timeout(self.manner.patience, async {
            let mut connection = self.connect().await.ok()?;
            connection.send(request).await.ok()
        })
        .await;
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Box<Connection<Timeless>>, PreflightError> {
        let (url, patience) = (self.url(), self.manner.patience);
        let Ok(stream) = timeout(patience, self.connector.connect()).await else {
            let why = format!("no connection within {patience:?}");
            return Err(PreflightError::Unreachable { url, why });
        };
        let stream = stream.map_err(|none| {
            let (url, why) = (self.url(), none.failure.group);
            match none.outcome {
                Outcome::NoLocalResource => PreflightError::NoLocalResource { url, why },
                // A group that was cut short is said in full here: there is room.
                _ if why.starts_with("TLS") && why.ends_with('…') => {
                    PreflightError::Tls { url, why: format!("TLS: {}", none.failure.example) }
                }
                _ if why.starts_with("TLS") => PreflightError::Tls { url, why },
                _ => PreflightError::Unreachable { url, why },
            }
        })?;
        Connection::new(stream, &self.shared).await.map_err(|e| self.broken(&e.into(), (None, None)))
    }

    fn broken(&self, error: &Broken, stamps: (Option<Moment>, Option<Moment>)) -> PreflightError {
        let (outcome, _, failure) = broken(error, false, stamps);
        let group = failure.map(|failure| failure.group).unwrap_or_default();
        if outcome == Outcome::InvalidReply {
            let hint = if self.connector.target().is_https() { "" } else { ": or does it want https?" };
            return PreflightError::NotMcp { url: self.url(), what: format!("{group}: is it the right port?{hint}") };
        }
        if self.has_heard_no_http2() {
            return PreflightError::NotMcp { url: self.url(), what: format!("{group}: most likely {NOT_HTTP2}") };
        }
        PreflightError::Disconnected { url: self.url(), what: group }
    }

    /// What it means that patience is at its end.
    fn silent(&self) -> PreflightError {
        let (url, patience) = (self.url(), self.manner.patience);
        if self.has_heard_no_http2() {
            let what = format!("no byte of an answer within {patience:?}: perhaps {NOT_HTTP2}");
            return PreflightError::NotMcp { url, what };
        }
        PreflightError::Silent { url, patience }
    }

    /// Whether HTTP/2 was taken for granted, and not a byte has come yet: servers of HTTP/1 hang up or reset, and what they
    /// say about it before is often lost to the reset.
    fn has_heard_no_http2(&self) -> bool {
        self.connector.shares() && !self.connector.target().is_https() && self.shared.bytes().1 == 0
    }
}

/// The request for the stream on which a server speaks of its own accord, or goes on after `place`.
fn stream(head: &Head, place: Option<&Bytes>) -> Request<'static> {
    let mut request = head.bare(Method::GET, EVENTS);
    let place = place.and_then(|place| http::HeaderValue::from_bytes(place).ok());
    if let Some(place) = place {
        request.put(LAST_EVENT_ID, place);
    }
    request
}

/// Lets the time pass after which a server wants its stream to be gone on with.
async fn pause(retry: Option<u64>) {
    let time = retry.map_or(RETRY, Duration::from_millis).min(LONGEST_RETRY);
    let _ = timeout(time, std::future::pending::<()>()).await;
}
