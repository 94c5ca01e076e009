//! When warm-up ends: known from the beginning, or set once while the run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Moment;

/// The end of warm-up, which all lanes' recorders and whoever decides about it share. It is only ever brought forward, and
/// to a moment that is still to come: then an arrival is in the same phase when it is picked up and when it ends.
#[derive(Clone, Debug, Default)]
pub struct WarmupEnd(Arc<AtomicU64>);

impl WarmupEnd {
    /// When it is, as far as is known.
    pub fn moment(&self) -> Moment {
        Moment::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Brings it forward to `moment`, which must not have come yet; a later one changes nothing.
    pub fn bring_forward(&self, moment: Moment) {
        self.0.fetch_min(moment.as_nanos(), Ordering::Relaxed);
    }
}

impl From<Moment> for WarmupEnd {
    fn from(moment: Moment) -> Self {
        Self(Arc::new(AtomicU64::new(moment.as_nanos())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_shared_and_comes_forward_only() {
        let end = WarmupEnd::from(Moment::from_nanos(9));
        let shared = end.clone();
        shared.bring_forward(Moment::from_nanos(5));
        shared.bring_forward(Moment::from_nanos(7));
        assert_eq!(end.moment(), Moment::from_nanos(5));
    }
}
