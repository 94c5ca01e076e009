//! THE WIRE: what MCP looks like in bytes, read and written without any I/O.

mod group;
mod negotiate;
mod reply;
mod request;
mod revision;
mod sse;
mod target;

pub use group::{EXAMPLE_CHARS, GROUP_CHARS, cut, group_of};
pub use negotiate::{
    Introduction, Negotiated, NoSuchTool, NotAnIntroduction, Protocol, ToolPage, UnknownProtocol, check_tools,
    read_introduction, read_tool_page,
};
pub use reply::{Body, Malformed, RpcError, ToolAnswer, read_reply, read_tool_answer};
pub use request::{CallTemplate, initialize, initialized, tools_list};
pub use revision::{Revision, UnknownRevision};
pub use sse::{Decoder, Event, EventTooLarge};
pub use target::{BadTarget, Target};
