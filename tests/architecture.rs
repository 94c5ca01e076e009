//! The architecture as a test: reads the sources as text and holds them to the rules of ARCHITECTURE.md.
//!
//! Comments and literals are blanked before anything is looked at. "Shipped" code is what is left without `#[cfg(test)]`
//! items and files. Each rule is a function from sources to faults; the last tests show that each rule can fail.

#[path = "architecture/scanner.rs"]
mod scanner;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use scanner::{Source, Word, blank_tests, is_name, sources};

/// The modules in layer order, and what each may know of the others. `driver::Driver` is that one item only.
const MODULES: [(u8, &str, &[&str]); 18] = [
    (0, "time", &[]),
    (0, "stamp", &[]),
    (0, "json", &[]),
    (0, "outcome", &[]),
    (0, "secret", &[]),
    (0, "trace", &[]),
    (0, "statistics", &[]),
    (1, "arrival", &["time"]),
    // The one arrow within a layer: a call is made for an arrival.
    (1, "workload", &["time", "stamp", "json", "outcome", "trace", "arrival"]),
    (1, "mcp", &["time", "json", "outcome", "secret"]),
    (1, "measure", &["time", "outcome", "trace"]),
    (2, "verdict", &["time", "outcome", "statistics", "measure"]),
    (2, "plan", &["time", "secret", "arrival", "workload", "mcp", "verdict"]),
    (3, "driver", &["time", "outcome", "secret", "workload", "mcp", "measure"]),
    (3, "server", &["time"]),
    (
        4,
        "engine",
        &["time", "outcome", "trace", "arrival", "workload", "measure", "plan", "driver::Driver", "driver::Whom"],
    ),
    (4, "report", &["time", "stamp", "outcome", "trace", "arrival", "measure", "verdict", "plan"]),
    (4, "export", &["time", "outcome", "measure", "verdict"]),
];

/// Modules without I/O, clock, thread or print.
const PURE: [&str; 14] = [
    "time",
    "stamp",
    "json",
    "outcome",
    "secret",
    "trace",
    "statistics",
    "arrival",
    "workload",
    "mcp",
    "measure",
    "verdict",
    "plan",
    "report",
];
const IMPURE_WORDS: [&str; 20] = [
    "tokio",
    "hyper",
    "hyper_util",
    "rustix",
    "tracing",
    "Instant",
    "SystemTime",
    "std::net",
    "std::fs",
    "std::thread",
    "std::env",
    "std::process",
    "std::os",
    "io::stdout",
    "io::stderr",
    "io::stdin",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
];

/// Words that tell the time, and where they may stand.
const CLOCKS: [&str; 4] = ["Instant", "SystemTime", "UNIX_EPOCH", "clock_gettime"];
const CLOCK_PLACES: [&str; 3] = ["src/engine/clock.rs", "src/server/", "src/export/"];

/// Words that draw randomness from the machine: only the command line may, and passes it on as a seed or a run id.
const RANDOMNESS: [&str; 8] =
    ["rand::random", "rand::rng", "thread_rng", "ThreadRng", "SysRng", "OsRng", "from_os_rng", "new_v4"];

/// Crates that stay in one place, with an item of each that the place must really use.
const HOMES: [(&str, &str, &str); 17] = [
    ("clap", "src/cli/", "clap::Parser"),
    ("clap_complete", "src/cli/", "clap_complete::generate"),
    ("prometheus", "src/export/", "prometheus::TextEncoder"),
    ("hdrhistogram", "src/measure/histogram", "hdrhistogram::Histogram"),
    ("governor", "src/arrival/process.rs", "governor::RateLimiter"),
    ("jsonschema", "src/workload/schema/conform.rs", "jsonschema::Validator"),
    ("compact_str", "src/workload/same.rs", "compact_str::CompactString"),
    ("httparse", "src/driver/response.rs", "httparse::Response"),
    ("nix", "src/driver/stamped.rs", "nix::sys::socket::recvmsg"),
    ("regex_syntax", "src/workload/schema/pattern.rs", "regex_syntax::ParserBuilder"),
    ("hyper_rustls", "src/driver/tls.rs", "hyper_rustls::HttpsConnectorBuilder"),
    ("toml", "src/plan/file.rs", "toml::Table"),
    ("ratatui", "src/report/view/ or src/cli/screen/", "ratatui::buffer::Buffer"),
    ("signal_hook", "src/cli/screen/jobs.rs", "signal_hook::low_level::emulate_default_handler"),
    ("rmcp", "src/server/", "rmcp::ServerHandler"),
    ("axum", "src/server/", "axum::Router"),
    ("schemars", "src/server/", "schemars::JsonSchema"),
];

/// Nothing in the lane's loop waits for a lock or for another thread.
const LOCKS: [&str; 8] = ["Mutex", "RwLock", "Semaphore", "Barrier", "Condvar", "OnceLock", "block_on", "recv_timeout"];
const LANE: [&str; 5] = [
    "src/engine/lane.rs",
    "src/engine/tasks.rs",
    "src/engine/desk.rs",
    "src/engine/notes.rs",
    "src/engine/schedule.rs",
];

const MOST_LINES: usize = 500;

/// Arrows point down: who knows whom.
fn arrows(tree: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in tree.iter().filter(|source| source.name.starts_with("src/")) {
        for word in &source.shipped {
            let supers = word.path.split("::").take_while(|segment| *segment == "super").count();
            if supers > 0 && word.path != "super" && supers >= source.depth() + word.inside {
                faults.push(
                    source.fault(word.line, &format!("`{}` reaches the crate: write it as `crate::`", word.path)),
                );
            }
            let (root, goal) = match (source.module(), word.path.split_once("::")) {
                (None, Some(("mcpace", goal))) if !goal.starts_with("cli") => ("main.rs", goal),
                (Some(module), Some(("crate", goal))) if module != "cli" => (module, goal),
                _ => continue,
            };
            let knows = MODULES.iter().find(|(_, name, _)| *name == root).map_or(&[][..], |(.., knows)| *knows);
            let goal_word = Word { line: 0, path: goal.to_owned(), inside: 0 };
            if !goal_word.begins(root) && !knows.iter().any(|known| goal_word.begins(known)) {
                let may = if knows.is_empty() { "nothing".to_owned() } else { knows.join(", ") };
                faults.push(
                    source.fault(word.line, &format!("{root} may not know `{goal}`, of the crate it knows {may}")),
                );
            }
        }
    }
    faults
}

/// Banned words: where they are looked for, which, and why not.
fn banned(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ban = |words: &[Word], banned: &[&str], why: &str| {
        for word in words {
            if let Some(banned) = banned.iter().find(|banned| word.has(banned)) {
                faults.push(source.fault(word.line, &format!("`{banned}` {why}")));
            }
        }
    };
    let name = source.name.as_str();
    if source.module().is_some_and(|module| PURE.contains(&module)) {
        ban(
            &source.shipped,
            &IMPURE_WORDS,
            "in a pure module: pass the value in, or move the I/O to engine, driver or cli",
        );
    }
    if name.starts_with("src/") && !CLOCK_PLACES.iter().any(|place| name.starts_with(place)) {
        ban(&source.words, &CLOCKS, "tells the time: the generator's time enters in src/engine/clock.rs only");
    }
    if name.starts_with("src/") && !name.starts_with("src/cli/") {
        ban(&source.shipped, &RANDOMNESS, "draws from the machine: randomness enters as a seed, which cli draws");
    }
    if LANE.contains(&name) {
        ban(&source.shipped, &LOCKS, "waits: a lane's loop never locks and never waits for another thread");
    }
    if name == "src/engine/lane.rs" {
        ban(&source.shipped, &["Reply", "Call", "serve", "call"], "in the lane's loop, which never awaits an answer");
    }
    ban(&source.words, &["allow"], "as a lint level: write #[expect(lint, reason = \"…\")]");
    ban(&source.words, &["unsafe"], "is forbidden: there is a safe way, such as rustix");
    ban(&source.words, &["todo!", "dbg!", "unimplemented!"], "is not finished work");
    for (krate, home, _) in HOMES.iter().filter(|(_, home, _)| name.starts_with("src/") && !is_home(home, name)) {
        let strays = source.words.iter().filter(|word| word.path.contains("::") && word.begins(krate));
        faults.extend(strays.map(|word| source.fault(word.line, &format!("`{krate}` is for {home} only"))));
    }
    faults
}

/// Whether a file is at one of the places that a crate is at home at.
fn is_home(home: &str, name: &str) -> bool {
    home.split(" or ").any(|place| name.starts_with(place))
}

/// Each crate is really used where it is at home.
fn unused(tree: &[Source]) -> Vec<String> {
    let uses = |home: &str, item: &str| {
        let at_home = tree.iter().filter(|source| is_home(home, &source.name));
        at_home.flat_map(|source| &source.shipped).any(|word| word.begins(item))
    };
    let missing = HOMES.iter().filter(|(_, home, item)| !uses(home, item));
    missing.map(|(_, home, item)| format!("{home}: `{item}` is not used there any more")).collect()
}

/// What every file must be, whatever is in it.
fn form(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.text.starts_with("//! ") {
        faults.push(source.fault(1, "the file does not begin with a `//!` line that says its one idea"));
    }
    let lines = source.text.lines().count();
    if lines > MOST_LINES {
        faults.push(source.fault(MOST_LINES, &format!("{lines} lines, {MOST_LINES} at most: split it by idea")));
    }
    faults
}

/// The map in lib.rs shows every module, in layer order, with its layer; and the table above is about modules that exist.
fn map(tree: &[Source]) -> Vec<String> {
    let Some(lib) = tree.iter().find(|source| source.name == "src/lib.rs") else { return vec!["no src/lib.rs".into()] };
    let rows = lib.text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
        let layer: u8 = cells.next()?.parse().ok()?;
        Some((layer, cells.next()?.trim_matches(['[', ']', '`']).to_owned()))
    });
    let mut table: Vec<_> = MODULES.iter().map(|(layer, name, _)| (*layer, (*name).to_owned())).collect();
    table.push((5, "cli".to_owned()));
    let mut faults = Vec::new();
    if !rows.eq(table.iter().cloned()) {
        faults.push(lib.fault(1, &format!("the map's rows are not the layer table of this test: {table:?}")));
    }
    let mut declared = BTreeMap::new();
    for line in lib.text.lines().zip(1..) {
        if let Some((_, module)) = line.0.trim_end_matches(';').split_once("mod ").filter(|_| !line.0.starts_with("//"))
        {
            declared.insert(module, line.1);
        }
    }
    let unknown = declared.iter().filter(|(module, _)| !table.iter().any(|(_, name)| name == *module));
    faults.extend(
        unknown.map(|(module, line)| lib.fault(*line, &format!("`{module}` has no layer in this test's table"))),
    );
    let gone = table.iter().filter(|(_, name)| !declared.contains_key(name.as_str()));
    faults.extend(gone.map(|(_, name)| lib.fault(1, &format!("`{name}` has a layer but is no module"))));
    faults
}

/// Every dependency says why it is there, on its own line, and is used.
fn reasons(manifest: &str, tree: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut section = "";
    for (line, text) in (1..).zip(manifest.lines()) {
        if text.starts_with('[') {
            section = text;
        } else if let Some((name, value)) = text.split_once(" = ").filter(|_| section.contains("dependencies]")) {
            if value.split_once(" # ").is_none_or(|(_, reason)| reason.trim().len() < 5) {
                faults.push(format!("Cargo.toml:{line}: `{name}` has no reason: add a comment on its line"));
            }
            let krate = name.replace('-', "_");
            let used = tree.iter().flat_map(|source| &source.words).any(|word| word.begins(&krate));
            if section == "[dependencies]" && !used {
                faults.push(format!("Cargo.toml:{line}: `{name}` is used nowhere: take it out"));
            }
        }
    }
    faults
}

/// The project speaks of itself alone: no path of anybody's machine.
fn machine_paths(name: &str, text: &str) -> Vec<String> {
    let places = ["home", "root", "Users", "work", "tmp"].map(|folder| format!("/{folder}/"));
    let named = |line: &str| {
        let place = places.iter().find(|place| {
            line.match_indices(place.as_str()).any(|(at, _)| {
                // Behind a name, a dot or a dash it is the middle of another path or of a URL.
                !line[..at].ends_with(|c: char| is_name(c) || c == '.' || c == '-')
            })
        })?;
        Some(place.clone())
    };
    let faults = (1..).zip(text.lines()).filter_map(|(line, text)| Some((line, named(text)?)));
    faults.map(|(line, place)| format!("{name}:{line}: `{place}…` is a path of one machine")).collect()
}

/// The repository's text files: (name from its root, text).
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
        let entry = entry.expect("a readable folder");
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            if ![".git", "target"].contains(&name.as_str()) {
                found.extend(files(&name));
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((name, text));
        }
    }
    found
}

fn tree() -> Vec<Source> {
    let rust = |(name, _): &(String, String)| Path::new(name).extension().is_some_and(|ending| ending == "rs");
    let tree = sources(["src", "tests", "bench", "examples"].into_iter().flat_map(files).filter(rust).collect());
    assert!(tree.len() > 50, "only {} sources were found", tree.len());
    tree
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn arrows_point_down() {
    none(&arrows(&tree()));
}

#[test]
fn the_map_in_lib_is_the_layer_table() {
    none(&map(&tree()));
}

#[test]
fn every_word_stands_where_it_may_and_every_file_has_its_form() {
    let tree = tree();
    none(&tree.iter().flat_map(|source| banned(source).into_iter().chain(form(source))).collect::<Vec<_>>());
    none(&unused(&tree));
}

#[test]
fn every_dependency_has_a_reason_and_a_use() {
    let root = files("");
    let manifest = root.iter().find(|(name, _)| name == "Cargo.toml").unwrap();
    let (bench, own): (Vec<_>, Vec<_>) = tree().into_iter().partition(|source| source.name.starts_with("bench/"));
    none(&reasons(&manifest.1, &own));
    let of_bench = root.iter().find(|(name, _)| name == "bench/Cargo.toml").unwrap();
    none(&reasons(&of_bench.1, &bench));
    assert!(manifest.1.contains("unsafe_code = \"forbid\""), "Cargo.toml: unsafe code is not forbidden any more");
    let unread = |name: &str| {
        name == "Cargo.lock" || name.starts_with('.') && !name.starts_with(".github/") && !name.starts_with(".ci/")
    };
    none(
        &root
            .iter()
            .filter(|(name, _)| !unread(name))
            .flat_map(|(name, text)| machine_paths(name, text))
            .collect::<Vec<_>>(),
    );
}

// What follows shows that each rule can fail.

fn faults_of(name: &str, text: &str) -> Vec<String> {
    let tree = sources(vec![(name.to_owned(), text.to_owned())]);
    let mut faults = arrows(&tree);
    faults.extend(tree.iter().flat_map(|source| banned(source).into_iter().chain(form(source))));
    faults.extend(machine_paths(name, text));
    faults
}

#[test]
fn each_rule_names_the_file_and_the_line_that_break_it() {
    for (name, line, why) in [
        ("src/measure/x.rs", "use crate::plan::Plan;", "measure may not know `plan::Plan`"),
        (
            "src/arrival/x.rs",
            "use crate::{time::Moment, workload::{self, Mix}};",
            "arrival may not know `workload::self`",
        ),
        ("src/engine/x.rs", "fn f(v: &crate::verdict::Verdict) {}", "engine may not know `verdict::Verdict`"),
        ("src/engine/x.rs", "use crate::driver::{Driver, McpDriver};", "engine may not know `driver::McpDriver`"),
        ("src/driver/x.rs", "use crate::{plan::Plan};", "driver may not know `plan::Plan`"),
        ("src/server/x.rs", "use crate::mcp;", "server may not know `mcp`"),
        ("src/time.rs", "use crate::*;", "time may not know `*`"),
        ("src/main.rs", "use mcpace::engine::run;", "main.rs may not know `engine::run`"),
        ("src/mcp/x.rs", "use super::super::engine;", "`super::super::engine` reaches the crate"),
        ("src/mcp/mod.rs", "use super::engine;", "reaches the crate"),
        ("src/mcp/mod.rs", "mod inner { use super::super::engine; }", "reaches the crate"),
        ("src/mcp/x.rs", "use tokio::sync::watch;", "`tokio` in a pure module"),
        ("src/report/x.rs", "use std::{fmt, fs::File};", "`std::fs` in a pure module"),
        ("src/plan/x.rs", "fn f() { println!(); }", "`println!` in a pure module"),
        ("src/verdict/x.rs", "use std::time::Instant;", "`Instant` in a pure module"),
        ("src/cli/x.rs", "fn f() { std::time::Instant::now(); }", "`Instant` tells the time"),
        ("src/engine/lane.rs", "use std::time::SystemTime as Wall;", "`SystemTime` tells the time"),
        ("src/workload/x.rs", "fn f() -> u64 { rand::random() }", "`rand::random` draws from the machine"),
        ("src/driver/x.rs", "use rand::{Rng, rng};", "`rand::rng` draws from the machine"),
        ("src/engine/desk.rs", "use std::sync::{Arc, Mutex};", "`Mutex` waits"),
        ("src/engine/lane.rs", "async fn f(d: D) { d.call(c).await }", "`call` in the lane's loop"),
        ("src/measure/x.rs", "use hdrhistogram::Histogram;", "`hdrhistogram` is for src/measure/histogram only"),
        ("src/plan/x.rs", "#[derive(clap::Args)] struct A;", "`clap` is for src/cli/ only"),
        ("src/engine/x.rs", "use governor::Quota;", "`governor` is for src/arrival/process.rs only"),
        ("src/export/x.rs", "#[cfg(test)] mod tests { use axum::Router; }", "`axum` is for src/server/ only"),
        ("tests/x.rs", "#[allow(dead_code)]", "`allow` as a lint level"),
        ("src/cli/x.rs", "#![cfg_attr(test, allow(unused))]", "`allow` as a lint level"),
        ("src/cli/x.rs", "fn f() { unsafe { g() } }", "`unsafe` is forbidden"),
        ("src/cli/x.rs", "fn f() { todo!() }", "`todo!` is not finished work"),
        ("docs/x.md", &["saved in `/ho", "me/me/run.json`"].concat(), "is a path of one machine"),
    ] {
        let faults = faults_of(name, &format!("//! One idea.\n\n{line}\n"));
        assert!(faults.iter().any(|f| f.starts_with(&format!("{name}:3: ")) && f.contains(why)), "{line}: {faults:?}");
    }
    assert_eq!(faults_of("src/cli/x.rs", "use clap::Args;\n").len(), 1, "no `//!` line");
    assert!(faults_of("src/cli/x.rs", &"//! x\n".repeat(501))[0].starts_with("src/cli/x.rs:500: 501 lines"));
    let no_reason = "[dependencies]\nserde = \"1\" # reads and writes\ntoml = \"1\"\n[lints]\nx = \"y\"\n";
    let uses = sources(vec![("src/plan/file.rs".into(), "use serde::de; use toml::Table;".into())]);
    assert_eq!(reasons(no_reason, &uses), ["Cargo.toml:3: `toml` has no reason: add a comment on its line"]);
    assert_eq!(reasons("[dependencies]\nhttp = \"1\" # names of headers", &uses).len(), 1, "unused");
    assert_eq!(unused(&uses).len(), HOMES.len() - 1, "all but toml are missing");
    let lib = |text: &str| map(&sources(vec![("src/lib.rs".into(), text.into())])).join("\n");
    assert!(lib("//! | 0 | [`time`] | x |\npub mod time;\nmod new;").contains("src/lib.rs:3: `new` has no layer"));
    assert!(lib("//! x").contains("the map's rows are not the layer table") && lib("").contains("is no module"));
}

#[test]
fn what_is_said_or_tested_is_not_taken_for_code() {
    let innocent = r##"//! One idea: tokio, `Instant::now()`.
/* use crate::engine; /* unsafe */ todo!() */
use super::sibling;
pub(super) fn f<'a>(x: &'a str) -> char { g("use tokio;\" unsafe", r#"dbg!("x") crate::cli"#, b"todo!", '"', '\''); 'u' }
#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact")]
mod tests { use std::fs; use crate::engine::{self, Lane}; fn t() { let _ = [0; 2]; println!("{}", tokio::x()); } }
#[cfg(test)]
use crate::engine::Lane;
fn after(allowed: bool) -> bool { allowed != false }
"##;
    assert_eq!(faults_of("src/measure/x.rs", innocent), Vec::<String>::new());
    let files =
        [("src/mcp/mod.rs", "//! x\n#[cfg(test)]\nmod scripted;"), ("src/mcp/scripted.rs", "//! x\nuse tokio::net;")];
    let tree = sources(files.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec());
    assert_eq!(tree.iter().flat_map(banned).count(), 0);
    assert!(blank_tests("#[cfg(test)] mod t { x } use tokio::y;").contains("use tokio::y;"));
}
