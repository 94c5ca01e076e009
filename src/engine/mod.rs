//! DO IT: lanes that send what is due, and a collector that adds up what they saw.
//!
//! One lane is one thread with its own runtime, its own part of the schedule, its own connections and its own recorder;
//! lanes share nothing while they run. Twice a second each swaps its recorder for a cleared one, and the collector, on
//! the caller's thread, adds the full one to the summary and shows that to an observer. The engine knows no verdict: the
//! observer may tell it to stop.

mod clock;
mod desk;
mod expected;
mod host;
mod lane;
#[cfg(any(test, target_os = "linux"))]
mod lead;
mod notes;
mod pace;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
mod schedule;
mod steering;
mod tasks;
#[cfg(test)]
mod tests;
mod truth;
mod vigil;

use std::io;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

pub use clock::{MonotonicClock, unix_millis};
pub use host::{descriptors, local_ports};
pub use pace::lateness;
pub use steering::{Act, Change, Course, Refused, Steering};

use crate::arrival::Shard;
use crate::driver::Driver;
use crate::measure::{Bounds, Event, Gauges, Recorder, Shape, SideCall, Stretch, Summary, Usage, WarmupEnd};
use crate::plan::Plan;
use crate::time::{Clock, Moment};
use crate::trace::Traces;
use crate::workload::{Mix, OperationId, RunIdentity, Workload};
use desk::{Desk, Exchange, Room};
use expected::Expected;
use host::HostWatch;
use lane::{HAND_OVER, Lane};
use schedule::Schedule;
use steering::{Ear, Loads};

/// How long lanes have to come up before the first arrival is due.
const LEAD: Duration = Duration::from_millis(20);

/// How a run is to end before its schedule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    /// Not at all.
    #[default]
    None,
    /// As if the schedule were at its end: everything that is due is sent and awaited, or dropped after the timeout.
    Orderly,
    /// What waits is dropped, what is in flight has five seconds to be answered.
    Soon,
}

/// Ends a run early.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<Haste>>);

impl Stop {
    /// A run that goes on until its schedule ends or it is stopped.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Haste::None)))
    }

    /// Stops the run, now: what waits is dropped, what is in flight has five seconds to be answered.
    pub fn now(&self) {
        self.0.send_replace(Haste::Soon);
    }

    /// Ends the schedule, now: nothing more is due, and what was due comes to the end that it would have come to.
    pub fn in_order(&self) {
        self.0.send_if_modified(|haste| std::mem::replace(haste, Haste::Orderly.max(*haste)) == Haste::None);
    }

    /// Whether the run was stopped, in either way.
    pub fn is_told(&self) -> bool {
        *self.0.borrow() != Haste::None
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// Where whoever looks at the run from beside it puts what was seen, on its way to the summary.
#[derive(Clone, Debug)]
pub struct Sightings<T = Usage>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Sightings<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Sightings<T> {
    /// Notes what was just seen.
    pub fn note(&self, seen: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }

    /// Takes all that was noted.
    fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a run needs beside its plan.
pub struct Setup {
    /// What tells this run from another of the same plan.
    pub identity: RunIdentity,
    /// The buckets that the exporter wants counted.
    pub bounds: Bounds,
    /// The calls that were made to open what the lanes use.
    pub side_calls: Vec<SideCall>,
    /// What is seen of the target's process while the run goes on.
    pub sightings: Sightings,
    /// What happens to the run while it goes on; the engine adds what it finds out itself.
    pub events: Sightings<Event>,
    /// How the run can be ended early.
    pub stop: Stop,
    /// How its load can be changed while it goes on, where that is wanted.
    pub steering: Option<Steering>,
    /// When warm-up ends; whoever watches the run may bring it forward.
    pub warmup: WarmupEnd,
}

/// A run that ended.
#[derive(Debug)]
pub struct Ended {
    /// All that was measured.
    pub summary: Summary,
    /// Lanes that could not go on, each with the reason. Their arrivals are missing from the summary, which says so.
    pub lost_lanes: Vec<String>,
}

/// Carries out `plan`: each lane makes its driver with `make_driver`, which is told the
/// lane's number, `observe` is shown the summary so far about twice a
/// second, and ends the schedule by breaking; what was due until then is still awaited.
///
/// # Errors
/// Operating-system errors while the lanes are made: nothing was sent then.
///
/// # Panics
/// Where the plan's operations do not compile, which checking the plan has ruled out.
pub fn run<D: Driver + 'static>(
    plan: &Plan,
    setup: &Setup,
    make_driver: impl Fn(u32, MonotonicClock) -> D + Sync,
    mut observe: impl FnMut(&Summary, Moment) -> ControlFlow<()>,
) -> io::Result<Ended> {
    let lanes = plan.run.lanes.get();
    let shape = Shape {
        flows: plan.flows.len() as u16,
        operations: plan.operations.len() as u16,
        bounds: setup.bounds.clone(),
        slowest: plan.run.slowest as usize,
        traces: traces(plan, setup),
    };
    let clock = MonotonicClock::starting_in(LEAD);
    setup.steering.iter().for_each(|steering| steering.begin(clock));
    let recorder = || Box::new(Recorder::new(&shape, setup.warmup.clone()));
    let (full, filled) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let mut returns = Vec::new();
        let mut threads = Vec::new();
        for index in 0..lanes {
            let (cleared, empties) = mpsc::channel();
            drop(cleared.send(recorder()));
            returns.push(cleared);
            let exchange = Exchange { lane: index, full: full.clone(), cleared: empties };
            let first = recorder();
            let make_driver = &make_driver;
            let tell = tell.clone();
            let work = move || {
                // Told before anything else, and by nobody later: whoever waits for it waits for microseconds.
                drop((tell.send(host::this_thread()), tell));
                lane_thread(plan, setup, clock, make_driver, first, exchange)
            };
            let thread = thread::Builder::new().name(format!("lane-{index}")).spawn_scoped(scope, work);
            // The lanes before this one would else carry out their part for nobody.
            threads.push(thread.inspect_err(|_| setup.stop.now())?);
        }
        drop((full, tell));
        let host = HostWatch::new(told.iter().flatten());
        let mut collector = Collector::new(plan, clock, setup, returns, host);
        setup.side_calls.iter().for_each(|call| collector.summary.note_side_call(call, &setup.bounds));
        collector.collect(&filled, setup, &mut observe);
        let ends = threads.into_iter().map(|thread| match thread.join() {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err("the lane's thread panicked".to_owned()),
        });
        Ok(collector.end(ends.collect(), plan, setup))
    })
}

/// How a lane ended well.
#[derive(Clone, Copy, Debug)]
struct LaneEnd {
    /// Arrivals that were due in its part of the schedule.
    due: u64,
    /// When it saw that the run was stopped, after which nothing more was due.
    stopped: Option<Moment>,
}

fn lane_thread<D: Driver + 'static>(
    plan: &Plan,
    setup: &Setup,
    clock: MonotonicClock,
    make_driver: impl Fn(u32, MonotonicClock) -> D,
    recorder: Box<Recorder>,
    exchange: Exchange,
) -> io::Result<LaneEnd> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let index = exchange.lane;
    let room = Room::for_calls(share_of_room(plan.run.concurrent.get(), index, plan.run.lanes.get()));
    let workload = compile(plan, setup.identity.clone()).in_lane(index).traced(traces(plan, setup));
    let desk = Desk::new(make_driver(index, clock), clock, plan.run.timeout, room, workload, recorder, exchange);
    let lane = Lane {
        plan,
        clock,
        schedule: Schedule::new(plan, Shard { index, count: plan.run.lanes }),
        loads: Loads::of(plan),
        ear: Ear::of(setup.steering.as_ref()),
        due: 0,
        taken: Moment::ZERO,
        desk: Rc::clone(&desk),
        stop: setup.stop.0.subscribe(),
        cut: None,
    };
    runtime.block_on(lane.run())
}

/// The traces that calls tell, where the plan wants it.
fn traces(plan: &Plan, setup: &Setup) -> Option<Traces> {
    plan.run.trace.then(|| Traces::of_run(&setup.identity.run_id))
}

/// `concurrent` shared out over the lanes, the first ones getting what is left over.
fn share_of_room(concurrent: u32, index: u32, lanes: u32) -> usize {
    (concurrent / lanes + u32::from(index < concurrent % lanes)) as usize
}

fn compile(plan: &Plan, identity: RunIdentity) -> Workload {
    let place = |name: &str| plan.operations.iter().position(|o| o.name == name).map(|at| OperationId(at as u16));
    let mix = |flow: &crate::plan::Flow| {
        let weights: Vec<_> = flow.mix.iter().filter_map(|(name, weight)| Some((place(name)?, *weight))).collect();
        Mix::new(&weights).expect("a checked plan's weights are a mix")
    };
    let mixes = plan.flows.iter().map(mix).collect();
    let workload = Workload::new(&plan.operations, mixes, plan.seed, identity);
    let workload = workload.expect("a checked and completed plan's operations compile");
    let workload = workload.reading_elsewhere(plan.truth.read_elsewhere).probing(plan.truth.probe_idempotency);
    workload.checking_output(plan.truth.check_output)
}

/// Adds up what the lanes hand over.
struct Collector {
    summary: Summary,
    clock: MonotonicClock,
    warmup: WarmupEnd,
    expected: Expected,
    loads: Loads,
    ear: Ear,
    gauges: Vec<Gauges>,
    returns: Vec<mpsc::Sender<Box<Recorder>>>,
    host: HostWatch,
    clocks: vigil::Clocks,
    answers: vigil::Answers,
}

impl Collector {
    fn new(
        plan: &Plan,
        clock: MonotonicClock,
        setup: &Setup,
        returns: Vec<mpsc::Sender<Box<Recorder>>>,
        host: HostWatch,
    ) -> Self {
        let gauges = vec![Gauges::default(); returns.len()];
        let warmup = setup.warmup.clone();
        let (loads, ear) = (Loads::of(plan), Ear::of(setup.steering.as_ref()));
        let expected = Expected::new(plan, warmup.clone());
        let mut summary = Summary::new(warmup.moment());
        summary.ends = expected.ends();
        let (clocks, answers) = Default::default();
        Self { summary, clock, warmup, expected, loads, ear, gauges, returns, host, clocks, answers }
    }

    /// Collects until every lane has ended.
    fn collect(
        &mut self,
        filled: &mpsc::Receiver<(u32, Box<Recorder>)>,
        setup: &Setup,
        observe: &mut impl FnMut(&Summary, Moment) -> ControlFlow<()>,
    ) {
        let mut next_look = Moment::ZERO.after(HAND_OVER);
        loop {
            let wait = next_look.since(self.clock.now()).max(Duration::from_millis(1));
            match filled.recv_timeout(wait) {
                Ok((lane, recorder)) => self.absorb(lane, recorder),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            let now = self.clock.now();
            if now >= next_look {
                next_look = now.after(HAND_OVER);
                self.adopt();
                self.look_around(setup, now);
                self.summary.warmup = self.warmup.moment();
                // Once it was stopped nothing more is due.
                if !setup.stop.is_told() {
                    let until = now.min(self.expected.end());
                    self.expected.fill(&mut self.summary, until);
                    self.summary.until = until;
                }
                if observe(&self.summary, now).is_break() {
                    setup.stop.in_order();
                }
            }
        }
    }

    /// Takes over changes of the load. They lie ahead of all that was filled in.
    fn adopt(&mut self) {
        if self.ear.listen(&mut self.loads) {
            self.expected.adopt(self.loads.present());
            self.summary.ends = self.expected.ends();
        }
    }

    /// How the lanes fare, and what the target's process uses.
    fn look_around(&mut self, setup: &Setup, now: Moment) {
        if let Some((begin, health)) = self.host.look(now) {
            self.summary.health.at(begin).merge(&health);
        }
        for usage in setup.sightings.take() {
            self.summary.usage.at(now).merge(&usage);
            self.summary.usage.settle_what_is_over();
        }
        self.look_for_events(setup, now);
    }

    /// What happened since the last look.
    fn look_for_events(&mut self, setup: &Setup, now: Moment) {
        let found = self.clocks.look(now, clock::Reading::now()).into_iter().chain(self.answers.look(now));
        found.chain(setup.events.take()).for_each(|event| self.summary.events.note(event));
    }

    fn absorb(&mut self, lane: u32, mut recorder: Box<Recorder>) {
        self.summary.absorb(&recorder);
        self.answers.count(lane, recorder.replies());
        // Before anything was known it was later.
        self.summary.warmup = self.warmup.moment();
        self.gauges[lane as usize] = recorder.gauges;
        self.summary.gauges = Gauges::default();
        for gauges in &self.gauges {
            self.summary.gauges += *gauges;
        }
        recorder.clear();
        // A lane that has ended takes nothing back.
        drop(self.returns[lane as usize].send(recorder));
    }

    fn end(mut self, lanes: Vec<Result<LaneEnd, String>>, plan: &Plan, setup: &Setup) -> Ended {
        let now = self.clock.now();
        self.adopt();
        self.look_for_events(setup, now);
        let stopped = lanes.iter().flatten().filter_map(|end| end.stopped).max();
        let until = stopped.unwrap_or(Moment::FAR).min(self.expected.end());
        self.summary.warmup = self.warmup.moment();
        self.expected.fill(&mut self.summary, until);
        let count = plan.run.lanes;
        let due = lanes.iter().zip(0..).map(|(end, index)| {
            if let Ok(end) = end {
                end.due
            } else {
                let mut schedule = Schedule::new(plan, Shard { index, count });
                schedule.adopt(self.loads.present());
                schedule.take_while(|next| next.intended <= until).count() as u64
            }
        });
        self.summary.due = Some(due.sum());
        self.summary.until = until;
        Ended { summary: self.summary, lost_lanes: lanes.into_iter().filter_map(Result::err).collect() }
    }
}
