//! Whether the achieved rate changed, from one run to one other.
//!
//! The achieved rate is the share of the scheduled arrivals that was answered ok while the schedule ran: how many there
//! were is the schedule's own chance, and the same for both. Its ratio is taken on a logarithmic scale (Katz and others,
//! *Biometrics* 34, 1978), with the variance that the timelines show.

use super::effect::Effect;
use super::sampled::{Sampled, Spread};
use crate::statistics::t_tail;

/// No change by a larger factor than e to this is looked for.
const MOST_CHANGE: f64 = 12.0;

/// One run's achieved rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Achieved {
    /// Arrivals answered ok in time for each that was scheduled, on a logarithmic scale.
    pub(super) ln: f64,
    /// The variance of that.
    pub(super) varies: Spread,
}

impl Achieved {
    /// Of one run; `None` where nothing was scheduled or nothing was answered ok in time.
    pub(super) fn of(run: &Sampled) -> Option<Self> {
        let (came, scheduled) = run.came();
        if came.above < 1.0 || scheduled < 1.0 {
            return None;
        }
        let varies = Spread { variance: came.varies.variance / came.above.powi(2), ..came.varies };
        Some(Self { ln: (came.above / scheduled).ln(), varies })
    }
}

/// The change on a logarithmic scale.
pub(super) fn effect(base: &Sampled, new: &Sampled) -> Option<Effect> {
    let (old, fresh) = (Achieved::of(base)?, Achieved::of(new)?);
    let estimate = fresh.ln - old.ln;
    let both = old.varies.and(fresh.varies);
    let tail = |change: f64| t_tail((estimate - change) / both.variance.sqrt(), both.freedom);
    Some(Effect::inverted(estimate, MOST_CHANGE, &tail))
}
