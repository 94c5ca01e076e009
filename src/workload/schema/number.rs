//! Numbers within bounds: exact decimals, so that no rounding leads out of a range or off a multiple.

use std::fmt::Write;

use rand::{Rng, RngExt};
use serde_json::Value;

/// How far a range reaches that is open on one side or both, in steps.
const REACH: i128 = 100;
/// The most decimals that are looked at.
const MOST_DECIMALS: u32 = 12;
/// Beyond this, scaled, no bound is looked at exactly.
const LARGEST: i128 = 1 << 100;

/// `factor × step / 10^decimals` with a factor from `from` to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) from: i128,
    pub(super) to: i128,
    step: i128,
    decimals: u32,
}

/// What a schema says of a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// Whether it is a whole number.
    is_whole: bool,
    /// Each with whether the bound itself is out.
    low: Option<(Decimal, bool)>,
    high: Option<(Decimal, bool)>,
    steps: Vec<Decimal>,
}

/// `mantissa / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    mantissa: i128,
    decimals: u32,
}

impl Decimal {
    /// Reads a JSON number; `None` where it is too large or too fine to be exact.
    fn of(value: &Value) -> Option<Self> {
        let text = value.as_number()?.to_string();
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (&*text, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let mut mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mut decimals = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        while decimals < 0 {
            mantissa = mantissa.checked_mul(10).filter(|n| n.abs() < LARGEST)?;
            decimals += 1;
        }
        while decimals > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            decimals -= 1;
        }
        (decimals as u32 <= MOST_DECIMALS).then_some(Self { mantissa, decimals: decimals as u32 })
    }

    /// The mantissa at more decimals.
    fn scaled(self, decimals: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.pow(decimals - self.decimals)).filter(|n| n.abs() < LARGEST)
    }

    fn is_below(self, other: Self) -> bool {
        let decimals = self.decimals.max(other.decimals);
        self.scaled(decimals) < other.scaled(decimals)
    }
}

impl Bounds {
    /// Nothing said yet of a number, or of a whole one.
    pub(super) fn of(is_whole: bool) -> Self {
        Self { is_whole, ..Self::default() }
    }

    /// Takes over what one keyword says; whether that was understood exactly.
    pub(super) fn note(&mut self, keyword: &str, value: &Value) -> bool {
        let Some(number) = Decimal::of(value) else {
            // A bound at the end of all numbers bounds nothing that is drawn here.
            return keyword != "multipleOf" && value.as_f64().is_some_and(|n| (n > 0.0) == keyword.ends_with("aximum"));
        };
        match keyword {
            "minimum" => self.raise(number, false),
            "exclusiveMinimum" => self.raise(number, true),
            "maximum" => self.lower(number, false),
            "exclusiveMaximum" => self.lower(number, true),
            _ if number.mantissa > 0 => self.steps.push(number),
            _ => return false,
        }
        true
    }

    /// Takes over the range of a format such as `uint8`; wider ones bound nothing that is drawn here.
    pub(super) fn note_format(&mut self, format: &str) {
        let (low, high) = match format {
            "int8" => (-0x80, 0x7f),
            "uint8" => (0, 0xff),
            "int16" => (-0x8000, 0x7fff),
            "uint16" => (0, 0xffff),
            "int32" => (i128::from(i32::MIN), i128::from(i32::MAX)),
            "uint32" => (0, i128::from(u32::MAX)),
            "int64" => (i128::from(i64::MIN), i128::from(i64::MAX)),
            "uint64" | "uint" => (0, i128::from(u64::MAX)),
            _ => return,
        };
        // Only together with a bound of the schema's own do they narrow anything.
        if self.low.is_some() || low == 0 {
            self.lower(Decimal { mantissa: high, decimals: 0 }, false);
        }
        if self.high.is_some() || low == 0 {
            self.raise(Decimal { mantissa: low, decimals: 0 }, false);
        }
    }

    fn raise(&mut self, number: Decimal, is_out: bool) {
        let is_looser = |(known, known_out): &(Decimal, bool)| {
            number.is_below(*known) || !known.is_below(number) && (*known_out || !is_out)
        };
        if !self.low.as_ref().is_some_and(is_looser) {
            self.low = Some((number, is_out));
        }
    }

    fn lower(&mut self, number: Decimal, is_out: bool) {
        let is_looser = |(known, known_out): &(Decimal, bool)| {
            known.is_below(number) || !number.is_below(*known) && (*known_out || !is_out)
        };
        if !self.high.as_ref().is_some_and(is_looser) {
            self.high = Some((number, is_out));
        }
    }

    /// Whether nothing bounds the number.
    pub(super) const fn is_open(&self) -> bool {
        self.low.is_none() && self.high.is_none() && self.steps.is_empty()
    }

    /// The numbers within; `None` where there are none.
    pub(super) fn number(&self) -> Option<Number> {
        let all = self.low.iter().chain(&self.high).map(|(bound, _)| bound).chain(&self.steps);
        let decimals = all.map(|number| number.decimals).max().unwrap_or(0);
        if self.is_whole || !self.steps.is_empty() {
            return self.at(decimals);
        }
        // Two decimals, as for money, and more where the range is too narrow for them.
        (decimals.max(2)..=MOST_DECIMALS).find_map(|decimals| self.at(decimals))
    }

    fn at(&self, decimals: u32) -> Option<Number> {
        let unit = 10_i128.pow(decimals);
        let mut step = if self.is_whole { unit } else { 1 };
        for other in &self.steps {
            let other = other.scaled(decimals)?;
            step = (step / gcd(step, other)).checked_mul(other).filter(|n| *n < LARGEST)?;
        }
        let low = match self.low {
            Some((low, is_out)) => Some(low.scaled(decimals)? + i128::from(is_out)),
            None => None,
        };
        let high = match self.high {
            Some((high, is_out)) => Some(high.scaled(decimals)? - i128::from(is_out)),
            None => None,
        };
        // An open end is as far away as a hundred steps, or a hundred.
        let reach = (step * REACH).max(unit * REACH);
        let (from, to) = match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low + reach),
            (None, Some(high)) if high >= step => (step, high.min(reach)),
            (None, Some(high)) => (high - reach, high),
            (None, None) => (step, reach),
        };
        let (from, to) = (from.div_euclid(step) + i128::from(from.rem_euclid(step) > 0), to.div_euclid(step));
        (from <= to).then_some(Number { from, to, step, decimals })
    }
}

impl Number {
    /// Appends one of the numbers; `shift` steps on from the one drawn, for whoever has that one already.
    pub(super) fn draw(&self, random: &mut impl Rng, shift: u64, out: &mut String) {
        let count = self.to - self.from + 1;
        let place = (random.random_range(0..count) + i128::from(shift)) % count;
        let scaled = (self.from + place) * self.step;
        let unit = 10_i128.pow(self.decimals);
        let sign = if scaled < 0 { "-" } else { "" };
        let (whole, fraction) = (scaled.abs() / unit, scaled.abs() % unit);
        let written = match self.decimals {
            0 => write!(out, "{sign}{whole}"),
            _ if fraction == 0 && self.step % unit == 0 => write!(out, "{sign}{whole}"),
            decimals => write!(out, "{sign}{whole}.{fraction:0width$}", width = decimals as usize),
        };
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }

    /// How many numbers there are.
    pub(super) const fn count(&self) -> u128 {
        (self.to - self.from) as u128 + 1
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use serde_json::json;

    use super::*;

    fn bounds(is_whole: bool, keywords: &Value) -> Bounds {
        let mut bounds = Bounds::of(is_whole);
        for (keyword, value) in keywords.as_object().unwrap() {
            assert!(bounds.note(keyword, value), "{keyword} {value}");
        }
        bounds
    }

    fn drawn(bounds: &Bounds) -> Vec<String> {
        let number = bounds.number().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draw = || {
            let mut out = String::new();
            number.draw(&mut random, 0, &mut out);
            out
        };
        let mut all: Vec<String> = (0..300).map(|_| draw()).collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn numbers_are_within_their_bounds_and_on_their_steps() {
        let of = |is_whole, keywords: Value| drawn(&bounds(is_whole, &keywords));
        assert_eq!(of(true, json!({"minimum": 1, "maximum": 3})), ["1", "2", "3"]);
        assert_eq!(of(true, json!({"exclusiveMinimum": 0.5, "exclusiveMaximum": 3})), ["1", "2"]);
        assert_eq!(of(false, json!({"minimum": 0.1, "maximum": 0.1})), ["0.10"]);
        assert_eq!(of(false, json!({"exclusiveMinimum": 0, "exclusiveMaximum": 0.001})).len(), 9);
        assert_eq!(
            of(false, json!({"minimum": -1, "maximum": 0, "multipleOf": 0.25})),
            ["-0.25", "-0.50", "-0.75", "-1.00", "0.00"]
        );
        assert_eq!(of(true, json!({"minimum": 1, "maximum": 20, "multipleOf": 7})), ["14", "7"]);
        assert_eq!(of(true, json!({"minimum": 1e18, "maximum": 1e18})), ["1000000000000000000"]);
        let open: Vec<i64> = of(true, json!({})).iter().map(|n| n.parse().unwrap()).collect();
        assert!(open.iter().all(|n| (1..=100).contains(n)) && open.len() > 80, "{open:?}");
        assert!(of(false, json!({"maximum": -5})).iter().all(|n| n.starts_with('-')));
        assert_eq!(bounds(true, &json!({"minimum": 1.2, "maximum": 1.8})).number(), None);
        assert_eq!(bounds(false, &json!({"minimum": 3, "maximum": 2})).number(), None);
    }

    #[test]
    fn the_tighter_of_two_bounds_holds_and_a_format_narrows_what_has_one() {
        let mut both = bounds(true, &json!({"minimum": 1, "exclusiveMinimum": 1, "maximum": 3}));
        assert!(both.note("maximum", &json!(2)));
        assert_eq!(drawn(&both), ["2"]);
        let mut byte = bounds(true, &json!({"minimum": 254}));
        byte.note_format("uint8");
        assert_eq!(drawn(&byte), ["254", "255"]);
    }

    #[test]
    fn what_is_no_bound_of_ours_is_said() {
        assert!(Bounds::default().note("maximum", &json!(1e300)));
        assert!(!Bounds::default().note("minimum", &json!(1e300)));
        assert!(!Bounds::default().note("multipleOf", &json!(0)));
        assert!(!Bounds::default().note("multipleOf", &json!(1e-30)));
    }
}
