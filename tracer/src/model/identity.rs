//! Which node is which, from one reading to the next.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::passing::Passing;
use super::report::class_key;
use super::{Class, Connections, Parent, Reading};

/// Which node this is.
#[derive(Clone, Copy, Debug)]
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
    let classes: Vec<u64> = reading
        .classes
        .iter()
        .map(|class| hash(class_key(class)))
        .collect();
    let mut found: Vec<Identity> = Vec::with_capacity(reading.nodes.len());
    let mut taken = HashSet::with_capacity(reading.nodes.len());
    for (index, node) in reading.nodes.iter().enumerate() {
        let above = match node.parent {
            Parent::Class(class) => Identity {
                node: classes.get(class).copied().unwrap_or(0),
                names: 0,
                class: Some(class),
            },
            // A parent stands before its children; one that does not is no parent.
            Parent::Node(parent) => found.get(parent).copied().unwrap_or(Identity {
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
        found.push(Identity {
            node: own,
            names: hash((above.names, &hop.namespace.name, &hop.device)),
            class: above.class,
        });
    }
    found
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
