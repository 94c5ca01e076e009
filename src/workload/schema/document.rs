//! A schema as a document: where its references lead, and whether it is small enough to be worked with.

use serde_json::{Map, Value};

/// The most JSON values of a schema: about the size of an API's whole description.
const MOST_VALUES: usize = 20_000;
/// The most bytes of a schema as text: all schemas of a plan are stored in the saved run.
const MOST_BYTES: usize = 512 << 10;

/// A whole schema.
#[derive(Debug)]
pub(super) struct Document<'a> {
    root: &'a Value,
}

impl<'a> Document<'a> {
    /// The document, where it is within bounds.
    pub(super) fn new(root: &'a Value) -> Result<Self, String> {
        let mut values = 0;
        let mut open = vec![root];
        while let Some(value) = open.pop() {
            values += 1;
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(members) => open.extend(members.values()),
                _ => {}
            }
        }
        if values > MOST_VALUES || root.to_string().len() > MOST_BYTES {
            let most = MOST_BYTES >> 10;
            return Err(format!("it has more than {MOST_VALUES} values, or more than {most} kB"));
        }
        Ok(Self { root })
    }

    /// What a reference within the document means.
    pub(super) fn target(&self, reference: &str) -> Result<&'a Value, String> {
        let own = self.root.get("$id").or_else(|| self.root.get("id")).and_then(Value::as_str);
        let own = own.map_or("", |id| id.trim_end_matches('#'));
        let inside = reference.strip_prefix(own).unwrap_or(reference);
        let shown = super::shown(reference);
        let Some(fragment) = inside.strip_prefix('#').or_else(|| inside.is_empty().then_some("")) else {
            return Err(format!("its $ref {shown} leads out of the schema, and nothing is fetched"));
        };
        let fragment = percent_decoded(fragment);
        let found = if fragment.is_empty() || fragment.starts_with('/') {
            self.root.pointer(&fragment)
        } else {
            anchored(self.root, &fragment)
        };
        found.ok_or_else(|| format!("its $ref {shown} leads nowhere"))
    }

    /// The schema at a JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> Option<&'a Value> {
        self.root.pointer(pointer)
    }
}

/// The subschema that has this anchor.
fn anchored<'a>(root: &'a Value, name: &str) -> Option<&'a Value> {
    let is_named = |members: &Map<String, Value>| {
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let old = |key| text(key).and_then(|id| id.strip_prefix('#'));
        [text("$anchor"), text("$dynamicAnchor"), old("$id"), old("id")].contains(&Some(name))
    };
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) if is_named(members) => return Some(value),
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    None
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let digits = (*byte == b'%').then(|| text.get(place + 1..place + 3)).flatten();
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(decoded.unwrap_or(*byte));
        place += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_followed_within_the_document_only() {
        let root = json!({
            "$id": "https://example.com/root.json",
            "$defs": {"a b": {"type": "null"}, "c": {"$anchor": "named", "type": "string"}, "x/y": true},
        });
        let document = Document::new(&root).unwrap();
        assert_eq!(document.target("#"), Ok(&root));
        assert_eq!(document.target("#/$defs/a%20b"), Ok(&json!({"type": "null"})));
        assert_eq!(document.target("#/$defs/x~1y"), Ok(&json!(true)));
        assert_eq!(document.target("https://example.com/root.json#named").unwrap()["type"], "string");
        assert_eq!(document.target("#/$defs/z"), Err("its $ref `#/$defs/z` leads nowhere".to_owned()));
        for out in ["https://example.com/other.json", "other.json#/a", "urn:x"] {
            assert!(document.target(out).unwrap_err().contains("nothing is fetched"), "{out}");
        }
    }

    #[test]
    fn a_schema_beyond_all_measure_is_refused() {
        assert!(Document::new(&json!({"enum": vec![0; MOST_VALUES]})).is_err());
        assert!(Document::new(&json!({"description": "d".repeat(MOST_BYTES)})).is_err());
        assert!(Document::new(&json!({"enum": vec![0; MOST_VALUES / 2]})).is_ok());
    }
}
