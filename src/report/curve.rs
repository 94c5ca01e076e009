//! What a search found, for readers: how the target does at each rate, the rate that it held, and what limits it.

use super::capacity::{Made, SavedCapacity};
use super::saved::{SavedRun, SavedRunError};
use crate::measure::{Phase, Quantile, Scope};
use crate::verdict::search::{Limit, Probe, Progress, Purpose, Why};
use crate::verdict::{Judgement, Standing, Verdict};

/// All that is shown of a search.
#[derive(Debug)]
pub struct CapacityReport<'a> {
    /// The search.
    pub saved: &'a SavedCapacity,
    /// The file that it is saved in, if it is.
    pub file: Option<&'a str>,
    /// What is to be thought of it.
    pub verdict: Verdict,
    /// How it stands.
    pub progress: Progress,
    /// The target at each rate that was tried, ascending: the last probe of each purpose at each rate.
    pub curve: Vec<Point>,
    /// The hold that confirmed the rate, where one did.
    pub confirmed: Option<(SavedRun, Judgement)>,
    /// Why the lowest rate that is not held is not, in sentences.
    pub limit: Vec<String>,
    /// Calls of all probes.
    pub calls: u64,
    /// Calls between the probes.
    pub calls_between: u64,
    /// Probes before which the target had not recovered.
    pub unrecovered: Vec<Probe>,
}

/// How the target did in one probe, over all arrivals after warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// What was tried.
    pub probe: Probe,
    /// What came of it; `None` where it was broken off.
    pub verdict: Option<Verdict>,
    /// Median, p95 and p99 of response time; `None` where no arrival came to an end.
    pub response: [Option<Quantile>; 3],
    /// The share (0 to 1) of the arrivals that did not end ok.
    pub not_ok: Option<f64>,
}

impl<'a> CapacityReport<'a> {
    /// The report of `saved`.
    ///
    /// # Errors
    ///
    /// Where the run of a probe cannot be read: not in a search that was read or is going on.
    pub fn new(saved: &'a SavedCapacity) -> Result<Self, SavedRunError> {
        let progress = saved.progress();
        let (mut points, mut calls): (Vec<Point>, _) = (Vec::new(), 0);
        for made in &saved.probes {
            let run = made.run()?;
            let point = Point::of(made, &run);
            calls += run.summary.accounting().scheduled;
            points.retain(|known| !known.is_again(&point));
            points.push(point);
        }
        points.sort_by(|left, right| left.probe.rate.get().total_cmp(&right.probe.rate.get()));
        let last =
            |limit: Limit| saved.probes.iter().rfind(|made| made.probe.rate == limit.rate && made.verdict.is_some());
        let limit = match progress.limit.and_then(|limit| Some((limit, last(limit)?))) {
            Some((limit, made)) => reasons(limit, &judged(made)?.1),
            None => Vec::new(),
        };
        let confirms = |made: &&Made| {
            made.probe.purpose == Purpose::Hold
                && made.verdict == Some(Verdict::Pass)
                && Some(made.probe.rate) == progress.held
        };
        Ok(Self {
            saved,
            file: None,
            verdict: saved.verdict(),
            progress,
            curve: points,
            confirmed: saved.probes.iter().rfind(confirms).map(judged).transpose()?,
            limit,
            calls,
            calls_between: saved.probes.iter().map(|made| made.cool_down.calls).sum(),
            unrecovered: saved.probes.iter().filter(|made| !made.cool_down.recovered).map(|made| made.probe).collect(),
        })
    }

    /// The same report, which knows that the search is saved in `file`.
    #[must_use]
    pub const fn saved_in(mut self, file: &'a str) -> Self {
        self.file = Some(file);
        self
    }
}

impl Point {
    fn of(made: &Made, run: &SavedRun) -> Self {
        let measured = run.summary.tally(Scope::Total, Some(Phase::Measure));
        Self {
            probe: made.probe,
            verdict: made.verdict,
            response: [0.5, 0.95, 0.99].map(|quantile| measured.quantile(quantile)),
            not_ok: measured.error_rate(),
        }
    }

    /// Whether `later` is the same once more: longer, or because this one could not be trusted.
    fn is_again(&self, later: &Self) -> bool {
        (self.probe.rate, self.probe.purpose) == (later.probe.rate, later.probe.purpose)
    }
}

fn judged(made: &Made) -> Result<(SavedRun, Judgement), SavedRunError> {
    let run = made.run()?;
    let judgement = run.judge(&[]).map_err(|why| super::saved::damaged(why.to_string()))?;
    Ok((run, judgement))
}

/// What the verdict on the limiting probe rests on.
fn reasons(limit: Limit, judgement: &Judgement) -> Vec<String> {
    let findings = |standing| {
        let such = judgement.findings.iter().filter(move |finding| finding.standing == standing);
        such.map(|finding| finding.sentence.clone()).collect()
    };
    match limit.why {
        Why::Missed => findings(Standing::Missed),
        Why::Undecided => findings(Standing::Undecided),
        // The ways out of a run are not those of a search.
        Why::Generator | Why::Noise => judgement.doubts.iter().map(|doubt| doubt.figure.clone()).collect(),
    }
}
