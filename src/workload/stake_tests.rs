//! Each way to answer a key that is used again, and what is made of it.

use super::*;
use crate::arrival::FlowId;
use crate::outcome::Violation;
use crate::time::Moment;

/// A lane of creates that are probes whenever they can be.
struct Lane {
    workload: Workload,
    captures: Captures,
    sequence: u64,
}

/// A call that was sent, and the arrival that it was sent for.
struct Sent(Arrival, Call);

/// How a call is answered.
#[derive(Clone, Copy)]
enum Answered<'a> {
    /// With this result.
    Ok(&'a str),
    /// With an error of the tool.
    Error(&'a str),
    /// With a status that is no success.
    Http(&'a str),
    /// Not at all.
    Timeout,
    /// It could not be sent.
    Unsent,
}

use Answered::{Error, Http, Timeout, Unsent};

const P1: Answered<'_> = Answered::Ok(r#"{"structuredContent":{"payment_id":"p1"}}"#);
const P2: Answered<'_> = Answered::Ok(r#"{"structuredContent":{"payment_id":"p2"}}"#);
const OLD: Answered<'_> = Answered::Ok(r#"{"structuredContent":{"payment_id":"p1","replayed":true}}"#);
const NEW: Answered<'_> = Answered::Ok(r#"{"structuredContent":{"payment_id":"p1","replayed":false}}"#);
const DECLINED: Answered<'_> = Answered::Ok(r#"{"structuredContent":{"payment_id":"p9","status":"declined"}}"#);

impl Lane {
    fn new() -> Self {
        let identity = RunIdentity { run_id: "run".to_owned(), started_unix_ms: 0 };
        let mix = Mix::new(&[(OperationId(0), 1.0)]).unwrap();
        let workload = Workload::new(&payments::operations(), vec![mix], 7, identity).unwrap().probing(1.0);
        let captures = workload.captures();
        Self { workload, captures, sequence: 0 }
    }

    /// The next call.
    fn send(&mut self) -> Sent {
        let intended = Moment::from_nanos(self.sequence * 1_000_000);
        let arrival = Arrival { flow: FlowId(0), sequence: self.sequence, intended };
        self.sequence += 1;
        let choice = self.workload.choose(&arrival, &self.captures);
        Sent(arrival, self.workload.call(&arrival, choice, &mut self.captures))
    }

    /// The next call that uses a key again in this way. Others are sent and forgotten.
    fn probe(&mut self, wanted: Probe) -> Sent {
        (0..200).map(|_| self.send()).find(|sent| sent.probe() == Some(wanted)).expect("each kind has its turn")
    }

    fn answer(&mut self, Sent(arrival, call): &Sent, answered: Answered<'_>) -> (Outcome, Lesson) {
        let failed = |outcome, group: &str, said: &str| {
            (outcome, Some(Box::new(Failure { group: group.to_owned(), example: said.to_owned() })))
        };
        let (outcome, failure) = match answered {
            Answered::Ok(_) => (Outcome::Ok, None),
            Error(said) => failed(Outcome::ToolError, "", said),
            Http(status) => failed(Outcome::HttpError, status, status),
            Timeout => failed(Outcome::TimeoutNoByte, "", ""),
            Unsent => failed(Outcome::Unreachable, "", ""),
        };
        let sent = (!matches!(answered, Unsent)).then_some(arrival.intended);
        let mut reply = Reply {
            outcome,
            stamps: Stamps { sent, done: arrival.intended, ..Stamps::default() },
            result: if let Answered::Ok(result) = answered {
                ToolResult::read(result.to_owned())
            } else {
                ToolResult::default()
            },
            failure,
            connection: None,
        };
        let lesson = self.workload.learn(arrival, call, &mut reply, &mut self.captures);
        (reply.outcome, lesson)
    }

    /// A lane whose first call is answered so.
    fn after(first: Answered<'_>) -> (Self, Sent) {
        let mut lane = Self::new();
        let sent = lane.send();
        assert_eq!(sent.probe(), None, "there is nothing to use again yet");
        lane.answer(&sent, first);
        (lane, sent)
    }
}

impl Sent {
    fn probe(&self) -> Option<Probe> {
        self.1.ties.stake.as_ref().and_then(|stake| stake.probe())
    }

    fn field(&self, name: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(&self.1.arguments).unwrap()[name].take()
    }
}

fn kinds(lesson: &Lesson) -> Vec<Violation> {
    lesson.findings.iter().map(|finding| finding.violation).collect()
}

#[test]
fn a_probe_sends_the_same_body_and_an_altered_one_all_but_one_value() {
    let (mut lane, first) = Lane::after(P1);
    let later = lane.probe(Probe::Later);
    assert_eq!(later.1.arguments, first.1.arguments);
    assert_ne!(later.1.id, first.1.id);
    let altered = lane.probe(Probe::Altered);
    assert_ne!(altered.field("amount"), first.field("amount"));
    let amount = first.field("amount").to_string();
    let restored = altered.1.arguments.replace(&altered.field("amount").to_string(), &amount);
    assert_eq!(restored, first.1.arguments);
}

#[test]
fn the_same_payment_later_is_right_and_another_one_is_a_double_charge_with_both_ids() {
    let (mut lane, _) = Lane::after(P1);
    let later = lane.probe(Probe::Later);
    let (outcome, lesson) = lane.answer(&later, P1);
    assert_eq!((outcome, lesson.probe, kinds(&lesson)), (Outcome::Ok, Some((Probe::Later, Probed::Kept)), vec![]));
    let later = lane.probe(Probe::Later);
    let (outcome, lesson) = lane.answer(&later, P2);
    assert_eq!((outcome, kinds(&lesson)), (Outcome::WrongAnswer, vec![Violation::DoubleCharge]));
    assert_eq!(lesson.probe, Some((Probe::Later, Probed::Broken)));
    let evidence = &lesson.findings[0].evidence;
    assert!(evidence.expected.ends_with("as p1") && evidence.said.starts_with("p2: "), "{evidence:?}");
}

#[test]
fn of_two_calls_in_parallel_either_may_be_answered_first_or_be_refused() {
    for (first, second, expected) in [
        (P1, P1, vec![]),
        (P1, P2, vec![Violation::DoubleCharge]),
        (Error("a request with this key is in progress"), P1, vec![]),
        (P1, Error("a request with this key is in progress"), vec![]),
        (Http("HTTP 409"), P1, vec![]),
        (P1, Http("HTTP 409"), vec![]),
    ] {
        for is_first_first in [true, false] {
            let mut lane = Lane::new();
            let one = lane.send();
            let two = lane.probe(Probe::Parallel);
            assert_eq!(one.1.arguments, two.1.arguments);
            let (order, answers) =
                if is_first_first { ([&one, &two], [first, second]) } else { ([&two, &one], [second, first]) };
            let ended = [lane.answer(order[0], answers[0]), lane.answer(order[1], answers[1])];
            let found: Vec<_> = ended.iter().flat_map(|(_, lesson)| kinds(lesson)).collect();
            assert_eq!(found, expected);
            assert_eq!(ended[0].0, Outcome::Ok);
            assert_eq!(ended[1].0, if expected.is_empty() { Outcome::Ok } else { Outcome::WrongAnswer });
        }
    }
}

#[test]
fn an_error_for_another_body_is_wanted_and_counts_as_ok_and_any_payment_is_not() {
    for (answered, outcome, probed) in [
        (Error("the key was used for another order"), Outcome::Ok, Probed::Kept),
        (Http("HTTP 422"), Outcome::Ok, Probed::Kept),
        (DECLINED, Outcome::Ok, Probed::Kept),
        (Error("insufficient funds"), Outcome::ToolError, Probed::Unclear),
        (Http("HTTP 400"), Outcome::HttpError, Probed::Unclear),
        (Http("HTTP 500"), Outcome::HttpError, Probed::Unclear),
        (Timeout, Outcome::TimeoutNoByte, Probed::Unclear),
        (P1, Outcome::WrongAnswer, Probed::Broken),
        (P2, Outcome::WrongAnswer, Probed::Broken),
    ] {
        let (mut lane, _) = Lane::after(P1);
        let altered = lane.probe(Probe::Altered);
        let (ended, lesson) = lane.answer(&altered, answered);
        assert_eq!((ended, lesson.probe), (outcome, Some((Probe::Altered, probed))));
        let expected: &[_] = if probed == Probed::Broken { &[Violation::AlteredAccepted] } else { &[] };
        assert_eq!(kinds(&lesson), expected);
    }
}

#[test]
fn an_error_for_reasons_of_its_own_stays_an_error_and_proves_nothing() {
    let (mut lane, _) = Lane::after(P1);
    let later = lane.probe(Probe::Later);
    let (outcome, lesson) = lane.answer(&later, Error("the bank did not answer"));
    assert_eq!((outcome, lesson.probe), (Outcome::ToolError, Some((Probe::Later, Probed::Unclear))));
    let later = lane.probe(Probe::Later);
    let (outcome, lesson) = lane.answer(&later, Error("duplicate idempotency key"));
    assert_eq!((outcome, lesson.probe), (Outcome::Ok, Some((Probe::Later, Probed::Kept))));
}

#[test]
fn what_a_call_without_an_answer_did_is_told_by_the_answer_to_its_key_or_stays_open() {
    for (answered, resolved) in [
        (OLD, Some(Resolved::Happened)),
        (NEW, Some(Resolved::NotHappened)),
        (P1, Some(Resolved::Done)),
        (Error("this idempotency key was used: payment already processed"), Some(Resolved::Happened)),
        (Error("this idempotency key is already in use"), None),
        (Error("a request with this idempotency key is in progress"), None),
        (Error("the bank did not answer"), None),
        (Timeout, None),
    ] {
        for lost in [Timeout, Http("HTTP 503")] {
            let (mut lane, first) = Lane::after(lost);
            let again = lane.probe(Probe::AfterTimeout);
            assert_eq!(again.1.arguments, first.1.arguments);
            let (_, lesson) = lane.answer(&again, answered);
            assert_eq!((lesson.resolved, lesson.is_unresolved), (resolved, false));
            // What is still open is asked for again, and what is not, is not.
            let open = (0..50).any(|_| lane.send().probe() == Some(Probe::AfterTimeout));
            assert_eq!(open, resolved.is_none());
        }
    }
}

#[test]
fn only_calls_that_may_have_happened_are_unresolved() {
    for (answered, expected) in [
        (P1, false),
        (Error("no"), false),
        (Http("HTTP 400"), false),
        (Unsent, false),
        (Http("HTTP 502"), true),
        (Timeout, true),
    ] {
        let mut lane = Lane::new();
        let sent = lane.send();
        assert_eq!(lane.answer(&sent, answered).1.is_unresolved, expected);
    }
}

#[test]
fn a_key_that_was_refused_or_never_sent_is_not_used_again() {
    for refused in [Error("insufficient funds"), Unsent, DECLINED] {
        let (mut lane, _) = Lane::after(refused);
        let next = lane.send();
        assert_eq!(next.probe(), None);
    }
}

/// A lane that pays into one account, and looks at it.
fn with_wallet() -> Lane {
    let mut all = payments::operations_with_wallets(Direction::Up);
    for operation in [0, 2] {
        all[operation].arguments["customer_id"] = "ann".into();
        all[operation].arguments["currency"] = "EUR".into();
    }
    let identity = RunIdentity { run_id: "run".to_owned(), started_unix_ms: 0 };
    let mix = Mix::new(&[(OperationId(0), 1.0), (OperationId(2), 1.0)]).unwrap();
    let workload = Workload::new(&all, vec![mix], 7, identity).unwrap().probing(1.0);
    let captures = workload.captures();
    Lane { workload, captures, sequence: 0 }
}

impl Lane {
    /// The next call that is `wanted`. Others are not sent: creates that nobody answers would make every balance possible.
    fn only(&mut self, wanted: impl Fn(&Sent) -> bool) -> Sent {
        loop {
            let sent = self.send();
            if wanted(&sent) {
                return sent;
            }
            self.answer(&sent, Unsent);
        }
    }

    /// Whether a balance of so much is believed.
    fn believes(&mut self, balance: f64) -> bool {
        let look = self.only(|sent| sent.1.operation == OperationId(2));
        let (outcome, lesson) =
            self.answer(&look, Answered::Ok(&format!(r#"{{"_meta":{{"balance":"{balance:.2}"}}}}"#)));
        assert!(lesson.balance);
        let is_right = outcome == Outcome::Ok;
        assert_eq!(kinds(&lesson), if is_right { vec![] } else { vec![Violation::BalanceOff] });
        is_right
    }
}

#[test]
fn one_key_moves_a_balance_once_whatever_became_of_its_calls() {
    for (first, wanted) in [(P1, Probe::Later), (Timeout, Probe::AfterTimeout)] {
        let mut lane = with_wallet();
        assert!(lane.believes(100.0));
        let one = lane.only(|sent| sent.1.operation == OperationId(0) && sent.probe().is_none());
        let amount = one.field("amount").as_f64().unwrap();
        lane.answer(&one, first);
        let two = lane.only(|sent| sent.probe() == Some(wanted));
        assert_eq!(two.1.arguments, one.1.arguments);
        lane.answer(&two, P1);
        assert!(!lane.believes(100.0), "it was acknowledged");
        assert!(lane.believes(100.0 + amount));
        assert!(!lane.believes(100.0 + 2.0 * amount), "one key is one payment");
    }
}

#[test]
fn a_payment_that_is_pending_or_was_charged_twice_may_move_a_balance() {
    let pending = Answered::Ok(r#"{"structuredContent":{"payment_id":"p1","status":"pending"}}"#);
    let mut lane = with_wallet();
    assert!(lane.believes(100.0));
    let one = lane.only(|sent| sent.1.operation == OperationId(0) && sent.probe().is_none());
    let amount = one.field("amount").as_f64().unwrap();
    lane.answer(&one, pending);
    assert!(lane.believes(100.0) && lane.believes(100.0 + amount), "it is to be done yet");
    let two = lane.only(|sent| sent.probe() == Some(Probe::Later));
    assert_eq!(kinds(&lane.answer(&two, P2).1), [Violation::DoubleCharge]);
    assert!(lane.believes(100.0 + 2.0 * amount), "that is told already");
}
