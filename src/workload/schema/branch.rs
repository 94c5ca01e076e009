//! Arrays and objects of a schema.

use serde_json::{Map, Value};

use super::build::{Builder, Place};
use super::conjunction::{Conjunction, Never};
use super::node::{Array, Field, Node, NodeId, Object};

impl<'a> Builder<'a> {
    /// An array of the items that are asked for.
    pub(super) fn array(&mut self, conjunction: &Conjunction<'a>, place: &Place) -> Result<Node, Never> {
        let mut least = conjunction.largest("minItems").unwrap_or(0);
        let mut most = conjunction.smallest("maxItems").unwrap_or(usize::MAX);
        let is_unique = conjunction.each("uniqueItems").any(|value| *value == Value::Bool(true));
        let described = conjunction.all.iter().map(|members| leading(members).len()).max().unwrap_or(0);
        let mut first = Vec::new();
        for index in 0..described {
            let schemas: Vec<&Value> = conjunction
                .all
                .iter()
                .filter_map(|members| leading(members).get(index).or_else(|| rest(members)))
                .collect();
            let id = self.schemas(&schemas, &place.inside("prefixItems", Some(&index.to_string())));
            first.push(id.map_err(Never::Told)?);
        }
        let mut schemas: Vec<&Value> = conjunction.all.iter().filter_map(|members| rest(members)).collect();
        let has_rest = !schemas.is_empty() || described == 0 || least > described;
        if let Some(wanted) = conjunction.each("contains").next() {
            // Where all are what is wanted, there are enough of them.
            schemas.push(wanted);
            least = least.max(conjunction.largest("minContains").unwrap_or(1));
            most = most.min(conjunction.smallest("maxContains").unwrap_or(usize::MAX));
        }
        let rest = if has_rest {
            Some(self.schemas(&schemas, &place.inside("items", None)).map_err(Never::Told)?)
        } else {
            None
        };
        let rest = rest.filter(|id| !matches!(self.node(*id), Node::Never));
        // Nothing stands behind a place where nothing can stand.
        let end = first.iter().position(|id| matches!(self.node(*id), Node::Never));
        if let Some(end) = end.or_else(|| rest.is_none().then_some(first.len())) {
            first.truncate(end);
            most = most.min(end);
        }
        if let Some(distinct) = rest.filter(|_| is_unique && first.is_empty()).and_then(|id| self.distinct(id)) {
            most = most.min(distinct);
        } else if is_unique && least > 1 {
            self.doubt();
        }
        // A row of described items is usually wanted whole.
        let least = least.max(first.len().min(most));
        if least > most {
            return Err(Never::Contradiction(format!("it asks for {least} items, and has no more than {most}")));
        }
        Ok(Node::Array(Array { first, rest: rest.filter(|_| most > described), least, most, is_unique }))
    }

    /// How many different values a node has, where they can be counted.
    fn distinct(&self, id: NodeId) -> Option<usize> {
        match self.node(id) {
            Node::Choice(texts) => {
                let mut texts = texts.clone();
                texts.sort();
                texts.dedup();
                Some(texts.len())
            }
            Node::Number(number) => Some(usize::try_from(number.count()).unwrap_or(usize::MAX)),
            _ => None,
        }
    }

    /// An object of the members that are asked for, some of those that may be left out, and no others without need.
    pub(super) fn object(&mut self, conjunction: &Conjunction<'a>, place: &Place) -> Result<Node, Never> {
        let required = required(conjunction);
        let mut names: Vec<&str> = Vec::new();
        let described = conjunction.each("properties").filter_map(Value::as_object).flat_map(Map::keys);
        for name in described.map(String::as_str).chain(required.iter().copied()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut fields = Vec::new();
        for name in names {
            let is_required = required.contains(&name);
            // What would ask for others if it were there is left out.
            if !is_required && dependents(conjunction, name).next().is_some() {
                continue;
            }
            let schemas: Vec<&Value> = conjunction.all.iter().filter_map(|members| member(members, name)).collect();
            let node = self.schemas(&schemas, &place.inside("properties", Some(name))).map_err(Never::Told)?;
            let is_never = matches!(self.node(node), Node::Never);
            match (is_never, is_required) {
                (true, true) => {
                    return Err(Never::Contradiction(format!("nothing can be its `{}`", super::brief(name))));
                }
                (true, false) => {}
                _ => fields.push(Field { key: format!("{}:", Value::from(name)), node, is_required }),
            }
        }
        let least = conjunction.largest("minProperties").unwrap_or(0);
        let most = conjunction.smallest("maxProperties").unwrap_or(usize::MAX);
        let needed = fields.iter().filter(|field| field.is_required).count();
        let extra = self.extra(conjunction, least > fields.len(), place)?;
        if needed.max(least) > most || least > fields.len() && extra.is_none() {
            return Err(Never::Contradiction("it cannot have as many members as it asks for".to_owned()));
        }
        Ok(Node::Object(Box::new(Object { fields, extra, least, most })))
    }

    /// What members are called and are that the schema does not name, where there may be any and it says what, or where
    /// there `must` be.
    fn extra(
        &mut self,
        conjunction: &Conjunction<'a>,
        must: bool,
        place: &Place,
    ) -> Result<Option<(Option<NodeId>, NodeId)>, Never> {
        let patterns: Vec<(&String, &Value)> =
            conjunction.each("patternProperties").filter_map(Value::as_object).flatten().collect();
        let others: Vec<&Value> = conjunction.each("additionalProperties").collect();
        let says_what = others.iter().any(|schema| schema.is_object()) || !patterns.is_empty();
        if !must && !says_what {
            return Ok(None);
        }
        let is_closed = others.iter().any(|schema| **schema == Value::Bool(false));
        let mut names: Vec<NodeId> = Vec::new();
        for schema in conjunction.each("propertyNames") {
            names.push(self.schemas(&[schema], &place.inside("propertyNames", None)).map_err(Never::Told)?);
        }
        let (name, schemas) = match patterns.first() {
            Some((pattern, schema)) => {
                let node = self.pattern(pattern, 0, usize::MAX)?;
                (Some(self.push(node, place).map_err(Never::Told)?), vec![*schema])
            }
            None if is_closed => return Ok(None),
            None => (names.first().copied(), others),
        };
        let node = self.schemas(&schemas, &place.inside("additionalProperties", None)).map_err(Never::Told)?;
        Ok((!matches!(self.node(node), Node::Never)).then_some((name, node)))
    }
}

/// The names that must be there: those that are required, and those that these ask for.
fn required<'a>(conjunction: &Conjunction<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let listed = conjunction.each("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let mut open: Vec<&str> = listed.collect();
    while let Some(name) = open.pop() {
        if !names.contains(&name) {
            names.push(name);
            open.extend(dependents(conjunction, name));
        }
    }
    names.reverse();
    names
}

/// The names that must be there where `name` is.
fn dependents<'a, 'b>(conjunction: &'b Conjunction<'a>, name: &'b str) -> impl Iterator<Item = &'a str> + 'b {
    let tables = conjunction.each("dependentRequired").chain(conjunction.each("dependencies"));
    tables.filter_map(move |table| table.get(name)?.as_array()).flatten().filter_map(Value::as_str)
}

/// What a schema says of the member `name`.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let named = members.get("properties").and_then(|all| all.get(name));
    let other = || members.get("additionalProperties").filter(|_| !members.contains_key("patternProperties"));
    named.or_else(other)
}

/// The schemas of the first items.
fn leading(members: &Map<String, Value>) -> &[Value] {
    let first = members.get("prefixItems").or_else(|| members.get("items"));
    first.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The schema of all further items.
fn rest(members: &Map<String, Value>) -> Option<&Value> {
    match members.get("items") {
        Some(Value::Array(_)) => members.get("additionalItems"),
        items => items,
    }
}
