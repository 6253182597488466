//! What a node had counted when it was read last, and where its counts go.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::super::sparse::Sparse;
use crate::model::Node;

/// A series of a metric; none before the node has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(Option<NonZeroU32>);

impl Place {
    pub(super) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// The series' index, which is sought where there is none yet.
    pub(super) fn get_or_insert_with(&mut self, seek: impl FnOnce() -> usize) -> usize {
        if let Some(number) = self.0 {
            return number.get() as usize - 1;
        }
        let index = seek();
        self.0 = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        index
    }
}

/// A node when it was read last.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) packets: u64,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) latency: Sparse,
    /// Where no route ends there is none.
    pub(super) total: Option<Box<Sparse>>,
    /// The number of the reading that it was seen in last.
    pub(super) seen: u64,
    /// The hash of the names that its places have as labels.
    pub(super) names: u64,
    pub(super) places: Places,
}

// A large host has a hundred thousand of them.
const _: () = assert!(size_of::<Past>() == 136);

/// Where a node's counts go.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) packets: Place,
    pub(super) segment: Place,
    pub(super) route: Place,
    pub(super) drops: BTreeMap<String, Place>,
}

impl Past {
    /// Whether a node has its series and counted nothing since.
    pub(super) fn is_as_before(&self, node: &Node) -> bool {
        let total = self.total.as_deref();
        self.places.packets.is_known()
            && node.packets.saturating_add(node.born) == self.packets
            && self.latency.is_at(&node.latency)
            && total.map_or(node.total.count() == 0, |it| it.is_at(&node.total))
            && self.dropped == node.ends.dropped
    }

    /// Whoever counted fewer packets than before began anew, so that all it counts is new.
    pub(super) fn begin(&mut self, node: &Node) {
        if node.packets.saturating_add(node.born) < self.packets {
            self.packets = 0;
            self.dropped.clear();
            self.latency = Sparse::default();
            self.total = None;
        }
    }

    /// Takes all that a node counted as known.
    pub(super) fn take(&mut self, node: &Node) {
        self.packets = node.packets.saturating_add(node.born);
        self.dropped.clone_from(&node.ends.dropped);
        self.latency.rise_to(&node.latency);
        if node.total.count() > 0 {
            self.total.get_or_insert_default().rise_to(&node.total);
        }
    }

    pub(super) fn forget_places(&mut self) {
        self.places = Places::default();
    }
}
