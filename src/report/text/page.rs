//! A page of 80 columns: whatever is written on it is made harmless, wrapped or cut, and only marks are coloured.

use std::fmt::{self, Write};

use super::super::humane::{clean, clip, columns, visible};

/// How wide a page is.
pub(super) const WIDTH: usize = 80;

/// No paragraph is much longer, whatever a file says.
const MOST_LINES: usize = 10;

/// How marks are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With the colours of a terminal.
    pub colour: bool,
}

/// What a mark means to the reader, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Yellow.
    Open,
    /// Magenta: not about the target.
    Void,
}

impl Mood {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\u{1b}[1;32m",
            Self::Bad => "\u{1b}[1;31m",
            Self::Open => "\u{1b}[1;33m",
            Self::Void => "\u{1b}[1;35m",
        }
    }
}

/// Where a page is written. Texts are cleaned on their way, so that nothing a server or a file says can do harm.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    style: Style,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn Write, style: Style) -> Self {
        Self { out, style }
    }

    /// An empty line.
    pub(super) fn gap(&mut self) -> fmt::Result {
        self.out.write_char('\n')
    }

    /// A line across the page.
    pub(super) fn rule(&mut self) -> fmt::Result {
        writeln!(self.out, "{}", "─".repeat(WIDTH))
    }

    /// The heading of a section, with an empty line before.
    pub(super) fn heading(&mut self, text: &str) -> fmt::Result {
        writeln!(self.out, "\n{text}")
    }

    /// One line of several cells, cut to the page.
    pub(super) fn line(&mut self, indent: usize, text: &str) -> fmt::Result {
        let text = clip(visible(text).trim_end(), WIDTH - indent);
        writeln!(self.out, "{:indent$}{text}", "")
    }

    /// One line that begins with a mark.
    pub(super) fn marked(&mut self, indent: usize, mark: (&str, Mood), text: &str) -> fmt::Result {
        let (word, mood) = mark;
        write!(self.out, "{:indent$}", "")?;
        if self.style.colour {
            write!(self.out, "{}{word}\u{1b}[0m", mood.code())?;
        } else {
            self.out.write_str(word)?;
        }
        let text = clip(visible(text).trim_end(), WIDTH - indent - columns(word));
        writeln!(self.out, "{text}")
    }

    /// A paragraph: `label` in the first line, and the text beside it, wrapped.
    pub(super) fn paragraph(&mut self, label: &str, text: &str) -> fmt::Result {
        let mut label = visible(label);
        let indent = columns(&label);
        let most = WIDTH - indent;
        for line in wrap(&clip(&clean(text), MOST_LINES * most), most) {
            writeln!(self.out, "{label}{line}")?;
            label = " ".repeat(indent);
        }
        Ok(())
    }
}

/// `text` in lines of at most `most` columns, broken between words; a word that is longer than a line is broken too.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.len() - 1;
        let room = !lines[line].is_empty() && columns(&lines[line]) + 1 + columns(word) <= most;
        if room {
            lines[line].push(' ');
            lines[line].push_str(word);
            continue;
        }
        let mut pieces = pieces(word, most);
        if lines[line].is_empty() {
            lines[line] = pieces.remove(0);
        }
        lines.append(&mut pieces);
    }
    lines
}

/// A word in pieces of at most `most` columns, at least one.
fn pieces(word: &str, most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        if used + wide > most {
            pieces.push(String::new());
            used = 0;
        }
        used += wide;
        pieces.last_mut().expect("there is at least one piece").push(c);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(colour: bool, write: impl Fn(&mut Page<'_>) -> fmt::Result) -> String {
        let mut out = String::new();
        write(&mut Page::new(&mut out, Style { colour })).unwrap();
        out
    }

    #[test]
    fn words_are_wrapped_beside_their_label_and_long_ones_broken() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a verylongword b", 6), ["a", "verylo", "ngword", "b"]);
        assert_eq!(wrap("", 6), [""]);
        let text = page(false, |page| page.paragraph("  - ", &"word ".repeat(20)));
        assert!(text.starts_with("  - word") && text.lines().nth(1).unwrap().starts_with("    word"), "{text}");
    }

    #[test]
    fn only_a_mark_is_coloured_and_only_where_colour_is_wanted() {
        let write = |page: &mut Page<'_>| page.marked(2, ("met", Mood::Good), " p95");
        assert_eq!(page(false, write), "  met p95\n");
        assert_eq!(page(true, write), "  \u{1b}[1;32mmet\u{1b}[0m p95\n");
    }
}
