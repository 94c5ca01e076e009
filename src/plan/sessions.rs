//! How calls are put into sessions, as said by a flag or in a plan.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// How calls are put into sessions, where the server has sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// So many, opened before the run, used in turn, closed after it; never more than calls may be in flight.
    Pool(NonZeroU32),
    /// One for each call, opened for it and closed after it.
    PerCall,
    /// None: no call names a session.
    None,
}

/// No way to use sessions is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use sessions as `{0}`: give pool:8 (or another number from 1 to {MOST}), per-call or none")]
pub struct UnknownSessions(pub String);

/// No pool is larger.
const MOST: u32 = 10_000;

impl Default for Sessions {
    fn default() -> Self {
        Self::Pool(const { NonZeroU32::new(8).expect("not zero") })
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(count) => write!(f, "pool:{count}"),
            Self::PerCall => f.write_str("per-call"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Sessions {
    type Err = UnknownSessions;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "per-call" => Ok(Self::PerCall),
            "none" => Ok(Self::None),
            _ => {
                let count = text.strip_prefix("pool:").and_then(|count| count.parse::<NonZeroU32>().ok());
                let count = count.filter(|count| count.get() <= MOST);
                count.map(Self::Pool).ok_or_else(|| UnknownSessions(text.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_undoes_printing() {
        for text in ["pool:8", "pool:1", "pool:10000", "per-call", "none"] {
            assert_eq!(text.parse::<Sessions>().map(|sessions| sessions.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(Sessions::default().to_string(), "pool:8");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_way_out() {
        for text in ["pool", "pool:", "pool:0", "pool:-1", "pool:10001", "pool: 8", "8", "percall", ""] {
            let why = text.parse::<Sessions>().unwrap_err().to_string();
            assert!(why.contains(&format!("`{text}`")) && why.contains("give pool:8"), "{why}");
        }
    }
}
