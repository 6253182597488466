//! How a class's packets spread over the legs of a FIB entry (ECMP).

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::Tree;
use crate::model::Reading;

/// A class's packets that left a namespace by one entry: class, namespace, table, prefix, metric,
/// mark.
type Sent = (usize, u64, u32, IpNet, u32, u32);

/// The packets of each leg.
type Legs = BTreeMap<usize, u64>;

/// The shares of legs.
pub(super) struct Shares {
    sent: BTreeMap<usize, (Sent, usize)>,
    packets: BTreeMap<Sent, Legs>,
}

impl Shares {
    /// Those of a reading.
    pub(super) fn of(reading: &Reading, tree: &Tree) -> Self {
        let mut shares = Self {
            sent: BTreeMap::new(),
            packets: BTreeMap::new(),
        };
        for (&index, forwarding) in &reading.forwarding {
            let Some(entry) = forwarding.entry.as_ref().filter(|entry| entry.legs > 1) else {
                continue;
            };
            let Some((node, class)) = reading.nodes.get(index).zip(tree.class_of(index)) else {
                continue;
            };
            let cookie = node.hop.namespace.cookie;
            let sent = (
                class,
                cookie,
                entry.table,
                entry.prefix,
                entry.metric,
                entry.mark,
            );
            shares.sent.insert(index, (sent, entry.leg));
            let legs = shares.packets.entry(sent).or_default();
            *legs.entry(entry.leg).or_default() += node.packets;
        }
        shares
    }

    /// A node's leg's share, from 0 to 1; none where there is but one leg, or no packet.
    pub(super) fn at(&self, index: usize) -> Option<f64> {
        let (sent, leg) = self.sent.get(&index)?;
        let legs = self.packets.get(sent)?;
        let all: u64 = legs.values().sum();
        (all > 0).then(|| legs[leg] as f64 / all as f64)
    }
}
