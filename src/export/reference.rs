//! The reference page of every metric, made from their table.

use std::fmt::Write as _;

use super::definition::{Definition, Kind, PROCESS_METRICS};
use super::metrics::METRICS;

/// The reference page of every metric, in Markdown: what `docs/metrics.md` holds.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut table = |title: &str, kind: Kind| {
        let _ = write!(page, "\n## {title}\n\n| name | unit | labels | meaning |\n|---|---|---|---|\n");
        for Definition { name, unit, labels, help, .. } in METRICS.iter().filter(|metric| metric.kind == kind) {
            let _ = writeln!(page, "| `{name}` | {unit} | {} | {help} |", labels.join(", "));
        }
    };
    table("Counters", Kind::Counter);
    table("Histograms", Kind::Histogram);
    table("Gauges", Kind::Gauge);
    page.push_str("\n## The process (Linux)\n\n| name | meaning |\n|---|---|\n");
    for (name, meaning) in PROCESS_METRICS {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page.push_str(NOTES);
    page
}

const INTRODUCTION: &str = "\
# Metrics

<!-- Written by mcpace from src/export/metrics.rs; `UPDATE_DOCS=1 cargo test --test dashboards` writes it again. -->

`mcpace run` serves these at `http://127.0.0.1:9464/metrics` (`--metrics ADDR|off`) and answers `/healthz`. They are
published about twice a second. Labels have values from closed sets only: the plan's flows, operations and objectives,
the outcomes, the kinds of calls that are not arrivals, of broken promises and of probes, and `phase`, which is `warmup` for arrivals due during warm-up and `measure` for those that are judged.
Every counter of the plan is there from the beginning, at zero.
";

const NOTES: &str = "
## How to read them

- Of every arrival it is known where it is: over all series, scheduled = calls + dropped + abandoned + waiting + in
  flight. `mcpace_response_time_seconds_count` is calls + dropped + abandoned: all arrivals that came to an end.
- An arrival without a complete reply is above every bound. `histogram_quantile` therefore answers with the largest
  bound where a quantile falls among such arrivals, and the share above a bound is never flattered by silence.
- Because of that, sum divided by count is a mean over all arrivals only where none was dropped or abandoned. The mean of
  what the server took is that of `mcpace_service_time_seconds`.
- Buckets of response and service time include every bound that an objective names, counted exactly: the share of
  arrivals within 150 ms needs no interpolation where an objective says `p95 < 150ms`.
- After the end of a run the final values stay for `--linger`, or until they were scraped. `mcpace_run_state` says
  `ended` then.
";
