//! Records that the kernel half writes and the agent reads, in memory that both map.
//!
//! All are `repr(C)` without padding that matters, and valid for any bytes, so the agent may read
//! them while they change.

use crate::bucket::BUCKETS;
use crate::hop::PROGRAMS;

/// A packet that is under way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Stands for the address of the `sk_buff`; 0 in an empty entry.
    pub tag: u64,
    /// The node that it came to last, or [`NO_NODE`] when it is not followed.
    pub node: u32,
    /// The counters of that node which counted it.
    pub cell: u32,
    /// When it was born (`CLOCK_MONOTONIC`).
    pub first_ns: u64,
    /// When it came to its node.
    pub last_ns: u64,
    /// What of its headers stays the same through NAT and GRO.
    pub fingerprint: u64,
    /// Payload above the transport header, in bytes.
    pub payload: u32,
    /// `skb->len` at `rx`, to see at `receive` what GRO merged into it.
    pub len: u32,
    /// A hash of its addresses and ports at birth, to see NAT.
    pub tuple: u32,
    /// Its source port at birth.
    pub source_port: u16,
    /// Its destination port at birth.
    pub destination_port: u16,
    /// The [`crate::hop::Stage`] of its last hop.
    pub stage: u8,
    /// [`flag`]s.
    pub flags: u8,
    /// Its IP protocol number.
    pub protocol: u8,
    /// The [`Kind`] of its last device.
    pub kind: u8,
    /// The CPU that received it last.
    pub cpu: u32,
}

const _: () = assert!(size_of::<Packet>() == 64);

/// The node of a packet that is known and not followed: filtered out, or its beginning was missed.
pub const NO_NODE: u32 = u32::MAX;

/// What else is known of a packet.
pub mod flag {
    /// It came in by GRO, which may merge it into another.
    pub const GRO: u8 = 1;
    /// It is an IP fragment, which reassembly may merge.
    pub const FRAGMENT: u8 = 2;
    /// Its end was counted; the entry is kept to recognise late events of the same packet.
    pub const ENDED: u8 = 4;
    /// It waits in the handover table to be seen again beyond a device that ends the `sk_buff`.
    pub const HANDED: u8 = 8;
    /// A socket got a copy of it.
    pub const COPIED: u8 = 16;
    /// It is counted and not timed.
    pub const UNTIMED: u8 = 32;
    /// It is timed for itself and for those that are not: its latencies count as often.
    pub const SAMPLED: u8 = 64;
}

/// Two packets whose addresses have the same index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketSet {
    /// The ways.
    pub ways: [Packet; 2],
}

/// How a packet's way ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Handed to a socket or consumed by the protocol.
    Delivered = 0,
    /// Merged into another by GRO or reassembly.
    Merged = 1,
    /// Split into segments, which are born.
    Split = 2,
    /// Gone by a device that leads out of the host, or out of what is traced.
    Left = 3,
    /// Dropped by the kernel.
    Dropped = 4,
    /// Lost: the packet table was full.
    Displaced = 5,
    /// Lost: it vanished, and no tracepoint said why.
    Unseen = 6,
    /// Lost: it could not be told from another on the same wire.
    Ambiguous = 7,
    /// Lost: the route tree was full.
    Nodes = 8,
    /// Lost: there was no room for more counters.
    Cells = 9,
    /// Lost: all places of the packet table that it could have had were in use.
    Crowded = 10,
}

/// How many kinds of [`End`] there are.
pub const ENDS: usize = 11;

/// The counters of one node on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Packets that came here.
    pub packets: u64,
    /// Their payload in bytes.
    pub bytes: u64,
    /// The sum of all latencies in nanoseconds.
    pub sum_ns: u64,
    /// `u64::MAX` less the smallest latency, so that a zeroed cell is a valid one.
    pub min_inverted_ns: u64,
    /// The largest latency.
    pub max_ns: u64,
    /// The node, plus one; 0 while the cell is not in use.
    pub owner: u32,
    /// Segments and copies that were born here.
    pub born: u32,
    /// Packets that ended here, by [`End`].
    pub ends: [u32; ENDS],
    /// The CPU that counts here.
    pub cpu: u32,
    /// Latencies by [`crate::bucket::index`].
    pub buckets: [u32; CELL_BUCKETS],
}

/// Room for the buckets in a cell, so that it is 1 KiB.
pub const CELL_BUCKETS: usize = 232;

const _: () = assert!(size_of::<Cell>() == 1024 && CELL_BUCKETS >= BUCKETS);

/// What makes a node: the way to it, and the hop.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeKey {
    /// The node before, or [`ROOT`] plus the class at a class's first hop.
    pub parent: u32,
    /// The [`crate::hop::Stage`].
    pub stage: u32,
    /// The device's number in its namespace; 0 where the device is that of the node before.
    pub ifindex: u32,
    /// Always 0, so that every byte of the key is defined.
    pub zero: u32,
    /// The network namespace's cookie; 0 where it is that of the node before.
    pub cookie: u64,
    /// The next hop's MAC at `xmit`, the previous hop's at the `rx` where a packet is born; else 0.
    pub mac: u64,
}

const _: () = assert!(size_of::<NodeKey>() == 32);

/// Set in [`NodeKey::parent`] when the rest of it is a class.
pub const ROOT: u32 = 1 << 31;

/// What the agent needs to know of a node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeInfo {
    /// The node's key.
    pub key: NodeKey,
    /// The namespace's inode.
    pub inode: u32,
    /// The [`Kind`] of the device.
    pub kind: u32,
    /// The device's name when the node was made.
    pub device: [u8; 16],
    /// The name of the device's kind; empty for hardware and loopback.
    pub kind_name: [u8; 16],
    /// Addresses and ports of the packet that made the node.
    pub tuple: Tuple,
    /// Who sent the frame of the packet that made the node, where the stage is `rx`.
    pub previous_mac: u64,
    /// How many children have a key with a MAC; over a limit they are merged.
    pub children: u32,
    /// 1 when all of this is written.
    pub ready: u32,
    /// 1 when the packet that made the node had other addresses or ports at birth (NAT).
    pub translated: u32,
    /// By which ticket it has its number: no two nodes have the same one.
    pub ticket: u32,
}

/// Addresses and ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// The source address in network order; IPv4 in the first word.
    pub source: [u32; 4],
    /// The destination address.
    pub destination: [u32; 4],
    /// The source port, 0 where there is none.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// 4, 6, or 0 where there are no addresses.
    pub family: u8,
    /// The IP protocol number; after extension headers in IPv6.
    pub protocol: u8,
    /// Always 0.
    pub zero: u16,
}

const _: () = assert!(size_of::<Tuple>() == 40);

/// What makes a class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClassKey {
    /// The source prefix's first address; 0 where the source is a component.
    pub source: [u32; 4],
    /// The destination prefix's first address; 0 where the destination is a component.
    pub destination: [u32; 4],
    /// The source component's number plus one, or 0.
    pub source_component: u16,
    /// The destination component's number plus one, or 0.
    pub destination_component: u16,
    /// The service's port, or 0.
    pub port: u16,
    /// 4, 6, or 0 where there are no addresses.
    pub family: u8,
    /// The IP protocol number of TCP, UDP and ICMP; 0 for all others.
    pub protocol: u8,
    /// 1 when the service's port is the source's.
    pub answer: u32,
}

const _: () = assert!(size_of::<ClassKey>() == 44);

/// What the agent needs to know of a class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassInfo {
    /// The class's key.
    pub key: ClassKey,
    /// 1 when all of this is written.
    pub ready: u32,
    /// The first packet's addresses and ports.
    pub first: Tuple,
    /// By which ticket it has its number: no two classes have the same one.
    pub ticket: u32,
    /// 1 once one of its packets was forwarded.
    pub forwarded: u32,
}

/// A packet that left by a device that ends the `sk_buff`, or the segments of one that was split.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Handed {
    /// What the packet looks like beyond; 0 in an empty entry.
    pub mark: u64,
    /// 1 when it can be told from all others, 2 when it can't.
    pub state: u32,
    /// 1 for a segment of a packet that was split, else 0.
    pub segment: u32,
    /// The packet as it left.
    pub packet: Packet,
}

/// How many packets handed over may have marks with the same index. On a wire that loses packets
/// many are never taken up, so there are more ways than in the packet table.
pub const HANDED_WAYS: usize = 4;

/// Packets handed over whose marks have the same index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HandedSet {
    /// The ways.
    pub ways: [Handed; HANDED_WAYS],
}

/// One hop of one packet, for those who asked for whole timelines.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Stands for the address of the `sk_buff`: equal within a packet's life, and used again later.
    pub tag: u64,
    /// When the packet was born.
    pub first_ns: u64,
    /// When it was at the hop before.
    pub last_ns: u64,
    /// When it came to this hop.
    pub now_ns: u64,
    /// The packet's fingerprint.
    pub fingerprint: u64,
    /// The node.
    pub node: u32,
    /// Payload in bytes.
    pub payload: u32,
}

/// What keys the count of drops.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DropKey {
    /// The node that the packet came to last.
    pub node: u32,
    /// The kernel's `enum skb_drop_reason`, 0 where it tells none.
    pub reason: u32,
}

/// A component's rule, found by the longest prefix of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The component's number plus one; 0 ends the list.
    pub component: u16,
    /// The only port that it has, or 0 for any.
    pub port: u16,
    /// Always 0.
    pub zero: u32,
    /// The only namespace that its packets start in, by cookie, or 0 for any.
    pub cookie: u64,
}

/// How many rules one prefix may have.
pub const RULES: usize = 8;

/// The rules of one prefix, the most specific first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// The rules.
    pub rules: [Rule; RULES],
}

/// What the agent tells the kernel half while it runs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Orders {
    /// No packet is born any more, so that those on their way can end.
    pub closing: u32,
    /// Packets are followed whose hash is not above this; [`ALL_FOLLOWED`] is all of them.
    pub followed: u32,
}

/// Every packet is followed.
pub const ALL_FOLLOWED: u32 = u32::MAX;

/// What a program did on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// How often it ran.
    pub runs: u64,
    /// How many of these runs were timed: one in [`RUNS_A_TIMING`].
    pub timed: u64,
    /// How long those took, in nanoseconds, the clock's own time included.
    pub timed_ns: u64,
}

/// A program times one of so many of its runs.
pub const RUNS_A_TIMING: u64 = 1024;

/// What the kernel half has given out, as tickets: each is for one number of a node, class or cell,
/// which stands in the pool. The agent puts numbers there that are free again.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// The next ticket of each kind of [`Numbers`]; the kernel half's.
    pub next: [u32; NUMBERS],
    /// The first ticket that there is not yet; the agent's.
    pub end: [u32; NUMBERS],
}

/// What numbers are given out for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Nodes of route trees.
    Nodes = 0,
    /// Classes.
    Classes = 1,
    /// Cells of counters.
    Cells = 2,
    /// Counters of connections.
    Peers = 3,
}

/// How many kinds of numbers there are.
pub const NUMBERS: usize = 4;

impl Numbers {
    /// What the claim of a ticket is kept under.
    #[inline(always)]
    pub const fn claim(self, ticket: u32) -> u64 {
        (self as u64 + 1) << 32 | ticket as u64
    }
}

/// A node that a program met lately on a CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// The node's key.
    pub key: NodeKey,
    /// The node plus one; 0 in an empty slot.
    pub node: u32,
    /// Its counters on this CPU.
    pub cell: u32,
    /// The [`Kind`] of its device.
    pub kind: u32,
    /// Not used.
    pub spare: u32,
}

/// The most slots of a program's node cache on a CPU; fewer where there are very many CPUs.
pub const SLOTS: u32 = 64;

/// Datagrams of one list that are noted; the kernel's lists have 8 (`net.core.gro_normal_batch`).
pub const WAITING: u32 = 16;

/// What is a CPU's own: what it handled last, from which synchronous work on the same packet is told,
/// and what the programs did there.
///
/// What each hop needs stands in front, in as few cache lines as it takes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The last reading of the clock.
    pub clock: u64,
    /// The packet of the last `xmit`, by tag.
    pub sent: u64,
    /// The operations of the last virtual device whose kind was asked for, by tag, and in the three
    /// lowest bits its [`Kind`].
    pub kind: u64,
    /// How many were put to those that wait; the place of the next one.
    pub waited: u32,
    /// How many of them are too old to wait: since then a socket got something.
    pub settled: u32,
    /// Whether a socket got something since the last `receive`: that was the end of a list.
    pub delivers: u32,
    /// The number of the device of the last `receive`.
    pub received_at: u32,
    /// When the births began that are counted.
    pub window_ns: u64,
    /// How many packets were born since.
    pub births: u32,
    /// Whether only a sample of them is timed.
    pub sampling: u32,
    /// How many packets there ever were to be chosen from.
    pub draws: u32,
    /// Not used.
    pub spare: u32,
    /// Where the buffer of [`Run::upper`] begins.
    pub upper_head: u64,
    /// The packet of the last `receive`, as it was then.
    pub received: Packet,
    /// What each program did, by its number.
    pub work: [Work; PROGRAMS],
    /// A packet of a list that is delivered, as it was when it was received.
    pub listed: Packet,
    /// Datagrams that were received before the last one, by a list, and that no socket has yet.
    pub waiting: [Packet; WAITING as usize],
    /// The number of the device of the last `receive`, of those that wait.
    pub waiting_at: [u32; WAITING as usize],
    /// The packet of the last `xmit` of a device on top of another, as it was then.
    pub upper: Packet,
    /// The last datagram of the queue, by address, in which this CPU was told of another's.
    pub told_tail: u64,
    /// That datagram, by address.
    pub told_found: u64,
}

/// What kind of device, as far as it matters to a packet's identity.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Hardware: the `sk_buff` ends at its `xmit` and is born at its `rx`.
    Physical = 0,
    /// Loopback: the same `sk_buff` comes in again.
    Loopback = 1,
    /// veth: the same `sk_buff` comes in at the peer.
    Veth = 2,
    /// TUN or TAP: the `sk_buff` ends, and a program may write it into another.
    Tun = 3,
    /// A device on top of another: the same `sk_buff` goes on to it.
    Upper = 4,
    /// Another virtual device; like hardware.
    Other = 5,
}

impl Kind {
    /// Whether an `sk_buff` that is sent by such a device ends there.
    #[inline(always)]
    pub const fn leaves(kind: u8) -> bool {
        kind == Self::Physical as u8 || kind == Self::Tun as u8 || kind == Self::Other as u8
    }

    /// Whether an `sk_buff` that comes in by such a device may be a new one.
    #[inline(always)]
    pub const fn enters(kind: u8) -> bool {
        Self::leaves(kind)
    }
}

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// How the way of a packet ended that was never seen again, judged by where it stood.
///
/// The kernel ends some packets without a tracepoint: GRO frees what it merged, reassembly and TCP
/// too.
/// None where the packet's end is counted already.
#[inline(always)]
pub fn silent_end(packet: &Packet) -> Option<End> {
    const XMIT: u8 = crate::hop::Stage::Xmit as u8;
    const RX: u8 = crate::hop::Stage::Rx as u8;
    const RECEIVE: u8 = crate::hop::Stage::Receive as u8;
    if packet.node == NO_NODE || packet.flags & (flag::ENDED | flag::HANDED) != 0 {
        return None;
    }
    Some(match packet.stage {
        RX if packet.flags & flag::GRO != 0 => End::Merged,
        RECEIVE if packet.flags & flag::FRAGMENT != 0 => End::Merged,
        // TCP drops nothing in silence; it merges segments that wait for a busy socket
        // (tcp_add_backlog, net/ipv4/tcp_ipv4.c, since Linux 5.0).
        RECEIVE if packet.protocol == TCP => End::Merged,
        // A reader may have it before its delivery is counted, on another CPU; what is missing in the
        // end is found by the difference.
        RECEIVE if packet.protocol == UDP => return None,
        XMIT if Kind::leaves(packet.kind) => End::Left,
        _ => End::Unseen,
    })
}
