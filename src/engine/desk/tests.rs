//! A desk alone, without a lane: places are left whatever becomes of a call, and nothing is sent early.

use tokio::task::LocalSet;

use super::*;
use crate::arrival::FlowId;
use crate::engine::tests::{Manner, Scripted, plan, scripted, setup};
use crate::engine::{compile, traces};
use crate::measure::{Phase, Tally};
use crate::workload::OperationId;

/// Where recorders go.
type Filled = mpsc::Receiver<(u32, Box<Recorder>)>;

/// A desk with one place in flight, and where its recorder goes at last.
fn desk(clock: MonotonicClock) -> (Rc<Desk<Scripted>>, Filled) {
    let (plan, setup) = (plan("10/s for 1s", |_| {}), setup());
    let workload = compile(&plan, setup.identity.clone()).traced(traces(&plan, &setup));
    let shape = Shape { flows: 1, operations: plan.operations.len() as u16, ..Shape::default() };
    let recorder = Box::new(Recorder::new(&shape, Moment::ZERO));
    let ((full, filled), (_, cleared)) = (mpsc::channel(), mpsc::channel());
    let exchange = Exchange { lane: 0, full, cleared };
    let room = Room::for_calls(1);
    let driver = scripted(Manner::Prompt, clock);
    (Desk::new(driver, clock, Duration::from_secs(1), room, workload, recorder, exchange), filled)
}

fn arrival(sequence: u64, intended: Moment) -> Arrival {
    Arrival { flow: FlowId(0), sequence, intended }
}

/// Scheduled, answered and abandoned arrivals, once the desk has handed over.
fn counts(desk: &Desk<Scripted>, filled: &Filled) -> (u64, u64, u64) {
    desk.hand_over_last();
    let (_, recorder) = filled.recv().unwrap();
    let of = |tally: &Tally| (tally.scheduled, tally.answered(), tally.abandoned);
    recorder.tallies().find(|(.., phase, _)| *phase == Phase::Measure).map_or((0, 0, 0), |(.., tally)| of(tally))
}

fn run<F: Future>(tasks: &LocalSet, future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tasks.block_on(&runtime, future)
}

#[test]
fn a_call_whose_making_panics_leaves_its_place_and_those_that_wait_are_served() {
    let clock = MonotonicClock::starting_in(Duration::ZERO);
    let (desk, filled) = desk(clock);
    let tasks = LocalSet::new();
    run(&tasks, async {
        let now = clock.now();
        let unmakeable = Choice { operation: OperationId(999), substituted: false };
        let broken = Taken { arrival: arrival(7, now), choice: unmakeable, picked_up: now };
        desk.start(broken);
        assert!(desk.is_idle());
        desk.take(arrival(0, now), now);
        desk.waiting.borrow_mut().push_back(broken);
        desk.take(arrival(1, now), now);
        assert_eq!((desk.in_flight.get(), desk.waiting.borrow().len()), (1, 2));
        desk.idle().await;
    });
    assert!(desk.is_idle());
    assert_eq!(counts(&desk, &filled), (2, 2, 0));
}

#[test]
fn a_call_that_was_made_and_never_begun_is_abandoned() {
    let clock = MonotonicClock::starting_in(Duration::ZERO);
    let (desk, filled) = desk(clock);
    let tasks = LocalSet::new();
    run(&tasks, async { desk.take(arrival(0, clock.now()), clock.now()) });
    assert_eq!(desk.in_flight.get(), 1);
    drop(tasks);
    assert!(desk.is_idle());
    assert_eq!(counts(&desk, &filled), (1, 0, 1));
}

#[test]
fn a_call_that_a_resting_task_was_given_and_never_began_is_abandoned() {
    let clock = MonotonicClock::starting_in(Duration::ZERO);
    let (desk, filled) = desk(clock);
    let tasks = LocalSet::new();
    run(&tasks, async {
        desk.take(arrival(0, clock.now()), clock.now());
        for _ in 0..1000 {
            if !desk.resting.borrow().is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        desk.take(arrival(1, clock.now()), clock.now());
    });
    assert_eq!((desk.in_flight.get(), desk.resting.borrow().len()), (1, 0));
    drop(tasks);
    assert!(desk.is_idle());
    assert_eq!(counts(&desk, &filled), (2, 1, 1));
}

#[test]
fn what_was_taken_ahead_and_had_to_wait_is_not_sent_before_it_is_due() {
    let clock = MonotonicClock::starting_in(Duration::ZERO);
    let (desk, filled) = desk(clock);
    let tasks = LocalSet::new();
    let due = clock.now().after(Duration::from_millis(20));
    run(&tasks, async {
        let now = clock.now();
        desk.take(arrival(0, now), now);
        desk.take(arrival(1, due), now);
        desk.idle().await;
    });
    let made = desk.driver.made.lock().unwrap();
    assert_eq!(made.len(), 2);
    assert!(made[0].1 < due && made[1].1 >= due, "{made:?}, due at {due:?}");
    assert_eq!(counts(&desk, &filled), (2, 2, 0));
}
