//! Routes over one router, with packets whose latencies scatter.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::connection::{Connections, Phase, Sight};
use crate::model::hop::Stage::{self, Deliver, Queue, Receive, Rx, Xmit};
use crate::model::{
    Class, End, Ends, Histogram, Hop, Namespace, Node, Parent, Protocol, Reading, Service,
};

/// The hops of a route after its first, and how long packets take to each.
const HOPS: [(&str, &str, Stage, f64); 5] = [
    ("lab-app", "eth0", Xmit, 4_000.0),
    ("lab-r1", "in", Rx, 50_000.0),
    ("lab-r1", "in", Receive, 3_000.0),
    ("lab-r1", "out", Queue, 8_000.0),
    ("lab-r1", "out", Deliver, 20_000.0),
];

/// The router.
const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// What is wrong at the hops of one stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    stage: &'static str,
    times: f64,
    drops: f64,
}

impl Fault {
    pub(super) fn slow(stage: &'static str, times: f64) -> Self {
        Self {
            stage,
            times,
            drops: 0.0,
        }
    }

    pub(super) fn drops(stage: &'static str, drops: f64) -> Self {
        Self {
            stage,
            times: 1.0,
            drops,
        }
    }
}

/// The world; each second adds to its reading.
pub(super) struct World {
    reading: Reading,
    routes: usize,
    seed: u64,
    /// Packets a second and route.
    pub(super) packets: u64,
    /// How many of the last routes nothing passes any more.
    pub(super) left: usize,
    /// How many of the last routes drop everything where they receive it.
    pub(super) dead: usize,
    /// How slow all is.
    pub(super) level: f64,
    pub(super) fault: Option<Fault>,
    /// Whether sockets are seen, with exchanges of 20 ms.
    pub(super) with_exchanges: bool,
    /// How slow the peer is.
    pub(super) peer: f64,
    /// Whether it holds back nine of ten acknowledgements, and sends the rest when it gets to it.
    pub(super) holds_back: bool,
    /// Another gateway that the sockets send by from now on, and how slow its way is.
    pub(super) moved: Option<f64>,
    each: u64,
}

impl World {
    pub(super) fn new(routes: usize) -> Self {
        let mut world = Self {
            reading: Reading::default(),
            routes,
            seed: 7,
            packets: 30,
            left: 0,
            dead: 0,
            level: 1.0,
            fault: None,
            with_exchanges: false,
            peer: 1.0,
            holds_back: false,
            moved: None,
            each: 1,
        };
        world.begin_anew();
        world
    }

    /// Where its random numbers begin.
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// All counters are 0 again.
    pub(super) fn begin_anew(&mut self) {
        let mut reading = Reading {
            followed: self.reading.followed,
            ..Reading::default()
        };
        for route in 0..self.routes {
            let class = reading.classes.len();
            reading.classes.push(Class {
                source: End::Component("app".to_owned()),
                destination: End::Component(format!("service-{route}")),
                protocol: Protocol::Tcp,
                service: Some(Service::Destination(5432)),
                first: None,
                way_back: None,
            });
            let first = reading.nodes.len();
            reading
                .nodes
                .push(node(Parent::Class(class), "lab-app", "eth0", Queue));
            for (step, (namespace, device, stage, _)) in HOPS.into_iter().enumerate() {
                let parent = Parent::Node(first + step);
                reading.nodes.push(node(parent, namespace, device, stage));
            }
        }
        self.reading = reading;
    }

    /// One packet in so many is followed from now on.
    pub(super) fn follow(&mut self, each: u64) {
        self.each = each;
        self.reading.followed = 1.0 / each as f64;
    }

    /// A number from 0 to 1.
    fn random(&mut self) -> f64 {
        // Marsaglia, Xorshift RNGs, 2003.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }

    fn scattered(&mut self, middle: f64) -> u64 {
        // Some sum to a bell, and the exponential of a bell is what latencies look like.
        let bell: f64 = (0..4).map(|_| self.random()).sum::<f64>() - 2.0;
        (middle * (0.35 * bell).exp()) as u64
    }

    pub(super) fn second(&mut self) {
        let hops = HOPS.len() + 1;
        let packets = (self.packets / self.each).max(u64::from(self.packets > 0));
        for route in 0..self.routes - self.left {
            let mut left = packets;
            self.reading.nodes[route * hops].packets += left;
            for (step, (_, _, stage, base)) in HOPS.into_iter().enumerate() {
                let index = route * hops + step + 1;
                let fault = self.fault.filter(|it| it.stage == stage.name());
                let times = fault.map_or(1.0, |it| it.times) * self.level;
                for _ in 0..left {
                    let ns = self.scattered(base * times);
                    self.reading.nodes[index].latency.record(ns);
                }
                let is_dead = route >= self.routes - self.dead && stage == Receive;
                let drops = fault.map_or(0.0, |it| it.drops);
                let drops = if is_dead { 1.0 } else { drops };
                let lost = (0..left).filter(|_| self.random() < drops).count() as u64;
                let node = &mut self.reading.nodes[index];
                node.packets += left;
                if lost > 0 {
                    let reasons = &mut node.ends.dropped;
                    *reasons.entry("NETFILTER_DROP".to_owned()).or_default() += lost;
                }
                left -= lost;
            }
        }
        if self.with_exchanges {
            self.exchange(packets);
        }
    }

    fn exchange(&mut self, packets: u64) {
        if self.reading.connections.is_empty() {
            self.reading.classes.push(Class {
                source: End::Component("service-0".to_owned()),
                destination: End::Component("app".to_owned()),
                protocol: Protocol::Tcp,
                service: Some(Service::Source(5432)),
                first: None,
                way_back: Some(0),
            });
            self.reading.connections.push(Connections {
                class: self.reading.classes.len() - 1,
                namespace: namespace("lab-app"),
                device: "eth0".to_owned(),
                ifindex: 2,
                next_hop: "10.1.0.1".parse().ok(),
                ttl: None,
                ttl_step: None,
                phases: BTreeMap::new(),
                sights: BTreeMap::new(),
                sample: Vec::new(),
            });
        }
        let at = usize::from(self.moved.is_some());
        if self.reading.connections.len() == at {
            let new = Connections {
                next_hop: "10.1.0.9".parse().ok(),
                phases: BTreeMap::new(),
                sights: BTreeMap::new(),
                ..self.reading.connections[0].clone()
            };
            self.reading.connections.push(new);
        }
        let slow = self.moved.unwrap_or(1.0);
        for number in 0..packets {
            let (peer, path) = (
                self.scattered(20e6 * self.peer),
                self.scattered(200e3 * slow),
            );
            let (is_held_back, late) = (self.holds_back && number % 10 > 0, self.scattered(9e6));
            let round_trip = if self.holds_back { late } else { path };
            let times = [(Phase::PeerAtLeast, peer), (Phase::Answer, peer + path)];
            let sockets = &mut self.reading.connections[at];
            if is_held_back {
                *sockets.sights.entry(Sight::HeldBack).or_default() += 1;
            } else {
                let trips = sockets.phases.entry(Phase::Rtt).or_default();
                trips.record(round_trip);
            }
            for (phase, ns) in times {
                sockets.phases.entry(phase).or_default().record(ns);
            }
            *sockets.sights.entry(Sight::Undisturbed).or_default() += 1;
        }
    }
}

fn namespace(name: &str) -> Namespace {
    Namespace {
        name: name.to_owned(),
        cookie: name.len() as u64,
        inode: 1,
    }
}

fn node(parent: Parent, name: &str, device: &str, stage: Stage) -> Node {
    Node {
        parent,
        hop: Arc::new(Hop {
            namespace: namespace(name),
            device: device.to_owned(),
            ifindex: device.len() as u32,
            kind: "veth".to_owned(),
            stage,
            next_hop_mac: (stage == Xmit).then_some(GATEWAY),
            previous_hop_mac: None,
        }),
        translated: None,
        packets: 0,
        bytes: 0,
        latency: Histogram::default(),
        total: Histogram::default(),
        born: 0,
        ends: Ends::default(),
    }
}
