//! What the agent answers.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::asked::{Answer, ask};
use super::running::{Agent, folder, recording, wait_until};

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
fn a_scraper_that_takes_gzip_gets_it() {
    let agent = Agent::start(&[]);
    let plain = agent.get("/metrics");
    assert!(!plain.head.contains("content-encoding"), "{}", plain.head);
    let folder = folder();
    let path = folder.join("page.gz");
    let head =
        "GET /metrics HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n";
    let page = ask(agent.address, head);
    assert!(
        page.head.contains("content-encoding: gzip"),
        "{}",
        page.head
    );
    let vary = page.head.lines().filter(|line| line.starts_with("vary: "));
    let vary: String = vary.map(str::to_lowercase).collect();
    assert!(
        vary.contains("accept-encoding") && vary.contains("accept"),
        "{vary}"
    );
    std::fs::write(&path, unchunked(&page.body)).unwrap();
    let unpacked = Command::new("gzip").arg("-dc").arg(&path).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let text = String::from_utf8(unpacked.stdout).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(page.body.len() * 4 < text.len(), "{}", page.body.len());
}

/// The bytes of a body that was sent in chunks (RFC 9112, 7.1).
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let end = body.windows(2).position(|it| it == b"\r\n").unwrap();
        let length = std::str::from_utf8(&body[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&body[end + 2..][..length]);
        body = &body[end + 2 + length + 2..];
    }
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
fn the_routes_of_one_end_are_asked_for_alone() {
    let agent = Agent::start(&[]);
    let all = routes(&agent, "");
    for (about, expected) in [
        ("app", &["app db", "db app", "app 10.0.77.2/32"][..]),
        ("203.0.113.9:443", &["10.0.1.0/24 203.0.113.0/24"; 2]),
        ("203.0.113.9:80", &[]),
        ("nobody", &[]),
    ] {
        let mine = routes(&agent, &format!("?about={about}"));
        let ends = |route: &Value| {
            [&route["source"], &route["destination"]]
                .map(text)
                .join(" ")
        };
        assert_eq!(
            mine.iter().map(ends).collect::<Vec<_>>(),
            expected,
            "{about}"
        );
        assert!(mine.iter().all(|route| all.contains(route)), "{about}");
    }
    assert_eq!(agent.get("/api/routes?whose=nobody").code, 400);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn routes(agent: &Agent, asked: &str) -> Vec<Value> {
    let page = agent.get(&format!("/api/routes{asked}")).text();
    let page: Value = serde_json::from_str(&page).unwrap();
    page["routes"].as_array().unwrap().clone()
}

#[test]
fn the_verdict_is_told_in_each_form() {
    let agent = Agent::start(&[]);
    let json = agent.get("/api/verdict?duration=100ms");
    assert!(json.head.contains("application/json"), "{}", json.head);
    assert!(
        json.text().contains("\"schema\":\"tracer.verdict/1\""),
        "{}",
        json.text()
    );
    let text = agent.get("/api/verdict?duration=100ms&form=text");
    // A recording stands still: nothing came in any window.
    assert!(text.text().starts_with("CAN'T TELL: "), "{}", text.text());
    assert!(
        text.text().ends_with("; asked the agent\n"),
        "{}",
        text.text()
    );
    assert_eq!(agent.get("/api/verdict?duration=9y").code, 400);
    assert_eq!(agent.get("/api/verdict?form=picture").code, 400);
}

#[test]
fn the_command_asks_the_agent() {
    let agent = Agent::start(&[]);
    let socket = agent.socket();
    for words in [&[][..], &["why", "db"]] {
        let said = Command::new(env!("CARGO_BIN_EXE_tracer"))
            .args(words)
            .args(["--duration", "100ms", "--socket"])
            .arg(&socket)
            .output()
            .unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(said.status.success(), "{text}");
        assert!(text.starts_with("CAN'T TELL: "), "{text}");
        assert!(text.contains("asked the agent"), "{text}");
    }
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
