//! The table of connections, by the addresses of their sockets.

use tracer_common::{
    exchange::{Connection, ConnectionSet, Sight, role},
    layout::{NO_NODE, ROOT},
};

use super::{CONNECTIONS, Seen, Socket, peer, sockets};
use crate::{
    kernel,
    maps::{CLASS_INFO, NODE_INFO},
};

/// A connection that was idle for so long makes room for another.
const STALE_NS: u64 = 120_000_000_000;

/// Slabs put sockets at multiples of 64 bytes; this spreads what is above.
#[inline(always)]
fn set_of(tag: u64) -> Option<*mut ConnectionSet> {
    let spread = (tag >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    CONNECTIONS.get_ptr_mut(spread as u32 & sockets!(connections_mask))
}

/// The connection of a socket.
#[inline(always)]
pub(super) fn find(tag: u64) -> Option<&'static mut Connection> {
    // SAFETY: the map's memory. A connection is written under its socket's lock; it is displaced
    // only when it was idle for minutes.
    let ways = unsafe { &mut (*set_of(tag)?).ways };
    let [first, second] = ways;
    if first.tag == tag {
        Some(first)
    } else if second.tag == tag {
        Some(second)
    } else {
        None
    }
}

/// The same, unless it is that of an earlier socket at the same address, whose end nobody saw.
#[inline(always)]
pub(super) fn of(socket: Socket) -> Option<&'static mut Connection> {
    find(socket.tag()).filter(|connection| connection.identity == socket.identity())
}

/// Forgets a connection that ended.
#[inline(always)]
pub(super) fn forget(connection: &mut Connection) {
    connection.tag = 0;
}

/// Makes an entry for the socket that was seen, whose class is known.
#[inline(always)]
pub(super) fn meet(seen: &mut Seen, class: u32, now: u64) -> Option<&'static mut Connection> {
    // SAFETY: as in `find`.
    let ways = unsafe { &mut (*set_of(seen.tag)?).ways };
    let [first, second] = ways;
    let is_free = |way: &Connection| {
        way.tag == 0 || way.tag == seen.tag || now.wrapping_sub(way.last_ns) > STALE_NS
    };
    let way = if is_free(first) {
        first
    } else if is_free(second) {
        second
    } else {
        let counts = peer::of(seen, class);
        peer::count(counts, Sight::Untracked, 1);
        return None;
    };
    clear(way);
    way.identity = seen.identity;
    way.class = class;
    way.last_ns = now;
    way.tuple = seen.tuple;
    way.route = seen.route;
    way.role = role_of(class);
    way.counts = peer::of(seen, class);
    way.cpu = kernel::cpu();
    way.tag = seen.tag;
    Some(way)
}

/// Word by word: a call to `memset` would cost a frame of the stack.
#[inline(always)]
fn clear(connection: &mut Connection) {
    const WORDS: usize = size_of::<Connection>() / 8;
    let words = (&raw mut *connection).cast::<u64>();
    let mut word = 0;
    while word < WORDS {
        // SAFETY: within the connection, for which zeros are valid.
        unsafe { core::ptr::write_volatile(words.add(word), 0) };
        word += 1;
    }
}

/// How long a route may be, from its first hop to a socket.
const LONGEST: u32 = 48;

/// The class that a node belongs to, plus one; 0 where it is not known.
#[inline(always)]
pub(super) fn class_of(mut node: u32) -> u32 {
    let mut hops = 0;
    while hops < LONGEST {
        if node == NO_NODE {
            return 0;
        }
        if node & ROOT != 0 {
            return (node & !ROOT) + 1;
        }
        let Some(info) = NODE_INFO.get(node) else {
            return 0;
        };
        node = info.key.parent;
        hops += 1;
    }
    0
}

/// Which side of a class's exchanges the one is who gets its packets.
#[inline(always)]
fn role_of(class: u32) -> u8 {
    match CLASS_INFO.get(class.wrapping_sub(1)) {
        Some(info) if info.key.port == 0 => role::NONE,
        Some(info) if info.key.answer == 0 => role::SERVING,
        Some(_) => role::ASKING,
        None => role::NONE,
    }
}
