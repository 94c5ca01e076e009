//! The payments themselves, in memory: idempotent, bounded, and the same for the same seed.
//!
//! The ledger remembers the newest payments up to its capacity. A payment's id contains its place in the order of
//! payments, so that finding it is an index and no second map of ids is needed. What is forgotten stays in the balance
//! of its account; whole accounts are forgotten only beyond a bound of their own (see `accounts`).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::accounts::Accounts;
use super::slip::Slips;

/// The largest amount of one payment, in hundredths.
const LARGEST: u64 = 100_000_000;
/// Starting balances lie below this, in hundredths.
const RICHEST: u64 = 1_000_000;

/// The currencies that the ledger keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub(super) enum Currency {
    Usd,
    Eur,
    Gbp,
    Inr,
    Jpy,
}

/// An amount of money in hundredths of its currency, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Money(u64);

impl Money {
    /// The payable amount `number`: above zero, at most a million, at most two decimals.
    pub(super) fn payable(number: f64) -> Result<Self, LedgerError> {
        let hundredths = (number * 100.0).round();
        let exact = (number * 100.0 - hundredths).abs() < 1e-6;
        if exact && hundredths >= 1.0 && hundredths <= LARGEST as f64 {
            Ok(Self(hundredths as u64))
        } else {
            Err(LedgerError::Amount(number))
        }
    }

    /// One more, as a wrong answer says it.
    pub(super) fn one_more(self) -> Self {
        Self(self.0 + 100)
    }

    /// The amount as a number with two decimals.
    pub(super) fn number(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

/// What somebody wants to be paid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) amount: Money,
    pub(super) currency: Currency,
    pub(super) customer: &'a str,
    /// Two orders under one key are one payment.
    pub(super) key: Option<&'a str>,
    /// The rest of the order as text; it only decides whether two orders are the same.
    pub(super) details: &'a str,
}

/// Who comes to the ledger, when, and what goes wrong on that occasion. Without faults all of it is zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visit {
    /// The time since the server began.
    pub(super) now: Duration,
    /// The number of the connection.
    pub(super) connection: u64,
    pub(super) slips: Slips,
}

/// A payment as the ledger tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) amount: Money,
    pub(super) currency: Currency,
    /// Whether it was there before.
    pub(super) is_replay: bool,
}

/// Why the ledger refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub(super) enum LedgerError {
    #[error("amount {0} cannot be paid: give a number from 0.01 to 1000000 with at most two decimals")]
    Amount(f64),
    #[error("idempotency_key {0} was used for another order: send the same body with it, or take a new key")]
    KeyReused(String),
    #[error("no payment {0} is known: it was never made here, or is too old")]
    Unknown(String),
}

/// A remembered payment. Texts are kept as 64-bit digests: a million payments stay below 200 MB.
#[derive(Clone, Copy, Debug)]
struct Payment {
    amount: Money,
    currency: Currency,
    account: u64,
    key: Option<u64>,
    order: u64,
    made: Duration,
    connection: u64,
    /// Acknowledged, but not stored: only its place is taken.
    lost: bool,
}

impl Payment {
    fn is_hidden_from(&self, visit: Visit) -> bool {
        let age = visit.now.saturating_sub(self.made);
        let elsewhere = self.connection != visit.connection;
        self.lost || age < visit.slips.stale || (elsewhere && age < visit.slips.replica_lag)
    }
}

/// All payments that are remembered.
#[derive(Debug)]
pub(super) struct Ledger {
    seed: u64,
    capacity: usize,
    /// The place of `payments[0]` in the order of all payments ever made.
    first: u64,
    payments: VecDeque<Payment>,
    keys: HashMap<u64, u64>,
    accounts: Accounts,
}

impl Ledger {
    /// An empty ledger that remembers the newest `capacity` payments (at least one).
    pub(super) fn new(seed: u64, capacity: usize) -> Self {
        Self {
            seed,
            capacity: capacity.max(1),
            first: 0,
            payments: VecDeque::new(),
            keys: HashMap::new(),
            accounts: Accounts::new(capacity),
        }
    }

    /// Makes the payment, or finds the one that was made under the same key.
    pub(super) fn create(&mut self, order: &Order, visit: Visit) -> Result<Record, LedgerError> {
        let account = self.account(order.customer, order.currency);
        let body =
            digest(self.seed, &[&account.to_le_bytes(), &order.amount.0.to_le_bytes(), order.details.as_bytes()]);
        let mut key = order.key.map(|key| digest(self.seed, &[key.as_bytes()]));
        if let Some(place) = key.and_then(|key| self.keys.get(&key).copied()) {
            match self.at(place) {
                // The first payment keeps the key.
                _ if visit.slips.double_charge => key = None,
                Some(payment) if payment.order == body => {
                    return Ok(Record { is_replay: true, ..self.record(place, payment) });
                }
                _ => return Err(LedgerError::KeyReused(order.key.unwrap_or_default().to_owned())),
            }
        }
        if self.payments.len() >= self.capacity {
            self.forget_oldest();
        }
        let Visit { now: made, connection, slips } = visit;
        let lost = slips.lost_write;
        let payment = Payment {
            amount: order.amount,
            currency: order.currency,
            account,
            key,
            order: body,
            made,
            connection,
            lost,
        };
        let place = self.first + self.payments.len() as u64;
        self.payments.push_back(payment);
        if !lost {
            if let Some(key) = key {
                self.keys.insert(key, place);
            }
            self.accounts.pay(account, order.amount.0, place);
        }
        Ok(self.record(place, payment))
    }

    /// The payment with this id, if it is remembered and not hidden from this visit.
    pub(super) fn find(&self, id: &str, visit: Visit) -> Result<Record, LedgerError> {
        self.place(id)
            .and_then(|place| Some((place, self.at(place)?)))
            .filter(|(_, payment)| !payment.is_hidden_from(visit))
            .map(|(place, payment)| self.record(place, payment))
            .filter(|record| record.id == id)
            .ok_or_else(|| LedgerError::Unknown(id.to_owned()))
    }

    /// The payment made before the one with this id, or else the one made after it.
    pub(super) fn neighbour(&self, id: &str) -> Option<Record> {
        let place = self.place(id)?;
        let neighbours = [place.checked_sub(1), place.checked_add(1)];
        neighbours.into_iter().flatten().find_map(|place| Some(self.record(place, self.at(place)?)))
    }

    /// The starting balance, which depends on seed, customer and currency alone, plus what was paid, also by payments
    /// that are forgotten.
    pub(super) fn balance(&self, customer: &str, currency: Currency) -> Money {
        let account = self.account(customer, currency);
        Money(account % RICHEST + self.accounts.paid(account))
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.payments.pop_front() else { return };
        self.first += 1;
        if oldest.lost {
            return;
        }
        if let Some(key) = oldest.key {
            self.keys.remove(&key);
        }
        self.accounts.forget_payment(oldest.account);
    }

    /// The place that an id speaks of, whatever is there.
    fn place(&self, id: &str) -> Option<u64> {
        let (tag, place) = id.strip_prefix("pay_")?.split_at_checked(8)?;
        if tag == self.tag() { place.parse().ok() } else { None }
    }

    fn at(&self, place: u64) -> Option<Payment> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.payments.get(index).copied()
    }

    fn record(&self, place: u64, payment: Payment) -> Record {
        let id = format!("pay_{}{place:012}", self.tag());
        Record { id, amount: payment.amount, currency: payment.currency, is_replay: false }
    }

    /// Eight characters that tell this ledger's ids from those of a server with another seed.
    fn tag(&self) -> String {
        format!("{:08x}", digest(self.seed, &[b"payments"]) as u32)
    }

    fn account(&self, customer: &str, currency: Currency) -> u64 {
        digest(self.seed, &[customer.as_bytes(), &[currency as u8]])
    }
}

/// A 64-bit digest of `parts`: FNV-1a over each part and its length, then the finaliser of `SplitMix64`, which spreads
/// every bit over all others. The same in every release, unlike the standard library's hashes.
fn digest(seed: u64, parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut absorb = |bytes: &[u8]| {
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    absorb(&seed.to_le_bytes());
    for part in parts {
        absorb(part);
        absorb(&part.len().to_le_bytes());
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order<'a>(hundredths: u64, customer: &'a str, key: Option<&'a str>) -> Order<'a> {
        Order { amount: Money(hundredths), currency: Currency::Usd, customer, key, details: "" }
    }

    fn again(made: &Record) -> Record {
        Record { is_replay: true, ..made.clone() }
    }

    #[test]
    fn what_was_paid_is_found_again_with_its_amount() {
        let mut ledger = Ledger::new(1, 10);
        let made = ledger.create(&order(1234, "ann", None), Visit::default()).unwrap();
        assert_eq!(ledger.find(&made.id, Visit::default()), Ok(made.clone()));
        assert!((made.amount.number() - 12.34).abs() < f64::EPSILON);
    }

    #[test]
    fn one_key_is_one_payment_and_another_body_is_refused() {
        let mut ledger = Ledger::new(1, 10);
        let made = ledger.create(&order(500, "ann", Some("k")), Visit::default()).unwrap();
        assert_eq!(ledger.create(&order(500, "ann", Some("k")), Visit::default()), Ok(again(&made)));
        let refused = Err(LedgerError::KeyReused("k".to_owned()));
        assert_eq!(ledger.create(&order(501, "ann", Some("k")), Visit::default()), refused);
        assert_eq!(ledger.create(&order(500, "bob", Some("k")), Visit::default()), refused);
        assert_eq!(ledger.create(&Order { details: "x", ..order(500, "ann", Some("k")) }, Visit::default()), refused);
        assert_ne!(ledger.create(&order(500, "ann", Some("l")), Visit::default()).unwrap().id, made.id);
    }

    #[test]
    fn an_id_of_another_spelling_or_another_seed_is_unknown() {
        let mut ledger = Ledger::new(1, 10);
        let id = ledger.create(&order(500, "ann", None), Visit::default()).unwrap().id;
        let foreign = Ledger::new(2, 10).create(&order(500, "ann", None), Visit::default()).unwrap().id;
        for wrong in
            ["", "pay_", "pay_é", &foreign, &format!("{id}0"), &id.replacen("0000", "+000", 1), &id[..id.len() - 1]]
        {
            assert_eq!(ledger.find(wrong, Visit::default()), Err(LedgerError::Unknown(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn amounts_have_two_decimals_at_most_and_are_positive() {
        for good in [0.01, 10.0, 19.99, 0.29, 1_000_000.0] {
            assert!((Money::payable(good).unwrap().number() - good).abs() < 1e-9, "{good}");
        }
        for bad in [0.0, -1.0, 0.001, 10.005, 1_000_000.01, f64::NAN, f64::INFINITY] {
            assert!(Money::payable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_starting_balance_depends_on_seed_customer_and_currency() {
        let ledger = Ledger::new(1, 10);
        let start = ledger.balance("ann", Currency::Usd);
        assert_eq!(start, Ledger::new(1, 99).balance("ann", Currency::Usd));
        assert_ne!(start, Ledger::new(2, 10).balance("ann", Currency::Usd));
        assert_ne!(start, ledger.balance("ann", Currency::Eur));
        assert_ne!(start, ledger.balance("bob", Currency::Usd));
    }

    fn slipping(slips: Slips) -> Visit {
        Visit { slips, ..Visit::default() }
    }

    #[test]
    fn a_double_charge_is_a_second_payment_under_the_same_key_whatever_its_body() {
        let mut ledger = Ledger::new(1, 10);
        let start = ledger.balance("ann", Currency::Usd).0;
        let twice = slipping(Slips { double_charge: true, ..Slips::default() });
        let first = ledger.create(&order(500, "ann", Some("k")), twice).unwrap();
        let second = ledger.create(&order(500, "ann", Some("k")), twice).unwrap();
        let altered = ledger.create(&order(700, "ann", Some("k")), twice).unwrap();
        assert!(first.id != second.id && second.id != altered.id && altered.amount == Money(700));
        assert_eq!(ledger.balance("ann", Currency::Usd), Money(start + 1700));
        assert_eq!(ledger.create(&order(500, "ann", Some("k")), Visit::default()), Ok(again(&first)));
        assert_eq!(ledger.find(&second.id, Visit::default()), Ok(second));
    }

    #[test]
    fn a_lost_write_has_an_id_that_is_never_found_and_costs_nothing() {
        let mut ledger = Ledger::new(1, 3);
        let start = ledger.balance("ann", Currency::Usd);
        let lost = slipping(Slips { lost_write: true, ..Slips::default() });
        let gone = ledger.create(&order(500, "ann", Some("k")), lost).unwrap();
        assert_eq!(ledger.find(&gone.id, Visit::default()), Err(LedgerError::Unknown(gone.id.clone())));
        assert_eq!(ledger.balance("ann", Currency::Usd), start);
        let made = ledger.create(&order(500, "ann", Some("k")), Visit::default()).unwrap();
        assert_ne!(made.id, gone.id);
        assert_eq!(ledger.create(&order(500, "ann", Some("k")), lost), Ok(again(&made)));
        for _ in 0..2 {
            ledger.create(&order(1, "bob", None), Visit::default()).unwrap();
        }
        assert_eq!(ledger.create(&order(500, "ann", Some("k")), Visit::default()), Ok(again(&made)));
    }

    #[test]
    fn a_young_payment_is_hidden_from_stale_reads_and_from_other_connections_and_found_later() {
        let mut ledger = Ledger::new(1, 10);
        let at = |millis, connection, slips| Visit { now: Duration::from_millis(millis), connection, slips };
        let made = ledger.create(&order(500, "ann", None), at(1000, 1, Slips::default())).unwrap();
        let hundred = Duration::from_millis(100);
        let stale = Slips { stale: hundred, ..Slips::default() };
        let lagging = Slips { replica_lag: hundred, ..Slips::default() };
        let found = |visit| ledger.find(&made.id, visit).is_ok();
        assert_eq!([1099, 1100].map(|millis| found(at(millis, 1, stale))), [false, true]);
        assert_eq!([1000, 1099].map(|millis| found(at(millis, 1, lagging))), [true, true]);
        assert_eq!([1000, 1099, 1100].map(|millis| found(at(millis, 2, lagging))), [false, false, true]);
    }

    #[test]
    fn a_neighbour_is_another_payment_that_is_there() {
        let mut ledger = Ledger::new(1, 10);
        let made: Vec<_> = (1..4).map(|n| ledger.create(&order(n, "ann", None), Visit::default()).unwrap()).collect();
        assert_eq!(ledger.neighbour(&made[0].id), Some(made[1].clone()));
        assert_eq!(ledger.neighbour(&made[2].id), Some(made[1].clone()));
        assert_eq!(ledger.neighbour("pay_0"), None);
        assert_eq!(Ledger::new(1, 10).neighbour(&made[0].id), None);
    }

    proptest! {
        #[test]
        fn the_balance_is_the_start_plus_all_payments_the_forgotten_ones_too(
            payments in prop::collection::vec((1_u64..10_000, 0_usize..3, 0_u32..20), 1..60),
            capacity in 1_usize..40,
        ) {
            let mut ledger = Ledger::new(7, capacity);
            let customers = ["ann", "bob", "cy"];
            let starts = customers.map(|customer| ledger.balance(customer, Currency::Usd));
            let mut made: Vec<(Record, usize)> = Vec::new();
            for (amount, customer, key) in payments {
                let key = format!("k{key}");
                if let Ok(record) = ledger.create(&order(amount, customers[customer], Some(&key)), Visit::default())
                    && made.iter().all(|(earlier, _)| earlier.id != record.id)
                {
                    made.push((record, customer));
                }
            }
            let (forgotten, remembered) = made.split_at(made.len().saturating_sub(capacity));
            for (record, _) in forgotten {
                prop_assert!(ledger.find(&record.id, Visit::default()).is_err());
            }
            for (index, customer) in customers.iter().enumerate() {
                let mine = made.iter().filter(|(_, owner)| *owner == index);
                let sum: u64 = mine.map(|(record, _)| record.amount.0).sum();
                prop_assert_eq!(ledger.balance(customer, Currency::Usd), Money(starts[index].0 + sum));
            }
            for (record, _) in remembered {
                prop_assert_eq!(&ledger.find(&record.id, Visit::default()).unwrap(), record);
            }
            prop_assert!(ledger.keys.len() <= capacity && ledger.accounts.kept() <= customers.len());
        }
    }
}
