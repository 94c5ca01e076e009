//! Changes of a run's load while it goes on: each at a moment that is still to come, so that every lane adopts it at that
//! moment, and all lanes together send what one lane would.
//!
//! A change keeps what is due before its moment, and says what is due from there on. Arrivals are points of operational
//! time, which no change moves; it only places those that are still to come anew.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::MonotonicClock;
use super::expected::end_of;
use crate::arrival::Profile;
use crate::plan::Plan;
use crate::time::{Clock, Moment, Rate};

/// A change takes effect so long after it was asked for.
pub(super) const NOTICE: Duration = Duration::from_millis(100);
/// A lane looks for changes so often at least, while it sends: well within the notice.
pub(super) const LOOK_AHEAD: Duration = Duration::from_millis(50);
/// A run is not changed more often: each change is kept to its end.
const MOST_CHANGES: usize = 1000;

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// The rest of the schedule goes on at this rate, all flows together, to its end.
    Rate(Rate),
    /// Nothing is due until the run is resumed.
    Pause,
    /// It goes on with what the schedule says of this moment: what was not sent meanwhile is not made up for.
    Resume,
    /// The schedule ends.
    Stop,
}

/// A change and its moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When it takes effect.
    pub at: Moment,
    /// What it is.
    pub act: Act,
}

/// Why a run is not changed. Messages are fragments that follow "failed to".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Lanes are not up yet.
    #[error("change a run that has not begun: ask again in a moment")]
    NotYet,
    /// Nothing more is due.
    #[error("change a run whose schedule is over")]
    Over,
    /// A rate has no meaning while nothing is due.
    #[error("set the rate of a run that is paused: resume it first")]
    Paused,
    /// It is paused already.
    #[error("pause a run that is paused")]
    PausedAlready,
    /// It is not paused.
    #[error("resume a run that is not paused")]
    NotPaused,
    /// There is nothing to share a rate out by.
    #[error("share a rate out over flows of which none has arrivals now: ask again when one has")]
    NoShares,
    /// Too many changes.
    #[error("change a run more than {MOST_CHANGES} times")]
    TooMany,
}

/// What the flows of a plan intend, with the changes so far.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    /// Without pauses.
    planned: Vec<Profile>,
    /// What lanes follow.
    present: Vec<Profile>,
    totals: Vec<Option<u64>>,
    changes: Vec<Change>,
}

impl Loads {
    pub(super) fn of(plan: &Plan) -> Self {
        let planned: Vec<Profile> = plan.flows.iter().map(|flow| flow.load.clone()).collect();
        let totals = plan.flows.iter().map(|flow| flow.total).collect();
        Self { present: planned.clone(), planned, totals, changes: Vec::new() }
    }

    /// What each flow intends.
    pub(super) fn present(&self) -> &[Profile] {
        &self.present
    }

    /// The rate of all flows together at `moment`.
    pub(super) fn rate_at(&self, moment: Moment) -> f64 {
        self.present.iter().map(|load| load.rate_at(moment).get()).sum()
    }

    /// When nothing more is due in any flow, as far as is expected.
    fn end(&self) -> Moment {
        self.present.iter().zip(&self.totals).map(|(load, total)| end_of(load, *total)).max().unwrap_or_default()
    }

    /// Adopts those of `changes`, which begin with the ones adopted already, that are new; says whether there were any.
    pub(super) fn adopt(&mut self, changes: &[Change]) -> bool {
        let new = changes.get(self.changes.len()..).unwrap_or_default();
        for change in new {
            self.apply(*change);
        }
        !new.is_empty()
    }

    fn apply(&mut self, change: Change) {
        let Change { at, act } = change;
        let all = self.rate_at(at);
        let single = self.present.len() == 1;
        for (present, planned) in self.present.iter_mut().zip(&mut self.planned) {
            match act {
                Act::Rate(rate) => {
                    let share = if single { 1.0 } else { present.rate_at(at).get() / all };
                    let rate = Rate::per_second(rate.get() * share).unwrap_or(Rate::ZERO);
                    *planned = planned.spliced(at, &Profile::flat(rate, planned.duration()));
                    *present = planned.clone();
                }
                Act::Pause => *present = present.spliced(at, &Profile::flat(Rate::ZERO, present.duration())),
                Act::Resume => *present = present.spliced(at, planned),
                Act::Stop => *present = present.until(at),
            }
        }
        self.changes.push(change);
    }

    /// Since when nothing is due at `moment` because somebody wanted it so.
    fn paused_at(&self, moment: Moment) -> Option<Moment> {
        let mut acts = self.changes.iter().filter(|change| change.at <= moment);
        let last = acts.rfind(|change| matches!(change.act, Act::Pause | Act::Resume))?;
        (last.act == Act::Pause).then_some(last.at)
    }

    /// Whether `act` can be done at `at`.
    fn check(&self, at: Moment, act: Act) -> Result<(), Refused> {
        let is_paused = self.paused_at(Moment::FAR).is_some();
        match act {
            _ if at >= self.end() => Err(Refused::Over),
            Act::Rate(_) | Act::Pause if self.changes.len() >= MOST_CHANGES => Err(Refused::TooMany),
            Act::Rate(_) if is_paused => Err(Refused::Paused),
            Act::Rate(_) if self.present.len() > 1 && self.rate_at(at) <= 0.0 => Err(Refused::NoShares),
            Act::Pause if is_paused => Err(Refused::PausedAlready),
            Act::Resume if !is_paused => Err(Refused::NotPaused),
            _ => Ok(()),
        }
    }
}

/// How a run stands that can be changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// When this is so.
    pub now: Moment,
    /// The intended rate, all flows together.
    pub rate: f64,
    /// Since when it is paused, if it is.
    pub paused: Option<Moment>,
    /// When its schedule is expected to end.
    pub end: Moment,
    /// How many changes there were.
    pub changes: usize,
}

/// The helm of one run.
#[derive(Clone, Debug)]
pub struct Steering(Arc<Helm>);

#[derive(Debug)]
struct Helm {
    loads: Mutex<Loads>,
    tell: watch::Sender<Vec<Change>>,
    clock: OnceLock<MonotonicClock>,
}

impl Steering {
    /// The helm of a run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let loads = Mutex::new(Loads::of(plan));
        Self(Arc::new(Helm { loads, tell: watch::Sender::new(Vec::new()), clock: OnceLock::new() }))
    }

    /// The run begins, by this clock.
    pub(super) fn begin(&self, clock: MonotonicClock) {
        // It begins once.
        self.0.clock.get_or_init(|| clock);
    }

    /// Where lanes and collector hear of changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<Change>> {
        self.0.tell.subscribe()
    }

    /// Changes the run; says when that takes effect.
    ///
    /// # Errors
    /// Where the run cannot be changed so.
    pub fn change(&self, act: Act) -> Result<Change, Refused> {
        let clock = self.0.clock.get().ok_or(Refused::NotYet)?;
        let mut loads = self.0.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let last = loads.changes.last().map_or(Moment::ZERO, |change| change.at);
        let at = clock.now().after(NOTICE).max(last);
        loads.check(at, act)?;
        let change = Change { at, act };
        self.0.tell.send_modify(|changes| changes.push(change));
        loads.apply(change);
        Ok(change)
    }

    /// The intended rate of each flow at `now`.
    pub fn rates_at(&self, now: Moment) -> Vec<Rate> {
        let loads = self.0.loads.lock().unwrap_or_else(PoisonError::into_inner);
        loads.present.iter().map(|load| load.rate_at(now)).collect()
    }

    /// Whether the run is paused at `now`.
    pub fn is_paused_at(&self, now: Moment) -> bool {
        self.0.loads.lock().unwrap_or_else(PoisonError::into_inner).paused_at(now).is_some()
    }

    /// How the run stands; `None` before it has begun.
    pub fn course(&self) -> Option<Course> {
        let now = self.0.clock.get()?.now();
        let loads = self.0.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, paused, end) = (loads.rate_at(now), loads.paused_at(now), loads.end());
        Some(Course { now, rate, paused, end, changes: loads.changes.len() })
    }
}

/// Hears of changes, where there can be any.
#[derive(Debug)]
pub(super) struct Ear(Option<watch::Receiver<Vec<Change>>>);

impl Ear {
    pub(super) fn of(steering: Option<&Steering>) -> Self {
        Self(steering.map(Steering::subscribe))
    }

    /// Whether there can be any changes.
    pub(super) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Has `loads` adopt what is new; says whether there was anything.
    pub(super) fn listen(&mut self, loads: &mut Loads) -> bool {
        let Some(changes) = &mut self.0 else { return false };
        // Without the sender nothing is new, and what there was is still there.
        changes.has_changed().unwrap_or(true) && loads.adopt(&changes.borrow_and_update())
    }

    /// Waits for a change that was not heard of. Heard it is only by [`Self::listen`].
    pub(super) async fn news(&mut self) {
        match &mut self.0 {
            Some(changes) => match changes.changed().await {
                Ok(()) => changes.mark_changed(),
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}
