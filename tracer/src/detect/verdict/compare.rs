//! A dependency's siblings: others that ask the same service, and other next hops.

use super::evidence::Siblings;
use super::group::{Group, Trips};
use super::window::Window;
use crate::detect::siblings::{Comparison, Contrast, Sibling, Why, compare};
use crate::model::Histogram;
use crate::model::verdict::{Odd, Share, Side, Timed};

/// Round trips differ for many reasons; from this difference on it matters to anyone.
const MATTERS_NS: u64 = 1_000_000;

/// What siblings say of one of them.
///
/// `peer` is how long this one's peer takes at most, where that is known.
pub(super) fn siblings(
    group: &Group<'_>,
    all: &[Group<'_>],
    window: &Window,
    peer: Option<Timed>,
) -> Siblings {
    let same: Vec<Group<'_>> = all
        .iter()
        .filter(|it| it.asks == group.asks && it.is_alike(group))
        .copied()
        .collect();
    let said = among(group, &same, window, peer);
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

fn among(group: &Group<'_>, same: &[Group<'_>], window: &Window, peer: Option<Timed>) -> Siblings {
    let trips = common_trips(same, window);
    let judged: Vec<Sibling> = same
        .iter()
        .map(|it| sibling(it, 1, trips, window))
        .collect();
    let others = same.len() - 1;
    match compare(&judged) {
        Comparison::Insufficient => Siblings::None,
        Comparison::Alike => Siblings::Alike(others),
        Comparison::Different => Siblings::Different(others),
        Comparison::Bad(contrast) => side(group, same, &contrast, (trips, peer)),
    }
}

fn by_loss(group: &Group<'_>, all: &[Group<'_>], window: &Window) -> Option<Siblings> {
    // Each is of a kind of its own, so that times say nothing.
    let judged: Vec<Sibling> = (0..)
        .zip(all)
        .map(|(kind, it)| sibling(it, kind, Trips::OrMore, window))
        .collect();
    match compare(&judged) {
        Comparison::Bad(contrast) if contrast.why == Why::Loses => {
            Some(side(group, all, &contrast, (Trips::OrMore, None)))
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
    (trips, peer): (Trips, Option<Timed>),
) -> Siblings {
    let is_bad = |at: &usize| contrast.bad.contains(at);
    let (bad, rest): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(is_bad);
    let by_loss = contrast.why == Why::Loses;
    let odd = Odd {
        by_loss,
        by_next_hop: bad.iter().all(|&bad| {
            let mine = by(&all[bad]);
            rest.iter().all(|&other| by(&all[other]) != mine)
        }),
        worse: sum(all, &bad, trips),
        rest: sum(all, &rest, trips),
    };
    let own = all
        .iter()
        .position(|it| std::ptr::eq(it.sockets, group.sockets));
    if !own.is_some_and(|own| bad.contains(&own)) {
        return Siblings::Better(odd);
    }
    if by_loss || is_the_networks(odd, trips, peer) {
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

/// Whether the difference is the network's time, and large enough to matter: where round trips may
/// hold the peer's time, that must be known, and explain less than half.
fn is_the_networks(odd: Odd, trips: Trips, peer: Option<Timed>) -> bool {
    let more_ns = odd.worse.time.p50_ns.saturating_sub(odd.rest.time.p50_ns);
    let is_explained = peer.is_none_or(|peer| peer.p50_ns > more_ns / 2);
    more_ns >= MATTERS_NS && (trips == Trips::Pure || !is_explained)
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
