//! What happens to connections besides hops (include/trace/events/tcp.h).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use super::{Work, program};
use crate::{
    exchange::{self, Socket},
    journey::Program,
};

/// `tcp_retransmit_skb(sk, skb, error)`: the error since Linux 6.15.
#[btf_tracepoint(function = "tcp_retransmit_skb")]
#[inline(always)]
pub(crate) fn tcp_retransmit_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("tcp_retransmit_skb");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    exchange::retransmitted(Socket::new(context.arg(0)), PROGRAM);
    work.end()
}

/// `tcp_retransmit_synack(sk, request)`.
#[btf_tracepoint(function = "tcp_retransmit_synack")]
#[inline(always)]
pub(crate) fn tcp_retransmit_synack(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("tcp_retransmit_synack");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    exchange::retransmitted_handshake(Socket::new(context.arg(1)), PROGRAM);
    work.end()
}

/// `tcp_send_reset(sk, skb, reason)`: no socket where nobody listens; the reason since Linux 6.10.
#[btf_tracepoint(function = "tcp_send_reset")]
#[inline(always)]
pub(crate) fn tcp_send_reset(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("tcp_send_reset");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    exchange::reset_sent(Socket::new(context.arg(0)));
    work.end()
}

/// `tcp_receive_reset(sk)`.
#[btf_tracepoint(function = "tcp_receive_reset")]
#[inline(always)]
pub(crate) fn tcp_receive_reset(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("tcp_receive_reset");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    exchange::reset_received(Socket::new(context.arg(0)));
    work.end()
}
