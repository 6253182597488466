//! A segment reaches its socket: what it says of the round trip, and of the exchange.

use tracer_common::{
    exchange::{Connection, HELD_BACK_US, Phase, SENT_AGAIN_NS, Sight, mark, role, state},
    layout::NO_NODE,
};

use super::{
    Seen, connection, peer,
    socket::{Socket, lay_out_place, lay_out_segment, room},
    sockets,
};
use crate::{
    journey::Program,
    kernel::{self, Skb},
    maps::RUNS,
};

/// A segment of an established connection, before TCP works on it (`tcp_rcv_established`,
/// `net/ipv4/tcp_input.c`).
#[inline(always)]
pub(crate) fn segment(socket: Socket, skb: Skb, program: Program) {
    if sockets!(known) == 0 {
        return;
    }
    let Some((index, seen)) = room(program.0) else {
        return;
    };
    lay_out_place(skb.tag(), seen);
    let known = connection::of(socket);
    let is_known = known.is_some();
    let shows_ttl = known.is_none_or(|connection| is_drawn(seen, connection));
    // Of a connection whose packets are not asked for, nothing is read.
    if !is_known && seen.node == NO_NODE {
        return;
    }
    let Some(tcp) = socket.tcp() else { return };
    socket.lay_out(seen);
    tcp.lay_out(seen);
    lay_out_segment(skb, seen);
    if !is_known {
        socket.lay_out_ends(seen);
    }
    // The TTL is not in `tcp_sock`.
    seen.ttl = if shows_ttl {
        let place = if seen.family == 2 { 8 } else { 7 };
        u32::from(skb.network_header().add(place).fetch_u16() as u8)
    } else {
        0
    };
    arrived(index);
}

/// A connection of which nothing came for so long, 67 ms, comes seldom.
const SELDOM_NS: u64 = 1 << 26;

/// Whether a segment's TTL is read: one in 16 is enough to see it change, and each of those that
/// come seldom.
#[inline(always)]
fn is_drawn(seen: &mut Seen, connection: &Connection) -> bool {
    seen.draws = seen.draws.wrapping_add(1);
    // Fibonacci hashing: in step with nothing that comes at even intervals.
    seen.draws.wrapping_mul(0x9e37_79b9) >> 28 == 0
        || seen.now != 0 && seen.now.wrapping_sub(connection.last_ns) > SELDOM_NS
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn arrived(index: u32) -> u32 {
    let Some(seen) = super::seen(index) else {
        return 0;
    };
    let known = connection::find(seen.tag).filter(|it| it.identity == seen.identity);
    let Some(connection) = known else {
        return met(index);
    };
    if connection.route != seen.route && seen.route != 0 {
        moved(index);
    }
    peer::on_this_cpu(seen, connection);
    if seen.now == 0 {
        // A packet that is not followed has no time of its own.
        seen.now = kernel::now();
    }
    connection.last_ns = seen.now;
    round_trip(seen, connection);
    trouble(seen, connection);
    if seen.payload != 0 {
        connection.segments = connection.segments.wrapping_add(1);
        data(seen, connection);
    } else if connection.state == state::ASKED
        && connection.role == role::ASKING
        && connection.acknowledged_ns == 0
        && seen.ack == seen.write_seq
    {
        connection.acknowledged_ns = seen.now;
    }
    remember(seen, connection);
    0
}

/// A connection that is not known yet: it is measured from the next segment on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn met(index: u32) -> u32 {
    let Some(seen) = super::seen(index) else {
        return 0;
    };
    let class = connection::class_of(seen.node);
    if class == 0 {
        return 0;
    }
    let now = kernel::now();
    if let Some(connection) = connection::meet(seen, class, now) {
        connection.srtt = seen.srtt;
        remember(seen, connection);
    }
    0
}

/// The socket sends by another route, which may have another next hop.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn moved(index: u32) -> u32 {
    let Some(seen) = super::seen(index) else {
        return 0;
    };
    let Some(connection) = connection::find(seen.tag) else {
        return 0;
    };
    connection.route = seen.route;
    seen.tuple.family = connection.tuple.family;
    let before = connection.counts;
    let counts = peer::of(seen, connection.class);
    connection.cpu = kernel::cpu();
    connection.counts = counts;
    if counts != before && !peer::is_same_hop(before, &seen.key) {
        peer::count(counts, Sight::NextHopChanges, 1);
    }
    0
}

/// What the kernel measured by the segment before.
///
/// With SACK it is `rack.rtt_us`, the time of what was acknowledged last; its `mstamp` tells a new
/// one. Without SACK the sample is what moved the smoothed round trip (RFC 6298, section 2.3). Where
/// something was sent twice meanwhile, nobody knows what was acknowledged.
#[inline(always)]
fn round_trip(seen: &Seen, connection: &mut Connection) {
    let is_by_rack = seen.rack_stamp != 0;
    let is_new = if is_by_rack {
        seen.rack_stamp != connection.rack_stamp
    } else {
        seen.srtt != connection.srtt
    };
    connection.rack_stamp = seen.rack_stamp;
    let before = connection.srtt;
    connection.srtt = seen.srtt;
    let is_clear = seen.out_of_order == 0 && seen.total_retransmits == connection.total_retransmits;
    if !is_new || !is_clear {
        return;
    }
    let us = if is_by_rack {
        seen.rack_rtt
    } else {
        seen.srtt
            .wrapping_sub(before)
            .wrapping_add(before >> 3)
            .min(u32::MAX >> 3)
    };
    if us == 0 || us > 1 << 29 {
        return;
    }
    let counts = connection.counts;
    let ns = u64::from(us) * 1000;
    if connection.marks & mark::CAME_WITH_DATA != 0 {
        peer::time(counts, Phase::RttWithData, ns);
    } else if us < HELD_BACK_US
        || us.wrapping_sub(seen.rtt_min) < HELD_BACK_US
        || connection.marks & mark::MANY != 0
    {
        peer::time(counts, Phase::Rtt, ns);
    } else {
        return peer::count(counts, Sight::HeldBack, 1);
    }
    connection.rtts = connection.rtts.wrapping_add(1);
    connection.rtt_sum_us = connection.rtt_sum_us.wrapping_add(u64::from(us));
    connection.rtt_last_us = us;
    if connection.rtt_min_us == 0 || us < connection.rtt_min_us {
        connection.rtt_min_us = us;
    }
}

/// What went wrong since the segment before, or is seen from this one.
#[inline(always)]
fn trouble(seen: &Seen, connection: &mut Connection) {
    let counts = connection.counts;
    let mut marks = connection.marks;
    if seen.total_retransmits != connection.total_retransmits || seen.out_of_order != 0 {
        marks |= mark::DISTURBED;
    }
    let duplicates = seen.dsack_dups.wrapping_sub(connection.peer_duplicates);
    let reordered = seen.reorderings.wrapping_sub(connection.reordered);
    if duplicates | reordered != 0 {
        marks |= mark::DISTURBED;
        peer::count(counts, Sight::PeerDuplicates, duplicates);
        peer::count(counts, Sight::Reordered, reordered);
    }
    if seen.snd_wnd == 0 {
        if marks & mark::PEER_ZERO_WINDOW == 0 {
            peer::count(counts, Sight::PeerZeroWindow, 1);
        }
        marks |= mark::PEER_ZERO_WINDOW | mark::DISTURBED;
    } else {
        marks &= !mark::PEER_ZERO_WINDOW;
    }
    if seen.rcv_wnd == 0 {
        if marks & mark::OWN_ZERO_WINDOW == 0 {
            peer::count(counts, Sight::OwnZeroWindow, 1);
        }
        marks |= mark::OWN_ZERO_WINDOW | mark::DISTURBED;
    } else {
        marks &= !mark::OWN_ZERO_WINDOW;
    }
    if seen.payload != 0 {
        if is_before(seen.rcv_nxt, seen.seq) {
            peer::count(counts, Sight::Gaps, 1);
            marks |= mark::DISTURBED;
        } else if !is_before(seen.rcv_nxt, seen.end) {
            peer::count(counts, Sight::Duplicates, 1);
            marks |= mark::DISTURBED;
        }
    }
    if seen.ttl != 0 {
        peer::note_ttl(counts, u32::from(connection.ttl), seen.ttl, seen.now);
        connection.ttl = seen.ttl as u8;
    }
    connection.marks = marks;
}

/// Whether a sequence number comes before another one (RFC 9293, section 3.4).
#[inline(always)]
fn is_before(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

/// New data for the application: a request, or an answer.
#[inline(always)]
fn data(seen: &Seen, connection: &mut Connection) {
    if !is_before(seen.rcv_nxt, seen.end) {
        return;
    }
    if connection.role == role::SERVING {
        asked(seen, connection);
    } else if connection.role == role::ASKING && connection.state == state::ASKED {
        answered(seen, connection);
    }
}

/// A part of a request, or the whole of it.
///
/// Who asks again before it has all of the answer, or goes on asking after what it asked was read,
/// does not wait for answers: these exchanges overlap.
#[inline(always)]
fn asked(seen: &Seen, connection: &mut Connection) {
    let overlaps = if connection.state == state::ASKED {
        connection.read_ns != 0 && seen.copied_seq == seen.rcv_nxt
    } else {
        seen.ack != seen.write_seq
    };
    if overlaps {
        connection.marks |= mark::OVERLAPPING;
    }
    connection.state = state::ASKED;
    connection.asked_ns = seen.now;
    connection.read_ns = 0;
}

/// The first byte of an answer.
#[inline(always)]
fn answered(seen: &Seen, connection: &mut Connection) {
    let counts = connection.counts;
    let took = seen.now.wrapping_sub(connection.asked_ns);
    let floor = u64::from(seen.rtt_min) * 1000;
    connection.exchanges = connection.exchanges.wrapping_add(1);
    connection.state = state::ANSWERED;
    let marks = connection.marks;
    connection.marks = marks & !(mark::DISTURBED | mark::OVERLAPPING);
    if marks & mark::OVERLAPPING != 0 || seen.ack != seen.write_seq {
        return peer::count(counts, Sight::Overlapping, 1);
    }
    if marks & mark::DISTURBED != 0 {
        connection.disturbed = connection.disturbed.wrapping_add(1);
        peer::count(counts, Sight::Disturbed, 1);
        return peer::time(counts, Phase::Disturbed, took);
    }
    if took >= SENT_AGAIN_NS + floor {
        peer::count(counts, Sight::PeerOrWayBack, 1);
        return peer::time(counts, Phase::PeerOrWayBack, took);
    }
    peer::count(counts, Sight::Undisturbed, 1);
    peer::time(counts, Phase::Answer, took);
    peer::time(counts, Phase::PeerAtMost, took.saturating_sub(floor));
    let least = if connection.acknowledged_ns == 0 {
        0
    } else {
        seen.now.wrapping_sub(connection.acknowledged_ns)
    };
    peer::time(counts, Phase::PeerAtLeast, least);
}

/// For the next segment.
#[inline(always)]
fn remember(seen: &Seen, connection: &mut Connection) {
    let mut marks = connection.marks & !(mark::CAME_WITH_DATA | mark::MANY);
    if seen.payload != 0 {
        marks |= mark::CAME_WITH_DATA;
    }
    // Two full segments are acknowledged at once (RFC 9293, section 3.8.6.3).
    let acknowledged = seen.ack.wrapping_sub(seen.snd_una).cast_signed();
    if seen.mss != 0 && acknowledged > seen.mss.cast_signed() {
        marks |= mark::MANY;
    }
    connection.marks = marks;
    connection.total_retransmits = seen.total_retransmits;
    connection.peer_duplicates = seen.dsack_dups;
    connection.reordered = seen.reorderings;
    connection.rack_stamp = seen.rack_stamp;
}

/// A connection is opened by the segment that this CPU received, or closed.
#[inline(always)]
pub(crate) fn opened_or_closed(socket: Socket, old: u8, new: u8, program: Program) {
    const ESTABLISHED: u8 = 1;
    const SYN_SENT: u8 = 2;
    const SYN_RECV: u8 = 3;
    const CLOSE: u8 = 7;
    if sockets!(known) == 0 {
        return;
    }
    let is_opening = old == SYN_SENT || old == SYN_RECV;
    if new == CLOSE && !is_opening {
        if let Some(connection) = connection::of(socket) {
            if connection.state == state::ASKED {
                peer::count(connection.counts, Sight::Unanswered, 1);
            }
            connection::forget(connection);
        }
        return;
    }
    if !is_opening || new != ESTABLISHED && new != CLOSE {
        return;
    }
    let Some((index, seen)) = room(program.0) else {
        return;
    };
    let Some(tcp) = socket.tcp() else { return };
    socket.lay_out(seen);
    socket.lay_out_ends(seen);
    seen.srtt = tcp.srtt();
    seen.node = NO_NODE;
    if new == CLOSE {
        super::trouble::unopened(index);
        return;
    }
    let tag = RUNS.get(kernel::cpu()).map_or(0, |run| run.received.tag);
    lay_out_place(tag, seen);
    tcp.lay_out(seen);
    opened(index);
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn opened(index: u32) -> u32 {
    let Some(seen) = super::seen(index) else {
        return 0;
    };
    let class = connection::class_of(seen.node);
    if class == 0 {
        return 0;
    }
    seen.seq = 0;
    seen.end = 0;
    seen.payload = 0;
    seen.ack = seen.snd_una;
    let now = kernel::now();
    let Some(connection) = connection::meet(seen, class, now) else {
        return 0;
    };
    peer::count(connection.counts, Sight::Opened, 1);
    // The first sample is the smoothed round trip, eight times (RFC 6298, section 2.2).
    if seen.srtt != 0 && seen.total_retransmits == 0 {
        let ns = u64::from(seen.srtt >> 3) * 1000;
        peer::time(connection.counts, Phase::Handshake, ns);
    }
    connection.srtt = seen.srtt;
    remember(seen, connection);
    0
}
