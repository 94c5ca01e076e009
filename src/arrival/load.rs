//! The language of loads: `100/s for 30s, ramp to 1000/s over 1m, 1000/s for 10m`.
//!
//! Parts are separated by commas. `R for D` holds a rate; `ramp to R over D` goes on from the rate before (from zero where
//! there is none); `ramp from R to R over D` names both. Steps, spikes and pauses are several parts.

use std::{fmt, str::FromStr};

use super::profile::{Profile, Segment};
use crate::time::{Rate, TimeError, format_duration, parse_duration};

/// Why a load could not be read or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// No parts.
    #[error("the load is empty: write it like `100/s for 30s, ramp to 1000/s over 1m`")]
    Empty,
    /// Two commas in a row, or one at an end.
    #[error("part {0} of the load is empty: put exactly one comma between two parts")]
    EmptyPart(usize),
    /// A part that follows none of the three forms.
    #[error(
        "part `{0}` of the load is not understood: write `100/s for 30s`, `ramp to 1000/s over 1m` or `ramp from 10/s to \
         1000/s over 1m`"
    )]
    Part(String),
    /// A part with an unreadable rate or duration.
    #[error("part `{part}` of the load: {fault}")]
    Unreadable {
        /// The part at fault.
        part: String,
        /// What is wrong with it.
        fault: TimeError,
    },
    /// A segment of no length.
    #[error("part `{0}` of the load lasts no time: give it a duration such as `30s`")]
    NoTime(Segment),
    /// A rate beyond what one program can pace.
    #[error("part `{0}` of the load is faster than one generator can pace: give at most {max}", max = Rate::FASTEST_LOAD)]
    TooFast(Segment),
    /// Nothing but pauses.
    #[error("the load has no arrivals: give at least one part a rate above zero, such as `100/s for 30s`")]
    NoArrivals,
    /// More than a century in all.
    #[error("the load lasts longer than a century: shorten it")]
    TooLong,
}

impl FromStr for Profile {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        if text.trim().is_empty() {
            return Err(LoadError::Empty);
        }
        let mut segments: Vec<Segment> = Vec::new();
        for (index, part) in text.split(',').map(str::trim).enumerate() {
            if part.is_empty() {
                return Err(LoadError::EmptyPart(index + 1));
            }
            segments.push(segment(part, last_rate(&segments))?);
        }
        Self::new(segments)
    }
}

impl fmt::Display for Segment {
    /// Prints the segment as a part that does not depend on the part before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, duration } = self;
        let duration = format_duration(*duration);
        if from == to {
            write!(f, "{to} for {duration}")
        } else {
            write!(f, "ramp from {from} to {to} over {duration}")
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = Rate::ZERO;
        for (index, segment) in self.segments().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            if segment.from == before && segment.to != before {
                write!(f, "ramp to {} over {}", segment.to, format_duration(segment.duration))?;
            } else {
                write!(f, "{segment}")?;
            }
            before = segment.to;
        }
        Ok(())
    }
}

/// The rate with which a ramp goes on.
fn last_rate(segments: &[Segment]) -> Rate {
    segments.last().map_or(Rate::ZERO, |segment| segment.to)
}

/// Reads one part, which goes on from the rate `before`.
fn segment(part: &str, before: Rate) -> Result<Segment, LoadError> {
    let unreadable = |fault| LoadError::Unreadable { part: part.to_owned(), fault };
    let rate = |text: &str| text.parse::<Rate>().map_err(unreadable);
    let duration = |text: &str| parse_duration(text).map_err(unreadable);
    let words: Vec<&str> = part.split_whitespace().collect();
    match words[..] {
        [at, "for", long] => Ok(Segment::flat(rate(at)?, duration(long)?)),
        ["ramp", "to", to, "over", long] => Ok(Segment { duration: duration(long)?, from: before, to: rate(to)? }),
        ["ramp", "from", from, "to", to, "over", long] => {
            Ok(Segment { duration: duration(long)?, from: rate(from)?, to: rate(to)? })
        }
        _ => Err(LoadError::Part(part.to_owned())),
    }
}

impl From<Profile> for String {
    fn from(profile: Profile) -> Self {
        profile.to_string()
    }
}

impl TryFrom<String> for Profile {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn read(load: &str) -> Vec<(f64, f64, f64)> {
        let profile: Profile = load.parse().unwrap();
        let row = |segment: Segment| (segment.duration.as_secs_f64(), segment.from.get(), segment.to.get());
        profile.segments().map(row).collect()
    }

    fn refusal(load: &str) -> String {
        load.parse::<Profile>().unwrap_err().to_string()
    }

    #[test]
    fn a_load_is_its_parts_in_order() {
        let load = "100/s for 30s, ramp to 1000/s over 1m, 1000/s for 10m";
        assert_eq!(read(load), [(30.0, 100.0, 100.0), (60.0, 100.0, 1000.0), (600.0, 1000.0, 1000.0)]);
        assert_eq!(read(" 6000/m  for 1.5 ,0/s for 1s"), [(1.5, 100.0, 100.0), (1.0, 0.0, 0.0)]);
    }

    #[test]
    fn ramps_start_where_they_say_or_where_the_load_was() {
        assert_eq!(read("ramp to 100/s over 10s, ramp to 0/s over 5s"), [(10.0, 0.0, 100.0), (5.0, 100.0, 0.0)]);
        assert_eq!(read("5/s for 1s, ramp from 0/s to 9/s over 3s"), [(1.0, 5.0, 5.0), (3.0, 0.0, 9.0)]);
    }

    #[test]
    fn refusals_name_the_part_and_the_way_out() {
        let refusals = [
            "",
            "100/s for 30s,",
            "100/s",
            "ramp to 5/s for 1m",
            "quick for 30s",
            "100/s for ever",
            "0/s for 10s",
            "5/s for 0s",
            "20000000/s for 1s",
            "1/s for 40000d",
        ];
        insta::assert_snapshot!(refusals.map(refusal).join("\n"), @r"
        the load is empty: write it like `100/s for 30s, ramp to 1000/s over 1m`
        part 2 of the load is empty: put exactly one comma between two parts
        part `100/s` of the load is not understood: write `100/s for 30s`, `ramp to 1000/s over 1m` or `ramp from 10/s to 1000/s over 1m`
        part `ramp to 5/s for 1m` of the load is not understood: write `100/s for 30s`, `ramp to 1000/s over 1m` or `ramp from 10/s to 1000/s over 1m`
        part `quick for 30s` of the load: rate `quick` is not a number of arrivals per second, zero or more: write it like `1000`, `1000/s`, `60000/m`, `3600/h` or `0.5/s`
        part `100/s for ever` of the load: duration `ever` is not a span of time: write it like `150ms`, `30s`, `1m30s` or `2h` (largest unit first; a plain number is seconds)
        the load has no arrivals: give at least one part a rate above zero, such as `100/s for 30s`
        part `5/s for 0s` of the load lasts no time: give it a duration such as `30s`
        part `20000000/s for 1s` of the load is faster than one generator can pace: give at most 10000000/s
        the load lasts longer than a century: shorten it
        ");
    }

    #[test]
    fn printed_loads_are_short() {
        for load in [
            "100/s for 30s, ramp to 1000/s over 1m, 1000/s for 10m",
            "100/s for 1m, 1000/s for 5s, 100/s for 1m",
            "ramp to 100/s over 10s, 0/s for 10s, ramp from 50/s to 0.5/s over 2.5ms",
        ] {
            assert_eq!(load.parse::<Profile>().unwrap().to_string(), load);
        }
        assert_eq!(Profile::endless(Rate::SLOWEST_LOAD).to_string(), "0.001/s for 36525d");
        assert!("0.001/s for 36525d".parse::<Profile>().unwrap().is_endless());
    }

    #[test]
    fn a_load_is_stored_as_its_string() {
        let profile: Profile = "100/s for 30s, ramp to 0/s over 1m".parse().unwrap();
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(text, r#""100/s for 30s, ramp to 0/s over 1m""#);
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
        assert!(serde_json::from_str::<Profile>(r#""0/s for 1m""#).is_err());
    }

    proptest! {
        #[test]
        fn a_printed_load_is_read_as_itself(parts in prop::collection::vec((rate(), rate(), 1..u64::MAX / 64, any::<bool>()), 1..6)) {
            let segment = |(from, to, nanos, flat)| {
                Segment { duration: Duration::from_nanos(nanos), from: if flat { to } else { from }, to }
            };
            if let Ok(profile) = Profile::new(parts.into_iter().map(segment).collect()) {
                prop_assert_eq!(profile.to_string().parse(), Ok(profile));
            }
        }
    }

    fn rate() -> impl Strategy<Value = Rate> {
        prop_oneof![Just(0.0), 0.0..1e7_f64].prop_map(|value| Rate::per_second(value).unwrap())
    }
}
