//! How long the leading part of a run is that is not judged: so long, or until response times are steady.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::{format_duration, parse_duration};

/// The leading part that is kept apart and not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmup {
    /// So long.
    For(Duration),
    /// Until response times and errors are steady, at most a third of the schedule.
    Auto,
}

/// What part of the schedule a warm-up that finds its own end may take.
const MOST_OF_THE_SCHEDULE: u32 = 3;
/// In a shorter schedule such a warm-up cannot find anything.
const LEAST: Duration = Duration::from_mins(1);

impl Default for Warmup {
    fn default() -> Self {
        Self::For(Duration::ZERO)
    }
}

impl Warmup {
    /// When it ends at the latest, in a schedule of this length.
    pub fn at_most(self, schedule: Duration) -> Duration {
        match self {
            Self::For(length) => length,
            Self::Auto => Duration::from_secs(schedule.as_secs() / u64::from(MOST_OF_THE_SCHEDULE)),
        }
    }

    /// What is wrong with it in a schedule of this length, with the way out.
    pub(super) fn fault(self, schedule: Duration) -> Option<String> {
        let long = crate::time::humane_duration(schedule);
        match self {
            Self::For(length) if length >= schedule && !length.is_zero() => {
                let length = format_duration(length);
                Some(format!("a warm-up of {length} leaves nothing of the {long} to judge: give a shorter one"))
            }
            Self::Auto if schedule < LEAST => {
                let least = format_duration(LEAST);
                Some(format!(
                    "a warm-up that finds its own end needs a schedule of {least} at least, and this one takes {long}: give a \
                     longer one, or say how long warm-up is, such as 5s"
                ))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Warmup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(length) => f.write_str(&format_duration(*length)),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Warmup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            text => {
                let length = parse_duration(text).map_err(|why| format!("{why}, or auto, which finds the end itself"));
                length.map(Self::For)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_undoes_printing() {
        for text in ["auto", "0s", "5s", "1m30s"] {
            assert_eq!(text.parse::<Warmup>().map(|warmup| warmup.to_string()).as_deref(), Ok(text));
        }
        assert!("automatic".parse::<Warmup>().unwrap_err().ends_with("or auto, which finds the end itself"));
    }

    #[test]
    fn one_that_finds_its_own_end_takes_a_third_at_most_and_needs_time() {
        assert_eq!(Warmup::Auto.at_most(Duration::from_secs(61)), Duration::from_secs(20));
        assert_eq!(Warmup::For(Duration::from_secs(7)).at_most(Duration::from_mins(1)), Duration::from_secs(7));
        assert_eq!(Warmup::Auto.fault(LEAST), None);
        let short = Warmup::Auto.fault(Duration::from_secs(44)).unwrap();
        assert!(short.contains("needs a schedule of 1m at least") && short.contains("44.0 s"), "{short}");
    }
}
