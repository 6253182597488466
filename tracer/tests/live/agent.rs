//! `tracer run` on the running kernel: what it counts is what was sent, and a reload loses none.

use std::time::Duration;

use lab::topology::Line;
use lab::{Lab, NumberedUdp, Pace};
use nix::sys::signal::Signal;

use super::command::{TRACING, programs_of, still_loaded};
use super::running::{Agent, Folder, Start, folder, wait_until, write};

pub(crate) const PORT: u16 = 9380;

/// As many as are sent while a busy machine attaches twice.
const COUNT: u64 = 120_000;

/// Packets to the port that left the app, in all series.
pub(crate) fn left(agent: &Agent, line: &Line) -> u64 {
    let page = agent.get("/metrics").text();
    let app = format!("namespace=\"{}\"", line.app.name());
    let port = format!("port=\"{PORT}\"");
    let counted = page.lines().filter(|it| {
        let words = [
            "tracer_packets_total{",
            &app,
            &port,
            "stage=\"xmit\"",
            "port_of=\"destination\"",
        ];
        words.iter().all(|word| it.contains(word))
    });
    counted
        .map(|it| it.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum()
}

fn start(line: &Line) -> (Agent, NumberedUdp<'_>, Folder) {
    let folder = folder();
    let config = write(
        &folder,
        "tracer.toml",
        &format!("[filter]\nport = {PORT}\n"),
    );
    let agent = Start::live(&["--config", &config, "--max-cpu", "off"]).run();
    agent.wait_until_ready();
    let from = line.app_at.v4.into();
    let udp = NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)));
    (agent, udp, folder)
}

#[test]
fn every_packet_is_counted_and_nothing_stays_attached() {
    let line = Line::new(Lab::new("agent").unwrap()).unwrap();
    let (agent, udp, _) = start(&line);
    for round in 1..=3 {
        assert_eq!(udp.run().unwrap().received, 1000);
        wait_until("all are counted", || left(&agent, &line) >= round * 1000);
        assert_eq!(left(&agent, &line), round * 1000);
    }
    let programs = programs_of(agent.id());
    assert!(programs.iter().all(|program| program.kind == TRACING));
    assert!(!programs.is_empty());
    let (code, took) = agent.end(Signal::SIGTERM);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    wait_until("nothing is loaded", || still_loaded(&programs).is_empty());
}

#[test]
fn a_reload_that_attaches_anew_loses_no_packet() {
    let line = Line::new(Lab::new("reloaded").unwrap()).unwrap();
    let (agent, udp, folder) = start(&line);
    let udp = NumberedUdp {
        count: COUNT,
        pace: Pace::Constant {
            per_second: 4_000.0,
        },
        ..udp
    };
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| udp.run().unwrap());
        wait_until("it counts", || left(&agent, &line) > 2_000);
        let text = format!("[filter]\nport = {PORT}\nprotocol = \"udp\"\n");
        write(&folder, "tracer.toml", &text);
        agent.signal(Signal::SIGHUP);
        wait_until("it attaches anew", || {
            agent.metric("tracer_attachments_total") == Some(2.0)
        });
        assert!(!flood.is_finished(), "the packets end before the reload");
        assert_eq!(flood.join().unwrap().received, COUNT);
    });
    wait_until("all are counted", || left(&agent, &line) >= COUNT);
    let left = left(&agent, &line);
    println!("{left} of {COUNT}");
    // Both sources see what comes while the first one is told to end.
    assert!(left <= COUNT + COUNT / 50, "{left}");
}
