//! HTTP/1.1 on a connection that one call has at a time (RFC 9112): a request out in one write, an answer in, and again.
//!
//! Whoever calls drives it: there is no task and no channel beside the call's own. What is written and what is read passes
//! through buffers that all connections of a lane share, so that an idle connection holds none.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::credentials::Credentials;
use super::framing::{Framing, Garbled, Part};
use super::request::Request;
use super::response::{Noted, TOO_LARGE, read_head};
use super::turn::PART;

/// A head as short as this is read anew with each piece that comes: what is none is noticed at once.
const SHORT: usize = 1024;
/// The most that is kept of the room for a request.
const KEPT: usize = 256 * 1024;

/// Buffers that the connections of a lane share.
pub(super) struct Scratch {
    written: RefCell<Vec<u8>>,
    read: RefCell<Box<[u8]>>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was written has secrets in it.
        f.write_str("Scratch")
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self { written: RefCell::default(), read: RefCell::new(vec![0; PART].into()) }
    }
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection failed.
    #[error("connection error")]
    Io(#[from] io::Error),
    /// It ended before the answer did.
    #[error("connection closed before message completed")]
    Closed,
    /// What came is no HTTP.
    #[error("invalid HTTP")]
    Garbled(#[from] Garbled),
    /// As the machine of HTTP/2 has it.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

/// One connection.
pub(super) struct Http1<S> {
    stream: S,
    /// What of the request could not be written at once.
    unsent: Bytes,
    is_flushed: bool,
    /// Why it could not be sent. The answer may be there all the same: who refuses a large request need not read it.
    unsendable: Option<io::Error>,
    /// What came and was not looked at yet.
    unread: BytesMut,
    state: State,
    /// Whether the answer is the last one.
    closes: bool,
    is_over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The head of an answer is waited for; so much of what came was looked at for it.
    Head(usize),
    Body(Framing),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unsent: Bytes::new(),
            is_flushed: true,
            unsendable: None,
            unread: BytesMut::new(),
            state: State::Idle,
            closes: false,
            is_over: false,
        }
    }

    /// Begins to send a request.
    pub(super) fn begin(
        &mut self,
        request: &Request<'_>,
        credentials: Option<&Arc<Credentials>>,
        scratch: &Scratch,
        cx: &mut Context<'_>,
    ) {
        let mut out = scratch.written.borrow_mut();
        request.write(credentials, &mut out);
        self.state = State::Head(0);
        self.is_flushed = false;
        match Pin::new(&mut self.stream).poll_write(cx, &out) {
            Poll::Ready(Err(why)) => self.give_up_sending(why),
            Poll::Ready(Ok(written)) => self.unsent = Bytes::copy_from_slice(&out[written..]),
            Poll::Pending => self.unsent = Bytes::copy_from_slice(&out),
        }
        out.clear();
        out.shrink_to(KEPT);
    }

    /// The answer, if there is one, is the last.
    fn give_up_sending(&mut self, why: io::Error) {
        self.unsendable = Some(why);
        self.unsent = Bytes::new();
        self.is_flushed = true;
        self.is_over = true;
    }

    /// Waits for the head of the answer.
    pub(super) fn poll_head(
        &mut self,
        scratch: &Scratch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(StatusCode, Noted), Broken>> {
        loop {
            if self.may_be_whole()
                && let Some(head) = read_head(&self.unread)?
            {
                self.unread.advance(head.length);
                self.state = State::Head(0);
                if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                    continue;
                }
                self.closes = head.closes;
                self.state = State::Body(head.framing);
                self.finish_if_over();
                return Poll::Ready(Ok((head.status, head.headers)));
            }
            if self.unread.len() >= PART {
                return Poll::Ready(Err(TOO_LARGE.into()));
            }
            self.state = State::Head(self.unread.len());
            if ready!(self.poll_read(scratch, cx))? == 0 {
                return Poll::Ready(Err(self.closed()));
            }
        }
    }

    /// Whether a head may be complete, or is no longer than what may be looked at again and again.
    fn may_be_whole(&self) -> bool {
        let looked_at = if let State::Head(looked_at) = self.state { looked_at } else { 0 };
        let new = &self.unread[looked_at.saturating_sub(3)..];
        self.unread.len() > looked_at
            && (looked_at == 0
                || self.unread.len() <= SHORT
                || new.windows(3).any(|end| end == b"\n\r\n")
                || new.windows(2).any(|end| end == b"\n\n"))
    }

    /// The next bytes of the answer's body; `None` at its end.
    pub(super) fn poll_chunk(
        &mut self,
        scratch: &Scratch,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            let State::Body(framing) = &mut self.state else { return Poll::Ready(None) };
            match framing.take(&mut self.unread) {
                Ok(Part::Content(content)) => {
                    self.finish_if_over();
                    return Poll::Ready(Some(Ok(content)));
                }
                Ok(Part::End) => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Ok(Part::Nothing) => {}
                Err(garbled) => return Poll::Ready(Some(Err(garbled.into()))),
            }
            let is_open = matches!(framing, Framing::ToTheEnd);
            match ready!(self.poll_read(scratch, cx)) {
                Ok(0) if is_open => self.finish(),
                Ok(0) => return Poll::Ready(Some(Err(self.closed()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether all of an answer was read that has begun.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether it can take a request right now: open, done with the one before, and nothing came that nobody asked for.
    pub(super) fn poll_is_ready(&mut self, scratch: &Scratch, cx: &mut Context<'_>) -> bool {
        if self.is_over || !self.is_idle() {
            return false;
        }
        self.is_over = !self.unread.is_empty() || self.poll_read(scratch, cx).is_ready();
        !self.is_over
    }

    /// Whether it is of no more use.
    pub(super) fn has_ended(&self) -> bool {
        self.is_over
    }

    /// Looks whether that was all of the body. What is wrong behind it is told to whoever wants more of it.
    fn finish_if_over(&mut self) {
        if let State::Body(framing) = &mut self.state
            && framing.is_over(&mut self.unread) == Ok(true)
        {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.state = State::Idle;
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
        self.is_over |= self.closes || !self.unsent.is_empty();
    }

    /// Sends what is left of the request, as far as that goes now.
    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.unsent.advance(written?),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_flushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            flushed?;
            self.is_flushed = true;
        }
        Ok(())
    }

    /// Why there is no more of an answer on a connection that has ended.
    fn closed(&mut self) -> Broken {
        self.unsendable.take().map_or(Broken::Closed, Broken::Io)
    }

    /// Reads what there is; zero bytes are the end.
    fn poll_read(&mut self, scratch: &Scratch, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.is_flushed
            && let Err(why) = self.send(cx)
        {
            self.give_up_sending(why);
        }
        let mut room = scratch.read.borrow_mut();
        let mut room = ReadBuf::new(&mut room);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room));
        read.map_err(|why| self.unsendable.take().unwrap_or(why))?;
        self.unread.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    }
}
