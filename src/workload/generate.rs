//! Generated values: typed, seeded, and named as in a plan file.

use std::fmt::Write;
use std::sync::Arc;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, LogNormal, Zipf};

use super::RunIdentity;
use super::capture::{FieldId, Record};
use super::schema::Shape;
use crate::arrival::Arrival;
use crate::stamp;

/// Where the fields of one call come from.
pub(super) struct Source<'a> {
    pub(super) random: &'a mut ChaCha8Rng,
    pub(super) arrival: &'a Arrival,
    pub(super) identity: &'a RunIdentity,
    /// The lane that calls.
    pub(super) lane: u32,
    pub(super) captured: Option<&'a Record>,
}

/// One generated value. All but `Captured`, `RunId`, `Unique` and a fresh `Pool` are functions of (seed, flow, sequence). A `prefix` is
/// kept as the open beginning of a JSON string, quoted and escaped already.
#[derive(Clone, Debug)]
pub(super) enum Generator {
    /// A random UUID, version 4.
    Uuid,
    /// One of these, each as JSON text, in equal parts.
    Choice(Vec<String>),
    /// A number between two bounds, with so many decimals.
    Uniform { low: f64, high: f64, decimals: u8 },
    /// A lognormal number, with so many decimals.
    Lognormal { distribution: LogNormal<f64>, decimals: u8 },
    /// A rank from 1 to n, low ones more often.
    Zipf { distribution: Zipf<f64>, prefix: Option<String> },
    /// A first number plus the sequence.
    Counter { first: u64, prefix: Option<String> },
    /// So many random hexadecimal digits behind a prefix.
    Text { digits: usize, prefix: String },
    /// So many hexadecimal digits behind a prefix that no other run repeats: the run id goes into them.
    Unique { digits: usize, prefix: String },
    /// One of so many ids, drawn again and again. Those of a fresh pool are of this run and lane alone; which of them is
    /// drawn is the same in every run.
    Pool { size: u64, prefix: Option<String>, fresh: bool },
    /// When the call is due by the wall clock, RFC 3339.
    Timestamp,
    /// The run's id.
    RunId,
    /// A value of the record that this call takes.
    Captured(FieldId),
    /// What a schema asks for.
    Made(Arc<Shape>),
}

impl Generator {
    /// Appends one value as JSON.
    pub(super) fn write(&self, source: &mut Source<'_>, out: &mut String) {
        match self {
            Self::Uuid => write_uuid(source.random.random(), out),
            Self::Choice(values) => out.push_str(&values[source.random.random_range(0..values.len())]),
            Self::Uniform { low, high, decimals } => {
                write_number(source.random.random_range(*low..=*high), *decimals, out);
            }
            Self::Lognormal { distribution, decimals } => {
                write_number(distribution.sample(source.random), *decimals, out);
            }
            Self::Zipf { distribution, prefix } => {
                write_count(distribution.sample(source.random) as u64, prefix.as_deref(), out);
            }
            Self::Counter { first, prefix } => {
                write_count(first.wrapping_add(source.arrival.sequence), prefix.as_deref(), out);
            }
            Self::Text { digits, prefix } => write_hex(prefix, *digits, source.random, out),
            Self::Unique { digits, prefix } => {
                let Arrival { flow, sequence, .. } = source.arrival;
                write_hex(prefix, *digits, &mut of_this_run(source, [u64::from(flow.0), *sequence]), out);
            }
            Self::Pool { size, prefix, fresh } => {
                let place = source.random.random_range(0..*size);
                let mut own = fresh.then(|| of_this_run(source, [FRESH | u64::from(source.lane), place]));
                match (prefix, &mut own) {
                    (Some(prefix), Some(own)) => write_hex(prefix, 32, own, out),
                    (None, Some(own)) => write_uuid(own.random(), out),
                    (Some(_), None) => write_count(place, prefix.as_deref(), out),
                    (None, None) => write_uuid(ChaCha8Rng::seed_from_u64(place).random(), out),
                }
            }
            Self::Timestamp => {
                out.push('"');
                stamp::write_rfc3339(
                    source.identity.started_unix_ms + source.arrival.intended.as_nanos() / 1_000_000,
                    out,
                );
                out.push('"');
            }
            Self::Made(shape) => shape.write(source.random, out),
            Self::RunId => write_string(&source.identity.run_id, out),
            Self::Captured(field) => match source.captured.and_then(|record| record.get(*field)) {
                Some(kept) if kept.is_number => out.push_str(&kept.text),
                kept => write_string(kept.map_or("", |kept| &kept.text), out),
            },
        }
    }
}

/// Beyond every flow.
const FRESH: u64 = 1 << 63;

/// A generator seeded with the run id and two words. The id's bytes go in twice, mixed by FNV-1a, so that what comes out
/// has all of the run id's randomness and never repeats within a run.
fn of_this_run(source: &Source<'_>, own: [u64; 2]) -> ChaCha8Rng {
    let fnv = |start: u64| {
        source.identity.run_id.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut seed = [0; 32];
    let words = [fnv(0xcbf2_9ce4_8422_2325), fnv(0x8422_2325_cbf2_9ce4), own[0], own[1]];
    for (place, word) in seed.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(seed)
}

fn write_uuid(bytes: [u8; 16], out: &mut String) {
    let mut text = uuid::Uuid::encode_buffer();
    out.push('"');
    out.push_str(uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().encode_lower(&mut text));
    out.push('"');
}

fn write_hex(prefix: &str, digits: usize, random: &mut impl Rng, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str(prefix);
    for start in (0..digits).step_by(16) {
        let bits = random.next_u64();
        // From the lowest four bits up.
        let sixteen: [u8; 16] = std::array::from_fn(|place| DIGITS[(bits >> (4 * place) & 15) as usize]);
        let wanted = &sixteen[..(digits - start).min(16)];
        out.push_str(std::str::from_utf8(wanted).unwrap_or_default());
    }
    out.push('"');
}

fn write_count(count: u64, prefix: Option<&str>, out: &mut String) {
    let mut room = itoa::Buffer::new();
    let digits = room.format(count);
    match prefix {
        Some(prefix) => out.extend([prefix, digits, "\""]),
        None => out.push_str(digits),
    }
}

fn write_string(text: &str, out: &mut String) {
    if text.bytes().all(|byte| byte >= b' ' && !matches!(byte, b'"' | b'\\')) {
        out.push('"');
        out.push_str(text);
        return out.push('"');
    }
    let written = write!(out, "{}", serde_json::Value::from(text));
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// A number of cents, and of other parts, is written as a whole one with a point in it: formatting a fraction exactly takes
/// several times as long as all else of it.
fn write_number(value: f64, decimals: u8, out: &mut String) {
    /// Up to here (2⁴⁰) what a product is off is less than a thousandth of a part: the nearest is still the nearest.
    const NEAR: f64 = 1_099_511_627_776.0;
    let unit = 10_u64.pow(decimals.into());
    let parts = (value * unit as f64).round_ties_even();
    if !(value.is_sign_positive() && parts < NEAR) {
        let written = write!(out, "{value:.*}", usize::from(decimals));
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        return;
    }
    let mut room = itoa::Buffer::new();
    out.push_str(room.format(parts as u64 / unit));
    if decimals > 0 {
        // The one before the digits keeps the noughts that they begin with.
        let digits = room.format(unit + parts as u64 % unit);
        out.push('.');
        out.push_str(&digits[1..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(value: f64, decimals: u8) -> String {
        let mut out = String::new();
        write_number(value, decimals, &mut out);
        out
    }

    #[test]
    fn numbers_have_their_decimals_and_no_more() {
        for (value, decimals, text) in [
            (12.5, 2, "12.50"),
            (0.0, 2, "0.00"),
            (0.049, 1, "0.0"),
            (9.999, 2, "10.00"),
            (1234.5678, 0, "1235"),
            (2.5, 0, "2"),
            (4_321.123_456_789_012, 12, "4321.123456789012"),
            (0.000_000_000_07, 12, "0.000000000070"),
            (-3.456, 2, "-3.46"),
            (1e18, 3, "1000000000000000000.000"),
        ] {
            assert_eq!(number(value, decimals), text);
        }
    }

    #[test]
    fn counts_stand_alone_or_end_a_text() {
        let mut out = String::new();
        write_count(u64::MAX, None, &mut out);
        write_count(70, Some(" \"cus_"), &mut out);
        assert_eq!(out, "18446744073709551615 \"cus_70\"");
    }

    proptest! {
        #[test]
        fn a_number_is_written_as_the_nearest_that_has_its_decimals(value in -1e4..1e9_f64, decimals in 0..=12_u8) {
            let text = number(value, decimals);
            let fraction = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            prop_assert_eq!(fraction, usize::from(decimals));
            let (half, ulp) = (0.501 / 10_f64.powi(decimals.into()), value.abs() * f64::EPSILON);
            prop_assert!((text.parse::<f64>().unwrap() - value).abs() <= half + ulp, "{}", text);
        }
    }
}
