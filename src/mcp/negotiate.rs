//! What client and server agreed on before the first call, and how the server's answers lead there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::{Revision, Tool, cut};

/// The most characters of a server's own words in a message of ours.
const MOST_WORDS: usize = 60;

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Find out what the server speaks: the newest revision first, then a handshake, then no handshake.
    #[default]
    Auto,
    /// This revision and no other.
    Revision(Revision),
    /// JSON-RPC without any handshake.
    Plain,
}

/// No protocol has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol `{0}` is not known here: give auto, 2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26 or plain")]
pub struct UnknownProtocol(pub String);

/// What was agreed on: all that a driver needs to know of the handshake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Negotiated {
    /// The revision spoken; `None` without a handshake.
    pub revision: Option<Revision>,
    /// The session that every request names, where the server opened one.
    pub session: Option<String>,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// Its tools; `None` where it would not list them or was not asked.
    pub tools: Option<Vec<Tool>>,
    /// What the reader of a report should know about the server's manners.
    pub warnings: Vec<String>,
}

/// A server's answer to `initialize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The revision to go on with.
    pub revision: Revision,
    /// Whether that is the one the server named, and not a makeshift for one that nobody knows.
    pub is_known: bool,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// What is odd about the answer.
    pub warnings: Vec<String>,
}

/// An answer to `initialize` that names no protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer to initialize names no protocolVersion")]
pub struct NotAnIntroduction;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
    #[serde(default)]
    server_info: serde_json::Value,
}

impl Negotiated {
    /// The value of the `MCP-Protocol-Version` header, where requests carry one.
    pub fn version_header(&self) -> Option<&'static str> {
        self.revision.filter(|r| r.has_version_header()).map(Revision::name)
    }
}

/// Reads the result of `initialize`.
///
/// A version that is no revision known here (`2024.1` is in use) is no reason to give up: the conversation goes on in the
/// manner of 2025-03-26, with a warning. That revision knows no `MCP-Protocol-Version` header, so that none is sent: by
/// the specification a server takes its absence for 2025-03-26, whereas one with an unknown value may be refused.
///
/// # Errors
/// The result names no protocol version.
pub fn read_introduction(result: &str, offered: Revision) -> Result<Introduction, NotAnIntroduction> {
    let answer: InitializeResult<'_> = serde_json::from_str(result).map_err(|_| NotAnIntroduction)?;
    let version = cut(&answer.protocol_version, MOST_WORDS);
    let mut warnings = Vec::new();
    let revision = match version.parse::<Revision>() {
        Ok(revision) if revision.is_modern() => {
            // A revision without initialize in an answer to initialize: the server means the last one that has it.
            Revision::NEWEST_WITH_HANDSHAKE
        }
        Ok(revision) => revision,
        Err(_) => {
            let manner = Revision::V2025_03_26;
            warnings.push(format!(
                "the server speaks version `{version}`, which is no known MCP revision: going on as {manner}"
            ));
            manner
        }
    };
    if warnings.is_empty() && revision != offered {
        warnings.push(format!("the server answered an offer of {offered} with {revision}: going on with that"));
    }
    let is_known = version.parse::<Revision>().is_ok();
    Ok(Introduction { revision, is_known, server_name: name_of(&answer.server_info), warnings })
}

/// The name in a server's description of itself.
pub(super) fn name_of(server_info: &serde_json::Value) -> Option<String> {
    server_info.get("name").and_then(|name| name.as_str()).map(|name| cut(name, MOST_WORDS))
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Revision(revision) => revision.name(),
            Self::Plain => "plain",
        })
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            _ => text.parse().map(Self::Revision).map_err(|_| UnknownProtocol(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_that_the_server_names_is_the_one_to_go_on_with() {
        let read = |result| read_introduction(result, Revision::NEWEST_WITH_HANDSHAKE);
        let known =
            read(r#"{"capabilities":{},"protocolVersion":"2025-11-25","serverInfo":{"name":"pay","version":"1"}}"#);
        let expected = Introduction {
            revision: Revision::V2025_11_25,
            is_known: true,
            server_name: Some("pay".to_owned()),
            warnings: vec![],
        };
        assert_eq!(known, Ok(expected));
        let older = read(r#"{"protocolVersion":"2025-06-18"}"#).unwrap();
        assert_eq!(older.revision, Revision::V2025_06_18);
        assert_eq!(older.warnings, ["the server answered an offer of 2025-11-25 with 2025-06-18: going on with that"]);
    }

    #[test]
    fn an_unknown_version_is_a_warning_and_gets_no_version_header() {
        let answer = r#"{"protocolVersion":"2024.1","capabilities":{"tools":true},"serverInfo":"odd"}"#;
        let introduction = read_introduction(answer, Revision::NEWEST_WITH_HANDSHAKE).unwrap();
        assert_eq!(introduction.warnings.len(), 1);
        assert!(introduction.warnings[0].contains("`2024.1`"));
        let negotiated = Negotiated { revision: Some(introduction.revision), ..Negotiated::default() };
        assert_eq!(negotiated.version_header(), None);
        let newest = Negotiated { revision: Some(Revision::NEWEST_WITH_HANDSHAKE), ..Negotiated::default() };
        assert_eq!(newest.version_header(), Some("2025-11-25"));
    }

    #[test]
    fn what_names_no_version_is_no_introduction() {
        for result in ["{}", r#"{"protocolVersion":7}"#, "[]", "null"] {
            assert_eq!(read_introduction(result, Revision::NEWEST_WITH_HANDSHAKE), Err(NotAnIntroduction), "{result}");
        }
    }

    #[test]
    fn parsing_a_protocol_undoes_printing_it() {
        for protocol in [
            Protocol::Auto,
            Protocol::Plain,
            Protocol::Revision(Revision::V2025_06_18),
            Protocol::Revision(Revision::NEWEST),
        ] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert!("modern".parse::<Protocol>().is_err());
    }
}
