//! How a kind of call is made and what its answer must say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capture::CaptureId;
use super::expect::{Answer, Capture, Expectation, Want, check_pointers};
use super::template::{Template, TemplateError};
use super::{Failure, OperationId};

/// A named kind of call, as written in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The name in mixes, objectives, metrics and reports.
    pub name: String,
    /// The MCP tool to call.
    pub tool: String,
    /// The arguments: an object in which a table such as `{ uuid = true }` stands for a generated value.
    pub arguments: Value,
    /// Values to keep from each ok answer, by name: JSON pointers, alternatives parted by `|`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, String>,
    /// What each ok answer must say: JSON pointers (alternatives parted by `|`) and the value wanted there, or
    /// `{ present = true }`, or `{ captured = true }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect: BTreeMap<String, Value>,
}

/// An operation made ready.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) template: Template,
    /// The captured value that the arguments use, and the operation that captures it.
    pub(super) needs: Option<(CaptureId, OperationId)>,
    captures: Vec<Capture>,
    expectations: Vec<Expectation>,
}

impl Compiled {
    /// Compiles `operation`, one of `all`; `captures` are the names of all captures, sorted.
    pub(super) fn new(operation: &Operation, all: &[Operation], captures: &[String]) -> Result<Self, TemplateError> {
        Self::compile(operation, all, captures).map_err(|why| TemplateError { operation: operation.name.clone(), why })
    }

    fn compile(operation: &Operation, all: &[Operation], captures: &[String]) -> Result<Self, String> {
        let (template, used) = Template::compile(&operation.arguments)?;
        let needs = used.map(|name| needed(&name, operation, all, captures)).transpose()?;
        let expectations: Vec<_> =
            operation.expect.iter().map(|(at, want)| Expectation::parse(at, want)).collect::<Result<_, _>>()?;
        if needs.is_none() && expectations.iter().any(|e| e.want == Want::Captured) {
            return Err("expects the captured value, but its arguments carry none".to_owned());
        }
        let captures = operation.capture.iter().map(|(name, pointers)| {
            check_pointers(pointers).map_err(|why| format!("capture {name}: {why}"))?;
            Ok(Capture { id: CaptureId(captures.partition_point(|c| c < name)), pointers: pointers.clone() })
        });
        Ok(Self { template, needs, captures: captures.collect::<Result<_, String>>()?, expectations })
    }

    /// Whether no answer needs to be looked at.
    pub(super) const fn asks_nothing(&self) -> bool {
        self.captures.is_empty() && self.expectations.is_empty()
    }

    /// Checks an answer; gives the values to keep.
    pub(super) fn check(
        &self,
        answer: &Answer<'_>,
        captured: Option<&str>,
    ) -> Result<Vec<(CaptureId, String)>, Failure> {
        self.expectations.iter().try_for_each(|expectation| expectation.check(answer, captured))?;
        self.captures.iter().map(|capture| Ok((capture.id, capture.read(answer)?))).collect()
    }
}

fn needed(
    name: &str,
    operation: &Operation,
    all: &[Operation],
    captures: &[String],
) -> Result<(CaptureId, OperationId), String> {
    let source = all.iter().position(|o| o.capture.contains_key(name));
    match (source, captures.binary_search_by(|c| c.as_str().cmp(name))) {
        (Some(source), Ok(_)) if all[source].name == operation.name => {
            Err(format!("captured `{name}` comes from its own answers: another operation must capture it"))
        }
        (Some(source), Ok(capture)) => Ok((CaptureId(capture), OperationId(source as u16))),
        _ => Err(format!(
            "captured `{name}` is captured by no operation: add capture = {{ {name} = \"/field\" }} to one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(name: &str, arguments: Value) -> Operation {
        Operation { name: name.into(), tool: name.into(), arguments, capture: BTreeMap::new(), expect: BTreeMap::new() }
    }

    #[test]
    fn a_capture_that_nobody_makes_or_that_comes_from_itself_is_refused() {
        let mut one = operation("one", json!({"id": {"captured": "x"}}));
        let why = Compiled::new(&one, std::slice::from_ref(&one), &[]).unwrap_err().to_string();
        assert_eq!(
            why,
            "operation `one`: captured `x` is captured by no operation: add capture = { x = \"/field\" } to one"
        );
        one.capture.insert("x".into(), "/id".into());
        let why = Compiled::new(&one, std::slice::from_ref(&one), &["x".into()]).unwrap_err().to_string();
        assert_eq!(why, "operation `one`: captured `x` comes from its own answers: another operation must capture it");
    }

    #[test]
    fn expecting_a_captured_value_needs_one_in_the_arguments() {
        let mut one = operation("one", json!({}));
        one.expect.insert("/id".into(), json!({"captured": true}));
        let why = Compiled::new(&one, std::slice::from_ref(&one), &[]).unwrap_err().why;
        assert_eq!(why, "expects the captured value, but its arguments carry none");
    }
}
