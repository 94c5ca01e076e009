//! The keys of one lane: what is known of each, and which is to be used again by whom. Bounded.
//!
//! No body is kept. The arguments of a call are a function of its arrival and its record, so the same body is made again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::capture::Record;
use super::dice::Dice;
use super::same::Kept;
use super::{ConnectionId, OperationId};
use crate::arrival::Arrival;
use crate::outcome::Probe;
use crate::time::Moment;

/// So many calls in flight may be probed.
const IN_FLIGHT: usize = 64;
/// So many keys are kept of calls that have ended, of either kind.
const ENDED: usize = 4096;
/// A key is not used again when its first call has ended longer ago: servers keep keys for hours, not for ever.
const OLDEST: Duration = Duration::from_mins(1);

/// What is known of one key.
#[derive(Debug)]
pub(super) struct Story {
    /// The arrival that was called for first under it.
    pub(super) first: Arrival,
    /// What that call's arguments were made with.
    pub(super) record: Option<Rc<Record>>,
    /// Where the random words of its arguments begin.
    pub(super) words: u128,
    /// What was first acknowledged under it.
    pub(super) made: RefCell<Option<Kept>>,
    /// What that came over.
    pub(super) connection: Cell<Option<ConnectionId>>,
    /// When the first call ended.
    pub(super) ended: Cell<Moment>,
    /// Whether it was used again.
    pub(super) is_probed: Cell<bool>,
    /// The first call ended in a way that does not say whether it happened, and nothing has said so since.
    pub(super) is_open: Cell<bool>,
    /// How many of its calls have ended that may have moved its account.
    pub(super) maybe: Cell<u32>,
    /// Whether one of them is known to have moved it.
    pub(super) is_settled: Cell<bool>,
}

impl Story {
    pub(super) fn new(first: Arrival, record: Option<Rc<Record>>, words: u128) -> Rc<Self> {
        Rc::new(Self {
            first,
            record,
            words,
            made: RefCell::default(),
            connection: Cell::default(),
            ended: Cell::default(),
            is_probed: Cell::default(),
            is_open: Cell::default(),
            maybe: Cell::default(),
            is_settled: Cell::default(),
        })
    }
}

/// The keys of one lane, by operation.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<OfOne>);

/// Those of one operation.
#[derive(Debug, Default)]
struct OfOne {
    in_flight: Vec<Rc<Story>>,
    acknowledged: VecDeque<Rc<Story>>,
    open: VecDeque<Rc<Story>>,
}

impl Keys {
    fn of(&mut self, operation: OperationId) -> &mut OfOne {
        let place = usize::from(operation.0);
        if self.0.len() <= place {
            self.0.resize_with(place + 1, OfOne::default);
        }
        &mut self.0[place]
    }

    /// A first call begins.
    pub(super) fn begin(&mut self, operation: OperationId, story: &Rc<Story>) {
        let keys = self.of(operation);
        if keys.in_flight.len() < IN_FLIGHT {
            keys.in_flight.push(Rc::clone(story));
        }
    }

    /// A first call has ended.
    pub(super) fn end(&mut self, operation: OperationId, story: &Rc<Story>) {
        let keys = self.of(operation);
        if let Some(place) = keys.in_flight.iter().position(|other| Rc::ptr_eq(other, story)) {
            keys.in_flight.swap_remove(place);
        }
    }

    /// What was done under the key is known.
    pub(super) fn acknowledged(&mut self, operation: OperationId, story: &Rc<Story>) {
        keep(&mut self.of(operation).acknowledged, story);
    }

    /// Whether anything was done under the key is not known.
    pub(super) fn open(&mut self, operation: OperationId, story: &Rc<Story>) {
        keep(&mut self.of(operation).open, story);
    }

    /// A key to use again and how, for a call that is due `now`; `None` where there is none.
    pub(super) fn draw(
        &mut self,
        operation: OperationId,
        now: Moment,
        can_alter: bool,
        dice: &mut Dice,
    ) -> Option<(Probe, Rc<Story>)> {
        let keys = self.of(operation);
        let roll = dice.below(4);
        // What is open comes first, as long as there is any, and leaves room for the others.
        if roll < 2
            && let Some(story) = keys.next_open(now)
        {
            return Some((Probe::AfterTimeout, story));
        }
        if (1..3).contains(&roll) && !keys.in_flight.is_empty() {
            let story = &keys.in_flight[dice.below(keys.in_flight.len())];
            return Some((Probe::Parallel, Rc::clone(story)));
        }
        forget_old(&mut keys.acknowledged, now);
        let count = keys.acknowledged.len();
        if count == 0 {
            return None;
        }
        let probe = if can_alter && dice.toss(0.5) { Probe::Altered } else { Probe::Later };
        Some((probe, Rc::clone(&keys.acknowledged[count - 1 - dice.log_uniform(count)])))
    }
}

impl OfOne {
    fn next_open(&mut self, now: Moment) -> Option<Rc<Story>> {
        forget_old(&mut self.open, now);
        std::iter::from_fn(|| self.open.pop_front()).find(|story| story.is_open.get())
    }
}

fn keep(queue: &mut VecDeque<Rc<Story>>, story: &Rc<Story>) {
    if queue.len() >= ENDED {
        queue.pop_front();
    }
    queue.push_back(Rc::clone(story));
}

fn forget_old(queue: &mut VecDeque<Rc<Story>>, now: Moment) {
    while queue.front().is_some_and(|story| now.since(story.ended.get()) > OLDEST) {
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::FlowId;

    const PAY: OperationId = OperationId(2);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn story(ended: u64) -> Rc<Story> {
        let story = Story::new(Arrival { flow: FlowId(0), sequence: ended, intended: at(0) }, None, 0);
        story.ended.set(at(ended));
        story
    }

    /// How often each kind is drawn in a thousand throws.
    fn drawn(mut of: impl FnMut(&mut Dice) -> Option<Probe>) -> [u32; Probe::COUNT] {
        let mut kinds = [0; Probe::COUNT];
        for sequence in 0..1000 {
            if let Some(probe) = of(&mut Dice::new(1, 0, sequence)) {
                kinds[probe.index()] += 1;
            }
        }
        kinds
    }

    #[test]
    fn nothing_is_probed_before_anything_is_known() {
        let mut keys = Keys::default();
        assert_eq!(drawn(|dice| keys.draw(PAY, at(0), true, dice).map(|(probe, _)| probe)), [0; 4]);
    }

    #[test]
    fn every_kind_has_its_turn_and_what_is_open_comes_first() {
        let mut keys = Keys::default();
        keys.begin(PAY, &story(0));
        keys.acknowledged(PAY, &story(1));
        let open = story(2);
        open.is_open.set(true);
        let mut draw = |can_alter| {
            drawn(|dice| {
                keys.open(PAY, &open);
                keys.draw(PAY, at(9), can_alter, dice).map(|(probe, _)| probe)
            })
        };
        let [parallel, later, after_timeout, altered] = draw(true);
        // Five standard deviations of a binomial count.
        for (count, expected) in [(after_timeout, 500), (parallel, 250), (later, 125), (altered, 125)] {
            assert!(count.abs_diff(expected) < 80, "{count} of {expected}");
        }
        assert_eq!(draw(false)[Probe::Altered.index()], 0);
    }

    #[test]
    fn keys_are_bounded_and_not_used_when_they_are_old_or_explained() {
        let mut keys = Keys::default();
        for n in 0..2 * ENDED as u64 {
            keys.begin(PAY, &story(n));
            keys.acknowledged(PAY, &story(n));
        }
        assert_eq!((keys.of(PAY).in_flight.len(), keys.of(PAY).acknowledged.len()), (IN_FLIGHT, ENDED));
        keys.of(PAY).in_flight.clear();
        let open = story(8000);
        keys.open(PAY, &open);
        assert!(keys.of(PAY).next_open(at(8000)).is_none(), "what it was is known by now");
        let newest = 2 * ENDED as u64 - 1;
        let minute = 60_000;
        let kinds = drawn(|dice| {
            let (probe, story) = keys.draw(PAY, at(newest + minute), false, dice)?;
            assert_eq!(story.ended.get(), at(newest));
            Some(probe)
        });
        assert_eq!(kinds[Probe::Later.index()], 1000);
        assert_eq!(drawn(|dice| keys.draw(PAY, at(newest + minute + 1), false, dice).map(|(p, _)| p)), [0; 4]);
    }

    #[test]
    fn a_call_that_has_ended_is_in_flight_no_more() {
        let mut keys = Keys::default();
        let (one, two) = (story(1), story(2));
        keys.begin(PAY, &one);
        keys.begin(PAY, &two);
        keys.end(PAY, &one);
        assert!(Rc::ptr_eq(&keys.of(PAY).in_flight[0], &two) && keys.of(PAY).in_flight.len() == 1);
    }
}
