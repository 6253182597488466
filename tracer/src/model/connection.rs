//! TCP connections with a socket on this host: round trips, exchanges, and what troubles them.

#[cfg(test)]
pub(crate) mod example;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use tracer_common::exchange::{HELD_BACK_US, Phase, Sight};

use super::passing::TtlStep;
use super::{Class, Histogram, Namespace, Reading, Service, Tuple};

/// What was seen at the sockets that get one class's packets, by the next hop that they send by.
///
/// Of a class of requests they are the serving side, of one of answers the asking side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// The class of the packets that the sockets receive, as an index into the reading's classes.
    pub class: usize,
    /// The sockets' network namespace.
    pub namespace: Namespace,
    /// The device that they send by; empty where that is not known.
    pub device: String,
    /// Its number.
    pub ifindex: u32,
    /// The gateway that they send by; none where the peer is on the link.
    pub next_hop: Option<IpAddr>,
    /// The TTL or hop limit that was received last; none before any was.
    pub ttl: Option<u8>,
    /// The last time that a connection's TTL or hop limit became another one.
    pub ttl_step: Option<TtlStep>,
    /// The times, by phase; a phase that did not occur is not there.
    pub phases: BTreeMap<Phase, Histogram>,
    /// The counts; what did not occur is not there.
    pub sights: BTreeMap<Sight, u64>,
    /// Some of the connections that are open, chosen by hash: at most [`SAMPLE`].
    pub sample: Vec<Connection>,
}

/// From so many times as many acknowledgements that were held back as others on, they are nearly all.
pub const MOST_HELD_BACK: u64 = 4;

/// How many connections of a class and next hop are shown by themselves.
pub const SAMPLE: usize = 128;

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Addresses and ports of the packets that its socket here receives.
    pub tuple: Tuple,
    /// Its round trips, those that came with data included.
    pub rtts: u32,
    /// Their sum, in nanoseconds: of a mean the difference of two readings would be lost.
    pub rtt_sum_ns: u64,
    /// The smallest.
    pub rtt_min_ns: u64,
    /// The last one.
    pub rtt_last_ns: u64,
    /// Segments that its socket here sent again.
    pub retransmits: u32,
    /// Its exchanges.
    pub exchanges: u32,
    /// Those that were disturbed.
    pub disturbed: u32,
}

impl Connection {
    /// The mean of its round trips, in nanoseconds; 0 without any.
    pub fn rtt_mean_ns(&self) -> u64 {
        self.rtt_sum_ns.checked_div(self.rtts.into()).unwrap_or(0)
    }
}

/// [`Connections`] with the class that they belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Sockets {
    /// The class of the packets that the sockets receive.
    pub class: Class,
    /// What was seen of them.
    pub seen: Connections,
}

impl Sockets {
    /// Those of some of a reading's classes, by their numbers.
    pub fn of(reading: &Reading, is_asked: impl Fn(usize) -> bool) -> Vec<Self> {
        let known = reading.connections.iter();
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

    /// Whether these sockets answer: where neither port is a service's, nobody knows.
    pub fn serve(&self) -> Option<bool> {
        self.class
            .service
            .map(|service| matches!(service, Service::Destination(_)))
    }
}

/// Times and counts of several [`Connections`] together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The times, by phase.
    pub phases: BTreeMap<Phase, Histogram>,
    /// The counts.
    pub sights: BTreeMap<Sight, u64>,
}

impl Totals {
    /// The sum of some.
    pub fn of<'a>(all: impl Iterator<Item = &'a Connections>) -> Self {
        let mut totals = Self::default();
        for connections in all {
            for (&phase, times) in &connections.phases {
                totals.phases.entry(phase).or_default().merge(times);
            }
            for (&sight, &count) in &connections.sights {
                let sum = totals.sights.entry(sight).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        totals
    }
}

impl Connections {
    /// The times of a phase; empty where there were none.
    pub fn phase(&self, phase: Phase) -> Histogram {
        self.phases.get(&phase).cloned().unwrap_or_default()
    }

    /// How often something was seen.
    pub fn sight(&self, sight: Sight) -> u64 {
        self.sights.get(&sight).copied().unwrap_or(0)
    }
}
