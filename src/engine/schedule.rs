//! All flows of one lane in the order in which their arrivals are due.

use std::collections::VecDeque;
use std::time::Duration;

use crate::arrival::{Arrival, Arrivals, FlowId, Profile, Shard};
use crate::plan::Plan;
use crate::time::Moment;

/// No more arrivals are looked at before they are due: at very high rates a few share a wake-up well enough, and of more the first would
/// be late by the time that the others take.
const MOST_AHEAD: usize = 16;

/// The arrivals of one lane: the flows' schedules, merged by intended start, ties in the order of the plan.
pub(super) struct Schedule {
    flows: Vec<Upcoming>,
    /// Arrivals that were looked at before they are due, and come before those of the flows.
    ahead: VecDeque<Arrival>,
    /// Nothing is due later.
    until: Moment,
}

struct Upcoming {
    next: Option<Arrival>,
    rest: Arrivals,
}

impl Schedule {
    /// The part of `plan`'s schedule that belongs to `shard`.
    pub(super) fn new(plan: &Plan, shard: Shard) -> Self {
        let flows = plan.flows.iter().enumerate().map(|(place, flow)| {
            let id = FlowId(place as u16);
            let mut rest = Arrivals::new(id, flow.arrivals, &flow.load, plan.seed, shard, flow.total);
            Upcoming { next: rest.next(), rest }
        });
        Self { flows: flows.collect(), ahead: VecDeque::new(), until: Moment::FAR }
    }

    /// The arrival that is due next.
    pub(super) fn peek(&self) -> Option<&Arrival> {
        let next = self.ahead.front().or_else(|| self.first());
        next.filter(|arrival| arrival.intended <= self.until)
    }

    /// When the last of those is due that are due no later than `span` after the next one, or the last of the first sixteen
    /// of them. These are due then, whatever is adopted later.
    pub(super) fn last_within(&mut self, span: Duration) -> Option<Moment> {
        let limit = self.peek()?.intended.after(span).min(self.until);
        while self.ahead.len() < MOST_AHEAD && self.first().is_some_and(|next| next.intended <= limit) {
            let next = self.draw();
            self.ahead.extend(next);
        }
        self.ahead.iter().rev().map(|arrival| arrival.intended).find(|intended| *intended <= limit)
    }

    /// The first arrival of the flows.
    fn first(&self) -> Option<&Arrival> {
        self.flows.iter().filter_map(|flow| flow.next.as_ref()).min_by_key(|arrival| arrival.intended)
    }

    /// Takes the first arrival of the flows.
    fn draw(&mut self) -> Option<Arrival> {
        let first = self.first()?.flow;
        let flow = &mut self.flows[usize::from(first.0)];
        std::mem::replace(&mut flow.next, flow.rest.next())
    }

    /// Goes on under other profiles, one for each flow: what was not taken or looked at yet is due when they say.
    pub(super) fn adopt(&mut self, loads: &[Profile]) {
        for (flow, load) in self.flows.iter_mut().zip(loads) {
            flow.next = flow.rest.adopt(load);
        }
    }

    /// Until when a change of profiles may bring more arrivals.
    pub(super) fn open_until(&self) -> Moment {
        self.flows.iter().map(|flow| flow.rest.open_until()).max().unwrap_or_default().min(self.until)
    }

    /// Leaves out everything that is due after `until`.
    pub(super) fn cut(&mut self, until: Moment) {
        self.until = until;
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.peek()?;
        self.ahead.pop_front().or_else(|| self.draw())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::plan::{Draft, Faults, FlowDraft, Load};

    fn plan() -> Plan {
        let flow = |load: &str, arrivals: &str| FlowDraft {
            load: Load { profile: Some(load.parse().unwrap()), ..Load::default() },
            arrivals: Some(arrivals.into()),
            ..FlowDraft::default()
        };
        let flows = vec![flow("100/s for 2s", "constant"), flow("30/s for 1s, 300/s for 1s", "poisson")];
        Draft { flows, ..Draft::default() }.check(5, Faults::default()).unwrap()
    }

    #[test]
    fn arrivals_come_in_the_order_in_which_they_are_due_and_none_is_lost() {
        let all: Vec<_> = Schedule::new(&plan(), Shard::WHOLE).collect();
        assert!(all.is_sorted_by_key(|arrival| arrival.intended));
        assert_eq!(all.iter().filter(|arrival| arrival.flow == FlowId(0)).count(), 200);
        assert!(all.iter().filter(|arrival| arrival.flow == FlowId(1)).count() > 200);
    }

    #[test]
    fn looking_ahead_changes_nothing_of_what_is_due() {
        let whole: Vec<_> = Schedule::new(&plan(), Shard::WHOLE).collect();
        let mut schedule = Schedule::new(&plan(), Shard::WHOLE);
        let mut left = &whole[..];
        for (span, takes) in [(0, 1), (7, 3), (400, 2), (30, 9), (2, 4)].into_iter().cycle() {
            let Some(next) = left.first() else { break };
            let span = Duration::from_millis(span);
            let within = left.iter().take_while(|arrival| arrival.intended <= next.intended.after(span));
            assert_eq!(schedule.last_within(span), within.take(MOST_AHEAD).last().map(|arrival| arrival.intended));
            assert_eq!(schedule.last_within(Duration::ZERO), Some(next.intended));
            let taken = left.split_off(..takes.min(left.len())).unwrap_or_default();
            assert_eq!(schedule.by_ref().take(taken.len()).collect::<Vec<_>>(), taken);
        }
        assert_eq!((schedule.last_within(Duration::from_secs(9)), schedule.next()), (None, None));
    }

    #[test]
    fn of_very_many_that_are_due_at_once_a_bounded_number_is_looked_at() {
        let load = Load { profile: Some("1000/s for 5s".parse().unwrap()), ..Load::default() };
        let arrivals = Some("token-bucket".into());
        let flow = FlowDraft { load, arrivals, burst: NonZeroU32::new(2500), ..FlowDraft::default() };
        let plan = Draft { flows: vec![flow], ..Draft::default() }.check(5, Faults::default()).unwrap();
        let whole: Vec<_> = Schedule::new(&plan, Shard::WHOLE).collect();
        let mut schedule = Schedule::new(&plan, Shard::WHOLE);
        assert_eq!(schedule.last_within(Duration::from_secs(9)), Some(whole[MOST_AHEAD - 1].intended));
        assert_eq!(schedule.ahead.len(), MOST_AHEAD);
        assert_eq!(schedule.collect::<Vec<_>>(), whole);
    }

    #[test]
    fn what_was_looked_at_is_left_out_where_the_schedule_is_cut_and_stays_where_the_rest_changes() {
        let start = |plan: &Plan| {
            let mut schedule = Schedule::new(plan, Shard::WHOLE);
            assert_eq!(schedule.by_ref().take(10).count(), 10);
            let last = schedule.last_within(Duration::from_millis(100)).unwrap();
            (schedule, last)
        };
        let plan = plan();
        let (mut cut, last) = start(&plan);
        let until = Moment::from_nanos(last.as_nanos() - 40_000_000);
        cut.cut(until);
        assert!(cut.last_within(Duration::from_secs(9)).unwrap() <= until);
        let left: Vec<_> = cut.collect();
        assert!((3..15).contains(&left.len()) && left.iter().all(|arrival| arrival.intended <= until));

        let (mut changed, last) = start(&plan);
        let loads: Vec<_> = plan.flows.iter().map(|flow| flow.load.until(last)).collect();
        changed.adopt(&loads);
        let whole = Schedule::new(&plan, Shard::WHOLE).skip(10);
        assert_eq!(changed.collect::<Vec<_>>(), whole.take_while(|next| next.intended <= last).collect::<Vec<_>>());
    }

    #[test]
    fn a_schedule_that_is_cut_ends_with_what_is_due_by_then() {
        let until = Moment::from_nanos(1_005_000_000);
        let whole: Vec<_> = Schedule::new(&plan(), Shard::WHOLE).take_while(|next| next.intended <= until).collect();
        let mut cut = Schedule::new(&plan(), Shard::WHOLE);
        cut.cut(until);
        assert!(whole.len() > 100);
        assert_eq!(cut.collect::<Vec<_>>(), whole);
    }

    #[test]
    fn the_lanes_together_are_the_whole_schedule() {
        let plan = plan();
        let count = NonZeroU32::new(3).unwrap();
        let mut lanes: Vec<_> = (0..3).flat_map(|index| Schedule::new(&plan, Shard { index, count })).collect();
        lanes.sort_by_key(|arrival| (arrival.intended, arrival.flow, arrival.sequence));
        let mut whole: Vec<_> = Schedule::new(&plan, Shard::WHOLE).collect();
        whole.sort_by_key(|arrival| (arrival.intended, arrival.flow, arrival.sequence));
        assert_eq!(lanes, whole);
    }
}
