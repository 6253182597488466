//! Who is this packet? From an `sk_buff` at a hop to a packet with a past.
//!
//! An entry of the packet table is found by the address of the `sk_buff`. Addresses are used again
//! within milliseconds, many packets die without a tracepoint, and copies share their data; so at
//! each hop the entry must stand where a packet of that hop must come from, and where that is not
//! enough the headers are read again. What fits nowhere is counted as lost and never joined.
//!
//! What most packets go through is inlined into each program. The rest are functions that take
//! numbers only and find what they need in the scratch: the verifier checks each of these once,
//! and not again wherever it is called.

mod birth;
mod device;
mod end;
mod finer;
mod socket;

use core::hint::cold_path;

use tracer_common::{
    hop::Stage,
    layout::{End, NO_NODE, NodeKey, Packet, PacketSet, Work, flag},
};

pub(crate) use self::{
    device::{queue, receive, rx, rx_direct, xmit},
    end::{consume, drop},
    finer::pass,
    socket::{deliver, deliver_datagram, deliver_handshake, read},
};
use crate::{
    header,
    kernel::{self, Device, Skb},
    maps::{self, RUNS, Run, Scratch, WAITING},
    record, table,
    tree::{self, Found},
};

/// A program's own number, for what it keeps for itself.
#[derive(Clone, Copy)]
pub(crate) struct Program(pub(crate) u32);

/// Where a program runs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    program: Program,
    cpu: u32,
    run: *mut Run,
}

impl Place {
    #[inline(always)]
    pub(crate) fn of(program: Program) -> Option<Self> {
        let cpu = kernel::cpu();
        let run = RUNS.get_ptr_mut(cpu)?;
        Some(Self { program, cpu, run })
    }

    /// What the program did on this CPU.
    #[inline(always)]
    pub(crate) fn work(&self) -> &'static mut Work {
        // SAFETY: it belongs to one program on one CPU, and a program does not nest in itself.
        unsafe { &mut (*self.run).work[self.program.0 as usize] }
    }
}

/// What every hop needs: who, where, and room to work in.
#[derive(Clone, Copy)]
struct Hop {
    skb: Skb,
    tag: u64,
    cpu: u32,
    program: u32,
    set: *mut PacketSet,
    run: *mut Run,
}

impl Hop {
    #[inline(always)]
    fn new(skb: Skb, place: Place) -> Option<Self> {
        Self::at(skb, skb.tag(), place)
    }

    /// A hop at which the address is known, and the packet itself may not be touched.
    #[inline(always)]
    fn with_tag(tag: u64, place: Place) -> Option<Self> {
        Self::at(Skb::new(core::ptr::null()), tag, place)
    }

    #[inline(always)]
    fn at(skb: Skb, tag: u64, place: Place) -> Option<Self> {
        Some(Self {
            skb,
            tag,
            cpu: place.cpu,
            program: place.program.0,
            set: table::set_of(tag)?,
            run: place.run,
        })
    }

    /// The entry of this address.
    #[inline(always)]
    fn entry(&self) -> Option<&'static mut Packet> {
        table::entry_of(self.set, self.tag)
    }

    #[inline(always)]
    fn run(&self) -> &'static mut Run {
        // SAFETY: it belongs to this CPU, and is written with softirqs off.
        unsafe { &mut *self.run }
    }

    /// The packet that this CPU received is no socket's: it goes another way.
    #[inline(always)]
    fn moves_on(&self) {
        let run = self.run();
        if run.received.tag == self.tag {
            run.received.stage = 0;
        } else if run.waited != run.settled {
            settle(self.tag);
        }
    }

    #[inline(always)]
    fn index(&self) -> u32 {
        maps::scratch_index(self.cpu, self.program)
    }

    /// Reads the headers, as they are on the way out, into the scratch that is returned.
    #[inline(always)]
    fn read_header(&self) -> Option<&'static mut Scratch> {
        let scratch = maps::scratch(self.index())?;
        header::point(self.skb, scratch, false);
        (header::parse_header(self.index()) != 0).then_some(scratch)
    }

    /// Whether the packet at this address still is the one of the entry.
    #[inline(always)]
    fn is_same(&self, packet: &Packet) -> bool {
        self.read_header()
            .is_some_and(|scratch| scratch.header.fingerprint == packet.fingerprint)
    }

    /// Writes down for functions that get numbers only what the packet and its device are.
    #[inline(always)]
    fn lay_out(&self, device: Device, stage: Stage, scratch: &mut Scratch) {
        scratch.tag = self.tag;
        scratch.program = self.program;
        scratch.kind = 0;
        scratch.socket = 0;
        scratch.device = device.address();
        scratch.cookie = device.cookie();
        scratch.ifindex = device.ifindex();
        scratch.len = self.skb.len();
        scratch.head = self.skb.head().address();
        scratch.mac = if stage as u8 == Stage::Rx as u8 && has_mac(device) {
            self.skb.mac_header().add(6).mac()
        } else {
            0
        };
        let comes_in = stage as u8 >= Stage::Rx as u8;
        header::point(self.skb, scratch, comes_in);
    }
}

/// What this CPU received at this address lately will not reach a socket.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn settle(tag: u64) -> u32 {
    let Some(run) = RUNS.get_ptr_mut(kernel::cpu()) else {
        return 0;
    };
    // SAFETY: it belongs to this CPU.
    let run = unsafe { &mut *run };
    if run.received.tag == tag {
        run.received.stage = 0;
    }
    let mut index = 0;
    while index < WAITING {
        let note = &mut run.waiting[index as usize];
        if note.tag == tag {
            note.tag = 0;
        }
        index += 1;
    }
    0
}

/// Whether frames of the device begin with Ethernet addresses that mean something.
#[inline(always)]
fn has_mac(device: Device) -> bool {
    device.is_ethernet() && !device.is_loopback()
}

/// Moves a packet on to its next node, at a device.
#[inline(always)]
fn advance(hop: &Hop, device: Device, packet: &mut Packet, stage: Stage, mac: u64) {
    packet.stage = stage as u8;
    if packet.node == NO_NODE {
        cold_path();
        return;
    }
    let key = NodeKey {
        parent: packet.node,
        stage: stage as u32,
        ifindex: device.ifindex(),
        zero: 0,
        cookie: device.cookie(),
        mac,
    };
    let found = if let Some(found) = tree::met(&key, hop.index()) {
        found
    } else if let Some(scratch) = maps::scratch(hop.index()) {
        cold_path();
        hop.lay_out(device, stage, scratch);
        scratch.born = packet.tuple;
        tree::find(&key, hop.index(), scratch)
    } else {
        Found::none(End::Cells)
    };
    step_to(hop, packet, found, record::arrive_alone);
}

/// The node behind another one, with the same device.
#[inline(always)]
fn beyond(hop: &Hop, node: u32, stage: Stage) -> Found {
    let key = NodeKey {
        parent: node,
        stage: stage as u32,
        ifindex: 0,
        zero: 0,
        cookie: 0,
        mac: 0,
    };
    if let Some(found) = tree::met(&key, hop.index()) {
        return found;
    }
    let Some(scratch) = maps::scratch(hop.index()) else {
        return Found::none(End::Cells);
    };
    cold_path();
    scratch.device = 0;
    tree::find(&key, hop.index(), scratch)
}

/// When a packet comes to a hop, to the nanosecond where it is timed.
///
/// Of one that is only counted it tells for how long its entry stood: there what this CPU last read
/// from the clock will do.
#[inline(always)]
fn moment(packet: &Packet, run: &mut Run) -> u64 {
    if packet.flags & flag::UNTIMED != 0 {
        return run.clock.max(packet.last_ns);
    }
    run.clock = kernel::now();
    run.clock
}

/// Counts a packet at the node that was found for it; true when it is there now.
#[inline(always)]
fn step_to(
    hop: &Hop,
    packet: &mut Packet,
    found: Found,
    arrive: fn(u32, &Packet, u64, u64),
) -> bool {
    let now = moment(packet, hop.run());
    // Another CPU may have displaced the entry while the node was found.
    if !table::is_held(packet, hop.tag) {
        cold_path();
        return false;
    }
    if let Some(how) = found.missing {
        record::end(packet, how);
        packet.last_ns = now;
        packet.node = NO_NODE;
        return false;
    }
    let last = packet.last_ns;
    packet.last_ns = now;
    packet.node = found.node;
    packet.cell = found.cell;
    packet.kind = found.kind;
    arrive(found.cell, packet, last, now);
    record::step(packet, hop.tag, last, now);
    true
}

/// Records the time since the packet's first hop, at the node where its way ended well.
#[inline(always)]
fn total(hop: &Hop, packet: &Packet) {
    let found = beyond(hop, packet.node, Stage::Total);
    if found.missing.is_none() {
        record::arrive(found.cell, packet, packet.first_ns, packet.last_ns);
    }
}
