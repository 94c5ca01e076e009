//! The parts of the benchmark, each a function that runs its cases and adds its figures.

pub(crate) mod agreement;
pub(crate) mod cost;
pub(crate) mod exactness;
pub(crate) mod highest;
pub(crate) mod lanes;
pub(crate) mod memory;
pub(crate) mod slow;
pub(crate) mod start;
pub(crate) mod starved;
pub(crate) mod truth;
pub(crate) mod wires;
