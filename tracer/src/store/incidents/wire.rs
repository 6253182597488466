//! An incident as it stands in the file: JSON, with keys that may become more.

use serde::{Deserialize, Serialize};

use crate::model::incident::{
    Effect as ModelEffect, End, Event as ModelEvent, Found as ModelFound, Incident as Model, KINDS,
    MEASURES, Marks, Part, Severity, State, Told as ModelTold, UNITS,
};
use crate::model::verdict::Word;

#[derive(Serialize, Deserialize)]
struct Incident {
    revision: u64,
    state: String,
    at: Option<u64>,
    by: Option<String>,
    severity: String,
    verdict: String,
    evidence: Vec<String>,
    place: String,
    change: u64,
    change_error_s: f32,
    raised: u64,
    last_bad: u64,
    effect: Effect,
    findings: Vec<Found>,
    found: u64,
    lasting: u64,
    episodes: u32,
    timeline: Vec<Event>,
    preceded_by: Vec<Event>,
    told: Vec<Told>,
    parts: Vec<(u8, u64)>,
    shared: Vec<(u8, u64)>,
    change_s: u64,
}

#[derive(Serialize, Deserialize)]
struct Effect {
    share: Option<f64>,
    of: String,
    unit: String,
    connections: u32,
    since: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Found {
    stream: u64,
    measure: String,
    place: String,
    class: String,
    kind: String,
    is_sure: bool,
    change: u64,
    change_error_s: f32,
    raised: u64,
    cleared: Option<u64>,
    median_ns: [f32; 2],
    p99_ns: [f32; 2],
    share: [f32; 2],
    episodes: u32,
}

#[derive(Serialize, Deserialize)]
struct Event {
    at: u64,
    what: String,
}

#[derive(Serialize, Deserialize)]
struct Told {
    receiver: String,
    fired: Option<u64>,
    resolved: Option<u64>,
}

pub(super) fn of_incident(from: &Model) -> Vec<u8> {
    let (at, by) = match from.state {
        State::Open => (None, None),
        State::Recovering { since } => (Some(since), None),
        State::Closed { at, by } => (Some(at), Some(by.name().to_owned())),
    };
    let effect = &from.effect;
    let row = Incident {
        revision: from.revision,
        state: from.state.name().to_owned(),
        at,
        by,
        severity: from.severity.name().to_owned(),
        verdict: from.verdict.name().to_owned(),
        evidence: from.evidence.clone(),
        place: from.place.clone(),
        change: from.change,
        change_error_s: from.change_error_s,
        raised: from.raised,
        last_bad: from.last_bad,
        effect: Effect {
            share: effect.share,
            of: effect.of.clone(),
            unit: effect.unit.to_owned(),
            connections: effect.connections,
            since: effect.since,
        },
        findings: from.findings.iter().map(of_found).collect(),
        found: from.found,
        lasting: from.lasting,
        episodes: from.episodes,
        timeline: from.timeline.iter().map(of_event).collect(),
        preceded_by: from.preceded_by.iter().map(of_event).collect(),
        told: from.told.iter().map(of_told).collect(),
        parts: from.marks.parts.iter().copied().map(of_part).collect(),
        shared: from.marks.shared.iter().copied().map(of_part).collect(),
        change_s: from.marks.change_s,
    };
    serde_json::to_vec(&row).expect("rows have string keys and fail in no other way")
}

/// None for a row that makes no sense, such as one of a later version.
pub(super) fn incident(number: u64, value: &[u8]) -> Option<Model> {
    let row: Incident = serde_json::from_slice(value).ok()?;
    Some(Model {
        number,
        revision: row.revision,
        state: state(&row.state, row.at, row.by.as_deref())?,
        severity: Severity::ALL
            .into_iter()
            .find(|it| it.name() == row.severity)?,
        verdict: Word::from_name(&row.verdict)?,
        evidence: row.evidence,
        place: row.place,
        change: row.change,
        change_error_s: row.change_error_s,
        raised: row.raised,
        last_bad: row.last_bad,
        effect: ModelEffect {
            share: row.effect.share,
            of: row.effect.of,
            unit: known(&UNITS, &row.effect.unit).unwrap_or_default(),
            connections: row.effect.connections,
            since: row.effect.since,
        },
        findings: row.findings.into_iter().filter_map(found).collect(),
        found: row.found,
        lasting: row.lasting,
        episodes: row.episodes,
        timeline: row.timeline.into_iter().map(event).collect(),
        preceded_by: row.preceded_by.into_iter().map(event).collect(),
        told: row.told.into_iter().map(told).collect(),
        marks: Marks {
            parts: row.parts.into_iter().filter_map(part).collect(),
            shared: row.shared.into_iter().filter_map(part).collect(),
            change_s: row.change_s,
        },
    })
}

fn state(name: &str, at: Option<u64>, by: Option<&str>) -> Option<State> {
    let by = End::ALL.into_iter().find(|it| Some(it.name()) == by);
    match name {
        "open" => Some(State::Open),
        "recovering" => Some(State::Recovering { since: at? }),
        "closed" => Some(State::Closed { at: at?, by: by? }),
        _ => None,
    }
}

fn known(all: &[&'static str], name: &str) -> Option<&'static str> {
    all.iter().copied().find(|it| *it == name)
}

fn of_found(from: &ModelFound) -> Found {
    Found {
        stream: from.stream,
        measure: from.measure.to_owned(),
        place: from.place.clone(),
        class: from.class.clone(),
        kind: from.kind.to_owned(),
        is_sure: from.is_sure,
        change: from.change,
        change_error_s: from.change_error_s,
        raised: from.raised,
        cleared: from.cleared,
        median_ns: from.median_ns,
        p99_ns: from.p99_ns,
        share: from.share,
        episodes: from.episodes,
    }
}

fn found(row: Found) -> Option<ModelFound> {
    Some(ModelFound {
        stream: row.stream,
        measure: known(&MEASURES, &row.measure)?,
        place: row.place,
        class: row.class,
        kind: known(&KINDS, &row.kind)?,
        is_sure: row.is_sure,
        change: row.change,
        change_error_s: row.change_error_s,
        raised: row.raised,
        cleared: row.cleared,
        median_ns: row.median_ns,
        p99_ns: row.p99_ns,
        share: row.share,
        episodes: row.episodes,
    })
}

fn of_event(from: &ModelEvent) -> Event {
    Event {
        at: from.at,
        what: from.what.clone(),
    }
}

fn event(row: Event) -> ModelEvent {
    ModelEvent {
        at: row.at,
        what: row.what,
    }
}

fn of_told(from: &ModelTold) -> Told {
    Told {
        receiver: from.receiver.clone(),
        fired: from.fired,
        resolved: from.resolved,
    }
}

fn told(row: Told) -> ModelTold {
    ModelTold {
        receiver: row.receiver,
        fired: row.fired,
        resolved: row.resolved,
    }
}

fn of_part(part: Part) -> (u8, u64) {
    match part {
        Part::Hop(id) => (0, id),
        Part::NextHop(id) => (1, id),
        Part::Device(id) => (2, id),
        Part::Component(id) => (3, id),
        Part::Host => (4, 0),
    }
}

fn part((kind, id): (u8, u64)) -> Option<Part> {
    match kind {
        0 => Some(Part::Hop(id)),
        1 => Some(Part::NextHop(id)),
        2 => Some(Part::Device(id)),
        3 => Some(Part::Component(id)),
        4 => Some(Part::Host),
        _ => None,
    }
}
