//! How the target is reached: headers, certificates, HTTP version. It holds where secrets are, never what they are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::{Faults, as_text};
use crate::mcp::Target;
use crate::secret::{MASK, Secret};
use crate::time::{format_duration, serde_duration};

/// The checked way to the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Headers of every request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// The file with the bearer token of every request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<String>,
    /// The PEM file with the only authorities that are trusted, in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<String>,
    /// The PEM file with the certificate that is shown to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// The PEM file with its key; without one the key is in the certificate's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// Whether any certificate of the server is accepted.
    pub insecure: bool,
    /// Whether HTTP/2 is spoken: agreed on over https, taken for granted over http.
    pub http2: bool,
    /// Whether each call opens a connection of its own.
    pub per_call: bool,
    /// How long connecting may take.
    #[serde(with = "serde_duration")]
    pub connect_timeout: Duration,
}

/// The longest that connecting may take where nobody says otherwise, and where calls may take as long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Nothing connects faster.
const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Connection {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            bearer_token_file: None,
            ca_cert: None,
            client_cert: None,
            client_key: None,
            insecure: false,
            http2: false,
            per_call: false,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// A header of every request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Where its value comes from.
    #[serde(rename = "from", with = "as_text")]
    pub value: Source,
}

/// Where a header's value comes from. Printed and stored, a value that was given is masked.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It was given as it stands.
    Given(Secret),
    /// The content of this file.
    File(String),
    /// The value of this environment variable.
    Env(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str(MASK),
            Self::File(path) => write!(f, "@{path}"),
            Self::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text.strip_prefix('@'), text.strip_prefix("env:")) {
            (Some(path), _) => Self::File(path.to_owned()),
            (_, Some(name)) => Self::Env(name.to_owned()),
            _ => Self::Given(Secret::from(text.to_owned())),
        })
    }
}

/// The way to the target as written.
#[derive(Clone, Debug, Default)]
pub struct ConnectionDraft {
    /// Names and values of headers, a value as `@FILE`, `env:VAR` or as it stands.
    pub headers: Vec<(String, Secret)>,
    /// See [`Connection::bearer_token_file`].
    pub bearer_token_file: Option<String>,
    /// See [`Connection::ca_cert`].
    pub ca_cert: Option<String>,
    /// See [`Connection::client_cert`].
    pub client_cert: Option<String>,
    /// See [`Connection::client_key`].
    pub client_key: Option<String>,
    /// See [`Connection::insecure`].
    pub insecure: Option<bool>,
    /// See [`Connection::http2`].
    pub http2: Option<bool>,
    /// See [`Connection::per_call`].
    pub per_call: Option<bool>,
    /// See [`Connection::connect_timeout`].
    pub connect_timeout: Option<Duration>,
}

impl ConnectionDraft {
    /// What `self` says, and what `base` says where `self` is silent; headers by name, and either way to say who calls.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        let is_said = |name: &str| self.headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
        let brings_token = self.bearer_token_file.is_some();
        let kept = base.headers.into_iter().filter(|(name, _)| !is_said(name));
        let kept: Vec<_> =
            kept.filter(|(name, _)| !(brings_token && name.eq_ignore_ascii_case("authorization"))).collect();
        let base_token = base.bearer_token_file.filter(|_| !is_said("authorization"));
        // A certificate and its key belong together.
        let own_identity = self.client_cert.is_some();
        Self {
            bearer_token_file: self.bearer_token_file.or(base_token),
            headers: [self.headers, kept].concat(),
            ca_cert: self.ca_cert.or(base.ca_cert),
            client_cert: self.client_cert.or(base.client_cert),
            client_key: self.client_key.or(base.client_key.filter(|_| !own_identity)),
            insecure: self.insecure.or(base.insecure),
            http2: self.http2.or(base.http2),
            per_call: self.per_call.or(base.per_call),
            connect_timeout: self.connect_timeout.or(base.connect_timeout),
        }
    }

    /// The way to `target`, calls to which may take `timeout`; what is wrong with it is noted.
    pub(super) fn check(self, target: Option<&Target>, timeout: Duration, faults: &mut Faults) -> Connection {
        let mut headers: Vec<Header> = Vec::new();
        for (name, value) in self.headers {
            match header(&name, &value) {
                Ok(header) if headers.iter().any(|known| known.name == header.name) => {
                    faults.note(format_args!("header `{name}` is there twice: give it once"));
                }
                Ok(header) => headers.push(header),
                Err(why) => faults.note(why),
            }
        }
        if self.bearer_token_file.is_some() && headers.iter().any(|header| header.name == "authorization") {
            faults.note("a bearer token and a header Authorization say who calls: give one of the two");
        }
        if self.client_key.is_some() && self.client_cert.is_none() {
            faults.note("a client key without a certificate: give --client-cert with it");
        }
        if self.insecure == Some(true) && self.ca_cert.is_some() {
            faults.note("--insecure accepts what --ca-cert would refuse: give one of the two");
        }
        let of_tls = [
            ("--ca-cert", self.ca_cert.is_some()),
            ("--client-cert", self.client_cert.is_some()),
            ("--insecure", self.insecure == Some(true)),
        ];
        for (flag, _) in of_tls.into_iter().filter(|(_, given)| *given && target.is_some_and(|t| !t.is_https())) {
            faults.note(format_args!("{flag} is about https, which the target does not speak: give an https:// URL"));
        }
        let connect_timeout = self.connect_timeout.unwrap_or(CONNECT_TIMEOUT.min(timeout));
        if connect_timeout < SHORTEST && timeout >= SHORTEST {
            let given = format_duration(connect_timeout);
            faults.note(format_args!("a connect timeout of {given} lets nothing connect: give at least 1ms"));
        }
        Connection {
            headers,
            bearer_token_file: self.bearer_token_file,
            ca_cert: self.ca_cert,
            client_cert: self.client_cert,
            client_key: self.client_key,
            insecure: self.insecure.unwrap_or_default(),
            http2: self.http2.unwrap_or_default(),
            per_call: self.per_call.unwrap_or_default(),
            connect_timeout,
        }
    }
}

/// Headers that mcpace writes itself, as the protocol wants them.
const OWN: [&str; 15] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads one header; a fault names the header, never the value.
fn header(name: &str, value: &Secret) -> Result<Header, String> {
    let lower = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header: write NAME=VALUE, NAME=@FILE or NAME=env:VAR"))?;
    let lower = lower.as_str();
    if OWN.contains(&lower) || lower.starts_with("mcp-") {
        return Err(format!(
            "header `{name}` belongs to the protocol, and mcpace sets it as the protocol wants: leave it out"
        ));
    }
    if lower == "origin" {
        return Err("header `Origin` says that a browser calls, which servers guard against: leave it out".to_owned());
    }
    let Ok(value) = value.expose().parse::<Source>();
    match &value {
        Source::Given(_) if is_sensitive(lower) => {
            return Err(format!(
                "the value of header `{name}` would show in the process list or the plan: give {name}=@FILE or {name}=env:VAR"
            ));
        }
        Source::Given(value) if http::HeaderValue::from_str(value.expose()).is_err() => {
            return Err(format!("the value of header `{name}` has characters that no header may have"));
        }
        Source::File(place) | Source::Env(place) if place.is_empty() => {
            return Err(format!(
                "the value of header `{name}` comes from nowhere: give {name}=@FILE or {name}=env:VAR"
            ));
        }
        _ => {}
    }
    Ok(Header { name: lower.to_owned(), value })
}

/// Whether a header of this name mostly holds what nobody else should know.
fn is_sensitive(name: &str) -> bool {
    ["auth", "token", "secret", "key", "cookie", "password", "credential"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(headers: &[(&str, &str)]) -> ConnectionDraft {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::from((*value).to_owned())));
        ConnectionDraft { headers: headers.collect(), ..ConnectionDraft::default() }
    }

    fn check(draft: ConnectionDraft) -> (Connection, Vec<String>) {
        let mut faults = Faults::default();
        let target = "http://localhost:8000".parse().unwrap();
        (draft.check(Some(&target), Duration::from_secs(30), &mut faults), faults.0)
    }

    #[test]
    fn a_value_that_was_given_is_sent_and_not_stored_and_places_are() {
        let (connection, faults) = check(draft(&[
            ("X-Tenant", "acme-77"),
            ("Authorization", "env:TOKEN"),
            ("Cookie", "@jar"),
            ("Host", "a:1"),
        ]));
        assert_eq!(faults, [""; 0]);
        assert_eq!(connection.headers[0].value, Source::Given(Secret::from("acme-77".to_owned())));
        let stored = serde_json::to_string(&connection).unwrap();
        assert!(
            stored.contains(r#"{"name":"x-tenant","from":"***"},{"name":"authorization","from":"env:TOKEN"}"#),
            "{stored}"
        );
        assert!(!stored.contains("acme") && !format!("{connection:?}").contains("acme"));
        let again: Connection = serde_json::from_str(&stored).unwrap();
        assert_eq!(again.headers[1..3], connection.headers[1..3]);
        assert_eq!(serde_json::from_str::<Connection>("{}").unwrap(), Connection::default());
    }

    #[test]
    fn a_literal_secret_and_a_header_of_the_protocol_are_refused_without_the_value() {
        for (name, value, what) in [
            ("Authorization", "Bearer s3cret", "Authorization=env:VAR"),
            ("X-Api-Key", "s3cret", "process list"),
            ("cookie", "s3cret", "process list"),
            ("Content-Length", "s3cret", "belongs to the protocol"),
            ("Mcp-Session-Id", "s3cret", "belongs to the protocol"),
            ("Origin", "s3cret", "browser"),
            ("X Y", "s3cret", "no name of a header"),
            ("X-Name", "s3cret\n", "no header may have"),
            ("Authorization", "env:", "from nowhere"),
        ] {
            let (_, faults) = check(draft(&[(name, value)]));
            assert!(faults.len() == 1 && faults[0].contains(what), "{name}: {faults:?}");
            assert!(!faults[0].contains("s3cret"), "{faults:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused_all_at_once() {
        let draft = ConnectionDraft {
            bearer_token_file: Some("token".into()),
            ca_cert: Some("ca.pem".into()),
            client_key: Some("key.pem".into()),
            insecure: Some(true),
            connect_timeout: Some(Duration::ZERO),
            ..draft(&[("authorization", "@a"), ("X-A", "1"), ("x-a", "2")])
        };
        let faults = check(draft).1.join("\n");
        for what in [
            "x-a` is there twice",
            "who calls",
            "client key without",
            "would refuse",
            "--ca-cert is about https",
            "1ms",
        ] {
            assert!(faults.contains(what), "{what} in {faults}");
        }
    }

    #[test]
    fn flags_beat_the_file_by_name_and_one_who_calls_beats_the_other() {
        let file =
            ConnectionDraft { client_key: Some("old.key".into()), ..draft(&[("X-A", "1"), ("Authorization", "@a")]) };
        let flags = ConnectionDraft {
            bearer_token_file: Some("token".into()),
            client_cert: Some("new.pem".into()),
            ..draft(&[("x-a", "2")])
        };
        let both = flags.over(file);
        assert_eq!(both.headers.len(), 1);
        assert_eq!((both.headers[0].1.expose(), both.client_key), ("2", None));
        let token = ConnectionDraft { bearer_token_file: Some("token".into()), ..ConnectionDraft::default() };
        assert_eq!(draft(&[("Authorization", "@a")]).over(token).bearer_token_file, None);
    }

    #[test]
    fn connecting_may_take_as_long_as_a_call_and_ten_seconds_at_most() {
        let of = |timeout| ConnectionDraft::default().check(None, timeout, &mut Faults::default()).connect_timeout;
        assert_eq!(of(Duration::from_secs(3)), Duration::from_secs(3));
        assert_eq!(of(Duration::from_secs(30)), Duration::from_secs(10));
    }
}
