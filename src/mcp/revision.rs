//! The dated editions of the protocol that this client speaks.

use std::fmt;
use std::str::FromStr;

/// A revision of MCP over Streamable HTTP, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The first with Streamable HTTP.
    V2025_03_26,
    /// The first with the `MCP-Protocol-Version` header.
    V2025_06_18,
    /// The newest that begins with a handshake.
    V2025_11_25,
    /// The first without handshake and session: every request says all about itself.
    V2026_07_28,
}

/// No revision has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find the MCP revision `{0}`: give 2026-07-28, 2025-11-25, 2025-06-18 or 2025-03-26")]
pub struct UnknownRevision(pub String);

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: [Self; 4] = [Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// The newest of all.
    pub const NEWEST: Self = Self::V2026_07_28;
    /// The newest that begins with `initialize`: the one to offer there where nothing else is asked for.
    pub const NEWEST_WITH_HANDSHAKE: Self = Self::V2025_11_25;

    /// Its name: a date.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether every request describes itself, so that there is neither handshake nor session.
    pub const fn is_modern(self) -> bool {
        matches!(self, Self::V2026_07_28)
    }

    /// Whether every request (but for those of a handshake) names the revision in an `MCP-Protocol-Version` header. Servers take a
    /// request without that header for 2025-03-26.
    pub const fn has_version_header(self) -> bool {
        !matches!(self, Self::V2025_03_26)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Revision {
    type Err = UnknownRevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|r| r.name() == text).ok_or_else(|| UnknownRevision(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_undoes_printing() {
        for revision in Revision::ALL {
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
        assert_eq!("2024.1".parse::<Revision>(), Err(UnknownRevision("2024.1".to_owned())));
    }

    #[test]
    fn only_the_first_revision_has_no_version_header() {
        assert_eq!(Revision::ALL.map(Revision::has_version_header), [false, true, true, true]);
    }

    #[test]
    fn the_revisions_are_in_order_and_the_newest_has_no_handshake() {
        assert!(Revision::ALL.is_sorted());
        assert_eq!(Revision::ALL.last(), Some(&Revision::NEWEST));
        assert_eq!(Revision::ALL.map(Revision::is_modern), [false, false, false, true]);
        assert!(!Revision::NEWEST_WITH_HANDSHAKE.is_modern());
    }
}
