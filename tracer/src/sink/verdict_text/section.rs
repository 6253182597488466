//! The sections of the screen; one without content is not there.

use super::{claim, fact};
use crate::model::answer::{Answer, Case, Part, Sibling};
use crate::model::hop::mac_text;
use crate::model::incident::{Incident, Name};
use crate::model::journal::report::Told;
use crate::model::journal::{Age, Moment, Who};
use crate::model::network::names;
use crate::model::verdict::{Fact, Grown, Timed, Unknown, Word};
use crate::sink::{fit, picture, time, units};

/// Columns of the bar of each part.
const BAR: usize = 16;

/// Changes and siblings that are shown.
const SHOWN: usize = 3;

/// The sections in order: their names and their lines.
pub(super) fn all(answer: &Answer, case: &Case, is_long: bool) -> Vec<(&'static str, Vec<String>)> {
    let shown = if is_long { 12 } else { SHOWN };
    let sections = vec![
        ("WHERE", place(case)),
        ("SINCE", since(answer, case)),
        ("CHANGED", changed(answer, case, shown)),
        ("WHO", who(case)),
        ("HOW MANY", how_many(answer, case)),
        ("ODD ONE", odd_one(case, shown)),
        ("NEXT", claim::commands(case)),
        ("UNKNOWN", unknown(answer, case)),
    ];
    sections
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .collect()
}

fn place(case: &Case) -> Vec<String> {
    let longest = case
        .parts
        .iter()
        .map(|part| part.time.p50_ns)
        .max()
        .unwrap_or(0);
    let part = |part: &Part| {
        let share = part.time.p50_ns as f64 / longest.max(1) as f64;
        let bar = picture::bar(share, BAR);
        let most = if part.at_most { "≤" } else { "" };
        let name = part.name;
        format!("{name} {bar} {most}{}", fact::timed(part.time))
    };
    let parts: Vec<String> = case.parts.iter().map(part).collect();
    let mut lines: Vec<String> = parts.chunks(2).map(|two| two.join(" │ ")).collect();
    if let Some([there, back]) = case.ways {
        lines.push(format!(
            "there {}, back {}",
            fact::timed(there),
            fact::timed(back)
        ));
    } else if case.judgement.word == Word::Path {
        let way = case.judgement.evidence.iter().find_map(|fact| match fact {
            Fact::Loses { way, .. } | Fact::SendsAgain { way, .. } => Some(way.name()),
            _ => None,
        });
        lines.push(format!("there or back: {}", way.unwrap_or("not separable")));
    }
    lines.extend(next_hop(case));
    lines
}

/// `by 10.12.0.1 (02:00:00:00:00:06), from demo-app a-r2`
fn next_hop(case: &Case) -> Option<String> {
    let mac = case.mac.map(|mac| format!(" ({})", mac_text(mac)));
    let to = case.next_hop.map(|it| it.to_string());
    let to = to.or_else(|| mac.is_some().then(|| "the link".to_owned()))?;
    Some(format!(
        "next hop {to}{}, from {} {}",
        mac.unwrap_or_default(),
        fit::name(&case.namespace, 30),
        fit::name(&case.device, 15)
    ))
}

fn since(answer: &Answer, case: &Case) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(incident) = incident(answer, case) {
        lines.push(format!(
            "{} ± {:.0} s, {} ago: {}",
            time::clock(incident.change),
            incident.change_error_s.max(1.0),
            ago(answer.at, incident.change),
            Name(incident.number)
        ));
    }
    let is_said = |grown: &Grown| {
        let mut evidence = case.judgement.evidence.iter();
        evidence.any(|it| matches!(it, Fact::Grew(said) if said.part == grown.part))
    };
    let grown = case.grown.iter().filter(|it| !is_said(it)).take(2);
    lines.extend(grown.map(|it| {
        // Where it was is no part of when it began.
        let grown = Grown {
            place: None,
            ..it.clone()
        };
        fact::text(&Fact::Grew(grown))
    }));
    let is_few = case
        .judgement
        .evidence
        .iter()
        .any(|it| matches!(it, Fact::Few { .. }));
    if lines.is_empty() && is_without_baseline(case) && !is_few {
        let compared = if case
            .judgement
            .evidence
            .iter()
            .any(|it| matches!(it, Fact::NextHopWorse(_)))
        {
            "compared with siblings, not with before"
        } else {
            "whether it was ever otherwise is not known"
        };
        lines.push(format!("no baseline: {compared}"));
    }
    lines
}

/// The incident that a dependency is a part of.
fn incident<'a>(answer: &'a Answer, case: &Case) -> Option<&'a Incident> {
    let number = *case.incidents.first()?;
    answer.incidents.iter().find(|it| it.number == number)
}

fn is_without_baseline(case: &Case) -> bool {
    case.judgement.unknown.contains(&Unknown::Baseline)
}

/// `15 min`
fn ago(now: Moment, then: Moment) -> Age {
    Age {
        seconds: now.saturating_sub(then) / 1_000_000_000,
        exact: true,
    }
}

fn changed(answer: &Answer, case: &Case, shown: usize) -> Vec<String> {
    if matches!(case.judgement.word, Word::Healthy) && answer.changes.is_none() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if let Some(changes) = &answer.changes {
        let name = case.name();
        let is_moved = |told: &&Told| {
            told.entry.namespace == case.namespace && told.moved.iter().any(|it| it.name == name)
        };
        let moved: Vec<&Told> = changes.changes.iter().filter(is_moved).collect();
        let others = changes.changes.len() - moved.len();
        if moved.is_empty()
            && let Some(last) = incident(answer, case).and_then(|it| it.preceded_by.last())
        {
            let seconds = ago(answer.at, last.at);
            lines.push(format!("preceded by, {seconds} ago: {}", last.what));
        }
        for told in moved.iter().rev().take(shown) {
            lines.push(change(answer, told));
        }
        let back = ago(answer.at, changes.since);
        lines.push(match (moved.len(), others) {
            (0, 0) => format!("nothing in {back}"),
            (0, others) => format!("nothing of it in {back}; {} on this host", other(others)),
            (more, others) if more > shown => {
                format!("{} more in {back}; {}", more - shown, other(others))
            }
            (_, others) => format!("{} on this host in {back}", other(others)),
        });
    } else if case.entry.is_some() {
        lines.push("not known before this look: no journal here".to_owned());
    }
    lines.extend(route(case));
    lines
}

fn other(changes: usize) -> String {
    units::counted(changes as u64, "other change")
}

/// `10:02:11 UTC, 15 min ago: route 10.2.0.0/24 table main by ip ← bash (alice)`
fn change(answer: &Answer, told: &Told) -> String {
    let entry = &told.entry;
    let by = match &entry.who {
        Who::Unknown => "by nobody knows whom".to_owned(),
        who => format!("by {who}"),
    };
    format!(
        "{}, {} ago: {} {} {by}",
        time::clock(entry.last),
        ago(answer.at, entry.last),
        entry.kind.name(),
        fit::name(&entry.subject, 40)
    )
}

/// The route as it is, with its age and maker.
fn route(case: &Case) -> Option<String> {
    let entry = case.entry.as_ref()?;
    let via = entry
        .gateway
        .map(|it| format!(" via {it}"))
        .unwrap_or_default();
    let age = entry
        .age
        .map(|age| format!(", {age} old"))
        .unwrap_or_default();
    let by = match &entry.set_by {
        None | Some(Who::Unknown) => String::new(),
        Some(who) => format!(", set by {who}"),
    };
    let table = names::table(entry.table);
    let protocol = names::protocol(entry.protocol);
    Some(format!(
        "route {}{via} table {table} proto {protocol}{age}{by}",
        entry.prefix
    ))
}

fn who(case: &Case) -> Vec<String> {
    let ends = [&case.names.source, &case.names.destination].map(crate::model::name::Who::text);
    if ends.iter().all(Option::is_none) {
        return Vec::new();
    }
    let [source, destination] =
        ends.map(|it| it.map_or_else(|| "?".to_owned(), |it| fit::name(&it, 30)));
    vec![format!("{source} → {destination}")]
}

fn how_many(answer: &Answer, case: &Case) -> Vec<String> {
    let connections = case.connections;
    let more = if connections >= crate::model::connection::SAMPLE {
        "+"
    } else {
        ""
    };
    let addresses = match case.clients {
        1 => "1 client address".to_owned(),
        clients => format!("{clients}{more} client addresses"),
    };
    let mut lines = vec![format!(
        "{}{more} of {addresses}; {}, {} undisturbed",
        units::counted(connections as u64, "connection"),
        units::counted(case.exchanges, "exchange"),
        units::count(case.undisturbed)
    )];
    if connections == 0 || case.clients == 0 {
        lines = vec![format!(
            "{}, {} undisturbed",
            units::counted(case.exchanges, "exchange"),
            units::count(case.undisturbed)
        )];
    }
    if answer.cases.len() > 1 {
        let counts = Word::ALL.map(|word| (word, answer.count(word)));
        let told: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {}", word.text()))
            .collect();
        lines.push(format!(
            "of {} dependencies: {}",
            answer.cases.len(),
            told.join(", ")
        ));
    }
    let open = answer.incidents.iter().filter(|it| it.is_active());
    let others = open
        .filter(|it| !case.incidents.contains(&it.number))
        .count();
    if others > 0 {
        let others = units::counted(others as u64, "other incident");
        lines.push(format!("{others} not over: tracer incidents"));
    }
    let name = case.name();
    let waiting: Vec<String> = answer
        .cases
        .iter()
        .filter(|it| it.waits_for.as_ref() == Some(&name))
        .map(Case::name)
        .collect();
    if !waiting.is_empty() {
        lines.push(format!("waiting for it: {}", waiting.join(", ")));
    }
    lines
}

fn odd_one(case: &Case, shown: usize) -> Vec<String> {
    if !case.siblings.iter().any(|it| it.is_worse) {
        return Vec::new();
    }
    let (worse, rest): (Vec<&Sibling>, Vec<&Sibling>) =
        case.siblings.iter().partition(|it| it.is_worse);
    let room = shown.saturating_sub(worse.len()).max(1);
    let shown = worse.iter().chain(rest.iter().take(room));
    let mut told: Vec<String> = shown.map(|it| sibling(it)).collect();
    if rest.len() > room {
        told.push(format!("{} more", rest.len() - room));
    }
    vec![told.join("; ")]
}

fn sibling(sibling: &Sibling) -> String {
    let sign = if sibling.is_worse { "◀ " } else { "" };
    let by = sibling
        .next_hop
        .map(|it| format!(" by {it}"))
        .unwrap_or_default();
    let time = sibling
        .time
        .map_or_else(|| "–".to_owned(), |it: Timed| fact::timed(it));
    format!(
        "{sign}{}{by} {time}, {} lost",
        sibling.client,
        units::count(sibling.lost.part)
    )
}

fn unknown(answer: &Answer, case: &Case) -> Vec<String> {
    let is_said = !since(answer, case).is_empty();
    let known = case
        .judgement
        .unknown
        .iter()
        .filter(|it| **it != Unknown::Baseline || !is_said)
        .map(|&it| fact::unknown(it).to_owned());
    let mut all: Vec<String> = known.collect();
    if let Some(coverage) = case.coverage {
        all.push(format!(
            "coverage {:.1}% of {}",
            coverage.ratio().min(1.0) * 100.0,
            units::counted(coverage.of, "packet")
        ));
    } else {
        all.push("coverage not measured".to_owned());
    }
    let lost: u64 = answer.losses.values().sum();
    if lost > 0 {
        all.push(format!(
            "{} lost from sight",
            units::counted(lost, "packet")
        ));
    }
    if answer.followed < 1.0 {
        all.push(format!(
            "only {} of the packets are followed",
            units::share(answer.followed)
        ));
    }
    if answer.more > 0 {
        all.push(format!("{} more dependencies, not judged", answer.more));
    }
    if answer.not_judged > 0 {
        let packets = units::counted(answer.not_judged, "packet");
        all.push(format!("{packets} of others (UDP, forwarded): not judged"));
    }
    vec![all.join("; ")]
}
