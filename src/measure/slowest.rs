//! The slowest calls of a run, each by its name: from a high quantile there is a way to one call, and to the server's trace of it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bounded::at_most;
use crate::outcome::Outcome;
use crate::time::Moment;
use crate::trace::TraceId;

/// No more are kept, whatever is asked for.
pub const MOST_SLOWEST: usize = 1000;

/// A call that ended, well or badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowCall {
    /// Index of the flow in the plan.
    pub flow: u16,
    /// Index of the operation in the plan.
    pub operation: u16,
    /// Place in the flow's schedule: with the flow, the arrival's identity.
    pub sequence: u64,
    /// When it was due.
    pub intended: Moment,
    /// When its first byte went out, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Moment>,
    /// When it ended.
    pub done: Moment,
    /// How it ended.
    pub outcome: Outcome,
    /// The trace that it told the server, if it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

impl SlowCall {
    /// From due to done.
    pub const fn response_time(&self) -> Duration {
        self.done.since(self.intended)
    }

    /// From sent to done. `None` where nothing was sent.
    pub fn service_time(&self) -> Option<Duration> {
        self.sent.map(|sent| self.done.since(sent))
    }
}

/// The slowest first; of those as slow the earliest.
impl Ord for SlowCall {
    fn cmp(&self, other: &Self) -> Ordering {
        let rest = |call: &Self| {
            (call.intended, call.flow, call.sequence, call.operation, call.sent, call.outcome, call.trace)
        };
        other.response_time().cmp(&self.response_time()).then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl PartialOrd for SlowCall {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The slowest calls, as many as are asked for. Merging is associative and commutative where all ask for as many.
#[derive(Clone, Debug, Default)]
pub struct Slowest {
    most: usize,
    /// The quickest of them is on top, where it makes room for the next.
    kept: BinaryHeap<SlowCall>,
}

impl Slowest {
    /// Room for so many, which is all that is ever allocated.
    pub fn of(most: usize) -> Self {
        let most = most.min(MOST_SLOWEST);
        Self { most, kept: BinaryHeap::with_capacity(most) }
    }

    /// Whether a call that took so long would be kept, if it comes later than all that are.
    pub fn takes(&self, response_time: Duration) -> bool {
        self.kept.len() < self.most
            || self.kept.peek().is_some_and(|quickest| quickest.response_time() <= response_time)
    }

    /// Keeps the call, where it is one of the slowest.
    pub fn keep(&mut self, call: SlowCall) {
        if self.kept.len() < self.most {
            self.kept.push(call);
        } else if let Some(mut quickest) = self.kept.peek_mut()
            && call < *quickest
        {
            *quickest = call;
        }
    }

    /// Adds those of another lane, shard or stretch of time.
    pub fn merge(&mut self, other: &Self) {
        self.most = self.most.max(other.most);
        other.kept.iter().for_each(|call| self.keep(*call));
    }

    /// Forgets them, but for the room.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All of them, the slowest first.
    pub fn calls(&self) -> Vec<SlowCall> {
        self.kept.clone().into_sorted_vec()
    }
}

impl PartialEq for Slowest {
    fn eq(&self, other: &Self) -> bool {
        self.calls() == other.calls()
    }
}

impl Serialize for Slowest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.calls().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slowest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let kept: Vec<SlowCall> = at_most::<MOST_SLOWEST, _, _>(from)?;
        Ok(Self { most: kept.len(), kept: kept.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(sequence: u64, response: u64) -> SlowCall {
        let (intended, sent) = (Moment::from_nanos(sequence * 10), Some(Moment::from_nanos(sequence * 10 + 1)));
        let done = Moment::from_nanos(sequence * 10 + response);
        SlowCall { flow: 0, operation: 1, sequence, intended, sent, done, outcome: Outcome::Ok, trace: None }
    }

    fn of(most: usize, calls: &[(u64, u64)]) -> Slowest {
        let mut slowest = Slowest::of(most);
        for (sequence, response) in calls {
            let call = call(*sequence, *response);
            assert!(slowest.takes(call.response_time()) || slowest.kept.iter().all(|kept| *kept < call));
            slowest.keep(call);
        }
        slowest
    }

    fn named(slowest: &Slowest) -> Vec<(u64, u64)> {
        slowest.calls().iter().map(|call| (call.sequence, call.response_time().as_nanos() as u64)).collect()
    }

    #[test]
    fn the_slowest_are_kept_in_order_and_of_those_as_slow_the_earliest() {
        let slowest = of(3, &[(0, 5), (1, 9), (2, 7), (3, 7), (4, 1), (5, 8)]);
        assert_eq!(named(&slowest), [(1, 9), (5, 8), (2, 7)]);
        assert!(!slowest.takes(Duration::from_nanos(6)) && slowest.takes(Duration::from_nanos(7)));
        assert!(!Slowest::of(0).takes(Duration::MAX) && of(0, &[]).is_empty());
        assert_eq!(Slowest::of(usize::MAX).most, MOST_SLOWEST);
    }

    #[test]
    fn they_are_written_as_a_list_and_read_again_and_too_long_a_list_is_refused() {
        let mut slowest = of(3, &[(0, 5), (1, 9)]);
        let trace = "0af7651916cd43dd8448eb211c80319c".parse().ok();
        slowest.keep(SlowCall { sent: None, outcome: Outcome::Unreachable, trace, ..call(2, 7) });
        let text = serde_json::to_string(&slowest).unwrap();
        insta::assert_snapshot!(text, @r#"[{"flow":0,"operation":1,"sequence":1,"intended":10,"sent":11,"done":19,"outcome":"ok"},{"flow":0,"operation":1,"sequence":2,"intended":20,"done":27,"outcome":"unreachable","trace":"0af7651916cd43dd8448eb211c80319c"},{"flow":0,"operation":1,"sequence":0,"intended":0,"sent":1,"done":5,"outcome":"ok"}]"#);
        assert_eq!(serde_json::from_str::<Slowest>(&text).unwrap(), slowest);
        let one = serde_json::to_string(&call(1, 1)).unwrap();
        let many = format!("[{}]", vec![one; MOST_SLOWEST + 1].join(","));
        assert!(serde_json::from_str::<Slowest>(&many).unwrap_err().to_string().contains("longer than 1000"));
    }

    proptest! {
        #[test]
        fn merging_parts_is_the_same_as_keeping_all_in_any_order(
            calls in prop::collection::vec((0..500_u64, 0..20_u64), 0..60),
            most in 0..8_usize,
            at in any::<prop::sample::Index>(),
        ) {
            let (left, right) = calls.split_at(at.index(calls.len() + 1));
            let (left, right) = (of(most, left), of(most, right));
            let merged = |one: &Slowest, other: &Slowest| { let mut sum = one.clone(); sum.merge(other); sum };
            let mut all: Vec<SlowCall> = calls.iter().map(|(sequence, response)| call(*sequence, *response)).collect();
            all.sort();
            all.truncate(most);
            prop_assert_eq!(merged(&left, &right).calls(), all);
            prop_assert_eq!(merged(&left, &right), merged(&right, &left));
        }
    }
}
