//! More ways than the kernel half has room for, one after the other: those of before are forgotten,
//! and no packet with them.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use lab::topology::Line;
use lab::{Lab, NumberedUdp};
use tracer::model::{Parent, Protocol, Reading, Report, Service};
use tracer::sink::prometheus::{self, Form, Health, Ledger, Page};
use tracer::source::live::Live;
use tracer::source::{Settings, Source};

use super::seen::{check_balance, losses, tell};

/// Ports that are sent to, each a class with ten nodes.
const PORTS: std::ops::Range<u16> = 9_400..9_445;

const PACKETS: u64 = 100;

/// So many classes have room at one moment, and no more.
const NODES: u32 = 256;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.filter.prefix = Some("10.0.0.0/8".parse().unwrap());
    settings.filter.protocol = Some(Protocol::Udp);
    settings.limits.nodes = NODES;
    settings.limits.classes = 64;
    settings.limits.cells = 2 * NODES;
    settings
}

/// Packets that began, whatever is known of their way.
fn born(reading: &Reading) -> u64 {
    let roots = reading
        .nodes
        .iter()
        .filter(|node| matches!(node.parent, Parent::Class(_)));
    roots.map(|node| node.packets).sum::<u64>() + reading.forgotten.whole.packets
}

/// Each class that is known has its own packets at each of its hops, and no others.
fn check_classes(reading: &Reading) {
    let report = Report::from_reading(reading);
    for route in &report.routes {
        let port = route.class.service.map(Service::port).unwrap_or_default();
        assert!(PORTS.contains(&port), "{:?}", route.class);
        assert!(
            route.steps.len() == 9 && route.steps.iter().all(|step| step.packets == PACKETS),
            "{port}: {}",
            tell(route)
        );
        assert_eq!(route.balance.difference, 0);
    }
}

/// What the page of metrics says of all packets at a stage.
fn counted(ledger: &Arc<Mutex<Ledger>>, stage: &str) -> u64 {
    let page = Page {
        ledger: Arc::clone(ledger),
        health: Health::default(),
    };
    let page = String::from_utf8(prometheus::to_bytes(&page, Form::OpenMetrics)).unwrap();
    let stage = format!("stage=\"{stage}\"");
    let lines = page
        .lines()
        .filter(|line| line.starts_with("tracer_packets_total{") && line.contains(&stage));
    lines
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum()
}

#[test]
fn ways_that_are_over_make_room_for_others_and_every_packet_stays_counted() {
    let hosts = Line::new(Lab::new("forgotten").unwrap()).unwrap();
    let from = hosts.app_at.v4.into();
    let mut live = Live::open(&settings()).unwrap();
    let ledger = Arc::new(Mutex::new(Ledger::new(prometheus::Settings {
        max_series: 100_000,
    })));
    let mut sent = 0;
    // The first ones come again when they are long forgotten.
    for port in PORTS.chain(PORTS.take(5)) {
        let to = hosts.db_at.facing(from, port);
        let udp = NumberedUdp {
            count: PACKETS,
            ..NumberedUdp::new((&hosts.app, from), (&hosts.db, to))
        };
        assert_eq!(udp.run().unwrap().received, PACKETS);
        sent += PACKETS;
        let reading = live.read().unwrap();
        assert_eq!(born(&reading), sent);
        check_balance(&reading);
        check_classes(&reading);
        ledger.lock().unwrap().add(&reading);
        assert_eq!(counted(&ledger, "deliver"), sent);
        sleep(Duration::from_millis(700));
    }
    let reading = Box::new(live).finish().unwrap();
    let report = Report::from_reading(&reading);
    let forgotten = &reading.forgotten;
    println!(
        "{} nodes and {} classes forgotten; losses: {}",
        forgotten.nodes,
        forgotten.classes,
        losses(&report)
    );
    assert_eq!(losses(&report), "");
    assert!(
        forgotten.nodes >= 150 && forgotten.classes >= 15,
        "{forgotten:?}"
    );
    assert_eq!(forgotten.whole.ends.delivered, forgotten.whole.packets);
    check_balance(&reading);
    assert_eq!(born(&reading), sent);
}
