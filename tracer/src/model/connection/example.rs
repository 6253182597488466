//! Sockets for tests, beside the lab of [`crate::model::example`].

use std::collections::BTreeMap;

use super::{Connection, Connections, Phase, Sight};
use crate::model::coverage::{Coverage, Direction};
use crate::model::{Histogram, Namespace, Protocol, Reading, Tuple, example};

/// Latencies around a middle.
fn around(ns: u64, count: u64) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.record_n(ns, count - count / 10);
    histogram.record_n(ns * 2, count / 10);
    histogram
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
        rtt_mean_ns: 2_310_000,
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
