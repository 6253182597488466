//! The conditions of the table: each holds or not, and if it does, it is a fact with its counts.

use super::evidence::{Evidence, Siblings};
use crate::detect::attribution::HOLDS_MOST;
use crate::model::verdict::{Fact, Grown, Share, Timed, TurnedBack, Word};

/// Exchanges or round trips that a judgement takes.
pub const ENOUGH: u64 = 20;

/// So many times something must have happened before it is no accident.
pub(super) const REPEATED: u64 = 5;

/// What explains why nothing comes back is no accident from so many times on.
const TWICE: u64 = 2;

/// Waits shorter than this, in ns, are nobody's complaint where there is no before.
pub const LONG_NS: u64 = 20_000_000;

/// What differs, or grew, by less, in ns, is nobody's complaint.
pub(super) const MATTERS_NS: u64 = 1_000_000;

/// Exchanges that are disturbed where nothing is wrong, as a share.
const DISTURBED: f64 = 0.02;

/// Segments of a stream that are sent again where nothing is wrong: TCP finds its rate by losing.
const SENT_AGAIN: f64 = 0.02;

/// Packets that a host drops where nothing is wrong, as a share.
const DROPPED: f64 = 0.01;

/// A route that has been as it is for an hour is nobody's change.
const OLD_S: u64 = 3_600;

/// A growth is felt from this part of an answer's time on.
const FELT: u64 = 10;

/// A condition of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Too little happened.
    Few,
    /// Another next hop or source does better.
    NextHopWorse,
    /// Siblings do as well.
    SiblingsAlike,
    /// The route has long been as it is.
    RouteOld,
    /// The route changed just before the first sign.
    ChangedBefore,
    /// The route is young, and since when something is wrong is not known.
    RouteYoung,
    /// The path takes longer than it did.
    PathGrew,
    /// What comes back has another TTL.
    OtherTtl,
    /// The peer takes longer than it did.
    PeerGrew,
    /// This host's kernel takes longer than it did.
    HostGrew,
    /// The application takes longer to read than it did.
    AppGrew,
    /// Exchanges are disturbed.
    Loses,
    /// Segments of streams are sent again.
    SendsAgain,
    /// Some connections are worse than the others.
    SomeConnections,
    /// Some connections lose, and the others do not.
    SomeWaysLose,
    /// Nothing comes back.
    Silent,
    /// The peer refuses.
    Refused,
    /// The way back takes most of the round trip.
    BackSlow,
    /// Frames have another's address.
    Misdelivered,
    /// Routers turn its packets back.
    RouterRefuses,
    /// The peer turns its packets back, by ICMP.
    PeerTurnsBack,
    /// Connections wait to be accepted, or find no room to wait.
    NotAccepted,
    /// This host drops.
    HostDrops,
    /// Packets wait in this host.
    HostWaits,
    /// Nothing waits or drops in this host.
    HostShort,
    /// The application reads late.
    ReadsLate,
    /// The own window shuts.
    WindowShut,
    /// The application reads soon.
    ReadsSoon,
    /// Only the serving side is seen, and it thinks long.
    ThinksHere,
    /// The peer takes most of a long answer.
    PeerLong,
    /// The peer's window shuts.
    PeerWindowShut,
    /// The peer takes little.
    PeerShort,
    /// A lost answer explains it as well as a peer that thinks.
    PeerOrWayBack,
    /// The round trip takes most of a long answer.
    PathLong,
    /// An answer is long, and nobody is seen to take it.
    AnswerLong,
    /// The round trip takes little, nothing is lost, and enough was seen.
    PathShort,
    /// Devices carried what was not seen.
    Unseen,
    /// It was like this before.
    Usual,
}

impl Sign {
    /// What the condition is, in the table of the documentation.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Few => "fewer than 20 exchanges and 20 round trips, and nothing that repeats",
            Self::NextHopWorse => {
                "a next hop (or source) is worse than its siblings, which are fine, and the peer does not explain it"
            }
            Self::SiblingsAlike => "the siblings do as well",
            Self::RouteOld => "the route to it is an hour old or older",
            Self::ChangedBefore => "the route changed just before the first sign",
            Self::RouteYoung => "the route is young; since when it is bad is not known",
            Self::PathGrew => "the path takes longer than it did",
            Self::OtherTtl => {
                "the TTL (or hop limit) of what comes back became another one at about the first sign"
            }
            Self::PeerGrew => "the undisturbed peer takes longer than it did",
            Self::HostGrew => "this host's kernel takes longer than it did",
            Self::AppGrew => "the application takes longer to read than it did",
            Self::Loses => "2 % of the exchanges or more, and five, are disturbed",
            Self::SendsAgain => "2 % of a stream's segments or more, and 20, are sent again",
            Self::SomeConnections => {
                "some of six connections or more are slower than the others by 5 ms or more, and stay so"
            }
            Self::SomeWaysLose => {
                "two of six connections or more, and half of them at most, lose packets all the time, five times as many as the others"
            }
            Self::Silent => "five requests or SYNs are sent again, and nothing comes back",
            Self::Refused => "half of the connections or more, and five, are refused",
            Self::BackSlow => {
                "both ways are seen, and the way back takes three times the way there and 1 ms more"
            }
            Self::Misdelivered => {
                "1 % of the packets or more, and five, are dropped since their frames have another's Ethernet address"
            }
            Self::RouterRefuses => {
                "a router says five times or more (twice, where nothing comes back) by ICMP that its packets get no further, and five are sent again or connections not opened"
            }
            Self::PeerTurnsBack => {
                "the peer says so itself, as often, and five are sent again or connections not opened"
            }
            Self::NotAccepted => {
                "five connections or more found no room in a listen queue at the service, which is on this host, and five SYNs, or answers to them, are sent again"
            }
            Self::HostDrops => "this host's kernel drops 1 % of the packets or more, and five",
            Self::HostWaits => {
                "packets wait in this host's kernel for most of a wait of 20 ms or more"
            }
            Self::HostShort => "nothing waits in this host's kernel or is dropped by it",
            Self::ReadsLate => {
                "what was delivered waits to be read for most of a wait of 20 ms or more"
            }
            Self::WindowShut => "the own receive window became 0 five times or more",
            Self::ReadsSoon => "what was delivered is read soon",
            Self::ThinksHere => "only the serving side is seen, and it thinks for 20 ms or more",
            Self::PeerLong => "the undisturbed peer takes most of an answer of 20 ms or more",
            Self::PeerWindowShut => "the peer's receive window became 0 five times or more",
            Self::PeerShort => "the undisturbed peer takes little",
            Self::PeerOrWayBack => {
                "5 % of the answers or more, and five, are so late that a lost one explains it"
            }
            Self::PathLong => "the round trip is most of an answer of 20 ms or more",
            Self::AnswerLong => "an answer takes 20 ms or more",
            Self::PathShort => {
                "the round trip is short, nothing is lost, and 95 % or more was seen"
            }
            Self::Unseen => "less than 95 % of what a device carried was seen",
            Self::Usual => "there is a before, and it was like this then",
        }
    }

    /// The fact, if the condition holds.
    pub fn fact(self, seen: &Evidence) -> Option<Fact> {
        match self {
            Self::Few => few(seen),
            Self::NextHopWorse => next_hop_worse(seen),
            Self::SiblingsAlike => match seen.siblings {
                Siblings::Alike(siblings) => Some(Fact::SiblingsAlike { siblings }),
                _ => None,
            },
            Self::RouteOld => route_old(seen),
            Self::ChangedBefore => {
                let seconds = seen.route.changed_before_s?;
                Some(Fact::ChangedBefore { seconds })
            }
            Self::RouteYoung => route_young(seen),
            Self::PathGrew => grew(seen, Word::Path),
            Self::OtherTtl => seen.ttl_step.map(Fact::OtherTtl),
            Self::PeerGrew => grew(seen, Word::Peer),
            Self::HostGrew => grew(seen, Word::ThisHost),
            Self::AppGrew => grew(seen, Word::App),
            Self::Loses => loses(seen),
            Self::SendsAgain => sends_again(seen),
            Self::SomeConnections => some_connections(seen, false),
            Self::SomeWaysLose => some_connections(seen, true),
            Self::Silent => silent(seen),
            Self::Refused => refused(seen),
            Self::BackSlow => back_slow(seen),
            Self::Misdelivered => misdelivered(seen),
            Self::RouterRefuses => turned_back(seen, seen.routers),
            Self::PeerTurnsBack => turned_back(seen, seen.peer),
            Self::NotAccepted => not_accepted(seen),
            Self::HostDrops => host_drops(seen),
            Self::HostWaits => host_waits(seen),
            Self::HostShort => host_short(seen),
            Self::ReadsLate => reads_late(seen),
            Self::WindowShut => window_shut(true, seen.own_window_shut),
            Self::ReadsSoon => reads_soon(seen),
            Self::ThinksHere => thinks_here(seen),
            Self::PeerLong => peer_long(seen),
            Self::PeerWindowShut => window_shut(false, seen.peer_window_shut),
            Self::PeerShort => peer_short(seen),
            Self::PeerOrWayBack => peer_or_way_back(seen),
            Self::PathLong => path_long(seen),
            Self::AnswerLong => {
                let answer = enough(seen.answer).filter(|answer| answer.p50_ns >= LONG_NS)?;
                Some(Fact::AnswerLong { answer })
            }
            Self::PathShort => path_short(seen),
            Self::Unseen => unseen(seen),
            Self::Usual => (seen.has_baseline && seen.grown.is_empty()).then_some(Fact::Usual),
        }
    }

    pub(super) fn holds(self, seen: &Evidence) -> bool {
        self.fact(seen).is_some()
    }
}

/// Times of which there are enough.
fn enough(time: Option<Timed>) -> Option<Timed> {
    time.filter(|time| time.n >= ENOUGH)
}

/// What users wait for: an answer, or where nobody asks here, nothing is known.
fn waited_ns(seen: &Evidence) -> u64 {
    enough(seen.answer).map_or(0, |answer| answer.p50_ns)
}

/// Whether a part is most of a long wait.
fn is_most(part: Timed, seen: &Evidence) -> bool {
    part.n >= ENOUGH && part.p50_ns >= LONG_NS && part.p50_ns >= waited_ns(seen) / 2
}

/// Whether a part is no reason for a wait: a fifth of it, or next to nothing.
fn is_little(part: Timed, seen: &Evidence) -> bool {
    part.p50_ns <= (waited_ns(seen) / 5).max(LONG_NS / 5)
}

fn few(seen: &Evidence) -> Option<Fact> {
    let seen_most = seen.exchanges.max(seen.measured);
    let repeats = [
        Sign::Silent,
        Sign::Refused,
        Sign::WindowShut,
        Sign::PeerWindowShut,
        Sign::NotAccepted,
        Sign::RouterRefuses,
        Sign::PeerTurnsBack,
        Sign::HostDrops,
        Sign::Misdelivered,
    ];
    let is_few = seen_most < ENOUGH && !repeats.iter().any(|sign| sign.holds(seen));
    is_few.then_some(Fact::Few {
        seen: seen_most,
        needed: ENOUGH,
    })
}

fn next_hop_worse(seen: &Evidence) -> Option<Fact> {
    let Siblings::Worse(odd) = &seen.siblings else {
        return None;
    };
    let is_explained = !odd.by_loss && Sign::PeerLong.holds(seen);
    (!is_explained).then_some(Fact::NextHopWorse(*odd))
}

fn route_old(seen: &Evidence) -> Option<Fact> {
    let age = seen.route.age?;
    // Of siblings with the same next hop the route is no difference.
    let is_shared = matches!(&seen.siblings, Siblings::Worse(odd) if !odd.by_next_hop);
    if is_shared {
        return None;
    }
    let is_old = seen.route.changed_before_s.is_none() && age.seconds >= OLD_S;
    is_old.then_some(Fact::RouteOld(age))
}

fn route_young(seen: &Evidence) -> Option<Fact> {
    let age = seen.route.age.filter(|age| age.exact)?;
    let is_young = !seen.has_baseline && age.seconds < OLD_S;
    is_young.then_some(Fact::RouteYoung(age))
}

fn grew(seen: &Evidence, part: Word) -> Option<Fact> {
    let by = |grown: &&Grown| grown.now.p50_ns.saturating_sub(grown.before.p50_ns);
    // What is next to nothing of what users wait for is nobody's complaint.
    let felt_ns = match waited_ns(seen) {
        // Where only the serving side is seen it is not known how long they wait.
        0 if seen.thinking.is_some() => MATTERS_NS,
        // A finding alone, which stands for its own effect.
        0 => 0,
        waited_ns => (waited_ns / FELT).max(MATTERS_NS),
    };
    let is_felt = |grown: &&Grown| by(grown) >= felt_ns;
    let all = seen.grown.iter().filter(|grown| grown.part == part);
    let all = all.filter(is_felt);
    let most = all.clone().max_by_key(by)?;
    // The segment that holds most of it tells where; on a way that is new none has a before.
    let holds = |time_ns: u64| time_ns as f64 >= HOLDS_MOST * by(&most) as f64;
    let segments = all.filter(|it| it.place.is_some() && holds(by(it)));
    let segment = segments.max_by_key(by).and_then(|it| it.place.clone());
    let is_new = part == Word::Path && most.whole;
    let wire = seen
        .ways
        .as_ref()
        .filter(|it| is_new && holds(it.time.p50_ns));
    Some(Fact::Grew(Grown {
        place: segment.or_else(|| wire.map(|it| it.wire.clone())),
        ..most.clone()
    }))
}

fn loses(seen: &Evidence) -> Option<Fact> {
    let exchanges = Share {
        part: seen.disturbed,
        of: seen.exchanges,
    };
    let is_much = seen.disturbed >= REPEATED && exchanges.ratio() >= DISTURBED;
    is_much.then(|| Fact::Loses {
        exchanges,
        way: seen.lost_way(),
    })
}

fn sends_again(seen: &Evidence) -> Option<Fact> {
    let segments = Share {
        part: seen.sent_again,
        of: seen.packets,
    };
    let is_much = seen.sent_again >= ENOUGH && segments.ratio() >= SENT_AGAIN;
    is_much.then(|| Fact::SendsAgain {
        segments,
        way: seen.lost_way(),
    })
}

fn some_connections(seen: &Evidence, by_loss: bool) -> Option<Fact> {
    let some = seen.connections.as_ref();
    let some = some.filter(|some| some.by_loss == by_loss);
    some.cloned().map(Fact::SomeConnections)
}

fn silent(seen: &Evidence) -> Option<Fact> {
    let sent_again = seen.sent_again + seen.syn_again;
    (sent_again >= REPEATED && is_silent(seen)).then_some(Fact::Silent { sent_again })
}

/// Whether nothing comes back.
fn is_silent(seen: &Evidence) -> bool {
    let round_trips = seen.round_trip.map_or(0, |it| it.n) + seen.measured + seen.held_back;
    seen.exchanges + round_trips + seen.opened == 0
}

/// Whether the peer's time stands on the round trips of other services alone.
pub(super) fn is_by_others(seen: &Evidence) -> bool {
    seen.thinking.is_none() && enough(seen.round_trip).is_none()
}

fn refused(seen: &Evidence) -> Option<Fact> {
    let connections = Share {
        part: seen.refused,
        of: seen.refused + seen.opened,
    };
    let is_much = seen.refused >= REPEATED && connections.ratio() >= 0.5;
    is_much.then_some(Fact::Refused { connections })
}

fn back_slow(seen: &Evidence) -> Option<Fact> {
    let ways = seen.ways.as_ref()?;
    let (there, back) = (ways.there.p50_ns, ways.back.p50_ns);
    let is_slow = ways.back.n >= ENOUGH && back >= 3 * there && back >= there + MATTERS_NS;
    is_slow.then(|| Fact::BackSlow(ways.clone()))
}

fn is_much(dropped: &super::Dropped) -> bool {
    dropped.packets.part >= REPEATED && dropped.packets.ratio() >= DROPPED
}

fn misdelivered(seen: &Evidence) -> Option<Fact> {
    let most = seen.misdelivered.iter().find(|it| is_much(it))?;
    Some(Fact::Misdelivered {
        place: most.place.clone(),
        packets: most.packets,
    })
}

/// Probes of the way are turned back too, and a path MTU that was just learnt costs a segment: what
/// nobody feels is nobody's complaint.
fn turned_back(seen: &Evidence, said: Option<TurnedBack>) -> Option<Fact> {
    let is_felt = seen.sent_again + seen.syn_again + seen.unopened >= REPEATED;
    // Of nothing that comes back few packets are left that anyone could turn back.
    let least = if is_silent(seen) { TWICE } else { REPEATED };
    let said = said.filter(|it| is_felt && it.times >= least)?;
    Some(Fact::Turned(said))
}

fn not_accepted(seen: &Evidence) -> Option<Fact> {
    let queue = seen.not_accepted.as_ref()?;
    let is_felt = seen.syn_again + seen.syn_ack_again >= REPEATED && queue.times >= REPEATED;
    is_felt.then(|| Fact::NotAccepted {
        namespace: queue.namespace.clone(),
        times: queue.times,
    })
}

fn host_drops(seen: &Evidence) -> Option<Fact> {
    let most = seen.drops.iter().find(|it| is_much(it))?;
    Some(Fact::HostDrops {
        reason: most.reason.clone(),
        place: most.place.clone(),
        packets: most.packets,
    })
}

fn host_waits(seen: &Evidence) -> Option<Fact> {
    let most = seen.host.as_ref().filter(|it| is_most(it.time, seen))?;
    Some(Fact::HostWaits {
        segment: most.segment.clone(),
        place: most.place.clone(),
        time: most.time,
    })
}

fn host_short(seen: &Evidence) -> Option<Fact> {
    let most = seen.host.as_ref().filter(|it| it.time.n >= REPEATED)?;
    let is_short = is_little(most.time, seen) && !Sign::HostDrops.holds(seen);
    is_short.then_some(Fact::HostShort { time: most.time })
}

/// The later of the two reads, and whether it is the serving side's.
fn slowest_read(seen: &Evidence) -> Option<(bool, Timed)> {
    let waiting = seen.waiting.map(|time| (true, time));
    let reading = seen.reading.map(|time| (false, time));
    let reads = waiting.into_iter().chain(reading);
    reads.max_by_key(|(_, time)| time.p50_ns)
}

fn reads_late(seen: &Evidence) -> Option<Fact> {
    let (serves, time) = slowest_read(seen).filter(|(_, time)| is_most(*time, seen))?;
    Some(Fact::ReadsLate { serves, time })
}

fn reads_soon(seen: &Evidence) -> Option<Fact> {
    let (_, time) = slowest_read(seen).filter(|(_, time)| is_little(*time, seen))?;
    let is_soon = time.n >= REPEATED && !Sign::WindowShut.holds(seen);
    is_soon.then_some(Fact::ReadsSoon { time })
}

fn window_shut(here: bool, times: u64) -> Option<Fact> {
    (times >= REPEATED).then_some(Fact::WindowShut { here, times })
}

fn thinks_here(seen: &Evidence) -> Option<Fact> {
    let time = seen.thinking.filter(|&time| is_most(time, seen))?;
    (!seen.asks_here).then_some(Fact::ThinksHere { time })
}

fn peer_long(seen: &Evidence) -> Option<Fact> {
    let answer = enough(seen.answer)?;
    let long = |least, most| Fact::PeerLong {
        least,
        most,
        answer,
    };
    if let Some(thinking) = seen.thinking {
        return is_most(thinking, seen).then(|| long(thinking, thinking));
    }
    let (least, most) = (enough(seen.peer_least)?, enough(seen.peer_most)?);
    // A receiver may hold its acknowledgement back for 40 ms, which is missing from `least`; where
    // it is nothing, only short round trips of the network alone tell the peer from a path that
    // is slow at times. Where it holds back half of them or more it does take long, and those of the same two
    // hosts by the same next hop tell of the path; of answers that acknowledge by themselves they do
    // not, since these may go another way beyond it.
    let is_seen = least.p50_ns >= LONG_NS / 2;
    let are_held_back = 2 * seen.held_back >= seen.exchanges;
    let beside = seen.round_trip_beside.filter(|_| are_held_back);
    let round_trip = enough(seen.round_trip).or(beside);
    let is_implied = round_trip.is_some_and(|it| is_little(it, seen));
    let is_long = is_most(most, seen) && (is_implied || (is_seen && seen.is_bounded));
    is_long.then(|| long(least, most))
}

fn peer_short(seen: &Evidence) -> Option<Fact> {
    let bound = seen.peer_most.filter(|_| seen.is_bounded);
    let most = seen.thinking.or(bound).filter(|time| time.n >= REPEATED)?;
    let is_short = is_little(most, seen) && !Sign::PeerOrWayBack.holds(seen);
    is_short.then_some(Fact::PeerShort { most })
}

fn peer_or_way_back(seen: &Evidence) -> Option<Fact> {
    let exchanges = Share {
        part: seen.one_sided,
        of: seen.exchanges,
    };
    // Where the serving side is seen its own time decides.
    let is_much = seen.one_sided >= REPEATED && exchanges.ratio() >= 0.05;
    (is_much && seen.thinking.is_none()).then_some(Fact::PeerOrWayBack { exchanges })
}

fn path_long(seen: &Evidence) -> Option<Fact> {
    let round_trip = seen.round_trip?;
    is_most(round_trip, seen).then_some(Fact::PathLong { round_trip })
}

fn path_short(seen: &Evidence) -> Option<Fact> {
    let round_trip = seen.round_trip.filter(|time| time.n >= REPEATED)?;
    let others = [Sign::Loses, Sign::SendsAgain, Sign::Unseen, Sign::PathGrew];
    let is_clear = !others.iter().any(|sign| sign.holds(seen));
    (is_clear && is_little(round_trip, seen)).then_some(Fact::PathShort { round_trip })
}

fn unseen(seen: &Evidence) -> Option<Fact> {
    let covered = seen.coverage.as_ref()?;
    (covered.packets.ratio() < crate::model::coverage::ENOUGH).then(|| Fact::Unseen {
        packets: covered.packets,
        device: covered.device.clone(),
    })
}
