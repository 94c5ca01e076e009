//! Schemas that break the rules of schemas in ways that leave no doubt of what is meant, as servers in use have them.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The dialects that can be told apart; any other is read as the newest.
const DIALECTS: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
];
/// Keywords whose members are schemas by name.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Keywords whose values are no schemas.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];

/// The schema without `required` and `properties` that are null, without a `required` that is true or false, and without
/// a `$schema` that names no known dialect.
pub(super) fn mended(root: &Value) -> Cow<'_, Value> {
    if is_sound(root) {
        return Cow::Borrowed(root);
    }
    let mut root = root.clone();
    mend(&mut root);
    Cow::Owned(root)
}

fn is_wrong(keyword: &str, value: &Value) -> bool {
    match keyword {
        "required" => value.is_null() || value.is_boolean(),
        "properties" => value.is_null(),
        "$schema" => value.as_str().is_none_or(|uri| !DIALECTS.contains(&uri.trim_end_matches('#'))),
        _ => false,
    }
}

fn is_sound(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().all(|(keyword, value)| {
            !is_wrong(keyword, value)
                && match (NAMED.contains(&keyword.as_str()), value) {
                    (true, Value::Object(named)) => named.values().all(is_sound),
                    _ => DATA.contains(&keyword.as_str()) || is_sound(value),
                }
        }),
        Value::Array(items) => items.iter().all(is_sound),
        _ => true,
    }
}

fn mend(schema: &mut Value) {
    match schema {
        Value::Object(members) => mend_members(members),
        Value::Array(items) => items.iter_mut().for_each(mend),
        _ => {}
    }
}

fn mend_members(members: &mut Map<String, Value>) {
    members.retain(|keyword, value| !is_wrong(keyword, value));
    for (keyword, value) in members {
        match value {
            Value::Object(named) if NAMED.contains(&keyword.as_str()) => named.values_mut().for_each(mend),
            _ if DATA.contains(&keyword.as_str()) => {}
            _ => mend(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workload::schema::conform::Conform;

    #[test]
    fn what_is_null_or_of_an_old_form_is_as_if_it_were_absent() {
        let schema = json!({
            "$schema": "https://example.com/own-dialect",
            "type": "object",
            "required": null,
            "properties": {
                "a": {"type": "string", "required": true},
                "b": {"type": "object", "properties": null, "anyOf": [{"required": false}]},
            },
        });
        let expected = json!({
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "object", "anyOf": [{}]}},
        });
        assert_eq!(*mended(&schema), expected);
        let conform = Conform::at(&schema, "", false).unwrap();
        assert_eq!(conform.check(&json!({"a": "x", "b": {}})), Ok(()));
        assert!(conform.check(&json!({"a": 1})).is_err(), "the rest of it counts");
        assert!(Conform::at(&schema, "/properties/a", false).is_ok());
    }

    #[test]
    fn names_and_values_are_left_alone_and_so_are_known_dialects() {
        for schema in [
            json!({"properties": {"required": true, "properties": {"const": {"required": null}}}, "required": ["required"]}),
            json!({"default": {"required": null}, "enum": [{"properties": null}]}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema"}),
        ] {
            assert!(matches!(mended(&schema), Cow::Borrowed(_)), "{schema}");
            assert!(Conform::at(&schema, "", false).is_ok(), "{schema}");
        }
    }
}
