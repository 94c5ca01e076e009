//! What the runner and its server have in common: what was received, and how to answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Duration;

use super::reply::Form;
use crate::clock::wall;
use crate::figures::truth::Freeze;

/// The most calls whose stamps are kept: the buffer is there before the first of them.
const MOST_STAMPS: usize = 1 << 20;

/// A call as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its JSON-RPC id.
    pub(crate) id: u64,
    /// When the kernel had it, nanoseconds of the wall clock.
    pub(crate) at: u64,
    /// When its answer had been written, by the same clock; 0 where that is not known.
    pub(crate) answered: u64,
}

/// Freezes to come: for so long, every so often, the first at that moment of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freezing {
    pub(crate) first: u64,
    pub(crate) every: u64,
    pub(crate) length: u64,
}

/// One writer, the server's thread; the runner reads.
#[derive(Debug)]
pub(crate) struct Shared {
    calls: AtomicU64,
    connections: AtomicU64,
    ids: Box<[AtomicU64]>,
    stamps: Box<[AtomicU64]>,
    answers: Box<[AtomicU64]>,
    kept: AtomicUsize,
    /// When the last request came that is no call.
    asked_last: AtomicU64,
    body_length: AtomicUsize,
    delay: AtomicU64,
    is_sse: AtomicBool,
    freezing: Mutex<Option<Freezing>>,
    /// Raised with each change of `freezing`, so that the server looks there only then.
    change: AtomicU64,
    frozen: Mutex<Vec<Freeze>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let zeros = || (0..MOST_STAMPS).map(|_| AtomicU64::new(0)).collect();
        Self {
            calls: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            ids: zeros(),
            stamps: zeros(),
            answers: zeros(),
            kept: AtomicUsize::new(0),
            asked_last: AtomicU64::new(0),
            body_length: AtomicUsize::new(0),
            delay: AtomicU64::new(0),
            is_sse: AtomicBool::new(false),
            freezing: Mutex::new(None),
            change: AtomicU64::new(0),
            frozen: Mutex::new(Vec::new()),
        }
    }

    /// Notes a call with its id, and when it came; for the server.
    pub(crate) fn called(&self, call: u64, came: u64, body_length: usize) {
        self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
        self.body_length.store(body_length, Relaxed);
        let kept = self.kept.load(Relaxed);
        if let (Some(id), Some(at)) = (self.ids.get(kept), self.stamps.get(kept)) {
            id.store(call, Relaxed);
            at.store(came, Relaxed);
            self.answers[kept].store(0, Relaxed);
            self.kept.store(kept + 1, Release);
        }
    }

    /// Notes that the last call is answered; for the server.
    pub(crate) fn answered(&self, at: u64) {
        let kept = self.kept.load(Relaxed);
        if let Some(answer) = kept.checked_sub(1).and_then(|last| self.answers.get(last)) {
            answer.store(at, Relaxed);
        }
    }

    /// Notes a new connection; for the server.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Connections that were ever opened.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Notes a request that is no call; for the server.
    pub(crate) fn asked(&self, at: u64) {
        self.asked_last.store(at, Relaxed);
    }

    /// Calls received so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// When the last request came that is no call, nanoseconds of the wall clock.
    pub(crate) fn asked_last(&self) -> u64 {
        self.asked_last.load(Relaxed)
    }

    /// Bytes in the body of the last call.
    pub(crate) fn body_length(&self) -> usize {
        self.body_length.load(Relaxed)
    }

    /// Forgets stamps and freezes. Nobody may be calling.
    pub(crate) fn forget(&self) {
        self.kept.store(0, Release);
        self.frozen().clear();
    }

    /// The first calls since then, as many as fit, in the order in which they were read.
    pub(crate) fn stamps(&self) -> Vec<Stamp> {
        let kept = self.kept.load(Acquire);
        let all = self.ids.iter().zip(&self.stamps).zip(&self.answers).take(kept);
        all.map(|((id, at), answered)| Stamp {
            id: id.load(Relaxed),
            at: at.load(Relaxed),
            answered: answered.load(Relaxed),
        })
        .collect()
    }

    /// How long each answer waits from now on.
    pub(crate) fn answer_after(&self, delay: Duration) {
        self.delay.store(delay.as_nanos() as u64, Relaxed);
    }

    /// How long each answer waits.
    pub(crate) fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay.load(Relaxed))
    }

    /// How calls are answered from now on.
    pub(crate) fn answer_as(&self, form: Form) {
        self.is_sse.store(form == Form::Sse, Relaxed);
    }

    /// How calls are answered.
    pub(crate) fn form(&self) -> Form {
        if self.is_sse.load(Relaxed) { Form::Sse } else { Form::Json }
    }

    /// Freezes from now on, or no more.
    pub(crate) fn freeze(&self, freezing: Option<Freezing>) {
        *self.freezing.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = freezing;
        self.change.fetch_add(1, Release);
    }

    /// How often freezes were changed.
    pub(crate) fn change(&self) -> u64 {
        self.change.load(Acquire)
    }

    /// What was asked for last.
    pub(crate) fn freezing(&self) -> Option<Freezing> {
        *self.freezing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Stands still until `end` on the wall clock, and notes from when to when that really was.
    pub(crate) fn stand_still(&self, end: u64) {
        let from = wall();
        std::thread::sleep(Duration::from_nanos(end.saturating_sub(from)));
        self.frozen().push(Freeze { from, until: wall() });
    }

    /// The freezes that there were.
    pub(crate) fn frozen(&self) -> std::sync::MutexGuard<'_, Vec<Freeze>> {
        self.frozen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
