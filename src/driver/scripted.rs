//! A server for tests that answers each request with bytes from a script, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mcp::Target;

/// One thing that the server does in answer to a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one, each as a packet of its own.
    Dribble(Vec<u8>),
    /// Sends these bytes for as long as anybody reads them.
    Forever(Vec<u8>),
    /// Sends these bytes one by one, again and again, for as long as anybody reads them.
    Drip(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Closes the connection without good manners.
    Reset,
    /// Waits until this many requests have come, over all connections.
    Until(usize),
    /// Does nothing more.
    Hang,
}

/// What the server saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// The requests: heads and bodies.
    pub(super) requests: Vec<String>,
    /// How many pieces each request came in.
    pub(super) pieces: Vec<usize>,
    /// How many bytes of what has no end it got rid of.
    pub(super) poured: usize,
}

/// A running server.
pub(super) struct Scripted {
    pub(super) target: Target,
    seen: Arc<Mutex<Seen>>,
}

/// An answer with a length, a media type and a body.
pub(super) fn http(status: &str, media_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A whole answer in events, in one chunk.
pub(super) fn events(events: &str) -> Vec<u8> {
    let mut answer = events_head();
    answer.extend(format!("{:x}\r\n{events}\r\n0\r\n\r\n", events.len()).into_bytes());
    answer
}

/// The head of an answer in events.
pub(super) fn events_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

impl Scripted {
    /// A server whose n-th request, counted over all connections, is answered by `script(n, request)`.
    pub(super) async fn start(script: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (script, counted) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                counted.lock().unwrap().connections += 1;
                let (script, counted) = (Arc::clone(&script), Arc::clone(&counted));
                tokio::spawn(async move { converse(stream, &*script, &counted).await });
            }
        });
        Self { target, seen }
    }

    /// A server that answers every request alike.
    pub(super) async fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_, _| steps.clone()).await
    }

    /// A server that answers at the first bytes of a request, and closes the connection on the rest of it.
    pub(super) async fn deaf(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.read_exact(&mut [0; 100]).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        Self { target, seen: Arc::default() }
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

async fn converse(mut stream: TcpStream, script: &(impl Fn(usize, &str) -> Vec<Step> + Sync), seen: &Mutex<Seen>) {
    while let Some((request, pieces)) = read_request(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.requests.push(request.clone());
            seen.pieces.push(pieces);
            seen.requests.len() - 1
        };
        for step in script(number, &request) {
            match step {
                Step::Close => return,
                Step::Until(count) => {
                    while seen.lock().unwrap().requests.len() < count {
                        tokio::task::yield_now().await;
                    }
                }
                Step::Reset => return stream.set_zero_linger().unwrap(),
                other => act(&mut stream, other, seen).await,
            }
        }
    }
}

async fn act(stream: &mut (impl AsyncWrite + Unpin), step: Step, seen: &Mutex<Seen>) {
    match step {
        Step::Send(bytes) => drop(stream.write_all(&bytes).await),
        Step::Dribble(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        Step::Forever(bytes) => {
            while stream.write_all(&bytes).await.is_ok() {
                seen.lock().unwrap().poured += bytes.len();
            }
        }
        Step::Drip(bytes) => {
            for byte in bytes.iter().cycle() {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                seen.lock().unwrap().poured += 1;
                tokio::task::yield_now().await;
            }
        }
        Step::Hang | Step::Close | Step::Reset | Step::Until(_) => std::future::pending().await,
    }
}

/// A request with its body, and in how many reads it came; `None` at the end.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, usize)> {
    let (mut request, mut pieces) = (Vec::new(), 0);
    loop {
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        pieces += 1;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        if body.len() >= length {
            return Some((text, pieces));
        }
    }
}

/// The id of the JSON-RPC request in an HTTP request.
pub(super) fn id_of(request: &str) -> u64 {
    let body = request.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str::<serde_json::Value>(body).unwrap()["id"].as_u64().unwrap_or_default()
}

/// Runs a test's future on a runtime like that of a lane, and fails it when it hangs.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let calls = tokio::task::LocalSet::new();
    let test = calls.run_until(async { tokio::time::timeout(Duration::from_secs(20), test).await });
    runtime.block_on(test).expect("the test hangs")
}
