//! The exporter's little HTTP server: two pages, a bounded number of connections, and a bounded time for each.
//!
//! Every connection carries one request. That costs a scraper one more handshake in some seconds, and nobody can hold a
//! place for longer than [`CONNECTION_TIME`].

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::Shared;

/// At most this many connections at once; more wait in the system's queue.
const CONNECTIONS: u32 = 32;
/// A client that has not sent its request by then is hung up on.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// A client that has not taken its answer by then is hung up on.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Answers under way at the end may take this long.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted, for want of descriptors mostly.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);
/// More head than this is not a scrape.
const LONGEST_HEAD: usize = 16 * 1024;

/// `prometheus` names the version of its text format, but not the encoding.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Serves until `stop` fires or its sender is gone.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            _ = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    answer(stream, &shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("metrics: a connection was not accepted: {error}");
                pause().await;
            }
        }
    }
    drop(listener);
    // All places are free again when every answer under way has gone out.
    let _ = tokio::time::timeout(FAREWELL_TIME, places.acquire_many(CONNECTIONS)).await;
}

#[expect(clippy::disallowed_methods, reason = "nothing is paced here, and a millisecond more does not matter")]
async fn pause() {
    tokio::time::sleep(REFUSAL_PAUSE).await;
}

/// Answers the one request of a connection, and notes it where it was a scrape that was read to the end.
async fn answer(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let scraped = AtomicU64::new(NOT_A_SCRAPE);
    let service = service_fn(|request| {
        let response = respond(&request, shared, &scraped);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::time::timeout(CONNECTION_TIME, connection).await;
    let generation = scraped.load(Ordering::Relaxed);
    if generation != NOT_A_SCRAPE && matches!(ended, Ok(Ok(()))) {
        shared.scraped(generation);
    }
}

/// The generation of what was no scrape.
const NOT_A_SCRAPE: u64 = u64::MAX;

fn respond(request: &Request<Incoming>, shared: &Shared, scraped: &AtomicU64) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/healthz") {
        return page(StatusCode::NOT_FOUND, PLAIN, "not found: the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are answered here\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if path == "/healthz" {
        return page(StatusCode::OK, PLAIN, "ok\n");
    }
    match shared.render() {
        Ok((text, generation)) => {
            if request.method() == Method::GET {
                scraped.store(generation, Ordering::Relaxed);
            }
            page(StatusCode::OK, METRICS_TYPE, text)
        }
        Err(error) => {
            tracing::warn!("metrics could not be written: {error}");
            page(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("the metrics could not be written: {error}\n"))
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
