//! What in the kernel half still means a node or a class.

use std::collections::HashSet;
use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use tracer_common::exchange::Connection;
use tracer_common::layout::{End, HANDED_WAYS, Handed, Packet, Run, Slot, WAITING, silent_end};
use tracer_common::loss::Loss;
use tracer_common::passing::Passing;

use super::super::maps::Memory;
use super::super::tally::Tallies;

/// A packet that stood for so long is gone, or will find that it is not known any more.
const QUIET_NS: u64 = 5_000_000_000;

/// A connection of which nothing was seen for so long is gone, or met anew.
const SILENT_NS: u64 = 600_000_000_000;

/// What open connections count at.
#[derive(Default)]
pub(super) struct Open {
    /// Their classes.
    pub(super) classes: HashSet<u32>,
    /// Their counters.
    pub(super) peers: HashSet<u32>,
}

impl Open {
    /// As it is now.
    pub(super) fn now(memory: &Memory, now_ns: u64) -> Self {
        let mut open = Self::default();
        let all = memory.connections.connections.iter();
        for connection in all.flat_map(|set| set.ways) {
            if connection.tag != 0 && now_ns.saturating_sub(connection.last_ns) < SILENT_NS {
                open.classes.extend(connection.class.checked_sub(1));
                open.peers.extend(connection.counts.checked_sub(1));
            }
        }
        let all = memory.connections.passing.iter();
        for flow in all.flat_map(|set| set.ways) {
            if flow.tag != 0 && now_ns.saturating_sub(flow.last_ns) < QUIET_NS {
                open.classes.extend(flow.class.checked_sub(1));
                open.peers.extend(flow.counts.checked_sub(1));
            }
        }
        open
    }
}

/// Nodes, classes and counters of connections that are to be given away.
#[derive(Default)]
pub(super) struct Marked {
    /// By number.
    pub(super) nodes: Vec<bool>,
    /// By number.
    pub(super) classes: Vec<bool>,
    /// By number: counters of connections.
    pub(super) peers: Vec<bool>,
}

impl Marked {
    pub(super) fn node(&self, number: u32) -> bool {
        is_set(&self.nodes, number)
    }

    pub(super) fn class(&self, number: u32) -> bool {
        is_set(&self.classes, number)
    }

    pub(super) fn peer(&self, number: u32) -> bool {
        is_set(&self.peers, number)
    }

    /// Whether a class or counters, given plus one, are to go; 0 is neither.
    fn means(&self, class: u32, counts: u32) -> bool {
        let is = |number: u32, of: &[bool]| number != 0 && is_set(of, number - 1);
        is(class, &self.classes) || is(counts, &self.peers)
    }
}

fn is_set(marks: &[bool], number: u32) -> bool {
    marks.get(number as usize).copied().unwrap_or(false)
}

/// Takes away what means these nodes and classes and nobody is at work on; true where there was
/// anything, or there is something that somebody is at work on.
pub(super) fn clear(memory: &Memory, marked: &Marked, tallies: &mut Tallies, now_ns: u64) -> bool {
    let slots = clear_slots(memory, marked);
    let flows = clear_flows(memory, marked);
    let connections = clear_connections(memory, marked);
    let passing = clear_passing(memory, marked);
    let runs = clear_runs(memory, marked);
    let packets = clear_packets(memory, marked, tallies, now_ns);
    let handed = clear_handed(memory, marked, tallies, now_ns);
    slots | flows | connections | passing | runs | packets | handed
}

/// What programs remember of nodes that they met lately.
fn clear_slots(memory: &Memory, marked: &Marked) -> bool {
    let mut found = false;
    for index in 0..memory.slots.len() {
        let word = memory.slots.word(index, offset_of!(Slot, node));
        let node = word.load(Relaxed);
        if node != 0 && marked.node(node - 1) {
            found = true;
            // A program may have put another node there in this moment, which stays.
            let _ = word.compare_exchange(node, 0, Relaxed, Relaxed);
        }
    }
    found
}

/// Which class a flow is of: the class plus one in the lower sixteen bits.
fn clear_flows(memory: &Memory, marked: &Marked) -> bool {
    let mut found = false;
    for index in 0..memory.flows.len() {
        let word = memory.flows.double_word(index, 0);
        let flow = word.load(Relaxed);
        let class = u32::from(flow as u16);
        if class != 0 && marked.class(class - 1) {
            found = true;
            let _ = word.compare_exchange(flow, 0, Relaxed, Relaxed);
        }
    }
    found
}

/// Connections that were met after what they count at was chosen: they are met anew.
fn clear_connections(memory: &Memory, marked: &Marked) -> bool {
    let table = &memory.connections.connections;
    let mut found = false;
    for index in 0..table.len() {
        let ways = table.get(index).unwrap_or_default().ways;
        for (way, connection) in ways.iter().enumerate().filter(|(_, it)| it.tag != 0) {
            if marked.means(connection.class, connection.counts) {
                found = true;
                let tag = way * size_of::<Connection>() + offset_of!(Connection, tag);
                let tag = table.double_word(index, tag);
                let _ = tag.compare_exchange(connection.tag, 0, Relaxed, Relaxed);
            }
        }
    }
    found
}

/// The same for flows that are forwarded.
fn clear_passing(memory: &Memory, marked: &Marked) -> bool {
    let table = &memory.connections.passing;
    let mut found = false;
    for index in 0..table.len() {
        let ways = table.get(index).unwrap_or_default().ways;
        for (way, flow) in ways.iter().enumerate().filter(|(_, it)| it.tag != 0) {
            if marked.means(flow.class, flow.counts) {
                found = true;
                let tag = way * size_of::<Passing>() + offset_of!(Passing, tag);
                let tag = table.double_word(index, tag);
                let _ = tag.compare_exchange(flow.tag, 0, Relaxed, Relaxed);
            }
        }
    }
    found
}

/// A CPU's notes of the packets that it handled last. They are of one moment, and looked at in the
/// next one, so that an old one is of use to nobody.
fn clear_runs(memory: &Memory, marked: &Marked) -> bool {
    let notes = [
        offset_of!(Run, received),
        offset_of!(Run, listed),
        offset_of!(Run, upper),
    ];
    let waiting =
        (0..WAITING as usize).map(|note| offset_of!(Run, waiting) + note * size_of::<Packet>());
    let notes: Vec<usize> = notes.into_iter().chain(waiting).collect();
    let mut found = false;
    for index in 0..memory.runs.len() {
        for note in &notes {
            let tag = memory.runs.double_word(index, *note);
            let node = memory.runs.word(index, note + offset_of!(Packet, node));
            let seen = tag.load(Relaxed);
            if seen != 0 && marked.node(node.load(Relaxed)) {
                found = true;
                let _ = tag.compare_exchange(seen, 0, Relaxed, Relaxed);
            }
        }
    }
    found
}

/// Packets that stand where they came to; those that are gone without a word are counted so.
fn clear_packets(memory: &Memory, marked: &Marked, tallies: &mut Tallies, now_ns: u64) -> bool {
    let mut found = false;
    for index in 0..memory.packets.len() {
        let Some(set) = memory.packets.get(index) else {
            continue;
        };
        for (way, packet) in set.ways.iter().enumerate() {
            if packet.tag == 0 || !marked.node(packet.node) {
                continue;
            }
            found = true;
            let tag = memory.packets.double_word(index, way * size_of::<Packet>());
            if is_quiet(packet, now_ns)
                && tag
                    .compare_exchange(packet.tag, 0, Relaxed, Relaxed)
                    .is_ok()
                && let Some(how) = silent_end(packet)
            {
                tallies.end(packet.node, how);
            }
        }
    }
    found
}

/// Packets that left by a wire, and did not come in again.
fn clear_handed(memory: &Memory, marked: &Marked, tallies: &mut Tallies, now_ns: u64) -> bool {
    let mut found = false;
    for index in 0..memory.handover.len() {
        let Some(set) = memory.handover.get(index) else {
            continue;
        };
        for (way, handed) in set.ways.iter().enumerate().take(HANDED_WAYS) {
            if handed.mark == 0 || !marked.node(handed.packet.node) {
                continue;
            }
            found = true;
            let mark = memory
                .handover
                .double_word(index, way * size_of::<Handed>() + offset_of!(Handed, mark));
            let is_taken = is_quiet(&handed.packet, now_ns)
                && mark
                    .compare_exchange(handed.mark, 0, Relaxed, Relaxed)
                    .is_ok();
            // Of those that look alike each was counted.
            if is_taken && handed.state == 1 {
                if handed.segment == 0 {
                    tallies.end(handed.packet.node, End::Left);
                } else {
                    let lost = memory.losses.double_word(Loss::Handover as usize, 0);
                    lost.fetch_add(1, Relaxed);
                }
            }
        }
    }
    found
}

/// Another CPU may have moved it after the clock was read: that is no age.
fn is_quiet(packet: &Packet, now_ns: u64) -> bool {
    (QUIET_NS..u64::MAX / 2).contains(&now_ns.wrapping_sub(packet.last_ns))
}
