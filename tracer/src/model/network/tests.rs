//! What is told, and what follows from it in silence.

use std::net::IpAddr;

use super::*;

fn link(index: u32, up: bool) -> Fact {
    Fact::Link(Link {
        index,
        name: format!("eth{index}"),
        up,
        carrier: up,
        running: up,
        ..Link::default()
    })
}

/// A device of a kind, below another one or upon it.
fn joined(index: u32, kind: &str, master: Option<u32>, lower: Option<u32>) -> Fact {
    Fact::Link(Link {
        index,
        kind: kind.to_owned(),
        master,
        lower: lower.map(|index| Lower {
            index,
            namespace: None,
        }),
        ..Link::default()
    })
}

#[test]
fn what_is_received_below_may_be_handed_in_above() {
    let mut network = Network::default();
    for fact in [
        joined(1, "", Some(2), None),
        joined(2, "bond", None, None),
        joined(3, "vlan", None, Some(2)),
        joined(4, "vlan", None, Some(3)),
        joined(5, "", Some(6), None),
        joined(6, "bridge", None, None),
        joined(7, "vlan", None, Some(6)),
        joined(8, "veth", None, Some(9)),
        joined(9, "veth", None, Some(8)),
        joined(10, "macvlan", None, Some(9)),
    ] {
        network.apply(Told::New(fact, Place::Last));
    }
    for (received, expected) in [
        (1, vec![1, 2, 3, 4]),
        (2, vec![2, 3, 4]),
        (3, vec![3, 4]),
        // A bridge hands in what is for itself as another hop.
        (5, vec![5]),
        (6, vec![6, 7]),
        (8, vec![8]),
        (9, vec![9, 10]),
    ] {
        let links = network.links().map(|link| link.index);
        let found: Vec<u32> = links
            .filter(|&other| network.is_handed_in_at(received, other))
            .collect();
        assert_eq!(found, expected, "received at {received}");
    }
}

fn address(index: u32, address: &str) -> Fact {
    Fact::Address(Address {
        index,
        address: address.parse().unwrap(),
        prefix_len: 24,
        peer: None,
        scope: 0,
        secondary: false,
        protocol: 0,
    })
}

/// A route by gateways on devices, a next-hop object, or a source address.
struct To(&'static str);

impl To {
    fn legs(self, devices: &[u32]) -> Fact {
        self.path(|path| path.legs = devices.iter().map(|&device| leg(device)).collect())
    }

    fn next_hop(self, id: u32) -> Fact {
        self.path(|path| path.next_hop = Some(id))
    }

    fn from(self, device: u32, source: &str) -> Fact {
        let source: IpAddr = source.parse().unwrap();
        self.path(|path| {
            path.legs = vec![leg(device)];
            path.prefer_source = Some(source);
        })
    }

    fn path(self, change: impl FnOnce(&mut Path)) -> Fact {
        let mut path = Path {
            kind: Path::UNICAST,
            protocol: 3,
            scope: 0,
            legs: Vec::new(),
            next_hop: None,
            prefer_source: None,
            from: None,
            metrics: Vec::new(),
            preference: 0,
        };
        change(&mut path);
        Fact::Route(Route {
            table: 254,
            slot: Slot {
                prefix: self.0.parse().unwrap(),
                tos: 0,
                metric: 0,
            },
            path: Arc::new(path),
        })
    }
}

fn leg(device: u32) -> Leg {
    Leg {
        gateway: Some([10, 0, device as u8, 1].into()),
        device,
        weight: 1,
        onlink: false,
        encapsulation: 0,
    }
}

fn next_hop(id: u32, kind: NextHopKind) -> Fact {
    Fact::NextHop(NextHop {
        id,
        kind,
        protocol: 3,
    })
}

fn network(facts: &[Fact]) -> Network {
    let mut network = Network::default();
    for fact in facts {
        network.apply(Told::New(fact.clone(), Place::First));
    }
    network
}

fn prefixes(network: &Network) -> Vec<String> {
    network
        .routes()
        .map(|it| it.slot.prefix.to_string())
        .collect()
}

/// Which prefixes are left when something happens.
#[track_caller]
fn check(facts: &[Fact], told: Told, left: &[&str]) {
    let mut network = network(facts);
    let before = network.clone();
    let changes = network.apply(told.clone());
    assert_eq!(prefixes(&network), left);
    let silent = changes.iter().filter(|change| change.how == How::Implied);
    let gone = before.routes().count() - network.routes().count();
    let silent = silent.filter(|change| matches!(change.before, Some(Fact::Route(_))));
    assert_eq!(silent.count(), gone, "each has a change of its own");
    assert_eq!(network.apply(told), [], "the same twice");
}

#[test]
fn a_device_set_down_takes_the_routes_that_have_no_other_leg() {
    let facts = [
        link(1, true),
        link(2, true),
        To("10.1.0.0/16").legs(&[1]),
        To("10.2.0.0/16").legs(&[1, 2]),
        To("10.3.0.0/16").legs(&[2]),
        To("10.4.0.0/32").path(|path| {
            path.legs = vec![leg(1)];
            path.scope = 254;
        }),
        To("fd00::/64").legs(&[1]),
    ];
    let left = ["10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/32", "fd00::/64"];
    check(&facts, Told::New(link(1, false), Place::First), &left);
    // A device that is gone takes all that it had a part in.
    let left = ["10.3.0.0/16", "fd00::/64"];
    check(&facts, Told::Gone(link(1, true)), &left);
}

#[test]
fn the_last_leg_that_goes_down_takes_the_route() {
    let facts = [
        link(1, true),
        link(2, false),
        To("10.2.0.0/16").legs(&[1, 2]),
    ];
    check(&facts, Told::New(link(1, false), Place::First), &[]);
}

#[test]
fn an_address_takes_the_routes_that_have_it_as_source() {
    let facts = [
        link(1, true),
        address(1, "10.0.1.5"),
        address(1, "10.0.1.6"),
        To("10.1.0.0/16").from(1, "10.0.1.5"),
        To("10.2.0.0/16").from(1, "10.0.1.6"),
        To("10.3.0.0/16").path(|path| {
            path.kind = Path::BLACKHOLE;
            path.prefer_source = Some([10, 0, 1, 5].into());
        }),
    ];
    let left = ["10.2.0.0/16", "10.3.0.0/16"];
    check(&facts, Told::Gone(address(1, "10.0.1.5")), &left);
}

#[test]
fn the_last_address_of_a_device_takes_its_routes() {
    let facts = [
        link(1, true),
        address(1, "10.0.1.5"),
        To("10.1.0.0/16").legs(&[1]),
    ];
    check(&facts, Told::Gone(address(1, "10.0.1.5")), &[]);
}

#[test]
fn a_next_hop_object_takes_its_routes_and_leaves_its_groups() {
    let facts = [
        link(1, true),
        next_hop(7, NextHopKind::Leg(leg(1))),
        next_hop(8, NextHopKind::Leg(leg(2))),
        next_hop(9, NextHopKind::Group(vec![(7, 1), (8, 1)])),
        next_hop(10, NextHopKind::Group(vec![(7, 1)])),
        To("10.1.0.0/16").next_hop(7),
        To("10.2.0.0/16").next_hop(9),
        To("10.3.0.0/16").next_hop(10),
    ];
    let gone = next_hop(7, NextHopKind::Leg(leg(1)));
    check(&facts, Told::Gone(gone), &["10.2.0.0/16"]);
    let down = Told::New(link(1, false), Place::First);
    check(&facts, down, &["10.2.0.0/16"]);
}

#[test]
fn a_leg_told_to_be_gone_leaves_the_others() {
    let mut network = network(&[To("fd00::/64").legs(&[1, 2])]);
    network.apply(Told::Gone(To("fd00::/64").legs(&[2])));
    let left: Vec<_> = network
        .routes()
        .flat_map(|it| it.path.legs.clone())
        .collect();
    assert_eq!(left, [leg(1)]);
}

#[test]
fn routes_of_one_prefix_stand_in_the_order_in_which_they_were_put() {
    let mut network = Network::default();
    let path = |network: &Network| -> Vec<u32> {
        network.routes().map(|it| it.path.legs[0].device).collect()
    };
    for (device, place, order) in [
        (1, Place::First, vec![1]),
        (2, Place::First, vec![2, 1]),
        (3, Place::Last, vec![2, 1, 3]),
        (4, Place::Instead, vec![4, 1, 3]),
    ] {
        network.apply(Told::New(To("10.0.0.0/8").legs(&[device]), place));
        assert_eq!(path(&network), order);
    }
}

#[test]
fn a_dump_shows_what_was_not_told() {
    let mut mirrored = network(&[link(1, true), To("10.1.0.0/16").legs(&[1])]);
    let dumped = network(&[To("10.2.0.0/16").legs(&[1])]);
    let changes = mirrored.replace(Part::Routes(Family::V4, 254), dumped);
    assert_eq!(prefixes(&mirrored), ["10.2.0.0/16"]);
    let found = |before, after| Change {
        before,
        after,
        how: How::Found,
    };
    let gone = found(Some(To("10.1.0.0/16").legs(&[1])), None);
    let new = found(None, Some(To("10.2.0.0/16").legs(&[1])));
    assert_eq!(changes, [gone, new]);
    assert_eq!(mirrored.links().count(), 1);
}

fn exception(destination: &str, gateway: &str, mtu: u32) -> Fact {
    Fact::Exception(Exception {
        table: 254,
        destination: destination.parse().unwrap(),
        device: 2,
        gateway: Some(gateway.parse().unwrap()),
        mtu: Some(mtu),
    })
}

#[test]
fn exceptions_are_known_by_destination_and_leg_and_outlast_a_dump_of_all() {
    let part = Part::Exceptions(Family::V4, 254);
    let mut network = Network::default();
    let mut dumped = Network::default();
    for (destination, gateway) in [
        ("10.2.0.7", "10.0.9.1"),
        ("10.2.0.7", "10.0.9.2"),
        ("10.2.0.8", "10.0.9.1"),
        // IPv4 tells it once for each route by the gateway.
        ("10.2.0.8", "10.0.9.1"),
    ] {
        dumped.push(exception(destination, gateway, 1_400));
    }
    assert_eq!(network.replace(part, dumped).len(), 3);
    let mtus = |network: &Network, to: &str| -> Vec<_> {
        let exceptions = network.exceptions(254, to.parse().unwrap());
        exceptions.map(|it| it.mtu).collect()
    };
    assert_eq!(mtus(&network, "10.2.0.7"), [Some(1_400); 2]);
    assert_eq!(mtus(&network, "10.2.0.9"), []);
    assert_eq!(network.renew(Network::default()), []);
    assert_eq!(mtus(&network, "10.2.0.8"), [Some(1_400)]);
    let mut later = Network::default();
    later.push(exception("10.2.0.8", "10.0.9.1", 1_300));
    let found = network.replace(part, later);
    let gone = found.iter().filter(|change| change.after.is_none()).count();
    assert_eq!((found.len(), gone), (3, 2));
}

#[test]
fn a_table_is_the_same_in_whichever_order_a_dump_tells_its_slots() {
    let routes = [
        To("10.2.0.0/16").legs(&[1]),
        To("10.1.0.0/16").legs(&[1]),
        To("10.2.0.0/16").legs(&[2]),
        To("10.1.0.0/24").legs(&[1]),
        To("10.1.0.0/16").legs(&[3]),
        To("10.1.0.0/16").legs(&[2]),
    ];
    let (mut one_by_one, mut at_once, mut rows) =
        (Network::default(), Network::default(), Rows::default());
    for fact in routes {
        one_by_one.push(fact.clone());
        if let Fact::Route(route) = fact {
            rows.push(route.slot, route.path);
        }
    }
    at_once.fill(Family::V4, 254, rows);
    assert_eq!(at_once, one_by_one);
    assert_eq!(at_once.routes().count(), 6);
}
