//! TOML by hand: keys, texts, values and comments. What a server says is hostile here: nothing of it ends a text, a
//! comment or a line, or turns the direction of writing.

use std::fmt::Write;

use serde_json::Value;

/// The most characters of a comment that a server wrote.
const MOST_WORDS: usize = 100;

/// A key, quoted where it must be.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare { name.to_owned() } else { text(name) }
}

/// A text in quotes; what cannot be seen is escaped.
pub(super) fn text(plain: &str) -> String {
    let mut quoted = String::with_capacity(plain.len() + 2);
    quoted.push('"');
    for c in plain.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || is_unseen(c) => {
                let code = c as u32;
                let written =
                    if code > 0xffff { write!(quoted, "\\U{code:08X}") } else { write!(quoted, "\\u{code:04X}") };
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON value in one line; `None` where TOML has no such value.
pub(super) fn value(json: &Value) -> Option<String> {
    Some(match json {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None if number.is_f64() => format!("{:?}", number.as_f64()?),
            None => return None,
        },
        Value::String(plain) => text(plain),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Option<Vec<_>>>()?.join(", ")),
        Value::Object(members) => {
            let member = |(name, json): (&String, &Value)| Some(format!("{} = {}", key(name), value(json)?));
            format!("{{ {} }}", members.iter().map(member).collect::<Option<Vec<_>>>()?.join(", "))
        }
    })
}

/// Words of a server for a comment: one line of visible characters, not too long.
pub(super) fn words(said: &str) -> String {
    let visible = |c: char| if c.is_control() || c.is_whitespace() || is_unseen(c) { ' ' } else { c };
    let plain: String = said.chars().take(4 * MOST_WORDS).map(visible).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The lines of a block, each as a comment.
pub(super) fn commented(block: &str) -> String {
    let comment = |line: &str| match line {
        "" => "#\n".to_owned(),
        line => format!("# {line}\n"),
    };
    block.lines().map(comment).collect()
}

/// Characters that show nothing or turn the direction of writing, line separators of Unicode among them.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_keys_mean_themselves_whatever_is_in_them() {
        for plain in
            ["", "a-b_1", "a b", "\"\"\"", "'''", "a\nb\r\0\u{7f}", "\\u0041", "#[x]", "ü\u{202e}\u{e0041}", "a.b"]
        {
            let line = format!("{} = {}", key(plain), text(plain));
            assert!(!line.contains(['\n', '\r', '\u{202e}']), "{line:?}");
            let (_, faults) = super::super::super::file::read(&line);
            let told = faults.to_string();
            assert!(told.contains("is not known here"), "{line}: {told}");
        }
    }

    #[test]
    fn values_are_written_in_one_line_or_not_at_all() {
        let all = json!({"a": [1, 2.5, 1e300, true, "x\"y"], "b c": {}});
        assert_eq!(value(&all).unwrap(), "{ a = [1, 2.5, 1e300, true, \"x\\\"y\"], \"b c\" = {  } }");
        assert_eq!(value(&json!([null])), None);
        assert_eq!(value(&json!(u64::MAX)), None);
        assert_eq!(value(&json!(3.0)).unwrap(), "3.0");
    }

    #[test]
    fn words_stay_in_their_comment() {
        assert_eq!(words("Pays.\n[run]\r\ntimeout = 1\u{2028}x\u{202e}"), "Pays. [run] timeout = 1 x");
        assert_eq!(words(&"long ".repeat(100)).chars().count(), MOST_WORDS + 1);
        assert_eq!(commented("a\n\nb\n"), "# a\n#\n# b\n");
    }
}
