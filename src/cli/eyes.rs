//! `--server-pid` and `--server-metrics`: what the target's process uses, looked at each second by a thread of its own.
//!
//! What cannot be seen at the start ends the program with the way out; what vanishes later is data.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::exit::{Exit, Failure};
use crate::engine::{MonotonicClock, Sightings};
use crate::export::ProcessPage;
use crate::measure::{Level, Usage};
use crate::time::{Clock, Moment};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How long a page of metrics may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// No page of metrics is longer, in bytes.
const LONGEST_PAGE: usize = 8 << 20;

/// Where the target's process can be seen.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In this machine's list of processes.
    Process(u32),
    /// On a page of metrics.
    Metrics(http::Uri),
}

/// What was seen at once, and how much processor time the process had used until then.
struct Sight {
    usage: Usage,
    cpu: Option<Duration>,
}

/// Looks at the target's process.
pub(super) struct Eyes {
    place: Place,
    runtime: Runtime,
    /// When the process began, in ticks: another one may get its number.
    began: Option<u64>,
}

impl Eyes {
    /// Looks for the first time.
    pub(super) fn open(place: Place) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|why| Failure::usage(anyhow!("failed to start an event loop: {why}")))?;
        let mut eyes = Self { place, runtime, began: None };
        let page = match &eyes.place {
            Place::Process(pid) => {
                let why = format!(
                    "failed to see process {pid} of --server-pid: there is none on this machine, or its system keeps no /proc; \
                     give the number that `pgrep` shows, or --server-metrics URL"
                );
                eyes.began = Some(process(*pid).ok_or_else(|| Failure::usage(anyhow!(why)))?.began);
                return Ok(eyes);
            }
            Place::Metrics(uri) => eyes.runtime.block_on(page(uri)).map_err(|why| (uri.clone(), why)),
        };
        match page {
            Ok(page) if ProcessPage::read(&page).is_empty() => Err(Failure::usage(anyhow!(
                "failed to read --server-metrics: the page has no process_cpu_seconds_total, process_resident_memory_bytes, \
                 process_open_fds or process_threads, under no name that is known; add the process metrics of its Prometheus \
                 library, or give --server-pid"
            ))),
            Ok(_) => Ok(eyes),
            Err((uri, why)) => Err(Failure::new(
                Exit::Target,
                anyhow!(
                    "failed to get {uri} of --server-metrics: {why}; give the URL that Prometheus scrapes, or leave it out"
                ),
            )),
        }
    }

    /// Looks each second from now on and notes what it sees, until what is given here is dropped.
    pub(super) fn watch(self, sightings: Sightings) -> Result<Sender<()>, Failure> {
        let (until, ended) = channel();
        let look = move || {
            let clock = MonotonicClock::starting_in(Duration::ZERO);
            let mut before = self.sight().map(|sight| (clock.now(), sight.cpu));
            let mut next = clock.now().after(EVERY);
            while ended.recv_timeout(next.since(clock.now())) == Err(RecvTimeoutError::Timeout) {
                let seen = self.sight();
                let now = clock.now();
                sightings.note(match &seen {
                    Some(Sight { usage, cpu }) => {
                        let processor = since(before, (now, *cpu)).map(Level::of).unwrap_or_default();
                        Usage { processor, ..*usage }
                    }
                    None => Usage { missed: 1, ..Usage::default() },
                });
                before = seen.map(|sight| (now, sight.cpu));
                next = next.after(EVERY).max(now);
            }
        };
        let thread = thread::Builder::new().name("server-eyes".to_owned()).spawn(look);
        thread.map_err(|why| Failure::usage(anyhow!("failed to start the thread that looks at the server: {why}")))?;
        Ok(until)
    }

    /// What is to be seen now; `None` where the process is gone or does not answer.
    fn sight(&self) -> Option<Sight> {
        match &self.place {
            Place::Process(pid) => {
                let process = process(*pid).filter(|process| Some(process.began) == self.began)?;
                let usage = Usage {
                    memory: Level::of(process.memory),
                    descriptors: descriptors(*pid).map(Level::of).unwrap_or_default(),
                    threads: Level::of(process.threads),
                    ..Usage::default()
                };
                Some(Sight { usage, cpu: Some(process.cpu) })
            }
            Place::Metrics(uri) => {
                let page = ProcessPage::read(&self.runtime.block_on(page(uri)).ok()?);
                let level = |value: Option<f64>| value.map(|value| Level::of(value as u64)).unwrap_or_default();
                let usage = Usage {
                    memory: level(page.memory_bytes),
                    descriptors: level(page.descriptors),
                    threads: level(page.threads),
                    ..Usage::default()
                };
                let cpu = page.cpu_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                (!page.is_empty()).then_some(Sight { usage, cpu })
            }
        }
    }
}

/// Thousandths of a processor used between two looks; `None` where one of them did not see that.
fn since(before: Option<(Moment, Option<Duration>)>, now: (Moment, Option<Duration>)) -> Option<u64> {
    let (then, used) = before?;
    let passed = now.0.since(then).as_secs_f64();
    // A server that was restarted has used less than before.
    let used = now.1?.checked_sub(used?)?.as_secs_f64();
    (passed > 0.0).then(|| (used / passed * 1000.0).round() as u64)
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    cpu: Duration,
    memory: u64,
    threads: u64,
    began: u64,
}

fn process(pid: u32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    process_in(&text, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
}

/// `/proc/PID/stat`: its second field is a name in parentheses that may hold anything; the others are counted from behind it.
fn process_in(text: &str, ticks_per_second: u64, page: u64) -> Option<Process> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |place: usize| fields.get(place - 3)?.parse::<u64>().ok();
    // A process that has ended and that nobody has asked about yet is gone too.
    let (state, ticks) = (fields.first()?, number(14)?.checked_add(number(15)?)?);
    let cpu = Duration::from_secs_f64(ticks as f64 / ticks_per_second.max(1) as f64);
    let memory = number(24)?.saturating_mul(page);
    (*state != "Z").then_some(Process { cpu, memory, threads: number(20)?, began: number(22)? })
}

fn descriptors(pid: u32) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    let length = fs::metadata(&folder).ok()?.len();
    // The folder of another user's process says nothing.
    let listed = fs::read_dir(&folder).ok()?;
    if length > 0 { Some(length) } else { Some(listed.count() as u64) }
}

/// Gets a page of metrics.
async fn page(uri: &http::Uri) -> Result<String, String> {
    timeout(PATIENCE, fetched(uri)).await.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn fetched(uri: &http::Uri) -> Result<String, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let said = |why: &dyn std::fmt::Display| why.to_string();
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await.map_err(|why| said(&why))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|why| said(&why))?;
    let path = uri.path_and_query().map_or("/metrics", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = hyper::Request::get(path).header("host", authority).header("accept", "text/plain");
    let request = request.body(Empty::<Bytes>::new()).map_err(|why| said(&why))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|why| said(&why))?;
        if !response.status().is_success() {
            return Err(format!("it answers {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LONGEST_PAGE).collect().await.map_err(|why| said(&why))?;
        String::from_utf8(body.to_bytes().to_vec()).map_err(|_| "its page is no text".to_owned())
    };
    tokio::select! {
        biased;
        page = answer => page,
        ended = connection => Err(ended.err().map_or_else(|| "it hung up".to_owned(), |why| said(&why))),
    }
}

/// Reads the URL of `--server-metrics`.
pub(super) fn parse_metrics_url(text: &str) -> Result<http::Uri, String> {
    let uri: http::Uri =
        text.parse().map_err(|_| "it is no URL: write it like http://localhost:8000/metrics".to_owned())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let whole = format!("http://{authority}{}", if path == "/" { "/metrics" } else { path });
            whole.parse().map_err(|_| "it is no URL".to_owned())
        }
        (Some("https"), _) => Err("metrics are read over http only: give the address inside the network".to_owned()),
        _ => Err("write it like http://localhost:8000/metrics".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let text =
            "42 (a) b) (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 7 20 0 9 0 12345 1000000 300 18446744073709551615";
        let process = process_in(text, 100, 4096).unwrap();
        assert_eq!(process, Process { cpu: Duration::from_secs(3), memory: 300 * 4096, threads: 9, began: 12345 });
        assert_eq!(process_in(&text.replace(" S ", " Z "), 100, 4096), None);
        assert_eq!((process_in("", 100, 4096), process_in("1 (x) S 1", 100, 4096)), (None, None));
    }

    #[test]
    fn processor_time_is_what_was_used_between_two_looks() {
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let used = |ms| Some(Duration::from_millis(ms));
        assert_eq!(since(Some((at(1000), used(500))), (at(3000), used(3500))), Some(1500));
        assert_eq!(since(Some((at(1000), used(500))), (at(3000), used(100))), None, "restarted");
        assert_eq!(since(Some((at(1000), None)), (at(3000), used(100))), None);
        assert_eq!(since(None, (at(3000), used(100))), None);
    }

    #[test]
    fn a_url_without_a_path_gets_the_usual_one() {
        let read = |text| parse_metrics_url(text).map(|uri| uri.to_string());
        assert_eq!(read("http://localhost:8000").as_deref(), Ok("http://localhost:8000/metrics"));
        assert_eq!(read("http://[::1]:8000/m?a=b").as_deref(), Ok("http://[::1]:8000/m?a=b"));
        assert!(read("https://x/metrics").unwrap_err().contains("http only"));
        assert!(read("localhost:8000").is_err() && read("/metrics").is_err());
    }
}
