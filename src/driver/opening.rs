//! Sessions that are opened before a run and closed after it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::errands::Errands;
use super::session::Session;
use super::{Connector, Limits};
use crate::mcp::Negotiated;
use crate::measure::SideCall;
use crate::time::Clock;

/// How many sessions are opened or closed at once: a server is not to be knocked over before the run.
const AT_ONCE: usize = 4;
/// How long those that are being opened may take when it is to be stopped.
const AFTER_STOP: Duration = Duration::from_secs(2);

/// What came of opening sessions.
#[derive(Debug, Default)]
pub struct Opened {
    /// Their names.
    pub sessions: Vec<String>,
    /// Why there are not more, where there are less than were asked for.
    pub refused: Option<String>,
    /// The calls that this took.
    pub side_calls: Vec<SideCall>,
}

/// Opens `count` sessions at the connector's target in the manner of `negotiated`, a few at a time, each within `patience`.
/// It ends early with the first that the server refuses, and soon after `stop` is ready.
pub async fn open_sessions<C: Clock + 'static>(
    connector: &Connector,
    negotiated: &Negotiated,
    count: usize,
    (patience, clock): (Duration, C),
    stop: impl Future<Output = ()>,
) -> Opened {
    let limits = Limits { timeout: patience, ..Limits::default() };
    let errands = Errands::new(connector.clone(), negotiated, limits, clock);
    let left = Rc::new(Cell::new(count));
    let opened = Rc::new(RefCell::new(Opened::default()));
    let mut workers = JoinSet::new();
    let place = LocalSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let (errands, left, opened) = (Rc::clone(&errands), Rc::clone(&left), Rc::clone(&opened));
        workers.spawn_local_on(async move { open_some(&errands, &left, &opened).await }, &place);
    }
    let all = async {
        let is_stopped = tokio::select! {
            () = async { while workers.join_next().await.is_some() {} } => false,
            () = stop => true,
        };
        if is_stopped {
            left.set(0);
            let _ = timeout(AFTER_STOP, async { while workers.join_next().await.is_some() {} }).await;
        }
        workers.shutdown().await;
    };
    place.run_until(all).await;
    let mut opened = opened.take();
    opened.side_calls = errands.take_made();
    opened
}

async fn open_some<C: Clock + 'static>(errands: &Errands<C>, left: &Cell<usize>, opened: &RefCell<Opened>) {
    while let Some(fewer) = left.get().checked_sub(1) {
        left.set(fewer);
        let refused = match errands.open().await.map(Session::into_id) {
            Ok(Some(id)) => {
                opened.borrow_mut().sessions.push(id);
                continue;
            }
            Ok(None) => "it opened none".to_owned(),
            Err((outcome, _, failure)) => failure.map_or_else(|| outcome.to_string(), |failure| failure.example),
        };
        left.set(0);
        opened.borrow_mut().refused.get_or_insert(refused);
    }
}

/// Closes sessions at the connector's target, a few at a time and all within `patience`; says which calls that took.
pub async fn close_sessions<C: Clock + 'static>(
    connector: &Connector,
    negotiated: &Negotiated,
    sessions: &[String],
    (patience, clock): (Duration, C),
) -> Vec<SideCall> {
    let limits = Limits { timeout: patience, ..Limits::default() };
    let errands = Errands::new(connector.clone(), negotiated, limits, clock);
    let left: Rc<RefCell<Vec<Session>>> =
        Rc::new(RefCell::new(sessions.iter().map(|id| Session::new(&errands.head, Some(id.clone()))).collect()));
    let place = LocalSet::new();
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE.min(sessions.len()) {
        let (errands, left) = (Rc::clone(&errands), Rc::clone(&left));
        let work = async move {
            let next = || left.borrow_mut().pop();
            while let Some(session) = next() {
                errands.close(&session).await;
            }
        };
        workers.spawn_local_on(work, &place);
    }
    let _ = place.run_until(timeout(patience, async { while workers.join_next().await.is_some() {} })).await;
    place.run_until(workers.shutdown()).await;
    errands.take_made()
}
