//! Values that are sent and never shown, and what takes them out of whatever a server repeats.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use memchr::memmem::Finder;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Shorter values are not looked for in what a server says: they would be found everywhere.
const SHORTEST: usize = 6;

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
}

#[derive(Clone)]
struct Form {
    text: String,
    finder: Finder<'static>,
}

impl Scrub {
    /// Looks for these values: each as a whole and, behind the name of a scheme, in parts (`Bearer …`, `a=…; b=…`), as they
    /// are and as JSON may escape them. Values and parts of fewer than six bytes are not looked for.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for secret in secrets {
            let whole = secret.expose();
            let behind_scheme =
                whole.split_once(' ').filter(|(scheme, _)| is_scheme(scheme)).map_or(whole, |(_, rest)| rest);
            let parts = behind_scheme.split([' ', ';', ',']);
            let values = parts.clone().filter_map(|part| part.split_once('=').map(|(_, value)| value));
            for part in [whole, behind_scheme].into_iter().chain(parts.clone()).chain(values) {
                let part = part.trim_matches(['"', ' ']);
                texts.push(part.to_owned());
                texts.push(part.replace('/', "\\/"));
                texts.push(part.replace('+', "\\u002B"));
                texts.push(part.replace('+', "\\u002b"));
            }
        }
        texts.retain(|text| text.len() >= SHORTEST);
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        let form = |text: String| Form { finder: Finder::new(&text).into_owned(), text };
        Self { forms: texts.into_iter().map(form).collect() }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// `said` without secrets: itself where there are none.
    pub fn bytes(&self, said: Bytes) -> Bytes {
        self.forms.iter().fold(said, |said, form| {
            let mut found = form.finder.find_iter(&said).peekable();
            if found.peek().is_none() {
                return said;
            }
            let mut clean = Vec::with_capacity(said.len());
            let mut from = 0;
            for at in found {
                clean.extend_from_slice(&said[from..at]);
                clean.extend_from_slice(MASK.as_bytes());
                from = at + form.text.len();
            }
            clean.extend_from_slice(&said[from..]);
            clean.into()
        })
    }

    /// `said` without secrets, also without the beginning of one where it was cut short and ends in `…`.
    pub fn text(&self, said: &str) -> String {
        let mut clean = Cow::Borrowed(said);
        for Form { text, .. } in &self.forms {
            if clean.contains(text) {
                clean = Cow::Owned(clean.replace(text, MASK));
            }
        }
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
            ("a Bearer of 12", "a Bearer of 12"),
        ] {
            assert_eq!(scrub.bytes(Bytes::copy_from_slice(said.as_bytes())), clean, "{said}");
            assert_eq!(scrub.text(said), clean, "{said}");
        }
        assert_eq!(self::scrub("sid=abcdefgh; theme=dark").text("abcdefgh dark"), "*** dark");
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
