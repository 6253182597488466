//! A web server that asks a database, and who asks it.

use std::collections::BTreeSet;

use super::*;
use crate::model::connection::Connection;
use crate::model::name::{Names, Process};
use crate::model::{End as ClassEnd, Protocol, Route, Service, Tuple, example};

const WEB: &str = "10.1.0.2";
const DB: &str = "10.2.0.2";

fn class(from: &str, to: &str, service: Service) -> Class {
    let end = |text: &str| ClassEnd::Prefix(text.parse().unwrap(), 32);
    Class {
        source: end(from),
        destination: end(to),
        protocol: Protocol::Tcp,
        service: Some(service),
        first: None,
        way_back: None,
    }
}

fn sockets(class: Class, times: &[(Phase, u64, u64)], sample: Vec<Connection>) -> Sockets {
    let mut phases = BTreeMap::<Phase, Histogram>::new();
    for &(phase, ns, count) in times {
        phases.entry(phase).or_default().record_n(ns, count);
    }
    Sockets {
        class,
        seen: Connections {
            class: 0,
            namespace: Namespace {
                name: "web".to_owned(),
                cookie: 3,
                inode: 4,
            },
            device: "eth0".to_owned(),
            ifindex: 2,
            next_hop: None,
            ttl: None,
            ttl_step: None,
            phases,
            sights: BTreeMap::new(),
            sample,
        },
    }
}

fn connection(client: &str, port: u16, exchanges: u32) -> Connection {
    Connection {
        tuple: Tuple {
            source: client.parse().unwrap(),
            destination: WEB.parse().unwrap(),
            source_port: port,
            destination_port: 443,
        },
        rtts: 0,
        rtt_sum_ns: 0,
        rtt_min_ns: 0,
        rtt_last_ns: 0,
        retransmits: 0,
        exchanges,
        disturbed: 0,
    }
}

/// A web server whose answers take 1 ms, and three in ten 25 ms; the database takes 20 ms.
fn report(clients: Vec<Connection>) -> Report {
    let front = class("0.0.0.0", WEB, Service::Destination(443));
    let back = class(DB, WEB, Service::Source(5432));
    let served = [
        (Phase::Service, 1_000_000, 70),
        (Phase::Service, 25_000_000, 30),
    ];
    let waited = [(Phase::Answer, 20_000_000, 30)];
    Report {
        sockets: vec![
            sockets(front, &served, clients),
            sockets(back, &waited, Vec::new()),
        ],
        ..Report::default()
    }
}

/// Says which program has the sockets of a class.
fn named(report: &mut Report, at: usize, program: &str) {
    let mut route: Route = Report::from_reading(&example::lab()).routes[0].clone();
    route.class = report.sockets[at].class.clone();
    let process = Process {
        command: Some(program.to_owned()),
        owner: None,
    };
    route.names = Names {
        source: Who::Unknown,
        destination: Who::Local(BTreeSet::from([process])),
    };
    report.routes.push(route);
}

#[test]
fn of_the_answers_those_may_have_waited_that_took_long_enough() {
    let mut report = report(vec![connection("198.51.100.7", 40_001, 10)]);
    let unnamed = report.dependents();
    assert_eq!(unnamed.len(), 1);
    assert!(!unnamed[0].is_one_process);
    named(&mut report, 0, "uwsgi");
    named(&mut report, 1, "uwsgi");
    let dependents = &report.dependents()[0];
    assert!(dependents.is_one_process);
    assert_eq!(dependents.waited_at_most, Some(Share { part: 30, of: 100 }));
    assert_eq!(dependents.front.service, Some(Service::Destination(443)));
}

#[test]
fn another_process_in_the_same_namespace_depends_on_nothing() {
    let mut report = report(Vec::new());
    named(&mut report, 0, "nginx");
    named(&mut report, 1, "uwsgi");
    assert_eq!(report.dependents(), []);
}

#[test]
fn a_share_of_few_answers_is_not_told() {
    let mut report = report(Vec::new());
    report.sockets[1].seen.phases.clear();
    assert_eq!(report.dependents()[0].waited_at_most, None);
}

#[test]
fn few_addresses_with_many_connections_are_a_proxy() {
    let proxy = (0..40).map(|i| connection(["10.0.0.1", "10.0.0.2"][i % 2], 1 + i as u16, 50));
    let clients = report(proxy.collect()).dependents()[0].clients;
    assert_eq!(
        (clients.addresses, clients.connections, clients.busiest),
        (2, 40, 2)
    );
    assert!(clients.is_behind_a_proxy() && clients.is_whole);

    let many = (0..40).map(|i| connection(&format!("198.51.100.{i}"), 40_000, 1));
    let clients = report(many.collect()).dependents()[0].clients;
    assert_eq!((clients.addresses, clients.busiest), (40, 32));
    assert!(!clients.is_behind_a_proxy());

    assert!(
        !report(Vec::new()).dependents()[0]
            .clients
            .is_behind_a_proxy()
    );
}
