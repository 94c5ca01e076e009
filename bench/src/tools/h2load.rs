//! h2load: as fast as it can, over HTTP/1.1 or HTTP/2.

use super::{Load, Place, Said, Wire, headers, number_after, split};

/// Calls at once on each connection of HTTP/2.
const STREAMS: u32 = 8;

pub(super) fn words(load: &Load, place: &Place) -> Option<Vec<String>> {
    if load.rate.is_some() {
        return None;
    }
    let span = load.span.as_secs_f64().ceil();
    let way = match load.wire {
        Wire::Http2 => format!("-c {} -m {STREAMS}", (load.connections / STREAMS).max(1)),
        _ => format!("--h1 -c {} -m 1", load.connections),
    };
    let mut words = split(&format!("{way} -t 1 -D {span} --warm-up-time=0 -d {}", place.body()));
    words.extend(headers("-H"));
    words.push(place.url(load.wire));
    Some(words)
}

pub(super) fn parse(output: &str) -> Result<Said, String> {
    let line = output.lines().find(|line| line.starts_with("requests: ")).ok_or("did not say what it did")?;
    let before = |label: &str| -> u64 {
        let parts = line.trim_start_matches("requests: ").split(", ");
        parts.filter_map(|part| part.strip_suffix(label)?.trim().parse::<u64>().ok()).sum()
    };
    let codes = output.lines().find(|line| line.starts_with("status codes: ")).unwrap_or_default();
    let good = number_after(codes, "status codes:").unwrap_or_default() as u64;
    let (calls, lost) = (before("done"), before("errored") + before("timeout"));
    Ok(Said { calls, failed: calls.saturating_sub(good) + lost, response: [None; 3], own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_read_and_what_is_no_success_is_a_failure() {
        let output = "finished in 1.00s, 100 req/s\nrequests: 110 total, 110 started, 105 done, 101 succeeded, 4 failed, \
                      2 errored, 3 timeout\nstatus codes: 101 2xx, 0 3xx, 4 4xx, 0 5xx\n";
        let said = Said { calls: 105, failed: 9, response: [None; 3], own: None };
        assert_eq!(parse(output), Ok(said));
        assert!(parse("").is_err());
    }
}
