//! Passes over JSON that was read before: by its brackets and quotes alone.

use super::letters::{blanks, byte, special};
use super::{Member, Part, Range};

/// The member of a valid object at `at` or behind the comma there; `at` is behind it then.
pub(super) fn next_member(bytes: &[u8], at: &mut usize) -> Option<Member> {
    let start = next_value(bytes, *at);
    if byte(bytes, start) != b'"' {
        return None;
    }
    let (end, is_escaped) = end_of_string(bytes, start);
    let colon = blanks(bytes, end);
    let value = blanks(bytes, colon + 1);
    *at = end_of_value(bytes, value);
    Some(Member { name: start + 1..end - 1, is_escaped, value: value..*at, part: Part::Other })
}

/// The item of a valid array at `at` or behind the comma there; `at` is behind it then.
pub(super) fn next_item(bytes: &[u8], at: &mut usize) -> Option<Range> {
    let start = next_value(bytes, *at);
    if matches!(byte(bytes, start), b']' | 0) {
        return None;
    }
    *at = end_of_value(bytes, start);
    Some(start..*at)
}

/// Behind the blanks and the comma between two values.
fn next_value(bytes: &[u8], at: usize) -> usize {
    let at = blanks(bytes, at);
    if byte(bytes, at) == b',' { blanks(bytes, at + 1) } else { at }
}

/// Where a valid value ends that begins here.
fn end_of_value(bytes: &[u8], mut at: usize) -> usize {
    match byte(bytes, at) {
        b'"' => end_of_string(bytes, at).0,
        b'{' | b'[' => {
            let mut depth = 0_usize;
            loop {
                match byte(bytes, at) {
                    b'"' => {
                        at = end_of_string(bytes, at).0;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    0 => return bytes.len(),
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
        }
        _ => {
            while !matches!(byte(bytes, at), b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r' | 0) {
                at += 1;
            }
            at
        }
    }
}

/// Where a valid text ends whose opening quote is here, and whether anything in it is escaped.
fn end_of_string(bytes: &[u8], at: usize) -> (usize, bool) {
    let (mut at, mut is_escaped) = (at + 1, false);
    loop {
        at = special(bytes, at);
        if byte(bytes, at) != b'\\' {
            return ((at + 1).min(bytes.len()), is_escaped);
        }
        is_escaped = true;
        at += 2;
    }
}
