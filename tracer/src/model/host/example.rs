//! Hosts for tests, made by hand.

use std::collections::BTreeMap;

use super::{Busiest, Device, HostStack, Processors, SocketBuffers, Softnet};
use crate::model::Namespace;

const SECOND: u64 = 1_000_000_000;

fn namespace(name: &str, cookie: u64) -> Namespace {
    Namespace {
        name: name.to_owned(),
        cookie,
        inode: 4_026_531_840,
    }
}

fn counters(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let of = of.iter();
    of.map(|&(name, count)| (name.to_owned(), count)).collect()
}

/// A host with nothing wrong: its card is half used, its processors too.
pub(crate) fn resting() -> HostStack {
    HostStack {
        watched_ns: 10 * SECOND,
        processors: Processors {
            count: 4,
            busy_ns: 16 * SECOND,
            idle_ns: 24 * SECOND,
            softirq_ns: SECOND,
            steal_ns: 0,
            waiting_ns: Some(SECOND),
            busiest: Some(Busiest {
                number: 3,
                busy: 0.5,
                softirq: 0.1,
                steal: 0.0,
            }),
        },
        softnet: Softnet {
            processed: 1_000_000,
            ..Softnet::default()
        },
        devices: vec![Device {
            namespace: namespace("host", 1),
            name: "eth0".to_owned(),
            ifindex: 2,
            is_hardware: true,
            speed_bps: Some(10_000_000_000),
            bytes: [1_000_000_000, 6_000_000_000],
            link_use: [Some(0.08), Some(0.48)],
            link_use_most: [Some(0.1), Some(0.5)],
            counters: BTreeMap::new(),
            driver: BTreeMap::new(),
        }],
        sockets: Vec::new(),
    }
}

/// A host in every trouble at once.
pub(crate) fn starved() -> HostStack {
    let mut host = resting();
    host.processors = Processors {
        busy_ns: 36 * SECOND,
        idle_ns: 4 * SECOND,
        softirq_ns: 20 * SECOND,
        steal_ns: 5 * SECOND,
        waiting_ns: Some(7_500_000_000),
        busiest: Some(Busiest {
            number: 3,
            busy: 0.99,
            softirq: 0.8,
            steal: 0.12,
        }),
        ..host.processors
    };
    host.softnet = Softnet {
        processed: 1_000_000,
        dropped: 300,
        time_squeeze: 41,
        flow_limit: 20,
    };
    let eth0 = &mut host.devices[0];
    eth0.link_use = [Some(0.08), Some(0.93)];
    eth0.link_use_most = [Some(0.1), Some(0.97)];
    eth0.counters = counters(&[("rx_missed_errors", 56), ("rx_dropped", 60)]);
    eth0.driver = counters(&[
        ("bw_out_allowance_exceeded", 1_234),
        ("queue_N_rx_drops", 56),
    ]);
    host.sockets = vec![SocketBuffers {
        namespace: namespace("db", 2),
        counters: counters(&[
            ("TcpExt.ListenDrops", 17),
            ("TcpExt.ListenOverflows", 17),
            ("Udp.RcvbufErrors", 4),
        ]),
    }];
    host
}
