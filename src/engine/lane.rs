//! One lane: a thread's loop that sends what is due and never waits for an answer.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;

use super::clock::MonotonicClock;
use super::desk::Desk;
use super::pace::{EXACT_UP_TO, Lookout, QUANTUM, READY, Timer};
use super::schedule::Schedule;
use super::steering::{Ear, LOOK_AHEAD, Loads};
use super::tasks::Tasks;
use super::{Haste, LaneEnd};
use crate::driver::{Driver, Whom};
use crate::plan::{Pacing, Plan};
use crate::time::{Clock, Moment};

/// Late arrivals go out in slices of this many, so that replies are handled in between.
const SLICE: usize = 16;
/// A lane sleeps through so much, where replies may be looked at later than they come.
const NAP: Duration = Duration::from_millis(2);
/// How often the lane's recorder is handed over.
pub(super) const HAND_OVER: Duration = Duration::from_millis(500);
/// How long calls in flight may still be answered once the run was stopped.
const DRAIN: Duration = Duration::from_secs(5);
/// How long after their timeouts calls that waited and were sent have surely ended.
const GRACE: Duration = Duration::from_secs(1);
/// How long sessions may take to be closed after that: with what is written and closed afterwards, all is over within the ten
/// seconds that a container has to end.
const FAREWELL: Duration = Duration::from_millis(1500);

/// What a lane's loop needs beside its desk.
pub(super) struct Lane<'a, D: Driver + 'static> {
    pub(super) plan: &'a Plan,
    pub(super) clock: MonotonicClock,
    pub(super) schedule: Schedule,
    /// What the schedule follows.
    pub(super) loads: Loads,
    /// Where it hears that this has changed.
    pub(super) ear: Ear,
    /// Arrivals that the schedule gave out so far.
    pub(super) due: u64,
    /// When the last of these is due.
    pub(super) taken: Moment,
    pub(super) desk: Rc<Desk<D>>,
    pub(super) stop: watch::Receiver<Haste>,
    /// When its schedule was cut short, if it was.
    pub(super) cut: Option<Moment>,
}

impl<D: Driver + 'static> Lane<'_, D> {
    /// Runs the lane to its end on the current thread's runtime. Whatever is still unanswered then is abandoned.
    pub(super) async fn run(mut self) -> io::Result<LaneEnd> {
        let tasks = Tasks::new();
        let result = {
            let _spawns = tasks.enter();
            self.work(&tasks).await
        };
        // Calls still in flight end here; each says so to its recorder as it is dropped.
        drop(tasks);
        LocalSet::new().run_until(self.close()).await;
        self.desk.hand_over_last();
        result.map(|stopped| LaneEnd { due: self.due, stopped })
    }

    /// Lets the driver take back what it opened. Once the run was stopped there is little time for that.
    async fn close(&mut self) {
        let desk = Rc::clone(&self.desk);
        let mut closing = pin!(desk.close());
        tokio::select! {
            biased;
            () = &mut closing => return,
            _ = told(&mut self.stop, Haste::Orderly) => {}
        }
        // What is not closed by then the server has to find out itself.
        let _ = tokio::time::timeout(FAREWELL, closing).await;
    }

    /// Until the schedule is done and everything is answered, or until the run was stopped. Says when the schedule was cut
    /// short, where it was.
    async fn work(&mut self, tasks: &Tasks) -> io::Result<Option<Moment>> {
        let mut timer = Timer::new(self.clock)?;
        let mut pulse = Pulse::new(self.economical(Moment::ZERO));
        // While the runtime has one timer that is due soon, the timeout of a call is no news to its event loop; without, each
        // would cost a system call.
        let mut anchor = tokio::time::interval(HAND_OVER);
        // Until the run begins the clock stands still: nothing may be sent, and nothing could be measured.
        tokio::select! { biased; begun = timer.until(Moment::from_nanos(1)) => begun?, () = tasks.run() => {} }
        let mut ready = Moment::ZERO;
        loop {
            // Those end whose answers the event loop has told of; and who begins now need wake nobody.
            tasks.turn();
            let all_taken = self.dispatch(std::mem::take(&mut ready));
            self.desk.fill_room();
            // Calls begin.
            let more = tasks.turn();
            let now = self.clock.now();
            let is_over = self.schedule.peek().is_none() && !self.may_go_on(now);
            if is_over && self.desk.is_idle() {
                return Ok(self.cut);
            }
            if self.cut.is_some_and(|cut| now >= self.given_up(cut)) {
                self.turn_away(now);
                return Ok(self.cut);
            }
            if now >= pulse.hand_over {
                pulse.next(now, self.economical(now));
                self.desk.hand_over();
            }
            let heard = if self.cut.is_some() { Haste::Orderly } else { Haste::None };
            if !all_taken && *self.stop.borrow() <= heard {
                self.desk.begin_wait(false);
                tokio::task::yield_now().await;
                continue;
            }
            let wake = self.wake(&pulse, now);
            let naps = self.desk.begin_wait(!more && wake.since(now) <= NAP);
            let is_ahead = !pulse.economical && self.next() == Some(wake);
            timer.be_punctual(!pulse.economical);
            timer.be_ready(if is_ahead { READY } else { Duration::ZERO });
            let desk = Rc::clone(&self.desk);
            let watch = Watch { clock: self.clock, desk: &desk, tasks, more: Cell::new(more) };
            let waited = async { if naps { timer.nap(wake, &watch).await } else { timer.until(wake).await } };
            tokio::select! {
                biased;
                haste = told(&mut self.stop, heard) => match haste {
                    Haste::Orderly => self.cut_short(),
                    Haste::None | Haste::Soon => return self.drain(&mut timer, tasks).await,
                },
                waited = waited => {
                    waited?;
                    if is_ahead { ready = wake; }
                }
                // After whoever takes turns.
                () = tasks.run() => {}
                _ = anchor.tick() => {}
                () = self.ear.news() => self.adopt(),
                () = desk.idle(), if is_over => {}
            }
        }
    }

    /// Takes what is due by now, and by `ready`, which is now or very near: at most a slice of it; says whether that was all.
    fn dispatch(&mut self, ready: Moment) -> bool {
        let settled = self.settle();
        let mut left = SLICE;
        loop {
            let now = self.clock.now();
            let Some(next) = self.schedule.peek().filter(|next| next.intended <= now.max(ready)) else {
                self.desk.drop_expired(now);
                return true;
            };
            if left == 0 || next.intended > settled {
                return false;
            }
            left -= 1;
            if let Some(arrival) = self.schedule.next() {
                self.due += 1;
                self.taken = arrival.intended;
                self.desk.take(arrival, now);
            }
        }
    }

    /// Takes over changes of the load. Says until when whatever is due then stays so: what is changed after this look is so later.
    fn settle(&mut self) -> Moment {
        let settled = if self.ear.is_open() { self.clock.now().after(LOOK_AHEAD) } else { Moment::FAR };
        self.adopt();
        settled
    }

    /// Takes over changes of the load.
    fn adopt(&mut self) {
        if self.ear.listen(&mut self.loads) {
            self.schedule.adopt(self.loads.present());
        }
    }

    /// Whether a schedule that has nothing more may have again: somebody may change it until its end.
    fn may_go_on(&self, now: Moment) -> bool {
        self.ear.is_open() && self.cut.is_none() && now < self.schedule.open_until()
    }

    /// Nothing is due from now on. What was comes to its usual end.
    fn cut_short(&mut self) {
        let now = self.present();
        self.schedule.cut(now);
        self.cut = Some(now);
    }

    /// When whatever is still unanswered will never be: an arrival may wait for as long as its call may take.
    fn given_up(&self, cut: Moment) -> Moment {
        cut.after(self.plan.run.timeout.saturating_mul(2).saturating_add(GRACE))
    }

    /// When to wake next: for the next arrival, for one that has waited too long, or to hand over.
    fn wake(&mut self, pulse: &Pulse, now: Moment) -> Moment {
        let next = if pulse.economical { self.last_of_bunch() } else { self.next() };
        let paced = next.unwrap_or(Moment::FAR);
        // Until then it may have more, and then it is over.
        let open_until = self.schedule.open_until();
        let paced = if self.ear.is_open() && open_until > now { paced.min(open_until) } else { paced };
        paced.min(self.desk.next_expiry()).min(pulse.hand_over)
    }

    /// When the next arrival is due.
    fn next(&self) -> Option<Moment> {
        self.schedule.peek().map(|next| next.intended)
    }

    /// When the last of those is due that are sent at once with the next arrival; the next one itself as long as that may change.
    fn last_of_bunch(&mut self) -> Option<Moment> {
        let settled = self.settle();
        let next = self.next()?;
        if next.after(QUANTUM) <= settled { self.schedule.last_within(QUANTUM) } else { Some(next) }
    }

    /// Whether to wake for several arrivals at once at this moment's rate.
    fn economical(&self, now: Moment) -> bool {
        match self.plan.run.pacing {
            Pacing::Exact => false,
            Pacing::Economical => true,
            Pacing::Auto => self.loads.rate_at(now) / f64::from(self.plan.run.lanes.get()) > EXACT_UP_TO,
        }
    }

    /// Now, or when the last arrival is due that was taken a little before.
    fn present(&self) -> Moment {
        self.clock.now().max(self.taken)
    }

    /// Whatever is due by `now` and was not sent is dropped.
    fn turn_away(&mut self, now: Moment) {
        while let Some(arrival) = self.schedule.peek().copied().filter(|next| next.intended <= now) {
            self.schedule.next();
            self.due += 1;
            self.desk.turn_away(arrival, now);
        }
        self.desk.drop_waiting();
    }

    /// The run was stopped: what is due but has no room is dropped, what is in flight has a little time to be answered.
    async fn drain(&mut self, timer: &mut Timer, tasks: &Tasks) -> io::Result<Option<Moment>> {
        timer.be_ready(Duration::ZERO);
        let now = self.present();
        self.turn_away(now);
        let end = now.after(DRAIN);
        loop {
            let hand_over = self.clock.now().after(HAND_OVER);
            let outcome = tokio::select! {
                biased;
                () = self.desk.idle() => ControlFlow::Break(Ok(())),
                waited = timer.until(end.min(hand_over)) => match waited {
                    Ok(()) if self.clock.now() < end => ControlFlow::Continue(()),
                    ended => ControlFlow::Break(ended),
                },
                () = tasks.run() => ControlFlow::Continue(()),
            };
            if let ControlFlow::Break(result) = outcome {
                return result.map(|()| Some(self.cut.unwrap_or(now)));
            }
            self.desk.hand_over();
        }
    }
}

/// What a lane that sleeps has to know, and to have done before and after.
struct Watch<'a, D: Driver + 'static> {
    clock: MonotonicClock,
    desk: &'a Desk<D>,
    tasks: &'a Tasks,
    /// Whether the last turn was not enough.
    more: Cell<bool>,
}

impl<D: Driver + 'static> Lookout for Watch<'_, D> {
    fn may_nap(&self) -> bool {
        !self.more.get() && self.desk.may_nap()
    }

    fn look(&self, whom: Whom, until: Moment) -> bool {
        self.desk.look(whom, &|| {
            self.turn();
            self.clock.now() < until
        })
    }

    fn turn(&self) {
        self.more.set(self.tasks.turn());
    }
}

/// Waits until the run is to be stopped with more haste than was heard of: before now, now, or never.
async fn told(stop: &mut watch::Receiver<Haste>, heard: Haste) -> Haste {
    match stop.wait_for(|haste| *haste > heard).await {
        Ok(haste) => *haste,
        // Nobody is left who could stop it.
        Err(_) => std::future::pending().await,
    }
}

/// What recurs in a lane's life.
struct Pulse {
    hand_over: Moment,
    economical: bool,
}

impl Pulse {
    fn new(economical: bool) -> Self {
        Self { hand_over: Moment::ZERO.after(HAND_OVER), economical }
    }

    fn next(&mut self, now: Moment, economical: bool) {
        *self = Self { hand_over: now.after(HAND_OVER), economical };
    }
}
