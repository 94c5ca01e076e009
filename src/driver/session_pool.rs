//! The sessions that one driver's calls share: taken in turn, and each opened again once where the server has lost it.
//!
//! Nothing here opens anything: the pool says who is to be opened, and is told what came of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::session::Session;
use crate::time::Moment;

/// A session is opened again at most this often.
const BETWEEN_OPENINGS: Duration = Duration::from_secs(1);

/// Sessions, each in its own slot.
pub(super) struct SessionPool<F> {
    slots: RefCell<Vec<Slot>>,
    /// Whose turn it is.
    next: Cell<usize>,
    /// Slots without a session.
    lost: Cell<usize>,
    /// Why an opening failed last, and how often one has failed.
    failure: RefCell<Option<F>>,
    failures: Cell<u64>,
    changed: Notify,
}

/// A place for a session.
struct Slot {
    session: Option<Rc<Session>>,
    is_opening: bool,
    /// Not to be opened before.
    not_before: Moment,
}

/// A slot of a pool that is to be opened now, by whoever holds this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ToOpen(usize);

impl<F: Clone> SessionPool<F> {
    /// A pool of these sessions.
    pub(super) fn new(sessions: Vec<Session>) -> Self {
        let slot = |session| Slot { session: Some(Rc::new(session)), is_opening: false, not_before: Moment::ZERO };
        Self {
            slots: RefCell::new(sessions.into_iter().map(slot).collect()),
            next: Cell::new(0),
            lost: Cell::new(0),
            failure: RefCell::new(None),
            failures: Cell::new(0),
            changed: Notify::new(),
        }
    }

    /// The next session in turn; `None` where there is none at present.
    pub(super) fn take(&self) -> Option<Rc<Session>> {
        let slots = self.slots.borrow();
        for _ in 0..slots.len() {
            let place = self.next.get();
            self.next.set(if place + 1 < slots.len() { place + 1 } else { 0 });
            if let Some(session) = &slots[place].session {
                return Some(Rc::clone(session));
            }
        }
        None
    }

    /// Whether a session is lost that is not open again yet.
    pub(super) const fn has_lost(&self) -> bool {
        self.lost.get() > 0
    }

    /// A session that is lost, that nobody opens again yet, and whose time for that has come.
    pub(super) fn to_open(&self, now: Moment) -> Option<ToOpen> {
        if self.lost.get() == 0 {
            return None;
        }
        let mut slots = self.slots.borrow_mut();
        let is_due = |slot: &Slot| slot.session.is_none() && !slot.is_opening && slot.not_before <= now;
        let place = slots.iter().position(is_due)?;
        slots[place].is_opening = true;
        slots[place].not_before = now.after(BETWEEN_OPENINGS);
        Some(ToOpen(place))
    }

    /// Notes that the server does not know `session` any more; says whether that was news.
    pub(super) fn lose(&self, session: &Rc<Session>) -> bool {
        let mut slots = self.slots.borrow_mut();
        let held = |slot: &&mut Slot| slot.session.as_ref().is_some_and(|ours| Rc::ptr_eq(ours, session));
        let Some(slot) = slots.iter_mut().find(held) else { return false };
        slot.session = None;
        self.lost.set(self.lost.get() + 1);
        true
    }

    /// Notes what came of opening a session.
    pub(super) fn opened(&self, ToOpen(place): ToOpen, session: Result<Session, F>) {
        let mut slots = self.slots.borrow_mut();
        slots[place].is_opening = false;
        match session {
            Ok(session) => {
                slots[place].session = Some(Rc::new(session));
                self.lost.set(self.lost.get() - 1);
            }
            Err(why) => {
                self.failures.set(self.failures.get() + 1);
                *self.failure.borrow_mut() = Some(why);
            }
        }
        self.changed.notify_waiters();
    }

    /// How often an opening has failed.
    pub(super) const fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// Why an opening failed last.
    pub(super) fn failure(&self) -> Option<F> {
        self.failure.borrow().clone()
    }

    /// How long it is at most until there is something new: an opening that ends, or one that may begin.
    pub(super) fn patience(&self, now: Moment) -> Duration {
        let slots = self.slots.borrow();
        let next = slots.iter().filter(|slot| !slot.is_opening).map(|slot| slot.not_before).min();
        // Where all are being opened, somebody will tell.
        next.map_or(BETWEEN_OPENINGS, |next| next.since(now).max(Duration::from_millis(1)))
    }

    /// Waits until an opening has ended.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    /// Takes all sessions out.
    pub(super) fn take_all(&self) -> Vec<Rc<Session>> {
        let mut slots = self.slots.borrow_mut();
        let all: Vec<_> = slots.iter_mut().filter_map(|slot| slot.session.take()).collect();
        self.lost.set(slots.len());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn session(id: &str) -> Session {
        Session::for_tests(id)
    }

    fn pool(ids: &[&str]) -> SessionPool<&'static str> {
        SessionPool::new(ids.iter().map(|id| session(id)).collect())
    }

    fn taken(pool: &SessionPool<&'static str>) -> Option<String> {
        pool.take().and_then(|session| session.id().map(str::to_owned))
    }

    #[test]
    fn sessions_are_taken_in_turn() {
        let pool = pool(&["a", "b", "c"]);
        let turns: Vec<_> = (0..7).filter_map(|_| taken(&pool)).collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b", "c", "a"]);
        assert_eq!(pool.to_open(at(5)), None);
    }

    #[test]
    fn a_session_is_lost_once_and_opened_once_however_many_calls_lost_it() {
        let pool = pool(&["a", "b"]);
        let (first, again) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.lose(&first) && !pool.lose(&first));
        let slot = pool.to_open(at(0)).unwrap();
        assert_eq!(pool.to_open(at(5_000)), None, "it is being opened");
        assert_eq!((taken(&pool).as_deref(), taken(&pool).as_deref()), (Some("b"), Some("b")));
        pool.opened(slot, Ok(session("c")));
        assert_eq!((taken(&pool).as_deref(), taken(&pool).as_deref()), (Some("c"), Some("b")));
        assert!(!pool.lose(&first), "the old one is gone already");
        assert!(pool.lose(&again));
    }

    #[test]
    fn an_opening_that_failed_is_tried_again_a_second_later_and_not_before() {
        let pool = pool(&["a"]);
        pool.lose(&pool.take().unwrap());
        let slot = pool.to_open(at(100)).unwrap();
        assert_eq!(taken(&pool), None);
        pool.opened(slot, Err("refused"));
        assert_eq!((pool.failures(), pool.failure()), (1, Some("refused")));
        assert_eq!((pool.to_open(at(1_099)), pool.patience(at(1_000))), (None, Duration::from_millis(100)));
        assert_eq!(pool.to_open(at(1_100)), Some(slot));
        pool.opened(slot, Ok(session("b")));
        assert_eq!(taken(&pool).as_deref(), Some("b"));
    }

    #[test]
    fn a_server_that_loses_each_session_at_once_is_asked_for_one_a_second() {
        let pool = pool(&["a"]);
        let mut openings = 0;
        for ms in 0..10_000 {
            if let Some(session) = pool.take() {
                pool.lose(&session);
            }
            if let Some(slot) = pool.to_open(at(ms)) {
                openings += 1;
                pool.opened(slot, Ok(session("x")));
            }
        }
        assert_eq!(openings, 10);
    }

    #[test]
    fn what_is_taken_out_is_not_given_out() {
        let pool = pool(&["a", "b"]);
        assert_eq!(pool.take_all().len(), 2);
        assert_eq!(taken(&pool), None);
    }
}
