//! Writing it down: counters, ends, losses, and timelines.

use core::{arch::asm, hint::cold_path};

use tracer_common::{
    bucket,
    layout::{DropKey, End, Packet, Step, flag},
    loss::Loss,
};

use crate::{
    kernel::setting,
    maps::{CELLS, DROPS, LOSSES, STEPS},
};

/// Longer than any packet's stay at a hop: what claims to be longer is no measurement.
const ABSURD_NS: u64 = 600_000_000_000;

/// Counts a packet at its node, with the time since its node before.
///
/// At a socket, where programs that run in a process are interrupted by those of a softirq.
#[inline(always)]
pub(crate) fn arrive(cell: u32, packet: &Packet, since: u64, now: u64) {
    arrive_by(cell, packet, since, now, add, add_u32);
}

/// The same at a device, where nothing interrupts what counts at the same node: a cell belongs to
/// one CPU, softirqs are off, and a program does not nest in itself. It needs no atomics.
#[inline(always)]
pub(crate) fn arrive_alone(cell: u32, packet: &Packet, since: u64, now: u64) {
    arrive_by(cell, packet, since, now, add_alone, add_alone_u32);
}

#[inline(always)]
fn arrive_by(
    cell: u32,
    packet: &Packet,
    since: u64,
    now: u64,
    add: unsafe fn(*mut u64, u64),
    add_u32: unsafe fn(*mut u32, u32),
) {
    let Some(cell) = CELLS.get_ptr_mut(cell) else {
        return;
    };
    let shift = if packet.flags & flag::SAMPLED != 0 {
        setting!(timing_shift)
    } else {
        0
    };
    // SAFETY: a cell of the map. Its words only grow, and the agent reads them as they are.
    unsafe {
        add(&raw mut (*cell).packets, 1);
        add(&raw mut (*cell).bytes, u64::from(packet.payload));
        if since == 0 || packet.flags & flag::UNTIMED != 0 {
            return;
        }
        let latency = now.wrapping_sub(since);
        if latency > ABSURD_NS {
            cold_path();
            return lose(Loss::Clock);
        }
        let index = bucket::index(latency);
        let bucket = (&raw mut (*cell).buckets).cast::<u32>().add(index & 255);
        if index < bucket::BUCKETS {
            add_u32(bucket, 1 << shift);
        }
        add(&raw mut (*cell).sum_ns, latency << shift);
        let inverted = u64::MAX - latency;
        if inverted > (*cell).min_inverted_ns {
            (*cell).min_inverted_ns = inverted;
        }
        if latency > (*cell).max_ns {
            (*cell).max_ns = latency;
        }
    }
}

#[inline(always)]
unsafe fn add_alone(counter: *mut u64, value: u64) {
    // SAFETY: the caller gives a counter of a map.
    unsafe { *counter = (*counter).wrapping_add(value) };
}

#[inline(always)]
unsafe fn add_alone_u32(counter: *mut u32, value: u32) {
    // SAFETY: as above.
    unsafe { *counter = (*counter).wrapping_add(value) };
}

/// Adds atomically, without asking for the value: that is an instruction since Linux 3.18, and
/// Rust's `fetch_add` one since 5.12.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, value: u64) {
    // SAFETY: the caller gives a counter of a map.
    unsafe { asm!("lock *(u64 *)({} + 0) += {}", in(reg) counter, in(reg) value) };
}

/// The same for half a word.
#[inline(always)]
pub(crate) unsafe fn add_u32(counter: *mut u32, value: u32) {
    // SAFETY: the caller gives a counter of a map.
    unsafe { asm!("lock *(u32 *)({} + 0) += {}", in(reg) counter, in(reg) u64::from(value)) };
}

/// Counts how a packet ended, at the node where it was.
#[inline(always)]
pub(crate) fn end(packet: &Packet, how: End) {
    end_times(packet, how, 1);
}

/// Takes back that a packet ended well.
#[inline(always)]
pub(crate) fn revoke(packet: &Packet, how: End) {
    end_times(packet, how, u32::MAX);
}

#[inline(always)]
fn end_times(packet: &Packet, how: End, times: u32) {
    if let Some(cell) = CELLS.get_ptr_mut(packet.cell) {
        // SAFETY: a cell of the map; `how` is below the number of ends.
        unsafe {
            let counter = (&raw mut (*cell).ends).cast::<u32>().add(how as usize);
            add_u32(counter, times);
        }
    }
}

/// Counts a packet that came to be at the node of another.
#[inline(always)]
pub(crate) fn bear(parent: &Packet) {
    if let Some(cell) = CELLS.get_ptr_mut(parent.cell) {
        // SAFETY: a cell of the map.
        unsafe { add_u32(&raw mut (*cell).born, 1) };
    }
}

/// Counts a drop by the kernel, at the node where the packet was.
#[inline(always)]
pub(crate) fn drop(packet: &Packet, reason: u32) {
    end(packet, End::Dropped);
    let key = DropKey {
        node: packet.node,
        reason,
    };
    if let Some(count) = DROPS.get_ptr_mut(key) {
        // SAFETY: the map's memory.
        unsafe { add(count, 1) };
    } else if DROPS.insert(key, 1, 1).is_err()
        && let Some(count) = DROPS.get_ptr_mut(key)
    {
        // SAFETY: as above.
        unsafe { add(count, 1) };
    }
}

/// Counts a loss that no node is known for.
#[inline(always)]
pub(crate) fn lose(why: Loss) {
    if let Some(count) = LOSSES.get_ptr_mut(why as u32) {
        // SAFETY: the map's memory.
        unsafe { add(count, 1) };
    }
}

/// Tells a packet's hop to those who asked for whole timelines.
#[inline(always)]
pub(crate) fn step(packet: &Packet, tag: u64, last: u64, now: u64) {
    if setting!(passages) == 0 {
        return;
    }
    let Some(mut entry) = STEPS.reserve::<Step>(0) else {
        lose(Loss::Ring);
        return;
    };
    entry.write(Step {
        tag,
        first_ns: packet.first_ns,
        last_ns: last,
        now_ns: now,
        fingerprint: packet.fingerprint,
        node: packet.node,
        payload: packet.payload,
    });
    entry.submit(0);
}
