//! What a reply teaches of the truth: whether what was acknowledged is found, and the evidence of each broken promise.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use super::answer::Answer;
use super::capture::{Captures, FieldId, Missed, Record, Sight};
use super::expect::Mismatch;
use super::pointer::Pointers;
use super::stake::{Probed, Resolved};
use super::{Call, ConnectionId, Failure, Reply, words};
use crate::arrival::Arrival;
use crate::outcome::{Outcome, Probe, Violation};
use crate::time::Moment;

/// A record that a read missed is looked at again after this long: what is not found then either is lost.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);
/// So much of what was sent and said is kept as evidence, in characters.
const EVIDENCE_CHARS: usize = 400;
/// Where answers say what has become of something. An envelope's own status comes after that of what is in it.
static STATUS: LazyLock<Pointers> = LazyLock::new(|| known("/payment/status|/status|/payment/state|/state"));
/// Where they say it as an error.
static ERROR: LazyLock<Pointers> = LazyLock::new(|| known("/error/code|/error"));
/// Where they say, as true or false, whether there is something.
static IS_THERE: LazyLock<Pointers> = LazyLock::new(|| known("/found|/exists|/payment/found|/payment/exists"));

fn known(pointers: &str) -> Pointers {
    Pointers::parse(pointers).expect("these are pointers")
}

/// What a reply teaches beside its outcome.
#[derive(Debug, Default)]
pub struct Lesson {
    /// The call read an acknowledged write.
    pub read: Option<Read>,
    /// The call used a key again, and what came of that.
    pub probe: Option<(Probe, Probed)>,
    /// The call ended in a way that does not say whether it happened, though that matters.
    pub is_unresolved: bool,
    /// What the reply says of an earlier call, or of this one, that had ended so.
    pub resolved: Option<Resolved>,
    /// The call read a balance that was held against what is known of its account.
    pub balance: bool,
    /// Promises that are known to be broken now, by this reply or by earlier ones that it explains.
    pub findings: Vec<Finding>,
}

/// A read of an acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// From the acknowledgement to the first byte of the read's request.
    pub age: Duration,
    /// Whether it went over another connection than the write; `None` where that is not known.
    pub elsewhere: Option<bool>,
    /// Whether the answer was wrong.
    pub violated: bool,
}

/// A broken promise, or several that are alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub violation: Violation,
    /// How many calls broke it.
    pub calls: u64,
    /// What the first of them saw.
    pub evidence: Box<Evidence>,
}

/// What was seen of a broken promise. The texts are cut; they hold arguments and the server's words, never credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Index of the operation in the plan.
    pub operation: u16,
    /// Index of the flow in the plan.
    pub flow: u16,
    /// Place in the flow's schedule.
    pub sequence: u64,
    /// When the call was due.
    pub intended: Moment,
    /// The arguments that were sent.
    pub sent: String,
    /// What should have been answered.
    pub expected: String,
    /// What was answered.
    pub said: String,
    /// How old the acknowledged write was.
    pub age: Option<Duration>,
    /// Whether the call went over another connection than the write.
    pub elsewhere: Option<bool>,
}

/// What evidence is made of.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) arrival: &'a Arrival,
    pub(super) call: &'a Call,
    pub(super) reply: &'a Reply,
}

impl Scene<'_> {
    /// Evidence of what was expected and what was said.
    pub(super) fn evidence(&self, expected: &str, said: &str) -> Evidence {
        let key = self.call.ties.stake.as_deref().and_then(|stake| stake.key.as_ref());
        let used = key.filter(|key| key.probe.is_some()).map(|key| &key.story);
        let read = self.read(false);
        Evidence {
            operation: self.call.operation.0,
            flow: self.arrival.flow.0,
            sequence: self.arrival.sequence,
            intended: self.arrival.intended,
            sent: cut(&self.call.arguments),
            expected: cut(expected),
            said: cut(said),
            age: read.map(|read| read.age),
            elsewhere: match used {
                Some(story) => elsewhere(story.connection.get(), self.reply.connection),
                None => read.and_then(|read| read.elsewhere),
            },
        }
    }

    /// The call as a read of the record that it took.
    pub(super) fn read(&self, violated: bool) -> Option<Read> {
        let record = self.call.ties.record.as_deref()?;
        let age = self.reply.stamps.sent?.since(record.done);
        Some(Read { age, elsewhere: elsewhere(record.connection, self.reply.connection), violated })
    }
}

fn elsewhere(write: Option<ConnectionId>, read: Option<ConnectionId>) -> Option<bool> {
    Some(write? != read?)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(EVIDENCE_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether an answer that is ok on the wire says by its status that what it was asked for does not exist.
pub(super) fn is_missing(answer: &Answer<'_>) -> bool {
    const MISSING: [&str; 3] = ["notfound", "nonexistent", "doesnotexist"];
    let letters = |pointers| {
        let text = answer.word(pointers)?;
        Some(text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase())
    };
    if answer.flag(&IS_THERE) == Some(false) {
        return true;
    }
    // No error is named "none", too.
    match letters(&STATUS) {
        Some(status) => MISSING.iter().chain(&["unknown", "missing", "none"]).any(|word| *word == status),
        None => letters(&ERROR).is_some_and(|error| MISSING.contains(&&*error)),
    }
}

/// What has become of a deed, by the status that an answer names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing else is said: it was done.
    #[default]
    Done,
    /// It is to be done yet.
    Pending,
    /// It was not done, though the answer is ok on the wire.
    Refused,
}

/// What an answer that is ok on the wire says by its status.
pub(super) fn standing(answer: &Answer<'_>) -> Standing {
    const REFUSED: [&str; 10] =
        ["reject", "declin", "fail", "error", "conflict", "duplicate", "invalid", "refuse", "cancel", "denied"];
    const PENDING: [&str; 11] = [
        "pending",
        "processing",
        "process",
        "inprocess",
        "progress",
        "inprogress",
        "queued",
        "accepted",
        "created",
        "initiated",
        "submitted",
    ];
    let status = answer.word(&STATUS).or_else(|| answer.word(&ERROR));
    let Some(status) = status else { return Standing::Done };
    let words = words_of_status(&status);
    let mut words = words.split_ascii_whitespace();
    match () {
        () if words.clone().any(|word| REFUSED.iter().any(|stem| word.starts_with(stem))) => Standing::Refused,
        () if words.any(|word| PENDING.contains(&word)) => Standing::Pending,
        () => Standing::Done,
    }
}

/// The words of `IN_PROCESS`, `in-process` or `inProcess`, in small letters and between blanks.
fn words_of_status(status: &str) -> Cow<'_, str> {
    if status.bytes().all(|letter| letter.is_ascii_lowercase()) {
        return Cow::Borrowed(status);
    }
    let mut words = String::with_capacity(status.len() + 4);
    let mut was_small = false;
    for letter in status.chars() {
        if !letter.is_alphanumeric() || (was_small && letter.is_uppercase()) {
            words.push(' ');
        }
        if letter.is_alphanumeric() {
            words.push(letter.to_ascii_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    Cow::Owned(words)
}

/// The words of an answer whose expectations were not met, where they say that there is nothing.
pub(super) fn words_of_missing<'a>(mismatch: &Mismatch, reply: &'a Reply, asked: &str) -> Option<Cow<'a, str>> {
    let words = reply.result.text();
    (mismatch.is_missing && words::say_missing(&words, asked)).then_some(words)
}

/// A read missed what was acknowledged: the outcome is a wrong answer, and what that was is known now or after a second look.
pub(super) fn missed(
    name: FieldId,
    record: &Rc<Record>,
    scene: Scene<'_>,
    said: &str,
    captures: &mut Captures,
) -> (Failure, Option<Finding>) {
    let value = record.text_of(name);
    let evidence = Box::new(scene.evidence(&format!("what was acknowledged as {value}"), said));
    let failure = Failure { group: "an acknowledged write is said not to exist".to_owned(), example: cut(said) };
    let age = evidence.age.unwrap_or_default();
    let done = scene.reply.stamps.done;
    let lost = |calls, evidence| Some(Finding { violation: Violation::LostWrite, calls, evidence });
    let finding = match record.sight.get() {
        Sight::Lost => lost(1, evidence),
        Sight::Clear => {
            let missed = Missed { name, record: Rc::clone(record), reads: 1, first: done, age, evidence };
            captures.doubt(missed).map(unexplained)
        }
        Sight::Doubtful => {
            let sent = scene.reply.stamps.sent.unwrap_or(done);
            let is_second = captures.missed(record).is_some_and(|missed| {
                missed.reads += 1;
                missed.age = missed.age.max(age);
                sent.since(missed.first) >= SECOND_LOOK
            });
            let settled = is_second.then(|| captures.settle(record, Sight::Lost)).flatten();
            settled.and_then(|missed| lost(missed.reads, missed.evidence))
        }
    };
    (failure, finding)
}

/// A read found what was acknowledged: reads that missed it before were stale.
pub(super) fn found(record: &Rc<Record>, captures: &mut Captures) -> Option<Finding> {
    match record.sight.get() {
        Sight::Clear => None,
        Sight::Lost => {
            record.sight.set(Sight::Clear);
            None
        }
        Sight::Doubtful => {
            let Missed { reads, evidence, .. } = captures.settle(record, Sight::Clear)?;
            Some(Finding { violation: Violation::StaleRead, calls: reads, evidence })
        }
    }
}

/// Reads that no second look explains: by the age of the write.
pub(super) fn unexplained(missed: Missed) -> Finding {
    let violation = if missed.age >= SECOND_LOOK { Violation::LostWrite } else { Violation::StaleRead };
    Finding { violation, calls: missed.reads, evidence: missed.evidence }
}

/// An answer that does not meet an expectation, as an outcome and, where that breaks a promise about money, as a finding.
pub(super) fn mismatched(mismatch: Mismatch, scene: Scene<'_>) -> (Failure, Option<Finding>) {
    let Mismatch { failure, violation, expected, .. } = mismatch;
    let said = scene.reply.result.text();
    let finding = violation.map(|violation| Finding {
        violation,
        calls: 1,
        evidence: Box::new(scene.evidence(&expected, &said)),
    });
    (failure, finding)
}

impl Reply {
    /// Makes an answer that was ok on the wire, or an error that says what must not be so, a wrong one.
    pub(super) fn is_wrong(&mut self, failure: Failure) {
        self.outcome = Outcome::WrongAnswer;
        self.failure = Some(Box::new(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::ToolResult;

    #[test]
    fn a_status_may_say_it_too() {
        let says = |result: &str| is_missing(&Answer::of(&ToolResult::read(result.to_owned())));
        assert!(says(r#"{"structuredContent":{"payment_id":"p","status":"NOT_FOUND"}}"#));
        assert!(says(r#"{"content":[{"type":"text","text":"{\"error\":{\"code\":\"not-found\"}}"}]}"#));
        assert!(!says(r#"{"structuredContent":{"payment_id":"p","status":"pending"}}"#));
        assert!(!says(r#"{"structuredContent":{"payment_id":"p"}}"#));
    }

    #[test]
    fn an_answer_without_what_was_asked_for_may_say_so_in_one_word_or_a_flag() {
        let says =
            |body: &str| is_missing(&Answer::of(&ToolResult::read(format!(r#"{{"structuredContent":{body}}}"#))));
        for body in [
            r#"{"status":"unknown"}"#,
            r#"{"status":"MISSING"}"#,
            r#"{"payment":{"status":"none"}}"#,
            r#"{"found":false}"#,
            r#"{"status":"ok","exists":false}"#,
        ] {
            assert!(says(body), "{body}");
        }
        for body in
            [r#"{"found":true}"#, r#"{"exists":"no"}"#, r#"{"error":"none"}"#, r#"{"status":"ok","error":"none"}"#]
        {
            assert!(!says(body), "{body}");
        }
    }

    #[test]
    fn a_status_is_read_by_its_words_and_that_of_the_payment_before_that_of_the_envelope() {
        let of = |body: &str| standing(&Answer::of(&ToolResult::read(format!(r#"{{"structuredContent":{body}}}"#))));
        for (body, expected) in [
            (r#"{"status":"processed"}"#, Standing::Done),
            (r#"{"status":"processing"}"#, Standing::Pending),
            (r#"{"status":"IN_PROCESS"}"#, Standing::Pending),
            (r#"{"status":"inProgress"}"#, Standing::Pending),
            (r#"{"status":"pending"}"#, Standing::Pending),
            (r#"{"status":"paymentDeclined"}"#, Standing::Refused),
            (r#"{"status":"payment-failed"}"#, Standing::Refused),
            (r#"{"status":"success","payment":{"status":"declined"}}"#, Standing::Refused),
            (r#"{"status":"completed"}"#, Standing::Done),
            (r#"{"error":"conflict"}"#, Standing::Refused),
            ("{}", Standing::Done),
        ] {
            assert_eq!(of(body), expected, "{body}");
        }
    }

    #[test]
    fn evidence_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(500)).chars().count(), EVIDENCE_CHARS + 1);
        assert_eq!(cut("short"), "short");
    }
}
