//! The ground-truth server: it knows when each call reached this machine, and when it did not answer.
//!
//! Two threads of the runner's process: the raw one, which everything is measured against but encryption, and the
//! encrypted one. Only one of them is called at a time; both note what they receive in the same place.

mod encrypted;
mod http;
mod raw;
pub(crate) mod reply;
pub(crate) mod shared;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rustix::thread::Pid;
use shared::Shared;

/// A server that runs until the process ends.
#[derive(Debug)]
pub(crate) struct Server {
    /// Of the raw server.
    pub(crate) plain: SocketAddr,
    /// Of the encrypted one.
    pub(crate) encrypted: SocketAddr,
    /// The authority that vouches for it, as a PEM file.
    pub(crate) authority: PathBuf,
    /// Its threads.
    pub(crate) threads: [Pid; 2],
    pub(crate) shared: Arc<Shared>,
}

impl Server {
    /// Starts it; the authority's certificate goes to `folder`.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let authority = folder.join("authority.pem");
        let config = encrypted::config(&authority)?;
        let shared = Arc::new(Shared::new());
        let (plain_listener, encrypted_listener) = (raw::listen()?, raw::listen()?);
        let (plain, encrypted) = (plain_listener.local_addr()?, encrypted_listener.local_addr()?);
        let raw = raw::Raw::new(Arc::clone(&shared));
        let first = thread("raw server", move || raw.serve(&plain_listener))?;
        let theirs = Arc::clone(&shared);
        let second = thread("encrypted server", move || encrypted::serve(encrypted_listener, config, &theirs))?;
        Ok(Self { plain, encrypted, authority, threads: [first, second], shared })
    }
}

/// Starts a thread that serves for good, and says which it is.
fn thread(name: &str, serve: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<Pid> {
    let (started, id) = sync_channel(1);
    let name = name.to_owned();
    std::thread::Builder::new().name(name.clone()).spawn(move || {
        let _ = started.send(rustix::thread::gettid());
        let ended = serve();
        panic!("the {name} ended: {ended:?}");
    })?;
    id.recv().map_err(io::Error::other)
}
