//! The charts of the view: rates over the run, times over the run, and how times are spread.

use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Sparkline, Widget};

use super::super::humane::{columns, percent, quantile, rate};
use super::layout::Wish;
use super::model::{Model, Point};
use super::paper::{Mood, Paper};
use crate::measure::Quantile;
use crate::time::humane_duration;

/// From so many columns on there are two columns of charts.
const WIDE: usize = 72;
/// Between them.
const GAP: usize = 3;

/// Side by side they need fewer rows.
pub(super) fn wish(width: usize) -> Wish {
    if width >= WIDE { Wish { least: 6, most: 26 } } else { Wish { least: 8, most: 26 } }
}

/// Rates on the left or above, times on the right or below.
pub(super) fn draw(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.width(), paper.height());
    if width >= WIDE {
        let half = (width - GAP) / 2;
        rates(model, &mut paper.part(0, 0, half as u16, height as u16));
        times(model, &mut paper.part((half + GAP) as u16, 0, (width - half - GAP) as u16, height as u16));
    } else {
        let half = height / 2;
        rates(model, &mut paper.part(0, 0, width as u16, half as u16));
        times(model, &mut paper.part(0, half as u16, width as u16, (height - half) as u16));
    }
}

/// The intended rate and the achieved one over the run; below them what did not end ok, where there is any.
fn rates(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.width(), paper.height());
    let behind = paper.put(0, 0, "RATE", width, Mood::Heading);
    let behind = paper.put(behind + 2, 0, "intended", width, Mood::Intended);
    paper.put(behind + 2, 0, "achieved", width, Mood::Good);
    let Some(last) = model.points.last() else {
        paper.put(0, 1, "the first second is not over yet", width, Mood::Faint);
        return;
    };
    let worst = model.points.iter().map(|point| point.bad).fold(0.0, f64::max);
    let below = usize::from(worst > 0.0 && height > 5);
    let line = |of: fn(&Point) -> f64| model.points.iter().map(|point| (point.at, of(point))).collect::<Vec<_>>();
    let (intended, achieved) = (line(|point| point.intended), line(|point| point.achieved));
    let highest = intended.iter().chain(&achieved).map(|(_, rate)| *rate).fold(0.0, f64::max).max(1e-3);
    let dataset = |data, mood| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(paper.colours.style(mood))
            .data(data)
    };
    let faint = paper.colours.style(Mood::Faint);
    let elapsed = humane_duration(model.elapsed);
    let chart = Chart::new(vec![dataset(&intended, Mood::Intended), dataset(&achieved, Mood::Good)])
        .x_axis(axis(faint, [0.0, last.at.max(1.0)], ["0".to_owned(), elapsed]))
        .y_axis(axis(faint, [0.0, highest * 1.05], ["0".to_owned(), rate(highest)]));
    let area = paper.part(0, 1, width as u16, (height - 1 - below) as u16).area;
    chart.render(area, paper.buffer);
    if below > 0 {
        let text = format!("not ok, up to {}", percent(worst));
        paper.put(0, height - 1, &text, width, Mood::Bad);
        let from = columns(&text) + 1;
        let bad: Vec<u64> = model.points.iter().map(|point| (point.bad * 1e6) as u64).collect();
        let mut strip = paper.part(from as u16, (height - 1) as u16, width as u16, 1);
        bars(&mut strip, &bad, Mood::Bad);
    }
}

fn axis(style: Style, bounds: [f64; 2], labels: [String; 2]) -> Axis<'static> {
    Axis::default().style(style).bounds(bounds).labels(labels)
}

/// The p95 of response times over the run, and how all of them are spread.
fn times(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.width(), paper.height());
    let above = height.div_ceil(2);
    over_time(model, &mut paper.part(0, 0, width as u16, above as u16));
    distribution(model, &mut paper.part(0, above as u16, width as u16, (height - above) as u16));
}

/// A bar for each stretch; one whose p95 has no reply is as high as there is room.
fn over_time(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.width(), paper.height());
    let known = model.points.iter().filter_map(|point| match point.p95 {
        Some(Quantile::Finite(time)) => Some(time),
        _ => None,
    });
    let highest = known.max();
    let behind = paper.put(0, 0, "RESPONSE p95", width, Mood::Heading);
    let no_reply = model.points.iter().any(|point| point.p95 == Some(Quantile::Unbounded));
    let highest_is = highest.map(|time| format!("over the run, up to {}", quantile(Quantile::Finite(time))));
    let text = if no_reply { Some("over the run, up to no reply".to_owned()) } else { highest_is };
    paper.put(behind + 2, 0, text.as_deref().unwrap_or(""), width, Mood::Faint);
    let top = highest.unwrap_or_default().as_micros() as u64;
    let height_of = |point: &Point| match point.p95 {
        Some(Quantile::Finite(time)) => time.as_micros() as u64,
        Some(Quantile::Unbounded) => top.max(1),
        None => 0,
    };
    // Of each stretch the same number of bars: whole, so that none looks wider.
    let each = (width / model.points.len().max(1)).max(1);
    let times: Vec<u64> = model.points.iter().flat_map(|point| std::iter::repeat_n(height_of(point), each)).collect();
    bars(&mut paper.part(0, 1, width as u16, (height - 1) as u16), &times, Mood::Plain);
}

/// A bar for each column of the distribution, which is as wide as there is room for.
fn distribution(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.width(), paper.height());
    let behind = paper.put(0, 0, "DISTRIBUTION", width, Mood::Heading);
    let (Some((shortest, _)), Some((longest, _))) = (model.spread.first(), model.spread.last()) else { return };
    paper.put(behind + 2, 0, "of response times", width, Mood::Faint);
    if height < 3 {
        return;
    }
    // Of each column the same number of bars: whole, so that none looks wider.
    let each = (width / model.spread.len()).max(1);
    let together = model.spread.len().div_ceil(width);
    let sums = model.spread.chunks(together).map(|some| some.iter().map(|(_, number)| number).sum::<u64>());
    let columns: Vec<u64> = sums.flat_map(|sum| std::iter::repeat_n(sum, each)).collect();
    let used = columns.len().min(width);
    bars(&mut paper.part(0, 1, width as u16, (height - 2) as u16), &columns, Mood::Plain);
    paper.put(0, height - 1, &humane_duration(*shortest), width, Mood::Faint);
    let label = humane_duration(*longest);
    paper.put_before(used.max(super::columns(&label) + 12), height - 1, &label, Mood::Faint);
}

/// A bar for each number, one column wide; where there are too many, for the highest of some neighbours.
fn bars(paper: &mut Paper<'_>, numbers: &[u64], mood: Mood) {
    let together = numbers.len().div_ceil(paper.width().max(1)).max(1);
    Sparkline::default()
        .data(numbers.chunks(together).map(|some| some.iter().copied().max().unwrap_or(0)))
        .style(paper.colours.style(mood))
        .render(paper.area, paper.buffer);
}
