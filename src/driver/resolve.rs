//! Host names, looked up once and kept for as long as connecting works.
//!
//! A look-up blocks a thread; one for each connection would compete with the lane for its processor and count as the
//! target's response time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// Resolves the one host that a connector connects to. Clones share what they know; it is asked for connections only.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    system: GaiResolver,
    known: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { system: GaiResolver::new(), known: Arc::default() }
    }

    /// Looks up anew next time: the host may have moved.
    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !known.is_empty() {
            return Box::pin(std::future::ready(Ok(known.into_iter())));
        }
        let (found, store) = (self.system.call(name), Arc::clone(&self.known));
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = found.await?.collect();
            store.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&addresses);
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_looked_up_once_until_it_is_forgotten() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut resolver = Resolver::new();
            let first: Vec<_> = resolver.call("localhost".parse().unwrap()).await.unwrap().collect();
            assert!(first.iter().all(|address| address.ip().is_loopback()) && !first.is_empty());
            // Whatever is asked now, the answer is the one that is known: a connector has one host.
            let again: Vec<_> = resolver.clone().call("no-such-host.invalid".parse().unwrap()).await.unwrap().collect();
            assert_eq!(again, first);
            resolver.forget();
            assert!(resolver.call("no-such-host.invalid".parse().unwrap()).await.is_err());
        });
    }
}
