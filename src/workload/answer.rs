//! A tool's result, and what is found in it. Its parts were noted as it was read; its texts are read when somebody looks for
//! something in them.
//!
//! Servers put the same value in different places: `structuredContent`, the result's `_meta`, or JSON inside the text
//! content. A pointer is tried in each of these, in that order.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::Failure;
use super::pointer::{Pointer, Pointers};
use super::same::Kept;
use super::schema::{Breach, Output};
use crate::json::{Cursor, Json, MOST_NOTED, Member, Part, ToolResult};

/// The most characters of a group of failures, and of an example.
const MOST_GROUP: usize = 120;
const MOST_EXAMPLE: usize = 300;

/// A tool's result, and where a value may be in it.
pub(super) struct Answer<'a> {
    result: &'a ToolResult,
    message: &'a str,
    in_structured: Document<'a>,
    in_meta: Document<'a>,
    texts: OnceCell<Vec<Document<'a>>>,
}

/// JSON with values in it.
enum Document<'a> {
    /// An object in a text, and where its members are, which are looked for first.
    Noted { text: Cow<'a, str>, members: Cow<'a, [Member]> },
    /// An object with too many members for that.
    Wide(Json<'a>),
    /// A text that is such an object or a list, and is read again for each look.
    Text(Cow<'a, str>),
}

impl<'a> Answer<'a> {
    /// The answer that `result` is. Its texts are taken apart only when something is looked for in them.
    pub(super) fn of(result: &'a ToolResult) -> Self {
        let message = result.message();
        let document = |part: Option<Json<'a>>, members: &'a [Member]| match part.filter(|part| part.is_object()) {
            Some(part) if members.is_empty() => Document::Wide(part),
            _ => Document::Noted { text: message.into(), members: members.into() },
        };
        let in_structured = document(result.structured(message), result.in_structured());
        let in_meta = document(result.meta(message), result.in_meta());
        Self { result, message, in_structured, in_meta, texts: OnceCell::new() }
    }

    /// The first value that is there and not null.
    pub(super) fn find(&self, pointers: &Pointers) -> Option<Json<'_>> {
        pointers.iter().find_map(|pointer| self.at(pointer))
    }

    /// The value in the first place that has one there, null being none.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        let texts = || self.texts.get_or_init(|| documents(self.result.content(self.message)));
        let in_texts = || texts().iter().find_map(|text| text.at(pointer));
        self.in_structured.at(pointer).or_else(|| self.in_meta.at(pointer)).or_else(in_texts)
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
        output.check(self.result.structured(self.message).map(Json::raw)).map_err(|broken| {
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
        let raw = self.result.raw();
        let raw = String::from_utf8_lossy(&raw[..raw.len().min(4 * MOST_EXAMPLE)]);
        Failure { group, example: raw.chars().take(MOST_EXAMPLE).collect() }
    }
}

impl<'a> Document<'a> {
    /// The JSON in a text that is itself given as JSON.
    fn in_text(json: Json<'a>) -> Option<Self> {
        // Most texts are words. An escaped letter may be a blank before the document.
        json.raw().strip_prefix('"')?.trim_start().starts_with(['{', '[', '\\']).then_some(())?;
        let text = json.text()?;
        let mut members = Vec::new();
        let json = Cursor::whole(&text, |cursor| cursor.places(Part::Other, MOST_NOTED, &mut members)).ok()?;
        match (json.is_object(), json.is_array()) {
            (true, _) if !members.is_empty() => Some(Self::Noted { text, members: members.into() }),
            (false, false) => None,
            _ => Some(Self::Text(text)),
        }
    }

    /// The value that is there and not null.
    fn at(&self, pointer: &Pointer) -> Option<Json<'_>> {
        let outermost = match self {
            // Of members with one name the last counts, as with most readers of JSON.
            Self::Noted { text, members } => {
                let member = members.iter().rfind(|member| member.is(pointer.head(), text));
                member.map(|member| member.value(text))
            }
            Self::Wide(object) => object.at(pointer.head()),
            Self::Text(text) => Json::read(text).ok()?.at(pointer.head()),
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
        let result = ToolResult::read(result.to_owned());
        Answer::of(&result).find(&Pointers::parse(pointers).unwrap()).and_then(Json::value)
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
    fn in_an_object_with_many_members_each_is_found_all_the_same() {
        let many = |count: usize| {
            let members: Vec<String> = (0..count).map(|at| format!(r#""m{at}":{{"x":{at}}}"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        for count in [MOST_NOTED, MOST_NOTED + 1] {
            let (object, last) = (many(count), format!("/m{}/x|/m0/x", count - 1));
            let text = Value::from(object.as_str());
            for result in [
                format!(r#"{{"structuredContent":{object}}}"#),
                format!(r#"{{"structuredContent":{{"a":1}},"_meta":{object},"content":[]}}"#),
                format!(r#"{{"_meta":{{}},"content":[{{"type":"text","text":{text}}}]}}"#),
            ] {
                assert_eq!(found(&result, &last), Some(json!(count - 1)));
                assert_eq!(found(&result, "/none"), None);
            }
        }
        let twice = many(MOST_NOTED + 1).replace("m256", "m0");
        assert_eq!(found(&format!(r#"{{"structuredContent":{twice}}}"#), "/m0/x"), Some(json!(256)));
    }

    #[test]
    fn an_example_is_cut_between_characters() {
        let failure = Answer::of(&ToolResult::read("é".repeat(400))).failure(String::new());
        assert_eq!(failure.example, "é".repeat(MOST_EXAMPLE));
    }
}
