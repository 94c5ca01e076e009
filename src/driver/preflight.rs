//! Before the first call: is anybody there, is it MCP, and what do we agree on? Nothing here can move money.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::timeout;

use super::connection::{Connection, Shared};
use super::ending::{broken, http_failure};
use super::exchange::{Answer, Content, Head, SESSION, exchange, media_type};
use super::tls::Connector;
use crate::mcp::{
    Decoder, Introduction, Negotiated, Protocol, Revision, initialize, initialized, read_introduction, read_tool_page,
    tools_list,
};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::FIRST_CALL_ID;

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 8 << 20;
/// The most pages of tools that are asked for.
const MOST_PAGES: u64 = 100;
const INITIALIZE_ID: u64 = 1;
const FIRST_PAGE_ID: u64 = 2;
const METHOD_NOT_FOUND: i64 = -32601;
/// The code by which a server says that it speaks other revisions than the one offered.
const UNSUPPORTED_VERSION: i64 = -32022;
const _: () = assert!(FIRST_PAGE_ID + MOST_PAGES < FIRST_CALL_ID, "these ids never meet those of calls");

/// Why a run cannot begin: each a fragment after "failed to …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// No connection.
    #[error("reach {url}: {why}: is the server up at this URL?")]
    Unreachable {
        /// The target.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// A connection, but no encryption on it that can be trusted.
    #[error(
        "reach {url}: {why}: does it speak https there, with a certificate that this machine trusts (SSL_CERT_FILE)?"
    )]
    Tls {
        /// The target.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// No connection, for want of something here.
    #[error("open a connection to {url}: {why}: this machine ran out of it; raise its limit (ulimit -n for files)")]
    NoLocalResource {
        /// The target.
        url: String,
        /// What ran out.
        why: String,
    },
    /// A connection, and no answer in time.
    #[error("get an answer from {url} within {patience:?}: is it the right port, and is the server well?")]
    Silent {
        /// The target.
        url: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// A connection that ended before the answer did.
    #[error("get an answer from {url}: {what}: look at the server's log")]
    Disconnected {
        /// The target.
        url: String,
        /// How it ended.
        what: String,
    },
    /// 401 or 403.
    #[error(
        "be let in at {url}: {what}: this version sends no credentials; use an entrance that needs none, or a proxy that adds them"
    )]
    Auth {
        /// The target.
        url: String,
        /// What the server said.
        what: String,
    },
    /// A server that answers to certain host names only.
    #[error(
        "be let in at {url}: {what}: allow this host name at the server, or use one that it allows, often localhost"
    )]
    HostGuard {
        /// The target.
        url: String,
        /// What the server said.
        what: String,
    },
    /// A server that speaks the protocol and declines.
    #[error("open a session at {url}: {what}")]
    Refused {
        /// The target.
        url: String,
        /// What the server said.
        what: String,
    },
    /// Something else than an MCP server.
    #[error("speak MCP with {url}: {what}")]
    NotMcp {
        /// The target.
        url: String,
        /// What it is instead, and the way out.
        what: String,
    },
}

/// Time does not matter before the run.
#[derive(Debug)]
struct Timeless;

impl Clock for Timeless {
    fn now(&self) -> Moment {
        Moment::ZERO
    }
}

struct Preflight<'a> {
    connector: &'a Connector,
    patience: Duration,
    shared: Rc<Shared<Timeless>>,
}

/// Agrees with the connector's target on how to speak: the handshake of `protocol`, and the names of its tools.
///
/// `patience` bounds connecting, each answer, and the whole list of tools.
///
/// # Errors
/// There is no server, or none that speaks the protocol, or it does not want to.
pub async fn negotiate(
    connector: &Connector,
    protocol: Protocol,
    patience: Duration,
) -> Result<Negotiated, PreflightError> {
    let preflight = Preflight { connector, patience, shared: Shared::new(Timeless) };
    match protocol {
        Protocol::Plain => {
            // No handshake and no questions; but somebody must be there.
            preflight.connect().await?;
            Ok(Negotiated::default())
        }
        Protocol::Revision(revision) => preflight.shake_hands(revision, false).await,
        Protocol::Auto => preflight.shake_hands(Revision::NEWEST, true).await,
    }
}

/// Closes the session, where there is one. What the server says to that makes no difference.
pub async fn close_session(connector: &Connector, negotiated: &Negotiated, patience: Duration) {
    if negotiated.session.is_some() {
        let preflight = Preflight { connector, patience, shared: Shared::new(Timeless) };
        let head = Head::new(connector.target(), negotiated);
        let _ = timeout(patience, async {
            let mut connection = preflight.connect().await.ok()?;
            connection.send(head.bare(Method::DELETE, "application/json, text/event-stream")).await.ok()
        })
        .await;
    }
}

impl Preflight<'_> {
    async fn shake_hands(&self, offered: Revision, may_be_plain: bool) -> Result<Negotiated, PreflightError> {
        let head = Head::new(self.connector.target(), &Negotiated::default());
        let answer = self.post(&head, initialize(INITIALIZE_ID, offered), INITIALIZE_ID).await?;
        if let Some(introduction) = introduction(&answer, offered) {
            return Ok(self.finish_handshake(introduction, session(&answer)).await);
        }
        if let Some(refusal) = self.final_refusal(&answer) {
            return Err(refusal);
        }
        if may_be_plain
            && !is_out_of_order(&answer)
            && let Some(plain) = self.try_plain(&answer).await
        {
            return Ok(plain);
        }
        if is_client_error(&answer) && self.is_legacy_sse().await {
            let what = "it is a server of the old HTTP+SSE transport, which is not supported: \
                        give the URL of its Streamable HTTP endpoint, if it has one";
            return Err(self.not_mcp(what.to_owned()));
        }
        Err(match &answer.content {
            Content::Error(_, failure) => self.refused(format!("it refused to initialize: {}", failure.example)),
            _ => self.not_mcp(description(&answer)),
        })
    }

    async fn finish_handshake(&self, introduction: Introduction, session: Option<String>) -> Negotiated {
        let mut negotiated = Negotiated {
            revision: Some(introduction.revision),
            session,
            server_name: introduction.server_name,
            tools: None,
            warnings: introduction.warnings,
        };
        let head = Head::new(self.connector.target(), &negotiated);
        // Servers answer this with 202, 200 or 204, some with an error: whatever it is, the handshake is over.
        let _ = timeout(self.patience, async {
            let mut connection = self.connect().await.ok()?;
            connection.send(head.post(initialized())).await.ok()
        })
        .await;
        match timeout(self.patience, self.list_tools(&head)).await {
            Ok(Ok(tools)) => negotiated.tools = Some(tools),
            Ok(Err(what)) => negotiated.warnings.push(format!("the server does not list its tools: {what}")),
            Err(_) => negotiated.warnings.push(format!("the server did not list its tools within {:?}", self.patience)),
        }
        negotiated
    }

    /// Refusals that speaking without a handshake would not mend.
    fn final_refusal(&self, answer: &Answer) -> Option<PreflightError> {
        let failure = || http_failure(answer);
        let url = self.url();
        if failure().group.contains("Host") {
            return Some(PreflightError::HostGuard { url, what: failure().example });
        }
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Some(PreflightError::Auth { url, what: failure().example })
            }
            status if status.is_redirection() => Some(self.not_mcp(format!("it redirects: {}", failure().group))),
            _ if matches!(answer.content, Content::Error(UNSUPPORTED_VERSION, _)) => {
                let what = format!("it speaks none of the revisions known here: {}", failure().example);
                Some(PreflightError::Refused { url, what })
            }
            _ => None,
        }
    }

    /// Whether the server answers JSON-RPC without a handshake.
    async fn try_plain(&self, to_initialize: &Answer) -> Option<Negotiated> {
        let head = Head::new(self.connector.target(), &Negotiated::default());
        let tools = timeout(self.patience, self.list_tools(&head)).await.ok().and_then(Result::ok);
        let is_rpc = match to_initialize.content {
            Content::Result(_) => true,
            Content::Error(code, _) => code == METHOD_NOT_FOUND || to_initialize.status.is_success(),
            _ => false,
        };
        if tools.is_none() && !is_rpc {
            return None;
        }
        let mut warnings =
            vec!["the server knows no initialize: calls are made as JSON-RPC without a handshake".to_owned()];
        if tools.is_none() {
            warnings.push("the server does not list its tools either".to_owned());
        }
        Some(Negotiated { tools, warnings, ..Negotiated::default() })
    }

    async fn list_tools(&self, head: &Head) -> Result<Vec<String>, String> {
        let mut tools = Vec::new();
        let mut cursor: Option<String> = None;
        for id in FIRST_PAGE_ID..FIRST_PAGE_ID + MOST_PAGES {
            let answer = self.post(head, tools_list(id, cursor.as_deref()), id).await.map_err(|e| e.to_string())?;
            let page = match &answer.content {
                Content::Result(result) => std::str::from_utf8(result).ok().and_then(read_tool_page),
                _ => None,
            };
            let Some(page) = page else { return Err(description(&answer)) };
            tools.extend(page.names);
            if page.next.is_none() || page.next == cursor {
                return Ok(tools);
            }
            cursor = page.next;
        }
        Err(format!("the list has more than {MOST_PAGES} pages"))
    }

    /// Whether a GET is answered with the event by which the old transport names its endpoint.
    async fn is_legacy_sse(&self) -> bool {
        let head = Head::new(self.connector.target(), &Negotiated::default());
        let look = async {
            let mut connection = self.connect().await.ok()?;
            let response = connection.send(head.bare(Method::GET, "text/event-stream")).await.ok()?;
            if !media_type(response.headers()).eq_ignore_ascii_case("text/event-stream") {
                return None;
            }
            let mut body = response.into_body();
            let mut decoder = Decoder::new(4096);
            loop {
                decoder.push(connection.chunk(&mut body).await?.ok()?);
                if let Some(event) = decoder.next_event().ok()? {
                    return Some(&event.kind[..] == b"endpoint");
                }
            }
        };
        timeout(self.patience.min(Duration::from_secs(2)), look).await.ok().flatten() == Some(true)
    }

    async fn connect(&self) -> Result<Box<Connection<Timeless>>, PreflightError> {
        let url = self.url();
        let Ok(stream) = timeout(self.patience, self.connector.connect()).await else {
            let why = format!("no connection within {:?}", self.patience);
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
        Connection::new(stream, &self.shared).await.map_err(|e| self.broken(&e, (None, None)))
    }

    async fn post(&self, head: &Head, body: bytes::Bytes, id: u64) -> Result<Answer, PreflightError> {
        let mut connection = self.connect().await?;
        let mut has_begun = false;
        let answer = exchange(&mut connection, head.post(body), id, MOST_BYTES, &mut has_begun);
        match timeout(self.patience, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.broken(&error, connection.stamps())),
            Err(_) => Err(PreflightError::Silent { url: self.url(), patience: self.patience }),
        }
    }

    fn broken(&self, error: &hyper::Error, stamps: (Option<Moment>, Option<Moment>)) -> PreflightError {
        let (outcome, _, failure) = broken(error, false, stamps);
        let group = failure.map(|failure| failure.group).unwrap_or_default();
        if outcome == Outcome::InvalidReply {
            let hint = if self.connector.target().is_https() { "" } else { ": or does it want https?" };
            return self.not_mcp(format!("{group}: is it the right port?{hint}"));
        }
        PreflightError::Disconnected { url: self.url(), what: group }
    }

    fn not_mcp(&self, what: String) -> PreflightError {
        PreflightError::NotMcp { url: self.url(), what }
    }

    fn refused(&self, what: String) -> PreflightError {
        PreflightError::Refused { url: self.url(), what }
    }

    fn url(&self) -> String {
        self.connector.target().to_string()
    }
}

fn introduction(answer: &Answer, offered: Revision) -> Option<Introduction> {
    match &answer.content {
        Content::Result(result) => {
            std::str::from_utf8(result).ok().and_then(|result| read_introduction(result, offered).ok())
        }
        _ => None,
    }
}

fn session(answer: &Answer) -> Option<String> {
    answer.headers.get(SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// A server that is in trouble or wants fewer requests says nothing about what it speaks.
fn is_out_of_order(answer: &Answer) -> bool {
    let trouble = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
    trouble && !matches!(answer.content, Content::Error(METHOD_NOT_FOUND, _))
}

fn is_client_error(answer: &Answer) -> bool {
    answer.status.is_client_error() && !matches!(answer.content, Content::Result(_))
}

/// What an answer that is none of MCP seems to be, and the way out.
fn description(answer: &Answer) -> String {
    let example = http_failure(answer).example;
    let media_type = media_type(&answer.headers);
    match (&answer.content, answer.status) {
        (Content::Error(_, failure), _) => failure.example.clone(),
        (Content::Invalid(failure), _) => format!("its answer is {}: {}", failure.group, failure.example),
        (Content::Nothing, _) => "its stream of events ended without an answer".to_owned(),
        (Content::Result(_), _) => "its answer has not the members that it should have".to_owned(),
        (Content::Other(_), StatusCode::NOT_FOUND) => {
            format!("there is nothing at this path ({example}): most servers have it at /mcp")
        }
        (Content::Other(_), StatusCode::METHOD_NOT_ALLOWED) => {
            format!("nothing takes a POST at this path ({example}): most servers have it at /mcp")
        }
        (Content::Other(_), _) if media_type.eq_ignore_ascii_case("text/html") => {
            format!("it answers with a web page ({example}): are port and path right?")
        }
        (Content::Other(_), status) if status.is_success() => {
            let kind = if media_type.is_empty() { "nothing" } else { media_type };
            format!("it answers with {kind} ({example}): are port and path right?")
        }
        (Content::Other(_), _) => format!("it answers with {example}"),
    }
}
