//! `mcpace webhook`: the alerts that an Alertmanager sends, a line each, for demonstrations.

use std::num::NonZeroUsize;

use clap::Args;

use super::exit::{Exit, Failure};
use super::serve::{end, runtime, say};
use crate::report::clean;
use crate::server::ServerError;
use crate::server::webhook::{Alert, receive};

/// Flags of `mcpace webhook`.
#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    /// Name or address to listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    host: String,
    /// Port to listen on; 0 takes any free one.
    #[arg(long, default_value_t = 9095, value_name = "PORT")]
    port: u16,
}

/// Prints alerts until a signal.
pub(super) fn webhook(args: &WebhookArgs) -> Result<Exit, Failure> {
    print_alerts(args).map(|()| Exit::Pass).map_err(Failure::usage)
}

fn print_alerts(args: &WebhookArgs) -> Result<(), ServerError> {
    runtime(NonZeroUsize::MIN).map_err(ServerError::Serve)?.block_on(async {
        let end = end(false).map_err(ServerError::Serve)?;
        let ready = |address| say(&format!("mcpace webhook: listening on http://{address}/"));
        receive((&args.host, args.port), ready, |alert| say(&line(alert)), end).await
    })
}

/// Status, name, the labels that tell what it is about, and the summary. All of it may come from anybody.
fn line(alert: &Alert) -> String {
    let label = |name: &str| alert.labels.get(name).map_or("-", String::as_str);
    let summary = alert.annotations.get("summary").map_or("-", String::as_str);
    let [name, severity, about, instance] = ["alertname", "severity", "about", "instance"].map(label);
    clean(&format!("{} {name} ({severity}, about {about}, {instance}): {summary}", alert.status))
}
