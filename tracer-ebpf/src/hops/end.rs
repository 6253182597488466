//! Where packets end (include/trace/events/skb.h).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use super::{Work, program};
use crate::{
    journey::{self, Program},
    kernel::{Skb, setting},
};

/// `kfree_skb(skb, location, reason, rx_sk)`: the reason since Linux 5.17, the socket since 6.11.
#[btf_tracepoint(function = "kfree_skb")]
#[inline(always)]
pub(crate) fn kfree_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("kfree_skb");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    let reason = if setting!(drop_reasons) != 0 {
        context.arg(2)
    } else {
        0
    };
    journey::drop(Skb::new(context.arg(0)), reason, work.place);
    work.end()
}

#[btf_tracepoint(function = "consume_skb")]
#[inline(always)]
pub(crate) fn consume_skb(context: BtfTracePointContext) -> i32 {
    const PROGRAM: Program = program("consume_skb");
    let Some(work) = Work::begin(PROGRAM) else {
        return 0;
    };
    journey::consume(Skb::new(context.arg(0)), work.place);
    work.end()
}
