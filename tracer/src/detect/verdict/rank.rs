//! Which of many judgements an answer is about, and which only follow from another.

use std::cmp::Reverse;

use super::group::{self, Group};
use super::{Claim, Word};
use crate::model::answer::Case;

/// What a peer waits for others is its own reason from this share of its time on.
const MOST: f64 = 0.5;

/// A peer that waits for somebody itself is no peer that thinks: app takes long for web, since the
/// database takes long for app; or for web, since app holds a lock in it over a slow path.
pub(super) fn explain(cases: &mut [(Group<'_>, Case)], all: &[Group<'_>]) {
    let waits: Vec<Option<String>> = cases
        .iter()
        .map(|(asking, case)| match case.judgement.claim {
            Claim::PeerThinks | Claim::PeerGrew | Claim::AppThinks | Claim::NothingToCompare => {
                waits_for(asking, all).or_else(|| held_up_by(asking, case, cases))
            }
            Claim::AppGrew => held_up_by(asking, case, cases),
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
        let here =
            |serving: &&Group<'_>| serving.seen().namespace.cookie == it.seen().namespace.cookie;
        it.asks && !it.is_of(asking) && serving.iter().any(here)
    };
    let slowest = all.iter().filter(own).max_by_key(|it| it.waited_ns())?;
    let is_most = slowest.waited_ns() as f64 >= MOST * theirs_ns as f64;
    (theirs_ns > 0 && is_most).then(|| group::name(slowest))
}

/// Another client of the same service whose path, host or program is to blame, and to whom the peer
/// answers at once: what it holds between its requests (a lock, a transaction) it holds for that long.
///
/// A peer that is slow by itself is slow to everybody.
fn held_up_by(asking: &Group<'_>, case: &Case, cases: &[(Group<'_>, Case)]) -> Option<String> {
    let is_held_up = case.judgement.word.accuses();
    let holds = |(group, case): &&(Group<'_>, Case)| {
        let judgement = &case.judgement;
        group.asks == asking.asks
            && group.is_alike(asking)
            && !group.is_of(asking)
            && judgement.word.accuses()
            && judgement.word != Word::Peer
            && judgement.cleared.iter().any(|(it, _)| *it == Word::Peer)
    };
    let mut holding = cases.iter().filter(|_| is_held_up).filter(holds);
    holding.next().map(|(group, _)| group::name(group))
}

/// Those that accuse come first, and of these the ones that people wait for longest.
pub(super) fn worst_first(cases: &mut [(Group<'_>, Case)]) {
    cases.sort_by_key(|(_, case)| {
        let judgement = &case.judgement;
        let rank = match judgement.word {
            _ if case.waits_for.is_some() => 3,
            word if word.accuses() => 0,
            Word::CantTell if judgement.claim != Claim::TooFew => 1,
            Word::Healthy => 2,
            _ => 4,
        };
        (rank, Reverse(case.waited_ns), Reverse(case.exchanges))
    });
}
