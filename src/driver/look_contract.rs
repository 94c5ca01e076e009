//! Calls that look whether they were answered, before the event loop says so.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Waker};

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::contract::{JSON, call, driver_to, limits, send, session};
use super::scripted::{Scripted, http, id_of, run};
use super::{Driver, Whom};
use crate::mcp::Target;
use crate::outcome::Outcome;

/// A server in a thread of its own, until the sender is dropped: it answers also while nobody runs this thread's event loop.
fn elsewhere() -> (mpsc::Receiver<Target>, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel();
    let (told, target) = mpsc::channel();
    std::thread::spawn(move || {
        run(async move {
            let script = |_, request: &str| {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, id_of(request));
                vec![send(http("200 OK", JSON, &body))]
            };
            let server = Scripted::start(script).await;
            drop(told.send(server.target.clone()));
            drop(stopped.await);
        });
    });
    (target, stop)
}

#[test]
fn an_answer_is_read_by_a_look_before_the_event_loop_tells_of_it() {
    let (target, _stop) = elsewhere();
    let target = target.recv().unwrap();
    run(async {
        let driver = Rc::new(driver_to(&target, &session(), limits()).0);
        for id in 0..1000 {
            assert!(id < 999, "answers in one piece, with stamps");
            assert_eq!(driver.call(&call(id)).await.outcome, Outcome::Ok);
            if driver.may_nap() {
                break;
            }
        }
        let tasks = RefCell::new(LocalSet::new());
        let _spawns = tasks.borrow().enter();
        let turn = || {
            let _ = Pin::new(&mut *tasks.borrow_mut()).poll(&mut Context::from_waker(Waker::noop()));
        };
        for id in 1000..1020 {
            let outcome = Rc::new(Cell::new(None));
            let (caller, replied) = (Rc::clone(&driver), Rc::clone(&outcome));
            tokio::task::spawn_local(async move { replied.set(Some(caller.call(&call(id)).await.outcome)) });
            turn();
            // Nothing runs the event loop from here on.
            for _ in 0..1_000_000 {
                turn();
                assert_eq!(outcome.get(), None, "somebody else told");
                driver.look(Whom::All, &turn);
                if outcome.get().is_some() {
                    break;
                }
                std::thread::yield_now();
            }
            assert_eq!(outcome.get(), Some(Outcome::Ok));
        }
        // Nor has anything of that confused it: the event loop tells of the next answer.
        assert_eq!(driver.call(&call(2000)).await.outcome, Outcome::Ok);
        assert_eq!(driver.connections(), 1);
    });
}
