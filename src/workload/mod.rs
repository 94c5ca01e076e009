//! WHAT is called: operations, their mix, generated arguments, captured values and expectations.
//!
//! Which operation an arrival calls, and every generated field of its arguments, is a function of (seed, flow, sequence);
//! captured values come from earlier replies. Nothing here waits, sends or looks at a clock.

mod call;
mod capture;
mod expect;
mod generate;
mod mix;
mod operation;
pub mod payments;
mod template;

pub use call::{Call, Choice, FIRST_CALL_ID, Failure, OperationId, Reply, Stamps};
pub use capture::Captures;
pub use mix::Mix;
pub use operation::Operation;
pub use template::TemplateError;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::arrival::Arrival;
use crate::outcome::Outcome;
use capture::CaptureId;
use expect::Answer;
use generate::Source;
use operation::Compiled;

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
    captures: Vec<String>,
    identity: RunIdentity,
    random: ChaCha8Rng,
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
        let mut captures: Vec<String> = operations.iter().flat_map(|o| o.capture.keys().cloned()).collect();
        captures.sort();
        captures.dedup();
        let operations =
            operations.iter().map(|o| Compiled::new(o, operations, &captures)).collect::<Result<_, _>>()?;
        Ok(Self { operations, mixes, captures, identity, random: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// An empty store for this workload's captured values.
    pub fn captures(&self) -> Captures {
        Captures::new(self.captures.len())
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
        let Self { operations, mixes, identity, random, .. } = self;
        let random = Self::seek(random, arrival);
        // The word that chose the operation is spent, here as there.
        mixes[usize::from(arrival.flow.0)].pick(random);
        let compiled = &operations[usize::from(choice.operation.0)];
        let drawn = compiled.needs.and_then(|(capture, _)| captures.draw(capture, random)).map(Box::from);
        let mut source = Source { random, arrival, identity, captured: drawn.as_deref() };
        let arguments = compiled.template.render(&mut source);
        let id = FIRST_CALL_ID + arrival.sequence * mixes.len() as u64 + u64::from(arrival.flow.0);
        Call { operation: choice.operation, id, arguments, captured: drawn }
    }

    /// Reads what the reply to `call` teaches: checks its expectations, keeps its captured values. A reply that was ok on
    /// the wire but not in meaning becomes [`Outcome::WrongAnswer`].
    pub fn learn(&self, call: &Call, reply: &mut Reply, captures: &mut Captures) {
        let compiled = &self.operations[usize::from(call.operation.0)];
        if reply.outcome != Outcome::Ok || compiled.asks_nothing() {
            return;
        }
        let answer = Answer::parse(&reply.result);
        match compiled.check(&answer, call.captured.as_deref()) {
            Ok(found) => {
                for (capture, value) in found {
                    captures.keep(capture, &value);
                }
            }
            Err(failure) => {
                reply.outcome = Outcome::WrongAnswer;
                reply.failure = Some(Box::new(failure));
            }
        }
    }

    /// Places the generator where the random words of `arrival` begin.
    fn seek<'a>(random: &'a mut ChaCha8Rng, arrival: &Arrival) -> &'a mut ChaCha8Rng {
        random.set_stream(u64::from(arrival.flow.0));
        random.set_word_pos(u128::from(arrival.sequence) * WORDS_PER_ARRIVAL);
        random
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::arrival::FlowId;
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
            result: Bytes::copy_from_slice(result.as_bytes()),
            failure: None,
        }
    }

    /// The first arrival for which the mix gives this operation.
    fn of(workload: &mut Workload, operation: u16) -> u64 {
        let mut captures = workload.captures();
        captures.keep(CaptureId(0), "any");
        (0..1000).find(|n| workload.choose(&arrival(*n), &captures).operation == OperationId(operation)).unwrap()
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
        workload.learn(&first, &mut answer, &mut captures);
        assert_eq!(answer.outcome, Outcome::Ok);

        let (choice, second) = make(&mut workload, &arrival(sequence), &captures);
        assert_eq!(choice, Choice { operation: OperationId(1), substituted: false });
        assert_eq!(second.arguments, r#"{"payment_id":"pay_1"}"#);
        assert_eq!(second.captured.as_deref(), Some("pay_1"));
    }

    #[test]
    fn an_answer_for_another_payment_is_wrong() {
        let mut workload = workload("run");
        let mut captures = workload.captures();
        captures.keep(CaptureId(0), "pay_1");
        let sequence = of(&mut workload, 1);
        let (_, call) = make(&mut workload, &arrival(sequence), &captures);
        let mut answer = reply(r#"{"structuredContent":{"payment_id":"pay_2","status":"completed"}}"#);
        workload.learn(&call, &mut answer, &mut captures);
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
}
