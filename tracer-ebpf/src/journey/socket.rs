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
    maps::{self, RUNS, Run},
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
        received, listed, ..
    } = unsafe { &mut *run };
    let queued = sock.last_queued().tag();
    let is_listed = queued != received.tag;
    if is_listed && take_listed(queued, protocol as u8, listed) {
        return deliver_noted(listed, 0, program);
    }
    let is_its = received.protocol == protocol as u8
        && (protocol != u16::from(UDP)
            || received.destination_port == sock.port()
            || tree::translated_port(received.node) == sock.port());
    if received.tag != 0 && received.stage == Stage::Receive as u8 && is_its {
        // A raw socket got a copy; what becomes of this one is no end any more.
        let copied = if is_listed { flag::COPIED } else { 0 };
        deliver_noted(received, copied, program);
    }
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
        return true;
    }
    false
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
