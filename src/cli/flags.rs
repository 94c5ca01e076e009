//! The flags of `mcpace run`, and the plan that they, the environment and a plan file make together.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::connection::ConnectionArgs;
use super::control::ControlArgs;
use super::environment;
use super::exit::Failure;
use super::eyes::{Place, parse_metrics_url};
use super::following::FollowingArgs;
use super::judging::{EarlyEndArgs, JudgingArgs};
use super::keeping::KeepingArgs;
use super::pages::PageArgs;
use super::truth::TruthArgs;
use crate::arrival::Profile;
use crate::mcp::Protocol;
use crate::plan::{self, Draft, Faults, FlowDraft, Load, Pacing, Plan, Sessions, Warmup};
use crate::time::{Rate, parse_duration};
use crate::verdict::{Objective, payments_objectives};
use crate::workload::{Operation, payments};

/// Flags of `mcpace run`. Flags beat environment beats plan file beats defaults.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    early_end: EarlyEndArgs,
    #[command(flatten)]
    pub(super) keeping: KeepingArgs,
    #[command(flatten)]
    pub(super) control: ControlArgs,
    /// Look each second at what this process of this machine uses: the target's CPU, memory, descriptors, threads.
    #[arg(long, value_name = "PID", conflicts_with = "server_metrics", help_heading = "Results")]
    server_pid: Option<u32>,
    /// The same from the Prometheus metrics of the target at this URL.
    #[arg(long, value_name = "URL", value_parser = parse_metrics_url, help_heading = "Results")]
    server_metrics: Option<http::Uri>,
    /// Shake hands, print what the run would take and whether it suffices, and end: no tool is called.
    #[arg(long, help_heading = "Results")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) pages: PageArgs,
}

/// Flags that say how much is sent, and when.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Arrivals per second: 1000, 1000/s, 60000/m, 0.5/s [default: 100/s].
    #[arg(long, value_name = "R", value_parser = Rate::parse_load)]
    rate: Option<Rate>,
    /// A rate over time: "100/s for 30s, ramp to 1000/s over 1m, 1000/s for 10m".
    #[arg(long, value_name = "L", conflicts_with_all = ["rate", "duration", "quick"])]
    load: Option<Profile>,
    /// When the schedule ends: 30s, 5m, 1h30m.
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// After how many arrivals it ends [default: 1000, where nothing else ends it] [env: LOAD_TEST_TOTAL].
    #[arg(long, value_name = "N", value_parser = at_least_one::<u64>)]
    total: Option<u64>,
    /// 100 calls at 50/s, 10 in flight; explicit flags win.
    #[arg(long)]
    quick: bool,
}

/// Flags of every command that drives a target.
#[derive(Clone, Debug, Default, Args)]
#[expect(clippy::doc_markdown, reason = "these are help texts, shown as they stand")]
pub(super) struct CommonArgs {
    /// The target; without a path it gets /mcp [default: http://localhost:8000] [env: API_BASE_URL].
    #[arg(value_name = "URL", conflicts_with = "url")]
    target: Option<String>,
    /// The target, as a flag.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Everything, in a TOML file.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,

    #[command(flatten)]
    connection: ConnectionArgs,

    /// How arrivals spread around the rate [default: poisson].
    #[arg(long, value_parser = ["constant", "poisson", "token-bucket"], help_heading = "Load")]
    arrivals: Option<String>,
    /// How many arrivals come together from a token bucket [default: 10].
    #[arg(long, value_name = "B", value_parser = at_least_one::<NonZeroU32>, help_heading = "Load")]
    burst: Option<NonZeroU32>,

    /// Any tool of the server.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mixed", "mix"], help_heading = "Calls")]
    tool: Option<String>,
    /// The tool's arguments: a JSON object, @FILE with one, or auto, to make them from the tool's input schema.
    #[arg(long, value_name = "JSON|@FILE|auto", requires = "tool", help_heading = "Calls")]
    args: Option<String>,
    /// The three payments tools in equal parts.
    #[arg(long, conflicts_with = "mix", help_heading = "Calls")]
    mixed: bool,
    /// Operations by weight: create_payment=5,verify_payment=3.
    #[arg(long, value_name = "A=N,B=M", value_parser = parse_mix, help_heading = "Calls")]
    mix: Option<MixFlag>,
    /// The MCP revision; plain posts JSON-RPC without a handshake [default: auto].
    #[arg(long, value_name = "P", help_heading = "Calls")]
    protocol: Option<Protocol>,
    /// How calls share the sessions of a server that has them: pool:N in turn, one per-call, or none [default: pool:8].
    #[arg(long, value_name = "pool:N|per-call|none", value_parser = told::<Sessions>, help_heading = "Calls")]
    sessions: Option<Sessions>,

    #[command(flatten)]
    truth: TruthArgs,

    /// Calls in flight at most [default: 10000] [env: LOAD_TEST_CONCURRENT].
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU32>, help_heading = "Limits")]
    concurrent: Option<NonZeroU32>,
    /// How long a call may take, from sent: 60 (seconds), 30s, 500ms [default: 30s] [env: LOAD_TEST_TIMEOUT].
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Limits")]
    timeout: Option<Duration>,
    /// When a lane wakes: for each arrival, or once for all that are due within 360 µs [default: auto].
    #[arg(long, value_parser = parse_pacing, value_name = "auto|exact|economical", help_heading = "Limits")]
    pacing: Option<Pacing>,
    /// Threads [default: 1, more above 40000 arrivals/s, where there are processors].
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU32>, help_heading = "Limits")]
    lanes: Option<NonZeroU32>,

    /// A promise, repeatable: "p95 < 150ms", "error_rate(create_payment) < 0.1%", "rate >= 1000/s".
    #[arg(long = "objective", value_name = "O", value_parser = told::<Objective>, help_heading = "Verdict")]
    objective: Vec<Objective>,
    /// A built-in table of promises.
    #[arg(long, value_parser = ["payments"], help_heading = "Verdict")]
    objectives: Option<String>,
    /// Leading part of the run that is kept apart and not judged; auto ends it when response times are steady, after a third of
    /// the run at the latest.
    #[arg(long, value_name = "D|auto", value_parser = told::<Warmup>, help_heading = "Verdict")]
    warmup: Option<Warmup>,
    #[command(flatten)]
    judging: JudgingArgs,
    /// Same seed, same schedule, same operations and generated fields [default: random].
    #[arg(long, value_name = "N", help_heading = "Verdict")]
    seed: Option<u64>,

    /// Where /metrics is served [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR|off", help_heading = "Results")]
    pub(super) metrics: Option<String>,
    /// Stay up after the end until the final metrics were scraped, at most this long.
    #[arg(long, value_name = "D", value_parser = parse_duration, help_heading = "Results")]
    pub(super) linger: Option<Duration>,
    /// Save the run, to be rendered and judged again.
    #[arg(long, value_name = "FILE.json", help_heading = "Results")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    following: FollowingArgs,
}

/// Operations by weight, as a flag.
#[derive(Clone, Debug)]
struct MixFlag(Vec<(String, f64)>);

fn parse_mix(text: &str) -> Result<MixFlag, String> {
    let part = |part: &str| {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        let weight: f64 = weight.trim().parse().map_err(|_| format!("`{part}`: write it as create_payment=5"))?;
        Ok::<_, String>((name.trim().to_owned(), weight))
    };
    let mut mix: Vec<(String, f64)> = Vec::new();
    for next in text.split(',').map(part) {
        let (name, weight) = next?;
        match mix.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += weight,
            None => mix.push((name, weight)),
        }
    }
    Ok(MixFlag(mix))
}

/// A count of which nothing is no load.
fn at_least_one<T: FromStr>(text: &str) -> Result<T, String> {
    let some = text.bytes().any(|digit| digit != b'0');
    let count = text.parse().ok().filter(|_| some);
    count.ok_or_else(|| "give a whole number, at least 1".to_owned())
}

/// A value whose errors are fragments that follow "failed to".
pub(super) fn told<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why| format!("failed to {why}"))
}

/// The processors that this process may use.
fn processors() -> NonZeroU32 {
    let processors = std::thread::available_parallelism().ok();
    processors.and_then(|count| NonZeroU32::try_from(count).ok()).unwrap_or(NonZeroU32::MIN)
}

fn parse_pacing(text: &str) -> Result<Pacing, String> {
    match text {
        "auto" => Ok(Pacing::Auto),
        "exact" => Ok(Pacing::Exact),
        "economical" => Ok(Pacing::Economical),
        _ => Err("give auto, exact or economical".to_owned()),
    }
}

#[cfg(feature = "server")]
impl RunArgs {
    /// Arguments that name nothing but a target, for the demo.
    pub(super) fn against(url: String) -> Self {
        Self { common: CommonArgs { target: Some(url), ..CommonArgs::default() }, ..Self::default() }
    }

    /// Sets the load of the demo.
    pub(super) fn with_load(mut self, rate: Rate, duration: Duration, seed: Option<u64>) -> Self {
        (self.common.mixed, self.common.seed) = (true, seed);
        (self.load.rate, self.load.duration) = (Some(rate), Some(duration));
        self
    }

    /// Sets promises.
    pub(super) fn with_objectives(mut self, objectives: Vec<Objective>) -> Self {
        self.common.objective = objectives;
        self
    }
}

impl RunArgs {
    /// Where the target's process can be seen, if somebody said so.
    pub(super) fn server(&self) -> Option<Place> {
        let process = self.server_pid.map(Place::Process);
        process.or_else(|| self.server_metrics.clone().map(Place::Metrics))
    }

    /// The plan that flags, environment and plan file make together, and where its in-flight limit comes from.
    pub(super) fn plan(&self, random_seed: u64) -> Result<(Plan, ConcurrentFrom), Failure> {
        self.common.plan(&self.load, random_seed, |draft| self.early_end.over(draft))
    }
}

impl LoadArgs {
    fn load(&self) -> Load {
        Load { profile: self.load.clone(), rate: self.rate, duration: self.duration, total: self.total }
    }
}

impl CommonArgs {
    /// The plan of a command that says itself how much is sent: `finish` has the last word about what flags, environment and
    /// plan file make together.
    pub(super) fn plan_of(
        &self,
        random_seed: u64,
        finish: impl FnOnce(Draft) -> Draft,
    ) -> Result<(Plan, ConcurrentFrom), Failure> {
        self.plan(&LoadArgs::default(), random_seed, finish)
    }

    fn plan(
        &self,
        load: &LoadArgs,
        random_seed: u64,
        finish: impl FnOnce(Draft) -> Draft,
    ) -> Result<(Plan, ConcurrentFrom), Failure> {
        let (file, faults) = match &self.plan {
            None => (Draft::default(), Faults::default()),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("failed to read the plan {}", path.display()));
                plan::read_file(&text.map_err(Failure::usage)?)
            }
        };
        let (draft, flow) = self.layers(load).map_err(|why| Failure::usage(anyhow::anyhow!(why)))?;
        let mut draft = draft.over(file);
        draft.override_flow(flow).map_err(|why| Failure::usage(anyhow::anyhow!(why)))?;
        let from = if draft.concurrent.is_some() { ConcurrentFrom::User } else { ConcurrentFrom::Default };
        let draft = finish(draft);
        let lanes = draft.lanes;
        let mut plan = draft.check(random_seed, faults).map_err(|faults| match &self.plan {
            Some(path) => Failure::usage(anyhow::Error::new(faults).context(path.display().to_string())),
            None => Failure::usage(faults),
        })?;
        plan.run.lanes = lanes.unwrap_or_else(|| plan.lanes_for(processors()));
        Ok((plan, from))
    }

    /// Flags over the quick preset over the environment.
    fn layers(&self, load: &LoadArgs) -> Result<(Draft, FlowDraft), String> {
        let (draft, flow) = (self.draft()?, self.flow(load.load()));
        let (quick, quick_flow) = if load.quick { quick() } else { Default::default() };
        let (environment, environment_flow) = environment::read(|name| std::env::var(name).ok())?;
        Ok((draft.over(quick).over(environment), flow.over(quick_flow).over(environment_flow)))
    }

    fn draft(&self) -> Result<Draft, String> {
        let mut objectives = self.objective.clone();
        if self.objectives.is_some() {
            let called = |objective: &Objective| match (objective.scope(), self.names()) {
                (Some(scope), names) => names.iter().any(|name| name == scope),
                (None, _) => true,
            };
            objectives.extend(payments_objectives().into_iter().filter(called));
        }
        Ok(Draft {
            url: self.target.clone().or_else(|| self.url.clone()),
            connection: self.connection.draft(),
            protocol: self.protocol,
            sessions: self.sessions,
            seed: self.seed,
            operations: self.operation()?.into_iter().collect(),
            objectives,
            concurrent: self.concurrent,
            timeout: self.timeout,
            warmup: self.warmup,
            pacing: self.pacing,
            lanes: self.lanes,
            trace: self.following.trace.then_some(true),
            slowest: self.following.slowest,
            truth: self.truth.draft(),
            ..self.judging.draft()
        })
    }

    fn flow(&self, load: Load) -> FlowDraft {
        FlowDraft {
            mix: self.weights(),
            load,
            arrivals: self.arrivals.clone(),
            burst: self.burst,
            ..FlowDraft::default()
        }
    }

    fn weights(&self) -> Vec<(String, f64)> {
        match (&self.tool, self.mixed, &self.mix) {
            (Some(tool), ..) => vec![(tool.clone(), 1.0)],
            (None, true, _) => payments::NAMES.iter().map(|name| ((*name).to_owned(), 1.0)).collect(),
            (None, false, Some(MixFlag(mix))) => mix.clone(),
            (None, false, None) => Vec::new(),
        }
    }

    /// The names of the operations that the flags call; of all payments operations where a plan file may say.
    fn names(&self) -> Vec<String> {
        let weights = self.weights();
        match (weights.is_empty(), &self.plan) {
            (true, None) => vec![payments::NAMES[0].to_owned()],
            (true, Some(_)) => payments::NAMES.map(str::to_owned).to_vec(),
            (false, _) => weights.into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// The operation that `--tool` and `--args` describe; none where the tool is a built-in one with its own arguments.
    fn operation(&self) -> Result<Option<Operation>, String> {
        let Some(tool) = &self.tool else { return Ok(None) };
        let built_in = payments::operations().into_iter().find(|operation| operation.name == *tool);
        let text = match self.args.as_deref() {
            None if built_in.is_some() => return Ok(None),
            None => "{}".to_owned(),
            Some("auto") => return Ok(Some(called(tool, built_in, Value::from("auto")))),
            Some(text) => match text.strip_prefix('@') {
                Some(path) => {
                    std::fs::read_to_string(path).map_err(|why| format!("failed to read --args {text}: {why}"))?
                }
                None => text.to_owned(),
            },
        };
        let value: Value = serde_json::from_str(&text).map_err(|why| format!("--args is not JSON: {why}"))?;
        if !value.is_object() {
            return Err(format!("--args {value} is not a JSON object: write {{\"name\": value}}"));
        }
        // What stands on the command line is meant to the letter: no generators in it.
        let arguments = Value::Object([("literal".to_owned(), value)].into_iter().collect());
        Ok(Some(called(tool, built_in, arguments)))
    }
}

/// The operation that calls `tool` with other arguments than the built-in one of that name, if there is one.
fn called(tool: &str, built_in: Option<Operation>, arguments: Value) -> Operation {
    let mut operation = Operation { arguments, ..built_in.unwrap_or_default() };
    (operation.name, operation.tool) = (tool.to_owned(), tool.to_owned());
    payments::fit(&mut operation, &[]);
    operation
}

/// Where the in-flight limit comes from: a limit that somebody chose is not lowered silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConcurrentFrom {
    /// A flag, the environment or a plan.
    User,
    /// Nobody said anything.
    Default,
}

fn quick() -> (Draft, FlowDraft) {
    let draft = Draft { concurrent: NonZeroU32::new(10), ..Draft::default() };
    let load = Load { rate: Rate::per_second(50.0), total: Some(100), ..Load::default() };
    (draft, FlowDraft { load, ..FlowDraft::default() })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        run: RunArgs,
    }

    fn plan(flags: &str) -> Plan {
        let args = Only::try_parse_from(flags.split_whitespace()).unwrap_or_else(|why| panic!("{why}"));
        args.run.plan(1).unwrap_or_else(|why| panic!("{why:?}")).0
    }

    #[test]
    fn the_old_command_lines_mean_what_they_meant() {
        let old = plan("mcpace --url http://localhost:8000 --total 1000 --concurrent 100");
        assert_eq!(old.target.to_string(), "http://localhost:8000/mcp");
        assert_eq!((old.flows[0].total, old.run.concurrent.get()), (Some(1000), 100));
        assert_eq!(old.flows[0].mix, [("create_payment".to_owned(), 1.0)]);
        let mixed = plan("mcpace --mixed --total 500 --concurrent 50 --timeout 60");
        assert_eq!((mixed.flows[0].mix.len(), mixed.run.timeout.as_secs()), (3, 60));
    }

    #[test]
    fn quick_is_a_preset_that_explicit_flags_beat() {
        let quick = plan("mcpace --quick");
        assert_eq!((quick.flows[0].total, quick.run.concurrent.get()), (Some(100), 10));
        assert_eq!(quick.flows[0].load.to_string().split(' ').next(), Some("50/s"));
        let faster = plan("mcpace --quick --rate 70 --concurrent 3");
        assert_eq!((faster.flows[0].total, faster.run.concurrent.get()), (Some(100), 3));
        assert_eq!(faster.flows[0].load.to_string().split(' ').next(), Some("70/s"));
    }

    #[test]
    fn arguments_on_the_command_line_are_meant_to_the_letter() {
        let args = Only::try_parse_from(["mcpace", "--tool", "x", "--args", r#"{"uuid":true}"#]).unwrap();
        let plan = args.run.plan(1).unwrap().0;
        assert_eq!(plan.operations[0].arguments, serde_json::json!({"literal": {"uuid": true}}));
    }

    #[test]
    fn the_payments_table_is_cut_to_what_is_called() {
        assert_eq!(plan("mcpace --tool verify_payment --objectives payments").objectives.len(), 3);
        assert_eq!(plan("mcpace --mixed --objectives payments").objectives.len(), 9);
    }

    #[test]
    fn a_needed_operation_comes_with_the_one_that_needs_it() {
        let names = plan("mcpace --tool verify_payment").operation_names();
        assert_eq!(names, ["create_payment", "verify_payment"]);
    }

    #[test]
    fn faults_of_one_flag_are_named_by_clap() {
        for (flags, said) in [
            ("mcpace --rate 0", "--rate"),
            ("mcpace --total 0", "--total"),
            ("mcpace --concurrent 0", "--concurrent"),
            ("mcpace --judge sure", "give confident or observed"),
            ("mcpace --objective p95", "--objective"),
            ("mcpace --load 10/s --rate 3", "--load"),
        ] {
            let told = Only::try_parse_from(flags.split_whitespace()).err().unwrap().to_string();
            assert!(told.contains(said), "{flags}: {told}");
        }
    }
}
