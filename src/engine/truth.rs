//! From what a reply taught the workload to what is counted of it.

use crate::measure::{Evidence, Truth};
use crate::workload::{self, Finding, Lesson, OperationId, Probed, Resolved};

/// Counts what the reply to a call of this operation taught.
pub(super) fn count(truth: &mut Truth, operation: OperationId, lesson: Lesson) {
    truth.balances += u64::from(lesson.balance);
    if lesson.is_unresolved {
        truth.unresolved_of(operation.0).calls += 1;
    }
    if let Some(resolved) = lesson.resolved {
        let row = truth.unresolved_of(operation.0);
        *match resolved {
            Resolved::Happened => &mut row.happened,
            Resolved::NotHappened => &mut row.not_happened,
            Resolved::Done => &mut row.done,
        } += 1;
    }
    if let Some((probe, probed)) = lesson.probe {
        let row = &mut truth.probes[probe.index()];
        *match probed {
            Probed::Kept => &mut row.kept,
            Probed::Broken => &mut row.broken,
            Probed::Unclear => &mut row.unclear,
        } += 1;
    }
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
