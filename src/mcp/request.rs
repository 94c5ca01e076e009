//! What is said to a server: JSON-RPC bodies, the frequent one from a template.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Revision;

const HEAD: &str = r#"{"jsonrpc":"2.0","id":"#;
const TAIL: &str = "}}";

/// The body of a `tools/call` of one tool, but for its id and its arguments.
#[derive(Clone, Debug)]
pub struct CallTemplate {
    middle: String,
}

impl CallTemplate {
    /// The template of a tool's calls.
    pub fn new(tool: &str) -> Self {
        let name = Value::from(tool);
        Self { middle: format!(r#","method":"tools/call","params":{{"name":{name},"arguments":"#) }
    }

    /// The body of one call; `arguments` is a JSON object and is not looked at.
    pub fn body(&self, id: u64, arguments: &str) -> Bytes {
        let digits = id.checked_ilog10().unwrap_or(0) as usize + 1;
        // The exact size: a vector with room to spare would cost a second allocation when it becomes `Bytes`.
        let mut body = String::with_capacity(HEAD.len() + digits + self.middle.len() + arguments.len() + TAIL.len());
        body.push_str(HEAD);
        let _ = write!(body, "{id}");
        body.push_str(&self.middle);
        body.push_str(arguments);
        body.push_str(TAIL);
        Bytes::from(body)
    }
}

/// The request that opens a session, or at least a conversation.
pub fn initialize(id: u64, revision: Revision) -> Bytes {
    let client = json!({ "name": "mcpace", "version": env!("CARGO_PKG_VERSION") });
    let params = json!({ "protocolVersion": revision.name(), "capabilities": {}, "clientInfo": client });
    bytes_of(&json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params }))
}

/// The notification that ends the handshake.
pub fn initialized() -> Bytes {
    bytes_of(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
}

/// The request for a page of the tools there are: the first, or the one that `cursor` points to.
pub fn tools_list(id: u64, cursor: Option<&str>) -> Bytes {
    let mut params = Map::new();
    if let Some(cursor) = cursor {
        params.insert("cursor".to_owned(), cursor.into());
    }
    bytes_of(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params }))
}

fn bytes_of(message: &Value) -> Bytes {
    Bytes::from(message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &Bytes) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn a_template_yields_the_same_json_as_building_it_would() {
        for (tool, id) in [("create_payment", 4711), ("with \"quotes\"\n", u64::MAX), ("x", 0)] {
            let body = CallTemplate::new(tool).body(id, r#"{"amount":12.50}"#);
            let expected = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": tool, "arguments": { "amount": 12.5 } } });
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        }
        let body = CallTemplate::new("t").body(10, "{}");
        assert_eq!(
            text(&body),
            r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t","arguments":{}}}"#
        );
    }

    #[test]
    fn the_handshake_declares_no_capabilities() {
        let value: Value = serde_json::from_slice(&initialize(1, Revision::V2025_06_18)).unwrap();
        assert_eq!(value["params"]["protocolVersion"], "2025-06-18");
        assert_eq!(value["params"]["capabilities"], json!({}));
        assert_eq!(value["params"]["clientInfo"]["name"], "mcpace");
        assert_eq!(text(&initialized()), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    #[test]
    fn a_cursor_is_sent_only_where_there_is_one() {
        assert_eq!(text(&tools_list(2, None)), r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#);
        let next: Value = serde_json::from_slice(&tools_list(3, Some("a\"b"))).unwrap();
        assert_eq!(next["params"], json!({ "cursor": "a\"b" }));
    }
}
