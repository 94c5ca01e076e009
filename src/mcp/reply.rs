//! What a server said: JSON-RPC messages and tool results, read once and by borrowing.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Cursor, DEEPEST, Fault, Json, Part, Parts};

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
    /// The `result` member.
    Result(Answer<'a>),
    /// The `error` member.
    Error(RpcError<'a>),
}

/// The `result` member of a reply.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Its raw JSON.
    pub raw: &'a str,
    /// What that says where it is the result of a tool.
    pub gist: Gist,
    parts: Parts,
}

impl Answer<'_> {
    /// Where it and its parts are in the message.
    pub(crate) fn into_parts(self) -> Parts {
        self.parts
    }
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

/// What the result of a tool says, but for its words: noted while a message is read, whatever that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gist {
    fault: Option<&'static str>,
    wants_input: bool,
    is_error: bool,
}

/// The members of a JSON-RPC message; those that are null are as good as not there.
#[derive(Default)]
struct Envelope<'a> {
    jsonrpc: Option<Json<'a>>,
    id: Option<Json<'a>>,
    method: Option<Json<'a>>,
    result: Option<Answer<'a>>,
    error: Option<Json<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads the message at the cursor.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let message = cursor.members(|name, cursor| {
            let name = name.text();
            let member = match name.as_deref() {
                Some("jsonrpc") => &mut found.jsonrpc,
                Some("id") => &mut found.id,
                Some("method") => &mut found.method,
                Some("result") => return put(&mut found.result, Answer::read(cursor)?),
                Some("error") => &mut found.error,
                _ => {
                    cursor.value()?;
                    return Ok(());
                }
            };
            put(member, cursor.value()?)
        })?;
        if message.is_array() {
            // A batch is no answer to a single request.
            return Err(Malformed::NotRpc("a JSON array in place of a message"));
        }
        for member in [&mut found.jsonrpc, &mut found.id, &mut found.method, &mut found.error] {
            *member = member.filter(|value| !value.is_null());
        }
        found.result = found.result.filter(|result| result.raw != "null");
        Ok(found)
    }
}

fn put<T>(member: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed::NotRpc("a message that has a member twice")),
    }
}

impl<'a> Answer<'a> {
    /// Reads the result at the cursor.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let [mut is_error, mut kind] = [None; 2];
        let mut parts = Parts::default();
        let mut is_twice = false;
        let start = cursor.at();
        let result = cursor.members(|name, cursor| {
            let name = name.text();
            is_twice |= match name.as_deref() {
                Some("isError") => is_error.replace(cursor.value()?).is_some(),
                Some("resultType") => kind.replace(cursor.value()?).is_some(),
                name => parts.take(name.unwrap_or_default(), cursor)?,
            };
            Ok::<_, Malformed>(())
        })?;
        let is_there = |value: &Json<'_>| !value.is_null();
        let is_error = is_error.filter(is_there).map(Json::flag);
        let kind = kind.filter(is_there).map(Json::text);
        let wants_input = matches!(&kind, Some(Some(kind)) if kind == "input_required");
        let fault = match kind {
            _ if !result.is_object() => Some("a result that is no object"),
            _ if is_twice => Some("a result that has a member twice"),
            Some(None) => Some("a result with members of wrong types"),
            _ if is_error == Some(None) => Some("a result with members of wrong types"),
            Some(Some(kind)) if !wants_input && kind != "complete" => Some("an unknown resultType"),
            _ => None,
        };
        let gist = Gist { fault, wants_input, is_error: is_error == Some(Some(true)) };
        parts.put(Part::Whole, start..cursor.at());
        Ok(Self { raw: result.raw(), gist, parts })
    }
}

impl Gist {
    /// What it says, if `result`, which it is the gist of, is that of a tool.
    ///
    /// # Errors
    /// It is not the result of a tool.
    pub fn of_tool(self, result: &[u8]) -> Result<ToolAnswer, Malformed> {
        match self {
            Self { fault: Some(fault), .. } => Err(Malformed::NotRpc(fault)),
            Self { wants_input: true, .. } => Ok(ToolAnswer::InputRequired),
            Self { is_error: false, .. } => Ok(ToolAnswer::Done),
            _ => {
                let result = std::str::from_utf8(result).map_err(|_| Malformed::NotUtf8)?;
                Ok(ToolAnswer::IsError(words_of(Json::read(result)?)))
            }
        }
    }
}

/// The texts of a result's content.
fn words_of(result: Json<'_>) -> String {
    let parts = result.at("content").into_iter().flat_map(Json::items);
    let texts: Vec<Cow<'_, str>> = parts.filter_map(|part| part.at("text")?.text()).collect();
    texts.join(" ")
}

/// Reads a message and says what it answers to the request `id`; `None` for a request or notification of the server's
/// own, which is no answer at all. A result must carry the very id, as a number or as a string of its digits. An error
/// may also come without an id or with one that is no number: servers that could not read a request do that.
///
/// # Errors
/// The message is no acceptable answer.
pub fn read_reply(message: &[u8], id: u64) -> Result<Option<Body<'_>>, Malformed> {
    let text = std::str::from_utf8(message).map_err(|_| Malformed::NotUtf8)?;
    let envelope = Cursor::whole(text, Envelope::read)?;
    if envelope.jsonrpc.is_none_or(|version| version.text().as_deref() != Some("2.0")) {
        return Err(Malformed::NotRpc("no \"jsonrpc\": \"2.0\""));
    }
    if envelope.method.is_some() {
        return Ok(None);
    }
    match (envelope.result, envelope.error) {
        (Some(result), None) if is_id(envelope.id, id) => Ok(Some(Body::Result(result))),
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
    use crate::json::ToolResult;

    fn said(message: &str, id: u64) -> String {
        match read_reply(message.as_bytes(), id) {
            Ok(Some(Body::Result(result))) => format!("result {}", result.raw),
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
            (r#"{"resultType":["complete"]}"#, wrong("a result with members of wrong types")),
            (r#"{"isError":true,"isError":false}"#, wrong("a result that has a member twice")),
            (
                r#"{"structuredContent":{"id":1},"structuredContent":{"id":2}}"#,
                wrong("a result that has a member twice"),
            ),
            ("[]", wrong("a result that is no object")),
            ("42", wrong("a result that is no object")),
        ] {
            let message = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
            let Ok(Some(Body::Result(answer))) = read_reply(message.as_bytes(), 7) else { panic!("{result}") };
            let raw = answer.raw;
            assert_eq!((raw, answer.gist.of_tool(raw.as_bytes())), (result, expected));
            let result = ToolResult::within(message.clone().into(), answer.into_parts());
            assert_eq!((&*result.text(), result.message()), (raw, &*message));
        }
    }
}
