//! The report as JUnit XML: a test case for each objective, and one for whether the measurement is to be trusted.
//!
//! All cases pass exactly where the verdict is PASS, so that what a CI shows of the file and what the exit code says agree. An
//! objective that is missed is a failure; one that is open is an error, as the test came to no answer. Of a run that is not to be
//! trusted, that is the error, and its objectives are skipped: they would blame the target for what it did not do.

use std::fmt;

use super::humane::{clean, clip};
use super::markup::{Markup, Tag, tag};
use super::{Format, Report, Text, words};
use crate::stamp;
use crate::verdict::{Finding, Standing};

/// How much of a name and of a message is shown.
const NAME: usize = 200;
const MESSAGE: usize = 2000;

/// The report as JUnit XML.
#[derive(Clone, Copy, Debug, Default)]
pub struct Junit;

/// How a case ended.
enum End {
    Passed,
    Failure(String),
    Error(&'static str, String),
    Skipped(&'static str),
}

struct Case {
    name: String,
    end: End,
}

impl Format for Junit {
    fn write(&self, report: &Report<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let cases = cases(report);
        let mut text = String::new();
        Text::default().write(report, &mut text)?;
        let mut xml = Markup::default();
        xml.constant("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        xml.block(totals(tag("testsuites").with("name", "mcpace"), &cases, report), |suites| {
            let suite = totals(tag("testsuite").with("name", name(report)), &cases, report);
            let mut started = String::new();
            stamp::write_rfc3339(report.saved.started_unix_ms, &mut started);
            let host = report.saved.host.name.as_deref().unwrap_or("unknown");
            let suite =
                suite.with("timestamp", started.trim_end_matches('Z')).with("hostname", clip(&clean(host), NAME));
            suites.block(suite, |suite| {
                properties(report, suite);
                for one in &cases {
                    case(one, report, suite);
                }
                suite.block(tag("system-out"), |output| output.lines(&text));
            });
        });
        out.write_str(xml.as_str())
    }
}

fn name(report: &Report<'_>) -> String {
    clip(&clean(&report.saved.plan.name), NAME)
}

fn totals(tag: Tag, cases: &[Case], report: &Report<'_>) -> Tag {
    let of = |wanted: fn(&End) -> bool| cases.iter().filter(|case| wanted(&case.end)).count();
    tag.with("tests", cases.len())
        .with("failures", of(|end| matches!(end, End::Failure(_))))
        .with("errors", of(|end| matches!(end, End::Error(..))))
        .with("skipped", of(|end| matches!(end, End::Skipped(_))))
        .with("time", seconds(report))
}

fn seconds(report: &Report<'_>) -> String {
    let overall = &report.overall;
    format!("{:.3}", (overall.warmup + overall.duration + overall.drain).as_secs_f64())
}

/// The measurement first, then each objective.
fn cases(report: &Report<'_>) -> Vec<Case> {
    let judgement = report.judgement;
    let doubts: Vec<String> = judgement.doubts.iter().map(ToString::to_string).collect();
    let valid = doubts.is_empty();
    let end = if valid { End::Passed } else { End::Error("invalid", doubts.join("; ")) };
    let mut cases = vec![Case { name: "the measurement is to be trusted".to_owned(), end }];
    if judgement.findings.is_empty() {
        let words = "nothing was promised, so nothing can be kept: give an --objective";
        let end = if valid { End::Error("undecided", words.to_owned()) } else { End::Skipped(UNTRUSTED) };
        cases.push(Case { name: "an objective is given".to_owned(), end });
    }
    cases.extend(judgement.findings.iter().map(|finding| Case {
        name: clip(&clean(&finding.objective.to_string()), NAME),
        end: if valid { end_of(finding) } else { End::Skipped(UNTRUSTED) },
    }));
    cases
}

const UNTRUSTED: &str = "the measurement is not to be trusted, and says little about the target";

fn end_of(finding: &Finding) -> End {
    match finding.standing {
        Standing::Met => End::Passed,
        Standing::Missed => End::Failure(finding.sentence.clone()),
        Standing::Undecided => {
            let missing = finding.missing.map(|missing| format!("; missing: {missing}")).unwrap_or_default();
            End::Error("undecided", format!("{}{missing}", finding.sentence))
        }
    }
}

fn properties(report: &Report<'_>, suite: &mut Markup) {
    let saved = report.saved;
    let facts = [
        ("verdict", report.judgement.verdict().to_string()),
        ("target", words::target(saved)),
        ("run_id", saved.run_id.clone()),
        ("seed", saved.plan.seed.to_string()),
        ("program", saved.program.clone()),
        ("host", words::host(saved)),
    ];
    suite.block(tag("properties"), |properties| {
        properties.text("\n");
        for (name, value) in facts {
            properties.block(tag("property").with("name", name).with("value", clip(&clean(&value), NAME)), |_| {});
        }
    });
}

fn case(case: &Case, report: &Report<'_>, suite: &mut Markup) {
    // The run is one: its time is that of the suite, and of the case that is about all of it.
    let time = if case.name.starts_with("the measurement") { seconds(report) } else { "0".to_owned() };
    let open = tag("testcase").with("classname", name(report)).with("name", &case.name).with("time", time);
    suite.block(open, |inside| {
        let told = |kind: Tag, why: &str| kind.with("message", clip(&clean(why), MESSAGE));
        match &case.end {
            End::Passed => {}
            End::Failure(why) => inside.said(told(tag("failure"), why).with("type", "missed"), &clip(why, MESSAGE)),
            End::Error(kind, why) => inside.said(told(tag("error"), why).with("type", kind), &clip(why, MESSAGE)),
            End::Skipped(why) => inside.element(told(tag("skipped"), why), |_| {}),
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::super::{SavedRun, fixtures};
    use super::*;
    use crate::verdict::{Remark, Subject, Verdict};

    fn written(run: &SavedRun, doubt: bool) -> (String, Verdict) {
        let mut judgement = run.judge(&[]).unwrap();
        if doubt {
            judgement.doubts.push(Remark::new(Subject::Host, "the host slept", "run again"));
        }
        let mut xml = String::new();
        Junit.write(&Report::new(run, &judgement), &mut xml).unwrap();
        (xml, judgement.verdict())
    }

    #[test]
    fn a_file_of_a_run_in_which_much_goes_wrong() {
        insta::assert_snapshot!(written(&fixtures::failed(), false).0);
    }

    #[test]
    fn a_file_of_a_run_that_is_not_to_be_trusted() {
        insta::assert_snapshot!(written(&fixtures::small(), true).0);
    }

    #[test]
    fn a_file_of_a_run_against_a_hostile_server() {
        insta::assert_snapshot!(written(&fixtures::hostile(), false).0);
    }

    #[test]
    fn every_file_is_well_formed_counts_its_cases_and_is_green_exactly_where_the_verdict_is_pass() {
        let runs = fixtures::all().into_iter().flat_map(|(_, run)| [(run.clone(), false), (run, true)]);
        for (run, doubt) in runs {
            let (xml, verdict) = written(&run, doubt);
            let document = Document::parse(&xml).unwrap();
            let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
            let count = |name| suite.descendants().filter(|node: &Node<'_, '_>| node.has_tag_name(name)).count();
            let says = |name| suite.attribute(name).unwrap().parse::<usize>().unwrap();
            for (attribute, element) in
                [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
            {
                assert_eq!(says(attribute), count(element), "{attribute}");
            }
            assert_eq!(says("tests"), 1 + run.plan.objectives.len());
            let green = says("failures") + says("errors") + says("skipped") == 0;
            assert_eq!(green, verdict == Verdict::Pass);
        }
    }

    #[test]
    fn a_run_without_a_promise_is_an_error_too() {
        let mut run = fixtures::ok();
        run.plan.objectives.clear();
        let (xml, _) = written(&run, false);
        assert!(xml.contains("tests=\"2\" failures=\"0\" errors=\"1\"") && xml.contains("nothing was promised"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_a_name_is_the_file_is_read_with_that_name(text in any::<String>()) {
            let mut run = fixtures::small();
            run.plan.name.clone_from(&text);
            run.server.warnings = vec![text.clone()];
            let (xml, _) = written(&run, false);
            let document = Document::parse(&xml).unwrap();
            let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
            let wanted = clip(&clean(&text), NAME).replace(['\u{fffe}', '\u{ffff}'], "");
            prop_assert_eq!(suite.attribute("name"), Some(wanted.as_str()));
        }
    }
}
