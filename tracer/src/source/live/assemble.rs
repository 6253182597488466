//! From the kernel half's tables to a reading.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tracer_common::hop::Stage;
use tracer_common::layout::{
    ClassInfo, ClassKey, DropKey, End, NodeInfo, Numbers, ROOT, Tuple as RawTuple,
};
use tracer_common::loss::Loss;

use super::connections::Totals;
use super::hops::Hops;
use super::maps::Memory;
use super::passing;
use super::places::{Born, Place, Places};
use super::sweep;
use super::tally::{Tallies, Tally};
use crate::model::forgotten::Forgotten;
use crate::model::{
    Availability, Births, Class, End as Side, Ends, Histogram, Hop, Losses, Namespace, Node,
    Parent, Protocol, Reading, Service, Tuple,
};
use crate::source::Settings;
use crate::source::netns::Namespaces;

/// Ends that are losses, with the loss that they are.
const LOST: [(End, Loss); 6] = [
    (End::Displaced, Loss::Displaced),
    (End::Unseen, Loss::Unseen),
    (End::Ambiguous, Loss::Ambiguous),
    (End::Nodes, Loss::Nodes),
    (End::Cells, Loss::Cells),
    (End::Crowded, Loss::Crowded),
];

/// A loss that the kernel counts for us.
const RECURSION: &str = "recursion";

/// A loss that only this side can tell: gone by a wire that leads back to this host, and not seen
/// again.
const WIRE: &str = "wire";

/// Drops whose reason found no room in the kernel half's table.
const OTHER: &str = "OTHER";

/// What is kept between two readings.
pub(super) struct Assembly {
    pub(super) tallies: Tallies,
    pub(super) connections: Totals,
    /// The only network namespace that is asked for, by cookie.
    scope: Option<u64>,
    namespaces: Namespaces,
    components: Vec<String>,
    drop_reasons: BTreeMap<u32, String>,
    availability: Vec<Availability>,
    kernel: String,
    /// Where the kernel half's nodes and classes are in the reading.
    pub(super) places: Places,
    /// Which nodes and classes these are.
    born: Born,
    hops: Hops,
    /// The numbers of nodes at which packets were dropped.
    dropped: BTreeSet<u32>,
}

/// What a reading is told beside what stands in the kernel half's tables.
pub(super) struct Counted {
    /// How often the kernel skipped a program.
    pub(super) recursion: u64,
    /// For how long was traced.
    pub(super) duration: Duration,
    /// Now, by the clock that the kernel half reads.
    pub(super) now_ns: u64,
}

impl Assembly {
    /// Starts with nothing counted.
    pub(super) fn new(
        settings: &Settings,
        scope: Option<u64>,
        drop_reasons: BTreeMap<u32, String>,
        availability: Vec<Availability>,
    ) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            tallies: Tallies::default(),
            connections: Totals::default(),
            scope,
            namespaces: Namespaces::default(),
            components: settings
                .components
                .iter()
                .map(|component| component.name.clone())
                .collect(),
            drop_reasons,
            availability,
            kernel: release.trim_end().to_owned(),
            places: Places::default(),
            born: Born::default(),
            hops: Hops::default(),
            dropped: BTreeSet::new(),
        }
    }

    /// Brings a reading, which must be the one before, to what is known now.
    ///
    /// Nodes stay as they are as long as no node and no class came or went, and no namespace is
    /// called otherwise; only those at which something was counted are written anew.
    pub(super) fn read(
        &mut self,
        reading: &mut Reading,
        memory: &Memory,
        drops: &HashMap<DropKey, u64>,
        counted: &Counted,
    ) {
        let now_ns = counted.now_ns;
        self.tallies.update(memory, now_ns);
        self.namespaces.begin();
        let duration = counted.duration.as_nanos();
        reading.kernel.clone_from(&self.kernel);
        reading.duration_ns = u64::try_from(duration).unwrap_or(u64::MAX);
        reading.losses = losses(memory, counted.recursion);
        // What was forgotten is told after this, with what this reading then adds to its losses.
        reading.forgotten = Forgotten::default();
        reading.availability.clone_from(&self.availability);
        let born = Born::now(memory);
        let is_renamed = self.hops.are_renamed(&mut self.namespaces);
        if is_renamed || born != self.born || reading.nodes.len() != self.places.nodes {
            self.build(reading, memory, born);
        }
        self.count(reading);
        self.add_drops(drops, reading);
        let peers = memory.given_out(Numbers::Peers);
        self.connections.update(&memory.connections, peers, now_ns);
        reading.connections = self.connections.read(
            &memory.connections,
            &self.places.classes,
            &mut self.namespaces,
            &reading.nodes,
        );
        reading.passing = passing::read(
            &self.connections,
            &memory.connections,
            &self.places.classes,
            &mut self.namespaces,
            &reading.nodes,
        );
        // Of a socket that sends or times out there is no hop that the kernel half could leave out.
        let is_in_scope = |cookie: u64| self.scope.is_none_or(|it| it == cookie);
        let sockets = &mut reading.connections;
        sockets.retain(|it| is_in_scope(it.namespace.cookie));
        let passing = &mut reading.passing;
        passing.retain(|it| is_in_scope(it.namespace.cookie));
        count_losses(reading);
    }

    /// Builds the trees anew; what is known of a node that was there before stays.
    fn build(&mut self, reading: &mut Reading, memory: &Memory, born: Born) {
        let (before, births) = (std::mem::take(&mut reading.nodes), &mut reading.births);
        let tickets = std::mem::take(&mut births.nodes);
        let hops = before.into_iter().map(|node| node.hop);
        let known: HashMap<u32, Arc<Hop>> = tickets.into_iter().zip(hops).collect();
        births.classes.clear();
        self.places.clear();
        self.dropped.clear();
        self.hops.begin();
        reading.classes = self.classes(memory, &mut reading.births);
        for (number, info) in memory.nodes_in_order() {
            self.add(number, &info, known.get(&info.ticket), reading);
        }
        self.places.nodes = reading.nodes.len();
        self.born = born;
        self.hops.forget_unused();
    }

    /// Writes what was counted since.
    fn count(&mut self, reading: &mut Reading) {
        let (places, dropped) = (&self.places, &mut self.dropped);
        self.tallies
            .take_changed(|number, tally| match places.of(number) {
                Some(Place::Node(place)) => {
                    if tally.ends[End::Dropped as usize] > 0 {
                        dropped.insert(number);
                    }
                    let node = &mut reading.nodes[place];
                    node.packets = tally.packets;
                    node.bytes = tally.bytes;
                    node.born = tally.born;
                    node.latency = tally.histogram();
                    // Drops are written with their reasons, at each reading.
                    node.ends = ends(tally);
                }
                Some(Place::Total(place)) => reading.nodes[place].total = tally.histogram(),
                // Its node is not there yet: it is written as it is when it comes.
                None => {}
            });
    }

    fn classes(&mut self, memory: &Memory, births: &mut Births) -> Vec<Class> {
        let mut keys: HashMap<ClassKey, usize> = HashMap::new();
        let mut classes = Vec::new();
        let ready = (0..memory.given_out(Numbers::Classes))
            .filter_map(|number| Some((number as u32, memory.classes.get(number)?)))
            .filter(|(_, info)| info.ready == 1);
        for (number, info) in ready {
            self.places.classes.insert(number, classes.len());
            keys.insert(info.key, classes.len());
            classes.push(self.class(&info));
            births.classes.push(info.ticket);
        }
        for (key, &place) in &keys {
            classes[place].way_back = keys.get(&way_back(key)).copied();
        }
        classes
    }

    fn class(&self, info: &ClassInfo) -> Class {
        let key = &info.key;
        Class {
            source: self.side(key.family, key.source_component, &key.source),
            destination: self.side(key.family, key.destination_component, &key.destination),
            protocol: match key.protocol {
                6 => Protocol::Tcp,
                17 => Protocol::Udp,
                1 => Protocol::Icmp,
                _ => Protocol::Other,
            },
            service: match (key.port, key.answer) {
                (0, _) => None,
                (port, 0) => Some(Service::Destination(port)),
                (port, _) => Some(Service::Source(port)),
            },
            first: tuple(&info.first),
            way_back: None,
        }
    }

    fn side(&self, family: u8, component: u16, address: &[u32; 4]) -> Side {
        let named = usize::from(component)
            .checked_sub(1)
            .and_then(|at| self.components.get(at));
        match (named, family) {
            (Some(name), _) => Side::Component(name.clone()),
            (None, 4) => Side::Prefix(ip(4, address), 24),
            (None, 6) => Side::Prefix(ip(6, address), 64),
            (None, _) => Side::NoAddress,
        }
    }

    /// Adds a node; with the hop that it had, where it was there before.
    fn add(
        &mut self,
        number: u32,
        info: &NodeInfo,
        known: Option<&Arc<Hop>>,
        reading: &mut Reading,
    ) {
        let parent = info.key.parent;
        let parent = if parent & ROOT != 0 {
            let class = self.places.classes.get(&(parent & !ROOT));
            class.map(|&place| Parent::Class(place))
        } else {
            self.places.node(parent).map(Parent::Node)
        };
        let (Some(parent), Some(stage)) = (parent, Stage::from_number(info.key.stage as u8)) else {
            return;
        };
        if stage == Stage::Total {
            if let Parent::Node(place) = parent {
                self.places.insert(number, Place::Total(place));
                self.tallies.write_again(number);
            }
            return;
        }
        self.places.insert(number, Place::Node(reading.nodes.len()));
        self.tallies.write_again(number);
        let space = (info.key.cookie, info.inode);
        let hop = match (parent, known) {
            (_, Some(known)) if Hops::is_right(known, &mut self.namespaces) => Arc::clone(known),
            (Parent::Node(place), _) if stage.is_inside() => self.hops.share(Hop {
                stage,
                next_hop_mac: None,
                previous_hop_mac: None,
                ..(*reading.nodes[place].hop).clone()
            }),
            _ => {
                let namespace = self.namespaces.get(space.0, space.1);
                self.hops.share(hop(info, stage, namespace))
            }
        };
        self.hops.see(&hop);
        reading.births.nodes.push(info.ticket);
        reading.nodes.push(Node {
            parent,
            hop,
            translated: tuple(&info.tuple).filter(|_| info.translated == 1),
            packets: 0,
            bytes: 0,
            latency: Histogram::default(),
            total: Histogram::default(),
            born: 0,
            ends: Ends::default(),
        });
    }

    /// Says of each node why packets were dropped there.
    fn add_drops(&mut self, drops: &HashMap<DropKey, u64>, reading: &mut Reading) {
        for key in drops.keys() {
            self.dropped.insert(key.node);
        }
        let places = &self.places;
        self.dropped.retain(|&number| places.node(number).is_some());
        for &number in &self.dropped {
            if let Some(place) = self.places.node(number) {
                reading.nodes[place].ends.dropped.clear();
            }
        }
        for (key, &count) in drops {
            if let Some(place) = self.places.node(key.node) {
                let reason = self.drop_reason(key.reason);
                *reading.nodes[place].ends.dropped.entry(reason).or_default() += count;
            }
        }
        for &number in &self.dropped {
            let (Some(place), Some(tally)) = (self.places.node(number), self.tallies.of(number))
            else {
                continue;
            };
            let dropped = &mut reading.nodes[place].ends.dropped;
            let named: u64 = dropped.values().sum();
            let all = u64::try_from(tally.ends[End::Dropped as usize]).unwrap_or(0);
            let unnamed = all.saturating_sub(named);
            if unnamed > 0 {
                dropped.insert(OTHER.to_owned(), unnamed);
            }
        }
    }

    fn drop_reason(&self, number: u32) -> String {
        match self.drop_reasons.get(&number) {
            Some(name) => name.trim_start_matches("SKB_DROP_REASON_").to_owned(),
            // The upper half is a subsystem's number (include/net/dropreason.h, Linux 6.4).
            None if number >> 16 != 0 => format!("SUBSYSTEM_{}_{}", number >> 16, number & 0xffff),
            None => "NOT_SPECIFIED".to_owned(),
        }
    }

    /// Puts packets that no end was counted for where they belong, when all is over.
    pub(super) fn settle(&self, memory: &Memory, reading: &mut Reading) {
        let standing = sweep::standing(memory);
        let mut add = |by_node: &HashMap<u32, u64>, put: fn(&mut Ends, u64)| {
            for (number, &count) in by_node {
                if let Some(place) = self.places.node(*number) {
                    put(&mut reading.nodes[place].ends, count);
                }
            }
        };
        add(&standing.in_flight, |ends, count| ends.in_flight += count);
        add(&standing.merged, |ends, count| ends.merged += count);
        add(&standing.left, |ends, count| ends.delivered += count);
        add(&standing.unseen, |ends, count| {
            *ends.lost.entry(Loss::Unseen.name().to_owned()).or_default() += count;
        });
        lose_on_wires(reading);
        lose_the_rest(reading);
        for reason in [Loss::Unseen.name(), WIRE] {
            let count = lost_at_nodes(reading, reason);
            reading.losses.insert(reason.to_owned(), count);
        }
    }
}

/// Where packets of a device come back to this host, those that did not are lost.
fn lose_on_wires(reading: &mut Reading) {
    let mut comes_back = vec![false; reading.nodes.len()];
    for node in &reading.nodes {
        if let Parent::Node(parent) = node.parent {
            comes_back[parent] |= reading.nodes[parent].hop.stage == Stage::Xmit;
        }
    }
    for (node, comes_back) in reading.nodes.iter_mut().zip(comes_back) {
        if comes_back && node.hop.stage == Stage::Xmit && node.ends.delivered > 0 {
            let gone = std::mem::take(&mut node.ends.delivered);
            *node.ends.lost.entry(WIRE.to_owned()).or_default() += gone;
        }
    }
}

/// Packets that were received, and of which nothing more was seen: neither a way on nor an end.
///
/// Datagrams that a socket took in silence. At all other hops the account closes by itself.
fn lose_the_rest(reading: &mut Reading) {
    let went_on = reading.went_on();
    for (node, went_on) in reading.nodes.iter_mut().zip(went_on) {
        let gone = (node.packets + node.born).saturating_sub(went_on + node.ends.sum());
        let is_received = node.hop.stage == Stage::Receive || node.hop.stage.is_finer();
        if is_received && gone > 0 {
            *node
                .ends
                .lost
                .entry(Loss::Unseen.name().to_owned())
                .or_default() += gone;
        }
    }
}

/// The losses that no node is known for.
fn losses(memory: &Memory, recursion: u64) -> Losses {
    let mut losses: Losses = Loss::ALL
        .into_iter()
        .map(|loss| {
            (
                loss.name().to_owned(),
                memory.losses.get(loss as usize).unwrap_or_default(),
            )
        })
        .collect();
    losses.insert(RECURSION.to_owned(), recursion);
    losses.insert(WIRE.to_owned(), 0);
    losses
}

/// Adds what was lost at nodes to what was lost where none is known.
fn count_losses(reading: &mut Reading) {
    for (_, loss) in LOST {
        let count = lost_at_nodes(reading, loss.name());
        *reading.losses.entry(loss.name().to_owned()).or_default() += count;
    }
}

fn lost_at_nodes(reading: &Reading, reason: &str) -> u64 {
    reading
        .nodes
        .iter()
        .filter_map(|node| node.ends.lost.get(reason))
        .chain(reading.forgotten.lost().get(reason))
        .sum()
}

fn ends(tally: &Tally) -> Ends {
    let count = |end: End| u64::try_from(tally.ends[end as usize]).unwrap_or(0);
    Ends {
        delivered: count(End::Delivered) + count(End::Left),
        merged: count(End::Merged),
        split: count(End::Split),
        in_flight: 0,
        dropped: BTreeMap::new(),
        lost: LOST
            .into_iter()
            .filter(|&(end, _)| count(end) > 0)
            .map(|(end, loss)| (loss.name().to_owned(), count(end)))
            .collect(),
    }
}

/// What the kernel half knows of a hop.
fn hop(info: &NodeInfo, stage: Stage, namespace: Namespace) -> Hop {
    let previous = if info.previous_mac != 0 {
        info.previous_mac
    } else {
        info.key.mac
    };
    Hop {
        namespace,
        device: text(&info.device),
        ifindex: info.key.ifindex,
        kind: text(&info.kind_name),
        stage,
        next_hop_mac: (stage == Stage::Xmit).then(|| mac(info.key.mac)).flatten(),
        previous_hop_mac: (stage == Stage::Rx).then(|| mac(previous)).flatten(),
    }
}

/// The class of the answers to a class.
fn way_back(key: &ClassKey) -> ClassKey {
    ClassKey {
        source: key.destination,
        destination: key.source,
        source_component: key.destination_component,
        destination_component: key.source_component,
        answer: if key.port == 0 {
            key.answer
        } else {
            1 - key.answer.min(1)
        },
        ..*key
    }
}

pub(super) fn tuple(raw: &RawTuple) -> Option<Tuple> {
    (raw.family != 0).then(|| Tuple {
        source: ip(raw.family, &raw.source),
        destination: ip(raw.family, &raw.destination),
        source_port: raw.source_port,
        destination_port: raw.destination_port,
    })
}

pub(super) fn ip(family: u8, words: &[u32; 4]) -> IpAddr {
    if family == 4 {
        return IpAddr::V4(Ipv4Addr::from(words[0].to_ne_bytes()));
    }
    let mut octets = [0; 16];
    for (bytes, word) in octets.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    IpAddr::V6(Ipv6Addr::from(octets))
}

fn mac(number: u64) -> Option<[u8; 6]> {
    let bytes = number.to_le_bytes();
    (number != 0).then(|| [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
}

/// A name of the kernel's, up to its first zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
