//! Figures leave as soon as their part is done: a run that is stopped keeps what it had measured.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::goals;
use crate::table::Table;

/// Where figures go: Markdown to `out`, and lines of JSON to a file where they are wanted.
#[derive(Debug)]
pub(crate) struct Report<W> {
    out: W,
    json: Option<File>,
}

impl<W: Write> Report<W> {
    /// Begins with what is said of the whole run: a sentence, and a line of JSON. What was in the file is gone.
    pub(crate) fn begin(mut out: W, file: Option<&Path>, sentence: &str, head: &Value) -> io::Result<Self> {
        let mut json = file.map(File::create).transpose()?;
        if let Some(file) = &mut json {
            file.write_all(format!("{head}\n").as_bytes())?;
        }
        writeln!(out, "{sentence}")?;
        out.flush()?;
        Ok(Self { out, json })
    }

    /// Adds a part that is done, with its notes.
    pub(crate) fn add(&mut self, table: &Table, part: &str) -> io::Result<()> {
        self.emit(&table.markdown(part), &table.json(part))
    }

    /// Adds whether what was measured is what was aimed at.
    pub(crate) fn conclude(&mut self, table: &Table) -> io::Result<()> {
        let (text, lines) = goals::told(table);
        self.emit(&text, &lines)
    }

    fn emit(&mut self, text: &str, objects: &[Value]) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        let mut lines = String::new();
        for line in objects {
            let _ = writeln!(lines, "{line}");
        }
        // One write: a kill leaves no half a part.
        self.json.as_mut().map_or(Ok(()), |file| file.write_all(lines.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Figure;

    #[test]
    fn what_a_part_has_is_out_before_the_next_one_begins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.jsonl");
        std::fs::write(&file, "of another run\n").unwrap();
        let mut out = Vec::new();
        let mut report = Report::begin(&mut out, Some(&file), "2 cores", &serde_json::json!({ "cores": 2 })).unwrap();
        let lines = || std::fs::read_to_string(&file).unwrap().lines().count();
        assert_eq!(lines(), 1);
        let mut table = Table::default();
        table.add(Figure::new("cost", "1000/s", "CPU per call", "µs"), "oha", 70.0);
        table.note("cost", "1000/s", "k6", "failed");
        report.add(&table, "cost").unwrap();
        assert_eq!(lines(), 3);
        table.add(Figure::new("truth", "freezes", "p99, true", "ms"), "oha", 450.0);
        report.add(&table, "truth").unwrap();
        assert_eq!(lines(), 4);
        report.add(&table, "wires").unwrap();
        assert_eq!(lines(), 4);
        let text = String::from_utf8(out).unwrap();
        let places = ["2 cores", "### cost", "70.0", "- cost, 1000/s: k6 failed", "### truth", "450"]
            .map(|part| text.find(part));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
        assert!(!text.contains("### wires"), "{text}");
    }
}
