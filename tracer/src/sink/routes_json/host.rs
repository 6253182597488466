//! What this host's own stack had to bear, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::host::{self, HostStack};
use crate::sink::host_text;

#[derive(Serialize)]
pub(super) struct Host<'a> {
    watched_s: f64,
    troubles: Vec<String>,
    processors: Processors,
    softnet: BTreeMap<&'static str, u64>,
    devices: Vec<Device<'a>>,
    sockets: Vec<SocketBuffers<'a>>,
}

#[derive(Serialize)]
struct Processors {
    count: u32,
    busy_share: Option<f64>,
    softirq_share: Option<f64>,
    steal_share: Option<f64>,
    busy_ns: u64,
    softirq_ns: u64,
    steal_ns: u64,
    waiting_ns: Option<u64>,
    busiest: Option<Busiest>,
}

#[derive(Serialize)]
struct Busiest {
    number: u32,
    busy_share: f64,
    softirq_share: f64,
    steal_share: f64,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "they are the keys of the schema")]
struct Device<'a> {
    netns: &'a str,
    netns_cookie: u64,
    device: &'a str,
    ifindex: u32,
    hardware: bool,
    speed_bps: Option<u64>,
    receive: Direction,
    transmit: Direction,
    counters: &'a BTreeMap<String, u64>,
    driver: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Direction {
    bytes: u64,
    link_use: Option<f64>,
    link_use_most: Option<f64>,
}

#[derive(Serialize)]
struct SocketBuffers<'a> {
    netns: &'a str,
    netns_cookie: u64,
    counters: &'a BTreeMap<String, u64>,
}

impl<'a> Host<'a> {
    pub(super) fn of(host: &'a HostStack) -> Self {
        Self {
            watched_s: host.watched_ns as f64 / 1e9,
            troubles: host.troubles().iter().map(host_text::trouble).collect(),
            processors: Processors::of(&host.processors),
            softnet: host.softnet.named().into_iter().collect(),
            devices: host.devices.iter().map(Device::of).collect(),
            sockets: host.sockets.iter().map(SocketBuffers::of).collect(),
        }
    }
}

impl Processors {
    fn of(it: &host::Processors) -> Self {
        Self {
            count: it.count,
            busy_share: it.share(it.busy_ns),
            softirq_share: it.share(it.softirq_ns),
            steal_share: it.share(it.steal_ns),
            busy_ns: it.busy_ns,
            softirq_ns: it.softirq_ns,
            steal_ns: it.steal_ns,
            waiting_ns: it.waiting_ns,
            busiest: it.busiest.map(|it| Busiest {
                number: it.number,
                busy_share: it.busy,
                softirq_share: it.softirq,
                steal_share: it.steal,
            }),
        }
    }
}

impl<'a> Device<'a> {
    fn of(it: &'a host::Device) -> Self {
        let direction = |place: usize| Direction {
            bytes: it.bytes[place],
            link_use: it.link_use[place],
            link_use_most: it.link_use_most[place],
        };
        Self {
            netns: &it.namespace.name,
            netns_cookie: it.namespace.cookie,
            device: &it.name,
            ifindex: it.ifindex,
            hardware: it.is_hardware,
            speed_bps: it.speed_bps,
            receive: direction(0),
            transmit: direction(1),
            counters: &it.counters,
            driver: &it.driver,
        }
    }
}

impl<'a> SocketBuffers<'a> {
    fn of(it: &'a host::SocketBuffers) -> Self {
        Self {
            netns: &it.namespace.name,
            netns_cookie: it.namespace.cookie,
            counters: &it.counters,
        }
    }
}
