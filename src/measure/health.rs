//! How the generator fared: whether it had a processor when it wanted one, how evenly it sent, and what it had left.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::spread::Spread;
use super::timeline::{Stretch, Timeline};
use crate::time::Moment;

/// How the generator fared in one stretch of time. What could not be seen is zero, or a level without looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Which stretch: it begins this many widths after the run began.
    pub index: u64,
    /// How long lanes were looked at, added up over them, in nanoseconds.
    #[serde(skip_serializing_if = "is_none")]
    pub watched: u64,
    /// How long they ran, in nanoseconds.
    #[serde(skip_serializing_if = "is_none")]
    pub ran: u64,
    /// How long they were ready to run and another thread had the processor, in nanoseconds.
    #[serde(skip_serializing_if = "is_none")]
    pub waited: u64,
    /// How often they got the processor.
    #[serde(skip_serializing_if = "is_none")]
    pub turns: u64,
    /// Ticks of all processors of this machine.
    #[serde(skip_serializing_if = "is_none")]
    pub ticks: u64,
    /// Those in which they were busy, for whomever.
    #[serde(skip_serializing_if = "is_none")]
    pub busy: u64,
    /// Those in which they were wanted here and another virtual machine had them.
    #[serde(skip_serializing_if = "is_none")]
    pub stolen: u64,
    /// File descriptors that this process had open.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub descriptors: Level,
    /// How many it may have open.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub most_descriptors: Level,
    /// TCP sockets of this machine, those that wait after their end included: no more ports than these are taken.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub sockets: Level,
    /// Local ports that outgoing connections to one address may take.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub ports: Level,
    /// How evenly the schedule was spread over it.
    #[serde(skip_serializing_if = "Spread::is_empty")]
    pub intended: Spread,
    /// How evenly arrivals were really picked up.
    #[serde(skip_serializing_if = "Spread::is_empty")]
    pub sent: Spread,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Health {
    /// How long a lane that wanted a processor waited for it on average: for other threads, and for other virtual machines,
    /// which take their part of the time that a lane runs as they do of all time. `None` where that could not be seen.
    pub fn wait_per_turn(&self) -> Option<Duration> {
        (self.turns > 0).then(|| {
            let waited = self.waited as f64 + self.ran as f64 * self.stolen_of_busy();
            Duration::from_nanos((waited / self.turns as f64) as u64)
        })
    }

    /// The share (0 to 1) of the time in which lanes were ready to run and had no processor. `None` where that could not
    /// be seen.
    pub fn waited_share(&self) -> Option<f64> {
        (self.watched > 0).then(|| (self.waited as f64 / self.watched as f64).min(1.0))
    }

    /// The share (0 to 1) of the time in which lanes ran.
    pub fn ran_share(&self) -> Option<f64> {
        (self.watched > 0).then(|| (self.ran as f64 / self.watched as f64).min(1.0))
    }

    /// The share (0 to 1) of this machine's processor time that another virtual machine took. `None` where that could not
    /// be seen.
    pub fn stolen_share(&self) -> Option<f64> {
        (self.ticks > 0).then(|| (self.stolen as f64 / self.ticks as f64).min(1.0))
    }

    /// The share (0 to 1) of this machine's processor time that was used, for whatever. `None` where that could not be seen.
    pub fn busy_share(&self) -> Option<f64> {
        (self.ticks > 0).then(|| (self.busy as f64 / self.ticks as f64).min(1.0))
    }

    /// Stolen time for each time that processors ran something here.
    fn stolen_of_busy(&self) -> f64 {
        if self.busy == 0 { 0.0 } else { self.stolen as f64 / self.busy as f64 }
    }
}

impl Stretch for Health {
    fn index(&self) -> u64 {
        self.index
    }

    fn moved_to(self, index: u64) -> Self {
        Self { index, ..self }
    }

    fn merge(&mut self, other: &Self) {
        for (ours, theirs) in [
            (&mut self.watched, other.watched),
            (&mut self.ran, other.ran),
            (&mut self.waited, other.waited),
            (&mut self.turns, other.turns),
            (&mut self.ticks, other.ticks),
            (&mut self.busy, other.busy),
            (&mut self.stolen, other.stolen),
        ] {
            *ours = ours.saturating_add(theirs);
        }
        self.descriptors.merge(&other.descriptors);
        self.most_descriptors.merge(&other.most_descriptors);
        self.sockets.merge(&other.sockets);
        self.ports.merge(&other.ports);
        self.intended.merge(&other.intended);
        self.sent.merge(&other.sent);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn is_possible(&self) -> bool {
        true
    }
}

impl Timeline<Health> {
    /// Every stretch that begins at `from` or later.
    pub fn since(&self, from: Moment) -> impl Iterator<Item = &Health> {
        self.cells().filter(move |cell| self.start_of(cell) >= from)
    }

    /// All of it from `from` on, together.
    pub fn together(&self, from: Moment) -> Health {
        let mut together = Health::default();
        self.since(from).for_each(|cell| together.merge(cell));
        together
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_wait_for_a_processor_is_that_for_other_threads_and_that_for_other_machines() {
        let busy = Health { watched: 1000 * MS, ran: 200 * MS, waited: 100 * MS, turns: 50, ..Health::default() };
        assert_eq!(busy.wait_per_turn(), Some(Duration::from_millis(2)));
        // A quarter of what runs here is stolen: 50 ms of the 200 that the lane ran.
        let stolen = Health { ticks: 200, busy: 80, stolen: 20, ..busy };
        assert_eq!(stolen.wait_per_turn(), Some(Duration::from_millis(3)));
        assert_eq!(
            (stolen.waited_share(), stolen.stolen_share(), stolen.ran_share()),
            (Some(0.1), Some(0.1), Some(0.2))
        );
        let blind = Health::default();
        assert_eq!((blind.wait_per_turn(), blind.waited_share(), blind.stolen_share()), (None, None, None));
    }

    #[test]
    fn stretches_are_added_and_what_lies_before_is_left_out() {
        let mut timeline = Timeline::<Health>::default();
        for second in 0..5 {
            let at = Moment::from_nanos(second * 1000 * MS + 1);
            timeline.at(at).merge(&Health { turns: second, descriptors: Level::of(second), ..Health::default() });
        }
        let together = timeline.together(Moment::from_nanos(2000 * MS));
        assert_eq!((together.turns, together.descriptors.min(), together.descriptors.max()), (9, Some(2), Some(4)));
        let text = serde_json::to_string(&timeline).unwrap();
        assert!(
            text.starts_with(r#"{"width":1,"cells":[{"index":0,"descriptors":[1,0,0,0]},{"index":1,"turns":1,"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Timeline<Health>>(&text).unwrap(), timeline);
    }
}
