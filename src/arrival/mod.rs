//! WHEN calls are due: a schedule that never looks at a clock.
//!
//! A [`Process`] makes points in *operational time*, where one arrival is expected per unit; a [`Profile`] says at which
//! [`Moment`] a point falls. Any process under any profile is then one subtraction and one square root, with no code per
//! combination (Poisson under a varying rate is exact: time rescaling, Lewis & Shedler 1979). A [`Shard`] is a filter
//! over the same seeded schedule, so that the shards together are exactly the whole.

mod arrivals;
#[cfg(test)]
mod contract;
mod load;
mod process;
mod profile;
mod shard;
mod share;

pub use arrivals::Arrivals;
pub use load::LoadError;
pub use process::{Process, ProcessError};
pub use profile::{Profile, Segment};
pub use shard::Shard;
pub use share::{Sharer, shared_out};

use crate::time::Moment;

/// A flow's place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u16);

/// One planned call and the instant it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The flow it belongs to.
    pub flow: FlowId,
    /// Its place in the flow's schedule, from 0; the same for every number of shards.
    pub sequence: u64,
    /// When it is due.
    pub intended: Moment,
}
