//! The report in other forms, by the real binary: files, stdout, and what cannot be written.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::fs;
use std::path::Path;

use common::{Server, finish_line};
use roxmltree::Document;

/// A run of the bundled server that is saved in the folder, with more flags.
fn run(server: &Server, folder: &Path, flags: &str, code: i32) -> common::Ended {
    let line = format!(
        "run {} --total 40 --rate 200 --metrics off --judge observed --objective error_rate<50% --out {} {flags}",
        server.url,
        folder.join("run.json").display()
    );
    let ended = finish_line(&line);
    assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.err);
    ended
}

#[test]
fn a_run_and_its_saved_self_are_written_as_the_same_page_summary_and_cases() {
    let (server, folder) = (Server::start(""), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let flags = |of: &str| {
        let [html, markdown, junit] = ["html", "md", "xml"].map(|end| path(&format!("{of}.{end}")));
        format!("--html {html} --markdown {markdown} --junit {junit}")
    };
    let ended = run(&server, folder.path(), &flags("live"), 0);
    assert!(ended.out.contains("OVERALL"), "the text is on stdout all the same: {}", ended.out);
    let again = finish_line(&format!("report {} {}", path("run.json"), flags("again")));
    assert_eq!((again.code, again.out), (Some(0), ended.out));
    for (end, begins) in [("html", "<!DOCTYPE html>"), ("md", "## ✅ PASS: "), ("xml", "<?xml version=\"1.0\"")] {
        let [live, again] = ["live", "again"].map(|of| fs::read_to_string(path(&format!("{of}.{end}"))).expect(end));
        assert!(live.starts_with(begins), "{live}");
        assert_eq!(live, again);
    }
    let xml = fs::read_to_string(path("live.xml")).expect("a file");
    let document = Document::parse(&xml).expect("XML");
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).expect("a suite");
    assert_eq!(["tests", "failures", "errors"].map(|name| suite.attribute(name)), [Some("2"), Some("0"), Some("0")]);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 7, "no draft is left behind: {left:?}");
}

#[test]
fn one_form_can_take_the_place_of_the_text_on_stdout() {
    let (server, folder) = (Server::start(""), tempfile::tempdir().expect("a folder"));
    let ended = run(&server, folder.path(), "--markdown -", 0);
    assert!(ended.out.starts_with("## ✅ PASS") && !ended.out.contains("OVERALL"), "{}", ended.out);
    let refused = finish_line(&format!("run {} --total 5 --metrics off --markdown - --junit -", server.url));
    refused.assert_refused(2, &["--markdown and --junit would both be written to `-`", "give each its own"]);
}

#[test]
fn two_results_in_one_file_and_paths_that_cannot_be_written_are_known_before_anything_is_sent() {
    let url = format!("http://127.0.0.1:{}", common::free_port());
    let same = finish_line(&format!("run {url} --total 5 --metrics off --out x.json --html x.json"));
    same.assert_refused(2, &["--out and --html would both be written to `x.json`"]);
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display();
    std::os::unix::fs::symlink("x.json", folder.path().join("link.json")).expect("a link");
    std::fs::write(folder.path().join("x.json"), "").expect("a file");
    for (flags, said) in [
        (format!("--out {here}/a --hlog {here}/a"), "--out and --hlog would both be written to"),
        (format!("--hlog {here}/a --html {here}/./a"), "--hlog and --html would both be written to"),
        (format!("--out {here}/x.json --junit {here}/link.json"), "--out and --junit would both be written to"),
        (format!("--out {here}/a --control {here}/a"), "--out and --control would both be written to"),
        ("--hlog -".to_owned(), "stdout is for its report"),
    ] {
        finish_line(&format!("run {url} --total 5 --metrics off {flags}")).assert_refused(2, &[said]);
    }
    for flag in ["--html", "--markdown", "--junit"] {
        let ended = finish_line(&format!("run {url} --total 5 --metrics off {flag} /nowhere/page"));
        ended.assert_refused(2, &["failed to write the result to `/nowhere/page`", "make its folder first"]);
    }
}

#[test]
fn a_full_disk_costs_the_files_that_are_on_it_and_nothing_else() {
    let (server, folder) = (Server::start(""), tempfile::tempdir().expect("a folder"));
    let junit = folder.path().join("cases.xml");
    let flags = format!("--html /dev/full --junit {}", junit.display());
    let ended = run(&server, folder.path(), &flags, 6);
    assert!(ended.err.contains("failed to write the result to `/dev/full`"), "{}", ended.err);
    assert!(ended.err.contains("No space left"), "{}", ended.err);
    assert!(ended.out.contains("OVERALL"), "{}", ended.out);
    let cases = fs::read_to_string(junit).expect("the other file");
    assert!(Document::parse(&cases).is_ok() && folder.path().join("run.json").exists());
}

#[test]
fn a_file_is_about_one_run_and_never_written_over_it() {
    let (server, folder) = (Server::start(""), tempfile::tempdir().expect("a folder"));
    run(&server, folder.path(), "", 0);
    let saved = folder.path().join("run.json").display().to_string();
    let two = finish_line(&format!("report {saved} {saved} --html {saved}.html"));
    two.assert_refused(2, &["--html is for one run", "report each with a file of its own"]);
    let onto = finish_line(&format!("report {saved} --html {saved}"));
    onto.assert_refused(2, &["--html", "would be written over the run itself"]);
    assert!(fs::read_to_string(&saved).expect("the run").contains("mcpace-run"));
}
