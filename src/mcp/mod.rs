//! THE WIRE: what MCP looks like in bytes, read and written without any I/O.

mod asked;
mod group;
pub mod headers;
#[cfg(test)]
mod hostile;
mod negotiate;
mod negotiation;
mod reply;
mod request;
mod revision;
mod sse;
mod target;
mod tool;

pub use asked::{Asked, answer, cancelled, read_asked, refuse};
pub use group::{EXAMPLE_CHARS, GROUP_CHARS, cut, group_of};
pub use negotiate::{Introduction, Negotiated, NotAnIntroduction, Protocol, UnknownProtocol, read_introduction};
pub use negotiation::{Negotiation, Said, Step, is_version_refused};
pub use reply::{Answer, Body, Gist, Malformed, RpcError, ToolAnswer, read_reply};
pub use request::{CallTemplate, initialize, initialized, request, tools_list};
pub use revision::{Revision, UnknownRevision};
pub use sse::{Decoder, Event, EventTooLarge};
pub use target::{BadTarget, Target};
pub use tool::{Hints, MOST_TOOLS, MOST_VALUES, NoSuchTool, Tool, ToolPage, check_tools, read_tool_page};
