//! What an objective can be about.

use std::fmt;

use serde::{Serialize, Serializer};

/// A figure of a run that an objective may bound: a closed set, because it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    /// The median response time over all arrivals.
    P50,
    /// The response time that 90 % of all arrivals keep to.
    P90,
    /// The response time that 95 % of all arrivals keep to.
    P95,
    /// The response time that 99 % of all arrivals keep to.
    P99,
    /// The response time that 99.9 % of all arrivals keep to.
    P999,
    /// The mean response time over all calls that ended, one without a reply with the time until it was given up.
    Mean,
    /// The largest response time of any arrival.
    Max,
    /// The share of the arrivals that did not end ok: failed, dropped or abandoned.
    ErrorRate,
    /// The share of the arrivals that was never sent, for want of room.
    Dropped,
    /// The rate that was intended and sustained.
    Rate,
}

/// What an indicator is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A duration.
    Time,
    /// A part of all arrivals, 0 to 1.
    Share,
    /// Arrivals per second.
    Rate,
}

impl Indicator {
    /// Every indicator.
    pub const ALL: [Self; 10] = [
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Mean,
        Self::Max,
        Self::ErrorRate,
        Self::Dropped,
        Self::Rate,
    ];

    /// How objectives write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::ErrorRate => "error_rate",
            Self::Dropped => "dropped",
            Self::Rate => "rate",
        }
    }

    /// The quantile (0 to 1) that it is, if it is one.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::Max => Some(1.0),
            Self::Mean | Self::ErrorRate | Self::Dropped | Self::Rate => None,
        }
    }

    /// What it is measured in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::ErrorRate | Self::Dropped => Unit::Share,
            Self::Rate => Unit::Rate,
            _ => Unit::Time,
        }
    }

    /// An objective about it, to show how one is written.
    pub const fn example(self) -> &'static str {
        match self {
            Self::P50 => "p50 < 50ms",
            Self::P90 => "p90 < 100ms",
            Self::P95 => "p95 < 150ms",
            Self::P99 => "p99 < 250ms",
            Self::P999 => "p99.9 < 500ms",
            Self::Mean => "mean < 100ms",
            Self::Max => "max < 1s",
            Self::ErrorRate => "error_rate < 0.1%",
            Self::Dropped => "dropped < 0.1%",
            Self::Rate => "rate >= 1000/s",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|indicator| indicator.name() == name)
    }

    /// The indicator that somebody who wrote `name` most likely meant.
    pub(super) fn meant_by(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "latency" | "response_time" => Some(Self::P95),
            "avg" | "average" => Some(Self::Mean),
            "errors" | "failures" => Some(Self::ErrorRate),
            "drops" | "drop_rate" => Some(Self::Dropped),
            "tps" | "rps" | "qps" | "throughput" => Some(Self::Rate),
            "median" => Some(Self::P50),
            other => super::suggest::nearest(other, Self::ALL.map(Self::name)).and_then(Self::named),
        }
    }
}

impl Serialize for Indicator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Objective;

    #[test]
    fn every_name_is_found_and_every_example_is_an_objective_about_it() {
        for indicator in Indicator::ALL {
            assert_eq!(Indicator::named(indicator.name()), Some(indicator));
            let example: Objective = indicator.example().parse().unwrap();
            assert_eq!((example.indicator(), example.to_string().as_str()), (indicator, indicator.example()));
        }
    }

    #[test]
    fn words_of_other_tools_lead_to_ours() {
        let meant =
            ["tps", "avg", "p9.5", "error-rate", "p999"].map(|word| Indicator::meant_by(word).map(Indicator::name));
        assert_eq!(meant, [Some("rate"), Some("mean"), Some("p95"), Some("error_rate"), Some("p99")]);
        assert_eq!(Indicator::meant_by("happiness"), None);
    }
}
