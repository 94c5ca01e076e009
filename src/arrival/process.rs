//! How arrivals spread around the rate: generators of points in operational time, where one is expected per unit.

use std::{fmt, num::NonZeroU32, str::FromStr};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, FakeRelativeClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};
use serde::{Deserialize, Serialize};

use super::FlowId;

/// How arrivals spread around the rate. Printed as `constant`, `poisson` or `token-bucket(10)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Process {
    /// Evenly spaced, each in the middle of its unit.
    Constant,
    /// Independent of each other, as the calls of many users are: exponential gaps.
    #[default]
    Poisson,
    /// Bursts: so many together whenever a bucket that fills at the rate is full.
    TokenBucket {
        /// Arrivals in each burst.
        burst: NonZeroU32,
    },
}

impl Process {
    /// The burst of a token bucket for which none is given.
    pub const DEFAULT_BURST: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

    /// The same process with this burst, where it has bursts.
    #[must_use]
    pub const fn with_burst(self, burst: NonZeroU32) -> Self {
        match self {
            Self::TokenBucket { .. } => Self::TokenBucket { burst },
            other => other,
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Poisson => f.write_str("poisson"),
            Self::TokenBucket { burst } => write!(f, "token-bucket({burst})"),
        }
    }
}

/// Why an arrival process could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// None of the three.
    #[error("arrivals `{0}` are not known: give `constant`, `poisson` or `token-bucket`")]
    Unknown(String),
    /// A burst that is no count.
    #[error("burst `{0}` is not a number of arrivals: give at least 1, such as `token-bucket(10)`")]
    Burst(String),
}

impl FromStr for Process {
    type Err = ProcessError;

    fn from_str(text: &str) -> Result<Self, ProcessError> {
        match text.trim() {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            "token-bucket" => Ok(Self::TokenBucket { burst: Self::DEFAULT_BURST }),
            other => {
                let burst = other.strip_prefix("token-bucket(").and_then(|rest| rest.strip_suffix(')'));
                let burst = burst.ok_or_else(|| ProcessError::Unknown(other.to_owned()))?;
                let count = burst.parse().map_err(|_| ProcessError::Burst(burst.to_owned()))?;
                Ok(Self::TokenBucket { burst: count })
            }
        }
    }
}

impl From<Process> for String {
    fn from(process: Process) -> Self {
        process.to_string()
    }
}

impl TryFrom<String> for Process {
    type Error = ProcessError;

    fn try_from(text: String) -> Result<Self, ProcessError> {
        text.parse()
    }
}

/// The points of a process in operational time: they never decrease and never end.
#[derive(Debug)]
pub(super) enum Points {
    /// 0.5, 1.5, 2.5 …
    Constant(u64),
    /// The running sum of Exp(1).
    Poisson(Box<Walk>),
    /// Bursts of a bucket.
    TokenBucket(Bucket),
}

impl Points {
    /// The points of `process`; only Poisson depends on the seed and the flow.
    pub(super) fn new(process: Process, seed: u64, flow: FlowId) -> Self {
        match process {
            Process::Constant => Self::Constant(0),
            Process::Poisson => Self::Poisson(Box::new(Walk::new(seed, flow))),
            Process::TokenBucket { burst } => Self::TokenBucket(Bucket::new(burst)),
        }
    }

    /// The next point.
    pub(super) fn next(&mut self) -> f64 {
        match self {
            Self::Constant(sequence) => {
                let point = *sequence as f64 + 0.5;
                *sequence += 1;
                point
            }
            Self::Poisson(walk) => walk.next(),
            Self::TokenBucket(bucket) => bucket.next(),
        }
    }
}

/// A running sum of exponential gaps.
///
/// The sum is kept as a whole number and a fraction below one, so that an addition rounds by at most 2⁻⁴⁹ of a point (for
/// gaps below 31) however long the run: after 10¹⁰ arrivals the sum is off by less than 2·10⁻⁵ of a mean gap. Giving it out
/// as one `f64` rounds once more, without adding up.
#[derive(Debug)]
pub(super) struct Walk {
    random: ChaCha8Rng,
    whole: u64,
    fraction: f64,
}

impl Walk {
    /// The generator's streams that belong to arrivals ("arriva"); the lowest sixteen bits are the flow's.
    const STREAM: u64 = 0x6172_7269_7661_0000;

    fn new(seed: u64, flow: FlowId) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(Self::STREAM | u64::from(flow.0));
        Self { random, whole: 0, fraction: 0.0 }
    }

    fn next(&mut self) -> f64 {
        let gap: f64 = Exp1.sample(&mut self.random);
        let sum = self.fraction + gap;
        let whole = sum as u64;
        self.whole += whole;
        self.fraction = sum - whole as f64;
        self.whole as f64 + self.fraction
    }
}

/// A token bucket of `governor` on its virtual clock, which gets one cell each virtual second and is emptied whenever it
/// is full.
///
/// Virtual time is operational time: rates of any size, and their changes, are the profile's business, and `governor`'s
/// whole nanoseconds divide a second exactly.
#[derive(Debug)]
pub(super) struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    burst: NonZeroU32,
    /// Arrivals of the present burst that are still to be given.
    left: u32,
    /// Virtual seconds before this bucket's clock began.
    before: u64,
}

impl Bucket {
    const SECOND: u64 = 1_000_000_000;

    /// The bucket is replaced by a fresh one from here on, before its clock of 64-bit nanoseconds could overflow; it
    /// leaves room for two of the largest bursts.
    const HORIZON: u64 = 1 << 62;

    fn new(burst: NonZeroU32) -> Self {
        let clock = FakeRelativeClock::default();
        // The quota's name sets a burst too, which `allow_burst` then replaces.
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { limiter, clock, burst, left: 0, before: 0 }
    }

    fn next(&mut self) -> f64 {
        if self.left == 0 {
            self.wait_until_full();
            self.left = self.burst.get();
        }
        self.left -= 1;
        self.now() as f64
    }

    /// Virtual seconds since the first bucket began.
    fn now(&self) -> u64 {
        self.before + self.clock.now().as_u64() / Self::SECOND
    }

    /// Advances the virtual clock to the moment at which a whole burst can be taken, and takes it.
    fn wait_until_full(&mut self) {
        while let Err(until) = self.limiter.check_n(self.burst).expect("a full bucket holds one burst") {
            self.clock.advance(until.wait_time_from(self.clock.now()));
            if self.clock.now().as_u64() >= Self::HORIZON {
                // Full again, which is how a new one begins.
                *self = Self { before: self.now(), ..Self::new(self.burst) };
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use super::*;

    fn burst(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn points<const N: usize>(process: Process) -> [f64; N] {
        let mut points = Points::new(process, 1, FlowId(0));
        [(); N].map(|()| points.next())
    }

    #[test]
    fn constant_points_are_in_the_middle_of_their_units() {
        assert_eq!(points(Process::Constant), [0.5, 1.5, 2.5, 3.5]);
    }

    #[test]
    fn a_token_bucket_gives_its_burst_whenever_it_is_full() {
        let four = Process::TokenBucket { burst: burst(4) };
        assert_eq!(points(four), [0.0, 0.0, 0.0, 0.0, 4.0, 4.0, 4.0, 4.0, 8.0]);
        assert_eq!(points(Process::TokenBucket { burst: burst(1) }), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn the_bursts_follow_the_state_of_the_limiter() {
        let mut bucket = Bucket::new(burst(4));
        assert_eq!([(); 4].map(|()| bucket.next()), [0.0; 4]);
        let until = bucket.limiter.check().expect_err("the burst has emptied it");
        assert_eq!(until.quota().burst_size(), burst(4));
        // Somebody else takes the one cell that has come after a second: the bucket is full a second later.
        bucket.clock.advance(std::time::Duration::from_secs(1));
        assert!(bucket.limiter.check().is_ok());
        assert_eq!([(); 5].map(|()| bucket.next()), [5.0, 5.0, 5.0, 5.0, 9.0]);
    }

    #[test]
    fn the_largest_bucket_outlives_its_clock() {
        let mut bucket = Bucket::new(NonZeroU32::MAX);
        for index in 0..100 {
            assert_eq!(bucket.next(), f64::from(u32::MAX) * f64::from(index));
            bucket.left = 0;
        }
    }

    #[test]
    fn a_poisson_schedule_is_the_same_in_every_release() {
        let first = points::<3>(Process::Poisson).map(|point| format!("{point:.6}"));
        insta::assert_snapshot!(first.join(" "), @"1.443767 2.171037 2.336237");
    }

    #[test]
    fn every_seed_and_flow_has_its_own_poisson_schedule() {
        let first = |seed, flow| Points::new(Process::Poisson, seed, FlowId(flow)).next().to_bits();
        assert_eq!(first(1, 0), first(1, 0));
        assert_ne!(first(1, 0), first(2, 0));
        assert_ne!(first(1, 0), first(1, 1));
    }

    #[test]
    fn a_poisson_sum_does_not_drift() {
        /// Far into a run, where one rounding of a plain sum would be 2⁻²⁰ of a point.
        const START: u64 = 1 << 33;
        let mut walk = Walk::new(3, FlowId(0));
        let mut gaps = walk.random.clone();
        walk.whole = START;
        // The gaps are added again in units of 2⁻⁶⁴, where each is cut short by less than one unit.
        let mut exact: u128 = 0;
        for _ in 0..1_000_000 {
            walk.next();
            let gap: f64 = Exp1.sample(&mut gaps);
            exact += (gap * 2_f64.powi(64)) as u128;
        }
        let whole = ((walk.whole - START) as f64 - (exact >> 64) as f64).abs();
        let fraction = walk.fraction - (exact as u64) as f64 / 2_f64.powi(64);
        assert!(whole < 1.0 && fraction.abs() < 1e-9, "{whole} {fraction}");
    }

    #[test]
    fn processes_are_printed_as_they_are_read() {
        for text in ["constant", "poisson", "token-bucket(7)"] {
            assert_eq!(text.parse::<Process>().unwrap().to_string(), text);
        }
        assert_eq!("token-bucket".parse(), Ok(Process::TokenBucket { burst: Process::DEFAULT_BURST }));
        let widened = Process::TokenBucket { burst: burst(1) }.with_burst(burst(20));
        assert_eq!(serde_json::to_string(&widened).unwrap(), r#""token-bucket(20)""#);
        assert_eq!(serde_json::from_str::<Process>(r#""token-bucket(20)""#).unwrap(), widened);
        assert_eq!(Process::Constant.with_burst(burst(20)), Process::Constant);
    }

    #[test]
    fn unknown_processes_are_refused_with_the_way_out() {
        let message = |text: &str| text.parse::<Process>().unwrap_err().to_string();
        insta::assert_snapshot!(message("uniform"), @"arrivals `uniform` are not known: give `constant`, `poisson` or `token-bucket`");
        insta::assert_snapshot!(message("token-bucket(0)"), @"burst `0` is not a number of arrivals: give at least 1, such as `token-bucket(10)`");
    }
}
