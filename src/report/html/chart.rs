//! What charts are made of: scales, ticks, paths and the frame around them, as inline SVG.

use std::fmt::Write;

use super::super::markup::{Markup, Tag, tag};

/// How large a chart is, in the units of its own coordinates, and where in it the data are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Width of the whole.
    pub(super) width: f64,
    /// Height of the whole.
    pub(super) height: f64,
    /// For a small screen: fewer ticks, and nothing to hover over.
    pub(super) narrow: bool,
}

/// Where data begin on the left: beside the labels of values.
pub(super) const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
/// Where data begin at the top.
pub(super) const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

impl Frame {
    /// For screens and paper.
    pub(super) const fn wide(height: f64) -> Self {
        Self { width: 960.0, height, narrow: false }
    }

    /// For phones.
    pub(super) const fn narrow(height: f64) -> Self {
        Self { width: 380.0, height, narrow: true }
    }

    /// Where data end on the right.
    pub(super) const fn right(&self) -> f64 {
        self.width - RIGHT
    }

    /// Where data end, above the labels of times.
    pub(super) const fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    /// Opens the picture, with what it is called and what it shows for readers who do not see it.
    pub(super) fn draw(&self, page: &mut Markup, title: &str, desc: &str, inside: impl FnOnce(&mut Markup)) {
        let (class, size) = (if self.narrow { "narrow" } else { "wide" }, (self.width, self.height));
        let svg = tag("svg").class(class).with("viewBox", format_args!("0 0 {} {}", size.0, size.1));
        page.block(svg.with("role", "img").with("aria-label", title), |svg| {
            svg.said(tag("desc"), desc);
            inside(svg);
        });
    }
}

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// The values at both ends.
    values: (f64, f64),
    /// Their places.
    places: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    pub(super) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        let end = if values.1 > values.0 { values.1 } else { values.0 + 1.0 };
        Self { values: (values.0, end), places, logarithmic: false }
    }

    /// Values must be more than zero.
    pub(super) fn logarithmic(values: (f64, f64), places: (f64, f64)) -> Self {
        let begin = values.0.max(f64::MIN_POSITIVE);
        let end = if values.1 > begin { values.1 } else { begin * 10.0 };
        Self { values: (begin, end), places, logarithmic: true }
    }

    /// The place of a value; what is beyond an end is put there.
    pub(super) fn place(&self, value: f64) -> f64 {
        let part = if self.logarithmic {
            (value.max(self.values.0) / self.values.0).ln() / (self.values.1 / self.values.0).ln()
        } else {
            (value - self.values.0) / (self.values.1 - self.values.0)
        };
        self.places.0 + part.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }
}

/// A coordinate, to a tenth.
pub(super) fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// Round values from zero up to `most`, about `wanted` of them: 1, 2 or 5 times a power of ten apart.
pub(super) fn round_ticks(most: f64, wanted: f64) -> Vec<f64> {
    if most <= 0.0 || !most.is_finite() {
        return vec![0.0];
    }
    let raw = most / wanted;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= raw);
    let step = step.unwrap_or(10.0 * power);
    (0..=(most / step + 1e-9) as u32).map(|n| f64::from(n) * step).collect()
}

/// Seconds from zero up to `most` that people count in, at most `wanted` of them but for the first.
pub(super) fn time_ticks(most: f64, wanted: f64) -> Vec<f64> {
    const STEPS: [f64; 22] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
        10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0,
    ];
    let step = STEPS.into_iter().find(|step| most / step <= wanted).unwrap_or_else(|| most / wanted);
    (0..=(most / step + 1e-9) as u32).map(|n| f64::from(n) * step).collect()
}

/// Powers of ten, and their doubles and fives where there is room, within the ends.
pub(super) fn decade_ticks(from: f64, to: f64) -> Vec<f64> {
    let powers = (from.log10().floor() as i32, to.log10().ceil() as i32);
    let between: &[f64] = if powers.1 - powers.0 <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = (powers.0..=powers.1).flat_map(|power| between.iter().map(move |times| times * 10_f64.powi(power)));
    all.filter(|tick| (from * 0.999..=to * 1.001).contains(tick)).collect()
}

/// A line through points, broken where there is none.
pub(super) fn path(points: impl Iterator<Item = Option<(f64, f64)>>) -> String {
    let (mut path, mut drawing) = (String::new(), false);
    for point in points {
        if let Some((x, y)) = point {
            let _ = write!(path, "{}{} {}", if drawing { "L" } else { "M" }, at(x), at(y));
        }
        drawing = point.is_some();
    }
    path
}

/// A horizontal line with its label on the left.
pub(super) fn rule(svg: &mut Markup, frame: &Frame, y: f64, label: &str) {
    svg.void(line((LEFT, y), (frame.right(), y)).class("grid"));
    let text = tag("text").class("tick end").with("x", at(LEFT - 7.0)).with("y", at(y + 4.0));
    svg.said(text, label);
}

/// A vertical line with its label below.
pub(super) fn stake(svg: &mut Markup, frame: &Frame, x: f64, label: &str) {
    svg.void(line((x, TOP), (x, frame.bottom())).class("grid"));
    // At the edge there is no room on the right.
    let class = if x > frame.right() - 16.0 { "tick end" } else { "tick middle" };
    let x = if x > frame.right() - 16.0 { frame.width - 2.0 } else { x };
    let text = tag("text").class(class).with("x", at(x)).with("y", at(frame.bottom() + 18.0));
    svg.said(text, label);
}

pub(super) fn line(from: (f64, f64), to: (f64, f64)) -> Tag {
    let (x, y) = (at(from.0), at(from.1));
    tag("line").with("x1", x).with("y1", y).with("x2", at(to.0)).with("y2", at(to.1))
}

pub(super) fn rect(from: (f64, f64), to: (f64, f64)) -> Tag {
    let size = ((to.0 - from.0).max(0.0), (to.1 - from.1).max(0.0));
    let place = tag("rect").with("x", at(from.0)).with("y", at(from.1));
    place.with("width", at(size.0)).with("height", at(size.1))
}

/// What the lines of a chart are, beneath its heading: a class that colours a mark, and words.
pub(super) fn legend(page: &mut Markup, entries: &[(&'static str, String)]) {
    page.block(tag("p").class("legend"), |page| {
        for (class, words) in entries {
            page.element(tag("span"), |entry| {
                let svg = tag("svg").with("viewBox", "0 0 22 10").class("key").with("aria-hidden", "true");
                entry.element(svg, |svg| svg.void(line((1.0, 5.0), (21.0, 5.0)).class(class)));
                entry.text(words);
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_values_that_people_count_in() {
        assert_eq!(round_ticks(1000.0, 4.0), [0.0, 500.0, 1000.0]);
        assert_eq!(round_ticks(130.0, 4.0), [0.0, 50.0, 100.0]);
        assert_eq!((round_ticks(0.0, 4.0), round_ticks(f64::NAN, 4.0)), (vec![0.0], vec![0.0]));
        assert_eq!(time_ticks(15.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
        assert_eq!(time_ticks(7200.0, 8.0), [0.0, 900.0, 1800.0, 2700.0, 3600.0, 4500.0, 5400.0, 6300.0, 7200.0]);
        assert_eq!(decade_ticks(0.002, 0.3).len(), 7);
        assert_eq!(decade_ticks(1e-4, 10.0), [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]);
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.25)), None, Some((3.0, 4.0))];
        assert_eq!(path(points.into_iter()), "M0 1L1 2.2M3 4");
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_within_the_frame(
            from in 0.0..1e9_f64, span in 0.0..1e9_f64, value in -1e12..1e12_f64, log in any::<bool>(),
        ) {
            let places = (10.0, 300.0);
            let values = (from, from + span);
            let scale = if log { Scale::logarithmic(values, places) } else { Scale::linear(values, places) };
            prop_assert!((10.0..=300.0).contains(&scale.place(value)), "{:?}", scale.place(value));
        }
    }
}
