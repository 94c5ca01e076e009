//! The highest rate that keeps the promises: which probe to make next follows from those made so far, and from nothing else.
//!
//! The search climbs from its lowest rate, doubling, until a rate is not held; narrows the gap by bisection until it is
//! within the resolution; and then holds the highest rate that passed for longer. A hold that fails steps down and holds
//! again; where the steps went far, one more hold is tried between the last two. Only a hold that passed is an answer. A rate counts as held where the probe's verdict is PASS, and in no other case:
//! INCONCLUSIVE is tried again for twice as long, up to a bound, and INVALID, which says nothing about the target, a few
//! times more: at a rate not above one that was driven well, it is not the rate that is too much for the generator.

mod cool_down;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod simulation;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use cool_down::{CoolDown, is_itself_again};

use super::Verdict;
use crate::time::{Rate, serde_duration};

/// How often a probe is made whose measurement cannot be trusted.
const TRIES: u32 = 3;
/// The same at a rate not above one that was measured well.
const TRIES_IN_NOISE: u32 = 6;

/// What bounds a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The lowest rate that is of interest, and the first to be tried.
    pub from: Rate,
    /// The highest rate that is of interest.
    pub to: Rate,
    /// How close the highest rate that is held and the lowest that is not shall come, as a part of the former.
    pub resolution: f64,
    /// How long a probe is, beside its warm-up.
    #[serde(with = "serde_duration")]
    pub probe: Duration,
    /// How long a probe may become that decides nothing.
    #[serde(with = "serde_duration")]
    pub longest: Duration,
    /// How long a rate is held to be confirmed, beside the warm-up.
    #[serde(with = "serde_duration")]
    pub hold: Duration,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To find a rate that is not held.
    Climb,
    /// To find out where between two rates the limit is.
    Narrow,
    /// To confirm a rate.
    Hold,
}

/// One rate to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What it is for.
    pub purpose: Purpose,
    /// Arrivals per second, of all flows together.
    pub rate: Rate,
    /// How long, beside warm-up.
    #[serde(with = "serde_duration")]
    pub duration: Duration,
}

/// A probe that was made, and its verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// What was tried.
    pub probe: Probe,
    /// What came of it.
    pub verdict: Verdict,
}

/// Why a rate counts as not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An objective was missed: the target is at its limit.
    Missed,
    /// The longest probe left an objective neither met nor missed.
    Undecided,
    /// The measurement was not to be trusted, again and again: the generator is at its limit.
    Generator,
    /// The same at a rate not above one that was measured well: something disturbs the generator.
    Noise,
}

/// A rate that is not held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The lowest rate that is not held.
    pub rate: Rate,
    /// Why not.
    pub why: Why,
}

/// How a search stands after some trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The rate that was confirmed by a hold.
    pub held: Option<Rate>,
    /// The highest rate below the limit that a probe passed, confirmed or not.
    pub passed: Option<Rate>,
    /// The lowest rate that is not held, where one was met.
    pub limit: Option<Limit>,
    /// What is to be tried next; `None` where the search is at its end.
    pub next: Option<Probe>,
    /// How often what is tried next was INVALID.
    invalid: u32,
    /// The highest rate that was measured well, whatever was seen.
    driven: Option<Rate>,
    /// How often a hold failed.
    drops: u32,
}

impl Progress {
    /// The same, which knows what was measured well.
    fn having_driven(self, Trial { probe, verdict }: &Trial) -> Self {
        let higher = self.driven.is_none_or(|driven| probe.rate > driven);
        if *verdict != Verdict::Invalid && higher { Self { driven: Some(probe.rate), ..self } } else { self }
    }
}

impl Search {
    /// How the search stands after `trials`, which were made in this order.
    pub fn after(&self, trials: &[Trial]) -> Progress {
        let first = self.probe(Purpose::Climb, self.from);
        let mut progress =
            Progress { held: None, passed: None, limit: None, next: Some(first), invalid: 0, driven: None, drops: 0 };
        for trial in trials {
            progress = self.step(progress, trial);
        }
        progress
    }

    fn probe(&self, purpose: Purpose, rate: Rate) -> Probe {
        let duration = if purpose == Purpose::Hold { self.hold } else { self.probe };
        Probe { purpose, rate, duration }
    }

    fn step(&self, before: Progress, trial: &Trial) -> Progress {
        let Trial { probe, verdict } = trial;
        let before = before.having_driven(trial);
        let longer = probe.duration.saturating_mul(2).min(self.longest);
        let why = match verdict {
            Verdict::Pass => None,
            Verdict::Fail => Some(Why::Missed),
            Verdict::Invalid => {
                let noise = before.driven.is_some_and(|driven| probe.rate <= driven);
                let (tries, why) = if noise { (TRIES_IN_NOISE, Why::Noise) } else { (TRIES, Why::Generator) };
                let invalid = before.invalid + 1;
                if invalid < tries {
                    return Progress { next: Some(*probe), invalid, ..before };
                }
                Some(why)
            }
            // Twice the rate has as many calls as twice the time.
            Verdict::Inconclusive if self.may_climb_on(&before, probe) => {
                let next = Some(self.above(probe.rate));
                return Progress { next, invalid: 0, ..before };
            }
            Verdict::Inconclusive if longer > probe.duration => {
                return Progress { next: Some(Probe { duration: longer, ..*probe }), invalid: 0, ..before };
            }
            Verdict::Inconclusive => Some(Why::Undecided),
        };
        let before = Progress { invalid: 0, ..before };
        match why {
            None => self.passed(before, probe),
            Some(why) => self.not_held(before, probe, Limit { rate: probe.rate, why }),
        }
    }

    /// Whether nothing is known yet but that the calls at this rate were too few to decide.
    fn may_climb_on(&self, before: &Progress, probe: &Probe) -> bool {
        probe.purpose == Purpose::Climb && before.passed.is_none() && probe.rate < self.to
    }

    fn passed(&self, before: Progress, probe: &Probe) -> Progress {
        let after = Progress { passed: Some(probe.rate), ..before };
        let next = match (probe.purpose, before.limit) {
            (Purpose::Hold, limit) => {
                let next = limit.and_then(|limit| self.between_holds(probe.rate, limit.rate));
                return Progress { held: Some(probe.rate), next, ..after };
            }
            (_, Some(limit)) => self.between(Some(probe.rate), limit.rate),
            (_, None) if probe.rate >= self.to => Some(self.probe(Purpose::Hold, probe.rate)),
            (_, None) => Some(self.above(probe.rate)),
        };
        Progress { next, ..after }
    }

    fn not_held(&self, before: Progress, probe: &Probe, limit: Limit) -> Progress {
        let after = Progress { limit: Some(limit), ..before };
        // While something else disturbs the generator nothing can be found out.
        if limit.why == Why::Noise {
            return Progress { next: None, ..after };
        }
        if probe.purpose != Purpose::Hold {
            let next = self.between(before.passed, limit.rate);
            return Progress { next, ..after };
        }
        if let Some(held) = before.held {
            return Progress { next: self.between_holds(held, limit.rate), ..after };
        }
        // Each step down is twice as long as the one before: the first is the resolution.
        let part = 1.0 + self.resolution * f64::from(before.drops).exp2();
        let lower = rounded(limit.rate.get() / part, limit.rate.get() * (1.0 - 1.0 / part));
        let next = (limit.rate > self.from).then(|| self.probe(Purpose::Hold, lower.max(self.from)));
        Progress { passed: None, next, drops: before.drops + 1, ..after }
    }

    /// What to hold next where steps down went far below the last hold that failed.
    fn between_holds(&self, held: Rate, limit: Rate) -> Option<Probe> {
        let is_far = limit.get() > held.get() * (1.0 + 2.0 * self.resolution);
        is_far.then(|| self.probe(Purpose::Hold, middle(held, limit)))
    }

    /// The next rate of the climb.
    fn above(&self, rate: Rate) -> Probe {
        let doubled = Rate::per_second(rate.get() * 2.0).filter(|doubled| *doubled < self.to);
        self.probe(Purpose::Climb, doubled.unwrap_or(self.to))
    }

    /// What to try between the highest rate that passed and the lowest that is not held.
    fn between(&self, passed: Option<Rate>, limit: Rate) -> Option<Probe> {
        let low = passed.unwrap_or(self.from);
        let is_narrow = limit.get() <= low.get() * (1.0 + self.resolution);
        match passed {
            _ if !is_narrow => Some(self.probe(Purpose::Narrow, middle(low, limit))),
            Some(passed) => Some(self.probe(Purpose::Hold, passed)),
            // That the lowest rate is not held is known where it is the limit itself.
            None => (limit > low).then(|| self.probe(Purpose::Narrow, low)),
        }
    }
}

/// The rate that is as many times `low` as `high` is of it, rounded to as few digits as leave it clearly between them.
fn middle(low: Rate, high: Rate) -> Rate {
    let middle = (low.get() * high.get()).sqrt();
    rounded(middle, (middle - low.get()).min(high.get() - middle))
}

/// `rate` moved by at most a quarter of `room`, to fewer digits.
fn rounded(rate: f64, room: f64) -> Rate {
    let digits = -(room / 2.0).log10().floor();
    let scale = 10_f64.powf(digits.abs());
    let round = if digits < 0.0 { (rate / scale).round() * scale } else { (rate * scale).round() / scale };
    Rate::per_second(round).or(Rate::per_second(rate)).unwrap_or(Rate::SLOWEST_LOAD)
}

/// The seed of the `number`-th probe of a search: one of 32 bits, which can be typed again, by the finaliser of `SplitMix64`
/// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub fn seed_of(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: f64) -> Rate {
        Rate::per_second(per_second).unwrap()
    }

    fn search() -> Search {
        Search {
            from: rate(10.0),
            to: rate(10_000.0),
            resolution: 0.03,
            probe: Duration::from_secs(10),
            longest: Duration::from_secs(40),
            hold: Duration::from_mins(1),
        }
    }

    /// Searches to the end with a target whose verdict on a probe is `verdict`; gives all probes and how it ended.
    fn searched(search: Search, verdict: impl Fn(&Probe, usize) -> Verdict) -> (Vec<Trial>, Progress) {
        let mut trials = Vec::new();
        loop {
            let progress = search.after(&trials);
            let Some(probe) = progress.next else { return (trials, progress) };
            trials.push(Trial { probe, verdict: verdict(&probe, trials.len()) });
            assert!(trials.len() < 200, "it does not end: {trials:?}");
        }
    }

    fn told(trials: &[Trial]) -> String {
        let letter = |trial: &Trial| match trial.probe.purpose {
            Purpose::Climb => 'c',
            Purpose::Narrow => 'n',
            Purpose::Hold => 'h',
        };
        let tell = |trial: &Trial| {
            let Probe { rate, duration, .. } = trial.probe;
            format!("{}{}x{}:{}", letter(trial), rate.get(), duration.as_secs(), &trial.verdict.to_string()[..3])
        };
        trials.iter().map(tell).collect::<Vec<_>>().join(" ")
    }

    fn up_to(limit: f64) -> impl Fn(&Probe, usize) -> Verdict {
        move |probe, _| if probe.rate.get() <= limit { Verdict::Pass } else { Verdict::Fail }
    }

    #[test]
    fn it_climbs_narrows_and_holds() {
        let (trials, end) = searched(search(), up_to(171.0));
        insta::assert_snapshot!(told(&trials), @"c10x10:PAS c20x10:PAS c40x10:PAS c80x10:PAS c160x10:PAS c320x10:FAI n230x10:FAI n190x10:FAI n174x10:FAI n167x10:PAS n170x10:PAS h170x60:PAS");
        assert_eq!(end.limit.map(|limit| limit.why), Some(Why::Missed));
    }

    #[test]
    fn the_highest_rate_asked_for_is_held_where_there_is_no_limit_below() {
        let (trials, end) = searched(Search { to: rate(50.0), ..search() }, up_to(1e9));
        assert_eq!(told(&trials), "c10x10:PAS c20x10:PAS c40x10:PAS c50x10:PAS h50x60:PAS");
        assert_eq!((end.held, end.limit), (Some(rate(50.0)), None));
    }

    #[test]
    fn where_the_lowest_rate_is_not_held_there_is_no_answer() {
        let (trials, end) = searched(search(), up_to(5.0));
        assert_eq!(told(&trials), "c10x10:FAI");
        assert_eq!((end.held, end.passed), (None, None));
        assert_eq!(end.limit, Some(Limit { rate: rate(10.0), why: Why::Missed }));
    }

    #[test]
    fn what_decides_nothing_is_made_longer_up_to_the_bound_and_is_then_not_held() {
        let close = |probe: &Probe, _: usize| match probe.rate.get() {
            rate if rate <= 100.0 => Verdict::Pass,
            rate if rate <= 120.0 => Verdict::Inconclusive,
            _ => Verdict::Fail,
        };
        let (trials, end) = searched(search(), close);
        insta::assert_snapshot!(told(&trials), @"c10x10:PAS c20x10:PAS c40x10:PAS c80x10:PAS c160x10:FAI n110x10:INC n110x20:INC n110x40:INC n94x10:PAS n102x10:INC n102x20:INC n102x40:INC n98x10:PAS n100x10:PAS h100x60:PAS");
        assert_eq!(end.limit.map(|limit| limit.why), Some(Why::Undecided));
        assert!(end.held <= Some(rate(100.0)));
    }

    #[test]
    fn too_few_calls_to_decide_are_a_reason_to_climb_and_not_to_give_up() {
        let few = |probe: &Probe, _: usize| match probe.rate.get() * probe.duration.as_secs_f64() {
            _ if probe.rate.get() > 500.0 => Verdict::Fail,
            calls if calls < 1000.0 => Verdict::Inconclusive,
            _ => Verdict::Pass,
        };
        let (trials, end) = searched(search(), few);
        assert!(
            told(&trials).starts_with("c10x10:INC c20x10:INC c40x10:INC c80x10:INC c160x10:PAS"),
            "{}",
            told(&trials)
        );
        assert!(end.held > Some(rate(480.0)));
        let (trials, end) = searched(search(), |probe, _| match probe.rate.get() {
            rate if rate < 30.0 => Verdict::Inconclusive,
            _ => Verdict::Fail,
        });
        assert_eq!((end.held, end.limit), (None, Some(Limit { rate: rate(10.0), why: Why::Undecided })));
        assert!(told(&trials).ends_with("n10x10:INC n10x20:INC n10x40:INC"), "{}", told(&trials));
    }

    #[test]
    fn an_invalid_probe_is_made_again_and_then_the_generator_is_the_limit() {
        let (trials, end) = searched(search(), |probe, place| match probe.rate.get() {
            rate if rate >= 100.0 => Verdict::Invalid,
            _ if place == 1 => Verdict::Invalid,
            _ => Verdict::Pass,
        });
        assert!(
            told(&trials).starts_with(
                "c10x10:PAS c20x10:INV c20x10:PAS c40x10:PAS c80x10:PAS c160x10:INV c160x10:INV c160x10:INV n"
            ),
            "{}",
            told(&trials)
        );
        assert_eq!(end.limit.map(|limit| limit.why), Some(Why::Generator));
        assert!(end.held > Some(rate(96.0)) && end.held < Some(rate(100.0)), "{end:?}");
        let (trials, end) = searched(search(), |_, _| Verdict::Invalid);
        assert_eq!((trials.len(), end.held), (3, None));
        assert_eq!(end.limit, Some(Limit { rate: rate(10.0), why: Why::Generator }));
    }

    #[test]
    fn noise_at_a_rate_below_one_that_was_driven_well_is_waited_out_and_is_never_the_generators_limit() {
        // 160/s is measured well; then five probes in a row are disturbed.
        let (trials, end) = searched(search(), |probe, place| match place {
            5..10 => Verdict::Invalid,
            _ => up_to(150.0)(probe, place),
        });
        assert!(told(&trials).starts_with("c10x10:PAS c20x10:PAS c40x10:PAS c80x10:PAS c160x10:FAI n110x10:INV"));
        assert_eq!(
            (end.limit.map(|limit| limit.why), end.held > Some(rate(145.0))),
            (Some(Why::Missed), true),
            "{end:?}"
        );
        let (trials, end) = searched(search(), |probe, place| match place {
            0..5 => up_to(150.0)(probe, place),
            _ => Verdict::Invalid,
        });
        assert_eq!((end.limit.map(|limit| limit.why), end.held), (Some(Why::Noise), None));
        assert_eq!(trials.len(), 5 + 6);
    }

    #[test]
    fn a_hold_that_fails_steps_down_and_holds_again() {
        let (trials, end) = searched(search(), |probe, _| match (probe.purpose, probe.rate.get()) {
            (Purpose::Hold, rate) if rate > 150.0 => Verdict::Fail,
            (_, rate) if rate > 171.0 => Verdict::Fail,
            _ => Verdict::Pass,
        });
        let holds: Vec<_> = trials.iter().filter(|trial| trial.probe.purpose == Purpose::Hold).copied().collect();
        assert_eq!(told(&holds), "h170x60:FAI h165x60:FAI h156x60:FAI h139x60:PAS h147x60:PAS h151x60:FAI");
        let mut lowest = holds.iter().filter(|hold| hold.verdict == Verdict::Fail).map(|hold| hold.probe.rate);
        assert_eq!(end.limit.map(|limit| limit.rate), lowest.next_back());
        let (trials, end) = searched(search(), |probe, _| match probe.purpose {
            Purpose::Hold => Verdict::Fail,
            _ => up_to(171.0)(probe, 0),
        });
        assert_eq!((end.held, end.passed, end.limit.map(|limit| limit.rate)), (None, None, Some(rate(10.0))));
        assert_eq!(trials.last().map(|trial| trial.probe.rate), Some(rate(10.0)));
    }

    #[test]
    fn each_probe_has_a_seed_of_its_own_that_can_be_typed() {
        let seeds: Vec<u64> = (0..1000).map(|number| seed_of(7, number)).collect();
        let mut unique = seeds.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 1000);
        assert!(seeds.iter().all(|seed| u32::try_from(*seed).is_ok()));
        assert_eq!(seeds[..2], [1_674_306_020, 72_105_175]);
        assert_ne!(seed_of(8, 0), seed_of(7, 0));
    }

    proptest! {
        #[test]
        fn whatever_the_verdicts_it_ends_and_never_names_a_rate_that_was_not_held(
            verdicts in prop::collection::vec(0..4_usize, 200),
            from in 0.01..1e4_f64,
            times in 1.0..1e4_f64,
            resolution in 0.005..0.5_f64,
        ) {
            let all = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive, Verdict::Invalid];
            let search = Search { from: rate(from), to: rate(from * times), resolution, ..search() };
            let (trials, end) = searched(search, |_, place| all[verdicts[place]]);
            prop_assert!(trials.iter().all(|trial| (search.from..=search.to).contains(&trial.probe.rate)));
            if let Some(held) = end.held {
                let passed = |trial: &&Trial| trial.probe.purpose == Purpose::Hold && trial.verdict == Verdict::Pass;
                let last = trials.iter().rfind(passed).unwrap();
                prop_assert_eq!(last.probe.rate, held);
                prop_assert!(last.probe.duration >= search.hold);
                prop_assert!(end.limit.is_none_or(|limit| limit.rate > held));
            } else {
                prop_assert!(end.limit.is_some());
            }
        }

        #[test]
        fn a_sharp_limit_is_found_to_within_the_resolution(
            limit in 10.0..9e3_f64, resolution in 0.005..0.5_f64,
        ) {
            let (_, end) = searched(Search { resolution, ..search() }, up_to(limit));
            let held = end.held.unwrap().get();
            prop_assert!(held <= limit && limit < held * (1.0 + resolution), "{} of {}", held, limit);
        }

        #[test]
        fn the_middle_is_between_and_short(low in 0.01..1e6_f64, times in 1.005..100.0_f64) {
            let middle = middle(rate(low), rate(low * times));
            prop_assert!(low < middle.get() && middle.get() < low * times);
            prop_assert!(middle.to_string().len() <= 12, "{}", middle);
        }
    }
}
