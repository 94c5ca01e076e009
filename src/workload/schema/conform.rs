//! Whether a value conforms to a JSON Schema: a bounded view of the `jsonschema` crate.
//!
//! A schema comes from a server and may be hostile. Nothing is fetched; patterns are matched in linear time and bounded
//! memory; and a schema that would look at one place of a value more than `MOST_LOOKS` times is not used at all.

use std::fmt;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::document::Document;
use super::effort;
use super::mend::mended;

/// The most bytes of memory that a compiled pattern takes.
const MOST_PATTERN: usize = 1 << 20;
/// The most patterns of a schema.
const MOST_PATTERNS: usize = 100;

/// A schema that values are held to.
pub(super) struct Conform {
    validator: Validator,
    /// How deep values may be that are held to it.
    deepest: usize,
}

impl fmt::Debug for Conform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conform")
    }
}

/// Where a value breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::workload) enum Breach {
    /// There is no value at all.
    Missing,
    /// It was not held to the schema: that would take too much work.
    TooDeep,
    /// It breaks a rule.
    At {
        /// The rule's place in the schema, as a JSON pointer.
        rule: String,
        /// What is wrong, in words without the value.
        why: String,
    },
}

impl Conform {
    /// Makes the schema at `at` (a JSON pointer) of the document `root` ready; `formats` says whether `format` is more than
    /// a remark.
    ///
    /// # Errors
    /// It is no schema, refers to something outside of it, or would take too much work: in words.
    pub(super) fn at(root: &Value, at: &str, formats: bool) -> Result<Self, String> {
        let root = &*mended(root);
        let document = Document::new(root)?;
        let deepest = effort::depth(&document, document.at(at).unwrap_or(root))?;
        if patterns(root) > MOST_PATTERNS {
            return Err(format!("it has more than {MOST_PATTERNS} patterns"));
        }
        let patterns = PatternOptions::regex().size_limit(MOST_PATTERN).dfa_size_limit(MOST_PATTERN);
        let options = jsonschema::options().offline().with_pattern_options(patterns).should_validate_formats(formats);
        let refused = |why: jsonschema::ValidationError<'_>| {
            let place = why.instance_path().as_str();
            let at = if place.is_empty() { "at its top".to_owned() } else { format!("at {}", super::brief(place)) };
            format!("{at}: {}", super::brief(&why.masked().to_string()))
        };
        if at.is_empty() {
            return Ok(Self { validator: options.build(root).map_err(refused)?, deepest });
        }
        let all = options.build_map(root).map_err(refused)?;
        let validator =
            all.get(&format!("#{at}")).ok_or_else(|| format!("it has no schema at {}", super::shown(at)))?;
        Ok(Self { validator: validator.clone(), deepest })
    }

    /// Holds a value to it. One that is too deep is too much work, which is no breach of its own.
    pub(super) fn check(&self, value: &Value) -> Result<(), Breach> {
        if depth(value) > self.deepest {
            return Err(Breach::TooDeep);
        }
        self.validator.validate(value).map_err(|error| Breach::At {
            rule: error.schema_path().as_str().to_owned(),
            why: super::brief(&error.masked().to_string()),
        })
    }
}

/// How deep a value is: 0 for one without parts.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(depth).max().map_or(0, |inner| inner + 1),
        Value::Object(members) => members.values().map(depth).max().map_or(0, |inner| inner + 1),
        _ => 0,
    }
}

fn patterns(schema: &Value) -> usize {
    let mut count = 0;
    let mut open = vec![schema];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                count += usize::from(members.contains_key("pattern"));
                let keyed = members.get("patternProperties").and_then(Value::as_object);
                count += keyed.map_or(0, serde_json::Map::len);
                open.extend(members.values());
            }
            _ => {}
        }
    }
    count
}

/// Says what is wrong with values by the crate as it is, with every format, apart from all that is done here.
#[cfg(test)]
pub(super) fn judge(schema: &Value) -> impl Fn(&Value) -> Option<String> {
    let validator = jsonschema::options().offline().should_validate_formats(true).build(schema).unwrap();
    move |value| validator.validate(value).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_breach_is_named_by_its_place_in_the_schema_and_without_the_value() {
        let schema = json!({"type": "object", "properties": {"list": {"items": {"$ref": "#/$defs/n"}}}, "$defs": {"n": {"type": "number"}}});
        let conform = Conform::at(&schema, "", false).unwrap();
        assert_eq!(conform.check(&json!({"list": [1, 2.5]})), Ok(()));
        let breach = conform.check(&json!({"list": [1, "secret-1", 3]})).unwrap_err();
        let Breach::At { rule, why } = &breach else { panic!("{breach:?}") };
        assert!(why.contains("is not of type \"number\"") && !why.contains("secret"), "{breach:?}");
        assert!(rule.ends_with("/type"), "{breach:?}");
    }

    #[test]
    fn formats_count_where_they_are_asked_to() {
        let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "format": "ipv4"});
        assert_eq!(Conform::at(&schema, "", false).unwrap().check(&json!("x")), Ok(()));
        assert!(Conform::at(&schema, "", true).unwrap().check(&json!("x")).is_err());
    }

    #[test]
    fn what_no_schema_is_or_leads_out_of_it_is_not_used() {
        for schema in [
            json!({"$ref": "https://example.com/x.json"}),
            json!({"$ref": "#/nowhere"}),
            json!({"type": "thing"}),
            json!({"pattern": "("}),
            json!({"pattern": "(a{1000}){1000}"}),
            json!({"pattern": "(?=a)"}),
            json!([1]),
            json!({"$ref": "#"}),
            json!({"properties": {"a": {"anyOf": vec![json!({"pattern": "a"}); 200]}}}),
        ] {
            assert!(Conform::at(&schema, "", false).is_err(), "{schema}");
        }
    }

    #[test]
    fn hostile_schemas_end_soon_whether_they_are_used_or_not() {
        let chain = |link: &dyn Fn(Value) -> Value| {
            let defs = (0..60).map(|n| (n.to_string(), link(json!({"$ref": format!("#/$defs/{}", n + 1)}))));
            let mut defs: serde_json::Map<String, Value> = defs.collect();
            defs.insert("60".to_owned(), json!({"type": "number"}));
            json!({"$ref": "#/$defs/0", "$defs": defs})
        };
        let doubled = chain(&|next| json!({"allOf": [next, next]}));
        assert!(Conform::at(&doubled, "", false).unwrap_err().contains("times"));
        let nested = chain(&|next| json!({"properties": {"a": next}, "patternProperties": {"a": next}}));
        let conform = Conform::at(&nested, "", false).unwrap();
        let deep = (0..60).fold(json!("x"), |inner, _| json!({"a": inner}));
        assert_eq!(conform.check(&deep), Err(Breach::TooDeep));
        assert_eq!(conform.check(&json!({"a": {"a": 1}})), Ok(()));
        // Each place of a value is looked at once.
        let wide = chain(&|next| json!({"properties": {"a": next, "b": next}}));
        let conform = Conform::at(&wide, "", false).unwrap();
        assert_eq!(conform.check(&json!({"a": {"b": {}}})), Ok(()));
        assert!(conform.check(&json!({"a": {"b": 1}})).is_ok());
        let catastrophe = Conform::at(&json!({"pattern": "^(a+)+$"}), "", false).unwrap();
        assert!(catastrophe.check(&json!(format!("{}!", "a".repeat(100_000)))).is_err());
    }
}
