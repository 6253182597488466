//! Each reason for which a kernel drops packets that the lab can make it have: the right count, at the
//! right class and hop.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use lab::topology::Line;
use lab::{Hook, Lab, Mac, Ns, NumberedUdp, Pace, Protocol};
use socket2::{Domain, SockRef, Socket, Type};
use tracer::model::{Report, hop::Stage};

use super::seen::{all_of_the_lab, check_balance, requests, tell, trace_all};

/// Packets of each kind.
const COUNT: u64 = 25;

/// Since this kernel all of these drops have the reasons named here; before, some had none.
const REASONS_SINCE: (u32, u32) = (6, 13);

/// One kind of drop: the port that its packets go to, how the kernel's reason begins, and where.
struct Kind {
    port: u16,
    reason: &'static str,
    at: (&'static str, Stage),
    count: u64,
}

/// An IPv4 packet with a UDP datagram in it, sent as it is.
#[derive(Clone, Copy)]
struct Raw {
    from: Ipv4Addr,
    to: Ipv4Addr,
    port: u16,
    hops: u8,
    /// `IP_DF`, `IP_MF` and the offset.
    fragment: u16,
    payload: usize,
    /// 0 for none.
    checksum: u16,
}

impl Raw {
    fn bytes(self) -> Vec<u8> {
        let length = (28 + self.payload) as u16;
        let mut bytes = vec![0x45, 0];
        bytes.extend(length.to_be_bytes());
        // The kernel fills in the identifier and the checksum (raw(7)).
        bytes.extend([0, 0]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.hops, 17, 0, 0]);
        bytes.extend(self.from.octets());
        bytes.extend(self.to.octets());
        bytes.extend(40_000u16.to_be_bytes());
        bytes.extend(self.port.to_be_bytes());
        bytes.extend((length - 20).to_be_bytes());
        bytes.extend(self.checksum.to_be_bytes());
        bytes.resize(usize::from(length), 7);
        bytes
    }

    fn send(self, ns: &Ns) {
        const IPPROTO_RAW: i32 = 255;
        let socket = ns
            .run(|| Socket::new(Domain::IPV4, Type::RAW, Some(IPPROTO_RAW.into())))
            .unwrap();
        let to = SocketAddr::new(self.to.into(), 0).into();
        for _ in 0..COUNT {
            socket.send_to(&self.bytes(), &to).unwrap();
        }
    }
}

/// Plain datagrams.
fn send(ns: &Ns, from: Ipv4Addr, to: (Ipv4Addr, u16), count: u64) {
    let socket = ns.run(|| UdpSocket::bind((from, 0))).unwrap();
    for _ in 0..count {
        // What an ICMP error said of the one before is no error of this one.
        while socket.send_to(&[7; 100], to).is_err() {}
    }
}

/// How many datagrams a socket holds that nobody has read.
fn held(socket: &UdpSocket) -> u64 {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count() as u64
}

fn check(report: &Report, kind: &Kind, with_reasons: bool) {
    let routes = requests(report, kind.port);
    let told = || routes.iter().map(|it| tell(it) + "\n").collect::<String>();
    // A way that is a part of another's is told with the other.
    let here = routes.iter().flat_map(|route| {
        let steps = route.steps.iter();
        steps.filter(|step| (step.hop.device.as_str(), step.hop.stage) == kind.at)
    });
    let counts: Vec<_> = here
        .flat_map(|step| &step.ends.dropped)
        .filter(|(reason, _)| !with_reasons || reason.starts_with(kind.reason))
        .map(|(reason, &count)| (reason.clone(), count))
        .collect();
    println!("{}: {counts:?} at {:?}", kind.reason, kind.at);
    let most = counts.iter().map(|(_, count)| *count).max();
    assert_eq!(most, Some(kind.count), "{}:\n{}", kind.reason, told());
    let all: u64 = routes
        .iter()
        .flat_map(|route| route.ends.dropped.values())
        .sum();
    assert_eq!(all, kind.count, "{}:\n{}", kind.reason, told());
}

fn release() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|it| it.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Where nobody is, and whither no route leads.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 77);
const UNROUTED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 9);
/// Behind a gateway whose neighbour entry is wrong.
const ASTRAY: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 7);
const NOT_OURS: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 8);
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// Sets all that makes packets be dropped; returns a socket with little room.
fn set_up(line: &Line) -> UdpSocket {
    let (app, router, db) = (&line.app, &line.router, &line.db);
    let gateway = Ipv4Addr::new(10, 1, 0, 1).into();
    app.route("10.9.0.0/16", gateway, "app0").unwrap();
    let another = Ipv4Addr::new(10, 1, 0, 9).into();
    app.route("10.7.0.0/16", another, "app0").unwrap();
    app.neighbour("app0", another, Mac([2, 0, 0, 0, 0, 0x99]))
        .unwrap();
    router
        .drop_port(Hook::Forward, Protocol::Udp, 9202)
        .unwrap();
    db.drop_port(Hook::Input, Protocol::Udp, 9203).unwrap();
    router.mtu("r-db", 1_000).unwrap();
    for (key, value) in [
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/r-app/rp_filter", "1"),
        ("ipv4/neigh/r-db/retrans_time_ms", "100"),
        ("ipv4/conf/all/log_martians", "0"),
    ] {
        router.sysctl(key, value).unwrap();
    }
    db.sysctl("ipv4/ipfrag_time", "1").unwrap();
    let small = db.run(|| UdpSocket::bind((line.db_at.v4, 9210))).unwrap();
    SockRef::from(&small).set_recv_buffer_size(2_304).unwrap();
    small
}

/// Sends all that is dropped; returns how many found room in the small socket, and how many did not
/// come through the token bucket.
fn send_all(line: &Line, small: &UdpSocket) -> (u64, u64) {
    let (app, router, db) = (&line.app, &line.router, &line.db);
    let (app_at, db_at) = (line.app_at.v4, line.db_at.v4);
    let plain = Raw {
        from: app_at,
        to: db_at,
        port: 0,
        hops: 64,
        fragment: 0,
        payload: 100,
        checksum: 0,
    };
    for port in [9201, 9202, 9203] {
        send(app, app_at, (db_at, port), COUNT);
    }
    for raw in [
        Raw {
            port: 9204,
            hops: 1,
            ..plain
        },
        Raw {
            port: 9205,
            fragment: DONT_FRAGMENT,
            payload: 1_100,
            ..plain
        },
        Raw {
            port: 9207,
            from: NOT_OURS,
            ..plain
        },
        Raw {
            port: 9209,
            checksum: 1,
            ..plain
        },
        Raw {
            port: 9212,
            fragment: MORE_FRAGMENTS,
            payload: 96,
            ..plain
        },
    ] {
        raw.send(app);
    }
    send(app, app_at, (UNROUTED, 9206), COUNT);
    send(app, app_at, (ASTRAY, 9208), COUNT);
    send(app, app_at, (db_at, 9210), 4 * COUNT);
    let kept = held(small);
    send(app, app_at, (NOBODY, 9211), COUNT);
    // The neighbour is given up, and the rest of the fragments.
    std::thread::sleep(Duration::from_millis(2_500));
    router.token_bucket("r-db", 50_000, 2_000, 4_000).unwrap();
    let udp = NumberedUdp {
        count: 200,
        pace: Pace::Constant {
            per_second: 2_000.0,
        },
        payload_len: |_| 500,
        ..NumberedUdp::new((app, app_at.into()), (db, (db_at, 9213).into()))
    };
    (kept, udp.run().unwrap().lost())
}

#[test]
fn every_drop_has_its_reason_its_class_and_its_hop() {
    let line = Line::new(Lab::new("dropped").unwrap()).unwrap();
    let small = set_up(&line);
    let ((kept, lost), reading, report) = trace_all(&all_of_the_lab(), || send_all(&line, &small));
    check_balance(&reading);
    assert!(lost > 0 && kept < 4 * COUNT, "{lost} lost, {kept} kept");
    let with_reasons = release() >= REASONS_SINCE;
    let at_router = ("r-app", Stage::Receive);
    let at_db = ("db0", Stage::Receive);
    for (port, reason, at, count) in [
        (9201, "NO_SOCKET", at_db, COUNT),
        (9202, "NETFILTER_DROP", at_router, COUNT),
        (9203, "NETFILTER_DROP", at_db, COUNT),
        (9204, "IP_INHDR", at_router, COUNT),
        (9205, "PKT_TOO_BIG", at_router, COUNT),
        (9206, "IP_INNOROUTES", at_router, COUNT),
        (9207, "IP_RPFILTER", at_router, COUNT),
        (9208, "OTHERHOST", at_router, COUNT),
        (9209, "UDP_CSUM", at_db, COUNT),
        (9210, "SOCKET_RCVBUFF", at_db, 4 * COUNT - kept),
        (9211, "NEIGH_FAILED", at_router, COUNT),
        (9212, "FRAG_REASM_TIMEOUT", at_db, COUNT),
        // Which one of a queue's reasons depends on the kernel.
        (9213, "QDISC_", ("r-db", Stage::Queue), lost),
    ] {
        let kind = Kind {
            port,
            reason,
            at,
            count,
        };
        check(&report, &kind, with_reasons);
    }
}
