//! `ab`, of Apache: as fast as it can, times in whole milliseconds.

use super::{Load, Place, Said, Wire, headers, number_after, split};

/// More calls than it makes in any span; it reserves 32 bytes for each.
const MANY: u32 = 20_000_000;

pub(super) fn words(load: &Load, place: &Place) -> Option<Vec<String>> {
    if load.rate.is_some() || load.wire != Wire::Json {
        return None;
    }
    let (connections, span) = (load.connections, load.span.as_secs_f64().ceil());
    // -n after -t, which sets it to 50 000.
    let mut words =
        split(&format!("-q -k -l -c {connections} -t {span} -n {MANY} -T application/json -p {}", place.body()));
    words.extend(headers("-H").skip(2));
    words.push(place.url(load.wire));
    Some(words)
}

pub(super) fn parse(output: &str) -> Result<Said, String> {
    let calls = number_after(output, "Complete requests:").ok_or("did not say how many requests it made")? as u64;
    let failed =
        ["Failed requests:", "Non-2xx responses:"].map(|label| number_after(output, label).unwrap_or_default());
    let response = ["\n  95%", "\n  99%"].map(|label| number_after(output, label));
    let failed = failed.iter().sum::<f64>() as u64;
    Ok(Said { calls, failed, response: [response[0], response[1], None], own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_quantiles_are_read() {
        let output = "Concurrency Level:      64\nComplete requests:      250123\nFailed requests:        2\n\
                      Non-2xx responses:      3\nPercentage of the requests served within a certain time (ms)\n  \
                      50%      0\n  95%      1\n  99%      4\n 100%     12 (longest request)\n";
        let said = Said { calls: 250_123, failed: 5, response: [Some(1.0), Some(4.0), None], own: None };
        assert_eq!(parse(output), Ok(said));
        assert!(parse("apr_socket_recv: Connection refused").is_err());
    }
}
