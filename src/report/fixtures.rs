//! Runs with fixed data, made the way real ones are: arrivals through a recorder into a summary.

use std::time::Duration;

use super::{Ending, Host, Made, SavedCapacity, SavedRun, Server};
use crate::measure::{
    Bounds, Event, EventKind, Evidence, FailureText, Fate, Health, Level, Probes, Quantile, Recorder, Sample, Shape,
    SideCall, SideKind, Stretch, Summary, Unresolved, Usage,
};
use crate::outcome::{Outcome, Probe, Violation};
use crate::plan::{Plan, read_file};
use crate::time::{Moment, Rate};
use crate::trace::Traces;
use crate::verdict::Verdict;
use crate::verdict::search::{CoolDown, Search, seed_of};

const RUN: &str = "5f0c2a9e41d84b7c9d3e8a1b6c7f2d10";

/// One arrival of a fixture.
pub(crate) struct Told {
    pub(crate) flow: u16,
    pub(crate) operation: u16,
    pub(crate) fate: Fate,
    pub(crate) said: Option<(&'static str, &'static str)>,
}

/// Every run that all formats must be able to show.
pub(crate) fn all() -> [(&'static str, SavedRun); 6] {
    [
        ("ok", ok()),
        ("failed", failed()),
        ("empty", empty()),
        ("hostile", hostile()),
        ("flows", flows()),
        ("untrue", untrue()),
    ]
}

/// A plan with these lines in its file.
pub(crate) fn plan(toml: &str) -> Plan {
    let (draft, faults) = read_file(toml);
    draft.check(42, faults).unwrap()
}

/// Sent after `lag` and answered within `service`, both in microseconds.
pub(crate) fn answer(intended: Moment, lag: u64, service: u64, outcome: Outcome) -> Fate {
    let sent = intended.after(Duration::from_micros(lag));
    let done = sent.after(Duration::from_micros(service));
    Fate::Answered { sent: outcome.ne(&Outcome::Unreachable).then_some(sent), first_byte: None, done, outcome }
}

/// A run of `plan` with a hundred arrivals a second for `seconds`, of which `tell` says what becomes.
pub(crate) fn run(plan: Plan, seconds: u64, tell: impl Fn(u64, Moment) -> Told) -> SavedRun {
    let warmup = plan.latest_warmup();
    let shape = Shape {
        flows: plan.flows.len() as u16,
        operations: plan.operations.len() as u16,
        slowest: plan.run.slowest as usize,
        traces: plan.run.trace.then(|| Traces::of_run(RUN)),
        ..Shape::default()
    };
    let mut recorder = Recorder::new(&shape, warmup);
    let mut summary = Summary::new(warmup);
    for sequence in 0..seconds * 100 {
        let intended = Moment::from_nanos(sequence * 10_000_000);
        // From 20 to 60 µs, always the same.
        let picked_up = intended.after(Duration::from_micros(20 + sequence * 7 % 41));
        let Told { flow, operation, fate, said } = tell(sequence, intended);
        summary.expect(flow, operation, intended, 1.0);
        recorder.picked_up(flow, operation, intended, picked_up);
        let said = said.map(|(group, example)| {
            let seconds = example.split_once("Retry-After: ").and_then(|(_, seconds)| seconds.parse().ok());
            FailureText { group, example, retry_after: seconds.map(Duration::from_secs) }
        });
        let sample = Sample { flow, operation, sequence, substituted: false, intended, picked_up, fate };
        recorder.record(&sample, said);
    }
    summary.absorb(&recorder);
    summary.until = Moment::from_nanos(seconds * 1_000_000_000);
    summary.due = Some(seconds * 100);
    SavedRun {
        program: "mcpace 0.1.0".into(),
        run_id: RUN.into(),
        started_unix_ms: 1_795_366_260_042,
        plan,
        host: Host { name: Some("bench-1".into()), os: "linux".into(), arch: "x86_64".into(), cpus: 8 },
        server: Server { revision: Some("2025-11-25".into()), name: Some("payments".into()), warnings: Vec::new() },
        ending: Ending::Completed,
        looks: None,
        summary,
    }
}

const MIXED: &str = r#"
    name = "payments at the promised rate"
    objectives = ["p95(create_payment) < 150ms", "error_rate < 0.1%", "rate >= 100/s"]
    target = { url = "http://pay.example.com:8000" }
    [[flow]]
    operations = { create_payment = 1, verify_payment = 1, get_wallet_balance = 1 }
    load = "100/s for 15s"
"#;

/// Service times of a healthy server, in microseconds: most near 12 ms, a few long ones.
fn healthy(n: u64) -> u64 {
    let tail = if n.is_multiple_of(50) { 60_000 + n % 7 * 9_000 } else { 0 };
    9_000 + n * 7919 % 6_000 + tail
}

/// Fifteen seconds in which all goes well, and somebody looks at lanes and target.
pub(crate) fn ok() -> SavedRun {
    // Fifteen hundred calls cannot show that fewer than one in a thousand fails.
    let mut run = run(plan(&MIXED.replace("0.1%", "1%")), 15, |n, intended| Told {
        flow: 0,
        operation: (n % 3) as u16,
        fate: answer(intended, 90 + n % 13, healthy(n), Outcome::Ok),
        said: None,
    });
    for second in 0..15 {
        let at = Moment::from_nanos(second * 1_000_000_000);
        let seen =
            Health { watched: 1_000_000_000, ran: 31_000_000, waited: 4_000_000, turns: 220, ..Health::default() };
        let seen = Health { ticks: 800, busy: 300, stolen: 2, ..seen };
        let descriptors = (Level::of(60 + second), Level::of(10_032));
        run.summary.health.at(at).merge(&Health {
            descriptors: descriptors.0,
            most_descriptors: descriptors.1,
            ..seen
        });
        run.summary.usage.at(at).merge(&Usage {
            processor: Level::of(410 + second * 7 % 5),
            memory: Level::of((80 << 20) + second * 1000),
            threads: Level::of(9),
            missed: u64::from(second == 7),
            ..Usage::default()
        });
    }
    run
}

/// Two minutes of the same load, in which the second operation takes `slower` times as long, and one of its calls in
/// `failing` fails; with ids of their own.
pub(crate) fn two_minutes(id: &str, slower: u64, failing: Option<u64>) -> SavedRun {
    let plan = plan(&MIXED.replace("15s", "2m"));
    let mut run = run(plan, 120, |n, intended| {
        let operation = (n % 3) as u16;
        let service = healthy(n.wrapping_mul(2_654_435_761) >> 7) * if operation == 1 { slower } else { 1 };
        let fails = operation == 1 && failing.is_some_and(|one_in| (n / 3).is_multiple_of(one_in));
        let outcome = if fails { Outcome::ToolError } else { Outcome::Ok };
        let said = fails.then_some(("wallet is frozen", "wallet is frozen"));
        Told { flow: 0, operation, fate: answer(intended, 90 + n % 13, service, outcome), said }
    });
    id.clone_into(&mut run.run_id);
    run
}

/// A few calls, so that there is little text.
pub(crate) fn small() -> SavedRun {
    run(plan("target = { url = \"http://localhost:8000\" }"), 1, |n, intended| {
        let outcome = if n % 4 == 3 { Outcome::HttpError } else { Outcome::Ok };
        let said = (n % 4 == 3).then_some(("HTTP 503", "HTTP 503 Service Unavailable"));
        Told { flow: 0, operation: 0, fate: answer(intended, 100, 5_000, outcome), said }
    })
}

/// Twenty seconds after two of warm-up in which much goes wrong; stopped by a signal.
pub(crate) fn failed() -> SavedRun {
    let with_run = "run = { warmup = \"2s\", timeout = \"5s\" }\n    [[flow]]";
    let plan = plan(&MIXED.replace("15s", "1m").replace("[[flow]]", with_run));
    let mut run = run(plan, 22, |n, intended| {
        let (outcome, said) = match n % 20 {
            3 => (Outcome::HttpError, Some(("HTTP 503", "HTTP 503 Service Unavailable: {\"error\":\"overloaded\"}"))),
            5 => (Outcome::HttpError, Some(("HTTP 429", "HTTP 429 Too Many Requests, Retry-After: 2"))),
            7 if n % 3 != 1 => (Outcome::ToolError, Some(("wallet <id> is frozen", "wallet w-8817 is frozen"))),
            11 => (Outcome::TimeoutNoByte, Some(("no byte within 5s", "no byte within 5s"))),
            _ => (Outcome::Ok, None),
        };
        let fate = match n % 100 {
            17 => Fate::Dropped,
            57 if n > 2100 => Fate::Abandoned,
            _ if outcome == Outcome::TimeoutNoByte => answer(intended, 900, 5_000_000, outcome),
            _ => answer(intended, 100 + n % 500 * 800, 30_000 + healthy(n) * 9, outcome),
        };
        Told { flow: 0, operation: (n % 3) as u16, fate, said }
    });
    run.ending = Ending::Signal("SIGINT".into());
    let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
    run.summary.events.note(Event::at(at(4_200), EventKind::ClockStepped, -1.5));
    let down = Event { at: at(9_500), until: at(11_000), kind: EventKind::TargetDown, figure: 150.0 };
    run.summary.events.note(down);
    let times = [
        (SideKind::Initialize, Outcome::Ok),
        (SideKind::Initialize, Outcome::HttpError),
        (SideKind::Cancel, Outcome::Ok),
    ];
    for (n, (kind, outcome)) in times.into_iter().cycle().take(24).enumerate() {
        let took = Duration::from_millis(3 + n as u64);
        run.summary.note_side_call(&SideCall { kind, outcome, took }, &Bounds::default());
    }
    run
}

/// A search on a target that holds 160/s.
pub(crate) fn capacity() -> SavedCapacity {
    let per_second = |rate| Rate::per_second(rate).unwrap();
    let base = plan(
        "objectives = [\"p95 < 50ms\", \"error_rate < 2%\"]\n[target]\nurl = \"http://pay.example.com:8000\"\n\
        [run]\nwarmup = \"1s\"\n[[flow]]\nload = \"20/s for 20s\"",
    );
    let (probe, longest, hold) = (Duration::from_secs(15), Duration::from_mins(1), Duration::from_mins(1));
    let (from, to) = (per_second(20.0), Rate::FASTEST_LOAD);
    let mut saved = SavedCapacity {
        program: "mcpace 0.1.0".into(),
        started_unix_ms: 1_795_366_260_042,
        plan: base,
        search: Search { from, to, resolution: 0.05, probe, longest, hold },
        cool_down: Duration::from_secs(30),
        at_rest: Some(Quantile::Finite(Duration::from_millis(5))),
        took: Duration::from_secs(211),
        signal: None,
        probes: Vec::new(),
    };
    while let Some(probe) = saved.progress().next {
        let load = probe.rate.get() / 200.0;
        let time = if load < 0.82 { 5_000.0 / (1.0 - load) } else { 60_000.0 * load * load };
        let plan = saved.plan.at_rate(probe.rate, probe.duration, seed_of(saved.plan.seed, saved.probes.len() as u64));
        let run = run(plan, 3, |n, intended| {
            let outcome = if load > 1.5 && n % 9 == 0 { Outcome::TimeoutNoByte } else { Outcome::Ok };
            let service = (time * (0.6 + n as f64 * 0.618 % 1.0)) as u64;
            Told { flow: 0, operation: 0, fate: answer(intended, 100, service, outcome), said: None }
        });
        let again = saved.probes.last().is_some_and(|last| last.probe.rate == probe.rate);
        let verdict = match probe.rate.get() {
            174.0 if !again => Verdict::Inconclusive,
            _ => run.judge(&[]).unwrap().verdict(),
        };
        let last = Some(Quantile::Finite(Duration::from_millis(5)));
        let cool_down = CoolDown { took: Duration::from_secs(1), calls: 5, last, recovered: true };
        saved.probes.push(Made::new(probe, Some(verdict), cool_down, &run).unwrap());
    }
    saved
}

/// A run in which nothing was due.
pub(crate) fn empty() -> SavedRun {
    run(plan(MIXED), 0, |_, _| unreachable!("nothing is due"))
}

/// Names and words that would do harm on a terminal or break a table.
pub(crate) fn hostile() -> SavedRun {
    let mut plan = plan(MIXED);
    let bad = "\u{1b}[2J\u{1b}]0;owned\u{7}<script>alert('x')</script>\"\r\n\u{202e}💳|`rm -rf`\u{200b}";
    plan.name = format!("{bad}{}", "long ".repeat(100));
    plan.operations[0].name = bad.to_owned();
    plan.operations[1].name = "x".repeat(500);
    plan.operations[2].name = "支払い".repeat(60);
    plan.objectives = vec![
        format!("p95({}) < 150ms", plan.operations[1].name).parse().unwrap(),
        format!("error_rate({}) < 1%", plan.operations[2].name).parse().unwrap(),
    ];
    let words = "\u{1b}[31mDROP TABLE\u{1b}[0m\nline two\u{8}\u{8} 💥💥 \u{9b}5A ";
    let long: &'static str = Box::leak(words.repeat(30).into_boxed_str());
    let mut run = run(plan, 5, |n, intended| Told {
        flow: 0,
        operation: (n % 3) as u16,
        fate: answer(intended, 100, 9_000, if n % 2 == 0 { Outcome::ToolError } else { Outcome::Ok }),
        said: (n % 2 == 0).then_some((words, long)),
    });
    run.server.name = Some(bad.repeat(5));
    run.server.warnings = vec![bad.to_owned(), "w".repeat(300)];
    run.host.name = Some(bad.to_owned());
    run.ending = Ending::Rule(bad.to_owned());
    run
}

/// Two flows over the same operations, one of which had nothing to do.
pub(crate) fn flows() -> SavedRun {
    let plan = plan(
        r#"
        name = "writers and readers"
        target = { url = "https://pay.example.com/mcp" }
        [[flow]]
        name = "writers"
        operations = { create_payment = 1 }
        load = "20/s for 10s"
        objectives = ["p95 < 150ms", "rate >= 20/s"]
        [[flow]]
        name = "readers"
        operations = { verify_payment = 1, get_wallet_balance = 1 }
        load = "80/s for 10s"
        arrivals = "constant"
        objectives = ["p99 < 100ms", "p95(get_wallet_balance) < 25ms"]
        "#,
    );
    run(plan, 10, |n, intended| Told {
        flow: u16::from(n % 5 != 0),
        operation: u16::from(n % 5 != 0),
        fate: answer(intended, 100, if n % 5 == 0 { 3 * healthy(n) } else { healthy(n) / 3 }, Outcome::Ok),
        said: None,
    })
}

/// A run in which promises about money were broken, one of them with hostile words.
pub(crate) fn untrue() -> SavedRun {
    let mut run = self::run(plan(MIXED), 15, |n, intended| {
        let timeout = n.is_multiple_of(165);
        let (service, outcome) = if timeout { (5_000_000, Outcome::TimeoutNoByte) } else { (healthy(n), Outcome::Ok) };
        let said = timeout.then_some(("no byte within 5s", "no byte within 5s"));
        Told { flow: 0, operation: (n % 3) as u16, fate: answer(intended, 90 + n % 13, service, outcome), said }
    });
    let truth = &mut run.summary.truth;
    for (ms, reads) in [(3, 1200), (40, 900), (500, 400), (70_000, 20)] {
        for n in 0..reads {
            truth.read(Duration::from_millis(ms), Some(n % 2 == 0), n == 0);
        }
    }
    truth.probes[Probe::Parallel.index()] = Probes { kept: 700, broken: 2, unclear: 3 };
    truth.probes[Probe::Altered.index()].kept = 350;
    truth.balances = 480;
    *truth.unresolved_of(0) = Unresolved { operation: 0, calls: 10, happened: 3, not_happened: 2, done: 1 };
    let evidence = Evidence {
        intended: Moment::from_nanos(3_210_000_000),
        sequence: 321,
        operation: 1,
        sent: r#"{"payment_id":"pay_0000000a000000000321"}"#.into(),
        expected: "what was acknowledged as pay_0000000a000000000321".into(),
        said: "payment pay_0000000a000000000321 is not known: it was never made here, or is too old".into(),
        age: Some(Duration::from_millis(12)),
        elsewhere: Some(true),
        ..Evidence::default()
    };
    truth.violated(Violation::StaleRead, 3, evidence.clone());
    let said = "\u{1b}[2J{\"amount\":1e9}\u{202e}\n".repeat(40);
    let other = Evidence { said, expected: "/amount = 12.50".into(), elsewhere: None, age: None, ..evidence };
    truth.violated(Violation::WrongAmount, 1, other);
    run
}
