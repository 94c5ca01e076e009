//! A run as it goes on, drawn on a terminal's cells: pure, from a [`Model`] to a buffer.
//!
//! A [`Model`] is copied out of the summary when somebody looks; [`draw`] lays it out for the size that the terminal has at
//! that moment. The head and the foot are always there; the sections between share what rows are left, and the foot names
//! those that found none. Whoever owns the terminal (`cli/screen`) sends the cells that changed.

mod charts;
mod help;
mod layout;
mod model;
mod paper;
mod tables;

use ratatui::buffer::Buffer;

pub use model::Model;
pub use paper::Colours;

use super::humane::{columns, count, quantile, rate};
use super::words::NOTHING;
use crate::time::humane_duration;
use crate::verdict::Verdict;
use layout::{Section, share_out};
use model::Stage;
use paper::{Mood, Paper};

/// With fewer columns or rows there is only a line or two.
pub const LEAST: (u16, u16) = (40, 10);
const HEAD: usize = 3;
const FOOT: usize = 1;

/// What the reader wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The keys and the words, in place of the run.
    pub help: bool,
    /// The run as it was; it goes on all the same.
    pub frozen: bool,
    /// Whether the run was told to end, and another signal ends the program.
    pub ending: bool,
}

/// Draws a run on all of `buffer`.
pub fn draw(model: &Model, wanted: Wanted, colours: Colours, buffer: &mut Buffer) {
    let mut paper = Paper { area: buffer.area, buffer, colours };
    if paper.area.width < LEAST.0 || paper.area.height < LEAST.1 {
        return too_small(model, &mut paper);
    }
    head(model, wanted, &mut paper);
    let (width, height) = (paper.area.width, paper.area.height);
    let rows = paper.height() - HEAD - FOOT;
    let mut body = paper.part(0, HEAD as u16, width, rows as u16);
    let mut left_out = Vec::new();
    if wanted.help {
        help::draw(&mut body);
    } else {
        let given = share_out(rows, |section| wish(model, section, usize::from(width)));
        let mut from = 0;
        for section in Section::ALL {
            let rows = given[section as usize] as u16;
            if rows == 0 {
                left_out.push(section.name());
                continue;
            }
            let mut part = body.part(0, from, width, rows);
            match section {
                Section::Charts => charts::draw(model, &mut part),
                Section::Operations => tables::operations(model, &mut part),
                Section::Objectives => tables::objectives(model, &mut part),
                Section::Errors => tables::errors(model, &mut part),
                Section::Events => tables::events(model, &mut part),
            }
            from += rows;
        }
    }
    foot(wanted, &left_out, &mut paper.part(0, height - 1, width, 1));
}

/// What a section can do with, and what it can use.
fn wish(model: &Model, section: Section, width: usize) -> layout::Wish {
    match section {
        Section::Charts => charts::wish(width),
        Section::Operations => tables::wish(model.operations.len() + usize::from(model.more_operations > 0) + 1),
        Section::Objectives => tables::wish(model.promises.len()),
        Section::Errors => tables::wish(model.errors.len()),
        Section::Events => tables::wish(model.events.len()),
    }
}

fn too_small(model: &Model, paper: &mut Paper<'_>) {
    let (width, reached) = (paper.width(), model.goal.reached(model.elapsed, model.scheduled));
    paper.put(0, 0, &format!("{reached}  {}", standing(model).0), width, Mood::Plain);
    paper.put(0, 1, &format!("{} x {} show more", LEAST.0, LEAST.1), width, Mood::Faint);
}

/// The verdict so far.
fn standing(model: &Model) -> (String, Mood) {
    let mood = match model.verdict {
        Verdict::Pass => Mood::Good,
        Verdict::Fail | Verdict::Invalid => Mood::Bad,
        Verdict::Inconclusive => Mood::Open,
    };
    (format!("{} so far", model.verdict), mood)
}

fn head(model: &Model, wanted: Wanted, paper: &mut Paper<'_>) {
    let width = paper.width();
    let stage = match model.stage {
        Stage::Warmup => "warm-up",
        Stage::Measure => "measuring",
        Stage::Paused => "paused",
        Stage::Draining => "draining",
    };
    let reached = format!("{}  {stage}", model.goal.reached(model.elapsed, model.scheduled));
    let from = paper.put(0, 0, "mcpace", width, Mood::Heading) + 2;
    let room = width.saturating_sub(from + columns(&reached) + 2);
    paper.put(from, 0, &model.name, room, Mood::Plain);
    paper.put_before(width, 0, &reached, Mood::Plain);

    let mut second = vec![standing(model)];
    if wanted.frozen {
        second.push(("FROZEN".to_owned(), Mood::Open));
    }
    if wanted.ending {
        second.push(("ENDING".to_owned(), Mood::Open));
    }
    match &model.doubt {
        Some(doubt) => second.push((doubt.clone(), Mood::Bad)),
        None => second.extend(model.recent.iter().flat_map(|recent| {
            let p95 = recent.p95.map_or_else(|| NOTHING.to_owned(), quantile);
            [
                (format!("{} due", rate(recent.intended)), Mood::Plain),
                (format!("{} ok", rate(recent.ok)), Mood::Plain),
                (format!("p95 {p95}"), Mood::Plain),
            ]
        })),
    }
    if let Some((doubt, _)) = second.last_mut().filter(|_| model.doubt.is_some()) {
        // It may be a long sentence; the others are short.
        *doubt = super::humane::clip(doubt, width.saturating_sub(34).max(10));
    }
    paper.put_all(1, &second);
    paper.put_all(2, &levels(model));
}

/// What is under way, what was lost, and how the generator fares.
fn levels(model: &Model) -> Vec<(String, Mood)> {
    let level = |number: u64, name: &str, mood| (format!("{} {name}", count(number)), mood);
    let bad_if_any = |number: u64| if number > 0 { Mood::Bad } else { Mood::Plain };
    let mut levels = vec![
        level(model.in_flight, "in flight", Mood::Plain),
        level(model.waiting, "waiting", if model.waiting > 0 { Mood::Open } else { Mood::Plain }),
        level(model.dropped, "dropped", bad_if_any(model.dropped)),
    ];
    let generator = &model.generator;
    if let Some(lag) = generator.lag {
        let mood = if lag > generator.limit { Mood::Bad } else { Mood::Good };
        let text = format!("lag p99 {} of {}", humane_duration(lag), humane_duration(generator.limit));
        levels.push((text, mood));
    }
    if let (Some(ran), Some(waited)) = (generator.ran, generator.waited) {
        let text = format!("lanes ran {:.0} %, waited {:.1} %", ran * 100.0, waited * 100.0);
        levels.push((text, Mood::Faint));
    }
    levels
}

fn foot(wanted: Wanted, left_out: &[&str], paper: &mut Paper<'_>) {
    let width = paper.width();
    let end = if wanted.ending { "q end at once" } else { "q end" };
    let freeze = if wanted.frozen { "p go on" } else { "p freeze" };
    let help = if wanted.help { "? back" } else { "? help" };
    let keys = [end, freeze, help].map(|key| (key.to_owned(), Mood::Faint));
    paper.put_all(0, &keys);
    if !left_out.is_empty() {
        let keys: usize = keys.iter().map(|(key, _)| key.len() + 2).sum();
        let text = format!("no room: {}", left_out.join(", "));
        let text = super::humane::clip(&text, width.saturating_sub(keys));
        paper.put_before(width, 0, &text, Mood::Faint);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::layout::Rect;

    use super::super::{SavedRun, fixtures};
    use super::*;
    use crate::time::Moment;

    fn model(run: &SavedRun, ms: u64) -> Model {
        Model::of(&run.plan, &run.summary, &run.judge(&[]).unwrap(), Moment::from_nanos(ms * 1_000_000))
    }

    fn drawn(model: &Model, wanted: Wanted, (width, height): (u16, u16)) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(model, wanted, Colours(true), &mut buffer);
        buffer
    }

    /// What the cells show, a line for each row; the cell behind a wide character belongs to it.
    fn text(buffer: &Buffer) -> String {
        let mut text = String::new();
        for row in 0..buffer.area.height {
            let mut column = 0;
            let mut line = String::new();
            while column < buffer.area.width {
                let symbol = buffer[(column, row)].symbol();
                line.push_str(symbol);
                column += (ratatui::text::Span::raw(symbol).width() as u16).max(1);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 12)];

    #[test]
    fn a_run_in_which_all_goes_well() {
        let model = model(&fixtures::ok(), 12_340);
        for size in SIZES {
            insta::assert_snapshot!(format!("ok_{}x{}", size.0, size.1), text(&drawn(&model, Wanted::default(), size)));
        }
    }

    #[test]
    fn a_run_in_which_much_goes_wrong() {
        let mut run = fixtures::failed();
        (run.summary.gauges.in_flight, run.summary.gauges.waiting) = (412, 1300);
        let model = model(&run, 22_000);
        let wanted = Wanted { frozen: true, ending: true, ..Wanted::default() };
        for size in SIZES {
            insta::assert_snapshot!(format!("failed_{}x{}", size.0, size.1), text(&drawn(&model, wanted, size)));
        }
    }

    #[test]
    fn hostile_names_are_clipped_and_cleaned() {
        let model = model(&fixtures::hostile(), 4_000);
        for size in SIZES {
            insta::assert_snapshot!(
                format!("hostile_{}x{}", size.0, size.1),
                text(&drawn(&model, Wanted::default(), size))
            );
        }
    }

    #[test]
    fn help_takes_the_place_of_the_run() {
        let model = model(&fixtures::ok(), 12_340);
        let wanted = Wanted { help: true, ..Wanted::default() };
        insta::assert_snapshot!(text(&drawn(&model, wanted, (80, 24))));
        assert!(text(&drawn(&model, wanted, LEAST)).contains("? help and back"));
    }

    #[test]
    fn what_is_too_small_says_so_and_what_finds_no_room_is_named() {
        let model = model(&fixtures::ok(), 12_340);
        let small = text(&drawn(&model, Wanted::default(), (39, 10)));
        assert!(small.starts_with("12.3 s of 15.0 s PASS so far\n40 x 10 show more\n"), "{small}");
        let least = text(&drawn(&model, Wanted::default(), LEAST));
        assert!(least.contains("no room: ") && least.contains("PASS so far"), "{least}");
    }

    #[test]
    fn without_colours_no_cell_has_one() {
        let model = model(&fixtures::failed(), 22_000);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        draw(&model, Wanted::default(), Colours(false), &mut buffer);
        let plain = |cell: &ratatui::buffer::Cell| {
            (cell.fg, cell.bg) == (ratatui::style::Color::Reset, ratatui::style::Color::Reset)
        };
        assert!(buffer.content.iter().all(plain));
        assert!(!drawn(&model, Wanted::default(), (80, 24)).content.iter().all(plain));
    }

    proptest! {
        #[test]
        fn every_run_can_be_drawn_at_every_size(width in 0_u16..200, height in 0_u16..70, help in any::<bool>(), which in 0_usize..6, ms in 0_u64..30_000) {
            let (name, run) = &fixtures::all()[which];
            let buffer = drawn(&model(run, ms), Wanted { help, frozen: help, ending: false }, (width, height));
            let controls = buffer.content.iter().find(|cell| cell.symbol().chars().any(char::is_control));
            prop_assert_eq!(controls, None, "{}", name);
        }
    }
}
