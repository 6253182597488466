//! Counters of connections, by class and next hop; one set of them for each CPU that counts.

use core::{arch::asm, hint::cold_path};

use tracer_common::{
    bucket,
    exchange::{
        Connection, PHASES, PeerCounts, PeerKey, Phase, SIGHTS, Sight, Timed, Told, vantage,
    },
    layout::Numbers,
};

use super::{PEER_COUNTS, PEERS, Seen, sockets};
use crate::{
    kernel::{self, fetch},
    record::{add, add_u32},
    tree,
};

/// The counters for what was seen, plus one; 0 where there is no room.
#[inline(always)]
pub(super) fn of(seen: &mut Seen, class: u32) -> u32 {
    let net = seen.net;
    seen.key.cookie = kernel::cookie_at(net);
    seen.key.class = class.wrapping_sub(1);
    seen.key.cpu = kernel::cpu();
    seen.key.vantage = vantage::SOCKETS;
    next_hop(seen);
    find(seen)
}

/// The same for another CPU.
#[inline(always)]
pub(super) fn on_this_cpu(seen: &mut Seen, connection: &mut Connection) {
    let cpu = kernel::cpu();
    if connection.cpu == cpu || connection.counts == 0 {
        return;
    }
    let Some(counts) = PEER_COUNTS.get(connection.counts - 1) else {
        return;
    };
    seen.key = counts.key;
    seen.key.cpu = cpu;
    connection.counts = find(seen);
    connection.cpu = cpu;
}

/// The device and the gateway of the route that the socket sends by (`struct rtable` of
/// `include/net/route.h`, `struct rt6_info` of `include/net/ip6_fib.h`; both begin with a `dst_entry`).
#[inline(always)]
fn next_hop(seen: &mut Seen) {
    let key = &mut seen.key;
    key.ifindex = 0;
    key.gateway = [0; 4];
    key.gateway_family = 0;
    let route = seen.route;
    if route == 0 {
        return;
    }
    key.ifindex = kernel::ifindex_at(fetch(route, sockets!(dst_dev)));
    let first: u32;
    if seen.tuple.family == 4 {
        let family = u32::from(fetch::<u8>(route, sockets!(rt_family)));
        // A gateway of IPv6 for IPv4 (RFC 5549) stands at the same place.
        first = if family == 0 {
            0
        } else {
            fetch(route, sockets!(rt_gateway))
        };
        if family == 10 {
            key.gateway_family = 6;
            key.gateway[1] = fetch(route, sockets!(rt_gateway) + 4);
            key.gateway[2] = fetch(route, sockets!(rt_gateway) + 8);
            key.gateway[3] = fetch(route, sockets!(rt_gateway) + 12);
        } else if family == 2 {
            key.gateway_family = 4;
        }
    } else {
        first = fetch(route, sockets!(rt6_gateway));
        if first != 0 {
            key.gateway_family = 6;
            key.gateway[1] = fetch(route, sockets!(rt6_gateway) + 4);
            key.gateway[2] = fetch(route, sockets!(rt6_gateway) + 8);
            key.gateway[3] = fetch(route, sockets!(rt6_gateway) + 12);
        }
    }
    key.gateway[0] = first;
}

#[inline(always)]
pub(super) fn find(seen: &Seen) -> u32 {
    // SAFETY: a value of this map is written once.
    if let Some(&counts) = unsafe { PEERS.get(&seen.key) } {
        return counts + 1;
    }
    let counts = tree::claim(Numbers::Peers) as u32;
    if counts == 0 {
        return 0;
    }
    if PEERS.insert(&seen.key, counts - 1, 1).is_err() {
        // SAFETY: as above.
        return unsafe { PEERS.get(&seen.key) }.map_or(0, |&counts| counts + 1);
    }
    if let Some(found) = PEER_COUNTS.get_ptr_mut(counts - 1) {
        // SAFETY: they are ours alone until they are ready.
        unsafe {
            (*found).key = seen.key;
            core::ptr::write_volatile(&raw mut (*found).ready, 1);
        }
    }
    counts
}

/// Whether counters are those of a key, on whatever CPU.
#[inline(always)]
pub(super) fn is_same_hop(counts: u32, key: &PeerKey) -> bool {
    let Some(counts) = at(counts) else {
        return false;
    };
    // SAFETY: the key of counters that are ready does not change.
    let known = unsafe { &(*counts).key };
    known.ifindex == key.ifindex && known.gateway == key.gateway
}

/// Counts.
#[inline(always)]
pub(super) fn count(counts: u32, sight: Sight, times: u32) {
    if times == 0 {
        return;
    }
    if let Some(counts) = at(counts) {
        let place = sight as usize % SIGHTS;
        // SAFETY: within the counters. Programs of a process are interrupted by those of a softirq.
        unsafe {
            add(
                (&raw mut (*counts).sights).cast::<u64>().add(place),
                u64::from(times),
            );
        };
    }
}

/// Notes the TTL or hop limit that a connection received, and the one before; 0 where there was
/// none.
#[inline(always)]
pub(super) fn note_ttl(counts: u32, before: u32, ttl: u32, now: u64) {
    let Some(found) = at(counts) else { return };
    // SAFETY: words of the counters.
    unsafe {
        core::ptr::write_volatile(&raw mut (*found).ttl, ttl);
        if before != 0 && before != ttl {
            cold_path();
            (*found).ttl_before = before;
            (*found).ttl_after = ttl;
            (*found).ttl_changed_ns = now;
            count(counts, Sight::TtlChanges, 1);
        }
    }
}

/// Notes what an ICMP error said.
#[inline(always)]
pub(super) fn note_told(counts: u32, told: &Told) {
    if let Some(counts) = at(counts) {
        // SAFETY: within the counters; a reader may see a part of two, which are both true.
        unsafe { (*counts).told = *told };
    }
}

/// Counts a latency.
#[inline(always)]
pub(super) fn time(counts: u32, phase: Phase, ns: u64) {
    record_time(counts, phase as u32, ns);
}

/// Longer than any exchange: what claims to be longer is no measurement.
const ABSURD_NS: u64 = 86_400_000_000_000;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_time(counts: u32, phase: u32, ns: u64) -> u32 {
    let Some(counts) = at(counts) else {
        return 0;
    };
    let phase = bounded(phase as usize);
    if phase >= PHASES || ns > ABSURD_NS {
        return 0;
    }
    let place = bounded(bucket::index(ns));
    // SAFETY: the phase is within the counters, and so are 256 buckets, of which there are fewer.
    unsafe {
        let timed = (&raw mut (*counts).phases).cast::<Timed>().add(phase);
        let bucket = (&raw mut (*timed).buckets).cast::<u32>().add(place);
        add_u32(bucket, 1);
        add(&raw mut (*timed).sum_ns, ns);
        let inverted = u64::MAX - ns;
        if inverted > (*timed).min_inverted_ns {
            (*timed).min_inverted_ns = inverted;
        }
        if ns > (*timed).max_ns {
            (*timed).max_ns = ns;
        }
    }
    0
}

/// A number below 256, as the verifier knows of the result of this very instruction, which the
/// compiler would remove if it saw that it does nothing.
#[inline(always)]
fn bounded(mut number: usize) -> usize {
    // SAFETY: it masks a register.
    unsafe {
        asm!("{0} &= 255", inout(reg) number, options(pure, nomem, nostack));
    }
    number
}

#[inline(always)]
fn at(counts: u32) -> Option<*mut PeerCounts> {
    if counts == 0 {
        return None;
    }
    PEER_COUNTS.get_ptr_mut(counts - 1)
}
