//! https, through the system's trust as `SSL_CERT_FILE` names it: a good certificate works, any other is told as such.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use common::{Load, Server, finish, mcpace};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// A private certificate authority whose certificate is in a file.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // Each a name of its own: certificates are looked up by it.
        let name = format!("authority {}", folder.path().display());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What a server with this name needs to be believed.
    fn config(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let builder = builder.expect("versions of TLS").with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).expect("a configuration"))
    }
}

/// Takes TLS off and passes everything on to a plain server, as long as this value lives.
struct Terminator {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<usize>>,
}

impl Terminator {
    fn start(config: Arc<ServerConfig>, plain: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let (end, mut ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let acceptor = TlsAcceptor::from(config);
                let mut accepted = 0;
                loop {
                    let (stream, _) = tokio::select! {
                        next = listener.accept() => next.expect("a connection"),
                        _ = &mut ended => return accepted,
                    };
                    accepted += 1;
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        stream.set_nodelay(true)?;
                        let mut outside = acceptor.accept(stream).await?;
                        let mut inside = TcpStream::connect(plain).await?;
                        inside.set_nodelay(true)?;
                        copy_bidirectional(&mut outside, &mut inside).await
                    });
                }
            })
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/mcp", self.address.port())
    }

    /// Ends it; how many connections came.
    fn end(mut self) -> usize {
        drop(self.end.take());
        self.thread.take().map_or(0, |thread| thread.join().expect("no panic"))
    }
}

fn plain_address(server: &Server) -> SocketAddr {
    let address = server.url.trim_start_matches("http://").trim_end_matches("/mcp");
    address.parse().expect("an address")
}

#[test]
fn calls_go_over_tls_where_the_authority_is_trusted() {
    let server = Server::start("");
    let authority = Authority::new();
    let terminator = Terminator::start(authority.config("localhost"), plain_address(&server));
    let load = Load::on(&terminator.url("localhost"), "--mixed --rate 100 --total 60").promising("error_rate < 0.1%");
    let loaded = load.trusting(&authority.file()).run();
    loaded.exited(0).all_ok(60);
    assert!(loaded.ended.out.contains("https://localhost:"), "{}", loaded.ended.out);
    let connections = terminator.end();
    assert!(connections > 0, "the calls took another way");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = Server::start("");
    let terminator = Terminator::start(Authority::new().config("localhost"), plain_address(&server));
    let other = Authority::new();
    let mut command = mcpace();
    command.args(["run", &terminator.url("localhost"), "--metrics", "off"]).env("SSL_CERT_FILE", other.file());
    finish(command).assert_refused(5, &["failed to reach https://localhost:", "TLS", "UnknownIssuer", "SSL_CERT_FILE"]);
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let server = Server::start("");
    let authority = Authority::new();
    let terminator = Terminator::start(authority.config("payments.example"), plain_address(&server));
    let mut command = mcpace();
    command.args(["run", &terminator.url("localhost"), "--metrics", "off"]).env("SSL_CERT_FILE", authority.file());
    finish(command).assert_refused(5, &["TLS", "not valid for name \"localhost\"", "SSL_CERT_FILE"]);
}

#[test]
fn https_to_a_plain_port_and_http_to_a_port_of_tls_are_told() {
    let server = Server::start("");
    let authority = Authority::new();
    let mut command = mcpace();
    let url = server.url.replacen("http:", "https:", 1);
    command.args(["run", &url, "--metrics", "off"]).env("SSL_CERT_FILE", authority.file());
    finish(command).assert_refused(5, &["TLS", "does not speak TLS"]);

    let terminator = Terminator::start(authority.config("localhost"), plain_address(&server));
    let mut command = mcpace();
    command.args(["run", &terminator.url("localhost").replacen("https:", "http:", 1), "--metrics", "off"]);
    finish(command).assert_refused(5, &["want https"]);
}

#[test]
fn an_authority_of_ones_own_is_trusted_in_place_of_the_systems_and_any_certificate_where_that_is_asked_for() {
    let server = Server::start("");
    let authority = Authority::new();
    let terminator = Terminator::start(authority.config("localhost"), plain_address(&server));
    let url = terminator.url("localhost");
    let file = authority.file().display().to_string();
    Load::on(&url, &format!("--ca-cert {file} --rate 100 --total 20")).run().exited(0).all_ok(20);
    let loaded = Load::on(&url, "--insecure --rate 100 --total 20").run();
    loaded.exited(0).all_ok(20).says("no certificate was checked");

    let other = Authority::new();
    let mut command = mcpace();
    command.args(["run", &url, "--metrics", "off", "--ca-cert"]).arg(other.file());
    // What the system trusts does not count any more.
    finish({
        command.env("SSL_CERT_FILE", authority.file());
        command
    })
    .assert_refused(5, &["UnknownIssuer", "--ca-cert"]);
    let mut command = mcpace();
    command.args(["run", &url, "--metrics", "off", "--http2", "--ca-cert", &file]);
    finish(command).assert_refused(5, &["does not offer HTTP/2", "leave out --http2"]);
}
