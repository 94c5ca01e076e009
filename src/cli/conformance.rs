//! `mcpace conformance-client`: the protocol layer as a client that the conformance suite of MCP examines.
//!
//! The suite starts a server of its own, and then this program with its URL, and with a scenario's name in the environment.
//! A scenario chooses what is asked for and what the server's own questions are answered with. How that is said on
//! the wire is the driver's affair, and the same for all of them.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::task::LocalSet;

use super::exit::{Exit, Failure};
use super::results;
use crate::driver::{Client, Connector, Manner};
use crate::mcp::Protocol;

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags of `mcpace conformance-client`.
#[derive(Debug, Args)]
pub(super) struct ConformanceArgs {
    /// The server that examines.
    #[arg(value_name = "URL")]
    url: String,
}

/// What the suite says in the environment.
#[derive(Debug, PartialEq)]
struct Task {
    wish: Wish,
    protocol: Protocol,
}

/// What a scenario wants to see once client and server have agreed and the client knows the tools.
#[derive(Debug, PartialEq)]
enum Wish {
    /// Nothing more.
    Agreement,
    /// These calls.
    Calls(Vec<ToolCall>),
    /// A tool's schema, as it came, as an argument of another.
    SchemaEchoed,
    /// A call of each tool that can be used.
    EveryTool,
    /// The same, two conversations at a time, so that what belongs to one of them might get into the other.
    EveryToolAtOnce,
    /// Every tool called, every resource read and every prompt got.
    Everything,
}

/// A call that the suite wants to see.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct ToolCall {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Given {
    tool_calls: Vec<ToolCall>,
}

/// Does what the scenario wants, and prints each result.
pub(super) fn conformance(args: &ConformanceArgs) -> Result<Exit, Failure> {
    let task = Task::read(|name| std::env::var(name).ok()).map_err(Failure::usage)?;
    let target = args.url.parse().map_err(|why| Failure::usage(anyhow!("failed to {why}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start an event loop").map_err(Failure::usage)?;
    let results = runtime.block_on(LocalSet::new().run_until(task.perform(&Connector::new(target))));
    let results = results.map_err(|why| Failure::new(Exit::Target, why))?;
    results.iter().try_for_each(|result| results::write(format!("{result}\n").as_bytes())).map(|()| Exit::Pass)
}

impl Task {
    fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let scenario = given("MCP_CONFORMANCE_SCENARIO")
            .context("MCP_CONFORMANCE_SCENARIO names no scenario: let the conformance suite start this program")?;
        let protocol = given("MCP_CONFORMANCE_PROTOCOL_VERSION").map_or(Ok(Protocol::Auto), |version| {
            version.parse().map_err(|why| anyhow!("MCP_CONFORMANCE_PROTOCOL_VERSION: {why}"))
        })?;
        let context = given("MCP_CONFORMANCE_CONTEXT").map_or(Ok(Given::default()), |context| {
            serde_json::from_str(&context).context("MCP_CONFORMANCE_CONTEXT cannot be read")
        })?;
        let wish = match scenario.as_str() {
            "initialize" | "request-metadata" | "json-schema-ref-no-deref" => Wish::Agreement,
            "tools_call" => Wish::Calls(vec![call("add_numbers", json!({ "a": 5, "b": 3 }))]),
            "sse-retry" => Wish::Calls(vec![call("test_reconnection", json!({}))]),
            "elicitation-sep1034-client-defaults" => {
                Wish::Calls(vec![call("test_client_elicitation_defaults", json!({}))])
            }
            "http-custom-headers" => Wish::Calls(context.tool_calls),
            "json-schema-2020-12-preservation" => Wish::SchemaEchoed,
            "http-invalid-tool-headers" => Wish::EveryTool,
            "sep-2322-client-request-state" => Wish::EveryToolAtOnce,
            "http-standard-headers" => Wish::Everything,
            other => bail!("MCP_CONFORMANCE_SCENARIO={other} is no scenario that this client can be examined in"),
        };
        Ok(Self { wish, protocol })
    }

    /// Opens a conversation, has it, and closes it.
    async fn perform(&self, connector: &Connector) -> anyhow::Result<Vec<Value>> {
        let manner = Manner {
            capabilities: json!({ "elicitation": {} }),
            answers: Some(Rc::new(|method, params| (method == "elicitation/create").then(|| accept(params)))),
            ..Manner::plain(PATIENCE)
        };
        let client = Client::open(connector, self.protocol, manner).await.map_err(failed)?;
        let asking = Asking(&client);
        let results = client.listening(Box::pin(self.ask(&asking))).await;
        client.close().await;
        results
    }

    async fn ask(&self, asking: &Asking<'_>) -> anyhow::Result<Vec<Value>> {
        match &self.wish {
            Wish::Agreement => Ok(Vec::new()),
            Wish::Calls(calls) => asking.call_each(calls).await,
            Wish::SchemaEchoed => {
                let tool = asking.0.negotiated().tool("json_schema_2020_12_tool");
                let schema = &tool.context("failed to find the tool with the schema")?.input_schema;
                asking.call_each(&[call("json_schema_echo", json!({ "schema": schema }))]).await
            }
            Wish::EveryTool => asking.call_each(&asking.every_tool()).await,
            Wish::EveryToolAtOnce => {
                let calls = asking.every_tool();
                let (one, other) = calls.split_at(calls.len() / 2);
                let (one, other) = tokio::try_join!(asking.call_each(one), asking.call_each(other))?;
                Ok([one, other].concat())
            }
            Wish::Everything => asking.everything().await,
        }
    }
}

/// A client that is asked for things.
struct Asking<'a>(&'a Client);

impl Asking<'_> {
    async fn request(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let result = self.0.request(method, params).await.map_err(failed)?;
        if result["isError"] == true {
            bail!("failed to call a tool: {result}");
        }
        Ok(result)
    }

    async fn call_each(&self, calls: &[ToolCall]) -> anyhow::Result<Vec<Value>> {
        let mut results = Vec::new();
        for call in calls {
            let params = json!({ "name": call.name, "arguments": call.arguments });
            results.push(self.request("tools/call", params).await?);
        }
        Ok(results)
    }

    /// A call without arguments of each tool that can be used.
    fn every_tool(&self) -> Vec<ToolCall> {
        let tools = self.0.negotiated().tools.iter().flatten();
        tools.map(|tool| call(&tool.name, json!({}))).collect()
    }

    /// Calls every tool, reads every resource and gets every prompt.
    async fn everything(&self) -> anyhow::Result<Vec<Value>> {
        let mut results = self.call_each(&self.every_tool()).await?;
        for (list, one, kind, by) in [
            ("resources/list", "resources/read", "resources", "uri"),
            ("prompts/list", "prompts/get", "prompts", "name"),
        ] {
            let listed = self.request(list, Value::Null).await?;
            for item in listed[kind].as_array().into_iter().flatten() {
                results.push(self.request(one, json!({ by: item[by] })).await?);
            }
        }
        Ok(results)
    }
}

fn call(name: &str, arguments: Value) -> ToolCall {
    let arguments = if let Value::Object(arguments) = arguments { arguments } else { Map::new() };
    ToolCall { name: name.to_owned(), arguments }
}

/// Accepts what a server wants to know, with its defaults; where there is none for a yes or no, with yes.
fn accept(params: &Value) -> Value {
    let mut content = Map::new();
    for (name, schema) in params["requestedSchema"]["properties"].as_object().into_iter().flatten() {
        let agreed = || (schema["type"] == "boolean").then_some(Value::Bool(true));
        if let Some(value) = schema.get("default").cloned().or_else(agreed) {
            content.insert(name.clone(), value);
        }
    }
    json!({ "action": "accept", "content": content })
}

/// The errors of drivers are fragments that follow "failed to".
fn failed(why: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("failed to {why}")
}
