//! What answers taught and later calls use: records of several values each, bounded, and drawn at random.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::ConnectionId;
use super::dice::Dice;
use super::keys::Keys;
use super::same::Kept;
use super::truth::Evidence;
use super::wallet::Wallets;
use crate::time::Moment;

/// A name's place among the workload's captured and remembered values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldId(pub(super) u16);

/// How many records of each capture are kept; beyond that the oldest goes.
const KEPT: usize = 10_000;
/// How many records wait for a second look because a read did not find them.
const MISSED: usize = 256;
/// A longer value is not an id that anybody would want to send back.
pub(super) const LONGEST: usize = 1024;

/// What one ok answer gave, with what its call had sent.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) fields: Vec<(FieldId, Kept)>,
    /// When the answer was complete.
    pub(super) done: Moment,
    /// What it came over.
    pub(super) connection: Option<ConnectionId>,
    /// What reads have seen of it.
    pub(super) sight: Cell<Sight>,
}

/// What reads have seen of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sight {
    /// No read has missed it.
    #[default]
    Clear,
    /// A read has missed it; a second look will tell what that was.
    Doubtful,
    /// It was missed again at the second look.
    Lost,
}

/// Reads that missed a record, until a second look tells what that was.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) name: FieldId,
    pub(super) record: Rc<Record>,
    /// How many reads have missed it.
    pub(super) reads: u64,
    /// When the first of them ended.
    pub(super) first: Moment,
    /// The age of the write at the last of them.
    pub(super) age: Duration,
    /// What the first of them saw.
    pub(super) evidence: Box<Evidence>,
}

impl Record {
    /// The value under this name, where the answer had one.
    pub(super) fn get(&self, field: FieldId) -> Option<&Kept> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, kept)| kept)
    }

    /// The text of that value, or none.
    pub(super) fn text_of(&self, field: FieldId) -> &str {
        self.get(field).map(|kept| &*kept.text).unwrap_or_default()
    }
}

/// The records of one lane, in a ring for each name by which calls ask for them.
#[derive(Debug)]
pub struct Captures {
    kept: Vec<Ring>,
    missed: Vec<Missed>,
    /// The keys that calls used.
    pub(super) keys: Keys,
    /// The accounts that calls move and look at.
    pub(super) wallets: Wallets,
}

#[derive(Clone, Debug, Default)]
struct Ring {
    records: Vec<Rc<Record>>,
    /// Where the next one goes once there are enough.
    oldest: usize,
}

impl Ring {
    /// The record that came `age` records before the youngest.
    fn counted_back(&self, age: usize) -> &Rc<Record> {
        let count = self.records.len();
        &self.records[(self.oldest + count - 1 - age % count) % count]
    }
}

impl Captures {
    /// An empty store for so many names.
    pub(super) fn new(names: usize) -> Self {
        Self {
            kept: vec![Ring::default(); names],
            missed: Vec::new(),
            keys: Keys::default(),
            wallets: Wallets::default(),
        }
    }

    /// Keeps `record` under `name`, in place of the oldest once there are enough.
    pub(super) fn keep(&mut self, name: FieldId, record: Rc<Record>) {
        let ring = &mut self.kept[usize::from(name.0)];
        if ring.records.len() < KEPT {
            ring.records.push(record);
        } else {
            ring.records[ring.oldest] = record;
            ring.oldest = (ring.oldest + 1) % KEPT;
        }
    }

    /// Whether nothing was kept under this name yet.
    pub(super) fn is_empty(&self, name: FieldId) -> bool {
        self.kept[usize::from(name.0)].records.is_empty()
    }

    /// A record, where there is one: half of the throws by `place` (a share of all from 0 to 1), so that every record is
    /// as likely as the others, and half by how many came after it, each order of magnitude alike, so that the youngest
    /// are read too.
    pub(super) fn draw(
        &self,
        name: FieldId,
        place: impl FnOnce(usize) -> usize,
        dice: &mut Dice,
    ) -> Option<&Rc<Record>> {
        let ring = &self.kept[usize::from(name.0)];
        let count = ring.records.len();
        if count == 0 {
            return None;
        }
        // The uniform place is drawn in any case: generated values that come after it must not move.
        let place = place(count);
        let is_young = dice.toss(0.5);
        Some(if is_young { ring.counted_back(dice.log_uniform(count)) } else { &ring.records[place] })
    }

    /// Keeps what a read missed for a second look; gives it back where there is no room.
    pub(super) fn doubt(&mut self, missed: Missed) -> Option<Missed> {
        if self.missed.len() >= MISSED {
            return Some(missed);
        }
        missed.record.sight.set(Sight::Doubtful);
        self.missed.push(missed);
        None
    }

    /// Whether any record waits for a second look.
    pub(super) const fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    /// A record that was first missed before `moment`: it is time to look again.
    pub(super) fn second_look(&self, name: FieldId, moment: Moment) -> Option<&Rc<Record>> {
        self.missed.iter().find(|missed| missed.name == name && missed.first < moment).map(|missed| &missed.record)
    }

    /// What was missed of this record.
    pub(super) fn missed(&mut self, record: &Rc<Record>) -> Option<&mut Missed> {
        self.missed.iter_mut().find(|missed| Rc::ptr_eq(&missed.record, record))
    }

    /// Takes what was missed of this record: it is explained.
    pub(super) fn settle(&mut self, record: &Rc<Record>, sight: Sight) -> Option<Missed> {
        let place = self.missed.iter().position(|missed| Rc::ptr_eq(&missed.record, record))?;
        record.sight.set(sight);
        Some(self.missed.remove(place))
    }

    /// Takes all that no second look has explained.
    pub(super) fn settle_all(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: FieldId = FieldId(0);

    fn record(text: &str) -> Rc<Record> {
        let kept = Kept { text: text.into(), is_number: false };
        Rc::new(Record { fields: vec![(NAME, kept)], ..Record::default() })
    }

    fn text(record: &Record) -> usize {
        record.get(NAME).unwrap().text.parse().unwrap()
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut captures = Captures::new(1);
        let mut dice = Dice::new(1, 0, 0);
        assert!(captures.draw(NAME, |_| 0, &mut dice).is_none());
        for n in 0..KEPT + 5 {
            captures.keep(NAME, record(&n.to_string()));
        }
        let ring = &captures.kept[0];
        assert_eq!(ring.records.len(), KEPT);
        assert!(ring.records.iter().all(|record| text(record) >= 5));
        assert_eq!((text(ring.counted_back(0)), text(ring.counted_back(KEPT - 1))), (KEPT + 4, 5));
    }

    #[test]
    fn half_of_the_draws_are_uniform_and_half_prefer_the_youngest_by_orders_of_magnitude() {
        let mut captures = Captures::new(1);
        for n in 0..1000 {
            captures.keep(NAME, record(&n.to_string()));
        }
        let throws = 20_000;
        let mut young = [0_u32; 3];
        for n in 0..throws {
            let mut dice = Dice::new(7, 0, n);
            let drawn = text(captures.draw(NAME, |_| 0, &mut dice).unwrap());
            for (count, age) in young.iter_mut().zip([10, 100, 1000]) {
                *count += u32::from(drawn > 0 && drawn >= 1000 - age);
            }
        }
        // A third of the half that prefers the young in each order of magnitude, within five standard deviations.
        for (count, share) in young.into_iter().zip([1.0 / 6.0, 2.0 / 6.0, 0.5]) {
            assert!(
                (f64::from(count) - throws as f64 * share).abs() < 5.0 * (throws as f64 * 0.25).sqrt(),
                "{young:?}"
            );
        }
    }

    #[test]
    fn a_second_look_is_due_after_its_moment_until_it_is_settled() {
        let mut captures = Captures::new(1);
        let record = record("1");
        let missed = |record: &Rc<Record>| Missed {
            name: NAME,
            record: Rc::clone(record),
            reads: 1,
            first: Moment::from_nanos(10),
            age: Duration::ZERO,
            evidence: Box::default(),
        };
        assert!(captures.doubt(missed(&record)).is_none());
        assert_eq!(record.sight.get(), Sight::Doubtful);
        assert!(captures.second_look(NAME, Moment::from_nanos(10)).is_none());
        assert!(captures.second_look(NAME, Moment::from_nanos(11)).is_some());
        assert!(captures.settle(&record, Sight::Lost).is_some());
        assert_eq!(record.sight.get(), Sight::Lost);
        assert!(captures.second_look(NAME, Moment::from_nanos(11)).is_none());
        for _ in 0..MISSED {
            assert!(captures.doubt(missed(&record)).is_none());
        }
        assert!(captures.doubt(missed(&record)).is_some(), "bounded");
        assert_eq!(captures.settle_all().len(), MISSED);
    }
}
