//! Prometheus: what a run counted, at `/metrics`, from a thread of its own that the run never waits for.
//!
//! The run gives the exporter a [`Snapshot`] now and then; whoever scrapes gets the latest. A failing exporter is a
//! warning in the log and never disturbs the run.

mod buckets;
mod definition;
mod exposition;
mod families;
mod http;
mod metrics;
mod reading;
mod reference;
mod rules;
mod scrapes;
mod stillness;
#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests;

pub use buckets::bounds;
pub use definition::{Definition, Kind, PROCESS_METRICS};
pub use exposition::ProcessPage;
pub use metrics::METRICS;
pub use reading::{Identity, RunState, Snapshot};
pub use reference::reference;
pub use rules::{Promised, rules};

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

    /// Whether there still is somebody who serves: the thread that does could only have ended by a fault.
    pub fn is_serving(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
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
        let reading = Arc::new(Reading::of(snapshot, &identity, &last, wall_clock()));
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
        let mut families = families::families(&identity, &reading);
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
