//! A plan as written, by flags or in a file, before anything was checked against anything else.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{ConnectionDraft, Pacing, Sessions, TruthDraft, Warmup};
use crate::arrival::Profile;
use crate::mcp::Protocol;
use crate::time::Rate;
use crate::verdict::{Judging, Objective};
use crate::workload::Operation;

/// What was said; `None` where nothing was said.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// See [`super::Plan::name`].
    pub name: Option<String>,
    /// The target's URL, as given.
    pub url: Option<String>,
    /// See [`super::Plan::connection`].
    pub connection: ConnectionDraft,
    /// See [`super::Plan::protocol`].
    pub protocol: Option<Protocol>,
    /// See [`super::Plan::sessions`].
    pub sessions: Option<Sessions>,
    /// See [`super::Plan::seed`].
    pub seed: Option<u64>,
    /// The flows of a plan file; none where flags say it all.
    pub flows: Vec<FlowDraft>,
    /// Operations beside the built-in ones.
    pub operations: Vec<Operation>,
    /// Objectives for the whole run.
    pub objectives: Vec<Objective>,
    /// See [`super::Run::concurrent`].
    pub concurrent: Option<NonZeroU32>,
    /// See [`super::Run::timeout`].
    pub timeout: Option<Duration>,
    /// See [`super::Run::warmup`].
    pub warmup: Option<Warmup>,
    /// See [`super::Run::pacing`].
    pub pacing: Option<Pacing>,
    /// See [`super::Run::lanes`].
    pub lanes: Option<NonZeroU32>,
    /// See [`super::Run::max_reply_bytes`].
    pub max_reply_bytes: Option<u64>,
    /// See [`super::Plan::judging`].
    pub judging: Option<Judging>,
    /// See [`super::Run::until_decided`].
    pub until_decided: Option<bool>,
    /// See [`super::Run::abort_on_fail`].
    pub abort_on_fail: Option<bool>,
    /// See [`super::Run::trace`].
    pub trace: Option<bool>,
    /// See [`super::Run::slowest`].
    pub slowest: Option<u32>,
    /// See [`super::Plan::truth`].
    pub truth: TruthDraft,
}

/// One flow, as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowDraft {
    /// See [`super::Flow::name`].
    pub name: Option<String>,
    /// Operations by weight; empty: `create_payment` alone.
    pub mix: Vec<(String, f64)>,
    /// The rate over time.
    pub load: Load,
    /// `constant`, `poisson` or `token-bucket`.
    pub arrivals: Option<String>,
    /// How many arrive together from a token bucket.
    pub burst: Option<NonZeroU32>,
    /// Objectives of this flow.
    pub objectives: Vec<Objective>,
}

/// A rate over time, as written: either a whole profile, or a rate with an end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// A whole profile; excludes `rate` and `duration`.
    pub profile: Option<Profile>,
    /// Arrivals per second.
    pub rate: Option<Rate>,
    /// When the schedule ends.
    pub duration: Option<Duration>,
    /// After how many arrivals it ends.
    pub total: Option<u64>,
}

impl Load {
    /// Whether it says when it ends.
    pub(super) const fn has_end(&self) -> bool {
        self.profile.is_some() || self.duration.is_some() || self.total.is_some()
    }

    /// What `self` says, and what `base` says where `self` is silent. A whole profile on one side silences rate and
    /// duration on the other.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        let (profile, rate, duration) = if self.profile.is_some() {
            (self.profile, self.rate, self.duration)
        } else if self.rate.is_some() || self.duration.is_some() {
            (None, self.rate.or(base.rate), self.duration.or(base.duration))
        } else {
            (base.profile, base.rate, base.duration)
        };
        Self { profile, rate, duration, total: self.total.or(base.total) }
    }
}

impl FlowDraft {
    /// What `self` says, and what `base` says where `self` is silent.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            name: self.name.or(base.name),
            mix: if self.mix.is_empty() { base.mix } else { self.mix },
            load: self.load.over(base.load),
            arrivals: self.arrivals.or(base.arrivals),
            burst: self.burst.or(base.burst),
            objectives: [self.objectives, base.objectives].concat(),
        }
    }

    /// Whether nothing was said.
    fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

impl Draft {
    /// Puts what flags say of the flow over the one flow there is.
    ///
    /// # Errors
    /// Where there are several, so that it is not clear which is meant.
    pub fn override_flow(&mut self, flags: FlowDraft) -> Result<(), String> {
        match &mut self.flows[..] {
            [] => self.flows.push(flags),
            [one] => *one = flags.over(std::mem::take(one)),
            [..] if flags.is_silent() => {}
            many => {
                let count = many.len();
                return Err(format!(
                    "the plan has {count} flows: load, arrivals, total and mix are said there, not by flags or variables"
                ));
            }
        }
        Ok(())
    }

    /// What `self` says (flags), and what `base` says (a plan file) where `self` is silent. Flows are not merged here.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            name: self.name.or(base.name),
            url: self.url.or(base.url),
            connection: self.connection.over(base.connection),
            protocol: self.protocol.or(base.protocol),
            sessions: self.sessions.or(base.sessions),
            seed: self.seed.or(base.seed),
            flows: if self.flows.is_empty() { base.flows } else { self.flows },
            operations: [self.operations, base.operations].concat(),
            objectives: [self.objectives, base.objectives].concat(),
            concurrent: self.concurrent.or(base.concurrent),
            timeout: self.timeout.or(base.timeout),
            warmup: self.warmup.or(base.warmup),
            pacing: self.pacing.or(base.pacing),
            lanes: self.lanes.or(base.lanes),
            max_reply_bytes: self.max_reply_bytes.or(base.max_reply_bytes),
            judging: self.judging.or(base.judging),
            until_decided: self.until_decided.or(base.until_decided),
            abort_on_fail: self.abort_on_fail.or(base.abort_on_fail),
            trace: self.trace.or(base.trace),
            slowest: self.slowest.or(base.slowest),
            truth: self.truth.over(base.truth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_file_and_a_rate_silences_a_profile() {
        let file = Load { profile: Some("10/s for 5s".parse().unwrap()), total: Some(9), ..Load::default() };
        let flag = Load { rate: Rate::per_second(7.0), ..Load::default() };
        let both = flag.over(file.clone());
        assert!(both.profile.is_none());
        assert_eq!((both.rate.map(Rate::get), both.total), (Some(7.0), Some(9)));
        assert!(Load::default().over(file).profile.is_some());
        let draft = Draft { seed: Some(1), ..Draft::default() };
        let base = Draft { seed: Some(2), name: Some("base".into()), ..Draft::default() };
        let merged = draft.over(base);
        assert_eq!((merged.seed, merged.name.as_deref()), (Some(1), Some("base")));
    }
}
