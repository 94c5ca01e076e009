//! Which revision to speak: a machine that says what to ask next and is told the answers. Nothing it asks can move money.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::negotiate::{Introduction, Protocol, name_of, read_introduction};
use super::{Revision, RpcError, cut};

const METHOD_NOT_FOUND: i64 = -32601;
/// Headers and body of a request contradict each other: only a server of a revision without handshake says that.
const HEADER_MISMATCH: i64 = -32020;
/// The server wants a client that can do more: the same.
const MISSING_CAPABILITY: i64 = -32021;
/// The server speaks other revisions than that of the request.
const UNSUPPORTED_VERSION: i64 = -32022;
const NOT_FOUND: u16 = 404;
/// The most versions of a server's list that are looked at.
const MOST_VERSIONS: usize = 32;
/// The most characters of a version in a message of ours.
const MOST_WORDS: usize = 20;

/// What a server answered, as far as it matters here.
#[derive(Clone, Debug)]
pub enum Said<'a> {
    /// The raw JSON of a result.
    Result(&'a str),
    /// A JSON-RPC error.
    Error(RpcError<'a>),
    /// Nothing of JSON-RPC.
    Other,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask `server/discover` as this revision, and tell the answer.
    Discover(Revision),
    /// Ask `initialize` with an offer of this revision, and tell the answer.
    Initialize(Revision),
    /// See whether it answers `tools/list` without any handshake; where it does not, it may still be spoken to that way
    /// if `is_rpc`, because what it said so far was JSON-RPC.
    TryPlain {
        /// Whether the answer to `initialize` shows a server of JSON-RPC.
        is_rpc: bool,
    },
    /// Go on like this; where it was `initialize` that was answered, with the session that came with the answer.
    Agreed(Introduction),
    /// Give up: the server speaks these versions only.
    Speaks(Vec<String>),
    /// Give up: the last answer says why.
    Refused,
}

/// The negotiation with one server: at most two probes and one handshake, in whichever order that server needs.
#[derive(Clone, Debug)]
pub struct Negotiation {
    wanted: Protocol,
    asked: Step,
    probes: u8,
    has_initialized: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovery<'a> {
    #[serde(borrow, default)]
    supported_versions: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    server_info: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Unsupported<'a> {
    #[serde(borrow, default)]
    supported: Vec<&'a RawValue>,
}

impl Negotiation {
    /// A negotiation that is to end in `wanted`, and its first step. For [`Protocol::Plain`] there is nothing to ask.
    pub fn begin(wanted: Protocol) -> (Self, Step) {
        let mut this = Self { wanted, asked: Step::Refused, probes: 0, has_initialized: false };
        this.asked = match wanted {
            Protocol::Revision(revision) if !revision.is_modern() => this.initialize(revision),
            Protocol::Plain => Step::TryPlain { is_rpc: true },
            Protocol::Revision(_) | Protocol::Auto => this.probe(),
        };
        let first = this.asked.clone();
        (this, first)
    }

    /// The next step, after `said` came with an HTTP `status` in answer to the last one.
    pub fn hear(&mut self, status: u16, said: &Said<'_>) -> Step {
        self.asked = match self.asked {
            Step::Discover(_) => self.discovered(status, said),
            Step::Initialize(offered) => self.introduced(offered, status, said),
            _ => Step::Refused,
        };
        self.asked.clone()
    }

    fn probe(&mut self) -> Step {
        self.probes += 1;
        Step::Discover(Revision::NEWEST)
    }

    fn initialize(&mut self, revision: Revision) -> Step {
        if self.has_initialized {
            return Step::Refused;
        }
        self.has_initialized = true;
        Step::Initialize(revision)
    }

    fn is_forced(&self) -> bool {
        self.wanted != Protocol::Auto
    }

    fn discovered(&mut self, status: u16, said: &Said<'_>) -> Step {
        match said {
            Said::Result(result) => self.supports(result),
            Said::Error(error) if error.code == UNSUPPORTED_VERSION => {
                let supported = supported(error);
                // Its list contradicts its refusal: some servers mean that it is to be asked once more.
                match has_newest(&supported) {
                    true if self.probes < 2 => self.probe(),
                    true => Step::Refused,
                    false => self.without_newest(supported),
                }
            }
            Said::Error(error) if matches!(error.code, HEADER_MISMATCH | MISSING_CAPABILITY) => Step::Refused,
            Said::Error(error) if self.is_forced() && error.code == METHOD_NOT_FOUND && status == NOT_FOUND => {
                modern(None, Some("does not know server/discover, which every server of 2026-07-28 has"))
            }
            Said::Error(_) | Said::Other => self.initialize(Revision::NEWEST_WITH_HANDSHAKE),
        }
    }

    /// A result of `server/discover`. Servers of older revisions answer it too, some anything at all: what they list counts.
    fn supports(&mut self, result: &str) -> Step {
        let discovery: Option<Discovery<'_>> =
            serde_json::from_str(result).ok().filter(|_| result.trim_start().starts_with('{'));
        let Some(discovery) = discovery else { return self.initialize(Revision::NEWEST_WITH_HANDSHAKE) };
        let name = discovery.meta.and_then(|meta| meta.server_info).or(discovery.server_info);
        let name = name.and_then(|info| name_of(&serde_json::from_str(info.get()).unwrap_or_default()));
        match discovery.supported_versions.map(|versions| texts(&versions)) {
            Some(versions) if has_newest(&versions) => modern(name, None),
            Some(versions) if !versions.is_empty() => self.without_newest(versions),
            _ if self.is_forced() => modern(name, Some("does not say in server/discover which versions it supports")),
            _ => self.initialize(Revision::NEWEST_WITH_HANDSHAKE),
        }
    }

    /// The server has told its versions, and the newest known here is none of them.
    fn without_newest(&mut self, versions: Vec<String>) -> Step {
        let may_have_handshake = versions.is_empty() || versions.iter().any(|version| is_older(version));
        if !self.is_forced() && may_have_handshake && !self.has_initialized {
            return self.initialize(Revision::NEWEST_WITH_HANDSHAKE);
        }
        if versions.is_empty() { Step::Refused } else { Step::Speaks(versions) }
    }

    fn introduced(&mut self, offered: Revision, status: u16, said: &Said<'_>) -> Step {
        match said {
            Said::Result(result) => match read_introduction(result, offered) {
                Ok(introduction) => self.may_go_on(introduction),
                Err(_) => self.try_plain(true),
            },
            Said::Error(error) if error.code == UNSUPPORTED_VERSION => {
                let supported = supported(error);
                match self.wanted {
                    Protocol::Auto if self.probes < 2 && !supported.iter().any(|version| is_older(version)) => {
                        self.probe()
                    }
                    _ if supported.is_empty() => Step::Refused,
                    _ => Step::Speaks(supported),
                }
            }
            Said::Error(error) => self.try_plain(error.code == METHOD_NOT_FOUND || (200..300).contains(&status)),
            Said::Other => self.try_plain(false),
        }
    }

    fn may_go_on(&self, introduction: Introduction) -> Step {
        match self.wanted {
            // Known versions only: with an invented one nobody can say that it is not what was asked for.
            Protocol::Revision(wanted) if introduction.is_known && introduction.revision != wanted => {
                Step::Speaks(vec![introduction.revision.to_string()])
            }
            Protocol::Revision(wanted) if wanted.is_modern() => Step::Refused,
            _ => Step::Agreed(introduction),
        }
    }

    fn try_plain(&self, is_rpc: bool) -> Step {
        if self.is_forced() { Step::Refused } else { Step::TryPlain { is_rpc } }
    }
}

/// Whether a server refuses to look at a request because of its version, and yet lists that version: asking once more may
/// be meant.
pub fn is_version_refused(error: &RpcError<'_>) -> bool {
    error.code == UNSUPPORTED_VERSION && has_newest(&supported(error))
}

fn modern(server_name: Option<String>, oddity: Option<&str>) -> Step {
    let revision = Revision::NEWEST;
    let warnings = oddity.map(|oddity| format!("the server {oddity}: going on as {revision} all the same"));
    Step::Agreed(Introduction { revision, is_known: true, server_name, warnings: warnings.into_iter().collect() })
}

fn has_newest(versions: &[String]) -> bool {
    versions.iter().any(|version| version == Revision::NEWEST.name())
}

/// Whether a version begins with a handshake, be it one that is known here or an earlier one: versions are dates.
fn is_older(version: &str) -> bool {
    version < Revision::NEWEST.name()
}

fn supported(error: &RpcError<'_>) -> Vec<String> {
    let data = error.data.and_then(|data| serde_json::from_str::<Unsupported<'_>>(data.get()).ok());
    data.map(|data| texts(&data.supported)).unwrap_or_default()
}

fn texts(raw: &[&RawValue]) -> Vec<String> {
    let text = |raw: &&RawValue| serde_json::from_str::<Cow<'_, str>>(raw.get()).ok();
    raw.iter().take(MOST_VERSIONS).filter_map(text).map(|version| cut(&version, MOST_WORDS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Body, read_reply};

    /// The id in all answers below.
    const ID: u64 = 1;
    const OFFER: Step = Step::Initialize(Revision::NEWEST_WITH_HANDSHAKE);
    const PROBE: Step = Step::Discover(Revision::NEWEST);
    // What these servers answered to a probe.
    const PYTHON_2: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"private","capabilities":{"tools":{"listChanged":true}},"resultType":"complete","supportedVersions":["2026-07-28"],"ttlMs":0,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"payments-py","version":"0.1.0"}}}}"#;
    const RUST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2024-11-05","2025-03-26","2025-06-18","2025-11-25","2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mcp-payments-ref","version":"0.1.0"}}}}"#;
    const EVERYTHING: &str =
        r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#;
    const PYTHON_1: &str =
        r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Missing session ID"}}"#;
    // What they answered to initialize.
    const INTRODUCED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"mcp-payments-ref","version":"0.1.0"}}}"#;
    const REJECTED: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}}"#;

    fn forced(revision: Revision) -> Protocol {
        Protocol::Revision(revision)
    }

    /// The steps of a negotiation with a server that gives these answers; the first step comes before the first answer.
    fn steps(wanted: Protocol, answers: &[(u16, &str)]) -> Vec<Step> {
        let (mut negotiation, first) = Negotiation::begin(wanted);
        let mut steps = vec![first];
        for (status, message) in answers {
            let said = match read_reply(message.as_bytes(), ID) {
                Ok(Some(Body::Result(result))) => Said::Result(result.raw),
                Ok(Some(Body::Error(error))) => Said::Error(error),
                _ => Said::Other,
            };
            steps.push(negotiation.hear(*status, &said));
        }
        steps
    }

    fn result(result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
    }

    fn error(code: i64, data: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m","data":{data}}}}}"#)
    }

    fn agreed(revision: Revision, name: Option<&str>) -> Step {
        Step::Agreed(Introduction {
            revision,
            is_known: true,
            server_name: name.map(str::to_owned),
            warnings: Vec::new(),
        })
    }

    fn speaks(versions: &[&str]) -> Step {
        Step::Speaks(versions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn servers_that_list_the_newest_revision_are_spoken_to_in_it_at_once() {
        let newest = |name| agreed(Revision::V2026_07_28, Some(name));
        for (server, name) in [(PYTHON_2, "payments-py"), (RUST, "mcp-payments-ref")] {
            for wanted in [Protocol::Auto, forced(Revision::V2026_07_28)] {
                assert_eq!(steps(wanted, &[(200, server)]), [PROBE, newest(name)]);
            }
        }
    }

    #[test]
    fn every_other_answer_to_the_probe_leads_to_a_handshake() {
        let older = result(r#"{"supportedVersions":["2024-11-05","2025-11-25"],"resultType":"complete"}"#);
        let unsupported = error(-32022, r#"{"supported":["2025-06-18"]}"#);
        for (status, answer) in [
            (400, EVERYTHING),
            (400, PYTHON_1),
            // Anything at all is answered like this by some.
            (200, &*result("{}")),
            (200, &result("[]")),
            (200, &result(r#"{"supportedVersions":"2026-07-28"}"#)),
            (200, &result(r#"{"supportedVersions":[]}"#)),
            (200, &older),
            (400, &unsupported),
            (400, &error(-32022, "null")),
            (200, &error(-32601, "null")),
            (404, &error(-32601, "null")),
            (400, &error(-32602, "null")),
            (500, &error(-32603, "null")),
            (400, "Bad Request: Session ID is required"),
            (405, ""),
            (200, "<html>"),
        ] {
            let expected = [PROBE, OFFER, agreed(Revision::V2025_11_25, Some("mcp-payments-ref"))];
            assert_eq!(steps(Protocol::Auto, &[(status, answer), (200, INTRODUCED)]), expected, "{status} {answer}");
        }
    }

    #[test]
    fn a_probe_that_is_refused_for_its_version_is_made_once_more_where_that_version_is_listed() {
        let newest = agreed(Revision::V2026_07_28, Some("payments-py"));
        let refused = error(-32022, r#"{"supported":["2026-07-28"],"requested":"2026-07-28"}"#);
        for wanted in [Protocol::Auto, forced(Revision::V2026_07_28)] {
            assert_eq!(steps(wanted, &[(400, &refused), (200, PYTHON_2)]), [PROBE, PROBE, newest.clone()]);
            assert_eq!(steps(wanted, &[(400, &refused), (400, &refused)]), [PROBE, PROBE, Step::Refused]);
        }
    }

    #[test]
    fn a_server_that_speaks_newer_revisions_only_or_blames_the_request_is_not_spoken_to() {
        let future = result(r#"{"supportedVersions":["2027-02-01","2028-01-01"]}"#);
        assert_eq!(steps(Protocol::Auto, &[(200, &future)]), [PROBE, speaks(&["2027-02-01", "2028-01-01"])]);
        let future = error(-32022, r#"{"supported":["2027-02-01",7]}"#);
        assert_eq!(steps(Protocol::Auto, &[(400, &future)]), [PROBE, speaks(&["2027-02-01"])]);
        for code in [-32020, -32021] {
            assert_eq!(steps(Protocol::Auto, &[(400, &error(code, "null"))]), [PROBE, Step::Refused]);
        }
    }

    #[test]
    fn a_handshake_that_is_refused_for_its_version_leads_back_to_the_probe_once() {
        let newest = agreed(Revision::V2026_07_28, Some("payments-py"));
        assert_eq!(
            steps(Protocol::Auto, &[(502, ""), (400, REJECTED), (200, PYTHON_2)]),
            [PROBE, OFFER, PROBE, newest]
        );
        assert_eq!(
            steps(Protocol::Auto, &[(502, ""), (400, REJECTED), (502, "")]),
            [PROBE, OFFER, PROBE, Step::Refused]
        );
        let older = error(-32022, r#"{"supported":["2024-11-05"]}"#);
        assert_eq!(steps(Protocol::Auto, &[(400, ""), (400, &older)]), [PROBE, OFFER, speaks(&["2024-11-05"])]);
    }

    #[test]
    fn a_server_that_knows_no_handshake_may_be_spoken_to_plainly() {
        let plain = |is_rpc| Step::TryPlain { is_rpc };
        for (status, answer, is_rpc) in [
            (200, error(-32601, "null"), true),
            (404, error(-32601, "null"), true),
            (200, error(-32600, "null"), true),
            (400, error(-32600, "null"), false),
            (200, result("{}"), true),
            (400, "unknown".to_owned(), false),
        ] {
            let answers = [(400, ""), (status, &*answer)];
            assert_eq!(steps(Protocol::Auto, &answers), [PROBE, OFFER, plain(is_rpc)], "{status} {answer}");
            let forced = steps(forced(Revision::V2025_06_18), &answers[1..]);
            assert_eq!(forced, [Step::Initialize(Revision::V2025_06_18), Step::Refused]);
        }
    }

    #[test]
    fn a_forced_revision_is_spoken_or_it_is_said_what_the_server_speaks() {
        let newest = forced(Revision::V2026_07_28);
        assert_eq!(steps(newest, &[(400, PYTHON_1), (200, INTRODUCED)]), [PROBE, OFFER, speaks(&["2025-11-25"])]);
        let older = result(r#"{"supportedVersions":["2025-11-25"]}"#);
        assert_eq!(steps(newest, &[(200, &older)]), [PROBE, speaks(&["2025-11-25"])]);
        let offered = Step::Initialize(Revision::V2025_06_18);
        let wanted = forced(Revision::V2025_06_18);
        assert_eq!(steps(wanted, &[(200, INTRODUCED)]), [offered.clone(), speaks(&["2025-11-25"])]);
        assert_eq!(steps(wanted, &[(400, REJECTED)]), [offered.clone(), speaks(&["2026-07-28"])]);
        // Nobody knows what an invented version is, so that it is not another than the one that was asked for.
        let invented = result(r#"{"protocolVersion":"2024.1"}"#);
        let steps_of_invented = steps(wanted, &[(200, &invented)]);
        let [_, Step::Agreed(introduction)] = &steps_of_invented[..] else { panic!("{steps_of_invented:?}") };
        assert_eq!((introduction.revision, introduction.is_known), (Revision::V2025_03_26, false));
        // Servers of the newest revision that do not answer the question are taken at the user's word.
        for (status, answer) in [(200, result("{}")), (404, error(-32601, "null"))] {
            let steps = steps(newest, &[(status, &answer)]);
            let [_, Step::Agreed(introduction)] = &steps[..] else { panic!("{steps:?}") };
            assert_eq!((introduction.revision, introduction.warnings.len()), (Revision::V2026_07_28, 1));
        }
        assert_eq!(steps(newest, &[(200, &error(-32601, "null")), (404, "")]), [PROBE, OFFER, Step::Refused]);
    }
}
