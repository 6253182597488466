//! Ten thousand numbered datagrams: ten thousand at each hop.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::topology::{Address, Bridged, Cabled, Line, Loopback, Nat, Vlan, Vxlan, Wired};
use lab::{Lab, Ns, NumberedUdp, Pace, WireSpec};
use tracer::model::{Report, Route, hop::Stage};
use tracer::source::Settings;

use super::seen::{losses, port, requests, tell, trace};

pub(super) const PORT: u16 = 9000;
const COUNT: u64 = 10_000;
/// On their way at once: also on a machine that is too slow for the pace, what waits in a wire is
/// not more than the tracer remembers. Three in one of its 32,768 sets of two are then seldom: in one
/// run of 400.
const WINDOW: u64 = 250;

/// Sends them, traced, and returns what was seen.
fn send(from: (&Ns, IpAddr), to: (&Ns, SocketAddr), target: Option<SocketAddr>) -> Report {
    let wanted = target.map_or(to.1.port(), |target| target.port());
    send_as(&port(wanted), from, to, target)
}

pub(super) fn send_as(
    settings: &Settings,
    from: (&Ns, IpAddr),
    to: (&Ns, SocketAddr),
    target: Option<SocketAddr>,
) -> Report {
    let udp = NumberedUdp {
        count: COUNT,
        pace: Pace::Constant { per_second: 8000.0 },
        window: WINDOW,
        target,
        ..NumberedUdp::new(from, to)
    };
    // The first packets find their neighbours before anything is traced.
    NumberedUdp {
        count: 10,
        ..udp_like(&udp)
    }
    .run()
    .unwrap();
    let (delivery, report) = trace(settings, || udp.run().unwrap());
    assert_eq!(
        (delivery.sent, delivery.received, delivery.duplicates),
        (COUNT, COUNT, 0)
    );
    report
}

fn udp_like<'a>(udp: &NumberedUdp<'a>) -> NumberedUdp<'a> {
    NumberedUdp {
        target: udp.target,
        ..NumberedUdp::new(udp.from, udp.to)
    }
}

/// One route, each of its hops with all packets, all delivered, nothing lost.
pub(super) fn check(report: &Report, service: u16, hops: &[(&str, Stage)]) {
    let routes = requests(report, service);
    assert_eq!(
        routes.len(),
        1,
        "{}",
        routes.iter().map(|route| tell(route)).collect::<String>()
    );
    let route = routes[0];
    check_route(route, hops);
    assert_eq!(losses(report), "", "{}", tell(route));
}

/// The same by both families.
fn check_both(from: (&Ns, Address), to: (&Ns, Address), hops: &[(&str, Stage)]) {
    for ip in from.1.both() {
        let report = send((from.0, ip), (to.0, to.1.facing(ip, PORT)), None);
        check(&report, PORT, hops);
    }
}

fn check_route(route: &Route, hops: &[(&str, Stage)]) {
    let seen: Vec<_> = route
        .steps
        .iter()
        .map(|step| (step.hop.device.as_str(), step.hop.stage))
        .collect();
    assert_eq!(seen, hops, "{}", tell(route));
    for step in &route.steps {
        assert_eq!(step.packets, COUNT, "{}", tell(route));
        if let Some(segment) = &step.segment {
            assert_eq!(segment.latency.count(), COUNT, "{}", tell(route));
        }
    }
    assert_eq!(route.packets, COUNT, "{}", tell(route));
    assert_eq!(route.ends.delivered, COUNT, "{}", tell(route));
    assert_eq!(route.total.count(), COUNT, "{}", tell(route));
    assert_eq!(route.balance.difference, 0, "{}", tell(route));
    let first = route.steps[0].bytes;
    assert_eq!(first, COUNT * 64, "{}", tell(route));
    assert!(
        route.steps.iter().all(|step| step.bytes == first),
        "{}",
        tell(route)
    );
}

fn lab() -> Lab {
    Lab::new("exact").unwrap()
}

use Stage::{Deliver, Queue, Receive, Rx, Xmit};

/// The hops of two hosts that are joined directly.
const JOINED: [(&str, Stage); 5] = [
    ("app0", Queue),
    ("app0", Xmit),
    ("db0", Rx),
    ("db0", Receive),
    ("db0", Deliver),
];

const ROUTED: [(&str, Stage); 9] = [
    ("app0", Queue),
    ("app0", Xmit),
    ("r-app", Rx),
    ("r-app", Receive),
    ("r-db", Queue),
    ("r-db", Xmit),
    ("db0", Rx),
    ("db0", Receive),
    ("db0", Deliver),
];

#[test]
fn through_a_router_by_both_families() {
    let line = Line::new(lab()).unwrap();
    for from in line.app_at.both() {
        let to = line.db_at.facing(from, PORT);
        let report = send((&line.app, from), (&line.db, to), None);
        check(&report, PORT, &ROUTED);
        let route = requests(&report, PORT)[0];
        let names: Vec<_> = route
            .steps
            .iter()
            .map(|step| step.hop.namespace.name.as_str())
            .collect();
        assert_eq!(names[0], line.app.name());
        assert_eq!(names[8], line.db.name());
    }
}

#[test]
fn through_a_bridge() {
    let bridged = Bridged::new(lab()).unwrap();
    let hops = [
        ("app0", Queue),
        ("app0", Xmit),
        ("b-app", Rx),
        ("b-app", Receive),
        ("b-db", Queue),
        ("b-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", Deliver),
    ];
    let (from, to) = ((&bridged.app, bridged.app_at), (&bridged.db, bridged.db_at));
    check_both(from, to, &hops);
}

#[test]
fn through_an_overlay() {
    let vxlan = Vxlan::new(lab()).unwrap();
    let hops = [
        ("vx-app", Queue),
        ("vx-app", Xmit),
        ("app0", Queue),
        ("app0", Xmit),
        ("r-app", Rx),
        ("r-app", Receive),
        ("r-db", Queue),
        ("r-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("vx-db", Rx),
        ("vx-db", Receive),
        ("vx-db", Deliver),
    ];
    let (from, to) = ((&vxlan.app, vxlan.app_at), (&vxlan.db, vxlan.db_at));
    check_both(from, to, &hops);
}

#[test]
fn through_vlans() {
    let Some(vlan) = Vlan::where_known(lab()).unwrap() else {
        println!("this kernel has no VLAN devices");
        return;
    };
    // A VLAN device sends by the one below it. What comes in is handed to it without another
    // `netif_receive_skb` (net/core/dev.c, `another_round`): no hop of it is seen.
    let hops = [
        ("app0.100", Queue),
        ("app0.100", Xmit),
        ("app0", Queue),
        ("app0", Xmit),
        ("r-app", Rx),
        ("r-app", Receive),
        ("r-db.200", Queue),
        ("r-db.200", Xmit),
        ("r-db", Queue),
        ("r-db", Xmit),
        ("db0", Rx),
        ("db0", Receive),
        ("db0", Deliver),
    ];
    check_both((&vlan.app, vlan.app_at), (&vlan.db, vlan.db_at), &hops);
}

#[test]
fn through_nat_of_both_addresses() {
    let nat = Nat::new(lab()).unwrap();
    let from = (&nat.app, nat.app_at.v4.into());
    let report = send(from, (&nat.db, nat.behind.into()), Some(nat.service.into()));
    check(&report, nat.service.port(), &ROUTED);
    let route = requests(&report, nat.service.port())[0];
    let first = route.class.first.unwrap();
    assert_eq!(
        (first.destination, first.destination_port),
        (IpAddr::from(*nat.service.ip()), nat.service.port())
    );
    let behind = route.steps[4]
        .translated
        .expect("the router's way out knows the new addresses");
    assert_eq!(
        (behind.destination, behind.destination_port),
        (IpAddr::from(*nat.behind.ip()), nat.behind.port())
    );
    assert_eq!(behind.source, IpAddr::from(nat.mask));
    assert!(
        route.steps[..4]
            .iter()
            .all(|step| step.translated.is_none()),
        "{}",
        tell(route)
    );
}

#[test]
fn through_loopback() {
    let loopback = Loopback::new(lab()).unwrap();
    let host = (&loopback.host, loopback.at);
    let hops = [
        ("lo", Queue),
        ("lo", Xmit),
        ("lo", Rx),
        ("lo", Receive),
        ("lo", Deliver),
    ];
    check_both(host, host, &hops);
}

#[test]
fn through_a_wire_that_ends_the_packets_and_makes_new_ones() {
    let wired = Wired::new(lab(), WireSpec::delay(Duration::from_millis(5))).unwrap();
    let (from, to) = ((&wired.app, wired.app_at), (&wired.db, wired.db_at));
    check_both(from, to, &JOINED);
}

/// Only a machine that was made for tests has cards that are ours to use, as the guests of
/// `cargo xtask vm` have.
#[test]
fn over_a_cable_between_two_cards() {
    let Some(cabled) = Cabled::where_laid(lab()).unwrap() else {
        return;
    };
    let settings = Settings {
        through_hardware: true,
        ..port(PORT)
    };
    for ip in cabled.app_at.both() {
        let to = cabled.db_at.facing(ip, PORT);
        let mut report = send_as(&settings, (&cabled.app, ip), (&cabled.db, to), None);
        // The cards' interrupts come while our programs see other packets end.
        report.losses.remove("recursion");
        check(&report, PORT, &JOINED);
    }
}
