//! What happened to a run, in words.

use std::time::Duration;

use super::humane::{counted, rate};
use crate::measure::{Event, EventKind, Events};
use crate::time::{Moment, humane_duration};

/// When it was, counted from the run's beginning, and for how long.
pub fn when(event: &Event) -> String {
    span(event.at, Some(event.until))
}

/// When something began, and for how long it went on, where it did.
pub(super) fn span(at: Moment, until: Option<Moment>) -> String {
    let begun = humane_duration(at.since(Moment::ZERO));
    match until.map(|until| until.since(at)).filter(|lasted| !lasted.is_zero()) {
        Some(lasted) => format!("{begun}, for {}", humane_duration(lasted)),
        None => begun,
    }
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

/// At most so many events are told one by one.
const MOST: usize = 20;

/// All of them in few lines.
pub(super) fn lines(events: &Events) -> Vec<String> {
    let each = events.kept().iter().take(MOST).map(|event| format!("{}: {}", when(event), what(event)));
    let beyond = events.kept().len().saturating_sub(MOST);
    let beyond = (beyond > 0).then(|| format!("and {beyond} more, which the saved run has"));
    each.chain(beyond).chain(events.left_out().map(|(kind, number)| more(kind, number))).collect()
}

/// The same about many of a kind that were not kept.
pub fn more(kind: EventKind, number: u64) -> String {
    format!("{} of this kind later on: {}", counted(number, "more event"), kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_are_few_lines() {
        let mut events = Events::default();
        (0..130).for_each(|second| {
            events.note(Event::at(Moment::from_nanos(second * 1_000_000_000), EventKind::RateSet, 5.0));
        });
        let lines = lines(&events);
        assert_eq!((lines.len(), &*lines[1]), (MOST + 2, "1.00 s: the rate was set to 5/s by hand"));
        assert_eq!(lines[MOST], "and 80 more, which the saved run has");
        assert_eq!(lines[MOST + 1], "30 more events of this kind later on: rate_set");
    }

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
