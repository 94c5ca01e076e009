//! How much work a schema can make of a value: how many times it looks at one place of it.
//!
//! What stands side by side (`allOf`, `anyOf`, `if` …) and what leads to the same place by two ways adds up; a reference
//! costs what it leads to. So a few lines can ask for 2^60 looks. The bound is counted without making them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::document::Document;

/// The most times that one place of a value is looked at.
pub(super) const MOST_LOOKS: u64 = 1000;
/// How deep into a value it is counted.
pub(super) const DEEPEST: usize = 64;
/// How deep references and nesting may lead at most.
const MOST_STEPS: usize = 400;

/// Keywords whose schemas look at the same place again: one schema, or a list of them.
const HERE: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Keywords whose schemas look at places inside, each at all of them.
const INSIDE: [&str; 7] = [
    "additionalProperties",
    "unevaluatedProperties",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "propertyNames",
    "items",
];

/// Whether no place of any value is looked at too often.
///
/// # Errors
/// One is, or what the schema refers to is not there or itself: in words.
pub(super) fn bound(document: &Document<'_>, schema: &Value) -> Result<(), String> {
    let mut count = Count { document, known: HashMap::new(), steps: 0 };
    for depth in 0..=DEEPEST {
        if count.looks(schema, depth)? > MOST_LOOKS {
            return Err(format!("it looks at one place of a value more than {MOST_LOOKS} times"));
        }
    }
    Ok(())
}

struct Count<'a> {
    document: &'a Document<'a>,
    /// By schema and depth; `None` while it is being counted.
    known: HashMap<(*const Value, usize), Option<u64>>,
    steps: usize,
}

impl<'a> Count<'a> {
    /// How many times a place so deep inside is looked at by `schema` and all that it leads to.
    fn looks(&mut self, schema: &'a Value, depth: usize) -> Result<u64, String> {
        let Some(members) = schema.as_object() else { return Ok(u64::from(depth == 0)) };
        let key = (std::ptr::from_ref(schema), depth);
        match self.known.get(&key) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err("it refers to itself without end".to_owned()),
            None => {}
        }
        self.known.insert(key, None);
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(format!("its references lead more than {MOST_STEPS} steps deep"));
        }
        let mut looks = u64::from(depth == 0);
        for next in self.here(members)? {
            looks = looks.saturating_add(self.looks(next, depth)?);
        }
        if depth > 0 {
            looks = looks.saturating_add(self.inside(members, depth - 1)?);
        }
        self.steps -= 1;
        self.known.insert(key, Some(looks));
        Ok(looks)
    }

    /// The schemas that look at the same place.
    fn here(&self, members: &'a Map<String, Value>) -> Result<Vec<&'a Value>, String> {
        let mut found = Vec::new();
        for (key, value) in members {
            match value {
                Value::String(reference) if REFERENCES.contains(&key.as_str()) => {
                    found.push(self.document.target(reference)?);
                }
                Value::Array(all) if HERE.contains(&key.as_str()) => found.extend(all),
                one if HERE.contains(&key.as_str()) => found.push(one),
                Value::Object(all) if matches!(key.as_str(), "dependentSchemas" | "dependencies") => {
                    found.extend(all.values());
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn inside(&mut self, members: &'a Map<String, Value>, depth: usize) -> Result<u64, String> {
        let mut looks: u64 = 0;
        for (key, value) in members {
            let more = match (key.as_str(), value) {
                // Places of their own, each with one schema.
                ("properties", Value::Object(all)) => self.most(all.values(), depth)?,
                ("prefixItems" | "items", Value::Array(all)) => self.most(all.iter(), depth)?,
                ("patternProperties", Value::Object(all)) => {
                    let mut sum: u64 = 0;
                    for next in all.values() {
                        sum = sum.saturating_add(self.looks(next, depth)?);
                    }
                    sum
                }
                (key, one) if INSIDE.contains(&key) => self.looks(one, depth)?,
                _ => 0,
            };
            looks = looks.saturating_add(more);
        }
        Ok(looks)
    }

    fn most(&mut self, all: impl Iterator<Item = &'a Value>, depth: usize) -> Result<u64, String> {
        let mut most = 0;
        for next in all {
            most = most.max(self.looks(next, depth)?);
        }
        Ok(most)
    }
}
