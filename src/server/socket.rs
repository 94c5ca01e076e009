//! The server's end of a connection: no byte passes outwards during a freeze, and a reset is a real one.
//!
//! A frozen server still reads and thinks, but nothing leaves it; what has queued leaves at once when it thaws. So the
//! standstill that a client sees is exactly the one that was asked for, without a burst of work after it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep_until};

use super::clock::Clock;
use super::fault::Freeze;

/// The runtime's timer may be late by this much, so the last part of a freeze is spent asking for the time.
const TIMER_GRAIN: Duration = Duration::from_millis(2);

/// Accepts connections that are subject to the server's freezes and resets.
pub(super) struct Door {
    listener: TcpListener,
    freeze: Option<(Freeze, Clock)>,
    accepted: u64,
}

impl Door {
    pub(super) fn new(listener: TcpListener, freeze: Option<Freeze>, clock: Clock) -> Self {
        Self { listener, freeze: freeze.map(|freeze| (freeze, clock)), accepted: 0 }
    }
}

impl Listener for Door {
    type Io = Gated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Gated, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        // Replies of several small writes would otherwise wait for the client's delayed acknowledgement, 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        self.accepted += 1;
        let cut = Cut { number: self.accepted, reset: Arc::default() };
        let gated = Gated { stream, freeze: self.freeze, thaw: None, cut };
        (gated, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The handle by which a request knows and resets the connection that it came on.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    number: u64,
    reset: Arc<AtomicBool>,
}

impl Cut {
    /// The number of the connection, in the order of acceptance.
    pub(super) fn connection(&self) -> u64 {
        self.number
    }

    /// The next byte to be sent on the connection resets it instead.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().cut.clone()
    }
}

/// A connection whose outgoing bytes wait while the server is frozen.
pub(super) struct Gated {
    stream: TcpStream,
    freeze: Option<(Freeze, Clock)>,
    thaw: Option<Pin<Box<Sleep>>>,
    cut: Cut,
}

impl Gated {
    /// Ready as soon as bytes may leave; an error once the connection is to be reset.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some((freeze, clock)) = self.freeze
            && let Some(thaw) = freeze.thaw_after(clock.elapsed())
        {
            let soon = clock.instant(thaw.saturating_sub(TIMER_GRAIN));
            let timer = self.thaw.get_or_insert_with(|| Box::pin(sleep_until(soon)));
            if timer.deadline() != soon {
                timer.as_mut().reset(soon);
            }
            ready!(timer.as_mut().poll(context));
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.cut.reset.load(Ordering::Relaxed) {
            // Without lingering, closing sends RST, not FIN.
            self.stream.set_zero_linger()?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
