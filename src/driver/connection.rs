//! A connection as a call sees it: HTTP/1.1, whose protocol machine is driven by the call on it, or a stream of HTTP/2.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::credentials::Credentials;
use super::multiplex::{Companion, Link, Seat};
use super::stream::{Io, Stream};
use super::turn::{PART, Turns};
use super::wire::{Many, Shared, Tap, Wire};
use crate::time::{Clock, Moment};
use crate::workload::ConnectionId;

/// What a call's bytes go through.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and all are boxed with their connection"
)]
enum Line<C: Clock> {
    /// A connection of the call's own.
    Own(Own<C>),
    /// A place on a connection that calls share.
    Seat(Seat<C>),
}

/// A connection of HTTP/1.1.
struct Own<C: Clock> {
    sender: http1::SendRequest<Full<Bytes>>,
    machine: http1::Connection<TokioIo<Wire<C, Io>>, Full<Bytes>>,
    end: End,
    tap: Rc<Tap<C>>,
}

/// Whether a protocol machine has stopped, and why if that was a failure.
#[derive(Default)]
pub(super) struct End {
    pub(super) is_over: bool,
    pub(super) reason: Option<hyper::Error>,
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
        let wire = TokioIo::new(Wire { stream: stream.io, tap: Rc::clone(&tap) });
        let line = if let Some(scheme) = stream.http2 {
            Line::Seat(Seat::on(&Link::open(wire, tap, id, scheme).await?))
        } else {
            // No head is longer than a part. Without vectored writes head and body are copied together: one write, and
            // one TLS record.
            let (sender, machine) = http1::Builder::new().writev(false).max_buf_size(PART).handshake(wire).await?;
            Line::Own(Own { sender, machine, end: End::default(), tap })
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
    pub(super) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        if let Some(credentials) = &self.credentials {
            credentials.put_on(request.headers_mut());
        }
        let own = match &mut self.line {
            Line::Own(own) => own,
            // Boxed: it is larger than the other, whose calls should not pay for it.
            Line::Seat(seat) => return Box::pin(seat.send(request)).await,
        };
        own.tap.expect_head();
        let mut response = pin!(own.sender.send_request(request));
        let answer = poll_fn(|cx| {
            drive(&mut own.machine, &mut own.end, cx);
            response.as_mut().poll(cx)
        });
        let answer = answer.await;
        own.tap.head.set(None);
        // Where the machine itself failed it knows the reason, and the request knows only that it is off.
        answer.map_err(|error| own.end.reason.take().unwrap_or(error))
    }

    /// What the server said, without secrets of ours.
    pub(super) fn clean(&self, said: Bytes) -> Bytes {
        match &self.credentials {
            None => said,
            Some(credentials) => credentials.scrub().bytes(said),
        }
    }

    /// The next bytes of an answer's body; `None` at its end.
    pub(super) async fn chunk(&mut self, body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|cx| self.poll_chunk(body, cx)).await
    }

    /// The same for whoever is polled himself.
    pub(super) fn poll_chunk(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            let mut frame = Pin::new(&mut *body).poll_frame(cx);
            // The machine of a shared connection has a task of its own.
            if let (Line::Own(own), true) = (&mut self.line, frame.is_pending()) {
                drive(&mut own.machine, &mut own.end, cx);
                frame = Pin::new(&mut *body).poll_frame(cx);
            }
            return match frame {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.reason().unwrap_or(error)))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    Err(_trailers) => continue,
                },
            };
        }
    }

    /// Why the machine stopped, where it knows.
    fn reason(&mut self) -> Option<hyper::Error> {
        match &mut self.line {
            Line::Own(own) => own.end.reason.take(),
            Line::Seat(_) => None,
        }
    }

    /// Whether it can take a request right now: open, and done with the one before.
    pub(super) fn poll_is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        let Line::Own(own) = &mut self.line else { return false };
        drive(&mut own.machine, &mut own.end, cx);
        !own.end.is_over && matches!(own.sender.poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// Whether it is of no more use.
    pub(super) fn has_ended(&self) -> bool {
        match &self.line {
            Line::Own(own) => own.end.is_over || own.sender.is_closed(),
            Line::Seat(seat) => seat.link.has_ended(),
        }
    }
}

/// Lets the protocol machine do what it can, unless it has stopped.
pub(super) fn drive<M>(machine: &mut M, end: &mut End, cx: &mut Context<'_>)
where
    M: Future<Output = Result<(), hyper::Error>> + Unpin,
{
    if !end.is_over
        && let Poll::Ready(result) = Pin::new(machine).poll(cx)
    {
        *end = End { is_over: true, reason: result.err() };
    }
}
