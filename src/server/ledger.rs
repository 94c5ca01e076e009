//! The payments themselves, in memory: idempotent, bounded, and the same for the same seed.
//!
//! The ledger remembers the newest payments up to its capacity. A payment's id contains its place in the order of
//! payments, so that finding it is an index and no second map of ids is needed.

use std::collections::{HashMap, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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

/// A payment as the ledger tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) amount: Money,
    pub(super) currency: Currency,
}

/// Why the ledger refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub(super) enum LedgerError {
    #[error("amount {0} cannot be paid: give a number from 0.01 to 1000000 with at most two decimals")]
    Amount(f64),
    #[error("idempotency_key {0} was used for another order: send the same body with it, or take a new key")]
    KeyReused(String),
    #[error("payment {0} is not known: it was never made here, or is too old")]
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
    paid: HashMap<u64, u64>,
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
            paid: HashMap::new(),
        }
    }

    /// Makes the payment, or finds the one that was made under the same key.
    pub(super) fn create(&mut self, order: &Order) -> Result<Record, LedgerError> {
        let account = self.account(order.customer, order.currency);
        let body =
            digest(self.seed, &[&account.to_le_bytes(), &order.amount.0.to_le_bytes(), order.details.as_bytes()]);
        let key = order.key.map(|key| digest(self.seed, &[key.as_bytes()]));
        if let Some(place) = key.and_then(|key| self.keys.get(&key).copied()) {
            return match self.at(place) {
                Some(payment) if payment.order == body => Ok(self.record(place, payment)),
                _ => Err(LedgerError::KeyReused(order.key.unwrap_or_default().to_owned())),
            };
        }
        if self.payments.len() >= self.capacity {
            self.forget_oldest();
        }
        let payment = Payment { amount: order.amount, currency: order.currency, account, key, order: body };
        let place = self.first + self.payments.len() as u64;
        self.payments.push_back(payment);
        if let Some(key) = key {
            self.keys.insert(key, place);
        }
        *self.paid.entry(account).or_default() += order.amount.0;
        Ok(self.record(place, payment))
    }

    /// The payment with this id, if it is remembered.
    pub(super) fn find(&self, id: &str) -> Result<Record, LedgerError> {
        let place = id
            .strip_prefix("pay_")
            .and_then(|rest| rest.split_at_checked(8))
            .filter(|(tag, _)| *tag == self.tag())
            .and_then(|(_, place)| place.parse().ok());
        place
            .and_then(|place| Some(self.record(place, self.at(place)?)))
            .filter(|record| record.id == id)
            .ok_or_else(|| LedgerError::Unknown(id.to_owned()))
    }

    /// The starting balance, which depends on seed, customer and currency alone, plus the remembered payments.
    pub(super) fn balance(&self, customer: &str, currency: Currency) -> Money {
        let account = self.account(customer, currency);
        Money(account % RICHEST + self.paid.get(&account).copied().unwrap_or_default())
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.payments.pop_front() else { return };
        self.first += 1;
        if let Some(key) = oldest.key {
            self.keys.remove(&key);
        }
        if let Some(paid) = self.paid.get_mut(&oldest.account) {
            *paid -= oldest.amount.0;
            if *paid == 0 {
                self.paid.remove(&oldest.account);
            }
        }
    }

    fn at(&self, place: u64) -> Option<Payment> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.payments.get(index).copied()
    }

    fn record(&self, place: u64, payment: Payment) -> Record {
        let id = format!("pay_{}{place:012}", self.tag());
        Record { id, amount: payment.amount, currency: payment.currency }
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

    #[test]
    fn what_was_paid_is_found_again_with_its_amount() {
        let mut ledger = Ledger::new(1, 10);
        let made = ledger.create(&order(1234, "ann", None)).unwrap();
        assert_eq!(ledger.find(&made.id), Ok(made.clone()));
        assert!((made.amount.number() - 12.34).abs() < f64::EPSILON);
    }

    #[test]
    fn one_key_is_one_payment_and_another_body_is_refused() {
        let mut ledger = Ledger::new(1, 10);
        let made = ledger.create(&order(500, "ann", Some("k"))).unwrap();
        assert_eq!(ledger.create(&order(500, "ann", Some("k"))), Ok(made.clone()));
        let refused = Err(LedgerError::KeyReused("k".to_owned()));
        assert_eq!(ledger.create(&order(501, "ann", Some("k"))), refused);
        assert_eq!(ledger.create(&order(500, "bob", Some("k"))), refused);
        assert_eq!(ledger.create(&Order { details: "x", ..order(500, "ann", Some("k")) }), refused);
        assert_ne!(ledger.create(&order(500, "ann", Some("l"))).unwrap().id, made.id);
    }

    #[test]
    fn an_id_of_another_spelling_or_another_seed_is_unknown() {
        let mut ledger = Ledger::new(1, 10);
        let id = ledger.create(&order(500, "ann", None)).unwrap().id;
        let foreign = Ledger::new(2, 10).create(&order(500, "ann", None)).unwrap().id;
        for wrong in
            ["", "pay_", "pay_é", &foreign, &format!("{id}0"), &id.replacen("0000", "+000", 1), &id[..id.len() - 1]]
        {
            assert_eq!(ledger.find(wrong), Err(LedgerError::Unknown(wrong.to_owned())), "{wrong}");
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

    proptest! {
        #[test]
        fn the_balance_is_the_start_plus_the_remembered_payments(
            payments in prop::collection::vec((1_u64..10_000, 0_usize..3, 0_u32..20), 1..60),
            capacity in 1_usize..40,
        ) {
            let mut ledger = Ledger::new(7, capacity);
            let customers = ["ann", "bob", "cy"];
            let starts = customers.map(|customer| ledger.balance(customer, Currency::Usd));
            let mut made: Vec<(Record, usize)> = Vec::new();
            for (amount, customer, key) in payments {
                let key = format!("k{key}");
                if let Ok(record) = ledger.create(&order(amount, customers[customer], Some(&key)))
                    && made.iter().all(|(earlier, _)| earlier.id != record.id)
                {
                    made.push((record, customer));
                }
            }
            let (forgotten, remembered) = made.split_at(made.len().saturating_sub(capacity));
            for (record, _) in forgotten {
                prop_assert!(ledger.find(&record.id).is_err());
            }
            for (index, customer) in customers.iter().enumerate() {
                let mine = remembered.iter().filter(|(_, owner)| *owner == index);
                let sum: u64 = mine.map(|(record, _)| record.amount.0).sum();
                prop_assert_eq!(ledger.balance(customer, Currency::Usd), Money(starts[index].0 + sum));
            }
            for (record, _) in remembered {
                prop_assert_eq!(&ledger.find(&record.id).unwrap(), record);
            }
            prop_assert!(ledger.keys.len() <= capacity && ledger.paid.len() <= capacity);
        }
    }
}
