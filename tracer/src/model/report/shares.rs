//! How packets spread over the legs of a FIB entry (ECMP), whatever their class: one's own source
//! address depends on the leg.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::model::Reading;

/// Packets that left a namespace by one entry: namespace, table, prefix, metric, mark.
type Sent = (u64, u32, IpNet, u32, u32);

/// The packets of each leg.
type Legs = BTreeMap<usize, u64>;

/// The shares of legs.
pub(super) struct Shares {
    sent: BTreeMap<usize, (Sent, usize)>,
    packets: BTreeMap<Sent, Legs>,
}

impl Shares {
    /// Those of a reading.
    pub(super) fn of(reading: &Reading) -> Self {
        let mut shares = Self {
            sent: BTreeMap::new(),
            packets: BTreeMap::new(),
        };
        for (&index, forwarding) in &reading.forwarding {
            let Some(entry) = forwarding.entry.as_ref().filter(|entry| entry.legs > 1) else {
                continue;
            };
            let Some(node) = reading.nodes.get(index) else {
                continue;
            };
            let cookie = node.hop.namespace.cookie;
            let sent = (cookie, entry.table, entry.prefix, entry.metric, entry.mark);
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
