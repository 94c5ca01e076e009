//! What every schedule promises, checked for every process under every profile.

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;

use super::{Arrival, Arrivals, FlowId, Process, Profile, Shard};
use crate::time::{Moment, Rate};

const BURST: u32 = 7;

fn processes() -> [Process; 3] {
    let burst = NonZeroU32::new(BURST).unwrap();
    [Process::Constant, Process::Poisson, Process::TokenBucket { burst }]
}

/// Flat, ramps up and down, from and to zero, steps, a spike, pauses; each expects some thousands of arrivals.
fn profiles() -> Vec<Profile> {
    let loads = [
        "1000/s for 5s",
        "0.3/s for 3h",
        "ramp from 100/s to 1000/s over 10s",
        "ramp from 1000/s to 100/s over 10s",
        "ramp to 1000/s over 10s",
        "ramp from 1000/s to 0/s over 10s",
        "100/s for 5s, 200/s for 5s, 400/s for 5s, 300/s for 5s",
        "50/s for 20s, 2000/s for 2s, 50/s for 20s",
        "0/s for 3s, ramp to 700/s over 3s, ramp to 0/s over 3s, 0/s for 3s, 700/s for 3s, 0/s for 3s",
    ];
    loads.map(|load| load.parse().unwrap()).to_vec()
}

fn schedule(process: Process, profile: &Profile, seed: u64, shard: Shard) -> Arrivals {
    Arrivals::new(FlowId(0), process, profile, seed, shard, None)
}

fn whole(process: Process, profile: &Profile, seed: u64) -> Vec<Arrival> {
    schedule(process, profile, seed, Shard::WHOLE).collect()
}

/// Runs the check on every process under every profile with three seeds; it is told what to name in a failure.
fn for_each_schedule(check: impl Fn(&str, Process, &Profile, u64)) {
    for process in processes() {
        for profile in profiles() {
            for seed in [0, 1, u64::MAX] {
                check(&format!("{process} under {profile} with seed {seed}"), process, &profile, seed);
            }
        }
    }
}

/// How far a count may be from the number expected: one or a burst, and five standard deviations of a Poisson count.
fn tolerance(process: Process, expected: f64) -> f64 {
    match process {
        Process::Constant => 1.0,
        Process::Poisson => 5.0 * expected.sqrt() + 1.0,
        Process::TokenBucket { burst } => f64::from(burst.get()),
    }
}

#[test]
fn arrivals_are_in_order_within_the_profile_and_numbered_without_gaps() {
    for_each_schedule(|name, process, profile, seed| {
        let arrivals = whole(process, profile, seed);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.intended), "{name}");
        assert!(arrivals.iter().map(|arrival| arrival.sequence).eq(0..arrivals.len() as u64), "{name}");
        let end = Moment::ZERO.after(profile.duration());
        assert!(arrivals.iter().all(|arrival| arrival.intended <= end), "{name}");
    });
}

#[test]
fn the_rate_follows_the_profile_in_every_part_of_it() {
    const PARTS: u32 = 20;
    for_each_schedule(|name, process, profile, seed| {
        let arrivals = whole(process, profile, seed);
        let expected = profile.expected();
        assert!((arrivals.len() as f64 - expected).abs() <= tolerance(process, expected), "{name}: {}", arrivals.len());
        for part in 0..PARTS {
            let edge = |index: u32| Moment::ZERO.after(profile.duration() * index / PARTS);
            let (start, end) = (edge(part), edge(part + 1));
            let expected = profile.expected_between(start, end);
            let count = arrivals.iter().filter(|arrival| (start..end).contains(&arrival.intended)).count();
            // An arrival within a nanosecond of an edge may be counted on either side of it.
            let allowed = tolerance(process, expected) + 1e-6;
            assert!((count as f64 - expected).abs() <= allowed, "{name}: {count} for {expected} in part {part}");
        }
    });
}

#[test]
fn nothing_is_due_during_a_pause() {
    let profile: Profile = "0/s for 3s, 100/s for 1s, 0/s for 3s, 100/s for 1s".parse().unwrap();
    for process in processes() {
        let due_in_pause = |arrival: &Arrival| profile.rate_at(arrival.intended) == Rate::ZERO;
        assert!(!whole(process, &profile, 1).iter().any(due_in_pause), "{process}");
    }
}

#[test]
fn the_shards_together_are_the_whole_schedule() {
    for_each_schedule(|name, process, profile, seed| {
        let count = NonZeroU32::new(3).unwrap();
        let parts = (0..3).flat_map(|index| schedule(process, profile, seed, Shard { index, count }));
        let mut parts: Vec<Arrival> = parts.collect();
        parts.sort_by_key(|arrival| arrival.sequence);
        assert!(parts == whole(process, profile, seed), "{name}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_number_of_shards_is_the_whole_schedule(
        kind in 0..3_usize,
        which in 0..9_usize,
        seed in any::<u64>(),
        count in 1..40_u32,
        total in prop::option::of(0..3_000_u64),
    ) {
        let (process, profile) = (processes()[kind], &profiles()[which]);
        let part = |shard| Arrivals::new(FlowId(1), process, profile, seed, shard, total);
        let count = NonZeroU32::new(count).unwrap();
        let mut parts: Vec<Arrival> = (0..count.get()).flat_map(|index| part(Shard { index, count })).collect();
        parts.sort_by_key(|arrival| arrival.sequence);
        prop_assert!(parts.into_iter().eq(part(Shard::WHOLE)));
    }
}

/// A profile that somebody changes: at each moment it goes on at another rate, pauses, or goes on as it was to.
fn changed(profile: &Profile, changes: &[(f64, f64)]) -> Vec<(Moment, Profile)> {
    let mut present = profile.clone();
    let steps = changes.iter().map(|(share, rate)| {
        let at = Moment::ZERO.after(profile.duration().mul_f64(*share));
        let flat = |rate| Profile::flat(Rate::per_second(rate).unwrap(), profile.duration());
        let rest = if *rate < 0.0 { profile.clone() } else { flat(*rate) };
        present = present.spliced(at, &rest);
        (at, present.clone())
    });
    steps.collect()
}

/// What a lane sends that adopts each profile at some time before its moment: as early as `notice` allows.
fn adopting(mut arrivals: Arrivals, steps: &[(Moment, Profile)], notice: impl Fn(usize) -> Duration) -> Vec<Arrival> {
    let (mut sent, mut next, mut adopted) = (Vec::new(), arrivals.next(), 0);
    loop {
        // The next thing that happens is an arrival or news of a change.
        let news = steps.get(adopted).map(|(at, _)| at.as_nanos().saturating_sub(notice(adopted).as_nanos() as u64));
        match (next, news) {
            (Some(arrival), news) if news.is_none_or(|news| arrival.intended.as_nanos() < news) => {
                sent.push(arrival);
                next = arrivals.next();
            }
            (_, Some(_)) => {
                next = arrivals.adopt(&steps[adopted].1);
                adopted += 1;
            }
            (None, None) => return sent,
            (Some(_), None) => unreachable!("the first arm takes it"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn shards_that_adopt_changes_each_in_its_own_time_are_the_whole_that_knew_them_all_along(
        kind in 0..3_usize,
        which in 0..9_usize,
        seed in any::<u64>(),
        count in 1..6_u32,
        total in prop::option::of(0..3_000_u64),
        changes in prop::collection::vec((0.0..1.0_f64, prop_oneof![Just(-1.0), Just(0.0), 1.0..900.0_f64]), 0..6),
        notices in prop::collection::vec(0..100_u64, 36),
    ) {
        let (process, profile) = (processes()[kind], &profiles()[which]);
        let mut changes = changes;
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        // The same share of every run: what is 1/s in a run of hours is 900/s in one of seconds.
        let pace = profile.expected() / profile.duration().as_secs_f64() / 300.0;
        for (_, rate) in &mut changes {
            *rate *= pace;
        }
        let steps = changed(profile, &changes);
        let last = steps.last().map_or(profile, |(_, last)| last);
        let count = NonZeroU32::new(count).unwrap();
        let part = |index| {
            let shard = Shard { index, count };
            let arrivals = Arrivals::new(FlowId(1), process, profile, seed, shard, total);
            let notice = |step: usize| Duration::from_millis(notices[index as usize * 6 + step]);
            adopting(arrivals, &steps, notice)
        };
        let mut parts: Vec<Arrival> = (0..count.get()).flat_map(part).collect();
        parts.sort_by_key(|arrival| arrival.sequence);
        let whole: Vec<Arrival> = Arrivals::new(FlowId(1), process, last, seed, Shard::WHOLE, total).collect();
        prop_assert!(whole.is_sorted_by_key(|arrival| arrival.intended));
        prop_assert_eq!(parts, whole);
    }
}

#[test]
fn the_seed_decides_the_schedule_and_only_poisson_has_more_than_one() {
    for_each_schedule(|name, process, profile, seed| {
        assert!(whole(process, profile, seed) == whole(process, profile, seed), "{name}");
        let differs = whole(process, profile, seed) != whole(process, profile, !seed);
        assert_eq!(differs, process == Process::Poisson, "{name}");
    });
}

/// Kolmogorov and Smirnov's distance between the samples and the exponential distribution of mean one.
fn distance_from_exponential(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let count = samples.len() as f64;
    let apart = samples.iter().enumerate().map(|(rank, sample)| {
        let expected = 1.0 - (-sample).exp();
        (expected - rank as f64 / count).max((rank + 1) as f64 / count - expected)
    });
    apart.fold(0.0, f64::max)
}

/// The gaps between successive arrivals, in arrivals expected meanwhile.
fn gaps(profile: &Profile, arrivals: &[Arrival]) -> Vec<f64> {
    arrivals.windows(2).map(|pair| profile.expected_between(pair[0].intended, pair[1].intended)).collect()
}

#[test]
fn poisson_gaps_are_exponential_in_operational_time_under_every_profile() {
    // Critical at a level of 1 % for each of the profiles (Smirnov's asymptotic 1.628 / √n); the seed is fixed.
    for profile in profiles() {
        let gaps = gaps(&profile, &whole(Process::Poisson, &profile, 2));
        let critical = 1.628 / (gaps.len() as f64).sqrt();
        let distance = distance_from_exponential(gaps);
        assert!(distance < critical, "{profile}: {distance} is not below {critical}");
    }
    let even = gaps(&profiles()[0], &whole(Process::Constant, &profiles()[0], 2));
    assert!(distance_from_exponential(even) > 0.5, "the test tells even gaps from exponential ones");
}

#[test]
fn poisson_gaps_do_not_depend_on_the_gap_before() {
    let profile = &profiles()[0];
    let gaps = gaps(profile, &whole(Process::Poisson, profile, 2));
    // The correlation of successive gaps, whose standard deviation is 1/√n.
    let covariance: f64 =
        gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).sum::<f64>() / gaps.len() as f64;
    assert!(covariance.abs() < 4.0 / (gaps.len() as f64).sqrt(), "{covariance}");
}

#[test]
fn ten_million_arrivals_do_not_drift() {
    let endless = |rate| Profile::endless(Rate::per_second(rate).unwrap());
    for (sequence, arrival) in (0_u64..10_000_000).zip(schedule(Process::Constant, &endless(1000.0), 0, Shard::WHOLE)) {
        assert!(arrival.intended.as_nanos() == sequence * 1_000_000 + 500_000, "{arrival:?}");
    }
}

#[test]
fn a_rate_that_no_nanosecond_divides_does_not_drift_either() {
    let rate = 300_007;
    let profile = Profile::endless(Rate::per_second(300_007.0).unwrap());
    let burst = NonZeroU32::new(1000).unwrap();
    let last =
        |process| schedule(process, &profile, 0, Shard::WHOLE).take(2_000_001).last().unwrap().intended.as_nanos();
    let exact = |half_points: u64| half_points * 500_000_000 / rate;
    assert!(last(Process::Constant).abs_diff(exact(4_000_001)) <= 1);
    assert!(last(Process::TokenBucket { burst }).abs_diff(exact(4_000_000)) <= 1);
}

#[test]
fn the_arrivals_of_a_long_ramp_are_where_the_parabola_is() {
    // From 0 to 2000/s over an hour: Λ(t) = at²/2 with a = 2000/3600, so that arrival n is due at √((2n + 1)/a).
    let profile: Profile = "ramp to 2000/s over 1h".parse().unwrap();
    assert_eq!(profile.duration(), Duration::from_hours(1));
    for arrival in schedule(Process::Constant, &profile, 0, Shard::WHOLE).step_by(1_009) {
        let due = ((2 * arrival.sequence + 1) as f64 * 1.8).sqrt();
        assert!((arrival.intended.as_secs_f64() - due).abs() < 1e-8, "{arrival:?} is due at {due}");
    }
}
