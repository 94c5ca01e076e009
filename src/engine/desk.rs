//! A lane's desk: who may be called now, who waits for room, and what became of each arrival.
//!
//! Every arrival that was taken has exactly one place here: waiting, in flight, or recorded.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::MonotonicClock;
use super::notes::Notes;
use super::pace::hold;
use super::truth;
use crate::arrival::Arrival;
use crate::driver::{Driver, Whom};
use crate::measure::{FailureText, Fate, Gauges, Recorder, Sample, Shape};
use crate::time::{Clock, Moment};
use crate::workload::{Call, Captures, Choice, Reply, Workload};

/// How many arrivals may wait for each one that may be in flight, and at least so many in all.
const WAITING_PER_PLACE: usize = 10;
const WAITING_AT_LEAST: usize = 100_000;
/// How many tasks wait for arrivals at most; each is some kilobytes of memory that need not be had and made ready anew.
const MOST_RESTING: usize = 64;

/// The state that a lane's loop and its calls share.
pub(super) struct Desk<D: Driver + 'static> {
    driver: D,
    clock: MonotonicClock,
    timeout: Duration,
    room: Room,
    work: RefCell<Work>,
    waiting: RefCell<VecDeque<Taken>>,
    in_flight: Cell<usize>,
    /// Tasks that wait for something to serve, the one that served last at the end: its memory is at hand.
    resting: RefCell<Vec<Rc<Hand<D>>>>,
    idle: Notify,
    notes: RefCell<Notes>,
    exchange: Exchange,
}

/// Limits of one lane.
pub(super) struct Room {
    in_flight: usize,
    waiting: usize,
}

impl Room {
    /// Room for so many calls in flight, and for a bounded number that wait.
    pub(super) fn for_calls(in_flight: usize) -> Self {
        Self { in_flight, waiting: in_flight.saturating_mul(WAITING_PER_PLACE).max(WAITING_AT_LEAST) }
    }
}

/// Where full recorders go, and cleared ones come from.
pub(super) struct Exchange {
    pub(super) lane: u32,
    pub(super) full: mpsc::Sender<(u32, Box<Recorder>)>,
    pub(super) cleared: mpsc::Receiver<Box<Recorder>>,
}

struct Work {
    workload: Workload,
    captures: Captures,
}

/// An arrival that the lane took.
#[derive(Clone, Copy)]
struct Taken {
    arrival: Arrival,
    choice: Choice,
    /// When the lane took it; before it is due where its call is still to be made ready.
    picked_up: Moment,
}

/// An arrival in flight with its call made. Those that are due together are made one after the other, and then sent so: what each takes
/// of the processor's caches is there for the next.
struct Job<D: Driver + 'static> {
    ticket: Ticket<D>,
    call: Call,
}

/// Where a task takes its jobs from: the task itself holds the one that it serves, and not those that it served or will.
struct Hand<D: Driver + 'static> {
    next: RefCell<Option<Job<D>>>,
    waker: Cell<Option<Waker>>,
}

impl<D: Driver + 'static> Hand<D> {
    fn with(job: Job<D>) -> Rc<Self> {
        Rc::new(Self { next: RefCell::new(Some(job)), waker: Cell::new(None) })
    }

    fn give(&self, job: Job<D>) {
        self.next.replace(Some(job));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn take(&self) -> Option<Job<D>> {
        self.next.borrow_mut().take()
    }

    /// Waits until there is something to take.
    async fn given(&self) {
        poll_fn(|cx| {
            if self.next.borrow().is_some() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

impl<D: Driver + 'static> Desk<D> {
    pub(super) fn new(
        driver: D,
        clock: MonotonicClock,
        timeout: Duration,
        room: Room,
        workload: Workload,
        recorder: Box<Recorder>,
        exchange: Exchange,
    ) -> Rc<Self> {
        let captures = workload.captures();
        Rc::new(Self {
            driver,
            clock,
            timeout,
            room,
            work: RefCell::new(Work { workload, captures }),
            waiting: RefCell::default(),
            in_flight: Cell::new(0),
            resting: RefCell::default(),
            idle: Notify::new(),
            notes: RefCell::new(Notes::of(recorder)),
            exchange,
        })
    }

    /// Takes an arrival that is due, or will be in a moment: calls at once where there is room, lets it wait where there is not, drops it where
    /// too many wait.
    pub(super) fn take(self: &Rc<Self>, arrival: Arrival, now: Moment) {
        // What has to wait is as good as due.
        let now = if self.has_room() { now } else { now.max(arrival.intended) };
        let taken = self.pick_up(arrival, now);
        if self.has_room() {
            self.start(taken);
        } else if self.waiting.borrow().len() < self.room.waiting {
            self.waiting.borrow_mut().push_back(taken);
        } else {
            self.record(&taken, Fate::Dropped, None);
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight.get() < self.room.in_flight
    }

    fn start(self: &Rc<Self>, taken: Taken) {
        let Some(job) = self.job(taken) else { return };
        let resting = self.resting.borrow_mut().pop();
        match resting {
            Some(hand) => hand.give(job),
            None => drop(tokio::task::spawn_local(Rc::clone(self).work(Hand::with(job)))),
        }
    }

    /// Gives an arrival a place in flight and makes its call; `None` where that panics: what was to become of it is not known then.
    fn job(self: &Rc<Self>, taken: Taken) -> Option<Job<D>> {
        let ticket = Ticket::of(self, taken);
        let make = || {
            let Work { workload, captures } = &mut *self.work.borrow_mut();
            workload.call(&taken.arrival, taken.choice, captures)
        };
        if let Ok(call) = catch_unwind(AssertUnwindSafe(make)) {
            return Some(Job { ticket, call });
        }
        ticket.close();
        None
    }

    /// A task that serves one arrival after the other, for as long as there are not too many like it.
    async fn work(self: Rc<Self>, hand: Rc<Hand<D>>) {
        loop {
            self.serve(&hand).await;
            if self.resting.borrow().len() >= MOST_RESTING {
                return;
            }
            self.resting.borrow_mut().push(Rc::clone(&hand));
            hand.given().await;
        }
    }

    /// Gives room that a call left behind without serving the next (it panicked) to those that wait.
    pub(super) fn fill_room(self: &Rc<Self>) {
        while self.has_room() {
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(taken) => self.start(taken),
                None => return,
            }
        }
    }

    /// Takes an arrival that is due, only to drop it.
    pub(super) fn turn_away(&self, arrival: Arrival, now: Moment) {
        let taken = self.pick_up(arrival, now);
        self.record(&taken, Fate::Dropped, None);
    }

    fn pick_up(&self, arrival: Arrival, now: Moment) -> Taken {
        let Work { workload, captures } = &mut *self.work.borrow_mut();
        let choice = workload.choose(&arrival, captures);
        let series = (arrival.flow.0, choice.operation.0);
        let mut notes = self.notes.borrow_mut();
        if now < arrival.intended {
            notes.scheduled(series, arrival.intended);
        } else {
            notes.picked_up(series, arrival.intended, now);
        }
        Taken { arrival, choice, picked_up: now }
    }

    /// Calls for the arrival at hand, and then for those that wait.
    async fn serve(self: &Rc<Self>, hand: &Hand<D>) {
        loop {
            let Some(Job { mut ticket, call }) = hand.take() else { return };
            ticket.taken.picked_up = self.hold(&ticket.taken);
            let mut reply = self.driver.call(&call).await;
            {
                let Work { workload, captures } = &mut *self.work.borrow_mut();
                let lesson = workload.learn(&ticket.taken.arrival, &call, &mut reply, captures);
                truth::count(self.notes.borrow_mut().truth(), call.operation, lesson);
            }
            ticket.answered(&reply);
            hand.next.replace(self.next_waiting());
        }
    }

    /// Waits until it is due, which is now or in a moment, and says when it was picked up: as late as it is released then, so that whatever
    /// came between is the generator's.
    fn hold(&self, taken: &Taken) -> Moment {
        let Taken { arrival, choice, picked_up } = *taken;
        if picked_up > arrival.intended {
            return picked_up;
        }
        hold(self.clock, arrival.intended);
        if picked_up == arrival.intended {
            // It had to wait, and was counted as picked up in time.
            return picked_up;
        }
        let now = self.clock.now();
        self.notes.borrow_mut().released((arrival.flow.0, choice.operation.0), arrival.intended, now);
        now
    }

    /// The arrival that has waited longest, of those that have not waited too long.
    fn next_waiting(self: &Rc<Self>) -> Option<Job<D>> {
        if self.waiting.borrow().is_empty() {
            return None;
        }
        self.drop_expired(self.clock.now());
        loop {
            let taken = self.waiting.borrow_mut().pop_front()?;
            if let Some(job) = self.job(taken) {
                return Some(job);
            }
        }
    }

    /// One call less is in flight.
    fn leave(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            self.idle.notify_waiters();
        }
    }

    /// Drops the arrivals that have waited for room as long as a call may take.
    pub(super) fn drop_expired(&self, now: Moment) {
        while self.next_expiry() <= now {
            let expired = self.waiting.borrow_mut().pop_front();
            if let Some(taken) = expired {
                self.record(&taken, Fate::Dropped, None);
            }
        }
    }

    /// When the arrival that has waited longest is to be dropped.
    pub(super) fn next_expiry(&self) -> Moment {
        self.waiting.borrow().front().map_or(Moment::FAR, |taken| taken.picked_up.after(self.timeout))
    }

    /// Drops every arrival that waits.
    pub(super) fn drop_waiting(&self) {
        for taken in self.waiting.take() {
            self.record(&taken, Fate::Dropped, None);
        }
    }

    /// Notes that a wait begins, and says whether the lane may sleep through it if nothing else forbids that.
    pub(super) fn begin_wait(&self, may_nap: bool) -> bool {
        self.driver.begin_wait(may_nap && self.has_room_for_unseen())
    }

    /// Whether it still may.
    pub(super) fn may_nap(&self) -> bool {
        self.has_room_for_unseen() && self.driver.may_nap()
    }

    /// As [`Driver::look`].
    pub(super) fn look(&self, whom: Whom, turn: &dyn Fn() -> bool) -> bool {
        self.driver.look(whom, turn)
    }

    /// Whether nobody waits for the room of replies that were not looked at, nor will soon.
    fn has_room_for_unseen(&self) -> bool {
        self.in_flight.get() <= self.room.in_flight / 2 && self.waiting.borrow().is_empty()
    }

    /// Whether nothing waits and nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0 && self.waiting.borrow().is_empty()
    }

    /// Waits until nothing is in flight. Something waits then only where a call panicked.
    pub(super) async fn idle(&self) {
        while self.in_flight.get() > 0 {
            self.idle.notified().await;
        }
    }

    fn record(&self, taken: &Taken, fate: Fate, failure: Option<FailureText<'_>>) {
        let sample = Sample {
            flow: taken.arrival.flow.0,
            operation: taken.choice.operation.0,
            sequence: taken.arrival.sequence,
            substituted: taken.choice.substituted,
            intended: taken.arrival.intended,
            picked_up: taken.picked_up,
            fate,
        };
        self.notes.borrow_mut().ended(&sample, failure);
    }

    /// Lets the driver take back what it opened. What is in flight has been given up.
    pub(super) async fn close(&self) {
        self.driver.close().await;
    }

    fn record_side_calls(&self) {
        for call in self.driver.take_side_calls() {
            self.notes.borrow_mut().recorder().record_side_call(&call);
        }
    }

    /// Hands the recorder over for a cleared one; keeps it where the collector has none to give yet.
    pub(super) fn hand_over(&self) {
        self.driver.tidy();
        self.record_side_calls();
        if let Ok(mut cleared) = self.exchange.cleared.try_recv() {
            let full = {
                let mut notes = self.notes.borrow_mut();
                cleared.go_on_from(notes.recorder());
                notes.replace(cleared)
            };
            self.send(full);
        }
    }

    /// Hands over whatever was recorded last. The lane's life ends with this.
    pub(super) fn hand_over_last(&self) {
        self.record_side_calls();
        let unexplained = Workload::conclude(&mut self.work.borrow_mut().captures);
        truth::count_findings(self.notes.borrow_mut().truth(), unexplained);
        let nothing = Box::new(Recorder::new(&Shape::default(), Moment::ZERO));
        let full = self.notes.borrow_mut().replace(nothing);
        self.send(full);
    }

    fn send(&self, mut full: Box<Recorder>) {
        let (sent, received) = self.driver.bytes();
        full.gauges = Gauges {
            in_flight: self.in_flight.get() as u64,
            waiting: self.waiting.borrow().len() as u64,
            connections: self.driver.connections() as u64,
            bytes_sent: sent,
            bytes_received: received,
        };
        // The collector outlives its lanes; were it gone, nobody would be left to tell.
        drop(self.exchange.full.send((self.exchange.lane, full)));
    }
}

/// An arrival's place in flight. Dropped without an answer, it is abandoned; but where a panic dropped it, what became of it is
/// not known, and the accounts, which then do not add up, say so.
struct Ticket<D: Driver + 'static> {
    desk: Rc<Desk<D>>,
    taken: Taken,
    open: bool,
}

impl<D: Driver + 'static> Ticket<D> {
    fn of(desk: &Rc<Desk<D>>, taken: Taken) -> Self {
        desk.in_flight.set(desk.in_flight.get() + 1);
        Self { desk: Rc::clone(desk), taken, open: true }
    }

    fn answered(self, reply: &Reply) {
        let stamps = reply.stamps;
        let fate = Fate::Answered {
            sent: stamps.sent,
            first_byte: stamps.first_byte,
            done: stamps.done,
            outcome: reply.outcome,
        };
        let failure = reply.failure.as_deref().map(|failure| FailureText {
            group: &failure.group,
            example: &failure.example,
            retry_after: stamps.retry_after,
        });
        self.desk.record(&self.taken, fate, failure);
        self.close();
    }

    /// Leaves the place; what became of the arrival was said, or will never be.
    fn close(mut self) {
        self.open = false;
    }
}

impl<D: Driver + 'static> Drop for Ticket<D> {
    fn drop(&mut self) {
        if self.open && !std::thread::panicking() {
            self.desk.record(&self.taken, Fate::Abandoned, None);
        }
        self.desk.leave();
    }
}

#[cfg(test)]
mod tests;
