//! Which operation an arrival calls: a draw by weight.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::OperationId;

/// Operations and their shares of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Operations with the running sum of the shares, the last one 1.
    upto: Vec<(OperationId, f64)>,
}

impl Mix {
    /// A mix by weight; `None` where no weight is above zero, or one is negative or not finite.
    pub fn new(weights: &[(OperationId, f64)]) -> Option<Self> {
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if !(sum.is_finite() && sum > 0.0) || weights.iter().any(|(_, weight)| *weight < 0.0) {
            return None;
        }
        let mut running = 0.0;
        let upto = weights.iter().filter(|(_, weight)| *weight > 0.0).map(|(operation, weight)| {
            running += weight / sum;
            (*operation, running)
        });
        Some(Self { upto: upto.collect() })
    }

    /// Draws an operation. Takes one random number even where there is no choice, so that adding an operation to a mix
    /// moves no generated field.
    pub(super) fn pick(&self, random: &mut ChaCha8Rng) -> OperationId {
        let point: f64 = random.random();
        let place = self.upto.partition_point(|(_, upto)| *upto <= point);
        self.upto[place.min(self.upto.len() - 1)].0
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn shares_follow_weights_and_a_zero_weight_is_never_drawn() {
        let mix = Mix::new(&[(OperationId(0), 5.0), (OperationId(1), 0.0), (OperationId(2), 3.0)]).unwrap();
        assert_eq!(mix.upto, [(OperationId(0), 0.625), (OperationId(2), 1.0)]);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0_u32; 3];
        for _ in 0..80_000 {
            counts[usize::from(mix.pick(&mut random).0)] += 1;
        }
        assert_eq!(counts[1], 0);
        // Five standard deviations of a binomial count.
        assert!((f64::from(counts[0]) - 50_000.0).abs() < 5.0 * (80_000.0_f64 * 0.625 * 0.375).sqrt());
    }

    #[test]
    fn a_mix_of_nothing_is_refused() {
        assert_eq!(Mix::new(&[]), None);
        assert_eq!(Mix::new(&[(OperationId(0), 0.0)]), None);
        assert_eq!(Mix::new(&[(OperationId(0), -1.0), (OperationId(1), 2.0)]), None);
        assert_eq!(Mix::new(&[(OperationId(0), f64::INFINITY)]), None);
    }
}
