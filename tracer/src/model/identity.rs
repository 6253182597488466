//! Which node is which, from one reading to the next.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;

use super::passing::Passing;
use super::report::class_key;
use super::{Class, Connections, Hop, Parent, Reading};

/// Which node this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The same in each reading of a source, whatever its names are.
    pub node: u64,
    /// Another one as soon as one of the names changes.
    pub names: u64,
    /// The class that it belongs to.
    pub class: Option<usize>,
}

/// The identities of a reading's nodes.
pub fn identities(reading: &Reading) -> Vec<Identity> {
    let mut identities = Identities::default();
    identities.follow(reading);
    identities.found
}

/// Which nodes and classes a reading has, to know which of the next one's are the same.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    classes: Vec<Class>,
    nodes: Vec<Known>,
}

/// A node, by all that its identity depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    hop: Arc<Hop>,
    parent: Parent,
    birth: Option<u32>,
}

impl Shape {
    /// Goes on to the next reading; returns how many of its first classes and nodes are those of the
    /// one before.
    pub fn follow(&mut self, reading: &Reading) -> [usize; 2] {
        let classes = self.classes.iter().zip(&reading.classes);
        let same_classes = classes.take_while(|(known, class)| is_same(known, class));
        let same_classes = same_classes.count();
        let same_nodes = if same_classes < self.classes.len() {
            0
        } else {
            self.same_nodes(reading)
        };
        self.classes.truncate(same_classes);
        let classes = reading.classes[same_classes..].iter();
        self.classes.extend(classes.cloned());
        self.nodes.truncate(same_nodes);
        let nodes = reading.nodes.iter().enumerate().skip(same_nodes);
        self.nodes.extend(nodes.map(|(index, node)| Known {
            hop: Arc::clone(&node.hop),
            parent: node.parent,
            birth: reading.births.nodes.get(index).copied(),
        }));
        [same_classes, same_nodes]
    }

    /// How many nodes the last reading had.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn same_nodes(&self, reading: &Reading) -> usize {
        let nodes = self.nodes.iter().zip(&reading.nodes).enumerate();
        let same = nodes.take_while(|(index, (known, node))| {
            known.birth == reading.births.nodes.get(*index).copied()
                && known.parent == node.parent
                && (Arc::ptr_eq(&known.hop, &node.hop) || known.hop == node.hop)
        });
        same.count()
    }
}

/// The identities of readings that come one after the other: those of nodes that stay are found once.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    shape: Shape,
    /// Of its classes.
    hashes: Vec<u64>,
    found: Vec<Identity>,
}

impl Identities {
    /// Goes on to the next reading; returns how many of its first nodes are those of the one before.
    pub fn follow(&mut self, reading: &Reading) -> usize {
        let [classes, same] = self.shape.follow(reading);
        self.hashes.truncate(classes);
        let classes = reading.classes[classes..].iter();
        self.hashes
            .extend(classes.map(|class| hash(class_key(class))));
        // Which of two that look alike is which depends on those before them alone.
        self.found.truncate(same);
        if same < reading.nodes.len() {
            let mut taken: HashSet<u64, AsItIs> = self.found.iter().map(|it| it.node).collect();
            for index in same..reading.nodes.len() {
                self.find(reading, index, &mut taken);
            }
        }
        same
    }

    /// By index of the node.
    pub fn all(&self) -> &[Identity] {
        &self.found
    }

    fn find(&mut self, reading: &Reading, index: usize, taken: &mut HashSet<u64, AsItIs>) {
        let node = &reading.nodes[index];
        let above = match node.parent {
            Parent::Class(class) => Identity {
                node: self.hashes.get(class).copied().unwrap_or(0),
                names: 0,
                class: Some(class),
            },
            // A parent stands before its children; one that does not is no parent.
            Parent::Node(parent) => self.found.get(parent).copied().unwrap_or(Identity {
                node: index as u64,
                names: 0,
                class: None,
            }),
        };
        let hop = &node.hop;
        let numbers = (hop.namespace.cookie, hop.ifindex, hop.stage);
        let birth = reading.births.nodes.get(index);
        let macs = (hop.next_hop_mac, hop.previous_hop_mac);
        let mut own = hash((above.node, numbers, macs, birth));
        while !taken.insert(own) {
            own = hash(own);
        }
        self.found.push(Identity {
            node: own,
            names: hash((above.names, &hop.namespace.name, &hop.device)),
            class: above.class,
        });
    }
}

/// Whether two classes have the same identity.
fn is_same(one: &Class, other: &Class) -> bool {
    let of = |it: &Class| (it.protocol, it.service);
    of(one) == of(other) && one.source == other.source && one.destination == other.destination
}

/// What is kept of each node from one reading to the next.
#[derive(Debug)]
pub struct PerNode<T> {
    identities: Identities,
    kept: IndexMap<u64, T, AsItIs>,
    /// By index of the node.
    places: Vec<usize>,
}

impl<T> Default for PerNode<T> {
    fn default() -> Self {
        Self {
            identities: Identities::default(),
            kept: IndexMap::default(),
            places: Vec::new(),
        }
    }
}

impl<T: Default> PerNode<T> {
    /// Goes on to the next reading: what is new begins with nothing.
    pub fn follow(&mut self, reading: &Reading) {
        let same = self.identities.follow(reading);
        self.places.truncate(same);
        for identity in &self.identities.all()[self.places.len()..] {
            let entry = self.kept.entry(identity.node);
            self.places.push(entry.index());
            entry.or_default();
        }
    }

    /// What is kept of a node of the last reading that was followed.
    pub fn get(&mut self, index: usize) -> (Identity, &mut T) {
        let identity = self.identities.all()[index];
        (identity, &mut self.kept[self.places[index]])
    }

    /// Who the nodes of that reading are.
    pub fn identities(&self) -> &[Identity] {
        self.identities.all()
    }

    /// What is kept of a node by its identity, in a reading or not.
    pub fn of(&self, identity: u64) -> Option<&T> {
        self.kept.get(&identity)
    }

    /// All, in readings or not.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.kept.values_mut()
    }

    /// Forgets those that are not to stay.
    pub fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        self.kept.retain(|_, it| stays(it));
        self.places.clear();
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.places.clear();
    }
}

/// Hashes numbers that are hashes already.
pub type AsItIs = BuildHasherDefault<Number>;

/// A number as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number(u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        (self.0, bytes).hash(&mut hasher);
        self.0 = hasher.finish();
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Which sockets these are, of a class that was born so ([`super::reading::Births`]).
pub fn of_sockets(class: &Class, birth: Option<&u32>, connections: &Connections) -> u64 {
    let cookie = connections.namespace.cookie;
    let by = (cookie, connections.ifindex, connections.next_hop);
    hash((class_key(class), birth, by))
}

/// The same for packets on their way: by class and device.
pub fn of_passing(class: &Class, birth: Option<&u32>, passing: &Passing) -> u64 {
    let by = (passing.namespace.cookie, passing.ifindex);
    hash((class_key(class), birth, by))
}

/// A number that stands for something; the same in each run of one build.
pub fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use proptest::prelude::*;

    /// What may become of a reading's nodes and classes from one to the next.
    fn change(reading: &mut Reading, how: u8, at: usize) {
        let nodes = reading.nodes.len();
        match how {
            0 => reading.nodes.truncate(at % (nodes + 1)),
            1 => {
                if let Some(node) = reading.nodes.get(at % nodes.max(1)).cloned() {
                    reading.nodes.push(node);
                    reading.births.nodes.resize(nodes, 0);
                    reading.births.nodes.push(at as u32);
                }
            }
            2 => {
                if let Some(node) = reading.nodes.get_mut(at % nodes.max(1)) {
                    Arc::make_mut(&mut node.hop).device += "x";
                }
            }
            3 => {
                let classes = reading.classes.len().max(1);
                if let Some(class) = reading.classes.get_mut(at % classes) {
                    class.service = None;
                }
            }
            4 => {
                reading.births.nodes = (0..nodes as u32).collect();
                if let Some(birth) = reading.births.nodes.get_mut(at % nodes.max(1)) {
                    *birth += 1_000;
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn what_stays_is_who_it_would_be_found_to_be(changes in prop::collection::vec((0u8..7, any::<usize>()), 1..20)) {
            let mut reading = example::lab();
            let mut followed = Identities::default();
            let mut kept = PerNode::<Option<u64>>::default();
            for (how, at) in changes {
                change(&mut reading, how, at);
                followed.follow(&reading);
                prop_assert_eq!(followed.all(), &identities(&reading)[..]);
                kept.follow(&reading);
                for index in 0..reading.nodes.len() {
                    let (identity, it) = kept.get(index);
                    prop_assert_eq!(*it.get_or_insert(identity.node), identity.node);
                }
                if how == 5 {
                    kept.retain(|it| it.is_some_and(|it| it % 2 == 0));
                    kept.follow(&reading);
                }
            }
        }
    }
}
