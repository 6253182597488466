//! The nodes of a reading as trees, and the ways through them.

use std::cmp::Reverse;

use crate::model::hop::Stage;
use crate::model::{Node, Parent};

/// Who hangs below whom.
///
/// Parents stand before their children; a node that names a later parent, which no source gives,
/// hangs nowhere and has no way.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    parents: Vec<Parent>,
    /// Nodes at or below a `read` that follows another hop.
    reads: Vec<bool>,
    /// The first child of each, and the next one of its parent's.
    first: Vec<Option<u32>>,
    next: Vec<Option<u32>>,
    leaves_below: Vec<u32>,
    busiest_leaf: Vec<u32>,
}

impl Tree {
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut tree = Self {
            parents: nodes.iter().map(|node| node.parent).collect(),
            reads: vec![false; nodes.len()],
            first: vec![None; nodes.len()],
            next: vec![None; nodes.len()],
            leaves_below: vec![0; nodes.len()],
            busiest_leaf: vec![0; nodes.len()],
        };
        for (index, node) in nodes.iter().enumerate() {
            if let Some(parent) = tree.parent(index).filter(|&parent| parent < index) {
                tree.reads[index] = node.hop.stage == Stage::Read || tree.reads[parent];
            }
        }
        for index in (0..nodes.len()).rev() {
            if let Some(parent) = tree.parent(index).filter(|&parent| parent < index) {
                tree.next[index] = tree.first[parent].replace(index as u32);
            }
            let below = tree.onward(index).map(|child| tree.leaves_below[child]);
            tree.leaves_below[index] = below.sum::<u32>().max(1);
        }
        tree.count(nodes);
        tree
    }

    /// Follows what the same nodes counted since; returns whether packets spread otherwise where ways
    /// part.
    pub(super) fn count(&mut self, nodes: &[Node]) -> bool {
        let mut spread = false;
        for index in (0..self.parents.len()).rev() {
            let busiest = self.find_busiest_leaf(nodes, index);
            spread |= std::mem::replace(&mut self.busiest_leaf[index], busiest) != busiest;
        }
        spread
    }

    /// Every way from a first hop to a leaf, as indexes of nodes, with the reads that follow it.
    pub(super) fn ways(&self) -> Vec<Vec<usize>> {
        (0..self.parents.len())
            .filter(|&index| !self.reads[index] && self.onward(index).next().is_none())
            .filter_map(|leaf| self.way_to(leaf))
            .collect()
    }

    /// The class of a way.
    pub(super) fn class(&self, way: &[usize]) -> usize {
        match way.first().map(|&first| self.parents[first]) {
            Some(Parent::Class(class)) => class,
            _ => usize::MAX,
        }
    }

    /// The node before, if there is one.
    pub(super) fn parent(&self, index: usize) -> Option<usize> {
        match self.parents[index] {
            Parent::Node(parent) => Some(parent),
            Parent::Class(_) => None,
        }
    }

    /// Whether the node is a read, after the packet's end.
    pub(super) fn is_read(&self, index: usize) -> bool {
        self.reads[index]
    }

    /// How many ways lead through a node.
    pub(super) fn leaves_below(&self, index: usize) -> usize {
        self.leaves_below[index] as usize
    }

    /// Whether what ended at a node belongs to this way: it leads on by the busiest children.
    pub(super) fn accounts_here(&self, index: usize, way: &[usize]) -> bool {
        !self.reads[index] && way.contains(&(self.busiest_leaf[index] as usize))
    }

    /// How many more came to a node and were born there than went on or ended.
    pub(super) fn difference(&self, nodes: &[Node], index: usize) -> i128 {
        let node = &nodes[index];
        let onward = self
            .onward(index)
            .map(|child| i128::from(nodes[child].packets));
        i128::from(node.packets) + i128::from(node.born)
            - onward.sum::<i128>()
            - i128::from(node.ends.sum())
    }

    fn way_to(&self, leaf: usize) -> Option<Vec<usize>> {
        let mut way = vec![leaf];
        let mut at = leaf;
        while let Parent::Node(parent) = self.parents[at] {
            // Each step goes to an earlier node, so this ends.
            at = (parent < at).then_some(parent)?;
            way.push(at);
        }
        way.reverse();
        let with_reads = way
            .iter()
            .flat_map(|&index| {
                let reads = if self.accounts_here(index, &way) {
                    self.reads_after(index)
                } else {
                    Vec::new()
                };
                std::iter::once(index).chain(reads)
            })
            .collect();
        Some(with_reads)
    }

    /// The leaf that most packets go to; of two ways with as many the earlier one is busier.
    fn find_busiest_leaf(&self, nodes: &[Node], index: usize) -> u32 {
        self.onward(index)
            .max_by_key(|&child| (nodes[child].packets, Reverse(child)))
            .map_or(index as u32, |child| self.busiest_leaf[child])
    }

    /// The leaf on whose way what ended at a node counts; none where that is no way.
    pub(super) fn accounted_at(&self, index: usize) -> Option<usize> {
        (!self.reads[index]).then_some(self.busiest_leaf[index] as usize)
    }

    /// The children on the packet's way.
    fn onward(&self, index: usize) -> impl Iterator<Item = usize> {
        self.children(index).filter(|&child| !self.reads[child])
    }

    fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.first[index], |&child| self.next[child as usize])
            .map(|child| child as usize)
    }

    /// All reads below a node, each after the one that it hangs on.
    fn reads_after(&self, index: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let reads_below = |index: usize, waiting: &mut Vec<usize>| {
            let begin = waiting.len();
            waiting.extend(self.children(index).filter(|&child| self.reads[child]));
            waiting[begin..].reverse();
        };
        let mut waiting = Vec::new();
        reads_below(index, &mut waiting);
        while let Some(read) = waiting.pop() {
            found.push(read);
            reads_below(read, &mut waiting);
        }
        found
    }
}
