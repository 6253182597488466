//! Where packets end: dropped, consumed, split, or out of what is traced.

use tracer_common::{
    hop::Stage,
    layout::{End, NO_NODE, Packet, flag},
};

use super::{Hop, Place, total};
use crate::{
    handover::{self, SEGMENT, TAKEN, WHOLE},
    header::{self, UDP},
    kernel::{Skb, setting},
    maps, record,
    table::{self, copy_all_but_tag},
};

/// The kernel drops a packet.
#[inline(always)]
pub(crate) fn drop(skb: Skb, reason: u32, place: Place) {
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    header::point(skb, scratch, false);
    scratch.tag = hop.tag;
    dropped(hop.index(), reason);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn dropped(index: u32, reason: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let tag = scratch.tag;
    super::settle(tag);
    let Some(set) = table::set_of(tag) else {
        return 0;
    };
    let Some(packet) = table::entry_of(set, tag) else {
        return drop_segment(index, reason);
    };
    if packet.node == NO_NODE {
        return table::disregard(tag);
    }
    if packet.stage == Stage::Read as u8 || packet.flags & flag::COPIED != 0 {
        return 0;
    }
    if header::parse_header(index) == 0 || scratch.header.fingerprint != packet.fingerprint {
        table::forget(packet, tag);
        return drop_segment(index, reason);
    }
    if is_part_of_another(packet, reason) {
        table::forget(packet, tag);
        return 0;
    }
    if packet.flags & flag::HANDED != 0 {
        handover::take(index, scratch.header.mark | 1, WHOLE);
    }
    if packet.flags & flag::ENDED != 0 {
        record::revoke(packet, End::Delivered);
    }
    record::drop(packet, reason);
    if packet.flags & (flag::ENDED | flag::HANDED) == 0 {
        table::clear(packet, tag);
    }
    0
}

/// Whether GRO hung it behind another one, with which the kernel frees it in the end, and says
/// "dropped" (`skb_release_data` of `net/core/skbuff.c`).
#[inline(always)]
fn is_part_of_another(packet: &Packet, reason: u32) -> bool {
    packet.stage == Stage::Rx as u8
        && packet.flags & flag::GRO != 0
        && reason == setting!(unspecified)
}

/// A segment is dropped before it came to any hop, in the queue that its packet was split for.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn drop_segment(index: u32, reason: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    if header::parse_header(index) == 0 {
        return 0;
    }
    let mark = header::segment_mark(scratch.header.flow, scratch.header.sequence);
    if handover::take(index, mark, SEGMENT) == TAKEN {
        record::bear(&scratch.packet);
        record::drop(&scratch.packet, reason);
    }
    0
}

/// A packet ends well: its last owner is done with it, or it was split.
#[inline(always)]
pub(crate) fn consume(skb: Skb, place: Place) {
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    let Some(packet) = hop.entry() else { return };
    if packet.node == NO_NODE {
        table::disregard(hop.tag);
        return;
    }
    if packet.flags & (flag::ENDED | flag::HANDED) != 0 {
        return;
    }
    let is_queued = packet.stage == Stage::Queue as u8;
    let is_received = packet.stage == Stage::Receive as u8;
    let is_at_work = packet.cpu == hop.cpu && hop.run().received.tag == hop.tag;
    if is_received && packet.protocol == UDP && !is_at_work {
        // A reader on another CPU was faster than the word that there is something to read.
        return;
    }
    let may_end_here = is_queued || is_received && packet.flags & flag::FRAGMENT == 0;
    if !may_end_here || !hop.is_same(packet) {
        return table::forget(packet, hop.tag);
    }
    let (size, count) = if is_queued { skb.segments() } else { (0, 0) };
    if size != 0 {
        split(&hop, packet, u32::from(size), u32::from(count));
        record::end(packet, End::Split);
    } else {
        record::end(packet, End::Delivered);
        total(&hop, packet);
    }
    table::clear(packet, hop.tag);
}

/// Leaves a mark for each segment; the packet's header is in the scratch.
#[inline(always)]
fn split(hop: &Hop, packet: &Packet, size: u32, count: u32) {
    if let Some(scratch) = maps::scratch(hop.index()) {
        // SAFETY: a valid reference.
        unsafe { copy_all_but_tag(packet, &raw mut scratch.packet) };
        handover::split(hop.index(), size, count);
    }
}

/// A packet left what is traced: the device or the namespace that was asked for.
#[inline(always)]
pub(super) fn leave(hop: &Hop) {
    let Some(packet) = hop.entry() else { return };
    if packet.node == NO_NODE {
        table::disregard(hop.tag);
    } else if packet.flags & (flag::ENDED | flag::HANDED) == 0 {
        record::end(packet, End::Left);
        table::clear(packet, hop.tag);
    }
}
