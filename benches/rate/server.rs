//! The fastest honest MCP server: one thread, one epoll, one read and one write a call.
//!
//! It reads HTTP/1.1 with `Content-Length`, answers `initialize` and `tools/list` as the specification asks, and every
//! `tools/call` with the same wallet balance, at once or after a fixed delay. It counts calls and stamps their arrival.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::time::Timespec;

/// The id of the first call of a run: `mcpace` numbers its calls from here.
const FIRST_CALL_ID: u64 = 1000;
/// The most arrivals whose stamps are kept.
const STAMPS: usize = 20_000;
const LISTENER: u64 = 0;

/// A server that runs until the process ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) thread: rustix::thread::Pid,
    calls: Arc<AtomicU64>,
    delay_nanos: Arc<AtomicU64>,
    stamps: Receiver<(u64, Instant)>,
}

impl Server {
    /// Starts it on its own thread, pinned to a core of its own where there are two.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (calls, delay_nanos) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (sender, stamps) = sync_channel(STAMPS);
        let (started, thread) = sync_channel(1);
        let service = Service { calls: Arc::clone(&calls), delay_nanos: Arc::clone(&delay_nanos), stamps: sender };
        std::thread::spawn(move || {
            let _ = started.send(rustix::thread::gettid());
            let ended = service.serve(&listener);
            panic!("the server ended: {ended:?}");
        });
        let thread = thread.recv().map_err(io::Error::other)?;
        Ok(Self { address, thread, calls, delay_nanos, stamps })
    }

    /// Calls received so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Lets every answer from now on wait so long.
    pub(crate) fn answer_after(&self, delay: Duration) {
        self.delay_nanos.store(delay.as_nanos() as u64, Relaxed);
    }

    /// Takes the stamps of the calls received so far, by their place in the run.
    pub(crate) fn take_stamps(&self) -> Vec<(u64, Instant)> {
        self.stamps.try_iter().collect()
    }
}

struct Service {
    calls: Arc<AtomicU64>,
    delay_nanos: Arc<AtomicU64>,
    stamps: SyncSender<(u64, Instant)>,
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer that waits for its moment.
struct Later {
    due: Instant,
    connection: u64,
    answer: Vec<u8>,
}

impl Service {
    fn serve(&self, listener: &TcpListener) -> io::Result<()> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let mut connections: HashMap<u64, Connection> = HashMap::new();
        let mut later: VecDeque<Later> = VecDeque::new();
        let mut events = Vec::with_capacity(256);
        let mut next = LISTENER + 1;
        loop {
            let patience = later.front().map(|first| timespec(first.due.saturating_duration_since(now())));
            events.clear();
            match epoll::wait(&epoll, spare_capacity(&mut events), patience.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let key = event.data.u64();
                if key == LISTENER {
                    while let Ok((stream, _)) = listener.accept() {
                        stream.set_nonblocking(true)?;
                        stream.set_nodelay(true)?;
                        epoll::add(&epoll, &stream, epoll::EventData::new_u64(next), epoll::EventFlags::IN)?;
                        connections.insert(next, Connection { stream, unread: Vec::new() });
                        next += 1;
                    }
                } else if let Some(connection) = connections.get_mut(&key)
                    && self.receive(key, connection, &mut later).is_err()
                {
                    connections.remove(&key);
                }
            }
            while later.front().is_some_and(|first| first.due <= now()) {
                if let Some(Later { connection, answer, .. }) = later.pop_front()
                    && let Some(connection) = connections.get_mut(&connection)
                {
                    let _gone_is_seen_later = connection.stream.write_all(&answer);
                }
            }
        }
    }

    /// Reads what has come and answers each whole request; an error ends the connection.
    fn receive(&self, key: u64, connection: &mut Connection, later: &mut VecDeque<Later>) -> io::Result<()> {
        let mut buffer = [0; 16_384];
        let count = connection.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        connection.unread.extend_from_slice(&buffer[..count]);
        while let Some((body, end)) = request(&connection.unread) {
            let answer = self.answer(&connection.unread[body..end]);
            connection.unread.drain(..end);
            let delay = Duration::from_nanos(self.delay_nanos.load(Relaxed));
            if delay.is_zero() {
                connection.stream.write_all(&answer)?;
            } else {
                later.push_back(Later { due: now() + delay, connection: key, answer });
            }
        }
        Ok(())
    }

    fn answer(&self, body: &[u8]) -> Vec<u8> {
        let Some(id) = after(body, b"\"id\":").and_then(number) else {
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec();
        };
        let result = match after(body, b"\"method\":\"").unwrap_or_default() {
            [b'i', ..] => INTRODUCTION,
            method if method.starts_with(b"tools/list") => TOOLS,
            _ => {
                self.calls.fetch_add(1, Relaxed);
                let _full_is_enough = self.stamps.try_send((id.saturating_sub(FIRST_CALL_ID), now()));
                BALANCE
            }
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    }
}

const INTRODUCTION: &str =
    r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"rate","version":"1"}}"#;
const TOOLS: &str = r#"{"tools":[{"name":"get_wallet_balance","inputSchema":{"type":"object"}}]}"#;
const BALANCE: &str = concat!(
    r#"{"content":[{"type":"text","text":"The wallet of this customer holds 1234.56 EUR, of which 1200.00 are free"}],"#,
    r#""structuredContent":{"customer_id":"0b0e1f5e-7a3c-4c1b-9a55-6f4f5a0c7d21","balance":"1234.56","#,
    r#""currency":"EUR","available":"1200.00"},"isError":false}"#
);

/// Where the body of the first whole request begins and ends.
fn request(bytes: &[u8]) -> Option<(usize, usize)> {
    let body = find(bytes, b"\r\n\r\n")? + 4;
    let head = bytes[..body].to_ascii_lowercase();
    let length = after(&head, b"content-length:").and_then(|rest| number(rest.trim_ascii_start())).unwrap_or(0);
    let end = body + length as usize;
    (bytes.len() >= end).then_some((body, end))
}

fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    find(bytes, pattern).map(|place| &bytes[place + pattern.len()..])
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()
}

fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) }
}

#[expect(clippy::disallowed_methods, reason = "the other side of the wire has its own clock")]
fn now() -> Instant {
    Instant::now()
}
