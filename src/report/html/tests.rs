//! The page: well-formed, self-contained, its policy in force, and no structure from a hostile text.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use sha2::{Digest, Sha256};

use super::super::{Ending, SavedRun, fixtures};
use super::*;

fn page(run: &SavedRun) -> String {
    let judgement = run.judge(&[]).unwrap();
    let mut page = String::new();
    Html.write(&Report::new(run, &judgement).saved_in("run.json"), &mut page).unwrap();
    page
}

/// Without the style sheet, which is a file of its own.
fn golden(run: &SavedRun) -> String {
    page(run).replace(STYLE, "…")
}

fn parsed(page: &str) -> Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap()
}

/// How many elements of each kind there are.
fn elements(document: &Document<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for node in document.descendants().filter(Node::is_element) {
        *counts.entry(node.tag_name().name().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_page_of_a_run_in_which_much_goes_wrong() {
    insta::assert_snapshot!(golden(&fixtures::failed()));
}

#[test]
fn a_page_of_a_run_against_a_hostile_server() {
    insta::assert_snapshot!(golden(&fixtures::hostile()));
}

#[test]
fn a_page_of_a_run_in_which_nothing_was_due() {
    insta::assert_snapshot!(golden(&fixtures::empty()));
}

#[test]
fn the_policy_allows_the_style_sheet_that_the_page_has() {
    let hash = format!("'sha256-{}'", BASE64.encode(Sha256::digest(STYLE)));
    assert!(POLICY.contains(&hash), "the style sheet has changed: write {hash} into POLICY");
}

#[test]
fn nothing_on_a_page_asks_for_anything_or_runs() {
    for (name, run) in fixtures::all() {
        let text = page(&run);
        let document = parsed(&text);
        for node in document.descendants().filter(Node::is_element) {
            let element = node.tag_name().name();
            assert!(!["script", "img", "link", "iframe", "object", "a", "use", "image"].contains(&element), "{name}");
            for attribute in node.attributes() {
                let odd = ["href", "src", "style"].contains(&attribute.name()) || attribute.name().starts_with("on");
                assert!(!odd, "{name}: {element} has {}", attribute.name());
            }
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'), "{name}");
    }
}

#[test]
fn the_charts_of_a_run_have_lines_with_as_many_points_as_seconds() {
    let text = page(&fixtures::ok());
    let document = parsed(&text);
    let pictures: Vec<_> = document.descendants().filter(|node| node.attribute("role") == Some("img")).collect();
    // Rate, response time, processor, memory, distribution: each for a screen and for a phone.
    assert_eq!(pictures.len(), 10);
    for picture in &pictures {
        assert!(picture.attribute("aria-label").is_some_and(|label| !label.is_empty()));
        assert!(picture.children().any(|child| child.has_tag_name("desc") && child.text().is_some()));
    }
    let median = pictures[2].children().find(|node| node.attribute("class") == Some("line a")).unwrap();
    assert_eq!(median.attribute("d").unwrap().matches(['M', 'L']).count(), 15);
}

#[test]
fn the_picture_of_errors_is_there_where_there_are_errors() {
    let says = |run: &SavedRun| page(run).contains("aria-label=\"Errors over time\"");
    assert!(says(&fixtures::failed()) && !says(&fixtures::ok()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_of_a_server_or_a_plan_changes_what_a_page_is_made_of(
        text in prop_oneof![any::<String>(), "[<>&\"'/a-z!\\[\\]=; -]{0,60}", Just("</script><svg onload=x>".to_owned())]
    ) {
        // Words, so that nothing is left out for want of content.
        let named = |text: &str| {
            let text = format!("x {text}");
            let mut run = fixtures::untrue();
            run.plan.name.clone_from(&text);
            run.plan.operations[0].name.clone_from(&text);
            run.plan.flows[0].name.clone_from(&text);
            run.server.name = Some(text.clone());
            run.server.warnings = vec![text.clone()];
            run.host.name = Some(text.clone());
            run.ending = Ending::Rule(text);
            run.plan.objectives.retain(|objective| objective.scope().is_none());
            run
        };
        let (harmless, hostile) = (page(&named("harmless")), page(&named(&text)));
        prop_assert_eq!(elements(&parsed(&hostile)), elements(&parsed(&harmless)));
        let unseen = hostile.contains(['\u{202e}', '\u{1b}']);
        prop_assert!(!unseen);
    }
}
