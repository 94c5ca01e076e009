//! What each account has paid: exact for ever while accounts are few, bounded when they are many.
//!
//! An account lives as long as one of its payments is remembered. After that it sleeps: its sum is kept, but where there
//! are more accounts than the bound, the one that has slept longest is forgotten, and its balance falls back to where it
//! started. A pool of customers within the bound therefore keeps exact balances however many payments are made.

use std::collections::{BTreeSet, HashMap};

/// So many accounts are kept however few payments are remembered.
const FEWEST: usize = 100_000;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    paid: u64,
    /// How many of its payments are remembered.
    remembered: u64,
    /// The place of its last payment in the order of all.
    last: u64,
}

/// The sums of all accounts that are kept.
#[derive(Debug)]
pub(super) struct Accounts {
    most: usize,
    all: HashMap<u64, Account>,
    /// Accounts without a remembered payment, by the place of their last one.
    asleep: BTreeSet<(u64, u64)>,
}

impl Accounts {
    /// Keeps at most as many accounts as payments are remembered, and 100 000 at least.
    pub(super) fn new(payments: usize) -> Self {
        Self { most: payments.max(FEWEST), all: HashMap::new(), asleep: BTreeSet::new() }
    }

    /// Notes a payment of `amount`, the `place`-th of all. Places rise.
    pub(super) fn pay(&mut self, account: u64, amount: u64, place: u64) {
        let found = self.all.entry(account).or_default();
        if found.remembered == 0 {
            self.asleep.remove(&(found.last, account));
        }
        *found = Account { paid: found.paid.saturating_add(amount), remembered: found.remembered + 1, last: place };
        if self.all.len() > self.most
            && let Some((_, sleeper)) = self.asleep.pop_first()
        {
            self.all.remove(&sleeper);
        }
    }

    /// One payment of the account is remembered no more; what it paid is.
    pub(super) fn forget_payment(&mut self, account: u64) {
        if let Some(found) = self.all.get_mut(&account) {
            found.remembered = found.remembered.saturating_sub(1);
            if found.remembered == 0 {
                self.asleep.insert((found.last, account));
            }
        }
    }

    /// What the account has paid.
    pub(super) fn paid(&self, account: u64) -> u64 {
        self.all.get(&account).map_or(0, |found| found.paid)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_pool_of_accounts_keeps_exact_sums_though_payments_are_forgotten() {
        let mut accounts = Accounts::new(5);
        for place in 0..1_000_000 {
            accounts.pay(place % 1000, 3, place);
            if place >= 5 {
                accounts.forget_payment((place - 5) % 1000);
            }
        }
        assert!((0..1000).all(|account| accounts.paid(account) == 3000));
        assert!(accounts.kept() == 1000 && accounts.asleep.len() == 995, "{}", accounts.asleep.len());
    }

    #[test]
    fn beyond_the_bound_the_account_that_slept_longest_is_forgotten_and_a_living_one_never() {
        let mut accounts = Accounts::new(5);
        let most = FEWEST as u64;
        accounts.pay(u64::MAX, 1, 0);
        for place in 1..most + 10 {
            accounts.pay(place, 2, place);
            accounts.forget_payment(place);
        }
        assert_eq!((accounts.kept(), accounts.paid(u64::MAX)), (FEWEST, 1));
        assert_eq!((accounts.paid(10), accounts.paid(11), accounts.paid(most + 9)), (0, 2, 2));
    }
}
