//! Values that meet a JSON Schema: what a tool's input schema asks for, made from random words.
//!
//! A schema is read once into nodes, each of which writes its part of a value into the call's buffer. What can only be
//! met by looking at what was made (`not`, an `if`, a `oneOf` whose parts overlap …) is met in advance: values are made
//! and looked at, and calls draw from those that passed. Whatever is made was also tried on an independent validator
//! before the run. So a schema yields valid values or an error, and never a guess.

mod branch;
mod build;
mod conform;
mod conjunction;
mod document;
mod effort;
mod format;
mod kind;
mod leaf;
mod mend;
mod node;
mod number;
mod output;
mod pattern;
mod walk;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

pub(super) use conform::Breach;
use conform::Conform;
use document::Document;
use node::{Nodes, Pen};
pub(super) use output::Output;
pub(super) use walk::{Step, place_of};

/// How many values are looked at of a schema that is met by the way they are made.
const SAMPLES: usize = 64;
/// How many different values calls draw from, where a schema is met only by looking at them; how many are made for that,
/// and how many bytes they have in all.
const POOL: usize = 256;
const TRIES: usize = 4096;
const POOL_BYTES: usize = 8 << 20;

/// A schema that values are made after.
#[derive(Clone, Debug)]
pub(super) struct Shape(Way);

#[derive(Clone, Debug)]
enum Way {
    /// By writing each part.
    Made(Nodes),
    /// By taking one that is known to be right, as JSON text.
    Drawn(Vec<String>),
}

impl Shape {
    /// The shape of the schema at `at` (a JSON pointer) of the document `root`; `as_object` asks for an object whatever
    /// the schema says.
    ///
    /// # Errors
    /// What cannot be made, with its place in the schema.
    pub(super) fn of(root: &Value, at: &str, as_object: bool) -> Result<Self, String> {
        let root = &*mend::mended(root);
        let document = Document::new(root)?;
        let schema = document.at(at).ok_or_else(|| format!("it has nothing at {}", shown(at)))?;
        let conform = Conform::at(root, at, true)?;
        let object = json!({"type": "object"});
        let wanted: &[&Value] = if as_object { &[schema, &object] } else { &[schema] };
        let built = build::build(document, wanted, at)?;
        let mut random = ChaCha8Rng::seed_from_u64(0x005c_4e3a);
        let mut make = || {
            let mut text = String::new();
            built.nodes.write(&mut Pen::new(&mut random, &mut text));
            text
        };
        let check = |text: &str| {
            let value: Value = serde_json::from_str(text).map_err(|why| why.to_string())?;
            if as_object && !value.is_object() {
                return Err("it is no object".to_owned());
            }
            conform.check(&value).map_err(|breach| match breach {
                Breach::At { rule, why } => format!("{why} (at {})", brief(&rule)),
                Breach::TooDeep | Breach::Missing => "it is too deep to be looked at".to_owned(),
            })
        };
        if built.is_certain && (0..SAMPLES).all(|_| check(&make()).is_ok()) {
            return Ok(Self(Way::Made(built.nodes)));
        }
        let (mut pool, mut bytes, mut last) = (Vec::new(), 0, String::new());
        for _ in 0..TRIES {
            let text = make();
            bytes += text.len();
            match check(&text) {
                Ok(()) if pool.contains(&text) => {}
                Ok(()) => pool.push(text),
                Err(why) => last = why,
            }
            if pool.len() == POOL || bytes > POOL_BYTES {
                break;
            }
        }
        if pool.is_empty() {
            return Err(format!("no value that meets all of it was found: {last}"));
        }
        Ok(Self(Way::Drawn(pool)))
    }

    /// Appends one value as JSON.
    pub(super) fn write(&self, random: &mut impl Rng, out: &mut String) {
        match &self.0 {
            Way::Made(nodes) => nodes.write(&mut Pen::new(random, out)),
            Way::Drawn(values) => out.push_str(&values[random.random_range(0..values.len())]),
        }
    }
}

/// Whether all of these texts are JSON that meets a schema; not, where that cannot be told.
pub(super) fn are_met(schema: &Value, mut texts: impl Iterator<Item = String>) -> bool {
    let Ok(conform) = Conform::at(schema, "", true) else { return false };
    texts.all(|text| serde_json::from_str(&text).is_ok_and(|value| conform.check(&value).is_ok()))
}

/// Words of a schema between backquotes, in one line and at a bounded length.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", brief(text))
}

/// Words of a schema in one line and at a bounded length.
fn brief(text: &str) -> String {
    const MOST: usize = 100;
    let mut line: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

/// Appends a character of a JSON string.
fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' | '\\' => {
            out.push('\\');
            out.push(c);
        }
        c if c < ' ' => {
            out.push_str("\\u00");
            out.extend(char::from_digit(c as u32 >> 4, 16));
            out.extend(char::from_digit(c as u32 & 15, 16));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests;
