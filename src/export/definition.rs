//! What a metric is made of, and the metrics that the process itself has.

use super::families::{Points, View};

/// How values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of times in buckets, with their number and sum.
    Histogram,
}

/// One metric: a row of [`METRICS`](super::metrics::METRICS).
#[derive(Debug)]
pub struct Definition {
    /// The full name.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: &'static str,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence or two.
    pub help: &'static str,
    /// Its values.
    pub(super) read: fn(&View<'_>, &mut Points),
}

/// What the process itself uses, on Linux; collected by the prometheus library under its usual names.
pub const PROCESS_METRICS: &[(&str, &str)] = &[
    ("process_cpu_seconds_total", "Processor time used."),
    ("process_max_fds", "File descriptors that may be open."),
    ("process_open_fds", "File descriptors open."),
    ("process_resident_memory_bytes", "Memory in use."),
    ("process_start_time_seconds", "When the process began, in seconds since 1970."),
    ("process_threads", "Threads."),
    ("process_virtual_memory_bytes", "Address space reserved."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::METRICS;
    use super::*;

    #[test]
    fn names_have_the_prefix_their_kind_and_base_units_and_labels_are_of_the_closed_sets() {
        let closed =
            ["flow", "operation", "outcome", "objective", "phase", "state", "kind", "verdict", "indicator", "act"];
        for Definition { name, kind, labels, help, .. } in METRICS {
            assert!(name.starts_with("mcpace_"), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}");
            let identity = *name == "mcpace_run_info";
            assert!(identity || labels.iter().all(|label| closed.contains(label)), "{name}");
        }
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
    }
}
