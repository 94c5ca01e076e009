//! Between which values a figure lies, with 90 % confidence: 5 % on either side, so that each end is as sure as a verdict.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::evidence::{Evidence, Part, above};
use super::figure;
use super::indicator::Indicator;
use super::judge::Observed;
use crate::measure::{Quantile, Tally};
use crate::statistics::ERROR;

/// A figure's ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// What it is at least.
    pub low: Observed,
    /// What it is at most.
    pub high: Observed,
}

impl Interval {
    /// Of an indicator that the evidence is about: its low end as far as what was seen in the first part of the run says so,
    /// its high end by what was seen in the second.
    pub(super) fn of(
        indicator: Indicator,
        [least, most]: [&Evidence; 2],
        tally: &Tally,
        parts: [Part; 2],
    ) -> Option<Self> {
        let seconds = |seconds: f64| Observed::Time(Quantile::Finite(Duration::from_secs_f64(seconds.clamp(0.0, 1e9))));
        match (least, most, indicator.quantile()) {
            (Evidence::Share(..), _, Some(quantile)) => of_quantile(tally, quantile, parts),
            (Evidence::Mean(least, _), Evidence::Mean(most, _), _) => (!least.is_scarce() && !most.is_scarce())
                .then(|| Self { low: seconds(least.lower(ERROR)), high: seconds(most.upper(ERROR)) }),
            (Evidence::Share(least, _), Evidence::Share(most, _), None) => {
                Some(Self { low: Observed::Share(least.lower(ERROR)), high: Observed::Share(most.upper(ERROR)) })
            }
            (Evidence::Mean(..), Evidence::Share(..), _) | (Evidence::Share(..), Evidence::Mean(..), _) => None,
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |end: &Observed| match end {
            Observed::Time(Quantile::Finite(time)) => Some(figure::time(*time)),
            Observed::Share(share) => Some(figure::share(*share)),
            Observed::Time(Quantile::Unbounded) | Observed::Rate(_) => None,
        };
        match (text(&self.low), text(&self.high)) {
            (Some(low), Some(high)) => write!(f, "{low} to {high}"),
            (Some(low), None) => write!(f, "{low} or more"),
            (None, _) => f.write_str("above every bound"),
        }
    }
}

/// The order statistics between which a quantile lies: the times that neither surely more nor surely fewer calls exceed than
/// the quantile leaves. It is the test of a bound, turned round.
fn of_quantile(tally: &Tally, quantile: f64, [least, most]: [Part; 2]) -> Option<Interval> {
    let times: Vec<Duration> = tally.response_time.buckets().map(|(end, _)| end).collect();
    let allowed = 1.0 - quantile;
    let at = |time: &Duration, part| above(tally, *time, part);
    // More than allowed take surely longer than each of the times before the low end.
    let low = times.partition_point(|time| at(time, least).is_some_and(|share| share.lower(ERROR) > allowed));
    let high =
        low + times[low..].partition_point(|time| at(time, most).is_some_and(|share| share.upper(ERROR) >= allowed));
    let end = |place: usize| times.get(place).map_or(Quantile::Unbounded, |time| Quantile::Finite(*time));
    (!tally.response_time.is_empty() || tally.without_reply() > 0)
        .then(|| Interval { low: Observed::Time(end(low)), high: Observed::Time(end(high)) })
}
