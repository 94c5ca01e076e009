//! What all schemas that hold at one place say together.
//!
//! A schema, what it refers to and the parts of its `allOf` hold at once, so they are read as one. What leaves a choice
//! (`anyOf`, `oneOf`, `if`) is kept apart, to be taken one way at a time.

use serde_json::{Map, Value};

use super::document::Document;

/// The most schemas that hold at one place.
const MOST: usize = 200;

/// Schemas that all hold at one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Conjunction<'a> {
    pub(super) all: Vec<&'a Map<String, Value>>,
    /// Alternatives, of each of which one is to be taken yet.
    pub(super) choices: Vec<Choice<'a>>,
}

/// Ways to meet a part of a schema: each a list of schemas that then hold.
#[derive(Clone, Debug)]
pub(super) struct Choice<'a> {
    pub(super) ways: Vec<Vec<&'a Value>>,
    /// Whether each way alone meets it, whatever else is true.
    pub(super) is_certain: bool,
    /// Where it stands, to tell one from another.
    pub(super) place: *const Value,
}

/// Why nothing can meet a conjunction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Never {
    /// A schema that is `false`, or schemas that contradict one another.
    Contradiction(String),
    /// Something that is not understood: no other way is better.
    Refused(String),
    /// The same of a part, with its place.
    Told(String),
}

impl<'a> Conjunction<'a> {
    /// The schemas, with all that they refer to.
    pub(super) fn of(schemas: &[&'a Value], document: &Document<'a>) -> Result<Self, Never> {
        let mut found = Self::default();
        for schema in schemas {
            found.add(schema, document)?;
        }
        Ok(found)
    }

    /// Adds a schema, unless it holds already; says whether it is new.
    pub(super) fn add(&mut self, schema: &'a Value, document: &Document<'a>) -> Result<bool, Never> {
        let members = match schema {
            Value::Bool(true) => return Ok(true),
            Value::Bool(false) => return Err(Never::Contradiction("nothing is allowed there".to_owned())),
            Value::Object(members) => members,
            other => {
                return Err(Never::Refused(format!("{} is no schema", super::shown(&other.to_string()))));
            }
        };
        if self.all.iter().any(|known| std::ptr::eq(*known, members)) {
            return Ok(false);
        }
        if self.all.len() >= MOST {
            return Err(Never::Refused(format!("more than {MOST} schemas hold at once")));
        }
        self.all.push(members);
        for key in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = members.get(key).and_then(Value::as_str) {
                self.add(document.target(reference).map_err(Never::Refused)?, document)?;
            }
        }
        for part in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.add(part, document)?;
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(list @ Value::Array(ways)) = members.get(key) {
                let ways = ways.iter().map(|way| vec![way]).collect();
                self.choices.push(Choice { ways, is_certain: key == "anyOf", place: list });
            }
        }
        if let Some(condition) = members.get("if") {
            // What meets the condition must meet `then`. What does not must meet `else`, but is not made on purpose.
            let met = std::iter::once(condition).chain(members.get("then")).collect();
            let unmet: Vec<_> = members.get("else").into_iter().collect();
            self.choices.push(Choice { ways: vec![met, unmet], is_certain: false, place: condition });
        }
        Ok(true)
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> Vec<usize> {
        let mut key: Vec<usize> = self.all.iter().map(|members| std::ptr::from_ref(*members) as usize).collect();
        key.sort_unstable();
        let mut choices: Vec<usize> = self.choices.iter().map(|choice| choice.place as usize).collect();
        choices.sort_unstable();
        key.push(0);
        key.extend(choices);
        key
    }

    /// All values that stand under a keyword.
    pub(super) fn each(&self, keyword: &'a str) -> impl Iterator<Item = &'a Value> + '_ {
        self.all.iter().filter_map(move |members| members.get(keyword))
    }

    /// Whether any of these keywords is there.
    pub(super) fn has(&self, keywords: &[&str]) -> bool {
        self.all.iter().any(|members| keywords.iter().any(|keyword| members.contains_key(*keyword)))
    }

    /// The largest of all whole numbers under a keyword.
    pub(super) fn largest(&self, keyword: &'a str) -> Option<usize> {
        self.each(keyword).filter_map(count).max()
    }

    /// The smallest of all whole numbers under a keyword.
    pub(super) fn smallest(&self, keyword: &'a str) -> Option<usize> {
        self.each(keyword).filter_map(count).min()
    }
}

fn count(value: &Value) -> Option<usize> {
    let count = value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))?;
    Some(usize::try_from(count).unwrap_or(usize::MAX))
}
