//! The tasks of a lane's calls, run by the lane itself: between two sleeps it runs them where it wants to, and no look at the system
//! lies between.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::{LocalEnterGuard, LocalSet};

/// The tasks of one lane. Dropping it drops them.
pub(super) struct Tasks {
    set: RefCell<LocalSet>,
    /// Whether there are more that could run.
    more: Arc<More>,
    noted: Waker,
}

/// Is woken where a turn was not enough for all tasks. Whoever else wakes it, from whichever thread, has it say so once too often.
#[derive(Default)]
struct More(AtomicBool);

impl Wake for More {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    pub(super) fn new() -> Self {
        let more = Arc::<More>::default();
        Self { set: RefCell::new(LocalSet::new()), noted: Waker::from(Arc::clone(&more)), more }
    }

    /// While the guard lives, what this thread spawns is among them.
    pub(super) fn enter(&self) -> LocalEnterGuard {
        self.set.borrow().enter()
    }

    /// Runs those that were woken, some sixty at most, and says whether there are more. Who is woken afterwards wakes nobody: it is
    /// run in the next turn, or when [`Self::run`] is polled next.
    pub(super) fn turn(&self) -> bool {
        // Whatever was woken since the turn before is about to run.
        self.more.0.store(false, Ordering::Relaxed);
        self.poll(&mut Context::from_waker(&self.noted));
        self.more.0.load(Ordering::Relaxed)
    }

    /// Runs them whenever one is woken, for as long as this is polled; it has no end. Where a turn may be taken by another future
    /// of the same task, it has to be polled after that one: it is the last who says whom to wake.
    pub(super) async fn run(&self) {
        poll_fn(|cx| {
            self.poll(cx);
            Poll::<()>::Pending
        })
        .await;
    }

    fn poll(&self, cx: &mut Context<'_>) {
        // Whether there are any left is the desk's to know.
        let _ = Pin::new(&mut *self.set.borrow_mut()).poll(cx);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    /// What takes longer has been forgotten.
    const LONG: Duration = Duration::from_secs(30);

    fn in_a_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// When the event loop has told of a moment that is over soon.
    async fn soon() {
        let over = tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
        assert!(over.is_err());
    }

    #[test]
    fn a_turn_runs_who_was_woken_and_nobody_else() {
        in_a_runtime(async {
            let (tasks, news, steps) = (Tasks::new(), Rc::new(Notify::new()), Rc::new(Cell::new(0)));
            let _entered = tasks.enter();
            let (heard, stepped) = (Rc::clone(&news), Rc::clone(&steps));
            tokio::task::spawn_local(async move {
                loop {
                    stepped.update(|steps| steps + 1);
                    heard.notified().await;
                }
            });
            assert_eq!(steps.get(), 0);
            assert!(!tasks.turn() && !tasks.turn());
            assert_eq!(steps.get(), 1);
            news.notify_one();
            assert_eq!(steps.get(), 1);
            assert!(!tasks.turn());
            assert_eq!(steps.get(), 2);
        });
    }

    #[test]
    fn who_is_woken_between_turns_is_run_and_so_is_who_was_too_many_for_one() {
        in_a_runtime(async {
            let (tasks, done) = (Tasks::new(), Rc::new(Cell::new(0)));
            let _entered = tasks.enter();
            for _ in 0..200 {
                let done = Rc::clone(&done);
                tokio::task::spawn_local(async move {
                    soon().await;
                    done.update(|done| done + 1);
                });
            }
            let turns = std::iter::repeat_with(|| tasks.turn()).take_while(|more| *more).count();
            assert_eq!(turns, 3, "of 61 each, before the last");
            let all = async {
                while done.get() < 200 {
                    tokio::task::yield_now().await;
                    tasks.turn();
                }
            };
            // By turns only, where it comes last; and by itself, where nothing else goes on.
            let all = async {
                tokio::select! { biased; () = all => {}, () = tasks.run() => {} }
            };
            tokio::time::timeout(LONG, all).await.unwrap();
            let news = Rc::new(Notify::new());
            let heard = Rc::clone(&news);
            tokio::task::spawn_local(async move {
                soon().await;
                heard.notify_one();
            });
            let told = async {
                tokio::select! { biased; () = news.notified() => {}, () = tasks.run() => {} }
            };
            tokio::time::timeout(LONG, told).await.unwrap();
            assert_eq!(done.get(), 200);
        });
    }

    #[test]
    fn the_tasks_go_with_it() {
        let kept = Rc::new(());
        in_a_runtime(async {
            let tasks = Tasks::new();
            {
                let _entered = tasks.enter();
                let kept = Rc::clone(&kept);
                tokio::task::spawn_local(async move {
                    std::future::pending::<()>().await;
                    drop(kept);
                });
            }
            tasks.turn();
            assert_eq!(Rc::strong_count(&kept), 2);
        });
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
