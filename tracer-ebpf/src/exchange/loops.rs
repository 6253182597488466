//! The same packet twice at one device: where two routers send it to each other until its hops run
//! out.

use aya_ebpf::{macros::map, maps::Array};
use tracer_common::exchange::Sight;

use super::{passing, peer, seen};
use crate::{header::mix, maps};

/// Packets that are remembered.
const MASK: u32 = (1 << 14) - 1;

/// Packets that came in lately: from above 40 bits of what each looks like, 16 of when it came,
/// 8 of how many hops it had left.
#[map]
static CAME_IN: Array<u64> = Array::with_max_entries(MASK + 1, 0);

/// One step of the time, 2^26 ns or 67 ms, as a shift.
const STEP: u32 = 26;
/// A packet that comes again after so many steps, a second, is another one that looks the same.
const SOON: u16 = 15;

/// A packet whose header is in the scratch came in, to be forwarded.
///
/// What was sent again by its sender has as many hops left as before, and mostly another IP ID.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn came_in(index: u32, class: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let at = mix(scratch.cookie, u64::from(scratch.ifindex));
    let mark = mix(scratch.header.mark, at);
    let Some(place) = CAME_IN.get_ptr_mut(mark as u32 & MASK) else {
        return 0;
    };
    let time = (scratch.packet.first_ns >> STEP) as u16;
    let hops = passing::hops_left(scratch) as u8;
    // SAFETY: one aligned word of the map.
    let before = unsafe { core::ptr::read_volatile(place) };
    let now = mark & !0xff_ffff | u64::from(time) << 8 | u64::from(hops);
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(place, now) };
    let is_same = (before ^ now) >> 24 == 0;
    let is_soon = time.wrapping_sub((before >> 8) as u16) <= SOON;
    if is_same && is_soon && hops < before as u8 {
        let Some(seen) = seen(index) else { return 0 };
        let counts = passing::place_of(scratch, seen, class);
        peer::count(counts, Sight::Looped, 1);
    }
    0
}
