//! A thing that is tried again and again and fails for a while: one event, however often it failed.

use crate::measure::{Event, EventKind};
use crate::time::Moment;

/// What fails now, if it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    kind: EventKind,
    /// Since when, and how often.
    since: Option<(Moment, u32)>,
}

impl Trouble {
    /// None so far.
    pub(super) const fn of(kind: EventKind) -> Self {
        Self { kind, since: None }
    }

    /// An attempt that was made at `tried` has failed by `now`.
    pub(super) fn failed(&mut self, tried: Moment, now: Moment) -> Event {
        let (at, times) = self.since.get_or_insert((tried, 0));
        *times = times.saturating_add(1);
        Event { at: *at, until: now.max(*at), kind: self.kind, figure: f64::from(*times) }
    }

    /// An attempt has succeeded; says whether those before it had failed.
    pub(super) fn is_over(&mut self) -> bool {
        self.since.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_one_event_and_those_after_a_success_another() {
        let at = Moment::from_nanos;
        let mut trouble = Trouble::of(EventKind::CheckpointFailed);
        assert!(!trouble.is_over());
        trouble.failed(at(1), at(2));
        let grown = trouble.failed(at(5), at(6));
        assert_eq!(grown, Event { at: at(1), until: at(6), kind: EventKind::CheckpointFailed, figure: 2.0 });
        assert!(trouble.is_over());
        assert_eq!(trouble.failed(at(8), at(9)).at, at(8));
    }
}
