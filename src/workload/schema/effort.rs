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
/// Keywords whose schemas look at members, each at all of them; and at items.
const OF_MEMBERS: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
const OF_ITEMS: [&str; 4] = ["items", "additionalItems", "unevaluatedItems", "contains"];

/// How deep values may be of which no place is looked at too often.
///
/// # Errors
/// Even the top is, or what the schema refers to is not there or itself: in words.
pub(super) fn depth(document: &Document<'_>, schema: &Value) -> Result<usize, String> {
    let mut count = Count { document, known: HashMap::new(), steps: 0 };
    for depth in 0..=DEEPEST {
        if count.looks(schema, depth)?.most() > MOST_LOOKS {
            let too_often = || format!("it looks at one place of a value more than {MOST_LOOKS} times");
            return depth.checked_sub(1).ok_or_else(too_often);
        }
    }
    Ok(DEEPEST)
}

struct Count<'a> {
    document: &'a Document<'a>,
    /// By schema and depth; `None` while it is being counted.
    known: HashMap<(*const Value, usize), Option<Looks>>,
    steps: usize,
}

/// How many times a place is looked at, where the first step to it is one to a member, and where it is one to an item: no
/// value has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Looks {
    member: u64,
    item: u64,
}

impl Looks {
    fn most(self) -> u64 {
        self.member.max(self.item)
    }

    const fn plus(self, other: Self) -> Self {
        Self { member: self.member.saturating_add(other.member), item: self.item.saturating_add(other.item) }
    }
}

impl<'a> Count<'a> {
    /// How many times a place so deep inside is looked at by `schema` and all that it leads to.
    fn looks(&mut self, schema: &'a Value, depth: usize) -> Result<Looks, String> {
        let here = if depth == 0 { Looks { member: 1, item: 1 } } else { Looks::default() };
        let Some(members) = schema.as_object() else { return Ok(here) };
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
        let mut looks = here;
        for next in self.here(members)? {
            looks = looks.plus(self.looks(next, depth)?);
        }
        if depth > 0 {
            looks = looks.plus(self.inside(members, depth - 1)?);
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

    /// How many times a place of a member or an item is looked at.
    fn inside(&mut self, members: &'a Map<String, Value>, depth: usize) -> Result<Looks, String> {
        let mut looks = Looks::default();
        for (key, value) in members {
            let (member, item) = match (key.as_str(), value) {
                // Places of their own, each with one schema.
                ("properties", Value::Object(all)) => (self.most(all.values(), depth)?, 0),
                ("prefixItems" | "items", Value::Array(all)) => (0, self.most(all.iter(), depth)?),
                ("patternProperties", Value::Object(all)) => {
                    let mut sum: u64 = 0;
                    for next in all.values() {
                        sum = sum.saturating_add(self.looks(next, depth)?.most());
                    }
                    (sum, 0)
                }
                (key, one) if OF_MEMBERS.contains(&key) => (self.looks(one, depth)?.most(), 0),
                (key, one) if OF_ITEMS.contains(&key) => (0, self.looks(one, depth)?.most()),
                _ => (0, 0),
            };
            looks = looks.plus(Looks { member, item });
        }
        Ok(looks)
    }

    fn most(&mut self, all: impl Iterator<Item = &'a Value>, depth: usize) -> Result<u64, String> {
        let mut most = 0;
        for next in all {
            most = most.max(self.looks(next, depth)?.most());
        }
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn depth_of(schema: &Value) -> Result<usize, String> {
        depth(&Document::new(schema).unwrap(), schema)
    }

    #[test]
    fn what_looks_once_at_each_place_may_be_as_deep_as_it_likes() {
        let json = json!({"anyOf": [
            {"type": "object", "additionalProperties": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}}, {"type": "string"}]});
        assert_eq!(depth_of(&json), Ok(DEEPEST));
        assert_eq!(depth_of(&json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}})), Ok(DEEPEST));
    }

    #[test]
    fn what_doubles_at_each_level_may_be_as_deep_as_its_looks_last() {
        let twice = json!({"oneOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]});
        // Four looks through each reference, and twice as many at each level: 4 × 2^7 = 512, and 2^8 would be too many.
        assert_eq!(depth_of(&twice), Ok(7));
    }

    #[test]
    fn what_leads_to_itself_or_too_far_is_refused() {
        assert_eq!(depth_of(&json!({"$ref": "#"})), Err("it refers to itself without end".to_owned()));
        let chain: Map<String, Value> =
            (0..1000).map(|n| (n.to_string(), json!({"$ref": format!("#/$defs/{}", (n + 1) % 1000)}))).collect();
        assert!(depth_of(&json!({"$ref": "#/$defs/0", "$defs": chain})).unwrap_err().contains("400 steps"));
        let many: Vec<Value> = (0..1001).map(|_| json!({})).collect();
        assert!(depth_of(&json!({"allOf": many})).unwrap_err().contains("1000 times"));
    }
}
