//! Connections with a socket on this host: round trips, exchanges, and what troubles them.
//!
//! `tcp_probe` fires for each segment that an established socket gets, before TCP works on it: so
//! it shows what TCP made of the segment before. What it costs is bounded: a look into a table by
//! the socket's address, and a helper that makes a `tcp_sock` of a `sock`; the clock is read only
//! where a request or an answer begins or ends.

mod connection;
mod icmp;
mod loops;
mod passing;
mod peer;
mod segment;
mod sent;
mod socket;
mod trouble;

pub(crate) use self::{
    icmp::told,
    loops::came_in,
    passing::{is_forwarded, note_forwarded, passed},
    segment::{opened_or_closed, segment},
    sent::{read, sent},
    socket::{Socket, socket_of},
    trouble::{reset_received, reset_sent, retransmitted, retransmitted_handshake},
};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap},
};
use tracer_common::{
    exchange::{ConnectionSet, PeerCounts, PeerKey, Sockets},
    layout::Tuple,
    passing::PassingSet,
};

#[unsafe(no_mangle)]
static SOCKETS: Sockets = Sockets::ZERO;

/// A word of what the agent knows of the kernel's sockets, as a constant that the verifier knows.
macro_rules! sockets {
    ($member:ident) => {
        // SAFETY: the agent wrote it before the object was loaded; it never changes.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::exchange::sockets_at()).$member) }
    };
}
pub(crate) use sockets;

#[inline(always)]
pub(crate) fn sockets_at() -> *const Sockets {
    &raw const SOCKETS
}

/// What a program saw of a socket, for functions that the verifier checks by themselves. One for
/// each program and CPU.
#[repr(C)]
pub(crate) struct Seen {
    /// The socket, by tag.
    tag: u64,
    /// What it is told from others at the same address by.
    identity: u64,
    /// Now, where that is known; else 0.
    now: u64,
    /// The address of the route that it sends by.
    route: u64,
    /// The address of its network namespace.
    net: u64,
    /// The node that the segment came to, or `NO_NODE`.
    node: u32,
    /// `AF_INET` or `AF_INET6`.
    family: u32,
    /// The TTL or hop limit of the segment; 0 where it was not read.
    ttl: u32,
    /// The segment's sequence number, the one behind it, and what it acknowledges.
    seq: u32,
    end: u32,
    ack: u32,
    payload: u32,
    /// Members of `tcp_sock`, as they were before the segment.
    snd_una: u32,
    write_seq: u32,
    rcv_nxt: u32,
    copied_seq: u32,
    snd_wnd: u32,
    rcv_wnd: u32,
    mss: u32,
    srtt: u32,
    rtt_min: u32,
    rack_rtt: u32,
    total_retransmits: u32,
    out_of_order: u32,
    dsack_dups: u32,
    reorderings: u32,
    /// How many segments there ever were to choose from.
    draws: u32,
    rack_stamp: u64,
    /// The socket's ends, as its peer's packets have them.
    tuple: Tuple,
    key: PeerKey,
}

#[map]
static CONNECTIONS: Array<ConnectionSet> = Array::with_max_entries(1 << 10, BPF_F_MMAPABLE);
#[map]
static PASSING: Array<PassingSet> = Array::with_max_entries(1 << 10, BPF_F_MMAPABLE);
#[map]
static PEERS: HashMap<PeerKey, u32> = HashMap::with_max_entries(1 << 8, 0);
#[map]
static PEER_COUNTS: Array<PeerCounts> = Array::with_max_entries(1 << 8, BPF_F_MMAPABLE);
#[map]
static SEEN: Array<Seen> = Array::with_max_entries(crate::maps::PROGRAMS, 0);

#[inline(always)]
fn seen(index: u32) -> Option<&'static mut Seen> {
    // SAFETY: it belongs to one program on one CPU, and what it calls is done before it goes on.
    SEEN.get_ptr_mut(index).map(|seen| unsafe { &mut *seen })
}
