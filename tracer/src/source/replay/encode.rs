//! From a reading to a recording.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use ipnet::IpNet;

use super::{SCHEMA, host, names, passing, wire};
use crate::model::connection::{Connection, Phase, Sight};
use crate::model::coverage::Coverage;
use crate::model::forwarding::{Forwarding, Peer};
use crate::model::hop::mac_text;
use crate::model::{self, End, Histogram, Parent, Service, State};

/// The recording's text, with a line for each class and node so that two can be compared.
pub(super) fn reading(reading: &model::Reading) -> String {
    let frame = wire::Reading {
        schema: SCHEMA.to_owned(),
        kernel: reading.kernel.clone(),
        duration_ns: reading.duration_ns,
        classes: reading.classes.iter().map(class).collect(),
        nodes: reading.nodes.iter().map(node).collect(),
        forwarding: reading.forwarding.iter().map(forwarding).collect(),
        names: reading.names.iter().map(names::encode).collect(),
        connections: reading.connections.iter().map(connections).collect(),
        passing: reading.passing.iter().map(passing::encode).collect(),
        coverage: reading.coverage.iter().map(coverage).collect(),
        host: host::encode(&reading.host),
        losses: reading.losses.clone(),
        availability: reading.availability.iter().map(availability).collect(),
    };
    let mut text = String::from("{\n");
    line(&mut text, "schema", &frame.schema);
    line(&mut text, "kernel", &frame.kernel);
    line(&mut text, "duration_ns", &frame.duration_ns);
    lines(&mut text, "classes", &frame.classes);
    lines(&mut text, "nodes", &frame.nodes);
    if !frame.forwarding.is_empty() {
        lines(&mut text, "forwarding", &frame.forwarding);
    }
    if !frame.names.is_empty() {
        lines(&mut text, "names", &frame.names);
    }
    if !frame.connections.is_empty() {
        lines(&mut text, "connections", &frame.connections);
    }
    if !frame.passing.is_empty() {
        lines(&mut text, "passing", &frame.passing);
    }
    if !frame.coverage.is_empty() {
        lines(&mut text, "coverage", &frame.coverage);
    }
    if let Some(host) = &frame.host {
        line(&mut text, "host", host);
    }
    line(&mut text, "losses", &frame.losses);
    lines(&mut text, "availability", &frame.availability);
    text.truncate(text.len() - ",\n".len());
    text.push_str("\n}\n");
    text
}

fn line(text: &mut String, key: &str, value: &impl serde::Serialize) {
    let _ = writeln!(text, "\"{key}\":{},", json(value));
}

fn lines(text: &mut String, key: &str, values: &[impl serde::Serialize]) {
    let values: Vec<String> = values.iter().map(json).collect();
    let _ = writeln!(text, "\"{key}\":[\n{}\n],", values.join(",\n"));
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("wire types have string keys and fail in no other way")
}

fn class(class: &model::Class) -> wire::Class {
    wire::Class {
        source: end(&class.source),
        destination: end(&class.destination),
        protocol: class.protocol.name().to_owned(),
        service: class.service.map(|service| match service {
            Service::Destination(port) => wire::Service::Destination(port),
            Service::Source(port) => wire::Service::Source(port),
        }),
        first: class.first.as_ref().map(tuple),
        way_back: class.way_back,
    }
}

fn end(end: &End) -> wire::End {
    match end {
        End::Component(name) => wire::End::Component(name.clone()),
        End::Prefix(address, length) => wire::End::Prefix(
            IpNet::new(*address, *length).unwrap_or_else(|_| IpNet::from(*address)),
        ),
        End::NoAddress => wire::End::NoAddress,
    }
}

fn tuple(tuple: &model::Tuple) -> wire::Tuple {
    wire::Tuple {
        source: tuple.source,
        destination: tuple.destination,
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
    }
}

fn forwarding((&node, it): (&usize, &Arc<Forwarding>)) -> wire::Forwarding {
    wire::Forwarding {
        node,
        next_hop: it.next_hop.as_ref().map(peer),
        previous_hop: it.previous_hop.as_ref().map(peer),
        entry: it.entry.as_ref().map(|it| wire::FibEntry {
            table: it.table,
            rule: it.rule,
            mark: it.mark,
            prefix: it.prefix,
            kind: it.kind,
            protocol: it.protocol,
            scope: it.scope,
            metric: it.metric,
            mtu: it.mtu,
            path_mtu: it.path_mtu,
            redirect: it.redirect,
            gateway: it.gateway,
            leg: it.leg,
            legs: it.legs,
        }),
    }
}

fn connections(it: &model::Connections) -> wire::Connections {
    wire::Connections {
        class: it.class,
        netns: it.namespace.name.clone(),
        netns_cookie: it.namespace.cookie,
        netns_inode: it.namespace.inode,
        device: it.device.clone(),
        ifindex: it.ifindex,
        next_hop: it.next_hop,
        ttl: it.ttl,
        ttl_step: it.ttl_step.map(passing::encode_step),
        phases: phases(&it.phases),
        sights: sights(&it.sights),
        sample: it.sample.iter().map(connection).collect(),
    }
}

pub(super) fn phases(it: &BTreeMap<Phase, Histogram>) -> BTreeMap<String, wire::Histogram> {
    let known = it.iter();
    known
        .map(|(phase, times)| (phase.name().to_owned(), histogram(times)))
        .collect()
}

pub(super) fn sights(it: &BTreeMap<Sight, u64>) -> BTreeMap<String, u64> {
    let known = it.iter();
    known
        .map(|(sight, &count)| (sight.name().to_owned(), count))
        .collect()
}

fn coverage(it: &Coverage) -> wire::Coverage {
    wire::Coverage {
        netns: it.namespace.name.clone(),
        netns_cookie: it.namespace.cookie,
        netns_inode: it.namespace.inode,
        device: it.device.clone(),
        ifindex: it.ifindex,
        direction: it.direction.name().to_owned(),
        seen: it.seen,
        carried: it.carried,
    }
}

pub(super) fn connection(it: &Connection) -> wire::Connection {
    wire::Connection {
        tuple: tuple(&it.tuple),
        rtts: it.rtts,
        rtt_mean_ns: it.rtt_mean_ns(),
        rtt_sum_ns: Some(it.rtt_sum_ns),
        rtt_min_ns: it.rtt_min_ns,
        rtt_last_ns: it.rtt_last_ns,
        retransmits: it.retransmits,
        exchanges: it.exchanges,
        disturbed: it.disturbed,
    }
}

fn peer(peer: &Peer) -> wire::Peer {
    wire::Peer {
        mac: mac_text(peer.mac),
        addresses: peer.addresses.clone(),
    }
}

fn node(node: &model::Node) -> wire::Node {
    wire::Node {
        parent: match node.parent {
            Parent::Class(index) => wire::Parent::Class(index),
            Parent::Node(index) => wire::Parent::Node(index),
        },
        hop: hop(&node.hop),
        translated: node.translated.as_ref().map(tuple),
        packets: node.packets,
        bytes: node.bytes,
        latency: histogram(&node.latency),
        total: histogram(&node.total),
        born: node.born,
        ends: ends(&node.ends),
    }
}

fn hop(hop: &model::Hop) -> wire::Hop {
    wire::Hop {
        netns: hop.namespace.name.clone(),
        netns_cookie: hop.namespace.cookie,
        netns_inode: hop.namespace.inode,
        device: hop.device.clone(),
        ifindex: hop.ifindex,
        kind: hop.kind.clone(),
        stage: hop.stage.name().to_owned(),
        next_hop_mac: hop.next_hop_mac.map(model::hop::mac_text),
        previous_hop_mac: hop.previous_hop_mac.map(model::hop::mac_text),
    }
}

fn histogram(histogram: &model::Histogram) -> wire::Histogram {
    let filled = histogram.counts().buckets();
    wire::Histogram {
        sum_ns: histogram.sum_ns(),
        min_ns: histogram.min_ns().unwrap_or(0),
        max_ns: histogram.max_ns().unwrap_or(0),
        counts: filled.filter(|&(_, count)| count > 0).collect(),
    }
}

fn ends(ends: &model::Ends) -> wire::Ends {
    wire::Ends {
        delivered: ends.delivered,
        merged: ends.merged,
        split: ends.split,
        in_flight: ends.in_flight,
        dropped: ends.dropped.clone(),
        lost: ends.lost.clone(),
    }
}

fn availability(availability: &model::Availability) -> wire::Availability {
    let reason = |because: &String, advice: &String| wire::Reason {
        because: because.clone(),
        advice: advice.clone(),
    };
    wire::Availability {
        name: availability.name.clone(),
        meaning: availability.meaning.clone(),
        state: match &availability.state {
            State::Works => wire::State::Works,
            State::Unavailable { because, advice } => {
                wire::State::Unavailable(reason(because, advice))
            }
            State::Missing { because, advice } => wire::State::Missing(reason(because, advice)),
        },
    }
}
