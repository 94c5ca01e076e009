//! The sessions that a run needs: opened before it, handed out to its lanes, closed after it.

use std::time::Duration;

use crate::driver::{self, Connector, Opened, Sessions as InSessions};
use crate::engine::MonotonicClock;
use crate::mcp::Negotiated;
use crate::measure::SideCall;
use crate::plan::{Plan, Sessions};

/// The sessions of a run.
#[derive(Debug, Default)]
pub(super) struct Pool {
    sessions: Vec<String>,
    are_per_call: bool,
    /// The calls that opening and closing took so far.
    pub(super) side_calls: Vec<SideCall>,
}

impl Pool {
    /// Opens what `plan` asks for, if the server has sessions; the one that was negotiated is closed where it is not needed.
    /// Whoever stops it has what is open so far. What a reader should know goes to the warnings of `negotiated`.
    pub(super) async fn open(
        plan: &Plan,
        connector: &Connector,
        negotiated: &mut Negotiated,
        patience: Duration,
        stop: impl Future<Output = ()>,
    ) -> Self {
        let Some(first) = negotiated.session.take() else {
            if plan.sessions != Sessions::default() {
                let note = match negotiated.revision.filter(|revision| revision.is_modern()) {
                    Some(revision) => format!("MCP {revision} has none; --protocol can force a revision that has"),
                    None => "the server opened no session, so that there is nothing to open, share or close".to_owned(),
                };
                negotiated.warnings.push(format!("--sessions {}: {note}", plan.sessions));
            }
            return Self::default();
        };
        let wanted = match plan.sessions {
            Sessions::Pool(count) => count.min(plan.run.concurrent).max(plan.run.lanes).get() as usize,
            Sessions::PerCall | Sessions::None => 0,
        };
        let at = (patience, clock());
        let Opened { mut sessions, refused, side_calls } =
            driver::open_sessions(connector, negotiated, wanted, at, stop).await;
        let mut pool = Self { are_per_call: plan.sessions == Sessions::PerCall, side_calls, ..Self::default() };
        if sessions.len() < wanted {
            // One that is there already is one more.
            sessions.push(first);
        } else {
            pool.side_calls.extend(driver::close_sessions(connector, negotiated, &[first], (patience, clock())).await);
        }
        if let Some(refused) = refused.filter(|_| sessions.len() < wanted) {
            let open = sessions.len();
            negotiated.warnings.push(format!("the server opened {open} of {wanted} sessions: {refused}"));
        }
        pool.sessions = sessions;
        pool
    }

    /// The sessions of one of `lanes` lanes: each has at least one, where there are any.
    pub(super) fn of_lane(&self, lane: u32, lanes: u32) -> InSessions {
        match self.sessions.len() {
            _ if self.are_per_call => InSessions::PerCall,
            0 => InSessions::Without,
            count => {
                let places = (lane as usize..count.max(lanes as usize)).step_by(lanes as usize);
                InSessions::Pool(places.map(|place| self.sessions[place % count].clone()).collect())
            }
        }
    }

    /// Closes what is open, all within `patience`, and says which calls that took.
    pub(super) async fn close(
        &self,
        connector: &Connector,
        negotiated: &Negotiated,
        patience: Duration,
    ) -> Vec<SideCall> {
        driver::close_sessions(connector, negotiated, &self.sessions, (patience, clock())).await
    }
}

fn clock() -> MonotonicClock {
    MonotonicClock::starting_in(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(count: usize, lanes: u32) -> Vec<Vec<String>> {
        let pool = Pool { sessions: (0..count).map(|n| n.to_string()).collect(), ..Pool::default() };
        let of = |lane| match pool.of_lane(lane, lanes) {
            InSessions::Pool(sessions) => sessions,
            _ => Vec::new(),
        };
        (0..lanes).map(of).collect()
    }

    #[test]
    fn sessions_are_shared_out_and_no_lane_is_without() {
        assert_eq!(shared(5, 2), [vec!["0", "2", "4"], vec!["1", "3"]]);
        assert_eq!(shared(2, 5), [["0"], ["1"], ["0"], ["1"], ["0"]]);
        assert_eq!(shared(0, 2), [[""; 0]; 2]);
        let per_call = Pool { are_per_call: true, ..Pool::default() };
        assert_eq!(per_call.of_lane(0, 1), InSessions::PerCall);
    }
}
