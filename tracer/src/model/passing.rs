//! What passes this host: round trips, losses and errors of packets that have no socket here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::connection::{Connection, Phase, Sight};
use super::{Class, Histogram, Namespace, Reading};

/// What was seen of one class's packets where they came in by one device.
///
/// Round trips are those between this host and the end that the packets come from: of the whole
/// way, only that part. The part to the other end is with the class of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    /// The class of the packets, as an index into the reading's classes.
    pub class: usize,
    /// The device's network namespace.
    pub namespace: Namespace,
    /// The device by which they came in; empty where its name is not known.
    pub device: String,
    /// Its number.
    pub ifindex: u32,
    /// The TTL or hop limit that was received last; none before any was.
    pub ttl: Option<u8>,
    /// The last time that a flow's TTL or hop limit became another one.
    pub ttl_step: Option<TtlStep>,
    /// The last ICMP error about packets of the class that came in by the device.
    pub told: Option<Told>,
    /// Round trips, by phase; a phase that did not occur is not there.
    pub phases: BTreeMap<Phase, Histogram>,
    /// The counts; what did not occur is not there.
    pub sights: BTreeMap<Sight, u64>,
    /// Some of the flows, chosen by hash: at most [`super::connection::SAMPLE`].
    pub sample: Vec<Connection>,
}

/// Counts that only packets on their way have; all others are those of sockets too.
pub const ON_THE_WAY: [Sight; 6] = [
    Sight::IcmpRedirects,
    Sight::IcmpUnreachable,
    Sight::IcmpTooBig,
    Sight::IcmpTimeExceeded,
    Sight::IcmpUnmatched,
    Sight::Looped,
];

/// The TTL or hop limit of a connection's packets became another one: their way is another one,
/// somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlStep {
    /// Which one it was.
    pub before: u8,
    /// Which one it became.
    pub after: u8,
    /// How long before the reading, in nanoseconds.
    pub ago_ns: u64,
}

/// What an ICMP error said (RFC 792, RFC 4443).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who said it.
    pub by: IpAddr,
    /// The message's type.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
    /// The MTU of the next hop, where something is too big for it.
    pub mtu: Option<u32>,
    /// The better gateway, where it is a redirect.
    pub gateway: Option<IpAddr>,
    /// How long before the reading, in nanoseconds.
    pub ago_ns: u64,
}

/// [`Passing`] with the class that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Flows {
    /// The class of the packets.
    pub class: Class,
    /// What was seen of them.
    pub seen: Passing,
}

impl Flows {
    /// Those of some of a reading's classes, by their numbers.
    pub fn of(reading: &Reading, is_asked: impl Fn(usize) -> bool) -> Vec<Self> {
        let known = reading.passing.iter();
        known
            .filter(|seen| is_asked(seen.class))
            .filter_map(|seen| {
                Some(Self {
                    class: reading.classes.get(seen.class)?.clone(),
                    seen: seen.clone(),
                })
            })
            .collect()
    }
}

impl Passing {
    /// The times of a phase; empty where there were none.
    pub fn phase(&self, phase: Phase) -> Histogram {
        self.phases.get(&phase).cloned().unwrap_or_default()
    }

    /// How often something was seen.
    pub fn sight(&self, sight: Sight) -> u64 {
        self.sights.get(&sight).copied().unwrap_or(0)
    }
}
