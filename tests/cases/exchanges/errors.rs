//! ICMP errors at the class that they speak of, a hop limit that changes, and packets in a circle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lab::topology::{Address, Story};
use lab::{Lab, Mac, Ns, TcpPairs, TcpServer, checksum, closed_port, low_ttl};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tracer::model::connection::Sight;
use tracer::model::hop::Stage;
use tracer::model::passing::{Passing, Told};
use tracer::model::{Reading, Service};
use tracer::source::Settings;

use super::seen::{all_of_the_lab, port, trace_all};
use super::side::{asking, tell};

const PORT: u16 = 9770;

fn story() -> Story {
    Story::new(Lab::new("errors").unwrap(), Duration::ZERO).unwrap()
}

/// What one host alone may see.
fn at(ns: &Ns) -> Settings {
    let mut settings = all_of_the_lab();
    settings.filter.namespace = Some(ns.name().to_owned());
    settings
}

/// What was told of requests to a port.
fn requests(reading: &Reading, port: u16) -> &Passing {
    let mut all = reading.passing.iter();
    let is_it =
        |it: &&Passing| reading.classes[it.class].service == Some(Service::Destination(port));
    all.find(is_it)
        .unwrap_or_else(|| panic!("{:?}\n{:?}", reading.classes, reading.passing))
}

fn told(reading: &Reading, sight: Sight, count: u64) -> Told {
    let requests = requests(reading, PORT);
    assert_eq!(requests.sight(sight), count, "{requests:?}");
    assert_eq!(requests.sights.len(), 1, "{requests:?}");
    assert!(requests.device.starts_with("a-r"), "{requests:?}");
    requests.told.unwrap()
}

/// Datagrams from app to a port of db, whose own address decides by which of the two families.
fn send(story: &Story, to: SocketAddr, count: u64, len: usize) -> UdpSocket {
    let from = story.app_at.facing(to.ip(), 40_404);
    let socket = story.app.run(|| UdpSocket::bind(from).unwrap());
    for _ in 0..count {
        // The errors of earlier ones are told here.
        let _ = socket.send_to(&vec![7; len], to);
    }
    socket
}

/// An ICMP message of r1's, up to the packet that it is about: a datagram from app.
fn forge(story: &Story, head: &[u8], about: SocketAddr) {
    let app = story.app_at.facing(about.ip(), 0);
    let mut bytes = [head, &datagram(app.ip(), about)].concat();
    let (domain, protocol) = if about.is_ipv4() {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        (Domain::IPV4, Protocol::ICMPV4)
    } else {
        // The kernel fills in the checksum, which covers addresses too (RFC 3542).
        (Domain::IPV6, Protocol::ICMPV6)
    };
    let socket = story
        .r1
        .run(|| Socket::new(domain, Type::RAW, Some(protocol)).unwrap());
    socket.send_to(&bytes, &app.into()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
}

/// A datagram of 5 bytes from port 40404, padded to whole words of IPv6's options.
fn datagram(from: IpAddr, to: SocketAddr) -> Vec<u8> {
    let mut packet = match (from, to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let head = [0x45, 0, 0, 33, 1, 2, 0x40, 0, 63, 17, 0, 0];
            [&head[..], &from.octets(), &to.octets()].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let head = [0x60, 0, 0, 0, 0, 13, 17, 63];
            [&head[..], &from.octets(), &to.octets()].concat()
        }
        _ => panic!("two families"),
    };
    packet.extend(40_404u16.to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend([0, 13, 0, 0, 7, 7, 7, 7, 7, 0, 0, 0]);
    packet.resize(packet.len().next_multiple_of(8), 0);
    packet
}

/// How a family says it: types and codes, and what stands in front of the packet in a redirect.
struct Messages {
    refused: (u8, u8),
    exceeded: u8,
    redirect: Vec<u8>,
}

impl Messages {
    /// RFC 792.
    fn v4(gateway: Ipv4Addr) -> Self {
        Self {
            refused: (3, 3),
            exceeded: 11,
            redirect: [&[5, 1, 0, 0][..], &gateway.octets()].concat(),
        }
    }

    /// RFC 4443, and RFC 4861 for the redirect: a target, a destination, the target's Ethernet address,
    /// and the packet as the second option.
    fn v6(gateway: Ipv6Addr, destination: Ipv6Addr) -> Self {
        let redirected = [4, 8, 0, 0, 0, 0, 0, 0];
        let parts = [
            &[137, 0, 0, 0, 0, 0, 0, 0][..],
            &gateway.octets(),
            &destination.octets(),
            &[2, 1, 2, 0, 0, 0, 0, 9],
            &redirected,
        ];
        Self {
            refused: (1, 4),
            exceeded: 3,
            redirect: parts.concat(),
        }
    }
}

fn check_errors(settings: &dyn Fn(&Ns) -> Settings, is_v4: bool) {
    let story = story();
    let family = usize::from(!is_v4);
    let [app, r1, better] =
        [story.app_at, Address::new(11, 1), Address::new(11, 9)].map(|at| at.both()[family]);
    let db = story.db_at.facing(app, PORT);
    let messages = match (better, db.ip()) {
        (IpAddr::V4(better), _) => Messages::v4(better),
        (IpAddr::V6(better), IpAddr::V6(db)) => Messages::v6(better, db),
        (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    };
    let settings = settings(&story.app);

    let ((), reading, _) = trace_all(&settings, || {
        closed_port((&story.app, app), db).unwrap();
    });
    let unreachable = told(&reading, Sight::IcmpUnreachable, 1);
    assert_eq!((unreachable.kind, unreachable.code), messages.refused);
    assert_eq!(unreachable.by, db.ip());

    let ((), reading, _) = trace_all(&settings, || {
        low_ttl((&story.app, app), db, 1).unwrap();
    });
    let exceeded = told(&reading, Sight::IcmpTimeExceeded, 1);
    assert_eq!((exceeded.by, exceeded.kind), (r1, messages.exceeded));

    story.r1.mtu("r1-db", 1_300).unwrap();
    let (_, reading, _) = trace_all(&settings, || {
        let socket = send(&story, db, 1, 1_400);
        std::thread::sleep(Duration::from_millis(50));
        socket
    });
    let too_big = told(&reading, Sight::IcmpTooBig, 1);
    assert_eq!((too_big.by, too_big.mtu), (r1, Some(1_300)));

    let (_, reading, _) = trace_all(&settings, || {
        let socket = send(&story, db, 1, 5);
        std::thread::sleep(Duration::from_millis(50));
        forge(&story, &messages.redirect, db);
        socket
    });
    let requests = requests(&reading, PORT);
    assert_eq!(requests.sight(Sight::IcmpRedirects), 1, "{requests:?}");
    let redirect = requests.told.unwrap();
    assert_eq!((redirect.by, redirect.gateway), (r1, Some(better)));
}

#[test]
fn each_error_is_counted_at_the_class_that_it_speaks_of() {
    check_errors(&at, true);
}

#[test]
fn each_error_of_ipv6_is_counted_at_the_class_that_it_speaks_of() {
    let at = |ns: &Ns| {
        let mut settings = at(ns);
        settings.filter.prefix = Some("fd00::/16".parse().unwrap());
        settings
    };
    check_errors(&at, false);
}

#[test]
fn an_error_about_packets_that_nobody_sent_is_counted_apart() {
    let story = story();
    let ((), reading, _) = trace_all(&at(&story.app), || {
        forge(
            &story,
            &[3, 1, 0, 0, 0, 0, 0, 0],
            (Ipv4Addr::new(10, 77, 0, 1), 99).into(),
        );
    });
    let all = reading.passing.iter();
    let unmatched: u64 = all.map(|it| it.sight(Sight::IcmpUnmatched)).sum();
    assert_eq!(unmatched, 1, "{:?}", reading.passing);
    assert!(reading.passing.iter().all(|it| it.told.is_none()));
}

#[test]
fn a_hop_limit_that_changes_is_seen_within_a_second() {
    let story = story();
    let server = TcpServer::start(&story.db, (story.db_at.v4, PORT).into()).unwrap();
    let (stepped_ns, reading, _) = trace_all(&port(PORT), || {
        std::thread::scope(|scope| {
            let step = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                story.db.sysctl("ipv4/ip_default_ttl", "61").unwrap();
                lab::now_ns()
            });
            let pairs = TcpPairs {
                count: 150,
                pace: lab::Pace::Constant { per_second: 100.0 },
                ..TcpPairs::new((&story.app, story.app_at.v4.into()), server.address())
            };
            pairs.run().unwrap();
            step.join().unwrap()
        })
    });
    let asking = asking(&reading);
    println!("{}\n{:?}", tell(asking), asking.ttl_step);
    assert_eq!(asking.sight(Sight::TtlChanges), 1, "{}", tell(asking));
    let step = asking.ttl_step.unwrap();
    // One router between.
    assert_eq!((step.before, step.after), (63, 60));
    let since_ns = lab::now_ns() - stepped_ns;
    assert!(step.ago_ns < since_ns, "{step:?}");
    let late = Duration::from_nanos(since_ns - step.ago_ns);
    // The reading is some time ago, too.
    println!("seen {late:?} after it at most");
    assert!(late < Duration::from_secs(1), "{late:?}");
}

/// As when a virtual router's address moves to another machine: who hands packets over is another one,
/// though no route has changed here.
#[test]
fn a_previous_hop_that_changes_is_seen_at_once_and_counted_exactly() {
    for family in 0..2 {
        let story = story();
        let to = SocketAddr::new(story.db_at.both()[family], PORT);
        let before = story.r1.mac("r1-db").unwrap();
        let after = Mac([2, 0, 0, 0, 0xee, 7]);
        let mut settings = port(PORT);
        settings.filter.namespace = Some(story.db.name().to_owned());
        let ((), reading, _) = trace_all(&settings, || {
            drop(send(&story, to, 40, 5));
            // Who takes over knows its neighbours, and they don't know that it is another one.
            story.r1.set_mac("r1-db", after).unwrap();
            let db = Address::new(21, 2).both()[family];
            let mac = story.db.mac("db-r1").unwrap();
            story.r1.neighbour("r1-db", db, mac).unwrap();
            drop(send(&story, to, 10, 5));
            // No more than it takes until they are there: the reading is what is known then.
            std::thread::sleep(Duration::from_millis(100));
        });
        let came_in: Vec<_> = reading
            .nodes
            .iter()
            .filter(|node| node.hop.stage == Stage::Rx && node.hop.device == "db-r1")
            .map(|node| (node.hop.previous_hop_mac.map(Mac), node.packets))
            .collect();
        assert_eq!(came_in, [(Some(before), 40), (Some(after), 10)], "{to}");
    }
}

#[test]
fn packets_in_a_circle_are_counted() {
    let story = story();
    let lab = &story.lab;
    lab.veth((&story.r1, "r1-r2"), (&story.r2, "r2-r1"))
        .unwrap();
    story.r1.address("r1-r2", "10.50.0.1/24").unwrap();
    story.r2.address("r2-r1", "10.50.0.2/24").unwrap();
    let nowhere = "10.66.0.0/24";
    let [first, second] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(10, 50, 0, host)));
    story.r1.route(nowhere, second, "r1-r2").unwrap();
    story.r2.route(nowhere, first, "r2-r1").unwrap();
    let via = Ipv4Addr::new(10, 11, 0, 1).into();
    story.app.route(nowhere, via, "a-r1").unwrap();
    lab.settle().unwrap();
    let ((), reading, _) = trace_all(&at(&story.r1), || {
        let socket = story
            .app
            .run(|| UdpSocket::bind((story.app_at.v4, 0)).unwrap());
        setsockopt(&socket, sockopt::Ipv4Ttl, &10).unwrap();
        for _ in 0..20 {
            let _ = socket.send_to(b"round and round", (Ipv4Addr::new(10, 66, 0, 1), PORT));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut all = reading.passing.iter();
    let looped = all.find(|it| it.device == "r1-r2").unwrap();
    println!("{:?}", looped.sights);
    // It comes back with 8, 6, 4 and 2 hops left; the first time may be before the neighbour is known.
    assert!(
        (57..=60).contains(&looped.sight(Sight::Looped)),
        "{looped:?}"
    );
    let others = reading.passing.iter().filter(|it| it.device != "r1-r2");
    assert!(others.into_iter().all(|it| it.sight(Sight::Looped) == 0));
}
