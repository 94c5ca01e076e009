//! From what a server said to what failures are counted by: numbers and ids out, at a bounded length.

/// The most characters of a group.
pub const GROUP_CHARS: usize = 120;
/// The most characters of an example.
pub const EXAMPLE_CHARS: usize = 300;
/// Only this many bytes of a text are looked at for its group.
const LOOKED_AT: usize = 8 * GROUP_CHARS;
/// A quoted text longer than this is prose, not an id.
const LONGEST_QUOTED_ID: usize = 64;

/// The group that a text belongs to: numbers become `<n>`, ids (UUIDs, hex, quoted names with digits) `<id>`, runs of
/// white space and control characters one space; at most [`GROUP_CHARS`] characters.
pub fn group_of(text: &str) -> String {
    let text = text.trim_start();
    let mut rest = &text[..text.floor_char_boundary(LOOKED_AT)];
    let mut group = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let taken = if is_word(first) {
            let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            push_word(&mut group, word);
            word.len()
        } else if let Some(quoted) = quoted_id(rest, group.chars().next_back()) {
            group.push(first);
            group.push_str("<id>");
            group.push(first);
            quoted
        } else {
            push_other(&mut group, first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    cut(group.trim_end(), GROUP_CHARS)
}

/// `text` in one line without control characters, cut to `most` characters; a cut one ends in `…`.
pub fn cut(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().nth(most) {
        None => text.chars().map(clean).collect(),
        Some(_) => text.chars().take(most - 1).map(clean).chain(['…']).collect(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn push_word(group: &mut String, word: &str) {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_number = word.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if digits == 0 {
        group.push_str(word);
    } else if is_number && word.matches('-').count() <= 1 {
        push_number(group);
    } else if digits >= 2 && word.len() >= 8 {
        group.push_str("<id>");
    } else {
        let mut within = false;
        for c in word.chars() {
            if !c.is_ascii_digit() {
                group.push(c);
            } else if !within {
                group.push_str("<n>");
            }
            within = c.is_ascii_digit();
        }
    }
}

/// Appends a number, as one with the number before it where only a decimal point stands between.
fn push_number(group: &mut String) {
    if group.ends_with("<n>.") || group.ends_with("<n>,") {
        group.pop();
    } else {
        group.push_str("<n>");
    }
}

fn push_other(group: &mut String, c: char) {
    if !c.is_whitespace() && !c.is_control() {
        group.push(c);
    } else if !group.ends_with(' ') {
        group.push(' ');
    }
}

/// The length of a quoted id at the start of `rest`, quotes included. An apostrophe within a word opens nothing.
fn quoted_id(rest: &str, before: Option<char>) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let inner = &rest[1..];
    let end = inner.find(quote).filter(|end| (1..=LONGEST_QUOTED_ID).contains(end))?;
    let inner = &inner[..end];
    let is_id = inner.contains(|c: char| c.is_ascii_digit()) && !inner.contains(char::is_whitespace);
    is_id.then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_ids_make_no_difference_to_the_group() {
        for (text, group) in [
            ("MCP error -32602: Tool nope not found", "MCP error <n>: Tool nope not found"),
            ("payment 5f0c1e7a-93d2-4b6f-8a11-0d9be2b6b7aa not found", "payment <id> not found"),
            ("pay_8f3a2b91 is  unknown\r\n", "<id> is unknown"),
            ("amount 12.50 above 1,000.00", "amount <n> above <n>"),
            ("wallet 'w1' has \"EUR\" 3", "wallet '<id>' has \"EUR\" <n>"),
            ("it isn't int64, can't", "it isn't int<n>, can't"),
            ("retry at 2026-11-22 15:06", "retry at <id> <n>:<n>"),
            ("", ""),
        ] {
            assert_eq!(group_of(text), group, "{text}");
        }
    }

    #[test]
    fn a_cut_falls_between_characters_and_shows() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("a\x1b[31m\nb", 9), "a [31m b");
    }

    proptest! {
        #[test]
        fn a_group_is_short_and_whole_whatever_the_text(text in any::<String>()) {
            let group = group_of(&text);
            prop_assert!(group.chars().count() <= GROUP_CHARS);
            prop_assert!(!group.contains(char::is_control));
        }
    }

    #[test]
    fn a_huge_text_is_grouped_by_its_beginning() {
        let group = group_of(&"x y1 ".repeat(1_000_000));
        assert_eq!(group.chars().count(), GROUP_CHARS);
        assert!(group.starts_with("x y<n> x"));
    }
}
