//! Where packets end (include/trace/events/skb.h).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use super::program;
use crate::{
    journey::{self, Program},
    kernel::{Skb, setting},
};

/// `kfree_skb(skb, location, reason, rx_sk)`: the reason since Linux 5.17, the socket since 6.11.
#[btf_tracepoint(function = "kfree_skb")]
pub(crate) fn kfree_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("kfree_skb");
    let reason = if setting!(drop_reasons) != 0 {
        context.arg(2)
    } else {
        0
    };
    journey::drop(Skb::new(context.arg(0)), reason, PROGRAM);
    0
}

#[btf_tracepoint(function = "consume_skb")]
pub(crate) fn consume_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("consume_skb");
    journey::consume(Skb::new(context.arg(0)), PROGRAM);
    0
}
