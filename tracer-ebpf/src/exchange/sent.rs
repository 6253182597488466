//! Data leave a socket, or are read: an answer begins, a request ends.

use tracer_common::exchange::{Connection, Phase, Sight, mark, role, state};

use super::{connection, peer, socket_of};
use crate::{
    kernel::{self, Skb},
    maps,
};

/// A packet with data is born at the queue; its header is in the scratch.
///
/// A function of its own: what is sent has a socket seldom enough on a router, and the chain of
/// calls behind a birth is the longest.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn sent(index: u32) -> u32 {
    let Some(scratch) = maps::scratch(index) else {
        return 0;
    };
    let Some(connection) = connection::find(scratch.socket) else {
        return 0;
    };
    let sequence = scratch.header.sequence;
    let end = sequence.wrapping_add(scratch.header.payload);
    let is_again = connection.marks & mark::SENT != 0
        && sequence.wrapping_sub(connection.sent).cast_signed() < 0;
    if is_again {
        connection.marks |= mark::DISTURBED;
        return 0;
    }
    connection.sent = end;
    connection.marks |= mark::SENT;
    match connection.role {
        role::ASKING => asks(connection),
        role::SERVING if connection.state == state::ASKED => answers(connection),
        _ => {}
    }
    0
}

/// A request, or more of it.
#[inline(always)]
fn asks(connection: &mut Connection) {
    if connection.state != state::ASKED {
        connection.marks &= !(mark::DISTURBED | mark::OVERLAPPING);
    }
    connection.state = state::ASKED;
    connection.acknowledged_ns = 0;
    connection.asked_ns = kernel::now();
}

/// The first byte of an answer.
#[inline(always)]
fn answers(connection: &mut Connection) {
    let counts = connection.counts;
    let now = kernel::now();
    let marks = connection.marks;
    connection.state = state::ANSWERED;
    connection.marks = marks & !(mark::DISTURBED | mark::OVERLAPPING);
    connection.exchanges = connection.exchanges.wrapping_add(1);
    if marks & mark::OVERLAPPING != 0 {
        return peer::count(counts, Sight::Overlapping, 1);
    }
    if marks & mark::DISTURBED != 0 {
        connection.disturbed = connection.disturbed.wrapping_add(1);
        return peer::count(counts, Sight::Disturbed, 1);
    }
    peer::count(counts, Sight::Undisturbed, 1);
    peer::time(
        counts,
        Phase::Service,
        now.wrapping_sub(connection.asked_ns),
    );
    let read = connection.read_ns;
    if read != 0 {
        peer::time(
            counts,
            Phase::Waiting,
            read.wrapping_sub(connection.asked_ns),
        );
        peer::time(counts, Phase::Thinking, now.wrapping_sub(read));
    }
}

/// The application reads data: of several reads of one request the last one counts.
#[inline(always)]
pub(crate) fn read(skb: Skb) {
    let socket = socket_of(skb);
    if socket == 0 {
        return;
    }
    if let Some(connection) = connection::find(socket)
        && connection.state == state::ASKED
        && connection.role == role::SERVING
    {
        connection.read_ns = kernel::now();
    }
}
