//! The dashboard of one run: what is asked of the target, how it answers, and what that is worth.

use mcpace::outcome::{Fault, Outcome};

use super::board::{ARRIVALS, Board, FINE, FLOWS, Panel, Query, increase, quantile, rate, series};

/// Arrivals that ended ok, as a share of those that ended.
pub(crate) fn ok_share(window: &str) -> String {
    let ok = rate("mcpace_calls_total", &format!("{ARRIVALS}, outcome=\"ok\""), window);
    format!("sum {ok} / sum {}", rate("mcpace_response_time_seconds_count", ARRIVALS, window))
}

/// The three quantiles of a histogram of times, by operation.
pub(crate) fn times(metric: &str, window: &str) -> Vec<Query> {
    let buckets = || rate(&format!("{metric}_bucket"), ARRIVALS, window);
    vec![
        (quantile("0.5", "operation", &buckets()), "{{operation}} p50"),
        (quantile("0.95", "operation", &buckets()), "{{operation}} p95"),
        (quantile("0.99", "operation", &buckets()), "{{operation}} p99"),
    ]
}

/// The response times that are promised, of what is chosen.
pub(crate) fn promised_times() -> Query {
    let scope = r#"flow=~"$flow|", operation=~"$operation|""#;
    (series("mcpace_objective_bound_seconds", scope), "{{objective}}")
}

pub(crate) fn verdict() -> Panel {
    let colours = [("pass", "green"), ("inconclusive", "yellow"), ("fail", "red"), ("invalid", "purple")];
    Panel::name(
        "Verdict so far",
        "The verdict if the run ended now. Invalid is about the generator, not the target.",
        (format!("{} == 1", series("mcpace_run_verdict", "")), "{{verdict}}"),
        &colours,
    )
}

pub(crate) fn least_budget() -> Panel {
    let description = "Of all objectives the one that is nearest to its bound: how much of what it allows is left. Below 0 it is missed.";
    let least = format!("min {}", series("mcpace_objective_budget_left_ratio", ""));
    Panel::stat("Least budget left", description, "percentunit", (least, "")).steps(&[
        ("red", None),
        ("yellow", Some(0.0)),
        ("green", Some(0.25)),
    ])
}

pub(crate) fn doubts() -> Panel {
    let description = "Reasons for which the run would be INVALID as things stand. See docs/troubleshooting.md.";
    let doubts = format!("sum {}", series("mcpace_generator_doubts", ""));
    Panel::stat("Doubts", description, "none", (doubts, "")).steps(&[("green", None), ("red", Some(1.0))])
}

/// The dashboard.
pub(crate) fn board() -> Board {
    Board {
        name: "run",
        title: "mcpace: run",
        description: "One run of mcpace: load, answers, objectives, and whether the generator is to be trusted.",
        refresh: "5s",
        from: "now-15m",
        choices: &[],
        rows: vec![
            ("", headline()),
            ("Load and answers", load()),
            ("Times", response_and_service()),
            ("Objectives", objectives()),
            ("Room, generator and target", room()),
        ],
    }
}

fn headline() -> Vec<Panel> {
    let began = series("mcpace_run_state_begin_timestamp_seconds", r#"state=~"warmup|measure""#);
    let began = format!("min by (job, instance) {began}");
    let left = format!("max(clamp_min({} - (time() - {began}), 0))", series("mcpace_run_planned_seconds", ""));
    let intended = format!("sum {}", series("mcpace_intended_rate", r#"flow=~"$flow""#));
    let ok = rate("mcpace_calls_total", &format!("{ARRIVALS}, outcome=\"ok\""), FINE);
    vec![
        verdict(),
        least_budget(),
        Panel::name(
            "State",
            "How far the run has come. What is due during warm-up is not judged.",
            (format!("{} == 1", series("mcpace_run_state", "")), "{{state}}"),
            &[
                ("measure", "green"),
                ("warmup", "blue"),
                ("paused", "purple"),
                ("draining", "yellow"),
                ("ended", "text"),
            ],
        ),
        Panel::stat("Time left", "Until the last arrival is due, at most.", "s", (left, "")),
        Panel::stat("Intended rate", "Arrivals per second that the profiles intend now.", "reqps", (intended, "")),
        Panel::stat("Achieved rate", "Calls per second that ended ok.", "reqps", (format!("sum {ok}"), "")),
        Panel::stat(
            "Error rate",
            "The share of the arrivals that ended and did not end ok: failed, dropped or abandoned.",
            "percentunit",
            (format!("1 - {}", ok_share(FINE)), ""),
        )
        .steps(&[("green", None), ("yellow", Some(0.001)), ("red", Some(0.01))]),
        doubts(),
    ]
}

fn load() -> Vec<Panel> {
    let by_second = |metric: &str, labels: &str| rate(metric, labels, FINE);
    let failed = by_second("mcpace_calls_total", &format!("{ARRIVALS}, outcome!=\"ok\""));
    let dropped = by_second("mcpace_arrivals_dropped_total", ARRIVALS);
    let abandoned = by_second("mcpace_arrivals_abandoned_total", ARRIVALS);
    let of = |fault: Fault| {
        let outcomes: Vec<&str> =
            Outcome::ALL.iter().filter(|outcome| outcome.fault() == fault).map(|outcome| outcome.name()).collect();
        let labels = format!("{ARRIVALS}, outcome=~\"{}\"", outcomes.join("|"));
        format!("sum {}", by_second("mcpace_calls_total", &labels))
    };
    vec![
        Panel::lines(
            "Intended and achieved rate",
            "Arrivals per second: what the profiles intend, what became due and was picked up, and what was answered ok.",
            "reqps",
            vec![
                (format!("sum {}", series("mcpace_intended_rate", r#"flow=~"$flow""#)), "intended"),
                (format!("sum {}", by_second("mcpace_arrivals_scheduled_total", ARRIVALS)), "scheduled"),
                (of(Fault::Nobody), "ok"),
            ],
        )
        .zero_based()
        .sized(12, 9),
        Panel::lines(
            "Errors by outcome",
            "Arrivals per second that did not end ok, by how they ended.",
            "reqps",
            vec![
                (format!("sum by (outcome) {failed} > 0"), "{{outcome}}"),
                (format!("sum {dropped} > 0"), "dropped"),
                (format!("sum {abandoned} > 0"), "abandoned"),
            ],
        )
        .zero_based()
        .sized(6, 9),
        Panel::lines(
            "Whose fault",
            "Calls per second that failed, by whose doing: the target's (or that of the network between), that of the request \
             as configured, the generator's.",
            "reqps",
            vec![
                (of(Fault::Target), "target"),
                (of(Fault::Request), "request"),
                (of(Fault::Generator), "generator"),
            ],
        )
        .zero_based()
        .sized(6, 9),
    ]
}

fn response_and_service() -> Vec<Panel> {
    let mut response = times("mcpace_response_time_seconds", FINE);
    response.push(promised_times());
    let buckets = increase("mcpace_response_time_seconds_bucket", ARRIVALS, FINE);
    let still = rate("mcpace_target_frozen_seconds_total", "", FINE);
    let calls = rate("mcpace_calls_total", ARRIVALS, FINE);
    vec![
        Panel::lines(
            "Response time",
            "From when an arrival was due to its complete reply: what a user would feel. Dashed: what is promised. An arrival \
             without a complete reply is above every bound.",
            "s",
            response,
        )
        .bound("D")
        .zero_based()
        .sized(12, 10),
        Panel::lines(
            "Service time",
            "From the first byte sent to the complete reply: what the server took. Where response time is much higher, calls \
             had to wait before they were sent.",
            "s",
            times("mcpace_service_time_seconds", FINE),
        )
        .zero_based()
        .sized(12, 10),
        Panel::heat(
            "Response times",
            "How response times are spread: the darker, the more arrivals.",
            format!("sum by (le) {buckets}"),
        )
        .sized(12, 9),
        Panel::lines(
            "Calls by operation",
            "Calls per second that ended, ok or not.",
            "reqps",
            vec![(format!("sum by (operation) {calls}"), "{{operation}}")],
        )
        .zero_based()
        .sized(6, 9),
        Panel::lines(
            "Standing still",
            "The share of time in which calls were in flight and none was answered, although many were due: freezes of the \
             target or of the way to it.",
            "percentunit",
            vec![(format!("max {still}"), "frozen")],
        )
        .zero_based()
        .sized(6, 9),
    ]
}

fn objectives() -> Vec<Panel> {
    let met = series("mcpace_objective_met", "");
    let broken = increase("mcpace_violations_total", "", FINE);
    vec![
        Panel::states(
            "Objectives met",
            "Whether the run as a whole, so far, keeps each objective; a gap where that is undecided.",
            (met, "{{objective}}"),
            [("missed", "red"), ("met", "green")],
        ),
        Panel::lines(
            "Budget left",
            "How much of what each objective allows is left: 1 all of it, 0 nothing, below 0 it is missed.",
            "percentunit",
            vec![(series("mcpace_objective_budget_left_ratio", ""), "{{objective}}")],
        ),
        Panel::lines(
            "Broken promises about money",
            "Calls answered against a promise about money, by which. See docs/payments-truth.md.",
            "none",
            vec![(format!("sum by (kind) {broken}"), "{{kind}}")],
        )
        .zero_based(),
    ]
}

fn room() -> Vec<Panel> {
    let lag = || rate("mcpace_pacing_lag_seconds_bucket", FLOWS, FINE);
    vec![
        Panel::lines(
            "In flight and waiting",
            "Calls sent and unanswered, arrivals that found no room yet, and connections open. Dashed: how many may be in flight.",
            "none",
            vec![
                (format!("sum {}", series("mcpace_calls_in_flight", "")), "in flight"),
                (format!("sum {}", series("mcpace_arrivals_waiting", "")), "waiting"),
                (format!("sum {}", series("mcpace_connections_open", "")), "connections"),
                (format!("sum {}", series("mcpace_calls_in_flight_limit", "")), "limit"),
            ],
        )
        .bound("D")
        .zero_based(),
        Panel::lines(
            "Pacing lag",
            "How late the generator picked arrivals up: its own error. Dashed: where the run becomes INVALID.",
            "s",
            vec![
                (quantile("0.5", "", &lag()), "p50"),
                (quantile("0.99", "", &lag()), "p99"),
                (format!("min {}", series("mcpace_pacing_lag_limit_seconds", "")), "limit"),
            ],
        )
        .bound("C")
        .zero_based(),
        Panel::lines(
            "Target's processor and memory",
            "What the target's process uses; empty without --server-pid or --server-metrics.",
            "none",
            vec![
                (format!("sum {}", series("mcpace_target_processors_used", "")), "processors"),
                (format!("sum {}", series("mcpace_target_memory_bytes", "")), "memory"),
            ],
        )
        .right("B", "bytes")
        .zero_based(),
    ]
}
