//! The Prometheus text of somebody else: what it says of its own process.
//!
//! Libraries of several languages name the same things differently; the first name of each list that is on the page is
//! taken, all its series together.

/// What a process says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessPage {
    /// Processor time used since it began, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<f64>,
    /// File descriptors open.
    pub descriptors: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
}

/// The Prometheus client libraries; OpenTelemetry; Node.js.
const CPU: &[&str] = &["process_cpu_seconds_total", "process_cpu_time_seconds_total", "process_cpu_time_seconds"];
/// The Prometheus client libraries; OpenTelemetry; .NET; the JVM.
const MEMORY: &[&str] = &[
    "process_resident_memory_bytes",
    "process_memory_usage_bytes",
    "process_working_set_bytes",
    "jvm_memory_used_bytes",
    "jvm_memory_bytes_used",
];
/// The Prometheus client libraries; Micrometer; OpenTelemetry; .NET.
const DESCRIPTORS: &[&str] =
    &["process_open_fds", "process_files_open_files", "process_open_file_descriptor_count", "process_open_handles"];
/// Rust and others; .NET; Go; the JVM; OpenTelemetry.
const THREADS: &[&str] = &[
    "process_threads",
    "process_num_threads",
    "go_threads",
    "jvm_threads_current",
    "jvm_threads_live_threads",
    "process_thread_count",
];

impl ProcessPage {
    /// Reads a page. What it does not say is `None`.
    pub fn read(page: &str) -> Self {
        let of = |names: &[&str]| names.iter().find_map(|name| sum(page, name));
        Self { cpu_seconds: of(CPU), memory_bytes: of(MEMORY), descriptors: of(DESCRIPTORS), threads: of(THREADS) }
    }

    /// Whether it says anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The sum of all series of a metric; `None` where there is none that is a number from zero up.
fn sum(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            // A label's value may hold a brace, but only within quotes; the last one ends the labels.
            Some(labels) => labels.rsplit_once('}')?.1,
            None if rest.starts_with([' ', '\t']) => rest,
            None => return None,
        };
        // A timestamp may follow.
        let value: f64 = rest.split_ascii_whitespace().next()?.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_any_library_is_read() {
        let rust = "# HELP process_threads Threads.\nprocess_threads 7\nprocess_cpu_seconds_total 12.5\n\
                    process_open_fds 33\nprocess_resident_memory_bytes 1.5e+07\n";
        let page = ProcessPage::read(rust);
        assert_eq!((page.cpu_seconds, page.memory_bytes), (Some(12.5), Some(1.5e7)));
        assert_eq!((page.descriptors, page.threads), (Some(33.0), Some(7.0)));
        let java = "jvm_memory_used_bytes{area=\"heap\",id=\"G1 {Eden}\"} 100 1700000000000\n\
                    jvm_memory_used_bytes{area=\"nonheap\"} 11\njvm_threads_live_threads 4\n";
        let page = ProcessPage::read(java);
        assert_eq!((page.memory_bytes, page.threads, page.cpu_seconds), (Some(111.0), Some(4.0), None));
    }

    #[test]
    fn other_names_and_what_is_no_number_say_nothing() {
        let page = "process_threads_max 7\nprocess_open_fds NaN\n#process_threads 3\nprocess_threads\nprocess_threads{a=\"b\" 3\n";
        assert!(ProcessPage::read(page).is_empty());
        assert!(ProcessPage::read("<html>").is_empty());
    }
}
