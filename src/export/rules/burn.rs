//! The burn rate of an objective, as a Prometheus expression over the exporter's metrics.

use std::time::Duration;

use super::tiers::Allowed;
use super::yaml;
use crate::measure::Scope;
use crate::verdict::{Bound, Indicator, Objective, RATE_ALLOWED};

/// Which series an objective is about: the judged ones of its scope, as label matchers.
pub(super) struct Selector(String);

impl Selector {
    pub(super) fn of(scope: Scope, flows: &[String], operations: &[String]) -> Self {
        let named = |label: &str, names: &[String], place: u16| {
            let name = names.get(usize::from(place)).map_or("", String::as_str);
            format!("{label}={}, ", yaml::quoted(name))
        };
        let scope = match scope {
            Scope::Total => String::new(),
            Scope::Flow(flow) => named("flow", flows, flow),
            Scope::Operation(operation) => named("operation", operations, operation),
            Scope::Series { flow, operation } => {
                named("flow", flows, flow) + &named("operation", operations, operation)
            }
        };
        Self(format!("{scope}phase=\"measure\""))
    }
}

/// What it allows.
pub(super) fn allowed(objective: &Objective) -> Allowed {
    match (objective.indicator(), objective.bound()) {
        (Indicator::Mean, Bound::Time(bound)) => Allowed::Mean(bound.as_secs_f64()),
        (indicator, Bound::Time(_)) => Allowed::Share(1.0 - indicator.quantile().unwrap_or(1.0)),
        (_, Bound::Share(share)) => Allowed::Share(share),
        (_, Bound::Rate(_)) => Allowed::Share(RATE_ALLOWED),
    }
}

/// How many times too fast its allowance was used in a window. Where nothing is allowed that is infinite as soon as one is
/// bad, and no number (which fires nothing) where none is.
pub(super) fn burn(objective: &Objective, Selector(selector): &Selector, window: Duration) -> String {
    let window = yaml::duration(window);
    let rate = |metric: &str, more: &str| {
        format!("sum by (job, instance) (rate(mcpace_{metric}{{{selector}{more}}}[{window}]))")
    };
    let ended = rate("response_time_seconds_count", "");
    let ok = || rate("calls_total", ", outcome=\"ok\"");
    let used = match (objective.indicator(), objective.bound()) {
        // Dropped and abandoned arrivals have no time; they are in the sum of none and in this count of none.
        (Indicator::Mean, _) => format!("{}\n    / {}", rate("response_time_seconds_sum", ""), rate("calls_total", "")),
        (_, Bound::Time(bound)) => {
            let within = rate("response_time_seconds_bucket", &format!(", {}", le(bound)));
            format!("1 - {within}\n    / {ended}")
        }
        (Indicator::Dropped, _) => format!("{}\n    / {ended}", rate("arrivals_dropped_total", "")),
        (_, Bound::Share(_)) => format!("1 - {}\n    / {ended}", ok()),
        // What is answered after its window makes up for what was not answered in it, but no more.
        (_, Bound::Rate(_)) => {
            format!("clamp_min(1 - {}\n    / {}, 0)", ok(), rate("arrivals_scheduled_total", ""))
        }
    };
    let (Allowed::Share(allowed) | Allowed::Mean(allowed)) = allowed(objective);
    // The last digits of 1 − 0.95 are not the user's.
    format!("(\n  {used}\n) / {}", (allowed * 1e12).round() / 1e12)
}

/// The bucket that ends at a bound. Prometheus 2 keeps the text of the page, Prometheus 3 writes it its own way.
fn le(bound: Duration) -> String {
    let seconds = bound.as_secs_f64();
    let plain = seconds.to_string();
    if bound.subsec_nanos() == 0 {
        return format!("le=~\"{plain}|{plain}.0\"");
    }
    if seconds >= 1e-4 {
        return format!("le=\"{plain}\"");
    }
    let (digits, exponent) =
        format!("{seconds:e}").split_once('e').map_or_else(Default::default, |(digits, exponent)| {
            (digits.to_owned(), exponent.trim_start_matches('-').to_owned())
        });
    format!("le=~\"{plain}|{digits}e-0{exponent}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_found_however_prometheus_writes_its_bound() {
        let le = |micros| le(Duration::from_micros(micros));
        assert_eq!(le(150_000), r#"le="0.15""#);
        assert_eq!(le(2_000_000), r#"le=~"2|2.0""#);
        assert_eq!(le(2_500_000), r#"le="2.5""#);
        assert_eq!(le(100), r#"le="0.0001""#);
        assert_eq!(le(25), r#"le=~"0.000025|2.5e-05""#);
    }

    #[test]
    fn each_objective_burns_what_it_is_about() {
        let operations = ["pay \"x\"".to_owned()];
        let burn = |text: &str, scope| {
            let selector = Selector::of(scope, &["main".to_owned()], &operations);
            burn(&text.parse().unwrap(), &selector, Duration::from_mins(5))
        };
        insta::assert_snapshot!(burn("p95 < 150ms", Scope::Operation(0)));
        insta::assert_snapshot!(burn("mean < 20ms", Scope::Flow(0)));
        insta::assert_snapshot!(burn("error_rate < 0.1%", Scope::Total));
        insta::assert_snapshot!(burn("dropped <= 0%", Scope::Total));
        insta::assert_snapshot!(burn("rate >= 100/s", Scope::Total));
    }
}
