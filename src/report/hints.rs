//! What the figures smell of: guesses at causes with the next thing to look at, each from the report alone.

use std::time::Duration;

use super::{End, Ending, FailureKind, Report};
use crate::measure::{Histogram, Phase, Quantile, Scope, Tally};
use crate::outcome::Outcome;
use crate::time::humane_duration;
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
    /// The server limits the rate.
    RateLimit,
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
    let rules: [(Topic, Rule); 14] = [
        (Topic::Unreachable, unreachable),
        (Topic::HostGuard, host_guard),
        (Topic::Credentials, credentials),
        (Topic::WrongUrl, wrong_url),
        (Topic::RateLimit, rate_limit),
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
    let limited = kinds(report, Outcome::HttpError).any(|kind| kind.group.starts_with("HTTP 429"));
    limited.then(|| {
        "The server limits the rate (HTTP 429): what was measured is its limiter. Raise the limit for this client, or lower \
         --rate."
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
    timed_out.then(|| {
        format!(
            "Calls took longer than --timeout {}. Their true response time is unknown and counts as above every bound; a \
             longer timeout shows it.",
            crate::time::format_duration(report.saved.plan.run.timeout)
        )
    })
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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{self, Told, answer, plan};
    use super::super::{Report, SavedRun};
    use super::*;
    use crate::measure::Fate;
    use crate::time::Moment;

    fn topics(run: &SavedRun) -> Vec<Topic> {
        let judgement = run.judge(&[]).unwrap();
        Report::new(run, &judgement).hints.iter().map(|hint| hint.topic).collect()
    }

    fn tell(tell: impl Fn(u64, Moment) -> (Fate, Option<(&'static str, &'static str)>)) -> SavedRun {
        let plan = plan("objectives = [\"p95 < 100ms\"]\n[target]\nurl = \"http://pay.example.com\"");
        fixtures::run(plan, 5, |n, intended| {
            let (fate, said) = tell(n, intended);
            Told { flow: 0, operation: 0, fate, said }
        })
    }

    /// Half of the calls fail so.
    fn failing(outcome: Outcome, group: &'static str) -> SavedRun {
        tell(|n, intended| match n % 2 {
            0 => (answer(intended, 100, 5_000, outcome), Some((group, group))),
            _ => (answer(intended, 100, 5_000, Outcome::Ok), None),
        })
    }

    /// Every call is ok and takes so many microseconds after such a lag.
    fn taking(lag: impl Fn(u64) -> u64, service: impl Fn(u64) -> u64) -> SavedRun {
        tell(|n, intended| (answer(intended, lag(n), service(n), Outcome::Ok), None))
    }

    #[test]
    fn a_healthy_run_and_an_empty_one_give_no_hint() {
        assert_eq!(topics(&fixtures::ok()), []);
        assert_eq!(topics(&fixtures::empty()), []);
        // Its slow operation is not taken for stalls of the fast one.
        assert_eq!(topics(&fixtures::flows()), [Topic::Slow]);
    }

    #[test]
    fn each_failure_gives_its_hint_and_no_other() {
        use Outcome::{
            AuthError, Disconnected, HttpError, InvalidReply, RpcError, SessionLost, ToolError, Unreachable,
        };
        for (outcome, group, topic) in [
            (Unreachable, "connection refused", Some(Topic::Unreachable)),
            (Unreachable, "TLS: invalid peer certificate", Some(Topic::Unreachable)),
            (Unreachable, "no such host", Some(Topic::Unreachable)),
            (Unreachable, "no connection within 30s", Some(Topic::Unreachable)),
            (AuthError, "HTTP 403: a guard of the Host header", Some(Topic::HostGuard)),
            (HttpError, "HTTP 421: a guard of the Host header", Some(Topic::HostGuard)),
            (AuthError, "HTTP 401", Some(Topic::Credentials)),
            (HttpError, "HTTP 404", Some(Topic::WrongUrl)),
            (InvalidReply, "text/html in place of an answer", Some(Topic::WrongUrl)),
            (HttpError, "HTTP 429", Some(Topic::RateLimit)),
            (SessionLost, "HTTP 404", Some(Topic::SessionLost)),
            (Disconnected, "reset on a reused connection before any answer", Some(Topic::KeepAlive)),
            (Outcome::TimeoutNoByte, "no byte within 30s", Some(Topic::Timeout)),
            (Outcome::TimeoutTruncated, "no end within 30s", Some(Topic::Timeout)),
            (HttpError, "HTTP 500", None),
            (Disconnected, "reset within the answer", None),
            (ToolError, "insufficient funds", None),
            (RpcError, "-32603 boom", None),
            (InvalidReply, "not JSON", None),
            (Outcome::WrongAnswer, "no payment_id", None),
            (Outcome::InputRequired, "wants input", None),
        ] {
            assert_eq!(topics(&failing(outcome, group)), Vec::from_iter(topic), "{outcome} {group}");
        }
    }

    #[test]
    fn a_tool_that_refuses_everything_is_perhaps_asked_the_wrong_way() {
        let refusing =
            tell(|_, intended| (answer(intended, 1, 1, Outcome::ToolError), Some(("bad amount", "bad amount"))));
        assert_eq!(topics(&refusing), [Topic::Arguments]);
    }

    #[test]
    fn a_plateau_above_forty_milliseconds_smells_of_nagle_and_a_broad_hill_does_not() {
        assert_eq!(topics(&taking(|_| 100, |n| if n % 3 == 0 { 41_000 + n % 5 * 500 } else { 4_000 })), [Topic::Nagle]);
        assert_eq!(topics(&taking(|_| 100, |n| 30_000 + n * 7919 % 30_000)), []);
        assert_eq!(topics(&taking(|_| 100, |n| if n % 20 == 0 { 41_000 } else { 4_000 })), []);
        assert_eq!(topics(&taking(|_| 100, |_| 36_000)), []);
    }

    #[test]
    fn stalls_slowness_and_want_of_room_are_told_apart() {
        assert_eq!(topics(&taking(|_| 100, |n| if n % 50 == 0 { 80_000 } else { 2_000 })), [Topic::Stalls]);
        assert_eq!(topics(&taking(|_| 100, |_| 120_000)), [Topic::Slow]);
        assert_eq!(topics(&taking(|n| n * 400, |_| 60_000)), [Topic::NoRoom]);
        let dropping = tell(|n, intended| match n % 2 {
            0 => (Fate::Dropped, None),
            _ => (answer(intended, 100, 5_000, Outcome::Ok), None),
        });
        assert_eq!(topics(&dropping), [Topic::NoRoom]);
    }

    #[test]
    fn a_target_on_the_generators_own_host_is_noted() {
        for (url, own) in [
            ("http://localhost:8000", true),
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:8000", true),
            ("http://bench-1:8000", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.7", false),
        ] {
            let mut run = fixtures::ok();
            run.plan.target = url.parse().unwrap();
            assert_eq!(topics(&run), if own { vec![Topic::SameHost] } else { vec![] }, "{url}");
        }
    }
}
