//! What a host with many containers would give, each class with a way of its own.

use std::ops::Range;

use tracer::model::hop::Stage;
use tracer::model::{
    Class, End, Ends, Histogram, Hop, Namespace, Node, Parent, Protocol, Reading, Service,
};

const STAGES: [Stage; 5] = [
    Stage::Queue,
    Stage::Xmit,
    Stage::Rx,
    Stage::Receive,
    Stage::Deliver,
];

/// Sets of labels that one class makes: packets at five hops, four segments, one route.
pub(crate) const A_CLASS: usize = 10;

/// The reading of some classes.
pub(crate) fn reading(classes: Range<usize>) -> Reading {
    let mut latency = Histogram::default();
    for step in 0..40 {
        latency.record_n(1_000 + step * step * 60, 100 - step);
    }
    let mut reading = Reading::default();
    for (place, class) in classes.enumerate() {
        reading.classes.push(Class {
            source: End::Component(format!("app-{}", class % 100)),
            destination: End::Component(format!("database-{}", class / 100)),
            protocol: Protocol::Tcp,
            service: Some(Service::Destination(5432)),
            first: None,
            way_back: None,
        });
        for (index, stage) in STAGES.into_iter().enumerate() {
            let parent = match index {
                0 => Parent::Class(place),
                _ => Parent::Node(reading.nodes.len() - 1),
            };
            let leaf = index == STAGES.len() - 1;
            reading.nodes.push(Node {
                parent,
                hop: hop(class, index, stage).into(),
                translated: None,
                packets: 1_000,
                bytes: 64_000,
                latency: if index == 0 {
                    Histogram::default()
                } else {
                    latency.clone()
                },
                total: if leaf {
                    latency.clone()
                } else {
                    Histogram::default()
                },
                born: 0,
                ends: Ends {
                    delivered: if leaf { 1_000 } else { 0 },
                    ..Ends::default()
                },
            });
        }
    }
    reading
}

fn hop(class: usize, index: usize, stage: Stage) -> Hop {
    let host = class % 200 + index / 2;
    Hop {
        namespace: Namespace {
            name: format!("container-{host}"),
            cookie: host as u64,
            inode: host as u32,
        },
        device: "eth0".to_owned(),
        ifindex: 2,
        kind: "veth".to_owned(),
        stage,
        next_hop_mac: (stage == Stage::Xmit).then_some([2, 0, 0, 0, 0, 1]),
        previous_hop_mac: None,
    }
}
