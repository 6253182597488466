//! Packets that wait to be recognised in another `sk_buff`: beyond a device that ends theirs, or
//! as the segments of one that was split.

use tracer_common::{
    layout::{End, HANDED_WAYS, HandedSet, Packet},
    loss::Loss,
};

use crate::{
    header,
    kernel::setting,
    lock::Lock,
    maps::{self, HANDOVER},
    record,
    table::STALE_NS,
};

/// A packet that left by a device.
pub(crate) const WHOLE: u32 = 0;
/// A packet of which a segment will leave.
pub(crate) const SEGMENT: u32 = 1;

/// States of an entry.
const WAITS: u32 = 1;
const AMBIGUOUS: u32 = 2;

#[inline(always)]
fn place_of(mark: u64) -> u32 {
    (mark >> 20) as u32 & setting!(handover_mask)
}

#[inline(always)]
fn set_of(mark: u64) -> Option<*mut HandedSet> {
    HANDOVER.get_ptr_mut(place_of(mark))
}

/// Leaves the scratch's packet to be taken up where its mark is seen again.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn hand_over(index: u32, mark: u64, segment: u32) -> u32 {
    let (Some(scratch), Some(set)) = (maps::scratch(index), set_of(mark)) else {
        return 0;
    };
    let packet = &scratch.packet;
    // Without the lock, where its holder stands still, nothing is lost as a rule: two CPUs seldom
    // want the same set.
    let _lock = Lock::of_handover(place_of(mark));
    // SAFETY: the map's memory.
    let ways = unsafe { &mut (*set).ways };
    // The way of one that looks alike, else a free one, else the oldest. Segments may look alike:
    // those of a packet that is sent again.
    let mut chosen = 0;
    let mut is_same = segment == WHOLE && ways[0].mark == mark;
    let mut way = 1;
    while way < HANDED_WAYS {
        if segment == WHOLE && ways[way].mark == mark {
            chosen = way;
            is_same = true;
        } else if !is_same
            && ways[chosen].mark != 0
            && (ways[way].mark == 0 || ways[way].packet.last_ns < ways[chosen].packet.last_ns)
        {
            chosen = way;
        }
        way += 1;
    }
    let way = &mut ways[chosen & (HANDED_WAYS - 1)];
    if is_same {
        // Two that look alike: neither can be recognised.
        if way.state == WAITS {
            record::end(&way.packet, End::Ambiguous);
        }
        way.state = AMBIGUOUS;
        record::end(packet, End::Ambiguous);
    } else {
        if way.mark != 0 && way.state == WAITS {
            let is_young = packet.last_ns.wrapping_sub(way.packet.last_ns) < STALE_NS;
            // An old one left for good.
            let how = if is_young { End::Displaced } else { End::Left };
            lose(way.segment, &way.packet, how);
        }
        way.mark = mark;
        way.state = WAITS;
        way.segment = segment;
        way.packet = *packet;
    }
    0
}

/// A segment is no packet yet, so that no node misses it.
#[inline(always)]
fn lose(segment: u32, packet: &Packet, how: End) {
    if segment == SEGMENT {
        record::lose(Loss::Handover);
    } else {
        record::end(packet, how);
    }
}

/// What [`take`] answers.
pub(crate) const TAKEN: u32 = 1;
/// Several packets looked like this one.
pub(crate) const MANY: u32 = 2;

/// Takes a packet that was handed over into the scratch, if it can be told from all others.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn take(index: u32, mark: u64, segment: u32) -> u32 {
    let (Some(scratch), Some(set)) = (maps::scratch(index), set_of(mark)) else {
        return 0;
    };
    let _lock = Lock::of_handover(place_of(mark));
    // SAFETY: the map's memory.
    let ways = unsafe { &mut (*set).ways };
    let mut answer = 0;
    for way in ways.iter_mut() {
        if way.mark == mark && way.segment == segment && answer == 0 {
            if way.state == WAITS {
                scratch.packet = way.packet;
                way.mark = 0;
                answer = TAKEN;
            } else {
                answer = MANY;
            }
        }
    }
    answer
}

/// Segments of one packet at most: 64 KiB of the smallest ones that TCP makes in practice.
const SEGMENTS: u32 = 64;

/// Leaves a mark for each segment that the scratch's packet is split into; its header is there too.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn split(index: u32, size: u32, count: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let flow = scratch.header.flow;
    let is_tcp = scratch.header.tuple.protocol == header::TCP;
    let mut sequence = scratch.header.sequence;
    let step = if is_tcp { size } else { 1 };
    // An IP ID has 16 bits, a sequence number 32.
    let mask = if is_tcp { u32::MAX } else { 0xffff };
    let mut segment = 0;
    while segment < SEGMENTS {
        if segment >= count {
            break;
        }
        hand_over(index, header::segment_mark(flow, sequence & mask), SEGMENT);
        sequence = sequence.wrapping_add(step);
        segment += 1;
    }
    if count > SEGMENTS {
        record::lose(Loss::Handover);
    }
    0
}
