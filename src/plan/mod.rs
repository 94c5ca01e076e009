//! What the user asked for, checked, and stored in every result.
//!
//! Flags and a plan file both become a [`Draft`]; [`Draft::check`] makes a [`Plan`] of it or names every fault at once.
//! A plan that exists can be run: nothing in it is checked again later.

mod check;
mod complete;
mod connection;
mod draft;
mod file;
#[cfg(test)]
mod hostile;
mod probe;
mod sessions;
mod starter;
mod truth;
mod warmup;

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use check::Faults;
pub use connection::{Connection, ConnectionDraft, Header, Source};
pub use draft::{Draft, FlowDraft, Load};
pub use file::read as read_file;
pub use sessions::{Sessions, UnknownSessions};
pub use starter::starter;
pub use truth::{Truth, TruthDraft, parse_share};
pub use warmup::Warmup;

use crate::arrival::{Process, Profile};
use crate::mcp::{Protocol, Target};
use crate::time::{Moment, serde_duration};
use crate::verdict::{Judging, Looked, Objective};
use crate::workload::Operation;

/// A checked plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the run is called in reports.
    pub name: String,
    /// The address under test.
    #[serde(with = "as_text")]
    pub target: Target,
    /// How it is reached.
    #[serde(default)]
    pub connection: Connection,
    /// Which revision of the protocol is spoken.
    #[serde(with = "as_text")]
    pub protocol: Protocol,
    /// How calls are put into sessions.
    #[serde(default, with = "as_text")]
    pub sessions: Sessions,
    /// Everything random comes from this.
    pub seed: u64,
    /// The streams of arrivals: at least one.
    pub flows: Vec<Flow>,
    /// The kinds of call: those that a flow calls, and those that they need.
    pub operations: Vec<Operation>,
    /// The promises, those of flows included: at least one.
    pub objectives: Vec<Objective>,
    /// What decides them.
    #[serde(default)]
    pub judging: Judging,
    /// How the run is carried out.
    pub run: Run,
    /// What is done to find out whether answers are true.
    #[serde(default)]
    pub truth: Truth,
}

/// One stream of arrivals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// Its name in metrics and reports.
    pub name: String,
    /// Its operations and their weights.
    pub mix: Vec<(String, f64)>,
    /// The intended rate over time.
    pub load: Profile,
    /// How arrivals spread around the rate.
    pub arrivals: Process,
    /// How many arrivals there are at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

impl Flow {
    /// How long its arrivals are due, by what its profile intends.
    pub fn duration(&self) -> Duration {
        let counted = self.total.and_then(|total| self.load.moment_of(total as f64));
        let counted = counted.map_or(Duration::MAX, |end| end.since(Moment::ZERO));
        if self.load.is_endless() { counted } else { counted.min(self.load.duration()) }
    }
}

/// How a run is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Calls in flight at most.
    pub concurrent: NonZeroU32,
    /// How long a call may take, from sent.
    #[serde(with = "serde_duration")]
    pub timeout: Duration,
    /// The leading part that is kept apart and not judged.
    #[serde(with = "as_text")]
    pub warmup: Warmup,
    /// When a lane wakes.
    pub pacing: Pacing,
    /// Threads; where nobody said how many, see [`Plan::lanes_for`].
    pub lanes: NonZeroU32,
    /// A longer reply body is not read to its end.
    pub max_reply_bytes: u64,
    /// Whether the run ends as soon as each objective is decided.
    #[serde(default)]
    pub until_decided: bool,
    /// Whether it ends as soon as one is surely missed.
    #[serde(default)]
    pub abort_on_fail: bool,
    /// Whether each call tells a trace.
    #[serde(default)]
    pub trace: bool,
    /// How many of the slowest calls are kept by name.
    #[serde(default = "slowest")]
    pub slowest: u32,
}

/// No more of the slowest calls are kept.
pub const MOST_SLOWEST: u32 = 1000;

/// What is kept where nothing is said.
const fn slowest() -> u32 {
    20
}

/// When a lane wakes to send what is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// Exact up to about 5000 arrivals a second and lane, economical above.
    #[default]
    Auto,
    /// For each arrival.
    Exact,
    /// Once for all arrivals, sixteen at most, that are due within 360 µs of the first: less CPU, and arrivals up to that late.
    Economical,
}

impl Plan {
    /// The length of the schedule, where no count ends it before; `None` for flows that only a count ends.
    pub fn scheduled_duration(&self) -> Option<Duration> {
        let bounded = |flow: &Flow| (!flow.load.is_endless()).then(|| flow.load.duration());
        self.flows.iter().map(bounded).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
    }

    /// How many lanes its highest rate needs, of as many processors as there are: one up to 40 000 arrivals a second. Peaks of flows
    /// are added up, whenever they are; and no more than there are calls in flight and sessions for.
    pub fn lanes_for(&self, processors: NonZeroU32) -> NonZeroU32 {
        /// A lane can do more, but not much, and is late then.
        const PER_LANE: f64 = 40_000.0;
        let peak: f64 = self.flows.iter().map(|flow| flow.load.peak().get()).sum();
        let lanes = NonZeroU32::new((peak / PER_LANE).ceil() as u32).unwrap_or(NonZeroU32::MIN);
        let sessions = match self.sessions {
            Sessions::Pool(count) => count,
            Sessions::PerCall | Sessions::None => NonZeroU32::MAX,
        };
        // Each lane has at least one call in flight, and one session.
        lanes.min(processors).min(self.run.concurrent).min(sessions)
    }

    /// How long arrivals are due at most, by what the flows' profiles intend.
    pub fn longest(&self) -> Duration {
        self.flows.iter().map(Flow::duration).max().unwrap_or_default()
    }

    /// When the run is looked at before its end, where it may end early.
    pub fn looks(&self) -> Option<Looked> {
        let Run { until_decided, abort_on_fail, warmup, .. } = self.run;
        let measured = self.longest().saturating_sub(warmup.at_most(self.longest()));
        (until_decided || abort_on_fail).then(|| Looked::planned(measured, until_decided))
    }

    /// When warm-up ends at the latest.
    pub fn latest_warmup(&self) -> Moment {
        Moment::ZERO.after(self.run.warmup.at_most(self.longest()))
    }

    /// The names of flows, in the order of their ids.
    pub fn flow_names(&self) -> Vec<String> {
        self.flows.iter().map(|flow| flow.name.clone()).collect()
    }

    /// The names of operations, in the order of their ids.
    pub fn operation_names(&self) -> Vec<String> {
        self.operations.iter().map(|operation| operation.name.clone()).collect()
    }
}

/// Values that are stored as they are written.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}
