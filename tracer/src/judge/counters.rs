//! What every stream counted when it was judged last, so that what came since is known.

use std::collections::HashMap;
use std::num::NonZeroU64;

use crate::detect::{Increase, Mishap};
use crate::model::bucket;
use crate::model::connection::{Connections, HELD_BACK_US, MOST_HELD_BACK, Phase, Sight};
use crate::model::drops::Blame;
use crate::model::identity::{AsItIs, PerNode, of_sockets};
use crate::model::{Class, Counts, Histogram, Node, Parent, Reading, Service};

/// After how many readings without it something is forgotten.
const ABSENT: u64 = 60;

/// A first hop has no latency. Its packets stand in one bucket, beyond which nothing ever is,
/// so that its drops have something to be a share of.
const NO_LATENCY: u8 = 64;

/// What is measured of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// Round trips that an acknowledgement alone told, with what was sent again.
    RoundTrip,
    /// How long the peer took at least, in exchanges that nothing disturbed.
    Peer,
    /// How long requests waited to be read.
    Waiting,
    /// Whole exchanges, with what was sent again.
    Exchange,
}

impl Measured {
    pub(super) const ALL: [Self; 4] = [Self::RoundTrip, Self::Peer, Self::Waiting, Self::Exchange];

    /// The name in every output.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "round trip",
            Self::Peer => "peer",
            Self::Waiting => "waiting",
            Self::Exchange => "exchange",
        }
    }

    /// The times that are judged: whoever asks knows a whole exchange as its answer, whoever answers
    /// as its service.
    pub(super) fn phase(self, class: &Class) -> Phase {
        match self {
            Self::RoundTrip => Phase::Rtt,
            Self::Peer => Phase::PeerAtLeast,
            Self::Waiting => Phase::Waiting,
            Self::Exchange if matches!(class.service, Some(Service::Source(_))) => Phase::Answer,
            Self::Exchange => Phase::Service,
        }
    }

    fn has_mishaps(self) -> bool {
        matches!(self, Self::RoundTrip | Self::Exchange)
    }
}

/// What is sent again, and what is reset.
const SENT_AGAIN: [Sight; 4] = [
    Sight::Retransmits,
    Sight::Timeouts,
    Sight::SynRetransmits,
    Sight::SynAckRetransmits,
];
const RESETS: [Sight; 2] = [Sight::ResetsSent, Sight::ResetsReceived];
/// Exchanges that did not go well.
const TROUBLED: [Sight; 3] = [Sight::Disturbed, Sight::PeerOrWayBack, Sight::Unanswered];

/// Everything, by what tells it apart.
#[derive(Debug, Default)]
pub(super) struct Counters {
    nodes: PerNode<NodePast>,
    sockets: HashMap<u64, SocketsPast, AsItIs>,
    readings: u64,
}

/// A node as it was.
#[derive(Debug, Default)]
pub(super) struct NodePast {
    latency: Times,
    packets: u64,
    /// What this host is to blame for, and what died for no reason. They come round after four
    /// billion.
    dropped: [u32; 2],
    /// Its stream, once something passed that is to be judged.
    pub(super) stream: Option<NonZeroU64>,
    seen: u32,
    /// Packets that came since.
    pub(super) came: u32,
}

// A large host has a hundred thousand of them.
const _: () = assert!(size_of::<NodePast>() == 64);

/// Sockets as they were.
#[derive(Debug, Default)]
pub(super) struct SocketsPast {
    times: [Times; Measured::ALL.len()],
    sent_again: u64,
    resets: u64,
    troubled_before: u64,
    held_back_before: u64,
    since: [u64; 2],
    /// Acknowledgements that were held back since.
    held_back: u64,
    seen: u64,
    /// Exchanges that did not go well since.
    pub(super) troubled: u64,
    /// Its streams.
    pub(super) streams: [Option<u64>; Measured::ALL.len()],
}

/// A histogram as it was. Its buckets are kept from its first change on, since most segments of a
/// large host are seldom used; so what came until then is not judged.
#[derive(Debug, Default)]
struct Times {
    counts: Option<Counts>,
    count: u64,
}

impl Times {
    /// Adds what came since; a histogram that counts less than before began anew.
    fn rise_to(&mut self, now: &Histogram, into: &mut Increase) {
        if now.count() == self.count {
            return;
        }
        let is_first = self.count == 0 && self.counts.is_none();
        let before = std::mem::replace(&mut self.count, now.count());
        if is_first {
            return;
        }
        if now.count() < before {
            self.counts = Some(Counts::default());
        }
        if let Some(counts) = &self.counts {
            now.counts().differences(counts, |bucket, now, before| {
                let since = now.saturating_sub(before);
                into.add(bucket as u8, u32::try_from(since).unwrap_or(u32::MAX));
            });
        }
        self.counts = Some(now.counts().clone());
    }
}

impl Counters {
    pub(super) fn begin(&mut self, reading: &Reading) {
        self.readings += 1;
        self.nodes.follow(reading);
    }

    /// What a node counted since, as an increase, and its class.
    pub(super) fn node(
        &mut self,
        (reading, index): (&Reading, usize),
        increase: &mut Increase,
    ) -> (Option<usize>, &mut NodePast) {
        let (identity, past) = self.nodes.get(index);
        past.seen = self.readings as u32;
        past.rise_to(&reading.nodes[index], increase, || reading.forwards(index));
        (identity.class, past)
    }

    /// Notes what sockets counted; returns what tells them apart.
    pub(super) fn sockets(&mut self, reading: &Reading, class: &Class, now: &Connections) -> u64 {
        let birth = reading.births.classes.get(now.class);
        let identity = of_sockets(class, birth, now);
        let past = self.sockets.entry(identity).or_default();
        past.seen = self.readings;
        let sum = |sights: &[Sight]| sights.iter().map(|&it| now.sight(it)).sum::<u64>();
        let (again, resets, troubled) = (sum(&SENT_AGAIN), sum(&RESETS), sum(&TROUBLED));
        let held_back = now.sight(Sight::HeldBack);
        // Fewer than before: they began anew.
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        past.since = [since(again, past.sent_again), since(resets, past.resets)];
        past.troubled = since(troubled, past.troubled_before);
        past.held_back = since(held_back, past.held_back_before);
        (past.sent_again, past.resets, past.troubled_before) = (again, resets, troubled);
        past.held_back_before = held_back;
        identity
    }

    /// The stream of a node, if it has one.
    pub(super) fn node_stream(&self, identity: u64) -> Option<u64> {
        Some(self.nodes.of(identity)?.stream?.get())
    }

    /// The streams of sockets.
    pub(super) fn sockets_streams(
        &self,
        identity: u64,
    ) -> Option<[Option<u64>; Measured::ALL.len()]> {
        Some(self.sockets.get(&identity)?.streams)
    }

    /// Sockets that [`Self::sockets`] just met.
    pub(super) fn sockets_past(&mut self, identity: u64) -> &mut SocketsPast {
        self.sockets.entry(identity).or_default()
    }

    /// Takes all that was counted as known.
    pub(super) fn go_on_from(&mut self, reading: &Reading) {
        self.nodes.clear();
        self.sockets.clear();
        let mut nowhere = Increase::default();
        self.nodes.follow(reading);
        for index in 0..reading.nodes.len() {
            self.node((reading, index), &mut nowhere);
        }
        for connections in &reading.connections {
            if let Some(class) = reading.classes.get(connections.class) {
                let identity = self.sockets(reading, class, connections);
                for measured in Measured::ALL {
                    let past = self.sockets_past(identity);
                    past.fill(measured, class, connections, &mut nowhere);
                }
            }
        }
    }

    pub(super) fn forget_absent(&mut self) {
        let now = self.readings;
        if now.is_multiple_of(ABSENT) {
            // A reading a second: the number comes round after a century.
            self.nodes
                .retain(|past| u64::from((now as u32).wrapping_sub(past.seen)) < ABSENT);
            self.sockets.retain(|_, past| now - past.seen < ABSENT);
        }
    }
}

impl NodePast {
    fn rise_to(
        &mut self,
        node: &Node,
        increase: &mut Increase,
        is_forwarding: impl FnOnce() -> bool,
    ) {
        increase.clear();
        let packets = node.packets.saturating_add(node.born);
        if packets < self.packets {
            (self.packets, self.dropped, self.latency) = (0, [0; 2], Times::default());
        }
        self.came = u32::try_from(packets - self.packets).unwrap_or(u32::MAX);
        let dropped = dropped(node);
        // Fewer than before: they began anew.
        let since = |at: usize| dropped[at].checked_sub(self.dropped[at]);
        let [mut drops, unexplained] = [0, 1].map(|at| since(at).unwrap_or(dropped[at]));
        if unexplained > 0 && is_forwarding() {
            drops = drops.saturating_add(unexplained);
        }
        (self.packets, self.dropped) = (packets, dropped);
        match node.parent {
            Parent::Node(_) => self.latency.rise_to(&node.latency, increase),
            Parent::Class(_) => increase.add(NO_LATENCY, self.came),
        }
        increase.add_mishaps(Mishap::Drop, drops);
    }
}

/// What this host dropped at a node, and what is its own only where it was on its way through.
fn dropped(node: &Node) -> [u32; 2] {
    let mut dropped = [0u32; 2];
    for (reason, &count) in &node.ends.dropped {
        let at = match [Blame::of(reason), Blame::of_forwarded(reason)] {
            [Some(Blame::Host), _] => 0,
            [None, Some(Blame::Host)] => 1,
            _ => continue,
        };
        dropped[at] = dropped[at].wrapping_add(count as u32);
    }
    dropped
}

impl SocketsPast {
    /// What one measure of these sockets counted since; says whether there is anything to judge.
    pub(super) fn fill(
        &mut self,
        measured: Measured,
        class: &Class,
        now: &Connections,
        increase: &mut Increase,
    ) -> bool {
        increase.clear();
        if let Some(times) = now.phases.get(&measured.phase(class)) {
            self.times[measured as usize].rise_to(times, increase);
        }
        // Where nearly all acknowledgements are held back, what comes sooner is not how long the path takes.
        if measured == Measured::RoundTrip && self.held_back > MOST_HELD_BACK * increase.packets() {
            increase.drop_below(bucket::index(u64::from(HELD_BACK_US) * 1000) as u8);
        }
        if measured.has_mishaps() {
            let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            increase.add_mishaps(Mishap::Retransmit, count(self.since[0]));
            increase.add_mishaps(Mishap::Reset, count(self.since[1]));
        }
        increase.packets() > 0
    }
}
