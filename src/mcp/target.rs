//! The address under test, parsed once and safe to print.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};

use crate::secret::MASK;

/// The path of a URL that has none.
const DEFAULT_PATH: &str = "/mcp";

/// The address of an MCP endpoint: http or https, a host, perhaps a port, a path; or a socket of this machine and a path.
/// Printed, the values of its query are masked: they may be keys.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    uri: Uri,
    socket: Option<Box<str>>,
}

/// A text that is no address of an MCP endpoint. The value shown has any credentials masked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use `{value}` as the target: {reason}")]
pub struct BadTarget {
    /// The text that was given, without credentials.
    pub value: String,
    /// What is wrong, and the way out.
    pub reason: &'static str,
}

impl Target {
    /// The whole URL; that of a socket names localhost.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path of the unix socket that leads there, if that is the way.
    pub fn socket(&self) -> Option<&str> {
        self.socket.as_deref()
    }

    /// What stands in the query and may be a key.
    pub fn query_values(&self) -> impl Iterator<Item = &str> {
        let parts = self.uri.query().unwrap_or_default().split('&');
        parts.map(|part| part.split_once('=').map_or(part, |(_, value)| value))
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Host and port as written: the value of the `Host` header.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", Authority::as_str)
    }

    /// Path and query: what the request line asks for.
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or(DEFAULT_PATH, PathAndQuery::as_str)
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bad = |reason| BadTarget { value: masked(text), reason };
        if let Some(socket) = text.strip_prefix("unix:") {
            return at_socket(socket).map_err(bad);
        }
        let (scheme, rest) = text.split_once("://").ok_or(bad("write it as http://localhost:8000/mcp"))?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(bad("only http:// and https:// are spoken here"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("credentials do not belong into a URL, where logs show them: leave them out"));
        }
        let path = if rest.starts_with('/') { "" } else { DEFAULT_PATH };
        let uri: Uri = format!("{scheme}://{authority}{path}{rest}").parse().map_err(|_| bad("it is no valid URL"))?;
        match uri.authority() {
            Some(authority) if authority.host().is_empty() => Err(bad("it names no host")),
            Some(authority) if authority.as_str().ends_with(':') => Err(bad("its port is empty")),
            Some(authority) if has_bad_port(authority) => Err(bad("a port is a number from 1 to 65535")),
            Some(_) => Ok(Self { uri, socket: None }),
            None => Err(bad("it names no host")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            write!(f, "unix:{socket}:{}", self.uri.path())?;
        } else {
            let scheme = if self.is_https() { "https" } else { "http" };
            write!(f, "{scheme}://{}{}", self.authority(), self.uri.path())?;
        }
        self.uri.query().map_or(Ok(()), |query| write!(f, "?{}", masked_query(query)))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// The target at a unix socket: its path, and behind a colon what is asked for there, as nginx writes it.
fn at_socket(text: &str) -> Result<Target, &'static str> {
    let (socket, path) =
        text.split_once(":/").map_or((text, DEFAULT_PATH), |(socket, _)| (socket, &text[socket.len() + 1..]));
    let socket = socket.trim_start_matches('/');
    if !text.starts_with('/') || socket.is_empty() {
        return Err("write a socket as unix:/path/to.sock or unix:/path/to.sock:/mcp");
    }
    let uri = format!("http://localhost{path}").parse().map_err(|_| "what follows its socket is no valid path")?;
    Ok(Target { uri, socket: Some(format!("/{socket}").into()) })
}

/// A query with what may be a key masked.
fn masked_query(query: &str) -> String {
    let part = |part: &str| part.split_once('=').map_or(MASK.to_owned(), |(name, _)| format!("{name}={MASK}"));
    query.split('&').map(part).collect::<Vec<_>>().join("&")
}

/// Whether something stands where a port should, and is none.
fn has_bad_port(authority: &Authority) -> bool {
    let after_host = &authority.as_str()[authority.host().len()..];
    !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

/// `text` with whatever may be a user name, password or key replaced.
fn masked(text: &str) -> String {
    if let Some((before, query)) = text.split_once('?') {
        let (query, fragment) = query.split_once('#').map_or((query, None), |(query, rest)| (query, Some(rest)));
        let fragment = fragment.map_or("", |_| "#…");
        return format!("{}?{}{fragment}", masked(before), masked_query(query));
    }
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    match text[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_the_usual_one_and_others_keep_theirs() {
        for (given, url) in [
            ("http://localhost:8000", "http://localhost:8000/mcp"),
            (" https://pay.example.com ", "https://pay.example.com/mcp"),
            ("http://localhost:8000/", "http://localhost:8000/"),
            ("HTTP://[::1]:8000/a/b?c=d", "http://[::1]:8000/a/b?c=***"),
            ("http://localhost:8000?key=1&x", "http://localhost:8000/mcp?key=***&***"),
        ] {
            assert_eq!(given.parse::<Target>().map(|t| t.to_string()), Ok(url.to_owned()), "{given}");
        }
        let target: Target = "https://pay.example.com:8443/x?y".parse().unwrap();
        assert!(target.is_https());
        assert_eq!((target.authority(), target.path_and_query()), ("pay.example.com:8443", "/x?y"));
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_value_and_the_way_out() {
        for (given, reason) in [
            ("localhost:8000", "write it as"),
            ("", "write it as"),
            ("ftp://localhost", "only http"),
            ("http://", "no"),
            ("http://:80", "no"),
            ("http://host:", "port"),
            ("http://host:99999", "a port is"),
            ("http://host:0", "a port is"),
            ("http://ho st/", "no valid URL"),
        ] {
            let error = given.parse::<Target>().unwrap_err();
            assert!(error.reason.contains(reason), "{given}: {error}");
            assert_eq!(error.value, given);
        }
    }

    #[test]
    fn a_socket_is_a_path_and_what_is_asked_for_there() {
        for (given, socket, path, shown) in [
            ("unix:/run/mcp.sock", "/run/mcp.sock", "/mcp", "unix:/run/mcp.sock:/mcp"),
            ("unix:///run/mcp.sock", "/run/mcp.sock", "/mcp", "unix:/run/mcp.sock:/mcp"),
            (
                "unix:/run/a:b.sock:/v1/mcp?key=tok",
                "/run/a:b.sock",
                "/v1/mcp?key=tok",
                "unix:/run/a:b.sock:/v1/mcp?key=***",
            ),
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!((target.socket(), target.path_and_query()), (Some(socket), path));
            assert_eq!((target.authority(), target.to_string().as_str()), ("localhost", shown));
            assert_eq!(shown.parse::<Target>().unwrap().to_string(), shown);
        }
        for bad in ["unix:", "unix:mcp.sock", "unix:/", "unix:///", "unix:/a.sock:/ b"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_sent_as_it_is_and_shown_masked() {
        let target: Target = "https://pay.example.com/mcp?key=tok-123&tok-456".parse().unwrap();
        assert_eq!(target.path_and_query(), "/mcp?key=tok-123&tok-456");
        assert_eq!(target.query_values().collect::<Vec<_>>(), ["tok-123", "tok-456"]);
        assert_eq!(format!("{target} {target:?}").matches("tok").count(), 0);
        let error = "ftp://u:pw@host/mcp?key=tok-123#tok".parse::<Target>().unwrap_err();
        assert_eq!(error.value, "ftp://***@host/mcp?key=***#…");
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        let error = "https://alice:s3cret@host/mcp".parse::<Target>().unwrap_err();
        assert_eq!(error.value, "https://***@host/mcp");
        assert!(!error.to_string().contains("s3cret"));
    }
}
