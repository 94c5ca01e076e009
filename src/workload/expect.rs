//! What an answer must say, and where to look for it.
//!
//! Servers put the same value in different places: `structuredContent`, the result's `_meta`, or JSON inside the text
//! content. A pointer is tried in each of these, in that order; alternatives are parted by `|`.

use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{CaptureId, Failure};

/// A tool's result, taken apart once.
pub(super) struct Answer<'a> {
    raw: &'a [u8],
    places: Places<'a>,
    structured: OnceCell<Option<Value>>,
    meta: OnceCell<Option<Value>>,
    texts: OnceCell<Vec<Value>>,
}

/// The raw JSON of the places where a value may be.
#[derive(Default, Deserialize)]
struct Places<'a> {
    #[serde(borrow, default, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl<'a> Answer<'a> {
    /// Takes the raw `result` apart, each place only when something is looked for in it; what is not there is simply not
    /// found later.
    pub(super) fn parse(result: &'a [u8]) -> Self {
        let places = serde_json::from_slice(result).unwrap_or_default();
        Self { raw: result, places, structured: OnceCell::new(), meta: OnceCell::new(), texts: OnceCell::new() }
    }

    /// The first value that is there and not null.
    fn find(&self, pointers: &str) -> Option<&Value> {
        pointers.split('|').find_map(|pointer| self.at(pointer))
    }

    /// The value in the first place that has one there, null being none.
    fn at(&self, pointer: &str) -> Option<&Value> {
        let structured = || value_at(self.structured.get_or_init(|| read(self.places.structured)).as_ref()?, pointer);
        let meta = || value_at(self.meta.get_or_init(|| read(self.places.meta)).as_ref()?, pointer);
        let texts = || {
            let texts = self.texts.get_or_init(|| documents(self.places.content));
            texts.iter().find_map(|text| value_at(text, pointer))
        };
        structured().or_else(meta).or_else(texts)
    }

    fn failure(&self, group: String) -> Failure {
        let raw = String::from_utf8_lossy(&self.raw[..self.raw.len().min(300)]);
        Failure { group, example: raw.chars().take(300).collect() }
    }
}

fn value_at<'a>(place: &'a Value, pointer: &str) -> Option<&'a Value> {
    place.pointer(pointer).filter(|value| !value.is_null())
}

fn read(raw: Option<&RawValue>) -> Option<Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// The texts of a result's content that are JSON.
fn documents(content: Option<&RawValue>) -> Vec<Value> {
    let content = read(content).unwrap_or_default();
    let texts = content.as_array().into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
    let documents = texts.filter(|text| text.trim_start().starts_with(['{', '[']));
    documents.filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// One demand on an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expectation {
    pub(super) pointers: String,
    pub(super) want: Want,
}

/// What a demand asks of the value it points at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// It is there and not null.
    Present,
    /// It is the captured value that the call carried.
    Captured,
    /// It equals this; a number and its text are equal.
    Equals(Value),
}

impl Expectation {
    /// Reads `"/status" = "refunded"`, `"/id" = { captured = true }` or `"/id" = { present = true }`.
    pub(super) fn parse(pointers: &str, want: &Value) -> Result<Self, String> {
        check_pointers(pointers)?;
        let want = match want {
            Value::Object(table) if table.len() == 1 && table.get("present") == Some(&Value::Bool(true)) => {
                Want::Present
            }
            Value::Object(table) if table.len() == 1 && table.get("captured") == Some(&Value::Bool(true)) => {
                Want::Captured
            }
            Value::Object(_) | Value::Array(_) => {
                return Err(format!(
                    "expect {pointers} = {want}: give a value, {{ present = true }} or {{ captured = true }}"
                ));
            }
            value => Want::Equals(value.clone()),
        };
        Ok(Self { pointers: pointers.to_owned(), want })
    }

    /// Whether `answer` meets it.
    pub(super) fn check(&self, answer: &Answer<'_>, captured: Option<&str>) -> Result<(), Failure> {
        let pointer = first_of(&self.pointers);
        let Some(found) = answer.find(&self.pointers) else {
            return Err(answer.failure(format!("{pointer} is missing")));
        };
        let met = match &self.want {
            Want::Present => true,
            Want::Captured => captured.is_some_and(|asked| same_text(found, asked)),
            Want::Equals(value) => found == value || value.as_str().is_some_and(|text| same_text(found, text)),
        };
        match (met, &self.want) {
            (true, _) => Ok(()),
            (false, Want::Equals(value)) => Err(answer.failure(format!("{pointer} is not {value}"))),
            (false, _) => Err(answer.failure(format!("{pointer} is not the value asked for"))),
        }
    }
}

/// A value to keep from each ok answer; an answer without it is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capture {
    pub(super) id: CaptureId,
    pub(super) pointers: String,
}

impl Capture {
    /// The value to keep.
    pub(super) fn read(&self, answer: &Answer<'_>) -> Result<String, Failure> {
        let pointer = first_of(&self.pointers);
        match answer.find(&self.pointers) {
            Some(Value::String(text)) if (1..=super::capture::LONGEST).contains(&text.len()) => Ok(text.clone()),
            Some(number @ Value::Number(_)) => Ok(number.to_string()),
            Some(_) => Err(answer.failure(format!("{pointer} is no id"))),
            None => Err(answer.failure(format!("{pointer} is missing"))),
        }
    }
}

/// What a message calls the value: its first alternative.
fn first_of(pointers: &str) -> &str {
    pointers.split('|').next().unwrap_or(pointers)
}

/// Whether each alternative is a JSON pointer below the root.
pub(super) fn check_pointers(pointers: &str) -> Result<(), String> {
    match pointers.split('|').find(|pointer| !pointer.starts_with('/')) {
        None => Ok(()),
        Some(wrong) => Err(format!("`{wrong}` is not a JSON pointer: write it as /field or /outer/inner")),
    }
}

fn same_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found == text,
        Value::Number(found) => found.to_string() == text,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expect(pointers: &str, want: &Value, result: &str, captured: Option<&str>) -> Result<(), String> {
        let expectation = Expectation::parse(pointers, want).unwrap();
        expectation.check(&Answer::parse(result.as_bytes()), captured).map_err(|failure| failure.group)
    }

    #[test]
    fn a_value_is_found_in_structured_content_then_meta_then_text() {
        let all = r#"{"content":[{"type":"text","text":"{\"id\":\"text\"}"}],"_meta":{"id":"meta"},"structuredContent":{"id":"structured"}}"#;
        assert_eq!(expect("/id", &json!("structured"), all, None), Ok(()));
        let two = r#"{"content":[{"type":"text","text":"{\"id\":\"text\"}"}],"_meta":{"id":"meta"}}"#;
        assert_eq!(expect("/id", &json!("meta"), two, None), Ok(()));
        let null = r#"{"_meta":{"id":"meta"},"structuredContent":{"id":null}}"#;
        assert_eq!(expect("/id", &json!("meta"), null, None), Ok(()));
        let one = r#"{"content":[{"type":"text","text":"Created"},{"type":"text","text":" {\"id\":\"text\"}"}]}"#;
        assert_eq!(expect("/id", &json!("text"), one, None), Ok(()));
    }

    #[test]
    fn what_is_missing_null_or_different_is_named() {
        let result = r#"{"structuredContent":{"id":7,"status":null,"amount":"12.50"}}"#;
        assert_eq!(expect("/status", &json!({"present": true}), result, None), Err("/status is missing".into()));
        assert_eq!(expect("/status|/id", &json!({"present": true}), result, None), Ok(()));
        assert_eq!(expect("/id", &json!({"captured": true}), result, Some("7")), Ok(()));
        let other = expect("/id", &json!({"captured": true}), result, Some("8"));
        assert_eq!(other, Err("/id is not the value asked for".into()));
        assert_eq!(expect("/amount", &json!("12.5"), result, None), Err("/amount is not \"12.5\"".into()));
        assert_eq!(expect("/id", &json!(7), "not json", None), Err("/id is missing".into()));
    }

    #[test]
    fn expectations_that_cannot_be_meant_are_refused() {
        let wrong = |pointers: &str, want: Value| Expectation::parse(pointers, &want).unwrap_err();
        assert_eq!(wrong("status", json!(1)), "`status` is not a JSON pointer: write it as /field or /outer/inner");
        assert!(wrong("/a", json!({"present": false})).starts_with("expect /a = "));
        assert!(wrong("/a", json!([1])).starts_with("expect /a = "));
    }

    #[test]
    fn only_a_short_text_or_a_number_is_captured() {
        let capture = Capture { id: CaptureId(0), pointers: "/id".into() };
        let read = |id: Value| capture.read(&Answer::parse(json!({"_meta": {"id": id}}).to_string().as_bytes()));
        assert_eq!(read(json!("p1")).unwrap(), "p1");
        assert_eq!(read(json!(12)).unwrap(), "12");
        assert_eq!(read(json!("")).unwrap_err().group, "/id is no id");
        assert_eq!(read(json!("x".repeat(2000))).unwrap_err().group, "/id is no id");
        assert_eq!(read(json!(null)).unwrap_err().group, "/id is missing");
    }
}
