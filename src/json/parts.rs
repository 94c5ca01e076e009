//! The result of a tool, and where in it the parts are that servers put values into.
//!
//! A message is passed over once: whoever reads it notes where the parts are, and whoever looks for a value in them later goes
//! right there.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Cursor, Fault, Json, Member, Name, Range};

/// Room for the members that most results have, and for the parts.
const FEW: usize = 12;

/// What a member is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The result; it has no name.
    Whole,
    Structured,
    InStructured,
    Meta,
    InMeta,
    Content,
    /// Of anything else.
    Other,
}

/// Where in a text the parts of a tool's result are. In one list, as it is passed from hand to hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(Vec<Member>);

impl Parts {
    /// Passes over the value at the cursor, which the result has under `name`, and notes where it is if it is a part; says
    /// whether that part had been there before. Of two the last counts.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    pub(crate) fn take(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let (part, inner) = match name {
            "structuredContent" => (Part::Structured, Some(Part::InStructured)),
            "_meta" => (Part::Meta, Some(Part::InMeta)),
            "content" => (Part::Content, None),
            _ => return cursor.value().map(|_| false),
        };
        let is_twice = !self.of(part).is_empty();
        if is_twice {
            self.0.retain(|member| member.part != part && Some(member.part) != inner);
        }
        if self.0.is_empty() {
            self.0.reserve(FEW);
        }
        let start = cursor.at();
        match inner {
            Some(inner) => cursor.places(inner, &mut self.0)?,
            None => cursor.value()?,
        };
        self.put(part, start..cursor.at());
        Ok(is_twice)
    }

    /// Notes where a part is, or the whole.
    pub(crate) fn put(&mut self, part: Part, value: Range) {
        self.0.push(Member { name: 0..0, is_escaped: false, value, part });
    }

    /// Those of one kind, which are beside each other.
    fn of(&self, part: Part) -> &[Member] {
        let from = &self.0[self.0.iter().position(|member| member.part == part).unwrap_or(self.0.len())..];
        &from[..from.iter().position(|member| member.part != part).unwrap_or(from.len())]
    }

    fn place(&self, part: Part) -> Option<Range> {
        self.of(part).first().map(|member| member.value.clone())
    }
}

/// The result of a tool, in the message that it came in.
#[derive(Clone, Debug, Default)]
pub struct ToolResult {
    message: Bytes,
    /// Of the message, if that is a text.
    parts: Parts,
}

impl ToolResult {
    /// Takes apart a result that is no part of a message. In what is none nothing is found later.
    pub fn read(result: impl Into<Bytes>) -> Self {
        let message = result.into();
        let mut parts = Parts::default();
        let is_read = std::str::from_utf8(&message).is_ok_and(|text| {
            let take = |name: Name<'_>, cursor: &mut Cursor<'_>| {
                parts.take(name.text().as_deref().unwrap_or_default(), cursor).map(|_| ())
            };
            Cursor::whole(text, |cursor| cursor.members::<Fault>(take)).is_ok()
        });
        Self { parts: if is_read { parts } else { Parts::default() }, message }
    }

    /// The result that has these parts in a message.
    pub(crate) const fn within(message: Bytes, parts: Parts) -> Self {
        Self { message, parts }
    }

    /// The raw JSON.
    pub fn raw(&self) -> &[u8] {
        self.parts.place(Part::Whole).map_or(&self.message, |whole| &self.message[whole])
    }

    /// It as a text, whatever it is.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.raw())
    }

    /// The text that places are in.
    pub(crate) fn message(&self) -> &str {
        std::str::from_utf8(&self.message).unwrap_or_default()
    }

    /// The structured content in that text, if there is any.
    pub(crate) fn structured<'a>(&self, message: &'a str) -> Option<Json<'a>> {
        let part = self.parts.place(Part::Structured).map(|part| Json(&message[part]));
        part.filter(|structured| !structured.is_null())
    }

    /// The members of that.
    pub(crate) fn in_structured(&self) -> &[Member] {
        self.parts.of(Part::InStructured)
    }

    /// The members of the result's metadata.
    pub(crate) fn in_meta(&self) -> &[Member] {
        self.parts.of(Part::InMeta)
    }

    /// The list of content in that text.
    pub(crate) fn content<'a>(&self, message: &'a str) -> Option<Json<'a>> {
        self.parts.place(Part::Content).map(|part| Json(&message[part]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, members: &[Member]) -> Vec<String> {
        members.iter().map(|member| format!("{} {}", member.name(text).written, member.value(text).raw())).collect()
    }

    /// What is found in `result`, where that is.
    fn parts(result: &ToolResult) -> [Vec<String>; 4] {
        let message = result.message();
        let raw = |part: Option<Json<'_>>| part.map(|part| part.raw().to_owned()).into_iter().collect();
        let (structured, meta) = (result.in_structured(), result.in_meta());
        let (whole, content) = (result.structured(message), result.content(message));
        [names(message, structured), raw(whole), names(message, meta), raw(content)]
    }

    #[test]
    fn the_parts_are_where_they_are_said_to_be_and_the_last_of_two_counts() {
        let result = r#"{"structuredContent":{"old":1},"_meta":{"a":{"b":2}},"content":[3],"structuredContent": {"i\u0064":4 , "x":"y"}}"#;
        let read = ToolResult::read(result);
        assert_eq!(
            parts(&read),
            [&[r"i\u0064 4", r#"x "y""#][..], &[r#"{"i\u0064":4 , "x":"y"}"#], &[r#"a {"b":2}"#], &["[3]"]]
        );
        assert_eq!((read.raw(), &*read.text()), (result.as_bytes(), result));
    }

    #[test]
    fn null_is_no_structured_content_and_what_is_no_result_has_no_parts() {
        assert_eq!(ToolResult::read(r#"{"structuredContent":null}"#).structured(r#"{"structuredContent":null}"#), None);
        for none in [r#"{"structuredContent":{"a":1}"#, r#"[{"structuredContent":{}}]"#, "", "no"] {
            let read = ToolResult::read(none);
            assert_eq!(parts(&read), [const { Vec::<String>::new() }; 4], "{none}");
            assert_eq!(read.raw(), none.as_bytes());
        }
        assert_eq!(ToolResult::read(&b"{\"content\":[]}\xff"[..]).content(""), None, "not UTF-8");
    }
}
