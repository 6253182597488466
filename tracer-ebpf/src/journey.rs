//! Who is this packet? From an `sk_buff` at a hop to a packet with a past.
//!
//! An entry of the packet table is found by the address of the `sk_buff`. Addresses are used again
//! within milliseconds, many packets die without a tracepoint, and copies share their data; so at
//! each hop the entry must stand where a packet of that hop must come from, and where that is not
//! enough the headers are read again. What fits nowhere is counted as lost and never joined.

use tracer_common::{
    hop::Stage,
    layout::{
        End, HANDED_WAYS, HandedSet, Kind, NO_NODE, NodeKey, Packet, PacketSet, ROOT, flag,
        silent_end,
    },
    loss::Loss,
};

use crate::{
    class, filter,
    header::{self, TCP, UDP},
    kernel::{self, Device, Skb, Sock, setting},
    log,
    maps::{CONTROL, HANDOVER, PACKETS, PROGRAMS, RUNS, Run, SCRATCH, Scratch},
    record,
};

/// A program's own number, for what it keeps for itself.
#[derive(Clone, Copy)]
pub(crate) struct Program(pub(crate) u32);

/// What every hop needs: who, where, and room to work in.
#[derive(Clone, Copy)]
struct Hop {
    skb: Skb,
    tag: u64,
    device: Device,
    program: u32,
    set: *mut PacketSet,
    run: *mut Run,
    scratch: *mut Scratch,
}

impl Hop {
    #[inline(always)]
    fn new(skb: Skb, device: Device, program: Program) -> Option<Self> {
        let tag = skb.tag();
        let cpu = kernel::cpu();
        Some(Self {
            skb,
            tag,
            device,
            program: program.0,
            // An `sk_buff` is 256 bytes; of a pair that TCP allocates, both have the same index.
            set: PACKETS.get_ptr_mut((tag >> 8) as u32 & setting!(packets_mask))?,
            run: RUNS.get_ptr_mut(cpu)?,
            scratch: SCRATCH.get_ptr_mut(cpu * PROGRAMS + program.0)?,
        })
    }

    /// The entry of this address.
    #[inline(always)]
    fn entry(&self) -> Option<&'static mut Packet> {
        // SAFETY: the map's memory. Another CPU may displace the entry, which is counted.
        unsafe {
            let ways = &raw mut (*self.set).ways;
            if (*ways)[0].tag == self.tag {
                Some(&mut (*ways)[0])
            } else if (*ways)[1].tag == self.tag {
                Some(&mut (*ways)[1])
            } else {
                None
            }
        }
    }

    #[inline(always)]
    fn run(&self) -> &'static mut Run {
        // SAFETY: it belongs to this CPU, and is written with softirqs off.
        unsafe { &mut *self.run }
    }

    /// Reads the headers again; the fingerprint is in the scratch.
    #[inline(always)]
    fn read_header(&self) -> bool {
        header::read(self.skb, self.scratch, 0) != 0
    }

    #[inline(always)]
    fn header(&self) -> &'static header::Header {
        // SAFETY: it belongs to this program on this CPU.
        unsafe { &(*self.scratch).header }
    }

    /// Whether the packet at this address still is the one of the entry.
    #[inline(always)]
    fn is_same(&self, packet: &Packet) -> bool {
        self.read_header() && self.header().fingerprint == packet.fingerprint
    }
}

/// A packet is handed to a device, in front of its queueing discipline.
#[inline(always)]
pub(crate) fn queue(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, skb.device(), program) else {
        return;
    };
    if !filter::is_in_scope(hop.device) {
        return leave(&hop);
    }
    let entry = hop.entry();
    if let Some(packet) = entry {
        if packet.stage == Stage::Xmit as u8
            && hop.run().sent == hop.tag
            && (packet.kind == Kind::Upper as u8 || packet.node == NO_NODE)
        {
            // An upper device hands the same packet on, in the same breath. A tunnel gave it
            // another header.
            if packet.node != NO_NODE && hop.read_header() {
                recognise_by(packet, hop.header());
            }
            return advance(&hop, packet, Stage::Queue, 0);
        }
        if packet.stage == Stage::Receive as u8
            && skb.iif() != 0
            && hop.run().received.tag == hop.tag
        {
            return advance(&hop, packet, Stage::Queue, 0);
        }
    }
    if skb.iif() == 0 {
        return birth(&hop, Stage::Queue, 0);
    }
    queue_slowly(&hop);
}

/// A packet that was not received just now: it waited for its neighbour or its fragments, came in
/// by a list, or is a copy.
#[inline(always)]
fn queue_slowly(hop: &Hop) {
    if !hop.read_header() {
        return orphan(hop, Stage::Queue);
    }
    let fingerprint = hop.header().fingerprint;
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && packet.node != NO_NODE
        && packet.fingerprint == fingerprint
    {
        return advance(hop, packet, Stage::Queue, 0);
    }
    let received = &hop.run().received;
    if received.tag != 0 && received.tag != hop.tag && received.fingerprint == fingerprint {
        return join(hop, received, Stage::Queue, 0);
    }
    if let Some(packet) = hop.entry()
        && packet.node == NO_NODE
        && packet.stage == Stage::Receive as u8
    {
        packet.stage = Stage::Queue as u8;
        return;
    }
    if filter::has_scope() {
        return birth(hop, Stage::Queue, 0);
    }
    orphan(hop, Stage::Queue);
}

/// A packet reaches the driver.
#[inline(always)]
pub(crate) fn xmit(skb: Skb, device: Device, program: Program) {
    let Some(hop) = Hop::new(skb, device, program) else {
        return;
    };
    if !filter::is_in_scope(hop.device) {
        return leave(&hop);
    }
    hop.run().sent = hop.tag;
    let mac = if device.is_ethernet() && !device.is_loopback() {
        skb.data().mac()
    } else {
        0
    };
    if let Some(packet) = hop.entry() {
        if packet.stage == Stage::Queue as u8 {
            advance(&hop, packet, Stage::Xmit, mac);
            if packet.kind == Kind::Upper as u8 {
                // A bridge may hand on copies, which share the head.
                // SAFETY: it belongs to this CPU.
                unsafe { copy_all_but_tag(packet, &raw mut hop.run().upper) };
                hop.run().upper.tag = hop.tag;
                hop.run().upper_head = skb.head().number();
            }
            return depart(&hop);
        }
        if packet.stage == Stage::Xmit as u8 && packet.node != NO_NODE && hop.is_same(packet) {
            // The driver was busy, and the packet comes again.
            return;
        }
    }
    if !hop.read_header() {
        return orphan(&hop, Stage::Xmit);
    }
    let header = hop.header();
    let mark = header::segment_mark(header.flow, header.sequence);
    let Some(handed) = take(mark, 1) else {
        return orphan(&hop, Stage::Xmit);
    };
    let mut parent = handed;
    parent.payload = header.payload;
    parent.fingerprint = header.fingerprint;
    join(&hop, &parent, Stage::Xmit, mac);
    depart(&hop);
}

/// What has to be done where an `sk_buff` ends at its device: its way ends, or goes on in another.
#[inline(always)]
fn depart(hop: &Hop) {
    let Some(packet) = hop.entry() else { return };
    if packet.node == NO_NODE || packet.stage != Stage::Xmit as u8 || !Kind::leaves(packet.kind) {
        return;
    }
    total(hop, packet);
    if (packet.kind == Kind::Tun as u8 || setting!(handover_physical) != 0) && hop.read_header() {
        let mut handed = *packet;
        handed.tag = hop.tag;
        packet.flags |= flag::HANDED;
        hand_over(hop.header().mark | 1, 0, &handed);
    }
}

/// A packet is taken from a driver or from the peer device.
#[inline(always)]
pub(crate) fn rx(skb: Skb, program: Program, flags: u8) {
    let Some(hop) = Hop::new(skb, skb.device(), program) else {
        return;
    };
    if !filter::is_in_scope(hop.device) {
        return leave(&hop);
    }
    if let Some(packet) = hop.entry() {
        let stage = packet.stage;
        let goes_on = stage == Stage::Xmit as u8 || stage == Stage::Receive as u8;
        if packet.node == NO_NODE && goes_on && !Kind::enters(record::quick_kind(hop.device)) {
            packet.stage = Stage::Rx as u8;
            return;
        }
        if stage == Stage::Xmit as u8 && packet.node != NO_NODE && !Kind::leaves(packet.kind) {
            packet.len = skb.len();
            packet.flags = packet.flags & !flag::GRO | flags;
            return advance(&hop, packet, Stage::Rx, 0);
        }
        if stage == Stage::Receive as u8 && packet.node != NO_NODE && quick_upper(&hop) {
            // Taken out of a tunnel: it has another header from now on.
            if header::read(skb, hop.scratch, 1) != 0 {
                recognise_by(packet, hop.header());
            }
            packet.len = skb.len();
            packet.flags = packet.flags & !flag::GRO | flags;
            return advance(&hop, packet, Stage::Rx, 0);
        }
    }
    enter(&hop, Stage::Rx, flags);
}

/// From here on the packet has another header.
#[inline(always)]
fn recognise_by(packet: &mut Packet, header: &header::Header) {
    packet.fingerprint = header.fingerprint;
    packet.tuple = header.flow as u32;
}

#[inline(always)]
fn quick_upper(hop: &Hop) -> bool {
    record::quick_kind(hop.device) == Kind::Upper as u8
}

/// A packet is handed up without GRO, by `netif_receive_skb`.
#[inline(always)]
pub(crate) fn rx_direct(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, skb.device(), program) else {
        return;
    };
    // At a device where packets are born an entry says nothing: the address may be used again.
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && hop.run().received.tag == hop.tag
        && !Kind::enters(record::quick_kind(hop.device))
    {
        // A bridge hands it up as its own; that is one `receive` after the other, not a hop.
        return;
    }
    rx(skb, program, 0);
}

/// A packet is handed to the protocols.
#[inline(always)]
pub(crate) fn receive(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, skb.device(), program) else {
        return;
    };
    if !filter::is_in_scope(hop.device) {
        hop.run().received.tag = 0;
        return leave(&hop);
    }
    if let Some(packet) = hop.entry() {
        let stage = packet.stage;
        let comes_in = stage == Stage::Rx as u8 || stage == Stage::Receive as u8;
        let is_sent = stage == Stage::Xmit as u8 && !Kind::leaves(packet.kind);
        if comes_in || is_sent {
            let len = skb.len();
            if packet.flags & flag::GRO != 0 {
                // GRO put others behind it.
                if len > packet.len {
                    packet.payload += len - packet.len;
                }
                packet.flags &= !flag::GRO;
            }
            packet.len = len;
            advance(&hop, packet, Stage::Receive, 0);
            return note_received(&hop);
        }
    }
    enter(&hop, Stage::Receive, 0);
    note_received(&hop);
}

/// Remembers what this CPU received last, as it is now.
#[inline(always)]
fn note_received(hop: &Hop) {
    let received = &raw mut hop.run().received;
    // SAFETY: it belongs to this CPU.
    unsafe {
        (*received).tag = 0;
        if let Some(packet) = hop.entry() {
            packet.cpu = kernel::cpu();
            copy_all_but_tag(packet, received);
            (*received).tag = hop.tag;
        }
    }
}

const NOBODY: &Packet = &Packet {
    tag: 0,
    node: NO_NODE,
    cell: 0,
    first_ns: 0,
    last_ns: 0,
    fingerprint: 0,
    payload: 0,
    len: 0,
    tuple: 0,
    source_port: 0,
    destination_port: 0,
    stage: 0,
    flags: 0,
    protocol: 0,
    kind: 0,
    cpu: 0,
};

/// A packet comes in that is not known: new where devices make new ones, else a loss.
#[inline(always)]
fn enter(hop: &Hop, stage: Stage, flags: u8) {
    if filter::has_scope() || Kind::enters(record::quick_kind(hop.device)) {
        birth(hop, stage, flags);
    } else {
        orphan(hop, stage);
    }
}

/// A TCP segment reaches its socket.
#[inline(always)]
pub(crate) fn deliver(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, Device::new(core::ptr::null()), program) else {
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
        _ => orphan(&hop, Stage::Deliver),
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
    let cpu = kernel::cpu();
    let Some(run) = RUNS.get_ptr_mut(cpu) else {
        return;
    };
    // SAFETY: it belongs to this CPU, and is written with softirqs off.
    let received = unsafe { &mut (*run).received };
    let queued = sock.last_queued().tag();
    if queued != received.tag && deliver_listed(queued, cpu, protocol as u8, program) {
        return;
    }
    let is_its = received.protocol == protocol as u8
        && (protocol != u16::from(UDP)
            || received.destination_port == sock.port()
            || record::translated_port(received.node) == sock.port());
    if received.tag == 0 || received.stage != Stage::Receive as u8 || !is_its {
        return;
    }
    deliver_received(received, queued, program);
}

/// The datagram that this CPU received just now reaches its socket.
///
/// A reader on another CPU may have it already, and its address may be in use again: so it is this
/// CPU's own note of the packet that moves on, and the table learns of it only where it still knows
/// the same packet.
#[inline(always)]
fn deliver_received(received: &mut Packet, queued: u64, program: Program) {
    let tag = received.tag;
    let came_ns = received.last_ns;
    let Some(hop) = Hop::with_tag(tag, program) else {
        return;
    };
    arrive_at_socket(&hop, received);
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && packet.last_ns == came_ns
    {
        // A raw socket got a copy; what becomes of this one is no end any more.
        let copied = if queued == tag { 0 } else { flag::COPIED };
        packet.flags |= flag::ENDED | copied;
        packet.node = received.node;
        packet.cell = received.cell;
        packet.last_ns = received.last_ns;
        packet.stage = Stage::Deliver as u8;
    }
}

/// A datagram that came in by a list reaches its socket, after others were received.
#[inline(always)]
fn deliver_listed(tag: u64, cpu: u32, protocol: u8, program: Program) -> bool {
    let Some(hop) = Hop::with_tag(tag, program) else {
        return false;
    };
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Receive as u8
        && packet.node != NO_NODE
        && packet.protocol == protocol
        && packet.cpu == cpu
    {
        arrive_at_socket(&hop, packet);
        return true;
    }
    false
}

impl Hop {
    /// A hop at which the address is known, and the packet itself may not be touched.
    #[inline(always)]
    fn with_tag(tag: u64, program: Program) -> Option<Self> {
        let cpu = kernel::cpu();
        Some(Self {
            skb: Skb::new(core::ptr::null()),
            tag,
            device: Device::new(core::ptr::null()),
            program: program.0,
            set: PACKETS.get_ptr_mut((tag >> 8) as u32 & setting!(packets_mask))?,
            run: RUNS.get_ptr_mut(cpu)?,
            scratch: SCRATCH.get_ptr_mut(cpu * PROGRAMS + program.0)?,
        })
    }
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
        && packet.node != NO_NODE
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
    packet.flags |= flag::ENDED;
    advance(hop, packet, Stage::Deliver, 0);
    if packet.node != NO_NODE {
        record::end(packet, End::Delivered);
        total(hop, packet);
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
    let Some(hop) = Hop::new(skb, Device::new(core::ptr::null()), program) else {
        return;
    };
    if let Some(packet) = hop.entry()
        && packet.stage == Stage::Deliver as u8
        && packet.node != NO_NODE
    {
        advance(&hop, packet, Stage::Read, 0);
    }
}

/// The kernel drops a packet.
#[inline(always)]
pub(crate) fn drop(skb: Skb, reason: u32, program: Program) {
    let Some(hop) = Hop::new(skb, Device::new(core::ptr::null()), program) else {
        return;
    };
    let Some(packet) = hop.entry() else {
        return drop_segment(&hop, reason);
    };
    let stage = packet.stage;
    if packet.node == NO_NODE || stage == Stage::Read as u8 || packet.flags & flag::COPIED != 0 {
        packet.tag = 0;
        return;
    }
    if !hop.is_same(packet) {
        forget(packet);
        return drop_segment(&hop, reason);
    }
    if packet.flags & flag::HANDED != 0 {
        take(hop.header().mark | 1, 0);
    }
    if packet.flags & flag::ENDED != 0 {
        record::revoke(packet, End::Delivered);
    }
    record::drop(packet, reason);
    packet.tag = 0;
}

/// A segment is dropped before it came to any hop, in the queue that its packet was split for.
#[inline(always)]
fn drop_segment(hop: &Hop, reason: u32) {
    if !hop.read_header() {
        return;
    }
    let header = hop.header();
    if let Some(parent) = take(header::segment_mark(header.flow, header.sequence), 1) {
        record::bear(&parent);
        record::drop(&parent, reason);
    }
}

/// A packet ends well: its last owner is done with it, or it was split.
#[inline(always)]
pub(crate) fn consume(skb: Skb, program: Program) {
    let Some(hop) = Hop::new(skb, Device::new(core::ptr::null()), program) else {
        return;
    };
    let Some(packet) = hop.entry() else { return };
    let stage = packet.stage;
    if packet.node == NO_NODE || packet.flags & (flag::ENDED | flag::HANDED) != 0 {
        packet.tag = 0;
        return;
    }
    if stage == Stage::Queue as u8 && hop.is_same(packet) {
        let (size, count) = skb.segments();
        if size != 0 {
            split(&hop, packet, u32::from(size), u32::from(count));
            record::end(packet, End::Split);
        } else {
            record::end(packet, End::Delivered);
        }
        packet.tag = 0;
        return;
    }
    if stage == Stage::Receive as u8 && packet.protocol == UDP && hop.run().received.tag != hop.tag
    {
        // A reader on another CPU was faster than the word that there is something to read.
        return;
    }
    if stage == Stage::Receive as u8 && packet.flags & flag::FRAGMENT == 0 && hop.is_same(packet) {
        record::end(packet, End::Delivered);
        total(&hop, packet);
        packet.tag = 0;
        return;
    }
    forget(packet);
}

/// The entry's packet is gone, and nothing told how: where it stood does.
#[inline(always)]
fn forget(packet: &mut Packet) {
    if let Some(how) = silent_end(packet) {
        record::end(packet, how);
    }
    packet.tag = 0;
}

/// Segments of one packet at most: 64 KiB of the smallest ones that TCP makes in practice.
const SEGMENTS: u32 = 64;

/// Leaves a mark for each segment that a packet is split into.
#[inline(always)]
fn split(hop: &Hop, packet: &Packet, size: u32, count: u32) {
    let header = *hop.header();
    let step = if header.tuple.protocol == TCP {
        size
    } else {
        1
    };
    let mut index = 0;
    while index < SEGMENTS {
        if index >= count {
            break;
        }
        // An IP ID has 16 bits, a sequence number 32.
        let sequence = header.sequence.wrapping_add(index * step);
        let sequence = if step == 1 {
            sequence & 0xffff
        } else {
            sequence
        };
        hand_over(header::segment_mark(header.flow, sequence), 1, packet);
        index += 1;
    }
}

/// A packet left what is traced: the device or the namespace that was asked for.
#[inline(always)]
fn leave(hop: &Hop) {
    if let Some(packet) = hop.entry() {
        if packet.node != NO_NODE && packet.flags & flag::ENDED == 0 {
            record::end(packet, End::Left);
        }
        packet.tag = 0;
    }
}

/// A new packet.
#[inline(never)]
fn birth(hop: &Hop, stage: Stage, flags: u8) {
    let at_data = u32::from(stage != Stage::Queue);
    if header::read(hop.skb, hop.scratch, at_data) == 0 {
        record::lose(Loss::Header);
        return ignore(hop, stage);
    }
    if stage != Stage::Queue && goes_on(hop, stage, flags) {
        return;
    }
    if is_closing() {
        return ignore(hop, stage);
    }
    let header = hop.header();
    let upper = &hop.run().upper;
    if stage == Stage::Queue
        && upper.tag != 0
        && upper.fingerprint == header.fingerprint
        && hop.run().upper_head == hop.skb.head().number()
        && upper.tag != hop.tag
    {
        return join(hop, upper, stage, 0);
    }
    if !header::is_wanted(header) {
        return ignore(hop, stage);
    }
    let class = class::of(hop.device, hop.scratch);
    if class == 0 {
        return ignore(hop, stage);
    }
    let now = kernel::now();
    let mac = if stage != Stage::Queue && hop.device.is_ethernet() && !hop.device.is_loopback() {
        hop.skb.mac_header().add(6).mac()
    } else {
        0
    };
    let key = NodeKey {
        parent: ROOT | (class - 1),
        stage: stage as u32,
        ifindex: hop.device.ifindex(),
        zero: 0,
        cookie: hop.device.cookie(),
        mac,
    };
    let flow = header.flow as u32;
    let node = record::node_at_device(&key, hop.program, hop.skb, hop.device, hop.scratch, flow);
    let found = match node {
        Ok(found) => found,
        Err(how) => {
            let is_node = how as u8 == End::Nodes as u8;
            record::lose(if is_node { Loss::Nodes } else { Loss::Cells });
            return ignore(hop, stage);
        }
    };
    let fragment = if header.fragment != 0 {
        flag::FRAGMENT
    } else {
        0
    };
    let packet = Packet {
        tag: 0,
        node: found.node,
        cell: found.cell,
        first_ns: now,
        last_ns: now,
        fingerprint: header.fingerprint,
        payload: header.payload,
        len: hop.skb.len(),
        tuple: header.flow as u32,
        source_port: header.tuple.source_port,
        destination_port: header.tuple.destination_port,
        stage: stage as u8,
        flags: flags | fragment,
        protocol: header.tuple.protocol,
        kind: found.kind,
        cpu: 0,
    };
    record::arrive(found.cell, packet.payload, 0, now);
    record::step(&packet, hop.tag, 0, now);
    insert(hop, &packet);
}

/// Whether a packet that comes in was handed over where another `sk_buff` ended; it goes on then.
#[inline(always)]
fn goes_on(hop: &Hop, stage: Stage, flags: u8) -> bool {
    let kind = record::quick_kind(hop.device);
    if kind != Kind::Tun as u8 && (setting!(handover_physical) == 0 || kind != Kind::Physical as u8)
    {
        return false;
    }
    let header = hop.header();
    let mark = header.mark | 1;
    let Some(mut handed) = take(mark, 0) else {
        if is_ambiguous(mark) {
            ignore(hop, stage);
            return true;
        }
        return false;
    };
    handed.flags = handed.flags & flag::FRAGMENT | flags;
    handed.len = hop.skb.len();
    handed.fingerprint = header.fingerprint;
    join_as(hop, &handed, stage, 0);
    true
}

#[inline(always)]
fn is_closing() -> bool {
    CONTROL.get_ptr(0).is_none_or(|control| {
        // SAFETY: one word that the agent sets.
        unsafe { core::ptr::read_volatile(&raw const (*control).closing) != 0 }
    })
}

/// Lets a copy or a segment go on from where its parent was, as a packet of its own.
#[inline(always)]
fn join(hop: &Hop, parent: &Packet, stage: Stage, mac: u64) {
    if parent.node == NO_NODE {
        return ignore(hop, stage);
    }
    record::bear(parent);
    join_as(hop, parent, stage, mac);
}

#[inline(always)]
fn join_as(hop: &Hop, past: &Packet, stage: Stage, mac: u64) {
    insert(hop, past);
    match hop.entry() {
        Some(entry) => {
            entry.flags &= !(flag::ENDED | flag::HANDED);
            advance(hop, entry, stage, mac);
        }
        None => record::end(past, End::Displaced),
    }
}

/// Moves a packet on to its next node.
#[inline(always)]
fn advance(hop: &Hop, packet: &mut Packet, stage: Stage, mac: u64) {
    packet.stage = stage as u8;
    if packet.node == NO_NODE {
        return;
    }
    let at_device = stage as u8 <= Stage::Receive as u8;
    let key = NodeKey {
        parent: packet.node,
        stage: stage as u32,
        ifindex: if at_device { hop.device.ifindex() } else { 0 },
        zero: 0,
        cookie: if at_device { hop.device.cookie() } else { 0 },
        mac,
    };
    let found = if at_device {
        record::node_at_device(
            &key,
            hop.program,
            hop.skb,
            hop.device,
            hop.scratch,
            packet.tuple,
        )
    } else {
        record::node_at_socket(&key, hop.program, hop.scratch)
    };
    // SAFETY: a valid reference; another CPU may have displaced the entry while the node was found.
    if unsafe { core::ptr::read_volatile(&raw const packet.tag) } != hop.tag {
        return;
    }
    match found {
        Ok(found) => {
            let now = kernel::now();
            let last = packet.last_ns;
            packet.node = found.node;
            packet.cell = found.cell;
            packet.kind = found.kind;
            packet.last_ns = now;
            record::arrive(found.cell, packet.payload, last, now);
            record::step(packet, hop.tag, last, now);
        }
        Err(how) => {
            record::end(packet, how);
            packet.node = NO_NODE;
        }
    }
}

/// Records the time since the packet's first hop, at the node where its way ended well.
#[inline(always)]
fn total(hop: &Hop, packet: &Packet) {
    let key = NodeKey {
        parent: packet.node,
        stage: Stage::Total as u32,
        ifindex: 0,
        zero: 0,
        cookie: 0,
        mac: 0,
    };
    if let Ok(found) = record::node_at_socket(&key, hop.program, hop.scratch) {
        record::arrive(found.cell, packet.payload, packet.first_ns, packet.last_ns);
    }
}

/// A hop of a packet whose past is not known.
#[inline(always)]
fn orphan(hop: &Hop, stage: Stage) {
    if header::has_filter() && hop.read_header() && !header::is_wanted(hop.header()) {
        return ignore(hop, stage);
    }
    if is_closing() {
        // It began before or after what is traced.
        return ignore(hop, stage);
    }
    record::lose(Loss::Orphan);
    let (found, stood) = hop
        .entry()
        .map_or((0, 0), |packet| (packet.flags, packet.stage));
    log::orphan(stage as u32, u32::from(stood), u32::from(found));
    ignore(hop, stage);
}

/// Remembers that the packet at this address is not followed, where that costs no other packet.
#[inline(always)]
fn ignore(hop: &Hop, stage: Stage) {
    if let Some(packet) = hop.entry() {
        forget(packet);
    }
    // SAFETY: the map's memory.
    let ways = unsafe { &mut (*hop.set).ways };
    let way = if is_free(&ways[0]) {
        &mut ways[0]
    } else if is_free(&ways[1]) {
        &mut ways[1]
    } else {
        return;
    };
    *way = Packet {
        last_ns: 1,
        ..*NOBODY
    };
    way.tag = hop.tag;
    way.stage = stage as u8;
}

#[inline(always)]
fn is_free(packet: &Packet) -> bool {
    packet.tag == 0 || packet.node == NO_NODE || packet.flags & (flag::ENDED | flag::HANDED) != 0
}

/// Puts a packet into the table; of two others the older one makes room.
#[inline(always)]
fn insert(hop: &Hop, packet: &Packet) {
    if let Some(before) = hop.entry() {
        forget(before);
    }
    // SAFETY: the map's memory. The tag is cleared first and set last, so that no other CPU takes
    // half an entry for a whole one.
    let ways = unsafe { &mut (*hop.set).ways };
    let second = if is_free(&ways[0]) {
        false
    } else if is_free(&ways[1]) {
        true
    } else {
        ways[1].last_ns < ways[0].last_ns
    };
    let way = if second { &mut ways[1] } else { &mut ways[0] };
    if !is_free(way) {
        displace(way);
    }
    // SAFETY: a valid reference.
    unsafe {
        core::ptr::write_volatile(&raw mut way.tag, 0);
        copy_all_but_tag(packet, way);
        core::ptr::write_volatile(&raw mut way.tag, hop.tag);
    }
}

/// Copies an entry word by word, so that it takes no room on the stack.
///
/// # Safety
/// `to` must be valid.
#[inline(always)]
unsafe fn copy_all_but_tag(from: &Packet, to: *mut Packet) {
    const WORDS: usize = size_of::<Packet>() / 8;
    let from = (&raw const *from).cast::<u64>();
    let mut word = 1;
    while word < WORDS {
        // SAFETY: both are packets, and the tag is the first word.
        unsafe {
            core::ptr::write_volatile(to.cast::<u64>().add(word), from.add(word).read_volatile());
        }
        word += 1;
    }
}

/// Packets that stood longer than this without a sign of life are gone rather than under way.
const STALE_NS: u64 = 1_000_000_000;

#[inline(always)]
fn displace(packet: &mut Packet) {
    let how = match silent_end(packet) {
        Some(End::Unseen) if kernel::now().wrapping_sub(packet.last_ns) < STALE_NS => {
            End::Displaced
        }
        Some(how) => how,
        None => return,
    };
    record::end(packet, how);
}

/// Leaves a packet to be taken up where it is seen again.
#[inline(always)]
fn hand_over(mark: u64, segment: u32, packet: &Packet) {
    let Some(set) = set_of(mark) else { return };
    // SAFETY: the map's memory; a mark is written last.
    let ways = unsafe { &mut (*set).ways };
    for way in ways.iter_mut() {
        if way.mark == mark && segment == 0 {
            // Two that look alike: neither can be recognised.
            if way.state == 1 {
                record::end(&way.packet, End::Ambiguous);
            }
            way.state = 2;
            record::end(packet, End::Ambiguous);
            return;
        }
    }
    // A free way, or else the oldest.
    let mut chosen = 0;
    let mut index = 1;
    while index < HANDED_WAYS {
        if ways[chosen].mark != 0
            && (ways[index].mark == 0 || ways[index].packet.last_ns < ways[chosen].packet.last_ns)
        {
            chosen = index;
        }
        index += 1;
    }
    let way = &mut ways[chosen];
    if way.mark != 0 && way.state == 1 {
        let is_young = packet.last_ns.wrapping_sub(way.packet.last_ns) < STALE_NS;
        if way.segment != 0 {
            record::lose(Loss::Handover);
        } else {
            // An old one left for good.
            record::end(
                &way.packet,
                if is_young { End::Displaced } else { End::Left },
            );
        }
    }
    // SAFETY: a valid reference.
    unsafe {
        core::ptr::write_volatile(&raw mut way.mark, 0);
        way.state = 1;
        way.segment = segment;
        way.packet = *packet;
        core::ptr::write_volatile(&raw mut way.mark, mark);
    }
}

#[inline(always)]
fn set_of(mark: u64) -> Option<*mut HandedSet> {
    HANDOVER.get_ptr_mut((mark >> 20) as u32 & setting!(handover_mask))
}

/// Takes a packet that was handed over, if it can be told from all others.
#[inline(always)]
fn take(mark: u64, segment: u32) -> Option<Packet> {
    // SAFETY: the map's memory.
    let ways = unsafe { &mut (*set_of(mark)?).ways };
    for way in ways.iter_mut() {
        if way.mark == mark && way.segment == segment && way.state == 1 {
            let packet = way.packet;
            way.mark = 0;
            return Some(packet);
        }
    }
    None
}

#[inline(always)]
fn is_ambiguous(mark: u64) -> bool {
    let Some(set) = set_of(mark) else {
        return false;
    };
    // SAFETY: the map's memory.
    let ways = unsafe { &(*set).ways };
    ways.iter().any(|way| way.mark == mark && way.state == 2)
}
