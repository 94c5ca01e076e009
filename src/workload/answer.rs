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
use crate::json::{Cursor, Fault, Json, Member};

/// The most characters of a group of failures, and of an example.
const MOST_GROUP: usize = 120;
const MOST_EXAMPLE: usize = 300;

/// A tool's result.
pub(super) struct Answer<'a> {
    raw: &'a [u8],
    places: Places<'a>,
    texts: OnceCell<Vec<Document<'a>>>,
}

/// Where a value may be.
#[derive(Default)]
struct Places<'a> {
    structured: Option<Json<'a>>,
    in_structured: Document<'a>,
    in_meta: Document<'a>,
    content: Option<Json<'a>>,
}

/// A text with JSON in it, and where the members are that are looked for first.
#[derive(Default)]
struct Document<'a> {
    text: Cow<'a, str>,
    members: Vec<Member>,
    /// Whether it has items in place of members.
    is_list: bool,
}

impl<'a> Answer<'a> {
    /// Takes the raw `result` apart, its texts only when something is looked for in them; what is not there is simply not found
    /// later.
    pub(super) fn parse(result: &'a [u8]) -> Self {
        let places = std::str::from_utf8(result).ok().and_then(|text| Places::of(text).ok()).unwrap_or_default();
        Self { raw: result, places, texts: OnceCell::new() }
    }

    /// The first value that is there and not null.
    pub(super) fn find(&self, pointers: &Pointers) -> Option<Json<'_>> {
        pointers.iter().find_map(|pointer| self.at(pointer))
    }

    /// The value in the first place that has one there, null being none.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        let Places { in_structured, in_meta, content, .. } = &self.places;
        let in_texts = || self.texts.get_or_init(|| documents(*content)).iter().find_map(|text| text.at(pointer));
        in_structured.at(pointer).or_else(|| in_meta.at(pointer)).or_else(in_texts)
    }

    /// The value that is there and a text or a number.
    pub(super) fn value(&self, pointers: &Pointers) -> Option<Kept> {
        self.find(pointers).and_then(Kept::of)
    }

    /// The text that is there; of a number its digits.
    pub(super) fn word(&self, pointers: &Pointers) -> Option<Cow<'_, str>> {
        let found = self.find(pointers)?;
        found.text().or_else(|| found.number().map(|number| Cow::Owned(number.to_string())))
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
    fn of(result: &'a str) -> Result<Self, Fault> {
        let mut found = Self::default();
        Cursor::whole(result, |cursor| {
            cursor.members(|name, cursor| {
                match name.text().as_deref() {
                    Some("structuredContent") => {
                        let structured = found.in_structured.take(result, cursor)?;
                        found.structured = (!structured.is_null()).then_some(structured);
                    }
                    Some("_meta") => {
                        found.in_meta.take(result, cursor)?;
                    }
                    Some("content") => found.content = Some(cursor.value()?),
                    _ => {
                        cursor.value()?;
                    }
                }
                Ok::<_, Fault>(())
            })
        })?;
        Ok(found)
    }
}

impl<'a> Document<'a> {
    /// Becomes the object at the cursor, which is in `text`; of two in one place the last counts.
    fn take(&mut self, text: &'a str, cursor: &mut Cursor<'a>) -> Result<Json<'a>, Fault> {
        self.text = Cow::Borrowed(text);
        self.members.clear();
        self.members.reserve(8);
        cursor.places(&mut self.members)
    }

    /// The JSON in a text that is itself given as JSON.
    fn in_text(json: Json<'a>) -> Option<Self> {
        // Most texts are words. An escaped letter may be a blank before the document.
        json.raw().strip_prefix('"')?.trim_start().starts_with(['{', '[', '\\']).then_some(())?;
        let text = json.text()?;
        let mut members = Vec::new();
        let json = Cursor::whole(&text, |cursor| cursor.places(&mut members)).ok()?;
        let is_list = json.is_array();
        (is_list || json.is_object()).then_some(Self { text, members, is_list })
    }

    /// The value that is there and not null.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        let outermost = if self.is_list {
            Json::read(&self.text).ok()?.at(pointer.head())
        } else {
            // Of members with one name the last counts, as with most readers of JSON.
            let member = self.members.iter().rfind(|member| member.is(pointer.head(), &self.text));
            member.map(|member| member.value(&self.text))
        };
        pointer.in_member(outermost?).filter(|value| !value.is_null() && value.is_readable())
    }
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
        let odd = r#"{"structuredContent":{"half":"\ud800","huge":1e999,"id":5}}"#;
        assert_eq!(found(odd, "/half|/huge|/id"), Some(json!(5)), "what nobody can hold is not there");
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
