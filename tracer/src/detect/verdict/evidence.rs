//! What is known of one dependency in one window of time: plain facts, each with its counts.

use crate::model::journal::Age;
use crate::model::passing::TtlStep;
use crate::model::verdict::{Grown, Lost, Odd, Share, SomeConnections, Timed, TurnedBack, Ways};

/// What was seen of one dependency: a client's connections to a service, by one next hop.
///
/// What was not measured is `None`, and never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Exchanges of every state.
    pub exchanges: u64,
    /// Exchanges that something was sent again in, or came twice, late, or out of order.
    pub disturbed: u64,
    /// Exchanges whose answer is so late that it may have been sent twice.
    pub one_sided: u64,
    /// Segments sent again, by timers too.
    pub sent_again: u64,
    /// … that the peer says it had already (DSACK, RFC 2883): what was lost or late is its answer.
    pub had_already: u64,
    /// Segments that came with something missing in front of them, or came twice.
    pub gaps: u64,
    /// SYNs sent again.
    pub syn_again: u64,
    /// Answers to SYNs that were sent again: a handshake that the asking side did not end, or that had no
    /// room in the listen queue.
    pub syn_ack_again: u64,
    /// Connections opened, and those that the peer refused.
    pub opened: u64,
    pub refused: u64,
    /// Times that a receiver's window became 0: the peer's, and the own.
    pub peer_window_shut: u64,
    pub own_window_shut: u64,
    /// Packets of the dependency, both ways, as far as they are on this host.
    pub packets: u64,
    /// From the request to the answer, as the asking side sees it: undisturbed exchanges.
    pub answer: Option<Timed>,
    /// Round trips of the network alone.
    pub round_trip: Option<Timed>,
    /// Round trips that may hold the peer's time too.
    pub round_trip_or_more: Option<Timed>,
    /// The shortest ones, which may hold a peer's time too, of other services between the same hosts by the
    /// same next hop, where there are enough.
    pub round_trip_beside: Option<Timed>,
    /// Acknowledgements that the peer held back.
    pub held_back: u64,
    /// How many round trips TCP measured, those that may hold the peer's time included.
    pub measured: u64,
    /// Whether the shortest round trip is surely the network's alone: then `peer_most` is a bound.
    pub is_bounded: bool,
    /// How long the peer takes at least and at most: undisturbed exchanges.
    pub peer_least: Option<Timed>,
    pub peer_most: Option<Timed>,
    /// Whether the asking side's sockets are on this host.
    pub asks_here: bool,
    /// At the serving side, where that is on this host: until the request is read, and from there to
    /// the answer.
    pub waiting: Option<Timed>,
    pub thinking: Option<Timed>,
    /// At the asking side: until the answer is read.
    pub reading: Option<Timed>,
    /// The segment of this host's own kernel that takes longest.
    pub host: Option<HostTime>,
    /// What this host's kernel drops, the most frequent first.
    pub drops: Vec<Dropped>,
    /// Frames that this host dropped since they have another's Ethernet address.
    pub misdelivered: Vec<Dropped>,
    /// What routers say by ICMP of its packets, and what the peer itself says.
    pub routers: Option<TurnedBack>,
    pub peer: Option<TurnedBack>,
    /// Connections that were never opened.
    pub unopened: u64,
    /// The queues of those who listen at the service, where they had no room.
    pub not_accepted: Option<NotAccepted>,
    /// The way there and back, where both are seen at all their hops.
    pub ways: Option<Ways>,
    /// This next hop, leg or source against its siblings.
    pub siblings: Siblings,
    /// Some of its connections are unlike the others.
    pub connections: Option<SomeConnections>,
    /// The route by which it goes.
    pub route: RouteState,
    /// The TTL or hop limit of what comes back became another one, at about the first sign.
    pub ttl_step: Option<TtlStep>,
    /// The device with the poorest coverage on the way.
    pub coverage: Option<Covered>,
    /// Parts that take longer than they did, each with its before and after; none without a baseline.
    pub grown: Vec<Grown>,
    /// Whether there is a before to compare with.
    pub has_baseline: bool,
}

/// The time in a segment of this host's kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTime {
    /// The segment: `queue→xmit`.
    pub segment: String,
    /// Where: namespace and device.
    pub place: String,
    /// How long.
    pub time: Timed,
}

/// Packets that this host's kernel dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// The kernel's reason.
    pub reason: String,
    /// Where: namespace and device.
    pub place: String,
    /// How many, of those that came there.
    pub packets: Share,
}

/// Connections that found no room in the queue of a socket that listens, since nobody accepted those
/// before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAccepted {
    /// The network namespace's name.
    pub namespace: String,
    /// How many.
    pub times: u64,
}

/// What siblings say.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Siblings {
    /// There are none with enough traffic.
    #[default]
    None,
    /// So many do as well as this one.
    Alike(usize),
    /// They differ, and nothing says that it is wrong.
    Different(usize),
    /// This one is worse than the rest.
    Worse(Odd),
    /// Another is worse; this one is fine.
    Better(Odd),
}

/// Since when a route is as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Its age; none where nobody knows.
    pub age: Option<Age>,
    /// How long before the first sign it changed, in seconds; none where it did not just before, or
    /// where it is not known since when something is wrong.
    pub changed_before_s: Option<u64>,
}

/// What was seen of what a device carried.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// Namespace and device.
    pub device: String,
    /// Seen, of carried.
    pub packets: Share,
}

impl Evidence {
    /// Which way packets are lost, as far as this end can tell.
    ///
    /// What was sent again was lost on the way there, unless the peer says that it had it, or
    /// something was missing on the way back too.
    pub fn lost_way(&self) -> Lost {
        let lost_there = self.sent_again.saturating_sub(self.had_already);
        match (lost_there, self.gaps + self.had_already) {
            (there, back) if there >= 3 && there >= 5 * back => Lost::There,
            (there, back) if back >= 3 && back >= 5 * there => Lost::Back,
            _ => Lost::NotSeparable,
        }
    }
}
