//! Before the first call: is anybody there, is it MCP, and what do we agree on? Nothing here can move money.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Map;
use tokio::time::timeout;

use super::ending::http_failure;
use super::exchange::{Answer, Content, media_type};
use super::request::{Head, SESSION};
use super::talk::{Heard, Manner, Talk};
use super::tls::Connector;
use crate::mcp::headers::HeaderPlan;
use crate::mcp::{
    Decoder, Introduction, MOST_TOOLS, MOST_VALUES, Negotiated, Negotiation, Protocol, Revision, Said, Step, Tool, cut,
    initialize, initialized, read_tool_page, request, tools_list,
};
use crate::workload::FIRST_CALL_ID;

/// The most pages of tools that are asked for.
const MOST_PAGES: u64 = 100;
/// The most requests but for those of pages: probes and handshakes.
const MOST_OTHERS: u64 = 10;
const METHOD_NOT_FOUND: i64 = -32601;
/// The most tools that are warned of one by one.
const MOST_WARNINGS: usize = 10;
/// The most characters of a tool's name in a warning.
const MOST_WORDS: usize = 60;
const _: () = assert!(MOST_OTHERS + MOST_PAGES < FIRST_CALL_ID, "these ids never meet those of calls");

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
        "reach {url}: {why}: does it speak https there, with a certificate that this machine trusts (--ca-cert FILE or SSL_CERT_FILE), and does it \
         want one of ours (--client-cert FILE)?"
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
        "be let in at {url}: {what}: give it credentials (others, if it got some) by --bearer-token-file FILE or --header NAME=@FILE"
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

struct Preflight<'a> {
    talk: &'a Talk,
    /// Sessions that were opened on the way and are of no use.
    strays: Vec<String>,
}

/// Agrees with the connector's target on how to speak `protocol`, and asks for its tools.
///
/// `patience` bounds connecting, each answer, and the whole list of tools. Only `server/discover`, `initialize` and
/// `tools/list` are asked; whatever session that leaves behind is closed, but for the one that is agreed on.
///
/// # Errors
/// There is no server, or none that speaks the protocol, or it does not want to.
pub async fn negotiate(
    connector: &Connector,
    protocol: Protocol,
    patience: Duration,
) -> Result<Negotiated, PreflightError> {
    agree(&Talk::new(connector, Manner::plain(patience)), protocol).await
}

/// [`negotiate`], in this talk.
pub(super) async fn agree(talk: &Talk, protocol: Protocol) -> Result<Negotiated, PreflightError> {
    if protocol == Protocol::Plain {
        // No handshake and no questions; but somebody must be there.
        return talk.connect().await.map(|_| Negotiated::default());
    }
    let mut preflight = Preflight { talk, strays: Vec::new() };
    let agreed = preflight.agree(protocol).await;
    for session in preflight.strays {
        let stray = Negotiated { session: Some(session), ..Negotiated::default() };
        talk.delete(&Head::new(talk.connector().target(), &stray)).await;
    }
    agreed
}

/// Closes the session, where there is one. What the server says to that makes no difference.
pub async fn close_session(connector: &Connector, negotiated: &Negotiated, patience: Duration) {
    if negotiated.session.is_some() {
        let talk = Talk::new(connector, Manner::plain(patience));
        let _ = timeout(patience, talk.delete(&Head::new(connector.target(), negotiated))).await;
    }
}

impl Preflight<'_> {
    async fn agree(&mut self, protocol: Protocol) -> Result<Negotiated, PreflightError> {
        let (mut negotiation, mut step) = Negotiation::begin(protocol);
        loop {
            let heard = self.ask(&step).await?;
            let is_probe = matches!(step, Step::Discover(_));
            let session = session(&heard.answer);
            let verdict = match self.final_refusal(&heard.answer, is_probe) {
                Some(refusal) => Err(refusal),
                None => Ok(negotiation.hear(heard.answer.status.as_u16(), &heard.said())),
            };
            step = match verdict {
                Ok(Step::Agreed(introduction)) if introduction.revision.is_modern() => {
                    return Ok(self.finish(introduction, None).await);
                }
                Ok(Step::Agreed(introduction)) => return Ok(self.finish(introduction, session).await),
                verdict => {
                    self.strays.extend(session);
                    verdict?
                }
            };
            match step {
                Step::TryPlain { is_rpc } if !is_out_of_order(&heard.answer) => {
                    if let Some(plain) = self.try_plain(is_rpc).await {
                        return Ok(plain);
                    }
                }
                Step::Discover(_) | Step::Initialize(_) => continue,
                Step::Speaks(versions) => return Err(self.refused(other_versions(&versions, protocol))),
                _ => {}
            }
            return Err(self.refusal(&heard, is_probe).await);
        }
    }

    /// Makes the request of a step.
    async fn ask(&self, step: &Step) -> Result<Heard, PreflightError> {
        let (id, capabilities) = (self.talk.new_id(), &self.talk.manner.capabilities);
        if let Step::Initialize(offered) = *step {
            let body = initialize(id, offered, capabilities);
            return self.post(&self.head(None, "initialize"), body, id, false).await;
        }
        let newest = Some(Revision::NEWEST);
        let body = request(id, "server/discover", Map::new(), newest, capabilities);
        self.post(&self.head(newest, "server/discover"), body, id, false).await
    }

    /// Says why it came to nothing, with the last answer for a reason.
    async fn refusal(&self, heard: &Heard, was_probe: bool) -> PreflightError {
        let answer = &heard.answer;
        if is_client_error(answer) && !was_probe && self.is_legacy_sse().await {
            let what = "it is a server of the old HTTP+SSE transport, which is not supported: \
                        give the URL of its Streamable HTTP endpoint, if it has one";
            return self.not_mcp(what.to_owned());
        }
        self.declined(answer, was_probe)
    }

    fn declined(&self, answer: &Answer, was_probe: bool) -> PreflightError {
        let asked = if was_probe { "answer server/discover" } else { "initialize" };
        match &answer.content {
            Content::Error(_, failure) => self.refused(format!("it refused to {asked}: {}", failure.example)),
            _ => self.not_mcp(description(answer)),
        }
    }

    async fn finish(&self, introduction: Introduction, session: Option<String>) -> Negotiated {
        let revision = introduction.revision;
        let mut negotiated = Negotiated {
            revision: Some(revision),
            session,
            server_name: introduction.server_name,
            tools: None,
            warnings: introduction.warnings,
        };
        let mut head = Head::new(self.talk.connector().target(), &negotiated);
        if revision.is_modern() {
            head = head.naming("tools/list", None);
        } else {
            self.talk.tell(&head, initialized()).await;
        }
        let patience = self.talk.manner.patience;
        match timeout(patience, self.list_tools(&head, Some(revision))).await {
            Ok(Ok(mut tools)) => {
                if revision.is_modern() {
                    negotiated.warnings.extend(drop_unusable(&mut tools));
                }
                negotiated.tools = Some(tools);
            }
            Ok(Err(what)) => negotiated.warnings.push(format!("the server does not list its tools: {what}")),
            Err(_) => negotiated.warnings.push(format!("the server did not list its tools within {patience:?}")),
        }
        negotiated
    }

    /// Refusals that speaking in another manner would not mend.
    fn final_refusal(&self, answer: &Answer, is_probe: bool) -> Option<PreflightError> {
        let failure = || http_failure(answer);
        let url = self.talk.url();
        if failure().group.contains("Host") {
            return Some(PreflightError::HostGuard { url, what: failure().example });
        }
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Some(PreflightError::Auth { url, what: failure().example })
            }
            status if status.is_redirection() => Some(self.not_mcp(format!("it redirects: {}", failure().group))),
            // A server that is not well says nothing about what it speaks; one that stumbles over the question does.
            status if is_probe && is_out_of_order(answer) && !is_stumble(status, &answer.content) => {
                Some(self.declined(answer, is_probe))
            }
            _ => None,
        }
    }

    /// Whether the server answers JSON-RPC without a handshake.
    async fn try_plain(&self, is_rpc: bool) -> Option<Negotiated> {
        let head = Head::new(self.talk.connector().target(), &Negotiated::default());
        let tools = timeout(self.talk.manner.patience, self.list_tools(&head, None)).await.ok().and_then(Result::ok);
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

    async fn list_tools(&self, head: &Head, revision: Option<Revision>) -> Result<Vec<Tool>, String> {
        let (mut tools, mut room) = (Vec::new(), MOST_VALUES);
        let may_resume = revision.is_some_and(|revision| !revision.is_modern());
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let id = self.talk.new_id();
            let body = tools_list(id, cursor.as_deref(), revision, &self.talk.manner.capabilities);
            let reply = self.post(head, body, id, may_resume).await.map_err(|e| e.to_string())?;
            let page = match reply.said() {
                Said::Result(result) => read_tool_page(result, &mut room),
                _ => None,
            };
            let Some(page) = page else { return Err(description(&reply.answer)) };
            tools.extend(page.tools);
            if tools.len() > MOST_TOOLS {
                return Err(format!("the list has more than {MOST_TOOLS} tools"));
            }
            if page.next.is_none() || page.next == cursor {
                return Ok(tools);
            }
            cursor = page.next;
        }
        Err(format!("the list has more than {MOST_PAGES} pages"))
    }

    /// Whether a GET is answered with the event by which the old transport names its endpoint.
    async fn is_legacy_sse(&self) -> bool {
        let head = self.head(None, "");
        let look = async {
            let mut connection = self.talk.connect().await.ok()?;
            let request = head.bare(Method::GET, "text/event-stream");
            let (response, mut body) = connection.send(request).await.ok()?;
            if !media_type(&response.headers).eq_ignore_ascii_case("text/event-stream") {
                return None;
            }
            let mut decoder = Decoder::new(4096);
            loop {
                decoder.push(connection.chunk(&mut body).await?.ok()?);
                if let Some(event) = decoder.next_event().ok()? {
                    return Some(&event.kind[..] == b"endpoint");
                }
            }
        };
        timeout(self.talk.manner.patience.min(Duration::from_secs(2)), look).await.ok().flatten() == Some(true)
    }

    /// The head of a request outside any session.
    fn head(&self, revision: Option<Revision>, method: &str) -> Head {
        let head = Head::new(self.talk.connector().target(), &Negotiated { revision, ..Negotiated::default() });
        if revision.is_some_and(Revision::is_modern) { head.naming(method, None) } else { head }
    }

    async fn post(&self, head: &Head, body: Bytes, id: u64, may_resume: bool) -> Result<Heard, PreflightError> {
        self.talk.post(head, body, id, may_resume).await
    }

    fn not_mcp(&self, what: String) -> PreflightError {
        PreflightError::NotMcp { url: self.talk.url(), what }
    }

    fn refused(&self, what: String) -> PreflightError {
        PreflightError::Refused { url: self.talk.url(), what }
    }
}

/// Takes tools off the list whose annotations no client can follow; says which.
fn drop_unusable(tools: &mut Vec<Tool>) -> Vec<String> {
    let mut warnings = Vec::new();
    tools.retain(|tool| match HeaderPlan::of(&tool.input_schema) {
        Ok(_) => true,
        Err(bad) => {
            warnings.push(format!("the tool `{}` cannot be used: {bad}", cut(&tool.name, MOST_WORDS)));
            false
        }
    });
    let more = warnings.len().saturating_sub(MOST_WARNINGS);
    warnings.truncate(MOST_WARNINGS);
    if more > 0 {
        warnings.push(format!("{more} more tools cannot be used for such reasons"));
    }
    warnings
}

fn other_versions(versions: &[String], wanted: Protocol) -> String {
    let versions = versions.join(", ");
    match wanted {
        Protocol::Auto => format!("it speaks {versions} and no revision that is known here"),
        wanted => format!("it speaks {versions} and not {wanted}: leave --protocol out to go along with it"),
    }
}

fn session(answer: &Answer) -> Option<String> {
    answer.headers.get(&SESSION).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Whether a server of JSON-RPC failed over what it was asked, and not for want of strength.
fn is_stumble(status: StatusCode, content: &Content) -> bool {
    let is_own_fault = matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_IMPLEMENTED);
    is_own_fault && matches!(content, Content::Error(..))
}

/// A server that is in trouble or wants fewer requests says nothing about what it speaks.
fn is_out_of_order(answer: &Answer) -> bool {
    let trouble = answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS;
    trouble && !matches!(answer.content, Content::Error(METHOD_NOT_FOUND, _))
}

fn is_client_error(answer: &Answer) -> bool {
    answer.status.is_client_error() && !matches!(answer.content, Content::Result(..))
}

/// What an answer that is none of MCP seems to be, and the way out.
pub(super) fn description(answer: &Answer) -> String {
    let example = http_failure(answer).example;
    let media_type = media_type(&answer.headers);
    match (&answer.content, answer.status) {
        (Content::Error(_, failure), _) => failure.example.clone(),
        (Content::Invalid(failure), _) => format!("its answer is {}: {}", failure.group, failure.example),
        (Content::Nothing, _) => "its stream of events ended without an answer".to_owned(),
        (Content::Result(..), _) => "its answer has not the members that it should have".to_owned(),
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
