//! What the target's process used: looked at once a second, where somebody said which process it is.

use serde::{Deserialize, Serialize};

use super::level::Level;
use super::timeline::{Stretch, Timeline};
use crate::time::Moment;

/// What the target's process used in one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Which stretch: it begins this many widths after the run began.
    pub index: u64,
    /// Processor time per time, in thousandths of a processor.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub processor: Level,
    /// Memory in use, in bytes.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub memory: Level,
    /// File descriptors open.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub descriptors: Level,
    /// Threads.
    #[serde(skip_serializing_if = "Level::is_unknown")]
    pub threads: Level,
    /// Looks that saw nothing: the process was gone, or its metrics did not answer.
    #[serde(skip_serializing_if = "is_none")]
    pub missed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// One of the levels of a [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Processor time per time.
    Processor,
    /// Memory.
    Memory,
    /// File descriptors.
    Descriptors,
    /// Threads.
    Threads,
}

impl Resource {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Processor, Self::Memory, Self::Descriptors, Self::Threads];

    /// Its level in a stretch of time.
    pub const fn of(self, usage: &Usage) -> &Level {
        match self {
            Self::Processor => &usage.processor,
            Self::Memory => &usage.memory,
            Self::Descriptors => &usage.descriptors,
            Self::Threads => &usage.threads,
        }
    }
}

impl Stretch for Usage {
    fn index(&self) -> u64 {
        self.index
    }

    fn moved_to(self, index: u64) -> Self {
        Self { index, ..self }
    }

    fn merge(&mut self, other: &Self) {
        self.processor.merge(&other.processor);
        self.memory.merge(&other.memory);
        self.descriptors.merge(&other.descriptors);
        self.threads.merge(&other.threads);
        self.missed = self.missed.saturating_add(other.missed);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn is_possible(&self) -> bool {
        true
    }
}

/// So many stretches at least before growth is told.
const FEWEST: usize = 30;

/// How one resource developed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// All looks together.
    pub level: Level,
    /// The mean of the last stretch in which it was seen.
    pub last: f64,
    /// How much it grew in an hour, by least squares over the means of the stretches; `None` where there are fewer than
    /// `FEWEST`: a few seconds say nothing of hours.
    pub per_hour: Option<f64>,
}

impl Timeline<Usage> {
    /// How `resource` developed from `from` on; `None` where it was never seen.
    pub fn trend(&self, resource: Resource, from: Moment) -> Option<Trend> {
        let mut level = Level::default();
        let mut means = Vec::new();
        for usage in self.cells().filter(|usage| self.start_of(usage) >= from) {
            level.merge(resource.of(usage));
            let middle = self.start_of(usage).as_secs_f64() + self.width().as_secs_f64() / 2.0;
            means.extend(resource.of(usage).mean().map(|mean| (middle, mean)));
        }
        let last = means.last()?.1;
        Some(Trend {
            level,
            last,
            per_hour: slope(&means).filter(|_| means.len() >= FEWEST).map(|slope| slope * 3600.0),
        })
    }
}

/// The slope of the line through `points` with the least squares; `None` for fewer than two places.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let across: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    (across > 0.0).then(|| along / across)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(seconds: u64, memory: impl Fn(u64) -> u64) -> Timeline<Usage> {
        let mut timeline = Timeline::default();
        for second in 0..seconds {
            let at = Moment::from_nanos(second * 1_000_000_000 + 7);
            let usage = Usage { memory: Level::of(memory(second)), ..Usage::default() };
            Stretch::merge(timeline.at(at), &usage);
        }
        timeline
    }

    #[test]
    fn a_trend_is_the_spread_the_last_look_and_the_growth_in_an_hour() {
        let trend = looks(100, |second| 1000 + 2 * second).trend(Resource::Memory, Moment::ZERO).unwrap();
        assert_eq!((trend.level.min(), trend.level.max(), trend.level.mean()), (Some(1000), Some(1198), Some(1099.0)));
        assert!((trend.last - 1198.0).abs() < 1e-9);
        assert!((trend.per_hour.unwrap() - 7200.0).abs() < 1e-6);
        assert_eq!(looks(100, |_| 5).trend(Resource::Threads, Moment::ZERO), None);
        assert_eq!(looks(29, |_| 5).trend(Resource::Memory, Moment::ZERO).unwrap().per_hour, None);
    }

    #[test]
    fn a_trend_begins_after_warm_up_and_is_the_same_in_a_long_run_that_was_folded() {
        let flat_after_ten = |second: u64| if second < 10 { 0 } else { 500 };
        let warm = looks(100, flat_after_ten).trend(Resource::Memory, Moment::from_nanos(10_000_000_000)).unwrap();
        assert_eq!((warm.level.min(), warm.per_hour), (Some(500), Some(0.0)));
        let long = looks(9000, |second| 1000 + 2 * second);
        assert_eq!(long.width().as_secs(), 10);
        let trend = long.trend(Resource::Memory, Moment::ZERO).unwrap();
        assert!((trend.per_hour.unwrap() - 7200.0).abs() < 1e-6);
        assert_eq!((trend.level.min(), trend.level.max()), (Some(1000), Some(1000 + 2 * 8999)));
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let text = serde_json::to_string(&looks(1, |_| 8)).unwrap();
        assert_eq!(text, r#"{"width":1,"cells":[{"index":0,"memory":[1,8,8,8]}]}"#);
        assert_eq!(serde_json::from_str::<Timeline<Usage>>(&text).unwrap(), looks(1, |_| 8));
    }
}
