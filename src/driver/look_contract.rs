//! Calls that look whether they were answered, before the event loop says so.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::{LocalEnterGuard, LocalSet};

use super::contract::{JSON, Ticking, call, driver_to, limits, session};
use super::scripted::{http, id_of, run};
use super::{Driver, McpDriver, Whom};
use crate::outcome::Outcome;
use crate::workload::{Call, Reply};

/// After the answer to this call the server hangs up, and does not say so before.
const LAST_ON_ITS_CONNECTION: u64 = 1010;
/// After the answer to this call the server is gone.
const LAST: u64 = 1020;
/// What takes longer is not coming.
const LONG: Duration = Duration::from_secs(10);

/// A server in a thread of its own, which so answers also while nobody runs the caller's event loop; one connection after the other. Tells
/// of each answer once it is sent, and of each connection once it is closed.
fn serve(listener: &TcpListener, told: &mpsc::Sender<()>) -> std::io::Result<()> {
    let mut room = [0; 4096];
    loop {
        let (mut stream, _) = listener.accept()?;
        loop {
            let count = stream.read(&mut room)?;
            if count == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&room[..count]);
            if count == room.len() || !text.starts_with("POST") {
                // A part of something large: no more of it is read, nor is any of it answered.
                drop(listener.accept());
                return Ok(());
            }
            let id = id_of(&text);
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#);
            stream.write_all(&http("200 OK", JSON, &body))?;
            if id == LAST_ON_ITS_CONNECTION {
                break;
            }
            let _ = told.send(());
            if id == LAST {
                return Ok(());
            }
        }
        drop(stream);
        let _ = told.send(());
    }
}

/// A driver whose lane may sleep, the tasks of that lane, and who says that something was answered.
struct Lane {
    driver: Rc<McpDriver<Ticking>>,
    tasks: RefCell<LocalSet>,
    answered: mpsc::Receiver<()>,
}

impl Lane {
    async fn drowsy() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = format!("http://{}/mcp", listener.local_addr().expect("it is bound"));
        let (told, answered) = mpsc::channel();
        std::thread::spawn(move || serve(&listener, &told));
        let driver = Rc::new(driver_to(&target.parse().expect("a target"), &session(), limits()).0);
        for id in 0..1000 {
            assert_eq!(driver.call(&call(id)).await.outcome, Outcome::Ok);
            assert_eq!(answered.recv_timeout(LONG), Ok(()));
            if driver.may_nap() {
                return Self { driver, tasks: RefCell::default(), answered };
            }
        }
        panic!("answers in one piece, with stamps");
    }

    fn enter(&self) -> LocalEnterGuard {
        self.tasks.borrow().enter()
    }

    fn turn(&self) -> bool {
        let _ = Pin::new(&mut *self.tasks.borrow_mut()).poll(&mut Context::from_waker(Waker::noop()));
        true
    }

    /// Begins a call that the server has answered then. The event loop has no part in that.
    fn begin(&self, id: u64) -> Rc<Cell<Option<Reply>>> {
        let reply = Rc::new(Cell::new(None));
        let (driver, replied) = (Rc::clone(&self.driver), Rc::clone(&reply));
        tokio::task::spawn_local(async move { replied.set(Some(driver.call(&call(id)).await)) });
        self.turn();
        assert_eq!(self.answered.recv_timeout(LONG), Ok(()));
        assert!(self.turn() && reply.take().is_none(), "nobody was told");
        reply
    }

    /// A call and its end.
    fn call(&self, id: u64) -> (Outcome, Option<u64>) {
        let reply = self.begin(id);
        // What the server has sent is here at once, or nearly so.
        for _ in 0..1_000_000 {
            self.driver.look(Whom::All, &|| self.turn());
            if let Some(reply) = reply.take() {
                return (reply.outcome, reply.connection.map(|connection| connection.0));
            }
        }
        panic!("call {id} was never answered");
    }
}

#[test]
fn an_answer_is_read_by_a_look_before_the_event_loop_tells_of_it() {
    run(async {
        let lane = Lane::drowsy().await;
        let _spawns = lane.enter();
        for id in 1000..LAST_ON_ITS_CONNECTION {
            assert_eq!(lane.call(id), (Outcome::Ok, Some(0)));
        }
        // Nor has any of that confused the event loop, which tells of the next answer.
        let reply = lane.driver.call(&call(LAST)).await;
        assert_eq!((reply.outcome, reply.connection.map(|connection| connection.0)), (Outcome::Ok, Some(0)));
    });
}

#[test]
fn the_older_calls_are_those_that_had_begun_before_the_wait_before() {
    run(async {
        let lane = Lane::drowsy().await;
        let _spawns = lane.enter();
        let reply = lane.begin(1000);
        let older = || lane.driver.look(Whom::Older, &|| lane.turn());
        lane.driver.begin_wait(true);
        assert!(older() && reply.take().is_none());
        lane.driver.begin_wait(true);
        let read = (0..1_000_000).any(|_| {
            older();
            lane.driver.begin_wait(true);
            reply.take().is_some()
        });
        assert!(read);
    });
}

#[test]
fn a_connection_of_which_the_event_loop_has_not_told_that_it_is_closed_is_not_used() {
    run(async {
        let lane = Lane::drowsy().await;
        let _spawns = lane.enter();
        assert_eq!(lane.call(LAST_ON_ITS_CONNECTION), (Outcome::Ok, Some(0)));
        assert!((0..100).any(|_| lane.driver.begin_wait(true)));
        // Connecting is the event loop's.
        let reply = lane.driver.call(&call(LAST)).await;
        assert_eq!((reply.outcome, reply.connection.map(|connection| connection.0)), (Outcome::Ok, Some(1)));
    });
}

#[test]
fn a_request_of_which_a_part_is_written_keeps_the_lane_awake() {
    run(async {
        let lane = Lane::drowsy().await;
        let _spawns = lane.enter();
        let large = Call { arguments: format!(r#"{{"note":"{}"}}"#, "x".repeat(16 << 20)), ..call(1000) };
        let driver = Rc::clone(&lane.driver);
        let sending = tokio::task::spawn_local(async move { driver.call(&large).await });
        assert!(lane.driver.may_nap());
        lane.turn();
        assert!(!lane.driver.may_nap(), "the event loop tells when there is room for more");
        sending.abort();
        lane.turn();
        assert!(lane.driver.may_nap(), "nothing is left to be written");
    });
}
