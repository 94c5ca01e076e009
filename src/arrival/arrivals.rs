//! The schedule itself: points of a process, placed in time by a profile, every n-th of them ours.

use std::iter::FusedIterator;

use super::{
    Arrival, FlowId,
    process::{Points, Process},
    profile::Profile,
    shard::Shard,
};
use crate::time::Moment;

/// The arrivals of one flow in the order in which they are due. It allocates nothing after its first arrivals.
#[derive(Debug)]
pub struct Arrivals {
    flow: FlowId,
    points: Points,
    profile: Profile,
    /// The place in the profile that the last point was in.
    leg: usize,
    shard: Shard,
    total: u64,
    sequence: u64,
    last: Moment,
    /// The points that led to the arrival given last: as long as nobody has sent it, it may be placed anew.
    drawn: Vec<f64>,
    /// How many of these were used.
    used: usize,
    /// Where they began: how many points came before, and when the last of those is due.
    before: (u64, Moment),
    /// Whether the profile ended before the next arrival.
    ended: bool,
}

impl Arrivals {
    /// The schedule of `flow`, a function of what is given here and of nothing else.
    ///
    /// It ends with the profile, or after `total` arrivals counted over all shards, whichever comes first.
    pub fn new(flow: FlowId, process: Process, profile: &Profile, seed: u64, shard: Shard, total: Option<u64>) -> Self {
        Self {
            flow,
            points: Points::new(process, seed, flow),
            profile: profile.clone(),
            leg: 0,
            shard,
            total: total.unwrap_or(u64::MAX),
            sequence: 0,
            last: Moment::ZERO,
            drawn: Vec::new(),
            used: 0,
            before: (0, Moment::ZERO),
            ended: false,
        }
    }

    /// Goes on under another profile, which must be the same for all that was given before the last arrival: gives that arrival
    /// again, where it is due now. Shards that adopt the same profile are the parts of the same whole, whenever each does.
    pub fn adopt(&mut self, profile: &Profile) -> Option<Arrival> {
        self.profile.clone_from(profile);
        self.rewind();
        self.place()
    }

    /// Until when another profile may bring more arrivals: never where their number is reached.
    pub fn open_until(&self) -> Moment {
        if self.sequence >= self.total { Moment::ZERO } else { Moment::ZERO.after(self.profile.duration()) }
    }

    fn rewind(&mut self) {
        (self.sequence, self.last) = self.before;
        (self.leg, self.used) = (0, 0);
    }

    fn point(&mut self) -> f64 {
        if self.used == self.drawn.len() {
            self.drawn.push(self.points.next());
        }
        self.used += 1;
        self.drawn[self.used - 1]
    }

    /// The next arrival of this shard.
    fn place(&mut self) -> Option<Arrival> {
        self.ended = true;
        while self.sequence < self.total {
            let sequence = self.sequence;
            let point = self.point();
            let due = self.profile.moment_from(&mut self.leg, point)?;
            // On a ramp, two points closer than a nanosecond may be rounded into the wrong order. Placing the arrivals of
            // other shards as well keeps the shards exactly the parts of the whole.
            self.last = self.last.max(due);
            self.sequence += 1;
            if self.shard.takes(sequence) {
                self.ended = false;
                return Some(Arrival { flow: self.flow, sequence, intended: self.last });
            }
        }
        None
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        if self.ended {
            self.rewind();
        } else {
            // What an earlier profile did not reach comes first.
            self.drawn.drain(..self.used);
            self.used = 0;
            self.before = (self.sequence, self.last);
        }
        self.place()
    }
}

impl FusedIterator for Arrivals {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Rate;

    fn schedule(process: Process, rate: f64, shard: Shard, total: Option<u64>) -> Arrivals {
        let profile = Profile::flat(Rate::per_second(rate).unwrap(), Duration::from_secs(1));
        Arrivals::new(FlowId(3), process, &profile, 7, shard, total)
    }

    #[test]
    fn an_arrival_names_its_flow_its_place_and_its_moment() {
        let arrivals: Vec<Arrival> = schedule(Process::Constant, 2.0, Shard::WHOLE, None).collect();
        let at = |sequence, millis: u64| {
            let intended = Moment::from_nanos(millis * 1_000_000);
            Arrival { flow: FlowId(3), sequence, intended }
        };
        assert_eq!(arrivals, [at(0, 250), at(1, 750)]);
    }

    #[test]
    fn the_total_counts_over_all_shards() {
        let count = std::num::NonZeroU32::new(2).unwrap();
        let sequences = |index| {
            let arrivals = schedule(Process::Poisson, 1000.0, Shard { index, count }, Some(5));
            arrivals.map(|arrival| arrival.sequence).collect::<Vec<_>>()
        };
        assert_eq!([sequences(0), sequences(1)], [vec![0, 2, 4], vec![1, 3]]);
    }

    #[test]
    fn a_schedule_that_has_ended_stays_ended() {
        let mut arrivals = schedule(Process::Poisson, 10.0, Shard::WHOLE, None);
        while arrivals.next().is_some() {}
        assert_eq!([arrivals.next(), arrivals.next()], [None, None]);
    }
}
