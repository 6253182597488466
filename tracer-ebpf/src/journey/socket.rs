//! Hops at sockets: a packet is delivered, and read.

use tracer_common::{
    hop::Stage,
    layout::{End, NO_NODE, Packet, flag},
};

use super::{Hop, Program, beyond, birth, step_to, total};
use crate::{
    filter,
    header::{self, TCP, UDP},
    kernel::{self, Skb, Sock},
    maps::{self, RUNS, Run, WAITING},
    record, table, tree,
};

/// A TCP segment reaches its socket.
#[inline(always)]
pub(crate) fn deliver(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, program) else {
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
/// the one that the socket queued last.
#[inline(always)]
pub(crate) fn deliver_datagram(sock: Sock, program: Program) {
    let family = sock.family();
    let protocol = sock.protocol();
    // AF_INET and AF_INET6; TCP has its own program.
    if family != 2 && family != 10 || protocol == u16::from(TCP) {
        return;
    }
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return;
    };
    // SAFETY: it belongs to this CPU, and is written with softirqs off.
    let Run {
        received, waiting, ..
    } = unsafe { &mut *run };
    let queued = sock.last_queued().tag();
    if queued == received.tag && received.stage == Stage::Receive as u8 {
        return deliver_noted(received, 0, program);
    }
    let found = find_waiting(queued, u32::from(sock.port()), u32::from(protocol)) as usize;
    if found < WAITING {
        let noted = &mut waiting[found & (WAITING - 1)];
        deliver_noted(noted, 0, program);
        noted.tag = 0;
        return;
    }
    if received.tag != 0
        && received.stage == Stage::Receive as u8
        && is_its(received, u32::from(sock.port()), u32::from(protocol))
    {
        // A raw socket got a copy; what becomes of this one is no end any more.
        deliver_noted(received, flag::COPIED, program);
    }
}

/// Which of the waiting datagrams a socket got: the one that was queued, else the oldest one for
/// its port, which a reader has already. [`WAITING`] when there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_waiting(queued: u64, port: u32, protocol: u32) -> u32 {
    const NONE: u32 = WAITING as u32;
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return NONE;
    };
    // SAFETY: it belongs to this CPU.
    let Run {
        waiting, waited, ..
    } = unsafe { &*run };
    // The latest first: an address is used again.
    let mut back = 1;
    while back <= NONE {
        let index = waited.wrapping_sub(back) & (NONE - 1);
        if waiting[index as usize].tag == queued {
            return index;
        }
        back += 1;
    }
    let mut step = 0;
    while step < NONE {
        let index = waited.wrapping_add(step) & (NONE - 1);
        let noted = &waiting[index as usize];
        if noted.tag != 0 && is_its(noted, port, protocol) {
            return index;
        }
        step += 1;
    }
    NONE
}

/// Whether a socket is one that a datagram may be for.
#[inline(always)]
fn is_its(noted: &Packet, port: u32, protocol: u32) -> bool {
    u32::from(noted.protocol) == protocol
        && (protocol != u32::from(UDP)
            || u32::from(noted.destination_port) == port
            || u32::from(tree::translated_port(noted.node)) == port)
}

/// A datagram reaches its socket.
///
/// A reader on another CPU may have it already, and its address may be in use again: so it is this
/// CPU's own note of the packet that moves on, and the table learns of it only where it still knows
/// the same packet.
#[inline(always)]
fn deliver_noted(noted: &mut Packet, copied: u8, program: Program) {
    let came_ns = noted.last_ns;
    let Some(hop) = Hop::with_tag(noted.tag, program) else {
        return;
    };
    arrive_at_socket(&hop, noted);
    table::note_delivered(hop.tag, came_ns, noted, flag::ENDED | copied);
}

/// TCP changes its state by the segment that this CPU received: it opens or closes a connection,
/// which `tcp_probe` does not see.
#[inline(always)]
pub(crate) fn deliver_handshake(sock: Sock, program: Program) {
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return;
    };
    // SAFETY: it belongs to this CPU.
    let tag = unsafe { (*run).received.tag };
    let Some(hop) = Hop::with_tag(tag, program) else {
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
    if step_to(hop.tag, packet, beyond(hop, packet.node, Stage::Deliver)) {
        record::end(packet, End::Delivered);
        total(hop, packet);
        // Last: an entry whose packet has ended makes room for others.
        packet.flags |= flag::ENDED;
    }
}

/// The application reads the packet.
#[inline(always)]
pub(crate) fn read(skb: Skb, program: Program) {
    // Local sockets and netlink are read by the same function.
    let protocol = u16::from_be(skb.protocol());
    if protocol != 0x0800 && protocol != 0x86dd {
        return;
    }
    let Some(hop) = Hop::new(skb, program) else {
        return;
    };
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Deliver as u8
        && packet.node != NO_NODE
    {
        packet.stage = Stage::Read as u8;
        step_to(hop.tag, packet, beyond(&hop, packet.node, Stage::Read));
    }
}
