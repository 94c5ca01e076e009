//! Values are valid by an independent validator: for real schemas, for each keyword, and for schemas drawn at random.

use proptest::prelude::*;

use super::*;

/// Values of a schema that are all valid; whether they were made part by part.
fn values(schema: &Value) -> (Vec<Value>, bool) {
    let shape = Shape::of(schema, "", false).unwrap_or_else(|why| panic!("{why}: {schema}"));
    let judge = conform::judge(schema);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut make = || {
        let mut text = String::new();
        shape.write(&mut random, &mut text);
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(judge(&value), None, "{text} of {schema}");
        value
    };
    ((0..200).map(|_| make()).collect(), matches!(shape.0, Way::Made(_)))
}

/// Values of a schema that are made part by part.
fn made(schema: &Value) -> Vec<Value> {
    let (values, is_made) = values(schema);
    assert!(is_made, "{schema}");
    values
}

#[test]
fn each_keyword_is_met() {
    for schema in [
        json!({"type": "string", "minLength": 20, "maxLength": 21}),
        json!({"type": "string", "maxLength": 0}),
        json!({"type": "string", "pattern": "^[A-Z]{3}-\\d{4}$"}),
        json!({"type": "string", "pattern": "^a+$", "minLength": 15, "maxLength": 20}),
        json!({"type": "string", "enum": ["a", "\"b\"", "ü"]}),
        json!({"const": {"a": [1, null]}}),
        json!({"type": ["integer", "null"], "minimum": 3}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.01}),
        json!({"type": "integer", "multipleOf": 7, "minimum": -50}),
        json!({"type": "number", "multipleOf": 0.1}),
        json!({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3, "uniqueItems": true}),
        json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": true}),
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": false}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"], "additionalProperties": {"type": "null"}}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2, "maxProperties": 4}),
        json!({"type": "object", "properties": {"a": true, "b": true, "c": false}, "maxProperties": 1}),
        json!({"type": "object", "properties": {"a": true, "b": true}, "minProperties": 2, "additionalProperties": false}),
        json!({"properties": {"a": {}, "b": {}, "c": {}}, "required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c"]}}),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}}}, {"properties": {"a": {"maximum": 6}}, "required": ["a"]}]}),
        json!({"anyOf": [{"type": "string", "format": "uuid"}, {"type": "integer", "minimum": 1}]}),
        json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "null"}}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "b"}, "y": {"type": "boolean"}}, "required": ["kind"]},
        ], "type": "object"}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer", "maximum": 3}}, "minimum": 3}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"p": {"type": "number", "exclusiveMinimum": 0}},
            "type": "object", "properties": {"p": {"$ref": "#/definitions/p"}}, "required": ["p"]}),
        json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 1}),
        json!({"type": "integer", "format": "uint8", "minimum": 250}),
        json!(true),
    ] {
        made(&schema);
    }
}

#[test]
fn each_format_is_met() {
    for format in [
        "uuid",
        "date",
        "date-time",
        "time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "uri-reference",
        "iri",
        "uri-template",
        "json-pointer",
        "relative-json-pointer",
        "regex",
        "something-else",
    ] {
        let values = made(&json!({"type": "string", "format": format}));
        assert!(values.iter().any(|value| *value != values[0]), "{format}: always {}", values[0]);
    }
}

#[test]
fn what_must_be_looked_at_is_drawn_from_values_that_passed() {
    for schema in [
        json!({"type": "integer", "minimum": 0, "maximum": 9, "not": {"const": 5}}),
        json!({"type": "array", "contains": {"const": 1}, "items": {"enum": [1, 2]}, "minContains": 2}),
        json!({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "string"}},
            "if": {"properties": {"a": {"const": true}}, "required": ["a"]}, "then": {"required": ["b"]}}),
        json!({"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]}),
        json!({"type": "object", "patternProperties": {"^x-[a-z]{2}$": {"type": "integer"}}, "additionalProperties": false, "minProperties": 1}),
        json!({"type": "object", "additionalProperties": {"type": "null"}, "propertyNames": {"pattern": "^[A-Z]{2}$"}, "minProperties": 1}),
        json!({"type": "string", "format": "email", "maxLength": 30, "minLength": 1}),
        json!({"type": "string", "pattern": "^a\\b", "maxLength": 3}),
    ] {
        let (values, _) = values(&schema);
        assert!(
            values.iter().any(|value| *value != values[0]) || schema["pattern"] == "^a\\b",
            "{schema}: always {}",
            values[0]
        );
    }
}

#[test]
fn a_recursive_schema_ends() {
    let tree = json!({
        "$defs": {"node": {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["value", "children"],
        }},
        "$ref": "#/$defs/node",
    });
    let deepest = |value: &Value| {
        fn depth(value: &Value) -> usize {
            value["children"].as_array().into_iter().flatten().map(depth).max().map_or(0, |inner| inner + 1)
        }
        depth(value)
    };
    let depths: Vec<usize> = made(&tree).iter().map(deepest).collect();
    assert!(depths.iter().any(|depth| *depth > 1) && depths.iter().all(|depth| *depth < 10), "{depths:?}");
    made(&json!({"type": "object", "properties": {"next": {"$ref": "#"}}}));
    let wide: serde_json::Map<String, Value> = (0..50).map(|n| (format!("p{n}"), json!({"$ref": "#"}))).collect();
    let sizes = made(&json!({"type": "object", "properties": wide}));
    assert!(sizes.iter().all(|value| value.to_string().len() < 50_000));
}

#[test]
fn what_the_schema_offers_is_taken_where_it_asks_for_nothing_else() {
    let all = |schema: Value| {
        let mut all: Vec<String> = made(&schema).iter().map(ToString::to_string).collect();
        all.sort();
        all.dedup();
        all
    };
    assert_eq!(all(json!({"type": "string", "default": "EUR"})), ["\"EUR\""]);
    assert_eq!(all(json!({"type": "string", "examples": ["Berlin", "Oslo", 7], "maxLength": 5})), ["\"Oslo\""]);
    assert_eq!(all(json!({"type": "integer", "default": 10})), ["10"]);
    assert!(all(json!({"type": "integer", "default": 10, "minimum": 1, "maximum": 50})).len() > 30);
}

#[test]
fn real_input_schemas_are_met() {
    for schema in [
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "properties": {"message": {"type": "string", "description": "Message to echo"}}, "required": ["message"]}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}),
        json!({"type": "object", "properties": {
            "messageType": {"type": "string", "enum": ["error", "success", "debug"]},
            "includeImage": {"default": false, "type": "boolean"}}, "required": ["messageType"]}),
        json!({"type": "object", "properties": {
            "resourceType": {"type": "string", "enum": ["Text", "Blob"], "default": "Text"},
            "resourceId": {"type": "number", "default": 1}}}),
        json!({"title": "create_paymentArguments", "type": "object", "properties": {
            "amount": {"title": "Amount", "type": "number"}, "currency": {"title": "Currency", "type": "string"},
            "description": {"default": "", "title": "Description", "type": "string"},
            "metadata": {"anyOf": [{"additionalProperties": true, "type": "object"}, {"type": "null"}], "default": null}},
            "required": ["amount", "currency"]}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "PaymentRequest", "type": "object",
            "$defs": {"Currency": {"type": "string", "enum": ["USD", "EUR"]},
                "Money": {"type": "object", "properties": {
                    "minor": {"description": "amount in minor units", "format": "int64", "type": "integer"},
                    "currency": {"$ref": "#/$defs/Currency"}}, "required": ["minor", "currency"]}},
            "properties": {"total": {"$ref": "#/$defs/Money"}, "wallet_id": {"type": "string"},
                "idempotency_key": {"default": null, "type": ["string", "null"]},
                "retries": {"format": "uint32", "minimum": 0, "type": "integer"}},
            "required": ["total", "wallet_id"]}),
    ] {
        let all = made(&schema);
        assert!(all.iter().all(Value::is_object));
        assert!(Shape::of(&schema, "", true).is_ok());
    }
}

#[test]
fn what_cannot_be_made_is_said_with_its_place() {
    for (schema, why) in [
        (json!({"properties": {"a": {"$ref": "https://example.com/a.json"}}}), "leads out of the schema"),
        (json!({"properties": {"a": {"pattern": "(?=x)"}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"type": "thing"}}}), "at /properties/a/type"),
        (json!({"type": "string"}), "no type is left"),
        (json!({"not": {}}), "no value that meets all of it was found"),
        (json!(false), "at its top: nothing is allowed there"),
    ] {
        let told = Shape::of(&schema, "", true).unwrap_err();
        assert!(told.contains(why), "{told} of {schema}");
    }
}

#[test]
fn a_value_is_a_function_of_the_random_words() {
    let schema = json!({"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]});
    let shape = Shape::of(&schema, "", true).unwrap();
    let write = |seed| {
        let mut out = String::new();
        shape.write(&mut ChaCha8Rng::seed_from_u64(seed), &mut out);
        out
    };
    assert_eq!(write(1), write(1));
    assert_ne!(write(1), write(2));
}

/// A family of schemas, all of which some value meets.
fn schemas() -> impl Strategy<Value = Value> {
    let number = (-1000_i64..1000, 0_i64..50, prop::bool::ANY, prop::option::of(1_i64..5)).prop_map(
        |(low, more, whole, step)| {
            let kind = if whole { "integer" } else { "number" };
            let mut schema = json!({"type": kind, "minimum": low, "maximum": low + more + 5});
            if let Some(step) = step {
                schema["multipleOf"] = json!(step);
            }
            schema
        },
    );
    let text = (0_usize..10, 0_usize..10)
        .prop_map(|(least, more)| json!({"type": "string", "minLength": least, "maxLength": least + more}));
    let pattern =
        prop::sample::select(vec!["^[a-z]{2,5}$", "^(x|yy)+$", "\\d{3}", "^#[0-9a-fA-F]{6}$", "^[^\\s@]+@[^\\s@]+$"])
            .prop_map(|pattern| json!({"type": "string", "pattern": pattern}));
    let format =
        prop::sample::select(vec!["uuid", "date", "date-time", "email", "uri", "ipv4", "ipv6", "hostname", "time"])
            .prop_map(|format| json!({"type": "string", "format": format}));
    let named = prop::collection::vec(
        prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("a")), Just(json!([true]))],
        1..4,
    )
    .prop_map(|values| json!({"enum": values}));
    let leaf = prop_oneof![
        number,
        text,
        pattern,
        format,
        named,
        Just(json!({"type": "boolean"})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({}))
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let list = (inner.clone(), 0_usize..3, 0_usize..3).prop_map(|(items, least, more)| {
            json!({"type": "array", "items": items, "minItems": least, "maxItems": least + more})
        });
        let object = prop::collection::vec((inner.clone(), prop::bool::ANY), 0..5).prop_map(|fields| {
            let required: Vec<String> = (0..fields.len()).filter(|n| fields[*n].1).map(|n| format!("f{n}")).collect();
            let properties: serde_json::Map<String, Value> =
                fields.into_iter().enumerate().map(|(n, (schema, _))| (format!("f{n}"), schema)).collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        });
        let map = inner
            .clone()
            .prop_map(|inner| json!({"type": "object", "additionalProperties": inner, "minProperties": 1}));
        let any = prop::collection::vec(inner.clone(), 1..4).prop_map(|ways| json!({"anyOf": ways}));
        let one = (inner.clone(), inner.clone()).prop_map(|(a, b)| {
            json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "a"}, "v": a}, "required": ["kind", "v"]},
            {"type": "object", "properties": {"kind": {"const": "b"}, "v": b}, "required": ["kind"]}]})
        });
        let all = (inner.clone(), inner).prop_map(|(a, b)| {
            json!({"allOf": [
            {"type": "object", "properties": {"a": a}, "required": ["a"]}, {"properties": {"b": b}}]})
        });
        prop_oneof![list, object, map, any, one, all]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn values_of_schemas_drawn_at_random_are_valid(schema in schemas()) {
        made(&schema);
    }
}
