//! Plan files that nobody meant: each ends in a plan or in its faults, soon, and never in a panic.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Faults, Plan, read_file};
use crate::arrival::{Arrivals, FlowId, Shard};
use crate::workload::{Mix, OperationId, RunIdentity, Workload};

/// A plan with something of everything.
const WHOLE: &str = r#"
name = "everything"
seed = 7
objectives = ["p95(pay) < 150ms", "error_rate < 0.1%", "rate >= 10/s"]
[target]
url = "https://pay.example.com:8443/mcp?key=k"
protocol = "2025-11-25"
sessions = "pool:4"
bearer_token_file = "token"
ca_cert = "ca.pem"
client_cert = "me.pem"
client_key = "me.key"
http2 = true
connect_per_call = false
connect_timeout = "5s"
headers = { x-tenant = "acme", x-api-key = "env:KEY" }
[run]
concurrent = 100
timeout = "30s"
warmup = "2s"
pacing = "exact"
lanes = 2
max_reply_bytes = 1048576
[truth]
read_elsewhere = "10%"
[[flow]]
name = "steady"
operations = { pay = 3, look = 1.5 }
load = "100/s for 10s, ramp to 500/s over 1m, 500/s for 20s"
arrivals = "poisson"
objectives = ["p99 < 1s", "dropped < 1%"]
[[flow]]
operations = { create_payment = 1 }
rate = "60/m"
duration = "90s"
total = 1000
arrivals = "token-bucket"
burst = 10
[[operation]]
name = "pay"
tool = "create_payment"
capture = { payment_id = "/payment_id" }
remember = { amount = "/amount" }
expect = { "/status" = "completed" }
[operation.arguments]
amount = { uniform = [10.0, 99.0], decimals = 2 }
tip = { lognormal = { median = 50.0, sigma = 0.5 }, decimals = 1 }
rank = { zipf = { n = 1000, s = 1.1 }, prefix = "r" }
number = { counter = 5, prefix = "n" }
words = { text = 12 }
key = { unique = 32, prefix = "test_" }
of = { pool = 100, prefix = "c" }
at = { timestamp = true }
run = { run_id = true }
one = { choice = ["a", "b", 3] }
id = { uuid = true }
raw = { literal = { uuid = true } }
list = [1, [2, { deep = { deeper = true } }], "x"]
[[operation]]
name = "look"
tool = "verify_payment"
must_find = true
arguments = { payment_id = { captured = "payment_id" } }
"#;

/// What may stand in the place of a value.
const VALUES: [&str; 30] = [
    "0",
    "-1",
    "1",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "1e308",
    "-1e-308",
    "nan",
    "inf",
    "-inf",
    "true",
    "\"\"",
    "\"1e30/s for 1e30h\"",
    "\"0.000001/s for 1ns\"",
    "\"1000000000/s\"",
    "\"ramp to 0/s over 0s\"",
    "\"p999999 < 1ns\"",
    "\"18446744073709551615\"",
    "\"\\u0000\"",
    "\"é\"",
    "[]",
    "{}",
    "[[[[[]]]]]",
    "{ a = { b = 1 } }",
    "1979-05-27T07:32:00Z",
    "{ uuid = true, pool = 9223372036854775807 }",
    "{ text = 9223372036854775807 }",
    "{ pool = 9223372036854775807 }",
    "{ uniform = [-1e308, 1e308], decimals = 308 }",
];

#[derive(Clone, Debug)]
enum Mangling {
    Byte(Index, u8),
    /// The value of a line is replaced.
    Value(Index, usize),
    /// A line is left out, or stands elsewhere too.
    Without(Index),
    Again(Index, Index),
    /// Numbers grow.
    Digits(Index, usize),
}

fn manglings() -> impl Strategy<Value = Vec<Mangling>> {
    let mangling = prop_oneof![
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mangling::Byte(at, byte)),
        4 => (any::<Index>(), 0..VALUES.len()).prop_map(|(at, value)| Mangling::Value(at, value)),
        1 => any::<Index>().prop_map(Mangling::Without),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mangling::Again(from, to)),
        2 => (any::<Index>(), 1..25_usize).prop_map(|(at, count)| Mangling::Digits(at, count)),
    ];
    prop::collection::vec(mangling, 1..5)
}

fn mangled(manglings: &[Mangling]) -> String {
    let mut text = WHOLE.to_owned();
    for mangling in manglings {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        match mangling {
            Mangling::Byte(at, byte) => {
                let mut bytes = text.clone().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                text = String::from_utf8_lossy(&bytes).into_owned();
                continue;
            }
            Mangling::Value(at, value) => {
                let at = at.index(lines.len());
                if let Some((key, _)) = lines[at].split_once('=') {
                    lines[at] = format!("{key}= {}", VALUES[*value]);
                }
            }
            Mangling::Without(at) => drop(lines.remove(at.index(lines.len()))),
            Mangling::Again(from, to) => {
                let line = lines[from.index(lines.len())].clone();
                lines.insert(to.index(lines.len()), line);
            }
            Mangling::Digits(at, count) => {
                let digits: Vec<usize> =
                    text.match_indices(|letter: char| letter.is_ascii_digit()).map(|(at, _)| at).collect();
                if !digits.is_empty() {
                    text.insert_str(*at.get(&digits), &"9".repeat(*count));
                }
                continue;
            }
        }
        text = lines.join("\n");
    }
    text
}

/// A plan, or faults that say something; a plan survives being saved, and its calls can be made.
fn check(text: &str) -> Result<bool, TestCaseError> {
    let (draft, faults) = read_file(text);
    let plan: Result<Plan, Faults> = draft.check(1, faults);
    match plan {
        Err(Faults(faults)) => {
            prop_assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.trim().is_empty()), "{:?}", faults);
            Ok(false)
        }
        Ok(plan) => {
            let saved = serde_json::to_string(&plan).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let again: Plan =
                serde_json::from_str(&saved).map_err(|e| TestCaseError::fail(format!("{e} in {saved}")))?;
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), saved);
            check_calls(&plan)?;
            Ok(true)
        }
    }
}

/// Every flow of a plan makes arrivals, and its calls have arguments that are JSON of no great length.
fn check_calls(plan: &Plan) -> Result<(), TestCaseError> {
    let place = |name: &str| plan.operations.iter().position(|o| o.name == name).map(|at| OperationId(at as u16));
    let mix = |weights: &[(String, f64)]| {
        Mix::new(&weights.iter().map(|(name, weight)| (place(name).unwrap(), *weight)).collect::<Vec<_>>()).unwrap()
    };
    let mixes = plan.flows.iter().map(|flow| mix(&flow.mix)).collect();
    let identity = RunIdentity { run_id: "r".to_owned(), started_unix_ms: 0 };
    let mut workload = Workload::new(&plan.operations, mixes, plan.seed, identity).unwrap();
    let mut captures = workload.captures();
    for (at, flow) in plan.flows.iter().enumerate() {
        let (id, whole) = (FlowId(at as u16), Shard::WHOLE);
        for arrival in Arrivals::new(id, flow.arrivals, &flow.load, plan.seed, whole, flow.total).take(5) {
            let choice = workload.choose(&arrival, &captures);
            let call = workload.call(&arrival, choice, &mut captures);
            prop_assert!(call.arguments.len() < 100_000);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&call.arguments).is_ok(), "{}", call.arguments);
        }
    }
    Ok(())
}

#[test]
fn the_whole_plan_is_one() {
    let (draft, faults) = read_file(WHOLE);
    let plan = draft.check(1, faults).unwrap();
    assert_eq!((plan.flows.len(), plan.operations.len()), (2, 3));
}

#[test]
fn depth_and_length_end_in_faults_and_not_in_an_overflow() {
    for (before, piece, after) in [
        ("a = ", "[", ""),
        ("a = ", "{ a = ", ""),
        ("[[operation]]\nname = \"a\"\narguments.a = ", "[", "]"),
        ("", "[a", ""),
        ("a", ".a", " = 1"),
        ("[", "a.", "a]"),
        ("name = \"", "\\u0041", "\""),
        ("name = '''", "\n", ""),
    ] {
        let text = format!("{before}{}{}", piece.repeat(100_000), after.repeat(if after == "]" { 100_000 } else { 1 }));
        let (draft, faults) = read_file(&text);
        if let Err(Faults(faults)) = draft.check(1, faults) {
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.is_empty()));
        }
    }
}

proptest! {
    #[test]
    fn mangled_plans_are_plans_or_have_faults(manglings in manglings()) {
        check(&mangled(&manglings))?;
    }

    #[test]
    fn any_text_is_a_plan_or_has_faults(text in any::<String>(), lines in prop::collection::vec("[a-z_]{1,8} ?= ?[\"\\[\\]{}0-9a-z.-]{0,8}", 0..6)) {
        check(&text)?;
        check(&lines.join("\n"))?;
    }
}
