//! Packets without an entry: new ones, copies, segments, those from beyond a wire, and unknown ones.

use tracer_common::{
    hop::Stage,
    layout::{ALL_FOLLOWED, End, Kind, NO_NODE, NodeKey, Packet, ROOT, flag},
    loss::Loss,
};

use super::{Hop, moment};
use crate::{
    class, exchange, filter,
    handover::{self, MANY, TAKEN, WHOLE},
    header::{self, Header},
    kernel::{self, Device, setting},
    log,
    maps::{self, ORDERS, RUNS, Scratch},
    record,
    table::{self, copy_all_but_tag},
    tree,
};

/// From here on the packet has another header.
#[inline(always)]
pub(super) fn recognise_by(packet: &mut Packet, header: &Header) {
    packet.fingerprint = header.fingerprint;
    packet.tuple = header.flow as u32;
}

/// A new packet of this host's own.
#[inline(always)]
pub(super) fn bear(hop: &Hop, device: Device) {
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    draw(hop, scratch, false);
    // What TCP sends is a sign of its connection, whether the packet is followed or not.
    if scratch.left_out != 0 && header::protocol(scratch) != header::TCP {
        return leave_out(hop, scratch, Stage::Queue);
    }
    hop.lay_out(device, Stage::Queue, scratch);
    scratch.socket = exchange::socket_of(hop.skb);
    come_to_be(hop.index(), Stage::Queue as u32, 0, 0);
}

/// Draws whether a packet that may be new is of the share that is followed.
#[inline(always)]
fn draw(hop: &Hop, scratch: &mut Scratch, at_data: bool) {
    scratch.left_out = 0;
    let followed = followed();
    if followed != ALL_FOLLOWED {
        header::point(hop.skb, scratch, at_data);
        scratch.left_out = u32::from(header::draw(scratch).is_some_and(|drawn| drawn > followed));
    }
}

/// Remembers that a packet is not followed, with as little work as that takes.
#[inline(always)]
fn leave_out(hop: &Hop, scratch: &mut Scratch, stage: Stage) {
    scratch.tag = hop.tag;
    scratch.kind = 0;
    table::ignore(hop.index(), stage as u32);
}

/// A packet comes in that is not known: new where devices make new ones, else a loss.
#[inline(always)]
pub(super) fn enter(hop: &Hop, device: Device, flags: u8) {
    const STAGE: Stage = Stage::Rx;
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    let kind = tree::kind(hop.run(), device);
    let is_born = filter::has_scope() || Kind::enters(kind);
    if is_born {
        draw(hop, scratch, true);
        if scratch.left_out != 0 {
            return leave_out(hop, scratch, STAGE);
        }
    }
    hop.lay_out(device, STAGE, scratch);
    if is_born {
        come_to_be(hop.index(), STAGE as u32, u32::from(flags), u32::from(kind));
    } else {
        orphan(hop.index(), STAGE as u32);
    }
}

/// A packet is received that is not known: new only where its way here is not traced.
#[inline(always)]
pub(super) fn receive(hop: &Hop, device: Device) {
    const STAGE: Stage = Stage::Receive;
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    if filter::has_scope() {
        draw(hop, scratch, true);
        hop.lay_out(device, STAGE, scratch);
        come_to_be(hop.index(), STAGE as u32, 0, 0);
    } else {
        hop.lay_out(device, STAGE, scratch);
        orphan(hop.index(), STAGE as u32);
    }
}

/// A packet is queued that was not received: a copy of the one that was, or one that nobody knows.
#[inline(always)]
pub(super) fn copy(hop: &Hop, device: Device) {
    const STAGE: u32 = Stage::Queue as u32;
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    hop.lay_out(device, Stage::Queue, scratch);
    let index = hop.index();
    match copied(index) {
        COPY => {
            join(index, STAGE, 0, NEW);
        }
        UNKNOWN => {
            orphan(index, STAGE);
        }
        UNTRACED => {
            draw(hop, scratch, false);
            come_to_be(index, STAGE, 0, 0);
        }
        _ => {}
    }
}

/// What is still to be done with the packet in the scratch: the verifier counts the stack of a whole
/// chain of calls, so that it is done by the one who called.
const DONE: u32 = 0;
/// It is a copy of the scratch's packet.
const COPY: u32 = 1;
/// It is the scratch's packet itself.
const EMERGED: u32 = 2;
/// Nobody knows where it came from.
const UNKNOWN: u32 = 3;
/// It comes from where nothing is traced.
const UNTRACED: u32 = 4;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn copied(index: u32) -> u32 {
    let (Some(scratch), Some(run)) = (maps::scratch(index), RUNS.get_ptr_mut(kernel::cpu())) else {
        return DONE;
    };
    if header::parse_header(index) == 0 {
        return UNKNOWN;
    }
    // SAFETY: it belongs to this CPU.
    let received = unsafe { &(*run).received };
    if received.tag != 0
        && received.tag != scratch.tag
        && received.fingerprint == scratch.header.fingerprint
    {
        // SAFETY: a valid reference.
        unsafe { copy_all_but_tag(received, &raw mut scratch.packet) };
        return COPY;
    }
    if let Some(packet) = entry(scratch)
        && packet.node == NO_NODE
        && packet.stage == Stage::Receive as u8
    {
        packet.stage = Stage::Queue as u8;
        return DONE;
    }
    if filter::has_scope() {
        return UNTRACED;
    }
    UNKNOWN
}

#[inline(always)]
fn entry(scratch: &Scratch) -> Option<&'static mut Packet> {
    table::entry_of(table::set_of(scratch.tag)?, scratch.tag)
}

/// Lets the packet in the scratch begin, or go on from where its other `sk_buff` ended.
#[inline(always)]
fn come_to_be(index: u32, stage: u32, flags: u32, kind: u32) {
    match birth(index, stage, flags, kind) {
        COPY => join(index, stage, 0, NEW),
        EMERGED => join(index, stage, 0, SAME),
        _ => 0,
    };
}

/// Lets the packet in the scratch begin; or says as what it goes on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn birth(index: u32, stage: u32, flags: u32, kind: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    if !header::parse(scratch) {
        record::lose(Loss::Header);
        return table::ignore(index, stage);
    }
    let is_local = stage == Stage::Queue as u32;
    if is_local
        && scratch.socket != 0
        && scratch.header.payload != 0
        && scratch.header.tuple.protocol == header::TCP
    {
        exchange::sent(index);
    }
    if !is_local && leads_back(kind) {
        match handover::take(index, scratch.header.mark | 1, WHOLE) {
            TAKEN => {
                emerge(scratch, flags);
                return EMERGED;
            }
            MANY => return table::ignore(index, stage),
            _ => {}
        }
    }
    if is_closing() {
        return table::ignore(index, stage);
    }
    if is_local && is_copy_of_upper(scratch) {
        return COPY;
    }
    if !header::is_wanted(&scratch.header) || scratch.left_out != 0 {
        return table::ignore(index, stage);
    }
    begin(scratch, index, stage, flags)
}

/// Whether packets that leave by such a device may come in again by another one of this host.
#[inline(always)]
fn leads_back(kind: u32) -> bool {
    kind == Kind::Tun as u32 || kind == Kind::Physical as u32 && setting!(handover_physical) != 0
}

#[inline(always)]
fn is_closing() -> bool {
    ORDERS.get_ptr(0).is_none_or(|orders| {
        // SAFETY: one word that the agent sets.
        unsafe { core::ptr::read_volatile(&raw const (*orders).closing) != 0 }
    })
}

/// Up to which hash packets are followed.
#[inline(always)]
fn followed() -> u32 {
    ORDERS.get_ptr(0).map_or(ALL_FOLLOWED, |orders| {
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const (*orders).followed) }
    })
}

/// Whether it shares its buffer with what an upper device sent just now: a bridge's copy. Then that
/// packet is put into the scratch.
///
/// It is known still: a buffer that is gone may be used again, for a datagram just like it.
#[inline(always)]
fn is_copy_of_upper(scratch: &mut Scratch) -> bool {
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return false;
    };
    // SAFETY: it belongs to this CPU.
    let run = unsafe { &*run };
    let is_copy = run.upper.tag != 0
        && run.upper.tag != scratch.tag
        && run.upper_head == scratch.head
        && run.upper.fingerprint == scratch.header.fingerprint
        && table::knows(&run.upper);
    if is_copy {
        // SAFETY: a valid reference.
        unsafe { copy_all_but_tag(&run.upper, &raw mut scratch.packet) };
    }
    is_copy
}

/// Lets a packet go on that was handed over and is in the scratch.
#[inline(always)]
fn emerge(scratch: &mut Scratch, flags: u32) {
    let packet = &mut scratch.packet;
    packet.flags = packet.flags & (flag::FRAGMENT | flag::UNTIMED | flag::SAMPLED) | flags as u8;
    packet.len = scratch.len;
    packet.fingerprint = scratch.header.fingerprint;
}

/// For how long births are counted before it is decided how many are timed.
const WINDOW_NS: u64 = 1 << 23;

/// A CPU that sees more births than these in a window, 7,600 a second, times a sample of them.
const ALL_TIMED: u32 = 64;

/// Whether a packet that is born now is timed: all of them, or a sample where they are many. What
/// came in the window before decides, so that within a window all have the same chance.
#[inline(always)]
fn timing(now: u64) -> u8 {
    if setting!(timing_shift) == 0 || setting!(passages) != 0 {
        return 0;
    }
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return 0;
    };
    // SAFETY: it belongs to this CPU.
    let run = unsafe { &mut *run };
    run.clock = now;
    let since = now.wrapping_sub(run.window_ns);
    if since > WINDOW_NS {
        run.sampling = u32::from(run.births > ALL_TIMED && since < 2 * WINDOW_NS);
        run.births = 0;
        run.window_ns = now;
    }
    run.births = run.births.wrapping_add(1);
    if run.sampling == 0 {
        return 0;
    }
    // Fibonacci hashing: evenly spread, and in step with nothing that is sent at even intervals.
    run.draws = run.draws.wrapping_add(1);
    let place = run.draws.wrapping_mul(0x9e37_79b9) >> (32 - setting!(timing_shift));
    if place == 0 {
        flag::SAMPLED
    } else {
        flag::UNTIMED
    }
}

/// A packet's first hop.
#[inline(always)]
fn begin(scratch: &mut Scratch, index: u32, stage: u32, flags: u32) -> u32 {
    let class = class::of(scratch, index);
    if class == 0 {
        return table::ignore(index, stage);
    }
    let key = NodeKey {
        parent: ROOT | (class - 1),
        stage,
        ifindex: scratch.ifindex,
        zero: 0,
        cookie: scratch.cookie,
        mac: scratch.mac,
    };
    let found = if let Some(found) = tree::met(&key, index) {
        found
    } else {
        scratch.born = scratch.header.flow as u32;
        tree::find(&key, index, scratch)
    };
    if let Some(how) = found.missing {
        let is_node = how as u8 == End::Nodes as u8;
        record::lose(if is_node { Loss::Nodes } else { Loss::Cells });
        return table::ignore(index, stage);
    }
    let now = kernel::now();
    let header = &scratch.header;
    let packet = &mut scratch.packet;
    packet.tag = scratch.tag;
    packet.node = found.node;
    packet.cell = found.cell;
    packet.first_ns = now;
    packet.last_ns = now;
    packet.fingerprint = header.fingerprint;
    packet.payload = header.payload;
    packet.len = scratch.len;
    packet.tuple = header.flow as u32;
    packet.source_port = header.tuple.source_port;
    packet.destination_port = header.tuple.destination_port;
    packet.stage = stage as u8;
    packet.flags = flags as u8 | timing(now);
    if header.fragment != 0 {
        packet.flags |= flag::FRAGMENT;
    }
    packet.protocol = header.tuple.protocol;
    packet.kind = found.kind;
    packet.cpu = 0;
    if !table::put_inline(scratch) {
        record::lose(Loss::Crowded);
        return 0;
    }
    record::arrive_alone(found.cell, &scratch.packet, 0, now);
    record::step(&scratch.packet, scratch.tag, 0, now);
    look_into(scratch, index, stage, class);
    0
}

/// What the headers of a new packet say of others: of those before it in its flow, of itself when
/// it was here before, of the one that an error is about.
#[inline(always)]
fn look_into(scratch: &Scratch, index: u32, stage: u32, class: u32) {
    let header = &scratch.header;
    if setting!(exchanges) == 0 || header.fragment != 0 {
        return;
    }
    let protocol = header.tuple.protocol;
    if stage != Stage::Queue as u32 && exchange::is_forwarded(class) {
        exchange::came_in(index, class);
        // Of a sample of packets nothing follows.
        if protocol == header::TCP && followed() == ALL_FOLLOWED {
            exchange::passed(index, class);
        }
    }
    if protocol == header::ICMP || protocol == header::ICMPV6 {
        exchange::told(index, class);
    }
}

/// For [`join`]: a copy or a segment of the scratch's packet, which is a packet of its own.
pub(super) const NEW: u32 = 1;
/// For [`join`]: the scratch's packet itself, in another `sk_buff`.
const SAME: u32 = 0;

/// Lets what the scratch describes go on from where the scratch's packet was.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn join(index: u32, stage: u32, mac: u64, is_new: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let past = &mut scratch.packet;
    if past.node == NO_NODE {
        return table::ignore(index, stage);
    }
    if is_new == NEW {
        record::bear(past);
    }
    // In the scratch, not on the stack: this is the longest chain of calls.
    scratch.key.parent = past.node;
    scratch.key.stage = stage;
    scratch.key.ifindex = scratch.ifindex;
    scratch.key.zero = 0;
    scratch.key.cookie = scratch.cookie;
    scratch.key.mac = mac;
    scratch.born = past.tuple;
    let found = match tree::met(&scratch.key, index) {
        Some(found) => found,
        None => tree::find_laid_out(&scratch.key, index),
    };
    if let Some(how) = found.missing {
        record::end(past, how);
        return table::ignore(index, stage);
    }
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return 0;
    };
    // SAFETY: it belongs to this CPU.
    let now = moment(past, unsafe { &mut *run });
    let (last, before) = (past.last_ns, past.cell);
    past.stage = stage as u8;
    past.flags &= !(flag::ENDED | flag::HANDED | flag::COPIED);
    past.node = found.node;
    past.cell = found.cell;
    past.kind = found.kind;
    past.last_ns = now;
    // Only now, when it has moved: what stands still may be displaced at once.
    if table::put(index) == 0 {
        past.cell = before;
        record::end(past, End::Crowded);
        return 0;
    }
    record::arrive_alone(found.cell, past, last, now);
    record::step(past, scratch.tag, last, now);
    0
}

/// A hop of a packet whose past is not known.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn orphan(index: u32, stage: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let is_asked_for = !header::has_filter()
        || header::parse_header(index) == 0
        || header::is_wanted(&scratch.header);
    // While it is closing, what began before or after what is traced is no loss; nor are the
    // segments of a packet that was not followed.
    if is_asked_for && !is_closing() && followed() == ALL_FOLLOWED {
        record::lose(Loss::Orphan);
        let (flags, stood) = entry(scratch).map_or((0, 0), |packet| (packet.flags, packet.stage));
        log::orphan(stage, u32::from(stood), u32::from(flags));
    }
    table::ignore(index, stage)
}
