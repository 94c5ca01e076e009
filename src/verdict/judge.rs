//! The verdict: each objective against what was seen of it, and the run against what makes it untrustworthy.
//!
//! INVALID beats FAIL beats INCONCLUSIVE beats PASS. Only arrivals due after warm-up are judged. Each objective that is met
//! is so with an error of 5 %, which holds for all of them together too; those that are missed are so by Holm's method, so
//! that many objectives raise no more false alarms than one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::down;
use super::evidence::{Evidence, Part};
use super::figure;
use super::indicator::Indicator;
use super::interval::Interval;
use super::missing::Missing;
use super::objective::{Bound, Objective, Resolved};
use super::sustained::{ALLOWED, Stretch, Sustained};
use super::terms::{Judging, Terms};
use super::validity::{Remark, doubts, notes};
use crate::measure::{Phase, Quantile, Scope, Summary, Tally};
use crate::statistics::holm;

/// What is to be thought of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every objective is met.
    Pass,
    /// An objective is neither met nor missed, or there is none.
    Inconclusive,
    /// An objective is missed.
    Fail,
    /// The measurement itself is not to be trusted.
    Invalid,
}

/// How an objective stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is kept.
    Met,
    /// It is broken.
    Missed,
    /// Neither can be said.
    Undecided,
}

/// What was seen of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// A response time; unbounded where it falls among arrivals without a complete reply.
    Time(Quantile),
    /// A part of all arrivals, 0 to 1.
    Share(f64),
    /// What was intended, achieved and worst.
    Rate(Sustained),
}

/// An objective and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The promise.
    pub objective: Objective,
    /// What was seen; `None` where nothing was.
    pub observed: Option<Observed>,
    /// How it stands.
    pub standing: Standing,
    /// The same in a sentence.
    pub sentence: String,
    /// How much of what the objective allows is left: 1 all of it, 0 nothing, below 0 too much was used, −1 at least twice
    /// as much as allowed. For a quantile, of the share of calls that may be above the bound; for a rate, of the share of
    /// bad ends in the worst window. `None` where nothing was seen.
    pub budget_left: Option<f64>,
    /// How sure that is. `None` where it is judged by what was observed alone.
    pub sureness: Option<Sureness>,
    /// What it takes to decide it, where that is open.
    pub missing: Option<Missing>,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sureness {
    /// Between which values the truth lies with 90 % confidence, 5 % on either side. `None` where too few calls are
    /// independent to say, or nobody asked.
    pub interval: Option<Interval>,
    /// How many calls it rests on.
    pub calls: u64,
    /// How many independent calls would say as much.
    pub effective: f64,
    /// Whether the calls are taken as independent, because what was seen cannot tell.
    pub assumes_independence: bool,
}

/// All that can be said about whether a run was good.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Judgement {
    /// One for each objective, in their order.
    pub findings: Vec<Finding>,
    /// What makes the run INVALID.
    pub doubts: Vec<Remark>,
    /// What the reader should know.
    pub notes: Vec<Remark>,
}

impl Verdict {
    /// Every verdict, the better ones first.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Inconclusive, Self::Fail, Self::Invalid];
}

impl Judgement {
    /// The verdict that follows. What is learned from elsewhere (the host, say) may be added to the doubts and notes.
    pub fn verdict(&self) -> Verdict {
        let any = |standing| self.findings.iter().any(|finding| finding.standing == standing);
        if !self.doubts.is_empty() {
            Verdict::Invalid
        } else if any(Standing::Missed) {
            Verdict::Fail
        } else if any(Standing::Undecided) || self.findings.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
            Self::Invalid => "INVALID",
        })
    }
}

/// An objective, what it is about, and what was seen.
struct Case<'a> {
    objective: &'a Objective,
    tally: &'a Tally,
    stretch: Stretch,
    observed: Option<Observed>,
    /// The parts of the run that may speak against it, and for it.
    parts: [Part; 2],
    evidence: Option<[Evidence; 2]>,
}

/// Judges a run on these terms.
pub fn judge(summary: &Summary, objectives: &[Resolved], terms: &Terms) -> Judgement {
    let scopes: BTreeSet<Scope> = objectives.iter().map(|each| each.scope).chain([Scope::Total]).collect();
    let tallies: BTreeMap<Scope, Tally> =
        scopes.into_iter().map(|scope| (scope, summary.tally(scope, Some(Phase::Measure)))).collect();
    let cases: Vec<Case<'_>> = objectives
        .iter()
        .map(|each| {
            let tally = &tallies[&each.scope];
            // While the run goes on, what is still to come is not late.
            let end = summary.due.map(|_| summary.end_of(each.scope));
            let stretch = Stretch { duration: summary.measured_duration(each.scope), end };
            let observed = observe(each.objective.indicator(), tally, stretch);
            let sure = observed.filter(|_| terms.judging == Judging::Confident);
            let evidence = |part| sure.and_then(|_| Evidence::of(&each.objective, tally, part));
            let parts = terms.part.each_way(tally);
            let evidence = evidence(parts[0]).and_then(|against| {
                let in_favour = if parts[0] == parts[1] { against } else { evidence(parts[1])? };
                Some([against, in_favour])
            });
            Case { objective: &each.objective, tally, stretch, observed, parts, evidence }
        })
        .collect();
    let known: Vec<(usize, &Evidence)> =
        cases.iter().enumerate().filter_map(|(place, case)| Some((place, &case.evidence.as_ref()?[0]))).collect();
    let missed = holm(&known, terms.fail, |(_, evidence), error| evidence.is_above(error));
    let missed: BTreeSet<usize> =
        known.iter().zip(missed).filter(|(_, missed)| *missed).map(|((place, _), _)| *place).collect();
    let findings = cases.iter().enumerate().map(|(place, case)| find(case, missed.contains(&place), terms)).collect();
    let bounds = objectives.iter().filter_map(|each| match each.objective.bound() {
        Bound::Time(bound) => Some(bound),
        Bound::Share(_) | Bound::Rate(_) => None,
    });
    let (measured, tightest) = (&tallies[&Scope::Total], bounds.min());
    Judgement { findings, doubts: doubts(summary, measured, tightest), notes: notes(summary, measured, tightest) }
}

fn find(case: &Case<'_>, missed: bool, terms: &Terms) -> Finding {
    let objective = case.objective.clone();
    let Some(observed) = case.observed else {
        return Finding {
            sentence: format!("{objective}: nothing to judge it by was seen"),
            objective,
            observed: None,
            standing: Standing::Undecided,
            budget_left: None,
            sureness: None,
            missing: Some(Missing::NOTHING),
        };
    };
    let standing = match &case.evidence {
        None if met_as_observed(&objective, observed) => Standing::Met,
        None => Standing::Missed,
        Some(_) if missed => Standing::Missed,
        Some([_, in_favour]) if terms.pass.is_some_and(|error| in_favour.is_below(error)) => Standing::Met,
        Some(_) => Standing::Undecided,
    };
    let open = case.evidence.as_ref().filter(|_| standing == Standing::Undecided && terms.details);
    let rate = case.tally.ended() as f64 / case.stretch.duration.as_secs_f64().max(f64::MIN_POSITIVE);
    let sureness = case.evidence.as_ref().map(|[evidence, in_favour]| Sureness {
        interval: Some([evidence, in_favour])
            .filter(|_| terms.details)
            .and_then(|evidence| Interval::of(objective.indicator(), evidence, case.tally, case.parts)),
        calls: evidence.calls() as u64,
        effective: evidence.effective(),
        assumes_independence: evidence.assumes_independence(),
    });
    let interval = sureness.and_then(|sureness| sureness.interval);
    Finding {
        standing,
        sentence: format!("{objective}: {}", sentence(&observed, interval.as_ref(), &objective)),
        budget_left: Some(budget_left(&objective, &observed, case.tally)),
        missing: open.map(|[evidence, _]| match down::since(&case.tally.timeline) {
            Some(_) if evidence.is_scarce() => Missing::UP,
            _ => Missing::of(evidence, terms.errors(), rate),
        }),
        objective,
        observed: Some(observed),
        sureness,
    }
}

/// Whether what was observed is on the promised side of the bound.
fn met_as_observed(objective: &Objective, observed: Observed) -> bool {
    let comparison = objective.comparison();
    match (observed, objective.bound()) {
        (Observed::Time(seen), Bound::Time(bound)) => comparison.holds(&seen, &Quantile::Finite(bound)),
        (Observed::Share(seen), Bound::Share(bound)) => comparison.holds(&seen, &bound),
        // The intended rate is a sum over many cells: its last digits are not the user's.
        (Observed::Rate(seen), Bound::Rate(bound)) => {
            comparison.holds(&(seen.intended * (1.0 + 1e-9)), &bound.get()) && seen.was_kept_up()
        }
        _ => false,
    }
}

fn observe(indicator: Indicator, tally: &Tally, stretch: Stretch) -> Option<Observed> {
    match indicator {
        Indicator::ErrorRate => tally.error_rate().map(Observed::Share),
        Indicator::Dropped => tally.drop_rate().map(Observed::Share),
        Indicator::Rate => Sustained::of(tally, stretch).map(Observed::Rate),
        Indicator::Mean => tally.mean_of_all_calls().map(|mean| Observed::Time(Quantile::Finite(mean))),
        _ => tally.quantile(indicator.quantile()?).map(Observed::Time),
    }
}

fn sentence(observed: &Observed, interval: Option<&Interval>, objective: &Objective) -> String {
    let within = interval.map(|interval| format!(", {interval} with 90 % confidence")).unwrap_or_default();
    match observed {
        Observed::Time(Quantile::Finite(time)) => format!("{} was observed{within}", figure::time(*time)),
        Observed::Time(Quantile::Unbounded) => {
            "it falls among arrivals that got no complete reply, which is above every bound".to_owned()
        }
        Observed::Share(share) => format!("{} was observed{within}", figure::share(*share)),
        Observed::Rate(Sustained { intended, achieved, late, worst }) => {
            let rates = format!("{}/s intended, {}/s ok", figure::number(*intended), figure::number(*achieved));
            if matches!(objective.bound(), Bound::Rate(bound) if bound.get() > intended * (1.0 + 1e-9)) {
                return format!("{rates}; the load asked for less than the objective");
            }
            if *late > ALLOWED {
                let share = figure::share(*late);
                return format!("{rates}; the target fell behind: {share} were answered only after the schedule's end");
            }
            let begin = figure::number(worst.start.as_secs_f64());
            let share = figure::share(worst.bad_share());
            let (bad, scheduled) = (worst.bad, worst.scheduled);
            format!("{rates}; in the worst ten seconds, from {begin} s on, {bad} of {scheduled} ({share}) were not ok")
        }
    }
}

/// 1 − (used ÷ allowed), within −1 and 1.
fn budget_left(objective: &Objective, observed: &Observed, tally: &Tally) -> f64 {
    let (used, allowed) = match (observed, objective.bound()) {
        (Observed::Time(seen), Bound::Time(bound)) => match (objective.indicator().quantile(), seen) {
            (Some(quantile), _) if quantile < 1.0 => (tally.share_above(bound).unwrap_or(0.0), 1.0 - quantile),
            (_, Quantile::Finite(time)) => (time.as_secs_f64(), bound.as_secs_f64()),
            (_, Quantile::Unbounded) => return -1.0,
        },
        (Observed::Share(seen), Bound::Share(bound)) => (*seen, bound),
        (Observed::Rate(seen), Bound::Rate(bound)) if seen.intended * (1.0 + 1e-9) >= bound.get() => {
            (seen.worst.bad_share().max(seen.late), ALLOWED)
        }
        _ => return -1.0,
    };
    let share_used = if used == 0.0 { 0.0 } else { used / allowed };
    (1.0 - share_used).max(-1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::{Fate, Recorder, Sample, Shape};
    use crate::outcome::Outcome;
    use crate::time::Moment;

    const MS: u64 = 1_000_000;

    /// A run at 100/s for 20 s after a warm-up of 5 s with one operation, whose `n`-th arrival ends as `fate` says.
    fn run(fate: impl Fn(u64, Moment) -> Fate) -> Summary {
        let warmup = Moment::from_nanos(5000 * MS);
        let mut recorder = Recorder::new(&Shape { flows: 1, operations: 1, ..Shape::default() }, warmup);
        let mut summary = Summary::new(warmup);
        for sequence in 0..2500 {
            let intended = Moment::from_nanos(sequence * 10 * MS);
            let picked_up = intended.after(Duration::from_micros(30));
            recorder.picked_up(0, 0, intended, picked_up);
            let (flow, operation, substituted, fate) = (0, 0, false, fate(sequence, intended));
            recorder.record(&Sample { flow, operation, sequence, substituted, intended, picked_up, fate }, None);
            summary.expect(0, 0, intended, 1.0);
        }
        summary.absorb(&recorder);
        (summary.until, summary.due) = (Moment::from_nanos(25_000 * MS), Some(2500));
        summary
    }

    fn answered(intended: Moment, waited: u64, ms: u64, outcome: Outcome) -> Fate {
        let sent = intended.after(Duration::from_millis(waited));
        Fate::Answered { sent: Some(sent), first_byte: None, done: sent.after(Duration::from_millis(ms)), outcome }
    }

    fn judged(summary: &Summary, objectives: &[&str]) -> Judgement {
        on_terms(summary, objectives, &Terms { judging: Judging::Observed, ..Terms::default() })
    }

    fn on_terms(summary: &Summary, objectives: &[&str], terms: &Terms) -> Judgement {
        let operations = ["pay".to_owned(), "idle".to_owned()];
        let resolve = |text: &&str| text.parse::<Objective>().unwrap().resolve(&[], &operations).unwrap();
        judge(summary, &objectives.iter().map(resolve).collect::<Vec<_>>(), terms)
    }

    /// Every twentieth call takes 200 ms, every hundredth fails, the others take 20 ms; warm-up is all failures.
    fn mixed() -> Summary {
        run(|n, intended| match n {
            0..500 => answered(intended, 0, 900, Outcome::HttpError),
            _ if n % 100 == 7 => answered(intended, 0, 20, Outcome::ToolError),
            _ if n % 20 == 3 => answered(intended, 0, 200, Outcome::Ok),
            _ => answered(intended, 0, 20, Outcome::Ok),
        })
    }

    #[test]
    fn each_indicator_is_judged_by_what_was_observed_after_warm_up() {
        use Standing::{Met, Missed, Undecided};
        let table = [
            ("p50 < 21ms", Met),
            ("p95 < 21ms", Met),
            ("p99 < 150ms", Missed),
            ("p99 < 201ms", Met),
            ("max <= 200ms", Met),
            ("max < 200ms", Missed),
            ("mean < 30ms", Met),
            ("mean < 29ms", Missed),
            ("error_rate < 1.1%", Met),
            ("error_rate < 1%", Missed),
            ("error_rate <= 1%", Met),
            ("dropped <= 0%", Met),
            ("rate >= 100/s", Met),
            ("rate >= 101/s", Missed),
            ("p95(pay) < 21ms", Met),
            ("p95(idle) < 21ms", Undecided),
            ("rate(idle) >= 1/s", Undecided),
        ];
        let summary = mixed();
        for (text, standing) in table {
            let judgement = judged(&summary, &[text]);
            assert_eq!(judgement.findings[0].standing, standing, "{}", judgement.findings[0].sentence);
            assert_eq!(judgement.doubts, []);
        }
    }

    #[test]
    fn sentences_name_the_figure() {
        let judgement = judged(&mixed(), &["error_rate < 1%", "rate >= 200/s", "rate >= 100/s", "p95(idle) < 1s"]);
        let sentences: Vec<&str> = judgement.findings.iter().map(|finding| finding.sentence.as_str()).collect();
        insta::assert_snapshot!(sentences.join("\n"), @r"
        error_rate < 1%: 1% was observed
        rate >= 200/s: 100/s intended, 99/s ok; the load asked for less than the objective
        rate >= 100/s: 100/s intended, 99/s ok; in the worst ten seconds, from 15 s on, 10 of 1000 (1%) were not ok
        p95(idle) < 1s: nothing to judge it by was seen
        ");
    }

    #[test]
    fn missed_beats_undecided_beats_met_and_no_objective_is_inconclusive() {
        let summary = mixed();
        let verdict = |texts: &[&str]| judged(&summary, texts).verdict();
        assert_eq!(verdict(&["p50 < 1s"]), Verdict::Pass);
        assert_eq!(verdict(&["p50 < 1s", "p50(idle) < 1s"]), Verdict::Inconclusive);
        assert_eq!(verdict(&["p50 < 1s", "p50(idle) < 1s", "p50 < 2ms"]), Verdict::Fail);
        assert_eq!(verdict(&[]), Verdict::Inconclusive);
        assert!(Verdict::Invalid > Verdict::Fail && Verdict::Fail > Verdict::Inconclusive);
    }

    #[test]
    fn calls_without_a_reply_break_a_quantile_however_fast_the_others_were() {
        let summary = run(|n, intended| match n % 10 {
            0 => Fate::Dropped,
            1 => Fate::Abandoned,
            2 => answered(intended, 0, 1, Outcome::Disconnected),
            _ => answered(intended, 0, 1, Outcome::Ok),
        });
        let judgement = judged(&summary, &["p50 < 2ms", "p90 < 1h", "error_rate < 30%", "dropped < 11%"]);
        let standings: Vec<Standing> = judgement.findings.iter().map(|finding| finding.standing).collect();
        assert_eq!(standings, [Standing::Met, Standing::Missed, Standing::Missed, Standing::Met]);
        assert_eq!(judgement.findings[1].observed, Some(Observed::Time(Quantile::Unbounded)));
        assert_eq!(judgement.findings[2].observed, Some(Observed::Share(0.3)));
    }

    #[test]
    fn one_bad_window_breaks_a_rate_that_holds_on_average() {
        let summary = run(|n, intended| match n {
            1600..1615 => Fate::Dropped,
            _ => answered(intended, 0, 1, Outcome::Ok),
        });
        assert_eq!(judged(&summary, &["rate >= 100/s"]).verdict(), Verdict::Fail);
        assert_eq!(judged(&summary, &["error_rate < 1%"]).verdict(), Verdict::Pass);
    }

    #[test]
    fn the_budget_says_how_much_of_the_allowance_is_left() {
        let texts = ["p95 < 100ms", "p99 < 100ms", "error_rate < 4%", "mean < 58ms", "rate >= 100/s", "rate >= 200/s"];
        let judgement = judged(&mixed(), &texts);
        let left: Vec<f64> = judgement.findings.iter().map(|finding| finding.budget_left.unwrap()).collect();
        for (left, wanted) in left.iter().zip([0.0, -1.0, 0.75, 0.5, 0.0, -1.0]) {
            assert!((left - wanted).abs() < 0.01, "{left} {wanted}");
        }
    }

    #[test]
    fn a_run_without_samples_is_invalid_whatever_was_promised() {
        assert_eq!(judged(&Summary::default(), &["error_rate < 10%"]).verdict(), Verdict::Invalid);
        assert_eq!(judged(&Summary::default(), &[]).verdict(), Verdict::Invalid);
    }

    #[test]
    fn a_saturated_server_with_few_in_flight_fails_and_is_never_invalid() {
        let summary = run(|n, intended| answered(intended, n * 10, 20, Outcome::Ok));
        let judgement = judged(&summary, &["p95 < 21ms"]);
        assert_eq!((judgement.verdict(), judgement.doubts.len()), (Verdict::Fail, 0));
        assert!(summary.tally(Scope::Total, None).dispatch_lag.max() > Some(Duration::from_secs(20)));
    }
}
