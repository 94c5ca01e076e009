//! Proof that days fit: 24 hours at 16 000 calls a second through recorder, timeline and saved run.
//!
//! Counts are recorded in bulk, and handed over every ten seconds: a collector that is late, which saves the test a minute.

use std::time::Duration;

use super::{SavedRun, fixtures};
use crate::measure::{MAX_CELLS, Phase, Recorder, Scope, Shape, Summary};
use crate::outcome::Outcome;
use crate::time::Moment;

const SECOND: u64 = 1_000_000_000;
const OPERATIONS: u16 = 3;
/// Calls of one operation in half a second.
const CALLS: u32 = 8_000 / OPERATIONS as u32;

/// Twenty-four hours of three operations in which times swing from hour to hour.
fn day() -> Summary {
    let shape = Shape { flows: 1, operations: OPERATIONS, ..Shape::default() };
    let mut recorder = Recorder::new(&shape, Moment::from_nanos(60 * SECOND));
    let mut summary = Summary::new(Moment::from_nanos(60 * SECOND));
    for half in 0..2 * 86_400_u64 {
        let due = Moment::from_nanos(half * SECOND / 2);
        let hour = (half / 7_200) % 24;
        for operation in 0..OPERATIONS {
            summary.expect(0, operation, due, f64::from(CALLS));
            // Ten times, more or less spread; the last of them timeouts, now and then.
            for part in 0..10_u64 {
                let spread = (half * 31 + part * 977 + u64::from(operation) * 7) % 400;
                let response = Duration::from_micros(900 + 80 * hour + 40 * spread * (part + 1));
                let outcome = if part == 9 && half % 97 == 0 { Outcome::TimeoutNoByte } else { Outcome::Ok };
                recorder.record_in_bulk((0, operation), due, response, outcome, CALLS / 10);
            }
        }
        if half % 20 == 19 {
            summary.absorb(&recorder);
            recorder.clear();
        }
    }
    (summary.until, summary.due) = (Moment::from_nanos(86_400 * SECOND), Some(summary.accounting().scheduled));
    summary
}

#[test]
fn a_day_at_16_000_calls_a_second_fits_into_bounded_memory_and_a_small_file() {
    let summary = day();
    let scheduled = u64::from(CALLS / 10 * 10) * u64::from(OPERATIONS) * 2 * 86_400;
    let accounting = summary.accounting();
    assert!(scheduled > 15_900 * 86_400 && accounting.balanced());
    assert_eq!((accounting.scheduled, accounting.answered), (scheduled, scheduled));
    let all = summary.tally(Scope::Total, Some(Phase::Measure));
    assert!(all.timeline.cells().count() <= MAX_CELLS && all.timeline.width() == Duration::from_secs(100));
    let cells: u64 = all.timeline.cells().map(|cell| u64::from(cell.scheduled)).sum();
    let tens: u64 = all.timeline.cells().flat_map(|cell| &cell.tens).map(|ten| u64::from(ten.scheduled)).sum();
    assert_eq!((cells, tens), (all.scheduled, all.scheduled));
    assert_eq!(all.ended(), all.scheduled);
    let plan = fixtures::plan(
        r#"
        target = { url = "http://localhost:8000" }
        [[flow]]
        operations = { create_payment = 1, verify_payment = 1, get_wallet_balance = 1 }
        load = "16000/s for 24h"
        "#,
    );
    let run = SavedRun { plan, summary, ..fixtures::small() };
    let text = run.to_json().unwrap();
    assert!(text.len() < 5_000_000, "{} bytes", text.len());
    let read = SavedRun::from_json(text.as_bytes()).unwrap();
    assert_eq!(read.summary.accounting(), run.summary.accounting());
    assert_eq!(read.judge(&[]), run.judge(&[]));
}
