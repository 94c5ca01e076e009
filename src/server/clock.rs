//! The server's own clock: the time since it began, which is all that its freezes are made of.

use std::time::Duration;

use tokio::time::Instant;

/// Measures from the instant at which the server began to listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(super) fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// When the server began.
    pub(super) fn began(self) -> Instant {
        self.began
    }

    /// The time since the server began.
    pub(super) fn elapsed(self) -> Duration {
        self.began.elapsed()
    }

    /// The instant that is `elapsed` after the server began.
    pub(super) fn instant(self, elapsed: Duration) -> Instant {
        self.began + elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_counted_from_the_beginning() {
        let clock = Clock::start();
        assert_eq!(clock.instant(Duration::from_secs(3)) - clock.began(), Duration::from_secs(3));
    }
}
