//! Where there is no timerfd: the runtime's timer, a millisecond coarse, up to shortly before; then giving way to other
//! tasks until it is time. Costs more CPU, is as exact.

use std::io;
use std::time::Duration;

use super::clock::MonotonicClock;
#[cfg(not(target_os = "linux"))]
use super::pace::Lookout;
use crate::time::{Clock, Moment};

const COARSE: Duration = Duration::from_millis(2);

pub(in crate::engine) struct Timer {
    clock: MonotonicClock,
}

impl Timer {
    #[expect(clippy::unnecessary_wraps, reason = "the Linux timer can fail here")]
    pub(in crate::engine) fn new(clock: MonotonicClock) -> io::Result<Self> {
        Ok(Self { clock })
    }

    /// It always is.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "the Linux timer is told")]
    pub(in crate::engine) const fn be_punctual(&mut self, _: bool) {}

    /// It waits awake for the last of it anyhow.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "the Linux timer is told")]
    pub(in crate::engine) const fn be_ready(&mut self, _: Duration) {}

    /// There is no shorter way to sleep here.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::engine) async fn nap(&mut self, moment: Moment, _: &impl Lookout) -> io::Result<()> {
        self.until(moment).await
    }

    pub(in crate::engine) async fn until(&mut self, moment: Moment) -> io::Result<()> {
        let ahead = moment.since(self.clock.now()).saturating_sub(COARSE);
        if !ahead.is_zero() {
            let rest: std::future::Pending<()> = std::future::pending();
            let _elapsed = tokio::time::timeout(ahead, rest).await;
        }
        // Once in any case: who is always late hears of answers too.
        loop {
            tokio::task::yield_now().await;
            if self.clock.now() >= moment {
                return Ok(());
            }
        }
    }
}
