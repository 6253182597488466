//! Hops at devices (net/core/dev.c; include/trace/events/net.h).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use tracer_common::layout::flag::GRO;

use super::program;
use crate::{
    journey::{self, Program},
    kernel::{Device, Skb},
};

#[btf_tracepoint(function = "net_dev_queue")]
pub(crate) fn net_dev_queue(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("net_dev_queue");
    journey::queue(Skb::new(context.arg(0)), PROGRAM);
    0
}

#[btf_tracepoint(function = "net_dev_start_xmit")]
pub(crate) fn net_dev_start_xmit(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("net_dev_start_xmit");
    journey::xmit(
        Skb::new(context.arg(0)),
        Device::new(context.arg(1)),
        PROGRAM,
    );
    0
}

#[btf_tracepoint(function = "netif_rx")]
pub(crate) fn netif_rx(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_rx");
    journey::rx(Skb::new(context.arg(0)), PROGRAM, 0);
    0
}

#[btf_tracepoint(function = "napi_gro_receive_entry")]
pub(crate) fn napi_gro_receive_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("napi_gro_receive_entry");
    journey::rx(Skb::new(context.arg(0)), PROGRAM, GRO);
    0
}

#[btf_tracepoint(function = "napi_gro_frags_entry")]
pub(crate) fn napi_gro_frags_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("napi_gro_frags_entry");
    journey::rx(Skb::new(context.arg(0)), PROGRAM, GRO);
    0
}

#[btf_tracepoint(function = "netif_receive_skb_entry")]
pub(crate) fn netif_receive_skb_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb_entry");
    journey::rx_direct(Skb::new(context.arg(0)), PROGRAM);
    0
}

#[btf_tracepoint(function = "netif_receive_skb_list_entry")]
pub(crate) fn netif_receive_skb_list_entry(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb_list_entry");
    journey::rx_direct(Skb::new(context.arg(0)), PROGRAM);
    0
}

#[btf_tracepoint(function = "netif_receive_skb")]
pub(crate) fn netif_receive_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("netif_receive_skb");
    journey::receive(Skb::new(context.arg(0)), PROGRAM);
    0
}
