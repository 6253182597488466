//! Looks one after another, with counts made by hand.

use super::*;
use crate::model::Namespace;

fn namespace() -> Namespace {
    Namespace {
        name: "host".to_owned(),
        cookie: 1,
        inode: 2,
    }
}

fn named(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let of = of.iter();
    of.map(|&(name, count)| (name.to_owned(), count)).collect()
}

/// A card of 1 Gb/s.
fn look(bytes: u64, missed: u64, exceeded: u64, overflows: u64) -> counters::Look {
    let device = counters::Device {
        namespace: namespace(),
        name: "eth0".to_owned(),
        counters: counters::Counters {
            packets: [0; 2],
            bytes: [bytes, 0],
        },
        is_hardware: true,
        speed_mbps: Some(1_000),
        trouble: named(&[("rx_missed_errors", missed)]),
        driver: named(&[("bw_in_allowance_exceeded", exceeded)]),
    };
    let sockets = named(&[("TcpExt.ListenOverflows", overflows)]);
    counters::Look {
        devices: BTreeMap::from([((1, 2), device)]),
        sockets: BTreeMap::from([(1, (namespace(), sockets))]),
        spent: Duration::ZERO,
    }
}

/// Two processors, of which one had nothing to do.
fn machine(busy_ns: u64, softirq_ns: u64, softnet: [u32; 4]) -> Machine {
    let busy = proc::Times {
        busy_ns,
        softirq_ns,
        ..proc::Times::default()
    };
    let idle = proc::Times {
        idle_ns: busy_ns,
        ..proc::Times::default()
    };
    Machine {
        processors: BTreeMap::from([(0, idle), (1, busy)]),
        softnet: BTreeMap::from([(1, softnet)]),
        waiting_ns: None,
    }
}

#[test]
fn what_was_counted_before_the_first_look_is_not_told() {
    let mut watch = Watch::default();
    let began = Instant::now();
    watch.take(began, machine(100, 10, [5, 6, 7, 8]), &look(9, 9, 9, 9));
    let told = watch.told();
    assert_eq!(told.softnet, Softnet::default());
    assert!(told.sockets.is_empty() && told.devices[0].counters.is_empty());
    assert_eq!(told.devices[0].link_use, [None; 2]);
    assert_eq!(told.troubles(), []);
}

#[test]
fn what_came_since_is_told_with_the_use_of_the_link() {
    let mut watch = Watch::default();
    let began = Instant::now();
    let at = |seconds| began + Duration::from_secs(seconds);
    watch.take(
        at(0),
        machine(100, 10, [u32::MAX, 0, 0, 0]),
        &look(0, 1, 1, 1),
    );
    // 5 s at 100 Mbyte/s: 80 % of the link.
    watch.take(
        at(5),
        machine(1_100, 510, [1, 2, 3, 4]),
        &look(500_000_000, 4, 1, 3),
    );
    watch.take(
        at(10),
        machine(1_200, 520, [1, 2, 3, 4]),
        &look(500_000_000, 4, 8, 3),
    );
    let told = watch.told();
    let softnet = Softnet {
        processed: 2,
        dropped: 2,
        time_squeeze: 3,
        flow_limit: 4,
    };
    assert_eq!((told.watched_ns, told.softnet), (10_000_000_000, softnet));
    let eth0 = &told.devices[0];
    assert_eq!(eth0.bytes, [500_000_000, 0]);
    assert_eq!(eth0.link_use, [Some(0.0), Some(0.0)]);
    assert_eq!(eth0.link_use_most, [Some(0.8), Some(0.0)]);
    assert_eq!(eth0.counters, named(&[("rx_missed_errors", 3)]));
    assert_eq!(eth0.driver, named(&[("bw_in_allowance_exceeded", 7)]));
    assert_eq!(
        told.sockets[0].counters,
        named(&[("TcpExt.ListenOverflows", 2)])
    );
    let processors = &told.processors;
    assert_eq!(
        (processors.count, processors.busy_ns, processors.softirq_ns),
        (2, 1_100, 510)
    );
    let busiest = processors.busiest.unwrap();
    assert_eq!(
        (busiest.number, busiest.busy, busiest.softirq),
        (1, 1.0, 0.1)
    );
}

#[test]
fn a_card_that_counts_less_than_before_begins_anew() {
    let mut watch = Watch::default();
    let began = Instant::now();
    let at = |seconds| began + Duration::from_secs(seconds);
    watch.take(at(0), machine(1, 0, [0; 4]), &look(1_000, 50, 5, 0));
    watch.take(at(5), machine(2, 0, [0; 4]), &look(10, 0, 2, 0));
    watch.take(at(10), machine(3, 0, [0; 4]), &look(20, 7, 2, 0));
    let eth0 = &watch.told().devices[0];
    assert_eq!(eth0.bytes, [10, 0]);
    assert_eq!(eth0.counters, named(&[("rx_missed_errors", 7)]));
    assert!(eth0.driver.is_empty());
}

#[test]
fn a_moment_is_no_interval() {
    let mut watch = Watch::default();
    let began = Instant::now();
    watch.take(began, machine(1, 0, [0; 4]), &look(0, 0, 0, 0));
    let soon = began + Duration::from_millis(10);
    watch.take(soon, machine(2, 0, [0; 4]), &look(5_000_000, 0, 0, 0));
    assert_eq!(watch.told().devices[0].link_use, [None; 2]);
    // The interval goes on from the last one that was long enough.
    let later = began + Duration::from_secs(1);
    watch.take(later, machine(3, 0, [0; 4]), &look(5_000_000, 0, 0, 0));
    assert_eq!(watch.told().devices[0].link_use[0], Some(0.04));
}
