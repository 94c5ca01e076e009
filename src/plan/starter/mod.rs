//! A plan to begin with: written from what a target lists, or, without one, for payments. It is read again before it is
//! given out, operation by operation, so that `mcpace run --plan` takes it as it stands.

mod fields;
mod written;

use std::fmt::Write;

use super::{Connection, Faults, Plan, Source, file};
use crate::mcp::{Negotiated, Protocol, Tool};
use crate::workload::{Operation, payments};
use written::{commented, key, text, words};

/// The most tools that are written out.
const MOST_TOOLS: usize = 100;

/// What the built-in `verify_payment` needs of whatever creates payments.
const CAPTURE: &str = "capture = { payment_id = \"/payment_id|/paymentId|/payment/id|/id\" }\n";

/// What becomes of one tool.
struct Part<'a> {
    tool: &'a Tool,
    /// Its operation, as text; empty where it is built in.
    block: String,
    /// Why it is not called, if it is not.
    off: Option<&'static str>,
    remark: &'static str,
}

/// Writes a plan to begin with; `plan` says where the target is, and `listed` what it has, where it was asked.
pub fn starter(plan: &Plan, listed: Option<&Negotiated>) -> String {
    let mut out = String::new();
    let tools = listed.and_then(|listed| listed.tools.as_deref()).unwrap_or_default();
    let who = listed.and_then(|listed| listed.server_name.as_deref());
    head(plan, who, &mut out);
    let parts = if tools.is_empty() { Vec::new() } else { parts(tools) };
    let on: Vec<(&str, &str)> = if parts.is_empty() {
        payments::NAMES.iter().map(|name| (*name, "")).collect()
    } else {
        parts.iter().filter(|part| part.off.is_none()).map(|part| (&*part.tool.name, part.remark)).collect()
    };
    flow(&on, &parts, &mut out);
    for part in &parts {
        part.write(&mut out);
    }
    let more = tools.len().saturating_sub(MOST_TOOLS);
    if more > 0 {
        push(
            &mut out,
            format_args!("\n# {more} more tools are not written here: add an [[operation]] for those that you want.\n"),
        );
    }
    if parts.is_empty() {
        out.push_str(EXAMPLE);
    }
    out
}

/// What stands at the foot of a plan for payments.
const EXAMPLE: &str = "
# The three payments tools are built in, with arguments and with what their answers must say. Any other tool is
# described like this, and then named among the flow's operations:
#
# [[operation]]
# name = \"refund_payment\"
# expect = { \"/status\" = \"refunded\" }
# [operation.arguments]
# payment_id = { captured = \"payment_id\" }
# amount = { uniform = [1.0, 10.0], decimals = 2 }
# reason = \"load test\"
# note = { auto = true }  # made from the tool's input schema; arguments = \"auto\" makes all of them so
";

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(line);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Name, target and run.
fn head(plan: &Plan, who: Option<&str>, out: &mut String) {
    let name = who.map_or_else(|| "payments".to_owned(), words);
    push(
        out,
        format_args!("# mcpace run --plan THIS_FILE\n\nname = {}\n\n[target]\n", text(&format!("{name} under load"))),
    );
    push(out, format_args!("url = {}\n", text(&plan.target.to_string())));
    if plan.target.query_values().any(|value| !value.is_empty()) {
        out.push_str("# What may be a key is masked in the URL: write it in, or give the URL to mcpace run.\n");
    }
    if plan.protocol != Protocol::default() {
        push(out, format_args!("protocol = {}\n", text(&plan.protocol.to_string())));
    }
    connection(&plan.connection, out);
    out.push_str(
        "\n[run]\n# Calls in flight at most, and how long each may take.\nconcurrent = 1000\ntimeout = \"30s\"\n",
    );
}

fn connection(connection: &Connection, out: &mut String) {
    let files = [
        ("bearer_token_file", &connection.bearer_token_file),
        ("ca_cert", &connection.ca_cert),
        ("client_cert", &connection.client_cert),
        ("client_key", &connection.client_key),
    ];
    for (name, path) in files {
        if let Some(path) = path {
            push(out, format_args!("{name} = {}\n", text(path)));
        }
    }
    let flags =
        [("insecure", connection.insecure), ("http2", connection.http2), ("connect_per_call", connection.per_call)];
    for (name, _) in flags.iter().filter(|(_, is_on)| *is_on) {
        push(out, format_args!("{name} = true\n"));
    }
    let (given, kept): (Vec<_>, Vec<_>) =
        connection.headers.iter().partition(|header| matches!(header.value, Source::Given(_)));
    for header in given {
        push(
            out,
            format_args!(
                "# The value of header {} is not written here: give it again by --header.\n",
                words(&header.name)
            ),
        );
    }
    if !kept.is_empty() {
        let pairs: Vec<String> =
            kept.iter().map(|header| format!("{} = {}", key(&header.name), text(&header.value.to_string()))).collect();
        push(out, format_args!("headers = {{ {} }}\n", pairs.join(", ")));
    }
}

/// The load and the promises, and which operations are called.
fn flow(on: &[(&str, &str)], parts: &[Part<'_>], out: &mut String) {
    let mut name = "main".to_owned();
    while parts.iter().any(|part| part.tool.name == name) {
        name.push_str("_flow");
    }
    push(
        out,
        format_args!(
            "\n[[flow]]\nname = {}\n# Arrivals over time, for example: \"10/s for 30s, ramp to 100/s over 1m, 100/s for 5m\".\n\
             load = \"10/s for 30s\"\n# constant, poisson or token-bucket.\narrivals = \"poisson\"\n\
             # What must be true in the end. Also: p99, p99.9, mean, max, rate >= 10/s, and \"p95(OPERATION) < 50ms\".\n\
             objectives = [\"error_rate < 1%\", \"p95 < 500ms\", \"dropped < 0.1%\"]\n\
             # The operations that are called, by weight.\n[flow.operations]\n",
            text(&name)
        ),
    );
    for (name, remark) in on {
        let remark = if remark.is_empty() { String::new() } else { format!("  # {remark}") };
        push(out, format_args!("{} = 1{remark}\n", key(name)));
    }
    for (part, why) in parts.iter().filter_map(|part| Some((part, part.off?))) {
        push(out, format_args!("# {} = 1  # {why}\n", key(&part.tool.name)));
    }
    if on.is_empty() {
        out.push_str("# None of the tools is called unasked: take out the `#` before one that may be.\n");
    }
}

/// What becomes of each tool, in the server's order.
fn parts(tools: &[Tool]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for tool in tools {
        let is_new = !tool.name.is_empty() && parts.iter().all(|part| part.tool.name != tool.name);
        if is_new && parts.len() < MOST_TOOLS {
            parts.push(Part::of(tool, tools));
        }
    }
    // Payments that are not created cannot be verified.
    let [create, verify, _] = payments::NAMES;
    let is_off = |name: &str| parts.iter().any(|part| part.tool.name == name && part.off.is_some());
    let has_create = parts.iter().any(|part| part.tool.name == create) && !is_off(create);
    for part in parts.iter_mut().filter(|part| part.tool.name == verify && part.block.is_empty()) {
        if !has_create {
            part.off = Some("it needs payments that create_payment made");
        }
    }
    parts
}

impl<'a> Part<'a> {
    fn of(tool: &'a Tool, tools: &[Tool]) -> Self {
        let all = payments::operations();
        let is_built_in =
            all.iter().any(|operation| operation.name == tool.name && operation.suits(&all, &tool.input_schema));
        let off = match tool.hints.read_only {
            _ if tool.is_destructive() => Some("it says that it is destructive"),
            Some(false) if !is_built_in => Some("it says that it changes something"),
            _ => None,
        };
        let remark = match tool.hints.read_only {
            Some(true) => "it says that it only reads",
            None if !is_built_in => "it does not say what it changes: look before you run this",
            _ => "",
        };
        if is_built_in {
            return Self { tool, block: String::new(), off, remark };
        }
        match block(tool, tools) {
            Ok(block) => Self { tool, block, off, remark },
            Err(why) => {
                let block = format!("{}# No arguments could be made for it: {}\n", opening(tool), words(&why));
                Self { tool, block: commented(&block), off: Some("no arguments could be made for it"), remark }
            }
        }
    }

    fn write(&self, out: &mut String) {
        out.push('\n');
        let said = self.tool.description.as_deref().map(words).unwrap_or_default();
        if !said.is_empty() {
            push(out, format_args!("# {said}\n"));
        }
        if self.block.is_empty() {
            push(
                out,
                format_args!(
                    "# {} is built in, with arguments and with what its answers must say.\n",
                    words(&self.tool.name)
                ),
            );
        }
        out.push_str(&self.block);
    }
}

/// The operation that calls a tool, as text that was read again.
fn block(tool: &Tool, tools: &[Tool]) -> Result<String, String> {
    let [create, verify, _] = payments::NAMES;
    let feeds = tool.name == create && tools.iter().any(|tool| tool.name == verify);
    let capture = if feeds { CAPTURE } else { "" };
    let by_field = fields::arguments(&tool.input_schema)
        .map(|fields| if fields.is_empty() { String::new() } else { format!("[operation.arguments]\n{fields}") });
    let auto = "arguments = \"auto\"\n".to_owned();
    let mut last = String::new();
    for arguments in by_field.into_iter().chain([auto]) {
        let block = format!("{}{capture}{arguments}", opening(tool));
        match is_taken(&block, tool) {
            Ok(()) => return Ok(block),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// The first lines of an operation.
fn opening(tool: &Tool) -> String {
    format!("[[operation]]\nname = {}\n", text(&tool.name))
}

/// Whether a plan with this operation is taken, and its calls are what the tool's schema asks for.
fn is_taken(block: &str, tool: &Tool) -> Result<(), String> {
    let (draft, Faults(faults)) = file::read(block);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    let mut operations: Vec<Operation> = draft.operations;
    let [operation] = &mut operations[..] else { return Err("it is not one operation".to_owned()) };
    operation.complete(&tool.input_schema, None, false);
    let operation = operation.clone();
    if let Some(fault) = operation.faults(&operations).into_iter().next() {
        return Err(fault.why);
    }
    if operation.suits(&operations, &tool.input_schema) {
        Ok(())
    } else {
        Err("its calls are not what its input schema asks for".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::Hints;
    use crate::plan::{Draft, FlowDraft};

    fn target() -> Plan {
        let flow = FlowDraft { mix: vec![("create_payment".into(), 1.0)], ..FlowDraft::default() };
        Draft { flows: vec![flow], ..Draft::default() }.check(1, Faults::default()).unwrap()
    }

    fn tool(name: &str, schema: Value, read_only: Option<bool>, destructive: Option<bool>) -> Tool {
        let hints = Hints { read_only, destructive };
        Tool { input_schema: schema, hints, ..Tool::named(name) }
    }

    fn listing(tools: Vec<Tool>) -> Negotiated {
        Negotiated { tools: Some(tools), server_name: Some("ser\nver".into()), ..Negotiated::default() }
    }

    /// The plan that the text makes, completed by the same list.
    fn taken(text: &str, listed: &Negotiated) -> Plan {
        let (draft, faults) = file::read(text);
        let plan = draft.check(1, faults).unwrap_or_else(|why| panic!("{why}\n{text}"));
        plan.complete(listed).unwrap_or_else(|why| panic!("{why}\n{text}")).0
    }

    #[test]
    fn without_a_target_it_is_a_plan_for_payments() {
        let text = starter(&target(), None);
        let plan = taken(&text, &Negotiated::default());
        assert_eq!(plan.operation_names(), payments::NAMES);
        assert!(!text.contains("masked"), "{text}");
        assert_eq!(plan.flows[0].load.to_string(), "10/s for 30s");
        let (draft, faults) = file::read(
            &text
                .replace("# [[op", "[[op")
                .replace("# [operation", "[operation")
                .replace("# name", "name")
                .replace("# expect", "expect")
                .replace("# payment_id", "payment_id")
                .replace("# amount", "amount")
                .replace("# reason", "reason")
                .replace("# note", "note"),
        );
        assert_eq!(faults, Faults::default(), "the example is one");
        assert_eq!(draft.operations[0].name, "refund_payment");
    }

    #[test]
    fn tools_are_called_by_what_they_say_of_their_effects() {
        let object = || json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
        let listed = listing(vec![
            tool("reads", object(), Some(true), None),
            tool("writes", object(), Some(false), Some(false)),
            tool("destroys", object(), None, Some(true)),
            tool("silent", object(), None, None),
            tool(
                "impossible",
                json!({"properties": {"a": {"$ref": "https://example.com/a"}}, "required": ["a"]}),
                Some(true),
                None,
            ),
        ]);
        let text = starter(&target(), Some(&listed));
        let plan = taken(&text, &listed);
        assert_eq!(plan.operation_names(), ["reads", "silent"]);
        for line in [
            "reads = 1  # it says that it only reads\n",
            "silent = 1  # it does not say what it changes: look before you run this\n",
            "# writes = 1  # it says that it changes something\n",
            "# destroys = 1  # it says that it is destructive\n",
            "# impossible = 1  # no arguments could be made for it\n",
            "# # No arguments could be made for it: ",
            "name = \"ser ver under load\"\n",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        let all = text.replace("# writes = 1", "writes = 1").replace("# destroys = 1", "destroys = 1");
        assert_eq!(taken(&all, &listed).operations.len(), 4);
    }

    #[test]
    fn payments_tools_are_built_in_where_their_schemas_take_the_built_in_arguments() {
        let string = || json!({"type": "string"});
        let create = json!({"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}});
        let verify = json!({"type": "object", "required": ["payment_id"], "properties": {"payment_id": string()}});
        let own = json!({"type": "object", "required": ["amount", "wallet_id"], "properties": {"amount": {"type": "integer"}, "wallet_id": string()}});
        let [one, two, _] = payments::NAMES;
        let fits = listing(vec![tool(one, create, None, None), tool(two, verify.clone(), Some(true), None)]);
        let text = starter(&target(), Some(&fits));
        assert!(!text.contains("\n[[operation]]") && text.contains("# create_payment is built in"), "{text}");
        assert_eq!(taken(&text, &fits).operation_names(), [one, two]);
        let other = listing(vec![tool(two, verify.clone(), None, None), tool(one, own.clone(), None, None)]);
        let text = starter(&target(), Some(&other));
        let plan = taken(&text, &other);
        assert_eq!(plan.operation_names(), [one, two]);
        assert_eq!(plan.operations[0].arguments["wallet_id"], json!({"auto": true}));
        assert!(plan.operations[0].capture.contains_key("payment_id") && plan.operations[1].must_find);
        let off = listing(vec![tool(two, verify, None, None), tool(one, own, None, Some(true))]);
        assert!(starter(&target(), Some(&off)).contains("# verify_payment = 1  # it needs payments"));
    }

    #[test]
    fn hostile_names_and_words_mean_themselves() {
        let names = [
            "main",
            "a.b",
            "\"quoted\"",
            "new\nline",
            "]]\n[run]",
            "# x",
            "ü\u{202e}x",
            "",
            "a = 1",
            "'",
            "\u{0}",
            "main",
        ];
        let schema = json!({"type": "object", "properties": {"x\n\"]": {"type": "string", "description": "\n[run]\nlanes = 9"}}, "required": ["x\n\"]"]});
        let mut tools: Vec<Tool> = names.iter().map(|name| tool(name, schema.clone(), Some(true), None)).collect();
        for tool in &mut tools {
            tool.description = Some("\n[[operation]]\nname = \"evil\"\n\u{2028}\r".to_owned());
        }
        let listed = listing(tools);
        let text = starter(&target(), Some(&listed));
        let plan = taken(&text, &listed);
        let mut expected: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        expected.pop();
        assert_eq!(plan.operation_names(), expected);
        assert_eq!(plan.operations[0].arguments, json!({"x\n\"]": {"auto": true}}));
        assert_eq!(plan.run.lanes.get(), 1);
        assert!(!text.contains(['\u{202e}', '\u{2028}', '\r', '\0']));
    }

    #[test]
    fn more_tools_than_a_plan_is_good_for_are_counted() {
        let listed = listing((0..300).map(|n| tool(&format!("t{n}"), json!({}), Some(true), None)).collect());
        let text = starter(&target(), Some(&listed));
        assert_eq!(taken(&text, &listed).operations.len(), MOST_TOOLS);
        assert!(text.contains("# 200 more tools are not written here"), "{text}");
    }
}
