//! Which session a call is in: one of a pool, one of its own, or none.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::ending::{Ending, failed};
use super::errands::Errands;
use super::session::Session;
use super::session_pool::SessionPool;
use crate::mcp::{GROUP_CHARS, cut};
use crate::measure::SideKind;
use crate::outcome::Outcome;
use crate::time::Clock;
use crate::workload::Failure;

/// How many sessions of single calls may wait to be closed, beside those in use.
const MOST_CLOSING: usize = 64;
/// How long errands may still take when the calls have ended, and closing the pool's sessions after that.
const LAST_ERRANDS: Duration = Duration::from_secs(3);
const LAST_CLOSING: Duration = Duration::from_secs(2);

/// How a driver's calls are put into sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// Without any.
    Without,
    /// In these in turn, which whoever opened them closes.
    Pool(Vec<String>),
    /// Each in one of its own, opened for it and closed after it.
    PerCall,
}

/// The sessions of one driver.
pub(super) enum Keeper<C: Clock> {
    Without,
    Pool(Rc<SessionPool<Ending>>),
    PerCall(Rc<Errands<C>>, Arc<Semaphore>),
}

/// A session of one call, which is closed in the background when this is dropped.
pub(super) struct OwnSession<C: Clock + 'static> {
    errands: Rc<Errands<C>>,
    held: Option<(Session, OwnedSemaphorePermit)>,
}

impl<C: Clock + 'static> Keeper<C> {
    /// The keeper of `sessions` for a driver with room for so many calls in flight.
    pub(super) fn new(sessions: Sessions, errands: &Rc<Errands<C>>, in_flight: usize) -> Self {
        match sessions {
            Sessions::Pool(ids) if !ids.is_empty() => {
                let sessions = ids.into_iter().map(|id| Session::lent(&errands.head, id)).collect();
                Self::Pool(Rc::new(SessionPool::new(sessions)))
            }
            Sessions::Pool(_) | Sessions::Without => Self::Without,
            Sessions::PerCall => {
                let most = in_flight.saturating_add(MOST_CLOSING).min(Semaphore::MAX_PERMITS);
                Self::PerCall(Rc::clone(errands), Arc::new(Semaphore::new(most)))
            }
        }
    }

    /// Closes what was opened here.
    pub(super) async fn close(&self, errands: &Rc<Errands<C>>) {
        errands.finish(LAST_ERRANDS).await;
        if let Self::Pool(pool) = self {
            for session in pool.take_all().into_iter().filter(|session| session.is_own) {
                let this = Rc::clone(errands);
                errands.run(async move { this.close(&session).await });
            }
            errands.finish(LAST_CLOSING).await;
        }
    }
}

/// Notes that the server has lost `session`, and lets it be opened again.
pub(super) fn lose<C: Clock + 'static>(
    pool: &Rc<SessionPool<Ending>>,
    session: &Rc<Session>,
    errands: &Rc<Errands<C>>,
) {
    if pool.lose(session) && session.is_own {
        // Another replica of the server may know it still.
        let (this, session) = (Rc::clone(errands), Rc::clone(session));
        errands.run(async move { this.close(&session).await });
    }
    open_lost(pool, errands);
}

/// Opens a session of the pool again that is lost, where the time for that has come.
pub(super) fn open_lost<C: Clock + 'static>(pool: &Rc<SessionPool<Ending>>, errands: &Rc<Errands<C>>) {
    let Some(slot) = pool.to_open(errands.connections.now()) else { return };
    let (pool, this) = (Rc::clone(pool), Rc::clone(errands));
    errands.run(async move {
        let opened = this.open().await;
        pool.opened(slot, opened);
    });
}

/// Waits for a session of the pool, which has none at present: until one is opened, or an opening fails.
pub(super) async fn wait<C: Clock + 'static>(
    pool: &Rc<SessionPool<Ending>>,
    errands: &Rc<Errands<C>>,
) -> Result<Rc<Session>, Ending> {
    let before = pool.failures();
    loop {
        open_lost(pool, errands);
        if let Some(session) = pool.take() {
            return Ok(session);
        }
        if let Some((outcome, _, failure)) = pool.failure().filter(|_| pool.failures() > before) {
            // That the server answered somebody else is no answer to this call.
            let outcome = if outcome.is_complete_reply() { Outcome::SessionLost } else { outcome };
            return Err(failed(outcome, without_session(failure)));
        }
        let patience = pool.patience(errands.connections.now());
        let _ = timeout(patience, pool.changed()).await;
    }
}

fn without_session(why: Option<Failure>) -> Failure {
    let why = why.unwrap_or_else(|| Failure { group: String::new(), example: String::new() });
    Failure { group: cut(&format!("lost, and no new session: {}", why.group), GROUP_CHARS), example: why.example }
}

/// Opens a session for one call. Whoever loses patience leaves it to be closed once it is open.
pub(super) async fn open_own<C: Clock + 'static>(
    errands: &Rc<Errands<C>>,
    room: &Arc<Semaphore>,
) -> Result<OwnSession<C>, Ending> {
    let Ok(permit) = Arc::clone(room).acquire_owned().await else { pending().await };
    let (give, given) = oneshot::channel();
    let this = Rc::clone(errands);
    errands.run(async move {
        let opened = this.open().await;
        let own = opened.map(|session| OwnSession { errands: this, held: Some((session, permit)) });
        let _ = give.send(own);
    });
    given.await.unwrap_or_else(|_| {
        let group = "the session was given up at the end of the run".to_owned();
        Err(failed(Outcome::Disconnected, Failure { example: group.clone(), group }))
    })
}

impl<C: Clock + 'static> OwnSession<C> {
    /// The session.
    pub(super) fn session(&self) -> Option<&Session> {
        self.held.as_ref().map(|(session, _)| session)
    }
}

impl<C: Clock + 'static> Drop for OwnSession<C> {
    fn drop(&mut self) {
        let Some((session, permit)) = self.held.take() else { return };
        let this = Rc::clone(&self.errands);
        self.errands.run(async move {
            this.close(&session).await;
            drop(permit);
        });
    }
}

impl<C: Clock + 'static> Errands<C> {
    /// Tells the server of a call in `session` that it was given up, where it could still be at it.
    pub(super) fn cancel(self: &Rc<Self>, session: &Session, id: u64) {
        if session.id().is_some() {
            self.tell(SideKind::Cancel, session.head.post(crate::mcp::cancelled(id)));
        }
    }
}
