//! The run over time: rate, response times, errors and the target's process, one panel each over the same axis.

use std::fmt::Write;
use std::time::Duration;

use super::super::Report;
use super::super::events::{Event, EventKind};
use super::super::humane::{clean, clip, count, counted, rate};
use super::super::markup::{Markup, tag};
use super::super::words;
use super::chart::{self, Frame, LEFT, Scale, TOP, at, decade_ticks, line, path, rect, round_ticks, time_ticks};
use super::columns::{BAD, Column, Columns};
use crate::measure::{Resource, Timeline, Usage};
use crate::time::{format_duration, humane_duration};
use crate::verdict::{Bound, Indicator};

/// Points of a line, on a screen and on a phone.
const MOST_COLUMNS: (usize, usize) = (360, 120);
/// The quantiles that are drawn, with their class.
const QUANTILES: [(f64, &str, &str); 3] = [(0.5, "p50", "line a"), (0.95, "p95", "line b"), (0.99, "p99", "line c")];
const BAD_CLASSES: [&str; 4] = ["bar e1", "bar e2", "bar e3", "bar e4"];
const BAD_KEYS: [&str; 4] = ["key-bar e1", "key-bar e2", "key-bar e3", "key-bar e4"];
/// No more bounds are drawn into a chart.
const MOST_BOUNDS: usize = 3;
/// No more stalls are listed; all are shaded.
const MOST_STALLS: usize = 6;

/// All panels over time; nothing where nothing was due.
pub(super) fn timeline(report: &Report<'_>, page: &mut Markup) {
    let summary = &report.saved.summary;
    let wide = Columns::of(summary, MOST_COLUMNS.0);
    if wide.all.is_empty() {
        return;
    }
    let narrow = Columns::of(summary, MOST_COLUMNS.1);
    page.said(tag("h2"), "Over time");
    events(report, page);
    figure(page, "Rate", |page| {
        let words = ["intended", "achieved: ok answers"].map(str::to_owned);
        let [intended, achieved] = words;
        chart::legend(page, &[("line intended", intended), ("line a", achieved)]);
        rate_panel(report, &wide, Frame::wide(200.0), page);
        rate_panel(report, &narrow, Frame::narrow(190.0), page);
    });
    figure(page, "Response time", |page| {
        let mut entries: Vec<_> = QUANTILES.iter().map(|(_, name, class)| (*class, (*name).to_owned())).collect();
        if wide.all.iter().any(Column::is_unanswered) {
            entries.push(("key-bar e2", "p99 falls among arrivals without a complete reply".to_owned()));
        }
        if !bounds(report).is_empty() {
            entries.push(("line bound", "promised".to_owned()));
        }
        chart::legend(page, &entries);
        time_panel(report, &wide, Frame::wide(260.0), page);
        time_panel(report, &narrow, Frame::narrow(220.0), page);
    });
    if wide.all.iter().any(|column| column.cell.bad() > 0) {
        figure(page, "Not ok, per second, by when it was due", |page| {
            let some = |place: &usize| wide.all.iter().any(|column| column.bad()[*place] > 0.0);
            let entries: Vec<_> =
                (0..BAD.len()).filter(some).map(|place| (BAD_KEYS[place], BAD[place].to_owned())).collect();
            chart::legend(page, &entries);
            error_panel(report, &wide, Frame::wide(170.0), page);
            error_panel(report, &narrow, Frame::narrow(160.0), page);
        });
    }
    for resource in [Resource::Processor, Resource::Memory] {
        usage(report, resource, &wide, page);
    }
}

/// A chart with its heading.
pub(super) fn figure(page: &mut Markup, heading: &str, inside: impl FnOnce(&mut Markup)) {
    page.block(tag("figure"), |page| {
        page.said(tag("figcaption"), heading);
        inside(page);
    });
}

fn events(report: &Report<'_>, page: &mut Markup) {
    let stalls = report.events.iter().filter(|event| event.kind == EventKind::Stall).count();
    let mut stall = 0;
    page.block(tag("ul").class("events"), |page| {
        for event in &report.events {
            stall += usize::from(event.kind == EventKind::Stall);
            if event.kind == EventKind::Stall && stall > MOST_STALLS {
                continue;
            }
            page.element(tag("li"), |item| {
                item.said(tag("b"), &event.when());
                item.text(&event.what);
            });
        }
        if stalls > MOST_STALLS {
            let more = counted((stalls - MOST_STALLS) as u64, "more stall");
            page.said(tag("li"), &format!("and {more}, shaded in the charts"));
        }
    });
}

fn axis(columns: &Columns, frame: &Frame) -> Scale {
    Scale::linear((0.0, columns.end), (LEFT, frame.right()))
}

/// What lies behind every panel: ticks, warm-up and events.
fn ground(report: &Report<'_>, columns: &Columns, frame: &Frame, svg: &mut Markup) {
    let x = axis(columns, frame);
    for tick in time_ticks(columns.end, if frame.narrow { 5.0 } else { 10.0 }) {
        chart::stake(svg, frame, x.place(tick), &short(tick));
    }
    let (top, bottom) = (TOP, frame.bottom());
    for event @ Event { kind, at, until, what } in &report.events {
        let place = x.place(at.as_secs_f64());
        match (kind, until) {
            (EventKind::WarmupEnd, _) => {
                let area = rect((LEFT, top), (place, bottom)).class("warmup");
                svg.element(area, |area| area.said(tag("title"), "warm-up: kept apart, not judged"));
                svg.void(line((place, top), (place, bottom)).class("event"));
            }
            (_, Some(until)) => {
                let class = if *kind == EventKind::Pause { "pause" } else { "silence" };
                let area = rect((place, top), (x.place(until.as_secs_f64()), bottom)).class(class);
                svg.element(area, |area| area.said(tag("title"), &format!("{}: {what}", event.when())));
            }
            _ => svg.void(line((place, top), (place, bottom)).class("event")),
        }
    }
}

fn short(seconds: f64) -> String {
    if seconds == 0.0 { "0".to_owned() } else { format_duration(Duration::from_secs_f64(seconds)) }
}

/// Something to hover over for each column, which says its figures.
fn hover(columns: &Columns, frame: &Frame, svg: &mut Markup) {
    if frame.narrow {
        return;
    }
    let x = axis(columns, frame);
    for column in &columns.all {
        let ends = (x.place(column.start), x.place(column.start + columns.width));
        let area = rect((ends.0, TOP), (ends.1, frame.bottom())).class("hover");
        svg.element(area, |area| area.said(tag("title"), &figures(column)));
    }
}

fn figures(column: &Column) -> String {
    let mut text = format!("from {}", short(column.start));
    for (name, value) in [("intended", column.intended()), ("ok answers", column.achieved())] {
        if let Some(value) = value {
            let _ = write!(text, " · {name} {}", rate(value));
        }
    }
    for (quantile, name, _) in QUANTILES {
        if let Some(seconds) = column.quantile(quantile) {
            let _ = write!(text, " · {name} {}", time(seconds));
        }
    }
    match column.cell.bad() {
        0 => text,
        bad => format!("{text} · {} not ok", count(bad)),
    }
}

fn time(seconds: f64) -> String {
    humane_duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

fn rate_panel(report: &Report<'_>, columns: &Columns, frame: Frame, page: &mut Markup) {
    let rates = columns.all.iter().flat_map(|column| [column.intended(), column.achieved()]).flatten();
    let most = rates.fold(0.0, f64::max);
    let overall = &report.overall;
    let desc = format!(
        "Arrivals intended and ok answers per second over {}: {} intended and {} achieved on the whole.",
        time(columns.end),
        rate(overall.intended_rate),
        rate(overall.achieved_rate)
    );
    frame.draw(page, "Rate over time", &desc, |svg| {
        let (x, y) = (axis(columns, &frame), Scale::linear((0.0, most * 1.08), (frame.bottom(), TOP)));
        for tick in round_ticks(most * 1.08, 4.0) {
            let label = rate(tick);
            chart::rule(svg, &frame, y.place(tick), label.trim_end_matches("/s"));
        }
        ground(report, columns, &frame, svg);
        let middle = |column: &Column| x.place(column.middle());
        let achieved: Vec<_> =
            columns.all.iter().map(|column| column.achieved().map(|rate| (middle(column), y.place(rate)))).collect();
        let known: Vec<(f64, f64)> = achieved.iter().flatten().copied().collect();
        if let [(first, _), .., (last, _)] = known[..] {
            let line = path(known.iter().copied().map(Some));
            let area = format!("{line}L{} {bottom}L{} {bottom}Z", at(last), at(first), bottom = at(frame.bottom()));
            svg.void(tag("path").class("area a").with("d", area));
        }
        draw(svg, "line a", &achieved);
        // Steps: what is intended in a column is intended in all of it.
        let steps = columns.all.iter().flat_map(|column| {
            let ends = [column.start, column.start + column.due_for];
            ends.map(|end| column.intended().map(|rate| (x.place(end), y.place(rate))))
        });
        draw(svg, "line intended", &steps.collect::<Vec<_>>());
        hover(columns, &frame, svg);
    });
}

/// A line; where there is one point alone, a dot.
pub(super) fn draw(svg: &mut Markup, class: &'static str, points: &[Option<(f64, f64)>]) {
    svg.void(tag("path").class(class).with("d", path(points.iter().copied())));
    let lone = |place: usize| {
        let beside = [place.checked_sub(1), Some(place + 1)].into_iter().flatten();
        beside.filter_map(|place| points.get(place)).all(Option::is_none)
    };
    for (x, y) in (0..points.len()).filter(|place| lone(*place)).filter_map(|place| points[place]) {
        svg.void(line((x, y), (x + 0.1, y)).class(class));
    }
}

/// The bounds of quantiles that the objectives name, tightest first.
fn bounds(report: &Report<'_>) -> Vec<(f64, String)> {
    let findings = report.judgement.findings.iter().map(|finding| &finding.objective);
    let mut bounds: Vec<(f64, String)> = findings
        .filter(|objective| objective.indicator().quantile().is_some() && objective.indicator() != Indicator::Max)
        .filter_map(|objective| match objective.bound() {
            Bound::Time(bound) => Some((bound.as_secs_f64(), clean(&objective.to_string()))),
            Bound::Share(_) | Bound::Rate(_) => None,
        })
        .collect();
    bounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    bounds.truncate(MOST_BOUNDS);
    bounds
}

fn time_panel(report: &Report<'_>, columns: &Columns, frame: Frame, page: &mut Markup) {
    let of = |quantile: f64| columns.all.iter().map(move |column| column.quantile(quantile));
    let seen = QUANTILES.iter().flat_map(|(quantile, ..)| of(*quantile)).flatten();
    let bounds = bounds(report);
    let all = seen.chain(bounds.iter().map(|(bound, _)| *bound));
    let (low, high) = all.fold((f64::INFINITY, 0.0_f64), |(low, high), time| (low.min(time), high.max(time)));
    let (low, high) = if high > 0.0 { (low * 0.8, high * 1.3) } else { (1e-3, 1.0) };
    let desc = "Median, 95th and 99th percentile of the response time of what was due in each stretch of the run, on a \
                logarithmic scale.";
    frame.draw(page, "Response time over time", desc, |svg| {
        let (x, y) = (axis(columns, &frame), Scale::logarithmic((low, high), (frame.bottom(), TOP + 8.0)));
        for tick in decade_ticks(low, high) {
            chart::rule(svg, &frame, y.place(tick), &short(tick));
        }
        ground(report, columns, &frame, svg);
        for column in columns.all.iter().filter(|column| column.is_unanswered()) {
            let ends = (x.place(column.start), x.place(column.start + columns.width));
            svg.void(rect((ends.0, TOP - 4.0), (ends.1, TOP + 3.0)).class("bar e2"));
        }
        for (quantile, _, class) in QUANTILES {
            let points = columns
                .all
                .iter()
                .map(|column| column.quantile(quantile).map(|seconds| (x.place(column.middle()), y.place(seconds))));
            draw(svg, class, &points.collect::<Vec<_>>());
        }
        for (place, (bound, name)) in bounds.iter().enumerate() {
            // Below its line where the next one is too near above it.
            let above = bounds.get(place + 1).map_or(f64::INFINITY, |(next, _)| y.place(*bound) - y.place(*next));
            let y = y.place(*bound);
            let beside = if above < 16.0 { 13.0 } else { -5.0 };
            svg.void(line((LEFT, y), (frame.right(), y)).class("line bound"));
            let place = tag("text").class("name end").with("x", at(frame.right() - 4.0)).with("y", at(y + beside));
            svg.said(place, &clip(name, if frame.narrow { 28 } else { 60 }));
        }
        hover(columns, &frame, svg);
    });
}

fn error_panel(report: &Report<'_>, columns: &Columns, frame: Frame, page: &mut Markup) {
    let most = columns.all.iter().map(|column| column.bad().iter().sum()).fold(0.0, f64::max);
    let desc = "Arrivals per second that did not end ok, by how they ended.";
    frame.draw(page, "Errors over time", desc, |svg| {
        let (x, y) = (axis(columns, &frame), Scale::linear((0.0, most * 1.08), (frame.bottom(), TOP)));
        for tick in round_ticks(most * 1.08, 3.0) {
            chart::rule(svg, &frame, y.place(tick), rate(tick).trim_end_matches("/s"));
        }
        ground(report, columns, &frame, svg);
        for column in &columns.all {
            let (from, to) = (x.place(column.start), x.place(column.start + columns.width));
            let gap = if to - from > 4.0 { 1.0 } else { 0.0 };
            let mut below = 0.0;
            for (value, class) in column.bad().into_iter().zip(BAD_CLASSES).filter(|(value, _)| *value > 0.0) {
                let ends = (y.place(below + value), y.place(below));
                svg.void(rect((from, ends.0), (to - gap, ends.1)).class(class));
                below += value;
            }
        }
        hover(columns, &frame, svg);
    });
}

/// What the target's process used, where somebody looked.
fn usage(report: &Report<'_>, resource: Resource, columns: &Columns, page: &mut Markup) {
    let usage = &report.saved.summary.usage;
    let points: Vec<(f64, f64)> = levels(usage, resource);
    let most = points.iter().map(|(_, level)| *level).fold(0.0, f64::max);
    if most <= 0.0 || points.len() < 2 {
        return;
    }
    let heading = match resource {
        Resource::Processor => "The target's process: processors in use",
        _ => "The target's process: memory",
    };
    figure(page, heading, |page| {
        for frame in [Frame::wide(140.0), Frame::narrow(140.0)] {
            let most_shown = words::amount(resource, most);
            frame.draw(page, heading, &format!("At most {most_shown}."), |svg| {
                let scale = Scale::linear((0.0, most * 1.08), (frame.bottom(), TOP));
                for part in [0.0, 0.5, 1.0] {
                    chart::rule(svg, &frame, scale.place(most * part), &words::amount(resource, most * part));
                }
                ground(report, columns, &frame, svg);
                let x = axis(columns, &frame);
                let fold = points.len().div_ceil(if frame.narrow { MOST_COLUMNS.1 } else { MOST_COLUMNS.0 });
                let shown = points.chunks(fold).map(|chunk| {
                    let mean = |of: fn(&(f64, f64)) -> f64| chunk.iter().map(of).sum::<f64>() / chunk.len() as f64;
                    Some((x.place(mean(|point| point.0)), scale.place(mean(|point| point.1))))
                });
                draw(svg, "line a", &shown.collect::<Vec<_>>());
            });
        }
    });
}

/// Seconds into the run and the mean level of each stretch in which somebody saw something.
fn levels(usage: &Timeline<Usage>, resource: Resource) -> Vec<(f64, f64)> {
    let half = usage.width().as_secs_f64() / 2.0;
    let cells = usage.cells();
    cells.filter_map(|cell| Some((usage.start_of(cell).as_secs_f64() + half, resource.of(cell).mean()?))).collect()
}
