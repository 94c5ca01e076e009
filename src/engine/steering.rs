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
use crate::arrival::{Profile, Sharer, shared_out};
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
    /// The rest of the schedule goes on at this rate, all flows together, to its end: shared out as the plan has it.
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
    /// What the plan says, whatever was changed: what a rate is shared out by.
    weights: Vec<Profile>,
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
        Self { present: planned.clone(), weights: planned.clone(), planned, totals, changes: Vec::new() }
    }

    /// What each flow intends.
    pub(super) fn present(&self) -> &[Profile] {
        &self.present
    }

    /// The rate of all flows together at `moment`.
    pub(super) fn rate_at(&self, moment: Moment) -> f64 {
        self.rates_at(moment).map(Rate::get).sum()
    }

    /// The rate of each flow at `moment`: none where its last counted arrival is expected to be over.
    fn rates_at(&self, moment: Moment) -> impl Iterator<Item = Rate> + '_ {
        let rate = move |(load, total): (&Profile, &Option<u64>)| {
            if moment < end_of(load, *total) { load.rate_at(moment) } else { Rate::ZERO }
        };
        self.present.iter().zip(&self.totals).map(rate)
    }

    /// When nothing more is due in any flow, as far as is expected.
    fn end(&self) -> Moment {
        self.present.iter().zip(&self.totals).map(|(load, total)| end_of(load, *total)).max().unwrap_or_default()
    }

    /// When nothing more is due for sure: where arrivals are counted, chance may make the last one later than expected.
    fn latest_end(&self) -> Moment {
        let end = self.present.iter().map(Profile::duration).max().unwrap_or_default();
        Moment::ZERO.after(end)
    }

    /// What each flow would do from `at` on at this `rate`, all together.
    fn shared_out(&self, rate: Rate, at: Moment) -> Vec<Profile> {
        let sharer = |((profile, present), total): ((_, &Profile), &Option<u64>)| {
            let left = total.map(|total| (total as f64 - present.expected_between(Moment::ZERO, at)).max(0.0));
            Sharer { profile, left }
        };
        let sharers: Vec<_> = self.weights.iter().zip(&self.present).zip(&self.totals).map(sharer).collect();
        shared_out(rate, at, &sharers)
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
        if let Act::Rate(rate) = act {
            let parts = self.shared_out(rate, at);
            for ((present, planned), part) in self.present.iter_mut().zip(&mut self.planned).zip(&parts) {
                // Each for itself: what a pause left out stays left out.
                (*present, *planned) = (present.spliced(at, part), planned.spliced(at, part));
            }
        }
        for (present, planned) in self.present.iter_mut().zip(&self.planned) {
            match act {
                Act::Rate(_) => {}
                Act::Pause => *present = present.spliced(at, &Profile::flat(Rate::ZERO, present.duration())),
                Act::Resume => *present = present.spliced(at, planned),
                Act::Stop => *present = present.until(at),
            }
        }
        self.changes.push(change);
    }

    /// What the flows that are not over weigh together at `moment`.
    fn weights_at(&self, moment: Moment) -> f64 {
        let ends = self.present.iter().zip(&self.totals).map(|(load, total)| end_of(load, *total));
        let open = self.weights.iter().zip(ends).filter(|(_, end)| moment < *end);
        open.map(|(load, _)| load.rate_at(moment).get()).sum()
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
            _ if at >= self.latest_end() => Err(Refused::Over),
            Act::Rate(_) | Act::Pause if self.changes.len() >= MOST_CHANGES => Err(Refused::TooMany),
            Act::Rate(_) if is_paused => Err(Refused::Paused),
            Act::Rate(_) if self.weights.len() > 1 && self.weights_at(at) <= 0.0 => Err(Refused::NoShares),
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
    /// When it ends at the latest.
    pub latest_end: Moment,
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
        self.0.loads.lock().unwrap_or_else(PoisonError::into_inner).rates_at(now).collect()
    }

    /// Whether the run is paused at `now`.
    pub fn is_paused_at(&self, now: Moment) -> bool {
        self.0.loads.lock().unwrap_or_else(PoisonError::into_inner).paused_at(now).is_some()
    }

    /// How the run stands; `None` before it has begun.
    pub fn course(&self) -> Option<Course> {
        let now = self.0.clock.get()?.now();
        let loads = self.0.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, paused) = (loads.rate_at(now), loads.paused_at(now));
        let (end, latest_end) = (loads.end(), loads.latest_end());
        Some(Course { now, rate, paused, end, latest_end, changes: loads.changes.len() })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{Draft, Faults, FlowDraft, Load};

    fn loads(flows: &[(&str, Option<u64>)]) -> Loads {
        let flow = |(load, total): &(&str, Option<u64>)| FlowDraft {
            load: Load { profile: Some(load.parse().unwrap()), total: *total, ..Load::default() },
            ..FlowDraft::default()
        };
        let flows = flows.iter().map(flow).collect();
        Loads::of(&Draft { flows, ..Draft::default() }.check(1, Faults::default()).unwrap())
    }

    fn at(seconds: f64) -> Moment {
        Moment::from_secs_f64(seconds)
    }

    fn rate(rate: f64) -> Act {
        Act::Rate(Rate::per_second(rate).unwrap())
    }

    fn changed(loads: &mut Loads, acts: &[(f64, Act)]) {
        for (seconds, act) in acts {
            loads.apply(Change { at: at(*seconds), act: *act });
        }
    }

    fn sent(loads: &Loads) -> f64 {
        loads.present.iter().map(Profile::expected).sum()
    }

    #[test]
    fn a_rate_after_a_pause_does_not_make_up_for_what_was_left_out() {
        let mut loads = loads(&[("500/s for 12s", None)]);
        changed(&mut loads, &[(2.0, Act::Pause), (6.0, Act::Resume), (6.1, rate(500.0))]);
        assert!((sent(&loads) - 4000.0).abs() < 1e-6, "{}", sent(&loads));
        changed(&mut loads, &[(8.0, Act::Pause), (9.0, Act::Resume)]);
        assert!((sent(&loads) - 3500.0).abs() < 1e-6, "{}", sent(&loads));
    }

    #[test]
    fn flows_that_are_over_get_nothing_of_a_rate() {
        let mut loads = loads(&[("100/s for 8s", Some(100)), ("100/s for 8s", None)]);
        assert_eq!((loads.rate_at(at(0.5)), loads.rate_at(at(3.0))), (200.0, 100.0));
        changed(&mut loads, &[(3.0, rate(400.0))]);
        let rates: Vec<f64> = loads.rates_at(at(4.0)).map(Rate::get).collect();
        assert_eq!(rates, [0.0, 400.0]);
    }

    #[test]
    fn a_rate_of_none_can_be_followed_by_another() {
        let mut loads = loads(&[("100/s for 8s", None), ("300/s for 8s", None)]);
        changed(&mut loads, &[(1.0, rate(0.0))]);
        assert_eq!((loads.rate_at(at(2.0)), loads.check(at(2.0), rate(40.0))), (0.0, Ok(())));
        changed(&mut loads, &[(2.0, rate(40.0))]);
        assert_eq!(loads.rates_at(at(3.0)).map(Rate::get).collect::<Vec<_>>(), [10.0, 30.0]);
    }

    #[test]
    fn counted_arrivals_that_chance_makes_late_can_still_be_stopped() {
        let loads = loads(&[("1/s for 60s", Some(8))]);
        assert_eq!((loads.end(), loads.check(at(8.5), Act::Stop)), (at(8.0), Ok(())));
        assert_eq!(loads.check(at(60.0), Act::Stop), Err(Refused::Over));
    }

    proptest! {
        #[test]
        fn a_change_leaves_what_was_due_before_it_as_it_was(
            acts in prop::collection::vec((0..4_u8, 1..300_u32, 1..30_u32), 1..12), flows in 1..3_usize,
        ) {
            let plan = [("50/s for 4s, ramp to 100/s over 6s", None), ("20/s for 10s", Some(90))];
            let mut loads = loads(&plan[..flows]);
            let mut now = 0.0;
            for (act, per_second, tenths) in acts {
                now += f64::from(tenths) / 10.0;
                let act = [rate(per_second.into()), Act::Pause, Act::Resume, Act::Stop][usize::from(act)];
                if loads.check(at(now), act).is_err() {
                    continue;
                }
                let before = loads.clone();
                loads.apply(Change { at: at(now), act });
                for (old, new) in before.present.iter().zip(&loads.present) {
                    let (old, new) = (old.expected_between(Moment::ZERO, at(now)), new.expected_between(Moment::ZERO, at(now)));
                    prop_assert!((old - new).abs() < 1e-6, "{act:?} at {now}: {old} {new}");
                }
            }
        }
    }
}
