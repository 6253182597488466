//! What is told of each hop's forwarding is what the lab set up: next hop, previous hop, FIB entry,
//! table, rule, and addresses before and after translation.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use lab::topology::{Address, Bridged, Line, Nat, Vlan, Vrf, Vxlan};
use lab::{Insert, Lab, Ns, RouteSpec, RuleSpec};
use nix::sys::socket::{setsockopt, sockopt};
use tracer::model::forwarding::{FibEntry, Peer};
use tracer::model::hop::Stage;
use tracer::model::{Report, Route, Step};

use super::seen::{port, requests, tell, trace};

const PORT: u16 = 9_800;
const COUNT: u64 = 50;

/// One host's datagrams to another, traced.
fn send(from: (&Ns, IpAddr), to: (&Ns, SocketAddr), mark: Option<u32>) -> Report {
    send_to(from, to, to.1, mark)
}

/// The same, where they are sent to another address than they are delivered to.
fn send_to(
    from: (&Ns, IpAddr),
    to: (&Ns, SocketAddr),
    target: SocketAddr,
    mark: Option<u32>,
) -> Report {
    let receiver = to.0.run(|| UdpSocket::bind(to.1).unwrap());
    let ((), report) = trace(&port(target.port()), || {
        let sender = from.0.run(|| UdpSocket::bind((from.1, 0)).unwrap());
        if let Some(mark) = mark {
            setsockopt(&sender, sockopt::Mark, &mark).unwrap();
        }
        for _ in 0..COUNT {
            sender.send_to(b"whoever you are", target).unwrap();
            receiver.recv(&mut [0; 64]).unwrap();
        }
    });
    report
}

/// What is told of the forwarding at each hop of the one route of all these packets.
fn told(report: &Report, service: u16) -> Vec<String> {
    let routes = requests(report, service);
    assert_eq!(
        routes.len(),
        1,
        "{}",
        routes.iter().map(|it| tell(it)).collect::<String>()
    );
    let route: &Route = routes[0];
    assert_eq!(route.packets, COUNT, "{}", tell(route));
    route.steps.iter().filter_map(row).collect()
}

fn row(step: &Step) -> Option<String> {
    let forwarding = step.forwarding.as_ref()?;
    let namespace = step.hop.namespace.name.rsplit('-').next()?;
    let mut words = vec![format!("{namespace} {}", step.hop.device)];
    let address = |peer: &Peer| {
        peer.addresses
            .first()
            .map_or("?".to_owned(), ToString::to_string)
    };
    if step.hop.stage == Stage::Rx {
        words.push(format!(
            "from {}",
            address(forwarding.previous_hop.as_ref()?)
        ));
    } else {
        words.push(format!("to {}", address(forwarding.next_hop.as_ref()?)));
        words.push(
            forwarding
                .entry
                .as_ref()
                .map_or("by nothing".to_owned(), entry),
        );
    }
    Some(words.join(" "))
}

fn entry(entry: &FibEntry) -> String {
    let mut text = format!("by {}", entry.prefix);
    if let Some(gateway) = entry.gateway {
        let _ = write!(text, " via {gateway}");
    }
    if entry.table != 254 {
        let rule = entry.rule.unwrap_or(0);
        let _ = write!(text, " table {} rule {rule}", entry.table);
    }
    if entry.mark != 0 {
        let _ = write!(text, " mark {}", entry.mark);
    }
    text
}

/// The datagrams of a line or what looks like one, in both families, told as they should be.
fn check_both(
    [app, db]: [(&Ns, Address); 2],
    mark: Option<u32>,
    expected: impl Fn(bool) -> Vec<String>,
) {
    for ip in app.1.both() {
        let report = send((app.0, ip), (db.0, db.1.facing(ip, PORT)), mark);
        assert_eq!(told(&report, PORT), expected(ip.is_ipv6()));
    }
}

/// An address of a network of the lab.
fn at(v6: bool, net: u8, host: u8) -> IpAddr {
    let [v4, six] = Address::new(net, host).both();
    if v6 { six } else { v4 }
}

/// A network of the lab.
fn net(v6: bool, net: u8) -> String {
    if v6 {
        format!("fd00:{net}::/64")
    } else {
        format!("10.{net}.0.0/24")
    }
}

/// What is told of a line whose entries are of some tables: the app's and the router's.
fn line(v6: bool, apps: &str, routers: &str) -> Vec<String> {
    vec![
        format!(
            "app app0 to {} by {} via {}{apps}",
            at(v6, 1, 1),
            net(v6, 2),
            at(v6, 1, 1)
        ),
        format!("router r-app from {}", at(v6, 1, 2)),
        format!("router r-db to {} by {}{routers}", at(v6, 2, 2), net(v6, 2)),
        format!("db db0 from {}", at(v6, 2, 1)),
    ]
}

fn lab() -> Lab {
    Lab::new("forwarded").unwrap()
}

#[test]
fn by_a_router() {
    let it = Line::new(lab()).unwrap();
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        line(v6, "", "")
    });
}

/// A line whose app has a table with the same ways to the database, for its source or for a mark.
fn with_a_table(mark: Option<u32>) -> Line {
    let it = Line::new(lab()).unwrap();
    for ip in it.app_at.both() {
        let v6 = ip.is_ipv6();
        let rule = RuleSpec {
            from: mark.is_none().then(|| ip.into()),
            mark,
            ..rule(v6)
        };
        ask(&it.app, &rule, (Some(at(v6, 1, 1)), "app0"));
    }
    it
}

/// A rule that asks table 100 first, for all packets of a family.
fn rule(v6: bool) -> RuleSpec {
    RuleSpec {
        v6,
        priority: 500,
        table: 100,
        from: None,
        to: None,
        mark: None,
        input: None,
    }
}

/// Sets a rule, and in the table that it asks the way to the database's network.
fn ask(ns: &Ns, rule: &RuleSpec, (via, device): (Option<IpAddr>, &str)) {
    let spec = RouteSpec {
        table: rule.table,
        legs: vec![(via, device.to_owned(), 1)],
        ..RouteSpec::to(net(rule.v6, 2).parse().unwrap())
    };
    ns.add_route(Insert::Add, &spec).unwrap();
    ns.add_rule(rule).unwrap();
}

#[test]
fn by_the_source() {
    let it = with_a_table(None);
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        line(v6, " table 100 rule 500", "")
    });
}

#[test]
fn by_a_mark() {
    let it = with_a_table(Some(7));
    // Which of two entries with the same next hop it was depends on a mark that nobody sees.
    for mark in [None, Some(7)] {
        check_both([(&it.app, it.app_at), (&it.db, it.db_at)], mark, |v6| {
            let mut told = line(v6, "", "");
            told[0] = format!("app app0 to {} by nothing", at(v6, 1, 1));
            told
        });
    }
    for v6 in [false, true] {
        it.app.remove_route(&net(v6, 2)).unwrap();
    }
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], Some(7), |v6| {
        line(v6, " table 100 rule 500 mark 7", "")
    });
}

#[test]
fn in_a_vrf() {
    let Some(Vrf(it)) = Vrf::where_known(lab()).unwrap() else {
        return;
    };
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        line(v6, "", " table 10 rule 1000")
    });
}

/// What is told of a line of VLANs whose router's entry is of some table.
///
/// What is looked up leads to a VLAN; the device below it only sends the frame on. What comes in is seen
/// at the device below alone, from one whom the VLAN knows.
fn vlans(v6: bool, routers: &str) -> Vec<String> {
    let (router, db) = (at(v6, 1, 1), at(v6, 2, 2));
    vec![
        format!("app app0.100 to {router} by {} via {router}", net(v6, 2)),
        format!("app app0 to {router} by nothing"),
        format!("router r-app from {}", at(v6, 1, 2)),
        format!("router r-db.200 to {db} by {}{routers}", net(v6, 2)),
        format!("router r-db to {db} by nothing"),
        format!("db db0 from {}", at(v6, 2, 1)),
    ]
}

#[test]
fn on_vlans() {
    let Some(it) = Vlan::where_known(lab()).unwrap() else {
        return;
    };
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        vlans(v6, "")
    });
}

/// The router's rule asks for the VLAN, where packets are only seen at the device below.
#[test]
fn on_vlans_by_the_one_that_they_came_by() {
    let Some(it) = Vlan::where_known(lab()).unwrap() else {
        return;
    };
    for v6 in [false, true] {
        let rule = RuleSpec {
            input: Some("r-app.100".to_owned()),
            ..rule(v6)
        };
        ask(&it.router, &rule, (None, "r-db.200"));
    }
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        vlans(v6, " table 100 rule 500")
    });
}

/// What is looked up at the router is what it made of the addresses.
#[test]
fn translated() {
    let it = Nat::new(lab()).unwrap();
    let report = send_to(
        (&it.app, it.app_at.v4.into()),
        (&it.db, it.behind.into()),
        it.service.into(),
        None,
    );
    let service = it.service.port();
    assert_eq!(
        told(&report, service),
        [
            "app app0 to 10.1.0.1 by 10.1.0.0/24",
            "router r-app from 10.1.0.2",
            "router r-db to 10.2.0.2 by 10.2.0.0/24",
            "db db0 from 10.2.0.1",
        ]
    );
    let route = requests(&report, service)[0];
    let first = route.class.first.unwrap();
    assert_eq!(first.source, IpAddr::from(it.app_at.v4));
    assert_eq!(first.destination, IpAddr::from(*it.service.ip()));
    let translated = route.steps.iter().find_map(|step| step.translated).unwrap();
    assert_eq!(translated.source, IpAddr::from(it.mask));
    assert_eq!(translated.destination, IpAddr::from(*it.behind.ip()));
    assert_eq!(translated.destination_port, it.behind.port());
}

#[test]
fn over_a_bridge() {
    let it = Bridged::new(lab()).unwrap();
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        vec![
            format!("app app0 to {} by {}", at(v6, 1, 3), net(v6, 1)),
            // A switch knows Ethernet addresses alone.
            "switch b-app from ?".to_owned(),
            "switch b-db to ? by nothing".to_owned(),
            format!("db db0 from {}", at(v6, 1, 2)),
        ]
    });
}

#[test]
fn through_a_tunnel() {
    let it = Vxlan::new(lab()).unwrap();
    check_both([(&it.app, it.app_at), (&it.db, it.db_at)], None, |v6| {
        vec![
            format!("app vx-app to {} by {}", at(v6, 5, 3), net(v6, 5)),
            // The packets that it is wrapped in.
            "app app0 to 10.1.0.1 by 10.2.0.0/24 via 10.1.0.1".to_owned(),
            "router r-app from 10.1.0.2".to_owned(),
            "router r-db to 10.2.0.2 by 10.2.0.0/24".to_owned(),
            "db db0 from 10.2.0.1".to_owned(),
            format!("db vx-db from {}", at(v6, 5, 2)),
        ]
    });
}
