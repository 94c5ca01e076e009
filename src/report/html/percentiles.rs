//! The distribution of times by percentile, response time beside service time: the picture that HdrHistogram made common.
//!
//! The axis is logarithmic in 1 / (1 − q), so that each further nine takes as much room as the one before; what few calls
//! saw is as wide as what most did.

use std::fmt::Write;
use std::time::Duration;

use super::super::Report;
use super::super::humane::percent;
use super::super::markup::{Markup, tag};
use super::chart::{self, Frame, LEFT, Scale, TOP, decade_ticks, line, rect};
use super::timeline::{draw, figure};
use crate::measure::{Quantile, Tally};
use crate::time::{format_duration, humane_duration};

/// Places along the axis at which a line has a point, on a screen and on a phone.
const STEPS: (u32, u32) = (240, 100);

/// A quantile of something in seconds.
type Curve<'a> = dyn Fn(f64) -> Option<f64> + 'a;

/// The chart; nothing where no call got a complete reply.
pub(super) fn percentiles(report: &Report<'_>, page: &mut Markup) {
    let tally = &report.measured;
    if tally.response_time.is_empty() {
        return;
    }
    page.said(tag("h2"), "Distribution");
    figure(page, "Response time and service time by percentile", |page| {
        let mut entries = vec![
            ("line c", "response time, over all arrivals: what a user would feel".to_owned()),
            ("line a", "service time, of complete replies: what the server took".to_owned()),
        ];
        if tally.without_reply() > 0 {
            entries.push(("key-bar e2", "arrivals without a complete reply, above every bound".to_owned()));
        }
        chart::legend(page, &entries);
        draw_chart(tally, Frame::wide(330.0), page);
        draw_chart(tally, Frame::narrow(270.0), page);
    });
}

fn draw_chart(tally: &Tally, frame: Frame, page: &mut Markup) {
    let response = |quantile| match tally.quantile(quantile) {
        Some(Quantile::Finite(time)) => Some(time.as_secs_f64()),
        Some(Quantile::Unbounded) | None => None,
    };
    let service = |quantile| tally.service_time.value_at_quantile(quantile).map(|time| time.as_secs_f64());
    let most = (tally.ended().max(tally.service_time.len()) as f64).max(10.0);
    let steps = if frame.narrow { STEPS.1 } else { STEPS.0 };
    let places: Vec<f64> = (0..=steps).map(|n| most.powf(f64::from(n) / f64::from(steps))).collect();
    let of = |curve: &Curve<'_>| places.iter().map(|place| curve(1.0 - 1.0 / place)).collect::<Vec<Option<f64>>>();
    let (response, service) = (of(&response), of(&service));
    let seen = response.iter().chain(&service).flatten();
    let (low, high) = seen.fold((f64::INFINITY, 0.0_f64), |(low, high), time| (low.min(*time), high.max(*time)));
    let (low, high) = ((low * 0.8).max(1e-9), high * 1.25);
    frame.draw(page, "Distribution of times by percentile", &described(tally), |svg| {
        let x = Scale::logarithmic((1.0, most), (LEFT, frame.right()));
        let y = Scale::logarithmic((low, high), (frame.bottom(), TOP));
        for tick in decade_ticks(low, high) {
            chart::rule(svg, &frame, y.place(tick), &format_duration(Duration::from_secs_f64(tick)));
        }
        for (place, label) in nines(most, frame.narrow) {
            chart::stake(svg, &frame, x.place(place), &label);
        }
        if let Some(first) = response.iter().position(Option::is_none) {
            let from = x.place(places[first]);
            svg.element(rect((from, TOP), (frame.right(), frame.bottom())).class("silence"), |area| {
                area.said(tag("title"), "arrivals without a complete reply");
            });
            svg.void(line((from, TOP), (from, frame.bottom())).class("event"));
        }
        for (curve, class) in [(&service, "line a"), (&response, "line c")] {
            let points =
                places.iter().zip(curve).map(|(place, time)| time.map(|time| (x.place(*place), y.place(time))));
            draw(svg, class, &points.collect::<Vec<_>>());
        }
    });
}

/// The percentiles that have a name on the axis, as their places on it.
fn nines(most: f64, narrow: bool) -> Vec<(f64, String)> {
    let mut ticks = vec![(1.0, "0 %".to_owned())];
    if !narrow {
        ticks.push((2.0, "50 %".to_owned()));
    }
    let mut place = 10.0;
    while place <= most * 1.001 {
        ticks.push((place, percent(1.0 - 1.0 / place)));
        place *= 10.0;
    }
    ticks
}

fn described(tally: &Tally) -> String {
    let mut text = "Times in ascending order over the share of calls that they exceed.".to_owned();
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let response = match tally.quantile(quantile) {
            Some(Quantile::Finite(time)) => humane_duration(time),
            Some(Quantile::Unbounded) => "no reply".to_owned(),
            None => continue,
        };
        let service = tally.service_time.value_at_quantile(quantile).map_or_else(|| "none".to_owned(), humane_duration);
        let _ = write!(text, " {name}: response time {response}, service time {service}.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_has_its_place() {
        let labels: Vec<String> = nines(1000.0, false).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
    }
}
