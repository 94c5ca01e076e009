//! What client and server agreed on before the first call, and how the server's answers lead there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::{Revision, cut};

/// The most characters of a server's own words in a message of ours.
const MOST_WORDS: usize = 60;

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Offer the newest revision and go along with what the server says; without a handshake where it knows none.
    #[default]
    Auto,
    /// Offer this revision.
    Revision(Revision),
    /// JSON-RPC without any handshake.
    Plain,
}

/// No protocol has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol `{0}` is not known here: give auto, 2025-11-25, 2025-06-18, 2025-03-26 or plain")]
pub struct UnknownProtocol(pub String);

/// What was agreed on: all that a driver needs to know of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// The revision spoken; `None` without a handshake.
    pub revision: Option<Revision>,
    /// The session that every request names, where the server opened one.
    pub session: Option<String>,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// The names of its tools; `None` where it would not list them or was not asked.
    pub tools: Option<Vec<String>>,
    /// What the reader of a report should know about the server's manners.
    pub warnings: Vec<String>,
}

/// A server's answer to `initialize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The revision to go on with.
    pub revision: Revision,
    /// What the server calls itself.
    pub server_name: Option<String>,
    /// What is odd about the answer.
    pub warnings: Vec<String>,
}

/// An answer to `initialize` that names no protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer to initialize names no protocolVersion")]
pub struct NotAnIntroduction;

/// One page of a server's tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPage {
    /// The names on this page.
    pub names: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A tool that is to be called and does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find the tool `{wanted}` on the server: {way_out}")]
pub struct NoSuchTool {
    /// The tool that was asked for.
    pub wanted: String,
    /// The nearest name, or the names there are.
    pub way_out: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    #[serde(borrow)]
    protocol_version: Cow<'a, str>,
    #[serde(default)]
    server_info: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolsListResult {
    tools: Vec<NamedTool>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct NamedTool {
    name: String,
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
    let revision = version.parse().unwrap_or_else(|_| {
        let manner = Revision::V2025_03_26;
        warnings.push(format!(
            "the server speaks version `{version}`, which is no known MCP revision: going on as {manner}"
        ));
        manner
    });
    if warnings.is_empty() && revision != offered {
        warnings.push(format!("the server answered an offer of {offered} with {revision}: going on with that"));
    }
    let server_name = answer.server_info.get("name").and_then(|name| name.as_str()).map(|name| cut(name, MOST_WORDS));
    Ok(Introduction { revision, server_name, warnings })
}

/// Reads the result of `tools/list`; `None` where it is none.
pub fn read_tool_page(result: &str) -> Option<ToolPage> {
    let page: ToolsListResult = serde_json::from_str(result).ok()?;
    let next = page.next_cursor.filter(|cursor| !cursor.is_empty());
    Some(ToolPage { names: page.tools.into_iter().map(|tool| tool.name).collect(), next })
}

/// Whether the server has every tool that is wanted; passes where it did not say what it has.
///
/// # Errors
/// The first tool that is missing.
pub fn check_tools<'a>(negotiated: &Negotiated, wanted: impl IntoIterator<Item = &'a str>) -> Result<(), NoSuchTool> {
    let Some(tools) = &negotiated.tools else { return Ok(()) };
    let missing = wanted.into_iter().find(|wanted| !tools.iter().any(|tool| tool == wanted));
    missing.map_or(Ok(()), |wanted| Err(NoSuchTool { wanted: wanted.to_owned(), way_out: way_out(wanted, tools) }))
}

fn way_out(wanted: &str, tools: &[String]) -> String {
    const MOST_NAMES: usize = 10;
    let nearest = tools.iter().map(|tool| (distance(wanted, tool), tool)).min();
    let shown: Vec<String> = tools.iter().take(MOST_NAMES).map(|tool| cut(tool, MOST_WORDS)).collect();
    let more = tools.len().saturating_sub(MOST_NAMES);
    let has = match more {
        _ if tools.is_empty() => "it has no tools at all".to_owned(),
        0 => format!("it has {}", shown.join(", ")),
        _ => format!("it has {} and {more} more", shown.join(", ")),
    };
    match nearest {
        Some((changes, tool)) if changes <= wanted.chars().count().div_ceil(3) => {
            format!("did you mean `{}`? {has}", cut(tool, MOST_WORDS))
        }
        _ => has,
    }
}

/// How many characters must be put in, taken out or replaced to get from one name to the other, but for case and for the
/// kind of dash (the edit distance of Levenshtein, by rows).
fn distance(a: &str, b: &str) -> usize {
    let plain = |text: &str| -> Vec<char> {
        let dash = |c| if c == '-' { '_' } else { c };
        text.chars().take(MOST_WORDS).flat_map(char::to_lowercase).map(dash).collect()
    };
    let (a, b) = (plain(a), plain(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
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
        let read = |result| read_introduction(result, Revision::NEWEST);
        let known =
            read(r#"{"capabilities":{},"protocolVersion":"2025-11-25","serverInfo":{"name":"pay","version":"1"}}"#);
        let expected =
            Introduction { revision: Revision::V2025_11_25, server_name: Some("pay".to_owned()), warnings: vec![] };
        assert_eq!(known, Ok(expected));
        let older = read(r#"{"protocolVersion":"2025-06-18"}"#).unwrap();
        assert_eq!(older.revision, Revision::V2025_06_18);
        assert_eq!(older.warnings, ["the server answered an offer of 2025-11-25 with 2025-06-18: going on with that"]);
    }

    #[test]
    fn an_unknown_version_is_a_warning_and_gets_no_version_header() {
        let answer = r#"{"protocolVersion":"2024.1","capabilities":{"tools":true},"serverInfo":"odd"}"#;
        let introduction = read_introduction(answer, Revision::NEWEST).unwrap();
        assert_eq!(introduction.warnings.len(), 1);
        assert!(introduction.warnings[0].contains("`2024.1`"));
        let negotiated = Negotiated { revision: Some(introduction.revision), ..Negotiated::default() };
        assert_eq!(negotiated.version_header(), None);
        let newest = Negotiated { revision: Some(Revision::NEWEST), ..Negotiated::default() };
        assert_eq!(newest.version_header(), Some("2025-11-25"));
    }

    #[test]
    fn what_names_no_version_is_no_introduction() {
        for result in ["{}", r#"{"protocolVersion":7}"#, "[]", "null"] {
            assert_eq!(read_introduction(result, Revision::NEWEST), Err(NotAnIntroduction), "{result}");
        }
    }

    #[test]
    fn a_page_of_tools_is_read_with_its_cursor() {
        let page = read_tool_page(r#"{"tools":[{"name":"a","inputSchema":{}},{"name":"b"}],"nextCursor":"2"}"#);
        assert_eq!(page, Some(ToolPage { names: vec!["a".to_owned(), "b".to_owned()], next: Some("2".to_owned()) }));
        assert_eq!(read_tool_page(r#"{"tools":[],"nextCursor":""}"#), Some(ToolPage::default()));
        assert_eq!(read_tool_page("{}"), None);
    }

    #[test]
    fn a_missing_tool_is_named_with_the_nearest_or_all_there_are() {
        let having = |tools: &[&str]| Negotiated {
            tools: Some(tools.iter().map(ToString::to_string).collect()),
            ..Negotiated::default()
        };
        let server = having(&["create_payment", "verify_payment"]);
        assert_eq!(check_tools(&server, ["verify_payment"]), Ok(()));
        assert_eq!(check_tools(&Negotiated::default(), ["anything"]), Ok(()));
        assert_eq!(
            check_tools(&server, ["Create-Paymnt"]).unwrap_err().to_string(),
            "find the tool `Create-Paymnt` on the server: did you mean `create_payment`? \
             it has create_payment, verify_payment"
        );
        assert_eq!(check_tools(&server, ["echo"]).unwrap_err().way_out, "it has create_payment, verify_payment");
        assert_eq!(check_tools(&having(&[]), ["echo"]).unwrap_err().way_out, "it has no tools at all");
        let many: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
        let many = having(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(check_tools(&many, ["echo"]).unwrap_err().way_out.ends_with("t9 and 2 more"));
    }

    #[test]
    fn parsing_a_protocol_undoes_printing_it() {
        for protocol in [Protocol::Auto, Protocol::Plain, Protocol::Revision(Revision::V2025_06_18)] {
            assert_eq!(protocol.to_string().parse(), Ok(protocol));
        }
        assert!("modern".parse::<Protocol>().is_err());
    }
}
