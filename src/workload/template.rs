//! Arguments as written in a plan, compiled once, rendered for each call into JSON.

use std::sync::Arc;

use rand_distr::{LogNormal, Zipf};
use serde_json::{Map, Value};

use super::capture::FieldId;
use super::generate::{Generator, Source};
use super::schema::{self, Shape, Step};
use super::sent::{Sent, Span, Walked, walk};

/// A JSON document with generated values in it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// How long the last rendering was expected to be: the size of the next buffer.
    size: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Generated(Generator),
    /// One whose place in the rendering is noted.
    Noted(Generator, usize),
}

/// Arguments made ready.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub(super) template: Template,
    /// The captured values that they use.
    pub(super) captured: Vec<FieldId>,
    /// The values that were to be noted, in that order.
    pub(super) noted: Vec<Sent>,
    /// Whether something is to be made from a schema that is not known yet: then they cannot be rendered.
    pub(super) is_open: bool,
}

/// The word that stands for all arguments, to be made from the tool's input schema.
pub(super) const AUTO: &str = "auto";

/// What is wrong with an operation's arguments, captures or expectations.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("operation `{operation}`: {why}")]
pub struct TemplateError {
    /// The operation's name.
    pub operation: String,
    /// What is wrong and the way out.
    pub why: String,
}

/// The keys that make a table a generator, and the modifiers that may stand beside each.
const GENERATORS: [(&str, &[&str]); 14] = [
    ("uuid", &[]),
    ("choice", &[]),
    ("uniform", &["decimals"]),
    ("lognormal", &["decimals"]),
    ("zipf", &["prefix"]),
    ("counter", &["prefix"]),
    ("text", &["prefix"]),
    ("unique", &["prefix"]),
    ("pool", &["prefix"]),
    ("timestamp", &[]),
    ("run_id", &[]),
    ("captured", &[]),
    ("literal", &[]),
    ("auto", &[]),
];

impl Template {
    /// Compiles `arguments`, an object in which a table such as `{ uniform = [1.0, 10.0], decimals = 2 }` stands for a
    /// generated value, or the word `auto`; `names` are those of all captures, sorted, `notes` the JSON pointers of values
    /// that somebody wants to know later, and `schema` is the tool's input schema, where it is known.
    pub(super) fn compile(
        arguments: &Value,
        names: &[String],
        notes: &[&str],
        schema: Option<&Value>,
    ) -> Result<Ready, Vec<String>> {
        let mut compiler = Compiler { names, schema, ..Compiler::default() };
        let sent = notes.iter().map(|pointer| compiler.note(arguments, pointer)).collect();
        match arguments {
            // All arguments as they stand, as from the command line.
            Value::Object(table) if generator_of(table) == Ok(Some("literal")) && table["literal"].is_object() => {
                compiler.value(arguments, "arguments");
            }
            Value::Object(table) => compiler.object(table, "arguments"),
            Value::String(word) if word == AUTO => match compiler.made() {
                Ok(generator) => compiler.pieces.push(Piece::Generated(generator)),
                Err(why) => compiler.fault("arguments", &why),
            },
            other => {
                compiler.faults = vec![format!("arguments {other} are not an object: give {{\"name\": value, …}}")];
            }
        }
        if !compiler.faults.is_empty() {
            return Err(compiler.faults);
        }
        compiler.flush();
        let size = compiler.pieces.iter().map(|p| if let Piece::Literal(text) = p { text.len() } else { 40 }).sum();
        let Compiler { pieces, captured, is_open, .. } = compiler;
        Ok(Ready { template: Self { pieces, size }, captured, noted: sent, is_open })
    }

    /// The arguments of one call, and where the noted values stand in them.
    pub(super) fn render(&self, source: &mut Source<'_>) -> (String, Vec<Span>) {
        let mut out = String::with_capacity(self.size);
        let mut spans = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Generated(generator) => generator.write(source, &mut out),
                Piece::Noted(generator, place) => {
                    let from = out.len() as u32;
                    generator.write(source, &mut out);
                    if spans.len() <= *place {
                        spans.resize(place + 1, (0, 0));
                    }
                    spans[*place] = (from, out.len() as u32);
                }
            }
        }
        (out, spans)
    }
}

#[derive(Default)]
struct Compiler<'a> {
    pieces: Vec<Piece>,
    literal: String,
    /// The names of all captures, sorted.
    names: &'a [String],
    captured: Vec<FieldId>,
    /// Where generated values stand that are to be noted.
    noted: Vec<String>,
    /// All that is wrong, so that one fault does not hide the next.
    faults: Vec<String>,
    /// The tool's input schema.
    schema: Option<&'a Value>,
    /// Which steps lead to the value that is being compiled.
    steps: Vec<Step>,
    is_open: bool,
}

impl Compiler<'_> {
    /// The value that a JSON pointer into the arguments means.
    fn note(&mut self, arguments: &Value, pointer: &str) -> Sent {
        match walk(arguments, pointer) {
            Ok(Walked::Constant(kept)) => Sent::Constant(kept),
            Ok(Walked::Generated(at)) => {
                let known = self.noted.iter().position(|other| *other == at);
                Sent::Span(known.unwrap_or_else(|| {
                    self.noted.push(at);
                    self.noted.len() - 1
                }))
            }
            Err(why) => {
                self.faults.push(why);
                Sent::Span(0)
            }
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal)));
        }
    }

    fn value(&mut self, value: &Value, at: &str) {
        match value {
            Value::Object(table) => match generator_of(table) {
                Ok(Some("literal")) => self.literal.push_str(&table["literal"].to_string()),
                Ok(Some(kind)) => match self.generator(kind, table) {
                    Ok(generator) => {
                        self.flush();
                        self.pieces.push(match self.noted.iter().position(|noted| noted == at) {
                            Some(place) => Piece::Noted(generator, place),
                            None => Piece::Generated(generator),
                        });
                    }
                    // A text or a flag where a generator's figures stand is more likely meant as it stands.
                    Err(why) if kind != "captured" && (table[kind].is_string() || table[kind].is_boolean()) => {
                        self.fault(
                            at,
                            &format!("{why}; if the table is meant as it stands, write {{ literal = {{ … }} }}"),
                        );
                    }
                    Err(why) => self.fault(at, &why),
                },
                Ok(None) => self.object(table, at),
                Err(why) => self.fault(at, &why),
            },
            Value::Array(items) => {
                self.literal.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.literal.push(',');
                    }
                    self.steps.push(Step::Item(place));
                    self.value(item, &format!("{at}[{place}]"));
                    self.steps.pop();
                }
                self.literal.push(']');
            }
            plain => self.literal.push_str(&plain.to_string()),
        }
    }

    fn fault(&mut self, at: &str, why: &str) {
        self.faults.push(format!("{at}: {why}"));
    }

    fn object(&mut self, table: &Map<String, Value>, at: &str) {
        self.literal.push('{');
        for (place, (key, value)) in table.iter().enumerate() {
            if place > 0 {
                self.literal.push(',');
            }
            self.literal.push_str(&Value::from(key.as_str()).to_string());
            self.literal.push(':');
            self.steps.push(Step::Member(key.clone()));
            self.value(value, &format!("{at}.{key}"));
            self.steps.pop();
        }
        self.literal.push('}');
    }

    fn generator(&mut self, kind: &str, table: &Map<String, Value>) -> Result<Generator, String> {
        let value = &table[kind];
        let prefix = match table.get("prefix") {
            None => None,
            Some(Value::String(text)) => Some(open_string(text)),
            Some(other) => return Err(format!("prefix {other} is not a text")),
        };
        let opened = || prefix.clone().unwrap_or_else(|| "\"".to_owned());
        Ok(match kind {
            "uuid" | "timestamp" | "run_id" | "auto" if *value != Value::Bool(true) => {
                return Err(format!("{kind} {value} is not {kind} = true"));
            }
            "uuid" => Generator::Uuid,
            "timestamp" => Generator::Timestamp,
            "run_id" => Generator::RunId,
            "auto" => self.made()?,
            "choice" => match value.as_array() {
                Some(values) if !values.is_empty() => Generator::Choice(values.iter().map(Value::to_string).collect()),
                _ => return Err(format!("choice {value} is not a list with something in it")),
            },
            "uniform" => uniform(value, decimals(table)?)?,
            "lognormal" => lognormal(value, decimals(table)?)?,
            "zipf" => zipf(value, prefix)?,
            "counter" => Generator::Counter { first: count(kind, value, 0, u64::MAX)?, prefix },
            "text" => Generator::Text { digits: count(kind, value, 1, 65_536)? as usize, prefix: opened() },
            "unique" => Generator::Unique { digits: count(kind, value, 16, 256)? as usize, prefix: opened() },
            "pool" => Generator::Pool { size: count(kind, value, 1, u64::MAX)?, prefix },
            _ => {
                let name = value.as_str().ok_or_else(|| format!("captured {value} is not a capture's name"))?;
                let field = self.names.binary_search_by(|known| known.as_str().cmp(name)).map_err(|_| {
                    format!(
                        "captured `{name}` is captured by no operation: add capture = {{ {name} = \"/field\" }} to one"
                    )
                })?;
                let field = FieldId(field as u16);
                if !self.captured.contains(&field) {
                    self.captured.push(field);
                }
                Generator::Captured(field)
            }
        })
    }
}

impl Compiler<'_> {
    /// What is made from the part of the tool's input schema that describes this place.
    fn made(&mut self) -> Result<Generator, String> {
        let Some(schema) = self.schema else {
            self.is_open = true;
            return Ok(Generator::Choice(vec!["null".to_owned()]));
        };
        let shape = schema::place_of(schema, &self.steps).and_then(|at| Shape::of(schema, &at, self.steps.is_empty()));
        let shape = shape.map_err(|why| {
            format!("the tool's input schema cannot be followed: {why}; give the arguments yourself, or leave {{ auto = true }} to other fields")
        })?;
        Ok(Generator::Made(Arc::new(shape)))
    }
}

/// The generator that a table stands for, if it has a generator's key. Beside that key only its modifiers make sense;
/// with other keys it is an ordinary table, unless the value under the key can only be meant as a generator's.
pub(super) fn generator_of(table: &Map<String, Value>) -> Result<Option<&'static str>, String> {
    let Some((kind, modifiers)) = GENERATORS.iter().find(|(kind, _)| table.contains_key(*kind)) else {
        return Ok(None);
    };
    match table.keys().find(|key| key != kind && !modifiers.contains(&key.as_str())) {
        Some(other) if is_meant(kind, &table[*kind]) => Err(format!("`{other}` does not go with {kind}")),
        Some(_) => Ok(None),
        None => Ok(Some(kind)),
    }
}

/// Whether a value under a generator's key is of the form that the generator wants.
fn is_meant(kind: &str, value: &Value) -> bool {
    match kind {
        "uniform" => value.as_array().is_some_and(|bounds| bounds.len() == 2 && bounds.iter().all(Value::is_number)),
        "lognormal" => value.get("median").is_some(),
        "zipf" => value.get("n").is_some(),
        _ => false,
    }
}

fn open_string(text: &str) -> String {
    let mut quoted = Value::from(text).to_string();
    quoted.pop();
    quoted
}

fn count(kind: &str, value: &Value, least: u64, most: u64) -> Result<u64, String> {
    value
        .as_u64()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("{kind} {value} is not a whole number from {least} to {most}"))
}

fn decimals(table: &Map<String, Value>) -> Result<u8, String> {
    match table.get("decimals") {
        None => Ok(0),
        Some(value) => count("decimals", value, 0, 12).map(|n| n as u8),
    }
}

fn uniform(value: &Value, decimals: u8) -> Result<Generator, String> {
    let bounds: Vec<f64> = value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    match bounds[..] {
        [low, high] if low <= high && (high - low).is_finite() => Ok(Generator::Uniform { low, high, decimals }),
        _ => Err(format!("uniform {value} is not two numbers, the lower first: [1.0, 10.0]")),
    }
}

fn lognormal(value: &Value, decimals: u8) -> Result<Generator, String> {
    let wrong = || format!("lognormal {value} is not {{ median = 50.0, sigma = 0.5 }} with both above zero");
    let field = |name: &str| value.get(name).and_then(Value::as_f64).filter(|n| *n > 0.0);
    let (median, sigma) = (field("median").ok_or_else(wrong)?, field("sigma").ok_or_else(wrong)?);
    // Forty sigma out, where no draw has ever been, is still a number.
    if !(median.ln() + 40.0 * sigma).exp().is_finite() {
        return Err(format!("lognormal {value} reaches beyond all numbers: give a smaller sigma"));
    }
    let distribution = LogNormal::new(median.ln(), sigma).map_err(|_| wrong())?;
    Ok(Generator::Lognormal { distribution, decimals })
}

fn zipf(value: &Value, prefix: Option<String>) -> Result<Generator, String> {
    let wrong = || format!("zipf {value} is not {{ n = 1000, s = 1.1 }} with n of at least 1 and s not negative");
    let n = value.get("n").and_then(Value::as_u64).filter(|n| *n >= 1).ok_or_else(wrong)?;
    let s = value.get("s").and_then(Value::as_f64).ok_or_else(wrong)?;
    let distribution = Zipf::new(n as f64, s).map_err(|_| wrong())?;
    Ok(Generator::Zipf { distribution, prefix })
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use serde_json::json;

    use super::*;
    use crate::arrival::{Arrival, FlowId};
    use crate::time::Moment;
    use crate::workload::RunIdentity;
    use crate::workload::capture::Record;
    use crate::workload::same::Kept;

    fn render(arguments: &Value, sequence: u64) -> Value {
        let Ready { template, .. } = Template::compile(arguments, &["x".into()], &[], None).unwrap();
        let identity = RunIdentity { run_id: "run-1".into(), started_unix_ms: 1_000 };
        let arrival = Arrival { flow: FlowId(0), sequence, intended: Moment::from_nanos(2_500_000_000) };
        let mut random = ChaCha8Rng::seed_from_u64(sequence);
        let kept = Kept { text: "a\"b".into(), is_number: false };
        let record = Record { fields: vec![(FieldId(0), kept)], ..Record::default() };
        let mut source =
            Source { random: &mut random, arrival: &arrival, identity: &identity, captured: Some(&record) };
        serde_json::from_str(&template.render(&mut source).0).unwrap()
    }

    #[test]
    fn literals_and_generators_of_exact_value_render_exactly() {
        let arguments = json!({
            "plain": [1, "two", null, {"three": true}],
            "as it stands": {"literal": {"uuid": 1}},
            "id": {"captured": "x"}, "run": {"run_id": true}, "at": {"timestamp": true},
            "n": {"counter": 5}, "c": {"counter": 5, "prefix": "c\"-"}, "one": {"choice": ["only"]},
            "text": "top level", "nested": {"plain": {"key": 1}},
        });
        let expected = json!({
            "plain": [1, "two", null, {"three": true}], "as it stands": {"uuid": 1}, "id": "a\"b", "run": "run-1",
            "at": "1970-01-01T00:00:03.500Z", "n": 8, "c": "c\"-8", "one": "only",
            "text": "top level", "nested": {"plain": {"key": 1}},
        });
        assert_eq!(render(&arguments, 3), expected);
        assert_eq!(render(&json!({"literal": {"uuid": true}}), 3), json!({"uuid": true}));
        assert_eq!(render(&json!({"text": "hello"}), 3), json!({"text": "hello"}));
    }

    #[test]
    fn random_values_stay_within_what_was_asked() {
        for sequence in 0..200 {
            let value = render(
                &json!({
                    "amount": {"uniform": [10.0, 1000.0], "decimals": 2}, "whole": {"uniform": [1, 3]},
                    "log": {"lognormal": {"median": 50.0, "sigma": 0.5}, "decimals": 1},
                    "rank": {"zipf": {"n": 10, "s": 1.1}}, "text": {"text": 8, "prefix": "p "},
                    "key": {"unique": 32, "prefix": "test_"}, "pool": {"pool": 4, "prefix": "c"},
                    "id": {"uuid": true}, "pooled": {"pool": 4},
                }),
                sequence,
            );
            let amount = value["amount"].as_f64().unwrap();
            assert!((10.0..=1000.0).contains(&amount) && (amount * 100.0 - (amount * 100.0).round()).abs() < 1e-6);
            assert!((1..=3).contains(&value["whole"].as_u64().unwrap()));
            assert!(value["log"].as_f64().unwrap() > 0.0);
            assert!((1..=10).contains(&value["rank"].as_u64().unwrap()));
            assert!(value["text"].as_str().unwrap().starts_with("p ") && value["text"].as_str().unwrap().len() == 10);
            assert_eq!(value["key"].as_str().unwrap().len(), 37);
            assert!(["c0", "c1", "c2", "c3"].contains(&value["pool"].as_str().unwrap()));
            assert_eq!(uuid::Uuid::parse_str(value["id"].as_str().unwrap()).unwrap().get_version_num(), 4);
            assert!(uuid::Uuid::parse_str(value["pooled"].as_str().unwrap()).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
        let fault = |arguments: Value| Template::compile(&arguments, &[], &[], None).unwrap_err().join("; ");
        assert_eq!(fault(json!([1])), "arguments [1] are not an object: give {\"name\": value, …}");
        assert_eq!(
            fault(json!({"a": {"b": {"uniform": [2, 1]}}})),
            "arguments.a.b: uniform [2,1] is not two numbers, the lower first: [1.0, 10.0]"
        );
        assert_eq!(fault(json!({"a": {"text": 0}})), "arguments.a: text 0 is not a whole number from 1 to 65536");
        assert_eq!(
            fault(json!({"a": {"captured": "x"}})),
            "arguments.a: captured `x` is captured by no operation: add capture = { x = \"/field\" } to one"
        );
        assert_eq!(
            fault(json!({"a": {"uniform": [1, 2], "decimls": 2}})),
            "arguments.a: `decimls` does not go with uniform"
        );
        assert_eq!(
            fault(json!({"a": {"uuid": false}})),
            "arguments.a: uuid false is not uuid = true; if the table is meant as it stands, write { literal = { … } }"
        );
        assert!(fault(json!({"a": {"uniform": [-1.7e308, 1.7e308]}})).starts_with("arguments.a: uniform"));
        assert!(fault(json!({"a": {"lognormal": {"median": 1e300, "sigma": 1000.0}}})).contains("beyond all numbers"));
        assert_eq!(
            fault(json!({"a": {"text": 0}, "b": [{"choice": []}]})),
            "arguments.a: text 0 is not a whole number from 1 to 65536; arguments.b[0]: choice [] is not a list with something in it"
        );
        assert!(fault(json!({"a": {"zipf": {"n": 0, "s": 1.0}}})).starts_with("arguments.a: zipf"));
        assert!(fault(json!({"a": {"lognormal": [1, 2]}})).starts_with("arguments.a: lognormal"));
        assert!(fault(json!({"a": {"choice": []}})).starts_with("arguments.a: choice"));
    }

    #[test]
    fn auto_is_made_from_the_schema_of_its_place() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 6},
            "list": {"type": "array", "items": {"const": "x"}}}, "required": ["n"]});
        let identity = RunIdentity { run_id: "r".into(), started_unix_ms: 0 };
        let arrival = Arrival { flow: FlowId(0), sequence: 0, intended: Moment::ZERO };
        let mut render = |arguments: Value| -> Value {
            let ready = Template::compile(&arguments, &[], &[], Some(&schema)).unwrap();
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let mut source = Source { random: &mut random, arrival: &arrival, identity: &identity, captured: None };
            serde_json::from_str(&ready.template.render(&mut source).0).unwrap()
        };
        assert!([5, 6].contains(&render(json!("auto"))["n"].as_i64().unwrap()));
        let one = render(json!({"n": 1, "list": ["y", {"auto": true}], "auto": true}));
        assert_eq!(one, json!({"n": 1, "list": ["y", "x"], "auto": true}), "at the top `auto` is a name");
        let noted = Template::compile(&json!({"n": {"auto": true}}), &[], &["/n"], Some(&schema)).unwrap();
        assert_eq!(noted.noted, [Sent::Span(0)]);
        assert!(Template::compile(&json!({"n": {"auto": true}}), &[], &[], None).unwrap().is_open);
        let fault = |arguments: Value| Template::compile(&arguments, &[], &[], Some(&schema)).unwrap_err().join("; ");
        assert!(fault(json!({"m": {"auto": true}})).contains(
            "arguments.m: the tool's input schema cannot be followed: it says nothing of `m`, but of n, list"
        ));
        assert!(fault(json!({"n": {"auto": false}})).contains("arguments.n: auto false is not auto = true"));
        assert!(fault(json!("automatic")).contains("are not an object"));
    }

    #[test]
    fn noted_values_are_found_in_what_was_rendered() {
        let arguments =
            json!({"a": [{"text": 4, "prefix": "p"}, 7], "b": {"c": {"uniform": [1.0, 2.0], "decimals": 2}}});
        let ready = Template::compile(&arguments, &[], &["/b/c", "/a/0", "/a/1", "/b/c"], None).unwrap();
        assert_eq!(ready.noted[0], ready.noted[3]);
        let identity = RunIdentity { run_id: "r".into(), started_unix_ms: 0 };
        let arrival = Arrival { flow: FlowId(0), sequence: 3, intended: Moment::ZERO };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut source = Source { random: &mut random, arrival: &arrival, identity: &identity, captured: None };
        let (text, spans) = ready.template.render(&mut source);
        let value: Value = serde_json::from_str(&text).unwrap();
        for (sent, pointer) in ready.noted.iter().zip(["/b/c", "/a/0", "/a/1"]) {
            assert!(sent.of(&text, &spans).means(value.pointer(pointer).unwrap()), "{pointer} of {text}");
        }
        let whole = json!({"literal": {"a": 1, "b": {"uuid": true}}});
        let ready = Template::compile(&whole, &[], &["/a"], None).unwrap();
        assert_eq!(ready.noted, [Sent::Constant(Kept { text: "1".into(), is_number: true })]);
        assert!(Template::compile(&whole, &[], &["/b"], None).unwrap_err()[0].contains("point at a text"));
        for (wrong, why) in
            [("/x", "have no `/x`"), ("a", "have no `a`"), ("/b", "point at a text"), ("/a/2", "have no")]
        {
            let faults = Template::compile(&arguments, &[], &[wrong], None).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains(why), "{faults:?}");
        }
    }
}
