//! The route tree: from where a packet is and where it came from to a node with counters.

use core::hint::cold_path;

use tracer_common::{
    hop::Stage,
    layout::{End, Kind, NO_NODE, NodeInfo, NodeKey, Numbers, ROOT},
};

use crate::{
    exchange::{self, sockets},
    header,
    kernel::{self, Device, DeviceAt, LinkOps, setting},
    maps::{
        self, CELL_OF, CELLS, CLAIMS, CONTROL, KINDS, NODE_INFO, NODES, POOL, Run, SLOTS_OF,
        Scratch, Slot,
    },
    record::add_u32,
};

/// Children of one node that are told apart by MAC; the others are counted without it.
const MACS: u32 = 64;

/// A node as a hop found it, or why it did not.
///
/// Not a `Result`: what that leaves open where there is no node the compiler may still load from the
/// stack, which verifiers before Linux 6.3 refuse.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) node: u32,
    pub(crate) cell: u32,
    pub(crate) kind: u8,
    /// How packets end where there is no room for the node, or for its counters.
    pub(crate) missing: Option<End>,
}

impl Found {
    #[inline(always)]
    pub(crate) const fn none(how: End) -> Self {
        Self {
            node: NO_NODE,
            cell: 0,
            kind: 0,
            missing: Some(how),
        }
    }
}

/// The node that a packet comes to, by the way that it came, where this program met it lately on this
/// CPU; [`find`] knows all others.
///
/// Two steps, since a closure for what is rare would keep all that it names on the stack.
#[inline(always)]
pub(crate) fn met(key: &NodeKey, index: u32) -> Option<Found> {
    // SAFETY: a slot belongs to one program on one CPU, and programs don't nest in themselves.
    let slot = unsafe { &*SLOTS_OF.get_ptr_mut(place_of(key, index))? };
    (slot.node != 0 && is_equal(&slot.key, key)).then(|| slot.into())
}

/// The node that a packet comes to, looked for by what is laid out in the scratch.
#[inline(always)]
pub(crate) fn find(key: &NodeKey, index: u32, scratch: &mut Scratch) -> Found {
    scratch.key = *key;
    find_laid_out(key, index)
}

/// The same, where the key is laid out too.
#[inline(always)]
pub(crate) fn find_laid_out(key: &NodeKey, index: u32) -> Found {
    let place = place_of(key, index);
    match find_node(index, place) {
        FOUND => SLOTS_OF
            .get(place)
            .map_or(Found::none(End::Cells), Into::into),
        NO_ROOM_FOR_NODE => Found::none(End::Nodes),
        _ => Found::none(End::Cells),
    }
}

/// Whether a slot's key is this one, by words of 8 bytes: half the branches of one that compares
/// members.
#[inline(always)]
fn is_equal(slot: &NodeKey, key: &NodeKey) -> bool {
    let slot = (&raw const *slot).cast::<u64>();
    // SAFETY: four words, of which the lower half of each is the first member.
    unsafe {
        *slot == u64::from(key.parent) | u64::from(key.stage) << 32
            && *slot.add(1) == u64::from(key.ifindex)
            && *slot.add(2) == key.cookie
            && *slot.add(3) == key.mac
    }
}

impl From<&Slot> for Found {
    #[inline(always)]
    fn from(slot: &Slot) -> Self {
        Self {
            node: slot.node.wrapping_sub(1),
            cell: slot.cell,
            kind: slot.kind as u8,
            missing: None,
        }
    }
}

#[inline(always)]
fn place_of(key: &NodeKey, index: u32) -> u32 {
    let spread = key.parent.wrapping_mul(0x9e37_79b1)
        ^ key.ifindex.wrapping_mul(0x85eb_ca6b)
        ^ (key.mac as u32).wrapping_mul(0xc2b2_ae35)
        ^ key.stage << 26;
    let mask = setting!(slots_mask);
    index * (mask + 1) + (spread >> 26 & mask)
}

/// What [`find_node`] answers.
const FOUND: u32 = 0;
const NO_ROOM_FOR_NODE: u32 = 1;
const NO_ROOM_FOR_CELL: u32 = 2;

/// Finds or makes the node of the key in the scratch, and its counters on this CPU.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_node(index: u32, place: u32) -> u32 {
    let (Some(scratch), Some(slot)) = (maps::scratch(index), SLOTS_OF.get_ptr_mut(place)) else {
        return NO_ROOM_FOR_CELL;
    };
    // SAFETY: the caller's.
    let slot = unsafe { &mut *slot };
    slot.node = 0;
    slot.key = scratch.key;
    let mut node = known_node(scratch);
    if node == 0 {
        let Some((new, info)) = new_node(scratch) else {
            return NO_ROOM_FOR_NODE;
        };
        describe(info, scratch, index);
        node = publish(new, info, scratch);
        if setting!(exchanges) != 0
            && scratch.key.stage == Stage::Queue as u32
            && scratch.key.parent & ROOT == 0
        {
            exchange::note_forwarded(scratch.key.parent);
        }
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
    let claimed = claim(Numbers::Nodes);
    let node = claimed as u32;
    if node == 0 {
        return None;
    }
    // SAFETY: the node is ours until it is published, and the agent left it empty.
    let info = unsafe { &mut *NODE_INFO.get_ptr_mut(node - 1)? };
    info.key = scratch.key;
    info.ticket = (claimed >> 32) as u32;
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
fn describe(info: &mut NodeInfo, scratch: &mut Scratch, index: u32) {
    if scratch.device == 0 {
        // A hop inside has the device of the hop before.
        if let Some(parent) = NODE_INFO.get(scratch.key.parent) {
            info.kind = parent.kind;
        }
        if scratch.key.stage < Stage::IpRcv as u32 {
            return;
        }
    } else {
        describe_device(info, scratch);
    }
    if header::parse_header(index) != 0 {
        info.tuple = scratch.header.tuple;
        info.translated = u32::from(scratch.header.flow as u32 != scratch.born);
    }
}

#[inline(always)]
fn describe_device(info: &mut NodeInfo, scratch: &Scratch) {
    let device = DeviceAt(scratch.device);
    info.inode = device.inode();
    // Straight into the map: a chain of calls has 512 bytes of stack.
    device.read_name(&mut info.device);
    info.kind = if device.read_kind(&mut info.kind_name) {
        named_kind(first_word(&info.kind_name)) as u32
    } else if device.is_loopback() {
        Kind::Loopback as u32
    } else {
        Kind::Physical as u32
    };
    if scratch.key.stage == Stage::Rx as u32 {
        info.previous_mac = scratch.mac;
    }
}

#[inline(always)]
fn first_word(name: &[u8; 16]) -> u64 {
    // SAFETY: the first half of sixteen bytes, of which any are valid.
    unsafe { name.as_ptr().cast::<u64>().read_unaligned() }
}

#[inline(always)]
fn find_cell(node: u32) -> u32 {
    let key = u64::from(node) << 32 | u64::from(kernel::cpu());
    // SAFETY: a value of this map is written once.
    if let Some(&cell) = unsafe { CELL_OF.get(key) } {
        return cell + 1;
    }
    let cell = claim(Numbers::Cells) as u32;
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
        unsafe {
            (*counters).cpu = key as u32;
            core::ptr::write_volatile(&raw mut (*counters).owner, node + 1);
        }
    }
    cell
}

/// The stage of a node.
#[inline(always)]
pub(crate) fn stage_of(node: u32) -> u32 {
    NODE_INFO.get(node).map_or(0, |info| info.key.stage)
}

/// The destination port behind NAT at a node, 0 where there is none.
#[inline(always)]
pub(crate) fn translated_port(node: u32) -> u16 {
    match NODE_INFO.get(node) {
        Some(info) if info.translated == 1 => info.tuple.destination_port,
        _ => 0,
    }
}

/// The kind of a device. All devices of a kind share their operations, so that the name is read
/// once a kind; a CPU asks for the same one again and again.
#[inline(always)]
pub(crate) fn kind(run: &mut Run, device: Device) -> u8 {
    const KIND: u64 = 7;
    let link_ops = device.link_ops();
    if link_ops.is_null() {
        return if device.is_loopback() {
            Kind::Loopback as u8
        } else {
            Kind::Physical as u8
        };
    }
    // One word: a program that comes between leaves it whole.
    // SAFETY: it belongs to this CPU.
    let known = unsafe { core::ptr::read_volatile(&raw const run.kind) };
    if known & !KIND == link_ops.tag() & !KIND {
        return (known & KIND) as u8;
    }
    let kind = look_up(link_ops);
    // SAFETY: as above.
    unsafe {
        core::ptr::write_volatile(&raw mut run.kind, link_ops.tag() & !KIND | u64::from(kind));
    }
    kind
}

#[inline(always)]
fn look_up(link_ops: LinkOps) -> u8 {
    cold_path();
    // SAFETY: a value of this map is written once.
    if let Some(&kind) = unsafe { KINDS.get(link_ops.tag()) } {
        return kind as u8;
    }
    let kind = named_kind(link_ops.kind()[0]) as u32;
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
fn named_kind(name: u64) -> Kind {
    if name == word(b"veth") {
        return Kind::Veth;
    }
    if name == word(b"tun") {
        return Kind::Tun;
    }
    let mut index = 0;
    while index < UPPERS.len() {
        if name == UPPERS[index] {
            return Kind::Upper;
        }
        index += 1;
    }
    Kind::Other
}

/// How many numbers are tried before giving up, when several CPUs want one at the same time.
const TRIES: u32 = 16;

/// Gives out a number, plus one, with its ticket in the upper half; 0 when none is left.
///
/// Without an atomic that returns its value, which BPF has since Linux 5.12 only: whoever puts a
/// ticket into the map first owns its number.
#[inline(always)]
pub(crate) fn claim(what: Numbers) -> u64 {
    let Some(control) = CONTROL.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the map's memory; which kind is known when this is compiled.
    let (next, end) = unsafe {
        (
            (&raw mut (*control).next).cast::<u32>().add(what as usize),
            (&raw const (*control).end).cast::<u32>().add(what as usize),
        )
    };
    // SAFETY: as above; the ticket is a hint, the map decides.
    let (mut ticket, end) = unsafe {
        (
            core::ptr::read_volatile(next),
            core::ptr::read_volatile(end),
        )
    };
    let mut tries = 0;
    while tries < TRIES {
        if ticket == end {
            return 0;
        }
        if CLAIMS.insert(what.claim(ticket), 1, 1).is_ok() {
            // SAFETY: as above.
            unsafe { core::ptr::write_volatile(next, ticket.wrapping_add(1)) };
            let number = POOL.get(place_in_pool(what, ticket));
            return number.map_or(0, |&number| u64::from(ticket) << 32 | u64::from(number + 1));
        }
        ticket = ticket.wrapping_add(1);
        tries += 1;
    }
    0
}

/// Where the number of a ticket stands.
#[inline(always)]
fn place_in_pool(what: Numbers, ticket: u32) -> u32 {
    let (nodes, classes, cells) = (setting!(nodes), setting!(classes), setting!(cells));
    let (first, count) = match what {
        Numbers::Nodes => (0, nodes),
        Numbers::Classes => (nodes, classes),
        Numbers::Cells => (nodes + classes, cells),
        Numbers::Peers => (nodes + classes + cells, sockets!(peers)),
    };
    // The compiler does not know that there are some.
    first + ticket % count.max(1)
}

const _: () = assert!(size_of::<NodeInfo>() == 32 + 8 + 32 + 40 + 8 + 16);
