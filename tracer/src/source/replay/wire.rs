//! How a recording is written: the schema `tracer.reading/1`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What every recording starts with, whatever its version.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) schema: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reading {
    pub(super) schema: String,
    pub(super) kernel: String,
    pub(super) duration_ns: u64,
    pub(super) classes: Vec<Class>,
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    pub(super) forwarding: Vec<Forwarding>,
    #[serde(default)]
    pub(super) names: Vec<Names>,
    #[serde(default)]
    pub(super) connections: Vec<Connections>,
    #[serde(default)]
    pub(super) passing: Vec<Passing>,
    #[serde(default)]
    pub(super) coverage: Vec<Coverage>,
    #[serde(default)]
    pub(super) host: Option<HostStack>,
    pub(super) losses: BTreeMap<String, u64>,
    pub(super) availability: Vec<Availability>,
}

/// What a device carried in one direction, and what was seen of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coverage {
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) device: String,
    pub(super) ifindex: u32,
    pub(super) direction: String,
    pub(super) seen: u64,
    pub(super) carried: u64,
}

/// What this host's own stack had to bear.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostStack {
    pub(super) watched_ns: u64,
    pub(super) processors: Processors,
    pub(super) softnet: Softnet,
    pub(super) devices: Vec<HostDevice>,
    pub(super) sockets: Vec<SocketBuffers>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Processors {
    pub(super) count: u32,
    pub(super) busy_ns: u64,
    pub(super) idle_ns: u64,
    pub(super) softirq_ns: u64,
    pub(super) steal_ns: u64,
    pub(super) waiting_ns: Option<u64>,
    pub(super) busiest: Option<Busiest>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Busiest {
    pub(super) number: u32,
    pub(super) busy: f64,
    pub(super) softirq: f64,
    pub(super) steal: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Softnet {
    pub(super) processed: u64,
    pub(super) dropped: u64,
    pub(super) time_squeeze: u64,
    pub(super) flow_limit: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostDevice {
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) device: String,
    pub(super) ifindex: u32,
    pub(super) is_hardware: bool,
    pub(super) speed_bps: Option<u64>,
    pub(super) bytes: [u64; 2],
    pub(super) link_use: [Option<f64>; 2],
    pub(super) link_use_most: [Option<f64>; 2],
    pub(super) counters: BTreeMap<String, u64>,
    pub(super) driver: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SocketBuffers {
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) counters: BTreeMap<String, u64>,
}

/// What was seen at sockets; phases and sights that this tracer does not know are left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connections {
    pub(super) class: usize,
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) device: String,
    pub(super) ifindex: u32,
    pub(super) next_hop: Option<IpAddr>,
    pub(super) ttl: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl_step: Option<TtlStep>,
    pub(super) phases: BTreeMap<String, Histogram>,
    pub(super) sights: BTreeMap<String, u64>,
    pub(super) sample: Vec<Connection>,
}

/// What was seen on the way; phases and sights that this tracer does not know are left out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passing {
    pub(super) class: usize,
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) device: String,
    pub(super) ifindex: u32,
    pub(super) ttl: Option<u8>,
    pub(super) ttl_step: Option<TtlStep>,
    pub(super) told: Option<Told>,
    pub(super) phases: BTreeMap<String, Histogram>,
    pub(super) sights: BTreeMap<String, u64>,
    pub(super) sample: Vec<Connection>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TtlStep {
    pub(super) before: u8,
    pub(super) after: u8,
    pub(super) ago_ns: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    pub(super) by: IpAddr,
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) mtu: Option<u32>,
    pub(super) gateway: Option<IpAddr>,
    pub(super) ago_ns: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    pub(super) tuple: Tuple,
    pub(super) rtts: u32,
    pub(super) rtt_mean_ns: u64,
    /// Of recordings that have the mean alone it is not known as well.
    #[serde(default)]
    pub(super) rtt_sum_ns: Option<u64>,
    pub(super) rtt_min_ns: u64,
    pub(super) rtt_last_ns: u64,
    pub(super) retransmits: u32,
    pub(super) exchanges: u32,
    pub(super) disturbed: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    pub(super) source: End,
    pub(super) destination: End,
    pub(super) protocol: String,
    pub(super) service: Option<Service>,
    pub(super) first: Option<Tuple>,
    pub(super) way_back: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Component(String),
    Prefix(IpNet),
    NoAddress,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Service {
    Destination(u16),
    Source(u16),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tuple {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) parent: Parent,
    pub(super) hop: Hop,
    pub(super) translated: Option<Tuple>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) latency: Histogram,
    pub(super) total: Histogram,
    pub(super) born: u64,
    pub(super) ends: Ends,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Parent {
    Class(usize),
    Node(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hop {
    pub(super) netns: String,
    pub(super) netns_cookie: u64,
    pub(super) netns_inode: u32,
    pub(super) device: String,
    pub(super) ifindex: u32,
    pub(super) kind: String,
    pub(super) stage: String,
    pub(super) next_hop_mac: Option<String>,
    pub(super) previous_hop_mac: Option<String>,
}

/// A histogram: its buckets that are not empty, as (index, count).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Histogram {
    pub(super) sum_ns: u64,
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
    pub(super) counts: Vec<(usize, u64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ends {
    pub(super) delivered: u64,
    pub(super) merged: u64,
    pub(super) split: u64,
    pub(super) in_flight: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) lost: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Availability {
    pub(super) name: String,
    pub(super) meaning: String,
    pub(super) state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Works,
    Unavailable(Reason),
    Missing(Reason),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    pub(super) because: String,
    pub(super) advice: String,
}

/// How packets were handed on at a node.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forwarding {
    pub(super) node: usize,
    pub(super) next_hop: Option<Peer>,
    pub(super) previous_hop: Option<Peer>,
    pub(super) entry: Option<FibEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    pub(super) mac: String,
    pub(super) addresses: Vec<IpAddr>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FibEntry {
    pub(super) table: u32,
    pub(super) rule: Option<u32>,
    pub(super) mark: u32,
    pub(super) prefix: IpNet,
    pub(super) kind: u8,
    pub(super) protocol: u8,
    pub(super) scope: u8,
    pub(super) metric: u32,
    pub(super) mtu: Option<u32>,
    pub(super) path_mtu: Option<u32>,
    pub(super) redirect: Option<IpAddr>,
    pub(super) gateway: Option<IpAddr>,
    pub(super) leg: usize,
    pub(super) legs: usize,
}

/// Who is behind the ends of a class.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    pub(super) class: usize,
    pub(super) source: Who,
    pub(super) destination: Who,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    Unknown,
    Local(Vec<Process>),
    Remote(IpNet),
    Host { name: String, prefix: Option<IpNet> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    pub(super) command: Option<String>,
    pub(super) owner: Option<Owner>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Owner {
    Unit(String),
    Container {
        runtime: String,
        id: String,
        pod: Option<String>,
    },
}
