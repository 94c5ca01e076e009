//! The plans that are shipped say what they are shipped for.

use std::path::Path;

use mcpace::plan::{Plan, read_file};
use mcpace::verdict::payments_objectives;

fn shipped(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(name);
    let (draft, faults) = read_file(&std::fs::read_to_string(path).expect("it is shipped"));
    draft.check(1, faults).expect("it has no faults")
}

#[test]
fn the_plan_of_the_payments_targets_drives_all_three_tools_at_once_and_promises_the_whole_table() {
    let plan = shipped("payments.toml");
    let mut driven = Vec::new();
    for flow in &plan.flows {
        assert_eq!(flow.mix.len(), 1, "each flow has calls of its own: {}", flow.name);
        driven.push((flow.mix[0].0.as_str(), flow.load.peak().get().round() as u64));
    }
    assert_eq!(driven, [("create_payment", 1000), ("verify_payment", 5000), ("get_wallet_balance", 10_000)]);
    // A flow's promises are those of its only operation.
    let mut promised: Vec<String> = plan.objectives.iter().map(ToString::to_string).collect();
    for (flow, (operation, _)) in plan.flows.iter().zip(&driven) {
        let (of_flow, of_operation) = (format!("({})", flow.name), format!("({operation})"));
        for text in &mut promised {
            *text = text.replace(&of_flow, &of_operation);
        }
    }
    let table: Vec<String> = payments_objectives().iter().map(ToString::to_string).collect();
    assert_eq!(promised, table);
}
