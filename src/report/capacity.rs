//! A search for the highest rate that outlives its process: its probes, each with the run that it was, as versioned JSON.
//!
//! How the search stands follows from its probes. The run of a probe is kept as the text that `--out` would have saved, so
//! that it can be taken out and reported on its own, and so that a long search takes little memory.

use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::saved::{self, SavedRun, SavedRunError};
use crate::measure::Quantile;
use crate::plan::Plan;
use crate::time::{Rate, serde_duration};
use crate::verdict::Verdict;
use crate::verdict::search::{CoolDown, Probe, Progress, Search, Trial, Why};

/// What the texts call their format.
pub(super) const FORMAT: &str = "mcpace-capacity";
/// The newest version of the format, and the only one so far.
const VERSION: u64 = 1;
/// No search makes more probes.
const MOST_PROBES: usize = 1000;

/// A search, with everything that a report about it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedCapacity {
    /// Which program wrote it, with its version.
    pub program: String,
    /// The wall clock when the search began, milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// What was asked for; of its loads only the proportion counts, and probes have seeds of their own that follow from its.
    pub plan: Plan,
    /// What bounds the search.
    pub search: Search,
    /// How long the target had between two probes at most.
    #[serde(with = "serde_duration")]
    pub cool_down: Duration,
    /// The median response time when nothing had been asked of the target yet.
    pub at_rest: Option<Quantile>,
    /// How long all of it took so far.
    #[serde(with = "serde_duration")]
    pub took: Duration,
    /// The signal that broke the search off, such as `SIGINT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// What was tried, in order.
    pub probes: Vec<Made>,
}

/// A probe that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Made {
    /// What was tried.
    pub probe: Probe,
    /// What came of it; `None` where it was broken off.
    pub verdict: Option<Verdict>,
    /// What came before it.
    pub cool_down: CoolDown,
    /// The run, as `mcpace run --out` saves one.
    run: Box<RawValue>,
}

impl Made {
    /// A probe that was `run`, with what came before it.
    ///
    /// # Errors
    ///
    /// Where the run holds what JSON cannot say; a run of this program does not.
    pub fn new(
        probe: Probe,
        verdict: Option<Verdict>,
        cool_down: CoolDown,
        run: &SavedRun,
    ) -> Result<Self, serde_json::Error> {
        let text = run.to_json()?.trim_end().to_owned();
        Ok(Self { probe, verdict, cool_down, run: RawValue::from_string(text)? })
    }

    /// The run that it was.
    ///
    /// # Errors
    ///
    /// Where the text is no saved run: not in a search that was read.
    pub fn run(&self) -> Result<SavedRun, SavedRunError> {
        SavedRun::from_json(self.run.get().as_bytes())
    }
}

/// What comes before the search in a text.
#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u64,
    #[serde(flatten)]
    search: &'a SavedCapacity,
}

impl SavedCapacity {
    /// Writes the search as a text of one line and a line feed, piece by piece.
    ///
    /// # Errors
    ///
    /// Where the writer fails, or a number is none that JSON can say; those of this program are.
    pub fn write_json(&self, mut to: impl Write) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut to, &Written { format: FORMAT, version: VERSION, search: self })?;
        to.write_all(b"\n").map_err(serde_json::Error::io)
    }

    /// The same as a text.
    ///
    /// # Errors
    ///
    /// Those of [`Self::write_json`], but for that of a writer.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut text = Vec::new();
        self.write_json(&mut text)?;
        String::from_utf8(text).map_err(serde::ser::Error::custom)
    }

    /// Reads what [`SavedCapacity::to_json`] wrote.
    ///
    /// # Errors
    ///
    /// A text that is no saved search, was cut, is of a newer version, or has contents that no search has.
    pub fn from_json(text: &[u8]) -> Result<Self, SavedRunError> {
        saved::check_header(text, FORMAT, VERSION)?;
        let search: Self = serde_json::from_slice(text).map_err(|error| saved::damaged(error.to_string()))?;
        if search.plan.flows.is_empty() || search.probes.len() > MOST_PROBES {
            return Err(saved::damaged("its plan has no flow, or there are more probes than any search makes"));
        }
        for made in &search.probes {
            made.run()?;
        }
        Ok(search)
    }

    /// The probes that were made to their end, with their verdicts.
    pub fn trials(&self) -> Vec<Trial> {
        let whole = |made: &Made| Some(Trial { probe: made.probe, verdict: made.verdict? });
        self.probes.iter().filter_map(whole).collect()
    }

    /// How the search stands.
    pub fn progress(&self) -> Progress {
        self.search.after(&self.trials())
    }

    /// The promised rate that the rate which is held falls short of, if it does.
    pub fn short_of(&self) -> Option<Rate> {
        let held = self.progress().held?;
        // A rate per scope is divided and multiplied again on the way here.
        self.plan.promised_rate().filter(|promised| promised.get() > held.get() * (1.0 + 1e-9))
    }

    /// PASS where a rate is held, and every promised rate with it. Else what kept the search from one: FAIL is the target's
    /// doing, INVALID the generator's, and INCONCLUSIVE says that more time is needed.
    pub fn verdict(&self) -> Verdict {
        let progress = self.progress();
        match (progress.held, progress.limit) {
            (Some(_), _) if self.short_of().is_none() => Verdict::Pass,
            (None, _) if progress.next.is_some() => Verdict::Inconclusive,
            (_, Some(limit)) => match limit.why {
                Why::Missed => Verdict::Fail,
                Why::Undecided => Verdict::Inconclusive,
                Why::Generator | Why::Noise => Verdict::Invalid,
            },
            (_, None) => Verdict::Inconclusive,
        }
    }
}

/// What a file of this program holds.
#[derive(Debug)]
pub enum Saved {
    /// A run.
    Run(Box<SavedRun>),
    /// A search for the highest rate.
    Capacity(Box<SavedCapacity>),
}

impl Saved {
    /// Reads whichever it is.
    ///
    /// # Errors
    ///
    /// Those of [`SavedRun::from_json`] and [`SavedCapacity::from_json`].
    pub fn from_json(text: &[u8]) -> Result<Self, SavedRunError> {
        match saved::check_header(text, FORMAT, VERSION) {
            Err(SavedRunError::OtherFormat) => SavedRun::from_json(text).map(|run| Self::Run(Box::new(run))),
            _ => SavedCapacity::from_json(text).map(|search| Self::Capacity(Box::new(search))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;
    use crate::verdict::search::Limit;

    #[test]
    fn a_search_is_read_as_it_was_written_and_so_are_its_runs() {
        let search = fixtures::capacity();
        let text = search.to_json().unwrap();
        assert!(text.starts_with(r#"{"format":"mcpace-capacity","version":1,"program":"mcpace"#));
        let read = SavedCapacity::from_json(text.as_bytes()).unwrap();
        assert!(read.to_json().unwrap() == text);
        assert!(read.probes[0].run().unwrap().to_json().unwrap().contains(r#""format":"mcpace-run""#));
        assert!(matches!(Saved::from_json(text.as_bytes()), Ok(Saved::Capacity(_))));
        assert!(matches!(Saved::from_json(fixtures::ok().to_json().unwrap().as_bytes()), Ok(Saved::Run(_))));
    }

    #[test]
    fn what_is_no_search_is_refused_with_the_reason() {
        let whole = fixtures::capacity().to_json().unwrap();
        let error = |text: &str| Saved::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error(" "), SavedRunError::Empty);
        assert!(matches!(error(&whole[..whole.len() / 2]), SavedRunError::Truncated { .. }));
        assert_eq!(error("{}"), SavedRunError::OtherFormat);
        assert_eq!(error(&whole.replacen("\"version\":1", "\"version\":2", 1)), SavedRunError::Newer(2));
        for damage in [("\"PASS\"", "\"SPLENDID\""), ("\"probes\":[", "\"probes\":[7,"), ("HIST", "TSIH")] {
            let text = whole.replacen(damage.0, damage.1, 1);
            assert!(text != whole && matches!(error(&text), SavedRunError::Damaged { .. }), "{damage:?}");
        }
        let run = SavedRun::from_json(whole.as_bytes());
        assert_eq!(run, Err(SavedRunError::OtherFormat));
    }

    #[test]
    fn the_verdict_is_that_of_what_limits_the_search() {
        let search = fixtures::capacity();
        assert_eq!((search.verdict(), search.progress().held), (Verdict::Pass, Rate::per_second(160.0)));
        let cut = |count: usize| SavedCapacity { probes: search.probes[..count].to_vec(), ..search.clone() };
        assert_eq!(cut(3).verdict(), Verdict::Inconclusive);
        let mut promised = search.clone();
        promised.plan.objectives.push("rate >= 161/s".parse().unwrap());
        assert_eq!((promised.verdict(), promised.short_of()), (Verdict::Fail, Rate::per_second(161.0)));
        promised.plan.objectives = vec!["rate >= 160/s".parse().unwrap()];
        assert_eq!(promised.verdict(), Verdict::Pass);
        for (verdict, of) in [(Verdict::Fail, Verdict::Fail), (Verdict::Invalid, Verdict::Invalid)] {
            let mut none = cut(2);
            none.probes.iter_mut().for_each(|made| {
                (made.verdict, made.probe) = (Some(verdict), search.probes[0].probe);
            });
            let why = if verdict == Verdict::Fail { Why::Missed } else { Why::Generator };
            let count = if verdict == Verdict::Fail { 1 } else { 3 };
            none.probes = std::iter::repeat_n(none.probes[0].clone(), count).collect();
            assert_eq!((none.verdict(), none.progress().held), (of, None));
            assert_eq!(none.progress().limit, Some(Limit { rate: none.search.from, why }));
        }
    }
}
