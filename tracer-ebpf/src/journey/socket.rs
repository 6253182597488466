//! Hops at sockets: a packet is delivered, and read.

use core::hint::cold_path;

use tracer_common::{
    hop::Stage,
    layout::{End, NO_NODE, Packet, flag},
};

use super::{Hop, Place, beyond, birth, step_to, total};
use crate::{
    filter,
    header::{self, TCP, UDP},
    kernel::{self, Skb, Sock},
    makers,
    maps::{self, RUNS, Run, WAITING},
    record, table, tree,
};

/// A TCP segment reaches its socket.
#[inline(always)]
pub(crate) fn deliver(skb: Skb, place: Place) {
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    match hop.entry() {
        Some(packet) if packet.node == NO_NODE => {}
        Some(packet) if packet.stage == Stage::Receive as u8 => {
            // While the socket was busy, TCP may have put other segments behind it.
            let whole = skb.len() + skb.network_header_len();
            if whole > packet.len {
                packet.payload += whole - packet.len;
            }
            arrive_at_socket(&hop, packet);
        }
        _ if filter::has_scope() => {}
        _ => unknown(&hop),
    }
}

/// A segment of which nobody knows where it came from.
#[inline(always)]
fn unknown(hop: &Hop) {
    if let Some(scratch) = maps::scratch(hop.index()) {
        scratch.tag = hop.tag;
        header::point(hop.skb, scratch, false);
        birth::orphan(hop.index(), Stage::Deliver as u32);
    }
}

/// A socket has something to read: the datagram that this CPU received last.
///
/// Where datagrams come in by lists all are received before the first one is delivered; then it is
/// the one that the socket queued last. Where a CPU tells of others' datagrams too it is told once
/// for each that it put into the queue.
#[inline(always)]
pub(crate) fn deliver_datagram(sock: Sock, place: Place) {
    let family = sock.family();
    let protocol = sock.protocol();
    // AF_INET and AF_INET6; TCP has its own program.
    if family != 2 && family != 10 || protocol == u16::from(TCP) {
        // AF_NETLINK with NETLINK_ROUTE, where one learns who changes routes.
        if family == 16 && protocol == 0 {
            makers::told(sock);
        }
        return;
    }
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return;
    };
    // SAFETY: it belongs to this CPU, and is written with softirqs off.
    let Run {
        received,
        listed,
        waiting,
        delivers,
        told_tail,
        told_found,
        ..
    } = unsafe { &mut *run };
    *delivers = 1;
    let queued = sock.last_queued().tag();
    let is_listed = queued != received.tag;
    let port = u32::from(sock.port());
    if is_listed {
        let is_there = take_listed(queued, protocol as u8, listed);
        let note = find_waiting(if is_there { queued } else { 0 }, port);
        if is_there {
            if note < WAITING {
                waiting[(note & (WAITING - 1)) as usize].tag = 0;
            }
            return deliver_noted(listed, 0, place);
        }
        if protocol == u16::from(UDP) && note < WAITING {
            let note = &mut waiting[(note & (WAITING - 1)) as usize];
            let is_ours = table::claim(note);
            if is_ours {
                deliver_noted(note, 0, place);
            }
            note.tag = 0;
            if is_ours {
                return;
            }
        }
    }
    let is_its = u16::from(received.protocol) == protocol
        && (protocol != u16::from(UDP) || is_for(received, port));
    if received.tag != 0 && received.stage == Stage::Receive as u8 && is_its {
        // A raw socket got a copy; what becomes of this one is no end any more.
        let copied = if is_listed { flag::COPIED } else { 0 };
        if table::claim(received) {
            return deliver_noted(received, copied, place);
        }
        received.stage = 0;
    }
    if kernel::tells_of_others() && protocol == u16::from(UDP) {
        cold_path();
        // One of the times that it is told is for its own, which is not followed.
        if received.node == NO_NODE && received.stage == Stage::Receive as u8 {
            received.stage = 0;
            return;
        }
        let mut told = Told {
            tail: told_tail,
            found: told_found,
        };
        if take_untold(sock, port, &mut told, listed) {
            deliver_noted(listed, 0, place);
        }
    }
}

/// How far back in a socket's queue a datagram of another CPU is looked for.
const BATCH: u32 = 32;

/// Notes a datagram in the queue of a socket that it was not told of yet.
///
/// It is looked for from the end of the queue on; where that has not moved, from the one that was found
/// last, so that a batch may be of any length.
#[inline(always)]
fn take_untold(sock: Sock, port: u32, run: &mut Told<'_>, listed: &mut Packet) -> bool {
    let tail = sock.last_queued();
    let (before, found) = (*run.tail, *run.found);
    // Written and read back it is a number, which may be followed where the kernel's pointers end.
    // SAFETY: a valid reference.
    let tail_at = unsafe {
        core::ptr::write_volatile(run.tail, tail.address());
        core::ptr::read_volatile(run.tail)
    };
    let anchor = tail_at.wrapping_sub(tail.tag());
    let mut at = if before == tail_at {
        kernel::previous_of(found)
    } else {
        tail_at
    };
    let mut steps = 0;
    while steps < 2 * BATCH {
        let tag = at.wrapping_sub(anchor);
        let entry = table::set_of(tag).and_then(|set| table::entry_of(set, tag));
        if let Some(packet) = entry
            && packet.stage == Stage::Receive as u8
            && packet.node != NO_NODE
            && packet.protocol == UDP
            && packet.flags & flag::ENDED == 0
            && is_for(packet, port)
        {
            // SAFETY: a valid reference.
            unsafe { table::copy_all_but_tag(packet, listed) };
            listed.tag = tag;
            if table::claim(listed) {
                *run.found = at;
                return true;
            }
        }
        steps += 1;
        // What was found last may be gone, and its memory another's.
        at = if steps == BATCH {
            tail_at
        } else {
            kernel::previous_of(at)
        };
    }
    false
}

/// Where in a queue this CPU found a datagram that it was told of.
struct Told<'a> {
    /// The queue's end then.
    tail: &'a mut u64,
    /// The datagram.
    found: &'a mut u64,
}

/// The note of the datagram at an address; without one, that of the oldest datagram of this list
/// for a port, which a reader on another CPU has already. A list is of one device: what waits from
/// another one is in a tunnel's queue. [`WAITING`] when there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_waiting(tag: u64, port: u32) -> u32 {
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return WAITING;
    };
    // SAFETY: it belongs to this CPU.
    let run = unsafe { &*run };
    let mut back = WAITING;
    while back > 0 {
        let number = run.waited.wrapping_sub(back);
        let index = number & (WAITING - 1);
        let note = &run.waiting[index as usize];
        let is_wanted = if tag == 0 {
            note.tag != 0
                && run.waiting_at[index as usize] == run.received_at
                && run.settled.wrapping_sub(number).cast_signed() <= 0
                && is_for(note, port)
        } else {
            note.tag == tag
        };
        if is_wanted {
            return index;
        }
        back -= 1;
    }
    WAITING
}

/// Whether a socket at this port is one that a datagram may be for.
#[inline(always)]
fn is_for(note: &Packet, port: u32) -> bool {
    u32::from(note.destination_port) == port || u32::from(tree::translated_port(note.node)) == port
}

/// Notes a datagram of this CPU's that came in by a list, and waited for others to be received.
#[inline(always)]
fn take_listed(tag: u64, protocol: u8, listed: &mut Packet) -> bool {
    let entry = table::set_of(tag).and_then(|set| table::entry_of(set, tag));
    if let Some(packet) = entry
        && packet.stage == Stage::Receive as u8
        && packet.node != NO_NODE
        && packet.protocol == protocol
        && packet.cpu == kernel::cpu()
    {
        // SAFETY: a valid reference.
        unsafe { table::copy_all_but_tag(packet, listed) };
        listed.tag = tag;
        return packet.flags & flag::ENDED == 0 && table::claim(listed);
    }
    false
}

/// A datagram reaches its socket.
///
/// A reader on another CPU may have it already, and its address may be in use again: so it is this
/// CPU's own note of the packet that moves on, and the table learns of it only where it still knows
/// the same packet.
#[inline(always)]
fn deliver_noted(noted: &mut Packet, copied: u8, place: Place) {
    let Some(hop) = Hop::with_tag(noted.tag, place) else {
        return;
    };
    arrive_at_socket(&hop, noted);
    table::note_delivered(hop.tag, noted, flag::ENDED | copied);
}

/// TCP changes its state by the segment that this CPU received: it opens or closes a connection,
/// which `tcp_probe` does not see.
#[inline(always)]
pub(crate) fn deliver_handshake(sock: Sock, place: Place) {
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return;
    };
    // SAFETY: it belongs to this CPU.
    let tag = unsafe { (*run).received.tag };
    let Some(hop) = Hop::with_tag(tag, place) else {
        return;
    };
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && packet.protocol == TCP
        && (packet.destination_port == sock.port() || packet.source_port == sock.peer_port())
    {
        arrive_at_socket(&hop, packet);
    }
}

#[inline(always)]
fn arrive_at_socket(hop: &Hop, packet: &mut Packet) {
    if packet.node == NO_NODE {
        return;
    }
    packet.stage = Stage::Deliver as u8;
    let found = beyond(hop, packet.node, Stage::Deliver);
    if step_to(hop, packet, found, record::arrive) {
        record::end(packet, End::Delivered);
        total(hop, packet);
        // Last: an entry whose packet has ended makes room for others.
        packet.flags |= flag::ENDED;
    }
}

/// The application reads the packet.
#[inline(always)]
pub(crate) fn read(skb: Skb, place: Place) {
    // Local sockets and netlink are read by the same function.
    let protocol = u16::from_be(skb.protocol());
    if protocol != 0x0800 && protocol != 0x86dd {
        return;
    }
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    // The place of a datagram that was delivered is free, and what is read there may be another.
    if let Some(packet) = hop.entry()
        && packet.protocol == TCP
        && packet.stage == Stage::Deliver as u8
        && packet.node != NO_NODE
    {
        packet.stage = Stage::Read as u8;
        let found = beyond(&hop, packet.node, Stage::Read);
        step_to(&hop, packet, found, record::arrive);
    }
}
