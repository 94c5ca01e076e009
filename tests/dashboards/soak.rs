//! The dashboard of a run of hours or days: what changes slowly, what is used up, and how it was before.

use super::board::{ARRIVALS, Board, Panel, increase, quantile, rate, rate_before, series, slope};
use super::run::{doubts, least_budget, ok_share, promised_times, times, verdict};

/// Long enough to be smooth; a variable of this dashboard.
const WIDE: &str = "$window";
/// How long ago it is held against; another.
const AGO: &str = "$before";

/// The dashboard.
pub(crate) fn board() -> Board {
    Board {
        name: "soak",
        title: "mcpace: soak",
        description: "A run of hours or days: what drifts, what is used up, and how it was the same time before.",
        refresh: "1m",
        from: "now-24h",
        choices: &[("window", "Window", &["5m", "15m", "1h"]), ("before", "Compared with", &["1h", "1d", "7d"])],
        rows: vec![
            ("", headline()),
            ("Times and errors", slow_times()),
            ("Objectives", budget()),
            ("The same time before", before()),
            ("What is used up", resources()),
        ],
    }
}

fn headline() -> Vec<Panel> {
    let began = series("mcpace_run_state_begin_timestamp_seconds", r#"state="starting""#);
    let total = |metric: &str, labels: &str| format!("sum {}", series(metric, labels));
    let arrivals = total("mcpace_arrivals_scheduled_total", ARRIVALS);
    let ended = total("mcpace_response_time_seconds_count", ARRIVALS);
    let ok = total("mcpace_calls_total", &format!("{ARRIVALS}, outcome=\"ok\""));
    vec![
        verdict(),
        least_budget(),
        Panel::stat("Running for", "Since the run began.", "s", (format!("time() - min {began}"), "")),
        Panel::stat("Arrivals", "All that were due so far.", "short", (arrivals, "")),
        Panel::stat(
            "Error rate",
            "The share of all arrivals that ended so far and did not end ok.",
            "percentunit",
            (format!("1 - {ok} / {ended}"), ""),
        ),
        Panel::stat(
            "Stood still",
            "How long the target answered nobody, in all.",
            "s",
            (format!("sum {}", series("mcpace_target_frozen_seconds_total", "")), ""),
        ),
        Panel::stat(
            "Broken promises",
            "Calls answered against a promise about money, in all.",
            "none",
            (format!("sum {}", series("mcpace_violations_total", "")), ""),
        )
        .steps(&[("green", None), ("red", Some(1.0))]),
        doubts(),
    ]
}

fn slow_times() -> Vec<Panel> {
    let mut response = times("mcpace_response_time_seconds", WIDE);
    response.push(promised_times());
    let ok = rate("mcpace_calls_total", &format!("{ARRIVALS}, outcome=\"ok\""), WIDE);
    let scheduled = rate("mcpace_arrivals_scheduled_total", ARRIVALS, WIDE);
    vec![
        Panel::lines(
            "Response time",
            "From when an arrival was due to its complete reply, over the chosen window. Dashed: what is promised.",
            "s",
            response,
        )
        .bound("D")
        .zero_based()
        .sized(12, 9),
        Panel::lines(
            "Service time",
            "From the first byte sent to the complete reply, over the chosen window.",
            "s",
            times("mcpace_service_time_seconds", WIDE),
        )
        .zero_based()
        .sized(12, 9),
        Panel::lines(
            "Scheduled and achieved rate",
            "Arrivals per second that became due, and those that were answered ok.",
            "reqps",
            vec![(format!("sum {scheduled}"), "scheduled"), (format!("sum {ok}"), "ok")],
        )
        .zero_based()
        .sized(12, 8),
        Panel::lines(
            "Error rate by window",
            "The share of the arrivals that ended and did not end ok.",
            "percentunit",
            vec![(format!("1 - {}", ok_share(WIDE)), "errors")],
        )
        .zero_based()
        .sized(12, 8),
    ]
}

fn budget() -> Vec<Panel> {
    let still = increase("mcpace_target_frozen_seconds_total", "", WIDE);
    vec![
        Panel::lines(
            "Budget burn",
            "How many times faster than allowed each objective's budget burns, by window: at 1 nothing is left at the end. \
             From the rules of mcpace rules.",
            "none",
            vec![(series("objective:mcpace_burn:rate", ""), "{{objective}} over {{window}}")],
        )
        .zero_based(),
        Panel::lines(
            "Budget left",
            "How much of what each objective allows is left, of the run as a whole so far.",
            "percentunit",
            vec![(series("mcpace_objective_budget_left_ratio", ""), "{{objective}}")],
        ),
        Panel::lines(
            "Stood still by window",
            "Seconds in each window in which the target answered nobody.",
            "s",
            vec![(format!("max {still}"), "frozen")],
        )
        .zero_based(),
    ]
}

/// The mean service time over the window, and over the same window some time ago.
fn means() -> (String, String) {
    let (sum, count) = ("mcpace_service_time_seconds_sum", "mcpace_service_time_seconds_count");
    let now = |metric| format!("sum by (operation) {}", rate(metric, ARRIVALS, WIDE));
    let then = |metric| format!("sum by (operation) {}", rate_before(metric, ARRIVALS, WIDE, AGO));
    (format!("{} / {}", now(sum), now(count)), format!("{} / {}", then(sum), then(count)))
}

fn before() -> Vec<Panel> {
    let buckets = "mcpace_response_time_seconds_bucket";
    let now = quantile("0.95", "operation", &rate(buckets, ARRIVALS, WIDE));
    let then = quantile("0.95", "operation", &rate_before(buckets, ARRIVALS, WIDE, AGO));
    let (mean, mean_before) = means();
    let drift = |metric: &str| format!("sum {} * 3600", slope(metric, AGO));
    vec![
        Panel::lines(
            "p95 of response time, now and before",
            "The same as so long before as is chosen above.",
            "s",
            vec![(now, "{{operation}} now"), (then, "{{operation}} before")],
        )
        .bound("B")
        .zero_based(),
        Panel::lines(
            "Change of mean service time",
            "How much longer the server takes than so long before as is chosen above: 0 is no change, 1 twice as long.",
            "percentunit",
            vec![(format!("({mean}) / ({mean_before}) - 1"), "{{operation}}")],
        ),
        Panel::lines(
            "Memory drift",
            "How much memory is gained an hour, by a straight line through as much time as is chosen above: what leaks rises steadily.",
            "bytes",
            vec![
                (drift("mcpace_target_memory_bytes"), "target"),
                (drift("process_resident_memory_bytes"), "generator"),
            ],
        ),
    ]
}

fn resources() -> Vec<Panel> {
    let sum = |metric: &str| format!("sum {}", series(metric, ""));
    vec![
        Panel::lines(
            "Memory",
            "Memory of the target's process (with --server-pid or --server-metrics) and of the generator.",
            "bytes",
            vec![(sum("mcpace_target_memory_bytes"), "target"), (sum("process_resident_memory_bytes"), "generator")],
        )
        .zero_based(),
        Panel::lines(
            "Descriptors and connections",
            "File descriptors that target and generator have open, and the connections between them.",
            "none",
            vec![
                (sum("mcpace_target_open_fds"), "target"),
                (sum("process_open_fds"), "generator"),
                (sum("mcpace_connections_open"), "connections"),
            ],
        )
        .zero_based(),
        Panel::lines(
            "Processors and threads",
            "Processors that the target's process uses, and its threads.",
            "none",
            vec![(sum("mcpace_target_processors_used"), "processors"), (sum("mcpace_target_threads"), "threads")],
        )
        .right("B", "none")
        .zero_based(),
    ]
}
