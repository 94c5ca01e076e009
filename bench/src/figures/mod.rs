//! What stamps and outputs say: pure functions from lists to figures.

pub(crate) mod dispersion;
pub(crate) mod grid;
pub(crate) mod spread;
pub(crate) mod truth;
