//! What the figures smell of: guesses at causes with the next thing to look at, each from the report alone.

use std::time::Duration;

use super::{End, Ending, FailureKind, Report};
use crate::measure::{Histogram, Phase, Quantile, Scope, Tally};
use crate::outcome::Outcome;
use crate::time::{format_duration, humane_duration};
use crate::verdict::{Observed, Standing};

/// What a hint is about: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// No connection could be made.
    Unreachable,
    /// The server refuses the name it is called by.
    HostGuard,
    /// The server wants credentials, or others.
    Credentials,
    /// Nothing speaks MCP at this URL.
    WrongUrl,
    /// HTTP/2 was taken for granted.
    Http2,
    /// The server limits the rate.
    RateLimit,
    /// The server, or what stands before it, has no room for more.
    Overloaded,
    /// The server has as many sessions as it allows.
    SessionCap,
    /// Sessions get lost.
    SessionLost,
    /// The server does not like what it is asked.
    Arguments,
    /// The server closes connections that are used again.
    KeepAlive,
    /// Calls outlast the timeout.
    Timeout,
    /// Arrivals wait for room.
    NoRoom,
    /// Service times gather at the delay of Nagle's algorithm.
    Nagle,
    /// Most calls are fast and a few very slow.
    Stalls,
    /// The server takes long.
    Slow,
    /// Generator and target share a machine.
    SameHost,
}

/// A guess, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// What it is about.
    pub topic: Topic,
    /// In sentences.
    pub text: String,
}

/// So many replies at least, before the shape of their distribution says something.
const ENOUGH: u64 = 50;
/// A mean response time from here on is slow whatever was promised: the assessment calls it poor.
const SLOW: Duration = Duration::from_millis(500);

/// What to say, if there is reason to.
type Rule = fn(&Report<'_>) -> Option<String>;

/// All hints that the report gives reason for.
pub(super) fn hints(report: &Report<'_>) -> Vec<Hint> {
    let rules: [(Topic, Rule); 17] = [
        (Topic::Unreachable, unreachable),
        (Topic::HostGuard, host_guard),
        (Topic::Credentials, credentials),
        (Topic::WrongUrl, wrong_url),
        (Topic::Http2, http2),
        (Topic::RateLimit, rate_limit),
        (Topic::Overloaded, overloaded),
        (Topic::SessionCap, session_cap),
        (Topic::SessionLost, session_lost),
        (Topic::Arguments, arguments),
        (Topic::KeepAlive, keep_alive),
        (Topic::Timeout, timeout),
        (Topic::NoRoom, no_room),
        (Topic::Nagle, nagle),
        (Topic::Stalls, stalls),
        (Topic::Slow, slow),
        (Topic::SameHost, same_host),
    ];
    rules.into_iter().filter_map(|(topic, rule)| Some(Hint { topic, text: rule(report)? })).collect()
}

/// The kinds of failure that ended so.
fn kinds<'a>(report: &'a Report<'_>, outcome: Outcome) -> impl Iterator<Item = &'a FailureKind> {
    report.failures.iter().filter(move |row| row.end == End::Failed(outcome)).flat_map(|row| &row.kinds)
}

fn occurred(report: &Report<'_>, outcome: Outcome) -> bool {
    report.measured.outcomes.get(outcome) > 0
}

fn is_host_guard(kind: &FailureKind) -> bool {
    kind.group.contains("guard of the Host header") || kind.group.starts_with("HTTP 421")
}

fn unreachable(report: &Report<'_>) -> Option<String> {
    let target = &report.saved.plan.target;
    let of = |what: &str| kinds(report, Outcome::Unreachable).any(|kind| kind.group.contains(what));
    if !occurred(report, Outcome::Unreachable) {
        None
    } else if of("GOAWAY") || of("REFUSED_STREAM") {
        Some(
            "The server gave up HTTP/2 connections while calls were on their way, and did not take them. No call is sent \
             twice, so they count as failed. Let it serve more requests over a connection (nginx: keepalive_requests)."
                .to_owned(),
        )
    } else if of("refused") {
        Some(format!(
            "Connections were refused. Is the server up, and does it listen at {target}? Where it was up before, it has \
             perhaps crashed or been restarted: look at its log."
        ))
    } else if of("TLS") {
        Some(format!(
            "TLS failed. Does {target} speak https, with a certificate that this machine trusts (--ca-cert FILE or SSL_CERT_FILE)?"
        ))
    } else if of("no such host") {
        Some(format!("The host of {target} has no address. Is its name right, and does this machine's DNS know it?"))
    } else {
        Some(format!(
            "Some calls got no connection to {target}. Its backlog of connections is perhaps full: give the server a larger \
             one, or more processes to accept them."
        ))
    }
}

fn host_guard(report: &Report<'_>) -> Option<String> {
    let guarded = [Outcome::AuthError, Outcome::HttpError].into_iter().any(|end| kinds(report, end).any(is_host_guard));
    guarded.then(|| {
        format!(
            "The server refuses to be called {}. MCP servers guard against DNS rebinding and answer 403 or 421 to a Host \
             header they do not know: add this one to the server's allowed hosts.",
            report.saved.plan.target.authority()
        )
    })
}

fn credentials(report: &Report<'_>) -> Option<String> {
    let refused = kinds(report, Outcome::AuthError).any(|kind| !is_host_guard(kind));
    refused.then(|| {
        let connection = &report.saved.plan.connection;
        let sent = if connection.bearer_token_file.is_some() || !connection.headers.is_empty() {
            "Are the credentials that were sent those of this server?"
        } else {
            "No credentials were sent: --bearer-token-file and --header NAME=@FILE send some."
        };
        format!(
            "The server answered 401 or 403. {sent} Where other calls did get in, see that they do not expire during the \
             run: they are read once, at its start."
        )
    })
}

fn wrong_url(report: &Report<'_>) -> Option<String> {
    let not_found = kinds(report, Outcome::HttpError).any(|kind| kind.group.starts_with("HTTP 404"));
    let page = kinds(report, Outcome::InvalidReply).any(|kind| kind.group.contains("html"));
    (not_found || page).then(|| {
        format!(
            "Something at {} answers, but not as an MCP endpoint does. Is the path right, and is no proxy in between?",
            report.saved.plan.target
        )
    })
}

fn rate_limit(report: &Report<'_>) -> Option<String> {
    let limited = with_status(report, &["HTTP 429"])?;
    Some(format!(
        "The server limits the rate (HTTP 429){}: what was measured is its limiter. Raise the limit for this client, or lower \
         --rate.",
        limited.come_back
    ))
}

/// What came with some status.
struct WithStatus {
    /// That the server said when to come back, where it did.
    come_back: String,
}

fn with_status(report: &Report<'_>, statuses: &[&str]) -> Option<WithStatus> {
    let is_one = |kind: &&FailureKind| statuses.iter().any(|status| kind.group.starts_with(status));
    let mut found = kinds(report, Outcome::HttpError).filter(is_one).peekable();
    found.peek()?;
    let longest = found.filter_map(|kind| kind.retry_after).max();
    let come_back =
        longest.map(|wait| format!(" and wants to be left alone for up to {} (Retry-After)", format_duration(wait)));
    Some(WithStatus { come_back: come_back.unwrap_or_default() })
}

fn overloaded(report: &Report<'_>) -> Option<String> {
    let full = with_status(report, &["HTTP 502", "HTTP 503", "HTTP 504"])?;
    Some(format!(
        "The server, or a proxy before it, has no room for more (HTTP 502, 503 or 504){}. See in its log who answered so, how \
         many workers and connections it allows, and with a lower --rate from where on it does.",
        full.come_back
    ))
}

/// Common servers allow so many sessions, and forget none for half an hour.
fn session_cap(report: &Report<'_>) -> Option<String> {
    let says_so = |kind: &FailureKind| kind.example.to_ascii_lowercase().contains("too many open sessions");
    let full = [Outcome::RpcError, Outcome::HttpError].into_iter().any(|end| kinds(report, end).any(says_so));
    full.then(|| {
        "The server has as many sessions open as it allows. Share a few among the calls (--sessions pool:8), or raise its \
         limit; sessions that others left open count until it forgets them, which takes half an hour on common servers."
            .to_owned()
    })
}

/// No call was ever answered, over HTTP/2 that nobody agreed on.
fn http2(report: &Report<'_>) -> Option<String> {
    let plan = &report.saved.plan;
    let answered = report.measured.outcomes.get(Outcome::Ok) > 0;
    let broke = kinds(report, Outcome::Disconnected).any(|kind| kind.group.contains("before any answer"));
    (plan.connection.http2 && !plan.target.is_https() && broke && !answered).then(|| {
        "Every connection broke before an answer, and HTTP/2 was taken for granted (--http2). Does the server speak it here, \
         without TLS? If not, leave --http2 out."
            .to_owned()
    })
}

fn session_lost(report: &Report<'_>) -> Option<String> {
    occurred(report, Outcome::SessionLost).then(|| {
        "Sessions were lost. Behind a load balancer without affinity a session reaches replicas that do not know it: use \
         sticky sessions, a shared store of sessions, or a stateless server. A restart loses sessions too."
            .to_owned()
    })
}

/// Nearly all calls of an operation are refused by the tool itself.
fn arguments(report: &Report<'_>) -> Option<String> {
    let (name, _) = by_operation(report).find(|(_, tally)| {
        let no = tally.outcomes.get(Outcome::ToolError) + tally.outcomes.get(Outcome::RpcError);
        no > 0 && no as f64 >= 0.99 * tally.ended() as f64
    })?;
    Some(format!(
        "Nearly every call of {name} is an error of the tool. Are its arguments what the tool wants? Compare them with the input \
         schema in tools/list."
    ))
}

fn keep_alive(report: &Report<'_>) -> Option<String> {
    let reset = kinds(report, Outcome::Disconnected).any(|kind| kind.group.contains("reused connection"));
    reset.then(|| {
        "Connections were closed just as they were used again. The server's keep-alive timeout is perhaps shorter than 5 s, \
         or it restarts its workers after a number of requests."
            .to_owned()
    })
}

fn timeout(report: &Report<'_>) -> Option<String> {
    use Outcome::{TimeoutHeadersOnly, TimeoutNoByte, TimeoutTruncated};
    let timed_out = [TimeoutNoByte, TimeoutHeadersOnly, TimeoutTruncated].into_iter().any(|end| occurred(report, end));
    let silent = if occurred(report, TimeoutNoByte) && has_revision(report) {
        " Where not even the head of an answer came and a proxy stands in between, it perhaps holds streams of events back \
         until they end: switch its buffering off for them (nginx: proxy_buffering off)."
    } else {
        ""
    };
    timed_out.then(|| {
        format!(
            "Calls took longer than --timeout {}. Their true response time is unknown and counts as above every bound; a \
             longer timeout shows it.{silent}",
            format_duration(report.saved.plan.run.timeout)
        )
    })
}

/// Whether MCP was agreed on: then answers may be streams of events.
fn has_revision(report: &Report<'_>) -> bool {
    report.saved.server.revision.is_some()
}

/// Waiting for room took at least half of the response time of the slowest twentieth, or arrivals were dropped.
fn no_room(report: &Report<'_>) -> Option<String> {
    let lag = report.measured.dispatch_lag.value_at_quantile(0.95).unwrap_or_default();
    let response = report.measured.response_time.value_at_quantile(0.95).unwrap_or_default();
    let waited = lag >= Duration::from_millis(10) && lag * 2 >= response;
    // What a signal found waiting was dropped for the signal's sake, not for want of room.
    let dropped = report.overall.dropped > 0 && !matches!(report.saved.ending, Ending::Signal(_));
    (waited || dropped).then(|| {
        format!(
            "Arrivals waited for room or for a connection (dispatch lag p95 {}; the limit in flight is {}): the server did not \
             answer as fast as others came. If users would not wait in line either, raise --concurrent; if the server is \
             at its limit, this is the truth about it.",
            humane_duration(lag),
            super::humane::count(u64::from(report.saved.plan.run.concurrent.get()))
        )
    })
}

/// How many of the times lie above `from` and up to `to` milliseconds.
fn between(times: &Histogram, from: u64, to: u64) -> u64 {
    let upto = |ms| times.count_at_or_below(Duration::from_millis(ms));
    upto(to).saturating_sub(upto(from))
}

/// A delayed acknowledgement lasts 40 ms on Linux: service times that gather just above, with next to none around.
fn nagle(report: &Report<'_>) -> Option<String> {
    let service = &report.measured.service_time;
    let (before, plateau, behind) = (between(service, 28, 38), between(service, 39, 49), between(service, 50, 60));
    let gathers = plateau * 10 >= service.len() && (before + behind) * 10 <= plateau;
    (service.len() >= ENOUGH && gathers).then(|| {
        format!(
            "{} of the replies took from 39 to 49 ms, and next to none a little less or more: that smells of Nagle's algorithm \
             against delayed acknowledgements. Set TCP_NODELAY on the server, and write an answer in one piece.",
            super::humane::percent(plateau as f64 / service.len() as f64)
        )
    })
}

/// The operations of the run with what they did.
fn by_operation<'a>(report: &'a Report<'_>) -> impl Iterator<Item = (&'a str, Tally)> {
    let saved = report.saved;
    saved.summary.operations().into_iter().filter_map(|place| {
        let operation = saved.plan.operations.get(usize::from(place))?;
        Some((operation.name.as_str(), saved.summary.tally(Scope::Operation(place), Some(Phase::Measure))))
    })
}

/// The p99 of an operation is far from its median: freezes, not slowness.
fn stalls(report: &Report<'_>) -> Option<String> {
    by_operation(report).find_map(|(name, tally)| {
        // By the server's own time: a generator that stands still is not the server's doing.
        let at = |quantile| tally.service_time.value_at_quantile(quantile);
        let (median, tail) = (at(0.5)?, at(0.99)?);
        let stalled = tally.service_time.len() >= ENOUGH && tail >= Duration::from_millis(50) && tail >= median * 20;
        stalled.then(|| {
            format!(
                "Half of the replies to {name} came within {}, but one in a hundred took {} or more: the server stands still \
                 at times. Look for garbage collection, locks, checkpoints of its database, or throttling of its CPU.",
                humane_duration(median),
                humane_duration(tail)
            )
        })
    })
}

/// A promise about time is missed, or the mean is poor, and it is the server that takes the time.
fn slow(report: &Report<'_>) -> Option<String> {
    let missed = report.judgement.findings.iter().any(|finding| {
        finding.standing == Standing::Missed && matches!(finding.observed, Some(Observed::Time(Quantile::Finite(_))))
    });
    let mean = report.measured.mean_of_all_calls()?;
    let slowest = by_operation(report).filter_map(|(name, tally)| {
        let service = tally.service_time.value_at_quantile(0.95)?;
        Some((service, tally.response_time.value_at_quantile(0.95)?, name))
    });
    let (service, response, name) = slowest.max()?;
    ((missed || mean > SLOW) && service * 2 >= response).then(|| {
        format!(
            "The server takes long over {name} (service time p95 {}). Look at its CPU, its workers and connection pools, and the \
             queries of its database; see with a lower --rate whether it is the load.",
            humane_duration(service)
        )
    })
}

fn same_host(report: &Report<'_>) -> Option<String> {
    let host = report.saved.plan.target.uri().host().unwrap_or_default();
    let loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    let own = report.saved.host.name.as_deref().is_some_and(|name| !name.is_empty() && name == host);
    (loopback || own).then(|| {
        "Generator and target share this machine and compete for its CPU: on two machines the target may do better."
            .to_owned()
    })
}
