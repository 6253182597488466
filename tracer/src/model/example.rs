//! Readings for tests: what a small lab would give, made by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use tracer_common::hop::Stage::{self, Deliver, Queue, Read, Receive, Rx, Xmit};
use tracer_common::loss::Loss;

use super::forwarding::{FibEntry, Forwarding, Peer, Role};
use super::journal::report::{Count, Moved, MovedRoute, Told};
use super::journal::{self, Changes, Entry, Kind, Task};
use super::name::{Process, Who};
use super::network::How;
use super::owner::{Container, Owner};
use super::{
    Availability, Class, End, Ends, Histogram, Hop, Names, Namespace, Node, Parent, Protocol,
    Reading, RouteId, Service, State, Tuple,
};

/// Latencies around a middle, as parts of a thousand: most near it, few far above.
const SHAPE: [(u64, u64); 9] = [
    (850, 2),
    (900, 8),
    (950, 20),
    (1000, 30),
    (1050, 21),
    (1100, 10),
    (1300, 6),
    (1800, 2),
    (3000, 1),
];

/// A namespace, a device, its kind, and its number.
type Device = (&'static str, &'static str, &'static str, u32);

const APP: Device = ("lab-app", "eth0", "veth", 2);
const R1_APP: Device = ("lab-r1", "to-app", "veth", 3);
const R1_DB: Device = ("lab-r1", "to-db", "veth", 4);
const R1_R2: Device = ("lab-r1", "to-r2", "veth", 6);
const R2_R1: Device = ("lab-r2", "to-r1", "veth", 2);
const R2_DB: Device = ("lab-r2", "to-db", "veth", 3);
const DB: Device = ("lab-db", "eth0", "veth", 2);
const UPLINK: Device = ("lab-r1", "enp3s0", "", 5);
const LOOPBACK: Device = ("lab-db", "lo", "", 1);
const WIRE_NEAR: Device = ("lab-app", "wire0", "tun", 7);
const WIRE_FAR: Device = ("lab-far", "wire1", "tun", 2);

/// UDP from app over r1 to db with drops, and the answers; TCP whose ways part at r1's gateways;
/// TCP on loopback that is read; UDP over a wire of 5 ms.
pub(crate) fn lab() -> Reading {
    let mut lab = Lab::default();
    lab.all();
    let losses = Loss::ALL.map(|loss| (loss.name().to_owned(), 0));
    let mut losses = BTreeMap::from(losses);
    losses.insert(Loss::Orphan.name().to_owned(), 7);
    Reading {
        kernel: "6.18.0-lab".to_owned(),
        duration_ns: 10_000_000_000,
        classes: lab.classes,
        nodes: lab.nodes,
        forwarding: BTreeMap::new(),
        losses,
        availability: availability(),
        ..Reading::default()
    }
}

/// The same lab, where it is known how packets were handed on: by an entry of the main table, and by
/// a leg of a multipath route that a rule and a mark chose, to a virtual router.
pub(crate) fn lab_with_forwarding() -> Reading {
    let mut reading = lab();
    let sent = |node: &&(usize, &Node)| node.1.hop.next_hop_mac.is_some();
    let nodes: Vec<_> = reading.nodes.iter().enumerate().collect();
    let sent: Vec<_> = nodes.iter().filter(sent).take(2).copied().collect();
    let mut forwarding = BTreeMap::new();
    for (place, (index, node)) in sent.into_iter().enumerate() {
        let mac = node.hop.next_hop_mac.unwrap_or_default();
        forwarding.insert(index, Arc::new([plain(mac), by_mark()][place].clone()));
    }
    reading.forwarding = forwarding;
    reading.names = BTreeMap::from([(0, names())]);
    reading
}

fn names() -> Names {
    let process = |command: &str, owner| Process {
        command: Some(command.to_owned()),
        owner,
    };
    let unit = Owner::Unit("app.service".to_owned());
    let container = Owner::Container(Container {
        runtime: "docker",
        id: "0123456789ab".to_owned(),
        pod: None,
    });
    Names {
        source: Who::Local([process("uwsgi", Some(unit))].into()),
        destination: Who::Local([process("postgres", Some(container))].into()),
    }
}

fn plain(mac: [u8; 6]) -> Forwarding {
    Forwarding {
        next_hop: Some(Peer {
            mac,
            addresses: vec![[10, 0, 1, 1].into()],
            role: None,
        }),
        previous_hop: None,
        entry: Some(FibEntry {
            table: 254,
            rule: Some(32_766),
            mark: 0,
            prefix: "10.0.2.0/24".parse().expect("a prefix"),
            kind: 1,
            protocol: 16,
            scope: 0,
            metric: 100,
            mtu: None,
            path_mtu: None,
            redirect: None,
            gateway: Some([10, 0, 1, 1].into()),
            leg: 1,
            legs: 1,
            age: None,
            set_by: None,
        }),
    }
}

fn by_mark() -> Forwarding {
    let mac = [0, 0, 0x5e, 0, 1, 7];
    let plain = plain(mac);
    Forwarding {
        next_hop: Some(Peer {
            mac,
            addresses: vec![[10, 0, 2, 1].into(), [10, 0, 2, 9].into()],
            role: Role::of(mac),
        }),
        entry: plain.entry.map(|entry| FibEntry {
            table: 100,
            rule: Some(1_000),
            mark: 7,
            protocol: 186,
            mtu: Some(1_400),
            path_mtu: Some(1_300),
            redirect: Some([10, 0, 2, 9].into()),
            gateway: Some([10, 0, 2, 1].into()),
            leg: 2,
            legs: 3,
            age: None,
            set_by: None,
            ..entry
        }),
        ..plain
    }
}

/// The same lab where r1 sends the requests over r2, whose link to db is slow.
pub(crate) fn lab_with_a_detour() -> Reading {
    let mut lab = Lab {
        detour: true,
        ..Lab::default()
    };
    lab.all();
    Reading {
        classes: lab.classes,
        nodes: lab.nodes,
        ..self::lab()
    }
}

fn availability() -> Vec<Availability> {
    let row = |name: &str, meaning: &str, state| Availability {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        state,
    };
    vec![
        row(
            "net_dev_queue",
            "packets enter the queueing discipline",
            State::Works,
        ),
        row(
            "napi_gro_frags_entry",
            "packets of drivers that hand over pages come in, in front of GRO",
            State::Unavailable {
                because: "this kernel has no tracepoint napi_gro_frags_entry".to_owned(),
                advice: "a kernel with CONFIG_NET_RX_TRACE".to_owned(),
            },
        ),
    ]
}

#[derive(Default)]
struct Lab {
    classes: Vec<Class>,
    nodes: Vec<Node>,
    detour: bool,
}

impl Lab {
    fn all(&mut self) {
        self.requests();
        self.answers();
        self.two_legs();
        self.loopback();
        self.wire();
    }

    fn requests(&mut self) {
        let class = self.class(
            "app",
            "db",
            Protocol::Udp,
            Service::Destination(9000),
            Some(1),
        );
        let mut ways = vec![
            (APP, Xmit, 1_400),
            (R1_APP, Rx, 900),
            (R1_APP, Receive, 2_100),
        ];
        if self.detour {
            ways.extend([
                (R1_R2, Queue, 1_500),
                (R1_R2, Xmit, 1_250),
                (R2_R1, Rx, 910),
                (R2_R1, Receive, 2_050),
                (R2_DB, Queue, 1_300),
                (R2_DB, Xmit, 5_200_000),
            ]);
        } else {
            ways.extend([(R1_DB, Queue, 1_200), (R1_DB, Xmit, 1_300)]);
        }
        ways.extend([(DB, Rx, 850), (DB, Receive, 2_400)]);
        let receive = self.way(class, APP, 12_000, &ways);
        self.dropped(receive, "NO_SOCKET", 2);
        let deliver = self.then(receive, DB, Deliver, 11_998, 48_000);
        self.delivered(deliver);
    }

    fn answers(&mut self) {
        let class = self.class("db", "app", Protocol::Udp, Service::Source(9000), Some(0));
        let ways = [
            (DB, Xmit, 1_350),
            (R1_DB, Rx, 870),
            (R1_DB, Receive, 2_000),
            (R1_APP, Queue, 1_250),
            (R1_APP, Xmit, 1_310),
            (APP, Rx, 840),
            (APP, Receive, 2_300),
            (APP, Deliver, 3_900),
        ];
        let deliver = self.way(class, DB, 11_950, &ways);
        self.nodes[deliver].ends.in_flight = 3;
        self.delivered(deliver);
    }

    fn two_legs(&mut self) {
        let (source, destination) = ("10.0.1.0/24", "203.0.113.0/24");
        let service = Service::Destination(443);
        let class = self.class(source, destination, Protocol::Tcp, service, None);
        let queue = self.way(class, APP, 200, &[]);
        self.nodes[queue].ends.split = 40;
        self.nodes[queue].born = 840;
        let xmit = self.then(queue, APP, Xmit, 1_000, 180_000);
        let rx = self.then(xmit, R1_APP, Rx, 1_000, 950);
        let receive = self.then(rx, R1_APP, Receive, 1_000, 2_050);
        self.nodes[receive]
            .ends
            .dropped
            .insert("NETFILTER_DROP".to_owned(), 4);
        let out = self.then(receive, UPLINK, Queue, 996, 3_100);
        self.nodes[out].translated = Some(Tuple {
            source: IpAddr::from([198, 51, 100, 7]),
            destination: IpAddr::from([203, 0, 113, 9]),
            source_port: 50_312,
            destination_port: 443,
        });
        for (gateway, packets, middle) in [(1, 640, 2_600), (2, 356, 90_000)] {
            let leg = self.then(out, UPLINK, Xmit, packets, middle);
            self.nodes[leg].hop_mut().next_hop_mac = Some([2, 0, 0, 0, 0xee, gateway]);
            self.delivered(leg);
        }
    }

    fn loopback(&mut self) {
        let (end, service) = ("127.0.0.1/32", Service::Destination(6379));
        let class = self.class(end, end, Protocol::Tcp, service, None);
        let ways = [
            (LOOPBACK, Xmit, 400),
            (LOOPBACK, Rx, 300),
            (LOOPBACK, Receive, 1_100),
            (LOOPBACK, Deliver, 900),
        ];
        let deliver = self.way(class, LOOPBACK, 5_400, &ways);
        self.delivered(deliver);
        self.then(deliver, LOOPBACK, Read, 5_320, 21_000);
    }

    fn wire(&mut self) {
        let (destination, service) = ("10.0.77.2/32", Service::Destination(9100));
        let class = self.class("app", destination, Protocol::Udp, service, None);
        let ways = [
            (WIRE_NEAR, Xmit, 700),
            (WIRE_FAR, Rx, 5_050_000),
            (WIRE_FAR, Receive, 450),
            (WIRE_FAR, Deliver, 1_900),
        ];
        let deliver = self.way(class, WIRE_NEAR, 2_000, &ways);
        self.nodes[deliver].ends.lost.insert("unseen".to_owned(), 1);
        self.delivered(deliver);
    }

    fn class(
        &mut self,
        source: &str,
        destination: &str,
        protocol: Protocol,
        service: Service,
        way_back: Option<usize>,
    ) -> usize {
        let class = Class {
            source: end(source),
            destination: end(destination),
            protocol,
            service: Some(service),
            first: None,
            way_back,
        };
        self.classes.push(class);
        self.classes.len() - 1
    }

    /// A way that all packets go, from `queue` of a device on.
    fn way(
        &mut self,
        class: usize,
        first: Device,
        packets: u64,
        onward: &[(Device, Stage, u64)],
    ) -> usize {
        let mut node = self.push(
            Parent::Class(class),
            first,
            Queue,
            packets,
            Histogram::default(),
        );
        for &(device, stage, middle) in onward {
            node = self.then(node, device, stage, packets, middle);
        }
        node
    }

    fn then(
        &mut self,
        parent: usize,
        device: Device,
        stage: Stage,
        packets: u64,
        middle_ns: u64,
    ) -> usize {
        let latency = latency(middle_ns, packets);
        self.push(Parent::Node(parent), device, stage, packets, latency)
    }

    fn push(
        &mut self,
        parent: Parent,
        (namespace, device, kind, ifindex): Device,
        stage: Stage,
        packets: u64,
        latency: Histogram,
    ) -> usize {
        let number = 1 + ["lab-app", "lab-r1", "lab-db", "lab-far", "lab-r2"]
            .iter()
            .position(|&it| it == namespace)
            .expect("a namespace of the lab") as u32;
        let mac = (stage == Xmit && kind == "veth").then_some([2, 0, 0, 0, number as u8, 1]);
        self.nodes.push(Node {
            parent,
            hop: Arc::new(Hop {
                namespace: Namespace {
                    name: namespace.to_owned(),
                    cookie: 4_096 + u64::from(number),
                    inode: 4_026_532_000 + number,
                },
                device: device.to_owned(),
                ifindex,
                kind: kind.to_owned(),
                stage,
                next_hop_mac: mac,
                previous_hop_mac: None,
            }),
            translated: None,
            packets,
            bytes: packets * 128,
            latency,
            total: Histogram::default(),
            born: 0,
            ends: Ends::default(),
        });
        self.nodes.len() - 1
    }

    fn dropped(&mut self, index: usize, reason: &str, count: u64) {
        let dropped = &mut self.nodes[index].ends.dropped;
        dropped.insert(reason.to_owned(), count);
    }

    /// All packets at a node that did not end otherwise ended well.
    fn delivered(&mut self, index: usize) {
        let mut whole = 0;
        let mut at = Parent::Node(index);
        while let Parent::Node(node) = at {
            whole += self.nodes[node].latency.mean_ns().unwrap_or(0);
            at = self.nodes[node].parent;
        }
        let node = &mut self.nodes[index];
        node.ends.delivered = node.packets + node.born - node.ends.sum();
        node.total = latency(whole, node.ends.delivered);
    }
}

fn end(text: &str) -> End {
    match text.split_once('/') {
        Some((address, length)) => End::Prefix(
            address.parse().expect("an address"),
            length.parse().expect("a length"),
        ),
        None => End::Component(text.to_owned()),
    }
}

fn latency(middle_ns: u64, packets: u64) -> Histogram {
    let mut histogram = Histogram::default();
    let mut left = packets;
    for (part, percent) in SHAPE {
        let n = packets * percent / 100;
        histogram.record_n(middle_ns * part / 1000, n);
        left -= n;
    }
    histogram.record_n(middle_ns, left);
    histogram
}

/// Stages that nodes of any shape may have.
const ANY: [Stage; 6] = [Queue, Xmit, Rx, Receive, Deliver, Read];

/// Nodes of any shape and any numbers, with parents before their children.
pub(crate) fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let lab = lab();
    let node = (
        any::<prop::sample::Index>(),
        0..5usize,
        0..7usize,
        any::<[u32; 5]>(),
    );
    prop::collection::vec(node, 0..40).prop_map(move |shapes| {
        let shapes = shapes.into_iter().enumerate();
        shapes
            .map(
                |(index, (parent, class, stage, [packets, bytes, born, good, bad]))| {
                    let mut node = lab.nodes[index % lab.nodes.len()].clone();
                    node.parent = match index {
                        0 => Parent::Class(class),
                        _ if class == 4 => Parent::Class(0),
                        _ => Parent::Node(parent.index(index)),
                    };
                    node.hop_mut().stage = ANY[stage.min(ANY.len() - 1)];
                    node.packets = packets.into();
                    node.bytes = bytes.into();
                    node.born = (born % 3).into();
                    node.ends.delivered = good.into();
                    node.ends.lost = BTreeMap::from([("unseen".to_owned(), bad.into())]);
                    node
                },
            )
            .collect()
    })
}

/// A route that ansible moved, a flap, one that went with its device, and many that nobody uses.
pub(crate) fn changes() -> Changes {
    const AT: u64 = 1_763_880_023_123_456_789;
    let task = |pid, command: &str| Task {
        pid,
        start_ns: 0,
        command: command.to_owned(),
    };
    let alice = journal::Who::Process(Arc::new(journal::Process {
        ancestry: vec![
            task(812, "ip"),
            task(811, "ansible-playbook"),
            task(700, "sshd"),
        ],
        uid: 0,
        login_uid: Some(1000),
        login: Some("alice".to_owned()),
        owner: Some(Owner::Unit("session-3.scope".to_owned())),
    }));
    let entry = |id: u64, who: journal::Who| Entry {
        id,
        at: AT + id * 1_000_000_000,
        since: None,
        namespace: "lab-app".to_owned(),
        kind: Kind::Route,
        subject: "10.2.0.0/16 table main".to_owned(),
        before: Some("10.2.0.0/16 table main via 10.0.9.1 dev eth0 proto static".to_owned()),
        after: Some("10.2.0.0/16 table main via 10.0.9.2 dev eth0 proto static".to_owned()),
        protocol: Some("static".to_owned()),
        how: How::Told,
        who,
        count: 1,
        last: AT + id * 1_000_000_000,
        unused: false,
    };
    let count = |packets: u64, latency_ns| {
        let mut latency = Histogram::default();
        latency.record_n(latency_ns, packets);
        Count { packets, latency }
    };
    let (before, during, after) = (
        count(3_210, 11_300),
        count(12, 80_000),
        count(3_209, 5_290_000),
    );
    let moved = Moved {
        name: "app → db tcp/5432".to_owned(),
        before: before.clone(),
        during: during.clone(),
        after: after.clone(),
        routes: vec![MovedRoute {
            id: RouteId::of("a"),
            way: "lab-app eth0 › lab-db eth0".to_owned(),
            before,
            during,
            after,
        }],
    };
    let told = |entry, moved| Told { entry, moved };
    let gone = Entry {
        before: Some("172.17.0.0/16 table main via 10.0.2.2 dev eth1 proto 99".to_owned()),
        subject: "172.17.0.0/16 table main".to_owned(),
        after: None,
        how: How::Implied,
        ..entry(3, alice.clone())
    };
    let flap = Entry {
        count: 17,
        last: AT + 9_000_000_000,
        ..entry(2, journal::Who::Kernel)
    };
    let unused = Entry {
        count: 12_345,
        unused: true,
        before: None,
        ..entry(4, journal::Who::Several)
    };
    let found = Entry {
        since: Some(AT - 3_600_000_000_000),
        how: How::Found,
        ..entry(5, journal::Who::Unknown)
    };
    Changes {
        since: AT,
        changes: vec![
            told(entry(1, alice), vec![moved]),
            told(flap, Vec::new()),
            told(gone, Vec::new()),
            told(unused, Vec::new()),
            told(found, Vec::new()),
        ],
        not_on_disk: None,
    }
}
