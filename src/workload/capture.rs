//! Values read from replies and used in later calls: bounded, and drawn at random.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A capture's place among the workload's captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CaptureId(pub(super) usize);

/// How many values of each capture are kept; beyond that the oldest goes.
const KEPT: usize = 10_000;
/// A longer value is not an id that anybody would want to send back.
pub(super) const LONGEST: usize = 1024;

/// The captured values of one lane.
#[derive(Clone, Debug)]
pub struct Captures {
    kept: Vec<Ring>,
}

#[derive(Clone, Debug, Default)]
struct Ring {
    values: Vec<Box<str>>,
    oldest: usize,
}

impl Captures {
    pub(super) fn new(count: usize) -> Self {
        Self { kept: vec![Ring::default(); count] }
    }

    /// Keeps `value`, in place of the oldest once there are enough.
    pub(super) fn keep(&mut self, capture: CaptureId, value: &str) {
        let ring = &mut self.kept[capture.0];
        if ring.values.len() < KEPT {
            ring.values.push(value.into());
        } else {
            ring.values[ring.oldest] = value.into();
            ring.oldest = (ring.oldest + 1) % KEPT;
        }
    }

    /// Whether nothing was kept yet.
    pub(super) fn is_empty(&self, capture: CaptureId) -> bool {
        self.kept[capture.0].values.is_empty()
    }

    /// A value at random, where there is one.
    pub(super) fn draw(&self, capture: CaptureId, random: &mut ChaCha8Rng) -> Option<&str> {
        let values = &self.kept[capture.0].values;
        (!values.is_empty()).then(|| &*values[random.random_range(0..values.len())])
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut captures = Captures::new(1);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(captures.draw(CaptureId(0), &mut random), None);
        for n in 0..KEPT + 5 {
            captures.keep(CaptureId(0), &n.to_string());
        }
        let values = &captures.kept[0].values;
        assert_eq!(values.len(), KEPT);
        assert!((0..5).all(|n| !values.contains(&n.to_string().into())));
        assert!(values.contains(&(KEPT + 4).to_string().into()));
        let drawn: usize = captures.draw(CaptureId(0), &mut random).unwrap().parse().unwrap();
        assert!((5..KEPT + 5).contains(&drawn));
    }
}
