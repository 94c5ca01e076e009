//! How the ledger slips: payments made twice, lost, told late or told wrong, as a function of the seed and the call's
//! number.
//!
//! Each slip has a lot of its own, so that their shares need not leave room for each other. A slip that does not concern
//! a call (a lost write, where the call is a balance) does nothing.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::fault::Share;

/// Parts the lots of slips from those of faults.
const OWN_STREAM: u64 = 0x736c_6970;

/// The slips that were asked for. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LedgerFaults {
    /// Of creates that repeat a known idempotency key, the share for which the key is ignored: the payment is made a
    /// second time, charged a second time and acknowledged under an id of its own, also where its body differs from
    /// the first. Later repeats find the first payment again.
    pub double_charges: Share,
    /// Of creates that make a payment, the share that is acknowledged with an id but never stored: a verify of that id
    /// is refused for ever, the balance stays as it was, the key stays free. A create that finds the payment of its key
    /// is not concerned.
    pub lost_writes: Share,
    /// Of creates and verifies, the share that answers one more than was paid. What is stored is right, balances too.
    pub wrong_amounts: Share,
    /// Of balances, the share that is answered one too high.
    pub wrong_balances: Share,
    /// A stale verify does not find a payment that was made less than this ago, and refuses it as unknown.
    pub stale_reads: Option<Duration>,
    /// The share of verifies that is stale, where `stale_reads` says how much. `None` is all.
    pub stale_share: Option<Share>,
    /// For so long after it was made, a payment is found by verifies on the connection that made it alone: as if each
    /// connection led to a replica of its own. Balances and idempotency keys are those of the whole server at any time.
    pub replica_lag: Option<Duration>,
}

/// What the ledger does wrong in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each slip is drawn for itself, so that all may come together")]
pub struct Slips {
    /// A known key is ignored.
    pub double_charge: bool,
    /// What is made is not stored.
    pub lost_write: bool,
    /// The amount answered is one too high.
    pub wrong_amount: bool,
    /// The balance answered is one too high.
    pub wrong_balance: bool,
    /// Payments younger than this are not found.
    pub stale: Duration,
    /// Payments younger than this are not found but by their maker's connection.
    pub replica_lag: Duration,
}

impl LedgerFaults {
    /// Whether anything was asked for.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Whether the wishes belong together.
    ///
    /// # Errors
    ///
    /// [`SlipError`] where a share of stale reads stands without their lag.
    pub fn check(&self) -> Result<(), SlipError> {
        let sound = self.stale_share.is_none() || self.stale_reads.is_some();
        sound.then_some(()).ok_or(SlipError::ShareWithoutLag)
    }

    /// What goes wrong in the `number`-th call: the same for the same seed, on every machine and in every release.
    pub fn slips(&self, seed: u64, number: u64) -> Slips {
        if !self.any() {
            return Slips::default();
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ OWN_STREAM);
        random.set_stream(number);
        let mut strikes = |share: Share| random.random::<f64>() < share.part();
        Slips {
            double_charge: strikes(self.double_charges),
            lost_write: strikes(self.lost_writes),
            wrong_amount: strikes(self.wrong_amounts),
            stale: if strikes(self.stale_share.unwrap_or(Share::ALL)) {
                self.stale_reads.unwrap_or_default()
            } else {
                Duration::ZERO
            },
            replica_lag: self.replica_lag.unwrap_or_default(),
            // The last draw, as those before it are pinned by the seeds of others.
            wrong_balance: strikes(self.wrong_balances),
        }
    }
}

/// Why a slip cannot be had.
#[derive(Debug, Error)]
pub enum SlipError {
    /// A share of nothing.
    #[error("a share of stale reads says nothing without their lag: give it too, as in --stale-reads 100ms")]
    ShareWithoutLag,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> LedgerFaults {
        LedgerFaults {
            double_charges: "10%".parse().unwrap(),
            lost_writes: "20%".parse().unwrap(),
            wrong_amounts: "30%".parse().unwrap(),
            wrong_balances: "50%".parse().unwrap(),
            stale_reads: Some(Duration::from_millis(5)),
            stale_share: Some("40%".parse().unwrap()),
            replica_lag: Some(Duration::from_secs(1)),
        }
    }

    #[test]
    fn the_slips_of_a_call_depend_on_seed_and_number_alone() {
        let slips = |seed| (0..200).map(|number| some().slips(seed, number)).collect::<Vec<_>>();
        assert_eq!(slips(1), slips(1));
        assert_ne!(slips(1), slips(2));
    }

    #[test]
    fn each_slip_strikes_as_often_as_its_share_says_and_apart_from_the_others() {
        let calls = 50_000;
        let all: Vec<_> = (0..calls).map(|number| some().slips(42, number)).collect();
        let about = |expected: f64, has: &dyn Fn(&Slips) -> bool| {
            let seen = all.iter().filter(|slips| has(slips)).count() as f64;
            let expected = expected * calls as f64;
            // Five standard deviations of a binomial count.
            assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "{seen} of {expected}");
        };
        about(0.1, &|slips| slips.double_charge);
        about(0.2, &|slips| slips.lost_write);
        about(0.3, &|slips| slips.wrong_amount);
        about(0.5, &|slips| slips.wrong_balance);
        about(0.4, &|slips| slips.stale == Duration::from_millis(5));
        about(0.6, &|slips| slips.stale.is_zero());
        about(0.2 * 0.3, &|slips| slips.lost_write && slips.wrong_amount);
        assert!(all.iter().all(|slips| slips.replica_lag == Duration::from_secs(1)));
    }

    #[test]
    fn all_reads_are_stale_where_no_share_is_named_and_nothing_slips_unasked() {
        let lag = Duration::from_millis(100);
        let stale = LedgerFaults { stale_reads: Some(lag), ..LedgerFaults::default() };
        assert!((0..1000).all(|number| stale.slips(3, number) == Slips { stale: lag, ..Slips::default() }));
        assert!((0..1000).all(|number| LedgerFaults::default().slips(3, number) == Slips::default()));
        assert!(stale.any() && !LedgerFaults::default().any());
    }

    #[test]
    fn a_share_of_stale_reads_without_their_lag_is_refused() {
        let alone = LedgerFaults { stale_share: Some(Share::ALL), ..LedgerFaults::default() };
        assert!(alone.check().unwrap_err().to_string().contains("--stale-reads 100ms"));
        assert!(some().check().is_ok() && LedgerFaults::default().check().is_ok());
    }
}
