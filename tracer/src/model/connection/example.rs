//! Sockets for tests, beside the lab of [`crate::model::example`].

use std::collections::BTreeMap;

use super::{Connection, Connections, Phase, Sight};
use crate::model::coverage::{Coverage, Direction};
use crate::model::passing::{Passing, Told, TtlStep};
use crate::model::{Histogram, Namespace, Protocol, Reading, Tuple, example};

/// Latencies around a middle.
fn around(ns: u64, count: u64) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.record_n(ns, count - count / 10);
    histogram.record_n(ns * 2, count / 10);
    histogram
}

/// The lab, with what its router sees of two classes on their way: of TCP's round trips and troubles, of
/// UDP's an error.
pub(crate) fn lab_on_the_way() -> Reading {
    let lab = example::lab();
    let first = |protocol| {
        let mut classes = lab.classes.iter();
        let found = classes.position(|class| class.protocol == protocol);
        found.expect("there is one")
    };
    let of = |class, device: &str, ifindex| Passing {
        class,
        namespace: Namespace {
            name: "lab-r1".to_owned(),
            cookie: 12,
            inode: 4_026_532_012,
        },
        device: device.to_owned(),
        ifindex,
        ttl: Some(64),
        ttl_step: None,
        told: None,
        phases: BTreeMap::new(),
        sights: BTreeMap::new(),
        sample: Vec::new(),
    };
    let flow = Connection {
        tuple: Tuple {
            source: "10.0.1.2".parse().expect("an address"),
            destination: "203.0.113.9".parse().expect("an address"),
            source_port: 50_312,
            destination_port: 443,
        },
        rtts: 30,
        rtt_sum_ns: 30 * 420_000,
        rtt_min_ns: 380_000,
        rtt_last_ns: 400_000,
        retransmits: 2,
        exchanges: 0,
        disturbed: 0,
    };
    let tcp = Passing {
        ttl: Some(61),
        ttl_step: Some(TtlStep {
            before: 63,
            after: 61,
            ago_ns: 12_000_000_000,
        }),
        phases: BTreeMap::from([
            (Phase::Handshake, around(410_000, 1)),
            (Phase::Rtt, around(400_000, 30)),
            (Phase::RttWithData, around(900_000, 20)),
        ]),
        sights: BTreeMap::from([
            (Sight::Duplicates, 2),
            (Sight::Gaps, 1),
            (Sight::SynRetransmits, 1),
            (Sight::TtlChanges, 1),
            (Sight::Looped, 4),
        ]),
        sample: vec![flow],
        ..of(first(Protocol::Tcp), "r1-app", 3)
    };
    let udp = Passing {
        told: Some(Told {
            by: "10.0.2.1".parse().expect("an address"),
            kind: 3,
            code: 4,
            mtu: Some(1_300),
            gateway: None,
            ago_ns: 3_000_000_000,
        }),
        sights: BTreeMap::from([(Sight::IcmpTooBig, 7)]),
        ..of(first(Protocol::Udp), "r1-db", 4)
    };
    Reading {
        passing: vec![tcp, udp],
        ..lab
    }
}

/// The lab, with sockets that get the packets of its first class of TCP, and the coverage of a
/// device that an XDP program steals from.
pub(crate) fn lab() -> Reading {
    let lab = example::lab();
    let is_tcp = |class: &crate::model::Class| class.protocol == Protocol::Tcp;
    let class = lab.classes.iter().position(is_tcp).expect("there is one");
    let namespace = Namespace {
        name: "lab-db".to_owned(),
        cookie: 14,
        inode: 4_026_532_014,
    };
    let phases = BTreeMap::from([
        (Phase::Rtt, around(2_100_000, 40)),
        (Phase::Handshake, around(2_000_000, 1)),
        (Phase::Waiting, around(60_000, 200)),
        (Phase::Thinking, around(1_100_000, 200)),
        (Phase::Service, around(1_160_000, 200)),
    ]);
    let sights = BTreeMap::from([
        (Sight::Undisturbed, 200),
        (Sight::Disturbed, 3),
        (Sight::Retransmits, 2),
        (Sight::Timeouts, 1),
        (Sight::Opened, 1),
    ]);
    let connection = Connection {
        tuple: Tuple {
            source: "10.1.0.2".parse().expect("an address"),
            destination: "10.2.0.2".parse().expect("an address"),
            source_port: 40_001,
            destination_port: 5432,
        },
        rtts: 40,
        rtt_sum_ns: 40 * 2_310_000,
        rtt_min_ns: 2_000_000,
        rtt_last_ns: 2_100_000,
        retransmits: 3,
        exchanges: 203,
        disturbed: 3,
    };
    Reading {
        connections: vec![Connections {
            class,
            namespace: namespace.clone(),
            device: "eth0".to_owned(),
            ifindex: 2,
            next_hop: "10.2.0.1".parse().ok(),
            ttl: Some(62),
            ttl_step: None,
            phases,
            sights,
            sample: vec![connection],
        }],
        coverage: vec![Coverage {
            namespace,
            device: "eth0".to_owned(),
            ifindex: 2,
            direction: Direction::Receive,
            seen: 700,
            carried: 1_000,
        }],
        host: crate::model::host::example::starved(),
        ..lab
    }
}
