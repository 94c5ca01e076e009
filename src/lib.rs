//! mcpace: an open-loop load generator for MCP servers, with a verdict.
//!
//! The program is one sentence, and the folders are that sentence: **arrivals → calls → samples → summary → verdict →
//! report**. Dependencies point down this list only:
//!
//! | layer | module | its one idea |
//! |---|---|---|
//! | 0 | [`time`] | moments since the run began, rates, durations: as values and as text |
//! | 0 | `stamp` | an instant of the wall clock as RFC 3339 text |
//! | 0 | `json` | where the values of a JSON text are
//! | 0 | [`outcome`] | how a call ended, and whose fault that was |
//! | 0 | [`secret`] | values that are sent and never shown |
//! | 0 | [`trace`] | the ids by which a server's trace of a call is found |
//! | 0 | [`statistics`] | HOW SURE: what counts say, with which confidence |
//! | 1 | [`arrival`] | WHEN: a schedule that never looks at a clock |
//! | 1 | [`workload`] | WHAT: the call for an arrival, and what its reply teaches |
//! | 1 | [`mcp`] | THE WIRE: MCP in bytes, without I/O |
//! | 1 | [`measure`] | HOW LONG: from samples to a summary |
//! | 2 | [`verdict`] | ENOUGH? from promises and a summary to a verdict |
//! | 2 | [`plan`] | what the user asked for, checked, and stored in every result |
//! | 3 | [`driver`] | TO WHOM: the only code that speaks a protocol's client side |
//! | 3 | `server` | the bundled payments server, which knows nothing of the generator |
//! | 4 | [`engine`] | DO IT: lanes that send what is due and never wait for an answer |
//! | 4 | [`report`] | SAY SO: a run and its judgement, for readers |
//! | 4 | [`export`] | the same for Prometheus, while the run goes on |
//! | 5 | [`cli`] | flags in, an exit code out |
//!
//! A module knows modules of lower layers only, but for workload, which knows arrival. Nothing else about the crate's
//! shape is a matter of taste either: ARCHITECTURE.md has the rules, `tests/architecture.rs` enforces them.

pub mod arrival;
pub mod cli;
pub mod driver;
pub mod engine;
pub mod export;
mod json;
pub mod mcp;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod secret;
#[cfg(feature = "server")]
pub mod server;
mod stamp;
pub mod statistics;
pub mod time;
pub mod trace;
pub mod verdict;
pub mod workload;
