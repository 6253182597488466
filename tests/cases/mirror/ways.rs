//! The next hop and FIB entry that are told are those that the lab set up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::{Insert, Lab, Mac, Ns, RouteSpec, RuleSpec};
use tracer::model::class::{Class, End, Protocol, Tuple};
use tracer::model::forwarding::{FibEntry, Forwarding};
use tracer::model::hop::{Hop, Namespace, Stage};
use tracer::model::reading::{Ends, Node, Parent, Reading};
use tracer::source::mirror::{Mirror, Ways};

use crate::against::right;

/// A router with two ways on, by `w0` and `w1`, and hosts at `in0`.
struct Router {
    ns: Ns,
    /// They go last.
    _others: Vec<Ns>,
    _lab: Lab,
}

/// The gateways, two at each device.
const GATEWAYS: [(&str, &str, Mac); 8] = [
    ("w0", "10.0.1.11", Mac([2, 0, 0, 9, 1, 11])),
    ("w0", "10.0.1.12", Mac([2, 0, 0, 9, 1, 12])),
    ("w1", "10.0.2.21", Mac([2, 0, 0, 9, 2, 21])),
    ("w1", "10.0.2.22", Mac([0, 0, 0x5e, 0, 1, 7])),
    ("w0", "fd00:1::11", Mac([2, 0, 0, 9, 1, 11])),
    ("w1", "fd00:2::21", Mac([2, 0, 0, 9, 2, 21])),
    ("in0", "10.0.3.5", Mac([2, 0, 0, 9, 3, 5])),
    ("in0", "fd00:3::5", Mac([2, 0, 0, 9, 3, 5])),
];

impl Router {
    fn new() -> Self {
        let lab = Lab::new("ways").unwrap();
        let ns = lab.namespace("router").unwrap();
        let mut others = Vec::new();
        for (index, dev) in ["w0", "w1", "in0"].into_iter().enumerate() {
            let other = lab.namespace(dev).unwrap();
            lab.veth((&ns, dev), (&other, "eth0")).unwrap();
            others.push(other);
            let net = index + 1;
            ns.address(dev, &format!("10.0.{net}.1/24")).unwrap();
            ns.address(dev, &format!("fd00:{net}::1/64")).unwrap();
        }
        ns.forwarding(true).unwrap();
        for (dev, address, mac) in GATEWAYS {
            ns.neighbour(dev, address.parse().unwrap(), mac).unwrap();
        }
        Self {
            ns,
            _others: others,
            _lab: lab,
        }
    }

    fn route(&self, prefix: &str, table: u32, legs: &[&str]) {
        let legs = legs.iter().map(|via| {
            let dev = GATEWAYS.iter().find(|row| row.1 == *via).unwrap().0;
            (Some(via.parse().unwrap()), dev.to_owned(), 1)
        });
        let spec = RouteSpec {
            table,
            legs: legs.collect(),
            ..RouteSpec::to(prefix.parse().unwrap())
        };
        self.ns.add_route(Insert::Add, &spec).unwrap();
    }

    fn rule(&self, priority: u32, table: u32, change: impl Fn(&mut RuleSpec)) {
        let mut spec = RuleSpec {
            v6: false,
            priority,
            table,
            from: None,
            to: None,
            mark: None,
            input: None,
        };
        change(&mut spec);
        self.ns.add_rule(&spec).unwrap();
    }
}

fn hop(ns: &Ns, dev: &str, stage: Stage) -> Hop {
    Hop {
        namespace: Namespace {
            name: ns.name().to_owned(),
            cookie: ns.cookie().unwrap_or(ns.inode()),
            inode: ns.inode() as u32,
        },
        device: dev.to_owned(),
        ifindex: ns.index(dev).unwrap(),
        kind: "veth".to_owned(),
        stage,
        next_hop_mac: None,
        previous_hop_mac: None,
    }
}

/// What is told of packets that came by `in0`, or were sent here, and left by a gateway's device
/// to an Ethernet address.
#[track_caller]
fn told(router: &Router, from: &str, to: &str, (dev, mac): (&str, Mac)) -> Forwarding {
    let mut ways = Ways::new(Mirror::start(Box::new(drop)).unwrap());
    right(ways.mirror(), &[&router.ns]).unwrap();
    let is_own = ["10.0.1.1", "fd00:1::1"].contains(&from);
    let input = (!is_own).then_some("in0");
    let ends = [from, to].map(|address| address.parse().unwrap());
    let mut reading = reading(&router.ns, input, ends, (dev, mac));
    let start = Instant::now();
    ways.tell(&mut reading);
    assert!(
        start.elapsed() < Duration::from_millis(50),
        "{:?}",
        start.elapsed()
    );
    let last = reading.nodes.len() - 1;
    Arc::unwrap_or_clone(reading.forwarding.remove(&last).unwrap_or_default())
}

/// Packets that came into a namespace by a device, or were sent there, and left by another one to an
/// Ethernet address: that is the last node.
pub(crate) fn reading(
    ns: &Ns,
    input: Option<&str>,
    [source, destination]: [IpAddr; 2],
    (dev, mac): (&str, Mac),
) -> Reading {
    let node = |parent, hop| Node {
        parent,
        hop: Arc::new(hop),
        translated: None,
        packets: 1,
        bytes: 0,
        latency: tracer::model::Histogram::default(),
        total: tracer::model::Histogram::default(),
        born: 0,
        ends: Ends::default(),
    };
    let mut nodes = Vec::new();
    let mut parent = Parent::Class(0);
    if let Some(input) = input {
        nodes.push(node(parent, hop(ns, input, Stage::Receive)));
        parent = Parent::Node(0);
    }
    nodes.push(node(
        parent,
        Hop {
            next_hop_mac: Some(mac.0),
            ..hop(ns, dev, Stage::Xmit)
        },
    ));
    Reading {
        classes: vec![Class {
            source: End::NoAddress,
            destination: End::NoAddress,
            protocol: Protocol::Tcp,
            service: None,
            first: Some(Tuple {
                source,
                destination,
                source_port: 40_000,
                destination_port: 5432,
            }),
            way_back: None,
        }],
        nodes,
        ..Reading::default()
    }
}

fn gateway(address: &str) -> (&'static str, Mac) {
    let row = GATEWAYS.iter().find(|row| row.1 == address).unwrap();
    (row.0, row.2)
}

/// (table, rule, mark, prefix, gateway, leg, legs)
type Entry<'a> = (
    u32,
    Option<u32>,
    u32,
    &'a str,
    Option<&'a str>,
    usize,
    usize,
);

#[track_caller]
fn check(router: &Router, from: &str, to: &str, by: &str, expected: Entry<'_>) {
    let told = told(router, from, to, gateway(by));
    let entry: FibEntry = told.entry.unwrap();
    let via = entry.gateway.map(|it| it.to_string());
    let prefix = entry.prefix.to_string();
    let found = (
        entry.table,
        entry.rule,
        entry.mark,
        prefix.as_str(),
        via.as_deref(),
        entry.leg,
        entry.legs,
    );
    assert_eq!(found, expected);
    let peer = told.next_hop.unwrap();
    assert_eq!(peer.addresses.first(), Some(&by.parse().unwrap()));
    assert_eq!(entry.protocol, if via.is_some() { 4 } else { 2 });
}

const MAIN: Option<u32> = Some(32_766);

#[test]
fn the_entry_is_the_longest_prefix_by_the_rule_and_mark_that_packets_took() {
    let router = Router::new();
    router.route("172.16.0.0/16", 254, &["10.0.1.11"]);
    router.route("172.16.5.0/24", 254, &["10.0.2.21"]);
    router.route("172.16.0.0/16", 100, &["10.0.2.21"]);
    router.route("172.16.0.0/16", 101, &["10.0.1.12"]);
    router.route("fd01::/32", 254, &["fd00:1::11"]);
    router.rule(100, 100, |rule| rule.from = "10.0.3.9/32".parse().ok());
    router.rule(101, 101, |rule| rule.mark = Some(7));

    let wide = "172.16.0.0/16";
    for from in ["10.0.3.5", "10.0.1.1"] {
        check(
            &router,
            from,
            "172.16.1.1",
            "10.0.1.11",
            (254, MAIN, 0, wide, Some("10.0.1.11"), 1, 1),
        );
    }
    let narrow = (254, MAIN, 0, "172.16.5.0/24", Some("10.0.2.21"), 1, 1);
    check(&router, "10.0.3.5", "172.16.5.1", "10.0.2.21", narrow);
    let by_source = (100, Some(100), 0, wide, Some("10.0.2.21"), 1, 1);
    check(&router, "10.0.3.9", "172.16.1.1", "10.0.2.21", by_source);
    let by_mark = (101, Some(101), 7, wide, Some("10.0.1.12"), 1, 1);
    check(&router, "10.0.3.5", "172.16.1.1", "10.0.1.12", by_mark);
    let v6 = (254, MAIN, 0, "fd01::/32", Some("fd00:1::11"), 1, 1);
    check(&router, "fd00:3::5", "fd01::1", "fd00:1::11", v6);
    check(&router, "fd00:1::1", "fd01::1", "fd00:1::11", v6);
}

#[test]
fn legs_are_told_apart_by_the_ethernet_address_that_was_sent_to() {
    let router = Router::new();
    let legs = ["10.0.1.11", "10.0.1.12", "10.0.2.21"];
    router.route("172.16.0.0/16", 254, &legs);
    router
        .ns
        .next_hop(1, "10.0.1.11".parse().ok(), "w0", false)
        .unwrap();
    router
        .ns
        .next_hop(2, "10.0.2.21".parse().ok(), "w1", false)
        .unwrap();
    router.ns.next_hop_group(9, &[(1, 1), (2, 3)]).unwrap();
    let by_group = RouteSpec {
        next_hop: Some(9),
        ..RouteSpec::to("172.17.0.0/16".parse().unwrap())
    };
    router.ns.add_route(Insert::Add, &by_group).unwrap();
    for (index, via) in legs.into_iter().enumerate() {
        let expected = (254, MAIN, 0, "172.16.0.0/16", Some(via), index + 1, 3);
        check(&router, "10.0.3.5", "172.16.1.1", via, expected);
    }
    for (index, via) in ["10.0.1.11", "10.0.2.21"].into_iter().enumerate() {
        let expected = (254, MAIN, 0, "172.17.0.0/16", Some(via), index + 1, 2);
        check(&router, "10.0.3.5", "172.17.1.1", via, expected);
    }
}

#[test]
fn a_neighbour_needs_no_gateway() {
    let router = Router::new();
    let expected = (254, MAIN, 0, "10.0.2.0/24", None, 1, 1);
    check(&router, "10.0.3.5", "10.0.2.21", "10.0.2.21", expected);
}

#[test]
fn where_no_look_up_agrees_no_entry_is_told() {
    let router = Router::new();
    router.route("172.16.0.0/16", 254, &["10.0.1.11"]);
    // By another device, and to another gateway, than the table says.
    for by in ["10.0.2.21", "10.0.1.12"] {
        let told = told(&router, "10.0.3.5", "172.16.1.1", gateway(by));
        assert_eq!(told.entry, None);
        assert_eq!(
            told.next_hop.unwrap().addresses[0],
            by.parse::<IpAddr>().unwrap()
        );
    }
    let nobody = told(&router, "10.0.3.5", "172.16.1.1", ("w1", Mac([2; 6])));
    assert_eq!(nobody.next_hop.unwrap().addresses, [] as [IpAddr; 0]);
}

#[test]
fn a_virtual_router_is_known_by_its_ethernet_address() {
    let router = Router::new();
    let told = told(&router, "10.0.3.5", "10.0.2.22", gateway("10.0.2.22"));
    let peer = told.next_hop.unwrap();
    assert_eq!(peer.role, Some(tracer::model::forwarding::Role::Vrrp(7)));
    assert_eq!(peer.addresses, ["10.0.2.22".parse::<IpAddr>().unwrap()]);
}
