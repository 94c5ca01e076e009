//! The arguments of one tool as a plan writes them, field by field.

use serde_json::{Map, Value};

use super::written::{key, text, value, words};

/// The most fields that are written one by one.
const MOST_FIELDS: usize = 50;
/// The most values of a choice.
const MOST_CHOICES: usize = 20;

/// Whatever a schema asks for there.
const AUTO: &str = "{ auto = true }";
/// What makes a call of its own of every one.
const UNIQUE: &str = "{ unique = 32, prefix = \"test_\" }";
/// How long such a key is.
const UNIQUE_LENGTH: u64 = 37;

/// The lines that give the arguments that a schema asks for; those that may be left out are comments. `None` where the
/// schema is more than a table of fields.
pub(super) fn arguments(schema: &Value) -> Option<String> {
    let members = schema.as_object()?;
    let plain =
        ["type", "properties", "required", "additionalProperties", "$defs", "definitions", "title", "description"];
    let is_plain = |name: &String| plain.contains(&name.as_str()) || name.starts_with(['$', 'x']);
    let none = Map::new();
    let fields = members.get("properties").map_or(Some(&none), Value::as_object)?;
    let required: Vec<&str> =
        members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let is_described = required.iter().all(|name| fields.contains_key(*name));
    if !members.keys().all(is_plain) || members.contains_key("$ref") || !is_described || fields.len() > MOST_FIELDS {
        return None;
    }
    let (needed, others): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| required.contains(&name.as_str()));
    let mut lines = String::new();
    for (name, schema) in needed {
        lines.push_str(&line(name, schema, ""));
    }
    for (name, schema) in others {
        lines.push_str(&line(name, schema, "# "));
    }
    Some(lines)
}

fn line(name: &str, schema: &Value, mark: &str) -> String {
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => words(kind),
        _ => String::new(),
    };
    let said = schema.get("description").and_then(Value::as_str).map(words).unwrap_or_default();
    let remark = [kind, said].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    let remark = if remark.is_empty() { String::new() } else { format!("  # {remark}") };
    format!("{mark}{} = {}{remark}\n", key(name), generator(name, schema))
}

/// The generator that says most plainly what a schema asks for.
fn generator(name: &str, schema: &Value) -> String {
    let auto = || AUTO.to_owned();
    let Some(members) = schema.as_object() else { return auto() };
    if ["$ref", "allOf", "anyOf", "oneOf", "not", "if", "const"].iter().any(|key| members.contains_key(*key)) {
        return auto();
    }
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        let list = value(&Value::from(values.clone())).filter(|_| (1..=MOST_CHOICES).contains(&values.len()));
        return list.map_or_else(auto, |list| format!("{{ choice = {list} }}"));
    }
    match members.get("type").and_then(Value::as_str) {
        Some("boolean") => "{ choice = [true, false] }".to_owned(),
        Some("integer" | "number") => uniform(members).unwrap_or_else(auto),
        Some("string") => match members.get("format").and_then(Value::as_str) {
            Some("uuid") => "{ uuid = true }".to_owned(),
            Some("date-time") => "{ timestamp = true }".to_owned(),
            Some(_) => auto(),
            None if members.contains_key("pattern") => auto(),
            None if is_key(name, members) => UNIQUE.to_owned(),
            None => match members.get("default").and_then(Value::as_str) {
                Some(default) => text(default),
                None => auto(),
            },
        },
        _ => auto(),
    }
}

/// A range with both ends, and nothing else.
fn uniform(members: &Map<String, Value>) -> Option<String> {
    let (low, high) = (members.get("minimum")?, members.get("maximum")?);
    let others = ["exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
    if others.iter().any(|key| members.contains_key(*key)) {
        return None;
    }
    if members["type"] == "integer" {
        let (low, high) = (low.as_i64()?, high.as_i64()?);
        // As far as a float is exact.
        let is_exact = low <= high && low.abs() < 1 << 53 && high.abs() < 1 << 53;
        return is_exact.then(|| format!("{{ uniform = [{low}, {high}] }}"));
    }
    let (low, high) = (low.as_f64()?, high.as_f64()?);
    let is_of_cents = |n: f64| n.abs() < 1e9 && (n * 100.0 - (n * 100.0).round()).abs() < 1e-9;
    let fits = low <= high && is_of_cents(low) && is_of_cents(high);
    fits.then(|| format!("{{ uniform = [{low:?}, {high:?}], decimals = 2 }}"))
}

/// Whether a field is the key by which a server tells a repeated call from a new one.
fn is_key(name: &str, members: &Map<String, Value>) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let fits = members.get("maxLength").and_then(Value::as_u64).is_none_or(|most| most >= UNIQUE_LENGTH)
        && members.get("minLength").and_then(Value::as_u64).is_none_or(|least| least <= UNIQUE_LENGTH);
    fits && (plain.contains("idempoten") || plain == "requestid")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_gets_the_plainest_generator_and_what_may_be_left_out_is_a_comment() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {
                "amount": {"type": "number", "minimum": 0.5, "maximum": 10, "description": "How\nmuch"},
                "count": {"type": "integer", "minimum": 1, "maximum": 3},
                "open": {"type": "integer", "minimum": 1},
                "currency": {"enum": ["EUR", "USD"]},
                "id": {"type": "string", "format": "uuid"},
                "idempotency_key": {"type": "string"},
                "a b": {"type": ["string", "null"]},
                "note": {"type": "string", "default": "x"},
                "flag": {"type": "boolean"},
            },
            "required": ["amount", "count", "open", "currency", "id", "idempotency_key", "a b"],
        });
        assert_eq!(
            arguments(&schema).unwrap(),
            "amount = { uniform = [0.5, 10.0], decimals = 2 }  # number: How much\n\
             count = { uniform = [1, 3] }  # integer\n\
             open = { auto = true }  # integer\n\
             currency = { choice = [\"EUR\", \"USD\"] }\n\
             id = { uuid = true }  # string\n\
             idempotency_key = { unique = 32, prefix = \"test_\" }  # string\n\
             \"a b\" = { auto = true }\n\
             # note = \"x\"  # string\n\
             # flag = { choice = [true, false] }  # boolean\n"
        );
    }

    #[test]
    fn a_schema_that_is_more_than_a_table_is_left_to_auto() {
        for schema in [
            json!({"anyOf": [{"required": ["a"]}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {}}}),
            json!({"required": ["a"]}),
            json!(true),
            json!({"properties": 7}),
        ] {
            assert_eq!(arguments(&schema), None, "{schema}");
        }
        assert_eq!(arguments(&json!({"type": "object"})), Some(String::new()));
    }
}
