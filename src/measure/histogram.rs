//! Times at three digits over nine decades, in the buckets of `hdrhistogram`.
//!
//! Buckets hold nanoseconds from about one microsecond to one hour; the smallest, the largest and the sum are kept
//! exactly beside them. A histogram that was never recorded into holds no memory.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Serialize};

/// Buckets are half a microsecond wide at the lower end.
const LOWEST: u64 = 1_000;
/// One hour: what is longer is counted here.
const HIGHEST: u64 = 3_600_000_000_000;
/// Bytes before the counts in HdrHistogram's V2 format.
const HEADER: usize = 40;

pub(super) type Buckets = hdrhistogram::Histogram<u32>;

/// How finely a histogram tells times apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// To 0.1 %, in 98 KB: what users feel and verdicts are about.
    Fine,
    /// To 1 %, in 14 KB: the generator's own lags.
    Coarse,
}

impl Precision {
    const fn digits(self) -> u8 {
        match self {
            Self::Fine => 3,
            Self::Coarse => 2,
        }
    }

    const fn of_digits(digits: u8) -> Option<Self> {
        match digits {
            3 => Some(Self::Fine),
            2 => Some(Self::Coarse),
            _ => None,
        }
    }

    fn buckets(self) -> Buckets {
        Buckets::new_with_bounds(LOWEST, HIGHEST, self.digits()).expect("the bounds are constants that fit")
    }
}

/// Counts of times, in buckets. One bucket holds at most 2³² − 1 and then stands still.
#[derive(Clone, Debug)]
pub struct Histogram {
    precision: Precision,
    buckets: Option<Box<Buckets>>,
    sum: u128,
    min: u64,
    max: u64,
}

impl Histogram {
    /// An empty histogram, which takes memory only when first recorded into.
    pub const fn new(precision: Precision) -> Self {
        Self { precision, buckets: None, sum: 0, min: u64::MAX, max: 0 }
    }

    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        self.record_n(time, 1);
    }

    /// Counts one time in nanoseconds, for the lane, which must not convert.
    pub(super) fn record_nanos(&mut self, nanos: u64) {
        self.count(nanos, 1);
    }

    /// Counts the same time `times` times.
    pub fn record_n(&mut self, time: Duration, times: u32) {
        if times > 0 {
            self.count(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), times);
        }
    }

    fn count(&mut self, nanos: u64, times: u32) {
        self.sum += u128::from(nanos) * u128::from(times);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
        let precision = self.precision;
        let buckets = self.buckets.get_or_insert_with(|| Box::new(precision.buckets()));
        buckets.saturating_record_n(nanos.min(HIGHEST), times);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.buckets.as_deref().filter(|theirs| !theirs.is_empty()) else { return };
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let precision = self.precision;
        let ours = self.buckets.get_or_insert_with(|| Box::new(precision.buckets()));
        // Every histogram spans the same range, so nothing of theirs can be too long for ours.
        let added = ours.add(theirs);
        debug_assert!(added.is_ok(), "{added:?}");
    }

    /// What was counted here and not yet in `earlier`, a copy of before; `None` where that is nothing.
    pub(super) fn beyond(&self, earlier: Option<&Self>) -> Option<Buckets> {
        let mut buckets = self.buckets.as_deref()?.clone();
        if let Some(earlier) = earlier.and_then(|earlier| earlier.buckets.as_deref()) {
            // Counts only grow.
            buckets.subtract(earlier).ok()?;
        }
        (!buckets.is_empty()).then_some(buckets)
    }

    /// Forgets everything but keeps the memory for the next time.
    pub fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        if let Some(buckets) = &mut self.buckets {
            buckets.reset();
        }
        (self.sum, self.min, self.max) = (0, u64::MAX, 0);
    }

    /// How many times were counted.
    pub fn len(&self) -> u64 {
        self.buckets.as_ref().map_or(0, |buckets| buckets.len())
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The smallest time, exactly.
    pub fn min(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(Duration::from_nanos(self.min))
    }

    /// The largest time, exactly.
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(Duration::from_nanos(self.max))
    }

    /// All times together, exactly.
    pub fn sum(&self) -> Duration {
        duration_of(self.sum)
    }

    /// The arithmetic mean, exact to the nanosecond.
    pub fn mean(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| duration_of(self.sum / u128::from(self.len())))
    }

    /// How far times are from their mean: the mean square of the distance, in square seconds, within what buckets tell.
    pub fn variance(&self) -> f64 {
        let Some(mean) = self.mean().map(|mean| mean.as_secs_f64()) else { return 0.0 };
        let square = |(end, count): (Duration, u64)| count as f64 * (end.as_secs_f64() - mean).powi(2);
        self.buckets().map(square).sum::<f64>() / self.len() as f64
    }

    /// The time at `rank` of all times in order, counted from 1: the upper end of its bucket, so never flattering, but
    /// within the smallest and largest time seen. `None` where there are fewer than `rank` times.
    pub fn value_at_rank(&self, rank: u64) -> Option<Duration> {
        let buckets = self.buckets.as_ref().filter(|buckets| (1..=buckets.len()).contains(&rank))?;
        // Half a rank below, so that rounding in the division can never reach the next rank.
        let value = buckets.value_at_quantile((rank as f64 - 0.5) / buckets.len() as f64);
        let value = if value >= HIGHEST { self.max } else { value };
        Some(Duration::from_nanos(value.clamp(self.min, self.max)))
    }

    /// The time that a share `quantile` (0 to 1) of all times does not exceed, by nearest rank.
    pub fn value_at_quantile(&self, quantile: f64) -> Option<Duration> {
        self.value_at_rank(nearest_rank(quantile, self.len()))
    }

    /// How many times are surely at or below `limit`: those in buckets that end there or before. So
    /// `count_at_or_below(limit) >= rank` exactly where `value_at_rank(rank) <= limit`.
    pub fn count_at_or_below(&self, limit: Duration) -> u64 {
        match self.max() {
            Some(max) if limit < max => self.buckets().take_while(|(end, _)| *end <= limit).map(|(_, n)| n).sum(),
            _ => self.len(),
        }
    }

    /// Every bucket that holds something: its largest time and its count, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let recorded = self.buckets.iter().flat_map(|buckets| buckets.iter_recorded());
        recorded.map(|step| {
            let end = if step.value_iterated_to() >= HIGHEST { self.max } else { step.value_iterated_to() };
            (Duration::from_nanos(end), u64::from(step.count_at_value()))
        })
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let exact = |of: &Self| (of.precision, of.sum, of.min, of.max);
        exact(self) == exact(other) && self.buckets().eq(other.buckets())
    }
}

/// The place, counted from 1, of the `quantile` (0 to 1) of `count` values in ascending order: the smallest whole number
/// not below `quantile × count`, at least 1 (the nearest-rank definition; no interpolation).
pub fn nearest_rank(quantile: f64, count: u64) -> u64 {
    let exact = quantile.clamp(0.0, 1.0) * count as f64;
    // 0.07 × 100 is a little more than 7 in binary; that must not make it the eighth.
    let whole = exact.round();
    let rank = if (exact - whole).abs() <= 1e-9 * whole.max(1.0) { whole } else { exact.ceil() };
    (rank as u64).clamp(1, count.max(1))
}

/// So many nanoseconds, at most what a duration can hold.
pub(super) fn duration_of(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new(u64::try_from(nanos / SECOND).unwrap_or(u64::MAX), (nanos % SECOND) as u32)
}

/// A histogram as it is written: the exact figures, and the buckets as base64 of HdrHistogram's V2 format.
#[derive(Serialize, Deserialize)]
struct Saved {
    digits: u8,
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    sum: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<Duration>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    buckets: String,
}

/// Why saved bytes are not a histogram.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("read a histogram of {0} digits: 2 and 3 are known")]
    Digits(u8),
    #[error("read a histogram: its buckets are not base64")]
    Base64,
    #[error("read a histogram: its buckets are not in HdrHistogram's V2 format with the range of this program")]
    Format,
    #[error("read a histogram: its smallest and largest time do not fit its buckets")]
    Extremes,
}

fn encode(buckets: &Buckets) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(buckets, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Reads V2 bytes. The format lets a file ask for gigabytes, and the reader overflows on one number, so the header must
/// be the one this program writes, and that number (nine bytes of all ones, which no count or gap needs) is refused.
fn decode(bytes: &[u8], precision: Precision) -> Option<Buckets> {
    let empty = encode(&precision.buckets()).ok()?;
    let header = bytes.get(..HEADER)?;
    let payload = u32::from_be_bytes(header[4..8].try_into().ok()?) as usize;
    let same = header[..4] == empty[..4] && header[8..] == empty[8..HEADER];
    let overflows = bytes.windows(9).any(|nine| nine == [0xFF; 9]);
    if !same || overflows || payload != bytes.len() - HEADER {
        return None;
    }
    Deserializer::new().deserialize(&mut &bytes[..]).ok()
}

impl Serialize for Histogram {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let buckets = match self.buckets.as_deref().filter(|buckets| !buckets.is_empty()) {
            Some(buckets) => BASE64.encode(encode(buckets).map_err(serde::ser::Error::custom)?),
            None => String::new(),
        };
        Saved { digits: self.precision.digits(), sum: self.sum(), min: self.min(), max: self.max(), buckets }
            .serialize(serializer)
    }
}

impl TryFrom<Saved> for Histogram {
    type Error = Unreadable;

    fn try_from(saved: Saved) -> Result<Self, Unreadable> {
        let precision = Precision::of_digits(saved.digits).ok_or(Unreadable::Digits(saved.digits))?;
        if saved.buckets.is_empty() {
            return Ok(Self::new(precision));
        }
        let bytes = BASE64.decode(&saved.buckets).map_err(|_| Unreadable::Base64)?;
        let buckets = decode(&bytes, precision).filter(|buckets| !buckets.is_empty()).ok_or(Unreadable::Format)?;
        let nanos = |time: Option<Duration>| u64::try_from(time?.as_nanos()).ok();
        let (Some(min), Some(max)) = (nanos(saved.min), nanos(saved.max)) else { return Err(Unreadable::Extremes) };
        let fits = |exact: u64, bucket: u64| buckets.equivalent(exact.min(HIGHEST), bucket.min(HIGHEST));
        if min > max || !fits(min, buckets.min()) || !fits(max, buckets.max()) {
            return Err(Unreadable::Extremes);
        }
        Ok(Self { precision, buckets: Some(Box::new(buckets)), sum: saved.sum.as_nanos(), min, max })
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Saved::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(nanos: &[u64]) -> Histogram {
        let mut histogram = Histogram::new(Precision::Fine);
        for n in nanos {
            histogram.record(Duration::from_nanos(*n));
        }
        histogram
    }

    #[test]
    fn an_unused_histogram_is_small_and_a_used_one_is_within_98_kb() {
        assert!(size_of::<Histogram>() <= 64);
        assert!(Histogram::new(Precision::Fine).buckets.is_none());
        assert_eq!(Precision::Fine.buckets().distinct_values() * size_of::<u32>(), 98_304);
        assert!(Precision::Coarse.buckets().distinct_values() * size_of::<u32>() < 15_000);
    }

    #[test]
    fn extremes_and_mean_are_exact_beyond_the_range_of_the_buckets() {
        let histogram = of(&[3, 1_000_000, 7_200_000_000_001]);
        assert_eq!(histogram.min(), Some(Duration::from_nanos(3)));
        assert_eq!(histogram.max(), Some(Duration::from_nanos(7_200_000_000_001)));
        assert_eq!(histogram.mean(), Some(Duration::from_nanos(7_200_001_000_004 / 3)));
        assert_eq!(histogram.value_at_quantile(1.0), histogram.max());
        assert_eq!(histogram.count_at_or_below(Duration::from_hours(1)), 2);
    }

    #[test]
    fn the_spread_of_times_is_that_of_their_buckets() {
        assert!((of(&[2_000_000, 4_000_000, 9_000_000]).variance() / 8.667e-6 - 1.0).abs() < 0.002);
        assert!(Histogram::new(Precision::Fine).variance().abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn a_quantile_is_the_nearest_rank_and_an_empty_histogram_has_none() {
        let histogram = of(&(1..=100).map(|ms| ms * 1_000_000).collect::<Vec<_>>());
        let p95 = histogram.value_at_quantile(0.95).unwrap().as_secs_f64();
        assert!((0.095..0.0951).contains(&p95), "{p95}");
        assert_eq!((nearest_rank(0.07, 100), nearest_rank(0.0, 100), nearest_rank(0.955, 100)), (7, 1, 96));
        assert_eq!(Histogram::new(Precision::Fine).value_at_quantile(0.5), None);
    }

    #[test]
    fn a_cleared_histogram_counts_anew() {
        let mut histogram = of(&[5_000_000]);
        histogram.clear();
        assert_eq!((histogram.len(), histogram.max(), histogram.sum()), (0, None, Duration::ZERO));
        histogram.record_n(Duration::from_millis(1), 3);
        assert_eq!((histogram.len(), histogram.sum()), (3, Duration::from_millis(3)));
    }

    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic_or_gigabytes() {
        let mut bytes = encode(of(&[5_000_000]).buckets.as_deref().unwrap()).unwrap();
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(decode(&bytes, Precision::Fine).is_none());
        let mut overflowing = encode(&Precision::Fine.buckets()).unwrap()[..HEADER].to_vec();
        overflowing[4..8].copy_from_slice(&9_u32.to_be_bytes());
        overflowing.extend([0xFF; 9]);
        assert!(decode(&overflowing, Precision::Fine).is_none());
        let foreign = r#"{"digits":3,"min":{"secs":9,"nanos":0},"max":{"secs":1,"nanos":0},"buckets":"HISTFAAA"}"#;
        let error = serde_json::from_str::<Histogram>(foreign).unwrap_err().to_string();
        assert!(error.contains("V2 format"), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(nanos in prop::collection::vec(0..8_000_000_000_000_u64, 0..50)) {
            let histogram = of(&nanos);
            let text = serde_json::to_string(&histogram).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
        }

        #[test]
        fn merging_is_recording_everything_in_one(
            left in prop::collection::vec(any::<u64>(), 0..30),
            right in prop::collection::vec(any::<u64>(), 0..30),
        ) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            prop_assert_eq!(merged, of(&[left, right].concat()));
        }

        #[test]
        fn ranks_and_counts_agree(nanos in prop::collection::vec(0..5_000_000_000_u64, 1..60), limit in 0..5_000_000_000_u64) {
            let histogram = of(&nanos);
            let limit = Duration::from_nanos(limit);
            let count = histogram.count_at_or_below(limit);
            let exact = nanos.iter().filter(|n| Duration::from_nanos(**n) <= limit).count() as u64;
            prop_assert!(count <= exact);
            for rank in 1..=histogram.len() {
                prop_assert_eq!(histogram.value_at_rank(rank).unwrap() <= limit, rank <= count);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(place in 0..80_usize, byte in any::<u8>(), cut in 0..80_usize) {
            let mut bytes = encode(of(&[9, 5_000_000, 7_000_000_000]).buckets.as_deref().unwrap()).unwrap();
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = decode(&bytes, Precision::Fine);
            let _ = decode(&bytes[..cut.min(bytes.len())], Precision::Fine);
        }
    }
}
