//! Who is told of an incident, how often, and what becomes of it while the receiver is away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::incidents::{post, written};
use super::running::{Agent, Folder, Start, folder, wait_until, write};

/// What a receiver got: heads and bodies, by path.
pub(crate) type Got = Arc<Mutex<Vec<(String, Value)>>>;

/// Takes what is posted; the first request gets nonsense.
pub(crate) fn receive(at: SocketAddr) -> Got {
    let listener = TcpListener::bind(at).unwrap();
    let got = Got::default();
    let all = Arc::clone(&got);
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut part = [0; 4096];
            let (head, body) = loop {
                let read = stream.read(&mut part).unwrap_or(0);
                bytes.extend(&part[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .lines()
                        .find_map(|it| it.strip_prefix("content-length: "));
                    if length.is_none_or(|it| body.len() >= it.parse().unwrap()) {
                        break (head.to_owned(), body.to_owned());
                    }
                }
                assert!(read > 0, "{text}");
            };
            if nth == 0 {
                stream.write_all(b"what?\r\n").unwrap();
                continue;
            }
            all.lock()
                .unwrap()
                .push((head, serde_json::from_str(&body).unwrap()));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    got
}

/// A port that nobody listens on.
pub(crate) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn agent(state: &Folder, config: &str, more: &[&str]) -> Agent {
    let config = write(state, "tracer.toml", config);
    let places = [
        "--config",
        &config,
        "--state-directory",
        state.to_str().unwrap(),
    ];
    let agent = Start::new(&[&places, more].concat()).run();
    agent.wait_until_ready();
    agent
}

#[test]
fn a_receiver_that_is_away_gets_each_once_afterwards() {
    let state = folder();
    written(&state);
    write(&state, "key", "a key\n");
    let (hook, manager) = (free(), free());
    let config = format!(
        "[alerts]\nwebhook = \"http://{hook}/hook\"\nwebhook_key = \"{}\"\nalertmanagers = [\"http://{manager}\"]\n",
        state.join("key").display()
    );
    let away = agent(&state, &config, &[]);
    let failures = format!("tracer_alert_failures_total{{receiver=\"webhook http://{hook}\"}}");
    wait_until("it is tried", || away.metric(&failures) >= Some(1.0));
    assert!(
        away.log().contains("it is kept and tried again"),
        "{}",
        away.log()
    );
    let said = "INC-7 is critical: PATH at next hop";
    wait_until("it says so itself", || away.log().contains(said));
    // Neither the receiver nor this agent lives to see it.
    assert_eq!(away.end(Signal::SIGTERM).0, Some(0));

    let second = agent(&state, &config, &[]);
    let (hooked, alerted) = (receive(hook), receive(manager));
    let count = |got: &Got| got.lock().unwrap().len();
    wait_until("both are told", || {
        count(&hooked) == 1 && count(&alerted) == 1
    });
    {
        let hooked = hooked.lock().unwrap();
        let (head, body) = &hooked[0];
        assert!(head.starts_with("POST /hook HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("tracer-signature: sha256="), "{head}");
        assert!(head.contains("/INC-7/firing"), "{head}");
        assert_eq!(
            (&body["schema"], &body["event"]),
            (&"tracer.alert/1".into(), &"firing".into())
        );
        assert_eq!(body["incident"]["verdict"], "path");
        let alerted = alerted.lock().unwrap();
        let (head, body) = &alerted[0];
        assert!(
            head.starts_with("POST /api/v2/alerts HTTP/1.1\r\n"),
            "{head}"
        );
        assert_eq!(body[0]["labels"]["incident"], "INC-7");
    }
    let sent = format!("tracer_alerts_sent_total{{receiver=\"webhook http://{hook}\"}}");
    wait_until("it is counted", || second.metric(&sent) == Some(1.0));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!second.log().contains(said), "it was said already");
    drop(second);

    let third = agent(&state, &config, &[]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(count(&hooked), 1, "it was told already");
    assert_eq!(post(&third.socket(), "/api/incidents/7/accept").code, 200);
    wait_until("the webhook is told of its end", || count(&hooked) == 2);
    let end = hooked.lock().unwrap()[1].1.clone();
    assert_eq!(end["event"], "resolved");
    wait_until("Alertmanager is told of its end", || {
        let last = alerted.lock().unwrap().last().unwrap().1.clone();
        last[0]["endsAt"] == end["incident"]["recovered"]
    });
    let then = count(&alerted);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((count(&hooked), count(&alerted)), (2, then), "each once");
}

#[test]
fn in_shadow_nobody_is_told_and_what_would_have_been_sent_is_listed() {
    let state = folder();
    written(&state);
    let hook = free();
    let got = receive(hook);
    let config = format!("[alerts]\nwebhook = \"http://{hook}/\"\n");
    let agent = agent(&state, &config, &["--shadow"]);
    wait_until("it is noted", || {
        agent.metric("tracer_alerts_sent_total{receiver=\"nobody (shadow)\"}") == Some(1.0)
    });
    assert!(got.lock().unwrap().is_empty());
    agent.signal(Signal::SIGTERM);
    wait_until("it lists", || {
        agent.log().contains("shadow: would have sent")
    });
    wait_until("it lists all", || {
        agent.log().contains("INC-7  firing: PATH at next hop")
    });
    assert!(got.lock().unwrap().is_empty());
}
