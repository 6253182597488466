//! What was counted at hops that are forgotten since: others needed their room.

use std::collections::BTreeMap;

use super::{Ends, Losses};

/// What is left of hops and classes that were used least lately, when a table of the kernel half was
/// almost full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// How many nodes.
    pub nodes: u64,
    /// How many classes.
    pub classes: u64,
    /// Packets of ways that are forgotten as a whole, from their first hop on.
    pub whole: Gone,
    /// Packets whose further way is forgotten, by the index of the node from which they went on.
    pub beyond: BTreeMap<usize, Gone>,
}

impl Forgotten {
    /// What was lost from sight at these hops, by the tracer's reason.
    pub fn lost(&self) -> Losses {
        let mut losses = Losses::new();
        for gone in self.beyond.values().chain([&self.whole]) {
            for (reason, count) in &gone.ends.lost {
                *losses.entry(reason.clone()).or_default() += count;
            }
        }
        losses
    }
}

/// Packets, by count, whose hops are forgotten.
///
/// What came and what was born there equals how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Packets that came to the first of these hops.
    pub packets: u64,
    /// Packets that came to be there.
    pub born: u64,
    /// Packets whose way ended there.
    pub ends: Ends,
}

impl Gone {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.born = self.born.saturating_add(other.born);
        self.ends.add(&other.ends);
    }
}
