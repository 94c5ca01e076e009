//! Calls that are no arrivals: sessions opened and closed, the server answered, calls cancelled. None delays an arrival.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::timeout;

use super::connections::Connections;
use super::ending::{Ending, broken, failed, judge};
use super::exchange::{After, Answer, Content, Listener, exchange};
use super::request::{Head, Request, SESSION};
use super::session::Session;
use super::{Connector, Limits};
use crate::mcp::{Negotiated, Revision, initialize, initialized, read_asked, read_introduction, refuse};
use crate::measure::{SideCall, SideKind};
use crate::outcome::Outcome;
use crate::time::{Clock, Moment};
use crate::workload::{FIRST_CALL_ID, Failure};

/// The id of `initialize`, which stands at the beginning of a session of its own.
const INITIALIZE_ID: u64 = 1;
const _: () = assert!(INITIALIZE_ID < FIRST_CALL_ID, "it never meets that of a call");
/// No request has it: an answer to a notification is an answer to nothing.
const NO_ID: u64 = 0;
/// How long an errand may take: as long as a call, but within these.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(10);
/// How many errands may be under way, and at least so many as calls may be in flight.
const MOST_UNDER_WAY: usize = 256;
/// What an answer to a request without a body of ours may be.
const ANY_ANSWER: &str = "application/json, text/event-stream";

/// Makes such calls for one driver, in the background where nobody waits for them.
pub(super) struct Errands<C: Clock> {
    pub(super) connections: Connections<C>,
    /// What `initialize` begins with, and what all else does that is in no session.
    first_head: Head,
    pub(super) head: Head,
    /// What was agreed on; `None` without a handshake, and nothing here is done then.
    pub(super) revision: Option<Revision>,
    limits: Limits,
    made: RefCell<Vec<SideCall>>,
    /// Where errands run: they outlive the calls that they are for.
    place: LocalSet,
    under_way: RefCell<JoinSet<()>>,
    is_driven: Cell<bool>,
    told_of_405: Cell<bool>,
}

/// Whether a connection that had been idle broke before any answer.
struct IsStale(bool);

impl<C: Clock + 'static> Errands<C> {
    /// Errands at the connector's target, after `negotiated`.
    pub(super) fn new(connector: Connector, negotiated: &Negotiated, limits: Limits, clock: C) -> Rc<Self> {
        let without = Negotiated { revision: negotiated.revision, ..Negotiated::default() };
        Rc::new(Self {
            first_head: Head::new(connector.target(), &Negotiated::default()),
            head: Head::new(connector.target(), &without),
            connections: Connections::new(connector, limits, clock),
            revision: negotiated.revision.filter(|revision| !revision.is_modern()),
            limits,
            made: RefCell::default(),
            place: LocalSet::new(),
            under_way: RefCell::default(),
            is_driven: Cell::new(false),
            told_of_405: Cell::new(false),
        })
    }

    /// Whether there is no room for one more in the background that could as well be left out.
    pub(super) fn are_many(&self) -> bool {
        self.under_way.borrow().len() >= self.limits.max_idle.max(MOST_UNDER_WAY)
    }

    /// What was done since this was last asked.
    pub(super) fn take_made(&self) -> Vec<SideCall> {
        let mut under_way = self.under_way.borrow_mut();
        while under_way.try_join_next().is_some() {}
        self.made.take()
    }

    /// Notes a call that was begun at `began` and has ended.
    pub(super) fn note(&self, kind: SideKind, outcome: Outcome, began: Moment) {
        let took = self.connections.now().since(began);
        self.made.borrow_mut().push(SideCall { kind, outcome, took });
    }

    /// Lets `errand` run beside everything else.
    pub(super) fn run(self: &Rc<Self>, errand: impl Future<Output = ()> + 'static) {
        let mut under_way = self.under_way.borrow_mut();
        while under_way.try_join_next().is_some() {}
        let this = Rc::clone(self);
        let awake = async move {
            let _awake = this.connections.naps().stay_awake();
            errand.await;
        };
        under_way.spawn_local_on(awake, &self.place);
        drop(under_way);
        if !self.is_driven.replace(true) {
            let this = Rc::clone(self);
            spawn_local(async move { this.place.run_until(pending::<()>()).await });
        }
    }

    /// Waits for all errands, at most for `patience`, and ends what is under way then.
    pub(super) async fn finish(&self, patience: Duration) {
        let all = async {
            loop {
                let mut under_way = self.under_way.take();
                if under_way.is_empty() {
                    return;
                }
                while under_way.join_next().await.is_some() {}
            }
        };
        let _ = self.place.run_until(timeout(patience, all)).await;
        let mut rest = self.under_way.take();
        self.place.run_until(rest.shutdown()).await;
    }

    /// Opens a session.
    pub(super) async fn open(&self) -> Result<Session, Ending> {
        let began = self.connections.now();
        let opened = timeout(self.patience(), self.shake_hands()).await.unwrap_or_else(|_| {
            let group = format!("no answer to initialize within {:?}", self.patience());
            Err(failed(Outcome::TimeoutNoByte, Failure { example: group.clone(), group }))
        });
        self.note(SideKind::Initialize, opened.as_ref().map_or_else(|(outcome, ..)| *outcome, |_| Outcome::Ok), began);
        opened
    }

    async fn shake_hands(&self) -> Result<Session, Ending> {
        let revision = self.revision.unwrap_or(Revision::NEWEST_WITH_HANDSHAKE);
        let request = self.first_head.post(initialize(INITIALIZE_ID, revision, &json!({})));
        let answer = match self.send_once(request.clone(), INITIALIZE_ID).await {
            // The server closed an idle connection just when it was used again. This moves no money: it is asked once more.
            Err((_, IsStale(true))) => self.send(request, INITIALIZE_ID).await?,
            answer => answer.map_err(|(ending, _)| ending)?,
        };
        let introduced = match &answer.content {
            Content::Result(result, _) => {
                std::str::from_utf8(result.raw()).is_ok_and(|result| read_introduction(result, revision).is_ok())
            }
            _ => false,
        };
        if !introduced {
            let (outcome, _, failure) = judge(answer, false);
            let group = "an answer to initialize that introduces nobody".to_owned();
            return Err(match failure {
                Some(failure) => failed(outcome, failure),
                None => failed(Outcome::InvalidReply, Failure { example: group.clone(), group }),
            });
        }
        let id = answer.headers.get(&SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        // It may be large, and the server may take its time from here on.
        drop(answer);
        let session = Session::new(&self.head, id);
        // Servers answer this with 202, 200 or 204, some with an error: whatever it is, the handshake is over.
        let _ = self.send(session.head.post(initialized()), NO_ID).await;
        Ok(session)
    }

    /// Closes a session, if it is one. A server that does not know it, or lets none be closed, is as good as one that does.
    pub(super) async fn close(&self, session: &Session) {
        if session.id().is_none() {
            return;
        }
        let began = self.connections.now();
        let request = session.head.bare(Method::DELETE, ANY_ANSWER);
        let outcome = match timeout(self.patience(), self.send(request, NO_ID)).await {
            Err(_) => Outcome::TimeoutNoByte,
            Ok(Err((outcome, ..))) => outcome,
            Ok(Ok(answer)) if answer.status == StatusCode::METHOD_NOT_ALLOWED => {
                if !self.told_of_405.replace(true) {
                    tracing::info!("the server does not let sessions be closed (405 to DELETE)");
                }
                Outcome::Ok
            }
            Ok(Ok(answer)) if answer.status.is_success() => Outcome::Ok,
            Ok(Ok(answer)) => match judge(answer, true).0 {
                Outcome::SessionLost => Outcome::Ok,
                other => other,
            },
        };
        self.note(SideKind::Delete, outcome, began);
    }

    /// Answers a message of the server's own in this session, if it is a request; says whether it is.
    pub(super) fn answer(self: &Rc<Self>, head: &Head, message: &Bytes) -> bool {
        let Some(asked) = read_asked(message) else { return false };
        let Some(id) = asked.id else { return false };
        self.connections.naps().asked();
        self.tell(SideKind::Answer, head.post(refuse(id, &asked.method)));
        true
    }

    /// Posts what needs no answer, in the background.
    pub(super) fn tell(self: &Rc<Self>, kind: SideKind, request: Request<'static>) {
        if self.are_many() {
            return;
        }
        let this = Rc::clone(self);
        self.run(async move {
            let began = this.connections.now();
            let outcome = match timeout(this.patience(), this.send(request, NO_ID)).await {
                Err(_) => Outcome::TimeoutNoByte,
                Ok(Err((outcome, ..))) => outcome,
                Ok(Ok(answer)) if answer.status.is_success() => Outcome::Ok,
                Ok(Ok(answer)) => judge(answer, true).0,
            };
            this.note(kind, outcome, began);
        });
    }

    /// Sends a request over any connection, and reads what is answered to `id`.
    async fn send(&self, request: Request<'_>, id: u64) -> Result<Answer, Ending> {
        self.send_once(request, id).await.map_err(|(ending, _)| ending)
    }

    /// The same; a failure says whether it was that of a connection that had been idle.
    async fn send_once(&self, request: Request<'_>, id: u64) -> Result<Answer, (Ending, IsStale)> {
        let mut connection = self.connections.get(None).await.map_err(|ending| (ending, IsStale(false)))?;
        connection.begin_call();
        let mut listener = Listener::default();
        let answer = exchange(&mut connection, request, id, self.limits.max_reply_bytes, &mut listener).await;
        let (stamps, is_reused) = (connection.stamps(), connection.is_reused);
        let mut answer = answer.map_err(|error| {
            let ending = broken(&error, is_reused, stamps);
            let is_stale = is_reused && stamps.1.is_none() && ending.0 == Outcome::Disconnected;
            (ending, IsStale(is_stale))
        })?;
        let after = std::mem::replace(&mut answer.after, After::Close);
        self.connections.keep(connection, after, answer.done);
        Ok(answer)
    }

    /// How long an errand may take.
    fn patience(&self) -> Duration {
        self.limits.timeout.clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }
}
