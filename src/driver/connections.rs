//! The connections of one driver: an idle one for the next call, or else a new one.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::time::timeout;

use super::Limits;
use super::connection::Connection;
use super::ending::{Ending, broken, failed};
use super::exchange::After;
use super::multiplex::{Links, drain};
use super::naps::Naps;
use super::pool::Pool;
use super::readers::Readers;
use super::tls::Connector;
use super::wire::Shared;
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{ConnectionId, Failure};

/// Opens connections to one target, and keeps those that can be used again.
pub(super) struct Connections<C: Clock> {
    connector: Connector,
    limits: Limits,
    shared: Rc<Shared<C>>,
    pool: RefCell<Pool<C>>,
    /// In place of the pool, where calls share connections.
    links: Option<Links<C>>,
}

impl<C: Clock + 'static> Connections<C> {
    pub(super) fn new(connector: Connector, limits: Limits, clock: C) -> Self {
        let pool = RefCell::new(Pool::new(limits.idle, limits.max_idle));
        let shared = Shared::new(clock);
        let links = connector.shares().then(|| Links::new(limits.idle, Rc::clone(&shared.news)));
        Self { connector, limits, shared, pool, links }
    }

    /// The present.
    pub(super) fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    /// An idle connection other than `avoid`, or else a new one.
    pub(super) async fn get(&self, avoid: Option<ConnectionId>) -> Result<Box<Connection<C>>, Ending> {
        if let Some(links) = &self.links {
            return Box::pin(self.bounded(self.get_place(links, avoid))).await;
        }
        let now = self.now();
        let idle = self.pool.borrow_mut().take(now, avoid, &mut nobody());
        if let Some(idle) = idle {
            return Ok(idle);
        }
        // Boxed: opening is rare and large, and a call's future should be small.
        // What still drains, or is to be avoided, gives way: it must not cost more descriptors than there may be calls.
        if self.shared.open() >= self.limits.max_idle {
            self.pool.borrow_mut().make_room();
        }
        let _awake = self.shared.naps.stay_awake();
        Box::pin(self.bounded(self.dial())).await
    }

    /// A place on a connection that calls share.
    async fn get_place(&self, links: &Links<C>, avoid: Option<ConnectionId>) -> Result<Box<Connection<C>>, Ending> {
        if self.limits.per_call {
            return self.dial().await;
        }
        links.get(avoid, || self.now(), async || self.dial().await).await
    }

    /// What connecting gives within the time that it may take.
    async fn bounded<T>(&self, connecting: impl Future<Output = Result<T, Ending>>) -> Result<T, Ending> {
        timeout(self.limits.connect_timeout, connecting).await.unwrap_or_else(|_| {
            let group = format!("no connection within {:?}", self.limits.connect_timeout);
            Err(failed(Outcome::Unreachable, Failure { example: group.clone(), group }))
        })
    }

    async fn dial(&self) -> Result<Box<Connection<C>>, Ending> {
        let stream = self.connector.connect().await.map_err(|none| failed(none.outcome, none.failure))?;
        Connection::new(stream, &self.shared).await.map_err(|error| broken(&error.into(), false, (None, None)))
    }

    /// Keeps a connection for later, if it is of any more use.
    pub(super) fn keep(&self, connection: Box<Connection<C>>, after: After, now: Moment) {
        let rest = match after {
            _ if self.limits.per_call => return,
            After::Reuse if self.links.is_some() => return,
            After::Reuse => None,
            After::Drain(body) if self.links.is_some() => return drain(connection, body),
            After::Drain(body) => Some(body),
            After::Close => return,
        };
        self.pool.borrow_mut().put(connection, rest, now, &mut nobody());
    }

    /// A failure in words without secrets of ours: bodies have none any more, headers and errors may.
    pub(super) fn clean(&self, failure: Failure) -> Failure {
        let scrub = self.connector.scrub();
        if scrub.is_empty() {
            return failure;
        }
        Failure { group: scrub.text(&failure.group), example: scrub.text(&failure.example) }
    }

    /// What is known of when to sleep.
    pub(super) fn naps(&self) -> &Naps {
        &self.shared.naps
    }

    /// Whether a large answer waits for its turn.
    pub(super) fn has_large(&self) -> bool {
        self.shared.turns.are_awaited()
    }

    /// Who waits for an answer.
    pub(super) fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    /// Gives up what has been idle for too long.
    pub(super) fn tidy(&self) {
        self.pool.borrow_mut().tidy(self.now());
        if let Some(links) = &self.links {
            links.tidy(self.now());
        }
    }

    /// Connections open at present.
    pub(super) fn open(&self) -> usize {
        self.shared.open()
    }

    /// Bytes sent and received so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.shared.bytes()
    }
}

/// Who waits for what comes on an idle connection: whoever takes it looks for himself.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
