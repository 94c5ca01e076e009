//! What servers really answered, mangled: whatever the bytes are, each reader ends in a value or in a refusal.

use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::headers::HeaderPlan;
use super::*;
use crate::json::{MOST_NOTED, ToolResult};

/// Answers of the common servers, each to a request with the id 7.
const ANSWERS: [&str; 14] = [
    // Introductions: of Python, and of one with an invented version.
    r#"{"jsonrpc":"2.0","id":7,"result":{"capabilities":{"prompts":{"listChanged":false},"tools":{"listChanged":false}},"protocolVersion":"2025-11-25","serverInfo":{"name":"payments-py","version":"0.1.0"}}}"#,
    r#"{"jsonrpc":"2.0","id":7,"result":{"protocolVersion":"2024.1","capabilities":{"tools":true},"serverInfo":{"name":"x"}}}"#,
    // What is spoken without a handshake, and that another version is.
    r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","supportedVersions":["2024-11-05","2025-11-25","2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mcp-payments-ref","version":"0.1.0"}}}}"#,
    r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}}"#,
    // Lists of tools.
    r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"description":"Create a payment","inputSchema":{"properties":{"amount":{"title":"Amount","type":"integer","x-mcp-header":"Amount"},"currency":{"enum":["EUR","USD"],"type":"string"}},"required":["amount","currency"],"type":"object","title":"create_paymentArguments"},"name":"create_payment","outputSchema":{"type":"object"},"annotations":{"readOnlyHint":false}},{"name":"b"}],"nextCursor":"2"}}"#,
    // Results, the id first and last.
    r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{},"content":[{"text":"{\n  \"payment_id\": \"pay_1\",\n  \"amount\": 12.34\n}","type":"text"}],"isError":false,"structuredContent":{"payment_id":"pay_1","amount":"12.34","status":"completed"}}}"#,
    r#"{"result":{"content":[{"type":"text","text":"Echo: \u00e9\ud83d\ude00"}]},"jsonrpc":"2.0","id":7}"#,
    r#"{"jsonrpc":"2.0","id":"7","result":{"content":[{"type":"text","text":"no such wallet"}],"isError":true}}"#,
    r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}},"requestState":"s"}}"#,
    // Errors, with and without an id of ours.
    r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}"#,
    r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Missing session ID"}}"#,
    // What servers say of their own accord.
    r#"{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"x"}}],"maxTokens":100},"jsonrpc":"2.0","id":0}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1,"total":2}}"#,
    r#"[{"jsonrpc":"2.0","id":7,"result":{}},{"jsonrpc":"2.0","id":8,"result":{}}]"#,
];

/// Pieces that readers of JSON stumble over.
const PIECES: [&str; 22] = [
    "null",
    "true",
    "-0",
    "7",
    "1e999",
    "-1e-999",
    "18446744073709551616",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{}",
    "[]",
    ",\"id\":7",
    ",\"jsonrpc\":\"2.0\"",
    ",\"result\":{}",
    ",\"error\":{\"code\":1}",
    ",\"isError\":true",
    "\"",
    "\\",
    "{",
    "}",
    ",",
];

/// Longer texts show nothing more.
const MOST_BYTES: usize = 100_000;

/// One way to mangle an answer.
#[derive(Clone, Debug)]
enum Mangling {
    Byte(Index, u8),
    Cut(Index),
    /// A value of the answer is replaced by a piece.
    Value(Index, usize),
    Piece(Index, usize),
    /// A part is taken out and put in elsewhere, at times again and again.
    Move(Index, Index, Index, usize),
    Deep(Index, u16),
}

fn manglings() -> impl Strategy<Value = Vec<Mangling>> {
    let mangling = prop_oneof![
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mangling::Byte(at, byte)),
        1 => any::<Index>().prop_map(Mangling::Cut),
        4 => (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Mangling::Value(at, piece)),
        2 => (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Mangling::Piece(at, piece)),
        1 => (any::<Index>(), any::<Index>(), any::<Index>(), 1..40_usize)
            .prop_map(|(from, to, at, times)| Mangling::Move(from, to, at, times)),
        1 => (any::<Index>(), any::<u16>()).prop_map(|(at, depth)| Mangling::Deep(at, depth)),
    ];
    prop::collection::vec(mangling, 0..4)
}

/// Where values begin and end, as far as one can tell without reading them.
fn values(text: &[u8]) -> Vec<(usize, usize)> {
    let starts = (0..text.len().min(5000)).filter(|at| *at > 0 && matches!(text[at - 1], b':' | b'[' | b','));
    let text = &text[..text.len().min(5000)];
    let end = |from: usize| text[from..].iter().position(|byte| matches!(byte, b',' | b'}' | b']'));
    starts.filter_map(|from| Some((from, from + end(from)?))).collect()
}

fn mangled(answer: usize, manglings: &[Mangling]) -> Vec<u8> {
    let mut text = ANSWERS[answer].as_bytes().to_vec();
    for mangling in manglings {
        if text.is_empty() {
            break;
        }
        match mangling {
            Mangling::Byte(at, byte) => {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            Mangling::Cut(at) => text.truncate(at.index(text.len())),
            Mangling::Value(at, piece) => {
                let values = values(&text);
                if !values.is_empty() {
                    let (from, to) = *at.get(&values);
                    text.splice(from..to, PIECES[*piece].bytes());
                }
            }
            Mangling::Piece(at, piece) => {
                let at = at.index(text.len());
                text.splice(at..at, PIECES[*piece].bytes());
            }
            Mangling::Move(from, to, at, times) => {
                let (from, to) = (from.index(text.len()), to.index(text.len()));
                let part = text[from.min(to)..from.max(to)].repeat(*times);
                let at = at.index(text.len());
                text.splice(at..at, part);
            }
            Mangling::Deep(at, depth) => {
                let at = at.index(text.len());
                text.splice(at..at, "[".repeat(usize::from(*depth)).bytes());
            }
        }
        text.truncate(MOST_BYTES);
    }
    text
}

/// What is said to hold of every message, whatever its bytes.
fn check(message: &[u8]) -> Result<(), TestCaseError> {
    let said = match read_reply(message, 7) {
        Ok(Some(Body::Result(answer))) => {
            let (result, gist) = (answer.raw, answer.gist);
            let whole = ToolResult::within(Bytes::copy_from_slice(message), answer.into_parts());
            prop_assert_eq!(whole.raw(), result.as_bytes());
            prop_assert_eq!(values_of(&whole), values_of(&ToolResult::read(result.to_owned())));
            // It is a part of the message, and the message is what it was taken for.
            let value: Value = match serde_json::from_slice(message) {
                Ok(value) => value,
                // JSON as such, with a value in it that nobody here can hold: whoever wants that one is told so.
                Err(e)
                    if ["number out of range", "surrogate", "hex escape"]
                        .iter()
                        .any(|odd| e.to_string().contains(odd)) =>
                {
                    return check_result(result, gist);
                }
                Err(e) => return Err(TestCaseError::fail(e.to_string())),
            };
            prop_assert_eq!(&value["jsonrpc"], "2.0");
            prop_assert!(value["id"] == 7 || value["id"] == "7", "{}", value);
            prop_assert_eq!(&value["result"], &serde_json::from_str::<Value>(result).unwrap_or_default());
            prop_assert!(message.as_ptr_range().contains(&result.as_ptr()));
            if gist.of_tool(result.as_bytes()).is_ok() {
                check_members(&value["result"], &whole)?;
            }
            check_result(result, gist)?;
            Said::Result(result)
        }
        Ok(Some(Body::Error(error))) => {
            prop_assert!(group_of(&error.message).chars().count() <= GROUP_CHARS);
            is_version_refused(&error);
            Said::Error(error)
        }
        Ok(None) => Said::Other,
        Err(malformed) => {
            prop_assert!(malformed.to_string().chars().count() <= GROUP_CHARS);
            Said::Other
        }
    };
    if let Some(asked) = read_asked(message)
        && let Some(id) = asked.id
    {
        // An id is said again as it was said, even one that no number of ours can hold.
        let refusal = refuse(id, &asked.method);
        let refusal: HashMap<&str, &RawValue> = serde_json::from_slice(&refusal).unwrap();
        prop_assert_eq!(refusal["jsonrpc"].get(), "\"2.0\"");
        prop_assert!(refusal.contains_key("error") || asked.method == "ping");
    }
    for (wanted, status) in [(Protocol::Auto, 200), (Protocol::Auto, 400), (Protocol::Revision(Revision::NEWEST), 200)]
    {
        let (mut negotiation, _) = Negotiation::begin(wanted);
        // However often the same is said, it comes to an end.
        let ends = (0..10).any(|_| !matches!(negotiation.hear(status, &said), Step::Discover(_) | Step::Initialize(_)));
        prop_assert!(ends);
    }
    Ok(())
}

/// What is found in the parts of a result.
fn values_of(result: &ToolResult) -> Vec<String> {
    let message = result.message();
    let parts = result.structured(message).into_iter().chain(result.content(message));
    let members = result.in_structured().iter().chain(result.in_meta()).map(|member| member.value(message));
    parts.chain(members).map(|value| value.raw().to_owned()).collect()
}

/// Each member of a part is found under its name, unless there are too many to be noted.
fn check_members(said: &Value, result: &ToolResult) -> Result<(), TestCaseError> {
    let message = result.message();
    for (part, noted) in [("structuredContent", result.in_structured()), ("_meta", result.in_meta())] {
        let members = said[part].as_object().into_iter().flatten();
        for (name, value) in members.filter(|_| !noted.is_empty()) {
            let found = noted.iter().rfind(|member| member.is(name, message));
            let found = found.and_then(|member| member.value(message).value());
            prop_assert_eq!(found.as_ref(), Some(value));
        }
        prop_assert!(noted.len() <= MOST_NOTED);
    }
    Ok(())
}

fn check_result(result: &str, gist: Gist) -> Result<(), TestCaseError> {
    if let Ok(ToolAnswer::IsError(text)) = gist.of_tool(result.as_bytes()) {
        prop_assert!(group_of(&text).chars().count() <= GROUP_CHARS);
    }
    if let Some(page) = read_tool_page(result, &mut { MOST_VALUES }) {
        for tool in page.tools {
            if let Ok(plan) = HeaderPlan::of(&tool.input_schema) {
                plan.headers(r#"{"amount":1,"currency":"\u0000\n"}"#).for_each(drop);
            }
        }
    }
    if let Ok(introduction) = read_introduction(result, Revision::NEWEST_WITH_HANDSHAKE) {
        prop_assert!(!introduction.revision.is_modern());
    }
    Ok(())
}

/// The events of a stream in these chunks, up to the first that is too large; and the most that was held meanwhile.
fn decode(chunks: &[&[u8]], most: usize) -> (Vec<Event>, Option<EventTooLarge>, usize) {
    let (mut decoder, mut events, mut held) = (Decoder::new(most), Vec::new(), 0);
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error), held),
            }
            held = held.max(decoder.held());
        }
        held = held.max(decoder.held());
    }
    (events, None, held)
}

/// `stream` cut into chunks of these sizes.
fn cut_up<'a>(mut stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = stream.split_at((*size).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}

#[test]
fn unmangled_answers_are_what_they_were() {
    let kinds = ANSWERS.map(|answer| match read_reply(answer.as_bytes(), 7) {
        Ok(Some(Body::Result(..))) => 'r',
        Ok(Some(Body::Error(_))) => 'e',
        Ok(None) => 'o',
        Err(_) => '-',
    });
    assert_eq!(kinds.iter().collect::<String>(), "rrrerrrrreeoo-");
}

proptest! {
    #[test]
    fn mangled_answers_are_read_or_refused(answer in 0..ANSWERS.len(), manglings in manglings()) {
        check(&mangled(answer, &manglings))?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        check(&bytes)?;
        check(text.as_bytes())?;
        check_result(&text, Gist::default())?;
        check(json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"text": text}], "isError": true}}).to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes_give_the_same_events_in_whatever_chunks_they_come(
        pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![
                &b"data"[..], b"data:", b"data: ", b"event: message", b"id: 1", b"id", b"retry: 1", b":", b"\n", b"\r", b"\r\n", b"\n\n",
                b"\xef\xbb\xbf", b"\xff", b"\0", b"{\"a\":1}", b" ",
            ]).prop_map(<[u8]>::to_vec),
            prop::collection::vec(any::<u8>(), 0..10),
        ], 0..60),
        sizes in prop::collection::vec(0..12_usize, 0..80),
        most in prop_oneof![Just(0), 1..40_usize, Just(1 << 20)],
    ) {
        let stream = pieces.concat();
        let (events, error, _) = decode(&[&stream], most);
        let (same, same_error, held) = decode(&cut_up(&stream, &sizes), most);
        prop_assert_eq!(&same, &events);
        prop_assert_eq!(same_error, error);
        // A line of a field's name and as much again, and the data, the kind and the place so far.
        prop_assert!(held <= 4 * (most + 64), "{} bytes held of at most {}", held, most);
        prop_assert!(events.iter().all(|event| event.data.len() <= most));
    }

    #[test]
    fn mangled_answers_in_events_come_out_as_they_went_in(answer in 0..ANSWERS.len(), manglings in manglings(),
        sizes in prop::collection::vec(0..40_usize, 0..40)) {
        let mut message = mangled(answer, &manglings);
        message.retain(|byte| !matches!(byte, b'\n' | b'\r'));
        let stream = [b"event: message\r\ndata: ", &message[..], b"\r\nid: 1\r\n\r\n"].concat();
        let (events, error, _) = decode(&cut_up(&stream, &sizes), 8 << 20);
        prop_assert_eq!((events.len(), error), (1, None));
        prop_assert_eq!(&events[0].data[..], &message[..]);
    }
}
