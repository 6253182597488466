//! What was seen at sockets, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::Latency;
use super::passing::TtlStep;
use crate::model::connection::{self, Phase, Sight};
use crate::model::passing::ON_THE_WAY;
use crate::model::{Histogram, Service};

/// Times and counts of the sockets at both ends of a route, in the route's object.
#[derive(Serialize)]
pub(super) struct Totals {
    rtt: Latency,
    rtt_with_data: Latency,
    handshake: Latency,
    answer: Latency,
    peer_time: Bounds,
    waiting: Latency,
    thinking: Latency,
    service: Latency,
    exchanges: BTreeMap<&'static str, u64>,
    tcp: BTreeMap<&'static str, u64>,
}

/// Within what a time lies.
#[derive(Serialize)]
struct Bounds {
    at_least: Latency,
    at_most: Latency,
}

/// The sockets that receive one class's packets, by next hop.
#[derive(Serialize)]
pub(super) struct Sockets<'a> {
    source: String,
    destination: String,
    port: Option<u16>,
    port_of: Option<&'static str>,
    role: Option<&'static str>,
    netns: &'a str,
    netns_cookie: u64,
    device: Option<&'a str>,
    next_hop: Option<IpAddr>,
    ttl: Option<u8>,
    ttl_step: Option<TtlStep>,
    #[serde(flatten)]
    totals: Totals,
    disturbed: Latency,
    peer_or_way_back: Latency,
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Connection {
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
    rtts: u32,
    rtt_mean_ns: Option<u64>,
    rtt_min_ns: Option<u64>,
    rtt_last_ns: Option<u64>,
    retransmits: u32,
    exchanges: u32,
    disturbed: u32,
}

/// Counts of exchanges; all others are TCP's.
const EXCHANGES: [Sight; 5] = [
    Sight::Undisturbed,
    Sight::Disturbed,
    Sight::PeerOrWayBack,
    Sight::Overlapping,
    Sight::Unanswered,
];

impl Totals {
    pub(super) fn of(totals: &connection::Totals) -> Self {
        let none = Histogram::default();
        let times = |phase| Latency::of(totals.phases.get(&phase).unwrap_or(&none));
        let counts = |is_exchange: bool| {
            let known = Sight::ALL.iter();
            known
                .filter(|sight| !ON_THE_WAY.contains(sight))
                .filter(|sight| EXCHANGES.contains(sight) == is_exchange)
                .map(|sight| (sight.name(), totals.sights.get(sight).copied().unwrap_or(0)))
                .collect()
        };
        Self {
            rtt: times(Phase::Rtt),
            rtt_with_data: times(Phase::RttWithData),
            handshake: times(Phase::Handshake),
            answer: times(Phase::Answer),
            peer_time: Bounds {
                at_least: times(Phase::PeerAtLeast),
                at_most: times(Phase::PeerAtMost),
            },
            waiting: times(Phase::Waiting),
            thinking: times(Phase::Thinking),
            service: times(Phase::Service),
            exchanges: counts(true),
            tcp: counts(false),
        }
    }
}

impl<'a> Sockets<'a> {
    pub(super) fn of(sockets: &'a connection::Sockets) -> Self {
        let connection::Sockets { class, seen } = sockets;
        Self {
            source: class.source.to_string(),
            destination: class.destination.to_string(),
            port: class.service.map(Service::port),
            port_of: class.service.map(|service| match service {
                Service::Destination(_) => "destination",
                Service::Source(_) => "source",
            }),
            role: sockets
                .serve()
                .map(|serve| if serve { "serving" } else { "asking" }),
            netns: &seen.namespace.name,
            netns_cookie: seen.namespace.cookie,
            device: Some(&*seen.device).filter(|device| !device.is_empty()),
            next_hop: seen.next_hop,
            ttl: seen.ttl,
            ttl_step: seen.ttl_step.map(TtlStep::of),
            totals: Totals::of(&connection::Totals::of(std::iter::once(seen))),
            disturbed: Latency::of(&seen.phase(Phase::Disturbed)),
            peer_or_way_back: Latency::of(&seen.phase(Phase::PeerOrWayBack)),
            connections: seen.sample.iter().map(Connection::of).collect(),
        }
    }
}

impl Connection {
    fn of(connection: &connection::Connection) -> Self {
        let known = |ns| (connection.rtts > 0).then_some(ns);
        let tuple = &connection.tuple;
        Self {
            source: tuple.source,
            source_port: tuple.source_port,
            destination: tuple.destination,
            destination_port: tuple.destination_port,
            rtts: connection.rtts,
            rtt_mean_ns: known(connection.rtt_mean_ns()),
            rtt_min_ns: known(connection.rtt_min_ns),
            rtt_last_ns: known(connection.rtt_last_ns),
            retransmits: connection.retransmits,
            exchanges: connection.exchanges,
            disturbed: connection.disturbed,
        }
    }
}
