//! Large answers take turns: however many a lane reads, and however fast they come, what is due is sent on time.
//!
//! An answer's first part is read as it comes. From then on each further part is let through a gate that opens once at
//! every turn of the lane's runtime, so that timers and sockets are looked at between any two parts. And all large
//! answers together are bounded, however many calls there may be in flight.

use std::cell::Cell;

use tokio::sync::Semaphore;

/// The part of an answer that is read in one go. A part of nothing but ends of lines takes two milliseconds.
pub(super) const PART: usize = 64 * 1024;
/// What it costs to look at a piece of an answer, in bytes: pieces may be tiny.
const PIECE: usize = 64;
/// So much of large answers may one lane be reading, all calls together.
const MOST: usize = 512 << 20;

/// What the large answers of a lane share.
#[derive(Debug)]
pub(super) struct Turns {
    gate: Semaphore,
    held: Cell<usize>,
    /// How many wait for their turn.
    waiting: Cell<usize>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { gate: Semaphore::new(1), held: Cell::new(0), waiting: Cell::new(0) }
    }
}

/// One answer's place among them.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    /// What is left of the present part.
    left: usize,
    held: usize,
}

/// The lane is reading more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuchAtOnce;

impl Turns {
    /// Whether an answer waits for its turn, which comes at a look at the event loop.
    pub(super) const fn are_awaited(&self) -> bool {
        self.waiting.get() > 0
    }

    /// The place of an answer that begins.
    pub(super) const fn begin(&self) -> Turn<'_> {
        Turn { turns: self, left: PART, held: 0 }
    }
}

impl Turn<'_> {
    /// Notes that a piece of `bytes` was read; waits for the answer's next turn where a part is complete.
    ///
    /// # Errors
    ///
    /// All answers together have become too large to be kept.
    pub(super) async fn read(&mut self, bytes: usize) -> Result<(), TooMuchAtOnce> {
        match self.left.checked_sub(bytes + PIECE) {
            Some(left) => self.left = left,
            // Boxed, as it is rare, and a call's future should be small.
            None => Box::pin(self.next_part(bytes)).await?,
        }
        Ok(())
    }

    async fn next_part(&mut self, bytes: usize) -> Result<(), TooMuchAtOnce> {
        let part = PART - self.left + bytes;
        self.held += part;
        self.turns.held.update(|held| held + part);
        if self.turns.held.get() > MOST {
            return Err(TooMuchAtOnce);
        }
        self.left = PART;
        let _waiting = Waiting::of(self.turns);
        // Nobody closes the gate, and nobody waits for a server while holding it.
        let _turn = self.turns.gate.acquire().await;
        // Ready again only after the runtime has looked at timers and sockets.
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// Somebody who waits for a turn.
struct Waiting<'a>(&'a Turns);

impl<'a> Waiting<'a> {
    fn of(turns: &'a Turns) -> Self {
        turns.waiting.update(|waiting| waiting + 1);
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.update(|waiting| waiting - 1);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.held.update(|held| held - self.held);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::scripted::run;
    use super::*;

    #[test]
    fn a_small_answer_waits_for_nobody_and_large_ones_take_turns() {
        run(async {
            let turns = Turns::default();
            let closed = turns.gate.acquire().await;
            let mut small = turns.begin();
            for _ in 0..4 {
                assert_eq!(small.read(PART / 4 - PIECE).await, Ok(()));
            }
            let mut large = turns.begin();
            assert!(!turns.are_awaited());
            let mut waiting = Box::pin(large.read(PART));
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
            assert!(turns.are_awaited());
            drop(closed);
            assert_eq!(waiting.await, Ok(()));
            assert!(!turns.are_awaited());
        });
    }

    #[test]
    fn between_any_two_parts_the_runtime_has_a_turn_however_many_answers_are_read() {
        run(async {
            let local = tokio::task::LocalSet::new();
            let turns = Rc::new(Turns::default());
            let parts = Rc::new(Cell::new(0));
            for _ in 0..50 {
                let (turns, parts) = (Rc::clone(&turns), Rc::clone(&parts));
                local.spawn_local(async move {
                    let mut turn = turns.begin();
                    loop {
                        turn.read(PART).await.unwrap();
                        parts.set(parts.get() + 1);
                    }
                });
            }
            local
                .run_until(async {
                    for turn in 1..200 {
                        tokio::task::yield_now().await;
                        assert!(parts.get() <= turn, "{} parts in {turn} turns", parts.get());
                    }
                    assert!(parts.get() > 100, "{} parts in 200 turns", parts.get());
                })
                .await;
        });
    }

    #[test]
    fn all_large_answers_together_are_bounded_and_what_is_done_makes_room() {
        run(async {
            let turns = Turns::default();
            let mut first = turns.begin();
            assert_eq!(first.read(MOST - PART).await, Ok(()));
            let mut second = turns.begin();
            assert_eq!(second.read(2 * PART).await, Err(TooMuchAtOnce));
            drop((first, second));
            assert_eq!((turns.held.get(), turns.begin().read(MOST - PART).await), (0, Ok(())));
        });
    }
}
