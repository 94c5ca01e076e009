//! WHAT is called: operations, their mix, generated arguments, captured values and expectations.
//!
//! Which operation an arrival calls, and every generated field of its arguments, is a function of (seed, flow, sequence);
//! captured values come from earlier replies. Nothing here waits, sends or looks at a clock.

mod answer;
mod call;
mod capture;
mod dice;
mod expect;
mod generate;
mod keys;
mod mix;
mod operation;
pub mod payments;
mod pointer;
mod promise;
mod same;
mod schema;
mod sent;
mod stake;
#[cfg(test)]
mod stake_tests;
mod streams;
mod template;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
mod truth;
mod wallet;
mod words;

pub use crate::json::ToolResult;
pub use call::{Call, Choice, ConnectionId, FIRST_CALL_ID, Failure, OperationId, Reply, Stamps, Ties};
pub use capture::Captures;
pub use mix::Mix;
pub use operation::Operation;
pub use promise::{Balance, Direction, Idempotency, Moves, UnknownDirection};
pub use stake::{Probed, Resolved};
pub use template::TemplateError;
pub use truth::{Evidence, Finding, Lesson, Read};

use std::rc::Rc;

use crate::arrival::Arrival;
use crate::outcome::{Outcome, Probe};
use crate::trace::Traces;
use answer::Answer;
use capture::Record;
use dice::Dice;
use generate::Source;
use keys::Story;
use operation::{Compiled, names};
use promise::Told;
use stake::Key;
use streams::{Streams, begin};
use truth::{Scene, Standing};

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
    words: Streams,
    read_elsewhere: f64,
    check_output: f64,
    probe_share: f64,
    lane: u32,
    traces: Option<Traces>,
}

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
        let words = Streams::new(seed);
        let (read_elsewhere, check_output, probe_share, lane) = (0.0, 0.0, 0.0, 0);
        let names = names.len();
        Ok(Self {
            operations,
            mixes,
            names,
            identity,
            seed,
            words,
            read_elsewhere,
            check_output,
            probe_share,
            lane,
            traces: None,
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

    /// The same workload, in which this share (0 to 1) of the calls under a key uses one again that was used already.
    #[must_use]
    pub const fn probing(mut self, share: f64) -> Self {
        self.probe_share = share;
        self
    }

    /// The same workload, whose calls tell their trace where there are any.
    #[must_use]
    pub const fn traced(mut self, traces: Option<Traces>) -> Self {
        self.traces = traces;
        self
    }

    /// The same workload for one lane: ids of fresh pools are the lane's own.
    #[must_use]
    pub const fn in_lane(mut self, lane: u32) -> Self {
        self.lane = lane;
        self
    }

    /// An empty store for this workload's captured values.
    pub fn captures(&self) -> Captures {
        Captures::new(self.names)
    }

    /// Which operation `arrival` calls. Where the mix gives one that needs a captured value and there is none yet, the
    /// operation that captures it takes its place, and the choice says so.
    pub fn choose(&mut self, arrival: &Arrival, captures: &Captures) -> Choice {
        let mix = &self.mixes[usize::from(arrival.flow.0)];
        let operation = self.words.choose(arrival, |random| mix.pick(random));
        match self.operations[usize::from(operation.0)].needs {
            Some((capture, fallback)) if captures.is_empty(capture) => {
                Choice { operation: fallback, substituted: true }
            }
            _ => Choice { operation, substituted: false },
        }
    }

    /// The call for `arrival`, of the operation that was chosen for it. Some arrivals of an operation with a key are
    /// probes: their calls use the key of an earlier call again.
    pub fn call(&mut self, arrival: &Arrival, choice: Choice, captures: &mut Captures) -> Call {
        let probe = self.probe(arrival, choice.operation, captures);
        let Self {
            operations, mixes, identity, words: streams, seed, read_elsewhere, lane, probe_share, traces, ..
        } = self;
        let trace = traces.map(|traces| traces.of(arrival.flow.0, arrival.sequence));
        let compiled = &operations[usize::from(choice.operation.0)];
        let mut dice = Dice::new(*seed, arrival.flow.0, arrival.sequence);
        let random;
        let (first, record, written) = if let Some((_, story)) = &probe {
            random = streams.at(story.first.flow.0, story.words);
            (story.first, story.record.clone(), story.connection.get())
        } else {
            // The word that chose the operation is spent, here as there.
            random = streams.chosen(arrival, |random| mixes[usize::from(arrival.flow.0)].pick(random));
            let record = compiled.record(arrival, captures, random, &mut dice);
            let written = record.as_ref().and_then(|record| record.connection);
            (*arrival, record, written)
        };
        let goes_elsewhere = (compiled.must_find || probe.is_some()) && dice.toss(*read_elsewhere);
        let avoid = written.filter(|_| goes_elsewhere);
        // Where the words begin matters only to those who may want the same again.
        let words = if *probe_share > 0.0 { random.get_word_pos() } else { 0 };
        let mut source = Source { random, arrival: &first, identity, lane: *lane, captured: record.as_deref() };
        let (mut arguments, mut spans) = compiled.template.render(&mut source);
        let key = match probe {
            Some((probe, story)) => {
                let random = begin(random, arrival);
                let mut source = Source { random, arrival, identity, lane: *lane, captured: record.as_deref() };
                let mut alters = || compiled.alter(&mut source, &mut arguments, &mut spans);
                let probe = if probe == Probe::Altered && !alters() { Probe::Later } else { probe };
                story.is_probed.set(true);
                Some(Key { story, probe: Some(probe) })
            }
            None if *probe_share > 0.0 && compiled.promises.key.is_some() => {
                let story = Story::new(first, record.clone(), words);
                captures.keys.begin(choice.operation, &story);
                Some(Key { story, probe: None })
            }
            None => None,
        };
        let stake = compiled.stake(key, &arguments, &spans, captures);
        let id = FIRST_CALL_ID + arrival.sequence * mixes.len() as u64 + u64::from(arrival.flow.0);
        Call { operation: choice.operation, id, arguments, ties: Ties { record, spans, stake }, avoid, trace }
    }

    /// Whether the call for `arrival` uses a key again: which, and how.
    fn probe(&self, arrival: &Arrival, operation: OperationId, captures: &mut Captures) -> Option<(Probe, Rc<Story>)> {
        if self.probe_share <= 0.0 {
            return None;
        }
        let key = self.operations[usize::from(operation.0)].promises.key.as_ref()?;
        let mut dice = Dice::of_probes(self.seed, arrival.flow.0, arrival.sequence);
        let is_probe = dice.toss(self.probe_share);
        is_probe.then(|| captures.keys.draw(operation, arrival.intended, key.alter.is_some(), &mut dice)).flatten()
    }

    /// Reads what the reply to the call for `arrival` teaches: checks its expectations, keeps its captured values, looks
    /// whether what was acknowledged is found, whether a key is one deed and whether balances add up. A reply that was ok
    /// on the wire but not in meaning becomes [`Outcome::WrongAnswer`], and so does an error that says that an acknowledged
    /// write does not exist; an error that was wanted becomes [`Outcome::Ok`].
    pub fn learn(&self, arrival: &Arrival, call: &Call, reply: &mut Reply, captures: &mut Captures) -> Lesson {
        let compiled = &self.operations[usize::from(call.operation.0)];
        // An error that was wanted is ok in the end, and has no form to keep.
        let output = compiled.output.as_ref().filter(|_| reply.outcome == Outcome::Ok);
        let mut told = Told::default();
        let mut lesson = Self::check(compiled, arrival, call, reply, &mut told, captures);
        let stake = call.ties.stake.as_deref();
        if compiled.promises.key.is_some() && stake.is_none_or(|stake| stake.probe().is_none()) {
            lesson.is_unresolved = stake::is_unresolved(reply);
        }
        if let Some(stake) = stake {
            stake.settle((arrival, call), reply, &told, captures, &mut lesson);
        }
        if let Some(output) = output.filter(|_| reply.outcome == Outcome::Ok)
            && Dice::of_output(self.seed, arrival.flow.0, arrival.sequence).toss(self.check_output)
            && let Err(failure) = Answer::of(&reply.result).keeps(output)
        {
            reply.is_wrong(failure);
        }
        lesson
    }

    /// Checks the reply's meaning; of what it tells about keys and accounts, `told` has it.
    fn check(
        compiled: &Compiled,
        arrival: &Arrival,
        call: &Call,
        reply: &mut Reply,
        told: &mut Told,
        captures: &mut Captures,
    ) -> Lesson {
        let asked = compiled.needs.filter(|_| compiled.must_find).zip(call.ties.record.as_ref());
        let asked = asked.map(|((name, _), record)| (name, record));
        match (reply.outcome, asked) {
            (Outcome::Ok, _) if compiled.asks_nothing() && asked.is_none() && call.ties.stake.is_none() => {
                Lesson::default()
            }
            (Outcome::Ok, _) => Self::read(compiled, arrival, call, reply, told, captures),
            (Outcome::ToolError | Outcome::RpcError, Some((name, record))) => {
                let said = reply.failure.as_ref().map(|failure| failure.example.clone()).unwrap_or_default();
                if !words::say_missing(&said, record.text_of(name)) {
                    return Lesson::default();
                }
                let scene = Scene { arrival, call, reply };
                let (failure, finding) = truth::missed(name, record, scene, &said, captures);
                let read = scene.read(true);
                reply.is_wrong(failure);
                Lesson { read, findings: finding.into_iter().collect(), ..Lesson::default() }
            }
            _ => Lesson::default(),
        }
    }

    /// Reads an answer that is ok on the wire.
    fn read(
        compiled: &Compiled,
        arrival: &Arrival,
        call: &Call,
        reply: &mut Reply,
        told: &mut Told,
        captures: &mut Captures,
    ) -> Lesson {
        let scene = Scene { arrival, call, reply };
        let asked = compiled.needs.filter(|_| compiled.must_find).zip(call.ties.record.as_ref());
        let asked = asked.map(|((name, _), record)| (name, record));
        let answer = Answer::of(&reply.result);
        let probe = call.ties.stake.as_deref().map(|stake| {
            *told = compiled.promises.told(&answer);
            stake.probe()
        });
        // What another body is answered is no matter of expectations, and neither is a refusal to do a thing twice.
        let is_apart =
            probe.flatten().is_some_and(|probe| probe == Probe::Altered || told.standing == Standing::Refused);
        if is_apart {
            return Lesson::default();
        }
        let said_missing = |words: &str, captures: &mut Captures| {
            let (name, record) = asked?;
            Some(truth::missed(name, record, scene, words, captures))
        };
        let wrong = match compiled.check(&answer, call) {
            _ if asked.is_some() && truth::is_missing(&answer) => said_missing(&reply.result.text(), captures),
            Ok(fields) => {
                // What a probe found again is kept already, and what was refused is no payment that must be found.
                let is_new = compiled.is_asked_for() && !matches!(probe, Some(Some(Probe::Later)));
                if is_new && truth::standing(&answer) != Standing::Refused {
                    compiled.keep(fields, reply, captures);
                }
                None
            }
            Err(mismatch) => {
                let words =
                    |(name, record): (_, &Rc<Record>)| truth::words_of_missing(&mismatch, reply, record.text_of(name));
                match asked.and_then(words) {
                    Some(words) => said_missing(&words, captures),
                    None => Some(truth::mismatched(mismatch, scene)),
                }
            }
        };
        let read = asked.and_then(|_| scene.read(wrong.is_some()));
        let finding = match wrong {
            None => asked.and_then(|(_, record)| truth::found(record, captures)),
            Some((failure, finding)) => {
                reply.is_wrong(failure);
                finding
            }
        };
        Lesson { read, findings: finding.into_iter().collect(), ..Lesson::default() }
    }

    /// What is not explained when the run ends: reads that missed a write, and had no second look.
    pub fn conclude(captures: &mut Captures) -> Vec<Finding> {
        captures.settle_all().into_iter().map(truth::unexplained).collect()
    }
}
