//! WHAT is called: operations, their mix, generated arguments, captured values and expectations.
//!
//! Which operation an arrival calls, and every generated field of its arguments, is a function of (seed, flow, sequence);
//! captured values come from earlier replies. Nothing here waits, sends or looks at a clock.

mod call;
mod capture;
mod dice;
mod expect;
mod generate;
mod mix;
mod operation;
pub mod payments;
mod same;
mod schema;
mod sent;
mod template;
mod truth;

pub use call::{Call, Choice, ConnectionId, FIRST_CALL_ID, Failure, OperationId, Reply, Stamps, Ties};
pub use capture::Captures;
pub use mix::Mix;
pub use operation::Operation;
pub use template::TemplateError;
pub use truth::{Evidence, Finding, Lesson, Read};

use std::rc::Rc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::arrival::Arrival;
use crate::outcome::Outcome;
use crate::time::Moment;
use dice::Dice;
use expect::Answer;
use generate::Source;
use operation::{Compiled, names};
use truth::Scene;

/// What tells one run from another of the same plan.
#[derive(Clone, Debug)]
pub struct RunIdentity {
    /// A fresh id: part of every idempotency key, so that a rerun does not replay old payments.
    pub run_id: String,
    /// The wall clock at [`crate::time::Moment::ZERO`], milliseconds since 1970 (UTC): the base of generated timestamps.
    pub started_unix_ms: u64,
}

/// The operations and mixes of a plan, compiled: makes the call for an arrival and checks the reply that came.
#[derive(Clone, Debug)]
pub struct Workload {
    operations: Vec<Compiled>,
    mixes: Vec<Mix>,
    /// How many names captured and remembered values have.
    names: usize,
    identity: RunIdentity,
    seed: u64,
    random: ChaCha8Rng,
    read_elsewhere: f64,
    check_output: f64,
}

/// Random words that belong to each arrival. A call that needs more reads on into its neighbour's, which harms nobody.
const WORDS_PER_ARRIVAL: u128 = 1024;

impl Workload {
    /// Compiles `operations` and one mix per flow.
    ///
    /// # Errors
    /// A template that is not well formed, or that uses a captured value which no operation captures.
    pub fn new(
        operations: &[Operation],
        mixes: Vec<Mix>,
        seed: u64,
        identity: RunIdentity,
    ) -> Result<Self, TemplateError> {
        let names = names(operations);
        let compiled = operations.iter().map(|o| Compiled::new(o, operations, &names)).collect::<Result<_, _>>();
        let compiled: Vec<Compiled> = compiled.map_err(|faults| faults.into_iter().next().unwrap_or_default())?;
        if let Some((open, _)) = operations.iter().zip(&compiled).find(|(_, compiled)| compiled.is_open) {
            let why =
                "its arguments are to be made from its tool's input schema, which is not known: give them".to_owned();
            return Err(TemplateError { operation: open.name.clone(), why });
        }
        let operations = compiled;
        let random = ChaCha8Rng::seed_from_u64(seed);
        Ok(Self {
            operations,
            mixes,
            names: names.len(),
            identity,
            seed,
            random,
            read_elsewhere: 0.0,
            check_output: 0.0,
        })
    }

    /// The same workload, in which this share (0 to 1) of the reads that must find what was acknowledged asks for another
    /// connection than that of the write.
    #[must_use]
    pub const fn reading_elsewhere(mut self, share: f64) -> Self {
        self.read_elsewhere = share;
        self
    }

    /// The same workload, in which this share (0 to 1) of the results is held to the output schema of its tool.
    #[must_use]
    pub const fn checking_output(mut self, share: f64) -> Self {
        self.check_output = share;
        self
    }

    /// An empty store for this workload's captured values.
    pub fn captures(&self) -> Captures {
        Captures::new(self.names)
    }

    /// Which operation `arrival` calls. Where the mix gives one that needs a captured value and there is none yet, the
    /// operation that captures it takes its place, and the choice says so.
    pub fn choose(&mut self, arrival: &Arrival, captures: &Captures) -> Choice {
        let random = Self::seek(&mut self.random, arrival);
        let operation = self.mixes[usize::from(arrival.flow.0)].pick(random);
        match self.operations[usize::from(operation.0)].needs {
            Some((capture, fallback)) if captures.is_empty(capture) => {
                Choice { operation: fallback, substituted: true }
            }
            _ => Choice { operation, substituted: false },
        }
    }

    /// The call for `arrival`, of the operation that was chosen for it.
    pub fn call(&mut self, arrival: &Arrival, choice: Choice, captures: &Captures) -> Call {
        let Self { operations, mixes, identity, random, seed, read_elsewhere, .. } = self;
        let random = Self::seek(random, arrival);
        // The word that chose the operation is spent, here as there.
        mixes[usize::from(arrival.flow.0)].pick(random);
        let compiled = &operations[usize::from(choice.operation.0)];
        let mut dice = Dice::new(*seed, arrival.flow.0, arrival.sequence);
        let record = compiled.needs.and_then(|(name, _)| {
            let drawn = captures.draw(name, |count| random.random_range(0..count), &mut dice)?;
            let is_second = compiled.must_find && captures.has_missed() && dice.toss(0.5);
            let second = is_second.then(|| captures.second_look(name, before(arrival))).flatten();
            Some(Rc::clone(second.unwrap_or(drawn)))
        });
        let elsewhere = compiled.must_find && dice.toss(*read_elsewhere);
        let avoid = record.as_ref().filter(|_| elsewhere).and_then(|record| record.connection);
        let mut source = Source { random, arrival, identity, captured: record.as_deref() };
        let (arguments, spans) = compiled.template.render(&mut source);
        let id = FIRST_CALL_ID + arrival.sequence * mixes.len() as u64 + u64::from(arrival.flow.0);
        Call { operation: choice.operation, id, arguments, ties: Ties { record, spans }, avoid }
    }

    /// Reads what the reply to the call for `arrival` teaches: checks its expectations, keeps its captured values, looks
    /// whether what was acknowledged is found. A reply that was ok on the wire but not in meaning becomes
    /// [`Outcome::WrongAnswer`], and so does an error that says that an acknowledged write does not exist.
    pub fn learn(&self, arrival: &Arrival, call: &Call, reply: &mut Reply, captures: &mut Captures) -> Lesson {
        let compiled = &self.operations[usize::from(call.operation.0)];
        let lesson = Self::learn_meaning(compiled, arrival, call, reply, captures);
        if let Some(output) = compiled.output.as_ref().filter(|_| reply.outcome == Outcome::Ok)
            && Dice::of_output(self.seed, arrival.flow.0, arrival.sequence).toss(self.check_output)
            && let Err(failure) = Answer::parse(&reply.result).keeps(output)
        {
            reply.is_wrong(failure);
        }
        lesson
    }

    /// What the reply teaches beside its form.
    fn learn_meaning(
        compiled: &Compiled,
        arrival: &Arrival,
        call: &Call,
        reply: &mut Reply,
        captures: &mut Captures,
    ) -> Lesson {
        let asked = compiled.needs.filter(|_| compiled.must_find).zip(call.ties.record.as_ref());
        let asked = asked.map(|((name, _), record)| (name, record));
        match (reply.outcome, asked) {
            (Outcome::Ok, _) if compiled.asks_nothing() && asked.is_none() => Lesson::default(),
            (Outcome::Ok, _) => Self::read(compiled, arrival, call, reply, captures),
            (Outcome::ToolError | Outcome::RpcError, Some((name, record))) => {
                let said = reply.failure.as_ref().map(|failure| failure.example.clone()).unwrap_or_default();
                if !truth::says_missing(&said) {
                    return Lesson::default();
                }
                let scene = Scene { arrival, call, reply };
                let (failure, finding) = truth::missed(name, record, scene, &said, captures);
                let read = scene.read(true);
                reply.is_wrong(failure);
                Lesson { read, findings: finding.into_iter().collect() }
            }
            _ => Lesson::default(),
        }
    }

    /// Reads an answer that is ok on the wire.
    fn read(compiled: &Compiled, arrival: &Arrival, call: &Call, reply: &mut Reply, captures: &mut Captures) -> Lesson {
        let scene = Scene { arrival, call, reply };
        let asked = compiled.needs.filter(|_| compiled.must_find).zip(call.ties.record.as_ref());
        let answer = Answer::parse(&reply.result);
        let said_missing = |words: &str, captures: &mut Captures| {
            let ((name, _), record) = asked?;
            Some(truth::missed(name, record, scene, words, captures))
        };
        let wrong = match compiled.check(&answer, call) {
            _ if asked.is_some() && truth::is_missing(&answer) => {
                said_missing(&String::from_utf8_lossy(&reply.result), captures)
            }
            Ok(fields) => {
                compiled.keep(fields, reply, captures);
                None
            }
            Err(mismatch) => match truth::words_of_missing(&mismatch, reply).filter(|_| asked.is_some()) {
                Some(words) => said_missing(&words, captures),
                None => Some(truth::mismatched(mismatch, scene)),
            },
        };
        let read = asked.and_then(|_| scene.read(wrong.is_some()));
        let finding = match wrong {
            None => asked.and_then(|(_, record)| truth::found(record, captures)),
            Some((failure, finding)) => {
                reply.is_wrong(failure);
                finding
            }
        };
        Lesson { read, findings: finding.into_iter().collect() }
    }

    /// What is not explained when the run ends: reads that missed a write, and had no second look.
    pub fn conclude(captures: &mut Captures) -> Vec<Finding> {
        captures.settle_all().into_iter().map(truth::unexplained).collect()
    }

    /// Places the generator where the random words of `arrival` begin.
    fn seek<'a>(random: &'a mut ChaCha8Rng, arrival: &Arrival) -> &'a mut ChaCha8Rng {
        random.set_stream(u64::from(arrival.flow.0));
        random.set_word_pos(u128::from(arrival.sequence) * WORDS_PER_ARRIVAL);
        random
    }
}

/// Records that were missed before this are looked at again by `arrival`.
fn before(arrival: &Arrival) -> Moment {
    Moment::from_nanos(arrival.intended.as_nanos().saturating_sub(truth::SECOND_LOOK.as_nanos() as u64))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::capture::Record;
    use super::*;
    use crate::arrival::FlowId;
    use crate::outcome::Violation;

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
            result: Bytes::copy_from_slice(result.as_bytes()),
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

    fn make(workload: &mut Workload, arrival: &Arrival, captures: &Captures) -> (Choice, Call) {
        let choice = workload.choose(arrival, captures);
        (choice, workload.call(arrival, choice, captures))
    }

    #[test]
    fn a_call_is_a_function_of_seed_flow_and_sequence_whatever_was_asked_before() {
        let (mut one, mut two) = (workload("run"), workload("run"));
        let none = one.captures();
        let straight: Vec<_> = (0..50).map(|n| make(&mut one, &arrival(n), &none).1.arguments).collect();
        let backwards: Vec<_> = (0..50).rev().map(|n| make(&mut two, &arrival(n), &none).1.arguments).collect();
        assert_eq!(straight, backwards.into_iter().rev().collect::<Vec<_>>());
        assert_ne!(straight[0], straight[1]);
    }

    #[test]
    fn idempotency_keys_change_with_the_run_and_nothing_else_does_but_the_run_id() {
        let (mut one, mut two) = (workload("first"), workload("second"));
        let none = one.captures();
        let sequence = of(&mut one, 0);
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let mut a = parse(&make(&mut one, &arrival(sequence), &none).1.arguments);
        let mut b = parse(&make(&mut two, &arrival(sequence), &none).1.arguments);
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
        let (choice, first) = make(&mut workload, &arrival(sequence), &captures);
        assert_eq!(choice, Choice { operation: OperationId(0), substituted: true });

        let mut answer = reply(r#"{"structuredContent":{"payment_id":"pay_1","status":"pending"}}"#);
        workload.learn(&arrival(sequence), &first, &mut answer, &mut captures);
        assert_eq!(answer.outcome, Outcome::Ok);

        let (choice, second) = make(&mut workload, &arrival(sequence), &captures);
        assert_eq!(choice, Choice { operation: OperationId(1), substituted: false });
        assert_eq!(second.arguments, r#"{"payment_id":"pay_1"}"#);
    }

    #[test]
    fn an_answer_for_another_payment_is_wrong() {
        let mut workload = workload("run");
        let mut captures = workload.captures();
        keep(&workload, &mut captures, "pay_1");
        let sequence = of(&mut workload, 1);
        let (_, call) = make(&mut workload, &arrival(sequence), &captures);
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
        let none = workload.captures();
        let mut ids: Vec<u64> = (0..100)
            .map(|n| Arrival { flow: FlowId(n % 2), sequence: u64::from(n / 2), intended: Moment::ZERO })
            .map(|a| make(&mut workload, &a, &none).1.id)
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
            let (_, call) = make(&mut workload, &arrival(sequence), &captures);
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
            let (_, call) = make(&mut self.workload, &arrival, &self.captures);
            assert_eq!((&*call.arguments, call.avoid), (r#"{"payment_id":"p1"}"#, Some(ConnectionId(1))));
            let mut reply = reply(result.unwrap_or_default());
            if let Err(said) = result {
                reply.outcome = Outcome::ToolError;
                reply.failure = Some(Box::new(Failure { group: String::new(), example: said.to_owned() }));
            }
            reply.stamps = Stamps { sent: Some(at(ms)), first_byte: None, done: at(ms) };
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
            assert_eq!(kinds(&Lesson { read: None, findings }), [(violation, 1)]);
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
}
