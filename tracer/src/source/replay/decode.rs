//! From a recording to a reading; whatever contradicts itself is refused.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{SCHEMA, host, names, passing, wire};
use crate::model::connection::{Connection, Phase, Sight};
use crate::model::coverage::{Coverage, Direction};
use crate::model::forwarding::{FibEntry, Peer, Role};
use crate::model::hop::mac_from_text;
use crate::model::{self, End, Parent, Protocol, Service, State};
use tracer_common::bucket::BUCKETS;
use tracer_common::hop::Stage;

/// The reading in a recording's text, or what is wrong with it and where.
pub(super) fn reading(text: &[u8]) -> Result<model::Reading, String> {
    let header: wire::Header =
        serde_json::from_slice(text).map_err(|error| format!("it is no recording: {error}"))?;
    if header.schema != SCHEMA {
        let schema = header.schema;
        return Err(format!(
            "its schema is {schema:?}, and this tracer reads {SCHEMA:?}"
        ));
    }
    let frame: wire::Reading = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let (classes, nodes) = (frame.classes.len(), frame.nodes.len());
    let mut hops = HashSet::new();
    Ok(model::Reading {
        kernel: frame.kernel,
        duration_ns: frame.duration_ns,
        classes: numbered("class", frame.classes, |_, it| class(it, classes))?,
        nodes: numbered("node", frame.nodes, |index, it| {
            node(it, index, classes, &mut hops)
        })?,
        forwarding: numbered("forwarding", frame.forwarding, |_, it| {
            forwarding(it, nodes)
        })?
        .into_iter()
        .collect(),
        names: numbered("names", frame.names, |_, it| names::decode(it, classes))?
            .into_iter()
            .collect(),
        connections: numbered("connections", frame.connections, |_, it| {
            connections(it, classes)
        })?,
        passing: numbered("passing", frame.passing, |_, it| {
            passing::decode(it, classes)
        })?,
        coverage: numbered("coverage", frame.coverage, |_, it| coverage(it))?,
        host: frame.host.map(host::decode).unwrap_or_default(),
        losses: frame.losses,
        availability: frame.availability.into_iter().map(availability).collect(),
        ..model::Reading::default()
    })
}

fn forwarding(
    it: wire::Forwarding,
    nodes: usize,
) -> Result<(usize, Arc<model::forwarding::Forwarding>), String> {
    if it.node >= nodes {
        return Err(format!("there is no node {}", it.node));
    }
    let forwarding = model::forwarding::Forwarding {
        next_hop: it.next_hop.map(peer).transpose()?,
        previous_hop: it.previous_hop.map(peer).transpose()?,
        entry: it.entry.map(|it| FibEntry {
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
            age: None,
            set_by: None,
        }),
    };
    Ok((it.node, Arc::new(forwarding)))
}

fn connections(it: wire::Connections, classes: usize) -> Result<model::Connections, String> {
    check_class(it.class, classes)?;
    Ok(model::Connections {
        class: it.class,
        namespace: model::Namespace {
            name: it.netns,
            cookie: it.netns_cookie,
            inode: it.netns_inode,
        },
        device: it.device,
        ifindex: it.ifindex,
        next_hop: it.next_hop,
        ttl: it.ttl,
        ttl_step: it.ttl_step.as_ref().map(passing::decode_step),
        phases: phases(&it.phases)?,
        sights: sights(&it.sights),
        sample: it.sample.iter().map(connection).collect(),
    })
}

pub(super) fn check_class(class: usize, classes: usize) -> Result<(), String> {
    if class >= classes {
        return Err(format!(
            "they have class {class}, and there are {classes} classes"
        ));
    }
    Ok(())
}

pub(super) fn phases(
    it: &BTreeMap<String, wire::Histogram>,
) -> Result<BTreeMap<Phase, model::Histogram>, String> {
    let mut phases = BTreeMap::new();
    for phase in Phase::ALL {
        if let Some(times) = it.get(phase.name()) {
            let times = histogram(times).map_err(|why| format!("{}: {why}", phase.name()))?;
            phases.insert(phase, times);
        }
    }
    Ok(phases)
}

pub(super) fn sights(it: &BTreeMap<String, u64>) -> BTreeMap<Sight, u64> {
    let known = Sight::ALL.iter();
    known
        .filter_map(|&sight| Some((sight, *it.get(sight.name())?)))
        .collect()
}

fn coverage(it: wire::Coverage) -> Result<Coverage, String> {
    let direction = Direction::from_name(&it.direction);
    Ok(Coverage {
        namespace: model::Namespace {
            name: it.netns,
            cookie: it.netns_cookie,
            inode: it.netns_inode,
        },
        device: it.device,
        ifindex: it.ifindex,
        direction: direction.ok_or_else(|| format!("its direction is {:?}", it.direction))?,
        seen: it.seen,
        carried: it.carried,
    })
}

pub(super) fn connection(it: &wire::Connection) -> Connection {
    Connection {
        tuple: tuple(&it.tuple),
        rtts: it.rtts,
        rtt_sum_ns: it
            .rtt_sum_ns
            .unwrap_or_else(|| it.rtt_mean_ns.saturating_mul(it.rtts.into())),
        rtt_min_ns: it.rtt_min_ns,
        rtt_last_ns: it.rtt_last_ns,
        retransmits: it.retransmits,
        exchanges: it.exchanges,
        disturbed: it.disturbed,
    }
}

fn peer(peer: wire::Peer) -> Result<Peer, String> {
    let mac = mac_from_text(&peer.mac);
    let mac = mac.ok_or_else(|| format!("{:?} is no Ethernet address", peer.mac))?;
    Ok(Peer {
        mac,
        addresses: peer.addresses,
        role: Role::of(mac),
    })
}

fn numbered<From, To>(
    what: &str,
    all: Vec<From>,
    mut convert: impl FnMut(usize, From) -> Result<To, String>,
) -> Result<Vec<To>, String> {
    all.into_iter()
        .enumerate()
        .map(|(index, it)| convert(index, it).map_err(|why| format!("{what} {index}: {why}")))
        .collect()
}

fn class(class: wire::Class, classes: usize) -> Result<model::Class, String> {
    if let Some(way_back) = class.way_back.filter(|&index| index >= classes) {
        return Err(format!(
            "its way back is class {way_back}, and there are {classes} classes"
        ));
    }
    Ok(model::Class {
        source: end(class.source),
        destination: end(class.destination),
        protocol: Protocol::ALL
            .into_iter()
            .find(|protocol| protocol.name() == class.protocol)
            .ok_or_else(|| format!("its protocol is {:?}", class.protocol))?,
        service: class.service.map(|service| match service {
            wire::Service::Destination(port) => Service::Destination(port),
            wire::Service::Source(port) => Service::Source(port),
        }),
        first: class.first.as_ref().map(tuple),
        way_back: class.way_back,
    })
}

fn end(end: wire::End) -> End {
    match end {
        wire::End::Component(name) => End::Component(name),
        wire::End::Prefix(prefix) => End::Prefix(prefix.addr(), prefix.prefix_len()),
        wire::End::NoAddress => End::NoAddress,
    }
}

fn tuple(tuple: &wire::Tuple) -> model::Tuple {
    model::Tuple {
        source: tuple.source,
        destination: tuple.destination,
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
    }
}

fn node(
    node: wire::Node,
    index: usize,
    classes: usize,
    hops: &mut HashSet<Arc<model::Hop>>,
) -> Result<model::Node, String> {
    let mut hop = Arc::new(hop(node.hop)?);
    // Very many nodes share few hops.
    match hops.get(&hop) {
        Some(known) => hop = Arc::clone(known),
        None => drop(hops.insert(Arc::clone(&hop))),
    }
    Ok(model::Node {
        parent: parent(&node.parent, index, classes)?,
        hop,
        translated: node.translated.as_ref().map(tuple),
        packets: node.packets,
        bytes: node.bytes,
        latency: histogram(&node.latency).map_err(|why| format!("its latency: {why}"))?,
        total: histogram(&node.total).map_err(|why| format!("its total: {why}"))?,
        born: node.born,
        ends: ends(node.ends),
    })
}

/// Parents stand before their children, so there is no cycle.
fn parent(parent: &wire::Parent, index: usize, classes: usize) -> Result<Parent, String> {
    match *parent {
        wire::Parent::Class(class) if class < classes => Ok(Parent::Class(class)),
        wire::Parent::Class(class) => Err(format!(
            "it starts class {class}, and there are {classes} classes"
        )),
        wire::Parent::Node(node) if node < index => Ok(Parent::Node(node)),
        wire::Parent::Node(node) => Err(format!(
            "its parent is node {node}, which does not stand before it"
        )),
    }
}

fn hop(hop: wire::Hop) -> Result<model::Hop, String> {
    let mac = |text: Option<String>| {
        text.map(|text| {
            model::hop::mac_from_text(&text).ok_or_else(|| format!("{text:?} is no MAC address"))
        })
        .transpose()
    };
    Ok(model::Hop {
        namespace: model::Namespace {
            name: hop.netns,
            cookie: hop.netns_cookie,
            inode: hop.netns_inode,
        },
        device: hop.device,
        ifindex: hop.ifindex,
        kind: hop.kind,
        stage: Stage::ALL
            .into_iter()
            .find(|&stage| stage != Stage::Total && stage.name() == hop.stage)
            .ok_or_else(|| format!("its stage is {:?}", hop.stage))?,
        next_hop_mac: mac(hop.next_hop_mac)?,
        previous_hop_mac: mac(hop.previous_hop_mac)?,
    })
}

fn histogram(histogram: &wire::Histogram) -> Result<model::Histogram, String> {
    let mut counts = model::Counts::default();
    for &(index, count) in &histogram.counts {
        if index >= BUCKETS {
            return Err(format!("bucket {index}, and there are {BUCKETS}"));
        }
        counts.add(index, count);
    }
    let wire::Histogram {
        sum_ns,
        min_ns,
        max_ns,
        ..
    } = *histogram;
    Ok(model::Histogram::from_counts(
        counts, sum_ns, min_ns, max_ns,
    ))
}

fn ends(ends: wire::Ends) -> model::Ends {
    model::Ends {
        delivered: ends.delivered,
        merged: ends.merged,
        split: ends.split,
        in_flight: ends.in_flight,
        dropped: ends.dropped,
        lost: ends.lost,
    }
}

fn availability(availability: wire::Availability) -> model::Availability {
    model::Availability {
        name: availability.name,
        meaning: availability.meaning,
        state: match availability.state {
            wire::State::Works => State::Works,
            wire::State::Unavailable(wire::Reason { because, advice }) => {
                State::Unavailable { because, advice }
            }
            wire::State::Missing(wire::Reason { because, advice }) => {
                State::Missing { because, advice }
            }
        },
    }
}
