//! Probes with a limited number of routers to pass: who answered each, and after how long.

#[cfg(test)]
pub(crate) mod example;

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

/// Where probes go: to the other end of a connection of this host, from its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The network namespace of the connection's socket, by its name.
    pub namespace: String,
    /// The device that it sends by; empty where that is not known.
    pub device: String,
    /// Its address here.
    pub source: IpAddr,
    /// The address of the other end.
    pub destination: IpAddr,
    /// The port of the other end.
    pub port: u16,
}

/// What was sent, and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Where they went.
    pub target: Target,
    /// The source ports: each is another flow to whoever spreads flows over ways by their ports.
    pub ports: Vec<u16>,
    /// Each probe, in the order of sending.
    pub probes: Vec<Probe>,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
    /// Whether it ended before all was asked: the number of probes is limited.
    pub is_cut: bool,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The TTL or hop limit that it left with: the router that brings it to 0 answers.
    pub ttl: u8,
    /// Its source port.
    pub port: u16,
    /// What came back; none where nothing did in time.
    pub reply: Option<Reply>,
}

/// Who answered a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The address that the answer came from.
    pub from: IpAddr,
    /// After how long, in nanoseconds: the way there and the way back.
    pub after_ns: u64,
    /// What it says.
    pub says: Says,
}

/// What an answer to a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// A router passed it no further, since its TTL was used up.
    Expired,
    /// It is not delivered, with the ICMP code: unreachable, or forbidden.
    Unreachable(u8),
    /// The other end takes connections (SYN and ACK).
    Accepts,
    /// The other end takes none at this port (RST), and is there.
    Refuses,
}

impl Says {
    /// Whether the other end itself answered.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Accepts | Self::Refuses)
    }

    /// Whether a probe with a larger TTL would meet the same.
    pub const fn is_last(self) -> bool {
        !matches!(self, Self::Expired)
    }

    /// Its name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unreachable(_) => "unreachable",
            Self::Accepts => "accepts",
            Self::Refuses => "refuses",
        }
    }
}

/// What probes say of the way beyond the next hop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beyond {
    /// The way, nearest first; several of one distance where flows take several ways.
    pub hops: Vec<Hop>,
    /// Source ports whose probes fare worse than the others', for one reason.
    pub bad: Vec<u16>,
    /// All other ports.
    pub good: Vec<u16>,
    /// Routers that only the bad ports go by.
    pub only_bad: Vec<IpAddr>,
    /// What is wrong.
    pub trouble: Trouble,
}

/// A distance, and who answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// How many routers away; the next hop is 1.
    pub ttl: u8,
    /// Who answers; none where nobody does.
    pub address: Option<IpAddr>,
    /// What is said.
    pub says: Option<Says>,
    /// The source ports that go by it.
    pub ports: Vec<u16>,
    /// Probes sent to it.
    pub sent: u32,
    /// Answers.
    pub answered: u32,
    /// The shortest round trip in nanoseconds; 0 without an answer.
    pub shortest_ns: u64,
}

/// A place on the way: behind one that answers, and before the next that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// The last one that is fine, with its distance; none for this host.
    pub after: Option<(u8, IpAddr)>,
    /// The first one that is not, where it answers.
    pub before: Option<(u8, IpAddr)>,
}

/// What is wrong beyond the next hop.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Trouble {
    /// Nobody answered anything.
    #[default]
    Nobody,
    /// The other end answers, and no single step of the way takes long.
    None {
        /// The shortest round trip to the other end, in nanoseconds.
        end_ns: u64,
    },
    /// Most of the round trip begins at one step.
    Slow {
        /// Where.
        at: Between,
        /// How much it adds, in nanoseconds.
        more_ns: u64,
        /// The shortest round trip to the other end by these ports, in nanoseconds.
        end_ns: u64,
        /// That of the good ports; none without any.
        good_ns: Option<u64>,
    },
    /// Nothing of these ports comes back from beyond a place.
    Dead {
        /// Where.
        at: Between,
    },
    /// A part of the probes is not answered from a place on.
    Lossy {
        /// Where.
        at: Between,
        /// How many of the probes to the other end were answered.
        answered: u32,
        /// Of how many.
        sent: u32,
    },
    /// The other end does not answer, by no port: a filter may say nothing, and so may a dead way.
    Silent {
        /// The last that answers.
        last: Option<(u8, IpAddr)>,
    },
    /// Somebody says that it is not delivered.
    Unreachable {
        /// Who, and at which distance.
        by: (u8, IpAddr),
        /// The ICMP code.
        code: u8,
    },
}

impl Trouble {
    /// Its name in every output.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Nobody => "nobody_answers",
            Self::None { .. } => "none",
            Self::Slow { .. } => "slow",
            Self::Dead { .. } => "dead",
            Self::Lossy { .. } => "lossy",
            Self::Silent { .. } => "end_does_not_answer",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let to = std::net::SocketAddr::new(self.destination, self.port);
        write!(f, "{to} from {} in {}", self.source, self.namespace)
    }
}

impl Probed {
    /// The same without names of this host.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut probed = self.clone();
        "this host".clone_into(&mut probed.target.namespace);
        probed.target.device = String::new();
        probed
    }
}
