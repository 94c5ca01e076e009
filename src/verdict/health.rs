//! The generator's health: had it a processor when it wanted one, did it send as evenly as asked, what had it left.
//!
//! All thresholds follow from one: pacing lag may take 5 % of the tightest time bound, at least 1 ms ([`pacing_limit`]).
//! Whoever bounds times in seconds need not care for a processor that comes 3 ms late; whoever bounds them at 20 ms must.

use std::time::Duration;

use super::figure;
use super::validity::{Remark, Subject, pacing_limit};
use crate::measure::{Health, Stretch, Summary, Window};

/// The share of the time in which the average wait for a processor may be above the limit: as many as the p99 of pacing
/// lag lets pass.
const STARVED_SHARE: f64 = 0.01;
/// From this part of the limit on, the wait for a processor is worth a note.
const NOTED_SHARE: f64 = 0.1;
/// From this share of the machine's time on, other virtual machines are worth a note.
const NOTED_STOLEN: f64 = 0.02;
/// How much the index of dispersion of what was sent may differ from that of the schedule: by half of the latter, and by
/// half of a Poisson process's where the latter is lower. Half as many arrivals in a burst more or less is another load.
const UNEVEN: f64 = 0.5;
/// No difference matters that moves the counts in windows by less than this part of their mean: at high rates the index
/// of dispersion sees what no server feels.
const FELT: f64 = 0.05;
/// With fewer arrivals or seconds the dispersion says nothing.
const ENOUGH_ARRIVALS: u64 = 100;
const ENOUGH_SECONDS: u64 = 3;
/// From this part of what there is on, descriptors and ports are scarce.
const SCARCE: f64 = 0.9;

/// Lanes waited for a processor so long that what they measured is late by more than the limit.
///
/// Pacing lag sees that where an arrival is picked up; where a reply has to wait for its lane, nothing else does. The
/// average wait of a turn within a second is known, from the kernel. A second in which it is above the limit is one in
/// which the average call is measured too long by that much; more than one in a hundred of them is too many.
pub(super) fn starved(summary: &Summary, tightest: Option<Duration>) -> Option<Remark> {
    let limit = pacing_limit(tightest);
    let (mut all, mut late) = (Health::default(), Health::default());
    for stretch in summary.health.since(summary.warmup).filter(|stretch| stretch.watched > 0) {
        all.merge(stretch);
        if stretch.wait_per_turn().is_some_and(|wait| wait > limit) {
            late.merge(stretch);
        }
    }
    let share = late.watched as f64 / all.watched as f64;
    let wait = late.wait_per_turn().filter(|_| share > STARVED_SHARE)?;
    let (share, wait, limit) = (figure::share(share), figure::time(wait), figure::time(limit));
    let figure = format!(
        "in {share} of the time the generator waited {wait} on average for a processor, above {limit}{}",
        taken_by(&late)
    );
    Some(Remark::new(Subject::Starved, figure, remedy(&late)))
}

/// The wait is bearable, and worth knowing.
pub(super) fn hungry(summary: &Summary, tightest: Option<Duration>) -> Option<Remark> {
    let limit = pacing_limit(tightest);
    let all = summary.health.together(summary.warmup);
    let wait = all.wait_per_turn().filter(|wait| *wait > limit.mul_f64(NOTED_SHARE))?;
    let figure = format!(
        "the generator waited {} on average for a processor, of {} that would matter{}",
        figure::time(wait),
        figure::time(limit),
        taken_by(&all)
    );
    Some(Remark::new(Subject::Starved, figure, remedy(&all)))
}

/// Another virtual machine has a part of this one's processors.
pub(super) fn stolen(summary: &Summary) -> Option<Remark> {
    let share = summary.health.together(summary.warmup).stolen_share().filter(|share| *share > NOTED_STOLEN)?;
    let figure = format!("other virtual machines took {} of this one's processor time", figure::share(share));
    Some(Remark::new(
        Subject::Host,
        figure,
        "times of a few milliseconds may be theirs; use a host with processors of its own",
    ))
}

fn taken_by(health: &Health) -> String {
    let waited = health.waited_share().map(|share| format!("{} of the time for other threads", figure::share(share)));
    let stolen = health.stolen_share().filter(|share| *share >= 0.001);
    let stolen = stolen.map(|share| format!("{} of this machine's time was stolen by others", figure::share(share)));
    let both: Vec<String> = waited.into_iter().chain(stolen).collect();
    if both.is_empty() { String::new() } else { format!(" ({})", both.join(", ")) }
}

fn remedy(health: &Health) -> &'static str {
    let (waited, stolen) = (health.waited_share().unwrap_or(0.0), health.stolen_share().unwrap_or(0.0));
    if stolen > waited {
        "use a host whose processors are not shared with other virtual machines"
    } else {
        "leave it a core of its own: end what else runs on this host, or use another, and raise a container's CPU limit"
    }
}

/// What was sent was not spread as the schedule was.
///
/// Measured as the difference of their indices of dispersion, in the same windows: the shortest that are at least as long
/// as pacing lag may be, because what is moved by less does not matter. Where pacing lag may be more than the longest,
/// it judges alone. A test for goodness of fit would refuse any real clock in a long run; this is a size that does not
/// grow with the run.
pub(super) fn uneven(summary: &Summary, tightest: Option<Duration>) -> Option<Remark> {
    let limit = pacing_limit(tightest);
    let window = Window::ALL.into_iter().find(|window| window.length() >= limit)?;
    let health = summary.health.together(summary.warmup);
    let (intended, sent) = (health.intended, health.sent);
    if intended.arrivals().min(sent.arrivals()) < ENOUGH_ARRIVALS
        || intended.seconds().min(sent.seconds()) < ENOUGH_SECONDS
    {
        return None;
    }
    let (mean, variance) = intended.counts(window)?;
    let (_, really) = sent.counts(window)?;
    let moved = (really - variance).abs();
    if moved / mean <= UNEVEN * (variance / mean).max(1.0) || moved.sqrt() <= FELT * mean {
        return None;
    }
    let (asked, was) = (figure::number(variance / mean), figure::number(really / mean));
    let how = if really > variance { "in bunches" } else { "more evenly than asked" };
    let figure = format!(
        "arrivals were sent {how}: the index of dispersion in windows of {} was {was}, that of the schedule {asked}",
        figure::time(window.length())
    );
    Some(Remark::new(Subject::Dispersion, figure, "lower --rate, add --lanes, or use a host with a free core"))
}

/// File descriptors or ports were nearly used up.
pub(super) fn scarce(summary: &Summary) -> Vec<Remark> {
    let health = summary.health.together(crate::time::Moment::ZERO);
    let nearly = |used: Option<u64>, most: Option<u64>| {
        let (used, most) = (used?, most?);
        (most > 0 && used as f64 >= SCARCE * most as f64).then_some((used, most))
    };
    let descriptors = nearly(health.descriptors.max(), health.most_descriptors.min()).map(|(used, most)| {
        let figure = format!("{used} file descriptors were open, of {most} that may be");
        Remark::new(Subject::LocalResources, figure, "raise `ulimit -n`, or lower --concurrent")
    });
    let ports = nearly(health.sockets.max(), health.ports.min()).map(|(used, most)| {
        let figure =
            format!("this machine had {used} TCP sockets, and has {most} ports for connections to one address");
        let remedy = "let the target keep connections alive, or widen net.ipv4.ip_local_port_range";
        Remark::new(Subject::LocalResources, figure, remedy)
    });
    descriptors.into_iter().chain(ports).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Level;
    use crate::time::Moment;

    const MS: u64 = 1_000_000;
    const BOUND: Option<Duration> = Some(Duration::from_millis(100));

    /// A hundred seconds of one lane with 100 turns a second; in each it waits as `waited` says, in all, and other machines
    /// steal `stolen` of the 200 ticks, of which the processors are busy here in `busy`.
    fn watched(waited: impl Fn(u64) -> Duration, (busy, stolen): (u64, u64)) -> Summary {
        let mut summary = Summary::new(Moment::from_nanos(10_000 * MS));
        for second in 0..100 {
            let waited = waited(second).as_nanos() as u64;
            let health = Health { watched: 1000 * MS, ran: 100 * MS, waited, turns: 100, ..Health::default() };
            let health = Health { ticks: 200, busy, stolen, ..health };
            summary.health.at(Moment::from_nanos(second * 1000 * MS)).merge(&health);
        }
        summary
    }

    #[test]
    fn a_generator_that_waits_for_a_processor_longer_than_the_limit_is_starved() {
        let every = |ms| watched(move |_| Duration::from_millis(ms), (100, 0));
        // 600 ms in 100 turns are 6 ms a turn, and 5 ms are the limit of a bound of 100 ms.
        insta::assert_snapshot!(starved(&every(600), BOUND).unwrap(), @"in 100% of the time the generator waited 6ms on average for a processor, above 5ms (60% of the time for other threads): leave it a core of its own: end what else runs on this host, or use another, and raise a container's CPU limit");
        assert_eq!(starved(&every(490), BOUND), None);
        assert_eq!(starved(&every(600), Some(Duration::from_millis(200))), None);
        let in_one_second = watched(|second| Duration::from_millis(if second == 50 { 900 } else { 1 }), (100, 0));
        let in_two = watched(|second| Duration::from_millis(if second / 2 == 25 { 900 } else { 1 }), (100, 0));
        assert_eq!(starved(&in_two, BOUND).map(|doubt| doubt.subject), Some(Subject::Starved));
        let in_warm_up = watched(|second| Duration::from_millis(if second < 10 { 900 } else { 1 }), (100, 0));
        assert_eq!(starved(&in_warm_up, BOUND), None);
        // Of the 90 seconds after warm-up one is more than 1 %.
        assert!(starved(&in_one_second, BOUND).is_some());
    }

    #[test]
    fn time_that_other_machines_take_counts_as_waiting_and_is_named() {
        // Stolen as long as busy: the 100 ms that the lane ran took 100 ms more, which is 1 ms a turn.
        let robbed = watched(|_| Duration::ZERO, (100, 100));
        assert_eq!(starved(&robbed, BOUND), None);
        // Nine times as long: 9 ms a turn.
        let doubt = starved(&watched(|_| Duration::ZERO, (20, 180)), BOUND).unwrap();
        assert!(doubt.figure.contains("waited 9ms") && doubt.remedy.contains("other virtual machines"), "{doubt}");
        insta::assert_snapshot!(stolen(&robbed).unwrap(), @"other virtual machines took 50% of this one's processor time: times of a few milliseconds may be theirs; use a host with processors of its own");
        assert_eq!(stolen(&watched(|_| Duration::ZERO, (100, 3))), None);
    }

    #[test]
    fn a_wait_of_a_tenth_of_the_limit_is_a_note() {
        let every = |ms| watched(move |_| Duration::from_millis(ms), (100, 0));
        insta::assert_snapshot!(hungry(&every(60), BOUND).unwrap(), @"the generator waited 600us on average for a processor, of 5ms that would matter (6% of the time for other threads): leave it a core of its own: end what else runs on this host, or use another, and raise a container's CPU limit");
        assert_eq!(hungry(&every(40), BOUND), None);
    }

    #[test]
    fn a_kernel_that_says_nothing_is_no_doubt() {
        let mut blind = Summary::default();
        blind.health.at(Moment::ZERO).ticks = 0;
        assert_eq!((starved(&blind, BOUND), hungry(&blind, BOUND), stolen(&blind)), (None, None, None));
        assert_eq!((uneven(&blind, BOUND), scarce(&blind)), (None, vec![]));
    }

    #[test]
    fn what_is_nearly_used_up_is_a_note() {
        let mut summary = Summary::default();
        let cell = summary.health.at(Moment::ZERO);
        (cell.descriptors, cell.most_descriptors) = (Level::of(950), Level::of(1000));
        (cell.sockets, cell.ports) = (Level::of(100), Level::of(28_000));
        let texts: Vec<String> = scarce(&summary).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["950 file descriptors were open, of 1000 that may be: raise `ulimit -n`, or lower --concurrent"]
        );
        summary.health.at(Moment::ZERO).sockets = Level::of(27_000);
        assert!(scarce(&summary)[1].figure.starts_with("this machine had 27000 TCP sockets"));
    }
}
