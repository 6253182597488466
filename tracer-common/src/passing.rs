//! TCP flows that this host forwards, as the kernel half keeps them and the agent reads them.
//!
//! Like [`crate::layout`]: `repr(C)`, valid for any bytes, read while they change.

use crate::layout::Tuple;

/// One direction of a forwarded TCP flow: the packets that come from one end, and what they say of
/// the way to that end and back.
///
/// Segments that go to that end are waited for: the first acknowledgement that comes from there
/// ends a round trip between this host and that end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Passing {
    /// Stands for the direction; odd, and 0 in an empty entry.
    pub tag: u64,
    /// When a packet came last.
    pub last_ns: u64,
    /// When the segment passed whose acknowledgement is waited for; 0 where none is.
    pub awaited_ns: u64,
    /// The same for the last segment that passed meanwhile.
    pub latest_ns: u64,
    /// Since when [`Passing::floor_us`] is the shortest.
    pub floor_since_ns: u64,
    /// The sum of its round trips in microseconds, of both kinds.
    pub rtt_sum_us: u64,
    /// The sequence number behind the segment that is waited for.
    pub awaited: u32,
    /// The same for the last segment.
    pub latest: u32,
    /// The timestamp of the segment that is waited for (`TSval`, RFC 7323); 0 without one.
    pub stamp: u32,
    /// The sequence number behind the last byte that came.
    pub came: u32,
    /// What was acknowledged last.
    pub acknowledged: u32,
    /// The longest payload that went to that end.
    pub longest: u32,
    /// The shortest round trip of the last minutes; 0 before the first.
    pub floor_us: u32,
    /// How many round trips there were.
    pub rtts: u32,
    /// The smallest since the tracing began; 0 before the first.
    pub rtt_min_us: u32,
    /// The last one.
    pub rtt_last_us: u32,
    /// Segments of this direction that came again.
    pub again: u32,
    /// Segments of this direction, as far as a byte counts.
    pub segments: u32,
    /// The class of these packets, plus one.
    pub class: u32,
    /// The counters, plus one; 0 where there was no room.
    pub counts: u32,
    /// The CPU whose counters they are.
    pub cpu: u32,
    /// [`mark`]s.
    pub marks: u16,
    /// The TTL or hop limit that was received last; 0 before the first.
    pub ttl: u8,
    /// Not used.
    pub spare: u8,
    /// Addresses and ports of these packets.
    pub tuple: Tuple,
}

const _: () = assert!(size_of::<Passing>() == 48 + 16 * 4 + 40);

/// What is known of a direction beside its numbers.
pub mod mark {
    /// [`super::Passing::came`] is known.
    pub const CAME: u16 = 1;
    /// [`super::Passing::acknowledged`] is known.
    pub const ACKNOWLEDGED: u16 = 2;
    /// The segment that is waited for is a SYN.
    pub const OPENING: u16 = 4;
    /// The window is 0.
    pub const ZERO_WINDOW: u16 = 8;
    /// A SYN came last, and nothing behind it.
    pub const SYN: u16 = 16;
    /// It ended: by FIN or reset.
    pub const ENDED: u16 = 32;
    /// Segments that go the other way passed here too.
    pub const BOTH_WAYS: u16 = 64;
}

/// Directions whose tags have the same index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PassingSet {
    /// The ways.
    pub ways: [Passing; 2],
}

/// How long the shortest round trip of a direction counts: as the kernel's own
/// (`net.ipv4.tcp_min_rtt_wlen`).
pub const FLOOR_NS: u64 = 300_000_000_000;
