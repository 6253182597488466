//! Which of many judgements an answer is about, and which only follow from another.

use std::cmp::Reverse;

use super::group::{self, Group};
use super::{Claim, Word};
use crate::model::answer::Case;
use crate::model::verdict::Began;

/// What a peer waits for others is its own reason from this share of its time on.
const MOST: f64 = 0.5;

/// What is so close together began at once, in seconds: as findings of one incident do.
const TOGETHER_S: f64 = 5.0;

/// A peer that takes this part, at most, of what another waits answers at once.
const AT_ONCE: u64 = 5;

/// A lock is held over so many round trips, at most.
const ROUND_TRIPS: u64 = 20;

/// A peer that waits for somebody itself is no peer that thinks: app takes long for web, since the
/// database takes long for app; or for web, since app holds a lock in it over a slow path.
pub(super) fn explain(cases: &mut [(Group<'_>, Case)], all: &[Group<'_>]) {
    let waits: Vec<Option<String>> = cases
        .iter()
        .map(|(asking, case)| match case.judgement.claim {
            Claim::PeerThinks | Claim::PeerGrew | Claim::AppThinks => {
                waits_for(asking, all).or_else(|| held_up_by(asking, case, cases))
            }
            Claim::NothingToCompare => waits_for(asking, all),
            _ => None,
        })
        .collect();
    for ((_, case), waits) in cases.iter_mut().zip(waits) {
        case.waits_for = waits;
    }
}

/// The dependency that takes most of the time for which a peer's sockets on this host let wait.
fn waits_for(asking: &Group<'_>, all: &[Group<'_>]) -> Option<String> {
    let serves = |it: &&Group<'_>| !it.asks && it.is_of(asking);
    let serving: Vec<&Group<'_>> = all.iter().filter(serves).collect();
    let theirs_ns: u64 = serving.iter().map(|it| it.waited_ns()).sum();
    let own = |it: &&Group<'_>| {
        it.asks && !it.is_of(asking) && serving.iter().any(|serving| serving.is_beside(it))
    };
    let slowest = all.iter().filter(own).max_by_key(|it| it.waited_ns())?;
    let is_most = slowest.waited_ns() as f64 >= MOST * theirs_ns as f64;
    (theirs_ns > 0 && is_most).then(|| group::name(slowest))
}

/// Another client of the same service whose path or host takes long, and whom the peer answers at once:
/// what it holds between its requests (a lock, a transaction) it holds for that long.
///
/// A peer that is slow by itself is slow to everybody, and does not become so when another's path does.
fn held_up_by(asking: &Group<'_>, case: &Case, cases: &[(Group<'_>, Case)]) -> Option<String> {
    let waits_ns = longest_ns(case, &["peer", "think"])?;
    let holds = |(group, case): &&(Group<'_>, Case)| {
        let peer_ns = longest_ns(case, &["peer", "think"]);
        let way_ns = longest_ns(case, &["network", "queue"]);
        is_long(case.judgement.claim)
            && group.asks == asking.asks
            && group.is_alike(asking)
            && !group.is_of(asking)
            && peer_ns.is_some_and(|it| it * AT_ONCE <= waits_ns)
            && way_ns.is_some_and(|it| it * ROUND_TRIPS >= waits_ns)
    };
    let began = case.began;
    let mut holding = cases.iter().filter(holds);
    holding
        .find(|(_, case)| is_together(case.began, began))
        .map(|(group, _)| group::name(group))
}

/// The longest of some parts of an exchange.
fn longest_ns(case: &Case, names: &[&str]) -> Option<u64> {
    let parts = case.parts.iter();
    let parts = parts.filter(|it| names.contains(&it.name));
    parts.map(|it| it.time.p50_ns).max()
}

/// Whether a path, or this host, is said to take long.
fn is_long(claim: Claim) -> bool {
    matches!(
        claim,
        Claim::WayBackSlow
            | Claim::StaleRoute
            | Claim::AfterChange
            | Claim::BehindNextHop
            | Claim::WayBackMoved
            | Claim::PathGrew
            | Claim::HostWaits
            | Claim::HostGrew
    )
}

/// Whether both began at once, as far as anyone knows.
fn is_together(one: Option<Began>, other: Option<Began>) -> bool {
    let (Some(one), Some(other)) = (one, other) else {
        return true;
    };
    let apart_s = one.at.abs_diff(other.at) as f64 / 1e9;
    apart_s <= TOGETHER_S + f64::from(one.error_s + other.error_s)
}

/// Those that accuse come first, and of these the ones that people wait for longest.
pub(super) fn worst_first(cases: &mut [(Group<'_>, Case)]) {
    cases.sort_by_key(|(_, case)| {
        let judgement = &case.judgement;
        let rank = match judgement.word {
            _ if case.waits_for.is_some() => 3,
            word if word.accuses() => 0,
            // Of what is a part of an incident that lasts nobody says that all is well, however little passes.
            Word::CantTell if judgement.claim != Claim::TooFew || !case.incidents.is_empty() => 1,
            Word::Healthy => 2,
            _ => 4,
        };
        (rank, Reverse(case.waited_ns), Reverse(case.exchanges))
    });
}
