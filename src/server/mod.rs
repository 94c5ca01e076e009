//! The bundled reference payments server: three tools over MCP, an in-memory ledger, and faults on request.
//!
//! rmcp speaks MCP, axum speaks HTTP; this module owns the payments, the faults and the end of the server. Faults are
//! decided by [`fault`], a pure function of the seed, so that what a test saw can be seen again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep_until;

use clock::Clock;
use fault::{FaultError, Faults};
use inject::Injector;
use ledger::Ledger;
use socket::{Cut, Door};
use switch::Switch;
use tools::Payments;

mod accounts;
mod alarm;
mod clock;
pub mod fault;
mod inject;
mod ledger;
pub mod slip;
mod socket;
pub mod switch;
#[cfg(test)]
mod tests;
mod tools;
#[cfg(test)]
mod untruth_tests;
pub mod webhook;

/// How long a server that is told to end goes on answering what is in flight.
const GRACE: Duration = Duration::from_secs(1);
/// How long a session keeps an answered call for a client that resumes its stream. A minute, the default, would hold a
/// minute of load in memory.
const ANSWERED_CALLS_KEPT: Duration = Duration::from_secs(5);
/// Names by which a server is called on its own machine.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Whether clients of the MCP revisions before 2026-07-28 get a session. Newer ones never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sessions {
    /// Each call stands alone.
    #[default]
    Stateless,
    /// `initialize` opens a session, which ends by DELETE or after five idle minutes.
    Stateful,
}

/// In what form calls are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// `application/json`; only without sessions.
    #[default]
    Json,
    /// A stream of server-sent events that ends with the reply.
    Sse,
}

/// Which names in a request's Host header are served: a guard against DNS rebinding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Loopback names and the address listened on.
    #[default]
    Loopback,
    /// These names as well.
    Also(Vec<String>),
    /// Every name.
    Any,
}

/// Everything that a server can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The name or address to listen on.
    pub host: String,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// Whether there are sessions.
    pub sessions: Sessions,
    /// The form of replies.
    pub replies: Replies,
    /// The names served.
    pub allowed_hosts: AllowedHosts,
    /// Starting balances, payment ids and faults all come from it.
    pub seed: u64,
    /// How many payments are remembered; beyond, the oldest are forgotten with their ids and keys. Balances still count
    /// them: exactly, as long as customers and currencies make at most as many accounts as this, or 100 000 if that is
    /// more. With more accounts, those whose payments are all forgotten fall back to their starting balance, the one
    /// that paid longest ago first.
    pub capacity: usize,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// Whether it does so at present.
    pub switch: Switch,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            sessions: Sessions::default(),
            replies: Replies::default(),
            allowed_hosts: AllowedHosts::default(),
            seed: 0,
            capacity: 1_000_000,
            faults: Faults::default(),
            switch: Switch::default(),
        }
    }
}

/// Where a server listens, and since when.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// The address, with the port that was really taken.
    pub address: SocketAddr,
    /// When the server began: the periods of a freeze are counted from here.
    pub began: Instant,
}

/// Why a server could not serve.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The port belongs to somebody else.
    #[error("listen on {0}: the port is taken; give another --port, or --port 0 for any free one")]
    PortTaken(String),
    /// The address cannot be listened on.
    #[error("listen on {address}: {cause}; give a --host that belongs to this machine and a --port above 1023")]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Sessions answer in streams only.
    #[error(
        "answer in JSON with sessions: stateful sessions always stream; give --replies sse or --sessions stateless"
    )]
    JsonWithSessions,
    /// The faults contradict each other.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The server broke down.
    #[error("serve: {0}")]
    Serve(io::Error),
}

/// Serves until `end` is ready, then for at most a second more; `ready` learns where.
///
/// # Errors
///
/// [`ServerError`] where the settings contradict each other, or the address cannot be listened on.
pub async fn serve(
    settings: Settings,
    ready: impl FnOnce(Listening),
    end: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    settings.faults.check()?;
    if settings.sessions == Sessions::Stateful && settings.replies == Replies::Json {
        return Err(ServerError::JsonWithSessions);
    }
    let listener = listen(&settings.host, settings.port).await?;
    let address = listener.local_addr().map_err(ServerError::Serve)?;
    let mut mcp = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(settings.sessions == Sessions::Stateful)
        .with_json_response(settings.replies == Replies::Json);
    mcp.allowed_hosts = allowed_hosts(&settings.allowed_hosts, address.ip());
    let streams = mcp.cancellation_token.clone();

    let clock = Clock::start();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = serving(Door::new(listener, settings.faults.freeze, clock), &settings, mcp, clock, stopped);
    ready(Listening { address, began: clock.began().into_std() });

    tokio::select! {
        result = &mut serving => return result.map_err(ServerError::Serve),
        () = end => {}
    }
    // Idle connections close at once, busy ones after their answer. Only streams that wait for nothing stay open.
    let _ = stop.send(());
    let result = tokio::select! {
        result = &mut serving => result,
        () = sleep_until(clock.instant(clock.elapsed() + GRACE)) => Ok(()),
    };
    streams.cancel();
    result.map_err(ServerError::Serve)
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, ServerError> {
    TcpListener::bind((host, port)).await.map_err(|cause| {
        let address = format!("{host}:{port}");
        match cause.kind() {
            io::ErrorKind::AddrInUse => ServerError::PortTaken(address),
            _ => ServerError::Listen { address, cause },
        }
    })
}

/// The names for rmcp's guard, where an empty list allows all.
fn allowed_hosts(wanted: &AllowedHosts, address: IpAddr) -> Vec<String> {
    let mut names: Vec<_> = LOOPBACK_NAMES.map(str::to_owned).into();
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    match wanted {
        AllowedHosts::Any => return Vec::new(),
        AllowedHosts::Also(more) => names.extend_from_slice(more),
        AllowedHosts::Loopback if address.is_loopback() => {}
        AllowedHosts::Loopback => {
            tracing::warn!(
                served = names.join(", "),
                "other names in a Host header are refused: allow them with --allowed-host NAME, or all with '*'"
            );
        }
    }
    names
}

type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The server itself, until `stopped`. The layer that injects faults exists only where there are faults of calls.
fn serving(
    door: Door,
    settings: &Settings,
    mcp: StreamableHttpServerConfig,
    clock: Clock,
    stopped: oneshot::Receiver<()>,
) -> Serving {
    let payments = Payments::new(Ledger::new(settings.seed, settings.capacity));
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.completed_cache_ttl = ANSWERED_CALLS_KEPT;
    let sessions = Arc::new(sessions);
    let mcp = StreamableHttpService::new(move || Ok(payments.clone()), sessions.clone(), mcp);
    let router = Router::new().route_service("/mcp", mcp);
    let health = get(health).with_state(sessions);
    let stopped = async move {
        let _ = stopped.await;
    };
    if settings.faults.touch_calls() {
        let injector = Arc::new(Injector::new(settings, clock));
        let router = router
            .route_layer(middleware::from_fn_with_state(injector, inject::inject))
            .route("/health", health)
            .into_make_service_with_connect_info::<Cut>();
        Box::pin(axum::serve(door, router).with_graceful_shutdown(stopped).into_future())
    } else {
        let router = router.route("/health", health).into_make_service();
        Box::pin(axum::serve(door, router).with_graceful_shutdown(stopped).into_future())
    }
}

/// That it is up, and how many sessions are open.
async fn health(State(manager): State<Arc<LocalSessionManager>>) -> impl IntoResponse {
    let sessions = manager.sessions.read().await.len();
    ([(header::CONTENT_TYPE, "application/json")], format!(r#"{{"status":"ok","sessions":{sessions}}}"#))
}
