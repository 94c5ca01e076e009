//! From a target to a stream: TCP with or without TLS, and what it means when there is none.

use std::error::Error;
use std::io;
use std::sync::Arc;

use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::resolve::Resolver;
use crate::mcp::{EXAMPLE_CHARS, Target, cut, group_of};
use crate::outcome::Outcome;
use crate::workload::Failure;

/// A stream to the server, encrypted or not.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens streams to one target.
#[derive(Clone, Debug)]
pub struct Connector {
    target: Target,
    https: HttpsConnector<HttpConnector<Resolver>>,
    resolver: Resolver,
}

/// No stream: whose fault, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoStream {
    pub(super) outcome: Outcome,
    pub(super) failure: Failure,
}

impl Connector {
    /// A connector that trusts what the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), or Mozilla's
    /// list where the system names no roots at all. Certificates are loaded here, and for https only.
    pub fn new(target: Target) -> Self {
        let builder = config();
        let config = if target.is_https() {
            let native = builder.with_native_roots();
            native.unwrap_or_else(|_| self::config().with_webpki_roots()).with_no_client_auth()
        } else {
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        };
        Self::with_config(target, config)
    }

    /// A connector that trusts these roots and no others.
    pub fn with_roots(target: Target, roots: RootCertStore) -> Self {
        Self::with_config(target, config().with_root_certificates(roots).with_no_client_auth())
    }

    fn with_config(target: Target, config: ClientConfig) -> Self {
        let resolver = Resolver::new();
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Self { target, https: https.wrap_connector(tcp), resolver }
    }

    /// The address that streams lead to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Opens a stream; gives up only when the system does.
    pub(super) async fn connect(&self) -> Result<Stream, NoStream> {
        let mut https = self.https.clone();
        https.call(self.target.uri().clone()).await.map_err(|error| {
            self.resolver.forget();
            no_stream(&*error)
        })
    }
}

/// TLS 1.2 and 1.3 by *ring*, chosen here rather than by whichever default the process may have.
fn config() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions of TLS")
}

/// Whether the generator itself ran out of something: ports, descriptors or memory.
pub(super) fn is_local(error: &io::Error) -> bool {
    const LOCAL: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| LOCAL.iter().any(|local| local.raw_os_error() == code))
}

/// The errors behind an error, itself first. An I/O error made from another one hides it from `source()`.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

fn no_stream(error: &(dyn Error + 'static)) -> NoStream {
    let io = || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let tls = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let innermost = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let outcome = if io().any(is_local) { Outcome::NoLocalResource } else { Outcome::Unreachable };
    let group = if let Some(local) = io().find(|error| is_local(error)) {
        group_of(&local.to_string())
    } else if let Some(tls) = tls {
        tls_group(tls)
    } else if causes(error).any(|cause| cause.to_string().starts_with("dns error")) {
        "no such host".to_owned()
    } else {
        match io().find_map(known_kind) {
            Some(known) => known.to_owned(),
            None => group_of(&innermost),
        }
    };
    NoStream { outcome, failure: Failure { group, example: cut(&innermost, EXAMPLE_CHARS) } }
}

fn known_kind(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset while connecting",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable => "network unreachable",
        io::ErrorKind::TimedOut => "no answer to the connection attempt",
        io::ErrorKind::UnexpectedEof => "TLS: the server hung up during the handshake",
        _ => return None,
    })
}

fn tls_group(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => "TLS: the server does not speak TLS on this port".to_owned(),
        other => group_of(&format!("TLS: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(error: &(dyn Error + 'static)) -> (Outcome, String) {
        let none = no_stream(error);
        (none.outcome, none.failure.group)
    }

    #[test]
    fn what_the_generator_ran_out_of_is_not_the_targets_fault() {
        for (errno, outcome) in [
            (Errno::MFILE, Outcome::NoLocalResource),
            (Errno::NFILE, Outcome::NoLocalResource),
            (Errno::ADDRNOTAVAIL, Outcome::NoLocalResource),
            (Errno::NOBUFS, Outcome::NoLocalResource),
            (Errno::NOMEM, Outcome::NoLocalResource),
            (Errno::CONNREFUSED, Outcome::Unreachable),
            (Errno::CONNRESET, Outcome::Unreachable),
        ] {
            let error = io::Error::other(io::Error::from_raw_os_error(errno.raw_os_error()));
            assert_eq!(group(&error).0, outcome, "{errno:?}");
        }
    }

    #[test]
    fn a_tls_error_is_found_within_the_errors_around_it() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(group(&error), (Outcome::Unreachable, "TLS: invalid peer certificate: UnknownIssuer".to_owned()));
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert!(group(&io::Error::other(plain)).1.contains("does not speak TLS"));
    }
}
