//! Moments, rates and durations: the units everything else is written in.
//!
//! Nothing here reads a clock. A [`Moment`] is data; [`Clock`] is the one door through which the present enters, and
//! only the engine implements it. What is printed here can be read back without loss, except by [`humane_duration`].

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An instant, in whole nanoseconds since the run began (584 years fit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// The instant at which the run began.
    pub const ZERO: Self = Self(0);
    /// Later than anything a run can reach.
    pub const FAR: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the run began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The nanosecond nearest to `seconds` after the run began; negative and NaN are the beginning, too large is
    /// [`Moment::FAR`].
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as u64)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the run began, to the precision of an `f64` (about 1 ns in the first hundred days).
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time from `earlier` to `self`, zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self` earlier by `duration`, at least [`Moment::ZERO`].
    #[must_use]
    pub const fn before(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        Self(if nanos < self.0 as u128 { self.0 - nanos as u64 } else { 0 })
    }

    /// `self` later by `duration`, at most [`Moment::FAR`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Whoever can say what time it is. Implemented by `engine::clock`, and by tests with a time of their own.
pub trait Clock: 'static {
    /// The present, never earlier than any present given before on this thread.
    fn now(&self) -> Moment;

    /// The moment of an instant just past, given in nanoseconds since 1970 by the wall clock; the present, where that is not
    /// known to be just past.
    fn at_wall(&self, _stamp: u64) -> Moment {
        self.now()
    }
}

/// Why a rate or a duration could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not a number of arrivals in a unit of time.
    #[error(
        "rate `{0}` is not a number of arrivals per second, zero or more: write it like `1000`, `1000/s`, `60000/m`, \
         `3600/h` or `0.5/s`"
    )]
    Rate(String),
    /// A rate too low to make a load of.
    #[error("rate `{0}` is not a load: give at least {min}", min = Rate::SLOWEST_LOAD)]
    TooSlow(String),
    /// A rate beyond what one program can pace.
    #[error("rate `{0}` is more than one generator can pace: give at most {max}", max = Rate::FASTEST_LOAD)]
    TooFast(String),
    /// Not a span of time.
    #[error(
        "duration `{0}` is not a span of time: write it like `150ms`, `30s`, `1m30s` or `2h` (largest unit first; a \
         plain number is seconds)"
    )]
    Duration(String),
}

/// Arrivals per second: finite and not negative. Printed like `1000/s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(f64);

impl Rate {
    /// No arrivals.
    pub const ZERO: Self = Self(0.0);
    /// The lowest rate that is accepted as a whole load: one arrival in a thousand seconds.
    pub const SLOWEST_LOAD: Self = Self(0.001);
    /// The highest rate that is accepted anywhere in a load.
    pub const FASTEST_LOAD: Self = Self(10_000_000.0);

    /// `value` per second, where that is finite and not negative.
    pub fn per_second(value: f64) -> Option<Self> {
        // Adding zero turns the negative zero into the ordinary one, which prints without a sign.
        (value.is_finite() && value >= 0.0).then_some(Self(value + 0.0))
    }

    /// Arrivals per second.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The higher of two rates.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Reads a rate that is to be a load by itself.
    ///
    /// # Errors
    /// What is no rate, and rates outside [`Rate::SLOWEST_LOAD`] to [`Rate::FASTEST_LOAD`].
    pub fn parse_load(text: &str) -> Result<Self, TimeError> {
        let rate: Self = text.parse()?;
        match rate {
            _ if rate < Self::SLOWEST_LOAD => Err(TimeError::TooSlow(text.trim().to_owned())),
            _ if rate > Self::FASTEST_LOAD => Err(TimeError::TooFast(text.trim().to_owned())),
            _ => Ok(rate),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

impl FromStr for Rate {
    type Err = TimeError;

    /// Reads `1000` and `1000/s` (per second), `60000/m` (per minute), `3600/h` (per hour); zero is a rate too.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => Some(1.0),
            "m" => Some(60.0),
            "h" => Some(3600.0),
            _ => None,
        };
        // `f64` would also read `inf`, `nan`, `1e3` and signs.
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value = number.parse::<f64>().ok().filter(|_| plain);
        seconds
            .zip(value)
            .and_then(|(seconds, value)| Self::per_second(value / seconds))
            .ok_or_else(|| TimeError::Rate(text.to_owned()))
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = TimeError;

    fn try_from(text: String) -> Result<Self, TimeError> {
        text.parse()
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The units of written durations, largest first, each with its length in nanoseconds.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `150ms`, `30s`, `1.5s`, `1m30s`, `2h`, `250us` (or `250µs`), `1d`; a plain number is seconds. What is finer than
/// a nanosecond is rounded.
///
/// # Errors
/// [`TimeError::Duration`] for anything else: no or unknown units, units out of order, signs, or too long for a
/// [`Duration`].
pub fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    let text = text.trim();
    nanos_of(text)
        .and_then(|nanos| {
            let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
            Some(Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32))
        })
        .ok_or_else(|| TimeError::Duration(text.to_owned()))
}

/// The nanoseconds of a written duration.
fn nanos_of(text: &str) -> Option<u128> {
    let is_digit = |c: char| c.is_ascii_digit() || c == '.';
    if text.ends_with(is_digit) && text.chars().all(is_digit) {
        return decimal_times(text, NANOS_PER_SECOND);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u128 = 0;
    loop {
        let (number, after) = rest.split_at(rest.find(|c| !is_digit(c))?);
        let (unit, after) = after.split_at(after.find(is_digit).unwrap_or(after.len()));
        // Both characters that look like µ: the micro sign and the Greek letter.
        let unit = if matches!(unit, "\u{b5}s" | "\u{3bc}s") { "us" } else { unit };
        // The search goes on where it stopped, so that a unit is found once, and only after larger ones.
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(decimal_times(number, *length)?)?;
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
}

/// `number`, a plain decimal such as `1.5`, times `length`, rounded to a whole.
fn decimal_times(number: &str, length: u128) -> Option<u128> {
    /// More digits than this after the point cannot change a nanosecond of a day.
    const DIGITS: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u128 = whole.parse().ok()?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = &fraction[..fraction.len().min(DIGITS)];
    let scale = 10_u128.pow(digits.len() as u32);
    let part = (digits.parse::<u128>().ok()? * length + scale / 2) / scale;
    whole.checked_mul(length)?.checked_add(part)
}

/// Prints `duration` so that [`parse_duration`] reads exactly the same: `150ms`, `2.5ms`, `1m30s`, `1d12h`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = nanos;
    for (name, length) in UNITS {
        // Days, hours and minutes are whole; whichever unit comes next takes the rest with its fraction.
        let is_whole = length > NANOS_PER_SECOND;
        if rest >= length && is_whole {
            text.push_str(&(rest / length).to_string());
            text.push_str(name);
            rest %= length;
        } else if rest >= length || (!text.is_empty() && !is_whole && rest > 0) {
            text.push_str(&decimal(rest, length));
            text.push_str(name);
            break;
        }
    }
    text
}

/// `nanos` in units of `length` (a power of ten), with exactly the decimals that it takes.
fn decimal(nanos: u128, length: u128) -> String {
    let (whole, part) = (nanos / length, nanos % length);
    if part == 0 {
        return whole.to_string();
    }
    let width = length.ilog10() as usize;
    format!("{whole}.{part:0width$}").trim_end_matches('0').to_owned()
}

/// Prints `duration` for readers, to three digits: `850 ns`, `12.3 ms`, `1.17 s`, and from a minute on in two units:
/// `2 m 05 s`, `3 h 20 m`, `2 d 04 h`.
pub fn humane_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos} ns");
    }
    // The limits are where rounding to three digits would reach the next unit.
    for (name, length, limit) in [("µs", 1e3, 999.5), ("ms", 1e6, 999.5), ("s", 1e9, 59.95)] {
        let value = nanos as f64 / length;
        if value < limit {
            let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
            return format!("{value:.decimals$} {name}");
        }
    }
    let rounded = |length: u128| (nanos + length * NANOS_PER_SECOND / 2) / (length * NANOS_PER_SECOND);
    let (seconds, minutes, hours) = (rounded(1), rounded(60), rounded(3_600));
    if seconds < 3_600 {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    } else if minutes < 24 * 60 {
        format!("{} h {:02} m", minutes / 60, minutes % 60)
    } else {
        format!("{} d {:02} h", hours / 24, hours % 24)
    }
}

/// Stores a duration as [`format_duration`] prints it: `#[serde(with = "crate::time::serde_duration")]`.
pub mod serde_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration as a string.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    /// Reads the duration from a string.
    ///
    /// # Errors
    /// Those of the deserializer, and strings that are no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> f64 {
        text.parse::<Rate>().unwrap().get()
    }

    #[test]
    fn moments_saturate_at_both_ends() {
        assert_eq!(Moment::from_secs_f64(-1.0), Moment::ZERO);
        assert_eq!(Moment::from_secs_f64(f64::NAN), Moment::ZERO);
        assert_eq!(Moment::from_secs_f64(1e30), Moment::FAR);
        assert_eq!(Moment::from_secs_f64(23.5575).as_nanos(), 23_557_500_000);
        assert_eq!(Moment::FAR.after(Duration::MAX), Moment::FAR);
        assert_eq!(Moment::ZERO.since(Moment::FAR), Duration::ZERO);
        assert_eq!(Moment::from_nanos(7).after(Duration::from_nanos(5)).since(Moment::from_nanos(2)).as_nanos(), 10);
    }

    #[test]
    fn rates_are_read_in_every_unit() {
        assert_eq!([rate("1000"), rate("1000/s"), rate("60000/m"), rate("3600000/h")], [1000.0; 4]);
        assert_eq!([rate("0.5/s"), rate(" .5 "), rate("30/m")], [0.5; 3]);
        assert_eq!(rate("0/s"), 0.0);
    }

    #[test]
    fn what_is_no_plain_number_is_no_rate() {
        for text in ["", "/s", "10k/s", "1e3", "-1/s", "+1", "inf", "nan/s", "5/d", "5/", "1.2.3", ".", "1/s/s", "1 /s"]
        {
            assert_eq!(text.parse::<Rate>(), Err(TimeError::Rate(text.to_owned())), "{text}");
        }
        assert!("9".repeat(400).parse::<Rate>().is_err());
    }

    #[test]
    fn a_load_is_refused_with_the_way_out() {
        let message = |text| Rate::parse_load(text).unwrap_err().to_string();
        insta::assert_snapshot!(message("0/s"), @"rate `0/s` is not a load: give at least 0.001/s");
        insta::assert_snapshot!(message("10000001"), @"rate `10000001` is more than one generator can pace: give at most 10000000/s");
        insta::assert_snapshot!(message("-5/s"), @"rate `-5/s` is not a number of arrivals per second, zero or more: write it like `1000`, `1000/s`, `60000/m`, `3600/h` or `0.5/s`");
        assert_eq!(Rate::parse_load("0.001/s"), Ok(Rate::SLOWEST_LOAD));
        assert_eq!(Rate::parse_load("10000000"), Ok(Rate::FASTEST_LOAD));
    }

    #[test]
    fn the_negative_zero_is_printed_like_zero() {
        assert_eq!(Rate::per_second(-0.0).unwrap().to_string(), "0/s");
        assert_eq!(Rate::per_second(f64::NAN), None);
        assert_eq!(Rate::per_second(f64::INFINITY), None);
        assert_eq!(Rate::per_second(-1e-300), None);
    }

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, nanos) in [
            ("150ms", 150_000_000),
            ("30s", 30_000_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0.5s", 3_600_500_000_000),
            ("2h", 7_200_000_000_000),
            ("1d", 86_400_000_000_000),
            ("250us", 250_000),
            ("250\u{b5}s", 250_000),
            ("250\u{3bc}s", 250_000),
            ("7ns", 7),
            ("60", 60_000_000_000),
            (" 0.25 ", 250_000_000),
            ("0.3333333333333333333333333s", 333_333_333),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_of_time_is_no_duration() {
        for text in ["", "s", "-1s", "+1s", "1x", "30s1m", "1s1s", "1m 30s", "1e3s", ".", "1.", "1m30", "1.2.3s", "inf"]
        {
            assert_eq!(parse_duration(text), Err(TimeError::Duration(text.to_owned())), "{text}");
        }
        assert!(parse_duration("99999999999999999999d").is_err());
        insta::assert_snapshot!(parse_duration("10 s").unwrap_err(), @"duration `10 s` is not a span of time: write it like `150ms`, `30s`, `1m30s` or `2h` (largest unit first; a plain number is seconds)");
    }

    #[test]
    fn durations_are_printed_short_and_exact() {
        let print = |nanos| format_duration(Duration::from_nanos(nanos));
        assert_eq!(print(0), "0s");
        assert_eq!(print(90_000_000_000), "1m30s");
        assert_eq!(print(150_000_000), "150ms");
        assert_eq!(print(2_500_000), "2.5ms");
        assert_eq!(print(1_500_000_000), "1.5s");
        assert_eq!(print(3_600_000_000_000), "1h");
        assert_eq!(print(3_600_000_000_001), "1h0.000000001s");
        assert_eq!(print(129_600_000_000_000), "1d12h");
        assert_eq!(print(1_001), "1.001us");
        assert_eq!(print(999), "999ns");
    }

    #[test]
    fn readers_get_three_digits() {
        let print = |nanos| humane_duration(Duration::from_nanos(nanos));
        assert_eq!(print(0), "0 s");
        assert_eq!(print(850), "850 ns");
        assert_eq!(print(12_345), "12.3 µs");
        assert_eq!(print(12_300_000), "12.3 ms");
        assert_eq!(print(999_499_999), "999 ms");
        assert_eq!(print(999_500_000), "1.00 s");
        assert_eq!(print(1_170_000_000), "1.17 s");
        assert_eq!(print(59_960_000_000), "1 m 00 s");
        assert_eq!(print(125_000_000_000), "2 m 05 s");
        assert_eq!(print(3_599_700_000_000), "1 h 00 m");
        assert_eq!(print(12_000_000_000_000), "3 h 20 m");
        assert_eq!(print(187_200_000_000_000), "2 d 04 h");
    }

    #[test]
    fn rates_and_durations_are_stored_as_their_strings() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Stored {
            rate: Rate,
            #[serde(with = "serde_duration")]
            duration: Duration,
        }
        let stored = Stored { rate: Rate(0.1), duration: Duration::from_millis(1_500) };
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(text, r#"{"rate":"0.1/s","duration":"1.5s"}"#);
        assert_eq!(serde_json::from_str::<Stored>(&text).unwrap(), stored);
        let error = serde_json::from_str::<Stored>(r#"{"rate":"1/s","duration":"soon"}"#).unwrap_err();
        assert!(error.to_string().contains("duration `soon` is not a span of time"), "{error}");
    }

    proptest! {
        #[test]
        fn a_printed_rate_is_read_as_itself(value in prop_oneof![0.0..=f64::MAX, 0.0..1e7_f64, Just(f64::MIN_POSITIVE)]) {
            let rate = Rate::per_second(value).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn a_printed_duration_is_read_as_itself(seconds in prop_oneof![any::<u64>(), 0..100_000_u64], nanos in 0..1_000_000_000_u32) {
            for duration in [Duration::new(seconds, nanos), Duration::new(0, nanos), Duration::new(seconds, 0)] {
                prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            }
        }
    }
}
