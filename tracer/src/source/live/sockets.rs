//! Where the kernel's sockets keep what connections are judged by, and how much room there is.

use tracer_common::exchange::{SOCKETS_WORDS, Sockets};

use super::kernel_types::KernelTypes;
use crate::model::{Availability, State};
use crate::source::settings::{Limits, Settings};

/// What takes an offset, and the structure and member that it is of.
type Wanted = (fn(&mut Sockets) -> &mut u32, &'static str, &'static str);

macro_rules! wanted {
    ($($field:ident: $structure:literal, $path:literal;)+) => {
        [$((|sockets| &mut sockets.$field, $structure, $path)),+]
    };
}

/// Every offset, all there from 5.10 to 7.2.
const OFFSETS: [Wanted; SOCKETS_WORDS - 3] = wanted! {
    skb_sk: "sk_buff", "sk";
    skb_cb: "sk_buff", "cb";
    cb_seq: "tcp_skb_cb", "seq";
    cb_end_seq: "tcp_skb_cb", "end_seq";
    cb_ack_seq: "tcp_skb_cb", "ack_seq";
    cb_flags: "tcp_skb_cb", "tcp_flags";
    sk_ports: "sock", "__sk_common.skc_portpair";
    sk_peer: "sock", "__sk_common.skc_daddr";
    sk_own: "sock", "__sk_common.skc_rcv_saddr";
    sk_peer6: "sock", "__sk_common.skc_v6_daddr";
    sk_own6: "sock", "__sk_common.skc_v6_rcv_saddr";
    sk_net: "sock", "__sk_common.skc_net";
    sk_state: "sock", "__sk_common.skc_state";
    sk_route: "sock", "sk_dst_cache";
    dst_dev: "dst_entry", "dev";
    rt_family: "rtable", "rt_gw_family";
    rt_gateway: "rtable", "rt_gw4";
    rt6_gateway: "rt6_info", "rt6i_gateway";
    snd_una: "tcp_sock", "snd_una";
    snd_nxt: "tcp_sock", "snd_nxt";
    write_seq: "tcp_sock", "write_seq";
    rcv_nxt: "tcp_sock", "rcv_nxt";
    copied_seq: "tcp_sock", "copied_seq";
    snd_wnd: "tcp_sock", "snd_wnd";
    rcv_wnd: "tcp_sock", "rcv_wnd";
    mss: "tcp_sock", "mss_cache";
    srtt: "tcp_sock", "srtt_us";
    rtt_min: "tcp_sock", "rtt_min.s";
    rack_stamp: "tcp_sock", "rack.mstamp";
    rack_rtt: "tcp_sock", "rack.rtt_us";
    total_retransmits: "tcp_sock", "total_retrans";
    retransmits_out: "tcp_sock", "retrans_out";
    sacked_out: "tcp_sock", "sacked_out";
    dsack_dups: "tcp_sock", "dsack_dups";
    reord_seen: "tcp_sock", "reord_seen";
    timeouts: "tcp_sock", "inet_conn.icsk_retransmits";
};

/// `minmax_sample.v` of `include/linux/win_minmax.h`: behind the time.
const VALUE: u32 = 4;

/// The feature's name where it is told whether it works.
const NAME: &str = "connections";

/// All that the kernel half has to know of sockets, and whether connections can be measured: where
/// one member is missing they are not, and nothing is guessed.
pub(super) fn find(types: &KernelTypes, settings: &Settings) -> (Sockets, Availability) {
    let mut sockets = Sockets::ZERO;
    let mut missing = None;
    for (place, structure, path) in OFFSETS {
        match types.offset(structure, path) {
            Some(offset) => *place(&mut sockets) = offset,
            None => missing = missing.or(Some(format!("{structure}.{path}"))),
        }
    }
    sockets.rtt_min += VALUE;
    sockets.known = u32::from(settings.exchanges && missing.is_none());
    sockets.connections_mask = sets(settings.limits) - 1;
    sockets.peers = peers(settings.limits);
    let unavailable = |because: String, advice: &str| State::Unavailable {
        because,
        advice: advice.to_owned(),
    };
    let state = match missing {
        Some(what) => unavailable(
            format!("this kernel has no {what} where it is looked for"),
            "a newer tracer",
        ),
        None if !settings.exchanges => unavailable("it was not asked for".to_owned(), "nothing"),
        None => State::Works,
    };
    let availability = Availability {
        name: NAME.to_owned(),
        meaning: "round trips, exchanges and troubles of TCP sockets of this host".to_owned(),
        state,
    };
    (sockets, availability)
}

/// How many sets of two connections there is room for: a power of two.
pub(super) fn sets(limits: Limits) -> u32 {
    (limits.packets / 8).next_power_of_two().max(64)
}

/// How many sets of counters there is room for: one for each class, next hop and CPU.
pub(super) fn peers(limits: Limits) -> u32 {
    (limits.cells / 16).max(16)
}
