//! ENOUGH? From promises and a summary to a verdict, as a pure function.
//!
//! An [`Objective`] is a promise as the user wrote it; resolved against a plan's names it can be judged. [`judge()`] looks
//! at a [`crate::measure::Summary`] and nothing else, so a saved run gets the same answer as a live one. Every objective
//! gives a [`Finding`]; what makes the measurement itself untrustworthy is a doubt, and a doubt beats every finding.

pub mod compare;
mod drift;
mod figure;
mod indicator;
mod judge;
mod longrun;
mod objective;
mod promises;
mod steady;
mod student;
mod suggest;
mod sustained;
mod validity;

pub use drift::{Drift, Drifting, drift, drifts};
pub use indicator::{Indicator, Unit};
pub use judge::{Finding, Judgement, Observed, Standing, Verdict, judge};
pub use objective::{Bound, Comparison, Objective, ObjectiveError, Resolved};
pub use promises::{default_objectives, payments_objectives};
pub use steady::Steadiness;
pub use sustained::{Sustained, Window};
pub use validity::{Remark, Subject, pacing_limit};
