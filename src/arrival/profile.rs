//! The intended rate over time: straight segments, and the one question asked of them, *when does a point fall due*.
//!
//! With λ(t) the rate, Λ(t) = ∫λ is the number of arrivals expected by `t`, and a point `n` of operational time falls due
//! at Λ⁻¹(n). Inside a segment that begins at rate `a` and changes by `s` each second, Λ(t) = at + st²/2, and its inverse
//! is written as `t = 2n / (a + √(a² + 2sn))`: the root of the quadratic in the form that neither cancels nor asks
//! whether the segment is flat.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::LoadError;
use crate::time::{Moment, Rate};

/// A century: the longest profile there is, and the length of one without an end.
const CENTURY: Duration = Duration::from_hours(36_525 * 24);

/// A stretch of time over which the rate changes evenly, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// How long it lasts.
    pub duration: Duration,
    /// The rate at its beginning.
    pub from: Rate,
    /// The rate at its end.
    pub to: Rate,
}

impl Segment {
    /// A stretch at one rate.
    pub const fn flat(rate: Rate, duration: Duration) -> Self {
        Self { duration, from: rate, to: rate }
    }

    /// The higher of its rates.
    pub fn peak(&self) -> Rate {
        self.from.max(self.to)
    }

    /// The arrivals expected in it.
    fn expected(&self) -> f64 {
        f64::midpoint(self.from.get(), self.to.get()) * self.duration.as_secs_f64()
    }

    /// How much the rate changes each second.
    fn slope(&self) -> f64 {
        if self.from == self.to { 0.0 } else { (self.to.get() - self.from.get()) / self.duration.as_secs_f64() }
    }
}

/// The intended rate over time. Printed and read in the language of loads: `100/s for 30s, ramp to 1000/s over 1m`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Profile {
    legs: Vec<Leg>,
}

/// A segment with all that has to be known to invert it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Leg {
    segment: Segment,
    begins: Moment,
    ends: Moment,
    /// Arrivals expected before it, and before its end.
    points_before: f64,
    points_after: f64,
    slope: f64,
}

impl Leg {
    /// When the point falls due, which must be one of this leg's.
    fn moment_of(&self, point: f64) -> Moment {
        let n = (point - self.points_before).max(0.0);
        let from = self.segment.from.get();
        // At n = 0 a ramp from zero would divide zero by zero; at the end of a ramp to zero, rounding may take the
        // radicand below zero.
        let seconds =
            if n > 0.0 { 2.0 * n / (from + (from * from + 2.0 * self.slope * n).max(0.0).sqrt()) } else { 0.0 };
        self.begins.after(Moment::from_secs_f64(seconds).since(Moment::ZERO)).min(self.ends)
    }

    /// The rate at `moment`, which must lie within.
    fn rate_at(&self, moment: Moment) -> f64 {
        (self.segment.from.get() + self.slope * moment.since(self.begins).as_secs_f64()).max(0.0)
    }
}

impl Profile {
    /// The segments, one after the other.
    ///
    /// # Errors
    /// No segment, one that lasts no time, a rate above [`Rate::FASTEST_LOAD`], no arrivals at all, or more than a
    /// century.
    pub fn new(segments: Vec<Segment>) -> Result<Self, LoadError> {
        if segments.is_empty() {
            return Err(LoadError::Empty);
        }
        if let Some(segment) = segments.iter().find(|segment| segment.duration.is_zero()) {
            return Err(LoadError::NoTime(*segment));
        }
        if let Some(segment) = segments.iter().find(|segment| segment.peak() > Rate::FASTEST_LOAD) {
            return Err(LoadError::TooFast(*segment));
        }
        let duration = segments.iter().try_fold(Duration::ZERO, |sum, segment| sum.checked_add(segment.duration));
        if duration.is_none_or(|duration| duration > CENTURY) {
            return Err(LoadError::TooLong);
        }
        let profile = Self::laid_out(segments);
        if profile.expected() > 0.0 { Ok(profile) } else { Err(LoadError::NoArrivals) }
    }

    /// One rate for `duration`, at most a century. It is not checked: at [`Rate::ZERO`] there are no arrivals.
    pub fn flat(rate: Rate, duration: Duration) -> Self {
        Self::laid_out(vec![Segment::flat(rate, duration.min(CENTURY))])
    }

    /// One rate for a century, for runs that end by a count.
    pub fn endless(rate: Rate) -> Self {
        Self::flat(rate, CENTURY)
    }

    /// The segments, whatever they are.
    pub(super) fn laid_out(segments: Vec<Segment>) -> Self {
        let (mut begins, mut points_before) = (Moment::ZERO, 0.0);
        let legs = segments.into_iter().map(|segment| {
            let (ends, points_after) = (begins.after(segment.duration), points_before + segment.expected());
            let leg = Leg { segment, begins, ends, points_before, points_after, slope: segment.slope() };
            (begins, points_before) = (ends, points_after);
            leg
        });
        Self { legs: legs.collect() }
    }

    /// The same profile, which ends at `at` where it would go on.
    #[must_use]
    pub fn until(&self, at: Moment) -> Self {
        let legs = self.legs.iter().filter(|leg| leg.begins < at).map(|leg| {
            if leg.ends <= at {
                return *leg;
            }
            // The slope stays as it is, to the last bit: before `at` each point falls due at the moment at which it did.
            let to = Rate::per_second(leg.rate_at(at)).unwrap_or(Rate::ZERO);
            let segment = Segment { duration: at.since(leg.begins), from: leg.segment.from, to };
            Leg { segment, ends: at, points_after: leg.points_before + segment.expected(), ..*leg }
        });
        Self { legs: legs.collect() }
    }

    /// This profile until `at`, and what `rest` intends from there on; this profile alone where it has ended by then. Before `at`
    /// every point falls due at exactly the moment at which it did.
    #[must_use]
    pub fn spliced(&self, at: Moment, rest: &Self) -> Self {
        if Moment::ZERO.after(self.duration()) <= at {
            return self.clone();
        }
        let mut legs = self.until(at).legs;
        let mut points_before = legs.last().map_or(0.0, |leg| leg.points_after);
        for leg in rest.legs.iter().filter(|leg| leg.ends > at) {
            let begins = leg.begins.max(at);
            let from = Rate::per_second(leg.rate_at(begins)).unwrap_or(Rate::ZERO);
            let segment = Segment { duration: leg.ends.since(begins), from, to: leg.segment.to };
            let points_after = points_before + segment.expected();
            legs.push(Leg { segment, begins, points_before, points_after, ..*leg });
            points_before = points_after;
        }
        Self { legs }
    }

    /// Whether it is as long as can be, so that something else has to end the run.
    pub fn is_endless(&self) -> bool {
        self.duration() >= CENTURY
    }

    /// The segments in their order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment> + '_ {
        self.legs.iter().map(|leg| leg.segment)
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.legs.last().map_or(Duration::ZERO, |leg| leg.ends.since(Moment::ZERO))
    }

    /// The arrivals expected in all.
    pub fn expected(&self) -> f64 {
        self.legs.last().map_or(0.0, |leg| leg.points_after)
    }

    /// The arrivals expected from `start` to `end`; none where `end` is not later.
    pub fn expected_between(&self, start: Moment, end: Moment) -> f64 {
        let part = |leg: &Leg| {
            let (start, end) = (start.max(leg.begins), end.min(leg.ends));
            // The area of a trapezium. Where the leg is outside, its length is zero.
            f64::midpoint(leg.rate_at(start), leg.rate_at(end)) * end.since(start).as_secs_f64()
        };
        self.legs.iter().map(part).sum()
    }

    /// The highest rate it reaches.
    pub fn peak(&self) -> Rate {
        self.segments().fold(Rate::ZERO, |peak, segment| peak.max(segment.peak()))
    }

    /// The intended rate at `moment`: where two segments meet that of the second, and zero from the end on.
    pub fn rate_at(&self, moment: Moment) -> Rate {
        let leg = self.legs.iter().find(|leg| moment < leg.ends);
        leg.and_then(|leg| Rate::per_second(leg.rate_at(moment))).unwrap_or(Rate::ZERO)
    }

    /// When `point` of operational time falls due, in whole nanoseconds, or `None` where the profile ends before.
    ///
    /// A point that falls on a pause is due after it: Λ⁻¹(n) is the first moment after which Λ exceeds n. Negative and NaN
    /// count as zero.
    ///
    /// The error is half a nanosecond and a few units in the last place of `point` and of the time within the
    /// segment: below 10 ns in a segment of a year at 1000/s.
    pub fn moment_of(&self, point: f64) -> Option<Moment> {
        let mut leg = 0;
        self.moment_from(&mut leg, point)
    }

    /// [`Profile::moment_of`] for points that never decrease: `leg` remembers how far the last search came.
    pub(super) fn moment_from(&self, leg: &mut usize, point: f64) -> Option<Moment> {
        loop {
            let current = self.legs.get(*leg)?;
            if point >= current.points_after {
                *leg += 1;
            } else {
                return Some(current.moment_of(point));
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile(load: &str) -> Profile {
        load.parse().unwrap()
    }

    fn at(seconds: f64) -> Moment {
        Moment::from_secs_f64(seconds)
    }

    fn rate(value: f64) -> Rate {
        Rate::per_second(value).unwrap()
    }

    #[test]
    fn a_flat_rate_spaces_its_points_evenly() {
        let flat = Profile::flat(rate(1000.0), Duration::from_secs(10));
        assert_eq!(flat.expected(), 10_000.0);
        assert_eq!(flat.moment_of(0.0), Some(Moment::ZERO));
        assert_eq!(flat.moment_of(2.5), Some(Moment::from_nanos(2_500_000)));
        assert_eq!(flat.moment_of(9_999.5), Some(Moment::from_nanos(9_999_500_000)));
        assert_eq!(flat.moment_of(10_000.0), None);
    }

    #[test]
    fn a_ramp_follows_the_parabola() {
        // From 0 to 100/s over 10 s: Λ(t) = 5t², so that the 125th point is due after 5 s.
        let up = profile("ramp from 0/s to 100/s over 10s");
        assert_eq!([up.moment_of(0.0), up.moment_of(125.0), up.moment_of(500.0)], [Some(at(0.0)), Some(at(5.0)), None]);
        // Down again: Λ(t) = 100t − 5t², 375 after 5 s, and the last half point 0.316 s before the end.
        let down = profile("ramp from 100/s to 0/s over 10s");
        assert_eq!([down.moment_of(375.0), down.moment_of(500.0)], [Some(at(5.0)), None]);
        assert_eq!(down.moment_of(499.5), Some(at(10.0 - 0.1_f64.sqrt())));
    }

    #[test]
    fn a_point_on_a_pause_is_due_after_it() {
        let paused = profile("0/s for 1s, 10/s for 1s, 0/s for 2s, 10/s for 1s, 0/s for 5s");
        assert_eq!(paused.expected(), 20.0);
        assert_eq!(paused.duration(), Duration::from_secs(10));
        assert_eq!([paused.moment_of(0.0), paused.moment_of(9.0)], [Some(at(1.0)), Some(at(1.9))]);
        assert_eq!([paused.moment_of(10.0), paused.moment_of(20.0)], [Some(at(4.0)), None]);
    }

    #[test]
    fn the_rate_is_that_of_the_segment_which_begins() {
        let steps = profile("100/s for 10s, ramp to 200/s over 10s, 50/s for 10s");
        let rates = [0.0, 9.999, 10.0, 15.0, 20.0, 29.0, 30.0].map(|seconds| steps.rate_at(at(seconds)).get());
        assert_eq!(rates, [100.0, 100.0, 100.0, 150.0, 50.0, 50.0, 0.0]);
        assert_eq!(steps.peak(), rate(200.0));
        assert_eq!(steps.expected_between(at(5.0), at(25.0)), 500.0 + 1500.0 + 250.0);
        assert_eq!(steps.expected_between(at(25.0), at(5.0)), 0.0);
        assert_eq!(steps.expected_between(Moment::ZERO, Moment::FAR), steps.expected());
    }

    #[test]
    fn a_century_without_end_keeps_its_precision_for_years() {
        let endless = Profile::endless(rate(1000.0));
        assert!(endless.is_endless());
        assert!(!Profile::flat(rate(1000.0), Duration::from_secs(1)).is_endless());
        // After a year of 1000/s.
        let due = endless.moment_of(31_536_000_000.5).unwrap().as_nanos();
        assert!(due.abs_diff(31_536_000_000_500_000) < 10, "{due}");
    }

    #[test]
    fn a_spliced_profile_keeps_what_was_and_goes_on_otherwise() {
        let ramp = profile("ramp from 0/s to 100/s over 10s, 100/s for 10s");
        let slower = ramp.spliced(at(5.0), &Profile::flat(rate(10.0), ramp.duration()));
        assert_eq!((slower.expected(), slower.duration()), (125.0 + 150.0, Duration::from_secs(20)));
        assert_eq!([slower.moment_of(124.0), slower.moment_of(126.0)], [ramp.moment_of(124.0), Some(at(5.1))]);
        let paused = ramp.spliced(at(15.0), &Profile::flat(Rate::ZERO, ramp.duration()));
        assert_eq!((paused.expected(), paused.moment_of(1000.0)), (1000.0, None));
        let resumed = paused.spliced(at(18.0), &ramp);
        assert_eq!((resumed.expected(), resumed.moment_of(1000.0)), (1200.0, Some(at(18.0))));
        assert_eq!(resumed.rate_at(at(16.0)), Rate::ZERO);
        let stopped = resumed.until(at(19.0));
        assert_eq!((stopped.expected(), stopped.duration()), (1100.0, Duration::from_secs(19)));
        assert_eq!(ramp.spliced(at(20.0), &paused), ramp);
        // A change in the midst of a ramp leaves the ramp going on from where it is.
        assert_eq!(paused.spliced(Moment::ZERO, &ramp).expected(), ramp.expected());
        assert_eq!(
            Profile::flat(rate(10.0), Duration::from_secs(20)).spliced(at(5.0), &ramp).expected(),
            50.0 + 375.0 + 1000.0
        );
    }

    #[test]
    fn unusable_segments_are_refused() {
        let second = Duration::from_secs(1);
        let at = |value, duration| Segment::flat(rate(value), duration);
        let refused = |segments: Vec<Segment>| Profile::new(segments).unwrap_err();
        assert_eq!(refused(vec![]), LoadError::Empty);
        assert_eq!(refused(vec![Segment::flat(Rate::ZERO, second)]), LoadError::NoArrivals);
        let (short, fast) = (at(5.0, Duration::ZERO), at(2e7, second));
        assert_eq!(refused(vec![at(5.0, second), short]), LoadError::NoTime(short));
        assert_eq!(refused(vec![at(5.0, second), fast]), LoadError::TooFast(fast));
        assert_eq!(refused(vec![at(5.0, Duration::MAX); 2]), LoadError::TooLong);
    }

    proptest! {
        #[test]
        fn the_inverse_of_the_expectation_is_its_inverse(
            rates in prop::collection::vec((0.0..5_000_f64, 0.0..5_000_f64, 1..100_000_u64), 1..6),
            share in 0.0..1_f64,
        ) {
            let segment = |(from, to, millis)| {
                Segment { duration: Duration::from_millis(millis), from: rate(from), to: rate(to) }
            };
            let profile = Profile::new(rates.into_iter().map(segment).collect()).unwrap();
            let point = profile.expected() * share;
            let due = profile.moment_of(point).unwrap();
            // A nanosecond of the clock is at most this much of a point.
            let grain = profile.peak().get() * 1e-9 + point * 1e-12;
            let back = profile.expected_between(Moment::ZERO, due);
            prop_assert!((back - point).abs() <= 2.0 * grain, "{point} falls due at {due:?}, where {back} are expected");
        }
    }
}
