//! Rules as a whole.

use std::time::Duration;

use super::*;

fn made(name: Option<&str>, objectives: &[&str], length: Duration) -> String {
    let (flows, operations) = (["main".to_owned()], ["pay".to_owned()]);
    let resolve =
        |text: &&str| text.parse::<crate::verdict::Objective>().unwrap().resolve(&flows, &operations).unwrap();
    let objectives: Vec<_> = objectives.iter().map(resolve).collect();
    let (flows, operations) = (&flows[..], &operations[..]);
    let scrape_interval = Duration::from_secs(15);
    rules(&Promised { name, objectives: &objectives, flows, operations, length, scrape_interval })
}

#[test]
fn the_rules_of_a_day_say_all_that_they_know() {
    insta::assert_snapshot!(made(Some("soak"), &["p99(pay) < 1s", "rate >= 50/s"], Duration::from_hours(24)));
}

#[test]
fn a_plan_without_a_name_is_about_every_run() {
    let rules = made(None, &["error_rate < 1%"], Duration::from_hours(1));
    assert!(rules.contains("runs of any plan") && !rules.contains("mcpace_run_info"), "{rules}");
}

#[test]
fn a_hostile_name_stays_one_label_value() {
    let rules = made(Some("a\"}\n- alert: X {{ evil }}"), &["error_rate < 1%"], Duration::from_hours(1));
    assert!(rules.contains(r#"mcpace_run_info{name="a\"}\n- alert: X {{ evil }}"}"#), "{rules}");
    assert!(!rules.lines().any(|line| line.trim_start().starts_with("- alert: X")), "{rules}");
}

#[test]
fn what_yaml_takes_for_a_break_or_refuses_is_escaped_wherever_it_stands() {
    let name = "a\u{2028}b\u{feff}c\u{85}d\u{7f}é";
    let rules = made(Some(name), &["error_rate < 1%"], Duration::from_hours(1));
    assert!(rules.contains(r#"mcpace_run_info{name="a\u2028b\ufeffc\u0085d\u007fé"}"#), "{rules}");
    assert!(rules.contains("runs of \"a b c d é\""), "{rules}");
    assert!(!rules.contains(['\u{2028}', '\u{feff}', '\u{85}', '\u{7f}']), "{rules}");
}
