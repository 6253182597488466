//! Finer hops: functions of the protocols that a packet goes through between `receive` and what
//! follows.
//!
//! They tell more of a packet's way, and decide nothing: it still stands at `receive` for every other
//! hop, and only its node moves on. What does not fit here is left as it is, for it may be another
//! packet in the same `sk_buff`: a finer hop begins no way, ends none, and loses none.

use tracer_common::{
    hop::Stage,
    layout::{NO_NODE, NodeKey, Packet, flag},
};

use super::Place;
use crate::{
    header,
    kernel::{self, Skb},
    maps::{self, RUNS, Run, WAITING},
    record, table, tree,
};

/// A packet comes to a function of the protocols.
///
/// One that this host sends has no entry before `queue`, and what its address says is another's.
#[inline(always)]
pub(crate) fn pass(skb: Skb, stage: Stage, place: Place) {
    let index = maps::place_of(place.program.0, place.cpu);
    if skb.iif() != 0
        && let Some(scratch) = maps::scratch(index)
    {
        scratch.tag = skb.tag();
        header::point(skb, scratch, false);
        move_on(index, stage as u32);
    }
}

/// Moves the packet at the scratch's address on to a finer hop, where it may come from where it is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn move_on(index: u32, stage: u32) -> u32 {
    let (Some(scratch), Some(run)) = (maps::scratch(index), RUNS.get_ptr_mut(kernel::cpu())) else {
        return 0;
    };
    let tag = scratch.tag;
    let Some(packet) = table::set_of(tag).and_then(|set| table::entry_of(set, tag)) else {
        return 0;
    };
    if !is_received(packet) || !Stage::leads_to_finer(tree::stage_of(packet.node), stage) {
        return 0;
    }
    // SAFETY: it belongs to this CPU, and is written with softirqs off.
    let run = unsafe { &mut *run };
    let is_last = run.received.tag == tag;
    // Of a list all are received before the first one goes on.
    if !is_last
        && (header::parse_header(index) == 0 || scratch.header.fingerprint != packet.fingerprint)
    {
        return 0;
    }
    let key = NodeKey {
        parent: packet.node,
        stage,
        ifindex: 0,
        zero: 0,
        cookie: 0,
        mac: 0,
    };
    // Without room for it the packet stays where it is; the next hop says that there is none.
    let found = tree::met(&key, index).unwrap_or_else(|| {
        scratch.device = 0;
        scratch.born = packet.tuple;
        tree::find(&key, index, scratch)
    });
    if found.missing.is_some() {
        return 0;
    }
    let now = super::moment(packet, run);
    // Another CPU may have displaced the entry while the node was found.
    if !table::is_held(packet, tag) {
        return 0;
    }
    let last = packet.last_ns;
    packet.node = found.node;
    packet.cell = found.cell;
    packet.last_ns = now;
    record::arrive_alone(found.cell, packet, last, now);
    record::step(packet, tag, last, now);
    if is_last {
        follow(&mut run.received, packet);
    } else {
        follow_in_list(run, tag, packet);
    }
    0
}

/// Whether a packet is followed and goes through the protocols.
#[inline(always)]
fn is_received(packet: &Packet) -> bool {
    packet.node != NO_NODE
        && packet.stage == Stage::Receive as u8
        && packet.flags & (flag::ENDED | flag::HANDED) == 0
}

/// Notes are of where a packet is: copies and datagrams go on from them.
#[inline(always)]
fn follow(note: &mut Packet, packet: &Packet) {
    note.node = packet.node;
    note.cell = packet.cell;
    note.last_ns = packet.last_ns;
}

#[inline(always)]
fn follow_in_list(run: &mut Run, tag: u64, packet: &Packet) {
    let mut index = 0;
    while index < WAITING {
        let note = &mut run.waiting[index as usize];
        if note.tag == tag {
            follow(note, packet);
        }
        index += 1;
    }
}
