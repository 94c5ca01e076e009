//! Where to look for a value in an answer: JSON pointers, taken apart once and not for every call.

use crate::json::Json;

/// JSON pointers below the root, of which the first that leads to a value counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointers {
    first: Box<str>,
    alternatives: Box<[Pointer]>,
}

/// One JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The name of the outermost member, and those within it.
    head: Box<str>,
    rest: Box<[Box<str>]>,
}

impl Pointers {
    /// Reads alternatives that are parted by `|`.
    ///
    /// # Errors
    /// One of them is no JSON pointer below the root.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let alternatives = text.split('|').map(Pointer::parse).collect::<Result<_, _>>()?;
        Ok(Self { first: text.split('|').next().unwrap_or(text).into(), alternatives })
    }

    /// What a message calls the value: the first alternative.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// Each of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pointer> {
        self.alternatives.iter()
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a JSON pointer: write it as /field or /outer/inner");
        let mut tokens = text.strip_prefix('/').ok_or_else(wrong)?.split('/').map(|token| {
            // In this order, or `~01` would become `/`.
            token.replace("~1", "/").replace("~0", "~").into_boxed_str()
        });
        Ok(Self { head: tokens.next().unwrap_or_default(), rest: tokens.collect() })
    }

    /// The name of the outermost member.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// The value in the outermost member.
    pub(super) fn in_member<'a>(&self, outermost: Json<'a>) -> Option<Json<'a>> {
        self.rest.iter().try_fold(outermost, |value, token| value.at(token))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_leads_where_the_json_reader_says_it_does() {
        let document = json!({"a": {"b/c": [1, {"d~": 2}], "": 3}, "": 4, "0": 5, "list": [[6]]});
        let written = document.to_string();
        for text in [
            "/a/b~1c/1/d~0",
            "/a/b~1c/0",
            "/a/b~1c/01",
            "/a/b~1c/+1",
            "/a/",
            "/",
            "/0",
            "/list/0/0",
            "/list/1",
            "/no/where",
        ] {
            let pointer = Pointer::parse(text).unwrap();
            let found =
                Json::read(&written).unwrap().at(pointer.head()).and_then(|outermost| pointer.in_member(outermost));
            assert_eq!(found.and_then(Json::value), document.pointer(text).cloned(), "{text}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_named_and_the_first_alternative_gives_the_name() {
        assert_eq!(
            Pointers::parse("/a|b").unwrap_err(),
            "`b` is not a JSON pointer: write it as /field or /outer/inner"
        );
        let pointers = Pointers::parse("/a|/b/c").unwrap();
        assert_eq!((pointers.first(), pointers.iter().count()), ("/a", 2));
        assert_eq!(pointers.iter().map(Pointer::head).collect::<Vec<_>>(), ["a", "b"]);
    }
}
