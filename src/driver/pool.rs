//! Connections between two calls: the most recently used first, none older than the server's patience.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::connection::{Body, Connection};
use crate::time::{Clock, Moment};
use crate::workload::ConnectionId;

/// How long the rest of an answer may take after its message was complete.
pub(super) const LONGEST_REST: Duration = Duration::from_millis(100);
/// How much of it may come.
pub(super) const LARGEST_REST: usize = 64 * 1024;
/// How many connections that may still be within an answer are looked at for one call.
const LOOKED_AT: usize = 4;

/// The idle connections of one driver.
pub(super) struct Pool<C: Clock> {
    idle: Duration,
    most: usize,
    /// Done with their calls, the most recent last.
    ready: Vec<(Box<Connection<C>>, Moment)>,
    /// The message is complete and the answer's end is yet to come, the oldest first.
    draining: VecDeque<Draining<C>>,
}

struct Draining<C: Clock> {
    connection: Box<Connection<C>>,
    body: Body,
    since: Moment,
    bytes: usize,
}

/// How far a connection is from its next call.
enum Rest {
    Ready,
    Coming,
    Hopeless,
}

/// How many idle connections are closed in one go.
const CLOSED_AT_ONCE: usize = 128;
/// How many that the server has closed one call throws away. The runtime lets it hear of 128 before it hears of nothing.
const CLOSED_BY_CALL: usize = 64;

impl<C: Clock + 'static> Pool<C> {
    /// A pool that keeps at most `most` connections, each at most for `idle`.
    pub(super) const fn new(idle: Duration, most: usize) -> Self {
        Self { idle, most, ready: Vec::new(), draining: VecDeque::new() }
    }

    /// A connection that was open and ready at this very moment, other than `avoid`; `None` also where the server has closed so many
    /// that to find one would hold up what is due.
    pub(super) fn take(
        &mut self,
        now: Moment,
        avoid: Option<ConnectionId>,
        cx: &mut Context<'_>,
    ) -> Option<Box<Connection<C>>> {
        for place in (0..self.draining.len().min(LOOKED_AT)).rev() {
            if avoid == Some(self.draining[place].connection.id) {
                continue;
            }
            match self.draining[place].rest(now, self.idle, cx) {
                Rest::Coming => {}
                Rest::Hopeless => drop(self.draining.remove(place)),
                Rest::Ready => {
                    let drained = self.draining.remove(place).map(|drained| drained.connection);
                    if let Some(mut connection) = drained
                        && connection.poll_is_still_ready(cx)
                    {
                        return Some(connection);
                    }
                }
            }
        }
        let mut avoided = None;
        let mut found = None;
        let mut closed = 0;
        while closed < CLOSED_BY_CALL
            && let Some((mut connection, since)) = self.ready.pop()
        {
            if avoid == Some(connection.id) {
                avoided = Some((connection, since));
            } else if now.since(since) >= self.idle {
                // So have all others, and for longer: closing them is left to `tidy`, which does it bit by bit.
                self.ready.push((connection, since));
                break;
            } else if connection.poll_is_still_ready(cx) {
                found = Some(connection);
                break;
            } else {
                closed += 1;
            }
        }
        self.ready.extend(avoided);
        found
    }

    /// Keeps a connection whose call is answered; `body` is what may be left of the answer.
    pub(super) fn put(
        &mut self,
        mut connection: Box<Connection<C>>,
        body: Option<Body>,
        now: Moment,
        cx: &mut Context<'_>,
    ) {
        connection.is_reused = true;
        if self.ready.len() + self.draining.len() >= self.most {
            return;
        }
        match body {
            None if connection.poll_is_ready(cx) => self.ready.push((connection, now)),
            None => {} // the server wants it closed
            Some(body) => {
                let mut draining = Draining { connection, body, since: now, bytes: 0 };
                match draining.rest(now, self.idle, cx) {
                    Rest::Ready => self.ready.push((draining.connection, now)),
                    Rest::Coming => self.draining.push_back(draining),
                    Rest::Hopeless => {}
                }
            }
        }
    }

    /// Closes what still drains, or else the connection that has been idle for longest: another one is needed.
    pub(super) fn make_room(&mut self) {
        if self.draining.is_empty() && !self.ready.is_empty() {
            self.ready.remove(0);
        }
        self.draining.clear();
    }

    /// Closes what has been idle for too long, and what still drains.
    pub(super) fn tidy(&mut self, now: Moment) {
        let fresh = self.ready.partition_point(|(_, since)| now.since(*since) >= self.idle);
        // Closing thousands at once would hold up what is due.
        self.ready.drain(..fresh.min(CLOSED_AT_ONCE));
        // Nobody waits for what happens here, so nobody need be woken.
        let mut cx = Context::from_waker(Waker::noop());
        for mut draining in std::mem::take(&mut self.draining) {
            match draining.rest(now, self.idle, &mut cx) {
                Rest::Ready => self.ready.push((draining.connection, draining.since)),
                Rest::Coming => self.draining.push_back(draining),
                Rest::Hopeless => {}
            }
        }
        self.ready.sort_by_key(|(_, since)| *since);
    }
}

impl<C: Clock + 'static> Draining<C> {
    fn rest(&mut self, now: Moment, idle: Duration, cx: &mut Context<'_>) -> Rest {
        if now.since(self.since) >= idle {
            return Rest::Hopeless;
        }
        loop {
            match self.connection.poll_chunk(&mut self.body, cx) {
                Poll::Ready(Some(Ok(chunk))) if self.bytes + chunk.len() <= LARGEST_REST => self.bytes += chunk.len(),
                Poll::Ready(None) if self.connection.poll_is_ready(cx) => return Rest::Ready,
                Poll::Pending if !self.connection.has_ended() && now.since(self.since) <= LONGEST_REST => {
                    return Rest::Coming;
                }
                _ => return Rest::Hopeless,
            }
        }
    }
}
