//! A promise, as a user writes it: `p95(create_payment) < 150ms`.
//!
//! `indicator`, an optional scope in parentheses, a comparison and a bound. Times and shares are promised to stay below
//! a bound (`<`, `<=`), a rate to reach one (`>=`); anything else is refused. Shares are given in percent or as a
//! number from 0 to 1. Reading and printing are inverses.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::indicator::{Indicator, Unit};
use super::suggest::nearest;
use crate::measure::Scope;
use crate::time::{Rate, format_duration, parse_duration};

/// A promise about a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    indicator: Indicator,
    scope: Option<String>,
    comparison: Comparison,
    bound: Bound,
}

/// On which side of its bound an indicator must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

/// How far an indicator may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// A response time, more than zero.
    Time(Duration),
    /// A part of all arrivals, 0 to 1.
    Share(f64),
    /// Arrivals per second, more than zero.
    Rate(Rate),
}

/// An objective and the series that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The promise.
    pub objective: Objective,
    /// What its scope names.
    pub scope: Scope,
}

/// Why a text is not an objective, or an objective not about this plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// The text does not begin with an indicator.
    #[error(
        "read objective {objective:?}: {given:?} is no indicator{}; choose from p50, p90, p95, p99, p99.9, mean, max, \
         error_rate, dropped and rate, for example: p95(create_payment) < 150ms",
        did_you_mean(*.meant)
    )]
    Indicator {
        /// The whole text.
        objective: String,
        /// What stands in the indicator's place.
        given: String,
        /// What was most likely meant.
        meant: Option<&'static str>,
    },
    /// The scope's parentheses are open or empty.
    #[error(
        "read objective {objective:?}: a scope is the name of a flow or an operation in parentheses, for example: \
         {indicator}(create_payment)"
    )]
    Parentheses {
        /// The whole text.
        objective: String,
        /// Its indicator.
        indicator: Indicator,
    },
    /// No comparison, or one that makes no sense.
    #[error("read objective {objective:?}: after {indicator} comes {allowed}, for example: {}", .indicator.example())]
    Comparison {
        /// The whole text.
        objective: String,
        /// Its indicator.
        indicator: Indicator,
        /// The comparisons that it allows.
        allowed: &'static str,
    },
    /// The bound does not fit the indicator.
    #[error("read objective {objective:?}: {bound:?} is not {wanted}, for example: {}", .indicator.example())]
    Bound {
        /// The whole text.
        objective: String,
        /// Its indicator.
        indicator: Indicator,
        /// What stands in the bound's place.
        bound: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// The scope names nothing in the plan.
    #[error(
        "find {name:?} of objective {objective:?} in the plan{}: its operations are {operations}; its flows are {flows}",
        did_you_mean(.meant.as_deref())
    )]
    UnknownScope {
        /// The whole text.
        objective: String,
        /// The name that is not there.
        name: String,
        /// The name that was most likely meant.
        meant: Option<String>,
        /// All operations of the plan.
        operations: String,
        /// All flows of the plan.
        flows: String,
    },
}

fn did_you_mean(meant: Option<&str>) -> String {
    meant.map(|meant| format!(" (did you mean {meant:?}?)")).unwrap_or_default()
}

impl Comparison {
    /// How objectives write it.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
        }
    }

    /// Whether `observed` is on the promised side of `bound`.
    pub fn holds<T: PartialOrd>(self, observed: &T, bound: &T) -> bool {
        match self {
            Self::Below => observed < bound,
            Self::AtMost => observed <= bound,
            Self::AtLeast => observed >= bound,
        }
    }
}

impl Objective {
    /// What it is about.
    pub const fn indicator(&self) -> Indicator {
        self.indicator
    }

    /// The flow or operation that it is about; all of them where there is none.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// On which side of the bound the indicator must be.
    pub const fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// How far the indicator may go.
    pub const fn bound(&self) -> Bound {
        self.bound
    }

    /// The same promise about the flow or operation `name` where it names none, as for one written in a flow's plan.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.scope.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same promise of another rate, where it promises a rate.
    #[must_use]
    pub fn reaching(self, rate: Rate) -> Self {
        match self.bound {
            Bound::Rate(_) => Self { bound: Bound::Rate(rate), ..self },
            Bound::Time(_) | Bound::Share(_) => self,
        }
    }

    /// Finds its scope among the plan's names. Where an operation and a flow share a name, the operation is meant.
    ///
    /// # Errors
    ///
    /// Where neither has that name.
    pub fn resolve(self, flows: &[String], operations: &[String]) -> Result<Resolved, ObjectiveError> {
        let Some(name) = &self.scope else { return Ok(Resolved { objective: self, scope: Scope::Total }) };
        let place = |names: &[String]| names.iter().position(|known| known == name).map(|place| place as u16);
        let scope = place(operations).map(Scope::Operation).or_else(|| place(flows).map(Scope::Flow));
        match scope {
            Some(scope) => Ok(Resolved { objective: self, scope }),
            None => Err(ObjectiveError::UnknownScope {
                objective: self.to_string(),
                name: name.clone(),
                meant: nearest(name, operations.iter().chain(flows).map(String::as_str)).map(str::to_owned),
                operations: operations.join(", "),
                flows: flows.join(", "),
            }),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&format_duration(*time)),
            Self::Rate(rate) => rate.fmt(f),
            Self::Share(share) => {
                // In percent where that reads as the same number again, which 0.07 × 100 in binary does not.
                let percent = (share * 1e12).round() / 1e10;
                if (percent / 100.0).to_bits() == share.to_bits() {
                    write!(f, "{percent}%")
                } else {
                    write!(f, "{share}")
                }
            }
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.indicator.fmt(f)?;
        if let Some(scope) = &self.scope {
            write!(f, "({scope})")?;
        }
        write!(f, " {} {}", self.comparison.symbol(), self.bound)
    }
}

impl FromStr for Objective {
    type Err = ObjectiveError;

    fn from_str(text: &str) -> Result<Self, ObjectiveError> {
        let text = text.trim();
        let objective = || text.to_owned();
        let end = text.find(|c: char| "(<>=".contains(c) || c.is_whitespace()).unwrap_or(text.len());
        let (given, rest) = text.split_at(end);
        let indicator = Indicator::named(given).ok_or_else(|| ObjectiveError::Indicator {
            objective: objective(),
            given: given.to_owned(),
            meant: Indicator::meant_by(given).map(Indicator::name),
        })?;
        let (scope, rest) = match rest.trim_start().strip_prefix('(') {
            None => (None, rest.trim_start()),
            Some(inside) => {
                let found = inside.split_once(')').filter(|(name, _)| !name.trim().is_empty());
                let wrong = || ObjectiveError::Parentheses { objective: objective(), indicator };
                let (name, rest) = found.ok_or_else(wrong)?;
                (Some(name.trim().to_owned()), rest.trim_start())
            }
        };
        let (comparison, bound) = comparison_of(rest, indicator.unit())
            .map_err(|allowed| ObjectiveError::Comparison { objective: objective(), indicator, allowed })?;
        let bound = bound_of(bound, indicator.unit(), comparison).map_err(|wanted| ObjectiveError::Bound {
            objective: objective(),
            indicator,
            bound: bound.to_owned(),
            wanted,
        })?;
        Ok(Self { indicator, scope, comparison, bound })
    }
}

/// The comparison at the beginning of `text` and the bound after it, or which comparisons are allowed.
fn comparison_of(text: &str, unit: Unit) -> Result<(Comparison, &str), &'static str> {
    // The longer symbol first: "<" is also the beginning of "<=".
    let (allowed, order): (_, &[Comparison]) = match unit {
        Unit::Rate => ("\">=\"", &[Comparison::AtLeast]),
        Unit::Time | Unit::Share => ("\"<\" or \"<=\"", &[Comparison::AtMost, Comparison::Below]),
    };
    let found = order.iter().find_map(|comparison| Some((*comparison, text.strip_prefix(comparison.symbol())?)));
    found.map(|(comparison, bound)| (comparison, bound.trim())).ok_or(allowed)
}

/// The bound, or what should stand there. A bound that nothing can keep to is refused with those that are none.
fn bound_of(text: &str, unit: Unit, comparison: Comparison) -> Result<Bound, &'static str> {
    match unit {
        Unit::Time => {
            // A bare number would be seconds elsewhere; here most who write one mean milliseconds.
            let has_unit = text.parse::<f64>().is_err();
            let time = parse_duration(text).ok().filter(|time| has_unit && !time.is_zero());
            time.map(Bound::Time).ok_or("a duration with its unit, more than zero")
        }
        Unit::Rate => {
            let rate = text.parse::<Rate>().ok().filter(|rate| *rate > Rate::ZERO);
            rate.map(Bound::Rate).ok_or("a rate of more than zero")
        }
        Unit::Share => {
            let share = match text.strip_suffix('%') {
                Some(percent) => percent.trim_end().parse::<f64>().map(|percent| percent / 100.0),
                None => text.parse(),
            };
            let least = if comparison == Comparison::AtMost { 0.0 } else { f64::MIN_POSITIVE };
            // A zero may be written with a sign; it is kept without one.
            let share = share.ok().filter(|share| (least..=1.0).contains(share)).map(f64::abs);
            share.map(Bound::Share).ok_or("a percentage up to 100% or a number up to 1, and more than 0 (or <= 0%)")
        }
    }
}

impl Serialize for Objective {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Objective {
        text.parse().unwrap()
    }

    fn wrong(text: &str) -> String {
        text.parse::<Objective>().unwrap_err().to_string()
    }

    #[test]
    fn an_objective_is_read_with_or_without_a_scope_and_spaces() {
        let objective = read(" p99.9( create_payment )<=1.5s ");
        assert_eq!((objective.indicator(), objective.scope()), (Indicator::P999, Some("create_payment")));
        assert_eq!(objective.comparison(), Comparison::AtMost);
        assert_eq!(objective.bound(), Bound::Time(Duration::from_millis(1500)));
        assert_eq!(read("error_rate<0.1%").bound(), read("error_rate < 0.001").bound());
        assert_eq!(read("rate>=1000").to_string(), "rate >= 1000/s");
        assert_eq!(read("error_rate < 0.07%").to_string(), "error_rate < 0.07%");
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_out() {
        insta::assert_snapshot!(wrong("p96 < 150ms"), @r#"read objective "p96 < 150ms": "p96" is no indicator (did you mean "p90"?); choose from p50, p90, p95, p99, p99.9, mean, max, error_rate, dropped and rate, for example: p95(create_payment) < 150ms"#);
        insta::assert_snapshot!(wrong("p95 > 150ms"), @r#"read objective "p95 > 150ms": after p95 comes "<" or "<=", for example: p95 < 150ms"#);
        insta::assert_snapshot!(wrong("rate < 5/s"), @r#"read objective "rate < 5/s": after rate comes ">=", for example: rate >= 1000/s"#);
        insta::assert_snapshot!(wrong("p95 < 150"), @r#"read objective "p95 < 150": "150" is not a duration with its unit, more than zero, for example: p95 < 150ms"#);
        insta::assert_snapshot!(wrong("error_rate < 5"), @r#"read objective "error_rate < 5": "5" is not a percentage up to 100% or a number up to 1, and more than 0 (or <= 0%), for example: error_rate < 0.1%"#);
        insta::assert_snapshot!(wrong("max() < 1s"), @r#"read objective "max() < 1s": a scope is the name of a flow or an operation in parentheses, for example: max(create_payment)"#);
        for text in ["", "p95", "error_rate < 0%", "error_rate < NaN", "dropped <= -1%", "rate >= 0/s", "p95(a < 1s"] {
            assert!(text.parse::<Objective>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scope_is_found_among_operations_and_then_flows() {
        let (flows, operations) = (["writes".to_owned(), "pay".to_owned()], ["pay".to_owned(), "verify".to_owned()]);
        let resolve = |text: &str| read(text).resolve(&flows, &operations).map(|resolved| resolved.scope);
        assert_eq!(resolve("p95 < 1s"), Ok(Scope::Total));
        assert_eq!(resolve("p95(pay) < 1s"), Ok(Scope::Operation(0)));
        assert_eq!(resolve("p95(writes) < 1s"), Ok(Scope::Flow(0)));
        let error = resolve("p95(verfy) < 1s").unwrap_err().to_string();
        insta::assert_snapshot!(error, @r#"find "verfy" of objective "p95(verfy) < 1s" in the plan (did you mean "verify"?): its operations are pay, verify; its flows are writes, pay"#);
        assert_eq!(read("p95 < 1s").within("pay").to_string(), "p95(pay) < 1s");
        assert_eq!(read("p95(a) < 1s").within("pay").scope(), Some("a"));
    }

    fn bounds(unit: Unit) -> BoxedStrategy<Bound> {
        match unit {
            Unit::Time => (1..100_000_u64).prop_map(|ms| Bound::Time(Duration::from_millis(ms))).boxed(),
            Unit::Share => (0.0..=1.0_f64).prop_map(|share| Bound::Share(share.max(1e-6))).boxed(),
            Unit::Rate => {
                (1..1_000_000_u32).prop_map(|rate| Bound::Rate(Rate::per_second(rate.into()).unwrap())).boxed()
            }
        }
    }

    fn objectives() -> impl Strategy<Value = Objective> {
        let indicators = prop::sample::select(Indicator::ALL.to_vec());
        indicators.prop_flat_map(|indicator| {
            let strict = any::<bool>();
            let scope = prop::option::of("[a-z][a-z_/.-]{0,12}");
            (strict, scope, bounds(indicator.unit())).prop_map(move |(strict, scope, bound)| {
                let comparison = match (indicator.unit(), strict) {
                    (Unit::Rate, _) => Comparison::AtLeast,
                    (_, true) => Comparison::Below,
                    (_, false) => Comparison::AtMost,
                };
                Objective { indicator, scope, comparison, bound }
            })
        })
    }

    proptest! {
        #[test]
        fn reading_is_the_inverse_of_printing(objective in objectives()) {
            prop_assert_eq!(&read(&objective.to_string()), &objective);
            let json = serde_json::to_string(&objective).unwrap();
            prop_assert_eq!(serde_json::from_str::<Objective>(&json).unwrap(), objective);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,30}") {
            let _ = text.parse::<Objective>();
            let _ = format!("p95{text}").parse::<Objective>();
        }
    }
}
