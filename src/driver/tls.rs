//! From a target to a stream: TCP with or without TLS, or a unix socket; and what it means when there is none.

use std::error::Error;
use std::io;
use std::sync::Arc;

use http::uri::Scheme;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tower_service::Service;

use super::credentials::Credentials;
use super::resolve::Resolver;
use super::stamped::Stamped;
use super::stream::{Io, Stream};
use super::trust::{BadPem, Credulous, Identity, Trust};
use crate::mcp::{EXAMPLE_CHARS, Target, cut, group_of};
use crate::outcome::Outcome;
use crate::secret::Scrub;
use crate::workload::Failure;

/// A TCP stream to the server, encrypted or not.
pub(super) type Tcp = MaybeHttpsStream<TokioIo<TcpStream>>;

/// How streams are opened, where not as usual.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What requests carry.
    pub credentials: Credentials,
    /// Which servers are believed.
    pub trust: Trust,
    /// Who we say that we are.
    pub identity: Option<Identity>,
    /// Whether HTTP/2 is spoken: agreed on where there is TLS, else taken for granted.
    pub http2: bool,
}

/// Opens streams to one target.
#[derive(Clone, Debug)]
pub struct Connector {
    target: Target,
    https: HttpsConnector<HttpConnector<Resolver>>,
    resolver: Resolver,
    credentials: Arc<Credentials>,
    http2: bool,
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
        let config = if target.is_https() { trusting_system() } else { trusting_nobody() };
        Self::with_config(target, config.with_no_client_auth(), Credentials::default(), false)
    }

    /// A connector with options.
    ///
    /// # Errors
    /// A certificate or key cannot be used.
    pub fn with(target: Target, options: Options) -> Result<Self, BadPem> {
        let trust = if target.is_https() { options.trust } else { Trust::Nobody };
        let config = trusting(trust)?;
        let config = match options.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (certificates, key) = identity.read()?;
                config
                    .with_client_auth_cert(certificates, key)
                    .map_err(|why| BadPem::Mismatch { path: identity.certificate.path, why: why.to_string() })?
            }
        };
        Ok(Self::with_config(target, config, options.credentials, options.http2))
    }

    /// A connector that trusts these roots and no others.
    pub fn with_roots(target: Target, roots: RootCertStore) -> Self {
        let config = config().with_root_certificates(roots).with_no_client_auth();
        Self::with_config(target, config, Credentials::default(), false)
    }

    fn with_config(target: Target, config: ClientConfig, credentials: Credentials, shares: bool) -> Self {
        let resolver = Resolver::new();
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        let https = if shares {
            builder.enable_http2().wrap_connector(tcp)
        } else {
            builder.enable_http1().wrap_connector(tcp)
        };
        Self { target, https, resolver, credentials: Arc::new(credentials), http2: shares }
    }

    /// The address that streams lead to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Whether calls share connections.
    pub(super) const fn shares(&self) -> bool {
        self.http2
    }

    /// What takes secrets out of whatever the server says.
    pub fn scrub(&self) -> &Scrub {
        self.credentials.scrub()
    }

    /// Opens a stream; gives up only when the system does.
    pub(super) async fn connect(&self) -> Result<Stream, NoStream> {
        let io = if let Some(socket) = self.target.socket() {
            Io::Unix(UnixStream::connect(socket).await.map_err(|error| no_stream(&error))?)
        } else {
            let mut https = self.https.clone();
            let stream = https.call(self.target.uri().clone()).await.map_err(|error| {
                self.resolver.forget();
                no_stream(&*error)
            })?;
            if self.http2 && !agreed_on_http2(&stream) {
                return Err(no_http2());
            }
            plain_or_not(stream)
        };
        let credentials = (!self.credentials.is_empty()).then(|| Arc::clone(&self.credentials));
        let http2 = self.http2.then(|| self.target.uri().scheme().cloned().unwrap_or(Scheme::HTTP));
        Ok(Stream { io, credentials, http2 })
    }
}

/// The stream, with stamps where it is not encrypted and the system stamps.
fn plain_or_not(stream: Tcp) -> Io {
    match stream {
        MaybeHttpsStream::Http(plain) => match Stamped::new(plain.into_inner()) {
            Ok(stamped) => Io::Stamped(Box::new(stamped)),
            Err(plain) => Io::Tcp(Box::new(TokioIo::new(MaybeHttpsStream::Http(TokioIo::new(plain))))),
        },
        encrypted @ MaybeHttpsStream::Https(_) => Io::Tcp(Box::new(TokioIo::new(encrypted))),
    }
}

/// Whether a server that may choose has chosen HTTP/2.
fn agreed_on_http2(stream: &Tcp) -> bool {
    match stream {
        MaybeHttpsStream::Http(_) => true,
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().1.alpn_protocol() == Some(b"h2"),
    }
}

fn no_http2() -> NoStream {
    let group = "the server does not offer HTTP/2 by ALPN: leave out --http2, or enable it there".to_owned();
    NoStream { outcome: Outcome::Unreachable, failure: Failure { example: group.clone(), group } }
}

/// A configuration of TLS that knows whom to believe, and not yet who we are.
type Trusting = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn trusting_system() -> Trusting {
    config().with_native_roots().unwrap_or_else(|_| config().with_webpki_roots())
}

fn trusting_nobody() -> Trusting {
    config().with_root_certificates(RootCertStore::empty())
}

/// A configuration of TLS that believes the servers it shall believe.
fn trusting(trust: Trust) -> Result<Trusting, BadPem> {
    Ok(match trust {
        Trust::System => trusting_system(),
        Trust::Only(pem) => config().with_root_certificates(pem.roots()?),
        Trust::Nobody => trusting_nobody(),
        Trust::Anybody => {
            let builder = config();
            let credulous = Credulous(Arc::clone(builder.crypto_provider()));
            builder.dangerous().with_custom_certificate_verifier(Arc::new(credulous))
        }
    })
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
    if let Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) = tls {
        return no_http2();
    }
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
        io::ErrorKind::NotFound => "no such socket",
        io::ErrorKind::PermissionDenied => "no permission to connect",
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
