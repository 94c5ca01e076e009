//! Which call goes wrong and how: a function of the seed and the call's number, and nothing else.
//!
//! A freeze is different: it concerns every connection, and is a function of the time since the server began.

use std::str::FromStr;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use thiserror::Error;

use super::slip::{LedgerFaults, SlipError, Slips};
use crate::time::{TimeError, parse_duration};

/// No added response time is longer than this.
const SLOWEST: Duration = Duration::from_hours(1);

/// One way in which a call goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The tool answers `isError: true`. Nothing is paid.
    ToolError,
    /// HTTP 500. Nothing is paid.
    HttpError,
    /// The connection is reset instead of an answer (under HTTP/2 with all its calls). Nothing is paid.
    Reset,
    /// HTTP 200 with something that is not JSON. Nothing is paid.
    Malformed,
    /// The call is done, and its answer is well formed but wrong: a create names no payment, a verify answers for
    /// another payment (the one made before or after, where it is remembered), a balance has no balance.
    Wrong,
    /// The call is done, and its reply is right but for its JSON-RPC id, which is that of another request: one more than
    /// this one's where ids are numbers.
    OtherId,
    /// The call is done, and the connection is reset instead of its reply (under HTTP/2 with all its calls).
    LostReply,
}

/// A part of all calls, from 0 to 1. Written `1%` or `0.01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Everything.
    pub const ALL: Self = Self(1.0);

    /// The share as a number from 0 to 1.
    pub fn part(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let share = number.trim().parse::<f64>().map_or(f64::NAN, |number| number / scale);
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(FaultError::Share(text.to_owned())) }
    }
}

/// The response time added to every call. Written `2s`, or `lognormal(20ms, 0.5)` for median and sigma.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ResponseTime {
    /// None is added.
    #[default]
    None,
    /// The same for every call.
    Fixed(Duration),
    /// Drawn for each call: `median · exp(sigma · N(0, 1))`, at most an hour.
    LogNormal {
        /// Half of the calls take longer.
        median: Duration,
        /// The standard deviation of the logarithm: 0.5 puts p99 at 3.2 medians.
        sigma: f64,
    },
}

impl FromStr for ResponseTime {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let Some(inside) = text.trim().strip_prefix("lognormal(").and_then(|rest| rest.strip_suffix(')')) else {
            return Ok(Self::Fixed(parse_duration(text.trim())?.min(SLOWEST)));
        };
        let wrong = || FaultError::LogNormal(text.to_owned());
        let (median, sigma) = inside.split_once(',').ok_or_else(wrong)?;
        let median = parse_duration(median.trim())?.min(SLOWEST);
        let sigma = sigma.trim().parse().ok().filter(|sigma| (0.0..=5.0).contains(sigma)).ok_or_else(wrong)?;
        Ok(Self::LogNormal { median, sigma })
    }
}

impl ResponseTime {
    fn draw(self, random: &mut ChaCha8Rng) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(time) => time,
            Self::LogNormal { median, sigma } => {
                let factor = LogNormal::new(0.0, sigma).map_or(1.0, |distribution| distribution.sample(random));
                median.mul_f64(factor.min(1e9)).min(SLOWEST)
            }
        }
    }
}

/// One queue for all calls of the server, which serves them one at a time in the order in which they came, each for this
/// long: 5 ms make 200 calls a second the most that it can do. Written `5ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceTime(Duration);

impl ServiceTime {
    /// When a call is done that came at `arrived`, where those before it are done at `free`.
    pub fn done(self, arrived: Duration, free: Duration) -> Duration {
        arrived.max(free).saturating_add(self.0)
    }
}

impl FromStr for ServiceTime {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let time = parse_duration(text.trim())?.min(SLOWEST);
        if time.is_zero() { Err(FaultError::ServiceTime(text.to_owned())) } else { Ok(Self(time)) }
    }
}

/// A periodic standstill of the whole server: it is frozen during the *last* `length` of every `period`, counted from
/// when it began, so that a server is never born frozen. Written `500ms/5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    length: Duration,
    period: Duration,
}

impl Freeze {
    /// Frozen for the last `length` of every `period`.
    ///
    /// # Errors
    ///
    /// [`FaultError::Freeze`] unless both are above zero and `length` is the shorter.
    pub fn new(length: Duration, period: Duration) -> Result<Self, FaultError> {
        let sound = !length.is_zero() && length < period;
        sound.then_some(Self { length, period }).ok_or_else(|| FaultError::Freeze(format!("{length:?}/{period:?}")))
    }

    /// How long each standstill lasts.
    pub fn length(self) -> Duration {
        self.length
    }

    /// The time from the end of one standstill to the end of the next.
    pub fn period(self) -> Duration {
        self.period
    }

    /// When the standstill ends that reigns at `elapsed` since the server began; `None` while it is not frozen.
    pub fn thaw_after(self, elapsed: Duration) -> Option<Duration> {
        let period = self.period.as_nanos();
        let thaw = (elapsed.as_nanos() / period + 1) * period;
        let frozen = elapsed.as_nanos() + self.length.as_nanos() >= thaw;
        frozen.then(|| Duration::from_nanos_u128(thaw))
    }
}

impl FromStr for Freeze {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (length, period) = text.split_once('/').ok_or_else(|| FaultError::Freeze(text.to_owned()))?;
        Self::new(parse_duration(length.trim())?, parse_duration(period.trim())?)
    }
}

/// What befalls one call. By default nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fate {
    /// The response time added before anything else is done.
    pub delay: Duration,
    /// How the call goes wrong, if it does.
    pub fault: Option<Fault>,
    /// How the ledger goes wrong in it.
    pub slips: Slips,
}

/// The faults that were asked for. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Added to every call, also to those that go wrong.
    pub response_time: ResponseTime,
    /// One queue for all calls, also for those that go wrong.
    pub service_time: Option<ServiceTime>,
    /// The share of [`Fault::ToolError`].
    pub errors: Share,
    /// The share of [`Fault::HttpError`].
    pub http_errors: Share,
    /// The share of [`Fault::Reset`].
    pub resets: Share,
    /// The share of [`Fault::Malformed`].
    pub malformed: Share,
    /// The share of [`Fault::Wrong`].
    pub wrong: Share,
    /// The share of [`Fault::OtherId`].
    pub other_ids: Share,
    /// The share of [`Fault::LostReply`].
    pub lost_replies: Share,
    /// What the ledger does wrong.
    pub ledger: LedgerFaults,
    /// Standstills of the whole server.
    pub freeze: Option<Freeze>,
}

impl Faults {
    /// Whether any call may be slowed down or go wrong (a freeze is not a matter of calls).
    pub fn touch_calls(&self) -> bool {
        self.delay_calls() || self.ledger.any() || self.shares().iter().any(|(_, share)| share.0 > 0.0)
    }

    /// Whether any call waits before it is done.
    pub fn delay_calls(&self) -> bool {
        self.response_time != ResponseTime::None || self.service_time.is_some()
    }

    /// Whether the shares of [`Fault`]s leave room for each other.
    ///
    /// # Errors
    ///
    /// [`FaultError::TooMany`] where they add up to more than 100 %, and what [`LedgerFaults::check`] refuses.
    pub fn check(&self) -> Result<(), FaultError> {
        self.ledger.check()?;
        let sum: f64 = self.shares().iter().map(|(_, share)| share.0).sum();
        if sum > 1.0 + 1e-9 { Err(FaultError::TooMany(sum * 100.0)) } else { Ok(()) }
    }

    /// The fate of the `number`-th call: the same for the same seed, on every machine and in every release.
    pub fn fate(&self, seed: u64, number: u64) -> Fate {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number);
        let lot: f64 = random.random();
        let mut below = 0.0;
        let mut fault = None;
        for (candidate, share) in self.shares() {
            below += share.0;
            if fault.is_none() && lot < below {
                fault = Some(candidate);
            }
        }
        Fate { delay: self.response_time.draw(&mut random), fault, slips: self.ledger.slips(seed, number) }
    }

    fn shares(&self) -> [(Fault, Share); 7] {
        [
            (Fault::ToolError, self.errors),
            (Fault::HttpError, self.http_errors),
            (Fault::Reset, self.resets),
            (Fault::Malformed, self.malformed),
            (Fault::Wrong, self.wrong),
            (Fault::OtherId, self.other_ids),
            (Fault::LostReply, self.lost_replies),
        ]
    }
}

/// Why a fault cannot be had.
#[derive(Debug, Error)]
pub enum FaultError {
    /// Not a share.
    #[error("{0} is not a share: give it as 1% or 0.01, from 0% to 100%")]
    Share(String),
    /// The shares are more than everything.
    #[error("the shares of faults add up to {0:.1}%: let them leave room for each other within 100%")]
    TooMany(f64),
    /// Not a distribution.
    #[error("{0} is not a response time: give 2s, or lognormal(20ms, 0.5) with a sigma from 0 to 5")]
    LogNormal(String),
    /// There is nothing to turn on.
    #[error("turn faults of calls on and off where none were asked for: give some, as --response-time 400ms")]
    Nothing,
    /// Nothing is served in no time.
    #[error("{0} is not a service time: give one above zero, as in 5ms")]
    ServiceTime(String),
    /// Not a freeze.
    #[error("{0} is not a freeze: give length/period with the length above zero and the shorter, as in 500ms/5s")]
    Freeze(String),
    /// Slips that contradict each other.
    #[error(transparent)]
    Slip(#[from] SlipError),
    /// Not a duration.
    #[error(transparent)]
    Time(#[from] TimeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares() -> Faults {
        Faults {
            errors: "10%".parse().unwrap(),
            http_errors: "0.05".parse().unwrap(),
            resets: "2%".parse().unwrap(),
            malformed: "3%".parse().unwrap(),
            wrong: "4%".parse().unwrap(),
            lost_replies: "7%".parse().unwrap(),
            other_ids: "5%".parse().unwrap(),
            ..Faults::default()
        }
    }

    #[test]
    fn the_fate_of_a_call_depends_on_seed_and_number_alone() {
        let fates = |seed| (0..200).map(|number| shares().fate(seed, number)).collect::<Vec<_>>();
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn each_fault_strikes_as_often_as_its_share_says() {
        let calls = 50_000;
        let fates: Vec<_> = (0..calls).map(|number| shares().fate(42, number).fault).collect();
        for (fault, share) in shares().shares() {
            let seen = fates.iter().filter(|fate| **fate == Some(fault)).count() as f64;
            let expected = share.0 * calls as f64;
            // Five standard deviations of a binomial count.
            assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "{fault:?}: {seen} of {expected}");
        }
    }

    #[test]
    fn a_share_of_all_strikes_every_call_and_none_strikes_none() {
        let all = Faults { wrong: "100%".parse().unwrap(), ..Faults::default() };
        assert!((0..1000).all(|number| all.fate(3, number).fault == Some(Fault::Wrong)));
        assert!((0..1000).all(|number| Faults::default().fate(3, number).fault.is_none()));
        assert!(all.touch_calls() && !Faults::default().touch_calls());
        let lag = LedgerFaults { replica_lag: Some(Duration::from_secs(1)), ..LedgerFaults::default() };
        assert!(Faults { ledger: lag, ..Faults::default() }.touch_calls());
    }

    #[test]
    fn half_of_the_lognormal_times_are_above_the_median() {
        let faults = Faults { response_time: "lognormal(20ms, 0.5)".parse().unwrap(), ..Faults::default() };
        let mut times: Vec<_> = (0..20_001).map(|number| faults.fate(9, number).delay.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        assert!((times[10_000] / 0.020 - 1.0).abs() < 0.02, "{}", times[10_000]);
        // The 99th percentile of a lognormal is median · exp(2.326 · sigma).
        assert!((times[19_800] / (0.020 * 1.163_f64.exp()) - 1.0).abs() < 0.06, "{}", times[19_800]);
    }

    #[test]
    fn one_queue_serves_one_call_at_a_time_in_the_order_in_which_they_came() {
        let service: ServiceTime = "5ms".parse().unwrap();
        let mut free = Duration::ZERO;
        let done = [0, 1, 2, 20, 21].map(|arrived| {
            free = service.done(Duration::from_millis(arrived), free);
            free.as_millis()
        });
        assert_eq!(done, [5, 10, 15, 25, 30]);
        let queue = Faults { service_time: Some(service), ..Faults::default() };
        assert!(queue.touch_calls() && queue.delay_calls() && !shares().delay_calls());
        assert_eq!(
            "0s".parse::<ServiceTime>().unwrap_err().to_string(),
            "0s is not a service time: give one above zero, as in 5ms"
        );
        assert!("soon".parse::<ServiceTime>().is_err());
    }

    #[test]
    fn frozen_are_the_last_moments_of_each_period() {
        let freeze: Freeze = "500ms/5s".parse().unwrap();
        let at = |millis| freeze.thaw_after(Duration::from_millis(millis)).map(|thaw| thaw.as_millis());
        assert_eq!([at(0), at(4499), at(4500), at(4999), at(5000)], [None, None, Some(5000), Some(5000), None]);
        assert_eq!([at(9499), at(9500), at(10_000)], [None, Some(10_000), None]);
    }

    #[test]
    fn what_is_no_share_freeze_or_response_time_is_refused() {
        for text in ["", "x", "101%", "1.5", "-1%", "NaN", "inf"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["", "5s", "5s/5s", "0s/5s", "6s/5s", "a/b"] {
            assert!(text.parse::<Freeze>().is_err(), "{text}");
        }
        for text in ["", "fast", "lognormal(20ms)", "lognormal(20ms, x)", "lognormal(20ms, -1)", "lognormal(20ms, 0.5"]
        {
            assert!(text.parse::<ResponseTime>().is_err(), "{text}");
        }
        assert_eq!("2s".parse::<ResponseTime>().unwrap(), ResponseTime::Fixed(Duration::from_secs(2)));
    }

    #[test]
    fn shares_above_everything_together_are_refused() {
        let faults = Faults { errors: "60%".parse().unwrap(), resets: "50%".parse().unwrap(), ..Faults::default() };
        assert!(matches!(faults.check(), Err(FaultError::TooMany(sum)) if (sum - 110.0).abs() < 1e-6));
        assert!(shares().check().is_ok());
    }
}
