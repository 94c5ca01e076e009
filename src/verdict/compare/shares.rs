//! Whether the error rate changed, from one run to one other.
//!
//! Farrington and Manning's test of a difference of two shares (*Statistics in Medicine* 9, 1990): the variance is that of
//! the likeliest shares that have the difference in question, so that no errors at all, or all in one run, are judged
//! soundly too. Calls that fail together count as one: the sizes of both runs are divided by the design effect that both
//! timelines show together (Rao and Scott, *Biometrics* 48, 1992).

use super::effect::Effect;
use super::sampled::Sampled;
use crate::statistics::t_tail;

/// Errors among the calls of one run, as if they were independent.
#[derive(Clone, Copy, Debug)]
struct Errors {
    share: f64,
    size: f64,
}

/// The change of the error rate: a difference of shares. `None` where one of the runs saw nothing.
pub(super) fn effect(base: &Sampled, new: &Sampled) -> Option<Effect> {
    let (old, fresh) = (base.bad(), new.bad());
    let all = base.ended() + new.ended();
    let share = (base.tally.bad() + new.tally.bad()) as f64 / all;
    let independent = all * share * (1.0 - share);
    let together = old.varies.and(fresh.varies);
    let grows = if independent > 0.0 { together.variance / independent } else { 1.0 };
    let freedom = if grows > 1.0 { together.freedom } else { f64::INFINITY };
    let of = |run: &Sampled| Some(Errors { share: run.tally.error_rate()?, size: run.ended() / grows.max(1.0) });
    let (old, fresh) = (of(base)?, of(new)?);
    Some(Effect::inverted(fresh.share - old.share, 1.0, &|change| tail(old, fresh, change, freedom)))
}

/// The chance to see as much more errors in `new`, or more, if the true difference were `change`.
fn tail(base: Errors, new: Errors, change: f64, freedom: f64) -> f64 {
    let likeliest = likeliest(base, new, change);
    let shares = [likeliest, likeliest + change].map(|share| share.clamp(0.0, 1.0));
    let variance = shares[0] * (1.0 - shares[0]) / base.size + shares[1] * (1.0 - shares[1]) / new.size;
    let difference = new.share - base.share - change;
    if variance <= 0.0 {
        return match difference.total_cmp(&0.0) {
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 0.0,
        };
    }
    let events = |share: f64, size: f64| share.min(1.0 - share) * size;
    let events = events(shares[0], base.size) + events(shares[1], new.size);
    t_tail(difference / variance.sqrt(), freedom.min(events))
}

/// The share in `base` that makes both runs likeliest if that in `new` is larger by `change`: where the slope of the
/// likelihood, which falls, is nothing.
fn likeliest(base: Errors, new: Errors, change: f64) -> f64 {
    let (mut low, mut high) = ((-change).max(0.0), (1.0 - change).min(1.0));
    let part = |of: Errors, share: f64| {
        let (good, bad) = (of.size * (1.0 - of.share), of.size * of.share);
        let bad = if bad > 0.0 { bad / share } else { 0.0 };
        if good > 0.0 { bad - good / (1.0 - share) } else { bad }
    };
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if part(base, middle) + part(new, middle + change) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(old: (f64, f64), fresh: (f64, f64)) -> Effect {
        let of = |(bad, size): (f64, f64)| Errors { share: bad / size, size };
        let (old, fresh) = (of(old), of(fresh));
        Effect::inverted(fresh.share - old.share, 1.0, &|change| tail(old, fresh, change, f64::INFINITY))
    }

    #[test]
    fn many_errors_give_the_interval_of_the_textbook() {
        let seen = with((100.0, 10_000.0), (150.0, 10_000.0));
        let deviation = (0.01_f64 * 0.99 / 1e4 + 0.015 * 0.985 / 1e4).sqrt();
        assert!((seen.estimate - 0.005).abs() < 1e-12);
        assert!((seen.low - (0.005 - 1.645 * deviation)).abs() < 1e-4, "{seen:?}");
        assert!((seen.high - (0.005 + 1.645 * deviation)).abs() < 1e-4, "{seen:?}");
        assert!((0.0005..0.002).contains(&seen.by_chance_up), "{seen:?}");
    }

    #[test]
    fn no_error_at_all_still_leaves_room_for_some() {
        let few = with((0.0, 1000.0), (0.0, 1000.0));
        assert!(few.estimate.abs() < 1e-12 && few.high > 0.003, "{few:?}");
        let many = with((0.0, 100_000.0), (0.0, 100_000.0));
        assert!(many.high < 0.0001 && many.high > 0.00003, "{many:?}");
        assert!((many.low + many.high).abs() < 1e-9, "{many:?}");
    }

    #[test]
    fn a_few_errors_are_not_surer_than_counting_says() {
        // Were both alike, four of four would fall into the new run by chance once in sixteen times.
        let four = with((0.0, 1000.0), (4.0, 1000.0)).by_chance_up;
        assert!((0.04..0.0626).contains(&four), "{four}");
        let ten = with((0.0, 1000.0), (10.0, 1000.0)).by_chance_up;
        assert!((0.5_f64.powi(10)..0.01).contains(&ten), "{ten}");
    }
}
