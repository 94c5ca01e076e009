//! The dashboard of the instrument: whether what it measures is to be trusted.

use super::board::{Board, FINE, FLOWS, Panel, increase, quantile, rate, series};
use super::run::doubts;

/// The dashboard.
pub(crate) fn board() -> Board {
    Board {
        name: "generator",
        title: "mcpace: generator",
        description: "Whether the generator itself is healthy: it must be on time, and have what it needs.",
        refresh: "5s",
        from: "now-15m",
        choices: &[],
        rows: vec![("", headline()), ("On time", on_time()), ("What it needs", needs()), ("What it does", does())],
    }
}

fn sum(metric: &str) -> String {
    format!("sum {}", series(metric, ""))
}

fn max(metric: &str) -> String {
    format!("max {}", series(metric, ""))
}

fn lag() -> String {
    rate("mcpace_pacing_lag_seconds_bucket", FLOWS, FINE)
}

fn headline() -> Vec<Panel> {
    let limit = format!("min {}", series("mcpace_pacing_lag_limit_seconds", ""));
    let tight = |steps: Panel| steps.steps(&[("green", None), ("yellow", Some(0.5)), ("red", Some(1.0))]);
    let published = series("mcpace_snapshot_timestamp_seconds", "");
    let busy = |steps: Panel| steps.steps(&[("green", None), ("yellow", Some(0.7)), ("red", Some(0.9))]);
    vec![
        doubts().sized(4, 4),
        tight(Panel::stat(
            "Pacing lag used up",
            "The p99 of pacing lag, as a part of what it may be: from 1 on the run is INVALID.",
            "percentunit",
            (format!("{} / {limit}", quantile("0.99", "", &lag())), ""),
        ))
        .sized(4, 4),
        busy(Panel::stat(
            "Lanes busy",
            "The share of the last second in which lanes ran: near 1 they have nothing left.",
            "percentunit",
            (max("mcpace_generator_busy_ratio"), ""),
        ))
        .sized(4, 4),
        busy(Panel::stat(
            "Machine busy",
            "The share of the machine's processor time that is used, for whatever.",
            "percentunit",
            (max("mcpace_host_busy_ratio"), ""),
        ))
        .sized(4, 4),
        Panel::stat(
            "Stolen",
            "The share of the machine's processor time that other virtual machines take.",
            "percentunit",
            (max("mcpace_host_stolen_ratio"), ""),
        )
        .steps(&[("green", None), ("yellow", Some(0.01)), ("red", Some(0.05))])
        .sized(4, 4),
        Panel::stat(
            "Last count",
            "How long ago the generator published its counts: while a run goes on, a few seconds at most.",
            "s",
            (format!("time() - max {published}"), ""),
        )
        .steps(&[("green", None), ("yellow", Some(5.0)), ("red", Some(15.0))])
        .sized(4, 4),
    ]
}

fn on_time() -> Vec<Panel> {
    let buckets = increase("mcpace_pacing_lag_seconds_bucket", FLOWS, FINE);
    let scheduled = rate("mcpace_arrivals_scheduled_total", FLOWS, FINE);
    vec![
        Panel::lines(
            "Pacing lag",
            "How late the generator picked arrivals up: its own error. Dashed: where the run becomes INVALID.",
            "s",
            vec![
                (quantile("0.5", "", &lag()), "p50"),
                (quantile("0.99", "", &lag()), "p99"),
                (quantile("0.999", "", &lag()), "p99.9"),
                (format!("min {}", series("mcpace_pacing_lag_limit_seconds", "")), "limit"),
            ],
        )
        .bound("D")
        .zero_based()
        .sized(8, 9),
        Panel::heat(
            "Pacing lags",
            "How pacing lag is spread: the darker, the more arrivals.",
            format!("sum by (le) {buckets}"),
        )
        .sized(8, 9),
        Panel::lines(
            "Scheduled rate by flow",
            "Arrivals per second that were picked up. Dashed: what the profile intends.",
            "reqps",
            vec![
                (format!("sum by (flow) {scheduled}"), "{{flow}}"),
                (format!("sum by (flow) {}", series("mcpace_intended_rate", r#"flow=~"$flow""#)), "{{flow}} intended"),
            ],
        )
        .bound("B")
        .zero_based()
        .sized(8, 9),
    ]
}

fn needs() -> Vec<Panel> {
    let processors = rate("process_cpu_seconds_total", "", FINE);
    vec![
        Panel::lines(
            "Processor",
            "The shares of time in which lanes ran, in which the machine was busy, and that other virtual machines took.",
            "percentunit",
            vec![
                (max("mcpace_generator_busy_ratio"), "lanes"),
                (max("mcpace_host_busy_ratio"), "machine"),
                (max("mcpace_host_stolen_ratio"), "stolen"),
            ],
        )
        .zero_based(),
        Panel::lines(
            "Wait for a processor",
            "How long a lane that wanted a processor waited for it, on average.",
            "s",
            vec![(max("mcpace_generator_wait_seconds"), "wait")],
        )
        .zero_based(),
        Panel::lines(
            "Generator's processors and memory",
            "Processors and memory that the generator's process uses.",
            "none",
            vec![(format!("sum {processors}"), "processors"), (sum("process_resident_memory_bytes"), "memory")],
        )
        .right("B", "bytes")
        .zero_based(),
        Panel::lines(
            "Descriptors",
            "File descriptors that the generator has open. Dashed: how many it may have.",
            "none",
            vec![(sum("process_open_fds"), "open"), (sum("process_max_fds"), "limit")],
        )
        .bound("B")
        .zero_based(),
        Panel::lines(
            "Sockets",
            "TCP sockets of the machine, those that wait after their end included. Dashed: local ports there are.",
            "none",
            vec![(sum("mcpace_host_sockets"), "sockets"), (sum("mcpace_host_ports"), "ports")],
        )
        .bound("B")
        .zero_based(),
        Panel::lines(
            "Room",
            "Calls in flight, arrivals that wait for room, connections. Dashed: how many may be in flight.",
            "none",
            vec![
                (sum("mcpace_calls_in_flight"), "in flight"),
                (sum("mcpace_arrivals_waiting"), "waiting"),
                (sum("mcpace_connections_open"), "connections"),
                (sum("mcpace_calls_in_flight_limit"), "limit"),
            ],
        )
        .bound("D")
        .zero_based(),
    ]
}

fn does() -> Vec<Panel> {
    let side = rate("mcpace_side_calls_total", "", FINE);
    let substituted =
        rate("mcpace_arrivals_substituted_total", r#"flow=~"$flow", operation=~"$operation", phase=~"$phase""#, FINE);
    vec![
        Panel::lines(
            "Bytes",
            "Bytes per second to and from the target.",
            "Bps",
            vec![
                (format!("sum {}", rate("mcpace_sent_bytes_total", "", FINE)), "sent"),
                (format!("sum {}", rate("mcpace_received_bytes_total", "", FINE)), "received"),
            ],
        )
        .zero_based(),
        Panel::lines(
            "Calls that are not arrivals",
            "Opening and closing sessions, resuming streams, cancelling, answering the server: per second, by what for.",
            "reqps",
            vec![(format!("sum by (kind) {side}"), "{{kind}}")],
        )
        .zero_based(),
        Panel::lines(
            "Substituted",
            "Calls per second that took the place of others that had no captured value to use.",
            "reqps",
            vec![(format!("sum by (operation) {substituted}"), "{{operation}}")],
        )
        .zero_based(),
    ]
}
