//! Rows in columns: the first column is text and gives way, the others are aligned to their widest cell.

use super::super::humane::{clean, clip, columns};
use super::page::WIDTH;

/// Between two columns.
const GAP: usize = 2;

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table that is never wider than the page less `indent`.
pub(super) struct Table {
    indent: usize,
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose first row is its head; the first column is on the left, all others on the right.
    pub(super) fn new(indent: usize, head: &[&str]) -> Self {
        let aligns = (0..head.len()).map(|place| if place == 0 { Align::Left } else { Align::Right }).collect();
        Self { indent, aligns, rows: vec![head.iter().map(ToString::to_string).collect()] }
    }

    /// The same table with these columns on the left too.
    pub(super) fn left(mut self, places: &[usize]) -> Self {
        for place in places {
            self.aligns[*place] = Align::Left;
        }
        self
    }

    /// Adds a row, which must have a cell for each column.
    pub(super) fn row(&mut self, cells: &[String]) {
        debug_assert_eq!(cells.len(), self.aligns.len(), "a cell for each column");
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }

    /// The lines, without their indent; the first is the head.
    pub(super) fn lines(&self) -> Vec<String> {
        let widths = self.widths();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |place: usize| self.rows.iter().map(|row| columns(row[place].as_str())).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..self.aligns.len()).map(widest).collect();
        let others: usize = widths[1..].iter().map(|width| width + GAP).sum();
        widths[0] = widths[0].min((WIDTH - self.indent).saturating_sub(others));
        widths
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
            if place > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = clip(cell, *width);
            let fill = " ".repeat(width - columns(&cell));
            match self.aligns[place] {
                Align::Left => line.extend([cell, fill]),
                Align::Right => line.extend([fill, cell]),
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_first_gives_way() {
        let mut table = Table::new(2, &["operation", "calls"]);
        table.row(&["pay".into(), "12 345".into()]);
        assert_eq!(table.lines(), ["operation   calls", "pay        12 345"]);
        table.row(&["x".repeat(500), "1".into()]);
        let lines = table.lines();
        assert!(lines.iter().all(|line| columns(line) == 78), "{lines:?}");
        assert!(lines[2].contains('…'));
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        let mut table = Table::new(0, &["a", "b"]).left(&[1]);
        table.row(&["one\ntwo\u{1b}[31m".into(), "x".into()]);
        assert_eq!(table.lines(), ["a        b", "one two  x"]);
    }
}
