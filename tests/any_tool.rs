//! Any tool of a server seen for the first time: arguments from its input schema, results held to its output schema, and
//! plans written from what it lists.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::net::TcpStream;

use common::scripted::{Request, Scripted, respond_result, shake_hands};
use common::{Ended, Load, Server, finish, finish_line, mcpace};
use mcpace::outcome::Outcome;
use serde_json::{Value, json};

/// A server that lists these tools, and answers every call with `answer`.
fn server(tools: Value, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |request: &Request, stream: &mut TcpStream| match request.rpc() {
        "tools/list" => respond_result(stream, request, &json!({"tools": tools})),
        "tools/call" => respond_result(stream, request, &answer(&request.body["params"])),
        _ => shake_hands(stream, request),
    })
}

fn ok(_: &Value) -> Value {
    json!({"content": []})
}

fn arguments(server: &Scripted) -> Vec<Value> {
    let mut calls: Vec<(u64, Value)> = server
        .requests("tools/call")
        .iter()
        .map(|request| (request.body["id"].as_u64().expect("an id"), request.body["params"]["arguments"].clone()))
        .collect();
    calls.sort_by_key(|(id, _)| *id);
    calls.into_iter().map(|(_, arguments)| arguments).collect()
}

fn order() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "$defs": {"line": {"type": "object", "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4}$"}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["sku", "count"], "additionalProperties": false}},
        "properties": {
            "customer": {"type": "string", "format": "uuid"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1, "maxItems": 3},
            "currency": {"enum": ["EUR", "USD"]},
            "ship": {"oneOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
            "note": {"type": "string", "maxLength": 5},
        },
        "required": ["customer", "lines", "currency", "ship"], "additionalProperties": false,
    })
}

#[test]
fn a_tool_seen_for_the_first_time_is_called_with_arguments_that_its_schema_takes() {
    let schema = order();
    let server = server(json!([{"name": "order", "inputSchema": schema}]), ok);
    let run = |seed: &str| {
        let flags = format!("--tool order --args auto --rate 300 --total 100 --seed {seed}");
        Load::on(&server.url(), &flags).run()
    };
    let first = run("7");
    first.exited(0).all_ok(100);
    let sent = arguments(&server);
    let validator = jsonschema::options().offline().should_validate_formats(true).build(&schema).expect("a schema");
    for arguments in &sent {
        assert!(validator.is_valid(arguments), "{arguments}");
    }
    assert!(sent.iter().any(|a| a.get("note").is_some()) && sent.iter().any(|a| a.get("note").is_none()));
    // The saved run holds what they were made from.
    assert_eq!(first.run.plan.operations[0].arguments, "auto");
    assert_eq!(first.run.plan.operations[0].input_schema, Some(schema));
    run("7").all_ok(100);
    let again = arguments(&server);
    assert_eq!(again.len(), 200);
    let (mut once, mut twice): (Vec<_>, Vec<_>) = again.chunks(2).map(|pair| (&pair[0], &pair[1])).unzip();
    once.dedup();
    twice.dedup();
    assert!(once == twice && once.len() > 90, "the same seed makes the same arguments");
}

#[test]
fn a_plan_leaves_one_field_or_all_to_the_schema() {
    let server = server(json!([{"name": "order", "inputSchema": order()}]), ok);
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan.toml");
    let text = format!(
        "[target]\nurl = \"{}\"\n[[flow]]\noperations = {{ one = 1, all = 1 }}\ntotal = 60\nrate = \"300/s\"\n\
         [[operation]]\nname = \"all\"\ntool = \"order\"\narguments = \"auto\"\n[[operation]]\nname = \"one\"\ntool = \"order\"\n\
         [operation.arguments]\ncustomer = \"me\"\nlines = [{{ sku = {{ auto = true }}, count = 77 }}]\n",
        server.url()
    );
    std::fs::write(&plan, text).expect("a file");
    Load::flags(&format!("--plan {}", plan.display())).run().exited(0).all_ok(60);
    let (mine, made): (Vec<Value>, Vec<Value>) =
        arguments(&server).into_iter().partition(|sent| sent["customer"] == "me");
    assert!(mine.len() > 10 && made.len() > 10);
    for sent in &mine {
        let sku = sent["lines"][0]["sku"].as_str().expect("a text");
        assert!(sku.len() == 7 && sku.as_bytes()[2] == b'-' && sent["lines"][0]["count"] == 77, "{sent}");
    }
    assert_ne!(mine[0], mine[1]);
}

#[test]
fn what_cannot_be_made_is_refused_before_anything_is_called() {
    for (schema, parts) in [
        (json!({"properties": {"a": {"$ref": "https://example.com/a.json"}}}), ["`work`", "leads out of the schema"]),
        (
            json!({"properties": {"a": {"pattern": "(?=x)y"}}}),
            ["at /properties/a/pattern", "give the arguments yourself"],
        ),
        (json!({"properties": {"a": false}, "required": ["a"]}), ["at /properties/a", "nothing is allowed there"]),
        (json!({"type": "array"}), ["at its top", "no type is left"]),
    ] {
        let server = server(json!([{"name": "work", "inputSchema": schema}]), ok);
        let ended = finish_line(&format!("run {} --metrics off --tool work --args auto", server.url()));
        ended.assert_refused(2, &parts);
        assert_eq!(server.requests("tools/call").len(), 0);
    }
    let silent = Scripted::start(|request, stream| {
        if request.rpc() == "tools/list" {
            return common::scripted::respond(stream, "500 Internal Server Error", "", "");
        }
        shake_hands(stream, request)
    });
    let ended = finish_line(&format!("run {} --metrics off --tool work --args auto", silent.url()));
    ended.assert_refused(2, &["operation `work`", "lists no tools", "--args"]);
}

fn balance() -> Value {
    json!({"type": "object", "properties": {"balance": {"type": "number"}, "more": {"$ref": "#/$defs/more"}},
        "required": ["balance"], "$defs": {"more": {"type": "null"}}})
}

#[test]
fn results_are_held_to_the_output_schema_of_their_tool_in_the_share_that_is_asked_for() {
    let wrong = |_: &Value| json!({"content": [], "structuredContent": {"balance": "12.50"}});
    let tools = json!([{"name": "work", "inputSchema": {"type": "object"}, "outputSchema": balance()}]);
    let run = |answer: fn(&Value) -> Value, flags: &str| {
        let server = server(tools.clone(), answer);
        Load::on(&server.url(), &format!("--tool work --rate 500 --total 200 --seed 1 {flags}"))
            .promising("error_rate < 60%")
            .run()
    };
    let all = run(wrong, "--check-output 100%");
    assert_eq!(all.count(Outcome::WrongAnswer), 200);
    all.exited(1).says("breaks its output schema at /properties/balance/type");
    let some = run(wrong, "").count(Outcome::WrongAnswer);
    assert!((5..50).contains(&some), "{some} of 200 at one in ten");
    assert_eq!(run(wrong, "").count(Outcome::WrongAnswer), some, "the same seed checks the same");
    run(wrong, "--check-output 0").exited(0).all_ok(200);
    let right = |_: &Value| json!({"content": [], "structuredContent": {"balance": 12.5, "more": null}});
    run(right, "--check-output 1").exited(0).all_ok(200);
    let missing = run(ok, "--check-output 1");
    assert_eq!(missing.count(Outcome::WrongAnswer), 200);
    missing.says("structuredContent is missing, although the tool has an output schema");
    let failed = |_: &Value| json!({"content": [{"type": "text", "text": "no"}], "isError": true});
    assert_eq!(run(failed, "--check-output 1").count(Outcome::ToolError), 200, "what failed promises nothing");
}

#[test]
fn an_output_schema_that_cannot_be_used_is_a_warning() {
    let doubled: serde_json::Map<String, Value> = (0..60)
        .map(|n| (n.to_string(), json!({"allOf": vec![json!({"$ref": format!("#/$defs/{}", (n + 1) % 61)}); 2]})))
        .chain([("60".to_owned(), json!({}))])
        .collect();
    for schema in [
        json!({"$ref": "https://example.com/x.json"}),
        json!({"type": "thing"}),
        json!({"$ref": "#/$defs/0", "$defs": doubled}),
    ] {
        let server = server(json!([{"name": "work", "outputSchema": schema}]), ok);
        let loaded = Load::on(&server.url(), "--tool work --rate 500 --total 20 --check-output 1").run();
        loaded.exited(0).all_ok(20).says("results of `work` are not held to its output schema");
        assert_eq!(loaded.run.plan.operations[0].output_schema, None);
    }
}

#[test]
fn the_bundled_server_keeps_its_promises() {
    let server = Server::start("");
    Load::on(&server.url, "--mixed --rate 300 --total 150 --check-output 1").run().exited(0).all_ok(150);
    Load::on(&server.url, "--tool get_wallet_balance --args auto --rate 300 --total 50").run().exited(0).all_ok(50);
}

/// A plan written by `mcpace init` with these arguments.
fn written(arguments: &[&str]) -> String {
    let mut command = mcpace();
    command.arg("init").args(arguments);
    let Ended { code, out, err } = finish(command);
    assert_eq!(code, Some(0), "{err}");
    out
}

/// Runs a plan as it stands, but for an earlier end.
fn run(plan: &str) -> common::Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.toml");
    std::fs::write(&path, plan).expect("a file");
    Load::flags(&format!("--plan {} --rate 200 --total 60", path.display())).run()
}

#[test]
fn a_written_plan_for_the_bundled_server_is_run_as_it_is() {
    let server = Server::start("");
    let plan = written(&[&server.url]);
    assert!(plan.contains("# create_payment is built in"), "{plan}");
    let loaded = run(&plan);
    loaded.exited(0).all_ok(60);
    assert_eq!(loaded.run.plan.operation_names(), mcpace::workload::payments::NAMES);
    // Without a target, for the same tools.
    let offline = written(&[]).replace("http://localhost:8000/mcp", &server.url);
    run(&offline).exited(0).all_ok(60);
}

#[test]
fn a_written_plan_takes_hostile_names_and_words_for_what_they_are() {
    let evil = "\n[[operation]]\nname = \"evil\"\n# \u{1b}[31m\u{202e}\r";
    let names = ["get-sum", "main", "a.b", "x\"]\n[run]\nlanes = 9 #", "ü \u{202e}"];
    let mut tools: Vec<Value> = names.map(|name| json!({
        "name": name, "description": evil, "annotations": {"readOnlyHint": true},
        "inputSchema": {"type": "object", "properties": {name: {"type": "integer", "description": evil}}, "required": [name]},
    })).into();
    tools.push(json!({"name": "wipe", "annotations": {"destructiveHint": true}}));
    let server = server(Value::from(tools), ok);
    let plan = written(&[&server.url()]);
    assert!(
        !plan.contains(['\u{1b}', '\u{202e}', '\r']) && plan.contains("# wipe = 1  # it says that it is destructive")
    );
    let loaded = run(&plan);
    loaded.exited(0).all_ok(60);
    assert_eq!(loaded.run.plan.operation_names(), names);
    assert_eq!(loaded.run.plan.run.lanes.get(), 1);
    for request in server.requests("tools/call") {
        let params = &request.body["params"];
        let name = params["name"].as_str().expect("a name");
        assert!(names.contains(&name) && params["arguments"][name].is_i64(), "{params}");
    }
}

#[test]
fn a_plan_is_written_to_a_file_and_never_over_another_unasked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.toml");
    let name = path.to_str().expect("a name");
    assert_eq!(written(&[name]), "");
    let first = std::fs::read_to_string(&path).expect("a plan");
    assert!(first.contains("[target]"));
    std::fs::write(&path, "mine").expect("a file");
    finish_line(&format!("init --out {name}")).assert_refused(2, &["is there already", "--force"]);
    assert_eq!(std::fs::read_to_string(&path).expect("it"), "mine");
    assert_eq!(written(&["--force", "--out", name]), "");
    assert_eq!(std::fs::read_to_string(&path).expect("it"), first);
    finish_line(&format!("init {}/no/plan.toml", folder.path().display())).assert_refused(6, &["failed to write"]);
    finish_line("init http://127.0.0.1:9").assert_refused(5, &["failed to reach"]);
}

#[test]
fn a_written_plan_names_where_secrets_come_from_and_never_what_they_are() {
    let server = server(json!([{"name": "work", "annotations": {"readOnlyHint": true}}]), ok);
    let url = format!("{}/mcp?key=query-secret", server.url());
    let mut command = mcpace();
    command.args(["init", &url, "--header", "x-api-key=env:TOOL_KEY", "--header", "x-tenant=given-value"]);
    command.env("TOOL_KEY", "variable-secret");
    let ended = finish(command);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.out.contains("What may be a key is masked in the URL"), "{}", ended.out);
    assert!(ended.out.contains("headers = { x-api-key = \"env:TOOL_KEY\" }"), "{}", ended.out);
    for secret in ["query-secret", "variable-secret", "given-value"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret} in {}", ended.out);
    }
    assert_eq!(server.requests("tools/list")[0].header("x-api-key"), "variable-secret");
}
