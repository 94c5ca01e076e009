//! k6: a script with a constant arrival rate.

use serde_json::Value;

use super::{HEADERS, Load, Place, Said, Wire, body, split};

pub(super) const SCRIPT: &str = "k6.js";
pub(super) const SUMMARY: &str = "k6.json";

pub(super) fn words(load: &Load, place: &Place) -> Option<Vec<String>> {
    let rate = load.rate.filter(|_| load.wire != Wire::Http2)?;
    let (span, url) = (load.span.as_millis(), place.url(load.wire));
    let (summary, script) = (place.file(SUMMARY), place.file(SCRIPT));
    Some(split(&format!(
        "run --quiet --no-usage-report --insecure-skip-tls-verify --summary-trend-stats=p(95),p(99),p(99.9) \
         --summary-export {summary} -e RATE={rate} -e SPAN={span}ms -e USERS={} -e URL={url} {script}",
        load.connections
    )))
}

pub(super) fn script() -> String {
    let headers: serde_json::Map<String, Value> =
        HEADERS.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    let options = concat!(
        "export const options = { scenarios: { calls: { executor: 'constant-arrival-rate', rate: +__ENV.RATE, ",
        "timeUnit: '1s', duration: __ENV.SPAN, preAllocatedVUs: +__ENV.USERS, maxVUs: 4 * __ENV.USERS } } };"
    );
    let (body, headers) = (Value::from(body()), Value::Object(headers));
    format!(
        "import http from 'k6/http';\n{options}\nconst body = {body};\nconst headers = {headers};\n\
         export default function () {{ http.post(__ENV.URL, body, {{ headers }}); }}\n"
    )
}

pub(super) fn parse(summary: &str) -> Result<Said, String> {
    let value: Value = serde_json::from_str(summary).map_err(|why| format!("said no JSON: {why}"))?;
    let metrics = &value["metrics"];
    let calls = metrics["http_reqs"]["count"].as_f64().ok_or("did not say how many requests it made")? as u64;
    // A rate of true values: those that failed are its "passes".
    let failed = metrics["http_req_failed"]["passes"].as_u64().unwrap_or_default();
    let response = ["p(95)", "p(99)", "p(99.9)"].map(|name| metrics["http_req_duration"][name].as_f64());
    Ok(Said { calls, failed, response, own: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_exported_summary_is_read() {
        let summary = r#"{"metrics":{"http_reqs":{"count":1000,"rate":99.9},"http_req_failed":{"fails":997,"passes":3,"value":0.003},
            "http_req_duration":{"p(95)":1.5,"p(99)":2.5,"p(99.9)":3.5}}}"#;
        let said = Said { calls: 1000, failed: 3, response: [Some(1.5), Some(2.5), Some(3.5)], own: None };
        assert_eq!(parse(summary), Ok(said));
        assert!(parse("{}").is_err());
    }
}
