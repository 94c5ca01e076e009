//! On which terms a run is judged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::evidence::Part;
use crate::statistics::{ERROR, Look};

/// What decides an objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judging {
    /// Bounds that hold with 95 % confidence.
    #[default]
    Confident,
    /// The plain observed value.
    Observed,
}

/// A word that names no way to judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("judge by {0:?}: give confident or observed")]
pub struct UnknownJudging(String);

impl FromStr for Judging {
    type Err = UnknownJudging;

    fn from_str(text: &str) -> Result<Self, UnknownJudging> {
        match text {
            "confident" => Ok(Self::Confident),
            "observed" => Ok(Self::Observed),
            other => Err(UnknownJudging(other.to_owned())),
        }
    }
}

impl fmt::Display for Judging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Confident => "confident",
            Self::Observed => "observed",
        })
    }
}

/// How a run is judged, and which part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What decides.
    pub judging: Judging,
    /// The error that PASS may make; `None` where PASS is not given at present.
    pub pass: Option<f64>,
    /// The error that FAIL may make, over all objectives.
    pub fail: f64,
    /// Which part of the run decides by confidence.
    pub part: Part,
    /// Whether intervals, and what is missing, are computed: that takes milliseconds in a long run.
    pub details: bool,
}

impl Default for Terms {
    fn default() -> Self {
        let (judging, pass, fail) = (Judging::default(), Some(ERROR), ERROR);
        Self { judging, pass, fail, part: Part::default(), details: true }
    }
}

impl Terms {
    /// The terms of a run that is judged this way, once.
    pub fn of(judging: Judging) -> Self {
        Self { judging, ..Self::default() }
    }

    /// The same with the errors that one of several looks may make.
    #[must_use]
    pub const fn at(mut self, look: &Look) -> Self {
        (self.pass, self.fail) = (look.pass, look.fail);
        self
    }

    /// The same of a run that was cut off while calls were on their way.
    #[must_use]
    pub const fn cut_off(mut self, was_cut_off: bool) -> Self {
        self.part.cut_off = was_cut_off;
        self
    }

    /// The same for a glance: no intervals, and nothing about what is missing.
    #[must_use]
    pub const fn at_a_glance(mut self) -> Self {
        self.details = false;
        self
    }

    /// The errors of PASS and FAIL, for what is missing.
    pub(super) fn errors(&self) -> (f64, f64) {
        (self.pass.unwrap_or(ERROR), self.fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_judge_are_read_as_they_are_written() {
        for judging in [Judging::Confident, Judging::Observed] {
            assert_eq!(judging.to_string().parse(), Ok(judging));
        }
        let why = "sure".parse::<Judging>().unwrap_err();
        assert_eq!(why.to_string(), "judge by \"sure\": give confident or observed");
    }
}
