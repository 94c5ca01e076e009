//! What accounts must hold: bounds that every order of the writes keeps, and whether a balance is within them.
//!
//! A lane knows every write to its accounts, and nobody else writes to them. When a balance is read, all writes that were
//! acknowledged before the read was sent are in it, and no write is that has not begun by its end. What lies between
//! (in flight, or ended without an acknowledgement) may be in it or not. What an account held at first is not known: each
//! read bounds it, and reads of which the bounds have nothing in common cannot all be true.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

use super::promise::Direction;

/// So many accounts of a lane are followed; the calls of others are not looked at.
const ACCOUNTS: usize = 10_000;
/// Amounts are counted in billionths.
const DECIMALS: usize = 9;
/// A balance may be off by this, for what floating point adds: a quarter of a hundredth, or less where amounts have more
/// decimals. Two that differ by a hundredth are then still different.
const SLACK: i128 = 2_500_000;
/// The longest whole part of an amount, in digits: sums of any number of these fit.
const LONGEST: usize = 18;

/// An amount of money, in billionths, and how many decimals it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) billionths: i128,
    decimals: usize,
}

impl Amount {
    /// Reads a plain decimal number, without exponent or blanks; what is beyond billionths is left out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_plain = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > LONGEST || !is_plain(whole) || !is_plain(part) {
            return None;
        }
        let mut billionths: i128 = whole.parse().ok()?;
        for place in 0..DECIMALS {
            let digit = part.as_bytes().get(place).map_or(0, |digit| digit - b'0');
            billionths = billionths * 10 + i128::from(digit);
        }
        Some(Self { billionths: if negative { -billionths } else { billionths }, decimals: part.len().min(DECIMALS) })
    }

    /// By how much a balance moves.
    pub(super) const fn moved(self, direction: Direction) -> Self {
        match direction {
            Direction::Up => self,
            Direction::Down => Self { billionths: -self.billionths, ..self },
        }
    }

    /// A quarter of its last decimal, where that is less than a quarter of a hundredth.
    const fn slack(self) -> i128 {
        let quarter = 10_i128.pow((DECIMALS - self.decimals) as u32) / 4;
        if quarter < SLACK { quarter } else { SLACK }
    }
}

/// Billionths as a number with two decimals at least.
pub(super) fn written(billionths: i128) -> String {
    let sign = if billionths < 0 { "-" } else { "" };
    let unit = 10_u128.pow(DECIMALS as u32);
    let (whole, part) = (billionths.unsigned_abs() / unit, billionths.unsigned_abs() % unit);
    let text = format!("{part:09}");
    let part = text.trim_end_matches('0');
    format!("{sign}{whole}.{part:0<2}")
}

/// From the least to the most, both possible.
pub(super) type Span = (i128, i128);

/// What has moved a balance one way.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// By acknowledged writes.
    known: i128,
    /// By all that may have happened, the acknowledged ones included.
    possible: i128,
}

/// One account.
#[derive(Debug, Default)]
pub(super) struct Account {
    up: Cell<Flow>,
    down: Cell<Flow>,
    /// What it held at first, as far as balances bound it.
    start: Cell<Option<Span>>,
    /// The same by a balance that contradicted those before it, until the next balance sides with either.
    other: Cell<Option<Span>>,
    slack: Cell<Option<i128>>,
    /// A write to it was not understood: nothing is claimed of it any more.
    is_lost: Cell<bool>,
}

/// What had certainly moved an account's balance when a read of it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    up: i128,
    down: i128,
}

impl Account {
    fn change(&self, amount: i128, change: impl FnOnce(&mut Flow, i128)) {
        let flow = if amount < 0 { &self.down } else { &self.up };
        let mut changed = flow.get();
        change(&mut changed, amount.abs());
        flow.set(changed);
    }

    /// A write of this amount begins.
    pub(super) fn begin(&self, amount: Option<Amount>) {
        let Some(amount) = amount else { return self.is_lost.set(true) };
        self.change(amount.billionths, |flow, size| flow.possible += size);
        self.slack.set(Some(self.slack().min(amount.slack())));
    }

    /// It happened.
    pub(super) fn happened(&self, amount: i128) {
        self.change(amount, |flow, size| flow.known += size);
    }

    /// It did not happen and never will.
    pub(super) fn failed(&self, amount: i128) {
        self.change(amount, |flow, size| flow.possible -= size);
    }

    /// What is certain now, when a read is about to be sent.
    pub(super) fn level(&self) -> Level {
        Level { up: self.up.get().known, down: self.down.get().known }
    }

    fn slack(&self) -> i128 {
        self.slack.get().unwrap_or(SLACK)
    }

    /// Holds a balance that was read, and sent for at `level`, against all others. Gives the bounds that it should have
    /// been within, where it is not.
    pub(super) fn read(&self, level: Level, seen: i128) -> Result<(), Span> {
        if self.is_lost.get() {
            return Ok(());
        }
        let moved = (level.up - self.down.get().possible, self.up.get().possible - level.down);
        let now = (seen - moved.1 - self.slack(), seen - moved.0 + self.slack());
        let Some(start) = self.start.get() else {
            self.start.set(Some(now));
            return Ok(());
        };
        if let Some(both) = common(start, now).or_else(|| common(self.other.get()?, now)) {
            self.start.set(Some(both));
            self.other.set(None);
            return Ok(());
        }
        self.other.set(Some(now));
        Err((start.0 + moved.0, start.1 + moved.1))
    }
}

fn common(left: Span, right: Span) -> Option<Span> {
    let both = (left.0.max(right.0), left.1.min(right.1));
    (both.0 <= both.1).then_some(both)
}

/// The accounts of one lane.
#[derive(Debug, Default)]
pub(super) struct Wallets {
    all: HashMap<Box<str>, Rc<Account>>,
    name: String,
}

impl Wallets {
    /// The account that these values name together, if it is one that is followed.
    pub(super) fn account<'a>(&mut self, names: impl Iterator<Item = Cow<'a, str>>) -> Option<Rc<Account>> {
        self.name.clear();
        for name in names {
            let written = write!(self.name, "{}:{name}", name.len());
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        if let Some(known) = self.all.get(&*self.name) {
            return Some(Rc::clone(known));
        }
        if self.all.len() >= ACCOUNTS {
            return None;
        }
        let account = Rc::<Account>::default();
        self.all.insert(self.name.as_str().into(), Rc::clone(&account));
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> i128 {
        Amount::parse(text).unwrap().billionths
    }

    #[test]
    fn amounts_are_read_exactly_and_written_as_people_do() {
        for (text, billionths, back) in [
            ("12.5", 12_500_000_000, "12.50"),
            ("-0.001", -1_000_000, "-0.001"),
            ("7", 7_000_000_000, "7.00"),
            ("0.3000000000000004", 300_000_000, "0.30"),
        ] {
            assert_eq!((money(text), &*written(billionths)), (billionths, back));
        }
        for wrong in ["", "-", ".5", "1e3", "1,000.00", "NaN", "1234567890123456789"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            ["5", "5.5", "5.55", "5.555"].map(|text| Amount::parse(text).unwrap().slack()),
            [SLACK, SLACK, SLACK, 250_000]
        );
    }

    #[test]
    fn a_balance_holds_what_was_acknowledged_and_may_hold_what_was_not() {
        let account = Account::default();
        assert_eq!(account.read(account.level(), money("100")), Ok(()), "the first is the base");
        account.begin(Amount::parse("10.00"));
        assert_eq!(account.read(account.level(), money("100")), Ok(()), "in flight: not yet");
        assert_eq!(account.read(account.level(), money("110")), Ok(()), "in flight: already");
        let before = account.level();
        account.happened(money("10"));
        assert_eq!(account.read(before, money("100")), Ok(()), "it was acknowledged while the read was under way");
        let slack = SLACK;
        let wanted = (money("110") - slack, money("110") + slack);
        assert_eq!(account.read(account.level(), money("100")), Err(wanted));
        assert_eq!(account.read(account.level(), money("110.002")), Ok(()));
    }

    #[test]
    fn a_difference_is_told_once_whether_it_stays_or_goes() {
        let account = Account::default();
        let read = |text: &str| account.read(account.level(), money(text)).is_ok();
        assert!(read("100") && !read("101") && read("100"), "one wrong answer is one");
        assert!(!read("90") && read("90") && read("90"), "a loss is one, however often it is seen");
        assert!(!read("1") && !read("2"), "each is another");
        assert!(read("2") && !read("2.01"), "a hundredth is one");
    }

    #[test]
    fn what_failed_is_not_in_and_what_is_not_understood_ends_all_claims() {
        let account = Account::default();
        assert!(account.read(account.level(), money("5")).is_ok());
        account.begin(Amount::parse("2"));
        account.failed(money("2"));
        assert!(account.read(account.level(), money("7")).is_err());
        account.begin(None);
        assert!(account.read(account.level(), money("9")).is_ok());
    }

    #[test]
    fn accounts_are_told_apart_by_all_their_values_and_bounded() {
        let mut wallets = Wallets::default();
        let mut account = |names: &[&str]| wallets.account(names.iter().map(|name| Cow::from(*name)));
        let one = account(&["a", "b"]).unwrap();
        assert!(Rc::ptr_eq(&one, &account(&["a", "b"]).unwrap()));
        assert!(!Rc::ptr_eq(&one, &account(&["ab", ""]).unwrap()));
        for n in 2..ACCOUNTS {
            assert!(account(&[&n.to_string()]).is_some());
        }
        assert!(account(&["one more"]).is_none());
        assert!(account(&["a", "b"]).is_some());
    }

    /// A right server and its lane: writes and reads begin, take effect at some time, and end later.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Begin(i64),
        Apply(usize),
        End(usize, bool),
        Look,
        Answer,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec(
            prop_oneof![
                (-5000_i64..10_000).prop_map(Step::Begin),
                (0_usize..8).prop_map(Step::Apply),
                (0_usize..8, any::<bool>()).prop_map(|(n, acknowledged)| Step::End(n, acknowledged)),
                Just(Step::Look),
                Just(Step::Answer),
            ],
            0..80,
        )
    }

    proptest! {
        #[test]
        fn a_right_server_is_never_accused_whatever_is_under_way(start in -100_000_i64..100_000, steps in steps()) {
            let account = Account::default();
            let cents = |n: i64| i128::from(n) * 10_000_000;
            let mut balance = cents(start);
            // Amount and whether it has taken effect.
            let mut writes: Vec<(i64, bool)> = Vec::new();
            let mut look: Option<(Level, i128)> = None;
            for step in steps {
                match step {
                    Step::Begin(n) => {
                        account.begin(Amount::parse(&format!("{}{}.{:02}", if n < 0 { "-" } else { "" }, n.abs() / 100, n.abs() % 100)));
                        writes.push((n, false));
                    }
                    Step::Apply(place) => if let Some((n, applied @ false)) = writes.get_mut(place) {
                        *applied = true;
                        balance += cents(*n);
                    },
                    Step::End(place, acknowledged) => if place < writes.len() {
                        let (n, applied) = writes.remove(place);
                        match (applied, acknowledged) {
                            (true, true) => account.happened(cents(n)),
                            (false, true) => account.failed(cents(n)),
                            _ => {}
                        }
                    },
                    // The server looks at once, and answers later.
                    Step::Look => look = Some((account.level(), balance)),
                    Step::Answer => if let Some((level, seen)) = look.take() {
                        prop_assert_eq!(account.read(level, seen), Ok(()));
                    },
                }
            }
        }
    }
}
