//! What an operation promises beside its answers: one payment under one key, and balances that add up.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Answer;
use super::pointer::Pointers;
use super::same::Kept;
use super::sent::{Sent, Walked, walk};
use super::truth::{Standing, standing};

/// How calls of an operation are told apart by a key of their own: two calls under one key are one deed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// Where the key stands in the arguments, as a JSON pointer: a generated value.
    pub key: String,
    /// Where an ok answer says what was done: JSON pointers, alternatives parted by `|`.
    pub id: String,
    /// Where the arguments have a generated value of which another one makes another body, as a JSON pointer. Without it
    /// no altered body is ever sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alter: Option<String>,
    /// Where an ok answer says, as true or false, whether it was done before: JSON pointers, alternatives parted by `|`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<String>,
}

/// What a call of an operation does to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moves {
    /// What names the account: JSON pointers into the arguments, in the order of [`Balance::account`].
    pub account: Vec<String>,
    /// By how much its balance moves, as a JSON pointer into the arguments.
    pub amount: String,
    /// Which way.
    pub direction: Direction,
}

/// Which way a balance moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The balance grows by the amount.
    Up,
    /// The balance shrinks by the amount.
    Down,
}

impl FromStr for Direction {
    type Err = UnknownDirection;

    fn from_str(text: &str) -> Result<Self, UnknownDirection> {
        match text {
            "up" => Ok(Self::Up),
            "down" => Ok(Self::Down),
            other => Err(UnknownDirection(other.to_owned())),
        }
    }
}

/// A word that is no direction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read which way payments move a balance: `{0}` is neither up nor down")]
pub struct UnknownDirection(String);

/// Where an operation reads what an account holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// What names the account: JSON pointers into the arguments.
    pub account: Vec<String>,
    /// Where an ok answer says the balance: JSON pointers, alternatives parted by `|`.
    pub value: String,
}

/// The promises of an operation as written.
#[derive(Clone, Copy)]
pub(super) struct Promised<'a> {
    pub(super) arguments: &'a Value,
    pub(super) idempotency: Option<&'a Idempotency>,
    pub(super) moves: Option<&'a Moves>,
    pub(super) balance: Option<&'a Balance>,
}

/// The promises of an operation made ready. Places are those among the noted values.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) key: Option<KeyRule>,
    pub(super) moves: Option<MoveRule>,
    pub(super) balance: Option<BalanceRule>,
}

#[derive(Clone, Debug)]
pub(super) struct KeyRule {
    id: Pointers,
    replayed: Option<Pointers>,
    pub(super) alter: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct MoveRule {
    pub(super) account: Vec<usize>,
    pub(super) amount: usize,
    pub(super) direction: Direction,
}

#[derive(Clone, Debug)]
pub(super) struct BalanceRule {
    pub(super) account: Vec<usize>,
    value: Pointers,
}

/// What an ok answer told about the promises.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What was done under the call's key.
    pub(super) made: Option<Kept>,
    /// Whether it was done before.
    pub(super) replayed: Option<bool>,
    /// What the account holds.
    pub(super) balance: Option<Kept>,
    /// What has become of what was to be done.
    pub(super) standing: Standing,
}

impl Promises {
    /// Makes promises ready; pointers to what is sent are added to `notes`.
    pub(super) fn compile(promised: &Promised<'_>, notes: &mut Vec<String>, faults: &mut Vec<String>) -> Self {
        let mut note = |pointer: &String| {
            notes.push(pointer.clone());
            notes.len() - 1
        };
        let mut found = Self::default();
        if let Some(Idempotency { key, id, alter, replayed }) = promised.idempotency {
            for pointer in std::iter::once(key).chain(alter) {
                faults.extend(generated(promised.arguments, pointer).err().map(|why| format!("idempotency: {why}")));
            }
            let id = read("idempotency", id, faults);
            let replayed = replayed.as_ref().and_then(|replayed| read("idempotency", replayed, faults));
            let alter = alter.as_ref().map(&mut note);
            found.key = id.map(|id| KeyRule { id, replayed, alter });
        }
        if let Some(Moves { account, amount, direction }) = promised.moves {
            faults.extend(named("moves", account));
            let (account, amount) = (account.iter().map(&mut note).collect(), note(amount));
            found.moves = Some(MoveRule { account, amount, direction: *direction });
        }
        if let Some(Balance { account, value }) = promised.balance {
            faults.extend(named("balance", account));
            let account = account.iter().map(&mut note).collect();
            found.balance = read("balance", value, faults).map(|value| BalanceRule { account, value });
        }
        found
    }

    /// What an answer tells about them.
    pub(super) fn told(&self, answer: &Answer<'_>) -> Told {
        let key = self.key.as_ref();
        Told {
            made: key.and_then(|key| answer.value(&key.id)),
            replayed: key.and_then(|key| answer.flag(key.replayed.as_ref()?)),
            balance: self.balance.as_ref().and_then(|balance| answer.value(&balance.value)),
            standing: if key.is_some() || self.moves.is_some() { standing(answer) } else { Standing::Done },
        }
    }
}

impl KeyRule {
    /// The place among the spans of the value of which another one makes another body.
    pub(super) fn altered(&self, noted: &[Sent]) -> Option<usize> {
        match noted.get(self.alter?)? {
            Sent::Span(place) => Some(*place),
            Sent::Constant(_) => None,
        }
    }
}

/// Where an answer says something; what is wrong with that is a fault.
fn read(what: &str, pointers: &str, faults: &mut Vec<String>) -> Option<Pointers> {
    Pointers::parse(pointers).map_err(|why| faults.push(format!("{what}: {why}"))).ok()
}

fn named(what: &str, account: &[String]) -> Option<String> {
    account.is_empty().then(|| format!("{what}: no account: give account = [\"/customer_id\"], in arguments"))
}

/// Whether the arguments have a generated value there, so that calls differ in it.
fn generated(arguments: &Value, pointer: &str) -> Result<(), String> {
    match walk(arguments, pointer)? {
        Walked::Generated(_) => Ok(()),
        Walked::Constant(_) => Err(format!(
            "`{pointer}` of the arguments is the same in every call: point at a generated value, as {{ unique = 32 }}"
        )),
    }
}
