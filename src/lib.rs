//! mcpace: an open-loop load generator for MCP servers, with a verdict.
//!
//! The program is one sentence, and the folders are that sentence: **arrivals → calls → samples → summary → verdict →
//! report**. Dependencies point down this list only:
//!
//! | layer | module | its one idea |
//! |---|---|---|
//! | 0 | [`time`] | moments since the run began, rates, durations |
//! | 0 | [`outcome`] | how a call ended, and whose fault that was |
//! | 1 | [`arrival`] | WHEN: a schedule that never looks at a clock |

pub mod arrival;
pub mod cli;
pub mod driver;
pub mod engine;
pub mod export;
pub mod mcp;
pub mod measure;
pub mod outcome;
pub mod plan;
pub mod report;
#[cfg(feature = "server")]
pub mod server;
mod stamp;
pub mod time;
pub mod verdict;
pub mod workload;
