//! Whose an incident is: which hop holds the shift, and what its findings say together.

use std::collections::HashMap;

use crate::detect::attribution::{Culprit as Blamed, Growth, attribute};
use crate::detect::verdict::{self, ENOUGH, Evidence, Grown};
use crate::model::incident::Found;
use crate::model::report::segment_name;
use crate::model::verdict::{Timed, Word};
use crate::model::{Parent, Reading};

use super::cases::Case;

/// Routes of one incident that are asked.
pub(super) const ROUTES: usize = 16;

/// From this share of lost segments on a peer may be dead.
const DEAD: f32 = 0.5;

/// From this growth on it matters to anyone that some packets are slower, in ns.
const MATTERS_NS: f32 = 1e6;

/// Kinds that say slower.
const SLOWER: [&str; 3] = ["shift", "share", "tail"];

/// The hop that holds the shift.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Culprit {
    /// Where, for people.
    pub(super) name: String,
    /// Whose time the segment is.
    pub(super) part: Word,
    /// Its share of the growth.
    pub(super) share: f64,
    /// On how many routes of those that were asked.
    pub(super) routes: [usize; 2],
}

/// The hop that holds the shift on most of the routes that lead by these nodes.
pub(super) fn culprit(
    reading: &Reading,
    nodes: &[usize],
    growth: impl Fn(usize) -> Option<Growth>,
) -> Option<Culprit> {
    let mut votes: HashMap<String, Culprit> = HashMap::new();
    let ways: Vec<Vec<usize>> = ways(reading, nodes);
    for way in &ways {
        let hops: Vec<Growth> = way
            .iter()
            .map(|&it| growth(it).unwrap_or_default())
            .collect();
        let found = attribute(&hops, None);
        let Blamed::Hop(at) = found.culprit else {
            continue;
        };
        let Some((name, part)) = segment(reading, way[at]) else {
            continue;
        };
        let vote = votes.entry(name.clone()).or_insert(Culprit {
            name,
            part,
            share: 0.0,
            routes: [0, ways.len()],
        });
        vote.share = vote.share.max(found.shares[at]);
        vote.routes[0] += 1;
    }
    let asked = ways.len();
    let mut votes: Vec<Culprit> = votes.into_values().collect();
    votes.sort_by(|a, b| b.routes[0].cmp(&a.routes[0]).then(a.name.cmp(&b.name)));
    let first = votes.first()?.clone();
    if 2 * first.routes[0] > asked {
        return Some(first);
    }
    // There and back are different hops of one wire.
    let alike: Vec<&Culprit> = votes.iter().filter(|it| it.part == first.part).collect();
    let agree = alike.iter().map(|it| it.routes[0]).sum::<usize>();
    (2 * agree > asked).then(|| Culprit {
        name: alike
            .iter()
            .take(2)
            .map(|it| &*it.name)
            .collect::<Vec<_>>()
            .join(", "),
        share: alike.iter().map(|it| it.share).fold(1.0, f64::min),
        routes: [agree, asked],
        ..first
    })
}

fn segment(reading: &Reading, index: usize) -> Option<(String, Word)> {
    let node = &reading.nodes[index];
    let Parent::Node(parent) = node.parent else {
        return None;
    };
    let hop = &node.hop;
    let from = reading.nodes.get(parent)?.hop.stage;
    let segment = segment_name(from, hop.stage);
    Some((
        format!("{segment} at {}/{}", hop.namespace.name, hop.device),
        Word::of_segment(from, hop.stage),
    ))
}

/// The ways that lead by some nodes, from the first hop on, by where most packets go. Of nodes on one
/// way there is one.
fn ways(reading: &Reading, nodes: &[usize]) -> Vec<Vec<usize>> {
    let mut children: HashMap<usize, usize> = HashMap::new();
    for (index, node) in reading.nodes.iter().enumerate() {
        if let Parent::Node(parent) = node.parent {
            let best = children.entry(parent).or_insert(index);
            if node.packets > reading.nodes[*best].packets {
                *best = index;
            }
        }
    }
    let mut ways: Vec<Vec<usize>> = Vec::new();
    for &node in nodes.iter().rev() {
        if ways.iter().any(|way| way.contains(&node)) {
            continue;
        }
        let mut way = vec![node];
        while let Parent::Node(parent) = reading.nodes[way[way.len() - 1]].parent {
            if parent >= way[way.len() - 1] {
                break;
            }
            way.push(parent);
        }
        way.reverse();
        let mut at = node;
        while let Some(&child) = children.get(&at) {
            way.push(child);
            at = child;
        }
        ways.push(way);
    }
    ways
}

/// Says whose an incident is, and why.
pub(super) fn say(case: &mut Case) {
    let findings = case.incident.findings.iter();
    let lasting: Vec<&Found> = findings.filter(|it| it.cleared.is_none()).collect();
    if lasting.is_empty() {
        return;
    }
    // Whoever looked saw more: siblings, both ways, the route's age.
    let (word, evidence) = match &case.looked {
        Some(looked) => (looked.word, looked.evidence.clone()),
        None => judgement(&lasting, case.culprit.as_ref()),
    };
    let incident = &mut case.incident;
    if let Some(place) = case.looked.as_ref().and_then(|it| it.place.as_ref()) {
        incident.place.clone_from(place);
    }
    let is_taken_back = case.looked.as_ref().is_some_and(|it| it.takes_back);
    if incident.verdict.accuses() && !word.accuses() && !is_taken_back {
        // What was known once, such as before a restart, is better than nothing.
        return;
    }
    if incident.verdict != word && !incident.evidence.is_empty() {
        let (now, before) = (word.text(), incident.verdict.text());
        incident.note(
            incident.last_bad,
            format!("now {now}, and no longer {before}"),
        );
    }
    incident.verdict = word;
    incident.evidence = evidence;
}

fn judgement(lasting: &[&Found], culprit: Option<&Culprit>) -> (Word, Vec<String>) {
    if let Some(drops) = lasting.iter().find(|it| it.kind == "drops") {
        let seen = format!("this host drops packets after {}", drops.place);
        return (Word::ThisHost, vec![seen]);
    }
    let grown: Vec<(Grown, String)> = lasting
        .iter()
        .filter_map(|found| grown(found, culprit))
        .collect();
    let seen = Evidence {
        // Findings are of streams that had enough.
        exchanges: ENOUGH,
        has_baseline: true,
        grown: grown.iter().map(|(grown, _)| grown.clone()).collect(),
        ..Evidence::default()
    };
    let word = verdict::judge(&seen).word;
    if word.accuses() {
        let mut said: Vec<String> = Vec::new();
        // What speaks for the word first, and then the rest.
        for is_for in [true, false] {
            for (grown, sentence) in &grown {
                if (grown.part == word) == is_for && !said.contains(sentence) && said.len() < 6 {
                    said.push(sentence.clone());
                }
            }
        }
        if word == Word::Path && culprit.is_none() {
            said.push("no hop of this host holds the shift".to_owned());
        }
        return (word, said);
    }
    let Some(lost) = lasting.iter().find(|it| it.kind == "retransmits") else {
        return (Word::CantTell, vec!["nothing says where".to_owned()]);
    };
    let seen = "segments are sent again, and this host is not seen to drop any".to_owned();
    let (word, why) = if lost.share[1] < DEAD {
        (
            Word::Path,
            "others arrive: lost on the way there or back, which is not separable",
        )
    } else {
        (
            Word::CantTell,
            "hardly anything is answered: the path, or a dead peer",
        )
    };
    (word, vec![seen, why.to_owned()])
}

/// Whose time grew, and the sentence that says so. Of a route's hops it is the culprit's.
fn grown(found: &Found, culprit: Option<&Culprit>) -> Option<(Grown, String)> {
    if !SLOWER.contains(&found.kind) {
        return None;
    }
    // A tail, or a share, is some of the packets, which a busy processor delays too: of what they grew by
    // nobody feels less. How much a share grew by is not known but for this: hardly any takes longer.
    let more_ns = match found.kind {
        "tail" => found.p99_ns[1] - found.p99_ns[0],
        _ => found.p99_ns[1] - found.median_ns[0],
    };
    if found.kind != "shift" && more_ns < MATTERS_NS {
        return None;
    }
    let part = match found.measure {
        "latency" => culprit?.part,
        "round trip" => Word::Path,
        "peer" => Word::Peer,
        "waiting" => Word::App,
        _ => return None,
    };
    let timed = |at: usize| Timed {
        p50_ns: found.median_ns[at] as u64,
        p99_ns: found.p99_ns[at] as u64,
        n: ENOUGH,
    };
    let sentence = match (found.measure, culprit) {
        ("latency", Some(culprit)) => {
            let [agree, asked] = culprit.routes;
            let share = culprit.share * 100.0;
            let name = &culprit.name;
            format!("{name}: {share:.0} % of what was added, on {agree} of {asked} routes")
        }
        ("round trip", _) => "round trips that acknowledgements alone told take longer".to_owned(),
        ("peer", _) => "the peer takes longer at least, where nothing disturbed it".to_owned(),
        _ => "what was delivered waits longer to be read".to_owned(),
    };
    let grown = Grown {
        part,
        before: timed(0),
        now: timed(1),
        whole: false,
        found: true,
        place: None,
    };
    Some((grown, sentence))
}
