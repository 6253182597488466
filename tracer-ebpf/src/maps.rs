//! All memory that outlives an event.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LpmTrie, RingBuf},
};
pub(crate) use tracer_common::layout::{Run, Slot, WAITING};
use tracer_common::{
    hop::{self, PROBES},
    layout::{
        Cell, ClassInfo, ClassKey, Control, DropKey, HandedSet, NodeInfo, NodeKey, Orders, Packet,
        PacketSet, Rules, SLOTS, Tuple,
    },
    loss::LOSSES as LOSS_KINDS,
    settings::SERVICE_WORDS,
};

use crate::{header::Header, kernel::setting};

/// How many programs there are but for finer hops; what a program keeps for itself is found by its number.
pub(crate) const PROGRAMS: u32 = PROBES.len() as u32;

/// Index of a flow's class in [`FLOWS`].
pub(crate) const FLOW_MASK: u32 = 4095;

/// Fragmented datagrams whose ports are remembered.
pub(crate) const FRAGMENT_MASK: u32 = 1023;

/// Locks of the packet table, and as many of the handover table.
pub(crate) const LOCK_MASK: u32 = 4095;

/// What a hop hands to the functions that the verifier checks by themselves, and room that would
/// not fit on a program's stack. One for each program and CPU: programs don't nest in themselves.
#[repr(C)]
pub(crate) struct Scratch {
    /// The packet, by tag.
    pub(crate) tag: u64,
    /// The address of its `net_device`; 0 at a socket, where neither may be touched.
    pub(crate) device: u64,
    /// The cookie of the device's network namespace.
    pub(crate) cookie: u64,
    /// The device's number.
    pub(crate) ifindex: u32,
    /// `skb->len`.
    pub(crate) len: u32,
    /// The address where its buffer begins.
    pub(crate) head: u64,
    /// Who sent the frame, where that is known.
    pub(crate) mac: u64,
    /// The address of its network header, or of a VLAN tag in front of it.
    pub(crate) network: u64,
    /// The address behind what lies in its buffer.
    pub(crate) end: u64,
    /// The ethertype, in network order.
    pub(crate) protocol: u32,
    /// 1 when the data begin with the network header.
    pub(crate) at_data: u32,
    /// The program.
    pub(crate) program: u32,
    /// The kind of the device, where it matters to who the packet is.
    pub(crate) kind: u32,
    /// The socket that sent the packet, by tag; 0 where there is none.
    pub(crate) socket: u64,
    /// A hash of the addresses that a packet was born with, to see NAT at a new node.
    pub(crate) born: u32,
    /// The packet as it is to be put into a table, or as it was taken out.
    pub(crate) packet: Packet,
    pub(crate) raw: [u32; 20],
    pub(crate) header: Header,
    pub(crate) key: NodeKey,
    pub(crate) class: ClassKey,
    /// An address as the trie of components takes it.
    pub(crate) address: [u32; 5],
    /// 1 when the headers are in [`Scratch::raw`] already.
    pub(crate) is_read: u32,
    /// 1 for a packet that is not of the share that is followed.
    pub(crate) left_out: u32,
}

/// The scratch of a program on a CPU, by [`scratch_index`].
#[inline(always)]
pub(crate) fn scratch(index: u32) -> Option<&'static mut Scratch> {
    // SAFETY: it belongs to one program on one CPU, and what it calls is done before it goes on.
    SCRATCH
        .get_ptr_mut(index)
        .map(|scratch| unsafe { &mut *scratch })
}

#[inline(always)]
pub(crate) fn scratch_index(cpu: u32, program: u32) -> u32 {
    cpu * PROGRAMS + program
}

/// The place of any program's own on a CPU; for those of the usual hops it is the same as
/// [`scratch_index`].
#[inline(always)]
pub(crate) fn place_of(program: u32, cpu: u32) -> u32 {
    if program < PROGRAMS {
        scratch_index(cpu, program)
    } else {
        hop::place(program, cpu, setting!(cpus))
    }
}

#[map]
pub(crate) static PACKETS: Array<PacketSet> = Array::with_max_entries(1 << 15, BPF_F_MMAPABLE);
#[map]
pub(crate) static HANDOVER: Array<HandedSet> = Array::with_max_entries(1 << 13, BPF_F_MMAPABLE);
#[map]
pub(crate) static CELLS: Array<Cell> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map]
pub(crate) static NODE_INFO: Array<NodeInfo> = Array::with_max_entries(1 << 12, BPF_F_MMAPABLE);
#[map]
pub(crate) static CLASS_INFO: Array<ClassInfo> = Array::with_max_entries(1 << 12, BPF_F_MMAPABLE);
#[map]
pub(crate) static LOSSES: Array<u64> = Array::with_max_entries(LOSS_KINDS as u32, BPF_F_MMAPABLE);
#[map]
pub(crate) static CONTROL: Array<Control> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Numbers to give out by ticket: those of nodes, then of classes, then of cells.
#[map]
pub(crate) static POOL: Array<u32> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);
#[map]
pub(crate) static ORDERS: Array<Orders> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static SLOTS_OF: Array<Slot> = Array::with_max_entries(SLOTS * PROGRAMS, BPF_F_MMAPABLE);
#[map]
pub(crate) static RUNS: Array<Run> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static SCRATCH: Array<Scratch> = Array::with_max_entries(PROGRAMS, 0);
#[map]
pub(crate) static FLOWS: Array<u64> = Array::with_max_entries(FLOW_MASK + 1, BPF_F_MMAPABLE);
#[map]
pub(crate) static LOCKS: Array<u32> = Array::with_max_entries(LOCK_MASK * 2 + 2, 0);
#[map]
pub(crate) static FRAGMENTS: Array<u64> = Array::with_max_entries(FRAGMENT_MASK + 1, 0);
#[map]
pub(crate) static SERVICES: Array<u64> = Array::with_max_entries(SERVICE_WORDS as u32, 0);
#[map]
pub(crate) static COMPONENTS: LpmTrie<[u8; 16], Rules> = LpmTrie::with_max_entries(1024, 1);
#[map]
pub(crate) static NODES: HashMap<NodeKey, u32> = HashMap::with_max_entries(1 << 12, 0);
#[map]
pub(crate) static CLASSES: HashMap<ClassKey, u32> = HashMap::with_max_entries(1 << 12, 0);
#[map]
pub(crate) static CELL_OF: HashMap<u64, u32> = HashMap::with_max_entries(1 << 14, 0);
#[map]
pub(crate) static CLAIMS: HashMap<u64, u32> = HashMap::with_max_entries(1 << 15, 0);
#[map]
pub(crate) static KINDS: HashMap<u64, u32> = HashMap::with_max_entries(256, 0);
#[map]
pub(crate) static DROPS: HashMap<DropKey, u64> = HashMap::with_max_entries(1 << 12, 0);
#[map]
pub(crate) static STEPS: RingBuf = RingBuf::with_byte_size(1 << 12, 0);

/// The sizes of what the agent reads must be those that it knows.
const _: () = assert!(
    size_of::<Tuple>() == 40
        && size_of::<Run>() == 280 + (64 + 4) * WAITING as usize + 24 * hop::PROGRAMS
);
