//! From what a reply taught the workload to what is counted of it.

use crate::measure::{Evidence, Truth};
use crate::workload::{self, Finding, Lesson};

/// Counts what a reply taught.
pub(super) fn count(truth: &mut Truth, lesson: Lesson) {
    if let Some(read) = lesson.read {
        truth.read(read.age, read.elsewhere, read.violated);
    }
    count_findings(truth, lesson.findings);
}

/// Counts broken promises.
pub(super) fn count_findings(truth: &mut Truth, findings: Vec<Finding>) {
    for Finding { violation, calls, evidence } in findings {
        truth.violated(violation, calls, kept(*evidence));
    }
}

fn kept(seen: workload::Evidence) -> Evidence {
    let workload::Evidence { operation, flow, sequence, intended, sent, expected, said, age, elsewhere } = seen;
    Evidence { intended, flow, sequence, operation, sent, expected, said, age, elsewhere }
}
