//! What a server asks or tells of its own accord, and the bodies by which it is answered.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::cut;

const METHOD_NOT_FOUND: i64 = -32601;
/// The most characters of a server's own words in an answer.
const MOST_WORDS: usize = 60;

/// A message of the server's own.
#[derive(Clone, Debug, Deserialize)]
pub struct Asked<'a> {
    /// What is asked for, such as `ping` or `elicitation/create`.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The raw JSON of the id that an answer must name; `None` where nobody waits for one.
    #[serde(borrow, default, deserialize_with = "present")]
    pub id: Option<&'a RawValue>,
    /// The raw JSON of its parameters.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// An `"id": null` is a member that is there: to be answered, though nobody can tell which request that was.
fn present<'de, D: serde::Deserializer<'de>>(id: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(id).map(Some)
}

/// Reads a message of the server's own: a request or a notification. `None` for anything else.
pub fn read_asked(message: &[u8]) -> Option<Asked<'_>> {
    // The derived reader also takes an array for a struct.
    let text = std::str::from_utf8(message).ok().filter(|text| text.trim_start().starts_with('{'))?;
    serde_json::from_str(text).ok()
}

/// The answer to the server's request `id` with a result, which is raw JSON.
pub fn answer(id: &RawValue, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get()))
}

/// The answer of a client without capabilities: a ping is answered, and everything else refused.
pub fn refuse(id: &RawValue, method: &str) -> Bytes {
    if method == "ping" {
        return answer(id, "{}");
    }
    let message = format!("Method not found: {}", cut(method, MOST_WORDS));
    let error = json!({ "code": METHOD_NOT_FOUND, "message": message });
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.get()))
}

/// The notification by which a client of a revision before 2026-07-28 gives its request `id` up.
pub fn cancelled(id: u64) -> Bytes {
    let params: Value = json!({ "requestId": id, "reason": "timeout" });
    Bytes::from(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_told_from_a_notification_and_from_an_answer() {
        let request = br#"{"method":"sampling/createMessage","params":{"a":[1]},"jsonrpc":"2.0","id":0}"#;
        let asked = read_asked(request).unwrap();
        assert_eq!((&*asked.method, asked.id.map(RawValue::get)), ("sampling/createMessage", Some("0")));
        assert_eq!(asked.params.map(RawValue::get), Some(r#"{"a":[1]}"#));
        let told = read_asked(br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#).unwrap();
        assert!(told.id.is_none() && told.params.is_none());
        assert_eq!(read_asked(br#"{"method":"ping","id":null}"#).unwrap().id.map(RawValue::get), Some("null"));
        for other in [&br#"{"jsonrpc":"2.0","id":7,"result":{}}"#[..], b"[\"ping\"]", b"{", b"\xff", br#"{"method":7}"#]
        {
            assert!(read_asked(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_ping_is_answered_and_everything_else_refused_with_the_id_as_it_came() {
        let asked = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"x"}}"#);
        for id in ["0", "\"a\\u0041\"", "1e2"] {
            let message = asked(id);
            let id_given = read_asked(message.as_bytes()).unwrap().id.unwrap();
            assert_eq!(refuse(id_given, "ping"), format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#));
            let refusal = refuse(id_given, "roots/list");
            let value: Value = serde_json::from_slice(&refusal).unwrap();
            assert_eq!(value["error"], json!({ "code": -32601, "message": "Method not found: roots/list" }));
        }
        let cancelled: Value = serde_json::from_slice(&cancelled(4711)).unwrap();
        assert_eq!(cancelled["method"], "notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], 4711);
        assert!(cancelled.get("id").is_none());
    }

    proptest! {
        #[test]
        fn a_refusal_is_valid_json_whatever_the_server_calls_its_request(method in any::<String>(), id in any::<String>()) {
            let message = json!({ "jsonrpc": "2.0", "id": id, "method": method }).to_string();
            let asked = read_asked(message.as_bytes()).unwrap();
            let refusal: Value = serde_json::from_slice(&refuse(asked.id.unwrap(), &asked.method)).unwrap();
            prop_assert_eq!(&refusal["id"], &Value::from(id));
        }
    }
}
