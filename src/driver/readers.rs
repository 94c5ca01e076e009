//! Who waits for the head of an answer, in the order in which they began to: a lane that slept, or is about to, has the first of them
//! look at its stream. Where all of them were answered who waited before the last sleep, nobody asks the system whose stream has something: so
//! it is where answers take less time than the next call is away. Where they take more, asking is in vain: it is tried ever more
//! rarely, until it is not in vain.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::task::Waker;

use super::Whom;

/// So many are known at most; who comes when there are as many is told by the system only.
const MOST: usize = 64;
/// So many are asked in one look at most. Where more wait, the system tells sooner who was answered.
const ONE_LOOK: usize = 16;

/// After so many looks at most that asked nobody, one does.
const MOST_SKIPPED: u32 = 127;

/// Who waits on the connections of one driver.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// By the order in which they came.
    places: RefCell<VecDeque<Place>>,
    /// How many more wait, who have no place.
    others: Cell<usize>,
    /// How many looks are left that ask nobody.
    skipped: Cell<u32>,
    /// How many there will be after the next look that is in vain; none, where the last that asked was not.
    skips: Cell<u32>,
    /// How often the lane has begun a wait that it may sleep through.
    waits: Cell<u64>,
}

/// A reader's place, which it has left when it has waited again since.
#[derive(Debug)]
struct Place {
    reader: Rc<Reader>,
    /// Which of the reader's waits it is for.
    wait: u64,
    /// How often the lane had begun to wait.
    since: u64,
}

/// The reader of one connection.
#[derive(Default)]
pub(super) struct Reader {
    /// Of the task that waits, where it has a place.
    waker: Cell<Option<Waker>>,
    /// Whether it waits and has none.
    is_other: Cell<bool>,
    /// Which of its waits this is.
    wait: Cell<u64>,
    state: Cell<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The system tells it when to read.
    #[default]
    Told,
    /// It is to look whether there is anything.
    Asked,
    /// It looked, and there was.
    Found,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("wait", &self.wait).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Reader {
    /// Has it look at its stream when it is polled next.
    pub(super) fn ask(&self) {
        self.state.set(State::Asked);
    }

    /// Takes the order to look at its stream although nobody said that there is something, if there is one.
    pub(super) fn take_order(&self) -> bool {
        self.state.get() == State::Asked && {
            self.state.set(State::Told);
            true
        }
    }

    /// Notes that it was asked, looked, and found something.
    pub(super) fn has_found(&self) {
        self.state.set(State::Found);
    }
}

impl Place {
    fn is_left(&self) -> bool {
        self.wait != self.reader.wait.get()
    }
}

impl Readers {
    /// Gives `reader` a place, unless it has one, there is none, nobody is asked at present, or no lane may sleep (`may` is not so): it
    /// waits, and `waker` has it read.
    pub(super) fn wait(&self, reader: &Rc<Reader>, waker: &Waker, may: bool) {
        if let Some(known) = reader.waker.take() {
            reader.waker.set(Some(if known.will_wake(waker) { known } else { waker.clone() }));
            return;
        }
        let is_known = reader.is_other.get() || (may && self.give_place(reader, waker));
        if !is_known {
            reader.is_other.set(true);
            self.others.update(|others| others + 1);
        }
    }

    fn give_place(&self, reader: &Rc<Reader>, waker: &Waker) -> bool {
        if self.skipped.get() > 0 {
            return false;
        }
        let mut places = self.places.borrow_mut();
        if places.len() >= MOST {
            places.retain(|place| !place.is_left());
        }
        let has_room = places.len() < MOST;
        if has_room {
            reader.waker.set(Some(waker.clone()));
            places.push_back(Place { reader: Rc::clone(reader), wait: reader.wait.get(), since: self.waits.get() });
        }
        has_room
    }

    /// Notes that `reader` waits no more.
    pub(super) fn leave(&self, reader: &Reader) {
        reader.wait.update(|wait| wait + 1);
        drop(reader.waker.take());
        if reader.is_other.take() {
            self.others.update(|others| others - 1);
        }
    }

    /// Notes that the lane begins to wait, and may sleep.
    pub(super) fn begin_wait(&self) {
        self.waits.update(|waits| waits + 1);
    }

    /// Has those who have waited longest look, one after the other, until one finds nothing, and says whether all found something
    /// who wait; it asks nobody where that was in vain lately. `turn` runs whoever was woken, and says whether there is time for more.
    pub(super) fn look(&self, whom: Whom, turn: &dyn Fn() -> bool) -> bool {
        if let Some(left) = self.skipped.get().checked_sub(1) {
            let is_idle = self.others.get() == 0 && self.waiting_since_before(u64::MAX) == 0;
            self.skipped.set(if is_idle { 0 } else { left });
            return is_idle;
        }
        // Who came between the last two beginnings was there at the last one only.
        let until = match whom {
            Whom::All => u64::MAX,
            Whom::Older => self.waits.get().saturating_sub(1),
        };
        if self.waiting_since_before(until) > ONE_LOOK {
            return self.in_vain();
        }
        let mut is_first = true;
        while let Some((reader, waker)) = self.first(until) {
            reader.ask();
            waker.wake();
            let has_time = turn();
            if reader.state.replace(State::Told) != State::Found {
                return is_first && self.in_vain();
            }
            is_first = false;
            self.skips.set(0);
            if !has_time {
                return self.others.get() == 0 && self.waiting_since_before(until) == 0;
            }
        }
        self.others.get() == 0
    }

    /// A look was in vain: the next ones ask nobody, none after the first such look in a row, then twice as many each time.
    fn in_vain(&self) -> bool {
        let skips = self.skips.get();
        self.skipped.set(skips);
        self.skips.set((2 * skips + 1).min(MOST_SKIPPED));
        false
    }

    /// How many wait since before the lane's wait `until`; where they seem to be too many for a look, without those that left.
    fn waiting_since_before(&self, until: u64) -> usize {
        let mut places = self.places.borrow_mut();
        while places.pop_front_if(|place| place.is_left()).is_some() {}
        let waiting = |places: &VecDeque<Place>| places.partition_point(|place| place.since < until);
        if waiting(&places) > ONE_LOOK {
            places.retain(|place| !place.is_left());
        }
        waiting(&places)
    }

    /// Takes the place of whoever has waited longest, if that is since before the lane's wait `until`.
    fn first(&self, until: u64) -> Option<(Rc<Reader>, Waker)> {
        let mut places = self.places.borrow_mut();
        loop {
            let place = places.pop_front_if(|place| place.since < until)?;
            if !place.is_left()
                && let Some(waker) = place.reader.waker.take()
            {
                return Some((place.reader, waker));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use super::*;

    /// Somebody to wake.
    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// A connection with somebody who reads from it.
    struct Line {
        reader: Rc<Reader>,
        task: Arc<Task>,
        has_answer: Cell<bool>,
    }

    struct Lane {
        readers: Readers,
        lines: Vec<Line>,
        /// Which lines looked, and whether each found something.
        looked: RefCell<Vec<(usize, bool)>>,
    }

    impl Lane {
        fn of(lines: usize) -> Self {
            let line = || Line { reader: Rc::default(), task: Arc::default(), has_answer: Cell::new(false) };
            let lines = std::iter::repeat_with(line).take(lines).collect();
            Self { readers: Readers::default(), lines, looked: RefCell::default() }
        }

        fn wait(&self, lines: &[usize]) {
            for Line { reader, task, .. } in lines.iter().map(|line| &self.lines[*line]) {
                self.readers.wait(reader, &Waker::from(Arc::clone(task)), true);
            }
        }

        fn leave(&self, lines: &[usize]) {
            for line in lines {
                self.readers.leave(&self.lines[*line].reader);
            }
        }

        /// Looks so often, and nobody is asked.
        fn skip(&self, looks: u32) {
            for _ in 0..looks {
                assert_eq!(self.look(), (vec![], false));
            }
        }

        fn answer(&self, lines: &[usize]) {
            for line in lines {
                self.lines[*line].has_answer.set(true);
            }
        }

        /// Polls whoever was woken.
        fn turn(&self) {
            for (at, line) in self.lines.iter().enumerate() {
                if !line.task.0.swap(false, Ordering::Relaxed) || !line.reader.take_order() {
                    continue;
                }
                let found = line.has_answer.take();
                self.looked.borrow_mut().push((at, found));
                if found {
                    line.reader.has_found();
                    self.readers.leave(&line.reader);
                } else {
                    self.wait(&[at]);
                }
            }
        }

        /// Who looked and found something, and whether all did.
        fn look(&self) -> (Vec<(usize, bool)>, bool) {
            self.look_for(Whom::All)
        }

        fn look_for(&self, whom: Whom) -> (Vec<(usize, bool)>, bool) {
            let all = self.readers.look(whom, &|| {
                self.turn();
                true
            });
            (self.looked.take(), all)
        }
    }

    #[test]
    fn who_has_waited_longest_looks_first_and_the_next_only_where_that_found_something() {
        let lane = Lane::of(4);
        lane.wait(&[2, 0, 1, 3]);
        lane.answer(&[2, 0, 3]);
        assert_eq!(lane.look(), (vec![(2, true), (0, true), (1, false)], false));
        // Whoever found nothing waits behind the others.
        assert_eq!(lane.look(), (vec![(3, true), (1, false)], false));
        lane.answer(&[1]);
        assert_eq!(lane.look(), (vec![(1, true)], true));
        assert_eq!(lane.look(), (vec![], true));
    }

    #[test]
    fn who_has_just_come_is_not_among_the_older_ones_before_the_lanes_next_wait() {
        let lane = Lane::of(3);
        let older = || {
            lane.readers.begin_wait();
            lane.look_for(Whom::Older)
        };
        lane.answer(&(0..3).collect::<Vec<_>>());
        lane.wait(&[0]);
        assert_eq!(older(), (vec![], true));
        lane.wait(&[1, 2]);
        assert_eq!(older(), (vec![(0, true)], true));
        lane.lines[2].has_answer.set(false);
        assert_eq!(older(), (vec![(1, true), (2, false)], false));
        // Who looked came anew.
        assert_eq!((older(), older()), ((vec![], true), (vec![(2, false)], false)));
    }

    #[test]
    fn who_was_told_by_the_system_has_left_its_place_and_gets_another() {
        let lane = Lane::of(2);
        lane.wait(&[0, 1]);
        // Again, as when something else woke its task: it keeps its place.
        lane.wait(&[0]);
        lane.leave(&[0]);
        lane.wait(&[0]);
        lane.answer(&[0, 1]);
        assert_eq!(lane.look(), (vec![(1, true), (0, true)], true));
        assert!(lane.readers.places.borrow().is_empty());
    }

    #[test]
    fn places_and_looks_are_bounded_and_a_place_that_was_left_is_free() {
        let lane = Lane::of(MOST + 2);
        let all: Vec<_> = (0..MOST + 2).collect();
        lane.wait(&all[..=MOST]);
        assert_eq!((lane.readers.places.borrow().len(), lane.readers.others.get()), (MOST, 1));
        lane.leave(&[7]);
        lane.wait(&all);
        assert_eq!((lane.readers.places.borrow().len(), lane.readers.others.get()), (MOST, 2));
        lane.answer(&all);
        assert_eq!(lane.look(), (vec![], false), "the system knows better");
        lane.leave(&all[ONE_LOOK..MOST]);
        let most = (0..ONE_LOOK).filter(|line| *line != 7).chain([7]).map(|line| (line, true));
        assert_eq!(lane.look(), (most.collect(), false), "two have no place");
        lane.leave(&[MOST]);
        assert_eq!(lane.look(), (vec![], false), "one has none");
        lane.leave(&[MOST + 1]);
        assert_eq!(lane.look(), (vec![], true));
    }

    #[test]
    fn asking_in_vain_is_done_ever_more_rarely_and_as_before_once_it_was_not() {
        let lane = Lane::of(3);
        lane.wait(&[0]);
        assert_eq!(lane.look(), (vec![(0, false)], false));
        for skipped in [1, 3, 7, 15, 31, 63, 127, 127] {
            assert_eq!(lane.look(), (vec![(0, false)], false));
            lane.wait(&[1]);
            assert_eq!(lane.readers.others.get(), 1, "nobody is asked now");
            lane.skip(skipped);
            lane.leave(&[1]);
        }
        lane.answer(&[0]);
        lane.wait(&[2]);
        assert_eq!(lane.look(), (vec![(0, true), (2, false)], false));
        for _ in 0..2 {
            assert_eq!(lane.look(), (vec![(2, false)], false));
        }
        lane.wait(&[0]);
        lane.answer(&[2]);
        lane.skip(1);
        assert_eq!(lane.look(), (vec![(2, true)], false), "one more waits");
        lane.leave(&[0]);
        assert_eq!(lane.look(), (vec![], true));
    }

    #[test]
    fn looks_that_ask_nobody_are_over_once_nobody_waits() {
        let lane = Lane::of(2);
        lane.wait(&[0]);
        for _ in 0..4 {
            lane.look();
        }
        lane.wait(&[1]);
        lane.leave(&[0]);
        lane.skip(1);
        lane.leave(&[1]);
        assert_eq!(lane.look(), (vec![], true));
        lane.wait(&[0]);
        assert_eq!(lane.look(), (vec![(0, false)], false));
    }

    #[test]
    fn who_comes_while_no_lane_may_sleep_has_no_place_and_is_known_to_wait() {
        let lane = Lane::of(2);
        let Line { reader, task, .. } = &lane.lines[0];
        lane.readers.wait(reader, &Waker::from(Arc::clone(task)), false);
        lane.wait(&[1]);
        lane.answer(&[0, 1]);
        assert_eq!(lane.look(), (vec![(1, true)], false));
        lane.leave(&[0]);
        assert_eq!(lane.look(), (vec![], true));
    }

    #[test]
    fn a_look_ends_when_time_is_up() {
        let lane = Lane::of(3);
        lane.wait(&[0, 1, 2]);
        lane.answer(&[0, 1, 2]);
        let once = || {
            lane.readers.look(Whom::All, &|| {
                lane.turn();
                false
            })
        };
        assert_eq!((once(), once(), once()), (false, false, true));
        assert_eq!(lane.looked.take(), [(0, true), (1, true), (2, true)]);
    }

    #[test]
    fn a_reader_that_was_asked_looks_once_and_one_whose_task_is_gone_is_asked_no_more() {
        let lane = Lane::of(2);
        lane.wait(&[0, 1]);
        let all = lane.readers.look(Whom::All, &|| {
            assert!(lane.lines[0].reader.take_order() && !lane.lines[0].reader.take_order());
            assert!(!lane.lines[1].reader.take_order());
            true
        });
        assert!(!all);
        // Nobody polls it: that it was asked is forgotten.
        assert!(!lane.readers.look(Whom::All, &|| true));
        assert!(!lane.lines[1].reader.take_order());
    }
}
