//! Hops at devices: into the queueing discipline, to the driver, from it, and up.

use core::hint::cold_path;

use tracer_common::{
    hop::Stage,
    layout::{Kind, NO_NODE, Packet, flag},
};

use super::{
    Hop, Place, advance,
    birth::{self, recognise_by},
    end, has_mac, total,
};
use crate::{
    filter,
    handover::{self, SEGMENT, TAKEN, WHOLE},
    header::{self, UDP},
    kernel::{Device, Skb, setting},
    maps::{self, Run, WAITING},
    table::copy_all_but_tag,
    tree,
};

/// A packet is handed to a device, in front of its queueing discipline.
#[inline(always)]
pub(crate) fn queue(skb: Skb, place: Place) {
    let device = skb.device();
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    if !filter::is_in_scope(device) {
        return end::leave(&hop);
    }
    if let Some(packet) = hop.entry() {
        let goes_on = if packet.stage == Stage::Receive as u8 && skb.iif() != 0 {
            let goes_on = hop.run().received.tag == hop.tag || waited(&hop, packet);
            hop.moves_on();
            goes_on
        } else {
            packet.stage == Stage::Xmit as u8
                && packet.kind == Kind::Upper as u8
                && hop.run().sent == hop.tag
                && is_handed_on(&hop, packet)
        };
        if goes_on {
            return advance(&hop, device, packet, Stage::Queue, 0);
        }
    }
    if skb.iif() == 0 {
        birth::bear(&hop, device);
    } else {
        birth::copy(&hop, device);
    }
}

/// An upper device hands the same packet on, in the same breath. A tunnel gave it another header.
#[inline(always)]
fn is_handed_on(hop: &Hop, packet: &mut Packet) -> bool {
    cold_path();
    if packet.node != NO_NODE
        && let Some(scratch) = hop.read_header()
    {
        recognise_by(packet, &scratch.header);
    }
    true
}

/// Whether a packet that was not received just now is the one of its entry: it waited for its
/// neighbour or its fragments, or came in by a list.
#[inline(always)]
fn waited(hop: &Hop, packet: &Packet) -> bool {
    cold_path();
    packet.node != NO_NODE && hop.is_same(packet)
}

/// A packet reaches the driver.
#[inline(always)]
pub(crate) fn xmit(skb: Skb, device: Device, place: Place) {
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    if !filter::is_in_scope(device) {
        return end::leave(&hop);
    }
    hop.run().sent = hop.tag;
    let mac = if has_mac(device) { skb.data().mac() } else { 0 };
    match hop.entry() {
        Some(packet) if packet.node == NO_NODE && packet.stage == Stage::Queue as u8 => {
            cold_path();
            packet.stage = Stage::Xmit as u8;
            packet.kind = tree::kind(hop.run(), device);
            return;
        }
        Some(packet) if packet.stage == Stage::Queue as u8 => {
            advance(&hop, device, packet, Stage::Xmit, mac);
        }
        // The driver was busy, and the packet comes again.
        Some(packet)
            if packet.stage == Stage::Xmit as u8
                && packet.node != NO_NODE
                && hop.is_same(packet) =>
        {
            return;
        }
        _ => segment(&hop, device, mac),
    }
    depart(&hop);
}

/// A packet that nobody queued: a segment of one that was split in the queueing discipline.
#[inline(always)]
fn segment(hop: &Hop, device: Device, mac: u64) {
    cold_path();
    let Some(scratch) = maps::scratch(hop.index()) else {
        return;
    };
    hop.lay_out(device, Stage::Xmit, scratch);
    scratch.kind = u32::from(tree::kind(hop.run(), device));
    let index = hop.index();
    if header::parse_header(index) != 0 {
        let header = &scratch.header;
        let mark = header::segment_mark(header.flow, header.sequence);
        if handover::take(index, mark, SEGMENT) == TAKEN {
            scratch.packet.payload = scratch.header.payload;
            scratch.packet.fingerprint = scratch.header.fingerprint;
            birth::join(index, Stage::Xmit as u32, mac, birth::NEW);
            return;
        }
    }
    birth::orphan(index, Stage::Xmit as u32);
}

/// What has to be done where an `sk_buff` is at the end of a device: it goes on to another, or its
/// way ends here, or goes on in another `sk_buff`.
#[inline(always)]
fn depart(hop: &Hop) {
    let Some(packet) = hop.entry() else { return };
    let has_left = packet.flags & flag::HANDED != 0;
    if packet.node == NO_NODE || packet.stage != Stage::Xmit as u8 || has_left {
        return;
    }
    if packet.kind == Kind::Upper as u8 {
        cold_path();
        // A bridge may hand on copies, which share the head.
        // SAFETY: it belongs to this CPU.
        unsafe { copy_all_but_tag(packet, &raw mut hop.run().upper) };
        hop.run().upper.tag = hop.tag;
        hop.run().upper_head = hop.skb.head().address();
    }
    if !Kind::leaves(packet.kind) {
        return;
    }
    cold_path();
    total(hop, packet);
    if (packet.kind == Kind::Tun as u8 || setting!(handover_physical) != 0)
        && let Some(scratch) = hop.read_header()
    {
        scratch.packet = *packet;
        scratch.packet.tag = hop.tag;
        packet.flags |= flag::HANDED;
        handover::hand_over(hop.index(), scratch.header.mark | 1, WHOLE);
    }
}

/// A packet is taken from a driver or from the peer device.
#[inline(always)]
pub(crate) fn rx(skb: Skb, place: Place, flags: u8) {
    let device = skb.device();
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    come_in(&hop, device, flags);
}

#[inline(always)]
fn come_in(hop: &Hop, device: Device, flags: u8) {
    if !filter::is_in_scope(device) {
        return end::leave(hop);
    }
    if let Some(packet) = hop.entry() {
        let stage = packet.stage;
        let is_sent = stage == Stage::Xmit as u8;
        let is_received = stage == Stage::Receive as u8;
        if packet.node == NO_NODE {
            cold_path();
            if (is_sent || is_received) && !Kind::enters(tree::kind(hop.run(), device)) {
                packet.stage = Stage::Rx as u8;
                return;
            }
        } else if is_sent && !Kind::leaves(packet.kind)
            || is_received && emerges(hop, device, packet)
        {
            packet.len = hop.skb.len();
            packet.flags = packet.flags & !flag::GRO | flags;
            return advance(hop, device, packet, Stage::Rx, 0);
        }
    }
    birth::enter(hop, device, flags);
}

/// Whether a packet that was received comes out of a tunnel: then it has another header from now on.
#[inline(always)]
fn emerges(hop: &Hop, device: Device, packet: &mut Packet) -> bool {
    cold_path();
    if tree::kind(hop.run(), device) != Kind::Upper as u8 {
        return false;
    }
    if let Some(scratch) = maps::scratch(hop.index()) {
        header::point(hop.skb, scratch, true);
        if header::parse_header(hop.index()) != 0 {
            recognise_by(packet, &scratch.header);
        }
    }
    hop.moves_on();
    true
}

/// A packet is handed up without GRO, by `netif_receive_skb`.
#[inline(always)]
pub(crate) fn rx_direct(skb: Skb, place: Place) {
    let device = skb.device();
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    // At a device where packets are born an entry says nothing: the address may be used again.
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && hop.run().received.tag == hop.tag
        && !Kind::enters(tree::kind(hop.run(), device))
    {
        // A bridge hands it up as its own; that is one `receive` after the other, not a hop.
        return;
    }
    come_in(&hop, device, 0);
}

/// A packet is handed to the protocols.
#[inline(always)]
pub(crate) fn receive(skb: Skb, place: Place) {
    let device = skb.device();
    let Some(hop) = Hop::new(skb, place) else {
        return;
    };
    if !filter::is_in_scope(device) {
        cold_path();
        hop.run().received.tag = 0;
        return end::leave(&hop);
    }
    match hop.entry() {
        Some(packet) if comes_up(packet) => {
            let len = skb.len();
            if packet.flags & flag::GRO != 0 {
                cold_path();
                // GRO put others behind it.
                if len > packet.len {
                    packet.payload += len - packet.len;
                }
                packet.flags &= !flag::GRO;
            }
            packet.len = len;
            advance(&hop, device, packet, Stage::Receive, 0);
        }
        _ => {
            // Where packets are born they came by `rx` before.
            cold_path();
            birth::receive(&hop, device);
        }
    }
    note_received(&hop, device);
}

/// Whether a packet stands where those that are received come from.
#[inline(always)]
fn comes_up(packet: &Packet) -> bool {
    packet.stage == Stage::Rx as u8
        || packet.stage == Stage::Receive as u8
        || packet.stage == Stage::Xmit as u8 && !Kind::leaves(packet.kind)
}

/// Keeps the note of a datagram that no socket has yet, since it came in by a list: all of that are
/// received before the first one is delivered (`ip_list_rcv` of `net/ipv4/ip_input.c`).
#[inline(always)]
fn keep_waiting(run: &mut Run) {
    if run.delivers != 0 {
        run.delivers = 0;
        run.settled = run.waited;
        return;
    }
    let received = &run.received;
    // Fragments are delivered by what they become.
    if received.tag != 0
        && received.stage == Stage::Receive as u8
        && received.protocol == UDP
        && received.node != NO_NODE
        && received.flags & flag::FRAGMENT == 0
    {
        cold_path();
        let index = (run.waited & (WAITING - 1)) as usize;
        run.waiting_at[index] = run.received_at;
        let place = &mut run.waiting[index];
        // SAFETY: a valid reference.
        unsafe { copy_all_but_tag(received, place) };
        place.tag = received.tag;
        run.waited = run.waited.wrapping_add(1);
    }
}

/// Remembers what this CPU received last, as it is now.
#[inline(always)]
fn note_received(hop: &Hop, device: Device) {
    keep_waiting(hop.run());
    hop.run().received_at = device.ifindex();
    let received = &raw mut hop.run().received;
    // SAFETY: it belongs to this CPU.
    unsafe {
        (*received).tag = 0;
        if let Some(packet) = hop.entry() {
            packet.cpu = hop.cpu;
            copy_all_but_tag(packet, received);
            (*received).tag = hop.tag;
        }
    }
}
