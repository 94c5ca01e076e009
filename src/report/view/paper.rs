//! A rectangle of a terminal to write on: texts are clipped to it, whatever they hold.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::super::humane::{clean, clip, columns};

/// What a text wants to tell by its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Nothing.
    Plain,
    /// It names what stands below or beside it.
    Heading,
    /// It is there for whoever looks for it.
    Faint,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// It is not known yet.
    Open,
    /// What was meant.
    Intended,
}

/// Whether moods have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours(pub bool);

impl Colours {
    /// How a mood looks.
    pub(super) fn style(self, mood: Mood) -> Style {
        let coloured = |colour| if self.0 { Style::new().fg(colour) } else { Style::new() };
        match mood {
            Mood::Plain => Style::new(),
            Mood::Heading => Style::new().add_modifier(Modifier::BOLD),
            Mood::Faint => Style::new().add_modifier(Modifier::DIM),
            Mood::Good => coloured(Color::Green),
            Mood::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Mood::Open => coloured(Color::Yellow),
            Mood::Intended => coloured(Color::Cyan),
        }
    }
}

/// Rows and columns of a buffer, counted from its own corner.
pub(super) struct Paper<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) area: Rect,
    pub(super) colours: Colours,
}

impl Paper<'_> {
    /// A part of it: `height` rows from `row` on, `width` columns from `column` on, as far as there are any.
    pub(super) fn part(&mut self, column: u16, row: u16, width: u16, height: u16) -> Paper<'_> {
        let wanted = Rect { x: self.area.x.saturating_add(column), y: self.area.y.saturating_add(row), width, height };
        Paper { area: wanted.intersection(self.area), buffer: &mut *self.buffer, colours: self.colours }
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        usize::from(self.area.width)
    }

    /// How many rows there are.
    pub(super) fn height(&self) -> usize {
        usize::from(self.area.height)
    }

    /// Writes `text` from `column` on, in at most `most` columns; gives the column behind it.
    pub(super) fn put(&mut self, column: usize, row: usize, text: &str, most: usize, mood: Mood) -> usize {
        let most = most.min(self.width().saturating_sub(column));
        if row >= self.height() || most == 0 {
            return column;
        }
        let text = clip(&clean(text), most);
        let (x, y) = (self.area.x + column as u16, self.area.y + row as u16);
        self.buffer.set_stringn(x, y, &text, most, self.colours.style(mood));
        column + columns(&text)
    }

    /// Writes `text` so that it ends before `end`.
    pub(super) fn put_before(&mut self, end: usize, row: usize, text: &str, mood: Mood) {
        self.put(end.saturating_sub(columns(text)), row, text, columns(text), mood);
    }

    /// Writes texts one behind the other with room between them, as many as fit whole.
    pub(super) fn put_all(&mut self, row: usize, texts: &[(String, Mood)]) {
        let mut column = 0;
        for (text, mood) in texts {
            let from = if column == 0 { 0 } else { column + 2 };
            if from + columns(text) > self.width() {
                return;
            }
            column = self.put(from, row, text, columns(text), *mood);
        }
    }
}
