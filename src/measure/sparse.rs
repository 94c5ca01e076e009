//! The timeline's small histogram: eight buckets an octave, and only those that hold something.
//!
//! A bucket is at most an eighth wider than its smallest time. A cell of one operation and second takes some twenty to fifty
//! buckets: some hundred to three hundred bytes in a file, and in memory fifty to a hundred and fifty once it is settled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bounded::at_most;

/// What is below 1024 ns shares the first bucket.
const FIRST_OCTAVE: u32 = 10;
/// The bucket of the longest time that fits: 54 octaves of eight, and the first.
const LAST: u16 = 54 * 8;
/// As many numbers as all buckets take in a text.
const MOST_NUMBERS: usize = 2 * (LAST as usize + 1);

/// Counts of times in logarithmic buckets. One bucket holds at most 2³² − 1 and then stands still.
#[derive(Clone, Debug)]
pub struct Sparse(Form);

/// The same pairs of bucket and count, ascending by bucket, no count zero, in two forms.
#[derive(Clone, Debug)]
enum Form {
    /// Quick to count in.
    Open(Vec<(u16, u32)>),
    /// A quarter to half of the size: see [`pack`].
    Packed(Box<[u8]>),
}

impl Default for Sparse {
    fn default() -> Self {
        Self(Form::Open(Vec::new()))
    }
}

impl PartialEq for Sparse {
    fn eq(&self, other: &Self) -> bool {
        self.pairs().eq(other.pairs())
    }
}

impl Eq for Sparse {}

fn bucket_of(nanos: u64) -> u16 {
    if nanos < 1 << FIRST_OCTAVE {
        return 0;
    }
    let octave = nanos.ilog2();
    let eighth = (nanos >> (octave - 3)) & 7;
    ((octave - FIRST_OCTAVE) * 8 + eighth as u32 + 1) as u16
}

fn end_of(bucket: u16) -> u64 {
    let Some(place) = bucket.checked_sub(1) else { return (1 << FIRST_OCTAVE) - 1 };
    let shift = u32::from(place / 8) + FIRST_OCTAVE - 3;
    ((8 + u64::from(place % 8)) << shift) | ((1 << shift) - 1)
}

impl Sparse {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        self.record_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts the same time `times` times.
    #[cfg(test)]
    pub(crate) fn record_n(&mut self, time: Duration, times: u32) {
        if times > 0 {
            self.add(bucket_of(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)), times);
        }
    }

    /// Counts one time in nanoseconds, for the lane, which must not convert.
    pub(super) fn record_nanos(&mut self, nanos: u64) {
        self.add(bucket_of(nanos), 1);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            self.0.clone_from(&other.0);
        } else {
            for (bucket, count) in other.pairs() {
                self.add(bucket, count);
            }
        }
    }

    /// Forgets everything but keeps the memory to count in.
    pub fn clear(&mut self) {
        self.open().clear();
    }

    /// Takes as little memory as it can, until it counts again.
    pub fn settle(&mut self) {
        if let Form::Open(buckets) = &self.0
            && !buckets.is_empty()
        {
            self.0 = Form::Packed(pack(buckets));
        }
    }

    /// Whether it takes as little memory as it can.
    #[cfg(test)]
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.0, Form::Packed(_))
    }

    /// How many times were counted.
    pub fn len(&self) -> u64 {
        self.pairs().map(|(_, count)| u64::from(count)).sum()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Form::Open(buckets) => buckets.is_empty(),
            Form::Packed(bytes) => bytes.is_empty(),
        }
    }

    /// How many times are surely at or below `limit`: those in buckets that end there or before.
    pub fn count_at_or_below(&self, limit: Duration) -> u64 {
        self.buckets().take_while(|(end, _)| *end <= limit).map(|(_, count)| count).sum()
    }

    /// How many times are surely above `limit`, and how many more may be, because `limit` falls into their bucket.
    pub fn above(&self, limit: Duration) -> (u64, u64) {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let (bucket, mut above, mut around) = (bucket_of(limit), 0, 0);
        for (at, count) in self.pairs().skip_while(|(at, _)| *at < bucket) {
            match at {
                at if at > bucket => above += u64::from(count),
                at if end_of(at) > limit => around += u64::from(count),
                _ => {}
            }
        }
        (above, around)
    }

    /// Every bucket that holds something: its largest time and its count, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.pairs().map(|(bucket, count)| (Duration::from_nanos(end_of(bucket)), u64::from(count)))
    }

    /// The time, in nanoseconds, that `rank` of the times (also a fraction) do not exceed, as if the times in a bucket were
    /// spread evenly over it; `None` where there are fewer.
    pub(super) fn interpolated(&self, rank: f64) -> Option<f64> {
        let mut before = 0.0;
        for (bucket, count) in self.pairs() {
            let upto = before + f64::from(count);
            if rank <= upto {
                let begin = bucket.checked_sub(1).map_or(0.0, |below| end_of(below) as f64 + 1.0);
                let part = (rank - before).max(0.0) / f64::from(count);
                return Some(begin + part * (end_of(bucket) as f64 + 1.0 - begin));
            }
            before = upto;
        }
        None
    }

    fn add(&mut self, bucket: u16, count: u32) {
        let buckets = self.open();
        match buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => buckets[place].1 = buckets[place].1.saturating_add(count),
            Err(place) => buckets.insert(place, (bucket, count)),
        }
    }

    /// The pairs in the form to count in.
    fn open(&mut self) -> &mut Vec<(u16, u32)> {
        if let Form::Packed(_) = self.0 {
            self.reopen();
        }
        match &mut self.0 {
            Form::Open(buckets) => buckets,
            Form::Packed(_) => unreachable!("it was opened above"),
        }
    }

    /// No lane does this: what it counts in is never settled.
    #[cold]
    fn reopen(&mut self) {
        if let Form::Packed(bytes) = &self.0 {
            let mut buckets = Vec::with_capacity(bytes.len() / 2);
            buckets.extend(unpack(bytes));
            self.0 = Form::Open(buckets);
        }
    }

    /// The pairs of bucket and count, ascending by bucket.
    fn pairs(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        let (open, packed): (&[_], &[u8]) = match &self.0 {
            Form::Open(buckets) => (buckets, &[]),
            Form::Packed(bytes) => (&[], bytes),
        };
        open.iter().copied().chain(unpack(packed))
    }
}

/// Writes how far each bucket is from the one before (the first from 0) and its count, each in groups of seven bits, the
/// lowest first, in bytes of which all but the last have the eighth bit set (LEB128): mostly two or three bytes a bucket.
fn pack(buckets: &[(u16, u32)]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(buckets.len() * 4);
    let mut before = 0;
    for (bucket, count) in buckets {
        for number in [u32::from(bucket - before), *count] {
            let mut rest = number;
            while rest > 0x7F {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        before = *bucket;
    }
    bytes.into_boxed_slice()
}

/// Reads what [`pack`] wrote.
fn unpack(bytes: &[u8]) -> impl Iterator<Item = (u16, u32)> + '_ {
    let mut bytes = bytes.iter();
    let mut number = move || {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *bytes.next()?;
            number |= u32::from(byte & 0x7F) << shift;
            if byte <= 0x7F {
                return Some(number);
            }
            shift += 7;
        }
    };
    let mut bucket = 0;
    std::iter::from_fn(move || {
        bucket += number()? as u16;
        Some((bucket, number()?))
    })
}

/// Why saved numbers are not a histogram.
#[derive(Debug, thiserror::Error)]
#[error("read a timeline: its buckets must be pairs of a bucket up to {LAST}, ascending, and a count of at least 1")]
struct Unreadable;

impl Serialize for Sparse {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.pairs().flat_map(|(bucket, count)| [u32::from(bucket), count]))
    }
}

impl<'de> Deserialize<'de> for Sparse {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers: Vec<u32> = at_most::<MOST_NUMBERS, _, _>(deserializer)?;
        let mut buckets: Vec<(u16, u32)> = Vec::with_capacity(numbers.len() / 2);
        for pair in numbers.chunks(2) {
            let bucket = u16::try_from(pair[0]).ok().filter(|bucket| *bucket <= LAST);
            let ascends = buckets.last().is_none_or(|(last, _)| u32::from(*last) < pair[0]);
            match (bucket, pair.get(1)) {
                (Some(bucket), Some(count)) if ascends && *count > 0 => buckets.push((bucket, *count)),
                _ => return Err(serde::de::Error::custom(Unreadable)),
            }
        }
        Ok(Self(Form::Open(buckets)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(nanos: &[u64]) -> Sparse {
        let mut sparse = Sparse::default();
        for n in nanos {
            sparse.record(Duration::from_nanos(*n));
        }
        sparse
    }

    /// Times of any size.
    fn times() -> impl Strategy<Value = u64> {
        (0..64_u32, any::<u64>()).prop_map(|(less, nanos)| nanos >> less)
    }

    fn counts() -> impl Strategy<Value = Vec<(u64, u32)>> {
        prop::collection::vec((times(), prop_oneof![1..300_u32, 1..=u32::MAX]), 0..30)
    }

    #[test]
    fn the_buckets_cover_every_time_without_gap_or_overlap() {
        assert_eq!((bucket_of(0), bucket_of(1023), bucket_of(1024), bucket_of(u64::MAX)), (0, 0, 1, LAST));
        for bucket in 0..LAST {
            assert_eq!(bucket_of(end_of(bucket)), bucket);
            assert_eq!(bucket_of(end_of(bucket) + 1), bucket + 1);
        }
        assert_eq!(end_of(LAST), u64::MAX);
    }

    #[test]
    fn a_busy_second_is_written_in_about_a_hundred_bytes() {
        let mut second = of(&(0..1000).map(|n| 200_000 + n * 300).collect::<Vec<_>>());
        assert!(serde_json::to_string(&second).unwrap().len() < 110);
        second.settle();
        let Form::Packed(bytes) = &second.0 else { panic!("{second:?}") };
        assert_eq!(bytes.len(), 24);
    }

    #[test]
    fn what_is_no_list_of_ascending_pairs_is_refused() {
        for wrong in ["[1]", "[5,1,5,1]", "[9,1,3,1]", "[9,0]", "[433,1]", "[70000,1]", "[-1,1]"] {
            assert!(serde_json::from_str::<Sparse>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranks_are_spread_evenly_over_their_bucket() {
        // From 1024 to 1151 ns, and from 2048 to 2303 ns.
        let two = of(&[1024, 1030, 1040, 1151, 2048]);
        let at = |rank| two.interpolated(rank).unwrap();
        assert!((at(2.0) - 1088.0).abs() < 1e-9 && (at(4.0) - 1152.0).abs() < 1e-9 && (at(4.5) - 2176.0).abs() < 1e-9);
        assert_eq!((two.interpolated(5.1), Sparse::default().interpolated(0.0)), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_above_a_limit_is_known_but_for_the_limits_own_bucket(
            nanos in prop::collection::vec(0..9_000_000_u64, 0..60), limit in 0..9_000_000_u64,
        ) {
            let (above, around) = of(&nanos).above(Duration::from_nanos(limit));
            let exact = nanos.iter().filter(|n| **n > limit).count() as u64;
            prop_assert!(above <= exact && exact <= above + around, "{above} {exact} {around}");
            prop_assert_eq!(of(&nanos).above(Duration::from_nanos(end_of(bucket_of(limit)))), (above, 0));
        }

        #[test]
        fn a_time_lies_within_an_eighth_of_its_bucket(nanos in 1024..u64::MAX) {
            let end = end_of(bucket_of(nanos));
            prop_assert!(end >= nanos && end - nanos <= nanos / 8);
        }

        #[test]
        fn merging_is_recording_everything_in_one(left in prop::collection::vec(any::<u64>(), 0..30),
                                                  right in prop::collection::vec(any::<u64>(), 0..30)) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let whole = of(&[left, right].concat());
            prop_assert_eq!(&merged, &whole);
            let text = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(serde_json::from_str::<Sparse>(&text).unwrap(), whole);
        }

        #[test]
        fn what_is_settled_says_and_counts_the_same(left in counts(), right in counts(), limit in times()) {
            let of = |counts: &[(u64, u32)]| {
                let mut sparse = Sparse::default();
                for (nanos, times) in counts {
                    sparse.record_n(Duration::from_nanos(*nanos), *times);
                }
                sparse
            };
            let settled = |sparse: &Sparse| {
                let mut settled = sparse.clone();
                settled.settle();
                settled
            };
            let (open, other, limit) = (of(&left), of(&right), Duration::from_nanos(limit));
            let packed = settled(&open);
            prop_assert_eq!(packed.is_settled(), !left.is_empty());
            prop_assert_eq!(&packed, &open);
            prop_assert_eq!((packed.len(), packed.is_empty()), (open.len(), open.is_empty()));
            prop_assert_eq!(packed.above(limit), open.above(limit));
            prop_assert_eq!(packed.interpolated(open.len() as f64 / 3.0), open.interpolated(open.len() as f64 / 3.0));
            prop_assert_eq!(serde_json::to_string(&packed).unwrap(), serde_json::to_string(&open).unwrap());
            let whole = of(&[left, right].concat());
            for (mut into, from) in
                [(packed.clone(), settled(&other)), (packed.clone(), other.clone()), (open, settled(&other))]
            {
                into.merge(&from);
                prop_assert_eq!(&into, &whole);
            }
            let mut cleared = packed;
            cleared.clear();
            prop_assert_eq!(cleared, Sparse::default());
        }
    }
}
