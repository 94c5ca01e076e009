//! How a kind of call is made and what its answer must say.

use std::collections::BTreeMap;
use std::rc::Rc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Answer;
use super::capture::{Captures, FieldId, Record};
use super::dice::Dice;
use super::expect::{Asked, Capture, Expectation, Mismatch, Want};
use super::generate::Source;
use super::pointer::Pointers;
use super::promise::{Balance, Idempotency, Moves, Promised, Promises};
use super::same::Kept;
use super::schema::Output;
use super::sent::{Sent, Span};
use super::stake::{Key, Stake};
use super::template::{AUTO, Ready, Template, TemplateError, generator_of};
use super::truth::SECOND_LOOK;
use super::wallet::Amount;
use super::{Call, OperationId, Reply, RunIdentity};
use crate::arrival::{Arrival, FlowId};
use crate::time::Moment;

/// A named kind of call, as written in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The name in mixes, objectives, metrics and reports.
    pub name: String,
    /// The MCP tool to call.
    pub tool: String,
    /// The arguments: an object in which a table such as `{ uuid = true }` stands for a generated value; or the text `auto`,
    /// for all that the tool's input schema asks for.
    pub arguments: Value,
    /// The tool's input schema, as its server listed it, where the arguments are made from it; `None` until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// The schema that results are held to, as the tool's server listed it; `None` where there is none, or none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Values to keep from each ok answer, by name: JSON pointers, alternatives parted by `|`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
    /// Values to keep of what each call with an ok answer had sent, by name: JSON pointers into the arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remember: BTreeMap<String, String>,
    /// What each ok answer must say: JSON pointers (alternatives parted by `|`) and the value wanted there, or
    /// `{ present = true }`, `{ captured = true }`, `{ captured = "name" }` or `{ sent = "/pointer" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect: BTreeMap<String, Value>,
    /// Whether what the captured value in the arguments stands for must be found: an answer that it does not exist is a
    /// wrong one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_find: bool,
    /// The key that makes two calls one deed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// What each call that happens does to an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<Moves>,
    /// Where each ok answer says what an account holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

impl Operation {
    /// The names of all values that its calls make known to later ones.
    pub fn makes(&self) -> impl Iterator<Item = &String> {
        self.capture.keys().chain(self.remember.keys())
    }

    /// Everything that is wrong with it as one of `all`.
    pub fn faults(&self, all: &[Self]) -> Vec<TemplateError> {
        Compiled::new(self, all, &names(all)).err().unwrap_or_default()
    }
}

/// The names of all values that operations make known, sorted.
pub(super) fn names(all: &[Operation]) -> Vec<String> {
    let mut names: Vec<String> = all.iter().flat_map(|o| o.makes().cloned()).collect();
    names.sort();
    names.dedup();
    names
}

/// An operation made ready.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) template: Template,
    /// The captured value that the arguments use, and the operation that makes it.
    pub(super) needs: Option<(FieldId, OperationId)>,
    /// Whether what it asks for must be found.
    pub(super) must_find: bool,
    /// The names of what its answers make known, where some operation asks for one of them.
    makes: Vec<FieldId>,
    captures: Vec<Capture>,
    remembers: Vec<(FieldId, usize)>,
    expectations: Vec<Expectation>,
    pub(super) noted: Vec<Sent>,
    pub(super) promises: Promises,
    /// What its results are held to.
    pub(super) output: Option<Output>,
    /// Whether its arguments wait for the tool's input schema.
    pub(super) is_open: bool,
}

impl Compiled {
    /// Compiles `operation`, one of `all`; `names` are those of all captured and remembered values, sorted. Fails with
    /// everything that is wrong.
    pub(super) fn new(operation: &Operation, all: &[Operation], names: &[String]) -> Result<Self, Vec<TemplateError>> {
        Self::compile(operation, all, names).map_err(|faults| {
            faults.into_iter().map(|why| TemplateError { operation: operation.name.clone(), why }).collect()
        })
    }

    fn compile(operation: &Operation, all: &[Operation], names: &[String]) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let field = |name: &String| FieldId(names.partition_point(|other| other < name) as u16);
        let mut notes: Vec<String> = operation.remember.values().cloned().collect();
        let remembers = operation.remember.keys().enumerate().map(|(place, name)| (field(name), place)).collect();
        if let Some(twice) = operation.remember.keys().find(|name| operation.capture.contains_key(*name)) {
            faults.push(format!("`{twice}` is both captured and remembered: give one of them another name"));
        }
        let mut captures = Vec::new();
        for (name, pointers) in &operation.capture {
            match Pointers::parse(pointers) {
                Ok(pointers) => captures.push(Capture { id: field(name), pointers }),
                Err(why) => faults.push(format!("capture {name}: {why}")),
            }
        }
        let mut expectations = Vec::new();
        for (at, want) in &operation.expect {
            match Expectation::parse(at, want, names, &mut notes) {
                Ok(expectation) => expectations.push(expectation),
                Err(why) => faults.push(why),
            }
        }
        // Whoever answers for another one also answers another amount, which is not what is wrong then.
        expectations.sort_by_key(|expectation| expectation.want != Want::Captured);
        let Operation { arguments, idempotency, moves, balance, .. } = operation;
        let (idempotency, moves, balance) = (idempotency.as_ref(), moves.as_ref(), balance.as_ref());
        let as_written = Promised { arguments, idempotency, moves, balance };
        let promises = Promises::compile(&as_written, &mut notes, &mut faults);
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        let schema = operation.input_schema.as_ref();
        let ready =
            Template::compile(&operation.arguments, names, &notes, schema).map_err(|whys| faults.extend(whys)).ok();
        let used: Vec<&String> = ready.iter().flat_map(|r| &r.captured).map(|id| &names[usize::from(id.0)]).collect();
        let needs = needed(&used, operation, all).map_err(|why| faults.push(why)).ok().flatten();
        if let Some(Ready { captured, .. }) = &ready
            && captured.is_empty()
        {
            if expectations.iter().any(|e| matches!(e.want, Want::Captured | Want::Field(_))) {
                faults.push("expects the captured value, but its arguments carry none".to_owned());
            }
            if operation.must_find {
                faults.push("must_find: its arguments carry no captured value that could be missed".to_owned());
            }
        }
        let Some(Ready { template, captured, noted, is_open }) = ready.filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        let asked = |name: &&String| all.iter().any(|o| o.name != operation.name && o.asks().contains(name));
        let makes = operation.makes().filter(asked).map(field).collect();
        let needs = captured.first().copied().zip(needs);
        let must_find = operation.must_find;
        let output = operation.output_schema.as_ref().and_then(|schema| Output::new(schema).ok());
        Ok(Self {
            template,
            needs,
            must_find,
            makes,
            captures,
            remembers,
            expectations,
            noted,
            promises,
            output,
            is_open,
        })
    }

    /// Whether no answer needs to be looked at.
    pub(super) const fn asks_nothing(&self) -> bool {
        self.captures.is_empty() && self.expectations.is_empty()
    }

    /// Whether any call asks for what its answers make known.
    pub(super) const fn is_asked_for(&self) -> bool {
        !self.makes.is_empty()
    }

    /// The record that a call takes, where it needs one.
    pub(super) fn record(
        &self,
        arrival: &Arrival,
        captures: &Captures,
        random: &mut ChaCha8Rng,
        dice: &mut Dice,
    ) -> Option<Rc<Record>> {
        let (name, _) = self.needs?;
        let drawn = captures.draw(name, |count| random.random_range(0..count), dice)?;
        let is_second = self.must_find && captures.has_missed() && dice.toss(0.5);
        let second = is_second.then(|| captures.second_look(name, before(arrival))).flatten();
        Some(Rc::clone(second.unwrap_or(drawn)))
    }

    /// Makes another body of these arguments; says whether there is one.
    pub(super) fn alter(&self, source: &mut Source<'_>, arguments: &mut String, spans: &mut [Span]) -> bool {
        let place = self.promises.key.as_ref().and_then(|key| key.altered(&self.noted));
        place.is_some_and(|place| self.template.alter(place, source, arguments, spans))
    }

    /// What is at stake in a call with these arguments, which begins now.
    pub(super) fn stake(
        &self,
        key: Option<Key>,
        arguments: &str,
        spans: &[Span],
        captures: &mut Captures,
    ) -> Option<Box<Stake>> {
        let Promises { moves, balance, .. } = &self.promises;
        if key.is_none() && moves.is_none() && balance.is_none() {
            return None;
        }
        let text = |place: &usize| self.noted.get(*place).map(|sent| sent.text(arguments, spans)).unwrap_or_default();
        let mut account = |places: &[usize]| captures.wallets.account(places.iter().map(text));
        let moves = moves.as_ref().and_then(|rule| {
            let account = account(&rule.account)?;
            let amount = Amount::parse(&text(&rule.amount)).map(|amount| amount.moved(rule.direction));
            account.begin(amount);
            Some((account, amount?.billionths))
        });
        let looks = balance.as_ref().and_then(|rule| {
            let account = account(&rule.account)?;
            let level = account.level();
            Some((account, level))
        });
        Some(Box::new(Stake { key, moves, looks }))
    }

    /// Keeps what an ok answer gave, under each name that some call asks for.
    pub(super) fn keep(&self, fields: Vec<(FieldId, Kept)>, reply: &Reply, captures: &mut Captures) {
        let (done, connection) = (reply.stamps.done, reply.connection);
        let record = Rc::new(Record { fields, done, connection, ..Record::default() });
        for name in &self.makes {
            captures.keep(*name, Rc::clone(&record));
        }
    }

    /// Checks an answer; gives the values to keep, if any call will want one.
    pub(super) fn check(&self, answer: &Answer<'_>, call: &Call) -> Result<Vec<(FieldId, Kept)>, Mismatch> {
        let asked = Asked {
            captured: self.needs.map(|(field, _)| field),
            record: call.ties.record.as_deref(),
            noted: &self.noted,
            arguments: &call.arguments,
            spans: &call.ties.spans,
        };
        self.expectations.iter().try_for_each(|expectation| expectation.check(answer, &asked))?;
        let mut captured = self.captures.iter().map(|capture| Ok((capture.id, capture.read(answer)?)));
        if self.makes.is_empty() {
            return captured.try_for_each(|read| read.map(|_| ())).map(|()| Vec::new());
        }
        let remembered = self.remembers.iter().filter_map(|(field, place)| Some(Ok((*field, asked.sent(*place)?))));
        captured.chain(remembered).collect()
    }
}

impl Operation {
    /// The names of the captured values that its arguments use.
    pub fn asks(&self) -> Vec<&String> {
        let mut found = Vec::new();
        asked(&self.arguments, &mut found);
        found
    }
}

impl Operation {
    /// Whether its arguments, or some of them, are to be made from the tool's input schema.
    pub fn is_auto(&self) -> bool {
        self.arguments.as_object().map_or(self.arguments == AUTO, |table| table.values().any(holds_auto))
    }

    /// Takes over what the tool's server lists: the schema that arguments are made from, where some are, and the schema
    /// that results are held to, where that `is_checked`. Gives a warning where results cannot be.
    pub fn complete(&mut self, input: &Value, output: Option<&Value>, is_checked: bool) -> Option<String> {
        self.input_schema = self.is_auto().then(|| input.clone());
        let output = output.filter(|_| is_checked)?;
        match Output::new(output) {
            Ok(_) => self.output_schema = Some(output.clone()),
            Err(why) => {
                let tool = super::schema::shown(&self.tool);
                return Some(format!(
                    "results of {tool} are not held to its output schema, which cannot be used: {why}"
                ));
            }
        }
        None
    }

    /// Whether its calls have arguments that meet this input schema, as far as a few of them tell.
    pub fn suits(&self, all: &[Self], input: &Value) -> bool {
        const CALLS: u64 = 20;
        let names = names(all);
        let Ok(compiled) = Compiled::new(self, all, &names) else { return false };
        let sample = || Kept { text: "0123456789abcdef".into(), is_number: false };
        let fields = (0..names.len() as u16).map(|field| (FieldId(field), sample())).collect();
        let record = Record { fields, ..Record::default() };
        let identity = RunIdentity { run_id: "0123456789abcdef".to_owned(), started_unix_ms: 0 };
        let call = |sequence| {
            let arrival = Arrival { flow: FlowId(0), sequence, intended: Moment::ZERO };
            let mut random = ChaCha8Rng::seed_from_u64(sequence);
            let mut source = Source {
                random: &mut random,
                arrival: &arrival,
                identity: &identity,
                lane: 0,
                captured: Some(&record),
            };
            compiled.template.render(&mut source).0
        };
        super::schema::are_met(input, (0..CALLS).map(call))
    }

    /// Whether its arguments have a value at this JSON pointer that an answer can be held against.
    pub fn sends(&self, pointer: &str) -> bool {
        super::sent::walk(&self.arguments, pointer).is_ok()
    }

    /// Whether that value is a generated one, so that calls differ in it.
    pub fn generates(&self, pointer: &str) -> bool {
        matches!(super::sent::walk(&self.arguments, pointer), Ok(super::sent::Walked::Generated(_)))
    }
}

/// Whether a value is `{ auto = true }`, or has one in it.
fn holds_auto(value: &Value) -> bool {
    match value {
        Value::Object(table) => match generator_of(table) {
            Ok(Some(kind)) => kind == "auto",
            _ => table.values().any(holds_auto),
        },
        Value::Array(items) => items.iter().any(holds_auto),
        _ => false,
    }
}

/// Records that were missed before this are looked at again by `arrival`.
fn before(arrival: &Arrival) -> Moment {
    Moment::from_nanos(arrival.intended.as_nanos().saturating_sub(SECOND_LOOK.as_nanos() as u64))
}

fn asked<'a>(arguments: &'a Value, found: &mut Vec<&'a String>) {
    match arguments {
        Value::Object(table) if table.len() == 1 && table.contains_key("literal") => {}
        Value::Object(table) => match table.get("captured") {
            Some(Value::String(name)) if table.len() == 1 => found.push(name),
            _ => table.values().for_each(|value| asked(value, found)),
        },
        Value::Array(items) => items.iter().for_each(|item| asked(item, found)),
        _ => {}
    }
}

/// The operation that makes the captured values which `operation` uses, if it uses any.
fn needed(used: &[&String], operation: &Operation, all: &[Operation]) -> Result<Option<OperationId>, String> {
    let Some(name) = used.first() else { return Ok(None) };
    let makes = |o: &Operation, name: &String| o.makes().any(|made| made == name);
    let Some(source) = all.iter().position(|o| makes(o, name)) else { return Ok(None) };
    if all[source].name == operation.name {
        return Err(format!("captured `{name}` comes from its own answers: another operation must capture it"));
    }
    let parted = used.iter().find(|other| all.iter().any(|o| makes(o, name) && !makes(o, other)));
    match parted {
        Some(other) => {
            let source = &all[source].name;
            Err(format!(
                "captured `{name}` beside `{other}`: one answer must give both, so capture or remember both in `{source}`"
            ))
        }
        None => Ok(Some(OperationId(source as u16))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(name: &str, arguments: Value) -> Operation {
        Operation { name: name.into(), tool: name.into(), arguments, ..Operation::default() }
    }

    fn faults(operation: &Operation, others: &[Operation]) -> Vec<String> {
        let all: Vec<_> = std::iter::once(operation).chain(others).cloned().collect();
        operation.faults(&all).into_iter().map(|fault| fault.why).collect()
    }

    #[test]
    fn a_capture_that_nobody_makes_or_that_comes_from_itself_is_refused() {
        let mut one = operation("one", json!({"id": {"captured": "x"}}));
        assert_eq!(
            one.faults(std::slice::from_ref(&one))[0].to_string(),
            "operation `one`: arguments.id: captured `x` is captured by no operation: add capture = { x = \"/field\" } to one"
        );
        one.capture.insert("x".into(), "/id".into());
        assert_eq!(faults(&one, &[]), ["captured `x` comes from its own answers: another operation must capture it"]);
    }

    #[test]
    fn expecting_a_captured_value_or_to_find_it_needs_one_in_the_arguments() {
        let mut one = operation("one", json!({}));
        one.expect.insert("/id".into(), json!({"captured": true}));
        one.must_find = true;
        assert_eq!(
            faults(&one, &[]),
            [
                "expects the captured value, but its arguments carry none",
                "must_find: its arguments carry no captured value that could be missed",
            ]
        );
    }

    #[test]
    fn two_values_of_one_answer_go_together_and_of_two_answers_they_do_not() {
        let both = operation("both", json!({"id": {"captured": "x"}, "amount": {"captured": "y"}}));
        let mut make = operation("make", json!({"amount": 5}));
        make.capture.insert("x".into(), "/id".into());
        let mut other = operation("other", json!({}));
        other.capture.insert("y".into(), "/id".into());
        assert_eq!(
            faults(&both, &[make.clone(), other]),
            ["captured `x` beside `y`: one answer must give both, so capture or remember both in `make`"]
        );
        make.remember.insert("y".into(), "/amount".into());
        assert_eq!(faults(&both, &[make.clone()]), [""; 0]);
        make.remember.insert("x".into(), "/nowhere".into());
        assert_eq!(
            faults(&make, &[]),
            [
                "`x` is both captured and remembered: give one of them another name",
                "the arguments have no `/nowhere`: point at one of their values",
            ]
        );
    }
}
