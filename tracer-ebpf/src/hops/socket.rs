//! Hops at sockets (include/trace/events/tcp.h, sock.h, skb.h).

use aya_ebpf::{
    macros::{btf_tracepoint, fentry},
    programs::{BtfTracePointContext, FEntryContext},
};

use super::{Work, program};
use crate::{
    exchange::{self, Socket},
    journey::{self, Program},
    kernel::{Skb, Sock},
};

#[btf_tracepoint(function = "tcp_probe")]
#[inline(always)]
pub(crate) fn tcp_probe(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("tcp_probe");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    let skb = Skb::new(context.arg(1));
    journey::deliver(skb, work.place);
    exchange::segment(Socket::new(context.arg(0)), skb, PROGRAM);
    work.end()
}

#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub(crate) fn inet_sock_set_state(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("inet_sock_set_state");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    if is_by_packet(context.arg(1), context.arg(2)) {
        journey::deliver_handshake(Sock::new(context.arg(0)), work.place);
    }
    // Of all protocols that have states TCP alone is meant here.
    let (old, new) = (context.arg::<i32>(1) as u8, context.arg::<i32>(2) as u8);
    exchange::opened_or_closed(Socket::new(context.arg(0)), old, new, PROGRAM);
    work.end()
}

/// Whether TCP makes this change of state when a segment arrives (`include/net/tcp_states.h`).
#[inline(always)]
fn is_by_packet(old: i32, new: i32) -> bool {
    const ESTABLISHED: i32 = 1;
    const SYN_SENT: i32 = 2;
    const SYN_RECV: i32 = 3;
    const FIN_WAIT1: i32 = 4;
    const FIN_WAIT2: i32 = 5;
    const CLOSE: i32 = 7;
    const LAST_ACK: i32 = 9;
    const CLOSING: i32 = 11;
    match old {
        SYN_SENT | SYN_RECV => new == ESTABLISHED,
        FIN_WAIT1 => new == FIN_WAIT2 || new == CLOSING,
        FIN_WAIT2 | LAST_ACK | CLOSING => new == CLOSE,
        _ => false,
    }
}

#[btf_tracepoint(function = "sk_data_ready")]
#[inline(always)]
pub(crate) fn sk_data_ready(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("sk_data_ready");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::deliver_datagram(Sock::new(context.arg(0)), work.place);
    work.end()
}

/// What `sk_data_ready` is the tracepoint in, before Linux 6.3 (net/core/sock.c).
#[fentry(function = "sock_def_readable")]
#[inline(always)]
pub(crate) fn sock_def_readable(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("sock_def_readable");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::deliver_datagram(Sock::new(context.arg(0)), work.place);
    work.end()
}

#[btf_tracepoint(function = "skb_copy_datagram_iovec")]
#[inline(always)]
pub(crate) fn skb_copy_datagram_iovec(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("skb_copy_datagram_iovec");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    let skb = Skb::new(context.arg(0));
    exchange::read(skb);
    journey::read(skb, work.place);
    work.end()
}
