//! What a plan leaves to the target: schemas, which are known once its tools are listed.

use super::{Faults, Plan};
use crate::mcp::Negotiated;

impl Plan {
    /// The plan with the schemas of the target's tools: those that arguments are made from, and those that results are held
    /// to. A saved run holds it so, and is the same run again by it. Beside it come warnings about schemas that results
    /// cannot be held to.
    ///
    /// # Errors
    /// Everything about arguments that cannot be made, each with its place and the way out.
    pub fn complete(&self, negotiated: &Negotiated) -> Result<(Self, Vec<String>), Faults> {
        let (mut plan, mut warnings, mut faults) = (self.clone(), Vec::new(), Faults::default());
        let is_checked = plan.truth.check_output > 0.0;
        for operation in &mut plan.operations {
            match negotiated.tool(&operation.tool) {
                Some(tool) => {
                    warnings.extend(operation.complete(&tool.input_schema, tool.output_schema.as_ref(), is_checked));
                }
                None if operation.is_auto() => faults.note(format_args!(
                    "operation `{}`: its arguments are to be made from its tool's input schema, and the server lists no \
                     tools: give them by --args, or in a plan",
                    operation.name
                )),
                None => {}
            }
        }
        for fault in plan.operations.iter().flat_map(|operation| operation.faults(&plan.operations)) {
            faults.note(fault);
        }
        if faults.0.is_empty() { Ok((plan, warnings)) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mcp::Tool;
    use crate::plan::{Draft, FlowDraft};
    use crate::workload::Operation;

    fn plan(arguments: serde_json::Value) -> Plan {
        let operation = Operation { name: "pay".into(), tool: "pay".into(), arguments, ..Operation::default() };
        let flow = FlowDraft { mix: vec![("pay".into(), 1.0)], ..FlowDraft::default() };
        let draft = Draft { flows: vec![flow], operations: vec![operation], ..Draft::default() };
        draft.check(1, Faults::default()).unwrap()
    }

    fn listing(input: serde_json::Value, output: Option<serde_json::Value>) -> Negotiated {
        let tool = Tool { input_schema: input, output_schema: output, ..Tool::named("pay") };
        Negotiated { tools: Some(vec![tool]), ..Negotiated::default() }
    }

    #[test]
    fn a_plan_takes_over_the_schemas_that_it_needs_and_no_others() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
        let server = listing(schema.clone(), Some(json!({"type": "object"})));
        for arguments in [json!("auto"), json!({"a": {"auto": true}}), json!({"a": [{"b": {"auto": true}}]})] {
            assert!(plan(arguments).operations[0].is_auto());
        }
        let (made, warnings) = plan(json!("auto")).complete(&server).unwrap();
        assert_eq!((&made.operations[0].input_schema, warnings.len()), (&Some(schema), 0));
        assert_eq!(made.operations[0].output_schema, Some(json!({"type": "object"})));
        let again: Plan = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
        assert_eq!(again, made);
        let (given, _) = plan(json!({"a": 1, "b": {"literal": {"auto": true}}})).complete(&server).unwrap();
        assert_eq!(given.operations[0].input_schema, None);
        let unchecked = Plan { truth: crate::plan::Truth { check_output: 0.0, ..given.truth }, ..plan(json!({})) };
        assert_eq!(unchecked.complete(&server).unwrap().0.operations[0].output_schema, None);
    }

    #[test]
    fn what_cannot_be_made_is_a_fault_and_what_cannot_be_checked_a_warning() {
        let remote = json!({"$ref": "https://example.com/x.json"});
        let faults = plan(json!("auto")).complete(&listing(remote.clone(), None)).unwrap_err();
        assert!(
            faults.to_string().starts_with("operation `pay`: arguments: the tool's input schema cannot be followed: ")
        );
        let nothing = plan(json!("auto")).complete(&Negotiated::default()).unwrap_err();
        assert!(nothing.to_string().contains("give them by --args"), "{nothing}");
        let unknown =
            plan(json!({"b": {"auto": true}})).complete(&listing(json!({"type": "object"}), None)).unwrap_err();
        assert!(
            unknown.to_string().contains("arguments.b: ") && unknown.to_string().contains("says nothing of `b`"),
            "{unknown}"
        );
        let (plan, warnings) = plan(json!({})).complete(&listing(json!({}), Some(remote))).unwrap();
        assert_eq!(plan.operations[0].output_schema, None);
        assert!(warnings[0].starts_with("results of `pay` are not held to its output schema"), "{warnings:?}");
    }
}
