//! Connections and their exchanges, as the kernel half keeps them and the agent reads them.
//!
//! Like [`crate::layout`]: `repr(C)`, valid for any bytes, read while they change.

use crate::bucket::BUCKETS;
use crate::layout::Tuple;

/// What is timed at a TCP socket of this host.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// From a segment to its acknowledgement, which carried no data and was not held back.
    Rtt = 0,
    /// The same where the acknowledgement came with data: the peer may have thought meanwhile.
    RttWithData = 1,
    /// From SYN to SYN-ACK, or from SYN-ACK to ACK.
    Handshake = 2,
    /// From a request's last byte to its being read.
    Waiting = 3,
    /// From the read to the first byte of the answer.
    Thinking = 4,
    /// From a request's last byte to the first byte of the answer.
    Service = 5,
    /// From a request's last byte to the first byte of the answer, where it was asked for.
    Answer = 6,
    /// The same, of exchanges that the network disturbed.
    Disturbed = 7,
    /// The same, of exchanges that a lost answer would explain as well as a peer that thinks.
    PeerOrWayBack = 8,
    /// How long the peer took at least: from its acknowledgement of the request to the answer.
    PeerAtLeast = 9,
    /// How long the peer took at most: the answer's time less the path's shortest round trip.
    PeerAtMost = 10,
}

/// How many phases there are.
pub const PHASES: usize = 11;

impl Phase {
    /// All phases, by number.
    pub const ALL: [Self; PHASES] = [
        Self::Rtt,
        Self::RttWithData,
        Self::Handshake,
        Self::Waiting,
        Self::Thinking,
        Self::Service,
        Self::Answer,
        Self::Disturbed,
        Self::PeerOrWayBack,
        Self::PeerAtLeast,
        Self::PeerAtMost,
    ];

    /// The phase's name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rtt => "rtt",
            Self::RttWithData => "rtt_with_data",
            Self::Handshake => "handshake",
            Self::Waiting => "waiting",
            Self::Thinking => "thinking",
            Self::Service => "service",
            Self::Answer => "answer",
            Self::Disturbed => "disturbed",
            Self::PeerOrWayBack => "peer_or_way_back",
            Self::PeerAtLeast => "peer_at_least",
            Self::PeerAtMost => "peer_at_most",
        }
    }
}

macro_rules! sights {
    ($($(#[$doc:meta])+ $name:ident = $number:literal, $text:literal;)+) => {
        /// What is counted at TCP sockets of this host.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Sight {
            $($(#[$doc])+ $name = $number,)+
        }

        impl Sight {
            /// All of them, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name in every output.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

sights! {
    /// Exchanges that nothing disturbed.
    Undisturbed = 0, "undisturbed";
    /// Exchanges with a retransmission, a gap, reordering, or a window of 0.
    Disturbed = 1, "disturbed";
    /// Exchanges whose answer came so late that it may have been sent twice.
    PeerOrWayBack = 2, "peer_or_way_back";
    /// Requests and answers that overlap: pipelined, multiplexed, pushed or streamed.
    Overlapping = 3, "overlapping";
    /// Requests that never had an answer, when the connection ended.
    Unanswered = 4, "unanswered";
    /// Segments sent again, before a timer ran out.
    Retransmits = 5, "retransmits";
    /// Segments sent again by the retransmission timer.
    Timeouts = 6, "timeouts";
    /// SYN sent again.
    SynRetransmits = 7, "syn_retransmits";
    /// SYN-ACK sent again.
    SynAckRetransmits = 8, "synack_retransmits";
    /// Segments that had come before.
    Duplicates = 9, "duplicates";
    /// Segments in front of which something is missing.
    Gaps = 10, "gaps";
    /// Duplicates that the peer reported (DSACK, RFC 2883).
    PeerDuplicates = 11, "peer_duplicates";
    /// Times that the kernel saw the peer acknowledge out of order.
    Reordered = 12, "reordered";
    /// Times that the peer's window became 0.
    PeerZeroWindow = 13, "peer_zero_window";
    /// Times that the own window became 0.
    OwnZeroWindow = 14, "own_zero_window";
    /// Resets sent.
    ResetsSent = 15, "resets_sent";
    /// Resets received.
    ResetsReceived = 16, "resets_received";
    /// Connections opened.
    Opened = 17, "opened";
    /// Connections that were never answered, or refused.
    Unopened = 18, "unopened";
    /// Acknowledgements that may have been held back, and are no round trip.
    HeldBack = 19, "held_back";
    /// Times that a connection's TTL or hop limit became another one.
    TtlChanges = 20, "ttl_changes";
    /// Times that a connection got another next hop.
    NextHopChanges = 21, "next_hop_changes";
    /// Connections that found no room in the table.
    Untracked = 22, "untracked";
    /// ICMP: someone on the way knows a better gateway for these packets.
    IcmpRedirects = 23, "icmp_redirects";
    /// ICMP: one of these packets could not be delivered.
    IcmpUnreachable = 24, "icmp_unreachable";
    /// ICMP: one of these packets is longer than the path allows, and may not be cut into fragments.
    IcmpTooBig = 25, "icmp_too_big";
    /// ICMP: one of these packets ran out of hops, or its fragments out of time.
    IcmpTimeExceeded = 26, "icmp_time_exceeded";
    /// ICMP errors about packets that were never seen, counted where the errors themselves are.
    IcmpUnmatched = 27, "icmp_unmatched";
    /// Packets that came in by the same device again, with fewer hops left: a loop.
    Looped = 28, "looped";
}

/// Room for [`Sight`]s.
pub const SIGHTS: usize = 32;

const _: () = assert!(Sight::ALL.len() <= SIGHTS && PHASES == Phase::ALL.len());

/// Whose counters they are.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PeerKey {
    /// The cookie of the sockets' network namespace.
    pub cookie: u64,
    /// The next hop's address in network order, IPv4 in the first word; 0 where the peer is on the
    /// link.
    pub gateway: [u32; 4],
    /// The device that the sockets send by; 0 where that is not known.
    pub ifindex: u32,
    /// The class of the packets that the sockets receive.
    pub class: u32,
    /// The CPU that counts.
    pub cpu: u32,
    /// 4 or 6 where there is a gateway, else 0.
    pub gateway_family: u16,
    /// The [`vantage`].
    pub vantage: u16,
}

/// From where connections are seen.
pub mod vantage {
    /// At the sockets that get the class's packets.
    pub const SOCKETS: u16 = 0;
    /// On the way: the class's packets come in by the device, and are forwarded or answered.
    pub const PASSING: u16 = 1;
}

const _: () = assert!(size_of::<PeerKey>() == 40);

/// Latencies of one phase.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// Their sum in nanoseconds.
    pub sum_ns: u64,
    /// `u64::MAX` less the smallest, so that zeros are valid.
    pub min_inverted_ns: u64,
    /// The largest.
    pub max_ns: u64,
    /// By [`crate::bucket::index`].
    pub buckets: [u32; BUCKETS],
}

const _: () = assert!(size_of::<Timed>().is_multiple_of(8));

/// What was counted of the connections of one key.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PeerCounts {
    /// Whose they are.
    pub key: PeerKey,
    /// 1 when the key is written.
    pub ready: u32,
    /// The TTL or hop limit that was received last.
    pub ttl: u32,
    /// When a connection's TTL or hop limit last became another one (`CLOCK_MONOTONIC`); 0 before.
    pub ttl_changed_ns: u64,
    /// Which one it was then.
    pub ttl_before: u32,
    /// Which one it became.
    pub ttl_after: u32,
    /// The last ICMP error about packets of the class.
    pub told: Told,
    /// By [`Phase`].
    pub phases: [Timed; PHASES],
    /// By [`Sight`]; behind the phases, since the verifier counts with 256 buckets of the last one.
    pub sights: [u64; SIGHTS],
}

const _: () = assert!(size_of::<[u64; SIGHTS]>() >= (256 - BUCKETS) * 4);

/// What an ICMP error said.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When it came; 0 before the first.
    pub at_ns: u64,
    /// Who said it, in network order, IPv4 in the first word.
    pub by: [u32; 4],
    /// 4 or 6.
    pub family: u16,
    /// The message's type.
    pub kind: u8,
    /// The message's code.
    pub code: u8,
    /// The MTU of the next hop where something is too big.
    pub mtu: u32,
    /// The better gateway of a redirect, in network order.
    pub gateway: [u32; 4],
}

/// A TCP connection with a socket on this host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    /// Stands for the socket's address; 0 in an empty entry.
    pub tag: u64,
    /// What the socket is told from a later one at the same address by: its ports and its peer.
    pub identity: u64,
    /// When it was met last.
    pub last_ns: u64,
    /// The end of the request: its last byte delivered (serving) or sent (asking).
    pub asked_ns: u64,
    /// When the request was read; 0 before.
    pub read_ns: u64,
    /// When the peer acknowledged the request without an answer; 0 before.
    pub acknowledged_ns: u64,
    /// `tcp_sock.rack.mstamp` of the last round trip.
    pub rack_stamp: u64,
    /// Stands for the address of the route that it sends by.
    pub route: u64,
    /// The sum of its round trips in microseconds, of both kinds.
    pub rtt_sum_us: u64,
    /// How many they are.
    pub rtts: u32,
    /// The smallest since the tracing began; 0 before the first.
    pub rtt_min_us: u32,
    /// The last one.
    pub rtt_last_us: u32,
    /// Segments that it sent again since the tracing began.
    pub retransmits: u32,
    /// Its exchanges.
    pub exchanges: u32,
    /// Those that were disturbed.
    pub disturbed: u32,
    /// The class of the packets that it receives, plus one; 0 before that is known.
    pub class: u32,
    /// Its counters, plus one.
    pub counts: u32,
    /// The CPU whose counters they are.
    pub cpu: u32,
    /// `tcp_sock.total_retrans` when it was met last.
    pub total_retransmits: u32,
    /// `tcp_sock.srtt_us` when it was met last.
    pub srtt: u32,
    /// The sequence number behind the last byte sent.
    pub sent: u32,
    /// `tcp_sock.dsack_dups` when it was met last.
    pub peer_duplicates: u32,
    /// `tcp_sock.reord_seen` when it was met last.
    pub reordered: u32,
    /// The [`state`].
    pub state: u8,
    /// [`mark`]s.
    pub marks: u8,
    /// The TTL or hop limit that it received last.
    pub ttl: u8,
    /// The [`role`].
    pub role: u8,
    /// Segments received, as far as a byte counts.
    pub segments: u32,
    /// Addresses and ports of the packets that it receives.
    pub tuple: Tuple,
}

const _: () = assert!(size_of::<Connection>() == 72 + 16 * 4 + 40);

/// Where a connection is in its exchange.
pub mod state {
    /// No request is open.
    pub const IDLE: u8 = 0;
    /// A request is under way, or thought about.
    pub const ASKED: u8 = 1;
    /// The answer began.
    pub const ANSWERED: u8 = 2;
}

/// What is known of a connection beside its numbers.
pub mod mark {
    /// This exchange was disturbed.
    pub const DISTURBED: u8 = 1;
    /// This exchange overlaps with another.
    pub const OVERLAPPING: u8 = 2;
    /// The last segment came with data.
    pub const CAME_WITH_DATA: u8 = 4;
    /// The peer's window is 0.
    pub const PEER_ZERO_WINDOW: u8 = 8;
    /// The own window is 0.
    pub const OWN_ZERO_WINDOW: u8 = 16;
    /// [`super::Connection::sent`] is known.
    pub const SENT: u8 = 32;
    /// The last segment acknowledged more than one full segment.
    pub const MANY: u8 = 64;
}

/// Which side of a class's exchanges a socket is.
pub mod role {
    /// Not known: neither port is a service's.
    pub const NONE: u8 = 0;
    /// It answers.
    pub const SERVING: u8 = 1;
    /// It asks.
    pub const ASKING: u8 = 2;
}

/// Connections whose sockets' addresses have the same index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionSet {
    /// The ways.
    pub ways: [Connection; 2],
}

/// Where the members of the kernel's sockets are, in bytes, and how much room there is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// 1 when all of this is known; else nothing of connections is.
    pub known: u32,
    /// Sets of connections, less one; a power of two less one.
    pub connections_mask: u32,
    /// How many [`PeerCounts`] there may be.
    pub peers: u32,
    /// `sk_buff.sk`
    pub skb_sk: u32,
    /// `sk_buff.cb`
    pub skb_cb: u32,
    /// `tcp_skb_cb.seq`
    pub cb_seq: u32,
    /// `tcp_skb_cb.end_seq`
    pub cb_end_seq: u32,
    /// `tcp_skb_cb.ack_seq`
    pub cb_ack_seq: u32,
    /// `tcp_skb_cb.tcp_flags`
    pub cb_flags: u32,
    /// `sock.__sk_common.skc_portpair`
    pub sk_ports: u32,
    /// `sock.__sk_common.skc_daddr`
    pub sk_peer: u32,
    /// `sock.__sk_common.skc_rcv_saddr`
    pub sk_own: u32,
    /// `sock.__sk_common.skc_v6_daddr`
    pub sk_peer6: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`
    pub sk_own6: u32,
    /// `sock.__sk_common.skc_net`
    pub sk_net: u32,
    /// `sock.__sk_common.skc_state`
    pub sk_state: u32,
    /// `sock.sk_dst_cache`
    pub sk_route: u32,
    /// `dst_entry.dev`
    pub dst_dev: u32,
    /// `rtable.rt_gw_family`
    pub rt_family: u32,
    /// `rtable.rt_gw4`
    pub rt_gateway: u32,
    /// `rt6_info.rt6i_gateway`
    pub rt6_gateway: u32,
    /// `tcp_sock.snd_una`
    pub snd_una: u32,
    /// `tcp_sock.snd_nxt`
    pub snd_nxt: u32,
    /// `tcp_sock.write_seq`
    pub write_seq: u32,
    /// `tcp_sock.rcv_nxt`
    pub rcv_nxt: u32,
    /// `tcp_sock.copied_seq`
    pub copied_seq: u32,
    /// `tcp_sock.snd_wnd`
    pub snd_wnd: u32,
    /// `tcp_sock.rcv_wnd`
    pub rcv_wnd: u32,
    /// `tcp_sock.mss_cache`
    pub mss: u32,
    /// `tcp_sock.srtt_us`
    pub srtt: u32,
    /// `tcp_sock.rtt_min.s[0].v`
    pub rtt_min: u32,
    /// `tcp_sock.rack.mstamp`
    pub rack_stamp: u32,
    /// `tcp_sock.rack.rtt_us`
    pub rack_rtt: u32,
    /// `tcp_sock.total_retrans`
    pub total_retransmits: u32,
    /// `tcp_sock.retrans_out`
    pub retransmits_out: u32,
    /// `tcp_sock.sacked_out`
    pub sacked_out: u32,
    /// `tcp_sock.dsack_dups`
    pub dsack_dups: u32,
    /// `tcp_sock.reord_seen`
    pub reord_seen: u32,
    /// `tcp_sock.inet_conn.icsk_retransmits`
    pub timeouts: u32,
}

/// How many words [`Sockets`] has.
pub const SOCKETS_WORDS: usize = size_of::<Sockets>() / 4;

impl Sockets {
    /// Nothing, as it stands in the object before the agent writes it.
    // SAFETY: numbers only, for which zeros are valid.
    pub const ZERO: Self = unsafe { core::mem::zeroed() };
}

/// An acknowledgement that is held back waits for this long at least: `TCP_DELACK_MIN` of
/// include/net/tcp.h, 40 ms, less the jiffy of a kernel with 250 of them a second, in which its timer
/// was set; other systems wait longer (RFC 9293 allows 500 ms).
pub const HELD_BACK_US: u32 = 36_000;

/// A lost answer is sent again after the round trip and this at least: `TCP_RTO_MIN` of
/// include/net/tcp.h.
pub const SENT_AGAIN_NS: u64 = 200_000_000;
