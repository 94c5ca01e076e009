//! A tool's result, taken apart as far as somebody looks for something in it.
//!
//! Servers put the same value in different places: `structuredContent`, the result's `_meta`, or JSON inside the text
//! content. A pointer is tried in each of these, in that order.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::Failure;
use super::pointer::{Pointer, Pointers};
use super::same::Kept;
use super::schema::{Breach, Output};
use crate::json::{Json, Member};

/// The most characters of a group of failures, and of an example.
const MOST_GROUP: usize = 120;
const MOST_EXAMPLE: usize = 300;

/// A tool's result.
pub(super) struct Answer<'a> {
    raw: &'a [u8],
    places: Places<'a>,
    structured: OnceCell<Document<'a>>,
    meta: OnceCell<Document<'a>>,
    texts: OnceCell<Vec<Document<'a>>>,
}

/// Where a value may be.
#[derive(Default)]
struct Places<'a> {
    structured: Option<Json<'a>>,
    meta: Option<Json<'a>>,
    content: Option<Json<'a>>,
}

/// JSON in which something is looked for, and where its outermost members are.
struct Document<'a> {
    text: Cow<'a, str>,
    members: Vec<Member>,
}

impl<'a> Answer<'a> {
    /// Takes the raw `result` apart, each place only when something is looked for in it; what is not there is simply not
    /// found later.
    pub(super) fn parse(result: &'a [u8]) -> Self {
        let json = std::str::from_utf8(result).ok().and_then(|text| Json::read(text).ok());
        let places = json.map(Places::of).unwrap_or_default();
        Self { raw: result, places, structured: OnceCell::new(), meta: OnceCell::new(), texts: OnceCell::new() }
    }

    /// The first value that is there and not null.
    pub(super) fn find(&self, pointers: &Pointers) -> Option<Json<'_>> {
        pointers.iter().find_map(|pointer| self.at(pointer))
    }

    /// The value in the first place that has one there, null being none.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        let structured = || self.places.structured.map(|json| self.structured.get_or_init(|| Document::of(json)));
        let meta = || self.places.meta.map(|json| self.meta.get_or_init(|| Document::of(json)));
        let texts = || self.texts.get_or_init(|| documents(self.places.content));
        structured()
            .and_then(|structured| structured.at(pointer))
            .or_else(|| meta()?.at(pointer))
            .or_else(|| texts().iter().find_map(|text| text.at(pointer)))
    }

    /// The value that is there and a text or a number.
    pub(super) fn value(&self, pointers: &Pointers) -> Option<Kept> {
        self.find(pointers).and_then(Kept::of)
    }

    /// The value that is there and true or false.
    pub(super) fn flag(&self, pointers: &Pointers) -> Option<bool> {
        self.find(pointers).and_then(Json::flag)
    }

    /// Whether its `structuredContent` is what its tool promises.
    pub(super) fn keeps(&self, output: &Output) -> Result<(), Failure> {
        output.check(self.places.structured.map(Json::raw)).map_err(|broken| {
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

impl<'a> Places<'a> {
    fn of(result: Json<'a>) -> Self {
        let mut found = Self::default();
        for (name, value) in result.members() {
            match name.text().as_deref() {
                Some("structuredContent") => found.structured = Some(value),
                Some("_meta") => found.meta = Some(value),
                Some("content") => found.content = Some(value),
                _ => {}
            }
        }
        found.structured = found.structured.filter(|value| !value.is_null());
        found
    }
}

impl<'a> Document<'a> {
    fn of(json: Json<'a>) -> Self {
        Self { text: Cow::Borrowed(json.raw()), members: members(json) }
    }

    /// The JSON in a text that is itself given as JSON.
    fn in_text(json: Json<'a>) -> Option<Self> {
        // Most texts are words. An escaped letter may be a blank before the document.
        json.raw().strip_prefix('"')?.trim_start().starts_with(['{', '[', '\\']).then_some(())?;
        let mut text = json.text()?;
        let json = Json::read(&text).ok().filter(|json| json.is_object() || json.is_array())?;
        let members = members(json);
        if json.raw().len() < text.len() {
            text = Cow::Owned(json.raw().to_owned());
        }
        Some(Self { text, members })
    }

    /// The value that is there and not null.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        // Of members with one name the last counts, as with most readers of JSON.
        let mut backwards = self.members.iter().rev().map(|member| member.of(&self.text));
        let outermost = backwards.find(|(name, _)| name.is(pointer.head())).map(|(_, value)| value);
        let value = pointer.in_member(outermost?)?;
        (!value.is_null()).then_some(value)
    }
}

fn members(json: Json<'_>) -> Vec<Member> {
    let mut found = Vec::with_capacity(8);
    found.extend(json.places());
    found
}

/// The texts of a result's content that are JSON.
fn documents(content: Option<Json<'_>>) -> Vec<Document<'_>> {
    content.into_iter().flat_map(Json::items).filter_map(|part| Document::in_text(part.at("text")?)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(result: &str, pointers: &str) -> Option<Value> {
        Answer::parse(result.as_bytes()).find(&Pointers::parse(pointers).unwrap()).and_then(Json::value)
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
