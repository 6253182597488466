//! The hops of nodes: very many nodes share few of them, and they stay from reading to reading.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::model::Hop;
use crate::source::netns::Namespaces;

/// All hops, each once.
#[derive(Default)]
pub(super) struct Hops {
    shared: HashSet<Arc<Hop>>,
    /// The namespaces that they are in, by cookie: the inode, and what they are called.
    namespaces: BTreeMap<u64, (u32, String)>,
}

impl Hops {
    /// Hops are gone through anew.
    pub(super) fn begin(&mut self) {
        self.namespaces.clear();
    }

    /// The one that is like this.
    pub(super) fn share(&mut self, hop: Hop) -> Arc<Hop> {
        if let Some(known) = self.shared.get(&hop) {
            return Arc::clone(known);
        }
        let hop = Arc::new(hop);
        self.shared.insert(Arc::clone(&hop));
        hop
    }

    /// A node has this one.
    pub(super) fn see(&mut self, hop: &Hop) {
        let namespace = &hop.namespace;
        self.namespaces
            .entry(namespace.cookie)
            .or_insert_with(|| (namespace.inode, namespace.name.clone()));
    }

    /// Whether its namespace is still called so.
    pub(super) fn is_right(hop: &Hop, namespaces: &mut Namespaces) -> bool {
        let namespace = &hop.namespace;
        namespaces.called(namespace.cookie, namespace.inode) == namespace.name
    }

    /// Whether a namespace is called otherwise by now.
    pub(super) fn are_renamed(&self, namespaces: &mut Namespaces) -> bool {
        let known = self.namespaces.iter();
        // All are asked for: what is not is forgotten.
        known.fold(false, |renamed, (&cookie, (inode, name))| {
            renamed | (namespaces.called(cookie, *inode) != name)
        })
    }

    /// Forgets hops that no node has.
    pub(super) fn forget_unused(&mut self) {
        self.shared.retain(|hop| Arc::strong_count(hop) > 1);
    }
}
