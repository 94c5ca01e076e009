//! Proof that coordinated omission is absent: a server that freezes, simulated without a clock.

use std::time::Duration;

use super::{Fate, Phase, Quantile, Recorder, Sample, Scope, Shape, Summary};
use crate::outcome::Outcome;
use crate::time::Moment;

/// A server that answers within 200 µs, but stands still for 500 ms every 5 s, under 1000 arrivals a second for 20 s.
fn frozen_server(in_flight: usize) -> Summary {
    let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, Moment::ZERO);
    let mut room = vec![Moment::ZERO; in_flight];
    for sequence in 0..20_000 {
        let intended = Moment::from_nanos(sequence * 1_000_000 + 500_000);
        let place = sequence as usize % in_flight;
        let sent = intended.max(room[place]);
        let into_period = sent.as_nanos() % 5_000_000_000;
        let frozen = Duration::from_nanos(500_000_000_u64.saturating_sub(into_period));
        let done = sent.after(frozen).after(Duration::from_micros(200));
        room[place] = done;
        let fate = Fate::Answered { sent: Some(sent), first_byte: None, done, outcome: Outcome::Ok };
        let (flow, operation, substituted, picked_up) = (0, 0, false, intended);
        recorder.picked_up(flow, operation, intended, picked_up);
        recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up, fate }, None);
    }
    let mut summary = Summary::default();
    summary.absorb(&recorder);
    summary
}

fn response_ms(summary: &Summary, quantile: f64) -> f64 {
    match summary.tally(Scope::Total, Some(Phase::Measure)).quantile(quantile) {
        Some(Quantile::Finite(time)) => time.as_secs_f64() * 1e3,
        other => panic!("a finite quantile, not {other:?}"),
    }
}

#[test]
fn a_frozen_server_cannot_hide_behind_an_in_flight_limit() {
    for in_flight in [20_000, 1000, 10] {
        let summary = frozen_server(in_flight);
        for (quantile, truth) in [(0.5, 0.2), (0.95, 250.0), (0.99, 450.0), (0.999, 495.0), (1.0, 500.0)] {
            let seen = response_ms(&summary, quantile);
            // With ten in flight the backlog takes a moment to clear after each freeze.
            let slack = if in_flight == 10 { 10.0 } else { 1.0 };
            assert!((seen - truth).abs() <= slack, "p{quantile} with {in_flight}: {seen} ms, truth {truth} ms");
        }
    }
}

#[test]
fn the_service_time_with_few_in_flight_shows_what_a_closed_loop_would_have_reported() {
    let summary = frozen_server(10);
    let service = summary.tally(Scope::Total, None).service_time;
    assert!(service.value_at_quantile(0.99).unwrap() < Duration::from_millis(1));
}
