//! Hops at devices (net/core/dev.c; include/trace/events/net.h).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tracer_common::layout::flag::GRO;

use super::{Work, program};
use crate::{
    journey::{self, Program},
    kernel::{Device, Skb},
};

#[btf_tracepoint(function = "net_dev_queue")]
#[inline(always)]
pub(crate) fn net_dev_queue(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("net_dev_queue");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::queue(Skb::new(context.arg(0)), work.place);
    work.end()
}

#[btf_tracepoint(function = "net_dev_start_xmit")]
#[inline(always)]
pub(crate) fn net_dev_start_xmit(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("net_dev_start_xmit");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::xmit(
        Skb::new(context.arg(0)),
        Device::new(context.arg(1)),
        work.place,
    );
    work.end()
}

#[btf_tracepoint(function = "netif_rx")]
#[inline(always)]
pub(crate) fn netif_rx(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_rx");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::rx(Skb::new(context.arg(0)), work.place, 0);
    work.end()
}

#[btf_tracepoint(function = "napi_gro_receive_entry")]
#[inline(always)]
pub(crate) fn napi_gro_receive_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("napi_gro_receive_entry");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::rx(Skb::new(context.arg(0)), work.place, GRO);
    work.end()
}

#[btf_tracepoint(function = "napi_gro_frags_entry")]
#[inline(always)]
pub(crate) fn napi_gro_frags_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("napi_gro_frags_entry");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::rx(Skb::new(context.arg(0)), work.place, GRO);
    work.end()
}

#[btf_tracepoint(function = "netif_receive_skb_entry")]
#[inline(always)]
pub(crate) fn netif_receive_skb_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb_entry");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::rx_direct(Skb::new(context.arg(0)), work.place);
    work.end()
}

#[btf_tracepoint(function = "netif_receive_skb_list_entry")]
#[inline(always)]
pub(crate) fn netif_receive_skb_list_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb_list_entry");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::rx_direct(Skb::new(context.arg(0)), work.place);
    work.end()
}

#[btf_tracepoint(function = "netif_receive_skb")]
#[inline(always)]
pub(crate) fn netif_receive_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::receive(Skb::new(context.arg(0)), work.place);
    work.end()
}
