//! An open stream to the server, by TCP or a unix socket, and what requests on it carry.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::credentials::Credentials;
use super::stamped::{Received, Stamped};
use super::tls::Tcp;

/// A stream to the server.
pub(super) struct Stream {
    pub(super) io: Io,
    /// What requests carry, if they carry anything.
    pub(super) credentials: Option<Arc<Credentials>>,
    /// Whether HTTP/2 is spoken on it, and then the scheme of its requests.
    pub(super) http2: Option<Scheme>,
}

/// Where the bytes go.
pub(super) enum Io {
    /// By TCP, encrypted or not.
    Tcp(Box<TokioIo<Tcp>>),
    /// By TCP as it is, where the system stamps what it receives.
    Stamped(Box<Stamped>),
    /// Within this machine.
    Unix(UnixStream),
}

impl Received for Io {
    fn received(&self) -> Option<u64> {
        match self {
            Self::Stamped(stream) => stream.received(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    fn poll_now(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        match self {
            Self::Stamped(stream) => stream.poll_now(buf),
            Self::Tcp(_) | Self::Unix(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Stamped(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Stamped(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Stamped(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Stamped(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
