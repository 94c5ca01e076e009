//! The result of a tool, and where in it the parts are that servers put values into.
//!
//! A message is passed over once: whoever reads it notes where the parts are, and whoever looks for a value in them later goes
//! right there.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Cursor, Fault, Json, Member, Name, Range};

/// Room for the parts, and for the members that most results have.
const FEW: usize = 12;
/// So many members of a part are noted, or none: a list of them all could be much larger than the message.
pub(crate) const MOST_NOTED: usize = 256;

/// What of a tool's result something is, or is a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    Structured,
    Meta,
    Content,
    /// Something else.
    Other,
}

/// Where in a text the parts of a tool's result are. In one list, as it is passed from hand to hand: first the parts, each at the
/// place of its [`Part`], then the members of some.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(Vec<Member>);

impl Parts {
    /// Passes over the value at the cursor, which the result has under `name`, and notes where it is if it is a part; says
    /// whether that part had been there before, which no result may say. The first is kept then.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    pub(crate) fn take(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
        let (part, has_members) = match name {
            "structuredContent" => (Part::Structured, true),
            "_meta" => (Part::Meta, true),
            "content" => (Part::Content, false),
            _ => return cursor.value().map(|_| false),
        };
        if self.place(part).is_some() {
            return cursor.value().map(|_| true);
        }
        let start = cursor.at();
        self.make_room();
        if has_members {
            cursor.places(part, MOST_NOTED, &mut self.0)?;
        } else {
            cursor.value()?;
        }
        self.put(part, start..cursor.at());
        Ok(false)
    }

    /// Notes where a part is.
    pub(crate) fn put(&mut self, part: Part, value: Range) {
        self.make_room();
        self.0[part as usize].value = value;
    }

    fn make_room(&mut self) {
        if self.0.is_empty() {
            self.0.reserve(FEW);
            let parts = [Part::Whole, Part::Structured, Part::Meta, Part::Content];
            self.0.extend(parts.map(|part| Member { name: 0..0, is_escaped: false, value: 0..0, part }));
        }
    }

    fn place(&self, part: Part) -> Option<Range> {
        self.0.get(part as usize).map(|member| member.value.clone()).filter(|value| !value.is_empty())
    }

    /// The members of a part, which are beside each other.
    fn members(&self, part: Part) -> &[Member] {
        let all = self.0.get(Part::Other as usize..).unwrap_or_default();
        let from = &all[all.iter().position(|member| member.part == part).unwrap_or(all.len())..];
        &from[..from.iter().position(|member| member.part != part).unwrap_or(from.len())]
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

    /// The result's metadata in that text, if there is any.
    pub(crate) fn meta<'a>(&self, message: &'a str) -> Option<Json<'a>> {
        self.parts.place(Part::Meta).map(|part| Json(&message[part]))
    }

    /// The members of the structured content, unless there are more than [`MOST_NOTED`].
    pub(crate) fn in_structured(&self) -> &[Member] {
        self.parts.members(Part::Structured)
    }

    /// The same of the metadata.
    pub(crate) fn in_meta(&self) -> &[Member] {
        self.parts.members(Part::Meta)
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
    fn the_parts_are_where_they_are_said_to_be_and_the_first_of_two_counts() {
        let result = r#"{"structuredContent": {"i\u0064":4 , "x":"y"},"_meta":{"a":{"b":2}},"content":[3],"structuredContent":{"new":1},"content":[]}"#;
        let read = ToolResult::read(result);
        assert_eq!(
            parts(&read),
            [&[r"i\u0064 4", r#"x "y""#][..], &[r#"{"i\u0064":4 , "x":"y"}"#], &[r#"a {"b":2}"#], &["[3]"]]
        );
        assert_eq!((read.raw(), &*read.text()), (result.as_bytes(), result));
    }

    #[test]
    fn a_list_of_members_takes_a_bounded_room_however_many_there_are() {
        for (count, noted) in [(MOST_NOTED, MOST_NOTED), (MOST_NOTED + 1, 0), (100_000, 0)] {
            let members = vec![r#""":0"#; count].join(",");
            let read = ToolResult::read(format!(r#"{{"_meta":{{{members}}},"structuredContent":{{{members}}}}}"#));
            assert_eq!([read.in_meta().len(), read.in_structured().len()], [noted; 2]);
            assert!(read.parts.0.capacity() <= 4 * MOST_NOTED, "{}", read.parts.0.capacity());
        }
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
