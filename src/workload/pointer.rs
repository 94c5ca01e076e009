//! Where to look for a value in an answer: JSON pointers, taken apart once and not for every call.

use serde_json::Value;

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

    /// Whether the outermost member is all of it.
    pub(super) fn is_flat(&self) -> bool {
        self.rest.is_empty()
    }

    /// The value in a whole document.
    pub(super) fn in_document<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.in_member(member(document, &self.head)?)
    }

    /// The value in the outermost member.
    pub(super) fn in_member<'a>(&self, outermost: &'a Value) -> Option<&'a Value> {
        self.rest.iter().try_fold(outermost, |value, token| member(value, token))
    }
}

fn member<'a>(value: &'a Value, token: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(token),
        // RFC 6901: no sign, and no leading zero.
        Value::Array(items) if token == "0" || !token.starts_with(['0', '+']) => {
            items.get(token.parse::<usize>().ok()?)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_leads_where_the_json_reader_says_it_does() {
        let document = json!({"a": {"b/c": [1, {"d~": 2}], "": 3}, "": 4, "0": 5, "list": [[6]]});
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
            assert_eq!(pointer.in_document(&document), document.pointer(text), "{text}");
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
        let [flat, deep] = [0, 1].map(|place| pointers.iter().nth(place).unwrap());
        assert!(flat.is_flat() && !deep.is_flat());
        assert_eq!((flat.head(), deep.head()), ("a", "b"));
    }
}
