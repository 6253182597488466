//! Clients that behave badly are refused and counted, and the tracing goes on.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use super::asked::{Answer, ask, connect};
use super::many;
use super::running::{Agent, Start, folder, wait_until, write};

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";

fn refused(agent: &Agent, reason: &str) -> f64 {
    let series = format!("tracer_http_refused_total{{reason=\"{reason}\"}}");
    agent.metric(&series).unwrap()
}

/// Some more readings come.
fn goes_on(agent: &Agent) {
    let readings = || agent.metric("tracer_readings_total").unwrap_or(0.0);
    let before = readings();
    wait_until("readings go on", || readings() >= before + 2.0);
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let agent = many::agent(10_000);
    let mut client = connect(agent.address);
    client.write_all(REQUEST).unwrap();
    goes_on(&agent);
    wait_until("it is given up", || refused(&agent, "stalled") >= 1.0);
    goes_on(&agent);
    drop(client);
}

#[test]
fn a_client_that_sends_its_head_slowly_is_given_up() {
    let agent = Agent::start(&[]);
    let mut client = connect(agent.address);
    let drip = thread::spawn({
        let mut client = client.try_clone().unwrap();
        move || {
            for byte in REQUEST.iter().cycle().take(100) {
                let sent = client.write_all(&[*byte]);
                if sent.is_err() {
                    return true;
                }
                thread::sleep(std::time::Duration::from_millis(300));
            }
            false
        }
    });
    client.write_all(b"GET /metrics HTTP/1.1\r\nx: ").unwrap();
    wait_until("it is given up", || refused(&agent, "slow") >= 1.0);
    goes_on(&agent);
    assert!(drip.join().unwrap(), "the connection was cut");
}

#[test]
fn a_head_of_a_megabyte_is_refused() {
    let agent = Agent::start(&[]);
    let head = format!(
        "GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let answer = ask(agent.address, &head);
    assert!([0, 431].contains(&answer.code), "{answer:?}");
    wait_until("it is counted", || refused(&agent, "head") >= 1.0);
    goes_on(&agent);
}

#[test]
fn words_that_are_no_http_are_refused() {
    let agent = Agent::start(&[]);
    let answer = ask(agent.address, "\u{16}\u{3}\u{1} hello\r\n\r\n");
    assert!([0, 400].contains(&answer.code), "{answer:?}");
    goes_on(&agent);
}

#[test]
fn a_thousand_clients_at_once_are_served_or_refused() {
    let agent = Agent::start(&[]);
    // All are there before the first one asks.
    let clients: Vec<TcpStream> = (0..1_000).map(|_| connect(agent.address)).collect();
    for mut client in &clients {
        // Some are closed already.
        let _ = client.write_all(REQUEST);
    }
    let answers: Vec<_> = clients.into_iter().map(Answer::read).collect();
    let served = answers.iter().filter(|it| it.code == 200).count();
    let whole = answers.iter().filter(|it| it.body.ends_with(b"# EOF\n"));
    assert_eq!(whole.count(), served, "whoever was served got all");
    assert!(served >= 10, "{served}");
    let others = answers
        .iter()
        .filter(|it| ![0, 200].contains(&it.code))
        .count();
    assert_eq!(others, 0);
    wait_until("the others are counted", || {
        // On a busy machine some are let in and not read in time. This one may have been refused too, before.
        let others = refused(&agent, "connections") + refused(&agent, "slow");
        served as f64 + others >= 1_000.0
    });
    goes_on(&agent);
}

#[test]
fn clients_that_hold_every_connection_lose_them() {
    let folder = folder();
    let config = write(&folder, "tracer.toml", "[agent]\nconnections = 5\n");
    let agent = Start::new(&["--config", &config]).run();
    agent.wait_until_ready();
    let holding: Vec<TcpStream> = (0..5).map(|_| connect(agent.address)).collect();
    wait_until("nobody else gets in", || agent.get("/healthz").code == 0);
    wait_until("somebody does again", || agent.get("/healthz").code == 200);
    assert!(refused(&agent, "slow") >= 5.0);
    assert!(refused(&agent, "connections") >= 1.0);
    drop(holding);
    goes_on(&agent);
}
