//! hey: a rate for each of its workers.

use super::{Load, Place, Said, headers, number_after, split};

pub(super) fn words(load: &Load, place: &Place) -> Option<Vec<String>> {
    if load.wire.is_encrypted() {
        // It takes no authority of ours, and has no way to accept any.
        return None;
    }
    let (connections, span) = (load.connections, load.span.as_millis());
    let mut words =
        split(&format!("-cpus 1 -z {span}ms -c {connections} -m POST -T application/json -D {}", place.body()));
    words.extend(headers("-H").skip(2));
    if let Some(rate) = load.rate {
        words.extend(["-q".to_owned(), format!("{:.3}", f64::from(rate) / f64::from(connections))]);
    }
    words.push(place.url(load.wire));
    Some(words)
}

pub(super) fn parse(output: &str) -> Result<Said, String> {
    let responses: Vec<(&str, u64)> = output
        .lines()
        .filter_map(|line| {
            let (code, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
            Some((code, rest.trim().strip_suffix(" responses")?.parse().ok()?))
        })
        .collect();
    let calls: u64 = responses.iter().map(|(_, count)| count).sum();
    if calls == 0 {
        return Err("got no response".to_owned());
    }
    let bad: u64 = responses.iter().filter(|(code, _)| !code.starts_with('2')).map(|(_, count)| count).sum();
    let errors: u64 = output.split_once("Error distribution:").map_or(0, |(_, list)| {
        let counts =
            list.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']')?.0.parse::<u64>().ok());
        counts.sum()
    });
    // It says "0% in 0.0000 secs" where it has too few calls to tell.
    let response = ["95% in", "99% in"].map(|label| number_after(output, label).map(|seconds| seconds * 1e3));
    Ok(Said { calls, failed: bad + errors, response: [response[0], response[1], None], own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_by_code_and_quantiles_in_seconds_are_read() {
        let output = "Summary:\n  Total:\t1.0140 secs\n\nLatency distribution:\n  90% in 0.0442 secs\n  95% in 0.0444 secs\n  \
                      99% in 0.1000 secs\n\nStatus code distribution:\n  [200]\t91 responses\n  [503]\t2 responses\n\n\
                      Error distribution:\n  [3]\tPost \"http://x\": EOF\n";
        let said = Said { calls: 93, failed: 5, response: [Some(44.4), Some(100.0), None], own: None };
        assert_eq!(parse(output), Ok(said));
        assert!(parse("\nError distribution:\n  [3]\trefused\n").is_err());
    }
}
