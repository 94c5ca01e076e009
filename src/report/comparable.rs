//! Whether saved runs can be held against each other: only where the target is what differs.

use super::humane::{clean, clip, counted};
use super::{Ending, SavedRun};
use crate::measure::{EventKind, Phase, Scope};
use crate::plan::{Flow, Plan};
use crate::time::{Moment, format_duration};

/// How much of a name is shown.
const NAME: usize = 40;

/// What stands between a base run and the new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Why the two cannot be compared, each with the way out.
    pub refusals: Vec<String>,
    /// What differs too, and may be why.
    pub notes: Vec<String>,
}

/// What differs between `base` and `new` that could make figures differ whatever the target is.
pub fn differences(base: &SavedRun, new: &SavedRun) -> Differences {
    let mut found = Differences::default();
    let (old, fresh) = (&base.plan, &new.plan);
    operations(old, fresh, &mut found);
    flows(old, fresh, &mut found);
    limits(base, new, &mut found);
    wire(base, new, &mut found);
    surroundings(base, new, &mut found);
    found
}

/// Why figures of `run` are no measure at all.
pub fn unfit(run: &SavedRun) -> Vec<String> {
    let mut refusals = Vec::new();
    match &run.ending {
        Ending::Completed => {}
        Ending::Signal(signal) => {
            refusals.push(format!("{signal} stopped it, so it is not the whole load: let it run to its end"));
        }
        Ending::Rule(rule) => {
            let rule = clip(&clean(rule), 2 * NAME);
            refusals.push(format!("it stopped because of its own figures ({rule}): let it run to its end"));
        }
        Ending::Asked => {
            refusals.push("it was ended by hand, so it is not the whole load: let it run to its end".to_owned());
        }
        Ending::CutOff { .. } => refusals.push("it was cut off: let it run to its end".to_owned()),
        Ending::LostLanes { lost, of } => {
            refusals
                .push(format!("{lost} of its {of} lanes broke down, so it did not send the whole load: run it again"));
        }
    }
    let by_hand = run.summary.events.kept().iter().filter(|event| event.kind.is_by_hand());
    let changes = by_hand.filter(|event| event.kind != EventKind::StopAsked).count() as u64;
    if changes > 0 {
        let times = counted(changes, "time");
        refusals.push(format!("its load was changed by hand ({times}), so no other run has the same: run it without"));
    }
    // Whatever its objectives are, a doubt is about the measurement itself.
    let doubts = run.judge(&[]).map(|judgement| judgement.doubts).unwrap_or_default();
    refusals.extend(doubts.iter().map(|doubt| format!("it is INVALID: {doubt}")));
    refusals
}

fn operations(old: &Plan, fresh: &Plan, found: &mut Differences) {
    let list = |names: &[&str]| names.iter().map(|name| clip(&clean(name), NAME)).collect::<Vec<_>>().join(", ");
    let missing = |here: &Plan, there: &Plan| -> Vec<String> {
        let known = there.operation_names();
        here.operation_names().into_iter().filter(|name| !known.contains(name)).collect()
    };
    let (gone, come) = (missing(old, fresh), missing(fresh, old));
    for (names, whose) in [(&gone, "base run"), (&come, "new run")] {
        if !names.is_empty() {
            let names = list(&names.iter().map(String::as_str).collect::<Vec<_>>());
            found.refusals.push(format!("only the {whose} calls {names}: give both the same operations"));
        }
    }
    for operation in &old.operations {
        let Some(other) = fresh.operations.iter().find(|other| other.name == operation.name) else { continue };
        let name = clip(&clean(&operation.name), NAME);
        if other.output_schema != operation.output_schema {
            found.notes.push(format!("the results of {name} are held to different output schemas"));
        }
        // Everything else makes its calls, or says when they are ok.
        let mut alike = operation.clone();
        alike.output_schema.clone_from(&other.output_schema);
        if alike != *other {
            found.refusals.push(format!(
                "{name} is called otherwise (its tool, arguments or expectations): give both the same definition"
            ));
        }
    }
}

fn flows(old: &Plan, fresh: &Plan, found: &mut Differences) {
    if old.flow_names() != fresh.flow_names() {
        let names = |plan: &Plan| clip(&clean(&plan.flow_names().join(", ")), 2 * NAME);
        let (old, fresh) = (names(old), names(fresh));
        found.refusals.push(format!("the flows are {old} and {fresh}: give both the same plan"));
        return;
    }
    for (old, fresh) in old.flows.iter().zip(&fresh.flows) {
        let name = clip(&clean(&old.name), NAME);
        let load = |flow: &Flow| match flow.total {
            Some(total) => format!("{}, at most {total} arrivals", flow.load),
            None => flow.load.to_string(),
        };
        if load(old) != load(fresh) {
            let (old, fresh) = (load(old), load(fresh));
            found.refusals.push(format!("the load of flow {name} is {old}, and {fresh}: give both the same"));
        }
        if old.arrivals != fresh.arrivals {
            let (old, fresh) = (old.arrivals, fresh.arrivals);
            found.refusals.push(format!("the arrivals of flow {name} are {old}, and {fresh}: give both the same"));
        }
        if !same_mix(&old.mix, &fresh.mix) {
            found.refusals.push(format!("the mix of flow {name} differs: give both the same weights"));
        }
    }
}

/// Whether each operation has the same share; the order in which a plan lists them is no matter.
fn same_mix(old: &[(String, f64)], fresh: &[(String, f64)]) -> bool {
    let share = |mix: &[(String, f64)], name: &str| {
        let all: f64 = mix.iter().map(|(_, weight)| weight).sum();
        mix.iter().filter(|(each, _)| each == name).map(|(_, weight)| weight).sum::<f64>() / all
    };
    let mut names = old.iter().chain(fresh).map(|(name, _)| name);
    names.all(|name| (share(old, name) - share(fresh, name)).abs() < 1e-9)
}

fn limits(base: &SavedRun, new: &SavedRun, found: &mut Differences) {
    let (old, fresh) = (&base.plan.run, &new.plan.run);
    if old.timeout != fresh.timeout {
        let (old, fresh) = (format_duration(old.timeout), format_duration(fresh.timeout));
        found.refusals.push(format!("the timeout is {old}, and {fresh}: give both the same --timeout"));
    }
    if old.warmup != fresh.warmup {
        let (old, fresh) = (old.warmup, fresh.warmup);
        found.refusals.push(format!("the warm-up is {old}, and {fresh}: give both the same --warmup"));
    }
    let (ended, ends) = (base.summary.warmup, new.summary.warmup);
    if old.warmup == fresh.warmup && ended != ends {
        let long = |end: Moment| format_duration(end.since(Moment::ZERO));
        found.notes.push(format!("warm-up found its end after {}, and after {}", long(ended), long(ends)));
    }
    if old.max_reply_bytes != fresh.max_reply_bytes {
        found.refusals.push("replies are read up to different lengths: give both the same max_reply_bytes".to_owned());
    }
    if old.concurrent != fresh.concurrent {
        let said = format!("the limit of calls in flight is {}, and {}", old.concurrent, fresh.concurrent);
        let dropped = |run: &SavedRun| run.summary.tally(Scope::Total, Some(Phase::Measure)).dropped > 0;
        if dropped(base) || dropped(new) {
            found.refusals.push(format!("{said}, and arrivals were dropped for want of room: give both the same"));
        } else {
            found.notes.push(said);
        }
    }
    if old.trace != fresh.trace {
        found.notes.push("only one of them told the server traces, which it may keep at a cost".to_owned());
    }
    if old.lanes != fresh.lanes || old.pacing != fresh.pacing {
        found.notes.push("lanes or pacing of the generator differ".to_owned());
    }
}

fn wire(base: &SavedRun, new: &SavedRun, found: &mut Differences) {
    let (old, fresh) = (&base.plan, &new.plan);
    if base.server.revision != new.server.revision {
        let name = |run: &SavedRun| run.server.revision.as_deref().map_or_else(|| "none".to_owned(), clean);
        let (old, fresh) = (name(base), name(new));
        found.refusals.push(format!(
            "the MCP revision spoken is {old}, and {fresh}, whose calls are not the same on the wire: give both the same \
             --protocol"
        ));
    }
    if old.sessions != fresh.sessions {
        let (old, fresh) = (old.sessions, fresh.sessions);
        found.refusals.push(format!("sessions are used as {old}, and {fresh}: give both the same --sessions"));
    }
    let way = |plan: &Plan| (plan.connection.http2, plan.connection.per_call);
    if way(old) != way(fresh) {
        found.refusals.push(
            "connections are made otherwise (HTTP/2, or one for each call): give both the same --http2 and \
             --connect-per-call"
                .to_owned(),
        );
    }
    if old.truth != fresh.truth {
        found.refusals.push(
            "what is called and looked at to find out whether answers are true differs (reads elsewhere, probes, output \
             schemas, wallets): give both the same"
                .to_owned(),
        );
    }
    if old.target != fresh.target {
        found.notes.push(format!("the targets are {}, and {}", clip(&old.target.to_string(), 60), fresh.target));
    } else if base.server.name != new.server.name {
        found.notes.push("what answered calls itself otherwise".to_owned());
    }
}

fn surroundings(base: &SavedRun, new: &SavedRun, found: &mut Differences) {
    if base.run_id == new.run_id {
        found.refusals.push("this is the same run twice: give the new one last".to_owned());
    } else if base.started_unix_ms > new.started_unix_ms {
        found.notes.push("the base run is the younger one: the new run is named last".to_owned());
    }
    if base.host != new.host {
        found.notes.push("they were made on different hosts, whose own delays are in every time".to_owned());
    }
    if base.program != new.program {
        found.notes.push(format!("they were made by {}, and {}", clean(&base.program), clean(&new.program)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::measure::Event;

    fn refusals(change: impl Fn(&mut SavedRun)) -> Vec<String> {
        let mut new = SavedRun { run_id: "another".into(), ..fixtures::ok() };
        change(&mut new);
        differences(&fixtures::ok(), &new).refusals
    }

    #[test]
    fn a_run_can_be_compared_with_that_of_another_target_and_not_with_itself() {
        let run = fixtures::ok();
        assert_eq!(differences(&run, &run).refusals, ["this is the same run twice: give the new one last"]);
        let mut other = SavedRun { run_id: "another".into(), ..fixtures::ok() };
        other.plan.target = "http://canary.example.com:8000".parse().unwrap();
        let found = differences(&run, &other);
        assert_eq!(found.refusals, [""; 0]);
        assert_eq!(
            found.notes,
            ["the targets are http://pay.example.com:8000/mcp, and http://canary.example.com:8000/mcp"]
        );
        assert_eq!(unfit(&run), [""; 0]);
    }

    #[test]
    fn everything_that_stands_in_the_way_is_said_at_once() {
        let found = refusals(|run| {
            run.plan.operations[0].expect.clear();
            run.plan.operations[2].name = "close_wallet".into();
            run.plan.flows[0].load = "200/s for 15s".parse().unwrap();
            run.plan.flows[0].arrivals = "constant".parse().unwrap();
            run.plan.flows[0].mix[1].1 = 7.0;
            run.plan.run.timeout = std::time::Duration::from_secs(5);
            run.plan.run.warmup = "2s".parse().unwrap();
            run.server.revision = Some("2026-07-28".into());
            run.plan.sessions = "none".parse().unwrap();
            run.plan.connection.http2 = true;
            run.plan.truth.probe_idempotency = 0.1;
        });
        insta::assert_snapshot!(found.join("\n"));
    }

    #[test]
    fn a_limit_in_flight_matters_where_arrivals_found_no_room() {
        let few = |run: &mut SavedRun| run.plan.run.concurrent = std::num::NonZeroU32::MIN;
        assert_eq!(refusals(few), [""; 0]);
        let mut dropped = fixtures::failed();
        dropped.plan.run.concurrent = std::num::NonZeroU32::MIN;
        assert!(differences(&fixtures::failed(), &dropped).refusals[0].contains("dropped for want of room"));
    }

    #[test]
    fn the_order_of_a_mix_is_no_difference() {
        assert_eq!(refusals(|run| run.plan.flows[0].mix.reverse()), [""; 0]);
        assert_eq!(refusals(|run| run.plan.flows[0].mix.iter_mut().for_each(|part| part.1 *= 3.0)), [""; 0]);
    }

    #[test]
    fn what_is_no_measure_is_told_with_the_reason() {
        assert!(unfit(&fixtures::failed())[0].contains("SIGINT stopped it"));
        assert!(unfit(&fixtures::empty())[0].contains("it is INVALID: no call ended after warm-up"));
        let lost = SavedRun { ending: Ending::LostLanes { lost: 1, of: 2 }, ..fixtures::ok() };
        assert!(unfit(&lost)[0].contains("1 of its 2 lanes"));
        let asked = SavedRun { ending: Ending::Asked, ..fixtures::ok() };
        assert!(unfit(&asked)[0].contains("ended by hand"));
        let mut steered = fixtures::ok();
        for (second, kind) in [(2, EventKind::RateSet), (3, EventKind::Paused), (5, EventKind::Resumed)] {
            steered.summary.events.note(Event::at(Moment::from_nanos(second * 1_000_000_000), kind, 50.0));
        }
        assert_eq!(
            unfit(&steered),
            ["its load was changed by hand (3 times), so no other run has the same: run it without"]
        );
        let ruled = SavedRun { ending: Ending::Rule("p95 < 1s".into()), ..fixtures::ok() };
        assert!(unfit(&ruled)[0].contains("because of its own figures (p95 < 1s)"));
    }
}
