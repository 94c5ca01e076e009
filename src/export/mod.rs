//! Prometheus: what a run counted, at `/metrics`, from a thread of its own that the run never waits for.
//!
//! The run gives the exporter a [`Snapshot`] now and then; whoever scrapes gets the latest. A failing exporter is a
//! warning in the log and never disturbs the run.

mod buckets;
mod exposition;
mod http;
mod metrics;
mod reading;
mod reference;
mod scrapes;

pub use buckets::bounds;
pub use exposition::ProcessPage;
pub use metrics::{Definition, Kind, METRICS, PROCESS_METRICS};
pub use reading::{Identity, RunState, Snapshot};
pub use reference::reference;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use prometheus::proto::MetricFamily;
use tokio::sync::oneshot;

use reading::Reading;
use scrapes::Scrapes;

/// While lingering it is looked this often whether that was cut short.
const LINGER_STEP: Duration = Duration::from_millis(50);

/// Why there is no exporter. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Somebody else listens there.
    #[error(
        "serve metrics at `{address}`: the port is taken; give another with --metrics {alternative} (port 0 takes any \
         that is free), or --metrics off"
    )]
    Taken {
        /// The address as it was given.
        address: String,
        /// One that would do.
        alternative: String,
    },
    /// The address cannot be listened on.
    #[error(
        "serve metrics at `{address}`: {source}; give a local HOST:PORT like --metrics 127.0.0.1:9464, or --metrics off"
    )]
    Address {
        /// The address as it was given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// There is no thread or runtime to be had.
    #[error("start the thread that serves metrics: {0}; raise the limit on processes, or give --metrics off")]
    Thread(io::Error),
}

/// Serves the metrics of one run until it is dropped.
#[derive(Debug)]
pub struct Exporter {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the run and the exporter's thread share.
#[derive(Debug)]
struct Shared {
    started: Instant,
    /// The run, and what was last seen of it: always of the same one.
    shown: Mutex<(Arc<Identity>, Arc<Reading>)>,
    scrapes: Mutex<Scrapes>,
    scraped: Condvar,
}

impl Exporter {
    /// Listens on `address`, a `HOST:PORT` of this machine (port 0 takes any that is free), and serves there from now on:
    /// first every metric of `identity` at zero.
    ///
    /// # Errors
    /// Where the address is none, is not this machine's or is taken, and where no thread can be started.
    pub fn bind(address: &str, identity: Identity) -> Result<Self, ExportError> {
        let named = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                ExportError::Taken { address: address.to_owned(), alternative: format!("{host}:0") }
            }
            _ => ExportError::Address { address: address.to_owned(), source },
        };
        let listener = std::net::TcpListener::bind(address).map_err(named)?;
        listener.set_nonblocking(true).map_err(named)?;
        let local = listener.local_addr().map_err(named)?;
        let shared = Arc::new(Shared::new(identity));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ExportError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let serve = move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => http::serve(listener, served, stopped).await,
                    Err(error) => tracing::warn!("metrics are not served: {error}"),
                }
            });
        };
        let thread =
            std::thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(ExportError::Thread)?;
        Ok(Self { address: local, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens; with the port that was taken where it was asked for any.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves another run from now on, with every metric of `identity` at zero. For Prometheus its counters are reset.
    pub fn renew(&self, identity: Identity) {
        let mut shown = lock(&self.shared.shown);
        let before = Reading { generation: shown.1.generation + 1, ..Reading::before(&identity, wall_clock()) };
        *shown = (Arc::new(identity), Arc::new(before));
    }

    /// Shows this snapshot from now on. Copies a few hundred numbers and waits for nobody.
    pub fn publish(&self, snapshot: &Snapshot<'_>) {
        let (identity, last) = lock(&self.shared.shown).clone();
        let reading = Arc::new(Reading::of(snapshot, &identity, last.generation + 1, wall_clock()));
        *lock(&self.shared.shown) = (identity, reading);
    }

    /// Waits until what was published last has been scraped, and says whether it was: at most for `at_most`; by default
    /// for two scrape intervals as observed (at most two minutes) where there ever was a scrape, else not at all. Ends
    /// at once when `cut` says so; that is asked many times a second.
    pub fn linger(&self, at_most: Option<Duration>, cut: impl Fn() -> bool) -> bool {
        let last = lock(&self.shared.shown).1.generation;
        let begun = self.shared.started.elapsed();
        let mut scrapes = lock(&self.shared.scrapes);
        let patience = at_most.unwrap_or_else(|| scrapes.patience());
        loop {
            let left = patience.saturating_sub(self.shared.started.elapsed().saturating_sub(begun));
            let seen = scrapes.delivered() >= last;
            if seen || left.is_zero() || cut() {
                return seen;
            }
            let waited = self.shared.scraped.wait_timeout(scrapes, left.min(LINGER_STEP));
            scrapes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the thread that serves metrics had panicked");
        }
    }
}

impl Shared {
    fn new(identity: Identity) -> Self {
        let reading = Reading::before(&identity, wall_clock());
        Self {
            started: monotonic(),
            shown: Mutex::new((Arc::new(identity), Arc::new(reading))),
            scrapes: Mutex::new(Scrapes::default()),
            scraped: Condvar::new(),
        }
    }

    /// The metrics page as it is now, and the generation of what it shows.
    fn render(&self) -> Result<(String, u64), prometheus::Error> {
        let (identity, reading) = lock(&self.shown).clone();
        let mut families = metrics::families(&identity, &reading);
        families.extend(process_families());
        Ok((prometheus::TextEncoder::new().encode_to_string(&families)?, reading.generation))
    }

    /// Notes that the values of `generation` were read to the end.
    fn scraped(&self, generation: u64) {
        lock(&self.scrapes).answered(generation, self.started.elapsed());
        self.scraped.notify_all();
    }
}

/// What this process uses.
fn process_families() -> Vec<MetricFamily> {
    #[cfg(target_os = "linux")]
    let mut families =
        prometheus::core::Collector::collect(&prometheus::process_collector::ProcessCollector::for_self());
    #[cfg(not(target_os = "linux"))]
    let mut families = Vec::new();
    // The encoder refuses a family without a value, and with it the whole page.
    families.retain(|family: &MetricFamily| !family.get_metric().is_empty());
    families
}

/// A panic elsewhere does not make counts wrong: every value is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "scrapes are timed here, not calls")]
fn monotonic() -> Instant {
    Instant::now()
}

/// Seconds since 1970, as Prometheus counts time.
#[expect(clippy::disallowed_methods, reason = "a metric says when it was published")]
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
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
        ["p95(pay) < 137ms", "error_rate < 50%"].iter().map(|text| text.parse().unwrap()).collect()
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
        }
    }

    /// One second of warm-up and then `calls` a millisecond apart: an answer in 100 ms, one in 200 ms, a timeout after
    /// 3 s, one dropped, one abandoned, and over again.
    fn summary(calls: u64) -> Summary {
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 2, bounds: bounds(&objectives()) }, WARMUP);
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
        *summary.health.at(WARMUP) =
            Health { watched: 100, ran: 50, waited: 20_000_000, turns: 10, ticks: 100, stolen: 5, ..Health::default() };
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
        exporter.publish(&Snapshot { state, summary, intended: &intended, judgement: &judgement });
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
        assert_eq!(
            before[r#"mcpace_response_time_seconds_count{flow="main",operation="verify",phase="measure"}"#],
            0.0
        );
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
        assert_eq!((page["mcpace_target_processors_used"], page["mcpace_target_memory_bytes"]), (1.25, 4096.0));
        assert_eq!((page["mcpace_target_open_fds"], page["mcpace_target_threads"]), (33.0, 8.0));
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
        let scheduled =
            format!(r#"mcpace_arrivals_scheduled_total{{flow="main",operation="{escaped}",phase="measure"}}"#);
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
}
