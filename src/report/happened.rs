//! What happened to a run, in words.

use std::time::Duration;

use super::humane::{counted, rate};
use crate::measure::{Event, EventKind};
use crate::time::{Moment, humane_duration};

/// When it was, counted from the run's beginning, and for how long.
pub fn when(event: &Event) -> String {
    let begun = humane_duration(event.at.since(Moment::ZERO));
    if event.lasted().is_zero() { begun } else { format!("{begun}, for {}", humane_duration(event.lasted())) }
}

/// What it was: a sentence without its capital and its full stop.
pub fn what(event: &Event) -> String {
    let figure = event.figure;
    let span = || humane_duration(Duration::try_from_secs_f64(figure.abs()).unwrap_or_default());
    let times = |what: &str| counted(figure.max(0.0) as u64, what);
    match event.kind {
        EventKind::ClockStepped if figure < 0.0 => format!("the wall clock was set back by {}", span()),
        EventKind::ClockStepped => format!("the wall clock was set forward by {}", span()),
        EventKind::Suspended => format!("this machine slept for {}, in which the run's clock stood still", span()),
        EventKind::StoodStill => "the generator did not run: it was stopped, or its machine paused".to_owned(),
        EventKind::TargetDown => format!("no complete reply came: {} ended without", times("call")),
        EventKind::CheckpointFailed => {
            format!("the run could not be saved on its way: {} failed", times("attempt"))
        }
        EventKind::LogFailed => {
            format!("the interval log could not be written: {} failed", times("attempt"))
        }
        EventKind::MetricsLost => "nobody could read the metrics: their port was lost".to_owned(),
        EventKind::RateSet => format!("the rate was set to {} by hand", rate(figure)),
        EventKind::Paused => "the schedule was paused by hand".to_owned(),
        EventKind::Resumed => "the schedule was resumed by hand".to_owned(),
        EventKind::StopAsked => "the schedule was ended by hand".to_owned(),
        EventKind::Other => "something that a newer mcpace has a name for".to_owned(),
    }
}

/// The same about many of a kind that were not kept.
pub fn more(kind: EventKind, number: u64) -> String {
    format!("{} of this kind later on: {}", counted(number, "more event"), kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_words() {
        let (at, until) = (Moment::from_nanos(90_000_000_000), Moment::from_nanos(93_500_000_000));
        let said: Vec<String> = EventKind::ALL
            .into_iter()
            .map(|kind| Event { at, until: if kind == EventKind::TargetDown { until } else { at }, kind, figure: 3.0 })
            .map(|event| format!("{}: {}", when(&event), what(&event)))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
        let back = what(&Event::at(at, EventKind::ClockStepped, -0.25));
        assert_eq!(back, "the wall clock was set back by 250 ms");
    }
}
