//! A small HTTP server that a test scripts: one thread a connection, no protocol of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    /// A header's value, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The method of the message in the body.
    pub(crate) fn rpc(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// Answers a request on its stream; whether the connection is kept.
type Answer = dyn Fn(&Request, &mut TcpStream) -> bool + Send + Sync;

/// The server, which lives as long as this value.
pub(crate) struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<Answer>,
    connections: AtomicU64,
    ended: AtomicBool,
    requests: Mutex<Vec<Request>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Scripted {
    /// Listens on a free port.
    pub(crate) fn start(answer: impl Fn(&Request, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            connections: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            requests: Mutex::default(),
            streams: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                serving.connections.fetch_add(1, Ordering::SeqCst);
                serving.streams.lock().expect("no panic").extend(stream.try_clone());
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The requests so far whose message has this method.
    pub(crate) fn requests(&self, rpc: &str) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").iter().filter(|request| request.rpc() == rpc).cloned().collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        for stream in self.shared.streams.lock().expect("no panic").drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let Ok(reading) = stream.try_clone() else { return };
        let mut reading = BufReader::new(reading);
        while let Some(request) = read(&mut reading) {
            self.requests.lock().expect("no panic").push(request.clone());
            if !(self.answer)(&request, &mut stream) {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Both));
    }
}

fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut first = line.split_whitespace();
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// Writes an answer in one piece; whether that went well.
pub(crate) fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) -> bool {
    let length = body.len();
    let whole = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
    stream.write_all(whole.as_bytes()).is_ok()
}

/// Writes JSON.
pub(crate) fn respond_json(stream: &mut TcpStream, status: &str, body: &Value) -> bool {
    respond(stream, status, "content-type: application/json\r\n", &body.to_string())
}

/// Writes the result of a request.
pub(crate) fn respond_result(stream: &mut TcpStream, request: &Request, result: &Value) -> bool {
    respond_json(stream, "200 OK", &json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result}))
}

/// Writes the head of an answer and then `piece`, until the other side has had enough.
pub(crate) fn pour(stream: &mut TcpStream, head: &str, piece: &[u8], bytes: u64) -> bool {
    if write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n").is_err() {
        return false;
    }
    let mut poured = 0;
    while poured < bytes && stream.write_all(piece).is_ok() {
        poured += piece.len() as u64;
    }
    false
}

/// Answers a handshake as a well-behaved server of the revisions that have one, with the tool `work`; whether `request` was part of one.
pub(crate) fn shake_hands(stream: &mut TcpStream, request: &Request) -> bool {
    match request.rpc() {
        "server/discover" => {
            let unknown = json!({"code": -32601, "message": "Method not found"});
            respond_json(stream, "200 OK", &json!({"jsonrpc": "2.0", "id": request.body["id"], "error": unknown}))
        }
        "initialize" => {
            let version = &request.body["params"]["protocolVersion"];
            let server = json!({"name": "scripted", "version": "1"});
            respond_result(
                stream,
                request,
                &json!({"protocolVersion": version, "capabilities": {}, "serverInfo": server}),
            )
        }
        "notifications/initialized" => respond(stream, "202 Accepted", "", ""),
        "tools/list" => {
            respond_result(stream, request, &json!({"tools": [{"name": "work", "inputSchema": {"type": "object"}}]}))
        }
        _ => return false,
    };
    true
}
