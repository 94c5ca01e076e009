//! The fastest honest MCP server: one thread, one epoll, one read and one write a call, stamped by the kernel.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Backlog, ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SocketFlags, accept_with};
use rustix::time::Timespec;

use super::http::{Asked, asked, request};
use super::reply::{NOT_ALLOWED, Writer};
use super::shared::{Freezing, Shared};
use crate::clock::{monotonic, wall};

const LISTENER: u64 = 0;
const BUFFER: usize = 65_536;
/// How often the server looks for new freezes when nobody calls.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// The address to listen on, with a queue that holds what arrives in a freeze.
pub(crate) fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Once more: the queue of the standard library holds 128.
    nix::sys::socket::listen(&listener, Backlog::MAXCONN)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request that has not come as a whole.
    unread: Vec<u8>,
}

/// An answer that waits for its moment.
struct Later {
    due: Duration,
    connection: u64,
    answer: Vec<u8>,
}

/// The server's own state.
pub(crate) struct Raw {
    shared: Arc<Shared>,
    later: VecDeque<Later>,
    writer: Writer,
    buffer: Vec<u8>,
    ancillary: Vec<u8>,
    freezing: Option<Freezing>,
    change: u64,
}

impl Raw {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            later: VecDeque::new(),
            writer: Writer::default(),
            buffer: vec![0; BUFFER],
            ancillary: nix::cmsg_space!(TimeSpec),
            freezing: None,
            change: 0,
        }
    }

    /// Serves until something breaks.
    pub(crate) fn serve(mut self, listener: &TcpListener) -> io::Result<()> {
        // Connections inherit it.
        setsockopt(listener, sockopt::ReceiveTimestampns, &true)?;
        set_tcp_nodelay(listener, true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let mut connections: HashMap<u64, Connection> = HashMap::new();
        let mut events = Vec::with_capacity(64);
        let mut next = LISTENER + 1;
        loop {
            self.freeze();
            events.clear();
            match epoll::wait(&epoll, spare_capacity(&mut events), Some(&timespec(self.patience()))) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let key = event.data.u64();
                if key == LISTENER {
                    while let Ok(stream) = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                        let mut connection = Connection { stream: stream.into(), unread: Vec::new() };
                        self.shared.connected();
                        self.freeze();
                        // Who connected in a freeze has sent his request too, and waits no longer than for those before him.
                        let first = self.receive(next, &mut connection);
                        if first.is_ok() || first.is_err_and(|why| why.kind() == io::ErrorKind::WouldBlock) {
                            let key = epoll::EventData::new_u64(next);
                            epoll::add(&epoll, &connection.stream, key, epoll::EventFlags::IN)?;
                            connections.insert(next, connection);
                        }
                        next += 1;
                    }
                } else if let Some(connection) = connections.get_mut(&key) {
                    self.freeze();
                    if self.receive(key, connection).is_err() {
                        connections.remove(&key);
                    }
                }
            }
            self.answer_what_is_due(&mut connections);
        }
    }

    /// How long to wait for requests at most.
    fn patience(&self) -> Duration {
        let answer = self.later.front().map(|first| first.due.saturating_sub(monotonic()));
        let freeze = self.freezing.map(|freezing| Duration::from_nanos(freezing.first.saturating_sub(wall())));
        answer.into_iter().chain(freeze).fold(LONGEST_WAIT, Duration::min)
    }

    /// Stands still, if it is time for that.
    fn freeze(&mut self) {
        let change = self.shared.change();
        if change != self.change {
            self.change = change;
            self.freezing = self.shared.freezing();
        }
        if let Some(freezing) = self.freezing.as_mut().filter(|freezing| wall() >= freezing.first) {
            let end = freezing.first + freezing.length;
            freezing.first += freezing.every;
            self.shared.stand_still(end);
        }
    }

    fn answer_what_is_due(&mut self, connections: &mut HashMap<u64, Connection>) {
        while self.later.front().is_some_and(|first| first.due <= monotonic()) {
            if let Some(Later { connection, answer, .. }) = self.later.pop_front()
                && let Some(connection) = connections.get_mut(&connection)
            {
                let _gone_is_seen_later = connection.stream.write_all(&answer);
            }
        }
    }

    /// Reads what has come and answers each whole request; an error ends the connection.
    fn receive(&mut self, key: u64, connection: &mut Connection) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let received = self.read(connection, &mut buffer);
        let result = received.and_then(|(count, at)| {
            if connection.unread.is_empty() {
                let used = self.answer(key, &mut connection.stream, &buffer[..count], at)?;
                connection.unread.extend_from_slice(&buffer[used..count]);
            } else {
                connection.unread.extend_from_slice(&buffer[..count]);
                let used = self.answer(key, &mut connection.stream, &connection.unread, at)?;
                connection.unread.drain(..used);
            }
            if connection.unread.len() > BUFFER { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) }
        });
        self.buffer = buffer;
        result
    }

    /// How much was read, and when the kernel had it.
    fn read(&mut self, connection: &Connection, buffer: &mut [u8]) -> io::Result<(usize, u64)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let descriptor = connection.stream.as_raw_fd();
        let message = recvmsg::<()>(descriptor, &mut parts, Some(&mut self.ancillary), MsgFlags::empty())?;
        if message.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let at = message.cmsgs().find_map(|part| match part {
            ControlMessageOwned::ScmTimestampns(at) => {
                Some(at.tv_sec().cast_unsigned() * 1_000_000_000 + at.tv_nsec().cast_unsigned())
            }
            _ => None,
        });
        Ok((message.bytes, at.unwrap_or_else(wall)))
    }

    /// Answers the whole requests in `bytes`, and says how long they were.
    fn answer(&mut self, key: u64, stream: &mut TcpStream, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut used = 0;
        while let Some(request) = request(&bytes[used..]) {
            used += request.length;
            if !request.is_post {
                stream.write_all(NOT_ALLOWED)?;
                continue;
            }
            let asked = asked(request.body);
            let is_call = if let Asked::Call(id) = asked {
                self.shared.called(id, at, request.body.len());
                true
            } else {
                self.shared.asked(at);
                false
            };
            let answer = self.writer.answer(asked, self.shared.form(), request.is_old);
            let delay = self.shared.delay();
            if is_call && !delay.is_zero() {
                self.later.push_back(Later { due: monotonic() + delay, connection: key, answer: answer.to_vec() });
            } else {
                stream.write_all(answer)?;
                if is_call {
                    self.shared.answered(wall());
                }
            }
        }
        Ok(used)
    }
}

fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: i64::from(wait.subsec_nanos()) }
}
