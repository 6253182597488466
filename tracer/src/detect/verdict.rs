//! Path, peer, this host, or the application? A table of conditions, each row with its word.
//!
//! The first row that holds is the judgement. What other rows hold is told beside it, and what
//! clears others by name. Evidence is judged as it is: nothing here knows a time of day, or why
//! something changed; a change before is told as one before.

mod compare;
mod connections;
mod evidence;
mod gather;
mod group;
mod past;
mod rank;
mod sign;
mod view;
mod window;

pub use evidence::{Covered, Dropped, Evidence, HostTime, NotAccepted, RouteState, Siblings};
pub use gather::answer;
pub use past::{KnownBy, Moved, Part, Past, Slower, Watched, What};
pub use sign::{ENOUGH, LONG_NS, Sign};

pub use window::Window;

pub use crate::model::verdict::{Claim, Fact, Grown, Judgement, Sure, Unknown, Word};

use Claim as C;
use Sign as S;
use Sure::{Likely, Sure as Surely};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// All of these hold …
    pub when: &'static [Sign],
    /// … and none of these.
    pub unless: &'static [Sign],
    /// Then this is the word …
    pub word: Word,
    /// … for this claim …
    pub claim: Claim,
    /// … which is as sure as this, where nothing speaks against it.
    pub sure: Sure,
}

const fn rule(
    when: &'static [Sign],
    unless: &'static [Sign],
    word: Word,
    claim: Claim,
    sure: Sure,
) -> Rule {
    Rule {
        when,
        unless,
        word,
        claim,
        sure,
    }
}

/// The table: the first row that holds is the judgement.
///
/// Rows of what was measured as such stand before those of what follows from a comparison.
#[rustfmt::skip]
pub const TABLE: &[Rule] = &[
    rule(&[S::Few],                            &[],                 Word::CantTell, C::TooFew,           Surely),
    rule(&[S::NotAccepted],                    &[],                 Word::App,      C::AcceptsLate,      Likely),
    rule(&[S::HostDrops],                      &[],                 Word::ThisHost, C::HostDrops,        Surely),
    rule(&[S::Misdelivered],                   &[],                 Word::Path,     C::WrongNeighbour,   Surely),
    rule(&[S::RouterRefuses],                  &[],                 Word::Path,     C::RouterRefuses,    Likely),
    rule(&[S::PeerTurnsBack],                  &[],                 Word::Peer,     C::PeerRefuses,      Likely),
    rule(&[S::HostWaits],                      &[S::Usual],         Word::ThisHost, C::HostWaits,        Surely),
    rule(&[S::WindowShut],                     &[],                 Word::App,      C::ReadsLate,        Surely),
    rule(&[S::ReadsLate],                      &[S::Usual],         Word::App,      C::ReadsLate,        Surely),
    rule(&[S::Refused],                        &[],                 Word::Peer,     C::PeerRefuses,      Surely),
    rule(&[S::PeerWindowShut],                 &[],                 Word::Peer,     C::PeerReadsLate,    Likely),
    rule(&[S::NextHopWorse, S::BackSlow],      &[],                 Word::Path,     C::WayBackSlow,      Surely),
    rule(&[S::PathGrew, S::BackSlow],          &[S::PeerGrew],      Word::Path,     C::WayBackSlow,      Surely),
    rule(&[S::NextHopWorse, S::RouteOld],      &[],                 Word::Path,     C::StaleRoute,       Surely),
    rule(&[S::NextHopWorse, S::ChangedBefore], &[],                 Word::Path,     C::AfterChange,      Surely),
    rule(&[S::NextHopWorse, S::RouteYoung],    &[],                 Word::Path,     C::AfterChange,      Likely),
    rule(&[S::NextHopWorse],                   &[],                 Word::Path,     C::BehindNextHop,    Likely),
    rule(&[S::Silent],                         &[],                 Word::CantTell, C::Silent,           Surely),
    rule(&[S::PeerGrew],                       &[S::PeerOrWayBack], Word::Peer,     C::PeerGrew,         Surely),
    rule(&[S::HostGrew],                       &[S::PathGrew],      Word::ThisHost, C::HostGrew,         Likely),
    rule(&[S::AppGrew],                        &[S::PathGrew],      Word::App,      C::AppGrew,          Likely),
    rule(&[S::PathGrew, S::ChangedBefore],     &[],                 Word::Path,     C::AfterChange,      Likely),
    rule(&[S::PathGrew, S::OtherTtl],          &[],                 Word::Path,     C::WayBackMoved,     Likely),
    rule(&[S::PathGrew],                       &[],                 Word::Path,     C::PathGrew,         Likely),
    rule(&[S::PeerLong],                       &[S::PeerOrWayBack, S::Usual], Word::Peer, C::PeerThinks, Surely),
    rule(&[S::ThinksHere],                     &[S::Usual],         Word::App,      C::AppThinks,        Surely),
    rule(&[S::SomeWaysLose],                   &[],                 Word::Path,     C::SomeWaysLose,     Likely),
    rule(&[S::Loses],                          &[],                 Word::Path,     C::PathLoses,        Likely),
    rule(&[S::SendsAgain],                     &[],                 Word::CantTell, C::StreamLoses,      Surely),
    rule(&[S::SomeConnections],                &[],                 Word::CantTell, C::SomeConnections,  Surely),
    rule(&[S::PeerOrWayBack],                  &[],                 Word::CantTell, C::PeerOrWayBack,    Surely),
    rule(&[S::PathLong],                       &[S::Usual],         Word::CantTell, C::NothingToCompare, Surely),
    rule(&[S::AnswerLong],                     &[S::Usual],         Word::CantTell, C::NothingToCompare, Surely),
    rule(&[S::Unseen],                         &[],                 Word::CantTell, C::NotSeen,          Surely),
    rule(&[],                                  &[],                 Word::Healthy,  C::Fine,             Surely),
];

/// What clears a part by name.
const CLEARS: [(Word, Sign); 4] = [
    (Word::Path, S::PathShort),
    (Word::Peer, S::PeerShort),
    (Word::ThisHost, S::HostShort),
    (Word::App, S::ReadsSoon),
];

/// Judges what was seen of one dependency.
pub fn judge(seen: &Evidence) -> Judgement {
    let rule = TABLE.iter().find(|rule| rule.holds(seen));
    // The last row always holds.
    let rule = rule.unwrap_or(&TABLE[TABLE.len() - 1]);
    let mut evidence: Vec<Fact> = rule.when.iter().filter_map(|it| it.fact(seen)).collect();
    // Siblings tell a next hop, and a segment that grew tells the very wire behind it.
    let wire = S::PathGrew.fact(seen).filter(|_| rule.word == Word::Path);
    let is_placed = |fact: &Fact| matches!(fact, Fact::Grew(grown) if grown.place.is_some());
    evidence.extend(wire.filter(|it| is_placed(it) && !evidence.contains(it)));
    let against = against(rule, seen);
    let cleared = match rule.claim {
        Claim::TooFew => Vec::new(),
        _ => cleared(rule.word, seen),
    };
    // Nobody is sure of what stands on one look alone.
    let is_unproven = |fact: &Fact| matches!(fact, Fact::Grew(grown) if !grown.found);
    let is_by_others = rule.when.contains(&S::PeerLong) && sign::is_by_others(seen);
    let is_proven = !is_by_others && !evidence.iter().any(is_unproven);
    let sure = if against.is_empty() && is_proven {
        rule.sure
    } else {
        rule.sure.less()
    };
    Judgement {
        word: rule.word,
        claim: rule.claim,
        sure,
        evidence,
        against,
        cleared,
        unknown: unknown(rule, seen),
    }
}

impl Rule {
    /// Whether the row's conditions are met.
    pub fn holds(&self, seen: &Evidence) -> bool {
        self.when.iter().all(|sign| sign.holds(seen))
            && !self.unless.iter().any(|sign| sign.holds(seen))
    }
}

/// What later rows of another word hold, and what takes away from a claim.
fn against(rule: &Rule, seen: &Evidence) -> Vec<Fact> {
    if rule.claim == Claim::TooFew {
        return Vec::new();
    }
    let later = TABLE
        .iter()
        .filter(|other| other.word != rule.word && other.word.accuses() && other.holds(seen));
    let mut signs: Vec<Sign> = later
        .filter_map(|other| other.when.first().copied())
        .collect();
    // What passes unseen clears no path, and takes nothing away from what was seen of it.
    if !matches!(rule.word, Word::CantTell | Word::Path) {
        signs.push(S::Unseen);
    }
    // Siblings differ, and may always have.
    if rule.when.contains(&S::NextHopWorse) {
        signs.push(S::Usual);
    }
    signs.retain(|sign| !rule.when.contains(sign));
    let mut facts: Vec<Fact> = Vec::new();
    for fact in signs.into_iter().filter_map(|sign| sign.fact(seen)) {
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}

fn cleared(word: Word, seen: &Evidence) -> Vec<(Word, Fact)> {
    let others = CLEARS.iter().filter(|(part, _)| *part != word);
    others
        .filter_map(|(part, sign)| Some((*part, sign.fact(seen)?)))
        .collect()
}

fn unknown(rule: &Rule, seen: &Evidence) -> Vec<Unknown> {
    let is_path = rule.word == Word::Path;
    let has_siblings = seen.siblings != Siblings::None;
    let is_peer_known = seen.thinking.is_some() || (seen.peer_most.is_some() && seen.is_bounded);
    let loses = S::Loses.holds(seen) || S::SendsAgain.holds(seen);
    let all = [
        (Unknown::Baseline, !seen.has_baseline),
        (
            Unknown::Way,
            loses && seen.lost_way() == crate::model::verdict::Lost::NotSeparable,
        ),
        (Unknown::RouteAge, is_path && seen.route.age.is_none()),
        (Unknown::Siblings, !has_siblings && !seen.has_baseline),
        (Unknown::Peer, seen.asks_here && !is_peer_known),
        (Unknown::Unseen, S::Unseen.holds(seen)),
    ];
    let held = all.into_iter().filter(|(_, holds)| *holds);
    held.map(|(unknown, _)| unknown).collect()
}

#[cfg(test)]
mod tests;
