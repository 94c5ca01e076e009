//! Dashboards, rules and the metrics page against the exporter's table: they name what exists, and nothing else.
//!
//! Dashboards are written from `tests/dashboards/`, the page from the table: `UPDATE_DOCS=1 cargo test --test dashboards`.

#[path = "dashboards/board.rs"]
mod board;
#[path = "dashboards/generator.rs"]
mod generator;
#[path = "dashboards/run.rs"]
mod run;
#[path = "dashboards/soak.rs"]
mod soak;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs};

use mcpace::export::{Kind, METRICS, PROCESS_METRICS, reference};
use serde_json::Value;

/// Labels that Prometheus itself puts on a series.
const OUTSIDE: [&str; 3] = ["job", "instance", "alertname"];
/// Words after which a list of labels follows.
const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

fn path(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn read(of: &str) -> String {
    fs::read_to_string(path(of)).unwrap_or_else(|error| panic!("{of}: {error}"))
}

fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(path("grafana/dashboards")).expect("the folder exists");
    let names = files.map(|file| file.expect("it can be listed").file_name().into_string().expect("a plain name"));
    let read_one = |name: String| {
        let text = read(&format!("grafana/dashboards/{name}"));
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, json)
    };
    names.map(read_one).collect()
}

fn array<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of[key].as_str().unwrap_or_default()
}

/// What stands in the repository is what is written from here, or is written anew where that is asked for.
fn assert_written(of: &str, wanted: &str) {
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path(of), wanted).expect("it can be written");
    }
    let page = fs::read_to_string(path(of)).unwrap_or_default();
    assert!(page == wanted, "{of} is stale: UPDATE_DOCS=1 cargo test --test dashboards writes it again");
}

#[test]
fn the_dashboards_are_those_that_are_made_here() {
    let boards = [run::board(), soak::board(), generator::board()];
    let names = boards.map(|board| {
        let file = format!("{}.json", board.name);
        let text = serde_json::to_string_pretty(&board.json()).expect("it is JSON");
        assert_written(&format!("grafana/dashboards/{file}"), &format!("{text}\n"));
        file
    });
    let found: BTreeSet<String> = dashboards().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, BTreeSet::from(names));
}

/// Every expression of a dashboard: those of its panels, of its variables and of its annotations.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = array(dashboard, "panels").iter().flat_map(|panel| array(panel, "targets"));
    let variables = array(&dashboard["templating"], "list").iter().map(|variable| text(&variable["query"], "query"));
    let annotations = array(&dashboard["annotations"], "list").iter().map(|annotation| text(annotation, "expr"));
    let all = panels.map(|target| text(target, "expr")).chain(variables).chain(annotations);
    all.filter(|expression| !expression.is_empty()).map(str::to_owned).collect()
}

/// The names in `text` with the place after each: letters, digits, underscores, and the colons of recorded rules.
fn words(text: &str) -> Vec<(&str, usize)> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + bytes[at..].iter().take_while(|byte| is_part(**byte)).count();
        if end > at && !bytes[at].is_ascii_digit() {
            words.push((&text[at..end], end));
        }
        at = end.max(at + 1);
    }
    words
}

/// The labels that a metric of our table carries, its histogram parts included.
fn labels_of(name: &str) -> Option<BTreeSet<&'static str>> {
    let found = METRICS.iter().find_map(|metric| {
        let part = name.strip_prefix(metric.name)?;
        let labels = metric.labels.iter().copied();
        match (metric.kind, part) {
            (Kind::Histogram, "_bucket") => Some(labels.chain(["le"]).collect::<BTreeSet<_>>()),
            (Kind::Histogram, "_sum" | "_count") | (Kind::Counter | Kind::Gauge, "") => Some(labels.collect()),
            _ => None,
        }
    });
    found.or_else(|| PROCESS_METRICS.iter().any(|(known, _)| *known == name).then(BTreeSet::new))
}

/// What stands between the bracket that opens at the beginning of `text` and the one that closes it, outside quotes.
fn bracketed(text: &str, open: char, close: char) -> Option<&str> {
    let inside = text.strip_prefix(open)?;
    let mut quoted = false;
    let end = inside.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == close && !quoted
    });
    end.map(|(end, _)| &inside[..end])
}

/// `text` with everything between quotes taken out.
fn unquoted(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

/// What is wrong with the metrics and labels that an expression names.
fn faults(expression: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known = BTreeSet::from(OUTSIDE);
    for (word, end) in words(expression) {
        if word.contains(':') {
            known.extend(["objective", "window"]);
            if !read("prometheus/alerts.yml").contains(&format!("- record: {word}\n")) {
                faults.push(format!("no rule records {word}"));
            }
            continue;
        }
        if !word.starts_with("mcpace_") && !word.starts_with("process_") {
            continue;
        }
        let Some(labels) = labels_of(word) else {
            faults.push(format!("no metric {word}"));
            continue;
        };
        let matchers = unquoted(bracketed(&expression[end..], '{', '}').unwrap_or_default());
        for (label, _) in words(&matchers) {
            if !labels.contains(label) && !OUTSIDE.contains(&label) {
                faults.push(format!("{word} has no label {label}"));
            }
        }
        known.extend(labels);
    }
    for (word, end) in words(expression) {
        let list = expression[end..].trim_start();
        if LABEL_LISTS.contains(&word) && list.starts_with('(') {
            let listed = bracketed(list, '(', ')').unwrap_or_default();
            let strange = words(listed).into_iter().filter(|(label, _)| !known.contains(label));
            faults.extend(strange.map(|(label, _)| format!("no metric here has the label {label}")));
        }
    }
    faults
}

#[test]
fn the_check_finds_what_does_not_exist() {
    assert_eq!(faults(r#"rate(mcpace_calls_total{outcome="ok", flow=~"$flow"}[1m])"#), [""; 0]);
    assert_eq!(faults("mcpace_calls"), ["no metric mcpace_calls"]);
    assert_eq!(faults("mcpace_pacing_lag_seconds"), ["no metric mcpace_pacing_lag_seconds"]);
    assert_eq!(faults(r#"mcpace_calls_total{url="}"}"#), ["mcpace_calls_total has no label url"]);
    let grouped = "sum by (le, tool) (rate(mcpace_service_time_seconds_bucket[1m]))";
    assert_eq!(faults(grouped), ["no metric here has the label tool"]);
}

#[test]
fn dashboards_name_only_metrics_and_labels_that_exist() {
    for (name, dashboard) in dashboards() {
        let expressions = expressions(&dashboard);
        assert!(expressions.len() > 10, "{name}");
        for expression in expressions {
            assert_eq!(faults(&expression), [""; 0], "{name}: {expression}");
        }
    }
}

/// The bundled rules: the name, what stands after it, and whether it is an alert.
fn rules() -> Vec<(String, String, bool)> {
    let text = read("prometheus/alerts.yml");
    let blocks = text.split("      - ").skip(1);
    let rule = |block: &str| {
        let (head, rest) = block.split_once('\n').expect("a rule has lines");
        let (kind, name) = head.split_once(": ").unwrap_or_else(|| panic!("no rule: {head}"));
        (name.to_owned(), rest.to_owned(), kind == "alert")
    };
    blocks.map(rule).collect()
}

fn alert_names() -> BTreeSet<String> {
    rules().into_iter().filter(|(.., is_alert)| *is_alert).map(|(name, ..)| name).collect()
}

#[test]
fn rules_name_only_metrics_and_labels_that_exist_and_wait_before_they_fire() {
    let rules = rules();
    assert!(rules.len() > 50);
    for (name, rest, is_alert) in rules {
        let expression = rest.split_once("expr: |").unwrap_or_else(|| panic!("{name} has no `expr:`")).1;
        let (expression, rest) =
            expression.split_once("\n        labels:").unwrap_or_else(|| panic!("{name} has no labels"));
        let (expression, wait) = expression.split_once("\n        for: ").unwrap_or((expression, ""));
        assert_eq!(faults(expression), [""; 0], "{name}");
        assert!(!is_alert || !wait.is_empty() && wait != "0s", "{name} waits not before it fires");
        let told = ["severity: ", "about: ", "summary: ", "description: ", "runbook_url: "];
        assert!(!is_alert || told.iter().all(|key| rest.contains(key)), "{name}: {rest}");
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_tests_that_it_fires_and_that_it_does_not() {
    let headings: BTreeSet<String> = read("docs/runbook.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## Mcpace"))
        .map(|name| format!("Mcpace{name}"))
        .collect();
    assert_eq!(headings, alert_names());
    let tests = read("prometheus/alerts.test.yml");
    for name in alert_names() {
        let asked = format!("alertname: {name}\n");
        let is_silent = |after: &str| after.split("- eval_time").next().unwrap_or_default().contains("exp_alerts: []");
        let expected: Vec<bool> = tests.split(&asked).skip(1).map(is_silent).collect();
        assert!(expected.contains(&true), "{name}: no test says when it is silent");
        assert!(expected.contains(&false), "{name}: no test says when it fires");
    }
}

#[test]
fn what_is_said_of_the_generator_silences_what_is_said_of_its_target() {
    let config = read("prometheus/alertmanager.yml");
    assert!(
        config.contains(r#"source_matchers: ['about="generator"']"#)
            && config.contains(r#"target_matchers: ['about="target"']"#)
    );
    let about = |name: &str| {
        let of = |(_, rest, _): (String, String, bool)| rest.contains("about: \"generator\"");
        rules().into_iter().filter(|(rule, ..)| rule == name).all(of)
    };
    for name in alert_names() {
        assert_eq!(about(&name), name.starts_with("McpaceGenerator"), "{name}");
    }
}

#[test]
fn dashboards_have_ids_units_descriptions_and_the_data_source_variable() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["schemaVersion"], 42, "{name}");
        assert!(uids.insert(text(&dashboard, "uid").to_owned()) && !text(&dashboard, "uid").is_empty(), "{name}");
        let variables = array(&dashboard["templating"], "list");
        assert!(variables.iter().any(|variable| variable["name"] == "datasource" && variable["type"] == "datasource"));
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in array(&dashboard, "panels") {
            let title = text(panel, "title");
            assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().expect("an id")), "{name}: {title}");
            assert!(titles.insert(title), "{name}: two panels are called {title}");
            if panel["type"] == "row" {
                continue;
            }
            assert!(text(panel, "description").ends_with('.'), "{name}: {title} says not what it shows");
            assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{name}: {title} has no unit");
            let targets = array(panel, "targets");
            assert!(!targets.is_empty(), "{name}: {title}");
            let references: BTreeSet<_> = targets.iter().map(|target| text(target, "refId")).collect();
            assert_eq!(references.len(), targets.len(), "{name}: {title} has a refId twice");
            for of in targets.iter().chain([panel]) {
                assert_eq!(of["datasource"]["uid"], "${datasource}", "{name}: {title}");
            }
        }
    }
}

#[test]
fn variables_that_expressions_use_are_defined() {
    for (name, dashboard) in dashboards() {
        let defined: BTreeSet<_> =
            array(&dashboard["templating"], "list").iter().map(|variable| text(variable, "name")).collect();
        for expression in expressions(&dashboard) {
            for after in expression.split('$').skip(1) {
                let variable = words(after).first().map(|(word, _)| *word).expect("a name follows");
                assert!(variable.starts_with("__") || defined.contains(variable), "{name}: ${variable}");
            }
        }
    }
}

#[test]
fn panels_lie_in_a_grid_of_24_columns_and_none_over_another() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in array(&dashboard, "panels") {
            let side = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            let (x, y, w, h) = (side("x"), side("y"), side("w"), side("h"));
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row))) {
                assert!(taken.insert(cell), "{name}: {} lies over another", panel["title"]);
            }
        }
    }
}

#[test]
fn grafana_asks_as_finely_as_prometheus_scrapes() {
    let value = |of: &str, key: &str| {
        let text = read(of);
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{of} has no {key}")).trim().to_owned()
    };
    let source = "grafana/provisioning/datasources/prometheus.yml";
    assert_eq!(value("prometheus.yml", "scrape_interval"), value(source, "timeInterval"));
}

#[test]
fn the_metrics_page_is_what_the_table_says() {
    assert_written("docs/metrics.md", &reference());
}
