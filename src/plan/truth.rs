//! How hard a run looks for broken promises about money, and shares as they are written.

use serde::{Deserialize, Serialize};

use super::Faults;
use crate::workload::{Direction, Operation};

/// What is done beside plain calls to find out whether answers are true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Truth {
    /// The share (0 to 1) of the reads of acknowledged writes that asks for another connection than that of the write.
    pub read_elsewhere: f64,
    /// The share (0 to 1) of the results that is held to the output schema of their tool.
    pub check_output: f64,
    /// The share (0 to 1) of the calls under an idempotency key that uses one again that was used already.
    pub probe_idempotency: f64,
    /// Which way each built-in payment moves the balance of its customer. `None`: balances are not checked.
    pub wallets: Option<Direction>,
}

impl Default for Truth {
    fn default() -> Self {
        Self { read_elsewhere: 0.5, check_output: 0.1, probe_idempotency: 0.0, wallets: None }
    }
}

/// The same, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TruthDraft {
    /// See [`Truth::read_elsewhere`].
    pub read_elsewhere: Option<f64>,
    /// See [`Truth::check_output`].
    pub check_output: Option<f64>,
    /// See [`Truth::probe_idempotency`].
    pub probe_idempotency: Option<f64>,
    /// See [`Truth::wallets`].
    pub wallets: Option<Direction>,
}

impl TruthDraft {
    /// What `self` says, and what `base` says where `self` is silent.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            read_elsewhere: self.read_elsewhere.or(base.read_elsewhere),
            check_output: self.check_output.or(base.check_output),
            probe_idempotency: self.probe_idempotency.or(base.probe_idempotency),
            wallets: self.wallets.or(base.wallets),
        }
    }

    /// With the defaults where nothing was said; `operations` are those that are called.
    pub(super) fn check(self, operations: &[Operation], faults: &mut Faults) -> Truth {
        let default = Truth::default();
        let probe_idempotency = self.probe_idempotency.unwrap_or(default.probe_idempotency);
        if probe_idempotency > 0.0 && operations.iter().all(|operation| operation.idempotency.is_none()) {
            faults.note(
                "no operation of this run has a key that could be used again: call create_payment, or give an operation \
                 idempotency = { key = \"/idempotency_key\", id = \"/id\" }",
            );
        }
        let has = |is: fn(&Operation) -> bool| operations.iter().any(is);
        if self.wallets.is_some() && !(has(|o| o.moves.is_some()) && has(|o| o.balance.is_some())) {
            faults.note(
                "wallets can be checked only where payments are made and balances read: give --mixed, or a mix with \
                 create_payment and get_wallet_balance as they are built in",
            );
        }
        Truth {
            read_elsewhere: self.read_elsewhere.unwrap_or(default.read_elsewhere),
            check_output: self.check_output.unwrap_or(default.check_output),
            probe_idempotency,
            wallets: self.wallets,
        }
    }
}

/// Reads a share: `5%`, `0.05`.
///
/// # Errors
/// What is none, in words.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, scale) = text.trim().strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().map_or(f64::NAN, |number| number / scale);
    let wrong = || format!("`{text}` is not a share: give one from 0% to 100%, or from 0 to 1");
    (0.0..=1.0).contains(&share).then_some(share).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_or_a_part_of_one() {
        assert_eq!(parse_share("50%"), Ok(0.5));
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert_eq!((parse_share("0"), parse_share("100 %")), (Ok(0.0), Ok(1.0)));
        for wrong in ["", "50", "-1%", "101%", "half", "nan", "inf"] {
            assert!(parse_share(wrong).unwrap_err().contains("give one from 0% to 100%"), "{wrong}");
        }
    }
}
