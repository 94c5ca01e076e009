//! A TCP stream whose reads tell when the system received what was read: an answer's time does not depend on when a busy or
//! sleeping lane looks at it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// So much is read at once: most replies. The room has to be cleared first, which takes time.
const LEAST: usize = 2048;
/// So much where replies are large.
const MOST: usize = 64 * 1024;

/// Something whose reads may be stamped.
pub(super) trait Received {
    /// When the system received the last of the bytes that were read last, in nanoseconds since 1970 by the wall clock, where
    /// it says so.
    fn received(&self) -> Option<u64>;

    /// Reads what there is, whether or not the event loop has told of it, and says whether that was surely all; pending where there
    /// is nothing, which wakes nobody. To be asked after a read that was pending.
    fn poll_now(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>>;
}

/// A stream that the system stamps.
pub(super) struct Stamped {
    stream: TcpStream,
    stamps: Stamps,
    last: Option<u64>,
    /// How much is read at once.
    room: usize,
    /// Whether the last read asked the system, and there was nothing.
    is_empty: bool,
}

impl Stamped {
    /// A stream that is read so; or the stream itself, where the system does not stamp.
    pub(super) fn new(stream: TcpStream) -> Result<Self, TcpStream> {
        match Stamps::on(&stream) {
            Some(stamps) => Ok(Self { stream, stamps, last: None, room: LEAST, is_empty: false }),
            None => Err(stream),
        }
    }

    /// Notes that so many bytes were read of as many as were asked for.
    fn took(&mut self, count: usize, at: Option<u64>) {
        self.last = at;
        if count == self.room {
            self.room = (self.room * 2).min(MOST);
        } else if count < self.room / 4 {
            self.room = (self.room / 2).max(LEAST);
        }
    }
}

impl Received for Stamped {
    fn received(&self) -> Option<u64> {
        self.last
    }

    fn poll_now(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if self.is_empty {
            return Poll::Pending;
        }
        let most = buf.remaining().min(self.room);
        let space = buf.initialize_unfilled_to(most);
        match self.stamps.receive(&self.stream, space) {
            Ok((count, at)) => {
                self.took(count, at);
                buf.advance(count);
                // The event loop has yet to say that there was something, and says so still if something is left.
                Poll::Ready(Ok(count < most))
            }
            Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Poll::Pending,
            Err(why) => Poll::Ready(Err(why)),
        }
    }
}

impl AsyncRead for Stamped {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let most = buf.remaining().min(this.room);
        this.is_empty = false;
        loop {
            ready!(this.stream.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled_to(most);
            let Self { stream, stamps, .. } = this;
            match stream.try_io(Interest::READABLE, || stamps.receive(stream, space)) {
                Ok((count, at)) => {
                    buf.advance(count);
                    this.took(count, at);
                    if count > 0 && count < most {
                        // That was all: the next read waits for news, and asks the system no more before.
                        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                        drop(this.stream.try_io(Interest::READABLE, nothing));
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => this.is_empty = true,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Poll::Ready(Err(why)),
            }
        }
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(target_os = "linux")]
use linux::Stamps;
#[cfg(not(target_os = "linux"))]
use other::Stamps;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSliceMut};
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
    use nix::sys::time::TimeSpec;
    use tokio::net::TcpStream;

    /// Room for what the system says beside the bytes.
    pub(super) struct Stamps(Vec<u8>);

    impl Stamps {
        /// Has the system stamp what this stream receives; `None` where it does not.
        pub(super) fn on(stream: &TcpStream) -> Option<Self> {
            setsockopt(stream, sockopt::ReceiveTimestampns, &true).ok()?;
            Some(Self(nix::cmsg_space!(TimeSpec)))
        }

        /// Reads what is there: how many bytes, and when the system received the last of them.
        pub(super) fn receive(&mut self, stream: &TcpStream, space: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
            let mut parts = [IoSliceMut::new(space)];
            let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut self.0), MsgFlags::empty())?;
            let at = message.cmsgs().find_map(|said| match said {
                ControlMessageOwned::ScmTimestampns(at) => {
                    Some(at.tv_sec().unsigned_abs() * 1_000_000_000 + at.tv_nsec().unsigned_abs())
                }
                _ => None,
            });
            Ok((message.bytes, at))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io;

    use tokio::net::TcpStream;

    /// There are none.
    pub(super) enum Stamps {}

    impl Stamps {
        pub(super) fn on(_: &TcpStream) -> Option<Self> {
            None
        }

        pub(super) fn receive(&mut self, _: &TcpStream, _: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
            match *self {}
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::MonotonicClock;
    use crate::time::Clock;

    #[tokio::test]
    async fn what_is_read_late_is_stamped_when_it_came() {
        let (mut stamped, mut server) = pair().await;
        assert_eq!(stamped.received(), None);
        let (clock, mut room) = (MonotonicClock::starting_in(Duration::ZERO), [0; 64]);
        // The system begins to stamp shortly after the first stream asks for it.
        for _ in 0..200 {
            let before = clock.now();
            server.write_all(b"reply").await.unwrap();
            stamped.stream.readable().await.unwrap();
            let between = clock.now();
            assert_eq!(stamped.read(&mut room).await.unwrap(), 5);
            if let Some(at) = stamped.received() {
                let at = clock.at_wall(at);
                assert!((before..=between).contains(&at), "{before:?} {at:?} {between:?}");
                return;
            }
        }
        panic!("no stamp in 200 reads");
    }

    /// A stream that is stamped, and its other end.
    async fn pair() -> (Stamped, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Stamped::new(client).unwrap_or_else(|_| panic!("Linux stamps")), server)
    }

    #[tokio::test]
    async fn what_is_there_is_read_before_the_event_loop_tells_of_it_and_what_is_left_afterwards() {
        let (mut stamped, server) = pair().await;
        let mut room = vec![0; 2 * LEAST];
        let mut room = ReadBuf::new(&mut room);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        // As who waits for an answer does: it was told that there is nothing.
        assert!(Pin::new(&mut stamped).poll_read(&mut cx, &mut room).is_pending());
        assert!(stamped.poll_now(&mut room).is_pending() && room.filled().is_empty());
        let whole: Vec<u8> = (0..LEAST + 7).map(|n| (n % 251) as u8).collect();
        assert_eq!(server.try_write(&whole).unwrap(), whole.len());
        let read = (0..1_000_000).any(|_| matches!(stamped.poll_now(&mut room), Poll::Ready(Ok(false))));
        assert!(read && room.filled() == &whole[..LEAST], "{}", room.filled().len());
        stamped.stream.readable().await.unwrap();
        assert!(Pin::new(&mut stamped).poll_read(&mut cx, &mut room).is_ready());
        assert_eq!(room.filled(), whole);
        drop(server);
        let ended = (0..1_000_000).any(|_| matches!(stamped.poll_now(&mut room), Poll::Ready(Ok(true))));
        assert_eq!((ended, room.filled().len()), (true, whole.len()), "the end");
    }

    #[tokio::test]
    async fn a_read_that_asked_the_system_in_vain_is_not_followed_by_another() {
        let (mut stamped, server) = pair().await;
        let mut room = [0; 64];
        let mut room = ReadBuf::new(&mut room);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(server.try_write(b"one").unwrap(), 3);
        stamped.stream.readable().await.unwrap();
        // What the event loop has told of is read behind its back.
        assert!(stamped.poll_now(&mut room).is_ready() && room.filled() == b"one");
        assert!(Pin::new(&mut stamped).poll_read(&mut cx, &mut room).is_pending());
        assert_eq!(server.try_write(b"two").unwrap(), 3);
        assert!((0..1000).all(|_| stamped.poll_now(&mut room).is_pending()));
        // This one knows that there is no news, and asks nobody.
        assert!(Pin::new(&mut stamped).poll_read(&mut cx, &mut room).is_pending());
        assert!((0..1_000_000).any(|_| stamped.poll_now(&mut room).is_ready()) && room.filled() == b"onetwo");
    }

    #[tokio::test]
    async fn nothing_is_lost_where_more_comes_than_is_read_at_once() {
        let (mut stamped, mut server) = pair().await;
        let sent: Vec<u8> = (0..3 * MOST + 5).map(|n| (n % 251) as u8).collect();
        let whole = sent.clone();
        let sending = tokio::spawn(async move {
            server.write_all(&whole).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        stamped.read_to_end(&mut got).await.unwrap();
        sending.await.unwrap();
        assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
    }
}
