//! Writing it down: nodes of the route tree, their counters, ends, losses, and timelines.

use core::arch::asm;

use tracer_common::{
    bucket,
    hop::Stage,
    layout::{Cell, DropKey, End, Kind, NodeInfo, NodeKey, Packet, ROOT, Step},
    loss::Loss,
};

use crate::{
    header,
    kernel::{self, Device, Skb, setting},
    maps::{
        CELL_OF, CELLS, CLAIMS, CONTROL, DROPS, KINDS, LOSSES, NODE_INFO, NODES, PROGRAMS, SLOTS,
        SLOTS_OF, STEPS, Scratch, Slot, claim,
    },
};

/// Longer than any packet's stay at a hop: what claims to be longer is no measurement.
const ABSURD_NS: u64 = 600_000_000_000;

/// Children of one node that are told apart by MAC; the others are counted without it.
const MACS: u32 = 64;

/// A node as a hop found it.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) node: u32,
    pub(crate) cell: u32,
    pub(crate) kind: u8,
}

/// The node that a packet comes to at a device, by the way that it came.
///
/// An end where there is no room for another node, or for its counters.
#[inline(always)]
pub(crate) fn node_at_device(
    key: &NodeKey,
    program: u32,
    skb: Skb,
    device: Device,
    scratch: *mut Scratch,
    born: u32,
) -> Result<Found, End> {
    let Some(slot) = slot_of(key, program) else {
        return Err(End::Cells);
    };
    // SAFETY: a slot belongs to one program on one CPU, and programs don't nest in themselves.
    let known = unsafe { &*slot };
    if known.node != 0 && known.key == *key {
        return Ok(known.found());
    }
    // SAFETY: as above, for the scratch.
    unsafe {
        (*scratch).key = *key;
        (*scratch).born = born;
    }
    answer(find_at_device(skb, device, scratch, slot), slot)
}

/// The node that a packet comes to at a socket: on the device of the node before.
#[inline(always)]
pub(crate) fn node_at_socket(
    key: &NodeKey,
    program: u32,
    scratch: *mut Scratch,
) -> Result<Found, End> {
    let Some(slot) = slot_of(key, program) else {
        return Err(End::Cells);
    };
    // SAFETY: as above.
    let known = unsafe { &*slot };
    if known.node != 0 && known.key == *key {
        return Ok(known.found());
    }
    // SAFETY: as above.
    unsafe { (*scratch).key = *key };
    answer(find_at_socket(scratch, slot), slot)
}

/// What the slow paths answer: a number, as functions of BPF do.
const FOUND: u32 = 0;
const NO_ROOM_FOR_NODE: u32 = 1;
const NO_ROOM_FOR_CELL: u32 = 2;

#[inline(always)]
fn answer(answer: u32, slot: *mut Slot) -> Result<Found, End> {
    match answer {
        // SAFETY: as above.
        FOUND => Ok(unsafe { (*slot).found() }),
        NO_ROOM_FOR_NODE => Err(End::Nodes),
        _ => Err(End::Cells),
    }
}

impl Slot {
    #[inline(always)]
    fn found(&self) -> Found {
        Found {
            node: self.node.wrapping_sub(1),
            cell: self.cell,
            kind: self.kind as u8,
        }
    }
}

#[inline(always)]
fn slot_of(key: &NodeKey, program: u32) -> Option<*mut Slot> {
    let spread = key.parent.wrapping_mul(0x9e37_79b1)
        ^ key.ifindex.wrapping_mul(0x85eb_ca6b)
        ^ (key.mac as u32).wrapping_mul(0xc2b2_ae35)
        ^ key.stage << 26;
    let first = (kernel::cpu() * PROGRAMS + program) * SLOTS;
    SLOTS_OF.get_ptr_mut(first + (spread >> 26 & (SLOTS - 1)))
}

/// Finds or makes the node of the key in the scratch, and its counters on this CPU.
#[inline(never)]
fn find_at_device(skb: Skb, device: Device, scratch: *mut Scratch, slot: *mut Slot) -> u32 {
    // SAFETY: scratch and slot belong to this program on this CPU.
    let (scratch, slot) = unsafe { (&mut *scratch, &mut *slot) };
    slot.node = 0;
    slot.key = scratch.key;
    let mut node = known_node(scratch);
    if node == 0 {
        let Some((new, info)) = new_node(scratch) else {
            return NO_ROOM_FOR_NODE;
        };
        describe(info, skb, device, scratch);
        node = publish(new, info, scratch);
    }
    count_at(node, slot)
}

/// The same for a hop at a socket, where neither packet nor device may be touched.
#[inline(never)]
fn find_at_socket(scratch: *mut Scratch, slot: *mut Slot) -> u32 {
    // SAFETY: scratch and slot belong to this program on this CPU.
    let (scratch, slot) = unsafe { (&mut *scratch, &mut *slot) };
    slot.node = 0;
    slot.key = scratch.key;
    let mut node = known_node(scratch);
    if node == 0 {
        let Some((new, info)) = new_node(scratch) else {
            return NO_ROOM_FOR_NODE;
        };
        if let Some(parent) = NODE_INFO.get(scratch.key.parent) {
            info.kind = parent.kind;
        }
        node = publish(new, info, scratch);
    }
    count_at(node, slot)
}

/// Fills the slot with a node, given plus one.
#[inline(always)]
fn count_at(node: u32, slot: &mut Slot) -> u32 {
    if node == 0 {
        return NO_ROOM_FOR_NODE;
    }
    let cell = find_cell(node - 1);
    if cell == 0 {
        return NO_ROOM_FOR_CELL;
    }
    slot.cell = cell - 1;
    slot.kind = NODE_INFO.get(node - 1).map_or(0, |info| info.kind);
    slot.node = node;
    FOUND
}

/// The node of the key in the scratch, plus one; 0 when there is none yet.
///
/// Over a limit the children of one node are no longer told apart by MAC.
#[inline(always)]
fn known_node(scratch: &mut Scratch) -> u32 {
    // SAFETY: a value of this map is written once.
    if let Some(&node) = unsafe { NODES.get(&scratch.key) } {
        return node + 1;
    }
    if scratch.key.mac == 0 || scratch.key.parent & ROOT != 0 {
        return 0;
    }
    let Some(parent) = NODE_INFO.get_ptr_mut(scratch.key.parent) else {
        return 0;
    };
    // SAFETY: the map's memory, and a count that only grows.
    unsafe {
        let children = &raw mut (*parent).children;
        if core::ptr::read_volatile(children) < MACS {
            add_u32(children, 1);
            return 0;
        }
    }
    scratch.key.mac = 0;
    // SAFETY: as above.
    unsafe { NODES.get(&scratch.key) }.map_or(0, |&node| node + 1)
}

/// A node of our own, plus one, to be described before others can find it.
#[inline(always)]
fn new_node(scratch: &Scratch) -> Option<(u32, &'static mut NodeInfo)> {
    let node = claim(claim::NODE, setting!(nodes));
    if node == 0 {
        return None;
    }
    // SAFETY: the node is ours until it is published.
    let info = unsafe { &mut *NODE_INFO.get_ptr_mut(node - 1)? };
    info.key = scratch.key;
    Some((node, info))
}

/// Lets others find a node; answers with theirs where another CPU was faster.
#[inline(always)]
fn publish(node: u32, info: &mut NodeInfo, scratch: &Scratch) -> u32 {
    if NODES.insert(&scratch.key, node - 1, 1).is_err() {
        // SAFETY: a value of this map is written once.
        return unsafe { NODES.get(&scratch.key) }.map_or(0, |&node| node + 1);
    }
    // SAFETY: a valid reference.
    unsafe { core::ptr::write_volatile(&raw mut info.ready, 1) };
    node
}

/// Writes what the agent needs to know of a new node, and what its packets are judged by.
#[inline(always)]
fn describe(info: &mut NodeInfo, skb: Skb, device: Device, scratch: &mut Scratch) {
    info.inode = device.inode();
    info.device = bytes(device.name());
    let (kind, name) = kind(device);
    info.kind = kind as u32;
    info.kind_name = bytes(name);
    let stage = scratch.key.stage;
    let comes_in = stage == Stage::Rx as u32 || stage == Stage::Receive as u32;
    if stage == Stage::Rx as u32 && device.is_ethernet() && !device.is_loopback() {
        info.previous_mac = skb.mac_header().add(6).mac();
    }
    if header::read(skb, scratch, u32::from(comes_in)) != 0 {
        info.tuple = scratch.header.tuple;
        info.translated = u32::from(scratch.header.flow as u32 != scratch.born);
    }
}

#[inline(always)]
fn bytes(words: [u64; 2]) -> [u8; 16] {
    // SAFETY: both are sixteen bytes of which any are valid.
    unsafe { core::mem::transmute(words) }
}

#[inline(always)]
fn find_cell(node: u32) -> u32 {
    let key = u64::from(node) << 32 | u64::from(kernel::cpu());
    // SAFETY: a value of this map is written once.
    if let Some(&cell) = unsafe { CELL_OF.get(key) } {
        return cell + 1;
    }
    let cell = claim(claim::CELL, setting!(cells));
    if cell == 0 {
        return 0;
    }
    if CELL_OF.insert(key, cell - 1, 1).is_err() {
        // A program that interrupted this one was faster.
        // SAFETY: as above.
        return unsafe { CELL_OF.get(key) }.map_or(0, |&cell| cell + 1);
    }
    if let Some(counters) = CELLS.get_ptr_mut(cell - 1) {
        // SAFETY: the cell is ours until it has an owner.
        unsafe { core::ptr::write_volatile(&raw mut (*counters).owner, node + 1) };
    }
    cell
}

/// The destination port behind NAT at a node, 0 where there is none.
#[inline(always)]
pub(crate) fn translated_port(node: u32) -> u16 {
    match NODE_INFO.get(node) {
        Some(info) if info.translated == 1 => info.tuple.destination_port,
        _ => 0,
    }
}

/// The kind of a device, and its name.
///
/// All devices of a kind share their operations, so that the name is read once a kind.
#[inline(always)]
pub(crate) fn kind(device: Device) -> (Kind, [u64; 2]) {
    let link_ops = device.link_ops();
    if link_ops.is_null() {
        let kind = if device.is_loopback() {
            Kind::Loopback
        } else {
            Kind::Physical
        };
        return (kind, [0; 2]);
    }
    let name = link_ops.kind();
    (named_kind(name), name)
}

/// The kind of a device, from what is known of its kind; for paths that packets take.
#[inline(always)]
pub(crate) fn quick_kind(device: Device) -> u8 {
    let link_ops = device.link_ops();
    if link_ops.is_null() {
        return if device.is_loopback() {
            Kind::Loopback as u8
        } else {
            Kind::Physical as u8
        };
    }
    // SAFETY: a value of this map is written once.
    if let Some(&kind) = unsafe { KINDS.get(link_ops.tag()) } {
        return kind as u8;
    }
    let kind = named_kind(link_ops.kind()) as u32;
    let _ = KINDS.insert(link_ops.tag(), kind, 0);
    kind as u8
}

const fn word(name: &[u8]) -> u64 {
    let mut word = 0;
    let mut index = 0;
    while index < name.len() && index < 8 {
        word |= (name[index] as u64) << (index * 8);
        index += 1;
    }
    word
}

/// The kinds on top of another device, whose `sk_buff` goes on to it.
const UPPERS: [u64; 14] = [
    word(b"vlan"),
    word(b"bridge"),
    word(b"bond"),
    word(b"team"),
    word(b"macvlan"),
    word(b"macvtap"),
    word(b"ipvlan"),
    word(b"vxlan"),
    word(b"geneve"),
    word(b"gre"),
    word(b"gretap"),
    word(b"ipip"),
    word(b"sit"),
    word(b"vrf"),
];

#[inline(always)]
fn named_kind(name: [u64; 2]) -> Kind {
    if name[0] == word(b"veth") {
        return Kind::Veth;
    }
    if name[0] == word(b"tun") {
        return Kind::Tun;
    }
    let mut index = 0;
    while index < UPPERS.len() {
        if name[0] == UPPERS[index] {
            return Kind::Upper;
        }
        index += 1;
    }
    Kind::Other
}

/// How many numbers are tried before giving up, when several CPUs want one at the same time.
const TRIES: u32 = 16;

/// Gives out a number below the limit, plus one; 0 when none is left.
///
/// Without an atomic that returns its value, which BPF has since Linux 5.12 only: whoever puts a
/// number into the map first owns it.
#[inline(always)]
pub(crate) fn claim(what: u64, limit: u32) -> u32 {
    let Some(control) = CONTROL.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the map's memory.
    let next = unsafe {
        match what {
            claim::NODE => &raw mut (*control).nodes,
            claim::CLASS => &raw mut (*control).classes,
            _ => &raw mut (*control).cells,
        }
    };
    // SAFETY: as above; the number is a hint, the map decides.
    let mut number = unsafe { core::ptr::read_volatile(next) };
    let mut tries = 0;
    while tries < TRIES {
        if number >= limit {
            return 0;
        }
        if CLAIMS.insert(what | u64::from(number), 1, 1).is_ok() {
            // SAFETY: as above.
            unsafe { core::ptr::write_volatile(next, number + 1) };
            return number + 1;
        }
        number += 1;
        tries += 1;
    }
    0
}

/// Counts a packet at its node, with the time since its node before.
#[inline(always)]
pub(crate) fn arrive(cell: u32, payload: u32, since: u64, now: u64) {
    let Some(cell) = CELLS.get_ptr_mut(cell) else {
        return;
    };
    // SAFETY: a cell of the map. Its words only grow, and the agent reads them as they are.
    unsafe {
        add(&raw mut (*cell).packets, 1);
        add(&raw mut (*cell).bytes, u64::from(payload));
        if since != 0 {
            time(cell, now.wrapping_sub(since));
        }
    }
}

/// Adds atomically, without asking for the value: that is an instruction since Linux 3.18, and
/// Rust's `fetch_add` one since 5.12.
#[inline(always)]
unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: the caller gives a counter of a map.
    unsafe { asm!("lock *(u64 *)({} + 0) += {}", in(reg) counter, in(reg) value) };
}

/// The same for half a word.
#[inline(always)]
unsafe fn add_u32(counter: *mut u32, value: u32) {
    // SAFETY: the caller gives a counter of a map.
    unsafe { asm!("lock *(u32 *)({} + 0) += {}", in(reg) counter, in(reg) u64::from(value)) };
}

#[inline(always)]
unsafe fn time(cell: *mut Cell, latency: u64) {
    if latency > ABSURD_NS {
        lose(Loss::Clock);
        return;
    }
    let index = bucket::index(latency);
    // SAFETY: the caller's; the index is below the number of buckets.
    unsafe {
        let bucket = (&raw mut (*cell).buckets).cast::<u32>().add(index & 255);
        if index < bucket::BUCKETS {
            add_u32(bucket, 1);
        }
        add(&raw mut (*cell).sum_ns, latency);
        let inverted = u64::MAX - latency;
        if inverted > (*cell).min_inverted_ns {
            (*cell).min_inverted_ns = inverted;
        }
        if latency > (*cell).max_ns {
            (*cell).max_ns = latency;
        }
    }
}

/// Counts how a packet ended, at the node where it was.
#[inline(always)]
pub(crate) fn end(packet: &Packet, how: End) {
    end_times(packet, how, 1);
}

/// Takes back that a packet ended well.
#[inline(always)]
pub(crate) fn revoke(packet: &Packet, how: End) {
    end_times(packet, how, u32::MAX);
}

#[inline(always)]
fn end_times(packet: &Packet, how: End, times: u32) {
    if let Some(cell) = CELLS.get_ptr_mut(packet.cell) {
        // SAFETY: a cell of the map; `how` is below the number of ends.
        unsafe {
            let counter = (&raw mut (*cell).ends).cast::<u32>().add(how as usize);
            add_u32(counter, times);
        }
    }
}

/// Counts a packet that came to be at the node of another.
#[inline(always)]
pub(crate) fn bear(parent: &Packet) {
    if let Some(cell) = CELLS.get_ptr_mut(parent.cell) {
        // SAFETY: a cell of the map.
        unsafe { add_u32(&raw mut (*cell).born, 1) };
    }
}

/// Counts a drop by the kernel, at the node where the packet was.
#[inline(always)]
pub(crate) fn drop(packet: &Packet, reason: u32) {
    end(packet, End::Dropped);
    let key = DropKey {
        node: packet.node,
        reason,
    };
    if let Some(count) = DROPS.get_ptr_mut(key) {
        // SAFETY: the map's memory.
        unsafe { add(count, 1) };
    } else if DROPS.insert(key, 1, 1).is_err()
        && let Some(count) = DROPS.get_ptr_mut(key)
    {
        // SAFETY: as above.
        unsafe { add(count, 1) };
    }
}

/// Counts a loss that no node is known for.
#[inline(always)]
pub(crate) fn lose(why: Loss) {
    if let Some(count) = LOSSES.get_ptr_mut(why as u32) {
        // SAFETY: the map's memory.
        unsafe { add(count, 1) };
    }
}

/// Tells a packet's hop to those who asked for whole timelines.
#[inline(always)]
pub(crate) fn step(packet: &Packet, tag: u64, last: u64, now: u64) {
    if setting!(passages) == 0 {
        return;
    }
    let Some(mut entry) = STEPS.reserve::<Step>(0) else {
        lose(Loss::Ring);
        return;
    };
    entry.write(Step {
        tag,
        first_ns: packet.first_ns,
        last_ns: last,
        now_ns: now,
        fingerprint: packet.fingerprint,
        node: packet.node,
        payload: packet.payload,
    });
    entry.submit(0);
}

const _: () = assert!(size_of::<NodeInfo>() == 32 + 8 + 32 + 40 + 8 + 16);
