//! The driver of MCP over Streamable HTTP: one `tools/call`, and how it ended.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use super::Driver;
use super::connection::{Connection, Shared};
use super::ending::{Ending, broken, failed, judge};
use super::exchange::{After, Head, exchange};
use super::pool::Pool;
use super::tls::Connector;
use crate::mcp::{CallTemplate, Negotiated};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{Call, Failure, Reply, Stamps};

/// The bounds within which a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may take from the moment the request is sent, and how long connecting may take before that.
    pub timeout: Duration,
    /// The most bytes of a reply that are read.
    pub max_reply_bytes: usize,
    /// How long a connection may be idle and still be used: less than the 5 s after which common servers close it.
    pub idle: Duration,
    /// The most idle connections that are kept.
    pub max_idle: usize,
}

/// Makes calls to one MCP server from one thread, over connections of its own.
pub struct McpDriver<C: Clock> {
    connector: Connector,
    head: Head,
    has_session: bool,
    templates: Vec<CallTemplate>,
    limits: Limits,
    shared: Rc<Shared<C>>,
    pool: RefCell<Pool<C>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            max_reply_bytes: 8 << 20,
            idle: Duration::from_secs(4),
            max_idle: 10_000,
        }
    }
}

impl<C: Clock + 'static> McpDriver<C> {
    /// A driver for the connector's target, after `negotiated`; `tools` names the tool of each operation of the plan.
    pub fn new(connector: Connector, negotiated: &Negotiated, tools: &[String], limits: Limits, clock: C) -> Self {
        Self {
            head: Head::new(connector.target(), negotiated),
            connector,
            has_session: negotiated.session.is_some(),
            templates: tools.iter().map(|tool| CallTemplate::new(tool)).collect(),
            limits,
            shared: Shared::new(clock),
            pool: RefCell::new(Pool::new(limits.idle, limits.max_idle)),
        }
    }

    /// An idle connection, or else a new one.
    async fn connection(&self) -> Result<Box<Connection<C>>, Ending> {
        let now = self.shared.clock.now();
        if let Some(idle) = poll_fn(|cx| Poll::Ready(self.pool.borrow_mut().take(now, cx))).await {
            return Ok(idle);
        }
        // Boxed: opening is rare and large, and a call's future should be small.
        // What still drains gives way: it must not cost more descriptors than there may be calls.
        if self.shared.open() >= self.limits.max_idle {
            self.pool.borrow_mut().stop_draining();
        }
        let opened = timeout(self.limits.timeout, Box::pin(self.open()));
        opened.await.unwrap_or_else(|_| {
            let group = format!("no connection within {:?}", self.limits.timeout);
            Err(failed(Outcome::Unreachable, Failure { example: group.clone(), group }))
        })
    }

    async fn open(&self) -> Result<Box<Connection<C>>, Ending> {
        let stream = self.connector.connect().await.map_err(|none| failed(none.outcome, none.failure))?;
        Connection::new(stream, &self.shared).await.map_err(|error| broken(&error, false, (None, None)))
    }

    /// Makes the call on this connection; gives the ending and the moment of it.
    async fn call_on(&self, mut connection: Box<Connection<C>>, call: &Call) -> (Ending, Stamps) {
        let body = self.templates[usize::from(call.operation.0)].body(call.id, &call.arguments);
        connection.begin_call();
        let mut has_begun = false;
        let most = self.limits.max_reply_bytes;
        let answer = exchange(&mut connection, self.head.post(body), call.id, most, &mut has_begun);
        let answer = timeout(self.limits.timeout, answer).await;
        let (sent, first_byte) = connection.stamps();
        let stamps = |done| Stamps { sent, first_byte, done };
        match answer {
            Ok(Ok(mut answer)) => {
                let done = answer.done;
                let after = std::mem::replace(&mut answer.after, After::Close);
                self.keep(connection, after, done).await;
                (judge(answer, self.has_session), stamps(done))
            }
            Ok(Err(error)) => (broken(&error, connection.is_reused, (sent, first_byte)), stamps(connection.now())),
            Err(_) => (self.timed_out(first_byte, has_begun), stamps(connection.now())),
        }
    }

    async fn keep(&self, connection: Box<Connection<C>>, after: After, now: Moment) {
        let rest = match after {
            After::Reuse => None,
            After::Drain(body) => Some(body),
            After::Close => return,
        };
        let mut leaving = Some((connection, rest));
        poll_fn(|cx| {
            if let Some((connection, rest)) = leaving.take() {
                self.pool.borrow_mut().put(connection, rest, now, cx);
            }
            Poll::Ready(())
        })
        .await;
    }

    fn timed_out(&self, first_byte: Option<Moment>, has_begun: bool) -> Ending {
        let (outcome, what) = match first_byte {
            None => (Outcome::TimeoutNoByte, "no byte of an answer"),
            Some(_) if !has_begun => (Outcome::TimeoutHeadersOnly, "the head of an answer and no message"),
            Some(_) => (Outcome::TimeoutTruncated, "an unfinished message"),
        };
        let group = format!("{what} within {:?}", self.limits.timeout);
        failed(outcome, Failure { example: group.clone(), group })
    }
}

impl<C: Clock + 'static> Driver for McpDriver<C> {
    async fn call(&self, call: &Call) -> Reply {
        let ((outcome, result, failure), stamps) = match self.connection().await {
            Ok(connection) => self.call_on(connection, call).await,
            Err(ending) => (ending, Stamps { done: self.shared.clock.now(), ..Stamps::default() }),
        };
        Reply { outcome, stamps, result, failure: failure.map(Box::new) }
    }

    fn tidy(&self) {
        self.pool.borrow_mut().tidy(self.shared.clock.now());
    }

    fn connections(&self) -> usize {
        self.shared.open()
    }

    fn bytes(&self) -> (u64, u64) {
        self.shared.bytes()
    }
}
