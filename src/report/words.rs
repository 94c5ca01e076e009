//! Sentences and short texts that all formats share, so that they say the same.
//!
//! Names and words of a server are in them as they came: each format makes them harmless in its own way.

use super::humane::{bytes, clean, clip, count, counted, percent, quantile, rate};
use super::{End, Ending, Overall, Report, SavedRun};
use crate::measure::{Accounting, Quantile, Resource, Violations, Window};
use crate::plan::Flow;
use crate::time::{Moment, humane_duration};
use crate::verdict::{Finding, Interval, Observed, Standing, Sureness, Verdict};

/// What stands where there is nothing to show.
pub(super) const NOTHING: &str = "-";

/// The verdict, and why it is that one.
pub(super) struct Headline {
    /// The first sentence.
    pub(super) lead: String,
    /// What it rests on.
    pub(super) reasons: Vec<Reason>,
    /// What follows from it for the reader.
    pub(super) rest: Option<String>,
}

/// One reason for a verdict.
pub(super) struct Reason {
    /// A sentence without its full stop.
    pub(super) sentence: String,
    /// What it takes to decide it.
    pub(super) missing: Option<String>,
}

/// The verdict's reasons; of objectives no more than `most` columns are shown.
pub(super) fn headline(report: &Report<'_>, most: usize) -> Headline {
    let findings = &report.judgement.findings;
    let plain = |lead: &str| Headline { lead: lead.to_owned(), reasons: Vec::new(), rest: broken_promises(report) };
    let about = |standing, what: &str| {
        let some: Vec<&Finding> = findings.iter().filter(|finding| finding.standing == standing).collect();
        let objectives = counted(findings.len() as u64, "objective");
        let is = if some.len() == 1 { "is" } else { "are" };
        let reason = |finding: &&Finding| Reason {
            sentence: shortened(finding, most),
            missing: finding.missing.as_ref().map(ToString::to_string),
        };
        let lead = format!("{} of {objectives} {is} {what}:", some.len());
        Headline { lead, reasons: some.iter().map(reason).collect(), rest: broken_promises(report) }
    };
    match report.judgement.verdict() {
        Verdict::Invalid => {
            let doubts = report.judgement.doubts.iter();
            Headline {
                lead: "The measurement is not to be trusted:".to_owned(),
                reasons: doubts.map(|doubt| Reason { sentence: doubt.to_string(), missing: None }).collect(),
                rest: Some("What follows says little about the target.".to_owned()),
            }
        }
        Verdict::Fail => about(Standing::Missed, "missed"),
        Verdict::Inconclusive if findings.is_empty() => {
            plain("Nothing was promised, so nothing can be kept: give an --objective.")
        }
        Verdict::Inconclusive => about(Standing::Undecided, "neither met nor missed"),
        Verdict::Pass if findings.len() == 1 => plain("The objective is met."),
        Verdict::Pass => plain(&format!("All {} objectives are met.", findings.len())),
    }
}

/// What is said of money whatever the verdict: an error rate may allow what nobody would.
fn broken_promises(report: &Report<'_>) -> Option<String> {
    let violations = report.saved.summary.truth.violations();
    let each = |violations: &Violations| format!("{} ({})", violations.kind.name(), counted(violations.calls, "call"));
    let all: Vec<String> = violations.iter().map(each).collect();
    (!all.is_empty()).then(|| format!("The target broke promises about money: {}.", all.join(", ")))
}

/// A finding's sentence; that of a very long name keeps its end, which holds the figure.
fn shortened(finding: &Finding, most: usize) -> String {
    let objective = finding.objective.to_string();
    match finding.sentence.strip_prefix(&objective) {
        Some(rest) => format!("{}{rest}", clip(&clean(&objective), most)),
        None => finding.sentence.clone(),
    }
}

/// How a run came to its end, where that is not the usual one.
pub(super) fn ending(ending: &Ending) -> Option<String> {
    match ending {
        Ending::Completed => None,
        Ending::Signal(signal) => {
            Some(format!("{signal} stopped the run: the figures are of what was due until then."))
        }
        Ending::Asked => Some("The run was ended early by hand (mcpace ctl stop).".to_owned()),
        Ending::Rule(rule) => Some(format!("A rule stopped the run early: {rule}.")),
        Ending::CutOff { at } => {
            let reached = humane_duration(at.since(Moment::ZERO));
            Some(format!("The run was cut off: this was saved {reached} into it, and what came after it is lost."))
        }
        Ending::LostLanes { lost, of } => {
            Some(format!("{lost} of the generator's {of} lanes broke down: what they had to send was not sent."))
        }
    }
}

/// The target, what it calls itself, and what is spoken with it.
pub(super) fn target(saved: &SavedRun) -> String {
    let server = &saved.server;
    let name = server.name.as_deref().map(|name| format!("{}, ", clip(&clean(name), 40))).unwrap_or_default();
    let protocol = server.revision.as_deref().map_or_else(|| "no handshake".to_owned(), |r| format!("MCP {r}"));
    format!("{} ({name}{protocol})", saved.plan.target)
}

/// What a flow asks for.
pub(super) fn load(flow: &Flow) -> String {
    let arrivals = flow.arrivals;
    match flow.total {
        Some(total) if flow.load.is_endless() => {
            format!("{} until {}, {arrivals}", rate(flow.load.peak().get()), counted(total, "arrival"))
        }
        Some(total) => format!("{}, at most {}, {arrivals}", flow.load, counted(total, "arrival")),
        None => format!("{}, {arrivals}", flow.load),
    }
}

/// Between which values the truth lies, and on how many calls that rests.
pub(super) fn sure(sureness: &Sureness) -> String {
    let interval =
        sureness.interval.map_or_else(|| "no interval".to_owned(), |interval| format!("90 %: {}", ends(&interval)));
    format!("{interval}, {}", rests_on(sureness))
}

/// On how many calls a finding rests, and on how many independent ones.
pub(super) fn rests_on(sureness: &Sureness) -> String {
    let calls = counted(sureness.calls, "call");
    match sureness.effective.round() as u64 {
        _ if sureness.assumes_independence => format!("by {calls} taken as independent"),
        effective if effective >= sureness.calls => format!("by {calls}, independent"),
        effective => format!("by {calls}, as good as {} independent", count(effective)),
    }
}

/// The two ends of an interval.
pub(super) fn ends(interval: &Interval) -> String {
    let end = |end: &Observed| match end {
        Observed::Time(Quantile::Unbounded) | Observed::Rate(_) => None,
        Observed::Time(time) => Some(quantile(*time)),
        Observed::Share(share) => Some(percent(*share)),
    };
    match (end(&interval.low), end(&interval.high)) {
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) => format!("{low} or more"),
        (None, _) => "above every bound".to_owned(),
    }
}

/// What verdicts that rest on nothing bad having been seen rest on, where there are any.
pub(super) fn assumption(report: &Report<'_>) -> Option<String> {
    let assumed = |finding: &Finding| {
        finding.standing != Standing::Undecided
            && finding.sureness.is_some_and(|sureness| sureness.assumes_independence)
    };
    let third = humane_duration(report.overall.duration / 3);
    report.judgement.findings.iter().any(assumed).then(|| {
        format!(
            "Taken as independent: where no call was bad, or every one, or only seconds were seen, it cannot be told how \
             calls hang together. A target that stalls less often than once in {third} may not have shown it in this run."
        )
    })
}

/// Why an interval may lie within a bound that is still open, where the run was looked at before its end.
pub(super) fn looks(report: &Report<'_>) -> Option<String> {
    let looked = report.saved.looks.as_ref().filter(|looks| !looks.planned.early.is_empty())?;
    let sure = report.judgement.findings.iter().any(|finding| finding.sureness.is_some());
    let last = looked.stopped.map_or(looked.planned.last, |stopped| stopped.look);
    let confidence = |error: Option<f64>| error.map_or_else(|| "no".to_owned(), |error| percent(1.0 - error));
    sure.then(|| {
        format!(
            "{} before the end share the error of 5 %: the verdicts here took {} confidence for met and {} for missed, \
             more than the intervals have.",
            counted(looked.planned.early.len() as u64, "planned look"),
            confidence(last.pass),
            confidence(Some(last.fail))
        )
    })
}

/// What was seen of an objective.
pub(super) fn observed(finding: &Finding) -> String {
    match finding.observed {
        None => "nothing".to_owned(),
        Some(Observed::Time(time)) => quantile(time),
        Some(Observed::Share(share)) => percent(share),
        Some(Observed::Rate(seen)) => format!("{}, {} ok", rate(seen.intended), rate(seen.achieved)),
    }
}

/// How much of what the objective allows was used; beyond twice as much the judgement does not count.
pub(super) fn used(finding: &Finding) -> String {
    match finding.budget_left {
        None => NOTHING.to_owned(),
        Some(left) if left <= -1.0 => "200 % or more".to_owned(),
        Some(left) => format!("{:.0} %", (1.0 - left) * 100.0),
    }
}

/// The counts of a run, by their names.
pub(super) const fn counts(overall: &Overall) -> [(&'static str, u64); 6] {
    [
        ("scheduled", overall.scheduled),
        ("succeeded", overall.succeeded),
        ("failed", overall.failed),
        ("dropped", overall.dropped),
        ("abandoned", overall.abandoned),
        ("substituted", overall.substituted),
    ]
}

/// Rates and durations of a run, by their names.
pub(super) fn rates(overall: &Overall) -> [(&'static str, String); 6] {
    let success = overall.success_rate.map_or_else(|| NOTHING.to_owned(), percent);
    let achieved = match overall.intended_rate {
        intended if intended > 0.0 => {
            format!("{} ok ({})", rate(overall.achieved_rate), percent(overall.achieved_rate / intended))
        }
        _ => rate(overall.achieved_rate),
    };
    let warmup = match overall.warmup {
        none if none.is_zero() => "none".to_owned(),
        warmup => format!("{}, {} apart", humane_duration(warmup), counted(overall.warmup_scheduled, "arrival")),
    };
    [
        ("success rate", success),
        ("intended rate", rate(overall.intended_rate)),
        ("achieved rate", achieved),
        ("duration", humane_duration(overall.duration)),
        ("last answer", format!("{} later", humane_duration(overall.drain))),
        ("warm-up", warmup),
    ]
}

/// What the four times of a call are.
pub(super) const TIMES: &str = "Response time is what a user would feel, service time what the server took. Dispatch lag \
    is waiting for room and for a connection, pacing lag the generator's own error.";

/// What `no reply` among response times means, where it is there.
pub(super) fn no_reply(report: &Report<'_>) -> Option<String> {
    report.times.response.0.contains(&Some(Quantile::Unbounded)).then(|| {
        let without = counted(report.overall.without_reply, "arrival");
        let longest = report.times.longest_reply;
        let longest = longest
            .map_or_else(String::new, |longest| format!(" The longest reply took {}.", humane_duration(longest)));
        format!("no reply: it falls among the {without} without a complete reply, above every bound.{longest}")
    })
}

/// Whose fault it is that arrivals ended so.
pub(super) fn fault(end: End) -> String {
    match (end, end.fault()) {
        (_, Some(fault)) => fault.to_string(),
        (End::Dropped, None) => "never sent: no room in time".to_owned(),
        (_, None) => "unanswered at the end".to_owned(),
    }
}

/// A resource of the target's process.
pub(super) const fn resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Processor => "processors",
        Resource::Memory => "memory",
        Resource::Descriptors => "descriptors",
        Resource::Threads => "threads",
    }
}

/// So much of a resource.
pub(super) fn amount(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Processor => format!("{:.2}", value / 1000.0),
        Resource::Memory => bytes(value),
        Resource::Descriptors | Resource::Threads => count(value.round() as u64),
    }
}

/// How a resource developed: its least, its mean, its most, its last level, and by how much it grows in an hour.
pub(super) fn trend(report: &Report<'_>, of: Resource) -> [String; 5] {
    let summary = &report.saved.summary;
    let Some(trend) = summary.usage.trend(of, summary.warmup) else { return [NOTHING; 5].map(str::to_owned) };
    let hour = trend.per_hour.map_or_else(
        || NOTHING.to_owned(),
        |growth| format!("{}{}", if growth < 0.0 { "-" } else { "+" }, amount(of, growth.abs())),
    );
    let [min, max] = [trend.level.min(), trend.level.max()].map(|level| amount(of, level.unwrap_or_default() as f64));
    [min, amount(of, trend.level.mean().unwrap_or_default()), max, amount(of, trend.last), hour]
}

/// How the generator fared, as far as that could be seen.
pub(super) fn generator(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let health = report.saved.summary.health.together(report.saved.summary.warmup);
    let mut facts = Vec::new();
    if let (Some(ran), Some(waited), Some(wait)) = (health.ran_share(), health.waited_share(), health.wait_per_turn()) {
        let text = format!(
            "lanes ran {} of the time and waited {} for a processor, {} each time on average",
            percent(ran),
            percent(waited),
            humane_duration(wait)
        );
        facts.push(("processor", text));
    }
    if let Some(stolen) = health.stolen_share().filter(|share| *share > 0.0) {
        facts.push(("stolen", format!("{} of this machine's time, by other virtual machines", percent(stolen))));
    }
    let dispersions = (health.intended.dispersion(Window::Fine), health.sent.dispersion(Window::Fine));
    if let (Some(intended), Some(sent)) = dispersions {
        let length = humane_duration(Window::Fine.length());
        let text = format!("index {sent:.2} as sent, {intended:.2} as scheduled, in windows of {length}");
        facts.push(("dispersion", text));
    }
    if let (Some(most), Some(allowed)) = (health.descriptors.max(), health.most_descriptors.min()) {
        facts.push(("descriptors", format!("{} at most, of {} that may be open", count(most), count(allowed))));
    }
    facts
}

/// Looks at the target's process that saw nothing, where there were any.
pub(super) fn missed_looks(report: &Report<'_>) -> Option<String> {
    let cells = report.saved.summary.usage.cells();
    let missed: u64 = cells.fold(0, |sum, cell| sum.saturating_add(cell.missed));
    (missed > 0).then(|| {
        format!("{} saw nothing: the process was gone, or its metrics did not answer.", counted(missed, "look"))
    })
}

/// The machine of the generator.
pub(super) fn host(saved: &SavedRun) -> String {
    let host = &saved.host;
    let name = host.name.as_deref().map(|name| format!("{}, ", clip(&clean(name), 40))).unwrap_or_default();
    format!("{name}{} {}, {}", host.os, host.arch, counted(u64::from(host.cpus), "CPU"))
}

/// Where every arrival of the whole run is.
pub(super) fn accounts(accounting: &Accounting) -> String {
    let places = [
        (accounting.answered, "answered"),
        (accounting.dropped, "dropped"),
        (accounting.abandoned, "abandoned"),
        (accounting.waiting, "waiting"),
        (accounting.in_flight, "in flight"),
    ];
    // Of a run that is over, nothing is waiting or in flight.
    let known = places.iter().enumerate().filter(|(place, (number, _))| *place < 3 || *number > 0);
    let places: Vec<String> = known.map(|(_, (number, place))| format!("{} {place}", count(*number))).collect();
    let sign = if accounting.balanced() { "=" } else { "IS NOT" };
    format!("{} scheduled {sign} {}", count(accounting.scheduled), places.join(" + "))
}

/// How to see the run again.
pub(super) fn again(report: &Report<'_>) -> String {
    match report.file {
        Some(file) => format!("mcpace report {file}"),
        None => "with --out FILE.json a run is kept, to be shown and judged again".to_owned(),
    }
}
