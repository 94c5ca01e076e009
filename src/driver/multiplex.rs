//! HTTP/2: connections that calls share, each call on a stream of its own.
//!
//! *Sent* is stamped with the first write after the call was handed to the protocol's machine, *first byte* with the read
//! that completed the head of the answer: both are those of the connection, and as fine as its reads and writes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::{Body, Connection};
use super::credentials::Credentials;
use super::ending::{Ending, failed};
use super::pool::{LARGEST_REST, LONGEST_REST};
use super::stream::Io;
use super::wire::{Many, Tap, Wire};
use crate::mcp::{EXAMPLE_CHARS, cut, group_of};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{ConnectionId, Failure};

/// So many places a connection is expected to have whose server has not yet said how many.
const EXPECTED: usize = 100;

/// Runs the tasks of protocol machines beside the calls of the lane.
#[derive(Clone, Copy)]
struct Beside;

impl<F: Future<Output = ()> + 'static> Executor<F> for Beside {
    fn execute(&self, task: F) {
        drop(tokio::task::spawn_local(task));
    }
}

type Machine<C> = http2::Connection<TokioIo<Wire<C, Io>>, Full<Bytes>, Beside>;

/// A connection that calls share. Dropping the last place on it closes it.
pub(super) struct Link<C: Clock> {
    pub(super) id: ConnectionId,
    pub(super) tap: Rc<Tap<C>>,
    scheme: Scheme,
    sender: http2::SendRequest<Full<Bytes>>,
    /// The protocol's machine, and whether it has stopped.
    machine: RefCell<(Machine<C>, bool)>,
    /// How many calls are on it.
    taken: Cell<usize>,
    /// When it was used last.
    used: Cell<Moment>,
}

/// One call's place on a shared connection.
pub(super) struct Seat<C: Clock> {
    pub(super) link: Rc<Link<C>>,
    sent: Rc<Cell<Option<Moment>>>,
    first_byte: Option<Moment>,
}

/// A shared connection, and what calls on it carry.
pub(super) struct Companion<C: Clock> {
    pub(super) link: Rc<Link<C>>,
    pub(super) credentials: Option<Arc<Credentials>>,
}

impl<C: Clock + 'static> Link<C> {
    pub(super) async fn open(
        wire: TokioIo<Wire<C, Io>>,
        tap: Rc<Tap<C>>,
        id: ConnectionId,
        scheme: Scheme,
    ) -> Result<Rc<Self>, hyper::Error> {
        let (sender, machine) = http2::Builder::new(Beside).handshake(wire).await?;
        let used = Cell::new(tap.shared.clock.now());
        let machine = RefCell::new((machine, false));
        Ok(Rc::new(Self { id, tap, scheme, sender, machine, taken: Cell::new(0), used }))
    }

    /// Hands over what there is, and learns whether the server wants no more.
    fn drive(&self, cx: &mut Context<'_>) {
        let (machine, is_over) = &mut *self.machine.borrow_mut();
        *is_over = *is_over || Pin::new(machine).poll(cx).is_ready();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.machine.borrow().1 || self.sender.is_closed()
    }

    fn many(&self) -> Option<&Many> {
        self.tap.many.as_ref()
    }

    /// Whether the server has not yet said how many calls it takes at a time.
    fn is_new(&self) -> bool {
        self.many().is_some_and(|many| many.last_read.get().is_none())
    }

    /// Whether it takes another call. Before the server has said how many it takes, it is given one.
    fn has_room(&self) -> bool {
        let most = if self.is_new() { 1 } else { self.machine.borrow().0.current_max_send_streams() };
        self.taken.get() < most
    }
}

impl<C: Clock + 'static> Seat<C> {
    pub(super) fn on(link: &Rc<Link<C>>) -> Self {
        link.taken.update(|taken| taken + 1);
        Self { link: Rc::clone(link), sent: Rc::default(), first_byte: None }
    }

    pub(super) fn stamps(&self) -> (Option<Moment>, Option<Moment>) {
        (self.sent.get(), self.first_byte)
    }

    /// Sends a request and waits for the head of the answer. Given up, it resets its stream and nothing else.
    pub(super) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        let link = &*self.link;
        address(&mut request, &link.scheme);
        self.sent = Rc::default();
        if let Some(many) = link.many() {
            link.tap.sent.set(None);
            many.unsent.borrow_mut().push(Rc::clone(&self.sent));
        }
        let mut sender = link.sender.clone();
        let mut response = pin!(sender.send_request(request));
        let answer = poll_fn(|cx| {
            link.drive(cx);
            response.as_mut().poll(cx)
        });
        let answer = answer.await;
        if answer.is_ok() {
            self.first_byte = link.many().and_then(|many| many.last_read.get());
        }
        answer
    }
}

impl<C: Clock> Drop for Seat<C> {
    fn drop(&mut self) {
        self.link.taken.update(|taken| taken - 1);
        self.link.used.set(self.link.tap.shared.clock.now());
        self.link.tap.shared.news.notify_one();
    }
}

/// Writes the address as HTTP/2 wants it: scheme and authority beside the path, and no Host.
fn address(request: &mut Request<Full<Bytes>>, scheme: &Scheme) {
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(scheme.clone());
    parts.authority = authority;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// The shared connections of one driver.
pub(super) struct Links<C: Clock> {
    idle: Duration,
    open: RefCell<Vec<Companion<C>>>,
    opening: Cell<usize>,
    waiting: Cell<usize>,
    news: Rc<Notify>,
}

/// Counts something for as long as it lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.update(|count| count + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.update(|count| count - 1);
    }
}

impl<C: Clock + 'static> Links<C> {
    /// Keeps connections without calls for at most `idle`; `news` comes with room on one.
    pub(super) fn new(idle: Duration, news: Rc<Notify>) -> Self {
        let (opening, waiting) = (Cell::new(0), Cell::new(0));
        Self { idle, open: RefCell::default(), opening, waiting, news }
    }

    /// A place on an open connection other than `avoid`, or on one that `dial` opens.
    pub(super) async fn get<E>(
        &self,
        avoid: Option<ConnectionId>,
        now: impl Fn() -> Moment,
        dial: impl AsyncFn() -> Result<Box<Connection<C>>, E>,
    ) -> Result<Box<Connection<C>>, E> {
        loop {
            let news = self.news.notified();
            if let Some(seat) = poll_fn(|cx| Poll::Ready(self.take(avoid, now(), cx))).await {
                return Ok(seat);
            }
            let coming = self.opening.get() + self.open.borrow().iter().filter(|known| known.link.is_new()).count();
            if avoid.is_none() && self.waiting.get() < coming * EXPECTED {
                let _waiting = Counted::new(&self.waiting);
                news.await;
                continue;
            }
            let opening = Counted::new(&self.opening);
            let opened = dial().await;
            drop(opening);
            if let Ok(connection) = &opened {
                self.open.borrow_mut().extend(connection.companion());
            }
            self.news.notify_waiters();
            return opened;
        }
    }

    /// A place on the oldest connection that has one.
    fn take(&self, avoid: Option<ConnectionId>, now: Moment, cx: &mut Context<'_>) -> Option<Box<Connection<C>>> {
        let mut open = self.open.borrow_mut();
        open.retain(|known| {
            known.link.drive(cx);
            !known.link.has_ended() && !known.link.is_stale(now, self.idle)
        });
        let free = open.iter().find(|known| avoid != Some(known.link.id) && known.link.has_room());
        free.map(Connection::beside)
    }

    /// Gives up connections that have been without a call for too long.
    pub(super) fn tidy(&self, now: Moment) {
        self.open.borrow_mut().retain(|known| !known.link.has_ended() && !known.link.is_stale(now, self.idle));
    }
}

impl<C: Clock + 'static> Link<C> {
    fn is_stale(&self, now: Moment, idle: Duration) -> bool {
        self.taken.get() == 0 && now.since(self.used.get()) >= idle
    }
}

/// Reads the rest of an answer, if it comes soon: to give the stream up would tell the server that the call was cancelled.
pub(super) fn drain<C: Clock + 'static>(mut connection: Box<Connection<C>>, mut body: Body) {
    let rest = async move {
        let mut left = LARGEST_REST;
        while let Some(Ok(chunk)) = connection.chunk(&mut body).await
            && let Some(less) = left.checked_sub(chunk.len())
        {
            left = less;
        }
    };
    drop(tokio::task::spawn_local(timeout(LONGEST_REST, rest)));
}

/// What an error of HTTP/2 means for a call.
pub(super) fn broken(error: &h2::Error, first_byte: Option<Moment>) -> Ending {
    let example = cut(&error.to_string(), EXAMPLE_CHARS);
    let reason = error.reason().map(|reason| reason.to_string()).unwrap_or_default();
    let at = if first_byte.is_some() { "within the answer" } else { "before any answer" };
    let is_garbled = error.get_io().is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData);
    let (outcome, group) = if is_garbled || (error.is_library() && error.get_io().is_none()) {
        (Outcome::InvalidReply, group_of(&format!("not HTTP/2: {error}")))
    } else if error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM) {
        (Outcome::Unreachable, "the server took no further call on this connection (REFUSED_STREAM)".to_owned())
    } else if error.is_remote() && error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) {
        (Outcome::Unreachable, "the server was giving up the connection and did not take the call (GOAWAY)".to_owned())
    } else if error.is_reset() {
        (Outcome::Disconnected, group_of(&format!("the stream was reset {at}: {reason}")))
    } else if error.is_go_away() {
        (Outcome::Disconnected, group_of(&format!("the connection was given up {at}: {reason}")))
    } else {
        (Outcome::Disconnected, format!("closed {at}"))
    };
    failed(outcome, Failure { group, example })
}
