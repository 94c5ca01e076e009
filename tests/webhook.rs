//! `mcpace webhook` and the server's fault switch: what a demonstration of alerts needs, on the real binary.

#[expect(dead_code, reason = "each test file needs some of it")]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{Running, mcpace, words};
use rustix::process::Signal;

fn started(line: &str) -> Running {
    let mut command = mcpace();
    command.args(words(line));
    Running::start(command)
}

/// The address in a line that tells it.
fn address(line: &str) -> &str {
    let (_, rest) = line.split_once("http://").expect("an address");
    rest.split('/').next().expect("a part")
}

/// The first line of the answer to a body that is posted.
fn post(address: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.lines().next().expect("a line").to_owned()
}

#[test]
fn each_alert_is_a_line_whatever_it_says() {
    let mut webhook = started("webhook --port 0");
    let told = webhook.out.wait_for("listening on");
    let body = r#"{"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": {"alertname": "McpaceObjectiveBurning", "severity": "critical", "about": "target",
            "instance": "m:9464"}, "annotations": {"summary": "p95 < 150ms is being missed"}, "endsAt": "0001-01-01T00:00:00Z"},
        {"status": "resolved", "labels": {"alertname": "A\n\u001b[31mB"}}]}"#;
    assert_eq!(post(address(&told), body), "HTTP/1.1 200 OK");
    let line = webhook.out.wait_for("firing");
    let wanted = "firing McpaceObjectiveBurning (critical, about target, m:9464): p95 < 150ms is being missed\n";
    assert_eq!(line, wanted);
    assert_eq!(webhook.out.wait_for("resolved"), "resolved A B (-, about -, -): -\n");
    assert!(post(address(&told), "{}").starts_with("HTTP/1.1 422"));
    webhook.signal(Signal::TERM);
    assert_eq!(webhook.end().code, Some(0));
}

#[test]
fn a_signal_turns_the_faults_of_the_server_on_and_off() {
    let mut server = started("serve --port 0 --fault-switch --http-error-share 100%");
    server.out.wait_for("listening on");
    server.signal(Signal::USR1);
    assert_eq!(server.out.wait_for("faults"), "mcpace serve: faults on\n");
    server.signal(Signal::USR1);
    assert_eq!(server.out.wait_for("faults"), "mcpace serve: faults off\n");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, Some(0));
}
