//! What happened to one arrival: a small `Copy` value that histograms, metrics and live view all read.

use std::time::Duration;

use crate::outcome::Outcome;
use crate::time::Moment;

/// One arrival and its fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Index of the flow in the plan.
    pub flow: u16,
    /// Index of the operation in the plan: the one really sent, where another was substituted.
    pub operation: u16,
    /// Place in the flow's schedule.
    pub sequence: u64,
    /// Whether the operation took the place of another that had no captured value to use yet.
    pub substituted: bool,
    /// When the call was due.
    pub intended: Moment,
    /// When the lane took the arrival.
    pub picked_up: Moment,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The call ended, well or badly.
    Answered {
        /// When the first byte of the request went out; `None` where none did (no connection).
        sent: Option<Moment>,
        /// When the first byte of the answer came in, if one did.
        first_byte: Option<Moment>,
        /// When the reply's message was complete, or the call was given up.
        done: Moment,
        /// How it ended.
        outcome: Outcome,
    },
    /// Never sent, for want of room.
    Dropped,
    /// Unanswered when the run ended.
    Abandoned,
}

impl Sample {
    /// From due to done: what a user would feel. `None` where there was no end.
    pub fn response_time(&self) -> Option<Duration> {
        match self.fate {
            Fate::Answered { done, .. } => Some(done.since(self.intended)),
            Fate::Dropped | Fate::Abandoned => None,
        }
    }

    /// From sent to done: what the server took. `None` where nothing was sent or there was no end.
    pub fn service_time(&self) -> Option<Duration> {
        match self.fate {
            Fate::Answered { sent: Some(sent), done, .. } => Some(done.since(sent)),
            _ => None,
        }
    }

    /// From due to picked up: the generator's own error.
    pub const fn pacing_lag(&self) -> Duration {
        self.picked_up.since(self.intended)
    }

    /// From due to sent: pacing lag, waiting for room and for a connection. `None` where nothing was sent.
    pub fn dispatch_lag(&self) -> Option<Duration> {
        match self.fate {
            Fate::Answered { sent: Some(sent), .. } => Some(sent.since(self.intended)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(fate: Fate) -> Sample {
        let (intended, picked_up) = (Moment::from_nanos(100), Moment::from_nanos(130));
        Sample { flow: 0, operation: 0, sequence: 0, substituted: false, intended, picked_up, fate }
    }

    #[test]
    fn response_time_begins_when_the_call_was_due_and_service_time_when_it_was_sent() {
        let (sent, done) = (Some(Moment::from_nanos(150)), Moment::from_nanos(400));
        let sample = sample(Fate::Answered { sent, first_byte: None, done, outcome: Outcome::Ok });
        assert_eq!(sample.response_time(), Some(Duration::from_nanos(300)));
        assert_eq!(sample.service_time(), Some(Duration::from_nanos(250)));
        assert_eq!(
            (sample.pacing_lag(), sample.dispatch_lag()),
            (Duration::from_nanos(30), Some(Duration::from_nanos(50)))
        );
    }

    #[test]
    fn what_was_never_sent_has_no_service_time_and_what_never_ended_no_response_time() {
        let done = Moment::from_nanos(400);
        let unreachable = sample(Fate::Answered { sent: None, first_byte: None, done, outcome: Outcome::Unreachable });
        assert_eq!((unreachable.service_time(), unreachable.dispatch_lag()), (None, None));
        assert_eq!(unreachable.response_time(), Some(Duration::from_nanos(300)));
        for fate in [Fate::Dropped, Fate::Abandoned] {
            assert_eq!((sample(fate).response_time(), sample(fate).service_time()), (None, None));
        }
    }

    #[test]
    fn an_arrival_taken_early_has_no_lag() {
        let early = Sample { picked_up: Moment::from_nanos(90), ..sample(Fate::Dropped) };
        assert_eq!(early.pacing_lag(), Duration::ZERO);
    }
}
