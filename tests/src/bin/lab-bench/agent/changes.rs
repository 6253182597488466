//! What the agent takes where 1,000 classes have 50,000 packets a second and their route changes ten
//! times a second; and how soon it knows a change, and a class.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::topology::{Address, Line};
use lab::{Insert, Lab, RouteSpec};
use serde_json::Value;

use super::reading::Sender;
use crate::bars::Bars;
use crate::running::Agent;

const CLASSES: usize = 1_000;
/// Packets a second, all classes together, and changes a second.
const PACKETS: usize = 50_000;
const CHANGES: usize = 10;

const PREFIX: &str = "10.2.0.0/24";

const CONFIG: &str = "\
[agent]
max_cpu = \"off\"
[filter]
prefix = \"10.0.0.0/8\"
protocol = \"udp\"
[limits]
nodes = 16384
cells = 32768
";

/// How often each delay is measured.
const TIMES: usize = 50;

pub(super) fn run(seconds: u64, bars: &mut Bars) -> Result<()> {
    println!("\n## {CLASSES} classes, {PACKETS} packets and {CHANGES} changes a second\n");
    let line = Line::new(Lab::new("bench-changes")?)?;
    let sender = Sender::new(&line, CLASSES)?;
    let agent = Agent::start(CONFIG, &[])?;
    sender.send(&line, 0, 0..CLASSES)?;
    agent.wait_until("all are counted", |agent| {
        let series = "tracer_route_latency_seconds_count";
        agent
            .metric(series)
            // Of a burst one packet in eight is timed, for all eight.
            .is_ok_and(|count| count >= CLASSES as f64 * 0.9)
    })?;
    for (name, changes) in [
        ("no changes: % of a core", 0),
        ("with changes: % of a core", CHANGES),
    ] {
        let (took, sent) = load(&agent, &line, &sender, seconds, changes)?;
        println!("{changes} changes a second: {sent:.0} packets a second were sent");
        if changes == 0 {
            bars.told(name, took);
        } else {
            bars.at_most(name, 1.0, vec![took]);
        }
    }
    bars.at_most(
        "a change is served after, s",
        0.1,
        change_served(&agent, &line)?,
    );
    bars.at_most(
        "a class is whole after, s",
        0.05,
        class_whole(&agent, &line)?,
    );
    let all = all_served(&agent)?;
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    bars.told("all routes are served after, s", mean);
    Ok(())
}

/// The share of a core that the agent takes, and the packets a second that there really were.
fn load(
    agent: &Agent,
    line: &Line,
    sender: &Sender,
    seconds: u64,
    changes: usize,
) -> Result<(f64, f64)> {
    // A turn is a packet of each class.
    let turns = PACKETS / CLASSES;
    let (start, before) = (Instant::now(), agent.cpu_ns()?);
    let mut sent = 0;
    for turn in 0..seconds as usize * turns {
        sender.send(line, turn % 2, 0..CLASSES)?;
        sent += CLASSES;
        if changes > 0 && turn % (turns / changes) == 0 {
            replace(line, turn)?;
        }
        let next = Duration::from_secs_f64((turn + 1) as f64 / turns as f64);
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    let took = agent.cpu_ns()? - before;
    let all = start.elapsed();
    Ok((
        took as f64 / all.as_nanos() as f64 * 100.0,
        f64::from(sent as u32) / all.as_secs_f64(),
    ))
}

/// Replaces the route of all classes by one that is another.
fn replace(line: &Line, turn: usize) -> Result<()> {
    let spec = RouteSpec {
        legs: vec![(Some(Address::new(1, 1).v4.into()), "app0".to_owned(), 1)],
        mtu: Some(1_400 + (turn % 50) as u32),
        ..RouteSpec::to(PREFIX.parse()?)
    };
    line.app.add_route(Insert::Replace, &spec)
}

/// From the kernel's acknowledgement of a change until `/api/changes` has it.
fn change_served(agent: &Agent, line: &Line) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    let mut last = newest(agent)?;
    for turn in 0..TIMES {
        std::thread::sleep(Duration::from_millis(150));
        replace(line, turn)?;
        let start = Instant::now();
        loop {
            let now = newest(agent)?;
            if now > last {
                last = now;
                break;
            }
            if start.elapsed() > Duration::from_secs(10) {
                bail!("wait until a change is served: it is not");
            }
        }
        delays.push(start.elapsed().as_secs_f64());
    }
    Ok(delays)
}

/// The number of the newest change of the route.
fn newest(agent: &Agent) -> Result<u64> {
    let page: Value = serde_json::from_slice(&agent.get("/api/changes?since=1s")?.body)?;
    let changes = page["changes"].as_array().context("read the changes")?;
    let ours = changes.iter().filter(|it| {
        it["kind"] == "route"
            && it["subject"]
                .as_str()
                .is_some_and(|it| it.starts_with(PREFIX))
    });
    Ok(ours.filter_map(|it| it["id"].as_u64()).max().unwrap_or(0))
}

/// From a class's first packet until `/api/routes` has it with its FIB entry and the names of both
/// ends, as whoever asks for that class alone sees it.
fn class_whole(agent: &Agent, line: &Line) -> Result<Vec<f64>> {
    const FIRST: u16 = 19_000;
    let at = line.db_at.v4;
    let mut delays = Vec::new();
    for port in (FIRST..).take(TIMES) {
        let to = line.db.run(|| UdpSocket::bind((at, port)))?;
        let from = line.app.run(|| UdpSocket::bind((line.app_at.v4, 0)))?;
        from.send_to(&[0; 32], (at, port))?;
        let (start, number) = (Instant::now(), delays.len() + 1);
        while let Some(missing) = missing(agent, (at, port).into())? {
            if start.elapsed() > Duration::from_secs(10) {
                bail!("wait until class {number} is whole: {missing} is missing");
            }
        }
        delays.push(start.elapsed().as_secs_f64());
        drop(to);
    }
    Ok(delays)
}

/// What there is not yet of the class to an end.
fn missing(agent: &Agent, end: SocketAddr) -> Result<Option<&'static str>> {
    let page = agent.get(&format!("/api/routes?about={end}"))?.body;
    let page: Value = serde_json::from_slice(&page).context("read the routes")?;
    let routes = page["routes"].as_array().context("read the routes")?;
    let Some(route) = routes.first() else {
        return Ok(Some("its route"));
    };
    let has_entry = |hop: &Value| !hop["fib"].is_null();
    if !route["hops"]
        .as_array()
        .is_some_and(|hops| hops.iter().any(has_entry))
    {
        return Ok(Some("its FIB entry"));
    }
    let names = ["source_name", "destination_name"];
    Ok(names.into_iter().find(|&end| route[end].is_null()))
}

/// How long it takes to ask for all routes at once.
fn all_served(agent: &Agent) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    for _ in 0..TIMES / 5 {
        let start = Instant::now();
        agent.get("/api/routes")?;
        delays.push(start.elapsed().as_secs_f64());
    }
    Ok(delays)
}
