//! Numbers and texts of a schema.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use super::build::Builder;
use super::conjunction::{Conjunction, Never};
use super::format::Format;
use super::node::Node;
use super::number::Bounds;
use super::pattern::Pattern;

/// The lengths of a text of which the schema says nothing, where they are allowed.
const LENGTHS: (usize, usize) = (4, 12);
/// How often a text of the right length is looked for.
const TRIES: u64 = 1000;

impl<'a> Builder<'a> {
    /// A number within its bounds; one that the schema offers, where it sets none.
    pub(super) fn number(&mut self, conjunction: &Conjunction<'a>, is_whole: bool) -> Result<Node, Never> {
        let mut bounds = Bounds::of(is_whole);
        for members in &conjunction.all {
            for (keyword, value) in *members {
                let is_known = match (keyword.as_str(), value) {
                    // As it was up to draft 4: the bound beside it is out.
                    ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(true)) => {
                        let beside = if keyword == "exclusiveMinimum" { "minimum" } else { "maximum" };
                        members.get(beside).is_none_or(|bound| bounds.note(keyword, bound))
                    }
                    ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(false)) => true,
                    ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf", value) => {
                        bounds.note(keyword, value)
                    }
                    _ => true,
                };
                if !is_known {
                    self.doubt();
                }
            }
        }
        if bounds.is_open() {
            let fits = |value: &&Value| value.as_f64().is_some_and(|n| !is_whole || n.fract() == 0.0);
            let offered: Vec<String> = offered(conjunction).filter(fits).map(ToString::to_string).collect();
            if !offered.is_empty() {
                return Ok(Node::Choice(offered));
            }
        }
        conjunction.each("format").filter_map(Value::as_str).for_each(|format| bounds.note_format(format));
        let number = bounds.number().ok_or_else(|| contradiction("no number is within its bounds"))?;
        Ok(Node::Number(number))
    }

    /// A text of the right form and length; one that the schema offers, where it asks for no form.
    pub(super) fn text(&mut self, conjunction: &Conjunction<'a>) -> Result<Node, Never> {
        let least = conjunction.largest("minLength").unwrap_or(0);
        let most = conjunction.smallest("maxLength").unwrap_or(usize::MAX);
        if least > most {
            return Err(contradiction(&format!("no text has from {least} to {most} characters")));
        }
        let mut patterns = conjunction.each("pattern").filter_map(Value::as_str);
        let mut formats = conjunction.each("format").filter_map(Value::as_str).filter_map(Format::named);
        if let Some(pattern) = patterns.next() {
            if patterns.any(|other| other != pattern) || formats.next().is_some() {
                self.doubt();
            }
            return self.pattern(pattern, least, most);
        }
        let encoded = || conjunction.each("contentEncoding").any(|name| name == "base64").then_some(Format::Base64);
        if let Some(format) = formats.next().or_else(encoded) {
            let (shortest, longest) = format.lengths();
            if formats.any(|other| other != format) || least > shortest || most < longest {
                self.doubt();
            }
            return Ok(Node::Format(format));
        }
        let fits = |value: &&Value| value.as_str().is_some_and(|text| (least..=most).contains(&text.chars().count()));
        let offered: Vec<String> = offered(conjunction).filter(fits).map(ToString::to_string).collect();
        if !offered.is_empty() {
            return Ok(Node::Choice(offered));
        }
        Ok(Node::Letters { least: LENGTHS.0.clamp(least, most), most: LENGTHS.1.clamp(least, most) })
    }

    /// A text after a pattern.
    pub(super) fn pattern(&mut self, pattern: &str, least: usize, most: usize) -> Result<Node, Never> {
        let pattern = Pattern::parse(pattern, least).map_err(Never::Refused)?;
        if !pattern.is_certain {
            self.doubt();
        }
        if least == 0 && pattern.shortest() <= most {
            return Ok(Node::Pattern { pattern: Box::new(pattern), least, most, known: String::new() });
        }
        let known = (0..TRIES).find_map(|seed| {
            let mut text = String::new();
            let length = pattern.draw(&mut ChaCha8Rng::seed_from_u64(seed), most, &mut text);
            (least..=most).contains(&length).then_some(text)
        });
        let known = known.ok_or_else(|| {
            let most = if most == usize::MAX { "any number of".to_owned() } else { most.to_string() };
            contradiction(&format!("no text of its pattern with from {least} to {most} characters was found"))
        })?;
        Ok(Node::Pattern { pattern: Box::new(pattern), least, most, known })
    }
}

/// The values that a schema offers without asking for them.
fn offered<'a>(conjunction: &Conjunction<'a>) -> impl Iterator<Item = &'a Value> {
    let examples = conjunction.each("examples").filter_map(Value::as_array).flatten();
    let all: Vec<&Value> = examples.chain(conjunction.each("default")).collect();
    all.into_iter()
}

fn contradiction(why: &str) -> Never {
    Never::Contradiction(why.to_owned())
}
