//! What nodes are called: numbers that tell them apart, and labels that a person can read.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use super::Labels;
use crate::model::hop::mac_text;
use crate::model::report::segment_name;
use crate::model::{Node, Parent, Reading, Service};

/// A label's value, kept once however many series have it. An `Arc<str>` would take a word more in
/// each label of each series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Interned(Arc<Box<str>>);

impl Interned {
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl From<&str> for Interned {
    fn from(name: &str) -> Self {
        Self(Arc::new(name.into()))
    }
}

impl Deref for Interned {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Interned {
    fn borrow(&self) -> &str {
        self
    }
}

/// All values of labels.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<Interned>);

impl Names {
    pub(super) fn intern(&mut self, name: &str) -> Interned {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let name = Interned::from(name);
        self.0.insert(name.clone());
        name
    }

    /// Forgets names that no series has, such as those of labels that found no room.
    pub(super) fn forget_unused(&mut self) {
        self.0.retain(Interned::is_used);
    }
}

/// The segment that ends at a node.
pub(super) fn segment(reading: &Reading, node: &Node) -> Option<String> {
    let Parent::Node(parent) = node.parent else {
        return None;
    };
    let before = reading.nodes.get(parent)?;
    Some(segment_name(before.hop.stage, node.hop.stage))
}

/// A node whose labels are asked for.
pub(super) struct At<'a> {
    pub(super) reading: &'a Reading,
    pub(super) index: usize,
    pub(super) class: Option<usize>,
    pub(super) names: &'a mut Names,
}

impl<'a> At<'a> {
    /// Of a hop's packets.
    pub(super) fn hop(&mut self) -> Labels {
        let stage = self.node().hop.stage.name();
        self.labels(&[stage, &self.next_hop()])
    }

    /// Of the segment that ends here.
    pub(super) fn segment(&mut self) -> Labels {
        let segment = segment(self.reading, self.node()).unwrap_or_default();
        self.labels(&[&segment, &self.next_hop()])
    }

    /// Of the route that ends here.
    pub(super) fn route(&mut self) -> Labels {
        let (way, next_hop) = self.way();
        self.labels(&[&way, &next_hop])
    }

    /// Of the packets that were dropped here.
    pub(super) fn drop(&mut self, reason: &str) -> Labels {
        let stage = self.node().hop.stage.name();
        self.labels(&[stage, reason])
    }

    /// The class's and the hop's labels, and the metric's own.
    fn labels(&mut self, own: &[&str]) -> Labels {
        let reading = self.reading;
        let class = self.class.and_then(|class| reading.classes.get(class));
        let ends = class.map(|class| (class.source.to_string(), class.destination.to_string()));
        let (source, destination) = ends.unwrap_or_default();
        let service = class.and_then(|class| class.service);
        let port = service.map_or_else(String::new, |service| service.port().to_string());
        let hop = &reading.nodes[self.index].hop;
        let shared = [
            &*source,
            &destination,
            class.map_or("", |class| class.protocol.name()),
            &port,
            match service {
                None => "",
                Some(Service::Destination(_)) => "destination",
                Some(Service::Source(_)) => "source",
            },
            &hop.namespace.name,
            &hop.device,
        ];
        let all = shared.iter().chain(own);
        all.map(|value| self.names.intern(value)).collect()
    }

    /// The devices on the way here, each with its namespace, and the last one whom a frame was sent
    /// to.
    fn way(&self) -> (String, String) {
        let mut hops = Vec::new();
        let mut next_hop = None;
        let mut at = Some(self.index);
        while let Some(index) = at {
            let Node { hop, parent, .. } = &self.reading.nodes[index];
            let place = format!("{}/{}", hop.namespace.name, hop.device);
            if hops.last() != Some(&place) {
                hops.push(place);
            }
            next_hop = next_hop.or(hop.next_hop_mac);
            at = match parent {
                Parent::Node(parent) if *parent < index => Some(*parent),
                _ => None,
            };
        }
        hops.reverse();
        (hops.join(" "), next_hop.map(mac_text).unwrap_or_default())
    }

    fn next_hop(&self) -> String {
        self.node()
            .hop
            .next_hop_mac
            .map(mac_text)
            .unwrap_or_default()
    }

    fn node(&self) -> &'a Node {
        &self.reading.nodes[self.index]
    }
}
