//! ICMP errors at the class that they speak of, a hop limit that changes, and packets in a circle.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lab::topology::Story;
use lab::{Lab, Ns, TcpPairs, TcpServer, closed_port, low_ttl};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tracer::model::connection::Sight;
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

/// Datagrams from app to a port of db.
fn send(story: &Story, count: u64, len: usize) -> UdpSocket {
    let socket = story
        .app
        .run(|| UdpSocket::bind((story.app_at.v4, 40_404)).unwrap());
    for _ in 0..count {
        // The errors of earlier ones are told here.
        let _ = socket.send_to(&vec![7; len], (story.db_at.v4, PORT));
    }
    socket
}

/// An ICMP message of 8 bytes about a datagram from app to db, sent by r1.
fn forge(story: &Story, mut message: [u8; 8], about: (Ipv4Addr, u16)) {
    let socket = story.r1.run(|| {
        let kind = Some(Protocol::ICMPV4);
        Socket::new(Domain::IPV4, Type::RAW, kind).unwrap()
    });
    let (to, port) = about;
    let mut inner = vec![0x45, 0, 0, 33, 1, 2, 0x40, 0, 63, 17, 0, 0];
    inner.extend(story.app_at.v4.octets());
    inner.extend(to.octets());
    inner.extend(40_404u16.to_be_bytes());
    inner.extend(port.to_be_bytes());
    inner.extend([0, 13, 0, 0]);
    let bytes = [message.as_slice(), &inner].concat();
    let words = bytes.chunks_exact(2);
    let mut sum: u32 = words
        .map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])))
        .sum();
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let bytes = [message.as_slice(), &inner].concat();
    let app: SocketAddr = (story.app_at.v4, 0).into();
    socket.send_to(&bytes, &app.into()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn each_error_is_counted_at_the_class_that_it_speaks_of() {
    let story = story();
    let (app, db) = (story.app_at.v4.into(), (story.db_at.v4, PORT).into());
    let r1: IpAddr = Ipv4Addr::new(10, 11, 0, 1).into();

    let ((), reading, _) = trace_all(&at(&story.app), || {
        closed_port((&story.app, app), db).unwrap();
    });
    let unreachable = told(&reading, Sight::IcmpUnreachable, 1);
    assert_eq!((unreachable.kind, unreachable.code), (3, 3));
    assert_eq!(unreachable.by, IpAddr::from(story.db_at.v4));

    let ((), reading, _) = trace_all(&at(&story.app), || {
        low_ttl((&story.app, app), db, 1).unwrap();
    });
    let exceeded = told(&reading, Sight::IcmpTimeExceeded, 1);
    assert_eq!((exceeded.by, exceeded.kind), (r1, 11));

    story.r1.mtu("r1-db", 1_300).unwrap();
    let (_, reading, _) = trace_all(&at(&story.app), || {
        let socket = send(&story, 1, 1_400);
        std::thread::sleep(Duration::from_millis(50));
        socket
    });
    let too_big = told(&reading, Sight::IcmpTooBig, 1);
    assert_eq!((too_big.by, too_big.mtu), (r1, Some(1_300)));

    let better = Ipv4Addr::new(10, 11, 0, 9);
    let [a, b, c, d] = better.octets();
    let (_, reading, _) = trace_all(&at(&story.app), || {
        let socket = send(&story, 1, 5);
        std::thread::sleep(Duration::from_millis(50));
        forge(&story, [5, 1, 0, 0, a, b, c, d], (story.db_at.v4, PORT));
        socket
    });
    let requests = requests(&reading, PORT);
    assert_eq!(requests.sight(Sight::IcmpRedirects), 1, "{requests:?}");
    let redirect = requests.told.unwrap();
    assert_eq!((redirect.by, redirect.gateway), (r1, Some(better.into())));
}

#[test]
fn an_error_about_packets_that_nobody_sent_is_counted_apart() {
    let story = story();
    let ((), reading, _) = trace_all(&at(&story.app), || {
        forge(
            &story,
            [3, 1, 0, 0, 0, 0, 0, 0],
            (Ipv4Addr::new(10, 77, 0, 1), 99),
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
