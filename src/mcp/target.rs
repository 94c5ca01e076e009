//! The address under test, parsed once and safe to print.

use std::fmt;
use std::str::FromStr;

use http::uri::{Authority, PathAndQuery, Scheme, Uri};

/// The path of a URL that has none.
const DEFAULT_PATH: &str = "/mcp";

/// The address of an MCP endpoint: http or https, a host, perhaps a port, a path. It never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Uri);

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
    /// The whole URL.
    pub const fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Host and port as written: the value of the `Host` header.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", Authority::as_str)
    }

    /// Path and query: what the request line asks for.
    pub fn path_and_query(&self) -> &str {
        self.0.path_and_query().map_or(DEFAULT_PATH, PathAndQuery::as_str)
    }
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bad = |reason| BadTarget { value: masked(text), reason };
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
            Some(_) => Ok(Self(uri)),
            None => Err(bad("it names no host")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whether something stands where a port should, and is none.
fn has_bad_port(authority: &Authority) -> bool {
    let after_host = &authority.as_str()[authority.host().len()..];
    !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

/// `text` with whatever may be a user name and password replaced.
fn masked(text: &str) -> String {
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
            ("HTTP://[::1]:8000/a/b?c=d", "http://[::1]:8000/a/b?c=d"),
            ("http://localhost:8000?key=1", "http://localhost:8000/mcp?key=1"),
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
    fn credentials_are_refused_and_not_repeated() {
        let error = "https://alice:s3cret@host/mcp".parse::<Target>().unwrap_err();
        assert_eq!(error.value, "https://***@host/mcp");
        assert!(!error.to_string().contains("s3cret"));
    }
}
