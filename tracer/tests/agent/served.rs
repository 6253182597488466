//! What the agent answers.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::signal::Signal;

use super::asked::{Answer, ask};
use super::running::{Agent, recording, wait_until};

#[test]
fn the_page_has_the_form_that_was_asked_for() {
    let agent = Agent::start(&[]);
    let page = agent.get("/metrics");
    assert_eq!(page.code, 200);
    assert!(
        page.head
            .contains("application/openmetrics-text; version=1.0.0"),
        "{}",
        page.head
    );
    assert!(page.text().ends_with("# EOF\n"));

    let page = agent.get_as("/metrics", "text/plain;version=0.0.4");
    assert!(
        page.head.contains("text/plain; version=0.0.4"),
        "{}",
        page.head
    );
    assert!(
        page.text()
            .contains("# TYPE tracer_packets_total counter\n")
    );
    assert!(!page.text().contains("# EOF"));

    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    let page = agent.get_as("/metrics", prometheus);
    assert!(
        page.head
            .contains("proto=io.prometheus.client.MetricFamily"),
        "{}",
        page.head
    );
    let name = b"tracer_segment_latency_seconds";
    assert!(page.body.windows(name.len()).any(|it| it == name));
}

#[test]
fn the_routes_are_those_of_the_command() {
    let agent = Agent::start(&[]);
    let answer = agent.get("/api/routes");
    assert!(answer.head.contains("application/json"), "{}", answer.head);
    let command = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["routes", "--json", "--replay", &recording()])
        .output()
        .unwrap();
    assert_eq!(answer.text(), String::from_utf8(command.stdout).unwrap());
}

#[test]
fn health_and_readiness_are_told() {
    let agent = Agent::start(&[]);
    assert_eq!(agent.get("/healthz").text(), "healthy\n");
    assert_eq!(agent.get("/readyz").text(), "ready\n");
    assert_eq!(agent.get("/").code, 404);
    let post = ask(
        agent.address,
        "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!(post.code, 405);
}

#[test]
fn the_socket_answers_like_the_port_and_goes_with_the_agent() {
    let agent = Agent::start(&[]);
    let path = agent.socket();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /api/routes HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(stream).body, agent.get("/api/routes").body);
    assert_eq!(agent.end(Signal::SIGTERM).0, Some(0));
    assert!(!path.exists());
}

#[test]
fn an_agent_without_a_socket_has_none() {
    let agent = Agent::start(&["--socket", ""]);
    assert!(!agent.socket().exists());
}

#[test]
fn readings_go_on_and_count_nothing_twice() {
    let agent = Agent::start(&[]);
    let packets = || {
        let page = agent.get("/metrics").text();
        let lines = page
            .lines()
            .filter(|it| it.starts_with("tracer_packets_total{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = packets();
    assert!(before.len() > 10);
    wait_until("three readings come", || {
        agent.metric("tracer_readings_total").unwrap() >= 3.0
    });
    assert_eq!(packets(), before);
}

#[test]
fn either_signal_ends_it_within_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (code, took) = Agent::start(&[]).end(signal);
        assert_eq!(code, Some(0));
        assert!(took.as_secs_f64() < 1.0, "{signal}: {took:?}");
    }
}
