//! The engine against drivers that answer from memory: where each arrival ends up, whatever the driver does.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use crate::measure::{Accounting, Phase, Scope, SideKind};
use crate::outcome::Outcome;
use crate::plan::{Draft, Faults, FlowDraft, Load, Pacing, Warmup};
use crate::time::Rate;
use crate::workload::{Call, FIRST_CALL_ID, Reply, Stamps, ToolResult};

/// What a scripted driver does with every call.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    /// Answers at once.
    Prompt,
    /// The same, and the lane may sleep through its replies.
    Drowsy,
    /// Never answers.
    Silent,
    /// Gives way to others some times, then answers.
    Slow,
    /// Panics on every tenth call.
    Broken,
    /// Answers the first call after 200 ms and the others at once.
    Frozen,
    /// Answers the first call after 900 ms and the others at once.
    Patient,
    /// Holds the whole lane up for 200 ms in the first call, and answers the others at once.
    Stalling,
    /// Panics on the first call after 50 ms.
    Fragile,
}

pub(super) struct Scripted {
    manner: Manner,
    clock: MonotonicClock,
    calls: Cell<u64>,
    closed: Cell<bool>,
    /// The calls by their ids, and when each was made.
    pub(super) made: Made,
}

pub(super) type Made = Arc<Mutex<Vec<(u64, Moment)>>>;

pub(super) fn scripted(manner: Manner, clock: MonotonicClock) -> Scripted {
    Scripted { manner, clock, calls: Cell::new(0), closed: Cell::new(false), made: Made::default() }
}

impl Driver for Scripted {
    async fn call(&self, call: &Call) -> Reply {
        let now = self.clock.now();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push((call.id, now));
        let sent = Some(now);
        self.calls.set(self.calls.get() + 1);
        match self.manner {
            Manner::Prompt | Manner::Drowsy => {}
            Manner::Silent => std::future::pending().await,
            Manner::Slow => {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
            Manner::Frozen | Manner::Patient | Manner::Stalling | Manner::Fragile if self.calls.get() > 1 => {}
            Manner::Frozen => pause(200).await,
            Manner::Patient => pause(900).await,
            Manner::Stalling => std::thread::sleep(Duration::from_millis(200)),
            Manner::Fragile => {
                pause(50).await;
                panic!("the first call breaks, as told");
            }
            Manner::Broken => assert!(!self.calls.get().is_multiple_of(10), "the driver breaks, as told"),
        }
        let stamps = Stamps { sent, first_byte: sent, done: self.clock.now(), retry_after: None };
        let result = ToolResult::read(&br#"{"structuredContent":{"payment_id":"p","balance":1,"status":"ok"}}"#[..]);
        Reply { outcome: Outcome::Ok, stamps, result, failure: None, connection: None }
    }

    fn begin_wait(&self, may: bool) -> bool {
        may && self.may_nap()
    }

    fn may_nap(&self) -> bool {
        matches!(self.manner, Manner::Drowsy)
    }

    async fn close(&self) {
        // It has the lane's runtime to itself, and what it does then is still counted.
        tokio::task::spawn_local(async {}).await.unwrap();
        self.closed.set(true);
    }

    fn take_side_calls(&self) -> Vec<SideCall> {
        let kind = if self.closed.take() { SideKind::Delete } else { SideKind::Cancel };
        vec![SideCall { kind, outcome: Outcome::Ok, took: Duration::from_millis(1) }]
    }

    fn tidy(&self) {}

    fn connections(&self) -> usize {
        7
    }

    fn bytes(&self) -> (u64, u64) {
        (self.calls.get(), 0)
    }
}

pub(super) fn plan(load: &str, change: impl FnOnce(&mut Draft)) -> Plan {
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

/// What a run needs that nobody disturbs, with no warm-up.
pub(super) fn setup() -> Setup {
    Setup {
        identity: RunIdentity { run_id: "test".to_owned(), started_unix_ms: 0 },
        bounds: Bounds::default(),
        side_calls: Vec::new(),
        sightings: Sightings::default(),
        events: Sightings::default(),
        stop: Stop::new(),
        steering: None,
        warmup: Moment::ZERO.into(),
    }
}

fn go(plan: &Plan, manner: Manner, observe: impl FnMut(&Summary, Moment) -> ControlFlow<()>) -> Ended {
    go_until(plan, manner, plan.latest_warmup().into(), observe)
}

fn go_until(
    plan: &Plan,
    manner: Manner,
    warmup: WarmupEnd,
    observe: impl FnMut(&Summary, Moment) -> ControlFlow<()>,
) -> Ended {
    let setup = Setup { warmup, ..setup() };
    run(plan, &setup, |_, clock| scripted(manner, clock), observe).unwrap()
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
fn an_economical_lane_sends_what_is_due_soon_after_each_other_at_once_and_neither_sleep_nor_pacing_loses_any() {
    for (manner, pacing) in [Manner::Prompt, Manner::Drowsy]
        .into_iter()
        .flat_map(|manner| [Pacing::Exact, Pacing::Economical].map(|pacing| (manner, pacing)))
    {
        let ended = go(&plan("10000/s for 300ms", |draft| draft.pacing = Some(pacing)), manner, carry_on);
        assert_eq!(accounts(&ended).answered, 3000);
        let lag = ended.summary.tally(Scope::Total, None).pacing_lag.value_at_quantile(0.7).unwrap();
        // Four are due within 360 µs: the second has waited for 200.
        assert!(pacing == Pacing::Exact || lag >= Duration::from_micros(190), "{lag:?}");
    }
}

#[test]
fn what_is_made_ready_before_it_is_due_is_not_sent_before_it_is() {
    for manner in [Manner::Prompt, Manner::Drowsy] {
        let made = Made::default();
        let plan = plan("1000/s for 300ms", |draft| draft.pacing = Some(Pacing::Exact));
        let driver = |_, clock| Scripted { made: Arc::clone(&made), ..scripted(manner, clock) };
        assert_eq!(accounts(&run(&plan, &setup(), driver, carry_on).unwrap()).answered, 300);
        let made = made.lock().unwrap();
        let due: Vec<_> = Schedule::new(&plan, Shard::WHOLE).map(|arrival| arrival.intended).collect();
        assert_eq!(made.len(), due.len());
        for (id, at) in made.iter() {
            let due = due[(id - FIRST_CALL_ID) as usize];
            assert!(*at >= due, "{id}: made at {at:?}, due at {due:?}");
        }
    }
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
fn a_run_that_is_ended_in_order_awaits_what_was_due_and_expects_no_more() {
    let long = plan("100/s for 1h", |draft| draft.concurrent = NonZeroU32::new(1));
    // The first call takes 900 ms; what waits behind it is due before the end and is sent after it.
    let ended = go(&long, Manner::Patient, |_, _| ControlFlow::Break(()));
    let accounting = accounts(&ended);
    assert!(accounting.answered > 20 && accounting.answered == accounting.scheduled, "{accounting:?}");
    let until = ended.summary.until.as_secs_f64();
    assert!(until < 0.9, "{until}");
    let cells = ended.summary.tally(Scope::Total, Some(Phase::Measure)).timeline;
    let expected: f64 = cells.cells().map(|cell| cell.expected).sum();
    assert!((expected - 100.0 * until).abs() < 1e-6, "{expected} in {until} s");
}

#[test]
fn a_run_that_was_stopped_before_it_began_sends_next_to_nothing() {
    let plan = plan("1000/s for 1h", |_| {});
    let setup = setup();
    setup.stop.now();
    let ended = run(&plan, &setup, |_, clock| scripted(Manner::Prompt, clock), carry_on);
    assert!(accounts(&ended.unwrap()).scheduled < 60_000);
}

#[test]
fn a_call_that_panics_is_missed_in_the_accounts_and_the_run_goes_on_with_those_that_wait() {
    for concurrent in [1, 1000] {
        let plan = plan("1000/s for 100ms", |draft| draft.concurrent = NonZeroU32::new(concurrent));
        let accounting = go(&plan, Manner::Broken, carry_on).summary.accounting();
        assert_eq!((accounting.scheduled, accounting.answered, accounting.abandoned), (100, 90, 0));
        assert_eq!((accounting.waiting, accounting.in_flight, accounting.balanced()), (0, 0, false));
    }
}

#[test]
fn nothing_is_sent_before_the_run_begins() {
    let bucket = plan("100/s for 100ms", |draft| {
        draft.flows[0].arrivals = Some("token-bucket".to_owned());
        draft.flows[0].burst = NonZeroU32::new(5);
    });
    let ended = go(&bucket, Manner::Slow, carry_on);
    let tally = ended.summary.tally(Scope::Total, Some(Phase::Measure));
    // The first five are due at zero, where the clock stands until then: a call that began earlier would take no time.
    assert!(tally.response_time.min().unwrap() > Duration::ZERO);
    assert!(tally.pacing_lag.min().unwrap() > Duration::ZERO);
}

#[test]
fn a_lane_that_breaks_down_is_told_and_its_arrivals_are_missed() {
    let plan = plan("1000/s for 100ms", |_| {});
    let setup = setup();
    let broken = |_: u32, _: MonotonicClock| -> Scripted { panic!("no driver, as told") };
    let ended = run(&plan, &setup, broken, carry_on).unwrap();
    assert_eq!(ended.lost_lanes, ["the lane's thread panicked"]);
    assert_eq!((ended.summary.due, ended.summary.accounting().scheduled), (Some(100), 0));
}

#[test]
fn a_lane_closes_its_driver_after_its_calls_and_what_is_no_arrival_is_counted_apart() {
    for manner in [Manner::Prompt, Manner::Silent] {
        let plan = plan("1000/s for 100ms", |draft| {
            draft.lanes = NonZeroU32::new(2);
            draft.timeout = Some(Duration::from_millis(50));
        });
        let mut seen = false;
        let ended = go(&plan, manner, |_, now| {
            seen = now > Moment::from_nanos(700_000_000);
            if seen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let side_calls = &ended.summary.side_calls;
        assert_eq!(side_calls.get(SideKind::Delete).map(|tally| tally.time.len()), Some(2), "once a lane");
        assert_eq!(accounts(&ended).scheduled, 100);
    }
}

#[test]
fn warm_up_is_kept_apart_by_intended_time() {
    let warm = plan("1000/s for 200ms", |draft| draft.warmup = Some(Warmup::For(Duration::from_millis(50))));
    let ended = go(&warm, Manner::Prompt, carry_on);
    let count = |phase| ended.summary.tally(Scope::Total, Some(phase)).answered();
    assert_eq!((count(Phase::Warmup), count(Phase::Measure)), (50, 150));
}

#[test]
fn a_warm_up_that_is_brought_forward_ends_there_in_every_lane_and_nothing_is_counted_twice() {
    let mut warm = plan("1000/s for 1s", |draft| draft.warmup = Some(Warmup::For(Duration::from_millis(900))));
    warm.run.lanes = NonZeroU32::new(2).unwrap();
    let end = WarmupEnd::from(warm.latest_warmup());
    let decide = |_: &Summary, now: Moment| {
        end.bring_forward(now.after(Duration::from_millis(200)));
        ControlFlow::Continue(())
    };
    let ended = go_until(&warm, Manner::Prompt, end.clone(), decide);
    let at = end.moment().as_nanos();
    assert!((500_000_000..=900_000_000).contains(&at), "{at}");
    // The arrivals are due half a millisecond into each.
    let before = (0..1000).filter(|n| n * 1_000_000 + 500_000 < at).count() as u64;
    let tally = |phase| ended.summary.tally(Scope::Total, Some(phase));
    assert_eq!((tally(Phase::Warmup).answered(), tally(Phase::Measure).answered()), (before, 1000 - before));
    let expected = |phase| tally(phase).timeline.cells().map(|cell| cell.expected).sum::<f64>();
    assert!((expected(Phase::Warmup) - at as f64 / 1e6).abs() < 1e-6, "{}", expected(Phase::Warmup));
    assert!((expected(Phase::Measure) - (1e3 - at as f64 / 1e6)).abs() < 1e-6);
    assert_eq!((ended.summary.warmup, accounts(&ended).scheduled), (end.moment(), 1000));
}

fn carry_on(_: &Summary, _: Moment) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn room_is_shared_out_to_the_last_place() {
    let shares: Vec<_> = (0..3).map(|index| share_of_room(10, index, 3)).collect();
    assert_eq!(shares, [4, 3, 3]);
}

async fn pause(ms: u64) {
    let never: std::future::Pending<()> = std::future::pending();
    let _elapsed = tokio::time::timeout(Duration::from_millis(ms), never).await;
}

#[test]
fn response_times_of_what_had_to_wait_for_room_count_from_when_it_was_due() {
    let ended = go(&plan("1000/s for 100ms", |draft| draft.concurrent = NonZeroU32::new(1)), Manner::Frozen, carry_on);
    assert_eq!(accounts(&ended).answered, 100);
    let tally = ended.summary.tally(Scope::Total, Some(Phase::Measure));
    // The n-th arrival was due n ms after the first, and all are answered once the first is, after 200 ms.
    assert!(tally.response_time.min().unwrap() >= Duration::from_millis(100), "{:?}", tally.response_time.min());
    assert!(tally.dispatch_lag.max().unwrap() >= Duration::from_millis(195), "{:?}", tally.dispatch_lag.max());
    assert!(tally.pacing_lag.value_at_quantile(0.5).unwrap() < Duration::from_millis(50));
    assert!(tally.pacing_lag.max().unwrap() > Duration::ZERO, "a lag is measured and not assumed");
}

#[test]
fn what_waits_is_dropped_at_its_timeout_while_the_run_goes_on() {
    let narrow = plan("1000/s for 100ms, 10/s for 900ms", |draft| {
        draft.concurrent = NonZeroU32::new(5);
        draft.timeout = Some(Duration::from_millis(50));
    });
    let mut looks = 0;
    let mut dropped = 0;
    go(&narrow, Manner::Silent, |summary, _| {
        looks += 1;
        if looks <= 2 {
            dropped = summary.accounting().dropped;
        }
        if looks > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(dropped >= 95, "{dropped} dropped before anybody stopped the run");
}

#[test]
fn what_waits_behind_a_call_that_panics_is_served() {
    let ended = go(&plan("1000/s for 20ms", |draft| draft.concurrent = NonZeroU32::new(1)), Manner::Fragile, carry_on);
    let accounting = ended.summary.accounting();
    assert_eq!((accounting.answered, accounting.waiting, accounting.in_flight), (19, 0, 0));
}

#[test]
fn a_lane_that_cannot_keep_up_is_still_seen() {
    let hopeless = plan("10000000/s for 1h", |_| {});
    let mut seen = 0;
    let mut looks = 0;
    go(&hopeless, Manner::Prompt, |summary, _| {
        looks += 1;
        seen = summary.accounting().scheduled;
        if seen > 0 || looks > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(seen > 0, "nothing was handed over in {looks} looks");
}

#[test]
fn response_times_of_what_a_stalled_lane_sends_late_count_from_when_it_was_due() {
    let ended = go(&plan("1000/s for 100ms", |_| {}), Manner::Stalling, carry_on);
    assert_eq!(accounts(&ended).answered, 100);
    let tally = ended.summary.tally(Scope::Total, Some(Phase::Measure));
    // All that was due within the stall, which was all but the first, was due at least 100 ms before its end.
    assert!(tally.response_time.min().unwrap() >= Duration::from_millis(95), "{:?}", tally.response_time.min());
    assert!(tally.pacing_lag.value_at_quantile(0.5).unwrap() >= Duration::from_millis(95));
}

#[test]
fn a_load_that_is_changed_is_the_same_for_one_lane_and_for_three() {
    for (lanes, pacing) in [(1, Pacing::Exact), (3, Pacing::Exact), (1, Pacing::Economical), (3, Pacing::Economical)] {
        let plan = plan("200/s for 1500ms", |draft| {
            draft.lanes = NonZeroU32::new(lanes);
            draft.pacing = Some(pacing);
        });
        let steering = Steering::new(&plan);
        assert_eq!(steering.change(Act::Pause), Err(Refused::NotYet));
        let setup = Setup { steering: Some(steering.clone()), ..setup() };
        let mut changes = Vec::new();
        let ended = run(
            &plan,
            &setup,
            |_, clock| scripted(Manner::Prompt, clock),
            |_, _| {
                if changes.is_empty() {
                    for act in [Act::Rate(Rate::per_second(777.0).unwrap()), Act::Pause, Act::Resume] {
                        changes.push(steering.change(act).unwrap());
                    }
                }
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        assert_eq!(changes.len(), 3);
        let mut loads = Loads::of(&plan);
        loads.adopt(&changes);
        let mut whole = Schedule::new(&plan, Shard::WHOLE);
        whole.adopt(loads.present());
        assert_eq!(accounts(&ended).answered, whole.count() as u64, "{lanes} lanes, {pacing:?}");
        let expected: f64 = ended.summary.tally(Scope::Total, None).timeline.cells().map(|c| c.expected).sum();
        assert!((expected - loads.present()[0].expected()).abs() < 1e-6, "{expected}");
        assert_eq!(ended.summary.until, Moment::from_nanos(1_500_000_000));
        assert_eq!(steering.change(Act::Stop), Err(Refused::Over));
    }
}

#[test]
fn a_run_that_was_changed_as_often_as_can_be_is_still_resumed_and_stopped() {
    let steering = Steering::new(&plan("200/s for 1h", |_| {}));
    steering.begin(MonotonicClock::starting_in(Duration::ZERO));
    let rate = Act::Rate(Rate::per_second(50.0).unwrap());
    let acts = [rate].into_iter().chain([Act::Pause, Act::Resume].into_iter().cycle().take(998)).chain([Act::Pause]);
    assert!(acts.into_iter().all(|act| steering.change(act).is_ok()));
    assert_eq!(steering.change(rate), Err(Refused::TooMany));
    assert!(steering.change(Act::Resume).is_ok());
    assert_eq!(steering.change(Act::Pause), Err(Refused::TooMany));
    assert!(steering.change(Act::Stop).is_ok());
}
