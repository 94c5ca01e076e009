//! The report in other forms, each into a file of its own: HTML, Markdown, JUnit.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::exit::{Exit, Failure};
use super::{files, results};
use crate::report::{Format, Html, Junit, Markdown, Report};

/// Flags for files beside the report on stdout.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Results")]
pub(super) struct PageArgs {
    /// Write the report as one HTML page with charts, which loads nothing; - is stdout, in place of the text.
    #[arg(long, value_name = "FILE|-")]
    html: Option<PathBuf>,
    /// Write it as Markdown, for the summary of a CI step; - is stdout, in place of the text.
    #[arg(long, value_name = "FILE|-")]
    markdown: Option<PathBuf>,
    /// Write it as JUnit XML, a test case for each objective; - is stdout, in place of the text.
    #[arg(long, value_name = "FILE|-")]
    junit: Option<PathBuf>,
}

/// A report in another form, as a flag names it.
struct Page<'a> {
    flag: &'static str,
    path: &'a Path,
    format: &'static dyn Format,
}

impl PageArgs {
    fn pages(&self) -> Vec<Page<'_>> {
        let all: [(&'static str, &Option<PathBuf>, &'static dyn Format); 3] = [
            ("--html", &self.html, &Html),
            ("--markdown", &self.markdown, &Markdown),
            ("--junit", &self.junit, &Junit),
        ];
        let some = all.into_iter().filter_map(|(flag, path, format)| Some((flag, path.as_deref()?, format)));
        some.map(|(flag, path, format)| Page { flag, path, format }).collect()
    }

    /// The flags that are given, for errors.
    pub(super) fn given(&self) -> Option<&'static str> {
        self.pages().first().map(|page| page.flag)
    }

    /// Whether the files can be written, found out before the run begins: each where it shall be, and no two of them, nor
    /// of `others`, which have their flags with them, in one place.
    pub(super) fn probe<'a>(
        &'a self,
        others: impl IntoIterator<Item = (&'static str, &'a Path)>,
    ) -> Result<(), Failure> {
        let usage = |why: String| Failure::usage(anyhow!("{why}"));
        let pages = self.pages();
        let mut taken = Vec::new();
        for (flag, path) in others.into_iter().chain(pages.iter().map(|page| (page.flag, page.path))) {
            let place = files::place_of(path);
            if let Some((other, _)) = taken.iter().find(|(_, known)| *known == place) {
                let path = path.display();
                return Err(usage(format!("{other} and {flag} would both be written to `{path}`: give each its own")));
            }
            taken.push((flag, place));
        }
        for page in pages.iter().filter(|page| !results::is_stdout(page.path)) {
            files::probe_result(page.path).map_err(|why| usage(format!("failed to {why}")))?;
        }
        Ok(())
    }

    /// Refuses to write over the file that is read.
    pub(super) fn spare(&self, read: &Path) -> Result<(), Failure> {
        let itself = files::place_of(read);
        match self.pages().iter().find(|page| files::place_of(page.path) == itself) {
            None => Ok(()),
            Some(Page { flag, path, .. }) => {
                let path = path.display();
                Err(Failure::usage(anyhow!("{flag} `{path}` would be written over the run itself: give another path")))
            }
        }
    }

    /// Writes what is asked for: on stdout the one form that is wanted there, or else `text`; and then each file, however
    /// the others fared.
    pub(super) fn write(&self, report: &Report<'_>, text: &dyn Format) -> Result<(), Failure> {
        let unwritten = |why: anyhow::Error| Failure::new(Exit::Unwritten, why);
        let written = |format: &dyn Format| {
            let mut page = String::new();
            format.write(report, &mut page).map(|()| page).map_err(|why| unwritten(why.into()))
        };
        let pages = self.pages();
        let on_stdout = pages.iter().find(|page| results::is_stdout(page.path));
        results::write(written(on_stdout.map_or(text, |page| page.format))?.as_bytes())?;
        let mut failed = Vec::new();
        for page in pages.iter().filter(|page| !results::is_stdout(page.path)) {
            failed.extend(files::write_result(&written(page.format)?, page.path).err().map(|why| why.to_string()));
        }
        if failed.is_empty() { Ok(()) } else { Err(unwritten(anyhow!("failed to {}", failed.join("; failed to ")))) }
    }
}
