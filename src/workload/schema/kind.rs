//! The types of JSON values, as far as schemas tell them apart.

use serde_json::{Map, Value};

use super::conjunction::{Conjunction, Never};
use super::document::Document;

/// A type of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    Array,
    Object,
}

/// The types that a schema allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

const ALL: [(Kind, &str); 7] = [
    (Kind::Text, "string"),
    (Kind::Integer, "integer"),
    (Kind::Number, "number"),
    (Kind::Boolean, "boolean"),
    (Kind::Object, "object"),
    (Kind::Array, "array"),
    (Kind::Null, "null"),
];
const EVERY: u8 = 0x7f;

/// Which type is meant by keywords that are about one only, where none is named.
const MEANT: [(Kind, &[&str]); 4] = [
    (
        Kind::Object,
        &["properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"],
    ),
    (Kind::Array, &["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]),
    (Kind::Number, &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    (Kind::Text, &["pattern", "minLength", "maxLength", "format"]),
];

/// Keywords that say nothing about which values are allowed.
pub(super) fn is_remark(keyword: &str) -> bool {
    const REMARKS: [&str; 14] = [
        "title",
        "description",
        "$comment",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$schema",
        "$id",
        "id",
        "$defs",
        "definitions",
    ];
    REMARKS.contains(&keyword) || keyword.starts_with("x-")
}

impl Kinds {
    /// The types that a conjunction leaves; where it names none, the one that its other keywords are about, or text.
    pub(super) fn of(conjunction: &Conjunction<'_>) -> Result<Self, Never> {
        let mut left = EVERY;
        for types in conjunction.each("type") {
            left &= Self::named(types)
                .ok_or_else(|| Never::Refused(format!("{} is no type", super::shown(&types.to_string()))))?;
        }
        if left == 0 {
            return Err(Never::Contradiction("no type is left".to_owned()));
        }
        let is_open = conjunction.each("type").next().is_none() && !conjunction.has(&["const", "enum"]);
        if is_open {
            let meant =
                MEANT.iter().find(|(_, keywords)| conjunction.has(keywords)).map_or(Kind::Text, |(kind, _)| *kind);
            return Ok(Self(bit(meant)));
        }
        Ok(Self(left))
    }

    /// The bits of one type or a list of them.
    fn named(types: &Value) -> Option<u8> {
        let one = |name: &Value| {
            let name = name.as_str()?;
            let bits = ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| bit(*kind))?;
            // A whole number is a number.
            Some(if name == "number" { bits | bit(Kind::Integer) } else { bits })
        };
        match types {
            Value::Array(names) => names.iter().map(one).try_fold(0, |bits, next| Some(bits | next?)),
            name => one(name),
        }
    }

    /// Each type; of numbers the widest.
    pub(super) fn each(self) -> impl Iterator<Item = Kind> {
        let has = move |kind| self.0 & bit(kind) != 0;
        ALL.into_iter()
            .map(|(kind, _)| kind)
            .filter(move |kind| has(*kind) && !(*kind == Kind::Integer && has(Kind::Number)))
    }

    /// Whether a value is of one of them.
    pub(super) fn have(self, value: &Value) -> bool {
        let is_whole = || value.as_f64().is_some_and(|n| n.fract() == 0.0);
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) if is_whole() => Kind::Integer,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::Text,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        };
        self.0 & bit(kind) != 0
    }
}

const fn bit(kind: Kind) -> u8 {
    1 << kind as u8
}

/// Whether no value meets two of these ways: by their types, or by a member that each requires with values of its own.
pub(super) fn are_apart(ways: &[Vec<&Value>], document: &Document<'_>) -> bool {
    let read: Vec<Conjunction<'_>> = match ways.iter().map(|way| Conjunction::of(way, document)).collect() {
        Ok(read) => read,
        Err(_) => return false,
    };
    read.iter().enumerate().all(|(place, one)| read[..place].iter().all(|other| are_two_apart(one, other, document)))
}

fn are_two_apart(one: &Conjunction<'_>, other: &Conjunction<'_>, document: &Document<'_>) -> bool {
    let types = |way: &Conjunction<'_>| way.each("type").filter_map(Kinds::named).fold(EVERY, |left, next| left & next);
    if types(one) & types(other) == 0 {
        return true;
    }
    one.all.iter().filter_map(|members| tags(members)).flatten().any(|(name, schema)| {
        let mine = values(schema, document);
        let theirs = other.all.iter().filter_map(|members| tags(members)).flatten();
        let mut theirs = theirs.filter(|(known, _)| *known == name).filter_map(|(_, schema)| values(schema, document));
        mine.is_some_and(|mine| theirs.any(|theirs| !mine.iter().any(|value| theirs.contains(value))))
    })
}

/// The members that a schema both requires and describes.
fn tags(members: &Map<String, Value>) -> Option<impl Iterator<Item = (&String, &Value)>> {
    let required = members.get("required")?.as_array()?;
    let described = members.get("properties")?.as_object()?;
    Some(described.iter().filter(|(name, _)| required.iter().any(|known| known.as_str() == Some(name))))
}

/// The only values that a schema allows, where it names them.
fn values<'a>(schema: &'a Value, document: &Document<'a>) -> Option<Vec<&'a Value>> {
    let read = Conjunction::of(&[schema], document).ok()?;
    let mut constants = read.each("const");
    let mut lists = read.each("enum").filter_map(Value::as_array);
    constants.next().map(|value| vec![value]).or_else(|| lists.next().map(|list| list.iter().collect()))
}
