//! The exporter from end to end: what a scrape sees of what was published.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;
use crate::measure::{
    Evidence, Fate, Health, Level, Probes, Recorder, Sample, Shape, SideCall, SideKind, Summary, Usage,
};
use crate::outcome::{Outcome, Probe, Violation};
use crate::time::{Moment, Rate};
use crate::verdict::{Judgement, Judging, Objective, Terms, judge};

const WARMUP: Moment = Moment::from_nanos(1_000_000_000);

fn objectives() -> Vec<Objective> {
    ["p95(pay) < 137ms", "error_rate < 50%", "rate >= 1/s"].iter().map(|text| text.parse().unwrap()).collect()
}

fn identity(pay: &str) -> Identity {
    Identity {
        run_id: "r-1".to_owned(),
        name: "soak".to_owned(),
        seed: 7,
        flows: vec!["main".to_owned()],
        operations: vec![pay.to_owned(), "verify".to_owned()],
        series: vec![(0, 0), (0, 1)],
        keyed: vec![0],
        bounds: bounds(&objectives()),
        planned: Duration::from_mins(1),
        concurrent: 50,
    }
}

/// One second of warm-up and then `calls` a millisecond apart: an answer in 100 ms, one in 200 ms, a timeout after
/// 3 s, one dropped, one abandoned, and over again.
fn summary(calls: u64) -> Summary {
    let mut recorder =
        Recorder::new(&Shape { flows: 1, operations: 2, bounds: bounds(&objectives()), ..Shape::default() }, WARMUP);
    for sequence in 0..=calls {
        let intended = Moment::from_nanos(sequence * 1_000_000 + u64::from(sequence > 0) * WARMUP.as_nanos());
        let picked_up = intended.after(Duration::from_micros(20));
        let answered = |ms, outcome| {
            let done = intended.after(Duration::from_millis(ms));
            Fate::Answered { sent: Some(picked_up), first_byte: None, done, outcome }
        };
        let fate = match sequence % 5 {
            0 => answered(100, Outcome::Ok),
            1 => answered(137, Outcome::Ok),
            2 => answered(3_000, Outcome::TimeoutNoByte),
            3 => Fate::Dropped,
            _ => Fate::Abandoned,
        };
        recorder.picked_up(0, 0, intended, picked_up);
        let (flow, operation, substituted) = (0, 0, sequence == 1);
        recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up, fate }, None);
    }
    let took = Duration::from_millis(100);
    recorder.record_side_call(&SideCall { kind: SideKind::Delete, outcome: Outcome::HttpError, took });
    let mut summary = Summary::new(WARMUP);
    summary.absorb(&recorder);
    summary.gauges.in_flight = 3;
    summary.gauges.bytes_sent = calls * 100;
    let (sockets, ports) = (Level::of(12), Level::of(28_000));
    let lanes = Health { watched: 100, ran: 50, waited: 20_000_000, turns: 10, ..Health::default() };
    *summary.health.at(WARMUP) = Health { ticks: 100, busy: 75, stolen: 5, sockets, ports, ..lanes };
    let (processor, memory) = (Level::of(1250), Level::of(4096));
    let (descriptors, threads) = (Level::of(33), Level::of(8));
    *summary.usage.at(WARMUP) = Usage { processor, memory, descriptors, threads, ..Usage::default() };
    summary
}

fn judged(summary: &Summary) -> Judgement {
    let names = ["pay".to_owned(), "verify".to_owned()];
    let resolved: Vec<_> = objectives().into_iter().map(|each| each.resolve(&[], &names).unwrap()).collect();
    judge(summary, &resolved, &Terms::of(Judging::Observed))
}

fn publish(exporter: &Exporter, state: RunState, summary: &Summary) {
    let intended = [Rate::per_second(1000.0).unwrap()];
    let judgement = judged(summary);
    exporter.publish(&Snapshot { now: summary.until, state, summary, intended: &intended, judgement: &judgement });
}

fn asked(exporter: &Exporter, head: &str) -> String {
    let mut stream = TcpStream::connect(exporter.local_addr()).unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Every sample of the page by its name and labels.
fn scrape(exporter: &Exporter) -> BTreeMap<String, f64> {
    let answer = asked(exporter, "GET /metrics");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let page = answer.split_once("\r\n\r\n").unwrap().1;
    let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    let all: Vec<(String, f64)> = samples.collect();
    let count = all.len();
    let unique: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(unique.len(), count, "a series was written twice");
    unique
}

fn exporter() -> Exporter {
    Exporter::bind("127.0.0.1:0", identity("pay")).unwrap()
}

#[test]
fn an_exporter_whose_thread_has_ended_serves_nobody_and_says_so() {
    let mut exporter = Exporter::bind("127.0.0.1:0", identity("pay")).unwrap();
    assert!(exporter.is_serving());
    drop(exporter.stop.take());
    exporter.thread.take().map(JoinHandle::join).unwrap().unwrap();
    assert!(!exporter.is_serving());
}

#[test]
fn broken_promises_and_probes_are_there_by_kind_from_the_beginning() {
    let exporter = exporter();
    let of = |page: &BTreeMap<String, f64>| {
        [
            page[r#"mcpace_violations_total{kind="double_charge"}"#],
            page[r#"mcpace_violations_total{kind="balance_off"}"#],
            page[r#"mcpace_probes_total{kind="parallel"}"#],
            page[r#"mcpace_unresolved_calls_total{operation="pay"}"#],
        ]
    };
    assert_eq!(of(&scrape(&exporter)), [0.0; 4]);
    let mut summary = summary(5);
    summary.truth.violated(Violation::DoubleCharge, 3, Evidence::default());
    summary.truth.probes[Probe::Parallel.index()] = Probes { kept: 4, broken: 3, unclear: 2 };
    summary.truth.unresolved_of(0).calls = 5;
    publish(&exporter, RunState::Measure, &summary);
    assert_eq!(of(&scrape(&exporter)), [3.0, 0.0, 9.0, 5.0]);
}

#[test]
fn another_run_begins_at_zero_under_its_own_name() {
    let exporter = exporter();
    publish(&exporter, RunState::Measure, &summary(10));
    exporter.renew(Identity { run_id: "r-2".to_owned(), ..identity("pay") });
    let page = scrape(&exporter);
    let sum = |part: &str| page.iter().filter(|(name, _)| name.contains(part)).map(|(_, value)| value).sum::<f64>();
    assert_eq!((sum("r-1"), sum("r-2"), sum("mcpace_calls_total")), (0.0, 1.0, 0.0));
    publish(&exporter, RunState::Ended, &summary(5));
    assert!(exporter.shared.shown.lock().unwrap().1.generation == 3 && sum("r-2") > 0.0);
}

#[test]
fn a_scrape_shows_what_was_counted() {
    let exporter = exporter();
    publish(&exporter, RunState::Measure, &summary(10));
    let page = scrape(&exporter);
    let measured = r#"flow="main",operation="pay",phase="measure""#;
    let ended = |outcome: &str| {
        page[&format!(r#"mcpace_calls_total{{flow="main",operation="pay",outcome="{outcome}",phase="measure"}}"#)]
    };
    assert_eq!((ended("ok"), ended("timeout_no_byte"), ended("tool_error")), (4.0, 2.0, 0.0));
    let of = |name: &str| page[&format!("mcpace_{name}{{{measured}}}")];
    assert_eq!((of("arrivals_scheduled_total"), of("arrivals_sent_total")), (10.0, 6.0));
    assert_eq!((of("arrivals_dropped_total"), of("arrivals_abandoned_total")), (2.0, 2.0));
    assert_eq!(of("arrivals_substituted_total"), 1.0);
    assert_eq!(of("response_time_seconds_count"), 10.0);
    assert!((of("response_time_seconds_sum") - (2.0 * 0.1 + 2.0 * 0.137 + 2.0 * 3.0)).abs() < 1e-9);
    let within = |bound: &str| page[&format!(r#"mcpace_response_time_seconds_bucket{{{measured},le="{bound}"}}"#)];
    let counts = ["0.075", "0.1", "0.137", "0.15", "60", "+Inf"].map(within);
    assert_eq!(counts, [0.0, 2.0, 4.0, 4.0, 4.0, 10.0]);
    assert_eq!(of("service_time_seconds_count"), 4.0);
    assert_eq!(page[r#"mcpace_pacing_lag_seconds_bucket{flow="main",phase="measure",le="0.000025"}"#], 10.0);
    assert_eq!(page[r#"mcpace_arrivals_scheduled_total{flow="main",operation="pay",phase="warmup"}"#], 1.0);
    let side = |kind: &str| page[&format!(r#"mcpace_side_calls_total{{kind="{kind}",outcome="http_error"}}"#)];
    assert_eq!((side("delete"), side("resume")), (1.0, 0.0));
    assert_eq!(page[r#"mcpace_side_call_seconds_bucket{kind="delete",le="0.1"}"#], 1.0);
    assert_eq!(page[r#"mcpace_side_call_seconds_bucket{kind="delete",le="0.075"}"#], 0.0);
    assert_eq!(page[r#"mcpace_run_state{state="measure"}"#], 1.0);
    assert_eq!(page[r#"mcpace_run_state{state="ended"}"#], 0.0);
    assert_eq!(page[r#"mcpace_intended_rate{flow="main"}"#], 1000.0);
    assert_eq!((page["mcpace_calls_in_flight"], page["mcpace_sent_bytes_total"]), (3.0, 1000.0));
    assert_eq!(page[r#"mcpace_objective_met{objective="p95(pay) < 137ms"}"#], 0.0);
    assert_eq!(page[r#"mcpace_objective_budget_left_ratio{objective="error_rate < 50%"}"#], 1.0 - 0.6 / 0.5);
    let version = env!("CARGO_PKG_VERSION");
    let info = format!(r#"mcpace_run_info{{run_id="r-1",name="soak",version="{version}",seed="7"}}"#);
    assert_eq!(page[&info], 1.0);
}

#[test]
fn histograms_are_consistent_and_no_counter_ever_falls() {
    let exporter = exporter();
    let mut before = scrape(&exporter);
    assert_eq!(before[r#"mcpace_response_time_seconds_count{flow="main",operation="verify",phase="measure"}"#], 0.0);
    for calls in [0, 1, 12, 12, 250] {
        publish(&exporter, RunState::Measure, &summary(calls));
        let page = scrape(&exporter);
        for (name, old) in before.iter().filter(|(name, _)| !name.starts_with("process_")) {
            let counts = ["_total", "_bucket", "_sum", "_count"]
                .iter()
                .any(|kind| name.split_once('{').map_or(name.as_str(), |(name, _)| name).ends_with(kind));
            assert!(!counts || page[name] >= *old, "{name} fell from {old} to {}", page[name]);
        }
        for (name, count) in page.iter().filter(|(name, _)| name.contains("_count{")) {
            let labels = name.strip_suffix('}').unwrap().replacen("_count{", "_bucket{", 1);
            let buckets: Vec<(f64, f64)> = page
                .iter()
                .filter_map(|(name, value)| {
                    let bound = name.strip_prefix(&labels)?.strip_prefix(",le=\"")?.strip_suffix("\"}")?;
                    Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *value))
                })
                .collect();
            let mut sorted = buckets.clone();
            sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
            assert!(sorted.is_sorted_by(|left, right| left.0 < right.0 && left.1 <= right.1), "{name}");
            assert_eq!(sorted.last(), Some(&(f64::INFINITY, *count)), "{name}");
        }
        before = page;
    }
}

#[test]
fn a_scrape_shows_the_generators_health_and_the_targets_process() {
    let exporter = exporter();
    publish(&exporter, RunState::Measure, &summary(10));
    let page = scrape(&exporter);
    assert_eq!((page["mcpace_generator_wait_seconds"], page["mcpace_host_stolen_ratio"]), (0.002, 0.05));
    assert_eq!((page["mcpace_generator_busy_ratio"], page["mcpace_host_busy_ratio"]), (0.5, 0.75));
    assert_eq!((page["mcpace_host_sockets"], page["mcpace_host_ports"]), (12.0, 28_000.0));
    assert_eq!((page["mcpace_target_processors_used"], page["mcpace_target_memory_bytes"]), (1.25, 4096.0));
    assert_eq!((page["mcpace_target_open_fds"], page["mcpace_target_threads"]), (33.0, 8.0));
}

#[test]
fn a_scrape_shows_what_is_promised_and_how_it_stands() {
    let exporter = exporter();
    publish(&exporter, RunState::Measure, &summary(10));
    let page = scrape(&exporter);
    let p95 = r#"mcpace_objective_bound_seconds{objective="p95(pay) < 137ms",indicator="p95",flow="",operation="pay"}"#;
    let errors =
        r#"mcpace_objective_bound_ratio{objective="error_rate < 50%",indicator="error_rate",flow="",operation=""}"#;
    assert_eq!((page[p95], page[errors]), (0.137, 0.5));
    // No time is promised that would allow less than 5 % of 137 ms.
    assert_eq!(page["mcpace_pacing_lag_limit_seconds"], 0.00685);
    let verdict = |verdict: &str| page[&format!(r#"mcpace_run_verdict{{verdict="{verdict}"}}"#)];
    // The summary claims three in flight that nobody ever started.
    assert_eq!(["pass", "inconclusive", "fail", "invalid"].map(verdict), [0.0, 0.0, 0.0, 1.0]);
    assert_eq!((page["mcpace_run_planned_seconds"], page["mcpace_calls_in_flight_limit"]), (60.0, 50.0));
}

#[test]
fn a_state_keeps_its_beginning_and_the_next_run_has_its_own() {
    let exporter = exporter();
    let begins = || {
        let of = |page: &BTreeMap<String, f64>, state| {
            page.get(&format!(r#"mcpace_run_state_begin_timestamp_seconds{{state="{state}"}}"#)).copied()
        };
        let page = scrape(&exporter);
        RunState::ALL.map(|state| of(&page, state.name()))
    };
    let [starting, warmup, ..] = begins();
    assert!(starting > Some(1e9) && warmup.is_none());
    publish(&exporter, RunState::Measure, &summary(5));
    let first = begins();
    assert!(first[0] == starting && first[1].is_none() && first[2] >= starting && first[3].is_none());
    publish(&exporter, RunState::Measure, &summary(10));
    publish(&exporter, RunState::Ended, &summary(10));
    let last = begins();
    assert!(last[2] == first[2] && last[5] >= first[2]);
    exporter.renew(identity("pay"));
    assert_eq!(begins()[1..], [None; 5]);
}

#[test]
fn every_metric_of_the_table_is_on_the_page_and_nothing_else() {
    let exporter = exporter();
    publish(&exporter, RunState::Ended, &summary(10));
    let answer = asked(&exporter, "GET /metrics");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let types: BTreeMap<_, _> =
        answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for Definition { name, kind, .. } in METRICS {
        assert_eq!(types.get(name).copied(), Some(format!("{kind:?}").to_lowercase().as_str()), "{name}");
    }
    let known = |name: &str| {
        METRICS.iter().any(|metric| metric.name == name) || PROCESS_METRICS.iter().any(|(known, _)| *known == name)
    };
    assert!(types.keys().all(|name| known(name)), "{types:?}");
    if cfg!(target_os = "linux") {
        assert!(PROCESS_METRICS.iter().all(|(name, _)| types.contains_key(name)), "{types:?}");
    }
}

#[test]
fn a_hostile_name_stays_one_label_value() {
    let hostile = "a\"} 1\nmcpace_calls_in_flight 99\\";
    let exporter = Exporter::bind("127.0.0.1:0", identity(hostile)).unwrap();
    publish(&exporter, RunState::Measure, &summary(5));
    let page = scrape(&exporter);
    let escaped = r#"a\"} 1\nmcpace_calls_in_flight 99\\"#;
    assert_eq!(page["mcpace_calls_in_flight"], 3.0);
    let scheduled = format!(r#"mcpace_arrivals_scheduled_total{{flow="main",operation="{escaped}",phase="measure"}}"#);
    assert_eq!(page[&scheduled], 5.0);
}

#[test]
fn other_pages_and_methods_are_refused_and_health_is_answered() {
    let exporter = exporter();
    assert!(asked(&exporter, "GET /healthz").ends_with("\r\n\r\nok\n"));
    let head = asked(&exporter, "HEAD /metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(asked(&exporter, "GET /").starts_with("HTTP/1.1 404 "));
    let post = asked(&exporter, "POST /metrics");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
    assert!(asked(&exporter, "GET /healthz?x=1").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_taken_port_and_a_wrong_address_say_what_to_do() {
    let first = exporter();
    let address = first.local_addr().to_string();
    let taken = Exporter::bind(&address, identity("pay")).unwrap_err().to_string();
    assert_eq!(
        taken,
        format!(
            "serve metrics at `{address}`: the port is taken; give another with --metrics 127.0.0.1:0 (port 0 takes \
             any that is free), or --metrics off"
        )
    );
    for wrong in ["9464", "192.0.2.1:9464", "127.0.0.1:70000"] {
        let error = Exporter::bind(wrong, identity("pay")).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("--metrics off"), "{error}");
    }
}

#[test]
fn lingering_ends_with_the_scrape_of_the_final_values_and_not_before() {
    let exporter = exporter();
    scrape(&exporter);
    // The client has its answer a moment before the exporter has noted that.
    while lock(&exporter.shared.scrapes).patience().is_zero() {
        std::thread::yield_now();
    }
    publish(&exporter, RunState::Ended, &summary(10));
    assert!(!exporter.linger(None, || true), "the values before the last were scraped, and it was cut short");
    assert!(!exporter.linger(Some(Duration::ZERO), || false));
    std::thread::scope(|scope| {
        scope.spawn(|| scrape(&exporter));
        assert!(exporter.linger(None, || false));
    });
    assert!(exporter.linger(None, || true), "they were scraped already");
}

#[test]
fn nobody_is_waited_for_who_never_scraped() {
    let exporter = exporter();
    publish(&exporter, RunState::Ended, &summary(10));
    assert!(!exporter.linger(None, || false));
}
