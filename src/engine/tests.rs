//! The engine against drivers that answer from memory: where each arrival ends up, whatever the driver does.

use std::cell::Cell;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::*;
use crate::measure::{Accounting, Phase, Scope};
use crate::outcome::Outcome;
use crate::plan::{Draft, Faults, FlowDraft, Load};
use crate::workload::{Call, Reply, Stamps};

/// What a scripted driver does with every call.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers at once.
    Prompt,
    /// Never answers.
    Silent,
    /// Gives way to others some times, then answers.
    Slow,
    /// Panics on every tenth call.
    Broken,
}

struct Scripted {
    manner: Manner,
    clock: MonotonicClock,
    calls: Cell<u64>,
}

impl Driver for Scripted {
    async fn call(&self, _: &Call) -> Reply {
        let sent = Some(self.clock.now());
        self.calls.set(self.calls.get() + 1);
        match self.manner {
            Manner::Prompt => {}
            Manner::Silent => std::future::pending().await,
            Manner::Slow => {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
            Manner::Broken => assert!(!self.calls.get().is_multiple_of(10), "the driver breaks, as told"),
        }
        let stamps = Stamps { sent, first_byte: sent, done: self.clock.now() };
        let result = Bytes::from_static(br#"{"structuredContent":{"payment_id":"p","balance":1,"status":"ok"}}"#);
        Reply { outcome: Outcome::Ok, stamps, result, failure: None }
    }

    fn tidy(&self) {}

    fn connections(&self) -> usize {
        7
    }

    fn bytes(&self) -> (u64, u64) {
        (self.calls.get(), 0)
    }
}

fn plan(load: &str, change: impl FnOnce(&mut Draft)) -> Plan {
    let load = Load { profile: Some(load.parse().unwrap()), ..Load::default() };
    let flow = FlowDraft {
        mix: vec![("get_wallet_balance".to_owned(), 1.0)],
        load,
        arrivals: Some("constant".to_owned()),
        ..FlowDraft::default()
    };
    let mut draft = Draft { flows: vec![flow], ..Draft::default() };
    change(&mut draft);
    draft.check(1, Faults::default()).unwrap()
}

fn go(plan: &Plan, manner: Manner, observe: impl FnMut(&Summary, Moment) -> ControlFlow<()>) -> Ended {
    let identity = RunIdentity { run_id: "test".to_owned(), started_unix_ms: 0 };
    let setup = Setup { identity, bounds: Bounds::default(), stop: Stop::new() };
    run(plan, &setup, |clock| Scripted { manner, clock, calls: Cell::new(0) }, observe).unwrap()
}

fn accounts(ended: &Ended) -> Accounting {
    let accounting = ended.summary.accounting();
    assert!(accounting.balanced(), "{accounting:?}");
    assert_eq!((accounting.waiting, accounting.in_flight), (0, 0));
    assert_eq!(ended.summary.due, Some(accounting.scheduled), "every arrival that was due was picked up");
    accounting
}

#[test]
fn every_arrival_of_the_schedule_is_answered_once_and_none_is_early() {
    let ended = go(&plan("1000/s for 200ms, 0/s for 50ms, 400/s for 100ms", |_| {}), Manner::Prompt, carry_on);
    assert_eq!(accounts(&ended).answered, 240);
    let tally = ended.summary.tally(Scope::Total, Some(Phase::Measure));
    assert_eq!((tally.ok(), tally.pacing_lag.len(), tally.dispatch_lag.len()), (240, 240, 240));
    assert_eq!(tally.quantile(1.0).unwrap(), crate::measure::Quantile::Finite(tally.response_time.max().unwrap()));
    assert_eq!(ended.summary.gauges.connections, 7);
    assert_eq!(ended.summary.gauges.bytes_sent, 240);
    assert_eq!(ended.summary.until, Moment::from_nanos(350_000_000));
}

#[test]
fn the_lanes_together_send_the_schedule_of_one_lane() {
    let three = plan("900/s for 200ms", |draft| draft.lanes = NonZeroU32::new(3));
    let ended = go(&three, Manner::Prompt, carry_on);
    assert_eq!(accounts(&ended).answered, 180);
    assert_eq!(ended.summary.gauges.connections, 21);
}

#[test]
fn what_finds_no_room_waits_with_its_intended_start_and_is_dropped_after_the_timeout() {
    let narrow = plan("1000/s for 100ms", |draft| {
        draft.concurrent = NonZeroU32::new(5);
        draft.timeout = Some(Duration::from_millis(50));
    });
    let mut most_waiting = 0;
    let stop = std::cell::RefCell::new(0);
    let ended = go(&narrow, Manner::Silent, |summary, _| {
        most_waiting = most_waiting.max(summary.gauges.waiting);
        *stop.borrow_mut() += 1;
        if *stop.borrow() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let accounting = accounts(&ended);
    // The driver never ends a call: five stay in flight until the run is stopped and are abandoned, the others never had room.
    assert_eq!((accounting.scheduled, accounting.answered), (100, 0));
    assert_eq!((accounting.abandoned, accounting.dropped), (5, 95));
}

#[test]
fn a_crowd_in_a_narrow_room_is_served_to_the_last() {
    let narrow = plan("5000/s for 100ms", |draft| draft.concurrent = NonZeroU32::new(2));
    let ended = go(&narrow, Manner::Slow, carry_on);
    assert_eq!(accounts(&ended).answered, 500);
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_unaccounted_for() {
    let long = plan("2000/s for 1h", |_| {});
    let ended = go(&long, Manner::Prompt, |summary, _| {
        if summary.accounting().scheduled > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let accounting = accounts(&ended);
    assert!(accounting.answered > 0 && accounting.scheduled < 3_600_000, "{accounting:?}");
    assert!(ended.summary.until < Moment::from_nanos(3_600_000_000_000));
}

#[test]
fn a_run_that_was_stopped_before_it_began_sends_next_to_nothing() {
    let plan = plan("1000/s for 1h", |_| {});
    let identity = RunIdentity { run_id: "test".to_owned(), started_unix_ms: 0 };
    let setup = Setup { identity, bounds: Bounds::default(), stop: Stop::new() };
    setup.stop.now();
    let ended = run(&plan, &setup, |clock| Scripted { manner: Manner::Prompt, clock, calls: Cell::new(0) }, carry_on);
    assert!(accounts(&ended.unwrap()).scheduled < 60_000);
}

#[test]
fn a_call_that_panics_is_abandoned_and_the_run_goes_on() {
    let ended = go(&plan("1000/s for 100ms", |_| {}), Manner::Broken, carry_on);
    let accounting = accounts(&ended);
    assert_eq!((accounting.answered, accounting.abandoned), (90, 10));
}

#[test]
fn a_lane_that_breaks_down_is_told_and_its_arrivals_are_missed() {
    let plan = plan("1000/s for 100ms", |_| {});
    let identity = RunIdentity { run_id: "test".to_owned(), started_unix_ms: 0 };
    let setup = Setup { identity, bounds: Bounds::default(), stop: Stop::new() };
    let broken = |_: MonotonicClock| -> Scripted { panic!("no driver, as told") };
    let ended = run(&plan, &setup, broken, carry_on).unwrap();
    assert_eq!(ended.lost_lanes, ["the lane's thread panicked"]);
    assert_eq!((ended.summary.due, ended.summary.accounting().scheduled), (Some(100), 0));
}

#[test]
fn warm_up_is_kept_apart_by_intended_time() {
    let warm = plan("1000/s for 200ms", |draft| draft.warmup = Some(Duration::from_millis(50)));
    let ended = go(&warm, Manner::Prompt, carry_on);
    let count = |phase| ended.summary.tally(Scope::Total, Some(phase)).answered();
    assert_eq!((count(Phase::Warmup), count(Phase::Measure)), (50, 150));
}

fn carry_on(_: &Summary, _: Moment) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn room_is_shared_out_to_the_last_place() {
    let shares: Vec<_> = (0..3).map(|index| share_of_room(10, index, 3)).collect();
    assert_eq!(shares, [4, 3, 3]);
}
