//! From a draft to a plan: every rule that involves more than one value, and every fault at once.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::{Draft, Flow, FlowDraft, Load, MOST_SLOWEST, Plan, Run};
use crate::arrival::{Process, ProcessError, Profile};
use crate::mcp::Target;
use crate::time::{Rate, format_duration};
use crate::verdict::{self, Judging, Objective};
use crate::workload::{Direction, Mix, Operation, OperationId, payments};

/// Everything that is wrong with a plan, each with its place and the way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [one] => write!(f, "{one}"),
            many => {
                write!(f, "the plan has {} faults:", many.len())?;
                many.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
        }
    }
}

impl Faults {
    /// Notes a fault and goes on.
    pub(super) fn note(&mut self, fault: impl fmt::Display) {
        self.0.push(fault.to_string());
    }

    /// The value, or its fault noted.
    pub(super) fn take<T>(&mut self, at: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|why| self.note(format_args!("{at}{why}"))).ok()
    }
}

/// What is taken where nothing was said.
const RATE: f64 = 100.0;
const TOTAL: u64 = 1000;
const CONCURRENT: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");
const TIMEOUT: Duration = Duration::from_secs(30);
/// No timeout or duration is shorter.
const SHORTEST: Duration = Duration::from_millis(1);
const MAX_REPLY_BYTES: u64 = 8 << 20;
const URL: &str = "http://localhost:8000";
/// Pairs of a flow and an operation. A run may count twice as many, as an operation can take the place of another.
const MOST_PAIRS: usize = 256;

impl Draft {
    /// Makes a plan of what was said and the defaults; `seed` is used where none was given.
    ///
    /// # Errors
    /// Every fault at once, added to those found before.
    pub fn check(self, seed: u64, mut faults: Faults) -> Result<Plan, Faults> {
        let target = faults.take("failed to ", self.url.as_deref().unwrap_or(URL).parse::<Target>());
        let operations = all_operations(self.operations, self.truth.wallets, &mut faults);
        let has_end = self.flows.iter().any(|flow| flow.load.has_end());
        let drafts = if self.flows.is_empty() { vec![FlowDraft::default()] } else { self.flows };
        let mut objectives = self.objectives;
        let mut flows = Vec::new();
        let mut names = Vec::new();
        let single = drafts.len() == 1;
        for (place, draft) in drafts.into_iter().enumerate() {
            let unnamed = || if single { "main".to_owned() } else { format!("flow{}", place + 1) };
            let name = draft.name.clone().unwrap_or_else(unnamed);
            names.push(name.clone());
            objectives.extend(draft.objectives.iter().map(|objective| objective.clone().within(&name)));
            flows.extend(check_flow(name, draft, &operations, &mut faults));
        }
        unique("flow", names.iter(), &mut faults);
        if names.iter().any(|name| name.trim().is_empty()) {
            faults.note("a flow has the name \"\", which objectives cannot mention: give it another, or leave it out");
        }
        for name in names.iter().filter(|name| operations.iter().any(|operation| operation.name == **name)) {
            faults.note(format_args!("flow `{name}` has the name of an operation: objectives could mean either"));
        }
        // Where a flow could not be made, what it calls is not known: then any operation may be meant.
        let operations = if faults.0.is_empty() { used(&operations, &flows) } else { operations };
        check_workload(&operations, &flows, &mut faults);
        if objectives.is_empty() {
            objectives = verdict::default_objectives();
        }
        check_objectives(&objectives, &names, &operations, &mut faults);
        let run = Run {
            concurrent: self.concurrent.unwrap_or(CONCURRENT),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            warmup: self.warmup.unwrap_or_default(),
            pacing: self.pacing.unwrap_or_default(),
            lanes: self.lanes.unwrap_or(NonZeroU32::MIN),
            max_reply_bytes: self.max_reply_bytes.unwrap_or(MAX_REPLY_BYTES),
            until_decided: self.until_decided.unwrap_or_default(),
            abort_on_fail: self.abort_on_fail.unwrap_or_default(),
            trace: self.trace.unwrap_or_default(),
            slowest: self.slowest.unwrap_or_else(super::slowest),
        };
        let judging = self.judging.unwrap_or_default();
        check_run(&run, &flows, &mut faults);
        let truth = self.truth.check(&operations, &mut faults);
        check_early_end(&run, &flows, judging, has_end, &mut faults);
        let connection = self.connection.check(target.as_ref(), run.timeout, &mut faults);
        if run.trace && connection.headers.iter().any(|header| header.name == "traceparent") {
            faults.note("--trace (trace) and a header traceparent say which trace: give one of the two");
        }
        match target {
            Some(target) if faults.0.is_empty() => Ok(Plan {
                name: self
                    .name
                    .unwrap_or_else(|| flows[0].mix.iter().map(|(n, _)| &**n).collect::<Vec<_>>().join(", ")),
                target,
                connection,
                protocol: self.protocol.unwrap_or_default(),
                sessions: self.sessions.unwrap_or_default(),
                seed: self.seed.unwrap_or(seed),
                flows,
                operations,
                objectives,
                judging,
                run,
                truth,
            }),
            _ => Err(faults),
        }
    }
}

/// A run that ends when it is decided needs to know when it ends at the latest, and by what it decides.
fn check_early_end(run: &Run, flows: &[Flow], judging: Judging, has_end: bool, faults: &mut Faults) {
    let longest = flows.iter().map(Flow::duration).max().unwrap_or_default();
    if run.until_decided && has_end && !is_level(flows, run.warmup.at_most(longest), longest) {
        faults.note(
            "--until-decided (until_decided) takes what was seen so far for all there is, and this load changes after warm-up: \
             give an even one (--rate, or a --warmup until it is even), or leave it out",
        );
    }
    let asked = [(run.until_decided, "until_decided"), (run.abort_on_fail, "abort_on_fail")];
    for (_, name) in asked.into_iter().filter(|(asked, _)| *asked) {
        let flag = name.replace('_', "-");
        if judging == Judging::Observed {
            faults.note(format_args!("--{flag} ({name}) decides with confidence: leave --judge observed out"));
        }
        if !has_end {
            faults
                .note(format_args!("--{flag} ({name}) needs the longest time that the run may take: give --duration"));
        }
    }
}

/// Whether every flow has one rate from `warmup` to the end of all.
fn is_level(flows: &[Flow], warmup: Duration, longest: Duration) -> bool {
    flows.iter().all(|flow| {
        let mut at = Duration::ZERO;
        let mut rates = flow.load.segments().filter_map(|segment| {
            let begin = at;
            at = at.saturating_add(segment.duration);
            (at > warmup && begin < flow.duration()).then_some([segment.from, segment.to])
        });
        let first = rates.next().map(|[from, _]| from);
        let level = |[from, to]: [Rate; 2]| Some(from) == first && Some(to) == first;
        flow.duration() * 100 >= longest * 99 && rates.all(level)
    })
}

/// The built-in operations, those of the draft in place of or behind them.
fn all_operations(own: Vec<Operation>, wallets: Option<Direction>, faults: &mut Faults) -> Vec<Operation> {
    unique("operation", own.iter().map(|operation| &operation.name), faults);
    let built_in = wallets.map_or_else(payments::operations, payments::operations_with_wallets);
    let mut all = built_in.clone();
    for operation in own {
        match all.iter_mut().find(|known| known.name == operation.name) {
            Some(known) => *known = operation,
            None => all.push(operation),
        }
    }
    let makes: Vec<String> = all.iter().flat_map(|operation| operation.makes().cloned()).collect();
    for operation in all.iter_mut().filter(|operation| built_in.contains(operation)) {
        payments::fit(operation, &makes);
    }
    all
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = &'a String>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            faults.note(format_args!("{kind} `{name}` is there twice: give each a name of its own"));
        }
    }
}

fn check_flow(name: String, draft: FlowDraft, operations: &[Operation], faults: &mut Faults) -> Option<Flow> {
    let at = format!("flow `{name}`: ");
    let mix = if draft.mix.is_empty() { vec![(payments::NAMES[0].to_owned(), 1.0)] } else { draft.mix };
    for (operation, _) in &mix {
        if !operations.iter().any(|known| known.name == *operation) {
            let known: Vec<_> = operations.iter().map(|known| &*known.name).collect();
            faults.note(format_args!("{at}no operation `{operation}`: there are {}", known.join(", ")));
        }
    }
    let weights: Vec<_> = mix.iter().map(|(_, weight)| (OperationId(0), *weight)).collect();
    if Mix::new(&weights).is_none() {
        faults.note(format_args!(
            "{at}the weights of its operations are not a mix: give each at least 0, one more than 0"
        ));
    }
    let arrivals = faults.take(&at, process(draft.arrivals.as_deref(), draft.burst));
    let load = faults.take(&at, profile(&draft.load));
    let (load, total) = load?;
    Some(Flow { name, mix, load, arrivals: arrivals?, total })
}

fn process(name: Option<&str>, burst: Option<NonZeroU32>) -> Result<Process, String> {
    let process = name.map_or(Ok(Process::default()), str::parse).map_err(|why: ProcessError| why.to_string())?;
    match (process, burst) {
        (Process::TokenBucket { .. }, Some(burst)) => Ok(process.with_burst(burst)),
        (_, Some(burst)) => Err(format!(
            "a burst of {burst} needs a token bucket: give --arrivals token-bucket with it, or leave it out"
        )),
        (process, None) => Ok(process),
    }
}

fn profile(load: &Load) -> Result<(Profile, Option<u64>), String> {
    if load.total == Some(0) {
        return Err("a total of 0 sends nothing: give at least 1".to_owned());
    }
    match (&load.profile, load.rate, load.duration) {
        (Some(profile), None, None) => Ok((profile.clone(), load.total)),
        (Some(_), _, _) => {
            Err("a load says rate and duration already: give either --load, or --rate and --duration".to_owned())
        }
        (None, rate, duration) => {
            let rate = rate.or(Rate::per_second(RATE)).unwrap_or(Rate::ZERO);
            match (duration, load.total) {
                (Some(duration), _) if duration < SHORTEST => {
                    let duration = format_duration(duration);
                    Err(format!("a duration of {duration} is too short to send anything: give at least 1ms"))
                }
                (Some(duration), total) => Ok((Profile::flat(rate, duration), total)),
                (None, total) => Ok((Profile::endless(rate), Some(total.unwrap_or(TOTAL)))),
            }
        }
    }
}

/// The operations that some flow calls, and those that capture what these need, in the order of `all`.
fn used(all: &[Operation], flows: &[Flow]) -> Vec<Operation> {
    let called = |o: &Operation| flows.iter().any(|flow| flow.mix.iter().any(|(name, _)| *name == o.name));
    let needed: Vec<_> = all.iter().filter(|o| called(o)).flat_map(Operation::asks).collect();
    let makes = |o: &Operation| o.makes().any(|name| needed.contains(&name));
    all.iter().filter(|o| called(o) || makes(o)).cloned().collect()
}

/// Whether the operations can be compiled.
fn check_workload(operations: &[Operation], flows: &[Flow], faults: &mut Faults) {
    let pairs: usize = flows.iter().map(|flow| flow.mix.len()).sum();
    if pairs > MOST_PAIRS || operations.len() > MOST_PAIRS {
        let operations = operations.len();
        faults.note(format!(
            "{operations} operations, and {pairs} pairs of a flow and an operation: each takes half a megabyte a lane, \
             give at most {MOST_PAIRS} of either"
        ));
        return;
    }
    for fault in operations.iter().flat_map(|operation| operation.faults(operations)) {
        faults.note(fault);
    }
}

fn check_objectives(objectives: &[Objective], flows: &[String], operations: &[Operation], faults: &mut Faults) {
    let operations: Vec<_> = operations.iter().map(|operation| operation.name.clone()).collect();
    for objective in objectives {
        if let Err(why) = objective.clone().resolve(flows, &operations) {
            faults.note(format_args!("failed to {why}"));
        } else if objective.to_string().parse().ok().as_ref() != Some(objective) {
            // A saved run holds it as a text.
            faults.note(format_args!(
                "objective `{objective}` cannot be read again: give its flow a name without parentheses"
            ));
        }
    }
}

fn check_run(run: &Run, flows: &[Flow], faults: &mut Faults) {
    if run.timeout < SHORTEST {
        let timeout = format_duration(run.timeout);
        faults.note(format_args!("a timeout of {timeout} lets no call end: give at least 1ms"));
    }
    if run.lanes > run.concurrent {
        let (lanes, concurrent) = (run.lanes, run.concurrent);
        faults.note(format_args!("{lanes} lanes share {concurrent} calls in flight: give no more lanes than that"));
    }
    if run.slowest > MOST_SLOWEST {
        faults
            .note(format_args!("the slowest {} calls are too many to keep: give at most {MOST_SLOWEST}", run.slowest));
    }
    let longest = flows.iter().map(Flow::duration).max();
    if let Some(fault) = longest.and_then(|longest| run.warmup.fault(longest)) {
        faults.note(fault);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::plan::ConnectionDraft;
    use crate::secret::Secret;

    fn faults(draft: Draft) -> Vec<String> {
        draft.check(1, Faults::default()).unwrap_err().0
    }

    #[test]
    fn a_high_rate_has_more_lanes_where_there_are_processors_and_calls_for_them() {
        let lanes = |load: &str, processors: u32| {
            let text =
                format!("[run]\nconcurrent = 6\n[[flow]]\nload = \"{load}\"\n[[flow]]\nload = \"1000/s for 1s\"");
            let (draft, faults) = crate::plan::read_file(&text);
            let plan = draft.check(1, faults).unwrap();
            assert_eq!(plan.run.lanes.get(), 1, "a plan does not know the machine");
            plan.lanes_for(NonZeroU32::new(processors).unwrap()).get()
        };
        assert_eq!((lanes("39000/s for 1s", 8), lanes("39001/s for 1s", 8)), (1, 2));
        assert_eq!((lanes("1/s for 1s, ramp to 100000/s over 1s", 8), lanes("100000/s for 1s", 2)), (3, 2));
        assert_eq!(lanes("900000/s for 1s", 64), 6, "as many as there are calls in flight");
        let sessions = Some(crate::plan::Sessions::Pool(NonZeroU32::new(2).unwrap()));
        let draft = Draft { sessions, ..crate::plan::read_file("[[flow]]\nload = \"900000/s for 1s\"").0 };
        let plan = draft.check(1, Faults::default()).unwrap();
        assert_eq!(plan.lanes_for(NonZeroU32::new(64).unwrap()).get(), 2, "as many as there are sessions");
    }

    #[test]
    fn objectives_can_mention_each_flow_by_its_name() {
        let of = |name: &str| {
            let text = format!("[[flow]]\nname = \"{name}\"\nload = \"10/s for 1s\"\nobjectives = [\"p99 < 1s\"]");
            let (draft, found) = crate::plan::read_file(&text);
            draft.check(1, found).map_or_else(|Faults(faults)| faults, |_| Vec::new())
        };
        assert!(of("pay").is_empty() && of("pay at once").is_empty());
        assert!(of("")[0].contains("a flow has the name \"\""), "{:?}", of(""));
        assert_eq!(
            of("a)b"),
            ["objective `p99(a)b) < 1s` cannot be read again: give its flow a name without parentheses"]
        );
    }

    #[test]
    fn a_trace_is_told_once_and_the_slowest_calls_are_bounded() {
        let connection = ConnectionDraft {
            headers: vec![("Traceparent".into(), Secret::from("env:T".to_owned()))],
            ..ConnectionDraft::default()
        };
        let draft =
            Draft { trace: Some(true), slowest: Some(1001), connection: connection.clone(), ..Draft::default() };
        assert_eq!(
            faults(draft),
            [
                "the slowest 1001 calls are too many to keep: give at most 1000",
                "--trace (trace) and a header traceparent say which trace: give one of the two"
            ]
        );
        let plan = Draft { connection, slowest: Some(1000), ..Draft::default() }.check(1, Faults::default()).unwrap();
        assert_eq!((plan.run.trace, plan.run.slowest), (false, 1000));
        assert_eq!(Draft::default().check(1, Faults::default()).unwrap().run.slowest, 20);
        // What is asked for is kept.
        assert_eq!(MOST_SLOWEST as usize, crate::measure::MOST_SLOWEST);
    }

    #[test]
    fn one_fault_of_an_operation_does_not_hide_the_next() {
        let operation = Operation {
            name: "refund".into(),
            tool: "refund".into(),
            arguments: json!({"amount": {"uniform": [3, 1]}}),
            expect: BTreeMap::from([("status".into(), json!(1)), ("/id".into(), json!({"captured": true}))]),
            ..Operation::default()
        };
        let flow = FlowDraft { mix: vec![("refund".into(), 1.0)], ..FlowDraft::default() };
        let found = faults(Draft { flows: vec![flow], operations: vec![operation], ..Draft::default() });
        assert_eq!(
            found,
            [
                "operation `refund`: `status` is not a JSON pointer: write it as /field or /outer/inner",
                "operation `refund`: arguments.amount: uniform [3,1] is not two numbers, the lower first: [1.0, 10.0]",
            ]
        );
    }

    #[test]
    fn a_burst_without_a_bucket_too_many_lanes_and_a_warm_up_without_end_are_refused() {
        let flow = FlowDraft { burst: NonZeroU32::new(3), ..FlowDraft::default() };
        let found = faults(Draft { flows: vec![flow], ..Draft::default() });
        assert!(found[0].contains("a burst of 3 needs a token bucket"), "{found:?}");
        let (lanes, concurrent) = (NonZeroU32::new(3), NonZeroU32::new(2));
        let found = faults(Draft { concurrent, lanes, ..Draft::default() });
        assert_eq!(found, ["3 lanes share 2 calls in flight: give no more lanes than that"]);
        let found =
            faults(Draft { warmup: Some(crate::plan::Warmup::For(Duration::from_secs(10))), ..Draft::default() });
        assert_eq!(found, ["a warm-up of 10s leaves nothing of the 10.0 s to judge: give a shorter one"]);
    }

    #[test]
    fn how_long_a_run_takes_at_most_is_known_from_its_profile_and_its_counts() {
        let flow = |load: &str, total| FlowDraft {
            load: Load { profile: Some(load.parse().unwrap()), total, ..Load::default() },
            ..FlowDraft::default()
        };
        let longest = |flows| Draft { flows, ..Draft::default() }.check(1, Faults::default()).unwrap().longest();
        assert_eq!(longest(vec![flow("100/s for 30s", None), flow("5/s for 1m", None)]), Duration::from_mins(1));
        assert_eq!(longest(vec![flow("100/s for 30s", Some(500))]), Duration::from_secs(5));
        assert_eq!(longest(vec![flow("100/s for 30s", Some(50_000))]), Duration::from_secs(30));
        assert_eq!(longest(vec![FlowDraft::default()]), Duration::from_secs(10));
    }

    #[test]
    fn who_wants_an_early_end_says_when_the_latest_is_and_judges_with_confidence() {
        let ending = |duration, judging| {
            let load = Load { duration, ..Load::default() };
            let flows = vec![FlowDraft { load, ..FlowDraft::default() }];
            Draft { flows, judging, until_decided: Some(true), ..Draft::default() }
        };
        let plan = ending(Some(Duration::from_mins(5)), None).check(1, Faults::default()).unwrap();
        let looks = plan.looks().unwrap().planned;
        assert_eq!((looks.early.len(), looks.last.at.round() as u64), (7, 300));
        assert!(Draft::default().check(1, Faults::default()).unwrap().looks().is_none());
        assert!(faults(ending(None, None))[0].contains("give --duration"));
        let stepped = |warmup| {
            let load = Load { profile: Some("20/s for 40s, 400/s for 20s".parse().unwrap()), ..Load::default() };
            let flows = vec![FlowDraft { load, ..FlowDraft::default() }];
            Draft { flows, warmup: Some(warmup), until_decided: Some(true), ..Draft::default() }
        };
        let uneven = faults(stepped(crate::plan::Warmup::For(Duration::from_secs(39))));
        assert!(uneven[0].contains("this load changes after warm-up"), "{uneven:?}");
        assert!(stepped(crate::plan::Warmup::For(Duration::from_secs(40))).check(1, Faults::default()).is_ok());
        assert!(faults(ending(Some(Duration::from_mins(5)), Some(Judging::Observed)))[0].contains("--judge observed"));
    }

    #[test]
    fn more_pairs_of_flow_and_operation_than_memory_is_wise_for_are_refused_at_once() {
        let mix = vec![(payments::NAMES[0].to_owned(), 1.0), (payments::NAMES[1].to_owned(), 1.0)];
        let flow = |n: usize| FlowDraft { name: Some(format!("f{n}")), mix: mix.clone(), ..FlowDraft::default() };
        let of = |flows| Draft { flows: (0..flows).map(flow).collect(), ..Draft::default() };
        assert!(of(128).check(1, Faults::default()).is_ok());
        assert_eq!(
            faults(of(129)),
            [
                "2 operations, and 258 pairs of a flow and an operation: each takes half a megabyte a lane, give at most \
              256 of either"
            ]
        );
    }

    #[test]
    fn without_a_word_it_is_a_thousand_payments_at_a_hundred_a_second() {
        let plan = Draft::default().check(7, Faults::default()).unwrap();
        assert_eq!(plan.target.to_string(), "http://localhost:8000/mcp");
        assert_eq!((plan.flows[0].total, plan.flows[0].arrivals), (Some(1000), Process::Poisson));
        assert_eq!((plan.seed, plan.run.concurrent.get(), plan.run.timeout.as_secs()), (7, 10_000, 30));
        assert_eq!(plan.objectives, verdict::default_objectives());
    }
}
