//! Where the values of a JSON text are (RFC 8259): found without building any of them.
//!
//! An answer is looked into for a few of its values, while others wait for it: a [`Cursor`] passes over the text once and sees
//! whether it is JSON; from then on a value's parts are passed over by their brackets and quotes alone. Of what is
//! found, texts are read here and the rest by `serde_json`.

mod cursor;
mod escapes;
mod letters;
mod parts;
#[cfg(test)]
mod tests;
mod walk;

use std::borrow::Cow;

use serde_json::{Number, Value};

pub(crate) use cursor::Cursor;
use escapes::{meant, unescape};
pub use parts::ToolResult;
pub(crate) use parts::{MOST_NOTED, Part, Parts};

/// The deepest nesting of a text that is read: that of `serde_json`, which reads what is found.
pub(crate) const DEEPEST: usize = 128;

/// Why a text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no JSON, or cut short.
    NotJson,
    /// Its arrays and objects are nested deeper than [`DEEPEST`].
    TooDeep,
}

/// From the first byte of something in a text to the one behind it.
type Range = std::ops::Range<usize>;

/// A value, which is JSON for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a str);

/// What a member of an object is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    /// As it is written, without its quotes.
    written: &'a str,
    is_escaped: bool,
}

/// Where in a text a member of an object is.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    name: Range,
    is_escaped: bool,
    value: Range,
    /// What of a tool's result it is a member of.
    part: Part,
}

impl<'a> Json<'a> {
    /// Reads the one value that `text` is, with blanks around it or not.
    ///
    /// # Errors
    /// It is no JSON, or nested too deep.
    pub(crate) fn read(text: &'a str) -> Result<Self, Fault> {
        Cursor::whole(text, Cursor::value)
    }

    /// The value as it is written.
    pub(crate) const fn raw(self) -> &'a str {
        self.0
    }

    /// Whether it is an object.
    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether it is an array.
    pub(crate) fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether it is null.
    pub(crate) fn is_null(self) -> bool {
        self.0.starts_with('n')
    }

    /// Whether somebody can hold it: a text that is Unicode, a number that is not too large; an array or an object in any case.
    pub(crate) fn is_readable(self) -> bool {
        /// A number of so many digits is not too large.
        const SHORT: usize = 300;
        match self.0.as_bytes() {
            [b'"', ..] => !self.0.contains('\\') || self.text().is_some(),
            [b'-' | b'0'..=b'9', ..] => {
                let has_exponent = || self.0.bytes().any(|byte| byte | 0x20 == b'e');
                (self.0.len() < SHORT && !has_exponent()) || self.number().is_some()
            }
            _ => true,
        }
    }

    /// True or false, where it is one of these.
    pub(crate) fn flag(self) -> Option<bool> {
        match self.0.as_bytes().first() {
            Some(b't') => Some(true),
            Some(b'f') => Some(false),
            _ => None,
        }
    }

    /// Its letters, where it is a text; none where they are no Unicode (half of a surrogate pair).
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let written = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Name { written, is_escaped: written.contains('\\') }.text()
    }

    /// The number that it is, as far as there are such numbers.
    pub(crate) fn number(self) -> Option<Number> {
        let is_number = self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        is_number.then(|| serde_json::from_str(self.0).ok()).flatten()
    }

    /// The value as a tree.
    pub(crate) fn value(self) -> Option<Value> {
        serde_json::from_str(self.0).ok()
    }

    /// Where the members of an object are in it, in their order; there are none in anything else.
    fn members(self) -> impl Iterator<Item = Member> + use<'a> {
        let mut at = if self.is_object() { 1 } else { self.0.len() };
        std::iter::from_fn(move || walk::next_member(self.0.as_bytes(), &mut at))
    }

    /// The items of an array; none of anything else.
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut at = if self.is_array() { 1 } else { self.0.len() };
        std::iter::from_fn(move || walk::next_item(self.0.as_bytes(), &mut at)).map(move |item| Self(&self.0[item]))
    }

    /// The member or item that a token of a JSON pointer (RFC 6901) names. Of members with one name the last counts, as with
    /// most readers of JSON.
    pub(crate) fn at(self, token: &str) -> Option<Self> {
        if self.is_object() {
            let named = self.members().filter(|member| member.is(token, self.0));
            return named.last().map(|member| member.value(self.0));
        }
        // No sign, and no leading zero.
        let is_index = token == "0" || !token.starts_with(['0', '+']);
        is_index.then(|| self.items().nth(token.parse().ok()?)).flatten()
    }
}

impl<'a> Name<'a> {
    /// Whether it is this one.
    pub(crate) fn is(self, name: &str) -> bool {
        if self.is_escaped { self.means(name) } else { self.written == name }
    }

    /// The same where letters of it are escaped: letter by letter, up to the first other one.
    fn means(self, name: &str) -> bool {
        let mut rest = self.written.as_bytes();
        for letter in name.chars() {
            let (code, length) = match rest {
                [b'\\', b'u', digits @ ..] => {
                    let code = digits.first_chunk::<4>().and_then(|digits| std::str::from_utf8(digits).ok());
                    let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
                    // Of a letter that takes two of these there is only one half: rare enough to be read as a whole.
                    match code {
                        Some(0xd800..0xe000) => return self.text().is_some_and(|text| text == name),
                        code => (code, 6),
                    }
                }
                [b'\\', escaped, ..] => (meant(*escaped).map(u32::from), 2),
                _ => (
                    rest.starts_with(letter.encode_utf8(&mut [0; 4]).as_bytes()).then_some(letter.into()),
                    letter.len_utf8(),
                ),
            };
            if code != Some(u32::from(letter)) {
                return false;
            }
            rest = &rest[length..];
        }
        rest.is_empty()
    }

    /// Its letters; none where they are no Unicode.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        if !self.is_escaped {
            return Some(Cow::Borrowed(self.written));
        }
        unescape(self.written).map(Cow::Owned)
    }
}

impl Member {
    /// Whether it is called this, in the text that it is a place of.
    pub(crate) fn is(&self, name: &str, text: &str) -> bool {
        let may_be = self.is_escaped || self.name.len() == name.len();
        may_be && self.name(text).is(name)
    }

    /// Its value in that text.
    pub(crate) fn value<'a>(&self, text: &'a str) -> Json<'a> {
        Json(&text[self.value.clone()])
    }

    fn name<'a>(&self, text: &'a str) -> Name<'a> {
        Name { written: &text[self.name.clone()], is_escaped: self.is_escaped }
    }
}
