//! What a source saw: the route trees with their counts, and what it could not see.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::connection::Connections;
use super::coverage::Coverage;
use super::forgotten::Forgotten;
use super::forwarding::Forwarding;
use super::hop::Stage;
use super::passing::Passing;
use super::{Class, Histogram, Hop, HostStack, Names, Tuple};

/// All that a source knows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The kernel's release.
    pub kernel: String,
    /// For how long was traced, in nanoseconds.
    pub duration_ns: u64,
    /// The classes; nodes and classes speak of one another by index.
    pub classes: Vec<Class>,
    /// The nodes of all route trees; a parent stands before its children.
    pub nodes: Vec<Node>,
    /// How packets were handed on at nodes, by index, where that is known.
    pub forwarding: BTreeMap<usize, Arc<Forwarding>>,
    /// Who is behind the ends of classes, by index, where that is known.
    pub names: BTreeMap<usize, Names>,
    /// TCP connections with sockets on this host.
    pub connections: Vec<Connections>,
    /// Packets on their way through this host, and what ICMP says of those that went out.
    pub passing: Vec<Passing>,
    /// What devices carried against what was seen of it, where all packets are asked for.
    pub coverage: Vec<Coverage>,
    /// What this host's own stack had to bear.
    pub host: HostStack,
    /// What was lost, by reason, and not known to belong to a node.
    pub losses: Losses,
    /// Hops and features with their state here.
    pub availability: Vec<Availability>,
    /// What the kernel half's programs did; empty where that is not known.
    pub programs: Vec<ProgramWork>,
    /// The share of packets that is followed, from 0 to 1.
    pub followed: f64,
    /// What was counted at hops that are forgotten since.
    pub forgotten: Forgotten,
    /// What tells nodes and classes from forgotten ones that were the same.
    pub births: Births,
    /// What the mirror of the networks did.
    pub mirrored: Mirrored,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            kernel: String::new(),
            duration_ns: 0,
            classes: Vec::new(),
            nodes: Vec::new(),
            connections: Vec::new(),
            passing: Vec::new(),
            coverage: Vec::new(),
            host: HostStack::default(),
            losses: Losses::default(),
            availability: Vec::new(),
            forwarding: BTreeMap::new(),
            names: BTreeMap::new(),
            programs: Vec::new(),
            followed: 1.0,
            forgotten: Forgotten::default(),
            births: Births::default(),
            mirrored: Mirrored::default(),
        }
    }
}

/// What a mirror of network namespaces did since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// Changes that the kernel told.
    pub told: u64,
    /// Changes that followed from these.
    pub implied: u64,
    /// Changes that only a dump showed.
    pub found: u64,
    /// Dumps of one part.
    pub dumps: u64,
    /// Times that the kernel had more to tell than it could keep.
    pub overruns: u64,
    /// Messages that were shorter than they said.
    pub malformed: u64,
    /// Namespaces that could not be entered.
    pub closed: u64,
}

impl Mirrored {
    /// What was done since an earlier moment of the same mirror.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// What two mirrors did.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn with(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            told: of(self.told, other.told),
            implied: of(self.implied, other.implied),
            found: of(self.found, other.found),
            dumps: of(self.dumps, other.dumps),
            overruns: of(self.overruns, other.overruns),
            malformed: of(self.malformed, other.malformed),
            closed: of(self.closed, other.closed),
        }
    }
}

/// The births of nodes and classes, numbered: no two nodes have the same number, and no two classes.
/// Empty where a source forgets nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Births {
    /// By index of the node.
    pub nodes: Vec<u32>,
    /// By index of the class.
    pub classes: Vec<u32>,
}

/// What a program of the kernel half did since it was attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramWork {
    /// Its name.
    pub program: String,
    /// How often it ran.
    pub runs: u64,
    /// For how long altogether, in nanoseconds: estimated from one run in many that was timed.
    pub busy_ns: u64,
}

impl Reading {
    /// Whether packets go through the host at a node: they are received there, and sent on.
    pub fn forwards(&self, index: usize) -> bool {
        let is_received = |node: &&Node| node.hop.stage == Stage::Receive;
        let Some(node) = self.nodes.get(index).filter(is_received) else {
            return false;
        };
        // A parent stands before its children.
        let mut later = self.nodes[index + 1..].iter();
        later.any(|it| it.parent == Parent::Node(index) && node.hop.is_forwarding_to(&it.hop))
    }

    /// How many packets went on from each node. Reads are left out: a read is after delivery.
    pub fn went_on(&self) -> Vec<u64> {
        let mut went_on = vec![0; self.nodes.len()];
        for (&index, gone) in &self.forgotten.beyond {
            went_on[index] += gone.packets;
        }
        for node in self
            .nodes
            .iter()
            .filter(|node| node.hop.stage != Stage::Read)
        {
            if let Parent::Node(parent) = node.parent {
                went_on[parent] += node.packets;
            }
        }
        went_on
    }
}

/// A hop reached by one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The hop before, or the class whose packets start here.
    pub parent: Parent,
    /// The hop.
    pub hop: Arc<Hop>,
    /// Addresses and ports of the first packet, where they differ here from those that it
    /// started with (NAT).
    pub translated: Option<Tuple>,
    /// Packets that came here. A packet is what the kernel handles as one: one `sk_buff`.
    pub packets: u64,
    /// Their payload above the transport header (above the IP header where there is none), in bytes.
    pub bytes: u64,
    /// The time since the hop before; empty at a class's first hop.
    pub latency: Histogram,
    /// The time since the first hop, of the packets whose way ended well here.
    pub total: Histogram,
    /// Packets that came to be here: segments that a packet was split into, and copies.
    pub born: u64,
    /// Packets whose way ended here.
    pub ends: Ends,
}

impl Node {
    /// The hop, to be changed: other nodes that share it keep theirs.
    pub fn hop_mut(&mut self) -> &mut Hop {
        Arc::make_mut(&mut self.hop)
    }
}

/// Where a node hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// It is the first hop of this class.
    Class(usize),
    /// It follows this node.
    Node(usize),
}

/// How packets ended at a node, by count.
///
/// For each node, what came and what was born there equals what its children got and these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Handed to a socket, consumed by the protocol, or gone by a device that leads out of this host.
    pub delivered: u64,
    /// Merged into another packet: GRO, reassembly.
    pub merged: u64,
    /// Split into segments, which were born.
    pub split: u64,
    /// Still on their way when the reading was taken.
    pub in_flight: u64,
    /// Dropped by the kernel, by its reason.
    pub dropped: BTreeMap<String, u64>,
    /// Lost from sight, by the tracer's reason.
    pub lost: BTreeMap<String, u64>,
}

impl Ends {
    /// All of them together.
    pub fn sum(&self) -> u64 {
        [self.delivered, self.merged, self.split, self.in_flight]
            .iter()
            .chain(self.dropped.values())
            .chain(self.lost.values())
            .fold(0, |sum: u64, &count| sum.saturating_add(count))
    }

    /// Adds the ends of other packets.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.delivered, other.delivered),
            (&mut self.merged, other.merged),
            (&mut self.split, other.split),
            (&mut self.in_flight, other.in_flight),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in [
            (&mut self.dropped, &other.dropped),
            (&mut self.lost, &other.lost),
        ] {
            for (reason, count) in theirs {
                let mine = mine.entry(reason.clone()).or_default();
                *mine = mine.saturating_add(*count);
            }
        }
    }
}

/// Losses by reason; a reason that did not occur stands there with 0.
pub type Losses = BTreeMap<String, u64>;

/// Whether a hop or a feature works here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The hop's program or the feature.
    pub name: String,
    /// What it is good for.
    pub meaning: String,
    /// Whether it works.
    pub state: State,
}

/// Whether something works, and if not, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Works,
    /// It can't work here, and nothing needs to be done: the rest goes on without it.
    Unavailable {
        /// Why not.
        because: String,
        /// What to do about it.
        advice: String,
    },
    /// It can't work here, and nothing else can without it.
    Missing {
        /// Why not.
        because: String,
        /// What to do about it.
        advice: String,
    },
}

/// Whether tracing can work at all with these.
pub fn works(availability: &[Availability]) -> bool {
    availability
        .iter()
        .all(|row| !matches!(row.state, State::Missing { .. }))
}
