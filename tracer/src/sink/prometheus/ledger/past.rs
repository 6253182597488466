//! What a node had counted when it was read last, and where its counts go.

use std::collections::BTreeMap;

use super::super::sparse::Sparse;
use crate::model::Node;

/// A series of a metric, by its number; none before the node has one.
pub(super) type Place = Option<usize>;

/// A node when it was read last.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) packets: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) latency: Sparse,
    pub(super) total: Sparse,
    /// The number of the reading that it was seen in last.
    pub(super) seen: u64,
    /// The hash of the names that its places have as labels.
    pub(super) names: Option<u64>,
    pub(super) places: Places,
}

/// Where a node's counts go.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) packets: Place,
    pub(super) segment: Place,
    pub(super) route: Place,
    pub(super) drops: BTreeMap<String, Place>,
}

impl Past {
    /// Whoever counted fewer packets than before began anew, so that all it counts is new.
    pub(super) fn begin(&mut self, node: &Node, reading: u64) {
        self.seen = reading;
        if node.packets.saturating_add(node.born) < self.packets {
            self.packets = 0;
            self.dropped.clear();
            self.latency = Sparse::default();
            self.total = Sparse::default();
        }
    }

    /// Takes all that a node counted as known.
    pub(super) fn take(&mut self, node: &Node, reading: u64) {
        self.seen = reading;
        self.packets = node.packets.saturating_add(node.born);
        self.dropped.clone_from(&node.ends.dropped);
        self.latency.rise_to(&node.latency, |_, _| ());
        self.total.rise_to(&node.total, |_, _| ());
    }

    pub(super) fn forget_places(&mut self) {
        self.places = Places::default();
    }
}
