//! What a server said: JSON-RPC messages and tool results, read by borrowing and only as far as needed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{DEEPEST, Fault, Json};

/// Bytes that are no acceptable answer. Its text is short, closed but for names, and free of ids: a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not JSON, or cut short.
    #[error("not JSON")]
    NotJson,
    /// Nested deeper than anybody could read.
    #[error("JSON nested more than {DEEPEST} deep")]
    TooDeep,
    /// JSON, but no JSON-RPC 2.0 message or no result of a tool; says what is amiss.
    #[error("{0}")]
    NotRpc(&'static str),
    /// The answer to another question.
    #[error("the id of another request")]
    WrongId,
}

/// What a reply says.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// The raw JSON of the `result` member.
    Result(&'a str),
    /// The `error` member.
    Error(RpcError<'a>),
}

/// A JSON-RPC error.
#[derive(Clone, Debug, Deserialize)]
pub struct RpcError<'a> {
    /// Its code, such as −32602.
    pub code: i64,
    /// Its text; empty where there is none.
    #[serde(borrow, default)]
    pub message: Cow<'a, str>,
    /// Raw JSON of whatever else the server had to say.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// What the result of a tool says, as far as the protocol is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolAnswer {
    /// The tool did what it was asked for, or says so.
    Done,
    /// `isError: true`, with the text of the content.
    IsError(String),
    /// The server wants something from a person before it answers.
    InputRequired,
}

/// The members of a JSON-RPC message; those that are null are as good as not there.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Json<'a>>,
    id: Option<Json<'a>>,
    method: Option<Json<'a>>,
    result: Option<Json<'a>>,
    error: Option<Json<'a>>,
}

impl<'a> Envelope<'a> {
    fn of(message: Json<'a>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for (name, value) in message.members() {
            let Some(name) = name.text() else { continue };
            let member = match &*name {
                "jsonrpc" => &mut found.jsonrpc,
                "id" => &mut found.id,
                "method" => &mut found.method,
                "result" => &mut found.result,
                "error" => &mut found.error,
                _ => continue,
            };
            if member.replace(value).is_some() {
                return Err(Malformed::NotRpc("a message that has a member twice"));
            }
        }
        for member in [&mut found.jsonrpc, &mut found.id, &mut found.method, &mut found.result, &mut found.error] {
            *member = member.filter(|value| !value.is_null());
        }
        Ok(found)
    }
}

/// Reads a message and says what it answers to the request `id`; `None` for a request or notification of the server's
/// own, which is no answer at all. A result must carry the very id, as a number or as a string of its digits. An error
/// may also come without an id or with one that is no number: servers that could not read a request do that.
///
/// # Errors
/// The message is no acceptable answer.
pub fn read_reply(message: &[u8], id: u64) -> Result<Option<Body<'_>>, Malformed> {
    let text = std::str::from_utf8(message).map_err(|_| Malformed::NotUtf8)?;
    let message = Json::read(text)?;
    if message.is_array() {
        // A batch is no answer to a single request.
        return Err(Malformed::NotRpc("a JSON array in place of a message"));
    }
    let envelope = Envelope::of(message)?;
    if !envelope.jsonrpc.is_some_and(|version| version.text().as_deref() == Some("2.0")) {
        return Err(Malformed::NotRpc("no \"jsonrpc\": \"2.0\""));
    }
    if envelope.method.is_some() {
        return Ok(None);
    }
    match (envelope.result, envelope.error) {
        (Some(result), None) if is_id(envelope.id, id) => Ok(Some(Body::Result(result.raw()))),
        (Some(_), None) => Err(Malformed::WrongId),
        (None, Some(error)) => {
            let error = serde_json::from_str(error.raw())
                .map_err(|_| Malformed::NotRpc("an error that is no object with a code"))?;
            let is_ours = is_id(envelope.id, id) || !envelope.id.is_some_and(|raw| is_numeric(raw.raw()));
            if is_ours { Ok(Some(Body::Error(error))) } else { Err(Malformed::WrongId) }
        }
        (Some(_), Some(_)) => Err(Malformed::NotRpc("both a result and an error")),
        (None, None) => Err(Malformed::NotRpc("neither a result nor an error")),
    }
}

/// Reads the `result` of a `tools/call` as far as the protocol gives it a meaning.
///
/// # Errors
/// It is not the result of a tool.
pub fn read_tool_answer(result: &str) -> Result<ToolAnswer, Malformed> {
    let result = Json::read(result)?;
    if !result.is_object() {
        return Err(Malformed::NotRpc("a result that is no object"));
    }
    let wrong = || Malformed::NotRpc("a result with members of wrong types");
    let (mut is_error, mut kind, mut content) = (None, None, None);
    for (name, value) in result.members() {
        let Some(name) = name.text() else { continue };
        let member = match &*name {
            "isError" => &mut is_error,
            "resultType" => &mut kind,
            "content" => &mut content,
            _ => continue,
        };
        if member.replace(value).is_some() {
            return Err(Malformed::NotRpc("a result that has a member twice"));
        }
    }
    let is_there = |value: &Json<'_>| !value.is_null();
    let kind = kind.filter(is_there).map(|kind| kind.text().ok_or_else(wrong)).transpose()?;
    let is_error = is_error.filter(is_there).map(|flag| flag.flag().ok_or_else(wrong)).transpose()?;
    match kind.as_deref() {
        None | Some("complete") => {}
        Some("input_required") => return Ok(ToolAnswer::InputRequired),
        Some(_) => return Err(Malformed::NotRpc("an unknown resultType")),
    }
    if is_error != Some(true) {
        return Ok(ToolAnswer::Done);
    }
    let parts = content.into_iter().flat_map(Json::items);
    let texts: Vec<Cow<'_, str>> = parts.filter_map(|part| part.at("text")?.text()).collect();
    Ok(ToolAnswer::IsError(texts.join(" ")))
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotJson => Self::NotJson,
            Fault::TooDeep => Self::TooDeep,
        }
    }
}

fn is_id(given: Option<Json<'_>>, id: u64) -> bool {
    given.is_some_and(|given| unquoted(given.raw()).parse() == Ok(id))
}

fn is_numeric(raw: &str) -> bool {
    unquoted(raw).parse::<f64>().is_ok()
}

fn unquoted(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str, id: u64) -> String {
        match read_reply(message.as_bytes(), id) {
            Ok(Some(Body::Result(result))) => format!("result {result}"),
            Ok(Some(Body::Error(e))) => format!("error {} {} {}", e.code, e.message, e.data.map_or("-", RawValue::get)),
            Ok(None) => "the server's own".to_owned(),
            Err(malformed) => malformed.to_string(),
        }
    }

    #[test]
    fn each_servers_dialect_is_understood() {
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, "result {}"),
            (r#"{"result":{"a":[1]},"jsonrpc":"2.0","id":7}"#, r#"result {"a":[1]}"#),
            ("\r\n {\"jsonrpc\" : \"2.0\", \"id\" : \"7\", \"result\" : {} }", "result {}"),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}"#, "error -32602 no -"),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"a\"b","data":[1]}}"#,
                r#"error -32000 a"b [1]"#,
            ),
            (r#"{"jsonrpc":"2.0","error":{"code":-32000}}"#, "error -32000  -"),
            (r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"m"}}"#, "error -32600 m -"),
            (r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"},"result":null}"#, "error 1 m -"),
            (r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}"#, "the server's own"),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"x":{}}}"#, "the server's own"),
        ] {
            assert_eq!(said(message, 7), expected, "{message}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none_and_why() {
        for (message, expected) in [
            (r#"{"hello":"world"}"#, "no \"jsonrpc\": \"2.0\""),
            (r#"{"jsonrpc":"1.0","id":7,"result":{}}"#, "no \"jsonrpc\": \"2.0\""),
            (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, "the id of another request"),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "the id of another request"),
            (r#"{"jsonrpc":"2.0","result":{}}"#, "the id of another request"),
            (r#"{"jsonrpc":"2.0","id":{"a":7},"result":{}}"#, "the id of another request"),
            (r#"{"jsonrpc":"2.0","id":8,"error":{"code":1,"message":"m"}}"#, "the id of another request"),
            (r#"{"jsonrpc":"2.0","id":7}"#, "neither a result nor an error"),
            (r#"{"jsonrpc":"2.0","id":7,"result":null}"#, "neither a result nor an error"),
            (r#"{"jsonrpc":"2.0","id":7,"result":1,"error":{}}"#, "both a result and an error"),
            (r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#, "an error that is no object with a code"),
            (r#"["2.0",7,null,{}]"#, "a JSON array in place of a message"),
            (r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#, "a JSON array in place of a message"),
            ("7", "no \"jsonrpc\": \"2.0\""),
            (r#"{"jsonrpc":"2.0","id":7,"\u0069d":7,"result":{}}"#, "a message that has a member twice"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}"#, "not JSON"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}} x"#, "not JSON"),
            ("", "not JSON"),
            ("<html>", "not JSON"),
            ("Infinity", "not JSON"),
        ] {
            assert_eq!(said(message, 7), expected, "{message}");
        }
        assert_eq!(read_reply(b"{\"jsonrpc\":\"2.0\xff\"}", 7).unwrap_err(), Malformed::NotUtf8);
    }

    #[test]
    fn a_million_levels_are_refused_and_many_braces_in_a_string_are_not() {
        let deep = |levels: usize| {
            let result = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":{result}}}}}"#)
        };
        assert_eq!(said(&deep(1_000_000), 7), "JSON nested more than 128 deep");
        assert_eq!(said(&deep(127), 7), "JSON nested more than 128 deep");
        assert!(said(&deep(126), 7).starts_with("result"));
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":"\"\\{}"}}}}"#, "{".repeat(300));
        assert!(said(&text, 7).starts_with("result"), "{}", said(&text, 7));
        let wide = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":[{}1]}}}}"#, "{},".repeat(300));
        assert!(said(&wide, 7).starts_with("result"));
    }

    #[test]
    fn a_tools_answer_is_read_as_far_as_the_protocol_goes() {
        let error = |text: &str| Ok(ToolAnswer::IsError(text.to_owned()));
        let wrong = |what| Err(Malformed::NotRpc(what));
        for (result, expected) in [
            ("{}", Ok(ToolAnswer::Done)),
            (r#"{"content":[],"isError":false,"_meta":{"isError":true}}"#, Ok(ToolAnswer::Done)),
            (r#"{"resultType":"complete","isError":null}"#, Ok(ToolAnswer::Done)),
            (r#"{"resultType":"input_required","inputRequests":{}}"#, Ok(ToolAnswer::InputRequired)),
            (r#"{"resultType":"task"}"#, wrong("an unknown resultType")),
            (
                r#"{"content":[{"type":"text","text":"a \"b\""},{"type":"image"},{"text":"c"}],"isError":true}"#,
                error("a \"b\" c"),
            ),
            (r#"{"isError":true}"#, error("")),
            (r#"{"isError":true,"content":"odd"}"#, error("")),
            (r#"{"isError":"true"}"#, wrong("a result with members of wrong types")),
            ("[]", wrong("a result that is no object")),
            ("42", wrong("a result that is no object")),
        ] {
            assert_eq!(read_tool_answer(result), expected, "{result}");
        }
    }
}
