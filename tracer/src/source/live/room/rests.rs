//! What is left of nodes that are forgotten: how their packets ended.

use std::collections::HashMap;

use tracer_common::hop::Stage;
use tracer_common::layout::{NodeInfo, ROOT};
use tracer_common::loss::Loss;

use super::super::places::Places;
use crate::model::{Forgotten, Gone, Reading};

/// The rests.
#[derive(Default)]
pub(super) struct Rests {
    /// By the number of the node from which packets went on.
    beyond: HashMap<u32, Gone>,
    /// All that hangs on no node.
    pub(super) all: Forgotten,
}

impl Rests {
    /// Keeps how a node's packets ended, at the one before it; its children went before.
    pub(super) fn keep(&mut self, number: u32, info: &NodeInfo, reading: &Reading, place: usize) {
        let mut rest = self.beyond.remove(&number).unwrap_or_default();
        let node = &reading.nodes[place];
        // A read comes after the packet's end.
        if node.hop.stage == Stage::Read {
            return;
        }
        let went_on = std::mem::replace(&mut rest.packets, node.packets);
        let gone = (node.packets + node.born).saturating_sub(went_on + node.ends.sum());
        rest.born += node.born;
        rest.ends.add(&node.ends);
        if gone > 0 {
            // Datagrams that a socket took in silence.
            let name = Loss::Unseen.name().to_owned();
            *rest.ends.lost.entry(name).or_default() += gone;
        }
        if info.key.parent & ROOT != 0 {
            self.all.whole.add(&rest);
        } else {
            self.beyond.entry(info.key.parent).or_default().add(&rest);
        }
    }

    /// Adds them to a reading, whose nodes have these places.
    pub(super) fn tell(&self, reading: &mut Reading, places: &Places) {
        let beyond = self.beyond.iter();
        let beyond = beyond.filter_map(|(node, gone)| Some((places.node(*node)?, gone.clone())));
        reading.forgotten = Forgotten {
            beyond: beyond.collect(),
            ..self.all.clone()
        };
        for (reason, count) in reading.forgotten.lost() {
            *reading.losses.entry(reason).or_default() += count;
        }
    }
}
