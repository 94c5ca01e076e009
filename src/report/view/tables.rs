//! The tables of the view: operations, objectives, errors, events. What finds no row is counted in the last one.

use super::super::humane::{columns, count, counted, percent, quantile};
use super::super::words::{self, NOTHING};
use super::layout::Wish;
use super::model::{Failed, Model, Promise, QUANTILES, Row};
use super::paper::{Mood, Paper};
use crate::measure::Quantile;
use crate::outcome::Fault;
use crate::verdict::Standing;

/// The columns of a count of all, of a count of few, and of a time.
const COUNT: usize = 11;
const FEW: usize = 9;
const TIME: usize = 9;
/// A name gets at least so many.
const NAME: usize = 12;

/// A heading and a row, at least; a heading and `rows`, at most. Where there are none the heading says so.
pub(super) fn wish(rows: usize) -> Wish {
    Wish { least: 1 + rows.min(1), most: 1 + rows }
}

/// How many of `all` rows stand below the heading, and what the last row says of the others.
fn fitting(paper: &Paper<'_>, all: usize, more: usize) -> (usize, Option<String>) {
    let rows = paper.height() - 1;
    match all + usize::from(more > 0) {
        wanted if wanted <= rows && more == 0 => (all, None),
        wanted if wanted <= rows => (all, Some(format!("and {more} more"))),
        _ => {
            let shown = rows.saturating_sub(1);
            (shown, Some(format!("and {} more", all - shown + more)))
        }
    }
}

/// Each operation's counts and times, below those of all together.
pub(super) fn operations(model: &Model, paper: &mut Paper<'_>) {
    let (width, height) = (paper.area.width, paper.area.height);
    let columns = Columns::of(usize::from(width));
    columns.head(paper);
    columns.row(&model.total, 1, paper);
    let mut below = paper.part(0, 1, width, height);
    let (rows, more) = fitting(&below, model.operations.len(), model.more_operations);
    for (row, at) in model.operations.iter().take(rows).zip(1..) {
        columns.row(row, at, &mut below);
    }
    if let Some(more) = more {
        below.put(0, rows + 1, &more, usize::from(width), Mood::Faint);
    }
}

/// Which columns of the operations' table find room, and how wide a name may be.
#[expect(clippy::struct_excessive_bools, reason = "each column is there or is not")]
struct Columns {
    width: usize,
    name: usize,
    response: bool,
    bad: bool,
    service: bool,
    ended: bool,
}

impl Columns {
    const TIMES: usize = QUANTILES.len() * TIME;

    /// The most important ones first: each only where a name has room beside it.
    fn of(width: usize) -> Self {
        let mut name = width;
        let mut finds_room = |columns: usize| {
            let room = name >= NAME + columns;
            name -= if room { columns } else { 0 };
            room
        };
        let (response, bad) = (finds_room(Self::TIMES), finds_room(FEW));
        let (service, ended) = (finds_room(Self::TIMES), finds_room(COUNT));
        Self { width, name, response, bad, service, ended }
    }

    /// Where the count of what did not end ok begins.
    fn bads(&self) -> usize {
        self.name + if self.ended { COUNT } else { 0 }
    }

    /// Where response times begin.
    fn responses(&self) -> usize {
        self.bads() + if self.bad { FEW } else { 0 }
    }

    fn head(&self, paper: &mut Paper<'_>) {
        paper.put(0, 0, "OPERATION", self.name, Mood::Heading);
        if self.ended {
            paper.put_before(self.bads(), 0, "ended", Mood::Faint);
        }
        if self.bad {
            paper.put_before(self.bads() + FEW, 0, "not ok", Mood::Faint);
        }
        let mut heads = |from: usize, what: &str| {
            for ((label, _), place) in QUANTILES.iter().zip(1..) {
                let label = if place == 1 { format!("{what}{label}") } else { (*label).to_owned() };
                paper.put_before(from + place * TIME, 0, &label, Mood::Faint);
            }
        };
        if self.response {
            heads(self.responses(), if self.service { "resp " } else { "" });
        }
        if self.service {
            heads(self.width - Self::TIMES, "serv ");
        }
    }

    fn row(&self, row: &Row, at: usize, paper: &mut Paper<'_>) {
        paper.put(0, at, &row.name, self.name - 1, Mood::Plain);
        if self.ended {
            paper.put_before(self.bads(), at, &count(row.ended), Mood::Plain);
        }
        if self.bad {
            let mood = if row.bad > 0 { Mood::Bad } else { Mood::Plain };
            paper.put_before(self.bads() + FEW, at, &count(row.bad), mood);
        }
        if self.response {
            times(&row.response, self.responses(), at, paper);
        }
        if self.service {
            times(&row.service, self.width - Self::TIMES, at, paper);
        }
    }
}

fn times(times: &[Option<Quantile>], from: usize, at: usize, paper: &mut Paper<'_>) {
    for (time, place) in times.iter().zip(1..) {
        let text = time.map_or_else(|| NOTHING.to_owned(), quantile);
        let mood = if *time == Some(Quantile::Unbounded) { Mood::Bad } else { Mood::Plain };
        paper.put_before(from + place * TIME, at, &text, mood);
    }
}

/// Each promise, what is seen of it, how it stands, and what is left of what it allows.
pub(super) fn objectives(model: &Model, paper: &mut Paper<'_>) {
    let width = paper.width();
    let observed = model.promises.iter().map(|promise| columns(&promise.observed)).max().unwrap_or(0).max(8);
    // Standing, what was seen, what is left.
    let (standing, left) = (7, 10);
    let wide = width >= 60;
    let seen = if wide { observed.min(width / 3) + 2 } else { 0 };
    paper.put(0, 0, "OBJECTIVE", width, Mood::Heading);
    if wide {
        paper.put_before(width - left, 0, "observed", Mood::Faint);
    }
    paper.put_before(width, 0, "left", Mood::Faint);
    let (rows, more) = fitting(paper, model.promises.len(), 0);
    for (at, promise) in model.promises.iter().take(rows).enumerate() {
        let (word, mood) = mark(promise);
        paper.put(0, at + 1, word, standing, mood);
        let room = width.saturating_sub(standing + seen + left);
        paper.put(standing, at + 1, &promise.objective, room, Mood::Plain);
        if wide {
            let text = super::super::humane::clip(&promise.observed, seen - 2);
            paper.put_before(width - left, at + 1, &text, Mood::Plain);
        }
        paper.put_before(width, at + 1, &budget(promise), mood);
    }
    if let Some(more) = more {
        paper.put(standing, rows + 1, &more, width, Mood::Faint);
    }
}

fn mark(promise: &Promise) -> (&'static str, Mood) {
    match promise.standing {
        Standing::Met => ("met", Mood::Good),
        Standing::Missed => ("MISSED", Mood::Bad),
        Standing::Undecided => ("open", Mood::Open),
    }
}

/// How much of what the promise allows is left.
fn budget(promise: &Promise) -> String {
    match promise.left {
        None => NOTHING.to_owned(),
        Some(left) if left <= -1.0 => "≤ -100 %".to_owned(),
        Some(left) => format!("{:.0} %", left * 100.0),
    }
}

/// What did not end ok, and whose fault it is.
pub(super) fn errors(model: &Model, paper: &mut Paper<'_>) {
    let width = paper.width();
    let behind = paper.put(0, 0, "ERRORS", width, Mood::Heading);
    let (rows, more) = fitting(paper, model.errors.len(), 0);
    if model.errors.is_empty() {
        paper.put(behind + 2, 0, "none", width, Mood::Good);
        return;
    }
    let name = (width / 2).min(22);
    paper.put_before(name + COUNT, 0, "count", Mood::Faint);
    paper.put_before(name + COUNT + TIME, 0, "share", Mood::Faint);
    for (at, failed) in model.errors.iter().take(rows).enumerate() {
        let Failed { end, count: number, share } = failed;
        let mood = if end.fault() == Some(Fault::Generator) { Mood::Bad } else { Mood::Plain };
        paper.put(0, at + 1, end.name(), name, mood);
        paper.put_before(name + COUNT, at + 1, &count(*number), mood);
        paper.put_before(name + COUNT + TIME, at + 1, &percent(*share), mood);
        paper.put(name + COUNT + TIME + 2, at + 1, &words::fault(*end), width, Mood::Faint);
    }
    if let Some(more) = more {
        paper.put(0, rows + 1, &more, width, Mood::Faint);
    }
}

/// What happened, the latest first.
pub(super) fn events(model: &Model, paper: &mut Paper<'_>) {
    let width = paper.width();
    let behind = paper.put(0, 0, "EVENTS", width, Mood::Heading);
    if model.events.is_empty() {
        paper.put(behind + 2, 0, "none", width, Mood::Faint);
        return;
    }
    if paper.height() == 1 {
        paper.put(behind + 2, 0, &counted(model.events.len() as u64, "event"), width, Mood::Open);
    }
    let rows = paper.height() - 1;
    for (at, (when, what)) in model.events.iter().rev().take(rows).enumerate() {
        paper.put(0, at + 1, &format!("{when}  {what}"), width, Mood::Plain);
    }
}
