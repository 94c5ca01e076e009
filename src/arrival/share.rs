//! One rate for several flows: each gets the part of it that its own profile would have of all profiles together.

use std::time::Duration;

use super::profile::{Profile, Segment};
use crate::time::{Moment, Rate};

/// Fewer arrivals than this are none.
const NONE: f64 = 1e-6;

/// A flow that gets a part of a rate.
#[derive(Clone, Copy, Debug)]
pub struct Sharer<'a> {
    /// What it would do by itself: its weight.
    pub profile: &'a Profile,
    /// How many arrivals it has left, where they are counted.
    pub left: Option<f64>,
}

/// What each flow does so that together they have `rate` from `at` on: nothing before, and nothing after its own profile's
/// end or its last counted arrival. Weights are those in the middle of each stretch in which no profile has a new segment;
/// where none has any, nothing is due, unless there is one flow alone.
pub fn shared_out(rate: Rate, at: Moment, sharers: &[Sharer<'_>]) -> Vec<Profile> {
    let end = sharers.iter().map(|sharer| ends(sharer.profile)).max().unwrap_or_default();
    let before = (at > Moment::ZERO).then(|| Segment::flat(Rate::ZERO, at.since(Moment::ZERO)));
    let mut segments: Vec<Vec<Segment>> = vec![before.into_iter().collect(); sharers.len()];
    let mut left: Vec<Option<f64>> = sharers.iter().map(|sharer| sharer.left).collect();
    let mut begin = at;
    while begin < end {
        let boundary = sharers.iter().filter_map(|sharer| next_boundary(sharer.profile, begin)).min().unwrap_or(end);
        let middle = begin.after(boundary.since(begin) / 2);
        let weights: Vec<f64> =
            sharers.iter().zip(&left).map(|(sharer, left)| weight(sharer.profile, middle, *left)).collect();
        let all: f64 = weights.iter().sum();
        let part = |weight: f64| if all > 0.0 { rate.get() * weight / all } else { 0.0 };
        let rates: Vec<f64> = match sharers {
            [_] => vec![rate.get()],
            _ => weights.into_iter().map(part).collect(),
        };
        let until = rates.iter().zip(&left).filter_map(|(rate, left)| used_up(begin, *rate, (*left)?));
        let until = until.min().unwrap_or(boundary).min(boundary);
        for ((segments, left), rate) in segments.iter_mut().zip(&mut left).zip(rates) {
            let lasts = until.since(begin);
            segments.push(Segment::flat(Rate::per_second(rate).unwrap_or(Rate::ZERO), lasts));
            *left = left.map(|left| left - rate * lasts.as_secs_f64());
        }
        begin = until;
    }
    let cut = |(segments, sharer): (Vec<Segment>, &Sharer<'_>)| Profile::laid_out(segments).until(ends(sharer.profile));
    segments.into_iter().zip(sharers).map(cut).collect()
}

fn ends(profile: &Profile) -> Moment {
    Moment::ZERO.after(profile.duration())
}

/// Where the first segment ends that ends after `moment`.
fn next_boundary(profile: &Profile, moment: Moment) -> Option<Moment> {
    let after = |end: &mut Moment, segment: Segment| {
        *end = end.after(segment.duration);
        Some(*end)
    };
    profile.segments().scan(Moment::ZERO, after).find(|end| *end > moment)
}

fn weight(profile: &Profile, moment: Moment, left: Option<f64>) -> f64 {
    let is_over = moment >= ends(profile) || left.is_some_and(|left| left < NONE);
    if is_over { 0.0 } else { profile.rate_at(moment).get() }
}

/// When so many arrivals will have been due from `begin` on; later than that, and never where there are none.
fn used_up(begin: Moment, rate: f64, left: f64) -> Option<Moment> {
    let lasts = (rate > 0.0 && left >= NONE).then(|| Moment::from_secs_f64(left / rate).since(Moment::ZERO))?;
    Some(begin.after(lasts.max(Duration::from_nanos(1))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(rate: f64, at: u64, flows: &[(&str, Option<f64>)]) -> Vec<String> {
        let profiles: Vec<Profile> = flows.iter().map(|(load, _)| load.parse().unwrap()).collect();
        let sharers: Vec<Sharer<'_>> =
            profiles.iter().zip(flows).map(|(profile, (_, left))| Sharer { profile, left: *left }).collect();
        let rate = Rate::per_second(rate).unwrap();
        let parts = shared_out(rate, Moment::from_nanos(at * 1_000_000_000), &sharers);
        parts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_flow_alone_has_it_all_to_its_end() {
        assert_eq!(shared(500.0, 2, &[("0/s for 4s, 10/s for 4s", None)]), ["0/s for 2s, 500/s for 2s, 500/s for 4s"]);
    }

    #[test]
    fn flows_that_begin_or_end_later_are_shared_out_to_anew() {
        let flows = [("100/s for 4s", None), ("0/s for 3s, 300/s for 5s", None)];
        assert_eq!(
            shared(200.0, 2, &flows),
            ["0/s for 2s, 200/s for 1s, 50/s for 1s", "0/s for 2s, 0/s for 1s, 150/s for 1s, 200/s for 4s"]
        );
    }

    #[test]
    fn a_flow_whose_arrivals_are_counted_gives_its_part_up_after_the_last() {
        let flows = [("100/s for 8s", Some(100.0)), ("100/s for 8s", None), ("100/s for 8s", Some(0.0))];
        let parts = shared(400.0, 3, &flows);
        assert_eq!(parts[0], "0/s for 3s, 200/s for 500ms, 0/s for 4.5s");
        assert_eq!(parts[1], "0/s for 3s, 200/s for 500ms, 400/s for 4.5s");
        assert_eq!(parts[2], "0/s for 3s, 0/s for 500ms, 0/s for 4.5s");
    }

    #[test]
    fn a_rate_that_nobody_is_there_for_is_due_when_somebody_is() {
        let flows = [("0/s for 3s, 1/s for 1s", None), ("10/s for 1s", None)];
        assert_eq!(shared(7.0, 2, &flows)[0], "0/s for 2s, 0/s for 1s, 7/s for 1s");
    }

    proptest! {
        #[test]
        fn while_any_flow_has_arrivals_the_parts_are_the_whole(
            loads in prop::collection::vec(prop::collection::vec((0..3_u32, 1..5_u64), 1..4), 1..4),
            at in 0..6_u64, rate in 1..1000_u32, probe in 0..12_u64,
        ) {
            let profile = |legs: &Vec<(u32, u64)>| Profile::laid_out(
                legs.iter().map(|(rate, s)| Segment::flat(Rate::per_second((*rate).into()).unwrap(), Duration::from_secs(*s))).collect(),
            );
            let profiles: Vec<Profile> = loads.iter().map(profile).collect();
            let sharers: Vec<Sharer<'_>> = profiles.iter().map(|profile| Sharer { profile, left: None }).collect();
            let at = Moment::from_nanos(at * 1_000_000_000);
            let parts = shared_out(Rate::per_second(rate.into()).unwrap(), at, &sharers);
            let probe = Moment::from_nanos(probe * 1_000_000_000 + 500_000_000);
            let now = |profile: &Profile| if probe < ends(profile) { profile.rate_at(probe).get() } else { 0.0 };
            let whole: f64 = parts.iter().map(now).sum();
            let alone = sharers.len() == 1 && probe < ends(&profiles[0]);
            let open = alone || profiles.iter().map(now).sum::<f64>() > 0.0;
            let wanted = if probe >= at && open { f64::from(rate) } else { 0.0 };
            prop_assert!((whole - wanted).abs() < 1e-9, "{whole} {wanted}");
        }
    }
}
