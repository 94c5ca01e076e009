//! The driver of MCP over Streamable HTTP: one `tools/call`, and how it ended.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Connection;
use super::ending::{Ending, broken, failed, judge, retry_after};
use super::errands::Errands;
use super::exchange::{After, Content, Listener, exchange};
use super::prepared::Prepared;
use super::request::Head;
use super::session::Session;
use super::session_pool::SessionPool;
use super::sessions::{Keeper, Sessions, lose, open_lost, open_own, wait};
use super::tls::Connector;
use super::{Driver, Whom};
use crate::mcp::Negotiated;
use crate::measure::SideCall;
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{Call, ConnectionId, Failure, Reply, Stamps};

/// Which connection a call was made on, how it ended, and when.
type Made = (Option<ConnectionId>, (Ending, Stamps));

/// The bounds within which a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long an answer may take from the moment the request is sent.
    pub timeout: Duration,
    /// How long connecting may take before that.
    pub connect_timeout: Duration,
    /// Whether each call has a connection of its own.
    pub per_call: bool,
    /// The most bytes of a reply that are read.
    pub max_reply_bytes: usize,
    /// How long a connection may be idle and still be used: less than the 5 s after which common servers close it.
    pub idle: Duration,
    /// The most idle connections that are kept.
    pub max_idle: usize,
}

/// Makes calls to one MCP server from one thread, over connections of its own. What it does beside its calls is done in the
/// `LocalSet` that they are made in, and in that of [`Driver::close`].
pub struct McpDriver<C: Clock> {
    errands: Rc<Errands<C>>,
    head: Head,
    sessions: Keeper<C>,
    prepared: Vec<Prepared>,
    limits: Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            per_call: false,
            max_reply_bytes: 8 << 20,
            idle: Duration::from_secs(4),
            max_idle: 10_000,
        }
    }
}

impl<C: Clock + 'static> McpDriver<C> {
    /// A driver for the connector's target, after `negotiated`; `tools` names the tool of each operation of the plan.
    /// Without further word all calls are in the session that was negotiated, if any.
    pub fn new(connector: Connector, negotiated: &Negotiated, tools: &[String], limits: Limits, clock: C) -> Self {
        let errands = Errands::new(connector, negotiated, limits, clock);
        let session = negotiated.session.clone();
        Self {
            head: errands.head.clone(),
            sessions: Keeper::new(Sessions::Pool(session.into_iter().collect()), &errands, limits.max_idle),
            prepared: tools.iter().map(|tool| Prepared::new(tool, negotiated, &errands.head)).collect(),
            errands,
            limits,
        }
    }

    /// The same driver with its calls in these sessions.
    #[must_use]
    pub fn in_sessions(mut self, sessions: Sessions) -> Self {
        self.sessions = Keeper::new(sessions, &self.errands, self.limits.max_idle);
        self
    }

    /// Makes the call in `session`, within `patience`.
    async fn make(&self, call: &Call, session: Option<&Session>, patience: Duration) -> Made {
        let connection = match self.errands.connections.get(call.avoid).await {
            Ok(connection) => connection,
            Err(ending) => return self.unsent(ending),
        };
        (Some(connection.id), self.call_on(connection, call, session, patience).await)
    }

    /// Makes the call in a session of its own.
    async fn make_alone(&self, call: &Call, errands: &Rc<Errands<C>>, room: &Arc<Semaphore>) -> Made {
        let began = errands.connections.now();
        let awake = self.errands.connections.naps().stay_awake();
        let own = timeout(self.limits.timeout, open_own(errands, room)).await;
        drop(awake);
        match own {
            Ok(Ok(own)) => {
                let left = self.limits.timeout.saturating_sub(errands.connections.now().since(began));
                self.make(call, own.session(), left).await
            }
            Ok(Err(ending)) => self.unsent(ending),
            Err(_) => self.unsent(self.no_session()),
        }
    }

    /// Makes the call in a session of the pool.
    async fn make_in(&self, call: &Call, pool: &Rc<SessionPool<Ending>>) -> Made {
        let session = if let Some(session) = pool.take() {
            session
        } else {
            let _awake = self.errands.connections.naps().stay_awake();
            // Boxed, as it is rare, and a call's future should be small.
            match timeout(self.limits.timeout, Box::pin(wait(pool, &self.errands))).await {
                Ok(Ok(session)) => session,
                Ok(Err(ending)) => return self.unsent(ending),
                Err(_) => return self.unsent(self.no_session()),
            }
        };
        let made = self.make(call, Some(&session), self.limits.timeout).await;
        if made.1.0.0 == Outcome::SessionLost {
            lose(pool, &session, &self.errands);
        } else if pool.has_lost() {
            open_lost(pool, &self.errands);
        }
        made
    }

    /// Makes the call on this connection; gives the ending and the moment of it.
    async fn call_on(
        &self,
        mut connection: Box<Connection<C>>,
        call: &Call,
        session: Option<&Session>,
        patience: Duration,
    ) -> (Ending, Stamps) {
        let head = session.map_or(&self.head, |session| &session.head);
        let request = self.prepared[usize::from(call.operation.0)].request(head, call);
        connection.begin_call();
        let own = |message: &Bytes| self.errands.answer(head, message);
        let mut listener = Listener::default();
        if self.errands.revision.is_some() {
            listener.own = Some(&own);
        }
        let most = self.limits.max_reply_bytes;
        let answer = exchange(&mut connection, request, call.id, most, &mut listener);
        let answer = timeout(patience, answer).await;
        let (sent, first_byte) = connection.stamps();
        let stamps = |done| Stamps { sent, first_byte, done, retry_after: None };
        let has_session = session.is_some_and(|session| session.id().is_some());
        let (ending, done) = match answer {
            Ok(Ok(mut answer)) => {
                let done = answer.done;
                let after = std::mem::replace(&mut answer.after, After::Close);
                let retry_after = retry_after(&answer);
                let is_cut = matches!(answer.content, Content::Nothing);
                self.errands.connections.keep(connection, after, done);
                let ending = judge(answer, has_session);
                if !is_cut {
                    return (ending, Stamps { retry_after, ..stamps(done) });
                }
                (ending, done)
            }
            Ok(Err(error)) => {
                // Nobody stamps that: from now on it is noticed at once.
                self.errands.connections.naps().wake();
                (broken(&error, connection.is_reused, (sent, first_byte)), connection.now())
            }
            Err(_) => {
                if let Some(session) = session.filter(|_| sent.is_some()) {
                    self.errands.cancel(session, call.id);
                }
                return (self.timed_out(first_byte, listener.has_begun), stamps(connection.now()));
            }
        };
        if listener.place.is_none() || self.errands.revision.is_none() {
            return (ending, stamps(done));
        }
        let left = patience.saturating_sub(done.since(sent.unwrap_or(done)));
        let (ending, done) =
            Box::pin(self.read_on(head, call.id, &mut listener, left, has_session, (ending, done))).await;
        if let Some(session) = session.filter(|_| ending.0.is_timeout()) {
            self.errands.cancel(session, call.id);
        }
        (ending, stamps(done))
    }

    /// Reads on in a stream that ended before the answer, for as long as there is `left`.
    async fn read_on(
        &self,
        head: &Head,
        id: u64,
        listener: &mut Listener<'_>,
        left: Duration,
        has_session: bool,
        cut: (Ending, Moment),
    ) -> (Ending, Moment) {
        let _awake = self.errands.connections.naps().stay_awake();
        let resumed = self.errands.resume(head, id, self.limits.max_reply_bytes, listener);
        match timeout(left, resumed).await {
            Ok(Some(answer)) => {
                let done = answer.done;
                (judge(answer, has_session), done)
            }
            Ok(None) => cut,
            Err(_) => {
                let now = self.errands.connections.now();
                (self.timed_out(Some(now), listener.has_begun), now)
            }
        }
    }

    /// A call of which nothing was sent.
    fn unsent(&self, ending: Ending) -> Made {
        (None, (ending, Stamps { done: self.errands.connections.now(), ..Stamps::default() }))
    }

    fn no_session(&self) -> Ending {
        let group = format!("no session within {:?}", self.limits.timeout);
        failed(Outcome::TimeoutNoByte, Failure { example: group.clone(), group })
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
        let (connection, ((outcome, result, failure), stamps)) = match &self.sessions {
            Keeper::Without => self.make(call, None, self.limits.timeout).await,
            Keeper::Pool(pool) => self.make_in(call, pool).await,
            Keeper::PerCall(errands, room) => Box::pin(self.make_alone(call, errands, room)).await,
        };
        let failure = failure.map(|failure| Box::new(self.errands.connections.clean(failure)));
        Reply { outcome, stamps, result, failure, connection }
    }

    async fn close(&self) {
        self.sessions.close(&self.errands).await;
    }

    fn take_side_calls(&self) -> Vec<SideCall> {
        self.errands.take_made()
    }

    fn begin_wait(&self, may: bool) -> bool {
        if may {
            self.errands.connections.readers().begin_wait();
        }
        self.errands.connections.naps().begin(may && !self.errands.connections.has_large())
    }

    fn may_nap(&self) -> bool {
        !self.errands.connections.has_large() && self.errands.connections.naps().are_harmless()
    }

    fn look(&self, whom: Whom, turn: &dyn Fn() -> bool) -> bool {
        self.errands.connections.readers().look(whom, turn)
    }

    fn tidy(&self) {
        self.errands.connections.tidy();
    }

    fn connections(&self) -> usize {
        self.errands.connections.open()
    }

    fn bytes(&self) -> (u64, u64) {
        self.errands.connections.bytes()
    }
}
