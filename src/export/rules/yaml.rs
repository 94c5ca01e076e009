//! Rules as the YAML that Prometheus reads.
//!
//! Every text from outside is a JSON string, which YAML reads as it stands; only our own expressions are blocks. What YAML
//! takes for a break of a line, or refuses, is escaped in both: readers of JSON, YAML and Prometheus know `\u2028`.

use std::fmt::Write as _;
use std::time::Duration;

use super::RUNBOOK;

/// A recording rule.
pub(super) struct Record<'a> {
    pub(super) name: &'static str,
    pub(super) expression: String,
    pub(super) labels: &'a [(&'static str, String)],
}

/// An alert.
pub(super) struct Alert {
    pub(super) name: &'static str,
    pub(super) expression: String,
    /// For how long the expression must have had a value.
    pub(super) wait: Duration,
    pub(super) severity: &'static str,
    /// Whether it speaks of the target or of the generator, which silences what is said of the target.
    pub(super) about: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) summary: String,
    pub(super) description: String,
}

/// The file in the making.
pub(super) struct Rules(String);

impl Rules {
    pub(super) fn new(comment: &str) -> Self {
        let mut rules = Self(String::new());
        rules.wrapped("# ", comment);
        rules.0.push_str("groups:\n");
        rules
    }

    pub(super) fn group(&mut self, name: &str) {
        self.line(2, &format!("- name: {name}"));
        self.line(4, "rules:");
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.wrapped("      # ", text);
    }

    pub(super) fn record(&mut self, record: &Record<'_>) {
        self.line(6, &format!("- record: {}", record.name));
        self.expression(&record.expression);
        self.labels(record.labels);
    }

    pub(super) fn alert(&mut self, alert: &Alert) {
        self.line(6, &format!("- alert: {}", alert.name));
        self.expression(&alert.expression);
        self.line(8, &format!("for: {}", duration(alert.wait)));
        let fixed = [("severity", alert.severity.to_owned()), ("about", alert.about.to_owned())];
        self.labels(&[&fixed, &alert.labels[..]].concat());
        self.line(8, "annotations:");
        let runbook = format!("{RUNBOOK}#{}", alert.name.to_lowercase());
        for (name, text) in
            [("summary", &alert.summary), ("description", &alert.description), ("runbook_url", &runbook)]
        {
            self.line(10, &format!("{name}: {}", quoted(text)));
        }
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn expression(&mut self, expression: &str) {
        self.line(8, "expr: |");
        expression.lines().for_each(|line| self.line(10, line));
    }

    fn labels(&mut self, labels: &[(&str, String)]) {
        self.line(8, "labels:");
        for (name, value) in labels {
            self.line(10, &format!("{name}: {}", quoted(value)));
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    /// A comment in lines of readable length.
    fn wrapped(&mut self, prefix: &str, text: &str) {
        let mut line = String::from(prefix.trim_end());
        let text = text.replace(is_unsafe, " ");
        for word in text.split_whitespace() {
            if line.chars().count() + word.chars().count() > 118 && line.trim_end() != prefix.trim_end() {
                let _ = writeln!(self.0, "{line}");
                prefix.trim_end().clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(self.0, "{line}");
    }
}

/// What cannot stand in YAML as it is, or ends a line there: in YAML 1.1 more does than in JSON.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text as a string of JSON, of YAML and of Prometheus, in one line of printable characters.
pub(super) fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A text that Prometheus does not take for a template of its own.
pub(super) fn untemplated(text: &str) -> String {
    text.replace("{{", "{{ `{{` }}")
}

/// A time of whole seconds, as Prometheus writes it.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
