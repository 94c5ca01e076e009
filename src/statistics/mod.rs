//! HOW SURE: from counts to statements that hold with a stated confidence.
//!
//! Everything here is a function of numbers; nothing knows a run, an objective or a clock. A [`Share`] is a part of many
//! calls (failed, above a bound), a [`Mean`] an average over them; both are made of the counts of successive stretches of
//! time, so that calls that were slow *together* count for less than calls that were slow each for itself. [`Looks`] says
//! when the figures may be looked at before the end, and how much error each look may spend.
//!
//! `docs/verdicts.md` explains the methods in plain words, with their sources and with what they assume.

mod beta;
mod dependence;
mod looks;
mod mean;
mod quantiles;
mod share;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod simulation;
mod size;

pub use beta::at_most;
pub use dependence::{Dependence, FEWEST};
pub use looks::{Look, Looks};
pub use mean::{Mean, Times};
pub use quantiles::{normal_quantile, t_quantile, t_tail};
pub use share::{Count, Share};
pub use size::{calls_to_fail, calls_to_pass, calls_without_bad};

/// The error that a verdict may make: 5 %, on one side.
pub const ERROR: f64 = 0.05;

/// Which of `claims` hold together with an error of at most `error` for all of them, by Holm's step-down method (1979):
/// `holds(claim, error)` says whether a claim holds alone with that error. A claim that holds with one error must hold
/// with every larger one.
pub fn holm<T>(claims: &[T], error: f64, holds: impl Fn(&T, f64) -> bool) -> Vec<bool> {
    let mut held = vec![false; claims.len()];
    loop {
        let left = held.iter().filter(|held| !**held).count();
        if left == 0 {
            return held;
        }
        let each = error / left as f64;
        let found: Vec<usize> = (0..claims.len()).filter(|at| !held[*at] && holds(&claims[*at], each)).collect();
        if found.is_empty() {
            return held;
        }
        for at in found {
            held[at] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_rejects_step_by_step() {
        let held = |p_values: &[f64]| holm(p_values, 0.05, |p, error| *p <= error);
        // Holm's own rule: the smallest against 0.05/3, the next against 0.05/2, the last against 0.05.
        assert_eq!(held(&[0.04, 0.01, 0.02]), [true, true, true]);
        assert_eq!(held(&[0.04, 0.017, 0.02]), [false, false, false]);
        assert_eq!(held(&[0.06, 0.01, 0.02]), [false, true, true]);
        assert_eq!(held(&[]), [false; 0]);
    }
}
