//! What is said to a server: JSON-RPC bodies, the frequent one from a template.

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
    /// The template of a tool's calls in the manner of `revision`; `None` is one without a handshake.
    pub fn new(tool: &str, revision: Option<Revision>) -> Self {
        let name = Value::from(tool);
        let meta = match revision.filter(|revision| revision.is_modern()) {
            Some(revision) => format!(r#""_meta":{},"#, Value::from(meta(revision, &json!({})))),
            None => String::new(),
        };
        Self { middle: format!(r#","method":"tools/call","params":{{{meta}"name":{name},"arguments":"#) }
    }

    /// How many bytes the body of one call has.
    pub fn length(&self, id: u64, arguments: &str) -> usize {
        let digits = id.checked_ilog10().unwrap_or(0) as usize + 1;
        HEAD.len() + digits + self.middle.len() + arguments.len() + TAIL.len()
    }

    /// Appends the body of one call to `out`; `arguments` is a JSON object and is not looked at.
    pub fn write(&self, id: u64, arguments: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(HEAD.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        out.extend_from_slice(self.middle.as_bytes());
        out.extend_from_slice(arguments.as_bytes());
        out.extend_from_slice(TAIL.as_bytes());
    }
}

/// A request of any method in the manner of `revision`, with whatever that wants to be said besides `params`.
/// `capabilities` is an object: what the client can do for the server.
pub fn request(
    id: u64,
    method: &str,
    mut params: Map<String, Value>,
    revision: Option<Revision>,
    capabilities: &Value,
) -> Bytes {
    if let Some(revision) = revision.filter(|revision| revision.is_modern()) {
        let mut whole = meta(revision, capabilities);
        if let Some(Value::Object(given)) = params.remove("_meta") {
            whole.extend(given);
        }
        params.insert("_meta".to_owned(), whole.into());
    }
    bytes_of(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

/// The request that opens a session, or at least a conversation. `capabilities` as with [`request`].
pub fn initialize(id: u64, revision: Revision, capabilities: &Value) -> Bytes {
    let params =
        json!({ "protocolVersion": revision.name(), "capabilities": capabilities, "clientInfo": client_info() });
    bytes_of(&json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params }))
}

/// The notification that ends the handshake.
pub fn initialized() -> Bytes {
    bytes_of(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
}

/// The request for a page of the tools there are: the first, or the one that `cursor` points to. `capabilities` as
/// with [`request`].
pub fn tools_list(id: u64, cursor: Option<&str>, revision: Option<Revision>, capabilities: &Value) -> Bytes {
    let mut params = Map::new();
    if let Some(cursor) = cursor {
        params.insert("cursor".to_owned(), cursor.into());
    }
    request(id, "tools/list", params, revision, capabilities)
}

/// What a request of a revision without handshake says of itself.
fn meta(revision: Revision, capabilities: &Value) -> Map<String, Value> {
    Map::from_iter([
        ("io.modelcontextprotocol/protocolVersion".to_owned(), revision.name().into()),
        ("io.modelcontextprotocol/clientCapabilities".to_owned(), capabilities.clone()),
        ("io.modelcontextprotocol/clientInfo".to_owned(), client_info()),
    ])
}

fn client_info() -> Value {
    json!({ "name": "mcpace", "version": env!("CARGO_PKG_VERSION") })
}

fn bytes_of(message: &Value) -> Bytes {
    Bytes::from(message.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(template: &CallTemplate, id: u64, arguments: &str) -> Bytes {
        let mut body = Vec::new();
        template.write(id, arguments, &mut body);
        assert_eq!(body.len(), template.length(id, arguments));
        body.into()
    }

    fn text(body: &Bytes) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn a_template_yields_the_same_json_as_building_it_would() {
        for (tool, id) in [("create_payment", 4711), ("with \"quotes\"\n", u64::MAX), ("x", 0)] {
            let body = called(&CallTemplate::new(tool, Some(Revision::V2025_11_25)), id, r#"{"amount":12.50}"#);
            let expected = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": tool, "arguments": { "amount": 12.5 } } });
            assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        }
        let body = called(&CallTemplate::new("t", None), 10, "{}");
        assert_eq!(
            text(&body),
            r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"t","arguments":{}}}"#
        );
    }

    #[test]
    fn the_handshake_declares_no_capabilities() {
        let value: Value = serde_json::from_slice(&initialize(1, Revision::V2025_06_18, &json!({}))).unwrap();
        assert_eq!(value["params"]["protocolVersion"], "2025-06-18");
        assert_eq!(value["params"]["capabilities"], json!({}));
        assert_eq!(value["params"]["clientInfo"]["name"], "mcpace");
        assert_eq!(text(&initialized()), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    #[test]
    fn a_cursor_is_sent_only_where_there_is_one() {
        assert_eq!(
            text(&tools_list(2, None, Some(Revision::V2025_11_25), &json!({}))),
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#
        );
        let next: Value = serde_json::from_slice(&tools_list(3, Some("a\"b"), None, &json!({}))).unwrap();
        assert_eq!(next["params"], json!({ "cursor": "a\"b" }));
    }

    #[test]
    fn every_modern_request_says_all_about_itself() {
        let newest = Some(Revision::V2026_07_28);
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "mcpace", "version": env!("CARGO_PKG_VERSION") },
        });
        let called = called(&CallTemplate::new("t", newest), 7, r#"{"a":1}"#);
        let called: Value = serde_json::from_slice(&called).unwrap();
        assert_eq!(called["params"], json!({ "_meta": meta, "name": "t", "arguments": { "a": 1 } }));
        assert_eq!((&called["id"], &called["method"]), (&json!(7), &json!("tools/call")));
        let listed: Value = serde_json::from_slice(&tools_list(2, Some("x"), newest, &json!({}))).unwrap();
        assert_eq!(listed["params"], json!({ "_meta": meta, "cursor": "x" }));
        let params = json!({ "_meta": { "progressToken": 1 } }).as_object().unwrap().clone();
        let able = request(3, "m", params, newest, &json!({ "elicitation": {} }));
        let able: Value = serde_json::from_slice(&able).unwrap();
        let said = &able["params"]["_meta"];
        assert_eq!(said["io.modelcontextprotocol/clientCapabilities"], json!({ "elicitation": {} }));
        assert_eq!((&said["progressToken"], said.as_object().unwrap().len()), (&json!(1), 4));
    }
}
