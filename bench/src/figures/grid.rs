//! How far arrivals are from the grid that constant arrivals should make.

/// The grid is placed so that this share of the arrivals is early: the least would let one odd stamp move it all.
const ORIGIN: f64 = 0.01;

/// The distance of each arrival from its place on a grid of `period`, ascending, in nanoseconds.
///
/// `arrivals` are (place on the grid, stamp), both from any origin. Where places are not known, they are those of the sorted
/// stamps. The grid's own origin is fitted: the 1 % quantile of what the stamps are off.
pub(crate) fn errors(arrivals: &[(u64, u64)], period: f64) -> Vec<f64> {
    let mut off = deviations(arrivals, period);
    off.sort_by(f64::total_cmp);
    let Some(&origin) = off.get((off.len() as f64 * ORIGIN) as usize) else { return Vec::new() };
    let mut errors: Vec<f64> = off.iter().map(|off| (off - origin).abs()).collect();
    errors.sort_by(f64::total_cmp);
    errors
}

/// The moment, on the stamps' clock, at which the place 0 of the grid was due: no arrival is early on that grid.
pub(crate) fn origin(arrivals: &[(u64, u64)], period: f64) -> Option<f64> {
    let base = arrivals.first()?.1 as f64;
    let (place, _) = arrivals[0];
    let least = deviations(arrivals, period).into_iter().min_by(f64::total_cmp)?;
    Some(base - place as f64 * period + least)
}

/// What each stamp is off a grid through the first of them.
fn deviations(arrivals: &[(u64, u64)], period: f64) -> Vec<f64> {
    let Some(&(first, base)) = arrivals.first() else { return Vec::new() };
    let off = |&(place, at): &(u64, u64)| {
        let distance = at.cast_signed().wrapping_sub(base.cast_signed()) as f64;
        distance - (place as f64 - first as f64) * period
    };
    arrivals.iter().map(off).collect()
}

/// Stamps of calls that do not say which they are, by the places that they should have had.
pub(crate) fn placed(mut stamps: Vec<u64>) -> Vec<(u64, u64)> {
    stamps.sort_unstable();
    (0..).zip(stamps).collect()
}

/// A quantile of ascending values, by nearest rank; 0 of none.
pub(crate) fn quantile(ascending: &[f64], quantile: f64) -> f64 {
    let rank = (ascending.len() as f64 * quantile).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of small whole numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_grid_has_no_error_wherever_it_begins() {
        let arrivals: Vec<_> = (0..1000).map(|n| (n + 500, 7_000_000 + n * 1000)).collect();
        assert!(errors(&arrivals, 1000.0).iter().all(|error| *error == 0.0));
        assert_eq!(origin(&arrivals, 1000.0), Some(7_000_000.0 - 500.0 * 1000.0));
    }

    #[test]
    fn what_comes_late_is_off_by_as_much_and_an_early_stamp_moves_nothing() {
        let mut arrivals: Vec<_> = (0..1000).map(|n| (n, 1_000_000 + n * 1000)).collect();
        for late in &mut arrivals[500..600] {
            late.1 += 300;
        }
        arrivals[7].1 -= 900;
        let errors = errors(&arrivals, 1000.0);
        assert_eq!((quantile(&errors, 0.5), quantile(&errors, 0.95), quantile(&errors, 1.0)), (0.0, 300.0, 900.0));
        assert_eq!(origin(&arrivals, 1000.0), Some(1_000_000.0 - 900.0));
    }

    #[test]
    fn calls_without_a_number_take_the_places_of_their_order() {
        assert_eq!(placed(vec![30, 10, 20]), [(0, 10), (1, 20), (2, 30)]);
        assert!(errors(&[], 1.0).is_empty() && origin(&[], 1.0).is_none());
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.0);
    }
}
