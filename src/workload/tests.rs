//! The workload as the engine uses it: choices, calls, and what replies teach.

use super::*;
use crate::arrival::FlowId;
use crate::outcome::Violation;
use crate::time::Moment;

fn workload(run_id: &str) -> Workload {
    let identity = RunIdentity { run_id: run_id.to_owned(), started_unix_ms: 1_700_000_000_000 };
    let mix = Mix::new(&[(OperationId(0), 1.0), (OperationId(1), 1.0), (OperationId(2), 1.0)]).unwrap();
    Workload::new(&payments::operations(), vec![mix], 7, identity).unwrap()
}

fn arrival(sequence: u64) -> Arrival {
    Arrival { flow: FlowId(0), sequence, intended: Moment::from_nanos(sequence * 1_000_000) }
}

fn reply(result: &str) -> Reply {
    Reply {
        outcome: Outcome::Ok,
        stamps: Stamps::default(),
        result: ToolResult::read(result.to_owned()),
        failure: None,
        connection: None,
    }
}

/// The first arrival for which the mix gives this operation.
fn of(workload: &mut Workload, operation: u16) -> u64 {
    let mut captures = workload.captures();
    keep(workload, &mut captures, "any");
    (0..1000).find(|n| workload.choose(&arrival(*n), &captures).operation == OperationId(operation)).unwrap()
}

/// Keeps a payment's id as if a create had answered it.
fn keep(workload: &Workload, captures: &mut Captures, id: &str) {
    let name = workload.operations[1].needs.unwrap().0;
    let kept = same::Kept { text: id.into(), is_number: false };
    captures.keep(name, Rc::new(Record { fields: vec![(name, kept)], ..Record::default() }));
}

fn make(workload: &mut Workload, arrival: &Arrival, captures: &mut Captures) -> (Choice, Call) {
    let choice = workload.choose(arrival, captures);
    (choice, workload.call(arrival, choice, captures))
}

#[test]
fn a_call_is_a_function_of_seed_flow_and_sequence_whatever_was_asked_before() {
    let (mut one, mut two) = (workload("run"), workload("run"));
    let mut none = one.captures();
    let straight: Vec<_> = (0..50).map(|n| make(&mut one, &arrival(n), &mut none).1.arguments).collect();
    let backwards: Vec<_> = (0..50).rev().map(|n| make(&mut two, &arrival(n), &mut none).1.arguments).collect();
    assert_eq!(straight, backwards.into_iter().rev().collect::<Vec<_>>());
    assert_ne!(straight[0], straight[1]);
}

#[test]
fn idempotency_keys_change_with_the_run_and_nothing_else_does_but_the_run_id() {
    let (mut one, mut two) = (workload("first"), workload("second"));
    let mut none = one.captures();
    let sequence = of(&mut one, 0);
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut a = parse(&make(&mut one, &arrival(sequence), &mut none).1.arguments);
    let mut b = parse(&make(&mut two, &arrival(sequence), &mut none).1.arguments);
    assert_ne!(a["idempotency_key"], b["idempotency_key"]);
    for value in [&mut a, &mut b] {
        value["idempotency_key"].take();
        value["metadata"]["load_test_id"].take();
    }
    assert_eq!(a, b);
}

#[test]
fn a_verify_without_a_payment_becomes_a_create_and_says_so() {
    let mut workload = workload("run");
    let mut captures = workload.captures();
    let sequence = of(&mut workload, 1);
    let (choice, first) = make(&mut workload, &arrival(sequence), &mut captures);
    assert_eq!(choice, Choice { operation: OperationId(0), substituted: true });

    let mut answer = reply(r#"{"structuredContent":{"payment_id":"pay_1","status":"pending"}}"#);
    workload.learn(&arrival(sequence), &first, &mut answer, &mut captures);
    assert_eq!(answer.outcome, Outcome::Ok);

    let (choice, second) = make(&mut workload, &arrival(sequence), &mut captures);
    assert_eq!(choice, Choice { operation: OperationId(1), substituted: false });
    assert_eq!(second.arguments, r#"{"payment_id":"pay_1"}"#);
}

#[test]
fn an_answer_for_another_payment_is_wrong() {
    let mut workload = workload("run");
    let mut captures = workload.captures();
    keep(&workload, &mut captures, "pay_1");
    let sequence = of(&mut workload, 1);
    let (_, call) = make(&mut workload, &arrival(sequence), &mut captures);
    let mut answer = reply(r#"{"structuredContent":{"payment_id":"pay_2","status":"completed"}}"#);
    workload.learn(&arrival(sequence), &call, &mut answer, &mut captures);
    assert_eq!(answer.outcome, Outcome::WrongAnswer);
    assert_eq!(answer.failure.unwrap().group, "/payment_id is not the value asked for");
}

#[test]
fn ids_never_repeat_over_flows() {
    let identity = RunIdentity { run_id: "r".into(), started_unix_ms: 0 };
    let mix = || Mix::new(&[(OperationId(2), 1.0)]).unwrap();
    let mut workload = Workload::new(&payments::operations(), vec![mix(), mix()], 1, identity).unwrap();
    let mut none = workload.captures();
    let mut ids: Vec<u64> = (0..100)
        .map(|n| Arrival { flow: FlowId(n % 2), sequence: u64::from(n / 2), intended: Moment::ZERO })
        .map(|a| make(&mut workload, &a, &mut none).1.id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (FIRST_CALL_ID..FIRST_CALL_ID + 100).collect::<Vec<_>>());
}

/// A lane that has created one payment at second 1 over connection 1.
struct Scene {
    workload: Workload,
    captures: Captures,
    verifies: Vec<u64>,
}

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

impl Scene {
    fn new() -> Self {
        let mut workload = workload("run").reading_elsewhere(1.0);
        let mut captures = workload.captures();
        let sequence = of(&mut workload, 0);
        let (_, call) = make(&mut workload, &arrival(sequence), &mut captures);
        let sent: serde_json::Value = serde_json::from_str(&call.arguments).unwrap();
        let body = format!(
            r#"{{"structuredContent":{{"payment_id":"p1","amount":"{}","currency":{}}}}}"#,
            sent["amount"], sent["currency"]
        );
        let mut answer = reply(&body);
        (answer.stamps.done, answer.connection) = (at(1000), Some(ConnectionId(1)));
        let lesson = workload.learn(&arrival(sequence), &call, &mut answer, &mut captures);
        assert_eq!((answer.outcome, lesson.read), (Outcome::Ok, None));
        assert!(lesson.findings.is_empty());
        let any = |n: &u64| workload.choose(&arrival(*n), &captures).operation == OperationId(1);
        let verifies = (0..1000).filter(any).collect();
        Self { workload, captures, verifies }
    }

    /// The next verify, sent at `ms` over connection `by` and answered at once with `result`, or with an error of the tool.
    fn verify(&mut self, ms: u64, by: u64, result: Result<&str, &str>) -> (Outcome, Lesson) {
        let arrival = Arrival { intended: at(ms), ..arrival(self.verifies.pop().unwrap()) };
        let (_, call) = make(&mut self.workload, &arrival, &mut self.captures);
        assert_eq!((&*call.arguments, call.avoid), (r#"{"payment_id":"p1"}"#, Some(ConnectionId(1))));
        let mut reply = reply(result.unwrap_or_default());
        if let Err(said) = result {
            reply.outcome = Outcome::ToolError;
            reply.failure = Some(Box::new(Failure { group: String::new(), example: said.to_owned() }));
        }
        reply.stamps = Stamps { sent: Some(at(ms)), done: at(ms), ..Stamps::default() };
        reply.connection = Some(ConnectionId(by));
        let lesson = self.workload.learn(&arrival, &call, &mut reply, &mut self.captures);
        (reply.outcome, lesson)
    }
}

const FOUND: Result<&str, &str> = Ok(r#"{"structuredContent":{"payment_id":"p1","status":"completed"}}"#);
const MISSING: Result<&str, &str> = Err("payment p1 not found");

fn kinds(lesson: &Lesson) -> Vec<(Violation, u64)> {
    lesson.findings.iter().map(|finding| (finding.violation, finding.calls)).collect()
}

#[test]
fn a_read_has_the_age_of_its_write_and_says_whether_it_went_elsewhere() {
    let mut scene = Scene::new();
    let (outcome, lesson) = scene.verify(1250, 1, FOUND);
    let read = Read { age: std::time::Duration::from_millis(250), elsewhere: Some(false), violated: false };
    assert_eq!((outcome, lesson.read), (Outcome::Ok, Some(read)));
    let (_, lesson) = scene.verify(1250, 2, FOUND);
    assert_eq!(lesson.read, Some(Read { elsewhere: Some(true), ..read }));
    let (outcome, lesson) = scene.verify(1250, 2, Err("the bank did not answer"));
    assert_eq!((outcome, lesson.read), (Outcome::ToolError, None), "an error is no read");
}

#[test]
fn what_a_read_missed_and_a_later_one_finds_was_stale() {
    let mut scene = Scene::new();
    for ms in [1001, 1002] {
        let (outcome, lesson) = scene.verify(ms, 2, MISSING);
        assert_eq!((outcome, lesson.read.unwrap().violated), (Outcome::WrongAnswer, true));
        assert!(lesson.findings.is_empty(), "what that was is not known yet");
    }
    let (outcome, lesson) = scene.verify(5000, 2, FOUND);
    assert_eq!((outcome, kinds(&lesson)), (Outcome::Ok, vec![(Violation::StaleRead, 2)]));
    let evidence = &lesson.findings[0].evidence;
    assert_eq!((evidence.intended, evidence.elsewhere), (at(1001), Some(true)));
    assert_eq!((&*evidence.expected, &*evidence.said), ("what was acknowledged as p1", "payment p1 not found"));
    assert!(Workload::conclude(&mut scene.captures).is_empty());
}

#[test]
fn what_is_missed_again_a_second_later_is_lost_and_every_further_miss_counts() {
    let mut scene = Scene::new();
    assert!(scene.verify(1001, 2, MISSING).1.findings.is_empty());
    assert!(scene.verify(1900, 2, MISSING).1.findings.is_empty(), "no second has passed");
    let absent = Ok(r#"{"structuredContent":{"payment_id":"p1","status":"not_found"}}"#);
    let (outcome, lesson) = scene.verify(2001, 2, absent);
    assert_eq!((outcome, kinds(&lesson)), (Outcome::WrongAnswer, vec![(Violation::LostWrite, 3)]));
    assert_eq!(kinds(&scene.verify(2500, 2, MISSING).1), [(Violation::LostWrite, 1)]);
}

#[test]
fn what_has_no_second_look_is_told_by_its_age() {
    for (ms, violation) in [(1999, Violation::StaleRead), (2000, Violation::LostWrite)] {
        let mut scene = Scene::new();
        scene.verify(ms, 2, MISSING);
        let findings = Workload::conclude(&mut scene.captures);
        assert_eq!(kinds(&Lesson { findings, ..Lesson::default() }), [(violation, 1)]);
    }
}

#[test]
fn a_verify_with_another_amount_or_currency_than_was_acknowledged_is_wrong() {
    for (field, value) in [("amount", "\"0.01\""), ("currency", "\"CHF\"")] {
        let body = format!(r#"{{"structuredContent":{{"payment_id":"p1","status":"x","{field}":{value}}}}}"#);
        let (outcome, lesson) = Scene::new().verify(1250, 2, Ok(&body));
        assert_eq!((outcome, kinds(&lesson)), (Outcome::WrongAnswer, vec![(Violation::WrongAmount, 1)]));
    }
    let other = Ok(r#"{"structuredContent":{"payment_id":"p2","status":"completed"}}"#);
    assert_eq!(kinds(&Scene::new().verify(1250, 2, other).1), [(Violation::WrongPayment, 1)]);
}

#[test]
fn a_create_that_was_refused_is_no_write_that_must_be_found() {
    for (status, is_kept) in [("completed", true), ("processed", true), ("pending", true), ("declined", false)] {
        let mut workload = workload("run");
        let mut captures = workload.captures();
        let sequence = of(&mut workload, 0);
        let (_, call) = make(&mut workload, &arrival(sequence), &mut captures);
        let body =
            format!(r#"{{"structuredContent":{{"status":"success","payment":{{"id":"p1","status":"{status}"}}}}}}"#);
        let mut answer = reply(&body);
        workload.learn(&arrival(sequence), &call, &mut answer, &mut captures);
        assert_eq!(answer.outcome, Outcome::Ok);
        let name = workload.operations[1].needs.unwrap().0;
        assert_eq!(!captures.is_empty(name), is_kept, "{status}");
    }
}
