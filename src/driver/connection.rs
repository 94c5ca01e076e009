//! One HTTP/1.1 connection: its protocol machine and the request on it are driven by the same task.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::Stream;
use crate::time::{Clock, Moment};

/// What the connections of one driver share: the clock, and what they count.
#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) clock: C,
    sent: Cell<u64>,
    received: Cell<u64>,
    open: Cell<usize>,
}

/// What a connection's stream sees of the call that is on it.
#[derive(Debug)]
struct Tap<C> {
    shared: Rc<Shared<C>>,
    sent: Cell<Option<Moment>>,
    first_byte: Cell<Option<Moment>>,
}

/// A stream that stamps the first byte out and the first byte in, and counts all.
struct Wire<C, S> {
    stream: S,
    tap: Rc<Tap<C>>,
}

/// Whether a protocol machine has stopped, and why if that was a failure.
#[derive(Default)]
struct End {
    is_over: bool,
    reason: Option<hyper::Error>,
}

/// An open connection, to be used by one call at a time. Dropping it closes it.
pub(super) struct Connection<C: Clock> {
    sender: http1::SendRequest<Full<Bytes>>,
    machine: http1::Connection<TokioIo<Wire<C, TokioIo<Stream>>>, Full<Bytes>>,
    end: End,
    tap: Rc<Tap<C>>,
    /// Whether a call has been made on it before.
    pub(super) is_reused: bool,
}

impl<C: Clock> Shared<C> {
    pub(super) fn new(clock: C) -> Rc<Self> {
        Rc::new(Self { clock, sent: Cell::new(0), received: Cell::new(0), open: Cell::new(0) })
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }

    /// Bytes sent and received, without those of TLS.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.sent.get(), self.received.get())
    }
}

impl<C> Drop for Tap<C> {
    fn drop(&mut self) {
        self.shared.open.update(|open| open - 1);
    }
}

impl<C: Clock + 'static> Connection<C> {
    /// Makes a connection out of a stream; boxed, as it is passed from hand to hand with every call.
    pub(super) async fn new(stream: Stream, shared: &Rc<Shared<C>>) -> Result<Box<Self>, hyper::Error> {
        shared.open.update(|open| open + 1);
        let tap = Rc::new(Tap { shared: Rc::clone(shared), sent: Cell::new(None), first_byte: Cell::new(None) });
        let wire = Wire { stream: TokioIo::new(stream), tap: Rc::clone(&tap) };
        // Without vectored writes head and body are copied together: one write, and one TLS record.
        let (sender, machine) = http1::Builder::new().writev(false).handshake(TokioIo::new(wire)).await?;
        Ok(Box::new(Self { sender, machine, end: End::default(), tap, is_reused: false }))
    }

    /// The present.
    pub(super) fn now(&self) -> Moment {
        self.tap.shared.clock.now()
    }

    /// Forgets the stamps of the call before.
    pub(super) fn begin_call(&self) {
        self.tap.sent.set(None);
        self.tap.first_byte.set(None);
    }

    /// When the first byte of the request went out, and when the first byte of the answer came in.
    pub(super) fn stamps(&self) -> (Option<Moment>, Option<Moment>) {
        (self.tap.sent.get(), self.tap.first_byte.get())
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        let mut response = pin!(self.sender.send_request(request));
        let answer = poll_fn(|cx| {
            drive(&mut self.machine, &mut self.end, cx);
            response.as_mut().poll(cx)
        });
        // Where the machine itself failed it knows the reason, and the request knows only that it is off.
        answer.await.map_err(|error| self.end.reason.take().unwrap_or(error))
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
            if frame.is_pending() {
                drive(&mut self.machine, &mut self.end, cx);
                frame = Pin::new(&mut *body).poll_frame(cx);
            }
            return match frame {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.end.reason.take().unwrap_or(error)))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    Err(_trailers) => continue,
                },
            };
        }
    }

    /// Whether it can take a request right now: open, and done with the one before.
    pub(super) fn poll_is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.machine, &mut self.end, cx);
        !self.end.is_over && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// Whether it is of no more use.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_over || self.sender.is_closed()
    }
}

/// Lets the protocol machine do what it can, unless it has stopped.
fn drive<M>(machine: &mut M, end: &mut End, cx: &mut Context<'_>)
where
    M: Future<Output = Result<(), hyper::Error>> + Unpin,
{
    if !end.is_over
        && let Poll::Ready(result) = Pin::new(machine).poll(cx)
    {
        *end = End { is_over: true, reason: result.err() };
    }
}

impl<C: Clock, S: AsyncRead + Unpin> AsyncRead for Wire<C, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if count > 0 {
            let tap = &*self.tap;
            tap.shared.received.update(|bytes| bytes + count as u64);
            if tap.first_byte.get().is_none() && tap.sent.get().is_some() {
                tap.first_byte.set(Some(tap.shared.clock.now()));
            }
        }
        read
    }
}

impl<C: Clock, S: AsyncWrite + Unpin> AsyncWrite for Wire<C, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Before the write: on a fast network the answer can be there before the call into the kernel returns.
        let now = self.tap.sent.get().is_none().then(|| self.tap.shared.clock.now());
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count @ 1..)) = written {
            let tap = &*self.tap;
            tap.shared.sent.update(|bytes| bytes + count as u64);
            if now.is_some() {
                tap.sent.set(now);
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
