//! The generators that are measured: how each is told what to do, and what each says of it.

mod ab;
mod h2load;
mod hey;
pub(crate) mod install;
mod k6;
mod mcpace;
mod oha;
mod vegeta;
mod wrk;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::generator::Invocation;

/// A generator, in one manner of using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// Wakes for each arrival.
    Exact,
    /// Wakes once for all that is due within 360 µs.
    Economical,
    /// As its defaults have it.
    Auto,
    /// Economical, on one thread.
    OneLane,
    /// Economical, on two.
    TwoLanes,
    Oha,
    /// Counts from when a call was due.
    OhaCorrected,
    Wrk,
    Wrk2,
    Hey,
    Ab,
    H2load,
    K6,
    Vegeta,
}

/// Those of peers that keep a rate.
pub(crate) const RATED_PEERS: [Tool; 5] = [Tool::Oha, Tool::Hey, Tool::K6, Tool::Vegeta, Tool::Wrk2];
/// Those of peers that go as fast as they can.
pub(crate) const FAST_PEERS: [Tool; 5] = [Tool::Oha, Tool::Wrk, Tool::Ab, Tool::H2load, Tool::Hey];

/// What calls and answers travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP/1.1, answers of JSON.
    Json,
    /// HTTP/1.1, each answer a stream of one event.
    Sse,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

impl Wire {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Sse, Self::Tls, Self::Http2];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Sse => "sse",
            Self::Tls => "https",
            Self::Http2 => "https, h2",
        }
    }

    pub(crate) const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Http2)
    }
}

/// What a generator is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Calls a second; `None` for as many as it can.
    pub(crate) rate: Option<u32>,
    pub(crate) span: Duration,
    /// Of peers, which have no other bound. mcpace opens what it needs, and is held to it where `is_bound` says so.
    pub(crate) connections: u32,
    pub(crate) is_bound: bool,
    pub(crate) is_poisson: bool,
    pub(crate) wire: Wire,
    pub(crate) seed: u64,
    /// What mcpace calls, where it is not what all of the run is about.
    pub(crate) operation: Option<&'static str>,
}

impl Load {
    /// Constant arrivals at `rate` over 64 connections.
    pub(crate) const fn at(rate: u32, span: Duration) -> Self {
        Self {
            rate: Some(rate),
            span,
            connections: 64,
            is_bound: false,
            is_poisson: false,
            wire: Wire::Json,
            seed: 1,
            operation: None,
        }
    }

    /// As many calls as 64 connections take.
    pub(crate) const fn saturated(span: Duration) -> Self {
        Self { rate: None, is_bound: true, ..Self::at(0, span) }
    }
}

/// What a generator says of its run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// Calls that were answered.
    pub(crate) calls: u64,
    /// Calls that were not answered well.
    pub(crate) failed: u64,
    /// Response times at 95, 99 and 99.9 %, milliseconds; `None` where it does not say.
    pub(crate) response: [Option<f64>; 3],
    /// Of mcpace: more than any other says.
    pub(crate) own: Option<Own>,
}

/// What mcpace alone says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Own {
    /// Calls that were due.
    pub(crate) due: u64,
    /// Pacing lag at 50 and 99 %, microseconds.
    pub(crate) lag: [f64; 2],
    /// Why the measurement is not to be trusted, where mcpace doubts it.
    pub(crate) doubt: Option<String>,
}

/// Where everything is that a command line names.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) plain: SocketAddr,
    pub(crate) encrypted: SocketAddr,
    pub(crate) authority: PathBuf,
    /// Programs by their names.
    pub(crate) programs: BTreeMap<&'static str, PathBuf>,
    /// Which operation mcpace calls.
    pub(crate) operation: String,
}

impl Place {
    pub(crate) fn url(&self, wire: Wire) -> String {
        if wire.is_encrypted() {
            format!("https://localhost:{}/mcp", self.encrypted.port())
        } else {
            format!("http://{}/mcp", self.plain)
        }
    }

    /// The text of a path in the folder.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn body(&self) -> String {
        self.file("body.json")
    }

    fn program(&self, tool: Tool) -> String {
        self.programs.get(tool.program()).map_or_else(|| tool.program().to_owned(), |path| path.display().to_string())
    }
}

/// How long a call of mcpace is on average.
const LENGTH: usize = 426;

/// What peers send: a call as mcpace makes them, as long as those are on average (426 bytes), the same each time.
pub(crate) fn body() -> String {
    let begin = concat!(
        r#"{"jsonrpc":"2.0","id":12345,"method":"tools/call","params":{"name":"create_payment","arguments":{"amount":123.45,"#,
        r#""currency":"EUR","method":"bank_transfer","customer_id":"0b0e1f5e-7a3c-4c1b-9a55-6f4f5a0c7d21","#,
        r#""idempotency_key":"test_0123456789abcdef0123456789abcdef","description":"Load test payment "#
    );
    let end = concat!(
        r#"","metadata":{"test_run":true,"load_test_id":"4d3c2b1a-0f9e-4d8c-b7a6-958473625140","#,
        r#""timestamp":"2026-01-01T00:00:00Z"}}}}"#
    );
    let fill = "x".repeat(LENGTH - begin.len() - end.len());
    [begin, &fill, end].concat()
}

/// The headers of an MCP client.
const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("MCP-Protocol-Version", "2025-11-25"),
];

/// [`HEADERS`] as words after a flag, as `name: value`.
fn headers(flag: &str) -> impl Iterator<Item = String> {
    HEADERS.iter().flat_map(move |(name, value)| [flag.to_owned(), format!("{name}: {value}")])
}

impl Tool {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exact => "mcpace exact",
            Self::Economical => "mcpace economical",
            Self::Auto => "mcpace",
            Self::OneLane => "mcpace 1 lane",
            Self::TwoLanes => "mcpace 2 lanes",
            Self::OhaCorrected => "oha corrected",
            other => other.program(),
        }
    }

    /// The program that has to be there.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Exact | Self::Economical | Self::Auto | Self::OneLane | Self::TwoLanes => "mcpace",
            Self::Oha | Self::OhaCorrected => "oha",
            Self::Wrk => "wrk",
            Self::Wrk2 => "wrk2",
            Self::Hey => "hey",
            Self::Ab => "ab",
            Self::H2load => "h2load",
            Self::K6 => "k6",
            Self::Vegeta => "vegeta",
        }
    }

    /// How it is told; `None` where it cannot do that.
    pub(crate) fn invocation(self, load: &Load, place: &Place) -> Option<Invocation> {
        let mut words = vec![place.program(self)];
        words.extend(match self {
            Self::Exact | Self::Economical | Self::Auto | Self::OneLane | Self::TwoLanes => {
                mcpace::words(self, load, place)
            }
            Self::Oha | Self::OhaCorrected => oha::words(self == Self::OhaCorrected, load, place),
            Self::Wrk | Self::Wrk2 => wrk::words(self == Self::Wrk2, load, place)?,
            Self::Hey => hey::words(load, place)?,
            Self::Ab => ab::words(load, place)?,
            Self::H2load => h2load::words(load, place)?,
            Self::K6 => k6::words(load, place)?,
            Self::Vegeta => vegeta::words(load, place)?,
        });
        Some(Invocation { words, fine: if self.program() == "mcpace" { &mcpace::FINE } else { &[0] } })
    }

    /// What it said, in `output` or in a file of its own.
    pub(crate) fn said(self, output: &Path, place: &Place) -> Result<Said, String> {
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|why| format!("left no output: {why}"));
        match self {
            Self::Exact | Self::Economical | Self::Auto | Self::OneLane | Self::TwoLanes => {
                mcpace::said(&place.folder.join(mcpace::RUN))
            }
            Self::Oha | Self::OhaCorrected => oha::parse(&read(output)?),
            Self::Wrk | Self::Wrk2 => wrk::parse(&read(output)?),
            Self::Hey => hey::parse(&read(output)?),
            Self::Ab => ab::parse(&read(output)?),
            Self::H2load => h2load::parse(&read(output)?),
            Self::K6 => k6::parse(&read(&place.folder.join(k6::SUMMARY))?),
            Self::Vegeta => vegeta::parse(&vegeta::report(place)?),
        }
    }
}

/// Writes what command lines name: the body that peers send, and scripts.
pub(crate) fn write_files(place: &Place) -> io::Result<()> {
    std::fs::write(place.folder.join("body.json"), body())?;
    std::fs::write(place.folder.join(wrk::SCRIPT), wrk::script())?;
    for wire in [Wire::Json, Wire::Tls] {
        std::fs::write(place.folder.join(vegeta::targets(wire)), vegeta::target(&place.url(wire)))?;
    }
    std::fs::write(place.folder.join(k6::SCRIPT), k6::script())
}

/// The words of a template, split at spaces.
fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The number at the beginning of what comes after `label`.
fn number_after(text: &str, label: &str) -> Option<f64> {
    let rest = text.split_once(label)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_send_as_much_as_mcpace_does_and_it_is_a_call() {
        let body = body();
        assert_eq!(body.len(), LENGTH);
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&value["method"], &value["params"]["name"]), (&"tools/call".into(), &"create_payment".into()));
    }

    #[test]
    fn who_cannot_keep_a_rate_is_not_asked_to() {
        let place = Place {
            folder: "folder".into(),
            plain: ([127, 0, 0, 1], 1).into(),
            encrypted: ([127, 0, 0, 1], 2).into(),
            authority: "folder/authority.pem".into(),
            programs: BTreeMap::new(),
            operation: "create_payment".to_owned(),
        };
        let second = Duration::from_secs(1);
        let keeps = |tool: Tool| tool.invocation(&Load::at(1000, second), &place).is_some();
        assert!(RATED_PEERS.into_iter().all(keeps));
        assert!(![Tool::Wrk, Tool::Ab, Tool::H2load].into_iter().any(keeps));
        let goes = |tool: Tool| tool.invocation(&Load::saturated(second), &place).is_some();
        assert!(FAST_PEERS.into_iter().all(goes) && !goes(Tool::Wrk2) && !goes(Tool::Vegeta));
        let oha = Tool::Oha.invocation(&Load::at(1000, second), &place).unwrap().words.join(" ");
        assert!(oha.starts_with("oha --no-tui") && oha.contains("-q 1000"), "{oha}");
        assert!(oha.ends_with("http://127.0.0.1:1/mcp"), "{oha}");
        let light = Load { operation: Some("get_wallet_balance"), ..Load::at(1000, second) };
        let two = Tool::TwoLanes.invocation(&light, &place).unwrap().words.join(" ");
        assert!(two.contains("--mix get_wallet_balance=1") && two.contains("--pacing economical"), "{two}");
        assert!(two.contains("--lanes 2"), "{two}");
        let encrypted = Load { wire: Wire::Http2, ..Load::at(1000, second) };
        let own = Tool::Exact.invocation(&encrypted, &place).unwrap().words.join(" ");
        assert!(
            own.contains("--http2 --ca-cert folder/authority.pem") && own.contains("https://localhost:2/"),
            "{own}"
        );
    }

    #[test]
    fn a_number_is_read_up_to_its_unit() {
        assert_eq!(number_after("p: 12.5ms", "p:"), Some(12.5));
        assert_eq!((number_after("p: x", "p:"), number_after("q", "p:")), (None, None));
    }
}
