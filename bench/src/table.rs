//! Figures of all repeats, as a table for people and as lines of JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::figures::spread::Spread;

/// Who the others are compared with.
const REFERENCE: &str = "oha";

/// What a figure is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) part: &'static str,
    pub(crate) case: String,
    pub(crate) name: String,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(part: &'static str, case: &str, name: &str, unit: &'static str) -> Self {
        Self { part, case: case.to_owned(), name: name.to_owned(), unit }
    }
}

/// A figure, with the values of each tool.
type Row = (Figure, Vec<(String, Vec<f64>)>);

/// All that was measured, in the order in which it first came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    notes: Vec<Note>,
}

/// What has to be said of a measurement: it came to nothing, or is not to be trusted.
#[derive(Clone, Debug)]
struct Note {
    part: &'static str,
    case: String,
    tool: String,
    why: String,
}

impl Table {
    /// Adds a value of one repeat.
    pub(crate) fn add(&mut self, figure: Figure, tool: &str, value: f64) {
        let row = self.rows.iter().position(|(known, _)| *known == figure).unwrap_or_else(|| {
            self.rows.push((figure, Vec::new()));
            self.rows.len() - 1
        });
        let tools = &mut self.rows[row].1;
        match tools.iter_mut().find(|(name, _)| name == tool) {
            Some((_, values)) => values.push(value),
            None => tools.push((tool.to_owned(), vec![value])),
        }
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, part: &'static str, case: &str, tool: &str, why: &str) {
        let (case, tool, why) = (case.to_owned(), tool.to_owned(), why.to_owned());
        self.notes.push(Note { part, case, tool, why });
    }

    /// Whether a part was measured, or it was tried.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.rows.iter().any(|(figure, _)| figure.part == part) || self.notes.iter().any(|note| note.part == part)
    }

    /// The values of a figure by its part, its case and its name, where this tool has it.
    pub(crate) fn values(&self, (part, case, name): (&str, &str, &str), tool: &str) -> Option<&[f64]> {
        let is_it = |figure: &Figure| figure.part == part && figure.case == case && figure.name == name;
        let (_, tools) = self.rows.iter().find(|(figure, _)| is_it(figure))?;
        tools.iter().find(|(name, _)| name == tool).map(|(_, values)| &values[..])
    }

    /// Markdown of a part: its table, and a list of its remarks; nothing where it has neither.
    pub(crate) fn markdown(&self, part: &str) -> String {
        let mut out = String::new();
        let rows: Vec<[String; COLUMNS]> =
            self.rows.iter().filter(|(figure, _)| figure.part == part).flat_map(cells).collect();
        let notes: Vec<&Note> = self.notes.iter().filter(|note| note.part == part).collect();
        if rows.is_empty() && notes.is_empty() {
            return out;
        }
        let _ = writeln!(out, "\n### {part}\n");
        if !rows.is_empty() {
            write_rows(&mut out, &HEAD, &rows);
        }
        if !rows.is_empty() && !notes.is_empty() {
            out.push('\n');
        }
        for Note { part, case, tool, why } in notes {
            let _ = writeln!(out, "- {part}, {case}: {tool} {why}");
        }
        out
    }

    /// One object for each figure of each tool, and for each remark, of a part.
    pub(crate) fn json(&self, part: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        for (figure, tools) in self.rows.iter().filter(|(figure, _)| figure.part == part) {
            for (tool, values) in tools {
                let Some(spread) = Spread::of(values) else { continue };
                lines.push(json!({
                    "part": figure.part, "case": figure.case, "figure": figure.name, "unit": figure.unit, "tool": tool,
                    "median": spread.median, "least": spread.least, "most": spread.most, "values": values,
                    "to_oha": ratio(figure, tools, tool, spread),
                }));
            }
        }
        lines.extend(
            self.notes
                .iter()
                .filter(|note| note.part == part)
                .map(|Note { part, case, tool, why }| json!({ "part": part, "case": case, "tool": tool, "note": why })),
        );
        lines
    }
}

/// The median of a tool by that of the reference; `None` for the reference itself, where there is none to divide by, and of
/// errors, which are compared with nothing.
fn ratio(figure: &Figure, tools: &[(String, Vec<f64>)], tool: &str, spread: Spread) -> Option<f64> {
    let (_, reference) = tools.iter().find(|(name, _)| name == REFERENCE && tool != REFERENCE)?;
    let reference = Spread::of(reference)?.median;
    (reference > 0.0 && figure.part != "truth").then(|| spread.median / reference)
}

const COLUMNS: usize = 6;
const HEAD: [&str; COLUMNS] = ["case", "figure", "tool", "median", "least – most", "÷ oha"];
/// Columns of words, which stand on the left.
const WORDS: usize = 3;

/// A line for each tool.
fn cells((figure, tools): &Row) -> Vec<[String; COLUMNS]> {
    let of = |(tool, values): &(String, Vec<f64>)| {
        let spread = Spread::of(values)?;
        let apart = match values.len() {
            1 => String::new(),
            _ => format!("{} – {}", short(spread.least), short(spread.most)),
        };
        let ratio = ratio(figure, tools, tool, spread).map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let name = format!("{}, {}", figure.name, figure.unit);
        Some([figure.case.clone(), name, tool.clone(), short(spread.median), apart, ratio])
    };
    tools.iter().filter_map(of).collect()
}

/// A table in Markdown, of which the first columns are words.
pub(crate) fn write_rows<const N: usize>(out: &mut String, head: &[&str; N], rows: &[[String; N]]) {
    let head = head.map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let rule = std::array::from_fn(|column| {
        let dashes = "-".repeat(widths[column] - 1);
        // A colon on the right is Markdown's way to put a column there.
        if column < WORDS { format!("{dashes}-") } else { format!("{dashes}:") }
    });
    for row in [&head, &rule].into_iter().chain(rows) {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if column < WORDS { write!(out, "| {cell:<width$} ") } else { write!(out, "| {cell:>width$} ") };
        }
        out.push_str("|\n");
    }
}

/// A number with three or four digits that matter.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        let figure = || Figure::new("cost", "1000/s", "CPU per call", "µs");
        for (tool, value) in [("mcpace exact", 46.0), ("oha", 70.0), ("mcpace exact", 42.0), ("oha", 68.0)] {
            table.add(figure(), tool, value);
        }
        table.add(figure(), "mcpace exact", 44.0);
        table.note("cost", "1000/s", "k6", "failed with exit code 2: no");
        table
    }

    #[test]
    fn repeats_become_a_median_a_spread_and_a_ratio_to_the_reference() {
        let lines = table().json("cost");
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["tool"], "mcpace exact");
        assert_eq!(
            (&lines[0]["median"], &lines[0]["least"], &lines[0]["most"]),
            (&44.0.into(), &42.0.into(), &46.0.into())
        );
        assert_eq!(lines[0]["to_oha"], 44.0 / 69.0);
        assert_eq!((&lines[1]["median"], &lines[1]["to_oha"]), (&69.0.into(), &Value::Null));
        assert_eq!(lines[2]["note"], "failed with exit code 2: no");
        assert!(table().json("truth").is_empty() && table().markdown("truth").is_empty());
    }

    #[test]
    fn the_table_for_people_has_a_heading_a_part_and_says_what_went_wrong() {
        let text = table().markdown("cost");
        assert_eq!(text.matches("### cost").count(), 1);
        let row = text.lines().find(|line| line.contains("mcpace exact")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells, ["", "1000/s", "CPU per call, µs", "mcpace exact", "44.0", "42.0 – 46.0", "0.64", ""]);
        assert!(text.ends_with("- cost, 1000/s: k6 failed with exit code 2: no\n"), "{text}");
    }
}
