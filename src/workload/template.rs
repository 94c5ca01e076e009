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
    /// How long a rendering is expected to be: the size of its buffer.
    size: usize,
    /// How many places are noted.
    notes: usize,
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
    ("pool", &["prefix", "fresh"]),
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
        let Compiler { pieces, captured, is_open, noted, .. } = compiler;
        let notes = noted.len();
        Ok(Ready { template: Self { pieces, size, notes }, captured, noted: sent, is_open })
    }

    /// The arguments of one call, and where the noted values stand in them.
    pub(super) fn render(&self, source: &mut Source<'_>) -> (String, Vec<Span>) {
        let mut out = String::with_capacity(self.size);
        let mut spans = Vec::with_capacity(self.notes);
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

    /// Puts another value of its own generator, one that is not equal, in the place of the noted one; says whether there
    /// was one.
    pub(super) fn alter(
        &self,
        place: usize,
        source: &mut Source<'_>,
        arguments: &mut String,
        spans: &mut [Span],
    ) -> bool {
        const THROWS: u32 = 8;
        let noted = |piece: &Piece| match piece {
            Piece::Noted(generator, noted) if *noted == place => Some(generator.clone()),
            _ => None,
        };
        let Some(generator) = self.pieces.iter().find_map(noted) else { return false };
        let Some(&(from, to)) = spans.get(place) else { return false };
        let old = from as usize..to as usize;
        for _ in 0..THROWS {
            let mut other = String::new();
            generator.write(source, &mut other);
            if arguments.get(old.clone()) == Some(&other) {
                continue;
            }
            arguments.replace_range(old, &other);
            let end = from + other.len() as u32;
            for span in spans.iter_mut().filter(|span| span.0 >= to) {
                *span = (span.0 + end - to, span.1 + end - to);
            }
            spans[place] = (from, end);
            return true;
        }
        false
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
            "pool" => Generator::Pool { size: count(kind, value, 1, u64::MAX)?, prefix, fresh: fresh(table)? },
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

fn fresh(table: &Map<String, Value>) -> Result<bool, String> {
    match table.get("fresh") {
        None => Ok(false),
        Some(Value::Bool(fresh)) => Ok(*fresh),
        Some(other) => Err(format!("fresh {other} is not true or false")),
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
