//! When complete replies came to a lane, and what ended without one before the first of them and after the last.

use crate::time::Moment;

/// Calls that ended without a complete reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// How many.
    pub calls: u64,
    /// When the first of them was due.
    pub due: Option<Moment>,
}

impl Unanswered {
    fn count(&mut self, due: Moment) {
        self.add(Self { calls: 1, due: Some(due) });
    }

    /// Adds others.
    pub fn add(&mut self, others: Self) {
        self.calls = self.calls.saturating_add(others.calls);
        self.due = match (self.due, others.due) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}

/// The replies of one lane since it last told of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replies {
    /// When the first complete reply came, and the last.
    pub complete: Option<(Moment, Moment)>,
    /// What ended without one before the first; where there was none, everything.
    pub before: Unanswered,
    /// What ended without one after the last.
    pub after: Unanswered,
}

impl Replies {
    /// Counts a call that was due then and ended at `done`.
    pub(super) fn count(&mut self, due: Moment, done: Moment, is_complete: bool) {
        match &mut self.complete {
            Some((_, last)) if is_complete => {
                *last = done.max(*last);
                self.after = Unanswered::default();
            }
            complete @ None if is_complete => *complete = Some((done, done)),
            Some(_) => self.after.count(due),
            None => self.before.count(due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_unanswered_is_before_the_first_reply_or_after_the_last() {
        let at = Moment::from_nanos;
        let unanswered = |calls, due| Unanswered { calls, due };
        let mut replies = Replies::default();
        replies.count(at(2), at(9), false);
        replies.count(at(1), at(10), false);
        assert_eq!(replies, Replies { before: unanswered(2, Some(at(1))), ..Replies::default() });
        for (due, done, is_complete) in [(3, 11, true), (4, 12, false), (5, 13, true), (7, 14, false), (6, 15, false)] {
            replies.count(at(due), at(done), is_complete);
        }
        let complete = Some((at(11), at(13)));
        let (before, after) = (unanswered(2, Some(at(1))), unanswered(2, Some(at(6))));
        assert_eq!(replies, Replies { complete, before, after });
    }
}
