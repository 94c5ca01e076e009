//! oha: a rate for all connections together, and the time since a call was due where it is asked for that.

use serde_json::Value;

use super::{Load, Place, Said, Wire, headers, split};

pub(super) fn words(is_corrected: bool, load: &Load, place: &Place) -> Vec<String> {
    let (connections, span) = (load.connections, load.span.as_millis());
    // Generators have one core; ongoing calls are waited for, as everybody else does.
    let mut words = split(&format!(
        "--no-tui --output-format json --worker-threads 1 -w -z {span}ms -c {connections} -m POST -D {}",
        place.body()
    ));
    words.extend(headers("-H"));
    if let Some(rate) = load.rate {
        words.extend(split(&format!("-q {rate}")));
        if is_corrected {
            words.push("--latency-correction".to_owned());
        }
    }
    if load.wire == Wire::Http2 {
        words.push("--http2".to_owned());
    }
    if load.wire.is_encrypted() {
        words.extend(["--cacert".to_owned(), place.authority.display().to_string()]);
    }
    words.push(place.url(load.wire));
    words
}

pub(super) fn parse(output: &str) -> Result<Said, String> {
    let value: Value = serde_json::from_str(output).map_err(|why| format!("said no JSON: {why}"))?;
    let sum = |part: &str, counts: &dyn Fn(&str) -> bool| -> u64 {
        let entries = value[part].as_object().into_iter().flatten();
        entries.filter(|(name, _)| counts(name)).filter_map(|(_, count)| count.as_u64()).sum()
    };
    let answered = sum("statusCodeDistribution", &|_| true);
    let good = sum("statusCodeDistribution", &|code| code == "200");
    let errors = sum("errorDistribution", &|_| true);
    let response = ["p95", "p99", "p99.9"].map(|name| Some(value["latencyPercentiles"][name].as_f64()? * 1e3));
    Ok(Said { calls: answered, failed: answered - good + errors, response, own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_quantiles_are_read_and_errors_are_failures() {
        let output = r#"{"summary":{"successRate":1.0},"latencyPercentiles":{"p50":0.002,"p95":0.25,"p99":0.45,"p99.9":0.495},
            "statusCodeDistribution":{"200":88,"503":3},"errorDistribution":{"aborted due to deadline":4}}"#;
        let said = Said { calls: 91, failed: 7, response: [Some(250.0), Some(450.0), Some(495.0)], own: None };
        assert_eq!(parse(output), Ok(said));
        assert!(parse("oh no").unwrap_err().starts_with("said no JSON"));
        let nothing = r#"{"latencyPercentiles":{"p95":null},"statusCodeDistribution":{},"errorDistribution":{}}"#;
        assert_eq!(parse(nothing), Ok(Said::default()));
    }
}
