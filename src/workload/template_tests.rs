//! Templates: what is rendered, what is noted, and what is refused.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use super::RunIdentity;
use super::capture::{FieldId, Record};
use super::generate::Source;
use super::same::Kept;
use super::sent::Sent;
use super::template::{Ready, Template};
use crate::arrival::{Arrival, FlowId};
use crate::json::Json;
use crate::time::Moment;

fn render(arguments: &Value, sequence: u64) -> Value {
    let Ready { template, .. } = Template::compile(arguments, &["x".into()], &[], None).unwrap();
    let identity = RunIdentity { run_id: "run-1".into(), started_unix_ms: 1_000 };
    let arrival = Arrival { flow: FlowId(0), sequence, intended: Moment::from_nanos(2_500_000_000) };
    let mut random = ChaCha8Rng::seed_from_u64(sequence);
    let kept = Kept { text: "a\"b".into(), is_number: false };
    let record = Record { fields: vec![(FieldId(0), kept)], ..Record::default() };
    let mut source =
        Source { random: &mut random, arrival: &arrival, identity: &identity, lane: 0, captured: Some(&record) };
    serde_json::from_str(&template.render(&mut source).0).unwrap()
}

#[test]
fn literals_and_generators_of_exact_value_render_exactly() {
    let arguments = json!({
        "plain": [1, "two", null, {"three": true}],
        "as it stands": {"literal": {"uuid": 1}},
        "id": {"captured": "x"}, "run": {"run_id": true}, "at": {"timestamp": true},
        "n": {"counter": 5}, "c": {"counter": 5, "prefix": "c\"-"}, "one": {"choice": ["only"]},
        "text": "top level", "nested": {"plain": {"key": 1}},
    });
    let expected = json!({
        "plain": [1, "two", null, {"three": true}], "as it stands": {"uuid": 1}, "id": "a\"b", "run": "run-1",
        "at": "1970-01-01T00:00:03.500Z", "n": 8, "c": "c\"-8", "one": "only",
        "text": "top level", "nested": {"plain": {"key": 1}},
    });
    assert_eq!(render(&arguments, 3), expected);
    assert_eq!(render(&json!({"literal": {"uuid": true}}), 3), json!({"uuid": true}));
    assert_eq!(render(&json!({"text": "hello"}), 3), json!({"text": "hello"}));
}

#[test]
fn random_values_stay_within_what_was_asked() {
    for sequence in 0..200 {
        let value = render(
            &json!({
                "amount": {"uniform": [10.0, 1000.0], "decimals": 2}, "whole": {"uniform": [1, 3]},
                "log": {"lognormal": {"median": 50.0, "sigma": 0.5}, "decimals": 1},
                "rank": {"zipf": {"n": 10, "s": 1.1}}, "text": {"text": 8, "prefix": "p "},
                "key": {"unique": 32, "prefix": "test_"}, "pool": {"pool": 4, "prefix": "c"},
                "id": {"uuid": true}, "pooled": {"pool": 4},
            }),
            sequence,
        );
        let amount = value["amount"].as_f64().unwrap();
        assert!((10.0..=1000.0).contains(&amount) && (amount * 100.0 - (amount * 100.0).round()).abs() < 1e-6);
        assert!((1..=3).contains(&value["whole"].as_u64().unwrap()));
        assert!(value["log"].as_f64().unwrap() > 0.0);
        assert!((1..=10).contains(&value["rank"].as_u64().unwrap()));
        assert!(value["text"].as_str().unwrap().starts_with("p ") && value["text"].as_str().unwrap().len() == 10);
        assert_eq!(value["key"].as_str().unwrap().len(), 37);
        assert!(["c0", "c1", "c2", "c3"].contains(&value["pool"].as_str().unwrap()));
        assert_eq!(uuid::Uuid::parse_str(value["id"].as_str().unwrap()).unwrap().get_version_num(), 4);
        assert!(uuid::Uuid::parse_str(value["pooled"].as_str().unwrap()).is_ok());
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
    let fault = |arguments: Value| Template::compile(&arguments, &[], &[], None).unwrap_err().join("; ");
    assert_eq!(fault(json!([1])), "arguments [1] are not an object: give {\"name\": value, …}");
    assert_eq!(
        fault(json!({"a": {"b": {"uniform": [2, 1]}}})),
        "arguments.a.b: uniform [2,1] is not two numbers, the lower first: [1.0, 10.0]"
    );
    assert_eq!(fault(json!({"a": {"text": 0}})), "arguments.a: text 0 is not a whole number from 1 to 65536");
    assert_eq!(
        fault(json!({"a": {"captured": "x"}})),
        "arguments.a: captured `x` is captured by no operation: add capture = { x = \"/field\" } to one"
    );
    assert_eq!(
        fault(json!({"a": {"uniform": [1, 2], "decimls": 2}})),
        "arguments.a: `decimls` does not go with uniform"
    );
    assert_eq!(
        fault(json!({"a": {"uuid": false}})),
        "arguments.a: uuid false is not uuid = true; if the table is meant as it stands, write { literal = { … } }"
    );
    assert!(fault(json!({"a": {"uniform": [-1.7e308, 1.7e308]}})).starts_with("arguments.a: uniform"));
    assert!(fault(json!({"a": {"lognormal": {"median": 1e300, "sigma": 1000.0}}})).contains("beyond all numbers"));
    assert_eq!(
        fault(json!({"a": {"text": 0}, "b": [{"choice": []}]})),
        "arguments.a: text 0 is not a whole number from 1 to 65536; arguments.b[0]: choice [] is not a list with something in it"
    );
    assert!(fault(json!({"a": {"zipf": {"n": 0, "s": 1.0}}})).starts_with("arguments.a: zipf"));
    assert!(fault(json!({"a": {"lognormal": [1, 2]}})).starts_with("arguments.a: lognormal"));
    assert!(fault(json!({"a": {"choice": []}})).starts_with("arguments.a: choice"));
}

#[test]
fn auto_is_made_from_the_schema_of_its_place() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 6},
        "list": {"type": "array", "items": {"const": "x"}}}, "required": ["n"]});
    let identity = RunIdentity { run_id: "r".into(), started_unix_ms: 0 };
    let arrival = Arrival { flow: FlowId(0), sequence: 0, intended: Moment::ZERO };
    let render = |arguments: Value| -> Value {
        let ready = Template::compile(&arguments, &[], &[], Some(&schema)).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut source =
            Source { random: &mut random, arrival: &arrival, identity: &identity, lane: 0, captured: None };
        serde_json::from_str(&ready.template.render(&mut source).0).unwrap()
    };
    assert!([5, 6].contains(&render(json!("auto"))["n"].as_i64().unwrap()));
    let one = render(json!({"n": 1, "list": ["y", {"auto": true}], "auto": true}));
    assert_eq!(one, json!({"n": 1, "list": ["y", "x"], "auto": true}), "at the top `auto` is a name");
    let noted = Template::compile(&json!({"n": {"auto": true}}), &[], &["/n"], Some(&schema)).unwrap();
    assert_eq!(noted.noted, [Sent::Span(0)]);
    assert!(Template::compile(&json!({"n": {"auto": true}}), &[], &[], None).unwrap().is_open);
    let fault = |arguments: Value| Template::compile(&arguments, &[], &[], Some(&schema)).unwrap_err().join("; ");
    assert!(
        fault(json!({"m": {"auto": true}})).contains(
            "arguments.m: the tool's input schema cannot be followed: it says nothing of `m`, but of n, list"
        )
    );
    assert!(fault(json!({"n": {"auto": false}})).contains("arguments.n: auto false is not auto = true"));
    assert!(fault(json!("automatic")).contains("are not an object"));
}

#[test]
fn noted_values_are_found_in_what_was_rendered() {
    let arguments = json!({"a": [{"text": 4, "prefix": "p"}, 7], "b": {"c": {"uniform": [1.0, 2.0], "decimals": 2}}});
    let ready = Template::compile(&arguments, &[], &["/b/c", "/a/0", "/a/1", "/b/c"], None).unwrap();
    assert_eq!(ready.noted[0], ready.noted[3]);
    let identity = RunIdentity { run_id: "r".into(), started_unix_ms: 0 };
    let arrival = Arrival { flow: FlowId(0), sequence: 3, intended: Moment::ZERO };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut source = Source { random: &mut random, arrival: &arrival, identity: &identity, lane: 0, captured: None };
    let (text, spans) = ready.template.render(&mut source);
    let value: Value = serde_json::from_str(&text).unwrap();
    for (sent, pointer) in ready.noted.iter().zip(["/b/c", "/a/0", "/a/1"]) {
        let value = value.pointer(pointer).unwrap().to_string();
        assert!(sent.of(&text, &spans).means(Json::read(&value).unwrap()), "{pointer} of {text}");
    }
    let whole = json!({"literal": {"a": 1, "b": {"uuid": true}}});
    let ready = Template::compile(&whole, &[], &["/a"], None).unwrap();
    assert_eq!(ready.noted, [Sent::Constant(Kept { text: "1".into(), is_number: true })]);
    assert!(Template::compile(&whole, &[], &["/b"], None).unwrap_err()[0].contains("point at a text"));
    for (wrong, why) in [("/x", "have no `/x`"), ("a", "have no `a`"), ("/b", "point at a text"), ("/a/2", "have no")] {
        let faults = Template::compile(&arguments, &[], &[wrong], None).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(why), "{faults:?}");
    }
}
