//! From a schema to nodes: what can stand at each place, keyword by keyword.

use std::collections::HashMap;

use serde_json::Value;

use super::conjunction::{Conjunction, Never};
use super::document::Document;
use super::kind::{self, Kind, Kinds};
use super::node::{Node, NodeId, Nodes};

/// The most nodes of a schema, alternatives that meet at one place counted in all their combinations.
const MOST_NODES: usize = 5000;
/// How deep the parts of a schema may be nested, and those of the smallest value that meets it.
const MOST_DEPTH: usize = 100;
/// How large the smallest value that meets a schema may be, in values and characters.
const MOST_SIZE: usize = 100_000;

/// Keywords that are met by looking at what was made, not by the way it is made.
const CHECKED: [&str; 9] = [
    "not",
    "contains",
    "maxContains",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "patternProperties",
    "dependentSchemas",
    "dependencies",
];

/// Keywords that are dealt with where a schema names its values.
const LOOKED_AT: [&str; 7] = ["const", "enum", "type", "$ref", "allOf", "anyOf", "oneOf"];

/// A schema made ready, as far as that goes without looking at what is made.
pub(super) struct Built {
    pub(super) nodes: Nodes,
    /// Whether everything that is made meets the schema.
    pub(super) is_certain: bool,
}

/// Builds what all `schemas` together allow; they are parts of `document`, at `at` (a JSON pointer).
pub(super) fn build<'a>(document: Document<'a>, schemas: &[&'a Value], at: &str) -> Result<Built, String> {
    let mut builder =
        Builder { document, nodes: Vec::new(), known: HashMap::new(), is_certain: true, contradiction: None };
    let place = Place { at: at.to_owned(), depth: 0 };
    builder.schemas(schemas, &place)?;
    let Builder { nodes, is_certain, contradiction, .. } = builder;
    let nodes = Nodes::new(nodes)
        .ok_or_else(|| contradiction.unwrap_or_else(|| format!("{}: what it asks for has no end", shown(at))))?;
    if nodes.smallest() > MOST_SIZE || nodes.lowest() > MOST_DEPTH {
        return Err(format!("{}: the smallest value that meets it is too large or too deep", shown(at)));
    }
    Ok(Built { nodes, is_certain })
}

/// A place in a schema, as a reader would find it.
fn shown(at: &str) -> String {
    if at.is_empty() { "at its top".to_owned() } else { format!("at {}", super::brief(at)) }
}

/// Where a part of a schema stands, and how deep.
#[derive(Clone, Debug)]
pub(super) struct Place {
    at: String,
    depth: usize,
}

impl Place {
    /// The place of a part.
    pub(super) fn inside(&self, keyword: &str, name: Option<&str>) -> Self {
        let name = name.map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).unwrap_or_default();
        Self { at: format!("{}/{keyword}{name}", self.at), depth: self.depth + 1 }
    }
}

pub(super) struct Builder<'a> {
    pub(super) document: Document<'a>,
    nodes: Vec<Node>,
    known: HashMap<Vec<usize>, NodeId>,
    is_certain: bool,
    /// Why the first thing that nothing can meet is none.
    contradiction: Option<String>,
}

impl<'a> Builder<'a> {
    /// What is made here is to be looked at.
    pub(super) const fn doubt(&mut self) {
        self.is_certain = false;
    }

    /// The node of what all of `schemas` allow; fails where one of them is not understood.
    pub(super) fn schemas(&mut self, schemas: &[&'a Value], place: &Place) -> Result<NodeId, String> {
        match Conjunction::of(schemas, &self.document) {
            Ok(conjunction) => self.conjunction(conjunction, place),
            Err(why) => self.never(why, place),
        }
    }

    /// The node of what a conjunction allows.
    fn conjunction(&mut self, mut conjunction: Conjunction<'a>, place: &Place) -> Result<NodeId, String> {
        let key = conjunction.key();
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        if place.depth > MOST_DEPTH {
            return Err(format!("{}: it is nested more than {MOST_DEPTH} levels deep", shown(&place.at)));
        }
        // Not known yet; a part that leads back here finds it under way.
        let id = self.push(Node::One(Vec::new()), place)?;
        self.known.insert(key, id);
        let node = match conjunction.choices.pop() {
            None => self.plain(&conjunction, place),
            Some(choice) => {
                if !choice.is_certain && !kind::are_apart(&choice.ways, &self.document) {
                    self.doubt();
                }
                let mut ways = Vec::new();
                for schemas in &choice.ways {
                    let mut way = conjunction.clone();
                    let added = schemas.iter().try_for_each(|schema| way.add(schema, &self.document).map(|_| ()));
                    ways.push(match added {
                        Ok(()) => self.conjunction(way, &Place { depth: place.depth + 1, ..place.clone() })?,
                        Err(why) => self.never(why, place)?,
                    });
                }
                Ok(Node::One(ways))
            }
        };
        self.nodes[id] = match node {
            Ok(node) => node,
            Err(why) => {
                self.never(why, place)?;
                Node::Never
            }
        };
        Ok(id)
    }

    /// A node that nothing meets, and why; or the refusal, where that is what it is.
    fn never(&mut self, why: Never, place: &Place) -> Result<NodeId, String> {
        match why {
            Never::Refused(why) => Err(format!("{}: {why}", shown(&place.at))),
            Never::Told(why) => Err(why),
            Never::Contradiction(why) => {
                self.contradiction.get_or_insert_with(|| format!("{}: {why}", shown(&place.at)));
                self.push(Node::Never, place)
            }
        }
    }

    pub(super) fn push(&mut self, node: Node, place: &Place) -> Result<NodeId, String> {
        if self.nodes.len() >= MOST_NODES {
            return Err(format!("{}: it has more than {MOST_NODES} parts in all", shown(&place.at)));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// What a conjunction without choices allows.
    fn plain(&mut self, conjunction: &Conjunction<'a>, place: &Place) -> Result<Node, Never> {
        if conjunction.has(&CHECKED) {
            self.doubt();
        }
        let kinds = Kinds::of(conjunction)?;
        if conjunction.has(&["const", "enum"]) {
            return self.named(conjunction, kinds);
        }
        let mut ways = Vec::new();
        let mut contradiction = None;
        for kind in kinds.each() {
            let node = match kind {
                Kind::Null => Ok(Node::Choice(vec!["null".to_owned()])),
                Kind::Boolean => Ok(Node::Choice(vec!["false".to_owned(), "true".to_owned()])),
                Kind::Integer | Kind::Number => self.number(conjunction, kind == Kind::Integer),
                Kind::Text => self.text(conjunction),
                Kind::Array => self.array(conjunction, place),
                Kind::Object => self.object(conjunction, place),
            };
            match node {
                Ok(node) => ways.push(node),
                Err(refused @ (Never::Refused(_) | Never::Told(_))) => return Err(refused),
                Err(why) => contradiction = Some(why),
            }
        }
        match (ways.len(), contradiction) {
            (0, Some(why)) => Err(why),
            (0, None) => Err(Never::Contradiction("no type is left".to_owned())),
            (1, _) => Ok(ways.remove(0)),
            _ => {
                let ids = ways.into_iter().map(|node| self.push(node, place)).collect::<Result<_, _>>();
                ids.map(Node::One).map_err(Never::Told)
            }
        }
    }

    /// One of the values that the schema names.
    fn named(&mut self, conjunction: &Conjunction<'a>, kinds: Kinds) -> Result<Node, Never> {
        let mut lists = conjunction.all.iter().flat_map(|members| {
            let constant = members.get("const").map(|value| vec![value]);
            let list = members.get("enum").and_then(Value::as_array).map(|list| list.iter().collect::<Vec<_>>());
            [constant, list]
        });
        let mut lists = lists.by_ref().flatten();
        let first = lists.next().unwrap_or_default();
        let others: Vec<Vec<&Value>> = lists.collect();
        let fits = |value: &&&Value| kinds.have(value) && others.iter().all(|list| list.contains(value));
        let values: Vec<String> = first.iter().filter(fits).map(ToString::to_string).collect();
        // What else is said of them was not looked at.
        let is_plain = |members: &&serde_json::Map<String, Value>| {
            members.keys().all(|key| LOOKED_AT.contains(&key.as_str()) || kind::is_remark(key))
        };
        if !conjunction.all.iter().all(is_plain) {
            self.doubt();
        }
        if values.is_empty() {
            Err(Never::Contradiction("no value is left".to_owned()))
        } else {
            Ok(Node::Choice(values))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(schema: &Value) -> String {
        build(Document::new(schema).unwrap(), &[schema], "").err().unwrap_or_default()
    }

    #[test]
    fn what_nothing_can_meet_is_named_with_its_place() {
        for (schema, why) in [
            (json!({"properties": {"a": false}, "required": ["a"]}), "at /properties/a: nothing is allowed there"),
            (
                json!({"type": "string", "minLength": 3, "maxLength": 2}),
                "at its top: no text has from 3 to 2 characters",
            ),
            (json!({"type": "integer", "minimum": 1.5, "maximum": 1.6}), "at its top: no number is within its bounds"),
            (json!({"type": "string", "enum": [1]}), "at its top: no value is left"),
            (json!({"allOf": [{"type": "string"}, {"type": "null"}]}), "at its top: no type is left"),
            (
                json!({"properties": {"a": {"items": {"$ref": "#/x"}}}, "required": ["a"]}),
                "at /properties/a/items: its $ref `#/x` leads nowhere",
            ),
            (
                json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
                "at its top: what it asks for has no end",
            ),
            (
                json!({"type": "array", "minItems": 1_000_000_000}),
                "at its top: the smallest value that meets it is too large or too deep",
            ),
        ] {
            assert_eq!(refusal(&schema), why, "{schema}");
        }
    }

    #[test]
    fn what_is_hostile_is_refused_soon() {
        let ways = json!({"anyOf": [{"minLength": 1}, {"maxLength": 9}, {"minLength": 2}]});
        let many: Vec<Value> = (0..20).map(|_| ways.clone()).collect();
        assert!(refusal(&json!({"allOf": many})).contains("more than 5000 parts"));
        let deep = (0..120).fold(json!({}), |inner, _| json!({"type": "array", "items": inner, "minItems": 1}));
        assert!(refusal(&deep).contains("nested more than 100 levels"));
    }
}
