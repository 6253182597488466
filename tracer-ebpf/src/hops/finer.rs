//! Finer hops, for those who ask for them: the entries of functions that IPv4, IPv6, netfilter, TCP
//! and UDP have had with these arguments since Linux 5.10 at least.
//!
//! The agent may attach a program to another function than the one that stands here, with the packet
//! at the same place among its arguments: the catalogue lists them.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use tracer_common::hop::{self, Stage};

use super::{Work, program};
use crate::{
    journey::{self, Program},
    kernel::{HookState, Skb},
};

/// At the hop of the catalogue's row.
#[inline(always)]
fn pass(skb: Skb, program: Program) -> i32 {
    let Some(work) = Work::begin(program) else {
        return 0;
    };
    if let Some(stage) = hop::row(program.0 as usize).stage {
        journey::pass(skb, stage, work.place);
    }
    work.end()
}

/// `ip_rcv_core(skb, net)`, or `ip_rcv(skb, dev, pt, orig_dev)` (`net/ipv4/ip_input.c`).
#[fentry(function = "ip_rcv_core")]
#[inline(always)]
pub(crate) fn ip_rcv(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip_rcv");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `ip6_rcv_core(skb, dev, net)`, or `ipv6_rcv(skb, dev, pt, orig_dev)` (`net/ipv6/ip6_input.c`).
#[fentry(function = "ip6_rcv_core")]
#[inline(always)]
pub(crate) fn ipv6_rcv(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ipv6_rcv");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `nf_hook_slow(skb, state, e, i)` (`net/netfilter/core.c`): where a hook has anything at all.
#[fentry(function = "nf_hook_slow")]
#[inline(always)]
pub(crate) fn nf_hook_slow(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("nf_hook_slow");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    let state = HookState::new(context.arg(1));
    if let Some(stage) = Stage::of_netfilter(state.protocol(), state.hook()) {
        journey::pass(Skb::new(context.arg(0)), stage, work.place);
    }
    work.end()
}

/// `ip_forward(skb)` (`net/ipv4/ip_forward.c`).
#[fentry(function = "ip_forward")]
#[inline(always)]
pub(crate) fn ip_forward(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip_forward");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `ip6_forward(skb)` (`net/ipv6/ip6_output.c`).
#[fentry(function = "ip6_forward")]
#[inline(always)]
pub(crate) fn ip6_forward(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip6_forward");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `ip_output(net, sk, skb)` (`net/ipv4/ip_output.c`).
#[fentry(function = "ip_output")]
#[inline(always)]
pub(crate) fn ip_output(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip_output");
    pass(Skb::new(context.arg(2)), PROGRAM)
}

/// `ip6_output(net, sk, skb)` (`net/ipv6/ip6_output.c`).
#[fentry(function = "ip6_output")]
#[inline(always)]
pub(crate) fn ip6_output(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip6_output");
    pass(Skb::new(context.arg(2)), PROGRAM)
}

/// `ip_local_deliver(skb)` (`net/ipv4/ip_input.c`).
#[fentry(function = "ip_local_deliver")]
#[inline(always)]
pub(crate) fn ip_local_deliver(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip_local_deliver");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `ip6_input(skb)` (`net/ipv6/ip6_input.c`).
#[fentry(function = "ip6_input")]
#[inline(always)]
pub(crate) fn ip6_input(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("ip6_input");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `tcp_v4_rcv(skb)` (`net/ipv4/tcp_ipv4.c`).
#[fentry(function = "tcp_v4_rcv")]
#[inline(always)]
pub(crate) fn tcp_v4_rcv(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("tcp_v4_rcv");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `tcp_v6_rcv(skb)` (`net/ipv6/tcp_ipv6.c`).
#[fentry(function = "tcp_v6_rcv")]
#[inline(always)]
pub(crate) fn tcp_v6_rcv(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("tcp_v6_rcv");
    pass(Skb::new(context.arg(0)), PROGRAM)
}

/// `udp_queue_rcv_skb(sk, skb)` (`net/ipv4/udp.c`).
#[fentry(function = "udp_queue_rcv_skb")]
#[inline(always)]
pub(crate) fn udp_queue_rcv_skb(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("udp_queue_rcv_skb");
    pass(Skb::new(context.arg(1)), PROGRAM)
}

/// `udpv6_queue_rcv_skb(sk, skb)` (`net/ipv6/udp.c`).
#[fentry(function = "udpv6_queue_rcv_skb")]
#[inline(always)]
pub(crate) fn udpv6_queue_rcv_skb(context: FEntryContext) -> i32 {
    const PROGRAM: Program = program("udpv6_queue_rcv_skb");
    pass(Skb::new(context.arg(1)), PROGRAM)
}
