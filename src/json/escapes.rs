//! Letters of texts that are written as escapes (RFC 8259, section 7).

use memchr::memchr;

/// The letters of a text that is valid but for surrogates, without its quotes; none where they are no Unicode (half of a surrogate pair).
///
/// A document within a text has a backslash before each of its quotes: the room for it is taken once, and what is between two
/// backslashes is copied as a whole.
pub(super) fn unescape(written: &str) -> Option<String> {
    let mut letters = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(plain) = memchr(b'\\', rest.as_bytes()) {
        letters.push_str(&rest[..plain]);
        let (letter, length) = escaped(&rest.as_bytes()[plain..])?;
        letters.push(letter);
        rest = &rest[plain + length..];
    }
    letters.push_str(rest);
    Some(letters)
}

/// What stands behind a backslash for another letter.
pub(super) const fn meant(letter: u8) -> Option<u8> {
    Some(match letter {
        b'b' => 0x8,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 0xc,
        b'r' => b'\r',
        b'"' | b'\\' | b'/' => letter,
        _ => return None,
    })
}

/// The letter that `escape` begins with, which begins with a backslash, and how many bytes of it that takes.
fn escaped(escape: &[u8]) -> Option<(char, usize)> {
    if escape.get(1) != Some(&b'u') {
        return Some((meant(*escape.get(1)?)?.into(), 2));
    }
    let first = code(escape)?;
    match first {
        0xd800..0xdc00 => {
            let second = code(escape.get(6..)?).filter(|second| (0xdc00..0xe000).contains(second))?;
            Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12))
        }
        _ => Some((char::from_u32(first)?, 6)),
    }
}

/// The number in a backslash, a `u` and four digits.
fn code(escape: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = escape else { return None };
    let digits = digits.first_chunk::<4>()?;
    digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is written, it is read as by `serde_json`.
        #[test]
        fn what_is_written_is_read_as_by_others(
            parts in proptest::collection::vec(
                prop_oneof![
                    "[a-z{}:, é]{0,9}",
                    Just("\u{1f600}".to_owned()),
                    r#"\\["\\/bfnrt]"#,
                    r"\\u[0-9a-fA-F]{4}",
                    r"\\u[dD][89a-fA-F][0-9a-f]{2}",
                    r"\\ud83d\\ude0[0-9]",
                ],
                0..9,
            ),
        ) {
            let written = parts.concat();
            let expected: Option<String> = serde_json::from_str(&format!("\"{written}\"")).ok();
            prop_assert_eq!(unescape(&written), expected);
        }
    }

    #[test]
    fn half_a_pair_is_no_letter_wherever_it_is() {
        for written in
            [r"\ud83d", r"\ud83dx", r"\ud83d\n", r"\ud83d\u0041", r"\ude00", r"\ude00\ud83d", r"a\ud83d\ud83d\ude00"]
        {
            assert_eq!(unescape(written), None, "{written}");
        }
        assert_eq!(unescape(r#"{\"a\":\"\ud83d\uDE00\u00e9\"}"#).as_deref(), Some("{\"a\":\"\u{1f600}é\"}"));
    }
}
