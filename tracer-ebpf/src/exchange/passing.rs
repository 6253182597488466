//! TCP flows that are forwarded: there is no socket to ask, so round trips are measured from the
//! headers, at the packet's first hop, where they are read anyway.
//!
//! A segment that goes to one end is waited for until that end acknowledges it. What was sent
//! again, or behind which something is missing, is not waited for: nobody knows what its
//! acknowledgement was for (Karn). The timestamps of RFC 7323, where both ends have them, tell in
//! addition the acknowledgement of a later segment from that of the one that is waited for.

use tracer_common::{
    exchange::{HELD_BACK_US, PeerKey, Phase, Sight, vantage},
    hop::Stage,
    layout::NO_NODE,
    passing::{FLOOR_NS, Passing, PassingSet, mark},
};

use super::{PASSING, Seen, connection, peer, sockets};
use crate::{
    header::{self, mix, words},
    kernel,
    maps::{self, CLASS_INFO, Scratch},
    tree,
};

/// Where the transport header is in the scratch: see [`crate::header`].
const UPPER: usize = header::UPPER;

const FIN: u32 = 1;
const SYN: u32 = 2;
const RST: u32 = 4;
const ACK: u32 = 16;

/// A direction that was idle for so long makes room for another.
const STALE_NS: u64 = 120_000_000_000;
/// The same for one whose other direction never passed here, or that ended; one that was never
/// answered makes room at once.
const IDLE_NS: u64 = 2_000_000_000;

/// One of a class's packets is forwarded: a node of that kind was made below this one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn note_forwarded(parent: u32) -> u32 {
    if parent == NO_NODE || tree::stage_of(parent) != Stage::Receive as u32 {
        return 0;
    }
    let class = connection::class_of(parent);
    if let Some(info) = CLASS_INFO.get_ptr_mut(class.wrapping_sub(1)) {
        // SAFETY: one word of the map.
        unsafe { core::ptr::write_volatile(&raw mut (*info).forwarded, 1) };
    }
    0
}

/// Whether packets of a class, given plus one, are forwarded.
#[inline(always)]
pub(crate) fn is_forwarded(class: u32) -> bool {
    CLASS_INFO
        .get(class.wrapping_sub(1))
        .is_some_and(|info| info.forwarded != 0)
}

/// A segment as it passes.
#[derive(Clone, Copy)]
struct Segment {
    sequence: u32,
    /// The sequence number behind it.
    end: u32,
    acknowledges: u32,
    flags: u32,
    payload: u32,
    window: u32,
    /// Its timestamp, and the one that it echoes; 0 without.
    stamp: u32,
    echo: u32,
    now: u64,
}

/// A TCP segment of a class that is forwarded came in; its headers are in the scratch.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn passed(index: u32, class: u32) -> u32 {
    let (Some(scratch), Some(seen)) = (maps::scratch(index), super::seen(index)) else {
        return 0;
    };
    let segment = segment(scratch);
    let (own_tag, other_tag) = tags(scratch);
    let Some(own) = find(own_tag) else {
        if segment.flags & RST == 0 {
            meet(own_tag, scratch, seen, class, &segment);
        }
        if segment.flags & SYN != 0 && find(other_tag).is_none() {
            await_answer(other_tag, &segment);
        }
        return 0;
    };
    on_this_cpu(scratch, seen, own, class);
    own.last_ns = segment.now;
    let is_new = came(own, &segment);
    if let Some(other) = find(other_tag) {
        if other.class != 0 {
            own.marks |= mark::BOTH_WAYS;
        }
        await_acknowledgement(other, &segment, is_new);
    }
    if segment.flags & ACK != 0 {
        acknowledged(own, &segment);
    }
    note_hops(own, scratch);
    0
}

/// Reads the segment from the headers in the scratch.
#[inline(always)]
fn segment(scratch: &Scratch) -> Segment {
    let raw = &scratch.raw;
    let lengths = u32::from_be(raw[UPPER + 3]);
    let flags = lengths >> 16 & 0x3f;
    let payload = scratch.header.payload;
    // SYN and FIN take a place in the sequence (RFC 9293, section 3.4).
    let length = payload + (flags >> 1 & 1) + (flags & 1);
    let sequence = u32::from_be(raw[UPPER + 1]);
    // All but SYNs have them in front, behind two bytes of padding (RFC 7323, appendix A).
    let has_stamps = lengths >> 28 >= 8 && raw[UPPER + 5] == 0x0101_080au32.to_be();
    let stamp = |word: usize| {
        if has_stamps {
            u32::from_be(raw[word])
        } else {
            0
        }
    };
    Segment {
        sequence,
        end: sequence.wrapping_add(length),
        acknowledges: u32::from_be(raw[UPPER + 2]),
        flags,
        payload,
        window: lengths & 0xffff,
        stamp: stamp(UPPER + 6),
        echo: stamp(UPPER + 7),
        now: scratch.packet.first_ns,
    }
}

/// What stands for the direction of the packet in the scratch, and for the other one.
#[inline(always)]
fn tags(scratch: &Scratch) -> (u64, u64) {
    let tuple = &scratch.header.tuple;
    let (mut source, mut destination) = (scratch.cookie, scratch.cookie);
    source = mix(source, words(tuple.source[0], u32::from(tuple.source_port)));
    destination = mix(
        destination,
        words(tuple.destination[0], u32::from(tuple.destination_port)),
    );
    if tuple.family == 6 {
        source = mix(source, words(tuple.source[1], tuple.source[2]));
        source = mix(source, u64::from(tuple.source[3]));
        destination = mix(
            destination,
            words(tuple.destination[1], tuple.destination[2]),
        );
        destination = mix(destination, u64::from(tuple.destination[3]));
    }
    (
        mix(source, destination.rotate_left(17)) | 1,
        mix(destination, source.rotate_left(17)) | 1,
    )
}

#[inline(always)]
fn set_of(tag: u64) -> Option<*mut PassingSet> {
    PASSING.get_ptr_mut((tag >> 32) as u32 & sockets!(connections_mask))
}

/// The direction that a tag stands for.
#[inline(always)]
fn find(tag: u64) -> Option<&'static mut Passing> {
    // SAFETY: the map's memory. Two CPUs that see segments of one direction at the same moment may
    // spoil one of its samples, which the counters bound: no number is used as a place.
    let [first, second] = unsafe { &mut (*set_of(tag)?).ways };
    if first.tag == tag {
        Some(first)
    } else if second.tag == tag {
        Some(second)
    } else {
        None
    }
}

/// Whether an entry may be used for another direction.
#[inline(always)]
fn is_free(way: &Passing, now: u64) -> bool {
    let idle = now.wrapping_sub(way.last_ns);
    let is_whole = way.marks & (mark::BOTH_WAYS | mark::ENDED) == mark::BOTH_WAYS;
    let is_unanswered = way.marks & (mark::BOTH_WAYS | mark::SYN) == mark::SYN;
    // Another CPU's clock may be ahead.
    let is_idle = idle < u64::MAX / 2 && idle > if is_whole { STALE_NS } else { IDLE_NS };
    way.tag == 0 || is_idle || is_unanswered
}

/// Makes an entry for the direction of the packet in the scratch.
#[inline(always)]
fn meet(tag: u64, scratch: &Scratch, seen: &mut Seen, class: u32, segment: &Segment) {
    let counts = place_of(scratch, seen, class);
    let Some(way) = room(tag, segment.now) else {
        return peer::count(counts, Sight::Untracked, 1);
    };
    way.class = class;
    way.counts = counts;
    way.cpu = kernel::cpu();
    way.tuple = scratch.header.tuple;
    way.came = segment.end;
    way.marks = mark::CAME;
    if segment.flags & SYN != 0 {
        way.marks |= mark::SYN;
    }
    note_hops(way, scratch);
    way.tag = tag;
}

/// Makes an entry for the direction of a handshake's answer, which is not there yet.
#[inline(always)]
fn await_answer(tag: u64, segment: &Segment) {
    if let Some(way) = room(tag, segment.now) {
        way.marks = mark::SYN;
        await_acknowledgement(way, segment, true);
        way.tag = tag;
    }
}

/// An entry for a direction, empty; none where all are in use.
#[inline(always)]
fn room(tag: u64, now: u64) -> Option<&'static mut Passing> {
    // SAFETY: as in `find`.
    let [first, second] = unsafe { &mut (*set_of(tag)?).ways };
    let way = if is_free(first, now) {
        first
    } else if is_free(second, now) {
        second
    } else {
        return None;
    };
    clear(way);
    way.last_ns = now;
    Some(way)
}

/// Word by word: a call to `memset` would cost a frame of the stack.
#[inline(always)]
fn clear(way: &mut Passing) {
    const WORDS: usize = size_of::<Passing>() / 8;
    let words = (&raw mut *way).cast::<u64>();
    let mut word = 0;
    while word < WORDS {
        // SAFETY: within the entry, for which zeros are valid.
        unsafe { core::ptr::write_volatile(words.add(word), 0) };
        word += 1;
    }
}

/// The counters of a class, given plus one, at the device where the packet in the scratch came in.
#[inline(always)]
pub(super) fn place_of(scratch: &Scratch, seen: &mut Seen, class: u32) -> u32 {
    seen.key = PeerKey {
        cookie: scratch.cookie,
        gateway: [0; 4],
        ifindex: scratch.ifindex,
        class: class.wrapping_sub(1),
        cpu: kernel::cpu(),
        gateway_family: 0,
        vantage: vantage::PASSING,
    };
    peer::find(seen)
}

#[inline(always)]
fn on_this_cpu(scratch: &Scratch, seen: &mut Seen, own: &mut Passing, class: u32) {
    let cpu = kernel::cpu();
    if own.class == 0 {
        // It was awaited.
        own.class = class;
        own.tuple = scratch.header.tuple;
    } else if own.cpu == cpu {
        return;
    }
    own.counts = place_of(scratch, seen, own.class);
    own.cpu = cpu;
}

/// Whether a sequence number comes before another one (RFC 9293, section 3.4).
#[inline(always)]
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// What a segment says of the way that it came; whether it is new, and follows the one before.
#[inline(always)]
fn came(own: &mut Passing, segment: &Segment) -> bool {
    let counts = own.counts;
    if segment.flags & RST != 0 {
        own.marks |= mark::ENDED;
        peer::count(counts, Sight::ResetsReceived, 1);
        return false;
    }
    if segment.flags & FIN != 0 {
        own.marks |= mark::ENDED;
    }
    if segment.flags & SYN != 0 {
        let is_known = own.marks & mark::CAME != 0;
        let is_again = is_known && own.marks & mark::SYN != 0 && own.came == segment.end;
        if is_again {
            let sight = if segment.flags & ACK == 0 {
                Sight::SynRetransmits
            } else {
                Sight::SynAckRetransmits
            };
            peer::count(counts, sight, 1);
            return false;
        }
        // Another connection with the same addresses and ports.
        own.marks = own.marks & mark::BOTH_WAYS | mark::CAME | mark::SYN;
        own.came = segment.end;
        if is_known {
            own.awaited_ns = 0;
            own.latest_ns = 0;
        }
        return true;
    }
    if own.marks & mark::CAME == 0 {
        own.marks |= mark::CAME;
        own.came = segment.end;
        return true;
    }
    let is_closed = segment.window == 0;
    if is_closed && own.marks & mark::ZERO_WINDOW == 0 {
        peer::count(counts, Sight::PeerZeroWindow, 1);
    }
    own.marks &= !(mark::ZERO_WINDOW | mark::SYN);
    if is_closed {
        own.marks |= mark::ZERO_WINDOW;
    }
    if segment.end == segment.sequence {
        return false;
    }
    own.segments = own.segments.wrapping_add(1);
    let follows = segment.sequence == own.came;
    if is_before(segment.sequence, own.came) {
        own.again = own.again.wrapping_add(1);
        peer::count(counts, Sight::Duplicates, 1);
    } else if !follows {
        peer::count(counts, Sight::Gaps, 1);
    }
    if is_before(own.came, segment.end) {
        own.came = segment.end;
    }
    follows
}

/// A segment goes to the end that `other`'s packets come from.
#[inline(always)]
fn await_acknowledgement(other: &mut Passing, segment: &Segment, is_new: bool) {
    if segment.end == segment.sequence {
        return;
    }
    if !is_new {
        other.awaited_ns = 0;
        other.latest_ns = 0;
        return;
    }
    if segment.payload > other.longest {
        other.longest = segment.payload;
    }
    other.latest = segment.end;
    other.latest_ns = segment.now;
    if other.awaited_ns == 0 {
        other.awaited = segment.end;
        other.awaited_ns = segment.now;
        other.stamp = segment.stamp;
        other.marks &= !mark::OPENING;
        if segment.flags & SYN != 0 {
            other.marks |= mark::OPENING;
        }
    }
}

/// An end acknowledges what went to it.
#[inline(always)]
fn acknowledged(own: &mut Passing, segment: &Segment) {
    let acknowledges = segment.acknowledges;
    let advance = acknowledges.wrapping_sub(own.acknowledged);
    // Two full segments are acknowledged at once (RFC 9293, section 3.8.6.3).
    let is_many = own.marks & mark::ACKNOWLEDGED != 0
        && own.longest != 0
        && advance.cast_signed() > own.longest.cast_signed();
    if own.marks & mark::ACKNOWLEDGED == 0 || is_before(own.acknowledged, acknowledges) {
        own.acknowledged = acknowledges;
        own.marks |= mark::ACKNOWLEDGED;
    }
    if own.awaited_ns == 0 || is_before(acknowledges, own.awaited) {
        return;
    }
    let has_stamps = own.stamp != 0 && segment.echo != 0;
    // Of what it acknowledges it echoes the earliest (RFC 7323, section 4.3). Where that is later
    // than what is waited for, an acknowledgement was lost, or something was sent again elsewhere.
    let is_of_later = has_stamps && is_before(own.stamp, segment.echo);
    let is_latest = acknowledges == own.latest;
    let is_sure = is_latest || has_stamps || acknowledges == own.awaited;
    let since = if is_latest {
        own.latest_ns
    } else {
        own.awaited_ns
    };
    own.awaited_ns = 0;
    own.latest_ns = 0;
    let us = segment.now.wrapping_sub(since) / 1000;
    // Two CPUs may see them in another order than they came.
    if is_of_later && !is_latest || us > 1 << 29 {
        return;
    }
    round_trip(own, segment, us as u32, is_many && is_sure);
}

/// A round trip between here and the end that the segment came from.
#[inline(always)]
fn round_trip(own: &mut Passing, segment: &Segment, us: u32, is_many: bool) {
    let counts = own.counts;
    let us = if us == 0 { 1 } else { us };
    let ns = u64::from(us) * 1000;
    let is_old = segment.now.wrapping_sub(own.floor_since_ns) > FLOOR_NS;
    if own.floor_us == 0 || us <= own.floor_us || is_old {
        own.floor_us = us;
        own.floor_since_ns = segment.now;
    }
    let is_late = us >= HELD_BACK_US && us.wrapping_sub(own.floor_us) >= HELD_BACK_US;
    if own.marks & mark::OPENING != 0 {
        own.marks &= !mark::OPENING;
        peer::time(counts, Phase::Handshake, ns);
    } else if segment.payload != 0 {
        peer::time(counts, Phase::RttWithData, ns);
    } else if !is_late || is_many {
        peer::time(counts, Phase::Rtt, ns);
    } else {
        return peer::count(counts, Sight::HeldBack, 1);
    }
    own.rtts = own.rtts.wrapping_add(1);
    own.rtt_sum_us = own.rtt_sum_us.wrapping_add(u64::from(us));
    own.rtt_last_us = us;
    if own.rtt_min_us == 0 || us < own.rtt_min_us {
        own.rtt_min_us = us;
    }
}

/// How many hops the packet in the scratch has left.
#[inline(always)]
pub(super) fn hops_left(scratch: &Scratch) -> u32 {
    if scratch.header.tuple.family == 4 {
        u32::from_be(scratch.raw[2]) >> 24
    } else {
        u32::from_be(scratch.raw[1]) & 0xff
    }
}

#[inline(always)]
fn note_hops(own: &mut Passing, scratch: &Scratch) {
    let ttl = hops_left(scratch);
    peer::note_ttl(own.counts, u32::from(own.ttl), ttl, own.last_ns);
    own.ttl = ttl as u8;
}
