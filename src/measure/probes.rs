//! What came of keys that were used again, and of calls that ended without saying whether they happened: counts.

use serde::{Deserialize, Serialize};

/// Calls of one kind that used a key again, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probes {
    /// The promise was kept.
    pub kept: u64,
    /// The promise was broken.
    pub broken: u64,
    /// Nothing can be said.
    pub unclear: u64,
}

/// Calls of one operation that ended without saying whether they happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unresolved {
    /// Index of the operation in the plan.
    pub operation: u16,
    /// How many there were.
    pub calls: u64,
    /// Of those, how many are known to have happened.
    pub happened: u64,
    /// Of those, how many are known not to have happened.
    pub not_happened: u64,
    /// Of those, how many were done in the end, by the call itself or by the one that asked again under its key.
    pub done: u64,
}

impl Probes {
    /// All that ended.
    pub const fn ended(&self) -> u64 {
        self.kept.saturating_add(self.broken).saturating_add(self.unclear)
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.kept = self.kept.saturating_add(other.kept);
        self.broken = self.broken.saturating_add(other.broken);
        self.unclear = self.unclear.saturating_add(other.unclear);
    }
}

impl Unresolved {
    /// Those of which nothing is known still.
    pub const fn unknown(&self) -> u64 {
        self.calls.saturating_sub(self.happened).saturating_sub(self.not_happened).saturating_sub(self.done)
    }

    pub(super) const fn counts(&self) -> [u64; 4] {
        [self.calls, self.happened, self.not_happened, self.done]
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.happened = self.happened.saturating_add(other.happened);
        self.not_happened = self.not_happened.saturating_add(other.not_happened);
        self.done = self.done.saturating_add(other.done);
    }
}
