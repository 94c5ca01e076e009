//! Who has read the metrics, when, and how fresh they were: what lingering is decided by.

use std::time::Duration;

/// What is taken for the interval between scrapes where only one was seen.
const USUAL_INTERVAL: Duration = Duration::from_secs(15);

/// Nobody is waited for longer than this, unless it was asked for.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// The scrapes that were answered. Times are since the exporter began.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    last: Option<Duration>,
    /// The latest gaps between two scrapes: the longest of them is the interval, so that somebody who looks by hand
    /// between two scrapes does not make it look shorter.
    gaps: [Option<Duration>; 4],
    count: usize,
    delivered: u64,
}

impl Scrapes {
    /// Notes that the values of snapshot `generation` were read to the end at `now`.
    pub(super) fn answered(&mut self, generation: u64, now: Duration) {
        if let Some(last) = self.last {
            self.gaps[self.count % self.gaps.len()] = Some(now.saturating_sub(last));
        }
        self.last = Some(now);
        self.count += 1;
        self.delivered = self.delivered.max(generation);
    }

    /// The newest snapshot that somebody has read.
    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How long it is worth waiting for another scrape: two intervals, where there was ever one.
    pub(super) fn patience(&self) -> Duration {
        let interval = self.gaps.into_iter().flatten().max().unwrap_or(USUAL_INTERVAL);
        if self.last.is_some() { (interval * 2).min(LONGEST_WAIT) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scraped(seconds: &[u64]) -> Scrapes {
        let mut scrapes = Scrapes::default();
        for at in seconds {
            scrapes.answered(*at, Duration::from_secs(*at));
        }
        scrapes
    }

    #[test]
    fn patience_is_two_intervals_and_none_where_nobody_ever_looked() {
        assert_eq!(scraped(&[]).patience(), Duration::ZERO);
        assert_eq!(scraped(&[3]).patience(), Duration::from_secs(30));
        assert_eq!(scraped(&[3, 8, 13]).patience(), Duration::from_secs(10));
        assert_eq!(scraped(&[3, 8, 9, 13]).patience(), Duration::from_secs(10));
        assert_eq!(scraped(&[3, 600]).patience(), LONGEST_WAIT);
        assert_eq!(scraped(&[0, 100, 105, 110, 115, 120]).patience(), Duration::from_secs(10));
    }

    #[test]
    fn an_answer_that_arrives_late_does_not_make_the_newest_older() {
        let mut scrapes = scraped(&[5]);
        scrapes.answered(4, Duration::from_secs(6));
        assert_eq!(scrapes.delivered(), 5);
    }
}
