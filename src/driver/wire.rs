//! What passes through a connection's stream: counted, and the first bytes of each call stamped.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::http1::Scratch;
use super::naps::Naps;
use super::readers::{Reader, Readers};
use super::stamped::Received;
use super::turn::{PART, Turns};
use crate::time::{Clock, Moment};
use crate::workload::ConnectionId;

/// What is said of a server that answers HTTP/2 with something else.
pub(super) const NOT_HTTP2: &str = "the server does not speak HTTP/2 here: leave out --http2";

/// So many bytes may come before the head of an answer is complete: a head may have half of them, and what is read with its
/// last bytes may be of the body.
const LONGEST_HEAD: usize = 2 * PART;

/// What the connections of one driver share: the clock, and what they count.
#[derive(Debug)]
pub(super) struct Shared<C> {
    pub(super) clock: C,
    sent: Cell<u64>,
    received: Cell<u64>,
    open: Cell<usize>,
    pub(super) naps: Naps,
    pub(super) readers: Readers,
    pub(super) scratch: Scratch,
    /// How many there have been.
    opened: Cell<u64>,
    pub(super) turns: Rc<Turns>,
    /// Where calls share connections: told when one has or will have room for another call.
    pub(super) news: Rc<Notify>,
}

/// What a connection's stream sees of the call that is on it.
#[derive(Debug)]
pub(super) struct Tap<C> {
    pub(super) shared: Rc<Shared<C>>,
    pub(super) sent: Cell<Option<Moment>>,
    pub(super) first_byte: Cell<Option<Moment>>,
    /// When what was read last was received, where the system says so.
    pub(super) received: Cell<Option<Moment>>,
    /// Whether what is to be sent waits for room.
    is_blocked: Cell<bool>,
    /// How often anything was read since the call began.
    reads: Cell<u32>,
    /// While the head of an answer is waited for: how many bytes may still come before it is complete.
    pub(super) head: Cell<Option<usize>>,
    /// Who waits for that.
    pub(super) reader: Rc<Reader>,
    /// Where many calls share the connection: what each of them has to know.
    pub(super) many: Option<Many>,
}

/// What is known of calls that share a connection.
#[derive(Debug, Default)]
pub(super) struct Many {
    /// The calls that were handed over and not yet written.
    pub(super) unsent: RefCell<Vec<Rc<Cell<Option<Moment>>>>>,
    /// When anything came in last.
    pub(super) last_read: Cell<Option<Moment>>,
}

/// A stream that stamps the first byte out and the first byte in, and counts all.
pub(super) struct Wire<C, S> {
    pub(super) stream: S,
    pub(super) tap: Rc<Tap<C>>,
}

impl<C: Clock> Shared<C> {
    pub(super) fn new(clock: C) -> Rc<Self> {
        Rc::new(Self {
            clock,
            sent: Cell::new(0),
            received: Cell::new(0),
            open: Cell::new(0),
            naps: Naps::default(),
            readers: Readers::default(),
            scratch: Scratch::default(),
            opened: Cell::new(0),
            turns: Rc::default(),
            news: Rc::default(),
        })
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

impl<C> Tap<C> {
    /// The tap of a connection that opens, and which one it is.
    pub(super) fn open(shared: &Rc<Shared<C>>, many: Option<Many>) -> (Rc<Self>, ConnectionId) {
        shared.open.update(|open| open + 1);
        let id = ConnectionId(shared.opened.replace(shared.opened.get() + 1));
        let (sent, first_byte) = (Cell::new(None), Cell::new(None));
        (
            Rc::new(Self {
                shared: Rc::clone(shared),
                sent,
                first_byte,
                received: Cell::new(None),
                is_blocked: Cell::new(false),
                reads: Cell::new(0),
                head: Cell::new(None),
                reader: Rc::default(),
                many,
            }),
            id,
        )
    }

    /// Notes whether what is to be sent waits for room: the event loop tells when there is some, and a lane that sleeps would hear of
    /// that late.
    fn block(&self, is_blocked: bool) {
        if self.is_blocked.replace(is_blocked) != is_blocked {
            self.shared.naps.keep_awake(is_blocked);
        }
    }

    /// Forgets the call before.
    pub(super) fn begin_call(&self) {
        self.shared.naps.reply(self.reads.take(), self.received.get().is_some());
        self.sent.set(None);
        self.first_byte.set(None);
        self.received.set(None);
    }

    /// Begins to wait for the head of an answer.
    pub(super) fn expect_head(&self) {
        self.head.set(Some(LONGEST_HEAD));
    }

    /// Notes that so many bytes came in. Heads are bounded, but not how many of them announce that the head is yet to come
    /// (`100 Continue`), and the protocol's machine reads on as long as there are any.
    fn count_head(&self, bytes: usize) -> io::Result<()> {
        if let Some(left) = self.head.get() {
            let less = left.checked_sub(bytes);
            self.head.set(less);
            if less.is_none() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no end of the head of an answer"));
            }
        }
        Ok(())
    }
}

impl Many {
    /// Notes that bytes came in. The first of all must be a frame of SETTINGS.
    fn read(&self, bytes: &[u8], now: Moment, news: &Notify) -> io::Result<()> {
        const KIND: usize = 3;
        const SETTINGS: u8 = 4;
        if self.last_read.replace(Some(now)).is_none() {
            news.notify_waiters();
            if bytes.get(KIND).is_some_and(|kind| *kind != SETTINGS) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, NOT_HTTP2));
            }
        }
        Ok(())
    }
}

impl<C> Drop for Tap<C> {
    fn drop(&mut self) {
        self.shared.open.update(|open| open - 1);
        self.block(false);
        self.shared.readers.leave(&self.reader);
    }
}

impl<C: Clock, S: Received> Wire<C, S> {
    /// What there is although nobody said so yet: looked for where the lane has asked for that. Who waits for the head of an
    /// answer is known for that, where a lane may sleep.
    fn unsaid(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Tap { shared, reader, head, .. } = &*self.tap;
        if reader.take_order()
            && let Poll::Ready(read) = self.stream.poll_now(buf)
        {
            // Of what is left the event loop has to tell.
            if !matches!(read, Ok(false)) {
                reader.has_found();
            }
            return Poll::Ready(read.map(|_| ()));
        }
        if head.get().is_some() {
            shared.readers.wait(reader, cx.waker(), shared.naps.are_harmless());
        }
        Poll::Pending
    }
}

impl<C: Clock, S: AsyncRead + Received + Unpin> AsyncRead for Wire<C, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let mut read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            read = self.unsaid(cx, buf);
        }
        let count = buf.filled().len() - before;
        if count == 0 && read.is_ready() {
            // Nobody stamps the end: what ends with it ends now.
            self.tap.received.set(None);
        }
        if count > 0 {
            let tap = &*self.tap;
            tap.shared.readers.leave(&tap.reader);
            tap.shared.received.update(|bytes| bytes + count as u64);
            let received = self.stream.received().map(|wall| {
                tap.shared.clock.at_wall(wall).max(tap.received.get().or(tap.sent.get()).unwrap_or_default())
            });
            tap.received.set(received);
            tap.reads.update(|reads| reads.saturating_add(1));
            if tap.reads.get() > 1 {
                // Known at once, as the rest of it may be waiting for us.
                tap.shared.naps.wake();
            }
            if tap.first_byte.get().is_none() && tap.sent.get().is_some() {
                tap.first_byte.set(Some(received.unwrap_or_else(|| tap.shared.clock.now())));
            }
            tap.count_head(count)?;
            if let Some(many) = &tap.many {
                many.read(&buf.filled()[before..], tap.shared.clock.now(), &tap.shared.news)?;
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
        let is_blocked = match &written {
            Poll::Ready(Ok(count)) => *count < bytes.len(),
            Poll::Ready(Err(_)) => false,
            Poll::Pending => true,
        };
        self.tap.block(is_blocked);
        if let Poll::Ready(Ok(count @ 1..)) = written {
            let tap = &*self.tap;
            tap.shared.sent.update(|bytes| bytes + count as u64);
            if now.is_some() {
                tap.sent.set(now);
                if let Some(many) = &tap.many {
                    many.unsent.take().iter().for_each(|sent| sent.set(now));
                }
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

#[cfg(test)]
mod tests {
    use super::super::contract::Ticking;
    use super::*;

    /// So many bytes it takes at the next write, or none, or it fails.
    struct Narrow(Poll<io::Result<usize>>);

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            std::mem::replace(&mut self.0, Poll::Pending)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_lane_is_kept_awake_while_what_is_to_be_sent_waits_for_room_and_no_longer() {
        let shared = Shared::new(Ticking::default());
        (0..1000).for_each(|_| shared.naps.reply(1, true));
        let wire = || Wire { stream: Narrow(Poll::Pending), tap: Tap::open(&shared, None).0 };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut sleeps_after = |wire: &mut Wire<_, Narrow>, written| {
            wire.stream.0 = written;
            let _ = Pin::new(wire).poll_write(&mut cx, b"words");
            shared.naps.are_harmless()
        };
        let mut one = wire();
        assert!(sleeps_after(&mut one, Poll::Ready(Ok(5))));
        assert!(!sleeps_after(&mut one, Poll::Ready(Ok(3))));
        assert!(!sleeps_after(&mut one, Poll::Pending));
        let mut other = wire();
        assert!(!sleeps_after(&mut other, Poll::Ready(Ok(4))));
        assert!(!sleeps_after(&mut one, Poll::Ready(Ok(5))), "the other waits");
        assert!(sleeps_after(&mut other, Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))));
        assert!(!sleeps_after(&mut other, Poll::Pending));
        drop(other);
        assert!(shared.naps.are_harmless());
    }
}
