//! The reader held against `serde_json`, which builds what this one only finds.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::*;

/// Any JSON, with names that come again and letters that must or may be escaped.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-c]{0,2}", "[a\"\\\\\u{1}\n/é€😀 ]{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let members = vec((text.clone(), inner.clone()), 0..5);
        prop_oneof![
            vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What the reader finds, as a tree.
fn rebuilt(json: Json<'_>) -> Value {
    if json.is_object() {
        let member = |member: Member| {
            let name = member.name(json.raw()).text().unwrap().into_owned();
            (name, rebuilt(member.value(json.raw())))
        };
        json.members().map(member).collect()
    } else if json.is_array() {
        json.items().map(rebuilt).collect()
    } else if let Some(text) = json.text() {
        Value::from(text)
    } else if let Some(flag) = json.flag() {
        Value::from(flag)
    } else {
        json.number().map_or(Value::Null, Value::Number)
    }
}

/// The same with blanks between its tokens and letters of its texts escaped, here and there.
fn loose(json: &str, blanks: &[usize]) -> String {
    let mut loose = String::new();
    let (mut in_text, mut is_escaped) = (false, false);
    for (place, letter) in json.chars().enumerate() {
        let chance = blanks[place % blanks.len()];
        let was_escaped = is_escaped;
        is_escaped = in_text && letter == '\\' && !was_escaped;
        if in_text && letter.is_ascii_lowercase() && !was_escaped && chance == 0 {
            write!(loose, "\\u{:04x}", u32::from(letter)).unwrap();
            continue;
        }
        if letter == '"' && !was_escaped {
            in_text = !in_text;
        }
        loose.push(letter);
        if !in_text && "{}[],:".contains(letter) {
            loose.push_str([" ", "\n\t", "\r", ""][chance % 4]);
        }
    }
    loose
}

proptest! {
    #[test]
    fn what_is_found_is_what_was_written(value in any_json(), blanks in vec(0_usize..9, 1..20)) {
        let written = loose(&value.to_string(), &blanks);
        prop_assert_eq!(&serde_json::from_str::<Value>(&written).unwrap(), &value, "{}", &written);
        let padded = format!(" \n{written}\t\r");
        let json = Json::read(&padded).unwrap();
        prop_assert_eq!(json.raw(), written.trim_matches([' ', '\n', '\t', '\r']));
        prop_assert_eq!(rebuilt(json), value, "{}", &written);
    }

    #[test]
    fn a_token_leads_where_a_json_pointer_does(value in any_json(), tokens in vec("[a-c]{0,2}|[01]|01|[+]1", 0..3)) {
        let written = value.to_string();
        let found = tokens.iter().try_fold(Json::read(&written).unwrap(), |json, token| json.at(token));
        let pointer: Vec<String> = tokens.iter().map(|token| format!("/{token}")).collect();
        let pointer = pointer.concat();
        prop_assert_eq!(found.and_then(Json::value), value.pointer(&pointer).cloned(), "{} {}", pointer, written);
    }

    #[test]
    fn what_is_no_json_for_others_is_none_here(
        value in any_json(),
        harm in vec((any::<prop::sample::Index>(), "[]{}\\[,:\"\\\\u0-9eE+.tfn \u{1}é-]{0,2}", 0_usize..3), 1..3),
    ) {
        let mut letters: Vec<char> = value.to_string().chars().collect();
        for (place, put, taken) in harm {
            let from = place.index(letters.len() + 1);
            let to = (from + taken).min(letters.len());
            letters.splice(from..to, put.chars());
        }
        let written: String = letters.into_iter().collect();
        let is_json = serde_json::from_str::<IgnoredAny>(&written).is_ok();
        prop_assert_eq!(Json::read(&written).is_ok(), is_json, "{}", written);
    }
}

#[test]
fn all_that_the_grammar_knows_is_known_and_nothing_else() {
    for json in
        ["0", "-0", "10.25", "1e5", "1E+05", "-1.5e-7", "true", "false", "null", "\"\"", "[]", "{}", "[ ]", "{ }"]
    {
        assert_eq!(Json::read(json).map(Json::raw), Ok(json));
    }
    for text in [
        "",
        " ",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "+1",
        "tru",
        "nul",
        "True",
        "'a'",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "]",
        "}",
        "1 2",
        "[1}",
        "{\"a\":1]",
        "\u{feff}1",
        "\0",
    ] {
        assert_eq!(Json::read(text), Err(Fault::NotJson), "{text:?}");
    }
}

#[test]
fn nesting_is_bounded_and_what_is_too_deep_is_said_to_be() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(Json::read(&deep(DEEPEST)).is_ok());
    assert_eq!(Json::read(&deep(DEEPEST + 1)), Err(Fault::TooDeep));
    assert_eq!(Json::read(&"{\"a\":".repeat(1_000_000)), Err(Fault::TooDeep));
}

#[test]
fn an_escaped_name_is_the_one_that_it_means_and_no_other() {
    let written = [r"a\u0062c", r"\ud83d\ude00", r"\u00e9\n\t\b\f\r\/\\\u0022", r"\ud83dx", "é\\u0061"];
    let names = ["abc", "😀", "é\n\t\u{8}\u{c}\r/\\\"", "ab", "abcd", "", "x", "éa", "e"];
    for written in written {
        let text = format!(r#"{{"{written}":1}}"#);
        let json = Json::read(&text).unwrap();
        let meant: Option<String> = serde_json::from_str(&format!("\"{written}\"")).ok();
        for name in names {
            assert_eq!(json.at(name).is_some(), meant.as_deref() == Some(name), "{written} {name}");
        }
    }
}

#[test]
fn only_what_is_there_is_found() {
    let json = Json::read(r#"{"a":[1,{"b":"x"}],"\u0061":2,"half":"\ud800","\ud800":3}"#).unwrap();
    assert_eq!(json.at("a").map(Json::raw), Some("2"), "of two the last");
    assert_eq!(json.at("half").unwrap().text(), None);
    assert_eq!(json.at("none"), None);
    for scalar in ["1", "\"a\"", "null", "true"] {
        let json = Json::read(scalar).unwrap();
        assert_eq!((json.members().count(), json.items().count(), json.at("0")), (0, 0, None), "{scalar}");
    }
    assert_eq!(Json::read("1e999").unwrap().number(), None);
    assert_eq!(Json::read("7").unwrap().number(), Some(Number::from(7)));
}
