//! The flags of the way to the target, and the files and variables that its secrets come from.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use super::exit::Failure;
use crate::driver::{Connector, Credentials, Identity, Options, Pem, Trust};
use crate::mcp::Target;
use crate::plan::{Connection, ConnectionDraft, Source};
use crate::secret::Secret;
use crate::time::parse_duration;

/// How the target is reached.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ConnectionArgs {
    /// A header of every request, repeatable: NAME=VALUE, NAME=@FILE, NAME=env:VAR (secrets by the last two only).
    #[arg(long = "header", value_name = "NAME=VALUE", help_heading = "Connection")]
    headers: Vec<Secret>,
    /// Send the token in this file as `Authorization: Bearer`; it is read once, at the start.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    bearer_token_file: Option<String>,
    /// Trust the authorities in this PEM file, and no others.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    ca_cert: Option<String>,
    /// Show the server the certificate in this PEM file.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    client_cert: Option<String>,
    /// The key of that certificate, where it is not in the same file.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    client_key: Option<String>,
    /// Accept any certificate: whoever is in between can read and change everything.
    #[arg(long, help_heading = "Connection")]
    insecure: bool,
    /// Speak HTTP/2: agreed on by ALPN over https, without asking over http; calls share connections.
    #[arg(long, help_heading = "Connection")]
    http2: bool,
    /// Open a new connection for each call.
    #[arg(long, help_heading = "Connection")]
    connect_per_call: bool,
    /// How long connecting may take [default: that of a call, at most 10s].
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Connection")]
    connect_timeout: Option<Duration>,
}

impl ConnectionArgs {
    /// What the flags say.
    pub(super) fn draft(&self) -> ConnectionDraft {
        let header = |header: &Secret| match header.expose().split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Secret::from(value.to_owned())),
            // Without a value even the name may be a secret: it is not repeated.
            None => (String::new(), Secret::default()),
        };
        ConnectionDraft {
            headers: self.headers.iter().map(header).collect(),
            bearer_token_file: self.bearer_token_file.clone(),
            ca_cert: self.ca_cert.clone(),
            client_cert: self.client_cert.clone(),
            client_key: self.client_key.clone(),
            insecure: self.insecure.then_some(true),
            http2: self.http2.then_some(true),
            per_call: self.connect_per_call.then_some(true),
            connect_timeout: self.connect_timeout,
        }
    }
}

/// The connector of a plan, with everything read that it needs.
pub(super) fn connector(target: &Target, connection: &Connection) -> Result<Connector, Failure> {
    let options = options(target, connection).map_err(|why| Failure::usage(anyhow!("failed to {why}")))?;
    Connector::with(target.clone(), options).map_err(|why| Failure::usage(anyhow!("failed to {why}")))
}

fn options(target: &Target, connection: &Connection) -> Result<Options, String> {
    let (mut open, mut secret) = (Vec::new(), Vec::new());
    for header in &connection.headers {
        let name = &header.name;
        match &header.value {
            Source::Given(value) => open.push((name.clone(), value.clone())),
            Source::File(path) => secret.push((name.clone(), value_in(path, &format!("header `{name}`"))?)),
            Source::Env(variable) => {
                let value = std::env::var(variable).map_err(|_| {
                    format!("read header `{name}`: the variable {variable} is not set, or is no text: export it")
                })?;
                secret.push((name.clone(), Secret::from(trimmed(value))));
            }
        }
    }
    if let Some(path) = &connection.bearer_token_file {
        let token = value_in(path, "the bearer token")?;
        if token.expose().is_empty() {
            return Err(format!("read the bearer token: `{path}` is empty: put the token into it"));
        }
        secret.push(("authorization".to_owned(), Secret::from(format!("Bearer {}", token.expose()))));
    }
    let keys: Vec<Secret> = target.query_values().map(|value| Secret::from(value.to_owned())).collect();
    let pem = |path: &String, what| read(path, what).map(|bytes| Pem { path: path.clone(), bytes });
    let trust = match &connection.ca_cert {
        _ if connection.insecure => Trust::Anybody,
        Some(path) => Trust::Only(pem(path, "the authorities")?),
        None => Trust::System,
    };
    let identity = match &connection.client_cert {
        None => None,
        Some(path) => Some(Identity {
            certificate: pem(path, "the client certificate")?,
            key: connection.client_key.as_ref().map(|path| pem(path, "the client key")).transpose()?,
        }),
    };
    let credentials = Credentials::new(&open, &secret, &keys).map_err(|why| why.to_string())?;
    Ok(Options { credentials, trust, identity, http2: connection.http2 })
}

/// The most bytes of a file with a secret or certificates.
const MOST_BYTES: u64 = 4 << 20;

fn read(path: &str, what: &str) -> Result<Vec<u8>, String> {
    super::files::read_bounded(Path::new(path), MOST_BYTES)
        .map_err(|why| format!("read {what} in `{path}`: {why}: give a file that you may read"))
}

fn value_in(path: &str, what: &str) -> Result<Secret, String> {
    let bytes = read(path, what)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("read {what} in `{path}`: it is no text"))?;
    Ok(Secret::from(trimmed(text)))
}

/// A value without the line break that editors and `echo` put behind it.
fn trimmed(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_no_part_of_a_value() {
        for (text, value) in [("tok\n", "tok"), ("tok\r\n", "tok"), ("tok\n\n", "tok\n"), ("tok ", "tok ")] {
            assert_eq!(trimmed(text.to_owned()), value);
        }
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_what_cannot_be_read_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token").display().to_string();
        std::fs::write(&path, "tok-123456\n").unwrap();
        let target: Target = "http://localhost/mcp?key=query-key".parse().unwrap();
        let of = |path: &str| Connection { bearer_token_file: Some(path.to_owned()), ..Connection::default() };
        let options = options(&target, &of(&path)).unwrap();
        assert_eq!(options.credentials.scrub().text("Bearer tok-123456, query-key"), "***, ***");
        for (content, what) in [("", "is empty"), ("a\nb", "no header may have")] {
            std::fs::write(&path, content).unwrap();
            let error = self::options(&target, &of(&path)).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let error = self::options(&target, &of("/no/such")).unwrap_err();
        assert!(error.contains("/no/such") && error.contains("bearer token"), "{error}");
        let header = crate::plan::Header { name: "x-a".into(), value: Source::Env("MCPACE_NO_SUCH".into()) };
        let error = self::options(&target, &Connection { headers: vec![header], ..Connection::default() }).unwrap_err();
        assert!(error.contains("`x-a`") && error.contains("MCPACE_NO_SUCH"), "{error}");
    }
}
