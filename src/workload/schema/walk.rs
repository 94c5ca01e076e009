//! Where a schema describes one field of the arguments.

use serde_json::{Map, Value};

use super::document::Document;

/// How many schemas are looked through for one step.
const MOST: usize = 1000;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Step {
    /// To a member of this name.
    Member(String),
    /// To an item.
    Item(usize),
}

/// The JSON pointer, in the document `root`, of the schema of what these steps lead to.
///
/// # Errors
/// The schema says nothing of it: in words, with what it knows of in its place.
pub(in crate::workload) fn place_of(root: &Value, steps: &[Step]) -> Result<String, String> {
    let document = Document::new(root)?;
    let mut at = String::new();
    for step in steps {
        let mut known = Vec::new();
        at = next(&document, root, &at, step, &mut known)?.ok_or_else(|| {
            let has = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            let step = match step {
                Step::Member(name) => name.clone(),
                Step::Item(place) => format!("[{place}]"),
            };
            format!("it says nothing of {}, but of {}: give it a value", super::shown(&step), super::brief(&has))
        })?;
    }
    Ok(at)
}

/// Looks through the schema at `at` and all that hold or may hold with it.
fn next(
    document: &Document<'_>,
    root: &Value,
    at: &str,
    step: &Step,
    known: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let mut open = vec![at.to_owned()];
    let mut seen: Vec<String> = Vec::new();
    while let Some(at) = open.pop() {
        if seen.contains(&at) || seen.len() > MOST {
            continue;
        }
        seen.push(at.clone());
        let Some(members) = document.at(&at).and_then(Value::as_object) else { continue };
        if let Some(found) = described(members, step, known) {
            return Ok(Some(format!("{at}{found}")));
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let count = members.get(key).and_then(Value::as_array).map_or(0, Vec::len);
            open.extend((0..count).rev().map(|place| format!("{at}/{key}/{place}")));
        }
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            open.extend(pointer_to(root, document.target(reference)?));
        }
    }
    Ok(None)
}

/// Where one schema describes the step, seen from itself.
fn described(members: &Map<String, Value>, step: &Step, known: &mut Vec<String>) -> Option<String> {
    match step {
        Step::Member(name) => {
            let properties = members.get("properties").and_then(Value::as_object);
            if properties.is_some_and(|all| all.contains_key(name)) {
                return Some(format!("/properties/{}", escaped(name)));
            }
            known.extend(properties.into_iter().flat_map(Map::keys).cloned());
            members
                .get("additionalProperties")
                .filter(|schema| schema.is_object())
                .map(|_| "/additionalProperties".to_owned())
        }
        Step::Item(place) => {
            let listed = |key: &str| members.get(key).and_then(Value::as_array).is_some_and(|all| all.len() > *place);
            let key = ["prefixItems", "items"].into_iter().find(|key| listed(key));
            let rest = || members.get("items").filter(|items| items.is_object()).map(|_| "/items".to_owned());
            key.map(|key| format!("/{key}/{place}")).or_else(rest)
        }
    }
}

/// The pointer that leads to this very value.
fn pointer_to(root: &Value, wanted: &Value) -> Option<String> {
    let mut open = vec![(String::new(), root)];
    while let Some((at, value)) = open.pop() {
        if std::ptr::eq(value, wanted) {
            return Some(at);
        }
        match value {
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(place, item)| (format!("{at}/{place}"), item)));
            }
            Value::Object(members) => {
                open.extend(members.iter().map(|(name, value)| (format!("{at}/{}", escaped(name)), value)));
            }
            _ => {}
        }
    }
    None
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_found_through_references_and_parts() {
        let root = json!({
            "allOf": [{"$ref": "#/$defs/base"}],
            "properties": {"list": {"type": "array", "items": {"$ref": "#/$defs/item"}}, "a/b": {"type": "string"}},
            "$defs": {
                "base": {"properties": {"id": {"anyOf": [{"type": "null"}, {"properties": {"x": true}}]}}},
                "item": {"prefixItems": [{"type": "null"}], "items": {"type": "number"}},
            },
        });
        let member = |name: &str| Step::Member(name.to_owned());
        let place = |steps: &[Step]| place_of(&root, steps);
        assert_eq!(place(&[]), Ok(String::new()));
        assert_eq!(place(&[member("a/b")]), Ok("/properties/a~1b".to_owned()));
        assert_eq!(
            place(&[member("id"), member("x")]),
            Ok("/$defs/base/properties/id/anyOf/1/properties/x".to_owned())
        );
        assert_eq!(place(&[member("list"), Step::Item(0), Step::Item(0)]), Ok("/$defs/item/prefixItems/0".to_owned()));
        assert_eq!(place(&[member("list"), Step::Item(7), Step::Item(3)]), Ok("/$defs/item/items".to_owned()));
        assert_eq!(
            place(&[member("nope")]),
            Err("it says nothing of `nope`, but of list, a/b, id: give it a value".to_owned())
        );
    }
}
