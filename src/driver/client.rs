//! A conversation with a server at leisure: any method, in whichever revision was agreed on.
//!
//! ```no_run
//! # use mcpace::driver::{Client, Connector, Manner};
//! # use serde_json::json;
//! # async fn converse() -> Result<(), Box<dyn std::error::Error>> {
//! let connector = Connector::new("http://localhost:3101/mcp".parse()?);
//! let manner = Manner {
//!     capabilities: json!({ "elicitation": {} }),
//!     // What the server asks for, on a stream or with `input_required`; `None` refuses.
//!     answers: Some(std::rc::Rc::new(|method, _params| {
//!         (method == "elicitation/create").then(|| json!({ "action": "accept", "content": {} }))
//!     })),
//!     ..Manner::plain(std::time::Duration::from_secs(10))
//! };
//! let client = Client::open(&connector, "auto".parse()?, manner).await?;
//! // Servers before 2026-07-28 may ask on a stream of its own: it is open as long as this takes.
//! let call = Box::pin(client.request("tools/call", json!({ "name": "echo", "arguments": { "text": "hello" } })));
//! println!("{}", client.listening(call).await?);
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Each request takes a connection of its own and is never made twice, but where the server has refused to look at it for
//! its version, and where it wants more input. A result is the raw JSON of the server, unchanged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::preflight::{PreflightError, agree, description};
use super::request::Head;
use super::talk::{Heard, Manner, Talk};
use super::tls::Connector;
use crate::mcp::headers::{HeaderPlan, named_by};
use crate::mcp::{
    MOST_VALUES, Negotiated, Protocol, Revision, RpcError, Said, is_version_refused, read_tool_page, request,
};

/// How often a server may want more input before it answers.
const MOST_ROUNDS: usize = 10;
/// How long a server may take to open the stream for its own requests before work begins without.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// A client that has agreed with a server on how to speak.
pub struct Client {
    talk: Talk,
    negotiated: Negotiated,
    head: Head,
    /// The tools whose arguments are sent as headers too, by name.
    plans: RefCell<BTreeMap<String, HeaderPlan>>,
}

/// Why a request has no result. Fragments after "failed to …".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached or does not answer in its protocol.
    #[error(transparent)]
    NoAnswer(#[from] PreflightError),
    /// The server answers with an error.
    #[error("get a result: the server answers {code} {message}")]
    Rpc {
        /// The code of JSON-RPC or of MCP.
        code: i64,
        /// The server's words.
        message: String,
        /// Whatever else it had to say.
        data: Option<Value>,
    },
    /// The server wants input that nobody here gives, or more of it again and again.
    #[error("get a result: the server wants input for `{0}`")]
    InputRequired(String),
}

impl Client {
    /// Agrees with the connector's target on how to speak `protocol`, as [`negotiate`](super::negotiate) does.
    ///
    /// # Errors
    /// As with [`negotiate`](super::negotiate).
    pub async fn open(connector: &Connector, protocol: Protocol, manner: Manner) -> Result<Self, PreflightError> {
        let talk = Talk::new(connector, manner);
        let negotiated = agree(&talk, protocol).await?;
        let head = Head::new(connector.target(), &negotiated);
        let this = Self { talk, head, plans: RefCell::default(), negotiated };
        for tool in this.negotiated.tools.iter().flatten() {
            this.learn(&tool.name, &tool.input_schema);
        }
        Ok(this)
    }

    /// What was agreed on. Its list of tools lacks those that must not be called, because nobody can follow their
    /// `x-mcp-header` annotations.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// Makes a request and gives its result. `params` is an object, or null for an empty one.
    ///
    /// # Errors
    /// There is no answer, the answer is an error, or the server wants input that the manner's answers do not give.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let given = if let Value::Object(params) = params { params } else { Map::new() };
        let (mut params, mut was_refused) = (given.clone(), false);
        for _ in 0..MOST_ROUNDS {
            let heard = self.ask(method, &params).await?;
            let result = match heard.said() {
                Said::Result(result) => result,
                Said::Error(error) if self.is_modern() && !was_refused && is_version_refused(&error) => {
                    was_refused = true;
                    continue;
                }
                Said::Error(error) => return Err(ClientError::rpc(&error)),
                Said::Other => return Err(self.not_mcp(description(&heard.answer))),
            };
            let result: Value = serde_json::from_str(result).map_err(|e| self.not_mcp(e.to_string()))?;
            match result.get("resultType").and_then(Value::as_str).filter(|_| self.is_modern()) {
                None | Some("complete") => {
                    self.learn_page(method, &heard);
                    return Ok(result);
                }
                Some("input_required") => params = self.with_input(&given, &result)?,
                Some(_) => return Err(self.not_mcp("its answer has an unknown resultType".to_owned())),
            }
        }
        Err(ClientError::InputRequired(method.to_owned()))
    }

    /// Tells the server something that has no answer. Revision 2026-07-28 has nothing of the kind.
    pub async fn notify(&self, method: &str, params: Value) {
        let message = serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.talk.tell(&self.head, message.to_string().into()).await;
    }

    /// Does `work` while the stream is open on which servers before 2026-07-28 ask for things of their own accord, and has
    /// them answered. It begins when the server has opened that stream or refused to, or has said nothing for a second:
    /// what it would ask before goes nowhere.
    pub async fn listening<T>(&self, work: impl Future<Output = T>) -> T {
        if self.negotiated.revision.is_none() || self.is_modern() {
            return work.await;
        }
        let decided = Notify::new();
        let stream = async {
            self.talk.listen(&self.head, || decided.notify_one()).await;
            decided.notify_one();
            std::future::pending::<Infallible>().await
        };
        let work = async {
            let _ = timeout(LONGEST_SILENCE, decided.notified()).await;
            work.await
        };
        tokio::select! {
            done = work => done,
            never = stream => match never {},
        }
    }

    /// Closes the session, where there is one.
    pub async fn close(self) {
        if self.negotiated.session.is_some() {
            self.talk.delete(&self.head).await;
        }
    }

    fn is_modern(&self) -> bool {
        self.negotiated.revision.is_some_and(Revision::is_modern)
    }

    /// One request and its answer. What revision 2026-07-28 wants to see in headers is taken from the body.
    async fn ask(&self, method: &str, params: &Map<String, Value>) -> Result<Heard, PreflightError> {
        let id = self.talk.new_id();
        let revision = self.negotiated.revision;
        let body = request(id, method, params.clone(), revision, &self.talk.manner.capabilities);
        let may_resume = revision.is_some() && !self.is_modern();
        if !self.is_modern() {
            return self.talk.post(&self.head, body, id, may_resume).await;
        }
        let name = named_by(method).and_then(|member| params.get(member)).and_then(Value::as_str);
        let mut head = self.head.naming(method, name);
        if let (Some(name), Some(arguments)) = (name.filter(|_| method == "tools/call"), params.get("arguments"))
            && let Some(plan) = self.plans.borrow().get(name)
        {
            head = head.with(plan.headers(&arguments.to_string()));
        }
        self.talk.post(&head, body, id, may_resume).await
    }

    /// The parameters to ask with once more, with what the server wants to know. Nothing of an earlier round stays.
    fn with_input(&self, given: &Map<String, Value>, result: &Value) -> Result<Map<String, Value>, ClientError> {
        let mut params = given.clone();
        if let Some(wanted) = result.get("inputRequests").and_then(Value::as_object) {
            let mut responses = Map::new();
            for (key, wanted) in wanted {
                let method = wanted.get("method").and_then(Value::as_str).unwrap_or_default();
                let answers = self.talk.manner.answers.as_ref();
                let response =
                    answers.and_then(|answers| answers(method, wanted.get("params").unwrap_or(&Value::Null)));
                let response = response.ok_or_else(|| ClientError::InputRequired(method.to_owned()))?;
                responses.insert(key.clone(), response);
            }
            params.insert("inputResponses".to_owned(), responses.into());
        }
        if let Some(state) = result.get("requestState") {
            params.insert("requestState".to_owned(), state.clone());
        }
        Ok(params)
    }

    /// Takes note of the headers that the tools of a page want.
    fn learn_page(&self, method: &str, heard: &Heard) {
        if method == "tools/list"
            && let Said::Result(result) = heard.said()
            && let Some(page) = read_tool_page(result, &mut { MOST_VALUES })
        {
            for tool in page.tools {
                self.learn(&tool.name, &tool.input_schema);
            }
        }
    }

    fn learn(&self, tool: &str, input_schema: &Value) {
        if let Ok(plan) = HeaderPlan::of(input_schema) {
            self.plans.borrow_mut().insert(tool.to_owned(), plan);
        }
    }

    fn not_mcp(&self, what: String) -> ClientError {
        PreflightError::NotMcp { url: self.talk.url(), what }.into()
    }
}

impl ClientError {
    fn rpc(error: &RpcError<'_>) -> Self {
        Self::Rpc {
            code: error.code,
            message: error.message.clone().into_owned(),
            data: error.data.and_then(|data| serde_json::from_str(data.get()).ok()),
        }
    }
}
