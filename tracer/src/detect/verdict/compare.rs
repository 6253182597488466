//! A dependency's siblings: others that ask the same service, and other next hops.

use super::evidence::Siblings;
use super::group::{Group, Trips};
use super::window::Window;
use crate::detect::siblings::{Comparison, Contrast, Sibling, Why, compare, compare_legs};
use crate::model::Histogram;
use crate::model::connection::Connection;
use crate::model::verdict::{Odd, Share, Side, Timed};

/// Round trips differ for many reasons, such as the length of the way: from this difference on it
/// matters to anyone, in ns.
const MATTERS_NS: u64 = 5_000_000;

/// What siblings are compared with.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// How long this one's peer takes at most.
    pub(super) peer: Option<Timed>,
    /// Whether its path takes longer than it did.
    pub(super) is_longer: bool,
    /// Whether they are flows of one host to one address that the kernel spreads over several next hops
    /// (ECMP): then the peer and its work are the same behind each of them.
    pub(super) is_spread: bool,
}

/// So few connections of a next hop may be alike by chance.
const FEWEST: usize = 3;

/// Of the connections of a next hop that is worse so many are, and for so many times as long as the others
/// usually take.
const ARE_SLOW: f64 = 0.8;
const SLOWER: u64 = 2;

/// What siblings say of one of them.
pub(super) fn siblings(
    group: &Group<'_>,
    all: &[Group<'_>],
    window: &Window,
    known: Known,
) -> Siblings {
    let same: Vec<Group<'_>> = all
        .iter()
        .filter(|it| it.asks == group.asks && it.is_alike(group))
        .copied()
        .collect();
    if let Some(odd) = by_silence(group, &same) {
        return Siblings::Worse(odd);
    }
    if known.is_spread {
        let beside = |it: &&Group<'_>| it.is_of(group) && it.is_beside(group);
        let legs: Vec<Group<'_>> = same.iter().filter(beside).copied().collect();
        let said = among(group, &legs, window, known);
        if matches!(said, Siblings::Worse(_)) && is_of_most_connections(group, &legs) {
            return said;
        }
    }
    let known = Known {
        is_spread: false,
        ..known
    };
    let said = among(group, &same, window, known);
    if matches!(said, Siblings::None | Siblings::Alike(_)) {
        // Those that do other work may have other times, but lose no packets.
        let side: Vec<Group<'_>> = all
            .iter()
            .filter(|it| it.asks == group.asks)
            .copied()
            .collect();
        if let Some(odd) = by_loss(group, &side, window) {
            return odd;
        }
    }
    said
}

/// Nothing comes back to this one, while others get their answers of the same service.
fn by_silence(group: &Group<'_>, same: &[Group<'_>]) -> Option<Odd> {
    let trips = Trips::OrMore;
    let came = |it: &Group<'_>| it.exchanges() + it.trips(trips).count();
    if !group.asks || came(group) > 0 || group.mishaps() < super::sign::REPEATED {
        return None;
    }
    let is_well = |it: &Group<'_>| came(it) >= super::ENOUGH && 20 * it.mishaps() <= came(it);
    let numbers = 0..same.len();
    let (well, silent): (Vec<usize>, Vec<usize>) = numbers
        .filter(|&at| is_well(&same[at]) || came(&same[at]) == 0)
        .partition(|&at| is_well(&same[at]));
    (!well.is_empty()).then(|| Odd {
        by_loss: true,
        by_next_hop: is_by_next_hop(same, &silent, &well),
        worse: sum(same, &silent, trips),
        rest: sum(same, &well, trips),
    })
}

fn among(group: &Group<'_>, same: &[Group<'_>], window: &Window, known: Known) -> Siblings {
    let trips = common_trips(same, window);
    let judged: Vec<Sibling> = same
        .iter()
        .map(|it| sibling(it, 1, trips, window))
        .collect();
    let others = same.len() - 1;
    let compared = if known.is_spread {
        compare_legs(&judged)
    } else {
        compare(&judged)
    };
    match compared {
        Comparison::Insufficient => Siblings::None,
        Comparison::Alike => Siblings::Alike(others),
        Comparison::Different => Siblings::Different(others),
        Comparison::Bad(contrast) => side(group, same, &contrast, (trips, known)),
    }
}

/// Whether it is no single connection, whose work may be another, that makes a leg slower than the others;
/// and whether all of them have one peer.
fn is_of_most_connections(group: &Group<'_>, legs: &[Group<'_>]) -> bool {
    let is_own = |leg: &&Group<'_>| std::ptr::eq(leg.sockets, group.sockets);
    let mean = |leg: &Group<'_>| -> Vec<u64> {
        let measured = leg.seen().sample.iter().filter(|it| it.rtts > 0);
        measured.map(Connection::rtt_mean_ns).collect()
    };
    let own = mean(group);
    let mut others: Vec<u64> = legs
        .iter()
        .filter(|it| !is_own(it))
        .flat_map(mean)
        .collect();
    if own.len() < FEWEST || others.len() < FEWEST {
        return false;
    }
    others.sort_unstable();
    let from_ns = SLOWER * others[others.len() / 2];
    let slow = own.iter().filter(|&&it| it >= from_ns).count();
    let peers = legs
        .iter()
        .flat_map(|it| &it.seen().sample)
        .map(|it| it.tuple.source);
    let one_peer = peers.collect::<std::collections::HashSet<_>>().len() == 1;
    one_peer && slow as f64 >= ARE_SLOW * own.len() as f64
}

fn by_loss(group: &Group<'_>, all: &[Group<'_>], window: &Window) -> Option<Siblings> {
    // Each is of a kind of its own, so that times say nothing.
    let judged: Vec<Sibling> = (0..)
        .zip(all)
        .map(|(kind, it)| sibling(it, kind, Trips::OrMore, window))
        .collect();
    match compare(&judged) {
        Comparison::Bad(contrast) if contrast.why == Why::Loses => {
            let known = Known {
                peer: None,
                is_longer: false,
                is_spread: false,
            };
            Some(side(group, all, &contrast, (Trips::OrMore, known)))
        }
        _ => None,
    }
}

/// Round trips of the network alone, where all have enough of them.
fn common_trips(same: &[Group<'_>], window: &Window) -> Trips {
    let has_enough = |it: &Group<'_>| {
        let halves = [&window.early, &window.late];
        halves
            .iter()
            .all(|half| it.trips_in(half, Trips::Pure).count() >= super::ENOUGH)
    };
    if same.iter().all(has_enough) {
        Trips::Pure
    } else {
        Trips::OrMore
    }
}

fn sibling(group: &Group<'_>, kind: u32, trips: Trips, window: &Window) -> Sibling {
    Sibling {
        kind,
        early: group.trips_in(&window.early, trips),
        late: group.trips_in(&window.late, trips),
        mishaps: group.mishaps(),
        changed: false,
    }
}

fn side(
    group: &Group<'_>,
    all: &[Group<'_>],
    contrast: &Contrast,
    (trips, known): (Trips, Known),
) -> Siblings {
    let is_bad = |at: &usize| contrast.bad.contains(at);
    let (bad, rest): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(is_bad);
    let by_loss = contrast.why == Why::Loses;
    let odd = Odd {
        by_loss,
        by_next_hop: is_by_next_hop(all, &bad, &rest),
        worse: sum(all, &bad, trips),
        rest: sum(all, &rest, trips),
    };
    let own = all
        .iter()
        .position(|it| std::ptr::eq(it.sockets, group.sockets));
    if !own.is_some_and(|own| bad.contains(&own)) {
        return Siblings::Better(odd);
    }
    if by_loss || is_the_networks(odd, trips, known) {
        Siblings::Worse(odd)
    } else {
        Siblings::Different(rest.len())
    }
}

/// Where a group's packets go first.
fn by(group: &Group<'_>) -> (u64, u32, Option<std::net::IpAddr>) {
    let seen = group.seen();
    match seen.next_hop {
        // A gateway is the same one, whoever sends by it.
        Some(gateway) => (0, 0, Some(gateway)),
        None => (seen.namespace.cookie, seen.ifindex, None),
    }
}

/// Whether some send by next hops that none of the rest uses.
fn is_by_next_hop(all: &[Group<'_>], bad: &[usize], rest: &[usize]) -> bool {
    bad.iter().all(|&bad| {
        let mine = by(&all[bad]);
        rest.iter().all(|&other| by(&all[other]) != mine)
    })
}

/// Whether the difference is the network's time, and large enough to matter: where round trips may
/// hold the peer's time, that must be known, and explain less than half; unless it is the same peer's.
fn is_the_networks(odd: Odd, trips: Trips, known: Known) -> bool {
    let more_ns = odd.worse.time.p50_ns.saturating_sub(odd.rest.time.p50_ns);
    let is_explained = known.peer.is_none_or(|peer| peer.p50_ns > more_ns / 2);
    let matters_ns = if known.is_longer {
        super::sign::MATTERS_NS
    } else {
        MATTERS_NS
    };
    more_ns >= matters_ns && (trips == Trips::Pure || known.is_spread || !is_explained)
}

fn sum(all: &[Group<'_>], which: &[usize], trips: Trips) -> Side {
    let mut times = Histogram::default();
    let mut lost = Share::default();
    for group in which.iter().map(|&at| &all[at]) {
        times.merge(&group.trips(trips));
        lost.part += group.mishaps();
    }
    lost.of = times.count();
    Side {
        siblings: which.len(),
        time: Timed::of(&times).unwrap_or_default(),
        lost,
    }
}
