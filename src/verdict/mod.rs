//! ENOUGH? From promises and a summary to a verdict, as a pure function.
//!
//! An [`Objective`] is a promise as the user wrote it; resolved against a plan's names it can be judged. [`judge()`] looks
//! at a [`crate::measure::Summary`] and nothing else, so a saved run gets the same answer as a live one. Every objective
//! gives a [`Finding`]; what makes the measurement itself untrustworthy is a doubt, and a doubt beats every finding.

pub mod compare;
#[cfg(test)]
mod confidence_tests;
mod down;
mod drift;
mod enough;
mod evidence;
mod figure;
mod health;
mod indicator;
mod interval;
mod judge;
mod longrun;
mod looked;
mod missing;
mod objective;
mod promises;
pub mod search;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod stalled;
mod steady;
mod suggest;
mod sustained;
mod terms;
mod validity;

pub use drift::{Drift, Drifting, drift, drifts};
pub use enough::Enough;
pub use evidence::Part;
pub use indicator::{Indicator, Unit};
pub use interval::Interval;
pub use judge::{Finding, Judgement, Observed, Standing, Sureness, Verdict, judge};
pub use looked::{Looked, Stopped};
pub use missing::{Missing, Need};
pub use objective::{Bound, Comparison, Objective, ObjectiveError, Resolved};
pub use promises::{default_objectives, payments_objectives};
pub use steady::Steadiness;
pub use sustained::{ALLOWED as RATE_ALLOWED, Sustained, Window};
pub use terms::{Judging, Terms, UnknownJudging};
pub use validity::{Remark, Subject, pacing_limit};
