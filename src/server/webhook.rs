//! A receiver of alerts, for demonstrations: what an Alertmanager posts is handed on, and sent nowhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::{ServerError, listen};

/// One alert of a notification. What else Alertmanager says of it is not read.
#[derive(Debug, Deserialize)]
pub struct Alert {
    /// `firing` or `resolved`.
    pub status: String,
    /// What tells it from other alerts; its name is `alertname`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it says to people.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Notification {
    alerts: Vec<Alert>,
}

/// Takes notifications at `/` until `end` is ready; `ready` learns where, and `told` is called for each alert. `/health` says
/// that it is up.
///
/// # Errors
///
/// [`ServerError`] where the address cannot be listened on.
pub async fn receive(
    (host, port): (&str, u16),
    ready: impl FnOnce(SocketAddr),
    told: impl Fn(&Alert) + Send + Sync + 'static,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let listener = listen(host, port).await?;
    ready(listener.local_addr().map_err(ServerError::Serve)?);
    let router =
        Router::new().route("/", post(take)).with_state(Arc::new(told) as Told).route("/health", get(async || "ok\n"));
    axum::serve(listener, router).with_graceful_shutdown(end).await.map_err(ServerError::Serve)
}

type Told = Arc<dyn Fn(&Alert) + Send + Sync>;

async fn take(State(told): State<Told>, Json(notification): Json<Notification>) {
    notification.alerts.iter().for_each(|alert| told(alert));
}
