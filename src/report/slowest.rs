//! The slowest calls, as rows that all formats share.

use super::Report;
use super::humane::{clean, clip, count};
use super::words::NOTHING;
use crate::time::{Moment, humane_duration};
use crate::trace::TraceId;

/// What the columns of a row hold.
pub(super) const HEAD: [&str; 6] = ["operation", "arrival", "due at", "response time", "service time", "outcome"];
/// What the traces of a run are good for.
pub(super) const TRACED: &str =
    "Each call told the server its trace (traceparent), with the flag that asks for a sample of it.";
/// How much of a name is shown.
const NAME: usize = 40;

/// One of the slowest calls.
pub(super) struct SlowRow {
    /// A cell for each of [`HEAD`].
    pub(super) cells: [String; 6],
    /// Where the server's side of it is found.
    pub(super) trace: Option<TraceId>,
}

/// The slowest calls, slowest first.
pub(super) fn rows(report: &Report<'_>) -> Vec<SlowRow> {
    let plan = &report.saved.plan;
    let several = plan.flows.len() > 1;
    let calls = report.saved.summary.slowest.calls().into_iter();
    let row = |call: crate::measure::SlowCall| {
        let name = |name: Option<&String>| clip(&clean(name.map_or(NOTHING, String::as_str)), NAME);
        let operation = name(plan.operations.get(usize::from(call.operation)).map(|operation| &operation.name));
        let flow = name(plan.flows.get(usize::from(call.flow)).map(|flow| &flow.name));
        let arrival = count(call.sequence);
        let due = format!("{:.3} s", call.intended.since(Moment::ZERO).as_secs_f64());
        let service = call.service_time().map_or_else(|| NOTHING.to_owned(), humane_duration);
        let arrival = if several { format!("{flow} {arrival}") } else { arrival };
        let columns =
            [operation, arrival, due, humane_duration(call.response_time()), service, call.outcome.to_string()];
        SlowRow { cells: columns, trace: call.trace }
    };
    calls.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{SavedRun, fixtures};

    #[test]
    fn a_run_that_was_saved_before_slowest_calls_were_kept_is_read() {
        let run = fixtures::ok();
        let mut text: serde_json::Value = serde_json::from_str(&run.to_json().unwrap()).unwrap();
        assert_eq!(text["summary"]["slowest"].as_array().unwrap().len(), 20);
        text["summary"].as_object_mut().unwrap().remove("slowest");
        for field in ["trace", "slowest"] {
            text["plan"]["run"].as_object_mut().unwrap().remove(field);
        }
        let read = SavedRun::from_json(text.to_string().as_bytes()).unwrap();
        assert!(read.summary.slowest.is_empty() && read.plan == run.plan);
        text["summary"]["slowest"] = serde_json::json!([
            {"flow": 0, "operation": 9, "sequence": 1, "intended": 1, "done": 2, "outcome": "ok"}]);
        assert!(SavedRun::from_json(text.to_string().as_bytes()).unwrap_err().to_string().contains("does not name"));
    }
}
