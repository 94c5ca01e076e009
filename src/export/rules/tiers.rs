//! How fast a budget may burn, and over which windows that is looked at.

use std::time::Duration;

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Somebody should look now.
    Critical,
    /// Somebody should look.
    Warning,
}

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// A pair of windows, and the burn rate that is too fast in both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tier {
    pub(super) speed: &'static str,
    pub(super) severity: Severity,
    pub(super) long: Duration,
    pub(super) short: Duration,
    pub(super) factor: f64,
}

/// What an objective allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Allowed {
    /// A share (0 to 1) of arrivals.
    Share(f64),
    /// A time on average, in seconds: what burns is the time itself, which has no share.
    Mean(f64),
}

/// Speed, severity, the part of the run that the long window is, the burn rate, and that of a mean: 2 % of the budget in
/// 1/720 of the run, 5 % in 1/120, 10 % in 1/10.
const TIERS: [(&str, Severity, u32, f64, f64); 3] = [
    ("fast", Severity::Critical, 720, 14.4, 2.0),
    ("medium", Severity::Critical, 120, 6.0, 1.5),
    ("slow", Severity::Warning, 10, 1.0, 1.0),
];
/// The short window is this part of the long one.
const SHORT: u32 = 12;
/// No long window is shorter than this many scrapes, and no short one than [`LEAST_SHORT`].
const LEAST_LONG: u32 = 12;
const LEAST_SHORT: u32 = 4;
/// Where all arrivals are bad, a large allowance burns slowly: that must be fast enough all the same.
const OF_ALL: f64 = 0.75;

/// The tiers for a run of this length. Those that a short run cannot tell apart are one.
pub(super) fn tiers(length: Duration, scrape_interval: Duration, allowed: Allowed) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = Vec::new();
    for (speed, severity, part, of_share, of_mean) in TIERS {
        let long = whole_seconds(length / part).max(whole_seconds(scrape_interval * LEAST_LONG));
        let short = whole_seconds(long / SHORT).max(whole_seconds(scrape_interval * LEAST_SHORT));
        let factor = match allowed {
            Allowed::Share(share) => of_share.min((OF_ALL / share).max(1.0)),
            Allowed::Mean(_) => of_mean,
        };
        let tier = Tier { speed, severity, long, short, factor };
        match tiers.last_mut() {
            // The later one fires wherever the earlier one does.
            Some(last) if (last.long, last.severity) == (long, severity) => *last = tier,
            _ => tiers.push(tier),
        }
    }
    tiers
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPES: Duration = Duration::from_secs(5);

    fn windows(length: Duration, allowed: f64) -> Vec<(&'static str, u64, u64, f64)> {
        let all = tiers(length, SCRAPES, Allowed::Share(allowed));
        all.iter().map(|tier| (tier.speed, tier.long.as_secs(), tier.short.as_secs(), tier.factor)).collect()
    }

    #[test]
    fn windows_scale_with_the_run() {
        let month = Duration::from_hours(30 * 24);
        let hours = |hours: u64| hours * 3600;
        assert_eq!(
            windows(month, 0.001),
            [("fast", hours(1), 300, 14.4), ("medium", hours(6), 1800, 6.0), ("slow", hours(72), hours(6), 1.0)]
        );
        assert_eq!(windows(Duration::from_hours(24), 0.001)[0], ("fast", 120, 20, 14.4));
    }

    #[test]
    fn no_window_has_fewer_scrapes_than_it_takes_and_what_is_the_same_is_there_once() {
        assert_eq!(windows(Duration::from_hours(1), 0.001), [("medium", 60, 20, 6.0), ("slow", 360, 30, 1.0)]);
        assert_eq!(windows(Duration::from_secs(20), 0.001), [("medium", 60, 20, 6.0), ("slow", 60, 20, 1.0)]);
    }

    #[test]
    fn an_allowance_that_cannot_burn_so_fast_alerts_at_what_it_can() {
        let day = Duration::from_hours(24);
        let factors = |allowed| windows(day, allowed).into_iter().map(|tier| tier.3).collect::<Vec<_>>();
        assert_eq!(factors(0.5), [1.5, 1.5, 1.0]);
        assert_eq!(factors(0.1), [7.5, 6.0, 1.0]);
        // Nothing is allowed: whatever is bad burns faster than everything.
        assert_eq!(factors(0.0), [14.4, 6.0, 1.0]);
        assert_eq!(factors(1.0), [1.0, 1.0, 1.0]);
        let mean = tiers(day, SCRAPES, Allowed::Mean(0.1));
        assert_eq!(mean.iter().map(|tier| tier.factor).collect::<Vec<_>>(), [2.0, 1.5, 1.0]);
    }
}
