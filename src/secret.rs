//! Values that are sent and never shown, and what takes them out of whatever a server repeats.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem::Finder;
use memchr::{memchr, memmem};

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Shorter values are not looked for in what a server says: they would be found everywhere.
const SHORTEST: usize = 6;

/// So many times are escapes within escapes resolved.
const MOST_LAYERS: usize = 3;

/// A value that must not be read by anybody but its receiver: it prints as `***`, and is stored nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Ok(Self(value.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Takes secrets out of what others say: bodies, headers, errors.
#[derive(Clone, Default)]
pub struct Scrub {
    /// The longest first, so that none is cut up by a part of itself.
    forms: Vec<Form>,
    /// Whether there is one that JSON cannot hold without an escape.
    has_quotes: bool,
}

#[derive(Clone)]
struct Form {
    text: String,
    finder: Finder<'static>,
}

impl Scrub {
    /// Looks for these values: each as a whole and, behind the name of a scheme, in parts (`Bearer …`, `a=…; b=…`, the two
    /// that `Basic …` is made of); and each of these as it is, and as JSON or a URL may write it. Values and parts of fewer
    /// than six bytes are not looked for.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose();
            let (scheme, behind_scheme) =
                whole.split_once(' ').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", whole));
            let parts = behind_scheme.split([' ', ';', ',']);
            let values = parts.clone().filter_map(|part| part.split_once('=').map(|(_, value)| value));
            texts.extend([whole, behind_scheme].into_iter().chain(parts.clone()).chain(values).map(str::to_owned));
            if scheme.eq_ignore_ascii_case("basic") {
                texts.extend(basic(behind_scheme));
            }
        }
        let in_url = texts.iter().filter_map(|text| View::of(text.as_bytes()).unescaped(percent)?.text());
        let in_url: Vec<String> = in_url.collect();
        texts.extend(in_url);
        for text in &mut texts {
            *text = text.trim_matches(['"', ' ']).to_owned();
        }
        texts.retain(|text| text.len() >= SHORTEST);
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        let has_quotes = texts.iter().any(|text| text.contains(['"', '\\']));
        let form = |text: String| Form { finder: Finder::new(&text).into_owned(), text };
        Self { forms: texts.into_iter().map(form).collect(), has_quotes }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// `said` without secrets: itself where there are none.
    pub fn bytes(&self, said: Bytes) -> Bytes {
        let found = self.find(&said);
        if found.is_empty() {
            return said;
        }
        let mut clean = Vec::with_capacity(said.len());
        let mut from = 0;
        for (begin, end) in found {
            // What overlaps what is masked already is masked with it.
            if begin >= from {
                clean.extend_from_slice(&said[from..begin]);
                clean.extend_from_slice(MASK.as_bytes());
            }
            from = from.max(end);
        }
        clean.extend_from_slice(&said[from..]);
        clean.into()
    }

    /// Where secrets stand, in the order of their beginnings.
    fn find(&self, said: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        if self.forms.is_empty() {
            return found;
        }
        let plain = View::of(said);
        self.find_in(&plain, &mut found);
        if memchr(b'%', said).is_some()
            && let Some(decoded) = plain.unescaped(percent)
        {
            self.find_in(&decoded, &mut found);
        }
        // A text within a text within JSON: servers that pass on what others answered go so deep. Most have no escape but
        // quotes, which is of no matter to secrets without any.
        let has = |escape: &[u8]| memmem::find(said, escape).is_some();
        let may_hide = has(b"\\u") || has(b"\\/") || (self.has_quotes && has(b"\\"));
        let mut view = plain;
        for _ in 0..if may_hide { MOST_LAYERS } else { 0 } {
            let Some(inner) = view.unescaped(json) else { break };
            self.find_in(&inner, &mut found);
            view = inner;
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        found
    }

    fn find_in(&self, view: &View<'_>, found: &mut Vec<(usize, usize)>) {
        for form in &self.forms {
            let places = form.finder.find_iter(&view.bytes);
            found.extend(places.map(|at| (view.place(at), view.place(at + form.text.len()))));
        }
    }

    /// `said` without secrets, also without the beginning of one where it was cut short and ends in `…`.
    pub fn text(&self, said: &str) -> String {
        let clean = self.bytes(Bytes::copy_from_slice(said.as_bytes()));
        let clean = String::from_utf8_lossy(&clean);
        let cut_off = clean.strip_suffix('…').and_then(|kept| {
            let begins = |form: &Form| {
                let ends = (SHORTEST..form.text.len()).rev().filter(|end| form.text.is_char_boundary(*end));
                ends.map(|end| &form.text[..end]).find_map(|beginning| kept.strip_suffix(beginning))
            };
            self.forms.iter().find_map(begins).map(|kept| format!("{kept}{MASK}…"))
        });
        cut_off.unwrap_or_else(|| clean.into_owned())
    }
}

/// A text, perhaps with its escapes resolved, that still knows where each byte came from.
struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where each byte begins in the original, and where that ends; empty for the original itself.
    places: Vec<u32>,
}

impl<'a> View<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), places: Vec::new() }
    }

    fn place(&self, at: usize) -> usize {
        self.places.get(at).map_or(at, |place| *place as usize)
    }

    /// The same with its escapes resolved; `None` where there are none. `escape` says what the beginning of a text stands
    /// for, if it is an escape: a character, and how many bytes it takes.
    fn unescaped(&self, escape: impl Fn(&[u8]) -> Option<(char, usize)>) -> Option<View<'static>> {
        let begins = |byte: &u8| matches!(byte, b'\\' | b'%' | b'+');
        let mut at = self.bytes.iter().position(begins)?;
        let mut bytes = self.bytes[..at].to_vec();
        let mut places: Vec<u32> = (0..at).map(|at| self.place(at) as u32).collect();
        let mut any = false;
        while let Some(byte) = self.bytes.get(at) {
            let place = self.place(at) as u32;
            if let Some((meant, length)) = begins(byte).then(|| escape(&self.bytes[at..])).flatten() {
                bytes.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
                any = true;
            } else {
                bytes.push(*byte);
                at += 1;
            }
            places.resize(bytes.len(), place);
        }
        places.push(self.place(at) as u32);
        any.then_some(View { bytes: Cow::Owned(bytes), places })
    }

    fn text(self) -> Option<String> {
        String::from_utf8(self.bytes.into_owned()).ok()
    }
}

/// An escape within a string of JSON.
fn json(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match (text.first()?, text.get(1)?) {
        (b'\\', b'u') => {
            let first = unit(0)?;
            let pair = char::decode_utf16([Some(first), unit(6)].into_iter().flatten()).next()?.ok()?;
            Some((pair, 6 * pair.len_utf16()))
        }
        (b'\\', sign @ (b'"' | b'\\' | b'/')) => Some((char::from(*sign), 2)),
        _ => None,
    }
}

/// An escape within a URL. Only ASCII is resolved: of other characters each byte is an escape of its own.
fn percent(text: &[u8]) -> Option<(char, usize)> {
    match text {
        [b'+', ..] => Some((' ', 1)),
        [b'%', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
            let byte = u8::from_str_radix(digits, 16).ok()?;
            byte.is_ascii().then_some((char::from(byte), 3))
        }
        _ => None,
    }
}

/// What `Basic` credentials are made of: both together, and the password.
fn basic(encoded: &str) -> Vec<String> {
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.as_deref().and_then(|both| both.split_once(':')).map(|(_, password)| password.to_owned());
    decoded.into_iter().chain(password).collect()
}

/// Whether this is the name of a way to authenticate: `Bearer`, `Basic`.
fn is_scheme(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrub({})", self.forms.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrub(secret: &str) -> Scrub {
        Scrub::new([&Secret::from(secret.to_owned())])
    }

    #[test]
    fn a_secret_prints_as_stars_whoever_prints_it() {
        let secret = Secret::from("Bearer tok-123456".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "Bearer tok-123456");
        assert!(!format!("{:?}", scrub("Bearer tok-123456")).contains("tok"));
    }

    #[test]
    fn a_secret_is_found_whole_and_in_parts_and_as_json_may_write_it() {
        let scrub = scrub("Bearer tok/12+345");
        for (said, clean) in [
            ("you sent Bearer tok/12+345!", "you sent ***!"),
            ("token tok/12+345 tok/12+345", "token *** ***"),
            (r#"{"t":"tok\/12+345"}"#, r#"{"t":"***"}"#),
            (r#"{"t":"tok/12\u002B345"}"#, r#"{"t":"***"}"#),
            (r#"{"t":"\u0074ok/12\u002b34\u0035"}"#, r#"{"t":"***"}"#),
            // A text within a text, as whoever passes an answer on writes it.
            (r#"{"t":"{\"u\":\"tok\\/12\\u002b345\"}"}"#, r#"{"t":"{\"u\":\"***\"}"}"#),
            ("/mcp?token=tok%2F12%2b345&x=%2F", "/mcp?token=***&x=%2F"),
            ("a Bearer of 12", "a Bearer of 12"),
        ] {
            assert_eq!(scrub.bytes(Bytes::copy_from_slice(said.as_bytes())), clean, "{said}");
            assert_eq!(scrub.text(said), clean, "{said}");
        }
        assert_eq!(self::scrub("sid=abcdefgh; theme=dark").text("abcdefgh dark"), "*** dark");
        // As Go writes it, and as Python writes it.
        let odd = self::scrub("pass<&>\"word\\é");
        for said in [r#"pass\u003c\u0026\u003e\"word\\é"#, r#"pass<&>\"word\\\u00e9"#, "pass<&>\"word\\é"] {
            assert_eq!(odd.text(&format!("so {said}!")), "so ***!");
        }
        // The key of a target, as it stands in the URL and as the server reads it.
        let key = self::scrub("abc%2Fdef");
        assert_eq!(key.text(r"abc%2Fdef, abc/def, abc\/def"), "***, ***, ***");
        // user:pass-word
        let basic = self::scrub("Basic dXNlcjpwYXNzLXdvcmQ=");
        assert_eq!(basic.text("dXNlcjpwYXNzLXdvcmQ= is user:pass-word, pass-word"), "*** is ***, ***");
    }

    proptest! {
        #[test]
        fn a_secret_is_found_however_each_of_its_letters_is_escaped(
            secret in "[!#-+./0-9:<>-~-]{6,20}", how in prop::collection::vec(0..3_u8, 20), around in "[a-z]{0,4}",
        ) {
            let escaped = |(letter, how): (char, &u8)| match (letter, how) {
                ('"' | '\\', _) | ('/', 1) => format!("\\{letter}"),
                (letter, 2) => format!("\\u{:04x}", u32::from(letter)),
                (letter, _) => letter.to_string(),
            };
            let said: String = secret.chars().zip(&how).map(escaped).collect();
            let clean = scrub(&secret).text(&format!("{around} {said} {around}"));
            prop_assert_eq!(clean, format!("{around} {MASK} {around}"));
        }

        #[test]
        fn any_bytes_come_out_without_the_secret_and_otherwise_as_they_were(
            parts in prop::collection::vec(prop::sample::select(vec![
                "tok-123456", "tok", "\\u0074ok-", "123456", "\\", "\\u", "%2", "%74", "\\ud83d", "é", "\"", "\\u12",
            ]), 0..12),
        ) {
            let said = parts.concat();
            let clean = scrub("tok-123456").text(&said);
            prop_assert!(!clean.contains("tok-123456"), "{}", clean);
            if !said.contains("123456") {
                prop_assert_eq!(clean, said);
            }
        }
    }

    #[test]
    fn what_was_cut_short_keeps_no_beginning_of_a_secret() {
        assert_eq!(scrub("tok-123456").text("it was tok-1234…"), "it was ***…");
        assert_eq!(scrub("tok-123456").text("it was tok-…"), "it was tok-…");
        assert_eq!(scrub("ünïcödé-s").text("said ünïcöd…"), "said ***…");
    }

    #[test]
    fn short_values_and_clean_bodies_are_left_alone() {
        assert!(scrub("12345").is_empty());
        let said = Bytes::from_static(b"nothing to see");
        assert_eq!(scrub("tok-123456").bytes(said.clone()).as_ptr(), said.as_ptr(), "no copy");
    }
}
