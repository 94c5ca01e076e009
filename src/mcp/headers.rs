//! What revision 2026-07-28 says in headers besides the body: the method, the name, and the arguments a tool marks.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Names the method of the request: on every one.
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Names the tool, prompt or resource that is asked for.
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// The member of a schema that asks for an argument to be sent as a header too.
const ANNOTATION: &str = "x-mcp-header";
const PARAM_PREFIX: &str = "mcp-param-";
const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// The headers that the arguments of a tool's calls are to be sent in, besides the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderPlan(Vec<Param>);

/// One argument that is a header too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    /// The names of the properties that lead to it.
    path: Vec<String>,
    header: HeaderName,
}

/// An `x-mcp-header` that no client can follow: the tool is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its x-mcp-header {0}")]
pub struct BadAnnotation(String);

/// The member of `params` that a request of this method names in its `Mcp-Name` header, where it has one.
pub fn named_by(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}

/// A value as it travels in a header: itself where it is visible ASCII with spaces inside at most, and else in base64.
pub fn encode(value: &str) -> Cow<'_, str> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim_matches(' ') == value;
    // What looks encoded would be decoded.
    let looks_encoded = value.get(..ENCODED.0.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENCODED.0))
        && value.ends_with(ENCODED.1);
    if is_plain && !looks_encoded {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{}{}{}", ENCODED.0, STANDARD.encode(value), ENCODED.1))
}

/// [`encode`], as the value of a header.
///
/// # Panics
/// Never: what is encoded is visible ASCII.
pub fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(&encode(value)).expect("an encoded value is visible ASCII")
}

impl HeaderPlan {
    /// The plan of a tool with this input schema.
    ///
    /// # Errors
    /// An annotation is empty, no token or not the only one of its name; marks something else than a string, an integer
    /// or a boolean; or stands where not `properties` alone lead.
    pub fn of(input_schema: &Value) -> Result<Self, BadAnnotation> {
        let mut plan = Self::default();
        plan.add(input_schema, &mut Vec::new())?;
        Ok(plan)
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers of a call with these arguments, a JSON object. What is absent, null, an array or an object has none.
    pub fn headers(&self, arguments: &str) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        self.0.iter().filter_map(move |param| {
            let mut at: &RawValue = serde_json::from_str(arguments).ok()?;
            for name in &param.path {
                at = Member(name).deserialize(&mut serde_json::Deserializer::from_str(at.get())).ok()??;
            }
            Some((&param.header, header_value(&text_of(at.get())?)))
        })
    }

    /// Adds what is marked in `schema`, to which the properties of `path` lead.
    fn add(&mut self, schema: &Value, path: &mut Vec<String>) -> Result<(), BadAnnotation> {
        let Some(members) = schema.as_object() else { return Ok(()) };
        for (key, value) in members {
            match (key.as_str(), value) {
                (ANNOTATION, header) => self.add_param(header, schema, path)?,
                ("properties", Value::Object(properties)) => {
                    for (name, schema) in properties {
                        path.push(name.clone());
                        self.add(schema, path)?;
                        path.pop();
                    }
                }
                _ if is_data(key) => {}
                _ if is_marked(key, value) => {
                    return Err(BadAnnotation(format!("stands under `{key}`, not under properties alone")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_param(&mut self, header: &Value, schema: &Value, path: &[String]) -> Result<(), BadAnnotation> {
        let bad = |what: &str| Err(BadAnnotation(what.to_owned()));
        let Some(name) = header.as_str() else { return bad("is no text") };
        let quoted = Quoted(name);
        if path.is_empty() {
            return bad("marks the whole of the arguments");
        }
        if name.is_empty() {
            return bad("is empty");
        }
        let Ok(header) = HeaderName::from_bytes(format!("{PARAM_PREFIX}{name}").as_bytes()) else {
            return bad(&format!("{quoted} cannot be part of a header's name"));
        };
        if self.0.iter().any(|param| param.header == header) {
            return bad(&format!("{quoted} is there twice"));
        }
        let kind = schema.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            return bad(&format!("{quoted} marks something else than a string, an integer or a boolean"));
        }
        self.0.push(Param { path: path.to_vec(), header });
        Ok(())
    }
}

/// A server's text between backquotes, in one line and at a bounded length.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", super::cut(self.0, 60))
    }
}

/// Whether a keyword of a schema holds values or names, and no schemas.
fn is_data(key: &str) -> bool {
    matches!(key, "default" | "const" | "enum" | "examples" | "required" | "dependentRequired")
}

/// Whether there is an annotation anywhere within a keyword's schemas.
fn is_marked(key: &str, value: &Value) -> bool {
    let by_name = matches!(
        key,
        "properties" | "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
    );
    match value {
        Value::Object(schemas) if by_name => schemas.values().any(|schema| is_marked("", schema)),
        Value::Object(schema) => {
            schema.contains_key(ANNOTATION) || schema.iter().any(|(key, value)| !is_data(key) && is_marked(key, value))
        }
        Value::Array(schemas) => schemas.iter().any(|schema| is_marked("", schema)),
        _ => false,
    }
}

/// A primitive of JSON as the text of a header.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(json).ok().map(|text| text.0),
        b't' | b'f' => Some(Cow::Borrowed(json)),
        b'n' | b'[' | b'{' => None,
        _ => Some(decimal(json)),
    }
}

/// A string of JSON, borrowed where nothing is escaped in it.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A number in the decimal form of an integer, where it is one: also if it was written `5.0` or `5e2`.
fn decimal(json: &str) -> Cow<'_, str> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match json.parse::<f64>() {
        Ok(number) if json.contains(['.', 'e', 'E']) && number.fract() == 0.0 && number.abs() <= EXACT => {
            Cow::Owned(format!("{}", number as i64))
        }
        _ => Cow::Borrowed(json),
    }
}

/// Finds one member of an object, and copies nothing. Where there are several of that name the last one counts, as with
/// most readers.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, object: D) -> Result<Self::Value, D::Error> {
        object.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(key) = members.next_key::<Text<'de>>()? {
            if key.0 == self.0 {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn decoded(value: &str) -> String {
        match value.strip_prefix(ENCODED.0).and_then(|value| value.strip_suffix(ENCODED.1)) {
            Some(inner) => String::from_utf8(STANDARD.decode(inner).unwrap()).unwrap(),
            None => value.to_owned(),
        }
    }

    fn marked(schema: &Value) -> Value {
        json!({ "type": "object", "properties": { "a": schema } })
    }

    fn fault(schema: &Value) -> String {
        HeaderPlan::of(schema).unwrap_err().to_string()
    }

    fn headers(plan: &HeaderPlan, arguments: &str) -> Vec<String> {
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        plan.headers(arguments).map(|(name, value)| format!("{name}: {}", text(value))).collect()
    }

    #[test]
    fn plain_values_travel_as_they_are_and_others_in_base64() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("a b  c~!", "a b  c~!"),
            ("", ""),
            (" a", "=?base64?IGE=?="),
            ("a ", "=?base64?YSA=?="),
            ("a\tb", "=?base64?YQli?="),
            ("a\r\nX: y", "=?base64?YQ0KWDogeQ==?="),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
            ("=?base64?YQ==", "=?base64?YQ=="),
            ("x\u{7f}", "=?base64?eH8=?="),
        ] {
            assert_eq!(encode(value), header, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding_and_fits_into_a_header(value in any::<String>(), dressed in any::<bool>()) {
            let value = if dressed { format!("=?base64?{value}?=") } else { value };
            let header = header_value(&value);
            prop_assert!(header.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(decoded(header.to_str().unwrap()), value);
        }

        #[test]
        fn what_a_call_says_in_its_body_it_says_in_its_headers(
            text in any::<String>(), number in any::<i64>(), flag in any::<bool>(), key in "[a-z\"\\\\é]{1,5}",
        ) {
            let schema = json!({ "properties": {
                &key: { "type": "string", "x-mcp-header": "Text" },
                "in": { "properties": { "n": { "type": "integer", "x-mcp-header": "N" } } },
                "FLAG": { "type": "boolean", "x-mcp-header": "Flag" },
            } });
            let plan = HeaderPlan::of(&schema).unwrap();
            let arguments = json!({ "in": { "x": [{ "n": 0 }], "n": number }, &key: text, "FLAG": flag });
            let said: Vec<(&str, String)> =
                plan.headers(&arguments.to_string()).map(|(n, v)| (n.as_str(), decoded(v.to_str().unwrap())))
                    .map(|(n, v)| (n.strip_prefix("mcp-param-").unwrap().to_owned().leak() as &str, v)).collect();
            prop_assert!(said.contains(&("text", text)));
            prop_assert!(said.contains(&("n", number.to_string())));
            prop_assert!(said.contains(&("flag", flag.to_string())));
            prop_assert_eq!(said.len(), 3);
        }
    }

    #[test]
    fn absent_and_null_arguments_have_no_header_and_integers_are_decimal() {
        let plan = HeaderPlan::of(&marked(&json!({ "type": "integer", "x-mcp-header": "A" }))).unwrap();
        for (arguments, expected) in [
            (r#"{"a":5}"#, Some("5")),
            (r#"{"a": -5.0 }"#, Some("-5")),
            (r#"{"a":1e3}"#, Some("1000")),
            (r#"{"a":18446744073709551615}"#, Some("18446744073709551615")),
            (r#"{"a":"x\ny"}"#, Some("=?base64?eAp5?=")),
            (r#"{"a":1,"a":2}"#, Some("2")),
            (r#"{"a":null}"#, None),
            (r#"{"b":{"a":1}}"#, None),
            (r#"{"a":[1]}"#, None),
            ("{}", None),
            ("[1]", None),
            ("{", None),
        ] {
            let expected: Vec<String> = expected.into_iter().map(|value| format!("mcp-param-a: {value}")).collect();
            assert_eq!(headers(&plan, arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn a_tool_whose_annotations_cannot_be_followed_is_refused() {
        let string = |header: Value| marked(&json!({ "type": "string", "x-mcp-header": header }));
        for (schema, why) in [
            (string(json!("")), "is empty"),
            (string(json!("My Region")), "`My Region` cannot be part of a header's name"),
            (string(json!("a:b")), "`a:b` cannot be part of a header's name"),
            (string(json!("Région")), "`Région` cannot be part of a header's name"),
            (string(json!("a\r\nb")), "`a  b` cannot be part of a header's name"),
            (string(json!(7)), "is no text"),
            (marked(&json!({ "type": "number", "x-mcp-header": "A" })), "marks something else"),
            (marked(&json!({ "type": "object", "x-mcp-header": "A" })), "marks something else"),
            (marked(&json!({ "type": "array", "x-mcp-header": "A" })), "marks something else"),
            (marked(&json!({ "x-mcp-header": "A" })), "marks something else"),
            (json!({ "type": "string", "x-mcp-header": "A" }), "marks the whole of the arguments"),
            (marked(&json!({ "items": { "type": "string", "x-mcp-header": "A" } })), "under `items`"),
            (json!({ "oneOf": [marked(&json!({ "type": "string", "x-mcp-header": "A" }))] }), "under `oneOf`"),
            (json!({ "$defs": { "default": { "type": "string", "x-mcp-header": "A" } } }), "under `$defs`"),
            (json!({ "not": { "properties": { "enum": { "x-mcp-header": "A" } } } }), "under `not`"),
        ] {
            assert!(fault(&schema).contains(why), "{schema}: {}", fault(&schema));
        }
        let twice = json!({ "properties": {
            "a": { "type": "string", "x-mcp-header": "Region" },
            "b": { "properties": { "c": { "type": "string", "x-mcp-header": "REGION" } } },
        } });
        assert_eq!(fault(&twice), "its x-mcp-header `REGION` is there twice");
    }

    #[test]
    fn properties_and_values_that_only_look_like_annotations_are_none() {
        for schema in [
            json!(true),
            json!({}),
            json!({ "properties": { "x-mcp-header": { "type": "string" } } }),
            json!({ "default": { "x-mcp-header": "A" }, "items": { "examples": [{ "x-mcp-header": "A" }] } }),
        ] {
            assert_eq!(HeaderPlan::of(&schema), Ok(HeaderPlan::default()), "{schema}");
        }
        assert!(HeaderPlan::default().is_empty());
    }
}
