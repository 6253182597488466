//! What was seen on the way, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::Latency;
use crate::model::Service;
use crate::model::connection::{self, Phase, Sight};
use crate::model::passing::{self, Flows, ON_THE_WAY};

/// One class's packets that came in by one device.
#[derive(Serialize)]
pub(super) struct Passing<'a> {
    source: String,
    destination: String,
    port: Option<u16>,
    port_of: Option<&'static str>,
    netns: &'a str,
    netns_cookie: u64,
    device: Option<&'a str>,
    ttl: Option<u8>,
    ttl_step: Option<TtlStep>,
    rtt: Latency,
    rtt_with_data: Latency,
    handshake: Latency,
    tcp: BTreeMap<&'static str, u64>,
    icmp: BTreeMap<&'static str, u64>,
    icmp_last: Option<Told>,
    looped: u64,
    flows: Vec<Flow>,
}

#[derive(Serialize)]
pub(super) struct TtlStep {
    before: u8,
    after: u8,
    ago_ns: u64,
}

#[derive(Serialize)]
struct Told {
    by: IpAddr,
    #[serde(rename = "type")]
    kind: u8,
    code: u8,
    mtu: Option<u32>,
    gateway: Option<IpAddr>,
    ago_ns: u64,
}

#[derive(Serialize)]
struct Flow {
    source: IpAddr,
    source_port: u16,
    destination: IpAddr,
    destination_port: u16,
    rtts: u32,
    rtt_mean_ns: u64,
    rtt_min_ns: u64,
    rtt_last_ns: u64,
    duplicates: u32,
}

/// What is counted of TCP on the way.
const TCP: [Sight; 9] = [
    Sight::Duplicates,
    Sight::Gaps,
    Sight::SynRetransmits,
    Sight::SynAckRetransmits,
    Sight::PeerZeroWindow,
    Sight::ResetsReceived,
    Sight::HeldBack,
    Sight::TtlChanges,
    Sight::Untracked,
];

impl<'a> Passing<'a> {
    pub(super) fn of(flows: &'a Flows) -> Self {
        let Flows { class, seen } = flows;
        let times = |phase| Latency::of(&seen.phase(phase));
        let counts = |of: &[Sight]| {
            let all = of.iter();
            all.map(|&sight| (sight.name(), seen.sight(sight)))
                .collect()
        };
        let [icmp @ .., looped] = ON_THE_WAY;
        Self {
            source: class.source.to_string(),
            destination: class.destination.to_string(),
            port: class.service.map(Service::port),
            port_of: class.service.map(|service| match service {
                Service::Destination(_) => "destination",
                Service::Source(_) => "source",
            }),
            netns: &seen.namespace.name,
            netns_cookie: seen.namespace.cookie,
            device: Some(&*seen.device).filter(|device| !device.is_empty()),
            ttl: seen.ttl,
            ttl_step: seen.ttl_step.map(TtlStep::of),
            rtt: times(Phase::Rtt),
            rtt_with_data: times(Phase::RttWithData),
            handshake: times(Phase::Handshake),
            tcp: counts(&TCP),
            icmp: counts(&icmp),
            icmp_last: seen.told.map(Told::of),
            looped: seen.sight(looped),
            flows: seen.sample.iter().map(Flow::of).collect(),
        }
    }
}

impl TtlStep {
    pub(super) fn of(step: passing::TtlStep) -> Self {
        Self {
            before: step.before,
            after: step.after,
            ago_ns: step.ago_ns,
        }
    }
}

impl Told {
    fn of(told: passing::Told) -> Self {
        Self {
            by: told.by,
            kind: told.kind,
            code: told.code,
            mtu: told.mtu,
            gateway: told.gateway,
            ago_ns: told.ago_ns,
        }
    }
}

impl Flow {
    fn of(flow: &connection::Connection) -> Self {
        let tuple = &flow.tuple;
        Self {
            source: tuple.source,
            source_port: tuple.source_port,
            destination: tuple.destination,
            destination_port: tuple.destination_port,
            rtts: flow.rtts,
            rtt_mean_ns: flow.rtt_mean_ns(),
            rtt_min_ns: flow.rtt_min_ns,
            rtt_last_ns: flow.rtt_last_ns,
            duplicates: flow.retransmits,
        }
    }
}
