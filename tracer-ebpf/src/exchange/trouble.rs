//! What the kernel says of a connection in trouble: sent again, reset, never answered.

use tracer_common::exchange::{Sight, mark};

use super::{
    connection, peer, seen,
    socket::{Socket, room},
    sockets,
};
use crate::{
    class, header,
    journey::Program,
    kernel::{self, setting},
    maps,
};

/// `TCP_ESTABLISHED` and `TCP_SYN_SENT` of `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;

/// A segment was sent again (`__tcp_retransmit_skb`, `net/ipv4/tcp_output.c`).
#[inline(always)]
pub(crate) fn retransmitted(socket: Socket, program: Program) {
    if sockets!(known) == 0 || socket.is_null() {
        return;
    }
    let Some(tcp) = socket.tcp() else { return };
    let sight = if tcp.is_timeout() {
        Sight::Timeouts
    } else {
        Sight::Retransmits
    };
    if let Some(connection) = connection::of(socket) {
        connection.marks |= mark::DISTURBED;
        connection.retransmits = connection.retransmits.wrapping_add(1);
        return peer::count(connection.counts, sight, 1);
    }
    // Nothing came on it since anyone looked, as in the middle of an outage. What says good-bye to a
    // peer that is gone is nobody's trouble; and by which device it sends is not known.
    let sight = match socket.state() {
        SYN_SENT => Sight::SynRetransmits,
        ESTABLISHED if setting!(filter_device[0]) != 0 => return,
        ESTABLISHED => sight,
        _ => return,
    };
    if let Some((index, seen)) = room(program.0) {
        socket.lay_out(seen);
        socket.lay_out_ends(seen);
        count_at_ends(index, sight as u32);
    }
}

/// A SYN-ACK was sent again; a request socket begins as other sockets do (`struct request_sock`,
/// `include/net/request_sock.h`).
#[inline(always)]
pub(crate) fn retransmitted_handshake(request: Socket, program: Program) {
    if sockets!(known) == 0 || request.is_null() {
        return;
    }
    if let Some((index, seen)) = room(program.0) {
        // A request sends by no route of its own yet, and that member is not its.
        request.lay_out_peer(seen);
        request.lay_out_ends(seen);
        count_at_ends(index, Sight::SynAckRetransmits as u32);
    }
}

/// A connection that was never answered is given up, or it was refused.
#[inline(always)]
pub(super) fn unopened(index: u32) {
    count_at_ends(index, Sight::Unopened as u32);
}

/// The peer reset the connection.
#[inline(always)]
pub(crate) fn reset_received(socket: Socket) {
    count(socket, Sight::ResetsReceived);
}

/// A connection is reset; the socket is missing where nobody listens.
#[inline(always)]
pub(crate) fn reset_sent(socket: Socket) {
    count(socket, Sight::ResetsSent);
}

#[inline(always)]
fn count(socket: Socket, sight: Sight) {
    if sockets!(known) == 0 || socket.is_null() {
        return;
    }
    if let Some(connection) = connection::of(socket) {
        peer::count(connection.counts, sight, 1);
    }
}

/// Counts for a socket of which no segment was seen, so that its class is told by its ends.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_at_ends(index: u32, sight: u32) -> u32 {
    let (Some(seen), Some(scratch)) = (seen(index), maps::scratch(index)) else {
        return 0;
    };
    scratch.header.tuple = seen.tuple;
    let namespace = setting!(filter_cookie);
    let is_elsewhere = namespace != 0 && kernel::cookie_at(seen.net) != namespace;
    if is_elsewhere || !header::is_wanted(&scratch.header) {
        return 0;
    }
    // Which component's namespace the peer is in isn't known.
    scratch.cookie = 0;
    let class = class::find_class(index);
    if class == 0 {
        return 0;
    }
    let counts = peer::of(seen, class);
    let sight = match sight {
        5 => Sight::Retransmits,
        6 => Sight::Timeouts,
        7 => Sight::SynRetransmits,
        8 => Sight::SynAckRetransmits,
        _ => Sight::Unopened,
    };
    peer::count(counts, sight, 1);
    0
}
