//! What a call costs on its way through the pure parts, in instructions: a change that makes it dearer is seen.
//!
//! Instructions are counted by valgrind, so that they depend on no machine's mood; and they are held against a reference loop
//! that is counted in the same run, so that they depend little on the compiler. `.ci/check-instructions.sh` runs this where
//! there is valgrind: without it these tests are left out.

use std::hint::black_box;
use std::process::Command;

use mcpace::arrival::{Arrival, Arrivals, FlowId, Process, Profile, Shard};
use mcpace::mcp::{Body, read_reply};
use mcpace::measure::{Fate, Recorder, Sample, Shape, Summary};
use mcpace::outcome::Outcome;
use mcpace::plan::{Plan, read_file};
use mcpace::time::{Moment, Rate};
use mcpace::verdict::{Terms, judge};
use mcpace::workload::{Mix, OperationId, Reply, RunIdentity, Stamps, ToolResult, Workload};

/// A name, what is done so many times, and how many reference loops doing it once may take.
type Subject = (&'static str, fn(u64), f64);

/// What is counted, and how many reference loops one of it may take: a third more than it took when that was last measured.
const SUBJECTS: [Subject; 6] = [
    ("schedule", schedule, 0.75),
    ("template", template, 9.4),
    ("parse", parse, 10.0),
    ("learn", learn, 16.0),
    ("record", record, 2.6),
    ("judge", judged, 135.0),
];
/// So often each thing is done at first, and so much more often the second time: what is done once cancels out.
const TIMES: [u64; 2] = [200, 1200];

const PLAN: &str = r#"
    target = { url = "http://localhost:8000" }
    [[flow]]
    operations = { create_payment = 1, verify_payment = 1, get_wallet_balance = 1 }
    load = "1000/s for 5m"
    objectives = ["p95 < 100ms", "error_rate < 0.1%", "rate >= 1000/s"]
"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1000,"result":{"content":[{"type":"text","text":"created"}],"structuredContent":{"payment_id":"pay_0123456789","status":"completed"},"isError":false}}"#;

fn plan() -> Plan {
    let (draft, faults) = read_file(PLAN);
    draft.check(42, faults).expect("the plan is sound")
}

fn workload(plan: &Plan) -> Workload {
    let mix =
        Mix::new(&[(OperationId(0), 1.0), (OperationId(1), 1.0), (OperationId(2), 1.0)]).expect("weights are a mix");
    let identity = RunIdentity { run_id: "run".to_owned(), started_unix_ms: 1_700_000_000_000 };
    Workload::new(&plan.operations, vec![mix], 7, identity).expect("the operations compile")
}

fn arrival(sequence: u64) -> Arrival {
    Arrival { flow: FlowId(0), sequence, intended: Moment::from_nanos(sequence * 1_000_000) }
}

/// The yardstick: a hash of 64 bytes, one after the other.
fn reference(times: u64) {
    let text: [u8; 64] = std::array::from_fn(|at| at as u8);
    for _ in 0..times {
        let hash = black_box(&text).iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            black_box((hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
        });
        black_box(hash);
    }
}

fn schedule(times: u64) {
    let profile = Profile::endless(Rate::per_second(1000.0).expect("a rate"));
    let arrivals = Arrivals::new(FlowId(0), Process::Poisson, &profile, 1, Shard::WHOLE, Some(times));
    for arrival in arrivals {
        black_box(arrival);
    }
}

fn template(times: u64) {
    let mut workload = workload(&plan());
    let mut captures = workload.captures();
    for sequence in 0..times {
        let choice = workload.choose(&arrival(sequence), &captures);
        black_box(workload.call(&arrival(sequence), choice, &mut captures));
    }
}

fn parse(times: u64) {
    for _ in 0..times {
        let Ok(Some(Body::Result(answer))) = read_reply(black_box(ANSWER.as_bytes()), 1000) else { panic!() };
        black_box(answer.gist.of_tool(answer.raw.as_bytes()).is_ok());
        black_box(answer);
    }
}

fn learn(times: u64) {
    let mut workload = workload(&plan());
    let mut captures = workload.captures();
    let Ok(Some(Body::Result(answer))) = read_reply(ANSWER.as_bytes(), 1000) else { panic!() };
    let result = ToolResult::read(answer.raw.to_owned());
    let choice = workload.choose(&arrival(0), &captures);
    assert_eq!(choice.operation, OperationId(0), "another answer would be wrong, which is a dear lesson");
    let call = workload.call(&arrival(0), choice, &mut captures);
    for _ in 0..times {
        let (stamps, result) = (Stamps::default(), result.clone());
        let mut reply = Reply { outcome: Outcome::Ok, stamps, result, failure: None, connection: None };
        black_box(workload.learn(&arrival(0), &call, &mut reply, &mut captures));
        assert_eq!(reply.outcome, Outcome::Ok);
    }
}

/// Arrivals that are picked up and answered, one each millisecond.
fn filled(times: u64) -> Recorder {
    let mut recorder = Recorder::new(&Shape { flows: 1, operations: 3, ..Shape::default() }, Moment::ZERO);
    for sequence in 0..times {
        let Arrival { intended, .. } = arrival(sequence);
        let nanos = intended.as_nanos();
        let (picked_up, sent) = (Moment::from_nanos(nanos + 7_000), Moment::from_nanos(nanos + 40_000));
        let done = Moment::from_nanos(nanos + 900_000 + sequence % 97 * 11_000);
        let operation = (sequence % 3) as u16;
        recorder.picked_up(0, operation, intended, picked_up);
        let fate = Fate::Answered { sent: Some(sent), first_byte: Some(done), done, outcome: Outcome::Ok };
        let sample = Sample { flow: 0, operation, sequence, substituted: false, intended, picked_up, fate };
        recorder.record(&sample, None);
    }
    recorder
}

fn record(times: u64) {
    black_box(filled(times));
}

fn judged(times: u64) {
    let plan = plan();
    let mut summary = Summary::new(Moment::ZERO);
    summary.absorb(&filled(30_000));
    summary.until = Moment::from_nanos(30_000_000_000);
    let (flows, operations) = (plan.flow_names(), plan.operation_names());
    let objectives: Vec<_> = plan
        .objectives
        .iter()
        .map(|each| each.clone().resolve(&flows, &operations).expect("it is about all calls"))
        .collect();
    for _ in 0..times / 100 {
        black_box(judge(black_box(&summary), &objectives, &Terms::of(plan.judging)));
    }
}

#[test]
#[ignore = "is started by the other test, under valgrind"]
fn one_subject() {
    let Ok(subject) = std::env::var("SUBJECT") else { return };
    let times = std::env::var("TIMES").unwrap().parse().unwrap();
    let (_, work, _) = SUBJECTS
        .into_iter()
        .chain([("reference", reference as fn(u64), 0.0)])
        .find(|(name, ..)| *name == subject)
        .unwrap();
    work(times);
}

/// How many instructions doing it once takes.
fn instructions(subject: &str) -> f64 {
    let count = |times: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe().expect("a path of our own"))
            .args(["--exact", "one_subject", "--ignored", "--test-threads=1"])
            .env("SUBJECT", subject)
            .env("TIMES", times.to_string())
            .output()
            .expect("valgrind is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let collected = said.lines().find_map(|line| line.split_once("Collected :")).expect("valgrind counts");
        collected.1.trim().parse::<f64>().expect("a count")
    };
    (count(TIMES[1]) - count(TIMES[0])) / (TIMES[1] - TIMES[0]) as f64
}

#[test]
#[ignore = "needs valgrind: .ci/check-instructions.sh"]
fn no_part_of_a_call_takes_more_instructions_than_it_did() {
    let unit = instructions("reference");
    println!("a reference loop takes {unit:.0} instructions");
    let counted = SUBJECTS.map(|(subject, _, most)| {
        let loops = instructions(subject) / unit;
        println!("{subject:>10} {:>8.0} instructions {loops:>8.2} loops, at most {most}", loops * unit);
        (subject, loops, most)
    });
    let dear: Vec<_> = counted.into_iter().filter(|(_, loops, most)| loops > most).collect();
    assert!(dear.is_empty(), "dearer than they were: {dear:?}");
    // What became far cheaper gets a new limit, or the next change that is too dear is not seen.
    let cheap: Vec<_> = counted.into_iter().filter(|(_, loops, most)| *loops < most / 2.0).collect();
    assert!(cheap.is_empty(), "far cheaper than they were, give them new limits: {cheap:?}");
}
