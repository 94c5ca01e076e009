//! wrk, which goes as fast as it can, and wrk2, which is wrk with a rate.

use super::{HEADERS, Load, Place, Said, Wire, body, split};

pub(super) const SCRIPT: &str = "wrk.lua";

pub(super) fn words(is_wrk2: bool, load: &Load, place: &Place) -> Option<Vec<String>> {
    if load.rate.is_some() != is_wrk2 || load.wire == Wire::Http2 {
        return None;
    }
    let (connections, span) = (load.connections, load.span.as_secs_f64().ceil());
    let rate = load.rate.map(|rate| format!("-R{rate}")).unwrap_or_default();
    let script = place.file(SCRIPT);
    let url = place.url(load.wire);
    Some(split(&format!("-t1 -c{connections} -d{span}s {rate} --latency -s {script} {url}")))
}

pub(super) fn script() -> String {
    let headers = HEADERS.map(|(name, value)| format!("wrk.headers[\"{name}\"] = \"{value}\"\n")).concat();
    format!("wrk.method = \"POST\"\nwrk.body = [[{}]]\n{headers}", body())
}

pub(super) fn parse(output: &str) -> Result<Said, String> {
    let total = output.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    let calls: u64 = total.ok_or("did not say how many requests it made")?;
    let bad = super::number_after(output, "Non-2xx or 3xx responses:").unwrap_or_default() as u64;
    let socket = output.lines().find_map(|line| line.trim().strip_prefix("Socket errors:"));
    let numbers = socket.into_iter().flat_map(|line| line.split([' ', ',']));
    let errors: u64 = numbers.filter_map(|word| word.parse::<u64>().ok()).sum();
    let response = [95.0, 99.0, 99.9].map(|percent| output.lines().find_map(|line| quantile(line, percent)));
    Ok(Said { calls, failed: bad + errors, response, own: None })
}

/// The milliseconds of a line such as `99.900%    1.23ms`.
fn quantile(line: &str, percent: f64) -> Option<f64> {
    let (named, time) = line.trim().split_once('%')?;
    if (named.parse::<f64>().ok()? - percent).abs() > 1e-9 {
        return None;
    }
    let time = time.trim();
    let digits = time.find(|c: char| c.is_ascii_alphabetic())?;
    let milliseconds = match &time[digits..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    Some(time[..digits].parse::<f64>().ok()? * milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_read_with_its_errors() {
        let output = "Running 1s test @ http://127.0.0.1/\n  1 threads and 64 connections\n  Latency Distribution\n     \
                      50%  465.00us\n     75%  498.00us\n     90%  530.00us\n     99%    1.21ms\n  \
                      138604 requests in 1.00s, 73.21MB read\n  Socket errors: connect 0, read 2, write 0, timeout 1\n  \
                      Non-2xx or 3xx responses: 4\nRequests/sec: 138512.88\n";
        let said = Said { calls: 138_604, failed: 7, response: [None, Some(1.21), None], own: None };
        assert_eq!(parse(output), Ok(said));
        assert!(parse("unable to connect").is_err());
    }

    #[test]
    fn wrk2_says_more_quantiles() {
        let output = "  Latency Distribution (HdrHistogram - Recorded Latency)\n 50.000%  397.00us\n 99.000%    1.10ms\n \
                      99.900%    1.50s \n  30001 requests in 30.00s, 15.84MB read\n";
        let said = Said { calls: 30_001, failed: 0, response: [None, Some(1.10), Some(1500.0)], own: None };
        assert_eq!(parse(output), Ok(said));
    }
}
