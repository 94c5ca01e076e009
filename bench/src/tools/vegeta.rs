//! vegeta: attacks first, and reports afterwards on what it kept of that.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::{HEADERS, Load, Place, Said, Tool, Wire, split};

const RESULTS: &str = "vegeta.bin";

pub(super) fn words(load: &Load, place: &Place) -> Option<Vec<String>> {
    let rate = load.rate.filter(|_| load.wire != Wire::Http2)?;
    let (span, results, targets) = (load.span.as_millis(), place.file(RESULTS), place.file(targets(load.wire)));
    let connections = load.connections;
    Some(split(&format!(
        "attack -insecure -rate={rate}/1s -duration={span}ms -connections={connections} -targets={targets} -body={} \
         -output={results}",
        place.body()
    )))
}

/// The file in the folder with the target.
pub(super) const fn targets(wire: Wire) -> &'static str {
    if wire.is_encrypted() { "vegeta-encrypted.txt" } else { "vegeta.txt" }
}

pub(super) fn target(url: &str) -> String {
    let headers = HEADERS.map(|(name, value)| format!("{name}: {value}\n")).concat();
    format!("POST {url}\n{headers}")
}

/// The report on the last attack.
pub(super) fn report(place: &Place) -> Result<String, String> {
    let mut command = Command::new(place.program(Tool::Vegeta));
    command.args(["report", "-type=json"]).arg(place.file(RESULTS)).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|why| format!("did not report: {why}"))?;
    String::from_utf8(output.stdout).map_err(|why| format!("reported no text: {why}"))
}

pub(super) fn parse(report: &str) -> Result<Said, String> {
    let value: Value = serde_json::from_str(report).map_err(|why| format!("said no JSON: {why}"))?;
    let calls = value["requests"].as_u64().ok_or("did not say how many requests it made")?;
    let good = value["status_codes"]["200"].as_u64().unwrap_or_default();
    let time = |name: &str| Some(value["latencies"][name].as_f64()? / 1e6);
    Ok(Said { calls, failed: calls - good.min(calls), response: [time("95th"), time("99th"), None], own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_report_is_read_in_nanoseconds() {
        let report = r#"{"latencies":{"50th":200000,"95th":250000000,"99th":450000000},"requests":20000,
            "status_codes":{"0":5,"200":19995}}"#;
        let said = Said { calls: 20_000, failed: 5, response: [Some(250.0), Some(450.0), None], own: None };
        assert_eq!(parse(report), Ok(said));
        assert!(parse("{}").is_err());
    }
}
