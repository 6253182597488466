//! All of the kernel half's memory that the agent sees.

use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use aya::Ebpf;
use tracer_common::layout::{
    Cell, ClassInfo, Control, HandedSet, NodeInfo, Numbers, PacketSet, ROOT, Run, Slot,
};

use super::connections;
use super::memory::Array;
use crate::source::Error;

/// The kernel half's memory.
pub(super) struct Memory {
    pub packets: Array<PacketSet>,
    pub handover: Array<HandedSet>,
    pub cells: Array<Cell>,
    pub nodes: Array<NodeInfo>,
    pub classes: Array<ClassInfo>,
    pub losses: Array<u64>,
    pub control: Array<Control>,
    pub slots: Array<Slot>,
    pub runs: Array<Run>,
    pub flows: Array<u64>,
    pub pool: Array<u32>,
    pub connections: connections::Memory,
}

impl Memory {
    /// Maps all of it.
    pub(super) fn map(ebpf: &Ebpf) -> Result<Self, Error> {
        let map = |name: &str| ebpf.map(name).expect("the object has this map");
        Ok(Self {
            packets: Array::map("PACKETS", map("PACKETS"))?,
            handover: Array::map("HANDOVER", map("HANDOVER"))?,
            cells: Array::map("CELLS", map("CELLS"))?,
            nodes: Array::map("NODE_INFO", map("NODE_INFO"))?,
            classes: Array::map("CLASS_INFO", map("CLASS_INFO"))?,
            losses: Array::map("LOSSES", map("LOSSES"))?,
            control: Array::map("CONTROL", map("CONTROL"))?,
            slots: Array::map("SLOTS_OF", map("SLOTS_OF"))?,
            runs: Array::map("RUNS", map("RUNS"))?,
            flows: Array::map("FLOWS", map("FLOWS"))?,
            pool: Array::map("POOL", map("POOL"))?,
            connections: connections::Memory {
                counts: Array::map("PEER_COUNTS", map("PEER_COUNTS"))?,
                connections: Array::map("CONNECTIONS", map("CONNECTIONS"))?,
                passing: Array::map("PASSING", map("PASSING"))?,
            },
        })
    }

    /// How many numbers of a kind may have been given out: the first ones, as long as none was given
    /// back.
    pub(super) fn given_out(&self, what: Numbers) -> usize {
        let all = match what {
            Numbers::Nodes => self.nodes.len(),
            Numbers::Classes => self.classes.len(),
            Numbers::Cells => self.cells.len(),
            Numbers::Peers => self.connections.counts.len(),
        };
        let control = self.control.get(0).unwrap_or_default();
        if control.end[what as usize] as usize == all {
            (control.next[what as usize] as usize).min(all)
        } else {
            all
        }
    }

    /// The nodes that are ready, each behind its parent: one that has the number of a forgotten node may
    /// be the parent of one with a smaller number.
    pub(super) fn nodes_in_order(&self) -> Vec<(u32, NodeInfo)> {
        let count = self.given_out(Numbers::Nodes);
        let mut waiting: Vec<Option<NodeInfo>> = (0..count)
            .map(|number| self.nodes.get(number).filter(|info| info.ready == 1))
            .collect();
        let mut ordered = Vec::with_capacity(count);
        let mut way = Vec::new();
        for number in 0..count as u32 {
            let mut at = number;
            while at & ROOT == 0
                && let Some(info) = waiting.get_mut(at as usize).and_then(Option::take)
            {
                way.push((at, info));
                at = info.key.parent;
            }
            ordered.extend(way.drain(..).rev());
        }
        ordered
    }

    /// A node is gone that its parent may have counted among those that it tells apart.
    pub(super) fn forget_child(&self, info: &NodeInfo) {
        let parent = info.key.parent;
        if info.key.mac != 0 && parent & ROOT == 0 && (parent as usize) < self.nodes.len() {
            let children = self
                .nodes
                .word(parent as usize, offset_of!(NodeInfo, children));
            // One that was refused more room may have been counted, and one that was not may have.
            let _ = children.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
        }
    }
}
