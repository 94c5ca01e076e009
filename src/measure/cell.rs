//! What became of the arrivals that were due in one stretch of time.
//!
//! A cell wider than ten seconds keeps what became of the arrivals of each ten seconds in it ([`Ten`]), so that the worst of
//! them can be found in a run of any length.

use serde::{Deserialize, Serialize};

use super::bounded::at_most;
use super::sparse::Sparse;
use super::timeline::Stretch;

/// The arrivals that were due in one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cell {
    /// Which stretch: it begins this many widths after the run began.
    pub index: u64,
    /// How many arrivals the profile intends, as a mean.
    #[serde(skip_serializing_if = "is_zero")]
    pub expected: f64,
    /// How many were picked up.
    #[serde(skip_serializing_if = "is_none")]
    pub scheduled: u32,
    /// How many were answered ok.
    #[serde(skip_serializing_if = "is_none")]
    pub ok: u32,
    /// How many got a complete reply that was not ok.
    #[serde(skip_serializing_if = "is_none")]
    pub failed: u32,
    /// How many ended without a complete reply.
    #[serde(skip_serializing_if = "is_none")]
    pub incomplete: u32,
    /// How many were never sent, for want of room.
    #[serde(skip_serializing_if = "is_none")]
    pub dropped: u32,
    /// How many were unanswered when the run ended.
    #[serde(skip_serializing_if = "is_none")]
    pub abandoned: u32,
    /// How many ok answers came in this stretch, whenever their arrivals were due.
    #[serde(skip_serializing_if = "is_none")]
    pub came: u32,
    /// The times of the calls that ended, together, in nanoseconds: until the reply was complete, or was given up.
    #[serde(skip_serializing_if = "is_nothing")]
    pub time: u64,
    /// Response times of the complete replies.
    #[serde(skip_serializing_if = "Sparse::is_empty")]
    pub response: Sparse,
    /// In a stretch that is wider than ten seconds, each ten of them (see [`Ten::seconds`]), as far as they are known.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "at_most::<TENS, _, _>")]
    pub tens: Vec<Ten>,
}

/// At most so many parts of a stretch are told apart.
const TENS: usize = 100;

/// What became of the arrivals of ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32, u32)", into = "(u32, u32, u32)")]
pub struct Ten {
    /// How many were picked up.
    pub scheduled: u32,
    /// How many were answered ok.
    pub ok: u32,
    /// How many came to an end that is not ok.
    pub bad: u32,
}

impl From<(u32, u32, u32)> for Ten {
    fn from((scheduled, ok, bad): (u32, u32, u32)) -> Self {
        Self { scheduled, ok, bad }
    }
}

impl From<Ten> for (u32, u32, u32) {
    fn from(Ten { scheduled, ok, bad }: Ten) -> Self {
        (scheduled, ok, bad)
    }
}

impl Ten {
    /// How many seconds it stands for, in a stretch of `width`: ten, and more only in runs of months.
    pub const fn seconds(width: u64) -> u64 {
        let least = width / TENS as u64;
        if least > 10 { least } else { 10 }
    }

    fn merge(&mut self, other: Self) {
        self.scheduled = self.scheduled.saturating_add(other.scheduled);
        self.ok = self.ok.saturating_add(other.ok);
        self.bad = self.bad.saturating_add(other.bad);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_nothing(time: &u64) -> bool {
    *time == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(expected: &f64) -> bool {
    *expected == 0.0
}

impl Cell {
    /// How many arrivals came to an end that is not ok.
    pub fn bad(&self) -> u64 {
        [self.failed, self.incomplete, self.dropped, self.abandoned].into_iter().map(u64::from).sum()
    }

    /// How many arrivals came to an end.
    pub fn ended(&self) -> u64 {
        u64::from(self.ok) + self.bad()
    }

    /// How many calls ended, well or badly.
    pub fn answered(&self) -> u64 {
        [self.ok, self.failed, self.incomplete].into_iter().map(u64::from).sum()
    }

    /// The response time, in nanoseconds, that a share `quantile` (0 to 1) of all arrivals that came to an end kept to:
    /// interpolated within its bucket, so that small changes show. `None` where it falls among arrivals without a
    /// complete reply, or there are none.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let without: u64 = [self.incomplete, self.dropped, self.abandoned].into_iter().map(u64::from).sum();
        self.response.interpolated(quantile * (self.response.len() + without) as f64)
    }
}

impl Stretch for Cell {
    fn index(&self) -> u64 {
        self.index
    }

    fn moved_to(self, index: u64) -> Self {
        Self { index, ..self }
    }

    fn merge(&mut self, other: &Self) {
        self.expected += other.expected;
        self.time = self.time.saturating_add(other.time);
        let counts = [
            (&mut self.scheduled, other.scheduled),
            (&mut self.ok, other.ok),
            (&mut self.failed, other.failed),
            (&mut self.incomplete, other.incomplete),
            (&mut self.dropped, other.dropped),
            (&mut self.abandoned, other.abandoned),
            (&mut self.came, other.came),
        ];
        for (ours, theirs) in counts {
            *ours = ours.saturating_add(theirs);
        }
        self.response.merge(&other.response);
        self.tens.resize(self.tens.len().max(other.tens.len()), Ten::default());
        for (ours, theirs) in self.tens.iter_mut().zip(&other.tens) {
            ours.merge(*theirs);
        }
    }

    fn reset(&mut self) {
        let mut response = std::mem::take(&mut self.response);
        response.clear();
        *self = Self { response, ..Self::default() };
    }

    fn settle(&mut self) {
        self.response.settle();
    }

    fn widen(&mut self, width: u64, into: u64) {
        if into <= 10 {
            return;
        }
        let (fine, coarse) = (Ten::seconds(width), Ten::seconds(into));
        let begins = self.index.wrapping_mul(width) % into;
        let parts = match width {
            0..=10 => vec![Ten { scheduled: self.scheduled, ok: self.ok, bad: self.bad().min(u32::MAX.into()) as u32 }],
            _ => std::mem::take(&mut self.tens),
        };
        for (part, number) in parts.into_iter().zip(0..) {
            let place = ((begins + number * fine) / coarse) as usize;
            self.tens.resize(self.tens.len().max(place + 1), Ten::default());
            self.tens[place].merge(part);
        }
    }

    fn is_possible(&self) -> bool {
        self.expected.is_finite() && self.expected >= 0.0
    }
}
