//! A connection as a call sees it: one of HTTP/1.1 for itself, or a stream of HTTP/2.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;

use super::credentials::Credentials;
use super::http1::{Broken, Http1};
use super::multiplex::{Companion, Link, Seat};
use super::request::Request;
use super::response::Noted;
use super::stream::{Io, Stream};
use super::turn::Turns;
use super::wire::{Many, Shared, Tap, Wire};
use crate::time::{Clock, Moment};
use crate::workload::ConnectionId;

/// What a call's bytes go through.
enum Line<C: Clock> {
    /// A connection of the call's own.
    Own(Own<C>),
    /// A place on a connection that calls share.
    Seat(Seat<C>),
}

/// A connection of HTTP/1.1.
struct Own<C: Clock> {
    http1: Http1<Wire<C, Io>>,
    tap: Rc<Tap<C>>,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: Noted,
}

/// The body of an answer, as far as it was not read.
#[derive(Debug)]
pub(super) enum Body {
    /// Of the connection's one answer: the connection knows.
    Own,
    /// Of a stream.
    Stream(Incoming),
}

/// An open connection, to be used by one call at a time. Dropping it closes it, or the call's stream on it.
pub(super) struct Connection<C: Clock> {
    line: Line<C>,
    credentials: Option<Arc<Credentials>>,
    /// Which one it is.
    pub(super) id: ConnectionId,
    /// Whether a call has been made on it before.
    pub(super) is_reused: bool,
}

impl<C: Clock + 'static> Connection<C> {
    /// Makes a connection out of a stream; boxed, as it is passed from hand to hand with every call.
    pub(super) async fn new(stream: Stream, shared: &Rc<Shared<C>>) -> Result<Box<Self>, hyper::Error> {
        let (tap, id) = Tap::open(shared, stream.http2.is_some().then(Many::default));
        let wire = Wire { stream: stream.io, tap: Rc::clone(&tap) };
        let line = match stream.http2 {
            Some(scheme) => Line::Seat(Seat::on(&Link::open(TokioIo::new(wire), tap, id, scheme).await?)),
            None => Line::Own(Own { http1: Http1::new(wire), tap }),
        };
        Ok(Box::new(Self { line, credentials: stream.credentials, id, is_reused: false }))
    }

    /// A place on the connection that `other` has a place on too.
    pub(super) fn beside(other: &Companion<C>) -> Box<Self> {
        let seat = Seat::on(&other.link);
        Box::new(Self {
            line: Line::Seat(seat),
            credentials: other.credentials.clone(),
            id: other.link.id,
            is_reused: true,
        })
    }

    /// What further calls need for a place beside this one; `None` where the connection is for one call at a time.
    pub(super) fn companion(&self) -> Option<Companion<C>> {
        match &self.line {
            Line::Own(_) => None,
            Line::Seat(seat) => Some(Companion { link: Rc::clone(&seat.link), credentials: self.credentials.clone() }),
        }
    }

    fn shared(&self) -> &Rc<Shared<C>> {
        match &self.line {
            Line::Own(own) => &own.tap.shared,
            Line::Seat(seat) => &seat.link.tap.shared,
        }
    }

    /// The present.
    pub(super) fn now(&self) -> Moment {
        self.shared().clock.now()
    }

    /// When the last bytes came in: as the system says, or else just now.
    pub(super) fn arrived(&self) -> Moment {
        let received = match &self.line {
            Line::Own(own) => own.tap.received.get(),
            Line::Seat(_) => None,
        };
        received.unwrap_or_else(|| self.now())
    }

    /// What large answers share.
    pub(super) fn turns(&self) -> Rc<Turns> {
        Rc::clone(&self.shared().turns)
    }

    /// Forgets the stamps of the call before.
    pub(super) fn begin_call(&self) {
        if let Line::Own(own) = &self.line {
            own.tap.begin_call();
        }
    }

    /// When the first byte of the request went out, and when the first byte of the answer came in.
    pub(super) fn stamps(&self) -> (Option<Moment>, Option<Moment>) {
        match &self.line {
            Line::Own(own) => (own.tap.sent.get(), own.tap.first_byte.get()),
            Line::Seat(seat) => seat.stamps(),
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<'_>) -> Result<(Response, Body), Broken> {
        let credentials = self.credentials.as_ref();
        let own = match &mut self.line {
            Line::Own(own) => own,
            Line::Seat(seat) => {
                // Boxed: it is larger than the other, whose calls should not pay for it.
                let (head, body) = Box::pin(seat.send(request.into_http2(credentials))).await?.into_parts();
                return Ok((Response { status: head.status, headers: head.headers.into() }, Body::Stream(body)));
            }
        };
        own.tap.expect_head();
        let scratch = &own.tap.shared.scratch;
        let mut is_sent = false;
        let head = poll_fn(|cx| {
            if !is_sent {
                is_sent = true;
                own.http1.begin(&request, credentials, scratch, cx);
            }
            own.http1.poll_head(scratch, cx)
        });
        let head = head.await;
        own.tap.head.set(None);
        head.map(|(status, headers)| (Response { status, headers }, Body::Own))
    }

    /// What the server said, without secrets of ours.
    pub(super) fn clean(&self, said: Bytes) -> Bytes {
        match &self.credentials {
            None => said,
            Some(credentials) => credentials.scrub().bytes(said),
        }
    }

    /// The next bytes of an answer's body; `None` at its end.
    pub(super) async fn chunk(&mut self, body: &mut Body) -> Option<Result<Bytes, Broken>> {
        poll_fn(|cx| self.poll_chunk(body, cx)).await
    }

    /// The same for whoever is polled himself.
    pub(super) fn poll_chunk(&mut self, body: &mut Body, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match (&mut self.line, body) {
            (Line::Own(own), Body::Own) => own.http1.poll_chunk(&own.tap.shared.scratch, cx),
            (_, Body::Stream(stream)) => poll_data(stream, cx),
            (Line::Seat(_), Body::Own) => Poll::Ready(None),
        }
    }

    /// Whether all of a body was read.
    pub(super) fn is_at_end(&self, body: &Body) -> bool {
        match (&self.line, body) {
            (Line::Own(own), Body::Own) => own.http1.is_idle(),
            (_, Body::Stream(stream)) => stream.is_end_stream(),
            (Line::Seat(_), Body::Own) => true,
        }
    }

    /// Whether it can take a request right now: open, and done with the one before.
    pub(super) fn poll_is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.line {
            Line::Own(own) => own.http1.poll_is_ready(&own.tap.shared.scratch, cx),
            Line::Seat(_) => false,
        }
    }

    /// The same after a while. Where the lane has slept, the event loop may not have told yet who hung up: the system is asked.
    pub(super) fn poll_is_still_ready(&mut self, cx: &mut Context<'_>) -> bool {
        if let Line::Own(own) = &self.line
            && own.tap.shared.naps.have_slept()
        {
            own.tap.reader.ask();
        }
        self.poll_is_ready(cx)
    }

    /// Whether it is of no more use.
    pub(super) fn has_ended(&self) -> bool {
        match &self.line {
            Line::Own(own) => own.http1.has_ended(),
            Line::Seat(seat) => seat.link.has_ended(),
        }
    }
}

/// The next bytes of a stream; its trailers are nobody's concern.
fn poll_data(stream: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
    loop {
        match ready!(Pin::new(&mut *stream).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}
