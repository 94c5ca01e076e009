//! What is at stake in a call: the key that it uses, perhaps again, and the account that it moves or looks at; and what its
//! reply says of both.

use std::rc::Rc;

use super::capture::Captures;
use super::keys::Story;
use super::promise::Told;
use super::truth::{Finding, Lesson, Scene, Standing};
use super::wallet::{Account, Amount, Level, written};
use super::{Call, Failure, Reply, words};
use crate::arrival::Arrival;
use crate::outcome::{Outcome, Probe, Violation};

/// What a call has to do with keys and accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Stake {
    /// The key that it uses.
    pub(super) key: Option<Key>,
    /// The account that it moves, and by how much, in billionths.
    pub(super) moves: Option<(Rc<Account>, i128)>,
    /// The account that it looks at, and what was certain of it before.
    pub(super) looks: Option<(Rc<Account>, Level)>,
}

/// The key that a call uses.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) story: Rc<Story>,
    /// How it uses it again; `None` for the first call.
    pub(super) probe: Option<Probe>,
}

/// What came of a call that used a key again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The promise was kept: the same was acknowledged, or it was refused.
    Kept,
    /// The promise was broken.
    Broken,
    /// Nothing can be said: it failed for reasons of its own.
    Unclear,
}

/// What was found out of a call that had ended without saying whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It had happened.
    Happened,
    /// It had not.
    NotHappened,
    /// It is done by now, by that call or by the one that asked again.
    Done,
}

/// How a call under a key ended, as far as the key is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was acknowledged.
    Made,
    /// It was refused as a use of a known key; `true` where that says that the first use was done.
    Known(bool),
    /// It was refused.
    Refused,
    /// Nothing was sent.
    Unsent,
    /// Whatever else.
    Unknown,
}

/// Whether a call that ended so may or may not have happened.
pub(super) fn is_unresolved(reply: &Reply) -> bool {
    match reply.outcome {
        Outcome::InvalidReply => true,
        Outcome::HttpError => status(reply).is_some_and(|code| code.starts_with('5')),
        outcome => reply.stamps.sent.is_some() && !outcome.is_complete_reply(),
    }
}

fn status(reply: &Reply) -> Option<&str> {
    reply.failure.as_deref()?.group.strip_prefix("HTTP ")?.get(..3)
}

fn end_of(reply: &Reply, told: &Told) -> End {
    let is_refusal = match reply.outcome {
        _ if reply.stamps.sent.is_none() && !reply.outcome.is_complete_reply() => return End::Unsent,
        Outcome::Ok | Outcome::WrongAnswer if told.standing == Standing::Refused => return End::Refused,
        Outcome::Ok | Outcome::WrongAnswer if told.made.is_some() => return End::Made,
        Outcome::ToolError | Outcome::RpcError => true,
        Outcome::HttpError => status(reply).is_some_and(|code| ["400", "409", "422", "423", "425"].contains(&code)),
        _ => false,
    };
    let said = reply.failure.as_deref().map_or("", |failure| &*failure.example);
    match is_refusal {
        true if words::say_known(said) => End::Known(words::say_done(said)),
        true => End::Refused,
        false => End::Unknown,
    }
}

impl Stake {
    /// How the call uses its key again, if it does.
    pub(super) fn probe(&self) -> Option<Probe> {
        self.key.as_ref()?.probe
    }

    /// Reads what the reply says of the key and the accounts.
    pub(super) fn settle(
        &self,
        scene: Made<'_>,
        reply: &mut Reply,
        told: &Told,
        captures: &mut Captures,
        lesson: &mut Lesson,
    ) {
        let end = end_of(reply, told);
        let mut is_broken = false;
        if let Some(key) = &self.key {
            let finding = match key.probe {
                None => key.first(scene, reply, (end, told), captures, lesson),
                Some(Probe::Altered) => key.altered(scene, reply, (end, told), lesson),
                Some(probe) => key.again(probe, scene, reply, (end, told), captures, lesson),
            };
            is_broken = finding.is_some();
            lesson.findings.extend(finding);
        }
        self.pay(reply, end, told.standing, is_broken);
        if let Some((account, level)) = &self.looks
            && let Some(seen) = told.balance.as_ref().and_then(|kept| Amount::parse(&kept.text))
            && reply.outcome == Outcome::Ok
        {
            lesson.balance = true;
            if let Err((least, most)) = account.read(*level, seen.billionths) {
                let expected = format!("a balance from {} to {}", written(least), written(most));
                let said = text_of(reply);
                let finding = finding(Violation::BalanceOff, scene, reply, &expected, &said);
                lesson.findings.push(finding);
                wrong(reply, "a balance that no order of the writes explains", &said);
            }
        }
    }

    /// What the reply says of the account that the call moves.
    fn pay(&self, reply: &Reply, end: End, standing: Standing, is_broken: bool) {
        let Some((account, amount)) = &self.moves else { return };
        let is_done = reply.outcome == Outcome::Ok && standing == Standing::Done;
        let Some(Key { story, probe }) = &self.key else {
            match (is_done, reply.stamps.sent) {
                (true, _) => account.happened(*amount),
                (_, None) => account.failed(*amount),
                _ => {}
            }
            return;
        };
        match end {
            End::Unsent => account.failed(*amount),
            // That is told already, and may have moved the account once more.
            _ if is_broken => {}
            // A used key moves nothing again.
            _ if story.is_settled.get() || *probe == Some(Probe::Altered) => account.failed(*amount),
            End::Made if is_done => {
                story.is_settled.set(true);
                account.happened(*amount);
                for _ in 0..story.maybe.take() {
                    account.failed(*amount);
                }
            }
            _ => story.maybe.set(story.maybe.get() + 1),
        }
    }
}

/// An arrival and the call that was made for it.
type Made<'a> = (&'a Arrival, &'a Call);

impl Key {
    /// The first call under the key has ended.
    fn first(
        &self,
        scene: Made<'_>,
        reply: &mut Reply,
        (end, told): (End, &Told),
        captures: &mut Captures,
        lesson: &mut Lesson,
    ) -> Option<Finding> {
        let (story, operation) = (&self.story, scene.1.operation);
        captures.keys.end(operation, story);
        story.ended.set(reply.stamps.done);
        if is_unresolved(reply) {
            if story.made.borrow().is_some() {
                lesson.resolved = Some(Resolved::Done);
            } else {
                story.is_open.set(true);
                captures.keys.open(operation, story);
            }
            return None;
        }
        match end {
            End::Made => {
                let finding = self.twice(scene, reply, told);
                captures.keys.acknowledged(operation, story);
                finding
            }
            // The key was in use by a call that used it again.
            End::Known(_) if story.is_probed.get() => {
                fine(reply);
                None
            }
            _ => None,
        }
    }

    /// A call with the same body has ended.
    fn again(
        &self,
        probe: Probe,
        scene: Made<'_>,
        reply: &mut Reply,
        (end, told): (End, &Told),
        captures: &mut Captures,
        lesson: &mut Lesson,
    ) -> Option<Finding> {
        let story = &self.story;
        let was_open = story.is_open.get();
        let (probed, resolved) = match end {
            End::Made => {
                let finding = self.twice(scene, reply, told);
                if finding.is_some() {
                    lesson.probe = Some((probe, Probed::Broken));
                    story.is_open.set(false);
                    lesson.resolved = was_open.then_some(Resolved::Done);
                    return finding;
                }
                let resolved = match (told.replayed, probe) {
                    (Some(true), _) => Resolved::Happened,
                    (Some(false), Probe::AfterTimeout) => Resolved::NotHappened,
                    _ => Resolved::Done,
                };
                (Probed::Kept, Some(resolved))
            }
            End::Known(is_done) => {
                fine(reply);
                (Probed::Kept, is_done.then_some(Resolved::Happened))
            }
            End::Refused if told.standing == Standing::Refused => (Probed::Kept, None),
            End::Refused | End::Unsent | End::Unknown => (Probed::Unclear, None),
        };
        lesson.probe = Some((probe, probed));
        if was_open {
            lesson.resolved = resolved;
            match resolved {
                Some(_) => story.is_open.set(false),
                None => captures.keys.open(scene.1.operation, story),
            }
        }
        None
    }

    /// A call with another body has ended.
    fn altered(
        &self,
        scene: Made<'_>,
        reply: &mut Reply,
        (end, told): (End, &Told),
        lesson: &mut Lesson,
    ) -> Option<Finding> {
        let (probed, finding) = match end {
            End::Made => {
                let first = self.story.made.borrow().as_ref().map(|kept| kept.text.clone()).unwrap_or_default();
                let expected = format!("an error, as another body was acknowledged under this key as {first}");
                let made = told.made.as_ref().map_or("", |kept| &*kept.text);
                let said = format!("{made}: {}", text_of(reply));
                let finding = finding(Violation::AlteredAccepted, scene, reply, &expected, &said);
                wrong(reply, "another body under a used key was accepted", &said);
                (Probed::Broken, Some(finding))
            }
            End::Known(_) => {
                fine(reply);
                (Probed::Kept, None)
            }
            End::Refused if told.standing == Standing::Refused || is_about_the_body(reply) => {
                fine(reply);
                (Probed::Kept, None)
            }
            End::Refused | End::Unsent | End::Unknown => (Probed::Unclear, None),
        };
        lesson.probe = Some((Probe::Altered, probed));
        finding
    }

    /// Holds what was made against what was made before under the key.
    fn twice(&self, scene: Made<'_>, reply: &mut Reply, told: &Told) -> Option<Finding> {
        let made = told.made.as_ref()?;
        let mut first = self.story.made.borrow_mut();
        let Some(first) = &*first else {
            *first = Some(made.clone());
            self.story.connection.set(reply.connection);
            return None;
        };
        if first.text == made.text {
            return None;
        }
        let expected = format!("what was acknowledged under this key as {}", first.text);
        let said = format!("{}: {}", made.text, text_of(reply));
        let finding = finding(Violation::DoubleCharge, scene, reply, &expected, &said);
        wrong(reply, "two payments under one key", &said);
        Some(finding)
    }
}

/// Whether an error is one about the key or about another body under it.
fn is_about_the_body(reply: &Reply) -> bool {
    let said = reply.failure.as_deref().map_or("", |failure| &*failure.example);
    status(reply).is_some_and(|code| ["409", "422"].contains(&code)) || words::are_about_the_body(said)
}

fn text_of(reply: &Reply) -> String {
    reply.result.text().into_owned()
}

fn finding(violation: Violation, (arrival, call): Made<'_>, reply: &Reply, expected: &str, said: &str) -> Finding {
    let evidence = Scene { arrival, call, reply }.evidence(expected, said);
    Finding { violation, calls: 1, evidence: Box::new(evidence) }
}

fn wrong(reply: &mut Reply, group: &str, said: &str) {
    reply.is_wrong(Failure { group: group.to_owned(), example: said.chars().take(300).collect() });
}

/// An error that was wanted is none.
fn fine(reply: &mut Reply) {
    reply.outcome = Outcome::Ok;
    reply.failure = None;
}
