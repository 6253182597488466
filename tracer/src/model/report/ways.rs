//! The ways of readings that come one after the other, and how many packets ended on each: all that is
//! needed of them each second. What they are is worked out only where it is another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::tree::Tree;
use super::{class_key, id};
use crate::model::identity::Shape;
use crate::model::{Histogram, Reading, RouteId};

/// The ways of the last reading.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    shape: Shape,
    tree: Tree,
    all: Vec<Way>,
    /// Packets that ended, by the leaf of the way that they count on.
    ended: Vec<u64>,
    /// Whom packets were handed to, by index of the node.
    next_hops: Vec<Option<IpAddr>>,
}

/// A way through a route tree.
#[derive(Clone, Debug)]
struct Way {
    id: RouteId,
    leaf: usize,
    about: Arc<About>,
}

/// What a way is, for people, and what it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The class: the same text for all its routes.
    pub class: String,
    /// Who talks to whom.
    pub name: String,
    /// The namespaces that packets pass, with the devices.
    pub way: String,
    /// What it depends on, in each namespace.
    pub depends: Box<[Dependence]>,
}

/// What a route depends on in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependence {
    /// The namespace's name.
    pub namespace: String,
    /// Devices by name.
    pub devices: Box<[String]>,
    /// Destinations and next hops.
    pub addresses: Box<[IpAddr]>,
}

/// What ended on a route until now.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// The route.
    pub id: RouteId,
    /// Packets whose way ended on it.
    pub packets: u64,
    /// The whole way of those that ended well.
    pub total: &'a Histogram,
    /// What it is.
    pub about: &'a Arc<About>,
}

impl Ways {
    /// Goes on to the next reading.
    pub fn follow(&mut self, reading: &Reading) {
        let before = self.shape.nodes();
        let [_, same] = self.shape.follow(reading);
        let are_same = same == before && same == reading.nodes.len();
        if !are_same {
            self.tree = Tree::of(&reading.nodes);
        }
        let spread = self.tree.count(&reading.nodes);
        let handed = self.hand(reading);
        if !are_same || spread || handed {
            self.name(reading);
        }
        self.ended.clear();
        self.ended.resize(reading.nodes.len(), 0);
        for (index, node) in reading.nodes.iter().enumerate() {
            if let Some(leaf) = self.tree.accounted_at(index) {
                let ended = &mut self.ended[leaf];
                *ended = ended.saturating_add(node.ends.sum());
            }
        }
        // What is forgotten ended on ways that have parted from there.
        for (&index, gone) in &reading.forgotten.beyond {
            if index < reading.nodes.len()
                && let Some(leaf) = self.tree.accounted_at(index)
            {
                let ended = &mut self.ended[leaf];
                *ended = ended.saturating_add(gone.ends.sum());
            }
        }
    }

    /// What ended on each way of the reading that was followed last.
    pub fn ended<'a>(&'a self, reading: &'a Reading) -> impl Iterator<Item = Ended<'a>> {
        self.all.iter().map(|way| Ended {
            id: way.id,
            packets: self.ended[way.leaf],
            total: &reading.nodes[way.leaf].total,
            about: &way.about,
        })
    }

    /// Notes whom packets are handed to; returns whether that is somebody else anywhere.
    fn hand(&mut self, reading: &Reading) -> bool {
        let mut handed = self.next_hops.len() != reading.nodes.len();
        self.next_hops.resize(reading.nodes.len(), None);
        let mut known = reading.forwarding.iter().peekable();
        for (index, before) in self.next_hops.iter_mut().enumerate() {
            let here = known.next_if(|&(&at, _)| at == index);
            let peer = here.and_then(|(_, forwarding)| forwarding.next_hop.as_ref());
            let now = peer.and_then(|peer| peer.addresses.first().copied());
            handed |= std::mem::replace(before, now) != now;
        }
        handed
    }

    /// Works out what each way is; those that are as they were keep that.
    fn name(&mut self, reading: &Reading) {
        let before = std::mem::take(&mut self.all).into_iter();
        let mut before: HashMap<RouteId, Arc<About>> = before.map(|it| (it.id, it.about)).collect();
        let mut taken = HashSet::new();
        for way in self.tree.ways() {
            let class = reading.classes.get(self.tree.class(&way));
            let leaf = way.iter().rfind(|&&index| !self.tree.is_read(index));
            let (Some(class), Some(&leaf)) = (class, leaf) else {
                continue;
            };
            let nodes = way.iter().map(|&index| &reading.nodes[index]);
            let id = id(class, nodes, &mut taken);
            let about = self.about(reading, &way, class);
            let known = before.remove(&id).filter(|known| **known == about);
            let about = known.unwrap_or_else(|| Arc::new(about));
            self.all.push(Way { id, leaf, about });
        }
    }

    fn about(&self, reading: &Reading, way: &[usize], class: &crate::model::Class) -> About {
        let mut depends = BTreeMap::<&String, (Vec<&String>, Vec<IpAddr>)>::new();
        let mut words: Vec<String> = Vec::new();
        let mut tuple = class.first;
        for &index in way {
            let node = &reading.nodes[index];
            let (namespace, device) = (&node.hop.namespace.name, &node.hop.device);
            tuple = node.translated.or(tuple);
            let (devices, addresses) = depends.entry(namespace).or_default();
            if !devices.contains(&device) {
                devices.push(device);
            }
            let next_hop = self.next_hops[index].into_iter();
            for address in next_hop.chain(tuple.map(|tuple| tuple.destination)) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            let word = format!("{namespace} {device}");
            if words.last() != Some(&word) {
                words.push(word);
            }
        }
        About {
            class: class_key(class),
            name: class.name(),
            way: words.join(" › "),
            depends: depends
                .into_iter()
                .map(|(namespace, (devices, addresses))| Dependence {
                    namespace: namespace.clone(),
                    devices: devices.into_iter().cloned().collect(),
                    addresses: addresses.into(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use crate::model::report::routes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_followed_is_what_a_report_says(
            readings in prop::collection::vec((example::any_nodes(), any::<bool>(), any::<u8>()), 1..6),
        ) {
            let mut ways = Ways::default();
            let mut reading = example::lab();
            for (nodes, another, handed) in readings {
                if another {
                    reading.nodes = nodes;
                } else {
                    // The same nodes, which counted something else.
                    for (node, other) in reading.nodes.iter_mut().zip(nodes) {
                        (node.packets, node.ends) = (other.packets, other.ends);
                    }
                }
                reading.forwarding = example::lab().forwarding;
                reading.forwarding.retain(|&at, _| at < reading.nodes.len() && at % 2 == usize::from(handed % 2));
                ways.follow(&reading);
                let mut afresh = Ways::default();
                afresh.follow(&reading);
                let reported: Vec<_> = routes(&reading).map(|(_, it)| (it.id, it.packets, it.total)).collect();
                for ways in [&ways, &afresh] {
                    let followed: Vec<_> = ways.ended(&reading).map(|it| (it.id, it.packets, it.total.clone())).collect();
                    prop_assert_eq!(&followed, &reported);
                }
                let abouts = |ways: &Ways| ways.ended(&reading).map(|it| it.about.as_ref().clone()).collect::<Vec<_>>();
                prop_assert_eq!(abouts(&ways), abouts(&afresh));
            }
        }
    }
}
