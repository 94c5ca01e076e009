//! A run that outlives its process: all that is needed to judge, render and compare it later, as versioned JSON.
//!
//! Only texts are read and written here; files are the caller's. A text may come from anywhere: whatever it holds, reading
//! ends in a run that is safe to render or in an error that says why not.

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::measure::Summary;
use crate::plan::{Plan, Warmup};
use crate::time::{Moment, humane_duration};
use crate::verdict::{
    Drift, Judgement, Judging, Looked, Objective, ObjectiveError, Remark, Subject, Terms, drifts, judge,
};

/// What the texts call their format.
const FORMAT: &str = "mcpace-run";
/// The newest version of the format, and the only one so far.
const VERSION: u64 = 1;
/// More than any run can count of anything; so few that adding thousands of them cannot overflow.
const MOST: u64 = 1 << 48;
/// No plan is longer, as text. Arguments are kept as values, which take up to forty times as much memory.
const LONGEST_PLAN: usize = 4 << 20;
/// No more is known of a server, as text.
const LONGEST_SERVER: usize = 1 << 20;

/// A run, with everything that a report about it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRun {
    /// Which program wrote it, with its version: `mcpace 0.1.0`.
    pub program: String,
    /// A fresh id for each run.
    pub run_id: String,
    /// The wall clock when the run began, milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// What was asked for.
    pub plan: Plan,
    /// The machine of the generator.
    pub host: Host,
    /// What answered.
    pub server: Server,
    /// How the run came to its end.
    pub ending: Ending,
    /// The looks at it before that, where it could end early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<Looked>,
    /// What was measured.
    pub summary: Summary,
}

/// Facts about the machine of the generator; nothing secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its operating system: `linux`.
    pub os: String,
    /// Its kind of processor: `x86_64`.
    pub arch: String,
    /// How many threads it runs at once.
    pub cpus: u32,
}

/// What was agreed on with the server before the first call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// The MCP revision spoken; `None` without a handshake.
    pub revision: Option<String>,
    /// What the server calls itself.
    pub name: Option<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
}

/// How a run came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The schedule was run to its end.
    #[default]
    Completed,
    /// A signal stopped it; its name, such as `SIGINT`.
    Signal(String),
    /// A rule of the user's stopped it; what it says.
    Rule(String),
    /// Somebody ended its schedule by hand (`mcpace ctl stop`).
    Asked,
    /// Nobody knows: it still went on when this was saved on its way, and nothing was saved after it.
    CutOff {
        /// When this was saved.
        at: Moment,
    },
    /// Threads of the generator broke down; the others went on.
    LostLanes {
        /// How many.
        lost: u32,
        /// Of how many.
        of: u32,
    },
}

/// Why a text is no saved run. Messages are fragments that follow "failed to read FILE: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedRunError {
    /// Nothing there.
    #[error("it is empty; it was perhaps never written: look at the disk it is on, and run again with --out")]
    Empty,
    /// JSON that breaks off.
    #[error("it breaks off in line {line}, column {column}: it was cut on its way, copy it again")]
    Truncated {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Anything but JSON.
    #[error("it is not JSON ({why}): give a file that `mcpace run --out` wrote")]
    NotJson {
        /// The parser's words.
        why: String,
    },
    /// JSON of another kind.
    #[error(
        "it is no saved run of mcpace (no \"format\": \"{FORMAT}\" in it): give a file that `mcpace run --out` wrote"
    )]
    OtherFormat,
    /// A version to come.
    #[error("it has version {0} of the format, and this mcpace knows {VERSION}: read it with a newer mcpace")]
    Newer(u64),
    /// Of the right kind, but with contents that no run has.
    #[error("its contents are damaged ({why}): it was perhaps changed by hand, use the original")]
    Damaged {
        /// What is wrong with them.
        why: String,
    },
}

/// What comes before the run in a text.
#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u64,
    #[serde(flatten)]
    run: &'a SavedRun,
}

/// What is read first of a text.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow, default)]
    format: Option<&'a RawValue>,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    plan: Option<&'a RawValue>,
    #[serde(borrow, default)]
    server: Option<&'a RawValue>,
}

impl SavedRun {
    /// Writes the run as a text of one line and a line feed, piece by piece.
    ///
    /// # Errors
    ///
    /// Where the writer fails, or the summary holds what JSON cannot say; a summary of this program does not.
    pub fn write_json(&self, mut to: impl Write) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut to, &Written { format: FORMAT, version: VERSION, run: self })?;
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

    /// Reads what [`SavedRun::to_json`] wrote, in this or an earlier version of the program.
    ///
    /// # Errors
    ///
    /// A text that is no saved run, was cut, is of a newer version, or has contents that no run has.
    pub fn from_json(text: &[u8]) -> Result<Self, SavedRunError> {
        check_header(text, FORMAT, VERSION)?;
        let run: Self = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        run.check()?;
        Ok(run)
    }

    /// Judges the run by `objectives`, or by those of its plan where there are none, as its plan says.
    ///
    /// # Errors
    ///
    /// Where an objective's scope names nothing in the plan.
    pub fn judge(&self, objectives: &[Objective]) -> Result<Judgement, ObjectiveError> {
        self.judge_by(objectives, self.plan.judging)
    }

    /// The same by another way to judge.
    ///
    /// # Errors
    ///
    /// Where an objective's scope names nothing in the plan.
    pub fn judge_by(&self, objectives: &[Objective], judging: Judging) -> Result<Judgement, ObjectiveError> {
        let objectives = if objectives.is_empty() { &self.plan.objectives } else { objectives };
        let (flows, operations) = (self.plan.flow_names(), self.plan.operation_names());
        let resolved: Result<Vec<_>, _> =
            objectives.iter().map(|each| each.clone().resolve(&flows, &operations)).collect();
        let terms = self.looks.as_ref().map_or_else(|| Terms::of(judging), |looks| looks.terms(judging));
        let was_cut_off =
            matches!(self.ending, Ending::Signal(_) | Ending::Rule(_) | Ending::Asked | Ending::CutOff { .. });
        let mut judgement = judge(&self.summary, &resolved?, &terms.cut_off(was_cut_off));
        judgement.notes.extend(self.warmed_up());
        judgement.notes.extend(drifts(&self.summary).iter().map(Drift::remark));
        Ok(judgement)
    }

    /// Where warm-up found its own end, when that was and why.
    fn warmed_up(&self) -> Option<Remark> {
        let (end, latest) = (self.summary.warmup, self.plan.latest_warmup());
        let long = humane_duration(end.since(Moment::ZERO));
        let (figure, remedy) = if self.plan.run.warmup != Warmup::Auto {
            return None;
        } else if end < latest {
            (
                format!(
                    "warm-up ended after {long}: p50, p95 and errors had been steady for longer than they were not"
                ),
                "what was due until then is kept apart",
            )
        } else {
            (
                format!(
                    "no steady state was seen in {long}, a third of the schedule, where warm-up ends at the latest"
                ),
                "what is judged was perhaps still warming up: run longer, or give --warmup a duration",
            )
        };
        Some(Remark::new(Subject::Warmup, figure, remedy))
    }

    /// Whether its parts are about the same run, and count what can be counted.
    fn check(&self) -> Result<(), SavedRunError> {
        let (flows, operations) = (self.plan.flows.len(), self.plan.operations.len());
        let named =
            self.summary.series().iter().map(|series| (usize::from(series.flow), usize::from(series.operation)));
        let failed = self.summary.failures.groups().iter().map(|group| (0, usize::from(group.operation)));
        let slow =
            self.summary.slowest.calls().into_iter().map(|call| (usize::from(call.flow), usize::from(call.operation)));
        if flows == 0 {
            return Err(damaged("its plan has no flow"));
        }
        if named.chain(failed).chain(slow).any(|(flow, operation)| flow >= flows || operation >= operations) {
            return Err(damaged("its summary counts what its plan does not name"));
        }
        let gauges = &self.summary.gauges;
        let counts = [gauges.in_flight, gauges.waiting, gauges.connections, gauges.bytes_sent, gauges.bytes_received];
        let failures = self.summary.failures.groups().iter().map(|group| group.count);
        if counts.into_iter().chain(self.summary.due).chain(failures).any(|count| count > MOST) {
            return Err(damaged("a count is larger than any run can reach"));
        }
        Ok(())
    }
}

/// Whether a text is of this format, and of a version up to this one.
pub(super) fn check_header(text: &[u8], format: &str, version: u64) -> Result<(), SavedRunError> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(SavedRunError::Empty);
    }
    let header: Header<'_> = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    if header.format.and_then(|raw| serde_json::from_str::<&str>(raw.get()).ok()) != Some(format) {
        return Err(SavedRunError::OtherFormat);
    }
    for (part, raw, most) in [("plan", header.plan, LONGEST_PLAN), ("server", header.server, LONGEST_SERVER)] {
        if raw.is_some_and(|raw| raw.get().len() > most) {
            return Err(damaged(format!("its {part} is longer than {most} bytes")));
        }
    }
    match header.version.and_then(|raw| raw.get().parse().ok()) {
        Some(known) if (1..=version).contains(&known) => Ok(()),
        Some(newer) if newer > version => Err(SavedRunError::Newer(newer)),
        _ => Err(damaged("its version is not known")),
    }
}

pub(super) fn damaged(why: impl Into<String>) -> SavedRunError {
    SavedRunError::Damaged { why: why.into() }
}

/// The error for a text whose header could not be read.
fn unreadable(error: &serde_json::Error) -> SavedRunError {
    match error.classify() {
        serde_json::error::Category::Eof => SavedRunError::Truncated { line: error.line(), column: error.column() },
        // A list, a number or another JSON text that is not an object at all.
        serde_json::error::Category::Data => SavedRunError::OtherFormat,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            SavedRunError::NotJson { why: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Outcome;
    use crate::report::fixtures;
    use crate::report::{Format, Report, Text};

    #[test]
    fn a_run_is_read_as_it_was_written() {
        for (name, run) in fixtures::all() {
            let text = run.to_json().unwrap();
            assert!(text.starts_with(r#"{"format":"mcpace-run","version":1,"program":"mcpace"#), "{name}");
            let read = SavedRun::from_json(text.as_bytes()).unwrap();
            assert!(read.to_json().unwrap() == text, "{name}");
            assert_eq!(read.judge(&[]), run.judge(&[]), "{name}");
        }
    }

    #[test]
    fn a_warm_up_that_found_its_end_says_when_and_one_that_did_not_says_so() {
        let mut run = fixtures::two_minutes("a", 1, None);
        run.plan.run.warmup = Warmup::Auto;
        let said = |run: &SavedRun| {
            let notes = run.judge(&[]).unwrap().notes;
            notes.iter().find(|note| note.subject == Subject::Warmup).map(ToString::to_string).unwrap()
        };
        run.summary.warmup = Moment::from_nanos(17_000_000_000);
        assert!(
            said(&run).starts_with("warm-up ended after 17.0 s: p50, p95 and errors had been steady"),
            "{}",
            said(&run)
        );
        run.summary.warmup = run.plan.latest_warmup();
        assert!(said(&run).starts_with("no steady state was seen in 40.0 s, a third"), "{}", said(&run));
        let text = run.to_json().unwrap();
        assert!(text.contains(r#""warmup":"auto""#) && SavedRun::from_json(text.as_bytes()).unwrap().plan == run.plan);
    }

    #[test]
    fn a_run_in_which_times_grow_says_by_how_much() {
        let mut run = fixtures::two_minutes("a", 1, None);
        assert_eq!(run.judge(&[]).unwrap().notes, []);
        run = fixtures::run(run.plan, 120, |n, due| fixtures::Told {
            flow: 0,
            operation: (n % 3) as u16,
            fate: fixtures::answer(due, 100, 10_000 + n * 7919 % 900 + n, Outcome::Ok),
            said: None,
        });
        let notes = run.judge(&[]).unwrap().notes;
        let said: Vec<String> = notes.iter().map(|note| note.figure.clone()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        p50 grows by 5.97 ms a minute (5.81 ms to 6.13 ms)
        p95 grows by 6.26 ms a minute (6.00 ms to 6.52 ms)
        ");
    }

    #[test]
    fn each_kind_of_ending_is_read_as_it_was_written() {
        for ending in [
            Ending::Completed,
            Ending::Signal("SIGTERM".into()),
            Ending::Rule("abort on fail".into()),
            Ending::Asked,
            Ending::CutOff { at: Moment::from_nanos(7) },
            Ending::LostLanes { lost: 1, of: 2 },
        ] {
            let run = SavedRun { ending, ..fixtures::small() };
            assert_eq!(SavedRun::from_json(run.to_json().unwrap().as_bytes()).unwrap().ending, run.ending);
        }
    }

    #[test]
    fn what_is_no_saved_run_is_refused_with_the_reason() {
        let whole = fixtures::ok().to_json().unwrap();
        let error = |text: &str| SavedRun::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error(" \n"), SavedRunError::Empty);
        assert!(matches!(error(&whole[..whole.len() / 2]), SavedRunError::Truncated { line: 1, .. }));
        assert!(matches!(error("<html>404</html>"), SavedRunError::NotJson { .. }));
        for other in ["{}", "[]", "7", r#"{"format":"k6","version":1}"#, r#"{"format":{"mcpace-run":1}}"#] {
            assert_eq!(error(other), SavedRunError::OtherFormat, "{other}");
        }
        assert_eq!(error(&whole.replacen("\"version\":1", "\"version\":2", 1)), SavedRunError::Newer(2));
        assert!(matches!(error(r#"{"format":"mcpace-run","version":1}"#), SavedRunError::Damaged { .. }));
        assert!(SavedRun::from_json(&[0xff, 0xfe, 0x00]).is_err());
    }

    #[test]
    fn a_summary_of_another_plan_and_impossible_counts_are_damage() {
        let mut other = fixtures::ok();
        other.plan.operations.truncate(1);
        let mut full = fixtures::ok();
        full.summary.gauges.in_flight = u64::MAX;
        for run in [other, full] {
            let read = SavedRun::from_json(run.to_json().unwrap().as_bytes());
            assert!(matches!(read, Err(SavedRunError::Damaged { .. })));
        }
    }

    #[test]
    fn what_a_later_program_adds_is_passed_over() {
        let text = fixtures::ok().to_json().unwrap();
        let later = text.replacen("{\"format\"", "{\"colour\":\"blue\",\"format\"", 1);
        assert!(SavedRun::from_json(later.as_bytes()).unwrap().to_json().unwrap() == text);
    }

    /// Values that a place in a saved run does not expect.
    const VALUES: [&str; 14] = [
        "0",
        "-1",
        "1",
        "281474976710656",
        "18446744073709551615",
        "1e308",
        "-1e308",
        "0.5",
        "null",
        "true",
        "\"\"",
        "\"\\u0000\\u001b[31m\\u202e\"",
        "[]",
        "{}",
    ];

    /// The runs of the fixtures, as they are written.
    static WRITTEN: LazyLock<Vec<String>> =
        LazyLock::new(|| fixtures::all().iter().map(|(_, run)| run.to_json().unwrap()).collect());

    /// Shows every value within `value` that has no values in it, and then those that have.
    fn visit(value: &mut serde_json::Value, look: &mut dyn FnMut(&mut serde_json::Value)) {
        match value {
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| visit(item, look)),
            serde_json::Value::Object(members) => members.values_mut().for_each(|member| visit(member, look)),
            _ => {}
        }
        look(value);
    }

    /// Renders what is read of a text, if anything is.
    fn render(text: &[u8]) {
        if let Ok(run) = SavedRun::from_json(text)
            && let Ok(judgement) = run.judge(&[])
        {
            let mut page = String::new();
            Text::default().write(&Report::new(&run, &judgement), &mut page).unwrap();
        }
    }

    proptest! {
        #[test]
        fn other_values_in_any_place_end_in_an_error_or_in_a_run_that_can_be_rendered(
            which in 0..WRITTEN.len(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0..VALUES.len()), 1..4),
        ) {
            let mut run: serde_json::Value = serde_json::from_str(&WRITTEN[which]).unwrap();
            for (place, value) in changes {
                let mut count = 0;
                visit(&mut run, &mut |_| count += 1);
                let (place, mut at) = (place.index(count), 0);
                visit(&mut run, &mut |node| {
                    if at == place {
                        *node = serde_json::from_str(VALUES[value]).unwrap();
                    }
                    at += 1;
                });
            }
            render(run.to_string().as_bytes());
        }

        #[test]
        fn hostile_bytes_end_in_an_error_or_in_a_run_that_can_be_rendered(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            digits in any::<bool>(),
        ) {
            let mut text = fixtures::small().to_json().unwrap().into_bytes();
            for (place, byte) in changes {
                let place = place.index(text.len());
                // Changed digits keep the text readable, so that what it says is tried too.
                let byte = if digits { b'0' + byte % 10 } else { byte };
                if !digits || text[place].is_ascii_digit() {
                    text[place] = byte;
                }
            }
            render(&text);
        }
    }
}
