//! A tool's result, taken apart as far as somebody looks for something in it.
//!
//! Servers put the same value in different places: `structuredContent`, the result's `_meta`, or JSON inside the text
//! content. A pointer is tried in each of these, in that order.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Failure;
use super::pointer::{Pointer, Pointers};
use super::same::Kept;
use super::schema::{Breach, Output};

/// The most characters of a group of failures, and of an example.
const MOST_GROUP: usize = 120;
const MOST_EXAMPLE: usize = 300;

/// A tool's result.
pub(super) struct Answer<'a> {
    raw: &'a [u8],
    places: Places<'a>,
    structured: OnceCell<Members<'a>>,
    meta: OnceCell<Members<'a>>,
    texts: OnceCell<Vec<Value>>,
}

/// The raw JSON of the places where a value may be.
#[derive(Default, serde::Deserialize)]
struct Places<'a> {
    #[serde(borrow, default, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// The members of an object, each still as it came; none of what is no object.
#[derive(Default)]
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Answer<'a> {
    /// Takes the raw `result` apart, each place only when something is looked for in it; what is not there is simply not
    /// found later.
    pub(super) fn parse(result: &'a [u8]) -> Self {
        // The driver has seen that it is text; looking again at all of it is cheaper than at each name and value.
        let places =
            std::str::from_utf8(result).ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self { raw: result, places, structured: OnceCell::new(), meta: OnceCell::new(), texts: OnceCell::new() }
    }

    /// The first value that is there and not null.
    pub(super) fn find(&self, pointers: &Pointers) -> Option<Cow<'_, Value>> {
        pointers.iter().find_map(|pointer| self.at(pointer))
    }

    /// The value in the first place that has one there, null being none.
    fn at(&self, pointer: &Pointer) -> Option<Cow<'_, Value>> {
        let in_members = |members: &Members<'a>| members.at(pointer).map(Cow::Owned);
        let structured = || in_members(self.structured.get_or_init(|| Members::of(self.places.structured)));
        let meta = || in_members(self.meta.get_or_init(|| Members::of(self.places.meta)));
        let texts = || {
            let texts = self.texts.get_or_init(|| documents(self.places.content));
            let found = texts.iter().find_map(|text| pointer.in_document(text).filter(|value| !value.is_null()));
            found.map(Cow::Borrowed)
        };
        structured().or_else(meta).or_else(texts)
    }

    /// The value that is there and a text or a number.
    pub(super) fn value(&self, pointers: &Pointers) -> Option<Kept> {
        self.find(pointers).and_then(|value| Kept::of(&value))
    }

    /// The value that is there and true or false.
    pub(super) fn flag(&self, pointers: &Pointers) -> Option<bool> {
        self.find(pointers).and_then(|value| value.as_bool())
    }

    /// Whether its `structuredContent` is what its tool promises.
    pub(super) fn keeps(&self, output: &Output) -> Result<(), Failure> {
        output.check(self.places.structured.map(RawValue::get)).map_err(|broken| {
            let group = match &broken {
                Breach::Missing | Breach::TooDeep => {
                    "structuredContent is missing, although the tool has an output schema".to_owned()
                }
                Breach::At { rule, why } => format!("breaks its output schema at {rule}: {why}"),
            };
            self.failure(group.chars().take(MOST_GROUP).collect())
        })
    }

    /// The result as it came, cut.
    pub(super) fn failure(&self, group: String) -> Failure {
        // A character takes four bytes at most: what is looked at is enough, however large the rest.
        let raw = String::from_utf8_lossy(&self.raw[..self.raw.len().min(4 * MOST_EXAMPLE)]);
        Failure { group, example: raw.chars().take(MOST_EXAMPLE).collect() }
    }
}

impl<'a> Members<'a> {
    fn of(raw: Option<&'a RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The raw JSON of a member. Of members with one name the last counts, as with most readers of JSON.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, raw)| raw.get())
    }

    /// The value that is there and not null.
    fn at(&self, pointer: &Pointer) -> Option<Value> {
        let outermost: Value = serde_json::from_str(self.raw(pointer.head())?).ok()?;
        let value = if pointer.is_flat() { outermost } else { pointer.in_member(&outermost)?.clone() };
        (!value.is_null()).then_some(value)
    }
}

/// A text such as a member's name, without a copy where no letter of it is escaped.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name, raw));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The texts of a result's content that are JSON.
fn documents(content: Option<&RawValue>) -> Vec<Value> {
    let parts: Vec<&RawValue> = content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    parts.into_iter().filter_map(|part| document(Members::of(Some(part)).raw("text")?)).collect()
}

/// The JSON in a text that is itself given as JSON.
fn document(text: &str) -> Option<Value> {
    // Most texts are words. An escaped letter may be a blank before the document.
    text.strip_prefix('"')?.trim_start().starts_with(['{', '[', '\\']).then_some(())?;
    let Name(text) = serde_json::from_str(text).ok()?;
    text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(&text).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(result: &str, pointers: &str) -> Option<Value> {
        Answer::parse(result.as_bytes()).find(&Pointers::parse(pointers).unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn a_value_is_found_in_structured_content_then_meta_then_text() {
        let all = r#"{"content":[{"type":"text","text":"{\"id\":\"text\"}"}],"_meta":{"id":"meta"},"structuredContent":{"id":"structured"}}"#;
        assert_eq!(found(all, "/id"), Some(json!("structured")));
        let two = r#"{"content":[{"type":"text","text":"{\"id\":\"text\"}"}],"_meta":{"id":"meta"}}"#;
        assert_eq!(found(two, "/id"), Some(json!("meta")));
        let null = r#"{"_meta":{"id":"meta"},"structuredContent":{"id":null}}"#;
        assert_eq!(found(null, "/id"), Some(json!("meta")));
        let one = r#"{"content":[{"type":"text","text":"Created"},{"type":"text","text":" {\"id\":\"text\"}"}]}"#;
        assert_eq!(found(one, "/id"), Some(json!("text")));
        let blank = r#"{"content":["no part",["no"],{"text":7},{"text":"\n\t{\"id\":\"blank\"}","text":" \u007b\"id\":\"last\"}"}]}"#;
        assert_eq!(
            found(blank, "/id"),
            Some(json!("last")),
            "odd parts are passed over, and of two texts the last counts"
        );
    }

    #[test]
    fn names_may_be_escaped_come_twice_and_stand_within_others() {
        let result = r#"{"structuredContent":{"i\u0064":1,"id":2,"outer":{"list":[3,{"in/ner":4}]}}}"#;
        assert_eq!(found(result, "/id"), Some(json!(2)));
        assert_eq!(found(r#"{"structuredContent":{"i\u0064":1}}"#, "/id"), Some(json!(1)));
        assert_eq!(found(result, "/no|/outer/list/1/in~1ner"), Some(json!(4)));
        assert_eq!(found(result, "/outer/none"), None);
        for no_object in [r#"{"structuredContent":[1]}"#, r#"{"structuredContent":"id"}"#, "not json", "[]", ""] {
            assert_eq!(found(no_object, "/id|/0"), None, "{no_object}");
        }
    }

    #[test]
    fn an_example_is_cut_between_characters() {
        let failure = Answer::parse("é".repeat(400).as_bytes()).failure(String::new());
        assert_eq!(failure.example, "é".repeat(MOST_EXAMPLE));
    }
}
